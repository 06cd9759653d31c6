//! Routes of inference.

use navigator_gateway::records::Secret;
use navigator_gateway::store::StoreError;

use super::bed::Bed;
use super::samples::{PAGE, any_route, name, route, with_any};

super::on_both! {
    a_route_lives,
    enabled_routes_are_found_by_hint,
    a_change_of_an_old_route_is_refused,
    every_route_is_read_as_it_was_written,
}

async fn a_route_lives(bed: Bed) {
    let (mut first, second) = (route("first"), route("second"));
    bed.store.create_route(&first).await.unwrap();
    bed.store.create_route(&second).await.unwrap();
    let taken = bed.store.create_route(&route("first")).await;
    assert!(matches!(taken, Err(StoreError::NameTaken)), "{taken:?}");
    assert_eq!(bed.store.routes(PAGE).await.unwrap(), [first.clone(), second]);
    first.routing_hint = "cloud".into();
    first.base_url = "https://other.example".into();
    first.protocols.reverse();
    first.api_key = Secret::new("another".into());
    first.model_id = "large".into();
    first.enabled = false;
    bed.store.save_route(&mut first).await.unwrap();
    assert_eq!(first.record_version, 2);
    assert_eq!(bed.store.route_named(&first.name).await.unwrap().as_ref(), Some(&first));
    assert!(bed.store.remove_route(&first.name).await.unwrap());
    assert!(!bed.store.remove_route(&first.name).await.unwrap());
    assert_eq!(bed.store.route_named(&first.name).await.unwrap(), None);
    let missing = bed.store.save_route(&mut first).await;
    assert!(matches!(missing, Err(StoreError::Missing)), "{missing:?}");
}

async fn enabled_routes_are_found_by_hint(bed: Bed) {
    for (text, hint, enabled, at) in [
        ("late", "a", true, 9),
        ("early", "b", true, 1),
        ("off", "a", false, 2),
        ("other", "c", true, 3),
    ] {
        let mut made = route(text);
        (made.routing_hint, made.enabled, made.created_at) = (hint.into(), enabled, at);
        bed.store.create_route(&made).await.unwrap();
    }
    let hints = ["a".to_owned(), "b".to_owned()];
    let found = bed.store.enabled_routes(&hints).await.unwrap();
    assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["early", "late"]);
    assert_eq!(found[0].protocols, route("x").protocols);
    assert_eq!(bed.store.enabled_routes(&[]).await.unwrap(), []);
}

async fn a_change_of_an_old_route_is_refused(bed: Bed) {
    let mut new = route("demo");
    bed.store.create_route(&new).await.unwrap();
    let mut old = new.clone();
    bed.store.save_route(&mut new).await.unwrap();
    let saved = bed.store.save_route(&mut old).await;
    assert!(matches!(saved, Err(StoreError::Conflict)), "{saved:?}");
    assert_eq!(bed.store.route_named(&name("demo")).await.unwrap(), Some(new));
}

async fn every_route_is_read_as_it_was_written(bed: Bed) {
    with_any(any_route(), async |written| {
        bed.store.create_route(&written).await.unwrap();
        let hint = [written.routing_hint.clone()];
        let enabled = bed.store.enabled_routes(&hint).await.unwrap();
        assert_eq!(enabled.len(), usize::from(written.enabled));
        let name = written.name.clone();
        assert_eq!(bed.store.route_named(&name).await.unwrap(), Some(written));
        assert!(bed.store.remove_route(&name).await.unwrap());
    });
}
