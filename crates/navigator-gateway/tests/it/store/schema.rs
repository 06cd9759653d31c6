//! Opening stores: again, several times, with another key, and from another version.

use std::io::{Read as _, Write as _};

use navigator_gateway::store::{SealingKey, Store, StoreError, StoreUrl};

use super::bed::{self, Bed, key};
use super::samples::{PAGE, provider, revision, sandbox};

super::on_both! {
    what_is_stored_is_there_when_it_is_opened_again,
    a_newer_schema_is_refused,
    a_foreign_schema_is_refused,
    another_key_is_refused,
    a_damaged_value_is_named,
}

async fn what_is_stored_is_there_when_it_is_opened_again(bed: Bed) {
    let (made, credentials) = (sandbox("demo"), provider("demo"));
    bed.store.create_sandbox(&made, Some(&revision(1))).await.unwrap();
    bed.store.create_provider(&credentials).await.unwrap();
    let bed = bed.reopen(key()).await.unwrap();
    assert_eq!(bed.store.sandbox(made.id).await.unwrap().as_ref(), Some(&made));
    assert_eq!(bed.store.newest_revision(made.id).await.unwrap(), Some(revision(1)));
    assert_eq!(bed.store.providers(PAGE).await.unwrap(), [credentials]);
}

async fn a_newer_schema_is_refused(bed: Bed) {
    bed.sql(
        "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) \
         VALUES (99, 'later', '2030-01-01T00:00:00Z', '1')",
    )
    .await;
    let error = bed.reopen(key()).await.err().unwrap();
    assert!(matches!(error, StoreError::Newer { found: 99, known: 2 }), "{error:?}");
    assert!(error.to_string().contains("use a newer navigator"), "{error}");
}

async fn a_foreign_schema_is_refused(bed: Bed) {
    bed.sql("UPDATE refinery_schema_history SET checksum = '1'").await;
    let error = bed.reopen(key()).await.err().unwrap();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
}

async fn another_key_is_refused(bed: Bed) {
    bed.store.create_provider(&provider("demo")).await.unwrap();
    let (url, text) = (bed.url.clone(), bed.text.clone());
    let error = bed.reopen(SealingKey::from_bytes(&[8; 32])).await.err().unwrap();
    assert!(matches!(error, StoreError::WrongKey), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    let store = Store::open(&url, key()).await.unwrap();
    let bed = Bed { store, url, text };
    assert_eq!(bed.store.providers(PAGE).await.unwrap().len(), 1);
}

async fn a_damaged_value_is_named(bed: Bed) {
    bed.store.create_sandbox(&sandbox("demo"), Some(&revision(1))).await.unwrap();
    bed.sql("UPDATE policy_revisions SET policy = 'version: [', status = 'pending'").await;
    bed.sql("UPDATE sandboxes SET restarts = -1").await;
    let found = bed.store.sandboxes(PAGE).await;
    let Err(StoreError::Corrupt(what)) = found else { panic!("{found:?}") };
    assert_eq!(what, "sandboxes.restarts");
    let id = bed.store.all_sandboxes().await.unwrap()[0].id;
    let found = bed.store.newest_revision(id).await;
    let Err(StoreError::Corrupt(what)) = found else { panic!("{found:?}") };
    assert_eq!(what, "policy_revisions.policy");
}

#[test]
fn a_server_that_is_closed_for_writing_is_read() {
    bed::on_postgres(async |bed: Bed| {
        let mut made = sandbox("demo");
        bed.store.create_sandbox(&made, None).await.unwrap();
        let database = bed.text.rsplit('/').next().unwrap().to_owned();
        let close = format!("ALTER DATABASE {database} SET default_transaction_read_only = on");
        bed.sql(&close).await;
        let bed = bed.reopen(key()).await.unwrap();
        let saved = bed.store.save_sandbox(&mut made).await;
        assert!(matches!(saved, Err(StoreError::ReadOnly(_))), "{saved:?}");
        assert_eq!(bed.store.sandboxes(PAGE).await.unwrap(), [made]);
    });
}

#[test]
fn gateways_that_start_together_share_one_server() {
    bed::on_postgres(async |bed: Bed| {
        bed.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
        let open = || {
            let url = bed.url.clone();
            tokio::spawn(async move { Store::open(&url, key()).await })
        };
        for opening in [open(), open(), open(), open()] {
            let store = opening.await.unwrap().unwrap();
            store.create_provider(&provider(&format!("p-{}", uuid::Uuid::now_v7()))).await.unwrap();
        }
        let store = open().await.unwrap().unwrap();
        assert_eq!(store.providers(PAGE).await.unwrap().len(), 4);
    });
}

#[test]
fn a_server_that_is_not_there_is_unavailable() {
    bed::block_on(async {
        let url = StoreUrl::parse("postgres://me:hunter2@%2Fnowhere/db").unwrap();
        let error = Store::open(&url, key()).await.err().unwrap();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(!format!("{error:?} {url} {url:?}").contains("hunter2"));
    });
}

#[test]
fn a_server_over_tcp_hears_nothing_before_it_speaks_tls() {
    // PostgreSQL's request for TLS: its length, then 1234 and 5679.
    const REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    for mode in ["", "?sslmode=prefer", "?sslmode=require"] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut heard = vec![0; REQUEST.len()];
            client.read_exact(&mut heard).unwrap();
            // It has no TLS.
            client.write_all(b"N").unwrap();
            client.read_to_end(&mut heard).unwrap();
            heard
        });
        let url = format!("postgres://me:hunter2@127.0.0.1:{port}/db{mode}");
        let url = StoreUrl::parse(&url).unwrap();
        let error = bed::block_on(Store::open(&url, key())).err().unwrap();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(!format!("{error:?}").contains("hunter2"));
        assert_eq!(server.join().unwrap(), REQUEST, "{mode}");
    }
}
