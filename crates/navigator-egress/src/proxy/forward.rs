//! Absolute-form HTTP: each request is decided for itself, also on a connection that is kept alive.

use http::Request;
use http_body_util::Either;
use hyper::body::Incoming;
use navigator_policy::RequestKind;

use super::{Client, target};
use crate::authorise::{First, Verdict, Wire};
use crate::intent::Adapter;
use crate::refuse::{Reason, bad_request};
use crate::relay::reading::Forwarded;
use crate::relay::{self, Answer, judging};

/// Answers one absolute-form request.
pub(super) async fn answer(client: &Client, request: Request<Incoming>) -> Answer {
    let target = match target::of_absolute(request.uri(), request.headers()) {
        Ok(target) => target,
        Err(error) => return bad_request(&error.to_string()).map(Either::Left),
    };
    let intent = client.intent(target, Adapter::HttpProxy);
    let judge = &client.judge;
    let (permit, asked) = match judge.authorise(&intent, &client.caller).await {
        Verdict::Connect(permit) => (permit, Ok(as_it_came(&request))),
        Verdict::Inspect(permit, inspection) if inspection.first == First::Declared(Wire::Tls) => {
            let detail = "the endpoint sets `tls: terminate`, and this request has no TLS";
            let refusal =
                judge.refuse_unread(&permit.right, Reason::Protocol, detail.to_owned(), None);
            (permit, Err(Box::new(refusal.response())))
        }
        Verdict::Inspect(permit, _) => {
            let asked = judging::judge(judge, &permit.right, Wire::Plain, &request);
            (permit, asked)
        }
        Verdict::Refuse(refusal) => return refusal.response().map(Either::Left),
        Verdict::Unreachable(failure) => return failure.response().map(Either::Left),
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(refused) => return (*refused).map(Either::Left),
    };
    client.hold(&permit);
    client.place.settle();
    relay::forward(judge.context(), &permit.right, Wire::Plain, request, &asked, &client.switching)
        .await
        .unwrap_or_else(|failure| failure.response().map(Either::Left))
}

/// The target of a request to an opaque endpoint, in origin form.
fn as_it_came(request: &Request<Incoming>) -> Forwarded {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    // `http://host?query`: the path is empty, which an origin server calls `/`.
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    Forwarded { target, kind: RequestKind::Plain }
}
