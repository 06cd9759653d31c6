//! A second, strict reader of HTTP/1.1, which shares nothing with the one under test: whatever two readers could see
//! differently is an error here.

/// More may come.
pub(crate) const UNFINISHED: &str = "a head that does not end";

/// A request, or as much of one as there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether its body is there to the end.
    pub(crate) whole: bool,
}

/// A response that has exactly one end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) whole: bool,
}

struct Head<'a> {
    start: &'a str,
    fields: Vec<(String, String)>,
    rest: &'a [u8],
}

/// Every request of a connection, in order; the last one may be cut off.
pub(crate) fn requests(mut bytes: &[u8]) -> Result<Vec<Seen>, String> {
    let mut seen = vec![];
    while !bytes.is_empty() {
        let Some(head) = head(bytes)? else { return Err(UNFINISHED.to_owned()) };
        let parts: Vec<&str> = head.start.split(' ').collect();
        let [method, target, "HTTP/1.1"] = parts[..] else {
            return Err(format!("request line {:?}", head.start));
        };
        if !method.bytes().all(is_token) || !target.starts_with('/') && target != "*" {
            return Err(format!("request line {:?}", head.start));
        }
        if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(format!("target {target:?}"));
        }
        if values(&head.fields, "host").len() != 1 {
            return Err(format!("hosts {:?}", values(&head.fields, "host")));
        }
        let (body, whole, rest) = match framing(&head.fields)? {
            Framing::Chunked => chunks(head.rest)?,
            Framing::Length(length) => counted(head.rest, length),
            Framing::None => (vec![], true, head.rest),
        };
        let (method, target) = (method.to_owned(), target.to_owned());
        seen.push(Seen { method, target, fields: head.fields, body, whole });
        if !whole {
            break;
        }
        bytes = rest;
    }
    Ok(seen)
}

/// The only response of a connection that was closed after it.
pub(crate) fn only_response(bytes: &[u8], to: &str) -> Result<Answer, String> {
    let head = head(bytes)?.ok_or(UNFINISHED)?;
    let (version, rest) = head.start.split_once(' ').ok_or("no status")?;
    let status: u16 = rest.get(..3).and_then(|code| code.parse().ok()).ok_or("no status")?;
    if version != "HTTP/1.1" {
        return Err(format!("version {version:?}"));
    }
    let bodyless = to == "HEAD" || status == 204 || status == 304 || status < 200;
    let framing = framing(&head.fields)?;
    if bodyless {
        let empty = head.rest.is_empty();
        return empty
            .then_some(Answer { status, body: vec![], whole: true })
            .ok_or_else(|| format!("{} bytes after a head without body", head.rest.len()));
    }
    let (body, whole, rest) = match framing {
        Framing::Chunked => chunks(head.rest)?,
        Framing::Length(length) => counted(head.rest, length),
        Framing::None => (head.rest.to_vec(), true, &[][..]),
    };
    if !rest.is_empty() {
        return Err(format!("{} bytes after the response", rest.len()));
    }
    Ok(Answer { status, body, whole })
}

/// Decodes a path as an origin does: once, and nothing else.
pub(crate) fn decoded_path(target: &str) -> String {
    let path = target.split('?').next().unwrap();
    let (mut bytes, mut rest) = (vec![], path.as_bytes());
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(&tail[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// The head at the beginning, unless it is not there to its end.
fn head(bytes: &[u8]) -> Result<Option<Head<'_>>, String> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| "a head that is not UTF-8")?;
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or_default();
    let mut fields = vec![];
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("field {line:?}"))?;
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(format!("field name {name:?}"));
        }
        fields.push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()));
    }
    if let Some(odd) = text.replace("\r\n", "").chars().find(|c| c.is_control() && *c != '\t') {
        return Err(format!("control character {odd:?} in a head"));
    }
    Ok(Some(Head { start, fields, rest: &bytes[end + 4..] }))
}

enum Framing {
    None,
    Length(usize),
    Chunked,
}

fn framing(fields: &[(String, String)]) -> Result<Framing, String> {
    match (&values(fields, "content-length")[..], &values(fields, "transfer-encoding")[..]) {
        ([], []) => Ok(Framing::None),
        ([text], []) => {
            let length: usize = text.parse().map_err(|_| format!("length {text}"))?;
            // No sign, no zeros in front.
            if length.to_string() != *text {
                return Err(format!("length {text}"));
            }
            Ok(Framing::Length(length))
        }
        ([], ["chunked"]) => Ok(Framing::Chunked),
        (lengths, codings) => Err(format!("framing {lengths:?} {codings:?}")),
    }
}

fn values<'a>(fields: &'a [(String, String)], wanted: &str) -> Vec<&'a str> {
    fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).collect()
}

fn counted(bytes: &[u8], length: usize) -> (Vec<u8>, bool, &[u8]) {
    let here = length.min(bytes.len());
    (bytes[..here].to_vec(), here == length, &bytes[here..])
}

/// Size lines of digits only, and no trailer that frames or routes.
fn chunks(mut bytes: &[u8]) -> Result<(Vec<u8>, bool, &[u8]), String> {
    let mut body = vec![];
    loop {
        let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else {
            return Ok((body, false, &[]));
        };
        let line = &bytes[..end];
        if line.is_empty() || line.len() > 8 || !line.iter().all(u8::is_ascii_hexdigit) {
            return Err(format!("chunk size {:?}", String::from_utf8_lossy(line)));
        }
        let size = usize::from_str_radix(std::str::from_utf8(line).unwrap(), 16).unwrap();
        bytes = &bytes[end + 2..];
        if size == 0 {
            return trailers(body, bytes);
        }
        let (chunk, whole, rest) = counted(bytes, size);
        body.extend(chunk);
        match rest {
            [b'\r', b'\n', after @ ..] if whole => bytes = after,
            _ if !whole || rest.len() < 2 => return Ok((body, false, &[])),
            _ => return Err("a chunk without CRLF".to_owned()),
        }
    }
}

fn trailers(body: Vec<u8>, bytes: &[u8]) -> Result<(Vec<u8>, bool, &[u8]), String> {
    if let [b'\r', b'\n', rest @ ..] = bytes {
        return Ok((body, true, rest));
    }
    let line = [b"trailers\r\n", bytes].concat();
    let Some(found) = head(&line)? else { return Ok((body, false, &[])) };
    let framing = ["content-length", "transfer-encoding", "host", "connection", "authorization"];
    match found.fields.iter().find(|(name, _)| framing.contains(&name.as_str())) {
        Some((name, _)) => Err(format!("trailer {name}")),
        None => Ok((body, true, &bytes[bytes.len() - found.rest.len()..])),
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[test]
fn what_two_readers_see_differently_is_an_error() {
    let one = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\nhost: a\r\n\r\n";
    let seen = requests(one).unwrap();
    assert_eq!(
        (seen.len(), seen[0].body.as_slice(), seen[1].target.as_str()),
        (2, &b"hi"[..], "/b")
    );
    for bad in [
        "GET /a HTTP/1.1\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 01\r\n\r\nx",
        "GET /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert!(requests(bad.as_bytes()).is_err(), "{bad:?}");
    }
}
