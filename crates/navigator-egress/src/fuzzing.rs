//! What the fuzzers call: each function takes bytes from inside a sandbox, and panics when a promise is broken.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use hickory_proto::op::Message;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Uri};
use http::{Request, Version};
use navigator_policy::{CanonicalPath, Host};
use tokio::runtime::Runtime;

use crate::authorise::{First, Right, Wire};
use crate::dial::CheckedAddresses;
use crate::dns::answer::{NameAddress, answer};
use crate::head;
use crate::inspect::accept::{Accepted, accept};
use crate::intent::Adapter;
use crate::limits::MAX_DNS_MESSAGE;
use crate::proxy::socks::{self, LONGEST, Parsed};
use crate::proxy::target::{of_absolute, of_connect};
use crate::relay::reading;
use crate::relay::websocket::Frames;
use crate::rewind::Rewind;
use crate::tls::Authority;

static HOST: LazyLock<Host> = LazyLock::new(|| Host::parse("origin.example").unwrap());

/// The first bytes of an inspected connection: what is accepted without a handshake is what was declared.
pub fn first_bytes(bytes: &[u8]) {
    static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("fuzz").unwrap());
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    });
    for wire in [Wire::Plain, Wire::Tls] {
        let stream = tokio::io::join(std::io::Cursor::new(bytes.to_vec()), tokio::io::sink());
        let stream = Rewind::after(bytes::Bytes::new(), stream);
        let accepted = RUNTIME.block_on(accept(stream, &HOST, First::Declared(wire), &AUTHORITY));
        match accepted {
            Ok(Accepted::Plain(..)) => {
                assert!(wire == Wire::Plain && bytes.first() != Some(&0x16));
            }
            Ok(Accepted::Tls(..)) => panic!("a handshake without an answer"),
            Ok(Accepted::Opaque(_)) => panic!("no learning run"),
            Ok(Accepted::Nothing) => assert!(bytes.is_empty()),
            Ok(Accepted::Refused(..)) | Err(_) => {}
        }
    }
}

/// A SOCKS request: no more is asked for than the longest one has, and none that names port 0 is taken.
pub fn socks(bytes: &[u8]) {
    let mut known = 0;
    loop {
        match socks::parse(bytes.get(..known).unwrap_or_default()) {
            Parsed::Needs(more) => {
                assert!(more > 0 && known + more <= LONGEST);
                known += more;
                if known > bytes.len() {
                    return;
                }
            }
            Parsed::Request(Ok(target)) => {
                assert!(target.port != 0);
                assert_eq!(Host::parse(&target.host.to_string()), Ok(target.host));
                return;
            }
            Parsed::Request(Err(_)) => return,
        }
    }
}

/// WebSocket frames: however they are cut, the same is seen.
pub fn frames(bytes: &[u8]) {
    let [cut, limit, bytes @ ..] = bytes else { return };
    let whole = Frames::default().pass(bytes, u64::from(*limit));
    let mut frames = Frames::default();
    let size = usize::from(*cut).max(1);
    let parts: Result<(), u64> =
        bytes.chunks(size).try_for_each(|part| frames.pass(part, u64::from(*limit)));
    assert_eq!(whole, parts);
}

/// The head of a request: method, target and fields, a line each. What is sent on is what was judged.
pub fn request(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let (Some(method), Some(target)) = (lines.next(), lines.next()) else { return };
    let mut request = Request::new(());
    let Ok(method) = http::Method::from_bytes(method) else { return };
    let Ok(target) = Uri::try_from(target) else { return };
    (*request.method_mut(), *request.uri_mut()) = (method, target);
    if bytes.len().is_multiple_of(2) {
        *request.version_mut() = Version::HTTP_2;
    }
    *request.headers_mut() = fields(lines);
    let right = Right {
        programs: vec![],
        host: HOST.clone(),
        port: 443,
        adapter: Adapter::Connect,
        addresses: CheckedAddresses::default(),
        inspection: None,
    };
    let Ok((path, _)) = reading::read(&request, &right, Wire::Tls) else { return };
    assert!(request.headers().get_all("host").iter().count() < 2);
    let sent = path.target();
    assert!(sent.is_ascii() || path.query().is_some_and(|query| !query.is_ascii()), "{sent:?}");
    assert!(!sent.bytes().any(|byte| byte.is_ascii_control() || byte == b' '), "{sent:?}");
    assert!(sent.parse::<PathAndQuery>().is_ok(), "{sent:?}");
    let again = CanonicalPath::parse(&sent).unwrap();
    assert_eq!((again.path(), again.query()), (path.path(), path.query()));
}

/// Targets of the proxy: what is taken names one host without user information, and `Host` says the same.
pub fn target(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let Some(Ok(uri)) = lines.next().map(Uri::try_from) else { return };
    let headers = fields(lines);
    for target in [of_absolute(&uri, &headers), of_connect(&uri, &headers)].into_iter().flatten() {
        assert!(!uri.authority().unwrap().as_str().contains('@'));
        assert!(headers.get_all("host").iter().count() < 2);
        let text = head::host_header(&target.host, target.port, 0);
        assert_eq!(head::authority(&text).unwrap(), target);
    }
}

/// A DNS message: an answer is one, of bounded size, and tells of no name that was not asked for.
pub fn dns(bytes: &[u8]) {
    let synthetic = NameAddress::Synthetic(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
    let Some(reply) = answer(bytes, &|_| synthetic) else { return };
    assert!(reply.len() <= MAX_DNS_MESSAGE && reply[2] & 0x80 != 0);
    let reply = Message::from_vec(&reply).unwrap();
    assert!(reply.answers.len() <= 1 && reply.queries.len() <= 1);
    for record in &reply.answers {
        assert_eq!(record.name, *reply.queries[0].name());
    }
}

fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let parse = |line: &[u8]| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (line.get(..at)?, line.get(at + 1..)?);
        Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
    };
    let mut fields = HeaderMap::new();
    for (name, value) in lines.filter_map(parse).take(64) {
        fields.append(name, value);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each_seed(target: &str, run: fn(&[u8])) {
        let directory =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/").to_owned() + target;
        let seeds: Vec<_> = std::fs::read_dir(&directory).unwrap().collect();
        assert!(!seeds.is_empty(), "{directory}");
        for seed in seeds {
            let bytes = std::fs::read(seed.unwrap().path()).unwrap();
            run(&bytes);
            for cut in 0..bytes.len() {
                run(&bytes[..cut]);
            }
        }
    }

    #[test]
    fn promises_hold_for_the_seeds_of_every_fuzzer() {
        each_seed("first_bytes", first_bytes);
        each_seed("socks", socks);
        each_seed("frames", frames);
        each_seed("request", request);
        each_seed("target", target);
        each_seed("dns", dns);
    }
}
