//! The gateways that this user knows, and which one is meant.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::atomic;
use crate::places::Places;

/// Name of the gateway on this machine, which is always there.
pub const LOCAL: &str = "local";
/// Longest name, in bytes: that of a DNS label (RFC 1035 section 2.3.4), as for sandboxes.
const NAME_BYTES: usize = 63;

/// A gateway and the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// What the user calls it; its address when it has no name.
    pub name: String,
    /// The way to it.
    pub reach: Reach,
}

/// The way to a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The gateway of this user on this machine; it is started when it does not answer.
    Local(PathBuf),
    /// A unix socket that somebody else serves.
    Unix(PathBuf),
    /// Mutual TLS.
    Tls {
        /// Host name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
        /// What proves both sides.
        credentials: Credentials,
    },
}

/// What proves both sides to each other, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Certificates of the authority that signed the gateway's.
    pub ca: String,
    /// This client's certificate, and those between it and the authority.
    pub certificate: String,
    /// This client's private key.
    pub key: Zeroizing<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// A gateway's file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    address: String,
    ca: String,
    certificate: String,
    key: Zeroizing<String>,
}

/// A gateway that cannot be found, kept or forgotten.
#[derive(Debug, thiserror::Error)]
pub enum GatewaysError {
    /// Text that is no name.
    #[error(
        "failed to use the name `{0}`: use 1 to 63 of a-z, 0-9 and `-`, with a letter or digit at both ends"
    )]
    Name(String),
    /// Text that is no address.
    #[error("failed to understand the address `{0}`; write https://HOST:PORT")]
    Address(String),
    /// No such gateway.
    #[error("failed to find the gateway `{0}`")]
    Unknown(String),
    /// An address that none of the known gateways has.
    #[error("failed to find a gateway with the address {0}, and so its certificates")]
    NoCredentials(String),
    /// One of that name is there.
    #[error("failed to add the gateway `{0}`: there is one of that name")]
    Exists(String),
    /// The local gateway needs no entry and cannot lose one.
    #[error("failed to change the gateway `local`: it is always there")]
    Local,
    /// A file.
    #[error("failed to {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that says something else.
    #[error("failed to understand {}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Why; the text around the fault may be a key and is left out.
        reason: String,
    },
}

/// The gateways that this user knows.
#[derive(Clone, Debug)]
pub struct Gateways {
    places: Places,
}

impl Gateways {
    /// Those that are kept in these places.
    #[must_use]
    pub fn new(places: Places) -> Self {
        Self { places }
    }

    /// The gateway that is meant: what `chosen` says (the value of `NAVIGATOR_GATEWAY`: a name, `unix:PATH` or
    /// `https://HOST:PORT`), else the active one.
    ///
    /// # Errors
    /// When it is not known or its file cannot be used.
    pub fn meant(&self, chosen: Option<&str>) -> Result<Gateway, GatewaysError> {
        let Some(chosen) = chosen.filter(|text| !text.is_empty()) else {
            return self.get(&self.active()?);
        };
        if let Some(path) = chosen.strip_prefix("unix:") {
            if !Path::new(path).is_absolute() {
                return Err(GatewaysError::Address(chosen.into()));
            }
            return Ok(Gateway { name: chosen.into(), reach: Reach::Unix(path.into()) });
        }
        if !chosen.contains("://") {
            return self.get(chosen);
        }
        let wanted = address(chosen)?;
        for name in self.names()? {
            let gateway = self.get(&name)?;
            if matches!(&gateway.reach, Reach::Tls { host, port, .. } if (host, port) == (&wanted.0, &wanted.1))
            {
                return Ok(gateway);
            }
        }
        Err(GatewaysError::NoCredentials(chosen.into()))
    }

    /// The gateway of a name.
    ///
    /// # Errors
    /// When it is not known or its file cannot be used.
    pub fn get(&self, name: &str) -> Result<Gateway, GatewaysError> {
        if name == LOCAL {
            return Ok(Gateway { name: name.into(), reach: Reach::Local(self.places.socket()) });
        }
        let path = self.file(name)?;
        let text = match atomic::read(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(GatewaysError::Unknown(name.into()));
            }
            Err(source) => return Err(GatewaysError::File { action: "read", path, source }),
        };
        let file: File = toml::from_str(&text)
            .map_err(|error| GatewaysError::Format { path, reason: error.message().to_owned() })?;
        let (host, port) = address(&file.address)?;
        let File { ca, certificate, key, .. } = file;
        let credentials = Credentials { ca, certificate, key };
        let reach = Reach::Tls { host, port, credentials };
        Ok(Gateway { name: name.into(), reach })
    }

    /// All names, `local` first.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn names(&self) -> Result<Vec<String>, GatewaysError> {
        let path = self.directory();
        let read = || -> io::Result<Vec<String>> {
            let mut names = vec![];
            for entry in std::fs::read_dir(&path)? {
                let name = entry?.file_name();
                let stem = name.to_str().and_then(|name| name.strip_suffix(".toml"));
                names.extend(stem.filter(|stem| check_name(stem).is_ok()).map(str::to_owned));
            }
            names.sort();
            Ok(names)
        };
        let mut names = match read() {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => vec![],
            Err(source) => return Err(GatewaysError::File { action: "list", path, source }),
        };
        names.insert(0, LOCAL.into());
        Ok(names)
    }

    /// Name of the gateway that is used when none is named.
    ///
    /// # Errors
    /// When the file that says so cannot be used.
    pub fn active(&self) -> Result<String, GatewaysError> {
        let path = self.active_file();
        match atomic::read(&path) {
            Ok(text) => {
                let name = text.trim().to_owned();
                check_name(&name).map(|()| name)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(LOCAL.into()),
            Err(source) => Err(GatewaysError::File { action: "read", path, source }),
        }
    }

    /// Uses a gateway from now on.
    ///
    /// # Errors
    /// When it is not known, or the choice cannot be written.
    pub fn activate(&self, name: &str) -> Result<(), GatewaysError> {
        self.get(name)?;
        let path = self.active_file();
        atomic::write(&path, name).map_err(|source| GatewaysError::File {
            action: "write",
            path,
            source,
        })
    }

    /// Keeps a gateway; its credentials are written into this user's configuration, for nobody else to read.
    ///
    /// # Errors
    /// When there is one of that name, the address is none, or it cannot be written.
    pub fn add(&self, name: &str, at: &str, credentials: Credentials) -> Result<(), GatewaysError> {
        let path = self.file(name)?;
        address(at)?;
        if path.exists() {
            return Err(GatewaysError::Exists(name.into()));
        }
        let Credentials { ca, certificate, key } = credentials;
        let file = File { address: at.into(), ca, certificate, key };
        let text = toml::to_string(&file).map(Zeroizing::new).map_err(|_secret| {
            GatewaysError::Format {
                path: path.clone(),
                reason: "it cannot be written as TOML".into(),
            }
        })?;
        atomic::write(&path, &text).map_err(|source| GatewaysError::File {
            action: "write",
            path,
            source,
        })
    }

    /// Forgets a gateway; when it was the active one, `local` is.
    ///
    /// # Errors
    /// When it is not known or cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), GatewaysError> {
        let path = self.file(name)?;
        if self.active()? == name {
            self.activate(LOCAL)?;
        }
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(GatewaysError::Unknown(name.into()))
            }
            Err(source) => Err(GatewaysError::File { action: "remove", path, source }),
        }
    }

    fn directory(&self) -> PathBuf {
        self.places.config.join("gateways")
    }

    fn active_file(&self) -> PathBuf {
        self.places.config.join("active")
    }

    fn file(&self, name: &str) -> Result<PathBuf, GatewaysError> {
        check_name(name)?;
        if name == LOCAL {
            return Err(GatewaysError::Local);
        }
        Ok(self.directory().join(format!("{name}.toml")))
    }
}

/// Whether text is a name of a gateway or sandbox.
///
/// # Errors
/// [`GatewaysError::Name`] when it is not.
pub fn check_name(text: &str) -> Result<(), GatewaysError> {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().is_some_and(plain) && bytes.last().is_some_and(plain);
    let inside = bytes.iter().all(|byte| plain(byte) || *byte == b'-');
    if ends && inside && bytes.len() <= NAME_BYTES {
        return Ok(());
    }
    Err(GatewaysError::Name(text.into()))
}

/// Host and port of `https://HOST:PORT`.
fn address(text: &str) -> Result<(String, u16), GatewaysError> {
    let parse = || {
        let rest = text.strip_prefix("https://")?;
        let (host, port) = rest.strip_suffix('/').unwrap_or(rest).rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(address) => address.strip_suffix(']').filter(|host| host.contains(':'))?,
            None => Some(host).filter(|host| !host.contains(':'))?,
        };
        rustls::pki_types::ServerName::try_from(host).ok()?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        Some((host.to_owned(), port))
    };
    parse().ok_or_else(|| GatewaysError::Address(text.into()))
}

#[cfg(test)]
mod tests;
