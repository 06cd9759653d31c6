//! Ways into sandboxes over HTTP: `CONNECT` by a client on one side, by the sandbox's supervisor on the other.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Json, Router};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use navigator_proto::session::v1::relay::To;
use navigator_proto::session::v1::{FileServer, SshServer};

use crate::access::{Peer, Principal, authenticate};
use crate::failure::Failure;
use crate::gateway::Gateway;

/// Which sandbox.
const SANDBOX: &str = "x-sandbox-id";
/// By which right.
const TOKEN: &str = "x-sandbox-token";
/// To which port of the sandbox's loopback.
const PORT: &str = "x-sandbox-port";
/// Which relay a supervisor opens.
const RELAY: &str = "x-relay-id";

/// The routes.
pub(super) fn routes() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/connect/ssh", connect(|_| Some(To::Ssh(SshServer {}))))
        .route("/connect/files", connect(|_| Some(To::Files(FileServer {}))))
        .route("/connect/port", connect(port))
        .route("/session/relay", on(MethodFilter::CONNECT, relay))
}

type Target = fn(&HeaderMap) -> Option<To>;

fn connect(target: Target) -> MethodRouter<Arc<Gateway>> {
    let handler = move |State(gateway): State<Arc<Gateway>>, request: Request| async move {
        tunnel(gateway, request, target).await.unwrap_or_else(refusal)
    };
    on(MethodFilter::CONNECT, handler)
}

fn port(headers: &HeaderMap) -> Option<To> {
    let digits =
        Some(text(headers, PORT)).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let port = digits?.parse::<u16>().ok().filter(|port| *port != 0)?;
    Some(To::Port(port.into()))
}

/// The value of a header that is there once; otherwise nothing.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let mut values = headers.get_all(name).iter();
    let one = values.next().filter(|_| values.next().is_none());
    one.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn tunnel(
    gateway: Arc<Gateway>,
    mut request: Request,
    target: Target,
) -> Result<Response, (StatusCode, String)> {
    let outside = hyper::upgrade::on(&mut request);
    let (request, _) = request.into_parts();
    user(&gateway, &request).await?;
    let headers = &request.headers;
    let to = target(headers).ok_or_else(|| {
        (StatusCode::BAD_REQUEST, format!("{PORT} must be a port from 1 to 65535"))
    })?;
    let tunnel = gateway.open_tunnel(text(headers, SANDBOX), text(headers, TOKEN), to);
    gateway.join(outside, tunnel.await.map_err(because)?);
    Ok(StatusCode::OK.into_response())
}

/// A sandbox's own credential opens nothing.
async fn user(gateway: &Gateway, request: &Parts) -> Result<(), (StatusCode, String)> {
    let peer = request.extensions.get::<Peer>().cloned();
    let credential = request.headers.get(AUTHORIZATION);
    match authenticate(&gateway.store, credential, peer).await {
        Ok(Principal::Owner | Principal::User(_)) => Ok(()),
        Ok(Principal::Sandbox { .. }) => {
            Err((StatusCode::FORBIDDEN, "a sandbox's credential is not good for this".into()))
        }
        Err(status) => Err((StatusCode::UNAUTHORIZED, status.message().to_owned())),
    }
}

/// The supervisor's side of a relay.
async fn relay(State(gateway): State<Arc<Gateway>>, mut request: Request) -> Response {
    let stream = hyper::upgrade::on(&mut request);
    let (request, _) = request.into_parts();
    let caller = authenticate(&gateway.store, request.headers.get(AUTHORIZATION), None).await;
    let Ok(Principal::Sandbox { id, .. }) = caller else {
        return refusal((
            StatusCode::UNAUTHORIZED,
            "only a sandbox's supervisor opens relays".into(),
        ));
    };
    match gateway.live(id).relays.arrived(text(&request.headers, RELAY), stream) {
        true => StatusCode::OK.into_response(),
        false => refusal((StatusCode::NOT_FOUND, "nobody waits for this relay".into())),
    }
}

fn because(failure: Failure) -> (StatusCode, String) {
    let code = match failure {
        Failure::NotFound { .. } => StatusCode::NOT_FOUND,
        Failure::Denied(_) => StatusCode::UNAUTHORIZED,
        Failure::Precondition(_) => StatusCode::PRECONDITION_FAILED,
        Failure::Unavailable(_) => StatusCode::BAD_GATEWAY,
        Failure::Exhausted(_) => StatusCode::TOO_MANY_REQUESTS,
        Failure::Invalid(_) | Failure::Exists { .. } | Failure::Conflict => StatusCode::BAD_REQUEST,
        Failure::Store(_) | Failure::Driver(_) => {
            tracing::error!(error = &failure as &dyn std::error::Error, "a tunnel was not opened");
            return (StatusCode::INTERNAL_SERVER_ERROR, "the gateway failed".into());
        }
    };
    (code, failure.to_string())
}

fn refusal((code, message): (StatusCode, String)) -> Response {
    (code, Json(serde_json::json!({ "error": message }))).into_response()
}
