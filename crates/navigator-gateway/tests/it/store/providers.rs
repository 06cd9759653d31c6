//! Providers.

use navigator_gateway::records::{Page, Secret};
use navigator_gateway::store::StoreError;

use super::bed::Bed;
use super::samples::{PAGE, any_provider, name, provider, with_any};

super::on_both! {
    a_provider_lives,
    providers_come_in_the_order_of_their_names,
    a_change_of_an_old_provider_is_refused,
    a_moved_credential_is_not_unsealed,
    every_provider_is_read_as_it_was_written,
}

async fn a_provider_lives(bed: Bed) {
    let (mut first, second) = (provider("first"), provider("second"));
    bed.store.create_provider(&first).await.unwrap();
    bed.store.create_provider(&second).await.unwrap();
    let taken = bed.store.create_provider(&provider("first")).await;
    assert!(matches!(taken, Err(StoreError::NameTaken)), "{taken:?}");
    assert_eq!(bed.store.providers(PAGE).await.unwrap(), [first.clone(), second.clone()]);
    first.kind = "gitlab".into();
    first.credentials = [("OTHER".to_owned(), Secret::new("new".into()))].into();
    first.config.clear();
    bed.store.save_provider(&mut first).await.unwrap();
    assert_eq!(first.record_version, 2);
    assert_eq!(bed.store.provider_named(&first.name).await.unwrap().as_ref(), Some(&first));
    assert!(bed.store.remove_provider(&first.name).await.unwrap());
    assert!(!bed.store.remove_provider(&first.name).await.unwrap());
    assert_eq!(bed.store.provider_named(&first.name).await.unwrap(), None);
    let missing = bed.store.save_provider(&mut first).await;
    assert!(matches!(missing, Err(StoreError::Missing)), "{missing:?}");
    let page = Page { limit: 5, offset: 0 };
    assert_eq!(bed.store.providers(page).await.unwrap(), [second]);
}

async fn providers_come_in_the_order_of_their_names(bed: Bed) {
    let all = ["a", "b", "c"].map(provider);
    for one in &all {
        bed.store.create_provider(one).await.unwrap();
    }
    let names = ["c", "nobody", "a"].map(name);
    let found = bed.store.providers_by_name(&names).await.unwrap();
    assert_eq!(found, [all[2].clone(), all[0].clone()]);
    assert_eq!(bed.store.providers_by_name(&[]).await.unwrap(), []);
}

async fn a_change_of_an_old_provider_is_refused(bed: Bed) {
    let mut new = provider("demo");
    bed.store.create_provider(&new).await.unwrap();
    let mut old = new.clone();
    bed.store.save_provider(&mut new).await.unwrap();
    old.credentials.clear();
    let saved = bed.store.save_provider(&mut old).await;
    assert!(matches!(saved, Err(StoreError::Conflict)), "{saved:?}");
    assert_eq!(bed.store.providers(PAGE).await.unwrap(), [new]);
}

async fn a_moved_credential_is_not_unsealed(bed: Bed) {
    bed.store.create_provider(&provider("mine")).await.unwrap();
    let mut other = provider("yours");
    other.credentials = [("TOKEN".to_owned(), Secret::new("other".into()))].into();
    bed.store.create_provider(&other).await.unwrap();
    let mine = "(SELECT id FROM providers WHERE name = 'mine')";
    let take = format!(
        "UPDATE provider_credentials SET sealed = \
         (SELECT sealed FROM provider_credentials WHERE provider_id <> {mine}) \
         WHERE provider_id = {mine}"
    );
    bed.sql(&take).await;
    let found = bed.store.provider_named(&name("mine")).await;
    assert!(matches!(found, Err(StoreError::Corrupt(_))), "{found:?}");
    bed.sql("UPDATE provider_credentials SET name = 'RENAMED'").await;
    let found = bed.store.provider_named(&name("yours")).await;
    assert!(matches!(found, Err(StoreError::Corrupt(_))), "{found:?}");
}

async fn every_provider_is_read_as_it_was_written(bed: Bed) {
    with_any(any_provider(), async |written| {
        bed.store.create_provider(&written).await.unwrap();
        let name = written.name.clone();
        assert_eq!(bed.store.provider_named(&name).await.unwrap(), Some(written));
        assert!(bed.store.remove_provider(&name).await.unwrap());
    });
}
