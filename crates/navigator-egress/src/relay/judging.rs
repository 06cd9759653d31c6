//! Whether a request on an inspected connection may go, and the response when it may not.

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, Version};
use http_body_util::Full;

use super::calls;
use super::reading::{Forwarded, Unreadable, read};
use crate::audit::AuditRequest;
use crate::authorise::{Asked, Judge, Right, Wire};
use crate::refuse::{Reason, bad_request};

/// Reads a request, asks the policy, and records the decision. A refusal is the last response of its connection.
pub(crate) fn judge<B>(
    judge: &Judge,
    right: &Right,
    wire: Wire,
    request: &Request<B>,
) -> Result<Forwarded, Box<Response<Full<Bytes>>>> {
    let call = calls::is_call(request);
    let decided = match read(request, right, wire) {
        Err(error) => Err(unreadable(judge, right, request, &error)),
        Ok(_) if right.inspection.is_some_and(|inspection| inspection.calls) && !call => {
            let detail = "the endpoint takes gRPC calls, and this request is none".to_owned();
            let refusal =
                judge.refuse_unread(right, Reason::Protocol, detail, Some(as_it_came(request)));
            Err(refusal.response())
        }
        Ok((path, kind)) => {
            let asked = Asked { method: request.method().as_str(), path: &path, kind };
            match judge.authorise_request(right, wire, &asked) {
                Ok(()) => Ok(Forwarded { target: path.target(), kind }),
                Err(refusal) if call => Err(calls::refused(&refusal.detail)),
                Err(refusal) => Err(refusal.response()),
            }
        }
    };
    decided.map_err(|mut response| {
        // A program that may not ask this has nothing more to say on this connection.
        if request.version() < Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Box::new(response)
    })
}

fn unreadable<B>(
    judge: &Judge,
    right: &Right,
    request: &Request<B>,
    error: &Unreadable,
) -> Response<Full<Bytes>> {
    let reason = match error {
        Unreadable::Fronting { .. } => Reason::Fronting,
        Unreadable::Head(_)
        | Unreadable::NoHost
        | Unreadable::Connect
        | Unreadable::HandshakeBody
        | Unreadable::Path(_) => Reason::Malformed,
    };
    let refusal = judge.refuse_unread(right, reason, error.to_string(), Some(as_it_came(request)));
    match reason {
        Reason::Malformed => bad_request(&refusal.detail),
        _ => refusal.response(),
    }
}

/// A request that was not read whole, for its record.
fn as_it_came<B>(request: &Request<B>) -> AuditRequest {
    AuditRequest {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        parameters: Vec::new(),
    }
}
