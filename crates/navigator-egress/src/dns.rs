//! The sandbox's name server: allowed names get a synthetic address, nothing is ever forwarded.
//!
//! A question leaves no trace outside the sandbox, so names carry nothing out; the real look-up
//! happens when an allowed connection is dialled.

pub(crate) mod answer;
mod names;
mod tcp;
mod udp;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use navigator_policy::HostName;

use crate::authorise::{Judge, NameVerdict};

pub use names::{SyntheticNames, is_synthetic};

pub(crate) use tcp::serve_tcp;
pub(crate) use udp::serve_udp;

use answer::{NameAddress, answer};

/// A refused name is recorded again only after this long: programs ask twice (A and AAAA) and
/// retry, and a flood of questions must not become a flood of records.
const RECORD_AGAIN: Duration = Duration::from_secs(5);
/// Refused names that are remembered for that.
const REMEMBERED_REFUSALS: usize = 64;

/// The sockets on which questions arrive.
#[derive(Debug)]
pub struct DnsWays {
    /// Bound UDP sockets.
    pub udp: Vec<OwnedFd>,
    /// Listening TCP sockets.
    pub tcp: Vec<OwnedFd>,
}

/// Answers the questions of one sandbox.
#[derive(Debug)]
pub(crate) struct NameServer {
    judge: Arc<Judge>,
    refused: Mutex<VecDeque<(HostName, Instant)>>,
}

impl NameServer {
    pub(crate) fn new(judge: Arc<Judge>) -> NameServer {
        NameServer { judge, refused: Mutex::default() }
    }

    /// The answer to a message, or nothing for what is not even a question.
    pub(crate) fn answer(&self, message: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
        tracing::trace!(%from, length = message.len(), "DNS question");
        answer(message, &|name| self.address_of(name))
    }

    fn address_of(&self, name: &HostName) -> NameAddress {
        if is_localhost(name) {
            return NameAddress::Loopback;
        }
        match self.judge.authorise_name(name) {
            NameVerdict::Known => {
                let (v4, v6) = self.judge.context().names().addresses_of(name);
                NameAddress::Synthetic(v4, v6)
            }
            NameVerdict::Unknown => {
                if self.is_news(name) {
                    self.judge.record_refused_name(name);
                }
                NameAddress::None
            }
        }
    }

    fn is_news(&self, name: &HostName) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|(_, at)| at.elapsed() < RECORD_AGAIN);
        if refused.iter().any(|(known, _)| known == name) {
            return false;
        }
        if refused.len() >= REMEMBERED_REFUSALS {
            refused.pop_front();
        }
        refused.push_back((name.clone(), Instant::now()));
        true
    }
}

/// RFC 6761 section 6.3: these names never leave the machine, here the sandbox.
fn is_localhost(name: &HostName) -> bool {
    let name: &str = name.as_ref();
    name == "localhost" || name.ends_with(".localhost")
}
