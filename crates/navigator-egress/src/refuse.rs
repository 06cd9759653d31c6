//! How a refusal looks from inside the sandbox: a reason that a program and its user can read.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::ext::ReasonPhrase;
use navigator_policy::Host;
use serde::Serialize;

use crate::audit::AuditRecord;
use crate::dial::DialError;
use crate::intent::EgressIntent;
use crate::resolve::ResolveError;

/// Names the policy that refused, on every refusal.
const POLICY_HEADER: HeaderName = HeaderName::from_static("x-navigator-policy");
/// Longest reason phrase: clients print it on one line of a terminal.
const MAX_PHRASE: usize = 300;

/// The kind of thing that did not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reason {
    /// No policy names the host.
    Host,
    /// The host is named, but not with this port.
    Port,
    /// The endpoint is named, but not for this program.
    Binary,
    /// The sandbox has no network.
    Block,
    /// The request is not allowed.
    Request,
    /// The caller could not be identified.
    #[default]
    Identity,
    /// The name leads to an address that must not be reached.
    Address,
    /// The endpoint must be inspected.
    Inspection,
    /// The name belongs to inference routing.
    Inference,
    /// The address is none that can be reached.
    Destination,
    /// The first bytes are not those of the declared protocol.
    Protocol,
    /// TLS name, request and authorised destination differ.
    Fronting,
    /// The request has no single meaning.
    Malformed,
}

impl Reason {
    /// The word for it in audit records.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Host => "host",
            Reason::Port => "port",
            Reason::Binary => "binary",
            Reason::Block => "block",
            Reason::Request => "request",
            Reason::Identity => "identity",
            Reason::Address => "address",
            Reason::Inspection => "inspection",
            Reason::Inference => "inference",
            Reason::Destination => "destination",
            Reason::Protocol => "protocol",
            Reason::Fronting => "fronting",
            Reason::Malformed => "malformed",
        }
    }
}

/// A refused intent, with everything that its reader needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The nearest policy.
    pub policy: Option<String>,
    /// The nearest rule.
    pub rule: Option<String>,
    /// The kind of reason.
    pub reason: Reason,
    /// What did not match, as a sentence.
    pub detail: String,
    /// The command that would allow it.
    pub how: Option<String>,
    /// The smallest policy text that would allow it.
    pub suggestion: Option<String>,
    /// The host that was wanted.
    pub host: Host,
    /// The port that was wanted.
    pub port: u16,
    /// The executable that wanted it, when it is known.
    pub program: Option<String>,
}

impl Refusal {
    pub(crate) fn of(intent: &EgressIntent, reason: Reason, detail: String) -> Refusal {
        Refusal::to(&intent.host, intent.port, reason, detail)
    }

    pub(crate) fn to(host: &Host, port: u16, reason: Reason, detail: String) -> Refusal {
        Refusal {
            policy: None,
            rule: None,
            reason,
            detail,
            how: None,
            suggestion: None,
            host: host.clone(),
            port,
            program: None,
        }
    }

    /// Writes what a record has to say about this refusal.
    pub(crate) fn describe(&self, record: &mut AuditRecord) {
        record.policy.clone_from(&self.policy);
        record.rule.clone_from(&self.rule);
        record.reason = Some(self.reason.as_str().to_owned());
        record.detail.clone_from(&self.detail);
        record.how.clone_from(&self.how);
        record.suggestion.clone_from(&self.suggestion);
    }

    /// The reason phrase: the only part of a refused `CONNECT` that many clients show.
    fn phrase(&self) -> String {
        let program = self.program.as_deref().unwrap_or("an unidentified program");
        let target = target(&self.host, self.port);
        let why = match self.reason {
            Reason::Host | Reason::Port | Reason::Binary | Reason::Block | Reason::Request => {
                Cow::Borrowed("is not allowed")
            }
            Reason::Identity => Cow::Borrowed("is refused"),
            Reason::Address => Cow::Borrowed("leads to an address that is not allowed"),
            Reason::Inspection => Cow::Borrowed("needs request inspection and is refused"),
            Reason::Inference => Cow::Borrowed("needs inference routing and is refused"),
            Reason::Destination => Cow::Borrowed("is no destination"),
            Reason::Protocol => Cow::Borrowed("is refused: the protocol is not the declared one"),
            Reason::Fronting => Cow::Borrowed("is refused: the names differ"),
            Reason::Malformed => Cow::Borrowed("is refused: the request is malformed"),
        };
        printable(&format!("Forbidden by policy: {target} {why} for {program}"))
    }

    /// The `403` answer.
    pub(crate) fn response(&self) -> Response<Full<Bytes>> {
        let body = Body {
            error: "policy_denied",
            policy: self.policy.as_deref(),
            rule: self.rule.as_deref(),
            detail: &self.detail,
            how: self.how.as_deref(),
        };
        let mut response = json(StatusCode::FORBIDDEN, &body, &self.phrase());
        let policy = printable(self.policy.as_deref().unwrap_or("none"));
        if let Ok(value) = HeaderValue::from_str(&policy) {
            response.headers_mut().insert(POLICY_HEADER, value);
        }
        response
    }
}

/// A failure behind the decision: allowed, but not reachable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamFailure {
    /// Whether time ran out.
    pub kind: UpstreamFailureKind,
    /// What failed, as a sentence.
    pub detail: String,
}

/// How an upstream failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamFailureKind {
    /// It refused, closed or spoke nonsense: `502`.
    Failed,
    /// It did not answer in time: `504`.
    Deadline,
}

impl UpstreamFailure {
    pub(crate) fn failed(detail: String) -> UpstreamFailure {
        UpstreamFailure { kind: UpstreamFailureKind::Failed, detail }
    }

    pub(crate) fn deadline(detail: String) -> UpstreamFailure {
        UpstreamFailure { kind: UpstreamFailureKind::Deadline, detail }
    }

    pub(crate) fn unresolved(error: &ResolveError) -> UpstreamFailure {
        let kind = match error {
            ResolveError::Deadline { .. } => UpstreamFailureKind::Deadline,
            ResolveError::Lookup { .. }
            | ResolveError::Empty { .. }
            | ResolveError::TooMany { .. } => UpstreamFailureKind::Failed,
        };
        UpstreamFailure { kind, detail: with_cause(error) }
    }

    pub(crate) fn unreached(error: &DialError) -> UpstreamFailure {
        let kind = match error {
            DialError::Deadline { .. } => UpstreamFailureKind::Deadline,
            DialError::Connect { source, .. } if source.kind() == std::io::ErrorKind::TimedOut => {
                UpstreamFailureKind::Deadline
            }
            DialError::Connect { .. } => UpstreamFailureKind::Failed,
        };
        UpstreamFailure { kind, detail: with_cause(error) }
    }

    /// The `502` or `504` answer.
    pub(crate) fn response(&self) -> Response<Full<Bytes>> {
        let (status, error) = match self.kind {
            UpstreamFailureKind::Failed => (StatusCode::BAD_GATEWAY, "upstream_failed"),
            UpstreamFailureKind::Deadline => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
        };
        let body = Body { error, policy: None, rule: None, detail: &self.detail, how: None };
        json(status, &body, &printable(&capitalised(&self.detail)))
    }
}

/// The `400` answer to a request that this proxy cannot act on.
pub(crate) fn bad_request(detail: &str) -> Response<Full<Bytes>> {
    let body = Body { error: "bad_request", policy: None, rule: None, detail, how: None };
    let mut response =
        json(StatusCode::BAD_REQUEST, &body, &printable(&format!("Bad Request: {detail}")));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    policy: Option<&'a str>,
    rule: Option<&'a str>,
    detail: &'a str,
    how: Option<&'a str>,
}

fn json(status: StatusCode, body: &Body<'_>, phrase: &str) -> Response<Full<Bytes>> {
    // A struct of strings always serialises; an empty body would still carry the status.
    let mut text = serde_json::to_vec(body).unwrap_or_default();
    text.push(b'\n');
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(phrase) = ReasonPhrase::try_from(phrase.as_bytes()) {
        response.extensions_mut().insert(phrase);
    }
    response
}

fn target(host: &Host, port: u16) -> String {
    match host {
        Host::Address(std::net::IpAddr::V6(address)) => format!("[{address}]:{port}"),
        Host::Address(std::net::IpAddr::V4(_)) | Host::Name(_) => format!("{host}:{port}"),
    }
}

/// Printable ASCII of bounded length: nothing that a header or a terminal would interpret.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
        .take(MAX_PHRASE)
        .collect()
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
