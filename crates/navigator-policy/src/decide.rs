//! The decision: may this program reach that, and may it ask this of it.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::address::{AddressRefusal, check_address};
use crate::compile::{CompiledPolicy, CompiledRule, Entry, Specificity};
use crate::denial::{self, Denial};
use crate::host::Host;
use crate::model::{Effect, Enforcement, NetworkMode, Protocol, TlsMode};
use crate::request::CanonicalPath;

/// Equal endpoints that one grant holds without allocating; there may be more.
const MERGED: usize = 4;

/// Who asks. Any one path that matches a policy's binary is enough.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// Path of the executable.
    pub executable: &'a str,
    /// Executables of the ancestors, nearest first.
    pub ancestors: &'a [&'a str],
    /// Scripts that interpreters among them run.
    pub scripts: &'a [&'a str],
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    /// The host.
    pub host: &'a Host,
    /// The port.
    pub port: u16,
}

/// The answer about a connection.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision<'p> {
    /// It may go through as it is.
    Tunnel(Grant<'p>),
    /// It may be made, and each request on it is decided.
    Inspect(Grant<'p>),
    /// No policy allows it; it may be a model API call.
    Inference,
    /// It may not be made.
    Deny(Denial),
}

/// The right to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant<'p> {
    first: &'p Entry,
    more: [Option<&'p Entry>; MERGED - 1],
    rest: Vec<&'p Entry>,
}

/// One request on an inspected connection.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// Path and query.
    pub path: &'a CanonicalPath,
    /// What becomes of the connection.
    pub kind: RequestKind,
}

/// What a request makes of its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestKind {
    /// It stays HTTP.
    #[default]
    Plain,
    /// It becomes a WebSocket, which only `protocol: websocket` allows.
    WebSocket,
}

/// The answer about a request.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum RequestDecision<'p> {
    /// It may pass.
    Allow {
        /// The rule that allows it.
        rule: &'p str,
    },
    /// It would be denied, and passes because the endpoint only records.
    Audit(Denial),
    /// It may not pass.
    Deny(Denial),
}

impl<'a> Caller<'a> {
    /// Every path that may earn a right.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &'a str> {
        let others = self.ancestors.iter().chain(self.scripts).copied();
        std::iter::once(self.executable).chain(others)
    }
}

impl CompiledPolicy {
    /// Decides about a connection.
    pub fn decide<'p>(&'p self, caller: &Caller<'_>, to: &Destination<'_>) -> Decision<'p> {
        if self.mode == NetworkMode::Block {
            return Decision::Deny(denial::block(self, caller, to));
        }
        match self.grant(caller, to) {
            Some(grant) if grant.protocol().is_some() => Decision::Inspect(grant),
            Some(grant) => Decision::Tunnel(grant),
            None if self.inference => Decision::Inference,
            None => Decision::Deny(denial::connection(self, caller, to)),
        }
    }

    /// The most specific endpoints that mean this and admit this program: exact host before wildcard before
    /// no host, inspected before opaque.
    fn grant<'p>(&'p self, caller: &Caller<'_>, to: &Destination<'_>) -> Option<Grant<'p>> {
        let mut best: Option<((Specificity, bool), Grant<'p>)> = None;
        for (specificity, entry) in self.matching_host(to.host) {
            let rank = (specificity, entry.endpoint.protocol.is_some());
            if best.as_ref().is_some_and(|(known, _)| *known > rank)
                || !entry.endpoint.ports.contains(&to.port)
                || !entry.admits(caller)
            {
                continue;
            }
            match &mut best {
                Some((known, grant)) if *known == rank => grant.merge(entry),
                Some(_) | None => {
                    best = Some((
                        rank,
                        Grant { first: entry, more: [None; MERGED - 1], rest: vec![] },
                    ));
                }
            }
        }
        best.map(|(_, grant)| grant)
    }

    /// Decides about a request on a connection that was granted.
    pub fn decide_request<'p>(
        &'p self,
        grant: &Grant<'p>,
        request: &Request<'_>,
    ) -> RequestDecision<'p> {
        let rules = |entry: &'p Entry| entry.rules.iter();
        let mut denying = grant.entries().flat_map(rules);
        let denied = denying.find(|rule| rule.effect == Effect::Deny && rule.matches(request));
        let mut allowing =
            grant.entries().filter(|entry| entry.takes(request.kind)).flat_map(rules);
        let allowed = allowing.find(|rule| rule.effect == Effect::Allow && rule.matches(request));
        match (denied, allowed) {
            (None, Some(rule)) => RequestDecision::Allow { rule: &rule.label },
            (Some(_), _) | (None, None) => {
                let denial = match denied {
                    None if !grant.entries().any(|entry| entry.takes(request.kind)) => {
                        denial::upgrade(grant, request)
                    }
                    Some(_) | None => denial::request(grant, denied, request),
                };
                match grant.enforcement() {
                    Enforcement::Enforce => RequestDecision::Deny(denial),
                    Enforcement::Audit => RequestDecision::Audit(denial),
                }
            }
        }
    }
}

impl Entry {
    fn takes(&self, kind: RequestKind) -> bool {
        match kind {
            RequestKind::Plain => true,
            RequestKind::WebSocket => self.endpoint.protocol == Some(Protocol::Websocket),
        }
    }
}

impl CompiledRule {
    pub(crate) fn matches(&self, request: &Request<'_>) -> bool {
        let method = self.method.as_ref();
        method.is_none_or(|method| method.eq_ignore_ascii_case(request.method))
            && request.path.matches(&self.path, self.effect)
            && self
                .query
                .iter()
                .all(|(name, glob)| request.path.parameter_matches(name, glob, self.effect))
    }
}

impl<'p> Grant<'p> {
    fn merge(&mut self, entry: &'p Entry) {
        match self.more.iter_mut().find(|slot| slot.is_none()) {
            Some(free) => *free = Some(entry),
            None => self.rest.push(entry),
        }
    }

    /// The endpoints that it comes from, the first and those merged with it.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &'p Entry> + use<'p, '_> {
        let more = self.more.into_iter().flatten();
        std::iter::once(self.first).chain(more).chain(self.rest.iter().copied())
    }

    /// Name of the policy that gives it.
    #[must_use]
    pub fn policy_name(&self) -> &'p str {
        &self.first.policy
    }

    /// The endpoint that gives it, as `host:port`.
    #[must_use]
    pub fn rule(&self) -> &'p str {
        &self.first.rule
    }

    /// Networks that the resolved address must be in; empty for any public one.
    #[must_use]
    pub fn allowed_ips(&self) -> &'p [IpNet] {
        &self.first.endpoint.allowed_ips
    }

    /// Checks a resolved address: one of the merged endpoints must take it.
    pub fn check_address(&self, address: IpAddr) -> Result<(), AddressRefusal> {
        let mut refusal = None;
        for entry in self.entries() {
            match check_address(address, &entry.endpoint.allowed_ips) {
                Ok(()) => return Ok(()),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    /// Whether it reaches the host itself: an address is also checked by the rules about addresses.
    pub(crate) fn reaches(&self, host: &Host) -> bool {
        match host {
            Host::Name(_) => true,
            Host::Address(address) => self.check_address(*address).is_ok(),
        }
    }

    /// How requests are parsed; `None` for an opaque tunnel.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        self.first.endpoint.protocol
    }

    /// Whether one of the merged endpoints has this protocol.
    #[must_use]
    pub fn speaks(&self, protocol: Protocol) -> bool {
        self.entries().any(|entry| entry.endpoint.protocol == Some(protocol))
    }

    /// What happens to TLS: it ends here if any of the merged endpoints says so.
    #[must_use]
    pub fn tls(&self) -> Option<TlsMode> {
        let terminate = self.entries().any(|entry| entry.endpoint.tls == Some(TlsMode::Terminate));
        if terminate { Some(TlsMode::Terminate) } else { self.first.endpoint.tls }
    }

    /// Whether violations are denied: they are if any of the merged endpoints says so.
    #[must_use]
    pub fn enforcement(&self) -> Enforcement {
        let enforce =
            self.entries().any(|entry| entry.endpoint.enforcement == Enforcement::Enforce);
        if enforce { Enforcement::Enforce } else { Enforcement::Audit }
    }
}
