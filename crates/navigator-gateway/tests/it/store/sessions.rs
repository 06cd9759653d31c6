//! Rights to reach sandboxes' SSH servers.

use navigator_gateway::store::StoreError;
use uuid::Uuid;

use super::bed::Bed;
use super::samples::{sandbox, session};

super::on_both! {
    a_session_is_found_until_it_is_forgotten,
    a_session_is_revoked_once,
    a_session_is_used_once_while_it_is_good,
}

async fn a_session_is_found_until_it_is_forgotten(bed: Bed) {
    let made = sandbox("demo");
    bed.store.create_sandbox(&made, None).await.unwrap();
    let (first, second) = (session(made.id, 1), session(made.id, 2));
    bed.store.add_ssh_session(&first).await.unwrap();
    bed.store.add_ssh_session(&second).await.unwrap();
    let nowhere = bed.store.add_ssh_session(&session(Uuid::now_v7(), 3)).await;
    assert!(matches!(nowhere, Err(StoreError::Missing)), "{nowhere:?}");
    assert_eq!(bed.store.ssh_session(&[1; 32]).await.unwrap().as_ref(), Some(&first));
    assert_eq!(bed.store.ssh_session(&[9; 32]).await.unwrap(), None);
    assert_eq!(bed.store.forget_expired_ssh_sessions(first.expires_at).await.unwrap(), 1);
    assert_eq!(bed.store.ssh_session(&[1; 32]).await.unwrap(), None);
    assert_eq!(bed.store.ssh_session(&[2; 32]).await.unwrap(), Some(second));
}

async fn a_session_is_revoked_once(bed: Bed) {
    let made = sandbox("demo");
    bed.store.create_sandbox(&made, None).await.unwrap();
    bed.store.add_ssh_session(&session(made.id, 1)).await.unwrap();
    assert_eq!(bed.store.revoke_ssh_session(&[1; 32]).await.unwrap(), Some(made.id));
    assert_eq!(bed.store.revoke_ssh_session(&[1; 32]).await.unwrap(), None);
    assert_eq!(bed.store.revoke_ssh_session(&[2; 32]).await.unwrap(), None);
    assert!(bed.store.ssh_session(&[1; 32]).await.unwrap().unwrap().revoked);
}

async fn a_session_is_used_once_while_it_is_good(bed: Bed) {
    let made = sandbox("demo");
    bed.store.create_sandbox(&made, None).await.unwrap();
    for number in 1..=3 {
        bed.store.add_ssh_session(&session(made.id, number)).await.unwrap();
    }
    let end = session(made.id, 1).expires_at;
    assert!(!bed.store.use_ssh_session(&[1; 32], end).await.unwrap(), "it has expired");
    assert!(bed.store.use_ssh_session(&[1; 32], end - 1).await.unwrap());
    assert!(!bed.store.use_ssh_session(&[1; 32], end - 1).await.unwrap(), "it was used");
    assert!(bed.store.ssh_session(&[1; 32]).await.unwrap().unwrap().used);
    bed.store.revoke_ssh_session(&[2; 32]).await.unwrap();
    assert!(!bed.store.use_ssh_session(&[2; 32], 0).await.unwrap(), "it was taken back");
    assert!(!bed.store.use_ssh_session(&[9; 32], 0).await.unwrap(), "there is none");
    assert_eq!(bed.store.revoke_ssh_session(&[1; 32]).await.unwrap(), Some(made.id), "used or not");
}
