//! The load of the rows about requests: `bench-http MODE HOST PORT MILLISECONDS CONCURRENCY`. Trusts the certificate
//! authorities in the file that `SSL_CERT_FILE` names, as clients do. Modes:
//!
//! - `plain`, `tls`: requests on kept connections; prints nanoseconds of each and the seconds of all.
//! - `connect`: a new TLS connection and one request on it; the same.
//! - `events`: a stream of events; nanoseconds until the first, and how many of the others came by themselves.
//! - `watch`: prints the time (nanoseconds since 1970) whenever requests begin to be refused or allowed.
#![forbid(unsafe_code)]

use std::io::{Error, Read, Result, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Nothing here waits longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Events of one stream; the fake internet sends them 50 ms apart.
const EVENTS: usize = 3;
/// Events that come closer than this came together.
const APART: Duration = Duration::from_millis(25);

/// Either wire.
trait Wire: Read + Write {}
impl<S: Read + Write> Wire for S {}

/// Whom to ask, and for how long.
struct Load {
    host: String,
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    time: Duration,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [mode, host, port, time, concurrency] = args.as_slice() else {
        return Err(Error::other("usage: bench-http MODE HOST PORT MILLISECONDS CONCURRENCY"));
    };
    let number = |text: &str| text.parse::<u64>().map_err(Error::other);
    let mut addresses = format!("{host}:{port}").to_socket_addrs()?;
    let load = Load {
        host: host.clone(),
        address: addresses.next().ok_or_else(|| Error::other("the name has no address"))?,
        tls: matches!(mode.as_str(), "tls" | "connect").then(config).transpose()?,
        time: Duration::from_millis(number(time)?),
    };
    match mode.as_str() {
        "plain" | "tls" => measure(number(concurrency)?, || load.requests()),
        "connect" => measure(number(concurrency)?, || load.connections()),
        "events" => load.events(),
        "watch" => load.watch(),
        _ => Err(Error::other("no such mode")),
    }
}

/// Never resumes: a new connection is to be a whole one.
fn config() -> Result<Arc<ClientConfig>> {
    let file = std::env::var("SSL_CERT_FILE").map_err(Error::other)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(Error::other)? {
        // A system has some that are of no use here.
        roots.add_parsable_certificates([certificate.map_err(Error::other)?]);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn measure(concurrency: u64, work: impl Fn() -> Result<Vec<u128>> + Sync) -> Result<()> {
    let start = Instant::now();
    let samples = thread::scope(|scope| {
        let workers: Vec<_> = (0..concurrency).map(|_| scope.spawn(&work)).collect();
        let ended =
            workers.into_iter().map(|worker| worker.join().map_err(|_| Error::other("panic"))?);
        ended.collect::<Result<Vec<_>>>()
    })?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{{\"nanoseconds\": {:?}, \"seconds\": {seconds}}}", samples.concat());
    Ok(())
}

impl Load {
    fn connect(&self) -> Result<Box<dyn Wire>> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let Some(config) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(self.host.clone()).map_err(Error::other)?;
        let connection = ClientConnection::new(config.clone(), name).map_err(Error::other)?;
        Ok(Box::new(StreamOwned::new(connection, stream)))
    }

    /// The status of a request, once its response was read whole.
    fn exchange(&self, stream: &mut dyn Wire, buffer: &mut [u8]) -> Result<u16> {
        self.ask(stream, "/")?;
        let mut length = 0;
        loop {
            let read = stream.read(&mut buffer[length..])?;
            if read == 0 {
                return Err(Error::other("the response ended early"));
            }
            length += read;
            if let Some((status, whole)) = parse(&buffer[..length])
                && length >= whole
            {
                return Ok(status);
            }
        }
    }

    fn ask(&self, stream: &mut dyn Wire, path: &str) -> Result<()> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\n\r\n", self.host);
        stream.write_all(request.as_bytes())?;
        stream.flush()
    }

    fn requests(&self) -> Result<Vec<u128>> {
        let mut stream = self.connect()?;
        let end = Instant::now() + self.time;
        let mut buffer = [0; 8192];
        let mut samples = vec![];
        while Instant::now() < end {
            let start = Instant::now();
            expect_ok(self.exchange(&mut *stream, &mut buffer)?)?;
            samples.push(start.elapsed().as_nanos());
        }
        Ok(samples)
    }

    fn connections(&self) -> Result<Vec<u128>> {
        let end = Instant::now() + self.time;
        let mut buffer = [0; 8192];
        let mut samples = vec![];
        while Instant::now() < end {
            let start = Instant::now();
            expect_ok(self.exchange(&mut *self.connect()?, &mut buffer)?)?;
            samples.push(start.elapsed().as_nanos());
        }
        Ok(samples)
    }

    fn events(&self) -> Result<()> {
        let end = Instant::now() + self.time;
        let (mut firsts, mut others, mut apart) = (vec![], 0, 0);
        while Instant::now() < end {
            let mut stream = self.connect()?;
            let start = Instant::now();
            self.ask(&mut *stream, &format!("/stream?n={EVENTS}"))?;
            let (mut seen, mut before) = (0, start);
            let mut buffer = [0; 8192];
            while seen < EVENTS {
                let read = stream.read(&mut buffer)?;
                if read == 0 {
                    return Err(Error::other("the stream ended early"));
                }
                let found = String::from_utf8_lossy(&buffer[..read]).matches("data: ").count();
                if found > 0 && seen == 0 {
                    firsts.push(start.elapsed().as_nanos());
                } else if found == 1 && before.elapsed() > APART {
                    apart += 1;
                }
                if found > 0 {
                    before = Instant::now();
                }
                seen += found;
            }
            others += EVENTS - 1;
        }
        println!("{{\"nanoseconds\": {firsts:?}, \"others\": {others}, \"apart\": {apart}}}");
        Ok(())
    }

    fn watch(&self) -> Result<()> {
        let end = Instant::now() + self.time;
        let mut stream = self.connect()?;
        let mut buffer = [0; 8192];
        let mut before = None;
        while Instant::now() < end {
            let allowed = self.exchange(&mut *stream, &mut buffer)? == 200;
            if before != Some(allowed) {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Error::other)?;
                println!("{}", now.as_nanos());
                before = Some(allowed);
            }
            if !allowed {
                // A refusal ends the connection.
                stream = self.connect()?;
            }
        }
        Ok(())
    }
}

fn expect_ok(status: u16) -> Result<()> {
    if status == 200 { Ok(()) } else { Err(Error::other(format!("the answer was {status}"))) }
}

/// The status of a response and its length in bytes, once its head is there.
fn parse(response: &[u8]) -> Option<(u16, usize)> {
    let end = response.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&response[..end]).ok()?;
    let status = head.get(9..12)?.parse().ok()?;
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?.1;
    Some((status, end + length.parse::<usize>().ok()?))
}
