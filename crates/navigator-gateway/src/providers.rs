//! Providers: credentials for services, and the sandboxes that have them.

use std::collections::BTreeMap;
use std::sync::Arc;

use navigator_proto::REDACTED;
use navigator_proto::datamodel::v1 as data;
use navigator_proto::session::v1::{ProviderEnvironment, to_supervisor};
use uuid::Uuid;

use crate::failure::Failure;
use crate::gateway::{Gateway, now};
use crate::live::Attached;
use crate::names::{all_taken, candidates};
use crate::records::{Name, Provider, Sandbox, Secret};
use crate::spec::{check_environment, check_map};
use crate::store::StoreError;

/// Longest kind of service, in bytes.
const KIND_BYTES: usize = 63;

impl Gateway {
    /// Makes a provider.
    pub(crate) async fn create_provider(
        &self,
        message: data::Provider,
    ) -> Result<Provider, Failure> {
        for name in candidates(&message.name)? {
            let message = data::Provider { name: name.to_string(), ..message.clone() };
            let provider = read(message, None)?;
            match self.store.create_provider(&provider).await {
                Ok(()) => return Ok(provider),
                Err(StoreError::NameTaken) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(all_taken("provider", &message.name))
    }

    /// Replaces what a provider holds; a credential that is sent as `[redacted]` stays as it is.
    pub(crate) async fn update_provider(
        self: &Arc<Self>,
        message: data::Provider,
    ) -> Result<Provider, Failure> {
        let old = self.provider(&message.name).await?;
        let mut provider = read(message, Some(&old))?;
        let gateway = Arc::clone(self);
        self.whole(async move {
            gateway.store.save_provider(&mut provider).await?;
            gateway.tell_sandboxes(&provider.name).await?;
            Ok(provider)
        })
        .await
    }

    /// Finds a provider.
    pub(crate) async fn provider(&self, name: &str) -> Result<Provider, Failure> {
        let found = self.store.provider_named(&Name::parse(name)?).await?;
        found.ok_or_else(|| Failure::missing("provider", name))
    }

    /// Removes a provider, from running sandboxes too; whether it was there.
    pub(crate) async fn delete_provider(self: &Arc<Self>, name: &str) -> Result<bool, Failure> {
        let (name, gateway) = (Name::parse(name)?, Arc::clone(self));
        self.whole(async move {
            let deleted = gateway.store.remove_provider(&name).await?;
            if deleted {
                gateway.tell_sandboxes(&name).await?;
            }
            Ok(deleted)
        })
        .await
    }

    /// Gives every sandbox with this provider the environment that it has now.
    async fn tell_sandboxes(&self, name: &Name) -> Result<(), Failure> {
        for id in self.store.sandboxes_with_provider(name).await? {
            self.push_environment(id).await?;
        }
        Ok(())
    }

    async fn push_environment(&self, id: Uuid) -> Result<(), Failure> {
        let Some(session) = self.hub.known(id).and_then(|live| live.session.get()) else {
            // It gets the newest when it connects.
            return Ok(());
        };
        let Some(sandbox) = self.store.sandbox(id).await? else { return Ok(()) };
        self.push_environment_to(&session, &sandbox).await
    }

    /// Gives a sandbox what its providers hold now.
    pub(crate) async fn push_environment_to(
        &self,
        session: &Attached,
        sandbox: &Sandbox,
    ) -> Result<(), Failure> {
        if !sandbox.spec.providers.is_empty() {
            let environment = self.provider_environment(&sandbox.spec.providers).await?;
            let message = ProviderEnvironment { environment };
            // A supervisor that takes no messages gets it when it connects again.
            session.send(to_supervisor::Message::ProviderEnvironment(message));
        }
        Ok(())
    }
}

fn read(message: data::Provider, old: Option<&Provider>) -> Result<Provider, Failure> {
    let name = Name::parse(&message.name)?;
    let kind = match (message.r#type.as_str(), old) {
        ("", Some(old)) => old.kind.clone(),
        ("", None) => return Err(Failure::Invalid("a provider needs a type".into())),
        (kind, _) => kind.to_owned(),
    };
    if kind.len() > KIND_BYTES || kind.chars().any(char::is_control) {
        return Err(Failure::Invalid("a provider's type is a short word".into()));
    }
    check_environment(&message.credentials)?;
    check_map("config", &message.config)?;
    let mut credentials = BTreeMap::new();
    for (name, value) in message.credentials {
        let kept = old.and_then(|old| old.credentials.get(&name));
        let secret = match (value.as_str(), kept) {
            (REDACTED, Some(kept)) => kept.clone(),
            (REDACTED, None) => {
                let message = format!(
                    "credential {name}: `{REDACTED}` stands for a value that is kept, and there is none"
                );
                return Err(Failure::Invalid(message));
            }
            (_, _) => Secret::new(value),
        };
        credentials.insert(name, secret);
    }
    Ok(Provider {
        id: old.map_or_else(Uuid::now_v7, |old| old.id),
        name,
        kind,
        credentials,
        config: message.config,
        created_at: old.map_or_else(now, |old| old.created_at),
        record_version: old.map_or(0, |old| old.record_version),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(credentials: &[(&str, &str)]) -> data::Provider {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        data::Provider {
            name: "github".into(),
            r#type: "github".into(),
            credentials: credentials.iter().map(own).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn a_redacted_value_stands_for_the_one_that_is_kept() {
        let old = read(message(&[("A", "one"), ("B", "two")]), None).unwrap();
        let new = read(message(&[("A", REDACTED), ("C", "three")]), Some(&old)).unwrap();
        let shown: Vec<_> =
            new.credentials.iter().map(|(name, secret)| (name.as_str(), secret.expose())).collect();
        assert_eq!(shown, [("A", "one"), ("C", "three")]);
        assert_eq!((new.id, new.created_at), (old.id, old.created_at));
        assert!(read(message(&[("D", REDACTED)]), Some(&old)).is_err());
        assert!(read(message(&[("A", REDACTED)]), None).is_err());
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for name in ["", "1A", "A-B", "A=B"] {
            assert!(read(message(&[(name, "x")]), None).is_err(), "{name}");
        }
        let long = "x".repeat(64);
        for kind in ["", "a\nb", long.as_str()] {
            let message = data::Provider { r#type: kind.into(), ..message(&[]) };
            assert!(read(message, None).is_err(), "{kind:?}");
        }
        let unnamed = data::Provider { name: "Not A Name".into(), ..message(&[]) };
        assert!(read(unnamed, None).is_err());
    }
}
