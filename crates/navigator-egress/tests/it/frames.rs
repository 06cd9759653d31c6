//! HTTP/2 as raw frames: cases of `http2.txt` as bytes, and a client that sends them without looking.

use std::collections::BTreeSet;
use std::io::{Read, Write};

use crate::corpus::unescape;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// One case: frames, and what reaches the origin.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) expected: String,
    lines: Vec<String>,
}

/// The cases of a file.
pub(crate) fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = vec![];
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("== ") {
            cases.push(Case { name: name.to_owned(), expected: "-".to_owned(), lines: vec![] });
            continue;
        }
        let case = cases.last_mut().expect("a case begins with ==");
        match line.strip_prefix("= ") {
            Some(expected) => case.expected = expected.to_owned(),
            None => case.lines.push(line.to_owned()),
        }
    }
    cases
}

/// A frame of any content.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field that is neither indexed nor compressed (RFC 7541 section 6.2.2).
pub(crate) fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        if text.len() < 127 {
            bytes.push(text.len() as u8);
        } else {
            let mut rest = text.len() - 127;
            bytes.push(127);
            while rest >= 128 {
                bytes.push(0x80 | (rest % 128) as u8);
                rest /= 128;
            }
            bytes.push(rest as u8);
        }
        bytes.extend(text);
    }
    bytes
}

/// The fields of an allowed request, without the end of the block.
pub(crate) fn usual(method: &str, scheme: &str) -> Vec<u8> {
    let pairs = [(":method", method), (":scheme", scheme), (":path", "/open/a")];
    let mut block: Vec<u8> =
        pairs.iter().flat_map(|(name, value)| field(name.as_bytes(), value.as_bytes())).collect();
    block.extend(field(b":authority", b"origin.example"));
    block
}

impl Case {
    /// The frames as bytes, and the streams that they open.
    pub(crate) fn bytes(&self, scheme: &str) -> (Vec<u8>, BTreeSet<u32>) {
        let (mut bytes, mut streams) = (vec![], BTreeSet::new());
        let mut lines = self.lines.iter().peekable();
        while let Some(line) = lines.next() {
            let line = line.strip_prefix("> ").unwrap_or_else(|| panic!("{}: {line}", self.name));
            let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
            if kind == "raw" {
                bytes.extend(unescape(rest));
                continue;
            }
            let (stream, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let stream: u32 = stream.parse().unwrap();
            let (flags, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let end = if flags.contains("end") { END_STREAM } else { 0 };
            let whole = if flags.contains("open") { 0 } else { END_HEADERS };
            let mut block = vec![];
            while let Some(line) = lines.next_if(|line| !line.starts_with("> ")) {
                match line.as_str() {
                    "@GET" => block.extend(usual("GET", scheme)),
                    "@POST" => block.extend(usual("POST", scheme)),
                    line => {
                        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
                        block.extend(field(&unescape(name), &unescape(value)));
                    }
                }
            }
            bytes.extend(match kind {
                "headers" => {
                    streams.insert(stream);
                    frame(HEADERS, end | whole, stream, &block)
                }
                "more" => frame(CONTINUATION, whole, stream, &block),
                "data" => frame(DATA, end, stream, &unescape(rest)),
                "reset" => frame(RESET, 0, stream, &8u32.to_be_bytes()),
                other => panic!("{}: frame {other}", self.name),
            });
            if kind == "reset" {
                streams.remove(&stream);
            }
        }
        (bytes, streams)
    }
}

/// Sends frames, and reads until every stream has ended or the connection has.
pub(crate) fn exchange(client: &mut (impl Read + Write), frames: &[u8], mut open: BTreeSet<u32>) {
    let start = [PREFACE, &frame(SETTINGS, 0, 0, &[]), frames].concat();
    if client.write_all(&start).and_then(|()| client.flush()).is_err() {
        return;
    }
    while !open.is_empty() {
        let Ok(Frame { kind, flags, stream, payload }) = next(client) else { return };
        match kind {
            // A connection that ends in peace answers what it has begun.
            GOAWAY if payload.get(4..8) != Some(&[0; 4]) => return,
            RESET => _ = open.remove(&stream),
            DATA | HEADERS if flags & END_STREAM != 0 => _ = open.remove(&stream),
            SETTINGS if flags & ACK == 0 => {
                let _ = client.write_all(&frame(SETTINGS, ACK, 0, &[]));
                let _ = client.flush();
            }
            _ => {}
        }
    }
}

/// A frame that came.
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// The next frame.
pub(crate) fn next(client: &mut impl Read) -> std::io::Result<Frame> {
    let mut head = [0; 9];
    client.read_exact(&mut head)?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    client.read_exact(&mut payload)?;
    let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
    Ok(Frame { kind: head[3], flags: head[4], stream, payload })
}
