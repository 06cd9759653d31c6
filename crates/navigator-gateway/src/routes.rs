//! Inference routes: which servers answer model requests, and which of them a sandbox may use.

use navigator_proto::REDACTED;
use navigator_proto::inference::v1 as proto;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::failure::Failure;
use crate::gateway::{Gateway, now};
use crate::names::{all_taken, candidates};
use crate::records::{Name, Route, Secret};
use crate::store::StoreError;

/// Longest text of a route, in bytes.
const TEXT_BYTES: usize = 4096;
/// Most protocols of a route.
const PROTOCOLS: usize = 16;
/// What a base URL may start with.
const SCHEMES: [&str; 3] = ["https://", "http://", "mock://"];

impl Gateway {
    /// Makes a route.
    pub(crate) async fn create_route(
        &self,
        name: &str,
        spec: Option<proto::InferenceRouteSpec>,
    ) -> Result<Route, Failure> {
        for candidate in candidates(name)? {
            let route = read(candidate.as_str(), spec.clone(), None)?;
            match self.store.create_route(&route).await {
                Ok(()) => return Ok(route),
                Err(StoreError::NameTaken) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(all_taken("route", name))
    }

    /// Replaces a route; a key that is sent as `[redacted]` stays as it is.
    pub(crate) async fn update_route(
        &self,
        name: &str,
        spec: Option<proto::InferenceRouteSpec>,
    ) -> Result<Route, Failure> {
        let old = self.store.route_named(&Name::parse(name)?).await?;
        let old = old.ok_or_else(|| Failure::missing("route", name))?;
        let mut route = read(name, spec, Some(&old))?;
        self.store.save_route(&mut route).await?;
        Ok(route)
    }

    /// The routes that the policy in force allows a sandbox.
    pub(crate) async fn inference_bundle(
        &self,
        id: Uuid,
    ) -> Result<proto::GetSandboxInferenceBundleResponse, Failure> {
        let policy = self.policy_in_force(id).await?.map(|revision| revision.policy);
        let hints = policy.and_then(|policy| policy.inference).unwrap_or_default().allowed_routes;
        let routes = self.store.enabled_routes(&hints).await?;
        let routes: Vec<_> = routes.iter().map(resolved).collect();
        Ok(proto::GetSandboxInferenceBundleResponse {
            revision: fingerprint(&routes),
            routes,
            generated_at_ms: now(),
        })
    }
}

/// Changes when any part of the routes does, and tells nothing about them.
fn fingerprint(routes: &[proto::SandboxResolvedRoute]) -> String {
    use prost::Message;
    let mut hash = Sha256::new();
    for route in routes {
        hash.update(zeroize::Zeroizing::new(route.encode_length_delimited_to_vec()).as_slice());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn resolved(route: &Route) -> proto::SandboxResolvedRoute {
    proto::SandboxResolvedRoute {
        routing_hint: route.routing_hint.clone(),
        base_url: route.base_url.clone(),
        protocols: route.protocols.clone(),
        api_key: route.api_key.expose().to_owned(),
        model_id: route.model_id.clone(),
    }
}

fn read(
    name: &str,
    spec: Option<proto::InferenceRouteSpec>,
    old: Option<&Route>,
) -> Result<Route, Failure> {
    let invalid = |message: &str| Failure::Invalid(message.to_owned());
    let spec = spec.ok_or_else(|| invalid("a route needs a spec"))?;
    let texts = [&spec.routing_hint, &spec.base_url, &spec.api_key, &spec.model_id];
    if texts
        .into_iter()
        .chain(&spec.protocols)
        .any(|text| text.len() > TEXT_BYTES || text.chars().any(char::is_control))
    {
        return Err(invalid("a route's texts have at most 4096 bytes and no control characters"));
    }
    if spec.routing_hint.is_empty() {
        return Err(invalid("a route needs a routing_hint"));
    }
    let rest = SCHEMES.iter().find_map(|scheme| spec.base_url.strip_prefix(scheme));
    // Spaces and the like make no address, whatever they start with.
    let is_address = spec.base_url.parse::<http::Uri>().is_ok();
    if rest.is_none_or(str::is_empty) || !is_address {
        return Err(invalid("base_url starts with https://, http:// or mock://"));
    }
    let known = spec.protocols.iter().all(|protocol| !protocol.is_empty());
    if spec.protocols.is_empty() || spec.protocols.len() > PROTOCOLS || !known {
        return Err(invalid("a route needs 1 to 16 protocols"));
    }
    let api_key = match (spec.api_key.as_str(), old) {
        (REDACTED, Some(old)) => old.api_key.clone(),
        (REDACTED, None) => {
            return Err(invalid("`[redacted]` stands for a key that is kept, and there is none"));
        }
        (_, _) => Secret::new(spec.api_key),
    };
    Ok(Route {
        id: old.map_or_else(Uuid::now_v7, |old| old.id),
        name: Name::parse(name)?,
        routing_hint: spec.routing_hint,
        base_url: spec.base_url,
        protocols: spec.protocols,
        api_key,
        model_id: spec.model_id,
        enabled: spec.enabled,
        created_at: old.map_or_else(now, |old| old.created_at),
        record_version: old.map_or(0, |old| old.record_version),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> proto::InferenceRouteSpec {
        proto::InferenceRouteSpec {
            routing_hint: "local".into(),
            base_url: "https://models.example/v1".into(),
            protocols: vec!["openai_chat_completions".into()],
            api_key: "key".into(),
            model_id: "small".into(),
            enabled: true,
        }
    }

    #[test]
    fn a_route_is_checked() {
        let old = read("local", Some(spec()), None).unwrap();
        let kept = proto::InferenceRouteSpec { api_key: REDACTED.into(), ..spec() };
        assert_eq!(read("local", Some(kept.clone()), Some(&old)).unwrap(), old);
        assert!(read("local", Some(kept), None).is_err());
        assert!(read("local", None, None).is_err());
        assert!(read("Bad Name", Some(spec()), None).is_err());
        let changes: [fn(&mut proto::InferenceRouteSpec); 8] = [
            |spec| spec.routing_hint.clear(),
            |spec| spec.base_url = "ftp://x".into(),
            |spec| spec.base_url = "https://".into(),
            |spec| spec.base_url = "https://a b/".into(),
            |spec| spec.protocols.clear(),
            |spec| spec.protocols = vec![String::new()],
            |spec| spec.model_id = "a\r\nb".into(),
            |spec| spec.api_key = "x".repeat(TEXT_BYTES + 1),
        ];
        for change in changes {
            let mut changed = spec();
            change(&mut changed);
            assert!(read("local", Some(changed), None).is_err());
        }
    }

    #[test]
    fn the_fingerprint_follows_every_part() {
        let one = resolved(&read("local", Some(spec()), None).unwrap());
        let two = proto::SandboxResolvedRoute { api_key: "other".into(), ..one.clone() };
        let prints = [
            fingerprint(&[]),
            fingerprint(std::slice::from_ref(&one)),
            fingerprint(&[two]),
            fingerprint(&[one.clone(), one]),
        ];
        for (number, print) in prints.iter().enumerate() {
            assert!(!prints[..number].contains(print));
        }
    }
}
