//! Origins that keep what they get, byte for byte, with TLS and without, and clients for both.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use hickory_proto::rr::{RData, RecordType};
use navigator_egress::tls::{Authority, UpstreamTls};
use navigator_policy::Host;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use crate::sandbox::Sandbox;
use crate::tunnels::ask;
use crate::wire;

/// A test that waits this long for something has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const PROXY: &str = "10.200.0.1:3128";

/// A connection as both sides here use it.
pub(crate) trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// Whether an origin's connections stay open after a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Close,
    Keep,
}

/// What every connection of the origins brought.
#[derive(Default)]
pub(crate) struct Arrivals {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    streams: Vec<Vec<u8>>,
    open: usize,
}

impl Arrivals {
    /// The bytes of each connection, after all of them have ended. A connection of the test's own comes last, so
    /// that none is still waiting to be accepted.
    pub(crate) fn take(&self) -> Vec<Vec<u8>> {
        for port in [80, 443] {
            let mut last = TcpStream::connect(("203.0.113.7", port)).unwrap();
            last.shutdown(Shutdown::Write).unwrap();
            let _ = last.read_to_end(&mut vec![]);
        }
        let state = self.state.lock().unwrap();
        let (mut state, late) =
            self.changed.wait_timeout_while(state, PATIENCE, |state| state.open > 0).unwrap();
        assert!(!late.timed_out(), "connections to the origin stay open");
        let streams = std::mem::take(&mut state.streams);
        streams.into_iter().filter(|stream| !stream.is_empty()).collect()
    }

    fn begin(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        state.open += 1;
        state.streams.push(vec![]);
        state.streams.len() - 1
    }

    fn end(&self) {
        self.state.lock().unwrap().open -= 1;
        self.changed.notify_all();
    }

    /// Answers every whole request until the other side has ended.
    fn serve(&self, number: usize, mut stream: impl Stream, after: After) {
        let (mut answered, mut buffer) = (0, [0; 16 * 1024]);
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            let bytes = {
                let mut state = self.state.lock().unwrap();
                state.streams[number].extend_from_slice(&buffer[..read]);
                state.streams[number].clone()
            };
            let seen = match wire::requests(&bytes) {
                Ok(seen) => seen,
                Err(why) if why == wire::UNFINISHED => continue,
                // The test finds it among the arrivals.
                Err(_) => break,
            };
            let whole: Vec<_> = seen.iter().filter(|request| request.whole).collect();
            for request in &whole[answered..] {
                let body = if request.method == "HEAD" { "" } else { "ok" };
                let close = if after == After::Close { "Connection: close\r\n" } else { "" };
                let answer = format!("HTTP/1.1 200 OK\r\n{close}Content-Length: 2\r\n\r\n{body}");
                let _ = stream.write_all(answer.as_bytes());
            }
            answered = whole.len();
            if after == After::Close && answered > 0 {
                break;
            }
        }
        self.end();
    }
}

/// Gives each connection to a thread of its own. It counts from when it is accepted, whenever its thread begins.
fn accept(
    address: &str,
    arrivals: Arc<Arrivals>,
    serve: impl Fn(&Arrivals, usize, TcpStream) + Send + Sync + 'static,
) {
    let listener = std::net::TcpListener::bind(address).unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (arrivals, serve, number) = (arrivals.clone(), serve.clone(), arrivals.begin());
            std::thread::spawn(move || serve(&arrivals, number, stream.unwrap()));
        }
    });
}

/// Origins on ports 80 and 443, and how a sandbox trusts them.
pub(crate) fn origins(after: After) -> (Arc<Arrivals>, UpstreamTls) {
    let arrivals = Arc::new(Arrivals::default());
    let authority = Authority::new("internet").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority.certificate_pem()).unwrap();
    let trust = UpstreamTls::with_added(&[file.path().to_owned()]).unwrap();
    let mut config: ServerConfig =
        (*authority.server_config(&Host::parse("origin.example").unwrap()).unwrap()).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    accept("203.0.113.7:80", arrivals.clone(), move |arrivals, number, stream| {
        arrivals.serve(number, stream, after);
    });
    accept("203.0.113.7:443", arrivals.clone(), move |arrivals, number, stream| {
        let session = ServerConnection::new(config.clone()).unwrap();
        arrivals.serve(number, rustls::StreamOwned::new(session, stream), after);
    });
    (arrivals, trust)
}

/// How a request leaves the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// `CONNECT`, and TLS that ends in the relay.
    Tls,
    /// A captured connection without TLS.
    Captured,
    /// Absolute form to the proxy.
    Absolute,
}

pub(crate) const WAYS: [By; 3] = [By::Tls, By::Captured, By::Absolute];

/// Opens connections from inside a sandbox.
#[derive(Clone)]
pub(crate) struct Dialler {
    captured: SocketAddr,
    tls: Arc<ClientConfig>,
}

impl Dialler {
    pub(crate) fn new(sandbox: &Sandbox, protocol: &str) -> Dialler {
        let Some(RData::A(address)) = ask(sandbox, "origin.example.", RecordType::A).1 else {
            panic!("no address")
        };
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(sandbox.certificate.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Dialler { captured: SocketAddr::from((address.0, 80)), tls: Arc::new(tls) }
    }

    /// A connection by one of the ways; to be called inside the sandbox.
    pub(crate) fn dial(&self, by: By) -> Client {
        self.try_dial(by, PATIENCE).unwrap()
    }

    /// The same, where the other side may close at any time; `patience` is for each read and write.
    pub(crate) fn try_dial(&self, by: By, patience: Duration) -> std::io::Result<Client> {
        let to = if by == By::Captured { self.captured } else { PROXY.parse().unwrap() };
        let mut stream = TcpStream::connect(to)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(patience))?;
        if by != By::Tls {
            return Ok(Client::Plain(stream));
        }
        tunnel(&mut stream)?;
        let name = ServerName::try_from("origin.example").unwrap();
        let session = ClientConnection::new(self.tls.clone(), name).unwrap();
        Ok(Client::Tls(Box::new(rustls::StreamOwned::new(session, stream))))
    }
}

/// Asks the proxy for a tunnel to the origin's port 443.
pub(crate) fn tunnel(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"CONNECT origin.example:443 HTTP/1.1\r\n\r\n")?;
    let mut answer = [0; 19];
    stream.read_exact(&mut answer)?;
    assert_eq!(&answer, b"HTTP/1.1 200 OK\r\n\r\n");
    Ok(())
}

/// A client's connection.
pub(crate) enum Client {
    Plain(TcpStream),
    Tls(Box<rustls::StreamOwned<ClientConnection, TcpStream>>),
}

impl Client {
    /// Says that nothing more comes.
    fn finish(&mut self) {
        let socket = match self {
            Client::Plain(stream) => stream,
            Client::Tls(stream) => {
                stream.conn.send_close_notify();
                let _ = stream.flush();
                &mut stream.sock
            }
        };
        let _ = socket.shutdown(Shutdown::Write);
    }

    /// Sends all of it, ends, and returns what came back.
    pub(crate) fn exchange(mut self, bytes: &[u8]) -> Vec<u8> {
        let _ = self.write_all(bytes);
        let _ = self.flush();
        self.finish();
        let (mut answer, mut buffer) = (vec![], [0; 16 * 1024]);
        loop {
            match self.read(&mut buffer) {
                Ok(0) => return answer,
                Ok(read) => answer.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("no answer within {PATIENCE:?} after {} bytes", answer.len())
                }
                Err(_) => return answer,
            }
        }
    }
}

impl Read for Client {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Client::Plain(stream) => stream.read(buffer),
            Client::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Client::Plain(stream) => stream.write(bytes),
            Client::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Client::Plain(stream) => stream.flush(),
            Client::Tls(stream) => stream.flush(),
        }
    }
}

/// Every method and path below `/open` may be asked, and nothing else.
pub(crate) fn policy() -> String {
    let own = std::env::current_exe().unwrap();
    let rules = "protocol: rest, rules: [{ allow: { method: \"*\", path: \"/open/**\" } }]";
    format!(
        "version: 1\nnetwork_policies:\n  test:\n    endpoints:\n\
         \x20     - {{ host: origin.example, port: 80, {rules} }}\n\
         \x20     - {{ host: origin.example, port: 443, tls: terminate, {rules} }}\n    binaries:\n\
         \x20     - {{ path: {} }}\n",
        own.display()
    )
}
