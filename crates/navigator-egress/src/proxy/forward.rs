//! Absolute-form HTTP: each request decided, written anew, bodies streamed both ways.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode, Uri, Version};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use navigator_policy::Authority;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{Answer, Client, target};
use crate::authorise::{Judge, Permit, Verdict};
use crate::dial::{self, CheckedAddresses};
use crate::intent::Adapter;
use crate::limits::{MAX_HEAD, MAX_HEADERS, RESPONSE_HEAD_DEADLINE};
use crate::refuse::{UpstreamFailure, UpstreamFailureKind, bad_request};

/// Headers that belong to one hop (RFC 9110 section 7.6.1), and those meant for this proxy.
const HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
];

/// The upstream connection that the last request of a client used.
#[derive(Default)]
pub(super) struct Kept(Mutex<Option<Upstream>>);

struct Upstream {
    target: Authority,
    addresses: CheckedAddresses,
    sender: SendRequest<Incoming>,
}

/// Answers one absolute-form request.
pub(super) async fn answer(client: &Client, request: Request<Incoming>) -> Answer {
    match forward(client, request).await {
        Ok(response) => response.map(Either::Right),
        Err(own) => own.map(Either::Left),
    }
}

async fn forward(
    client: &Client,
    request: Request<Incoming>,
) -> Result<Response<Incoming>, Response<Full<Bytes>>> {
    let target = target::of_absolute(request.uri(), request.headers())
        .map_err(|error| bad_request(&error.to_string()))?;
    let intent = client.intent(target.clone(), Adapter::HttpProxy);
    let permit = match client.judge.authorise(&intent, &client.caller).await {
        Verdict::Connect(permit) => permit,
        Verdict::Refuse(refusal) => return Err(refusal.response()),
        Verdict::Unreachable(failure) => return Err(failure.response()),
    };
    let request = rewritten(request, &target).map_err(|error| bad_request(&error.to_string()))?;
    let mut kept = client.upstream.0.lock().await;
    let response = exchange(&client.judge, &mut kept, &target, &permit, request)
        .await
        .map_err(|failure| failure.response())?;
    Ok(cleaned(response))
}

/// Sends over the kept connection if it leads to the same place and its addresses are still
/// among the checked ones, else over a new one. A request that the kept connection handed back
/// unsent is sent once more.
async fn exchange(
    judge: &Arc<Judge>,
    kept: &mut Option<Upstream>,
    target: &Authority,
    permit: &Permit,
    mut request: Request<Incoming>,
) -> Result<Response<Incoming>, UpstreamFailure> {
    if let Some(mut upstream) = kept.take()
        && upstream.target == *target
        && upstream.addresses == permit.right.addresses
        && upstream.sender.ready().await.is_ok()
    {
        match send(&mut upstream.sender, request).await {
            Ok(response) => {
                *kept = Some(upstream);
                return Ok(response);
            }
            Err(Unsent::Lost(failure)) => return Err(failure),
            Err(Unsent::HandedBack(unsent)) => request = *unsent,
        }
    }
    let mut sender = open(judge, permit).await?;
    match send(&mut sender, request).await {
        Ok(response) => {
            let addresses = permit.right.addresses.clone();
            *kept = Some(Upstream { target: target.clone(), addresses, sender });
            Ok(response)
        }
        Err(Unsent::Lost(failure)) => Err(failure),
        Err(Unsent::HandedBack(_)) => Err(failed("the server closed the connection at once")),
    }
}

enum Unsent {
    HandedBack(Box<Request<Incoming>>),
    Lost(UpstreamFailure),
}

async fn send(
    sender: &mut SendRequest<Incoming>,
    request: Request<Incoming>,
) -> Result<Response<Incoming>, Unsent> {
    match timeout(RESPONSE_HEAD_DEADLINE, sender.try_send_request(request)).await {
        Ok(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            Err(Unsent::Lost(failed("the server switched protocols, which was not asked for")))
        }
        Ok(Ok(response)) => Ok(response),
        Ok(Err(mut error)) => Err(match error.take_message() {
            Some(request) => Unsent::HandedBack(Box::new(request)),
            None => Unsent::Lost(failed(&format!(
                "failed to exchange a request with the server: {}",
                error.error()
            ))),
        }),
        Err(_) => Err(Unsent::Lost(UpstreamFailure {
            kind: UpstreamFailureKind::Deadline,
            detail: format!("no response within {} s", RESPONSE_HEAD_DEADLINE.as_secs()),
        })),
    }
}

/// Dials and starts the connection's own task, which ends when the right does.
async fn open(
    judge: &Arc<Judge>,
    permit: &Permit,
) -> Result<SendRequest<Incoming>, UpstreamFailure> {
    let right = &permit.right;
    let registration = judge.register(permit);
    let stream = dial::connect(&right.host, right.port, &right.addresses)
        .await
        .map_err(|error| UpstreamFailure::unreached(&error))?;
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(&format!("failed to start HTTP with the server: {error}")))?;
    tokio::spawn(async move {
        let ended = registration.ended().clone();
        if let Some(Err(error)) = ended.run_until_cancelled(connection).await {
            tracing::debug!(%error, "upstream connection ended with an error");
        }
        drop(registration);
    });
    Ok(sender)
}

fn failed(detail: &str) -> UpstreamFailure {
    UpstreamFailure { kind: UpstreamFailureKind::Failed, detail: detail.to_owned() }
}

/// The request as an origin server expects it: origin form, one `Host`, no header of this hop.
fn rewritten(
    request: Request<Incoming>,
    target: &Authority,
) -> Result<Request<Incoming>, http::Error> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = if path.starts_with('/') {
        path.parse::<Uri>()?
    } else {
        // `http://host?query`: the path is empty, which an origin server calls `/`.
        format!("/{path}").parse::<Uri>()?
    };
    head.version = Version::HTTP_11;
    strip(&mut head.headers);
    head.headers.insert(header::HOST, HeaderValue::from_str(&target::host_header(target))?);
    head.extensions = http::Extensions::new();
    Ok(Request::from_parts(head, body))
}

fn cleaned(mut response: Response<Incoming>) -> Response<Incoming> {
    strip(response.headers_mut());
    response
}

/// Removes headers of one hop, also those that `Connection` names.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // These say where the body ends or who is asked; a client cannot wish them away.
        .filter(|name| *name != header::CONTENT_LENGTH && *name != header::HOST)
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests;
