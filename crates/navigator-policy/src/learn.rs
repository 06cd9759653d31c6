//! From what programs did to the smallest policy that allows it again.

mod files;

use std::collections::{BTreeMap, BTreeSet};

use crate::decide::Destination;
use crate::host::Host;
use crate::model::{
    Effect, Endpoint, EndpointHost, Enforcement, NetworkPolicy, Policy, Protocol, Requests, Rule,
    TlsMode,
};
use crate::suggestion::{free_key, pattern};

/// Paths beside each other that are listed one by one; from the next one on a `*` stands for all of them.
const SIBLINGS: usize = 4;
/// Rules of one method at one endpoint; more are folded by their first two segments into `**`.
const RULES: usize = 24;

/// What one program did at one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Path of its executable.
    pub program: String,
    /// Where to.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// What was seen there.
    pub seen: Seen,
}

/// What was seen of a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// Bytes that are no HTTP, or that the program did not let be looked at.
    Opaque,
    /// HTTP requests.
    Requests {
        /// What carried them.
        tls: bool,
        /// Whether one of them asked for a WebSocket.
        websocket: bool,
        /// Methods and decoded paths.
        requests: BTreeSet<(String, String)>,
    },
}

impl Policy {
    /// Replaces the network part by the smallest one that allows these observations again: each program reaches
    /// what it reached, and asks what it asked.
    pub fn learn(&mut self, observations: &[Observation]) {
        // What is seen at one place and by whom; then equal sights of equal programs share one policy.
        let mut sights: BTreeMap<(String, u16, Seen), (Host, BTreeSet<&str>)> = BTreeMap::new();
        for seen in observations {
            let place = (seen.host.to_string(), seen.port, seen.seen.clone());
            let sight = sights.entry(place).or_insert_with(|| (seen.host.clone(), BTreeSet::new()));
            sight.1.insert(&seen.program);
        }
        let mut shared = BTreeMap::<_, Vec<(Host, u16)>>::new();
        for ((_, port, seen), (host, programs)) in sights {
            shared.entry((programs, seen)).or_default().push((host, port));
        }
        self.network.clear();
        for ((programs, seen), places) in shared {
            let Some((host, port)) = places.first() else { continue };
            let to = Destination { host, port: *port };
            let key = free_key(&to, |key| self.network.contains_key(key));
            let endpoints =
                places.iter().map(|(host, port)| endpoint(host, *port, &seen)).collect();
            let binaries = programs.into_iter().map(str::to_owned).collect();
            self.network.insert(key.clone(), NetworkPolicy { name: key, endpoints, binaries });
        }
    }
}

fn endpoint(host: &Host, port: u16, seen: &Seen) -> Endpoint {
    let (protocol, tls, requests) = match seen {
        Seen::Opaque => (None, None, None),
        Seen::Requests { tls, websocket, requests } => (
            Some(if *websocket { Protocol::Websocket } else { Protocol::Rest }),
            tls.then_some(TlsMode::Terminate),
            Some(Requests::Rules(rules(requests))),
        ),
    };
    Endpoint {
        host: Some(EndpointHost::Exact(host.clone())),
        ports: vec![port],
        protocol,
        tls,
        enforcement: Enforcement::Enforce,
        requests,
        allowed_ips: vec![],
    }
}

fn rules(requests: &BTreeSet<(String, String)>) -> Vec<Rule> {
    let mut by_method: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (method, path) in requests {
        // What cannot be written as a pattern is not granted.
        if let Some(path) = pattern(path) {
            by_method.entry(method).or_default().insert(path);
        }
    }
    let patterns = by_method.into_iter().flat_map(|(method, paths)| {
        patterns(&paths).into_iter().map(move |path| Rule {
            effect: Effect::Allow,
            method: method.to_ascii_uppercase(),
            path,
            query: BTreeMap::new(),
            command: None,
        })
    });
    patterns.collect()
}

fn patterns(paths: &BTreeSet<String>) -> BTreeSet<String> {
    let beside = fold(paths.iter().map(String::as_str), SIBLINGS, |path| {
        let (parent, _) = path.trim_end_matches('/').rsplit_once('/')?;
        Some(format!("{parent}/*{}", if path.ends_with('/') { "/" } else { "" }))
    });
    if beside.len() <= RULES {
        return beside;
    }
    let below = fold(beside.iter().map(String::as_str), SIBLINGS, |path| {
        let mut segments = path.split('/').skip(1);
        let (first, second) = (segments.next()?, segments.next()?);
        Some(format!("/{first}/{second}/**"))
    });
    if below.len() <= RULES { below } else { BTreeSet::from(["/**".to_owned()]) }
}

/// Puts one pattern in the place of more than `few` paths that have it in common.
fn fold<'a>(
    paths: impl Iterator<Item = &'a str>,
    few: usize,
    common: impl Fn(&str) -> Option<String>,
) -> BTreeSet<String> {
    let mut groups: BTreeMap<Option<String>, Vec<&str>> = BTreeMap::new();
    for path in paths {
        groups.entry(common(path)).or_default().push(path);
    }
    let folded = groups.into_iter().flat_map(|(pattern, paths)| match pattern {
        Some(pattern) if paths.len() > few => vec![pattern],
        Some(_) | None => paths.into_iter().map(str::to_owned).collect(),
    });
    folded.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Caller, CanonicalPath, CompiledPolicy, Decision, Request, RequestDecision, RequestKind,
    };

    fn requests(list: &[(&str, &str)]) -> Seen {
        let requests = list.iter().map(|(m, p)| ((*m).to_owned(), (*p).to_owned())).collect();
        Seen::Requests { tls: true, websocket: false, requests }
    }

    fn observation(program: &str, host: &str, seen: Seen) -> Observation {
        Observation { program: program.into(), host: Host::parse(host).unwrap(), port: 443, seen }
    }

    fn learned(observations: &[Observation]) -> Policy {
        let mut policy = Policy::restrictive_default();
        policy.learn(observations);
        // What is proposed can be read again, and means the same.
        assert_eq!(crate::load("learned", &policy.to_yaml()).unwrap().policy, policy);
        policy
    }

    fn passes(policy: &Policy, seen: &Observation) -> bool {
        let compiled = CompiledPolicy::compile(policy, &|_| None);
        let caller = Caller { executable: &seen.program, ancestors: &[], scripts: &[] };
        let to = Destination { host: &seen.host, port: seen.port };
        match (compiled.decide(&caller, &to), &seen.seen) {
            (Decision::Tunnel(_), Seen::Opaque) => true,
            (Decision::Inspect(grant), Seen::Requests { requests, .. }) => {
                requests.iter().all(|(method, path)| {
                    let path = CanonicalPath::parse(path).unwrap();
                    let request = Request { method, path: &path, kind: RequestKind::Plain };
                    let decision = compiled.decide_request(&grant, &request);
                    matches!(decision, RequestDecision::Allow { .. })
                })
            }
            _ => false,
        }
    }

    #[test]
    fn a_program_gets_what_it_did_and_no_other_programs_rights() {
        let seen = [
            observation("/usr/bin/curl", "a.example", requests(&[("GET", "/x")])),
            observation("/usr/bin/git", "a.example", requests(&[("POST", "/y")])),
            observation("/usr/bin/ssh", "b.example", Seen::Opaque),
        ];
        let policy = learned(&seen);
        assert!(seen.iter().all(|seen| passes(&policy, seen)));
        let other = observation("/usr/bin/curl", "a.example", requests(&[("POST", "/y")]));
        assert!(!passes(&policy, &other));
        assert!(!passes(&policy, &observation("/usr/bin/curl", "b.example", Seen::Opaque)));
    }

    #[test]
    fn equal_sights_share_a_policy() {
        let seen = [
            observation("/usr/bin/curl", "a.example", Seen::Opaque),
            observation("/usr/bin/curl", "b.example", Seen::Opaque),
            observation("/usr/bin/wget", "a.example", Seen::Opaque),
            observation("/usr/bin/wget", "b.example", Seen::Opaque),
        ];
        let policy = learned(&seen);
        assert_eq!(policy.network.len(), 1);
        let only = policy.network.values().next().unwrap();
        assert_eq!((only.endpoints.len(), only.binaries.len()), (2, 2));
    }

    #[test]
    fn a_wildcard_stands_only_for_many() {
        let paths = |list: &[&str]| {
            let list = list.iter().map(|path| (*path).to_owned()).collect();
            patterns(&list).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(paths(&["/a/1", "/a/2", "/a/3", "/a/4"]), ["/a/1", "/a/2", "/a/3", "/a/4"]);
        assert_eq!(paths(&["/a/1", "/a/2", "/a/3", "/a/4", "/a/5", "/b"]), ["/a/*", "/b"]);
        assert_eq!(paths(&["/s/a/", "/s/b/", "/s/c/", "/s/d/", "/s/e/"]), ["/s/*/"]);
        assert_eq!(paths(&["/"]), ["/"]);
    }

    proptest! {
        #[test]
        fn whatever_was_seen_passes_again(
            list in proptest::collection::vec(("[ab]", "GET|POST|PUT", "(/[a-e]{0,2}){1,5}"), 1..80)
        ) {
            let mut seen: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
            for (host, method, path) in list {
                let path = CanonicalPath::parse(&path).unwrap().path().to_owned();
                seen.entry(host).or_default().insert((method, path));
            }
            let observations: Vec<_> = seen.into_iter().map(|(host, requests)| {
                let seen = Seen::Requests { tls: true, websocket: false, requests };
                observation("/usr/bin/curl", &format!("{host}.example"), seen)
            }).collect();
            let policy = learned(&observations);
            prop_assert!(observations.iter().all(|seen| passes(&policy, seen)));
        }
    }
}
