//! One endpoint of a network policy.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::fields::Reader;
use crate::address;
use crate::document::{Node, Value};
use crate::host::Host;
use crate::host_pattern::HostPattern;
use crate::model::{
    AccessPreset, Endpoint, EndpointHost, Enforcement, NetworkPolicy, Protocol, Requests, TlsMode,
};

type Fields<'n> = BTreeMap<&'n str, &'n Node>;

const KEYS: [&str; 9] =
    ["host", "port", "ports", "protocol", "tls", "enforcement", "access", "rules", "allowed_ips"];
const PROTOCOLS: [(&str, Protocol); 4] = [
    ("rest", Protocol::Rest),
    ("websocket", Protocol::Websocket),
    ("grpc", Protocol::Grpc),
    ("sql", Protocol::Sql),
];
const TLS: [(&str, TlsMode); 2] =
    [("passthrough", TlsMode::Passthrough), ("terminate", TlsMode::Terminate)];
const ENFORCEMENT: [(&str, Enforcement); 2] =
    [("audit", Enforcement::Audit), ("enforce", Enforcement::Enforce)];
const ACCESS: [(&str, AccessPreset); 3] = [
    ("read-only", AccessPreset::ReadOnly),
    ("read-write", AccessPreset::ReadWrite),
    ("full", AccessPreset::Full),
];

impl Reader {
    pub(super) fn endpoint(&mut self, node: &Node, at: &str) -> Option<Endpoint> {
        let fields = self.map(node, at, &KEYS)?;
        let allowed_ips = fields
            .get("allowed_ips")
            .map(|node| self.allowed_ips(node, &format!("{at}.allowed_ips")))
            .unwrap_or_default();
        let host = match fields.get("host") {
            Some(node) => Some(self.host(node, &format!("{at}.host"))?),
            None if allowed_ips.is_empty() => {
                self.missing(node, &format!("{at}.host"), "name the host, or list `allowed_ips`");
                return None;
            }
            None => None,
        };
        let ports = self.ports(node, &fields, at);
        let protocol = self.chosen(&fields, at, "protocol", &PROTOCOLS);
        let tls = self.chosen(&fields, at, "tls", &TLS);
        let enforcement = self.enforcement(&fields, at, protocol);
        let requests = self.requests(node, &fields, at, protocol);
        self.consistent(node, &fields, at, (protocol, tls, &ports));
        let requests = if protocol.is_some() { requests } else { None };
        Some(Endpoint { host, ports, protocol, tls, enforcement, requests, allowed_ips })
    }

    fn chosen<T: Copy>(
        &mut self,
        fields: &Fields<'_>,
        at: &str,
        key: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let node = fields.get(key)?;
        self.choice(node, &format!("{at}.{key}"), choices)
    }

    fn host(&mut self, node: &Node, at: &str) -> Option<EndpointHost> {
        let text = self.text(node, at)?;
        let parsed = if text.contains('*') {
            HostPattern::parse(&text).map(EndpointHost::Below).map_err(|error| error.to_string())
        } else {
            Host::parse(&text).map(EndpointHost::Exact).map_err(|error| error.to_string())
        };
        match parsed {
            Ok(EndpointHost::Exact(Host::Address(address)))
                if address::never(address).is_some() =>
            {
                let kind = address::never(address).unwrap_or_default();
                let message = format!("{address} is {kind}, which no policy can allow");
                self.error(node, at, message, None);
                None
            }
            Ok(host) => Some(host),
            Err(message) => {
                let help =
                    "write a host name such as `api.example.com`, without scheme, port or path";
                self.error(node, at, message, Some(help));
                None
            }
        }
    }

    fn ports(&mut self, node: &Node, fields: &Fields<'_>, at: &str) -> Vec<u16> {
        let mut ports = vec![];
        if let Some(node) = fields.get("port") {
            ports.extend(self.port(node, &format!("{at}.port")));
        }
        if let Some(node) = fields.get("ports") {
            let at = format!("{at}.ports");
            let list = self.list(node, &at).unwrap_or_default();
            if list.is_empty() {
                let message = "an empty list of ports allows none".to_owned();
                self.error(node, &at, message, Some("list at least one port"));
            }
            for (index, node) in list.iter().enumerate() {
                ports.extend(self.port(node, &format!("{at}[{index}]")));
            }
        }
        match (fields.contains_key("port"), fields.contains_key("ports")) {
            (false, false) => self.missing(node, &format!("{at}.port"), "write `port: 443`"),
            (true, true) => {
                let message = "`port` and `ports` exclude each other".to_owned();
                self.error(node, at, message, Some("keep one of them"));
            }
            (true, false) | (false, true) => {}
        }
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    fn port(&mut self, node: &Node, at: &str) -> Option<u16> {
        let port = match node.value {
            Value::Integer(number) => u16::try_from(number).ok().filter(|port| *port != 0),
            _ => None,
        };
        if port.is_none() {
            let message = "a port is a number from 1 to 65535".to_owned();
            self.error(node, at, message, Some("write a number such as 443"));
        }
        port
    }

    fn allowed_ips(&mut self, node: &Node, at: &str) -> Vec<IpNet> {
        let mut nets = vec![];
        let texts = self.texts(node, at);
        if texts.is_empty() {
            let message = "an empty list of addresses allows none".to_owned();
            self.error(
                node,
                at,
                message,
                Some("list at least one address or network, or leave it out"),
            );
        }
        for (index, text) in texts.iter().enumerate() {
            let at = format!("{at}[{index}]");
            let net = text
                .parse::<IpNet>()
                .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
            match net {
                Ok(net) if touches_forbidden(&net) => {
                    let message = format!(
                        "{net} touches loopback or link-local addresses, which no policy can allow"
                    );
                    self.error(node, &at, message, Some("list only the networks that are needed"));
                }
                Ok(net) => nets.push(net.trunc()),
                Err(_) => {
                    let message = format!("`{text}` is not an address or network");
                    self.error(node, &at, message, Some("write one such as 10.1.2.0/24"));
                }
            }
        }
        nets.sort_unstable();
        nets.dedup();
        nets
    }

    fn enforcement(
        &mut self,
        fields: &Fields<'_>,
        at: &str,
        protocol: Option<Protocol>,
    ) -> Enforcement {
        let chosen = self.chosen(fields, at, "enforcement", &ENFORCEMENT);
        match (protocol, chosen, fields.get("enforcement")) {
            (Some(Protocol::Sql), Some(Enforcement::Enforce), Some(node)) => {
                let message = "`sql` is recorded only and cannot be enforced".to_owned();
                self.error(node, &format!("{at}.enforcement"), message, Some("write `audit`"));
                Enforcement::Audit
            }
            (Some(Protocol::Sql), ..) => Enforcement::Audit,
            (_, chosen, _) => chosen.unwrap_or_default(),
        }
    }

    fn requests(
        &mut self,
        node: &Node,
        fields: &Fields<'_>,
        at: &str,
        protocol: Option<Protocol>,
    ) -> Option<Requests> {
        match (fields.get("access"), fields.get("rules")) {
            (Some(_), Some(rules)) => {
                let message = "`rules` and `access` exclude each other".to_owned();
                self.error(rules, &format!("{at}.rules"), message, Some("keep one of them"));
                None
            }
            (Some(access), None) => {
                self.choice(access, &format!("{at}.access"), &ACCESS).map(Requests::Access)
            }
            (None, Some(rules)) => Some(Requests::Rules(self.rules(rules, &format!("{at}.rules")))),
            (None, None) => {
                if protocol.is_some() && fields.contains_key("protocol") {
                    let message = "`protocol` needs `access` or `rules`".to_owned();
                    self.error(node, at, message, Some("add `access: read-only`, or rules"));
                }
                None
            }
        }
    }

    fn consistent(
        &mut self,
        node: &Node,
        fields: &Fields<'_>,
        at: &str,
        (protocol, tls, ports): (Option<Protocol>, Option<TlsMode>, &[u16]),
    ) {
        let declared = fields.contains_key("protocol");
        for key in ["access", "rules", "enforcement"] {
            if let Some(field) = fields.get(key).filter(|_| !declared) {
                let message = format!("`{key}` needs `protocol`: an opaque tunnel has no requests");
                self.error(field, &format!("{at}.{key}"), message, Some("add `protocol: rest`"));
            }
        }
        if let Some(field) =
            fields.get("tls").filter(|_| tls == Some(TlsMode::Terminate) && !declared)
        {
            let message = "`tls: terminate` needs `protocol`".to_owned();
            self.error(field, &format!("{at}.tls"), message, Some("add `protocol: rest`"));
        }
        if protocol == Some(Protocol::Rest)
            && ports.contains(&443)
            && tls != Some(TlsMode::Terminate)
        {
            let message = "nothing can be inspected: port 443 carries TLS".to_owned();
            self.warning(node, at, message, "add `tls: terminate`");
        }
    }

    /// Warns about a policy that adds nothing to another.
    pub(super) fn shadowed(&mut self, node: &Node, policies: &BTreeMap<String, NetworkPolicy>) {
        let covers = |wide: &NetworkPolicy, narrow: &NetworkPolicy| {
            narrow.endpoints.iter().all(|endpoint| wide.endpoints.contains(endpoint))
                && narrow.binaries.iter().all(|binary| wide.binaries.contains(binary))
        };
        let list: Vec<_> = policies.iter().collect();
        for (index, (key, policy)) in list.iter().enumerate() {
            if policy.endpoints.is_empty() {
                let message =
                    format!("`{key}` has no endpoint, so nobody can reach anything by it");
                self.warning(
                    node,
                    &format!("network_policies.{key}"),
                    message,
                    "add an endpoint or remove it",
                );
                continue;
            }
            let shadow = list.iter().enumerate().find(|(other, (_, wide))| {
                *other != index && covers(wide, policy) && (!covers(policy, wide) || *other < index)
            });
            if let Some((_, (wide, _))) = shadow {
                let message = format!("`{key}` adds nothing to `{wide}`");
                self.warning(
                    node,
                    &format!("network_policies.{key}"),
                    message,
                    "remove one of them",
                );
            }
        }
    }
}

fn touches_forbidden(net: &IpNet) -> bool {
    const FORBIDDEN: [&str; 6] =
        ["127.0.0.0/8", "169.254.0.0/16", "::1/128", "fe80::/10", "0.0.0.0/32", "::/128"];
    FORBIDDEN
        .iter()
        .filter_map(|text| text.parse::<IpNet>().ok())
        .any(|forbidden| net.contains(&forbidden) || forbidden.contains(net))
}
