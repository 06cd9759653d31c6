//! The gRPC service `test.Echo`: messages come back as they are, whatever they hold.

use bytes::{Bytes, BytesMut};
use http::Response;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use hyper::body::Incoming;

use super::routes::{Body, streamed};

/// How often the streaming method repeats its message.
const REPEATED: usize = 5;

/// Answers a call by its path.
pub(super) fn answer(path: &str, body: Incoming) -> Response<Body> {
    let (sender, answer) = Channel::new(4);
    match path.strip_prefix("/test.Echo/") {
        Some("Unary") => drop(tokio::spawn(whole(body, sender, 1))),
        Some("Stream") => drop(tokio::spawn(whole(body, sender, REPEATED))),
        Some("Chat") => drop(tokio::spawn(chat(body, sender))),
        _ => drop(tokio::spawn(end(sender, "12"))),
    }
    let mut response = streamed(answer);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// Reads everything, then sends it so many times.
async fn whole(body: Incoming, mut sender: Sender<Bytes>, times: usize) {
    let Ok(read) = body.collect().await else { return };
    let message = read.to_bytes();
    for _ in 0..times {
        if sender.send_data(message.clone()).await.is_err() {
            return;
        }
    }
    end(sender, "0").await;
}

/// Sends each message back as soon as it is whole.
async fn chat(mut body: Incoming, mut sender: Sender<Bytes>) {
    let mut read = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        read.extend_from_slice(&data);
        while let Some(message) = first_message(&mut read) {
            if sender.send_data(message).await.is_err() {
                return;
            }
        }
    }
    end(sender, "0").await;
}

/// A byte for compression, four for the length, and that much (gRPC over HTTP/2, `Length-Prefixed-Message`).
fn first_message(read: &mut BytesMut) -> Option<Bytes> {
    let length = read.get(1..5)?.try_into().map(u32::from_be_bytes).ok()?;
    let whole = 5 + length as usize;
    (read.len() >= whole).then(|| read.split_to(whole).freeze())
}

async fn end(mut sender: Sender<Bytes>, status: &'static str) {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    // A client that is gone needs none.
    let _ = sender.send_trailers(trailers).await;
}
