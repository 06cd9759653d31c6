//! A policy made ready to answer quickly: hosts in hash tables, patterns taken apart, nothing left to parse.

use std::collections::{BTreeSet, HashMap};

use crate::canonical::PolicyHash;
use crate::glob::Glob;
use crate::host::{Host, HostName};
use crate::model::{
    AccessPreset, Effect, Endpoint, EndpointHost, NetworkMode, Policy, Requests, Rule,
};

/// A policy that can decide. Reading it takes no lock and, where the answer is yes, no allocation.
#[derive(Debug)]
pub struct CompiledPolicy {
    pub(crate) mode: NetworkMode,
    hash: PolicyHash,
    ports: Vec<u16>,
    pub(crate) inference: bool,
    pub(crate) entries: Vec<Entry>,
    exact: HashMap<Host, Vec<usize>>,
    below: HashMap<Box<str>, Vec<usize>>,
    hostless: Vec<usize>,
}

/// One endpoint with what belongs to it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) policy: String,
    pub(crate) rule: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) binaries: Vec<Glob>,
    /// Of a list of rules, each in its place.
    pub(crate) rules: Vec<CompiledRule>,
}

/// One rule over requests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CompiledRule {
    pub(crate) effect: Effect,
    pub(crate) method: Option<String>,
    pub(crate) path: Glob,
    pub(crate) query: Vec<(String, Glob)>,
    pub(crate) label: String,
}

/// How exactly an endpoint names what was asked for; more is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Specificity {
    Hostless,
    /// Length of the domain under the wildcard.
    Below(usize),
    Exact,
}

impl CompiledPolicy {
    /// Compiles a policy. `resolve` gives the spelling of a binary's path inside the sandbox after links, if
    /// it differs; both spellings match.
    #[must_use]
    pub fn compile(policy: &Policy, resolve: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut compiled = Self {
            mode: policy.mode(),
            hash: policy.hash(),
            ports: vec![],
            inference: policy
                .inference
                .as_ref()
                .is_some_and(|list| !list.allowed_routes.is_empty()),
            entries: vec![],
            exact: HashMap::new(),
            below: HashMap::new(),
            hostless: vec![],
        };
        let mut ports = BTreeSet::new();
        for (key, network) in &policy.network {
            for endpoint in &network.endpoints {
                ports.extend(endpoint.ports.iter().copied());
                let binaries = binaries(&network.binaries, resolve);
                compiled.add(Entry::new(key, &network.name, endpoint, binaries));
            }
        }
        compiled.ports = ports.into_iter().collect();
        compiled
    }

    fn add(&mut self, entry: Entry) {
        let index = self.entries.len();
        match &entry.endpoint.host {
            Some(EndpointHost::Exact(host)) => {
                self.exact.entry(host.clone()).or_default().push(index);
            }
            Some(EndpointHost::Below(pattern)) => {
                self.below.entry(pattern.domain().as_str().into()).or_default().push(index);
            }
            None => self.hostless.push(index),
        }
        self.entries.push(entry);
    }

    /// Every endpoint whose host means `host`, with how exactly it does.
    pub(crate) fn matching_host<'p>(
        &'p self,
        host: &Host,
    ) -> impl Iterator<Item = (Specificity, &'p Entry)> {
        let exact = self.exact.get(host).into_iter().flatten();
        let exact = exact.map(|index| (Specificity::Exact, &self.entries[*index]));
        let address = match host {
            Host::Address(address) => Some(*address),
            Host::Name(_) => None,
        };
        let hostless = self.hostless.iter().map(|index| &self.entries[*index]);
        let hostless = hostless
            .filter(move |entry| {
                address.is_none_or(|address| {
                    entry.endpoint.allowed_ips.iter().any(|net| net.contains(&address))
                })
            })
            .map(|entry| (Specificity::Hostless, entry));
        exact.chain(self.below(host)).chain(hostless)
    }

    fn below<'p>(&'p self, host: &Host) -> impl Iterator<Item = (Specificity, &'p Entry)> {
        // A table that is empty is not asked; most policies have no wildcard.
        let name = match host {
            Host::Name(name) if !self.below.is_empty() => name.as_str(),
            Host::Name(_) | Host::Address(_) => "",
        };
        let found: [Option<(usize, &'p Vec<usize>)>; DEPTH] = self.ancestors(name);
        found.into_iter().flatten().flat_map(move |(length, list)| {
            list.iter().map(move |index| (Specificity::Below(length), &self.entries[*index]))
        })
    }

    fn ancestors<'p>(&'p self, name: &str) -> [Option<(usize, &'p Vec<usize>)>; DEPTH] {
        let mut found = [None; DEPTH];
        let mut rest = name;
        let mut place = 0;
        while let Some((_, domain)) = rest.split_once('.') {
            if let Some(list) = self.below.get(domain)
                && let Some(slot) = found.get_mut(place)
            {
                *slot = Some((domain.len(), list));
                place += 1;
            }
            rest = domain;
        }
        found
    }

    /// Whether some endpoint means this name, so that it may be resolved.
    #[must_use]
    pub fn could_allow_name(&self, name: &HostName) -> bool {
        if self.mode == NetworkMode::Block {
            return false;
        }
        let host = Host::Name(name.clone());
        self.matching_host(&host).next().is_some()
    }

    /// The ports of all endpoints, sorted and distinct.
    #[must_use]
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Whether the sandbox has IP sockets.
    #[must_use]
    pub fn mode(&self) -> NetworkMode {
        self.mode
    }

    /// The canonical hash of the policy.
    #[must_use]
    pub fn hash(&self) -> &PolicyHash {
        &self.hash
    }
}

/// Wildcards over one name that are looked at: a name has at most 127 labels, and policies that stack more
/// than a few wildcards lose only the shortest.
const DEPTH: usize = 8;

fn binaries(paths: &[String], resolve: &dyn Fn(&str) -> Option<String>) -> Vec<Glob> {
    let mut globs = vec![];
    for path in paths {
        let glob = Glob::new(path);
        if glob.is_literal()
            && let Some(real) = resolve(path)
        {
            // What a link leads to is a plain path, whatever characters are in it.
            globs.push(Glob::literal(&real));
        }
        globs.push(glob);
    }
    globs
}

impl Entry {
    fn new(key: &str, policy: &str, endpoint: &Endpoint, binaries: Vec<Glob>) -> Self {
        let rules = match &endpoint.requests {
            None => vec![],
            Some(Requests::Access(preset)) => preset_rules(*preset),
            Some(Requests::Rules(rules)) => rules.iter().map(CompiledRule::new).collect(),
        };
        Self {
            key: key.to_owned(),
            policy: policy.to_owned(),
            rule: label(endpoint),
            endpoint: endpoint.clone(),
            binaries,
            rules,
        }
    }

    /// Whether a program, one of its ancestors or its script is among the binaries.
    pub(crate) fn admits(&self, caller: &crate::decide::Caller<'_>) -> bool {
        self.binaries.iter().any(|glob| caller.paths().any(|path| glob.matches(path)))
    }
}

impl CompiledRule {
    fn new(rule: &Rule) -> Self {
        let method = (rule.method != "*").then(|| rule.method.clone());
        Self {
            effect: rule.effect,
            label: format!("{} {}", rule.method, rule.path),
            method,
            path: Glob::new(&rule.path),
            query: rule.query.iter().map(|(key, value)| (key.clone(), Glob::new(value))).collect(),
        }
    }
}

fn preset_rules(preset: AccessPreset) -> Vec<CompiledRule> {
    let label = format!("access: {}", preset.name());
    let rules = preset.rules();
    rules
        .iter()
        .map(|rule| CompiledRule { label: label.clone(), ..CompiledRule::new(rule) })
        .collect()
}

fn label(endpoint: &Endpoint) -> String {
    let host = match &endpoint.host {
        Some(EndpointHost::Exact(host)) => host.to_string(),
        Some(EndpointHost::Below(pattern)) => pattern.to_string(),
        None => endpoint.allowed_ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    };
    let ports = endpoint.ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    format!("{host}:{ports}")
}
