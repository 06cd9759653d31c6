//! The servers of a fake internet, good and bad. One thread for each connection: tests make few.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::Origin;
use crate::world::Log;

/// Connections that may wait to be accepted; the kernel's default upper bound.
const BACKLOG: i32 = 4096;

/// Starts every server. The test CA's certificate is written to `ca.pem` in `dir`.
pub(crate) fn serve(origins: &[(SocketAddr, Origin)], dir: &Path, log: &Log) -> Result<()> {
    let authority = authority()?;
    std::fs::write(dir.join("ca.pem"), authority.pem())?;
    for (address, origin) in origins {
        let listener =
            TcpListener::bind(address).with_context(|| format!("failed to listen on {address}"))?;
        // The standard library asks for 128, which a benchmark fills before a thread can accept.
        rustix::net::listen(&listener, BACKLOG)?;
        let tls = match origin {
            Origin::Tls { name } => Some(Arc::new(config(&authority, name)?)),
            _ => None,
        };
        let (address, origin, log) = (*address, origin.clone(), log.clone());
        std::thread::Builder::new().name(format!("origin {address}")).spawn(move || {
            for stream in listener.incoming().flatten() {
                log.note("connection", &address.to_string(), "");
                if origin == Origin::Close {
                    continue;
                }
                let (origin, log, tls) = (origin.clone(), log.clone(), tls.clone());
                let connection = move || {
                    // A client that breaks off is part of many tests.
                    let _broken_off = behave(stream, address, &origin, tls, &log);
                };
                if std::thread::Builder::new().spawn(connection).is_err() {
                    return;
                }
            }
        })?;
    }
    Ok(())
}

fn behave(
    mut stream: TcpStream,
    address: SocketAddr,
    origin: &Origin,
    tls: Option<Arc<ServerConfig>>,
    log: &Log,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    match origin {
        Origin::Http => http(stream.try_clone()?, stream, address, log),
        Origin::Tls { .. } => {
            let Some(config) = tls else { return Ok(()) };
            let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
            let mut tls = StreamOwned::new(connection, stream);
            tls_http(&mut tls, address, log)
        }
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
        Origin::Slow { pause_ms } => {
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow" {
                std::thread::sleep(Duration::from_millis(*pause_ms));
                stream.write_all(&[*byte])?;
            }
            Ok(())
        }
    }
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

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::new(vec![])?;
    // A leaf whose issuer has the same name as itself would count as self-signed.
    params.distinguished_name.push(DnType::CommonName, "fake internet test CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn config(authority: &CertifiedIssuer<'static, KeyPair>, name: &str) -> Result<ServerConfig> {
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok(config)
}
