//! One request over one connection: found, reached and, where it must be, encrypted.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

use crate::address::Reach;
use crate::body::Body;
use crate::endpoint::{Scheme, authority};
use crate::error::{Failure, TransportError};
use crate::limits::{HEAD_BYTES, HEAD_LINES};
use crate::options::Timeouts;

/// The addresses of one name that are tried.
const ADDRESSES: usize = 4;
const AGENT: &str = concat!("navigator/", env!("CARGO_PKG_VERSION"));

/// What goes out.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a Url,
    pub(crate) scheme: Scheme,
    pub(crate) headers: HeaderMap,
    pub(crate) authorization: Option<&'a Authorization>,
    pub(crate) body: Bytes,
    /// The innermost network that it may reach.
    pub(crate) reach: Reach,
}

/// What an `Authorization` line says.
#[derive(Debug, Clone)]
pub(crate) struct Authorization {
    pub(crate) value: SecretString,
    /// Whether it came from credentials, and not from an anonymous visit to a token endpoint.
    pub(crate) logged_in: bool,
}

/// What comes back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    /// Where it came from, with the scheme that was spoken.
    pub(crate) url: Url,
    /// Where the other side is.
    pub(crate) reach: Reach,
}

/// Makes requests.
pub(crate) struct Transport {
    tls: Arc<ClientConfig>,
    timeouts: Timeouts,
    insecure: Vec<String>,
    /// Those that were found to speak no TLS, and may.
    plain: Mutex<HashSet<String>>,
}

/// A connection before anything is sent over it.
enum Link {
    Plain(TcpStream, SocketAddr),
    Tls(Box<TlsStream<TcpStream>>, SocketAddr),
}

impl Transport {
    pub(crate) fn new(
        tls: Arc<ClientConfig>,
        timeouts: Timeouts,
        insecure: Vec<String>,
    ) -> Transport {
        Transport { tls, timeouts, insecure, plain: Mutex::default() }
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// Sends a request, and takes the head of its answer.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Answer, Failure> {
        let (link, url) = self.link(&request).await?;
        let (reach, safe) = match &link {
            Link::Plain(_, peer) => (Reach::of(peer.ip()), peer.ip().to_canonical().is_loopback()),
            Link::Tls(_, peer) => (Reach::of(peer.ip()), true),
        };
        if request.authorization.is_some_and(|secret| secret.logged_in) && !safe {
            return Err(Failure::ClearText);
        }
        let message = message(&request, &url)?;
        let (status, headers, body) = match link {
            Link::Plain(stream, _) => self.exchange(stream, message, &url).await?,
            Link::Tls(stream, _) => self.exchange(stream, message, &url).await?,
        };
        Ok(Answer { status, headers, body, url, reach })
    }

    /// Connects, and says with which URL.
    async fn link(&self, request: &Request<'_>) -> Result<(Link, Url), Failure> {
        let mut url = request.url.clone();
        let name = authority(&url);
        let known = self.plain.lock().unwrap_or_else(PoisonError::into_inner).contains(&name);
        if url.scheme() == "https" && !(known && request.scheme == Scheme::TlsFirst) {
            let failure = match self.tls(&url, request.reach).await {
                Ok(link) => return Ok((link, url)),
                Err(failure) => failure,
            };
            if request.scheme == Scheme::Written || !speaks_no_tls(&failure, &url) {
                return Err(failure);
            }
            tracing::debug!(host = name, "no TLS there");
        }
        // Cannot fail between schemes of the web.
        let _ = url.set_scheme("http");
        let (stream, peer) = self.reach(&url, request.reach).await?;
        if !(peer.ip().to_canonical().is_loopback() || self.insecure.contains(&name)) {
            return Err(Failure::Plain(name));
        }
        self.plain.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        Ok((Link::Plain(stream, peer), url))
    }

    async fn tls(&self, url: &Url, reach: Reach) -> Result<Link, Failure> {
        let (stream, peer) = self.reach(url, reach).await?;
        let host = authority(url);
        let failed = |source| TransportError::Tls { host: host.clone(), source };
        let name = match url.host() {
            Some(url::Host::Ipv4(address)) => ServerName::IpAddress(address.into()),
            Some(url::Host::Ipv6(address)) => ServerName::IpAddress(address.into()),
            Some(url::Host::Domain(name)) => ServerName::try_from(name.to_owned())
                .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?,
            None => return Err(failed(io::ErrorKind::InvalidInput.into()).into()),
        };
        let handshake = TlsConnector::from(self.tls.clone()).connect(name, stream);
        let stream =
            self.connected(&host, "the TLS handshake", handshake).await?.map_err(failed)?;
        Ok(Link::Tls(Box::new(stream), peer))
    }

    /// Connects to the first address that answers and may be reached.
    async fn reach(&self, url: &Url, reach: Reach) -> Result<(TcpStream, SocketAddr), Failure> {
        let host = authority(url);
        let addresses = self.addresses(url, &host).await?;
        let within: Vec<_> =
            addresses.into_iter().filter(|address| Reach::of(address.ip()) <= reach).collect();
        if within.is_empty() {
            return Err(Failure::Redirect("it names an address of a network nearer to us than it"));
        }
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in within {
            match self.connected(&host, "a connection", TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok((stream, address)),
                Ok(Err(error)) => last = error,
                Err(late) => last = io::Error::new(io::ErrorKind::TimedOut, late),
            }
        }
        Err(TransportError::Connect { host, source: last }.into())
    }

    async fn addresses(&self, url: &Url, host: &str) -> Result<Vec<SocketAddr>, Failure> {
        let port = url.port_or_known_default().unwrap_or_default();
        let failed = |source| TransportError::Name { host: host.to_owned(), source };
        let name = match url.host() {
            Some(url::Host::Ipv4(address)) => return Ok(vec![(address, port).into()]),
            Some(url::Host::Ipv6(address)) => return Ok(vec![(address, port).into()]),
            Some(url::Host::Domain(name)) => name,
            None => return Err(failed(io::ErrorKind::InvalidInput.into()).into()),
        };
        let found = self
            .connected(host, "its address", tokio::net::lookup_host((name, port)))
            .await?
            .map_err(failed)?
            .take(ADDRESSES)
            .collect::<Vec<_>>();
        if found.is_empty() {
            return Err(failed(io::ErrorKind::NotFound.into()).into());
        }
        Ok(found)
    }

    async fn connected<T>(
        &self,
        host: &str,
        what: &'static str,
        step: impl Future<Output = T>,
    ) -> Result<T, TransportError> {
        let deadline = self.timeouts.connect;
        let late = |_| TransportError::Deadline {
            host: host.to_owned(),
            what,
            seconds: deadline.as_secs(),
        };
        timeout(deadline, step).await.map_err(late)
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        message: http::Request<Full<Bytes>>,
        url: &Url,
    ) -> Result<(StatusCode, HeaderMap, Body), Failure> {
        let host = authority(url);
        let failed = |source| TransportError::Http { host: host.clone(), source };
        let answer = async {
            let (mut sender, connection) = http1::Builder::new()
                .max_buf_size(HEAD_BYTES)
                .max_headers(HEAD_LINES)
                .handshake(TokioIo::new(stream))
                .await?;
            let mut driver = JoinSet::new();
            // How it ends is seen by who reads the body.
            driver.spawn(async move { drop(connection.await) });
            Ok::<_, hyper::Error>((sender.send_request(message).await?, driver))
        };
        let deadline = self.timeouts.first_byte;
        let (what, seconds) = ("an answer", deadline.as_secs());
        let late = |_| TransportError::Deadline { host: host.clone(), what, seconds };
        let (answer, driver) = timeout(deadline, answer).await.map_err(late)?.map_err(failed)?;
        let (head, incoming) = answer.into_parts();
        let body = Body::new(incoming, host, self.timeouts.idle, driver);
        Ok((head.status, head.headers, body))
    }
}

fn message(request: &Request<'_>, url: &Url) -> Result<http::Request<Full<Bytes>>, Failure> {
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let unfit = "a name, a location or a token does not fit a request";
    let mut message = http::Request::builder()
        .method(request.method.clone())
        .uri(target)
        .header(HOST, authority(url))
        .header(USER_AGENT, AGENT)
        .body(Full::new(request.body.clone()))
        .map_err(|_| Failure::Redirect(unfit))?;
    message.headers_mut().extend(request.headers.clone());
    if let Some(authorization) = request.authorization {
        let mut value = HeaderValue::from_str(authorization.value.expose_secret())
            .map_err(|_| Failure::Login("what came does not fit a request"))?;
        value.set_sensitive(true);
        message.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(message)
}

/// Whether the other side answered a handshake with something else, hung up on it, or is not at TLS's port.
fn speaks_no_tls(failure: &Failure, url: &Url) -> bool {
    match failure {
        Failure::Unreachable(TransportError::Tls { source, .. }) => {
            let inner = source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            let hung_up = matches!(
                source.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
            );
            hung_up || matches!(inner, Some(rustls::Error::InvalidMessage(_)))
        }
        Failure::Unreachable(TransportError::Connect { .. }) => url.port().is_none(),
        _ => false,
    }
}
