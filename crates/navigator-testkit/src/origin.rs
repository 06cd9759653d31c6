//! The servers of a fake internet, good and bad. One thread for each connection: tests make few.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::certificates::TestAuthority;
use crate::web::{self, WebServer};
use crate::world::Log;
use crate::{Certificate, Origin};

/// Connections that may wait to be accepted; the kernel's default upper bound.
const BACKLOG: i32 = 4096;

/// Starts every server. The test CA's certificate is written to `ca.pem` in `dir`.
pub(crate) fn serve(origins: &[(SocketAddr, Origin)], dir: &Path, log: &Log) -> Result<()> {
    let authority = TestAuthority::new()?;
    std::fs::write(dir.join("ca.pem"), authority.pem())?;
    let mut webs = vec![];
    for (address, origin) in origins {
        let listener =
            TcpListener::bind(address).with_context(|| format!("failed to listen on {address}"))?;
        // The standard library asks for 128, which a benchmark fills before a thread can accept.
        rustix::net::listen(&listener, BACKLOG)?;
        let tls = match origin {
            Origin::Tls { name } | Origin::QuickTls { name } => {
                let certificate = Certificate::Good { name: name.clone() };
                Some(Arc::new(authority.config(&certificate, &[])?))
            }
            Origin::WebTls(certificate) => {
                Some(Arc::new(authority.config(certificate, &web::PROTOCOLS)?))
            }
            _ => None,
        };
        if matches!(origin, Origin::Web | Origin::WebTls(_)) {
            webs.push(WebServer { address: *address, listener, tls });
            continue;
        }
        let server = Server { address: *address, origin: origin.clone(), tls, dir: dir.into() };
        let (server, log) = (Arc::new(server), log.clone());
        std::thread::Builder::new()
            .name(format!("origin {address}"))
            .spawn(move || accept(&listener, &server, &log))?;
    }
    if webs.is_empty() { Ok(()) } else { web::serve(webs, dir, log) }
}

/// A server that is no web server.
struct Server {
    address: SocketAddr,
    origin: Origin,
    tls: Option<Arc<ServerConfig>>,
    dir: PathBuf,
}

impl Server {
    fn secured(
        &self,
        stream: TcpStream,
    ) -> std::io::Result<StreamOwned<ServerConnection, TcpStream>> {
        let config = self.tls.clone().ok_or_else(|| std::io::Error::other("no certificate"))?;
        let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
        Ok(StreamOwned::new(connection, stream))
    }
}

fn accept(listener: &TcpListener, server: &Arc<Server>, log: &Log) {
    for stream in listener.incoming().flatten() {
        log.note("connection", &server.address.to_string(), "");
        if server.origin == Origin::Close {
            continue;
        }
        let (server, log) = (server.clone(), log.clone());
        let connection = move || {
            // A client that breaks off is part of many tests.
            let _broken_off = behave(stream, &server, &log);
        };
        if std::thread::Builder::new().spawn(connection).is_err() {
            return;
        }
    }
}

fn behave(mut stream: TcpStream, server: &Server, log: &Log) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let address = server.address;
    match &server.origin {
        // These are served elsewhere.
        Origin::Web | Origin::WebTls(_) => Ok(()),
        Origin::Http => http(stream.try_clone()?, stream, address, log),
        Origin::Tls { .. } => tls_http(&mut server.secured(stream)?, address, log),
        Origin::Quick => quick(&mut stream),
        Origin::QuickTls { .. } => quick(&mut server.secured(stream)?),
        Origin::Echo => {
            let mut back = stream.try_clone()?;
            std::io::copy(&mut stream, &mut back)?;
            back.shutdown(Shutdown::Write)
        }
        Origin::Sink => std::io::copy(&mut stream, &mut std::io::sink()).map(drop),
        Origin::Close => Ok(()),
        Origin::Silent => std::io::copy(&mut stream, &mut std::io::sink()).map(drop),
        Origin::Reset => {
            let linger = Some(Duration::ZERO);
            rustix::net::sockopt::set_socket_linger(&stream, linger).map_err(Into::into)
        }
        Origin::Garbage => {
            stream.write_all(b"\x00\xff\r\nnonsense\r\n\r\n")?;
            stream.shutdown(Shutdown::Write)?;
            // Closing with unread input would reset the connection, which is another origin's behaviour.
            std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
        }
        Origin::Raw { answer } => {
            let line = request(&mut BufReader::new(stream.try_clone()?))?;
            log.note("request", &address.to_string(), &line.unwrap_or_default());
            stream.write_all(answer.as_bytes())?;
            stream.shutdown(Shutdown::Write)?;
            std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
        }
        Origin::BreaksTls => stream.read(&mut [0; 64]).map(drop),
        Origin::Ssh => ssh(stream, &server.dir),
        Origin::Slow { pause_ms } => {
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow" {
                std::thread::sleep(Duration::from_millis(*pause_ms));
                stream.write_all(&[*byte])?;
            }
            Ok(())
        }
    }
}

/// The system's own server, which takes a connection as its standard input and output.
fn ssh(stream: TcpStream, dir: &Path) -> std::io::Result<()> {
    if rustix::process::geteuid().is_root() {
        // The server keeps its unprivileged half there and does not make it.
        std::fs::create_dir_all("/run/sshd")?;
    }
    let mut server = Command::new("/usr/sbin/sshd");
    server.arg("-i").arg("-f").arg(dir.join("sshd_config"));
    let output = OwnedFd::from(stream.try_clone()?);
    server.stdin(OwnedFd::from(stream)).stdout(output).status().map(drop)
}

/// Reads a request's head, without its body, and returns its first line; `None` at the end.
fn request(reader: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    Ok(Some(first.trim_end().to_owned()))
}

fn response(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn http(
    reader: impl Read,
    mut writer: impl Write,
    address: SocketAddr,
    log: &Log,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(reader);
    while let Some(line) = request(&mut reader)? {
        log.note("request", &address.to_string(), &line);
        writer.write_all(response(&line).as_bytes())?;
    }
    Ok(())
}

/// Requests without a body, one after the other, each answered at once.
fn quick(stream: &mut (impl Read + Write)) -> std::io::Result<()> {
    const ANSWER: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 36\r\n\r\n\
        hello world, this is a small answer\n";
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        head.extend_from_slice(&buffer[..read]);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            stream.write_all(ANSWER)?;
            stream.flush()?;
        }
    }
}

/// One request: reader and writer are the same stream there.
fn tls_http(
    stream: &mut StreamOwned<ServerConnection, TcpStream>,
    address: SocketAddr,
    log: &Log,
) -> std::io::Result<()> {
    let line = request(&mut BufReader::new(&mut *stream))?;
    let Some(line) = line else { return Ok(()) };
    log.note("request", &address.to_string(), &line);
    stream.write_all(response(&line).as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}
