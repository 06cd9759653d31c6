//! What a web server of a fake internet answers.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::channel::Channel;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::{Site, calls, git};

/// What a response streams.
pub(super) type Body = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// Bytes of one part of a long body.
const PART: usize = 64 * 1024;
/// Longest message that the WebSocket echo takes: beyond what any test lets pass.
const LONGEST_MESSAGE: usize = 64 * 1024 * 1024;

/// Answers one request; one for `HEAD` without a body, which HTTP/2 does not see to by itself.
pub(super) async fn answer(
    site: Arc<Site>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    if request.method() == Method::HEAD {
        return Ok(route(site, request).await.map(|_| text(StatusCode::OK, "").into_body()));
    }
    Ok(route(site, request).await)
}

async fn route(site: Arc<Site>, mut request: Request<Incoming>) -> Response<Body> {
    let saw = describe(&request);
    site.log.note("request", &site.address.to_string(), &saw.to_string());
    if let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned() {
        return web_socket(hyper::upgrade::on(&mut request), &key);
    }
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/mirror" => mirror(saw, request).await,
        "/stream" => stream(number(&request, "n", 10)),
        "/big" => big(number(&request, "n", 1 << 20)),
        "/trailers" => trailers(),
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(number(&request, "ms", 300) as u64)).await;
            text(StatusCode::OK, "slow")
        }
        "/redirect" => redirect(parameter(&request, "to").unwrap_or("/mirror")),
        _ if path.starts_with("/git/") => git::serve(&site.dir, request).await,
        _ if path.starts_with("/test.Echo/") => calls::answer(&path, request.into_body()),
        _ => match path.strip_prefix("/status/").and_then(|code| code.parse().ok()) {
            Some(code) => text(code, ""),
            None if request.method() == Method::OPTIONS => text(StatusCode::OK, ""),
            None => text(StatusCode::NOT_FOUND, "no such path\n"),
        },
    }
}

/// The request as it arrived, without its body.
fn describe(request: &Request<Incoming>) -> Value {
    let fields: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    json!({
        "method": request.method().as_str(),
        "target": request.uri().path_and_query().map_or("", |target| target.as_str()),
        "authority": request.uri().authority().map(|authority| authority.as_str()),
        "version": format!("{:?}", request.version()),
        "fields": fields,
    })
}

async fn mirror(mut saw: Value, request: Request<Incoming>) -> Response<Body> {
    match request.into_body().collect().await {
        Ok(body) => {
            let trailers = body.trailers().map(|fields| fields.len());
            saw["trailers"] = json!(trailers);
            saw["body"] = json!(String::from_utf8_lossy(&body.to_bytes()));
        }
        Err(error) => saw["broken"] = json!(error.to_string()),
    }
    let mut response = text(StatusCode::OK, &saw.to_string());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Server-sent events, one every 50 ms.
fn stream(count: usize) -> Response<Body> {
    let (mut sender, body) = Channel::new(1);
    tokio::spawn(async move {
        for event in 0..count {
            let data = format!("id: {event}\ndata: event {event}\n\n");
            if sender.send_data(Bytes::from(data)).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut response = streamed(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

fn big(length: usize) -> Response<Body> {
    let (mut sender, body) = Channel::new(4);
    tokio::spawn(async move {
        let part = Bytes::from(vec![b'x'; PART]);
        let mut left = length;
        while left > 0 {
            let now = left.min(PART);
            if sender.send_data(part.slice(..now)).await.is_err() {
                return;
            }
            left -= now;
        }
    });
    streamed(body)
}

fn trailers() -> Response<Body> {
    let (mut sender, body) = Channel::new(1);
    tokio::spawn(async move {
        let mut fields = HeaderMap::new();
        fields.insert("x-checksum", HeaderValue::from_static("abc"));
        // A client that is gone needs none.
        let _ = sender.send_data(Bytes::from_static(b"body\n")).await;
        let _ = sender.send_trailers(fields).await;
    });
    let mut response = streamed(body);
    response.headers_mut().insert(header::TRAILER, HeaderValue::from_static("x-checksum"));
    response
}

fn redirect(to: &str) -> Response<Body> {
    let mut response = text(StatusCode::FOUND, "");
    if let Ok(location) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Sends every message back.
fn web_socket(upgrade: OnUpgrade, key: &HeaderValue) -> Response<Body> {
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let config = WebSocketConfig::default()
            .max_message_size(Some(LONGEST_MESSAGE))
            .max_frame_size(Some(LONGEST_MESSAGE));
        let io = TokioIo::new(upgraded);
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        while let Some(Ok(message)) = socket.next().await {
            let data = message.is_text() || message.is_binary();
            if data && socket.send(message).await.is_err() {
                return;
            }
        }
    });
    let mut response = text(StatusCode::SWITCHING_PROTOCOLS, "");
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// A value of the query, as it is written there.
fn parameter<'a>(request: &'a Request<Incoming>, name: &str) -> Option<&'a str> {
    let mut pairs = request.uri().query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

fn number(request: &Request<Incoming>, name: &str, otherwise: usize) -> usize {
    parameter(request, name).and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

pub(super) fn streamed(body: Channel<Bytes>) -> Response<Body> {
    Response::new(body.map_err(|never| match never {}).boxed_unsync())
}

pub(super) fn text(status: StatusCode, body: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(body.to_owned()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}
