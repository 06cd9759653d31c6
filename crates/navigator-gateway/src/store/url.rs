//! Where the store is, as people write it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use tokio_postgres::config::{Host, SslMode};

/// Where the store is: a file, or a PostgreSQL server. Printed without password.
#[derive(Clone)]
pub struct StoreUrl(pub(super) Kind);

#[derive(Clone)]
pub(super) enum Kind {
    Sqlite(PathBuf),
    Postgres(Box<tokio_postgres::Config>),
}

/// Text that names no store. It may hold a password and is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid store: use a path, `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST/DATABASE?sslmode=require`"
)]
pub struct StoreUrlError;

impl StoreUrl {
    /// Reads a path, `sqlite:PATH`, `postgres://…` or `postgresql://…`.
    ///
    /// A connection over TCP uses TLS and the system's roots, unless the URL says `sslmode=disable`; one over a unix
    /// socket (a host that begins with `/`, percent-encoded) does not.
    ///
    /// # Errors
    /// [`StoreUrlError`] when it is none of these.
    pub fn parse(text: &str) -> Result<Self, StoreUrlError> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let config = tokio_postgres::Config::from_str(text).map_err(|_| StoreUrlError)?;
            if config.get_hosts().is_empty() || config.get_dbname().is_none() {
                return Err(StoreUrlError);
            }
            return Ok(Self(Kind::Postgres(Box::new(config))));
        }
        let path = text.strip_prefix("sqlite:").unwrap_or(text);
        // Such a path would be a database in memory, or one that SQLite reads options from.
        let special = path.is_empty() || path.starts_with(':') || path.starts_with("file:");
        if special || path.contains("://") || path.contains('\0') {
            return Err(StoreUrlError);
        }
        Ok(Self::file(Path::new(path)))
    }

    /// The store in a file.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self(Kind::Sqlite(path.into()))
    }
}

/// Whether connections are to be encrypted: over TCP, unless somebody said that they should not be.
pub(super) fn wants_tls(config: &tokio_postgres::Config) -> bool {
    let named = config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)));
    let tcp = named || !config.get_hostaddrs().is_empty();
    tcp && config.get_ssl_mode() != SslMode::Disable
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = match &self.0 {
            Kind::Sqlite(path) => return write!(formatter, "sqlite:{}", path.display()),
            Kind::Postgres(config) => config,
        };
        let hosts = config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let hosts = hosts.collect::<Vec<_>>().join(",");
        write!(formatter, "postgres://{hosts}/{}", config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StoreUrl({self})")
    }
}
