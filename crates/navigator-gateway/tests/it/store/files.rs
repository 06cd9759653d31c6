//! The store's files: whose they are, and what cannot be read in them.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use navigator_gateway::records::Secret;
use navigator_gateway::store::{SealingKey, SealingKeyError, Store, StoreError, StoreUrl};

use super::bed::{Bed, block_on, file_in, key};
use super::samples::{name, provider, revision, route, sandbox};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn files_are_for_their_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    block_on(async {
        let bed = Bed::new(file_in(dir.path())).await;
        bed.store.create_sandbox(&sandbox("demo"), Some(&revision(1))).await.unwrap();
        let inside = dir.path().join("store");
        assert_eq!(mode(&inside), 0o700);
        let files = std::fs::read_dir(&inside).unwrap().map(|entry| entry.unwrap());
        let files: Vec<_> = files.map(|entry| entry.path()).collect();
        assert!(files.len() >= 3, "{files:?}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    });
}

#[test]
fn a_file_that_others_could_read_is_closed_to_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("navigator.db");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
    block_on(async {
        let bed = Bed::new(path.display().to_string()).await;
        assert_eq!(mode(&path), 0o600);
        bed.store.ping().await.unwrap();
    });
}

#[test]
fn a_second_gateway_on_one_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    block_on(async {
        let bed = Bed::new(file_in(dir.path())).await;
        let error = Store::open(&bed.url, key()).await.err().unwrap();
        assert!(matches!(error, StoreError::InUse(_)), "{error:?}");
        bed.store.ping().await.unwrap();
        bed.reopen(key()).await.unwrap();
    });
}

#[test]
fn no_secret_is_in_the_files() {
    const SECRETS: [&str; 3] = ["hunter2-credential", "hunter2-changed", "hunter2-api-key"];
    let dir = tempfile::tempdir().unwrap();
    block_on(async {
        let bed = Bed::new(file_in(dir.path())).await;
        let mut credentials = provider("demo");
        let secret = |text: &str| [("TOKEN".to_owned(), Secret::new(text.into()))].into();
        credentials.credentials = secret(SECRETS[0]);
        bed.store.create_provider(&credentials).await.unwrap();
        credentials.credentials = secret(SECRETS[1]);
        bed.store.save_provider(&mut credentials).await.unwrap();
        let mut model = route("demo");
        model.api_key = Secret::new(SECRETS[2].into());
        bed.store.create_route(&model).await.unwrap();
        let mut seen = no_secret_in(&dir.path().join("store"), &SECRETS);
        // The same after everything has moved from the log to the database.
        drop(bed.store);
        seen += no_secret_in(&dir.path().join("store"), &SECRETS);
        assert!(seen >= 2, "the files hold what is no secret");
    });
}

/// Returns how many files hold the provider's name, so that the search is known to work.
fn no_secret_in(dir: &Path, secrets: &[&str]) -> usize {
    let mut seen = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let holds = |text: &str| bytes.windows(text.len()).any(|bytes| bytes == text.as_bytes());
        for secret in secrets {
            assert!(!holds(secret), "{} holds {secret}", path.display());
        }
        seen += usize::from(holds("github.example"));
    }
    seen
}

#[test]
fn a_key_file_is_made_once_and_for_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let makers: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || SealingKey::load_or_create(&path).unwrap())
        })
        .collect();
    let keys: Vec<_> = makers.into_iter().map(|maker| maker.join().unwrap()).collect();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(std::fs::read(&path).unwrap().len(), 32);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(format!("{:?}", keys[0]), "SealingKey([redacted])");
    // All have the same key: what one seals, the others unseal.
    block_on(async {
        let url = StoreUrl::file(&dir.path().join("store/navigator.db"));
        for (number, key) in keys.into_iter().enumerate() {
            let store = Store::open(&url, key).await.unwrap();
            store.create_provider(&provider(&format!("p{number}"))).await.unwrap();
            assert!(store.provider_named(&name("p0")).await.unwrap().is_some());
        }
    });
}

#[test]
fn a_key_file_that_others_can_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    SealingKey::load_or_create(&path).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o601] {
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = SealingKey::load_or_create(&path).unwrap_err();
        assert!(matches!(error, SealingKeyError::Exposed(_)), "{mode:o} {error:?}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}

#[test]
fn a_key_file_of_somebody_else_is_refused() {
    // An ordinary user finds root's; root makes one that is an ordinary user's.
    let dir = tempfile::tempdir().unwrap();
    let mut path = dir.path().join("key");
    if rustix::process::geteuid().is_root() {
        SealingKey::load_or_create(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
    } else {
        path = "/etc/passwd".into();
    }
    let error = SealingKey::load_or_create(&path).unwrap_err();
    assert!(matches!(error, SealingKeyError::Foreign(_)), "{error:?}");
}

#[test]
fn what_is_no_key_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for length in [0, 31, 33] {
        let path = dir.path().join(format!("key{length}"));
        std::fs::write(&path, vec![1; length]).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let error = SealingKey::load_or_create(&path).unwrap_err();
        assert!(matches!(error, SealingKeyError::Malformed(_)), "{length} {error:?}");
    }
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    SealingKey::load_or_create(&real).unwrap();
    symlink(&real, &link).unwrap();
    let error = SealingKey::load_or_create(&link).unwrap_err();
    assert!(matches!(error, SealingKeyError::Read { .. }), "{error:?}");
    let error = SealingKey::load_or_create(&dir.path().join("no/key")).unwrap_err();
    assert!(matches!(error, SealingKeyError::Make { .. }), "{error:?}");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("letter");
    let letter = "Dear reader, ".repeat(1000);
    std::fs::write(&path, &letter).unwrap();
    let error = block_on(Store::open(&StoreUrl::file(&path), key())).err().unwrap();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), letter);
}

#[test]
fn a_url_is_a_path_or_a_server() {
    let shown = |text| StoreUrl::parse(text).map(|url| url.to_string());
    assert_eq!(shown("/var/lib/x.db").unwrap(), "sqlite:/var/lib/x.db");
    assert_eq!(shown("sqlite:x.db").unwrap(), "sqlite:x.db");
    for scheme in ["postgres", "postgresql"] {
        let text = format!("{scheme}://me:hunter2@db.example:5433/navigator?sslmode=require");
        let url = StoreUrl::parse(&text).unwrap();
        assert_eq!(url.to_string(), "postgres://db.example/navigator");
        assert!(!format!("{url:?}").contains("hunter2"));
    }
    assert_eq!(shown("postgres://me@%2Frun%2Fpg/db").unwrap(), "postgres:///run/pg/db");
    for bad in [
        "",
        "sqlite:",
        ":memory:",
        "sqlite::memory:",
        "file:x?mode=memory",
        "mysql://hunter2@h/db",
        "postgres://",
        "postgres://h",
        "postgres://me:hunter2@h/db?sslmode=hunter2",
        "postgres://me:hunter2@h:port/db",
    ] {
        let error = StoreUrl::parse(bad).expect_err(bad);
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
