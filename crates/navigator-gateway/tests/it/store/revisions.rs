//! Revisions of policies.

use navigator_gateway::records::{Page, Revision, RevisionStatus};
use navigator_gateway::store::StoreError;
use uuid::Uuid;

use super::bed::Bed;
use super::samples::{any_text, revision, sandbox, with_any};

super::on_both! {
    a_revision_supersedes_those_that_are_pending,
    a_revision_that_does_not_follow_the_newest_is_refused,
    of_revisions_at_once_exactly_one_wins,
    what_is_settled_stays,
    a_revision_is_read_as_it_was_written,
    every_failure_is_read_as_it_was_written,
}

async fn with_first(bed: &Bed) -> Uuid {
    let made = sandbox("demo");
    bed.store.create_sandbox(&made, Some(&revision(1))).await.unwrap();
    made.id
}

async fn status(bed: &Bed, id: Uuid, version: u32) -> RevisionStatus {
    bed.store.revision(id, version).await.unwrap().unwrap().status
}

async fn a_revision_supersedes_those_that_are_pending(bed: Bed) {
    let id = with_first(&bed).await;
    let loaded = RevisionStatus::Loaded;
    assert!(bed.store.settle_revision(id, 1, &loaded, 40).await.unwrap());
    bed.store.add_revision(id, &revision(2), 1).await.unwrap();
    bed.store.add_revision(id, &revision(3), 2).await.unwrap();
    assert_eq!(status(&bed, id, 1).await, RevisionStatus::Loaded);
    assert_eq!(status(&bed, id, 2).await, RevisionStatus::Superseded);
    let newest = bed.store.newest_revision(id).await.unwrap();
    assert_eq!(newest, Some(revision(3)));
    let in_force = bed.store.last_loaded_revision(id).await.unwrap().unwrap();
    assert_eq!(in_force, Revision { status: loaded, loaded_at: Some(40), ..revision(1) });
    let page = Page { limit: 2, offset: 1 };
    let versions = bed.store.revisions(id, page).await.unwrap();
    assert_eq!(versions.iter().map(|one| one.version).collect::<Vec<_>>(), [2, 1]);
}

async fn a_revision_that_does_not_follow_the_newest_is_refused(bed: Bed) {
    let id = with_first(&bed).await;
    for (version, expected) in [(1, 0), (3, 2), (3, 1), (2, 2)] {
        let added = bed.store.add_revision(id, &revision(version), expected).await;
        assert!(matches!(added, Err(StoreError::Conflict)), "{version} {added:?}");
    }
    assert_eq!(bed.store.newest_revision(id).await.unwrap(), Some(revision(1)));
    for (version, expected) in [(1, 0), (2, 1)] {
        let added = bed.store.add_revision(Uuid::now_v7(), &revision(version), expected).await;
        assert!(matches!(added, Err(StoreError::Missing)), "{added:?}");
    }
}

async fn of_revisions_at_once_exactly_one_wins(bed: Bed) {
    let id = with_first(&bed).await;
    let tasks = (0..16).map(|at| {
        let (store, mut mine) = (bed.store.clone(), revision(2));
        mine.created_at = at;
        tokio::spawn(async move { store.add_revision(id, &mine, 1).await.map(|()| mine) })
    });
    let mut winners = vec![];
    for task in tasks.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Ok(added) => winners.push(added),
            Err(error) => assert!(matches!(error, StoreError::Conflict), "{error:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(bed.store.newest_revision(id).await.unwrap(), winners.pop());
}

async fn what_is_settled_stays(bed: Bed) {
    let id = with_first(&bed).await;
    let failed = RevisionStatus::Failed("no such path".into());
    let store = &bed.store;
    assert!(!store.settle_revision(id, 1, &RevisionStatus::Pending, 5).await.unwrap());
    assert!(store.settle_revision(id, 1, &failed, 5).await.unwrap());
    assert!(!store.settle_revision(id, 1, &RevisionStatus::Loaded, 6).await.unwrap());
    assert_eq!(status(&bed, id, 1).await, failed);
    assert_eq!(store.last_loaded_revision(id).await.unwrap(), None);
    store.add_revision(id, &revision(2), 1).await.unwrap();
    assert_eq!(status(&bed, id, 1).await, failed);
    store.add_revision(id, &revision(3), 2).await.unwrap();
    assert!(!store.settle_revision(id, 2, &RevisionStatus::Loaded, 7).await.unwrap());
    assert_eq!(status(&bed, id, 2).await, RevisionStatus::Superseded);
    assert!(!store.settle_revision(id, 4, &RevisionStatus::Loaded, 7).await.unwrap());
}

async fn a_revision_is_read_as_it_was_written(bed: Bed) {
    let made = sandbox("demo");
    let text = r#"
version: 1
filesystem_policy: { include_workdir: true, read_only: ["/usr", "/a'b"], read_write: [/tmp] }
process: { run_as_user: sandbox, run_as_group: sandbox }
network_policies:
  web:
    name: "quote's"
    endpoints: [{ host: "*.example.com", port: 443, protocol: rest, access: read-only }]
    binaries: [{ path: /usr/bin/curl }]
"#;
    let policy = navigator_policy::load("test", text).unwrap().policy;
    let written = Revision { hash: policy.hash().to_string(), policy, ..revision(1) };
    bed.store.create_sandbox(&made, Some(&written)).await.unwrap();
    assert_eq!(bed.store.revision(made.id, 1).await.unwrap(), Some(written));
    assert_eq!(bed.store.revision(made.id, 2).await.unwrap(), None);
}

async fn every_failure_is_read_as_it_was_written(bed: Bed) {
    let made = sandbox("demo");
    with_any(any_text(), async |text| {
        bed.store.create_sandbox(&made, Some(&revision(1))).await.unwrap();
        let failed = RevisionStatus::Failed(text);
        assert!(bed.store.settle_revision(made.id, 1, &failed, 5).await.unwrap());
        assert_eq!(status(&bed, made.id, 1).await, failed);
        assert!(bed.store.remove_sandbox(made.id).await.unwrap());
    });
}
