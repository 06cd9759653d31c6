//! From a request that may go to its response: written anew on both sides, bodies streamed, nothing buffered.
//!
//! Every way by which requests arrive (absolute form, inside an inspected connection) ends here, so that what an
//! origin sees was parsed once, judged once and written once.

mod calls;
mod exchange;
mod fields;
pub(crate) mod judging;
pub(crate) mod reading;
mod upstreams;
pub(crate) mod websocket;

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode, Version};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioTimer;
use navigator_policy::RequestKind;

use crate::authorise::{Right, Wire};
use crate::context::EgressContext;
use crate::head;
use crate::limits::{HEAD_DEADLINE, MAX_HEAD, MAX_HEADERS};
use crate::refuse::UpstreamFailure;
use exchange::Origin;

pub(crate) use upstreams::Upstreams;

/// How HTTP/1.1 is read from a client, whoever it thinks that it speaks to.
pub(crate) fn http1_server() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // A client may close its sending side and still wait for the answer.
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .auto_date_header(false);
    builder
}

/// What goes back to the client: our own words, or the upstream's stream.
pub(crate) type Answer = Response<Either<Full<Bytes>, Incoming>>;

/// A connection that both sides have agreed to use for a WebSocket.
pub(crate) struct Switched {
    pub(crate) client: OnUpgrade,
    pub(crate) server: OnUpgrade,
}

/// Where a request that switches protocols leaves its connection; whoever serves the client carries it on.
#[derive(Default)]
pub(crate) struct Switching(Mutex<Option<Switched>>);

impl Switching {
    pub(crate) fn take(&self) -> Option<Switched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn leave(&self, switched: Switched) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(switched);
    }
}

/// Sends an allowed request on and returns the response.
///
/// # Errors
/// [`UpstreamFailure`] when the server cannot be reached or breaks the protocol.
pub(crate) async fn forward(
    context: &EgressContext,
    right: &Right,
    wire: Wire,
    mut request: Request<Incoming>,
    asked: &reading::Forwarded,
    switching: &Switching,
) -> Result<Answer, UpstreamFailure> {
    let version = request.version();
    let client = match asked.kind {
        RequestKind::WebSocket => Some(hyper::upgrade::on(&mut request)),
        RequestKind::Plain => None,
    };
    let origin = Origin { context, right, wire };
    let request = fields::to_origin(request, asked);
    let mut response = origin.send(request, asked, version).await?;
    head::check_framing(response.headers()).map_err(|_| {
        let detail = "the server gives the length of its response in no single way";
        UpstreamFailure::failed(detail.to_owned())
    })?;
    match (response.status(), client) {
        (StatusCode::SWITCHING_PROTOCOLS, Some(client)) => {
            let server = hyper::upgrade::on(&mut response);
            switching.leave(Switched { client, server });
            fields::to_client(response.headers_mut());
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
            response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
        (StatusCode::SWITCHING_PROTOCOLS, None) => {
            let detail = "the server switched protocols, which was not asked for";
            return Err(UpstreamFailure::failed(detail.to_owned()));
        }
        _ => fields::to_client(response.headers_mut()),
    }
    *response.version_mut() = Version::HTTP_11;
    Ok(response.map(Either::Right))
}
