//! Sandboxes and their events.

use navigator_gateway::records::{Desired, Page, Phase};
use navigator_gateway::store::{Standing, StoreError};
use serde_json::json;
use uuid::Uuid;

use super::bed::Bed;
use super::samples::{
    PAGE, any_event, any_sandbox, condition, event, name, revision, sandbox, session, with_any,
};

super::on_both! {
    a_sandbox_is_found_as_it_was_made,
    a_sandbox_comes_with_its_first_revision_or_not_at_all,
    a_name_is_taken_once,
    a_list_is_ordered_by_age_and_name,
    a_save_changes_what_can_change_and_nothing_else,
    a_save_from_an_old_record_is_refused,
    of_savers_at_once_exactly_one_wins,
    of_creators_at_once_exactly_one_wins,
    a_removed_sandbox_leaves_nothing,
    a_supervisor_is_known_by_its_credential,
    a_sandbox_is_found_by_its_providers,
    a_document_that_cannot_be_read_again_is_refused,
    the_newest_events_are_kept_in_order,
    events_at_once_are_all_kept,
    every_sandbox_is_read_as_it_was_written,
    every_event_is_read_as_it_was_written,
}

async fn a_sandbox_is_found_as_it_was_made(bed: Bed) {
    let made = sandbox("demo");
    bed.store.ping().await.unwrap();
    bed.store.create_sandbox(&made, None).await.unwrap();
    assert_eq!(bed.store.sandbox(made.id).await.unwrap().as_ref(), Some(&made));
    assert_eq!(bed.store.sandbox_named(&made.name).await.unwrap().as_ref(), Some(&made));
    assert_eq!(bed.store.sandbox(Uuid::now_v7()).await.unwrap(), None);
    assert_eq!(bed.store.sandbox_named(&name("other")).await.unwrap(), None);
    assert_eq!(bed.store.newest_revision(made.id).await.unwrap(), None);
}

async fn a_sandbox_comes_with_its_first_revision_or_not_at_all(bed: Bed) {
    let made = sandbox("demo");
    let second = bed.store.create_sandbox(&made, Some(&revision(2))).await;
    assert!(matches!(second, Err(StoreError::Conflict)), "{second:?}");
    assert_eq!(bed.store.sandbox(made.id).await.unwrap(), None);
    bed.store.create_sandbox(&made, Some(&revision(1))).await.unwrap();
    assert_eq!(bed.store.newest_revision(made.id).await.unwrap(), Some(revision(1)));
}

async fn a_name_is_taken_once(bed: Bed) {
    let first = sandbox("demo");
    bed.store.create_sandbox(&first, None).await.unwrap();
    let second = bed.store.create_sandbox(&sandbox("demo"), Some(&revision(1))).await;
    assert!(matches!(second, Err(StoreError::NameTaken)), "{second:?}");
    assert_eq!(bed.store.sandboxes(PAGE).await.unwrap(), [first]);
}

async fn a_list_is_ordered_by_age_and_name(bed: Bed) {
    for (text, at) in [("c", 2), ("b", 3), ("a", 3), ("d", 1)] {
        let mut made = sandbox(text);
        made.created_at = at;
        bed.store.create_sandbox(&made, None).await.unwrap();
    }
    let names = async |limit, offset| {
        let list = bed.store.sandboxes(Page { limit, offset }).await.unwrap();
        assert!(list.iter().all(|one| one.spec == sandbox("x").spec));
        list.iter().map(|one| one.name.to_string()).collect::<String>()
    };
    assert_eq!(names(10, 0).await, "dcab");
    assert_eq!(names(2, 1).await, "ca");
    assert_eq!(names(10, 4).await, "");
    assert_eq!(bed.store.count_sandboxes().await.unwrap(), 4);
    let all = bed.store.all_sandboxes().await.unwrap();
    let oldest = bed.store.sandbox_named(&name("d")).await.unwrap().unwrap();
    let standing =
        Standing { id: oldest.id, desired: Desired::Running, phase: Phase::Provisioning };
    assert_eq!((all.len(), &all[0]), (4, &standing));
}

async fn a_save_changes_what_can_change_and_nothing_else(bed: Bed) {
    let mut known = sandbox("demo");
    bed.store.create_sandbox(&known, None).await.unwrap();
    known.desired = Desired::Stopped;
    known.phase = Phase::Stopped;
    known.conditions = vec![condition("Stopped")];
    known.layers.reverse();
    known.skipped.clear();
    known.restarts = 3;
    known.policy_in_force = 7;
    known.token_hash = Some([9; 32]);
    let asked_for = known.spec.clone();
    known.spec.environment.clear();
    bed.store.save_sandbox(&mut known).await.unwrap();
    known.spec = asked_for;
    assert_eq!(known.record_version, 2);
    assert_eq!(bed.store.sandbox(known.id).await.unwrap(), Some(known));
}

async fn a_save_from_an_old_record_is_refused(bed: Bed) {
    let mut new = sandbox("demo");
    bed.store.create_sandbox(&new, None).await.unwrap();
    let mut old = new.clone();
    bed.store.save_sandbox(&mut new).await.unwrap();
    old.conditions.clear();
    let saved = bed.store.save_sandbox(&mut old).await;
    assert!(matches!(saved, Err(StoreError::Conflict)), "{saved:?}");
    assert_eq!(old.record_version, 1);
    assert_eq!(bed.store.sandbox(new.id).await.unwrap().as_ref(), Some(&new));
    bed.store.remove_sandbox(new.id).await.unwrap();
    let saved = bed.store.save_sandbox(&mut new).await;
    assert!(matches!(saved, Err(StoreError::Missing)), "{saved:?}");
}

async fn of_savers_at_once_exactly_one_wins(bed: Bed) {
    let made = sandbox("demo");
    bed.store.create_sandbox(&made, None).await.unwrap();
    let savers = (1..=16).map(|restarts| {
        let (store, mut mine) = (bed.store.clone(), made.clone());
        mine.restarts = restarts;
        tokio::spawn(async move { store.save_sandbox(&mut mine).await.map(|()| mine) })
    });
    let mut winners = vec![];
    for saver in savers.collect::<Vec<_>>() {
        match saver.await.unwrap() {
            Ok(saved) => winners.push(saved),
            Err(error) => assert!(matches!(error, StoreError::Conflict), "{error:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(bed.store.sandbox(made.id).await.unwrap(), winners.pop());
}

async fn of_creators_at_once_exactly_one_wins(bed: Bed) {
    let creators = (0..16).map(|_| {
        let store = bed.store.clone();
        tokio::spawn(async move { store.create_sandbox(&sandbox("demo"), None).await })
    });
    let mut won = 0;
    for creator in creators.collect::<Vec<_>>() {
        match creator.await.unwrap() {
            Ok(()) => won += 1,
            Err(error) => assert!(matches!(error, StoreError::NameTaken), "{error:?}"),
        }
    }
    assert_eq!((won, bed.store.count_sandboxes().await.unwrap()), (1, 1));
}

async fn a_removed_sandbox_leaves_nothing(bed: Bed) {
    let made = sandbox("demo");
    bed.store.create_sandbox(&made, Some(&revision(1))).await.unwrap();
    bed.store.add_event(made.id, &event(1)).await.unwrap();
    bed.store.add_ssh_session(&session(made.id, 1)).await.unwrap();
    assert!(bed.store.remove_sandbox(made.id).await.unwrap());
    assert!(!bed.store.remove_sandbox(made.id).await.unwrap());
    assert_eq!(bed.store.sandbox(made.id).await.unwrap(), None);
    assert_eq!(bed.store.newest_revision(made.id).await.unwrap(), None);
    assert_eq!(bed.store.events(made.id, 10).await.unwrap(), []);
    assert_eq!(bed.store.ssh_session(&[1; 32]).await.unwrap(), None);
    assert!(bed.store.sandboxes_with_provider(&name("zeta")).await.unwrap().is_empty());
    // Nothing of it is in the way of another one with the same id.
    bed.store.create_sandbox(&made, Some(&revision(1))).await.unwrap();
    assert_eq!(bed.store.sandbox(made.id).await.unwrap(), Some(made));
}

async fn a_supervisor_is_known_by_its_credential(bed: Bed) {
    let mut made = sandbox("demo");
    made.token_hash = Some([3; 32]);
    bed.store.create_sandbox(&made, None).await.unwrap();
    bed.store.create_sandbox(&sandbox("other"), None).await.unwrap();
    assert_eq!(bed.store.sandbox_with_token(&[3; 32]).await.unwrap(), Some(made.id));
    assert_eq!(bed.store.sandbox_with_token(&[4; 32]).await.unwrap(), None);
    made.token_hash = None;
    bed.store.save_sandbox(&mut made).await.unwrap();
    assert_eq!(bed.store.sandbox_with_token(&[3; 32]).await.unwrap(), None);
}

async fn a_sandbox_is_found_by_its_providers(bed: Bed) {
    let mut twice = sandbox("twice");
    twice.spec.providers.push(name("zeta"));
    bed.store.create_sandbox(&twice, None).await.unwrap();
    let mut without = sandbox("without");
    without.spec.providers.clear();
    bed.store.create_sandbox(&without, None).await.unwrap();
    assert_eq!(bed.store.sandboxes_with_provider(&name("zeta")).await.unwrap(), [twice.id]);
    assert!(bed.store.sandboxes_with_provider(&name("beta")).await.unwrap().is_empty());
}

async fn a_document_that_cannot_be_read_again_is_refused(bed: Bed) {
    let mut deep = sandbox("deep");
    let document = (0..200).fold(json!(1), |inner, _| json!([inner]));
    deep.spec.template.pod_template = Some(document);
    let made = bed.store.create_sandbox(&deep, None).await;
    assert!(matches!(made, Err(StoreError::Unstorable(_))), "{made:?}");
    assert_eq!(bed.store.count_sandboxes().await.unwrap(), 0);
}

async fn the_newest_events_are_kept_in_order(bed: Bed) {
    let made = sandbox("demo");
    bed.store.create_sandbox(&made, None).await.unwrap();
    for at in 0..205 {
        bed.store.add_event(made.id, &event(at)).await.unwrap();
    }
    let all = bed.store.events(made.id, 1000).await.unwrap();
    assert_eq!(all, (5..205).map(event).collect::<Vec<_>>());
    let tail = bed.store.events(made.id, 2).await.unwrap();
    assert_eq!(tail, [event(203), event(204)]);
    assert_eq!(bed.store.events(made.id, 0).await.unwrap(), []);
    let nowhere = bed.store.add_event(Uuid::now_v7(), &event(1)).await;
    assert!(matches!(nowhere, Err(StoreError::Missing)), "{nowhere:?}");
}

async fn events_at_once_are_all_kept(bed: Bed) {
    let made = sandbox("demo");
    bed.store.create_sandbox(&made, None).await.unwrap();
    let tasks = (0..32).map(|at| {
        let (store, id) = (bed.store.clone(), made.id);
        tokio::spawn(async move { store.add_event(id, &event(at)).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    let mut times: Vec<_> =
        bed.store.events(made.id, 100).await.unwrap().iter().map(|event| event.at).collect();
    times.sort_unstable();
    assert_eq!(times, (0..32).collect::<Vec<_>>());
}

async fn every_sandbox_is_read_as_it_was_written(bed: Bed) {
    with_any((any_sandbox(), any_sandbox()), async |(written, later)| {
        let mut written = written;
        bed.store.create_sandbox(&written, None).await.unwrap();
        assert_eq!(bed.store.sandbox(written.id).await.unwrap().as_ref(), Some(&written));
        written = navigator_gateway::records::Sandbox {
            id: written.id,
            name: written.name,
            spec: written.spec,
            created_at: written.created_at,
            ..later
        };
        bed.store.save_sandbox(&mut written).await.unwrap();
        assert_eq!(bed.store.sandboxes(PAGE).await.unwrap(), [written.clone()]);
        assert!(bed.store.remove_sandbox(written.id).await.unwrap());
    });
}

async fn every_event_is_read_as_it_was_written(bed: Bed) {
    let made = sandbox("demo");
    bed.store.create_sandbox(&made, None).await.unwrap();
    with_any(any_event(), async |written| {
        bed.store.add_event(made.id, &written).await.unwrap();
        assert_eq!(bed.store.events(made.id, 1).await.unwrap(), [written]);
    });
}
