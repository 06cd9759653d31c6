//! Names and addresses of hosts, in the one canonical form in which they are compared.
//!
//! Everything that names a host (a policy, a CONNECT line, a DNS question) goes through [`Host::parse`], so
//! that no two spellings of one host can be judged differently.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest name in bytes, without the trailing dot (RFC 1035 section 2.3.4).
const NAME_BYTES: usize = 253;
/// Longest label in bytes (RFC 1035 section 2.3.4).
const LABEL_BYTES: usize = 63;

/// A host name in canonical form: lower-case A-labels (RFC 5890) without a trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(String);

/// A text that is not a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing.
    #[error("the host is empty")]
    Empty,
    /// A character that no host has.
    #[error("the host has a character that is not allowed: {character:?}")]
    Character {
        /// The character.
        character: char,
    },
    /// A label that is empty, as in `a..b`.
    #[error("the host has an empty label")]
    EmptyLabel,
    /// A label that is too long.
    #[error("the host has a label of {length} bytes; the limit is 63")]
    LongLabel {
        /// Its length in bytes.
        length: usize,
    },
    /// A name that is too long.
    #[error("the host has {length} bytes; the limit is 253")]
    LongName {
        /// Its length in bytes.
        length: usize,
    },
    /// A label that begins or ends with a hyphen.
    #[error("the host has a label that begins or ends with a hyphen")]
    Hyphen,
    /// A name that IDNA does not allow.
    #[error("the host is not a valid internationalised name")]
    Idna,
    /// A number that is no IPv4 address although its last label is one.
    #[error("the host ends in a number and is not an IPv4 address")]
    Number,
    /// Text in brackets that is no IPv6 address, or one with a zone.
    #[error("the host is not an IPv6 address without a zone")]
    Ipv6,
}

/// A host: a name, or an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A name, to be resolved.
    Name(HostName),
    /// An address; never an IPv6 form of an IPv4 address.
    Address(IpAddr),
}

/// A host and port, as in a CONNECT request (RFC 9110 section 9.3.6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    /// The host.
    pub host: Host,
    /// The port, never 0.
    pub port: u16,
}

/// A text that is not an authority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// The host part.
    #[error(transparent)]
    Host(#[from] HostError),
    /// No port.
    #[error("the port is missing")]
    MissingPort,
    /// A port that is not one of 1 to 65535 in plain decimal.
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

impl HostName {
    /// Parses a name and makes it canonical.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        match Host::parse(text)? {
            Host::Name(name) => Ok(name),
            Host::Address(_) => Err(HostError::Number),
        }
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Host {
    /// Parses a name or address in any spelling that a client might use.
    ///
    /// Spellings that C libraries take for IPv4 addresses (`127.1`, `0x7f.1`, `2130706433`) become that
    /// address, as the URL standard says; IPv4-mapped IPv6 addresses become IPv4.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(HostError::Ipv6)?;
            return inner.parse::<Ipv6Addr>().map(canonical).map_err(|_| HostError::Ipv6);
        }
        if text.contains(':') {
            return text.parse::<Ipv6Addr>().map(canonical).map_err(|_| HostError::Ipv6);
        }
        if let Some(character) = text.chars().find(|c| forbidden(*c)) {
            return Err(HostError::Character { character });
        }
        let name = ascii(text)?;
        check(&name)?;
        if ends_in_number(&name) {
            return ipv4(&name).map(|address| Self::Address(IpAddr::V4(address)));
        }
        Ok(Self::Name(HostName(name)))
    }
}

fn canonical(address: Ipv6Addr) -> Host {
    Host::Address(IpAddr::V6(address).to_canonical())
}

fn forbidden(character: char) -> bool {
    character.is_control()
        || character.is_whitespace()
        || (character.is_ascii()
            && !character.is_ascii_alphanumeric()
            && !"-._".contains(character))
}

/// The A-label form, in lower case and without one trailing dot.
fn ascii(text: &str) -> Result<String, HostError> {
    let name = if text.is_ascii() && !has_punycode(text) {
        text.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii_cow(text.as_bytes(), idna::AsciiDenyList::URL)
            .map_err(|_| HostError::Idna)?
            .into_owned()
    };
    Ok(name.strip_suffix('.').map(str::to_owned).unwrap_or(name))
}

fn has_punycode(text: &str) -> bool {
    text.split('.')
        .any(|label| label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--")))
}

fn check(name: &str) -> Result<(), HostError> {
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    if name.len() > NAME_BYTES {
        return Err(HostError::LongName { length: name.len() });
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(HostError::EmptyLabel);
        }
        if label.len() > LABEL_BYTES {
            return Err(HostError::LongLabel { length: label.len() });
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(HostError::Hyphen);
        }
        if let Some(character) = label.chars().find(|c| forbidden(*c)) {
            return Err(HostError::Character { character });
        }
    }
    Ok(())
}

/// Whether the last label is a number in any base that C libraries know.
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.chars().all(|c| c.is_ascii_digit()) || number(last).is_some() || last == "0x"
}

/// Reads decimal, `0x` hexadecimal and `0` octal.
fn number(text: &str) -> Option<u64> {
    let (digits, base) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    if digits.is_empty() {
        return (base == 16).then_some(0);
    }
    let plain = digits.chars().all(|digit| digit.is_digit(base));
    plain.then(|| u64::from_str_radix(digits, base).ok()).flatten()
}

/// One to four numbers, the last of which fills the rest (inet_aton(3)).
fn ipv4(name: &str) -> Result<Ipv4Addr, HostError> {
    let parts: Vec<u64> = name
        .split('.')
        .map(|part| number(part).ok_or(HostError::Number))
        .collect::<Result<_, _>>()?;
    let (last, first) = parts.split_last().ok_or(HostError::Number)?;
    if first.len() > 3 || first.iter().any(|part| *part > 255) {
        return Err(HostError::Number);
    }
    let room = 8 * (4 - first.len() as u32);
    if *last >= 1 << room {
        return Err(HostError::Number);
    }
    let high =
        first.iter().enumerate().fold(0, |sum, (place, part)| sum | part << (24 - 8 * place));
    u32::try_from(high | last).map(Ipv4Addr::from).map_err(|_| HostError::Number)
}

impl Authority {
    /// Parses `HOST:PORT` or `[IPV6]:PORT`.
    pub fn parse(text: &str) -> Result<Self, AuthorityError> {
        let (host, port) = text.rsplit_once(':').ok_or(AuthorityError::MissingPort)?;
        if host.contains(':') && !host.starts_with('[') {
            return Err(HostError::Ipv6.into());
        }
        let host = Host::parse(host)?;
        let plain = !port.is_empty() && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
        let port = plain.then(|| port.parse().ok()).flatten().filter(|port| *port != 0);
        Ok(Self { host, port: port.ok_or(AuthorityError::Port)? })
    }
}

impl AsRef<str> for HostName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(formatter),
            Self::Address(IpAddr::V4(address)) => address.fmt(formatter),
            Self::Address(IpAddr::V6(address)) => write!(formatter, "[{address}]"),
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}
