//! What is to be forwarded: `[[ADDRESS:]LOCAL:]REMOTE`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::sandbox::error::SandboxError;

/// What is said of a word that is no port.
const NO_PORT: &str = "a port is [[ADDRESS:]LOCAL:]REMOTE, such as 9000:8080";

/// A port to forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Where to listen on this machine.
    pub local: SocketAddr,
    /// Where to lead in the sandbox.
    pub remote: u16,
}

/// Tells a name, which may come first, from ports.
pub fn split(words: &[String]) -> Result<(Option<String>, Vec<Port>), SandboxError> {
    let (name, rest) = match words.split_first() {
        Some((first, rest)) if !is_port_like(first) => (Some(first.clone()), rest),
        _ => (None, words),
    };
    let ports = rest.iter().map(|word| parse(word)).collect::<Option<Vec<_>>>();
    match ports {
        Some(ports) if !ports.is_empty() => Ok((name, ports)),
        Some(_) => Err(SandboxError::Usage("no port is named; write one such as 8080")),
        None => Err(SandboxError::Usage(NO_PORT)),
    }
}

/// One port, as an argument.
pub fn port(word: &str) -> Result<Port, String> {
    parse(word).ok_or_else(|| NO_PORT.to_owned())
}

/// Whether a word can only be meant as a port.
fn is_port_like(word: &str) -> bool {
    word.contains(':') || word.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse(word: &str) -> Option<Port> {
    let (local, remote) = word.rsplit_once(':').unwrap_or((word, word));
    let remote = remote.parse().ok().filter(|port| *port != 0)?;
    let local = match local.rsplit_once(':') {
        None => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), local.parse().ok()?),
        Some((address, port)) => {
            let address = address
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .unwrap_or(address);
            let address: IpAddr = match address {
                "localhost" => Ipv4Addr::LOCALHOST.into(),
                other => other.parse().ok()?,
            };
            SocketAddr::new(address, port.parse().ok()?)
        }
    };
    Some(Port { local, remote })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Result<(Option<String>, Vec<Port>), SandboxError> {
        split(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    fn port(local: &str, remote: u16) -> Port {
        Port { local: local.parse().unwrap(), remote }
    }

    #[test]
    fn ports_have_many_spellings() {
        let (name, ports) =
            words(&["demo", "80", "9000:80", "0:80", "[::1]:1:2", "0.0.0.0:3:4", "localhost:5:6"])
                .unwrap();
        assert_eq!(name.as_deref(), Some("demo"));
        let expected = [
            port("127.0.0.1:80", 80),
            port("127.0.0.1:9000", 80),
            port("127.0.0.1:0", 80),
            port("[::1]:1", 2),
            port("0.0.0.0:3", 4),
            port("127.0.0.1:5", 6),
        ];
        assert_eq!(ports, expected);
        assert_eq!(words(&["8080"]).unwrap(), (None, vec![port("127.0.0.1:8080", 8080)]));
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for wrong in [
            &["demo"][..],
            &["demo", "x"],
            &["demo", "0"],
            &["demo", "65536"],
            &["80:"],
            &[":80"],
            &["a:1:2"],
            &["1:2:3:4"],
        ] {
            assert!(words(wrong).is_err(), "{wrong:?}");
        }
    }
}
