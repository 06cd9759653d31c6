//! Git over HTTP: the system's own `git http-backend`, as a CGI program (RFC 3875).

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::body::Incoming;

use super::routes::{Body, text};

/// Serves the repositories in the directory `git`. Everyone may push.
pub(super) async fn serve(dir: &Path, request: Request<Incoming>) -> Response<Body> {
    let mut backend = backend(dir, &request);
    let Ok(body) = request.into_body().collect().await else {
        return text(StatusCode::BAD_REQUEST, "the request broke off\n");
    };
    let body = body.to_bytes();
    let run = move || {
        let mut child = backend.spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(&body)?;
        }
        child.wait_with_output()
    };
    match tokio::task::spawn_blocking(run).await {
        Ok(Ok(output)) => parse(&output.stdout),
        _ => text(StatusCode::INTERNAL_SERVER_ERROR, "git http-backend did not start\n"),
    }
}

fn backend(dir: &Path, request: &Request<Incoming>) -> Command {
    let field = |name: &str| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let mut backend = Command::new("git");
    backend.arg("http-backend").stdin(Stdio::piped()).stdout(Stdio::piped());
    backend
        .env("GIT_PROJECT_ROOT", dir.join("git"))
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REMOTE_USER", "everyone")
        .env("REQUEST_METHOD", request.method().as_str())
        .env("PATH_INFO", request.uri().path().trim_start_matches("/git"))
        .env("QUERY_STRING", request.uri().query().unwrap_or_default())
        .env("CONTENT_TYPE", field("content-type"))
        .env("HTTP_CONTENT_ENCODING", field("content-encoding"))
        .env("GIT_PROTOCOL", field("git-protocol"))
        // The test that made the repository may be another user than the server.
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*");
    backend
}

/// Reads the fields and the body that a CGI program printed.
fn parse(output: &[u8]) -> Response<Body> {
    let end = output.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or(output.len());
    let (head, body) = output.split_at(end);
    let body = Bytes::copy_from_slice(body.get(4..).unwrap_or_default());
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    for line in String::from_utf8_lossy(head).lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().and_then(|code| code.parse().ok());
            *response.status_mut() = code.unwrap_or(StatusCode::BAD_GATEWAY);
        } else if let (Ok(name), Ok(value)) =
            (name.parse::<HeaderName>(), HeaderValue::from_str(value))
        {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
