//! From an allowed destination to a connection: resolve, check every address, connect to what was
//! checked (Happy Eyeballs, RFC 8305).
//!
//! The address that is dialled is a value that passed the check; no name is resolved twice, so an
//! answer that changes in between (DNS rebinding) changes nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use navigator_policy::{AddressRefusal, Host};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::limits::{ATTEMPT_DELAY, DIAL_DEADLINE, MAX_ATTEMPTS};
use crate::resolve::{Resolve, ResolveError};

/// Why an allowed destination has no address that may be dialled.
#[derive(Debug, Error)]
pub enum AddressError {
    /// The name has no addresses.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// One of its addresses must not be reached, so none is.
    #[error("{host} leads to {address}: {refusal}")]
    Refused {
        /// What was wanted.
        host: Host,
        /// The address that must not be reached.
        address: IpAddr,
        /// The rule that refuses it.
        refusal: AddressRefusal,
    },
}

/// Why no address could be reached.
#[derive(Debug, Error)]
pub enum DialError {
    /// Every address refused or failed; the last reason.
    #[error("failed to connect to {host} port {port}")]
    Connect {
        /// What was wanted.
        host: Host,
        /// The port.
        port: u16,
        /// The last address's reason.
        #[source]
        source: io::Error,
    },
    /// No address answered in time.
    #[error("failed to connect to {host} port {port} within {} s", DIAL_DEADLINE.as_secs())]
    Deadline {
        /// What was wanted.
        host: Host,
        /// The port.
        port: u16,
    },
}

/// Addresses that passed the check, in the order in which they are tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckedAddresses(Vec<IpAddr>);

impl CheckedAddresses {
    /// The addresses, in the order in which they are tried.
    pub fn as_slice(&self) -> &[IpAddr] {
        &self.0
    }
}

/// Resolves a destination and checks every address.
///
/// # Errors
/// [`AddressError`] when there is no address or a single one of them is refused.
pub async fn checked_addresses(
    host: &Host,
    resolver: &dyn Resolve,
    check: &(dyn Fn(IpAddr) -> Result<(), AddressRefusal> + Sync),
) -> Result<CheckedAddresses, AddressError> {
    let addresses = match host {
        Host::Name(name) => resolver.resolve(name).await?.to_vec(),
        Host::Address(address) => vec![*address],
    };
    for address in &addresses {
        check(*address).map_err(|refusal| AddressError::Refused {
            host: host.clone(),
            address: *address,
            refusal,
        })?;
    }
    Ok(CheckedAddresses(interleave(addresses)))
}

/// RFC 8305 section 4: the first family is that of the resolver's first answer, then they
/// alternate.
fn interleave(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut ordered = Vec::new();
    for address in first {
        ordered.push(address);
        ordered.extend(second.next());
    }
    ordered.extend(second);
    ordered
}

/// Connects to the first of the checked addresses that answers.
///
/// # Errors
/// [`DialError`] when none answers in time.
pub async fn connect(
    host: &Host,
    port: u16,
    addresses: &CheckedAddresses,
) -> Result<TcpStream, DialError> {
    let deadline = Instant::now() + DIAL_DEADLINE;
    let raced = match addresses.as_slice() {
        [only] => timeout_at(deadline, attempt(SocketAddr::new(*only, port))).await,
        several => timeout_at(deadline, race(several, port, ATTEMPT_DELAY)).await,
    };
    match raced {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(source)) => Err(DialError::Connect { host: host.clone(), port, source }),
        Err(_) => Err(DialError::Deadline { host: host.clone(), port }),
    }
}

async fn attempt(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Starts an attempt per address, the next one when the previous failed or `delay` has passed;
/// the attempts that lose are dropped with the set.
async fn race(addresses: &[IpAddr], port: u16, delay: Duration) -> io::Result<TcpStream> {
    let mut waiting = addresses.iter().take(MAX_ATTEMPTS);
    let mut running = JoinSet::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let mut next_start = Instant::now();
    loop {
        if running.is_empty() || Instant::now() >= next_start {
            match waiting.next() {
                Some(address) => {
                    running.spawn(attempt(SocketAddr::new(*address, port)));
                    next_start = Instant::now() + delay;
                }
                None if running.is_empty() => return Err(last),
                None => {}
            }
        }
        tokio::select! {
            Some(ended) = running.join_next() => match ended {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => {
                    last = error;
                    next_start = Instant::now();
                }
                Err(error) => last = io::Error::other(error),
            },
            () = sleep_until(next_start), if waiting.len() > 0 => {}
        }
    }
}

#[cfg(test)]
mod tests;
