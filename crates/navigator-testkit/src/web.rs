//! The web servers of a fake internet: HTTP/1.1 and HTTP/2, plain and inside TLS.

mod calls;
mod git;
mod routes;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use crate::world::Log;

/// Protocols that are offered inside TLS, the preferred one first.
pub(crate) const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// One server that already listens.
pub(crate) struct WebServer {
    pub(crate) address: SocketAddr,
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

/// What all requests to one server need.
struct Site {
    address: SocketAddr,
    dir: PathBuf,
    log: Log,
}

/// Serves all of them until the process ends.
pub(crate) fn serve(servers: Vec<WebServer>, dir: &Path, log: &Log) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (dir, log) = (dir.to_owned(), log.clone());
    std::thread::Builder::new().name("web".into()).spawn(move || {
        runtime.block_on(async {
            for server in servers {
                let site = Site { address: server.address, dir: dir.clone(), log: log.clone() };
                tokio::spawn(accept(server.listener, server.tls, Arc::new(site)));
            }
            std::future::pending::<()>().await;
        });
    })?;
    Ok(())
}

async fn accept(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    site: Arc<Site>,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        site.log.note("connection", &site.address.to_string(), "");
        let (site, tls) = (site.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => requests(stream, site).await,
                Some(config) => match TlsAcceptor::from(config).accept(stream).await {
                    Ok(stream) => requests(stream, site).await,
                    Err(error) => {
                        site.log.note("tls", &site.address.to_string(), &error.to_string());
                    }
                },
            }
        });
    }
}

async fn requests<S>(stream: S, site: Arc<Site>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(|request| routes::answer(site.clone(), request));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // A server that knows extended CONNECT shows whether somebody let it pass.
    builder.http2().enable_connect_protocol();
    // A client that breaks off is part of many tests.
    let _broken_off = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}
