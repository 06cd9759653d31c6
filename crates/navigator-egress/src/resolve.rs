//! Names to addresses, for names that were already allowed: nothing else is ever asked.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use navigator_policy::HostName;
use thiserror::Error;

use crate::limits::{MAX_ADDRESSES, RESOLVE_DEADLINE, RESOLVER_ENTRIES, RESOLVER_TTL};

/// Why a name has no addresses.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// The system's resolver failed.
    #[error("failed to resolve {name}")]
    Lookup {
        /// The name.
        name: HostName,
        /// The resolver's reason.
        #[source]
        source: io::Error,
    },
    /// The answer holds no address.
    #[error("failed to resolve {name}: it has no address")]
    Empty {
        /// The name.
        name: HostName,
    },
    /// The answer is too long to be judged whole.
    #[error("failed to resolve {name}: it has more than {MAX_ADDRESSES} addresses")]
    TooMany {
        /// The name.
        name: HostName,
    },
    /// No answer in time.
    #[error("failed to resolve {name} within {} s", RESOLVE_DEADLINE.as_secs())]
    Deadline {
        /// The name.
        name: HostName,
    },
}

/// The future of a look-up.
pub type Resolving<'a> =
    Pin<Box<dyn Future<Output = Result<Arc<[IpAddr]>, ResolveError>> + Send + 'a>>;

/// Resolves names. What it answers is checked afterwards, whoever answered.
pub trait Resolve: Send + Sync {
    /// All addresses of a name, at least one.
    fn resolve<'a>(&'a self, name: &'a HostName) -> Resolving<'a>;
}

/// The system's resolver with a deadline and a small cache of a few seconds.
#[derive(Debug, Default)]
pub struct SystemResolver {
    cache: Mutex<HashMap<HostName, Remembered>>,
}

/// An answer and when it came.
type Remembered = (Instant, Arc<[IpAddr]>);

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a HostName) -> Resolving<'a> {
        Box::pin(async move {
            if let Some(addresses) = self.cached(name) {
                return Ok(addresses);
            }
            let addresses = look_up(name).await?;
            self.remember(name, &addresses);
            Ok(addresses)
        })
    }
}

impl SystemResolver {
    fn cached(&self, name: &HostName) -> Option<Arc<[IpAddr]>> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, addresses) = cache.get(name)?;
        (at.elapsed() < RESOLVER_TTL).then(|| addresses.clone())
    }

    fn remember(&self, name: &HostName, addresses: &Arc<[IpAddr]>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= RESOLVER_ENTRIES {
            cache.retain(|_, (at, _)| at.elapsed() < RESOLVER_TTL);
        }
        if cache.len() < RESOLVER_ENTRIES {
            cache.insert(name.clone(), (Instant::now(), addresses.clone()));
        }
    }
}

async fn look_up(name: &HostName) -> Result<Arc<[IpAddr]>, ResolveError> {
    let asked = tokio::net::lookup_host((name.as_ref(), 0));
    let found = tokio::time::timeout(RESOLVE_DEADLINE, asked)
        .await
        .map_err(|_| ResolveError::Deadline { name: name.clone() })?
        .map_err(|source| ResolveError::Lookup { name: name.clone(), source })?;
    let mut addresses = Vec::new();
    for socket in found {
        if !addresses.contains(&socket.ip()) {
            addresses.push(socket.ip());
        }
        if addresses.len() > MAX_ADDRESSES {
            return Err(ResolveError::TooMany { name: name.clone() });
        }
    }
    if addresses.is_empty() {
        return Err(ResolveError::Empty { name: name.clone() });
    }
    Ok(addresses.into())
}
