//! A policy written out again: as YAML for people, and as sorted bytes for its hash.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::model::{
    AccessPreset, ApiPattern, Compatibility, Effect, Endpoint, EndpointHost, Enforcement, Policy,
    Protocol, Requests, Rule, TlsMode,
};

/// SHA-256 of a policy's canonical form: equal for equal policies, however they are spelled.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PolicyHash([u8; 32]);

impl fmt::Display for PolicyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for PolicyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PolicyHash({self})")
    }
}

impl Policy {
    /// The canonical hash: lists whose order means nothing are sorted first.
    #[must_use]
    pub fn hash(&self) -> PolicyHash {
        let mut document = Document::new(self);
        document.sort();
        // Plain structs of text and numbers always serialise; were that to change, all hashes would differ.
        let bytes = serde_json::to_vec(&document).unwrap_or_default();
        PolicyHash(Sha256::digest(bytes).into())
    }

    /// The policy as a document, for other formats.
    #[must_use]
    pub fn document(&self) -> impl Serialize {
        Document::new(self)
    }

    /// The policy as YAML, in the usual order of keys.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let text = serde_saphyr::to_string(&Document::new(self)).unwrap_or_default();
        if text.ends_with('\n') { text } else { text + "\n" }
    }
}

/// Part of a policy as YAML: endpoints and binaries by the key of their policy.
pub(crate) fn fragment(parts: &BTreeMap<&str, Part<'_>>) -> String {
    #[derive(Serialize)]
    struct Policies<'a> {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        endpoints: Vec<EndpointDocument>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        binaries: Vec<Binary<'a>>,
    }
    let policies = parts.iter().map(|(key, part)| {
        let endpoints = part.endpoints.iter().map(EndpointDocument::new).collect();
        let binaries = part.binary.iter().map(|path| Binary { path }).collect();
        (*key, Policies { endpoints, binaries })
    });
    let document = BTreeMap::from([("network_policies", policies.collect::<BTreeMap<_, _>>())]);
    serde_saphyr::to_string(&document).unwrap_or_default()
}

/// What a fragment says about one policy.
#[derive(Default)]
pub(crate) struct Part<'a> {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) binary: Option<&'a str>,
}

#[derive(Serialize)]
struct Document<'p> {
    version: u32,
    filesystem_policy: Filesystem<'p>,
    landlock: Landlock,
    process: Process<'p>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    network_policies: BTreeMap<&'p str, Network<'p>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inference: Option<Inference<'p>>,
}

#[derive(Serialize)]
struct Filesystem<'p> {
    include_workdir: bool,
    read_only: Vec<&'p str>,
    read_write: Vec<&'p str>,
}

#[derive(Serialize)]
struct Landlock {
    compatibility: Compatibility,
}

#[derive(Serialize)]
struct Process<'p> {
    run_as_user: &'p str,
    run_as_group: &'p str,
}

#[derive(Serialize)]
struct Network<'p> {
    name: &'p str,
    endpoints: Vec<EndpointDocument>,
    binaries: Vec<Binary<'p>>,
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct Binary<'p> {
    path: &'p str,
}

#[derive(Serialize)]
struct EndpointDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<TlsMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enforcement: Option<Enforcement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<AccessPreset>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<BTreeMap<RuleKey, RuleDocument>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_ips: Vec<String>,
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
enum RuleKey {
    Allow,
    Deny,
}

#[derive(Serialize)]
struct RuleDocument {
    method: String,
    path: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
}

#[derive(Serialize)]
struct Inference<'p> {
    allowed_routes: Vec<&'p str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    api_patterns: Vec<&'p ApiPattern>,
}

impl<'p> Document<'p> {
    fn new(policy: &'p Policy) -> Self {
        let paths =
            |list: &'p [crate::SandboxPath]| list.iter().map(|path| path.as_str()).collect();
        let network = policy.network.iter().map(|(key, network)| {
            let document = Network {
                name: &network.name,
                endpoints: network.endpoints.iter().map(EndpointDocument::new).collect(),
                binaries: network.binaries.iter().map(|path| Binary { path }).collect(),
            };
            (key.as_str(), document)
        });
        Self {
            version: policy.version,
            filesystem_policy: Filesystem {
                include_workdir: policy.filesystem.include_workdir,
                read_only: paths(&policy.filesystem.read_only),
                read_write: paths(&policy.filesystem.read_write),
            },
            landlock: Landlock { compatibility: policy.landlock.compatibility },
            process: Process {
                run_as_user: &policy.process.run_as_user,
                run_as_group: &policy.process.run_as_group,
            },
            network_policies: network.collect(),
            inference: policy.inference.as_ref().map(|inference| Inference {
                allowed_routes: inference.allowed_routes.iter().map(String::as_str).collect(),
                api_patterns: inference.api_patterns.iter().collect(),
            }),
        }
    }

    fn sort(&mut self) {
        self.filesystem_policy.read_only.sort_unstable();
        self.filesystem_policy.read_write.sort_unstable();
        for network in self.network_policies.values_mut() {
            network.binaries.sort_unstable();
            network.binaries.dedup();
            for endpoint in &mut network.endpoints {
                endpoint.rules.sort_by_cached_key(text);
            }
            network.endpoints.sort_by_cached_key(text);
        }
    }
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

impl EndpointDocument {
    fn new(endpoint: &Endpoint) -> Self {
        let host = endpoint.host.as_ref().map(|host| match host {
            EndpointHost::Exact(crate::Host::Address(address)) => address.to_string(),
            EndpointHost::Exact(host) => host.to_string(),
            EndpointHost::Below(pattern) => pattern.to_string(),
        });
        let (port, ports) = match endpoint.ports[..] {
            [port] => (Some(port), vec![]),
            _ => (None, endpoint.ports.clone()),
        };
        let (access, rules) = match &endpoint.requests {
            None => (None, vec![]),
            Some(Requests::Access(preset)) => (Some(*preset), vec![]),
            Some(Requests::Rules(rules)) => (None, rules.iter().map(rule).collect()),
        };
        Self {
            host,
            port,
            ports,
            protocol: endpoint.protocol,
            tls: endpoint.tls,
            enforcement: endpoint.protocol.map(|_| endpoint.enforcement),
            access,
            rules,
            allowed_ips: endpoint.allowed_ips.iter().map(network).collect(),
        }
    }
}

/// A network of one address is written as that address.
fn network(net: &ipnet::IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

fn rule(rule: &Rule) -> BTreeMap<RuleKey, RuleDocument> {
    let effect = match rule.effect {
        Effect::Allow => RuleKey::Allow,
        Effect::Deny => RuleKey::Deny,
    };
    let document = RuleDocument {
        method: rule.method.clone(),
        path: rule.path.clone(),
        query: rule.query.clone(),
        command: rule.command.clone(),
    };
    BTreeMap::from([(effect, document)])
}
