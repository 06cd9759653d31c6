//! A registry on loopback that answers what a test wants it to, byte by byte.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::image::{Image, MANIFEST};

/// What came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn is_blob(&self) -> bool {
        self.path.contains("/blobs/")
    }
}

/// What goes back.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub then: Then,
}

/// What is done after the body.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Then {
    Close,
    /// Nothing, for as long as the other side waits.
    Hang,
    /// The body again and again.
    Repeat,
    /// One byte now and then.
    Trickle,
}

impl Reply {
    /// A body with its length.
    pub fn ok(media_type: &str, body: &[u8]) -> Reply {
        Reply::status(200)
            .header("Content-Type", media_type)
            .header("Content-Length", &body.len().to_string())
            .body(body)
    }

    pub fn status(status: u16) -> Reply {
        Reply { status, headers: vec![], body: vec![], then: Then::Close }
    }

    pub fn header(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, body: &[u8]) -> Reply {
        self.body = body.to_vec();
        self
    }

    pub fn then(mut self, then: Then) -> Reply {
        self.then = then;
        self
    }
}

/// What a registry that has this image, under every name, answers; ranges included.
pub fn honest(image: &Image, asked: &Asked) -> Reply {
    let name = asked.path.rsplit('/').next().unwrap();
    if asked.path.contains("/manifests/") {
        return match image.find(name) {
            Some(bytes) => Reply::ok(MANIFEST, bytes),
            None if name.starts_with("sha256:") => Reply::status(404),
            None => Reply::ok(MANIFEST, &image.manifest),
        };
    }
    let Some(bytes) = image.find(name) else { return Reply::status(404) };
    let range = asked.header("range").and_then(|range| range.strip_prefix("bytes="));
    match range.and_then(|range| range.strip_suffix('-')) {
        Some(from) => {
            let from: usize = from.parse().unwrap();
            let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            let part = Reply { status: 206, ..Reply::ok("", &bytes[from..]) };
            part.header("Content-Range", &range)
        }
        None => Reply::ok("application/octet-stream", bytes),
    }
}

/// A server; it ends with this.
pub struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub async fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Server {
        Server::at(Ipv4Addr::LOCALHOST.into(), None, answer).await
    }

    pub async fn at(
        address: IpAddr,
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(vec![]));
        let (seen, answer) = (asked.clone(), Arc::new(answer));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (seen, answer, tls) = (seen.clone(), answer.clone(), tls.clone());
                connections.spawn(async move {
                    // Clients hang up on hostile servers.
                    let _ = serve(stream, tls, &seen, &*answer).await;
                });
            }
        });
        Server { address, asked, _tasks: tasks }
    }

    /// Host and port.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// Everything that came so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn count(&self, matches: impl Fn(&Asked) -> bool) -> usize {
        self.asked().iter().filter(|asked| matches(asked)).count()
    }
}

async fn serve(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    seen: &Mutex<Vec<Asked>>,
    answer: &(impl Fn(&Asked) -> Reply + Send + Sync),
) -> std::io::Result<()> {
    match tls {
        Some(tls) => speak(TlsAcceptor::from(tls).accept(stream).await?, seen, answer).await,
        None => speak(stream, seen, answer).await,
    }
}

async fn speak(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    seen: &Mutex<Vec<Asked>>,
    answer: &(impl Fn(&Asked) -> Reply + Send + Sync),
) -> std::io::Result<()> {
    let Some(asked) = read(&mut stream).await? else {
        // Someone who speaks TLS to a server that does not.
        return stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    };
    let reply = answer(&asked);
    seen.lock().unwrap().push(asked);
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    stream.write_all(&reply.body).await?;
    stream.flush().await?;
    match reply.then {
        Then::Close => stream.shutdown().await,
        Then::Hang => std::future::pending().await,
        Then::Repeat => loop {
            stream.write_all(&reply.body).await?;
        },
        Then::Trickle => loop {
            tokio::time::sleep(Duration::from_millis(40)).await;
            stream.write_all(b"x").await?;
        },
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<Asked>> {
    let mut bytes: Vec<u8> = vec![];
    let end = loop {
        if bytes.first().is_some_and(|first| !first.is_ascii_uppercase()) {
            return Ok(None);
        }
        if let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            break end;
        }
        bytes.push(stream.read_u8().await?);
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let (method, path) = (first.next().unwrap().into(), first.next().unwrap().into());
    let header = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_ascii_lowercase(), value.to_owned()))
    };
    let headers: BTreeMap<_, _> = lines.filter_map(header).collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(Asked { method, path, headers, body }))
}
