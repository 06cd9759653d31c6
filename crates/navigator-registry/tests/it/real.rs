//! Pulls from Docker's own registry, the program of the Debian package `docker-registry`.

use std::path::Path;
use std::process::{Command, Stdio};

use navigator_registry::{Client, Failure, Options, PullError};

use crate::authority::Authority;
use crate::distribution::{Access, Registry};
use crate::image::{DOCKER_LIST, DOCKER_MANIFEST, INDEX, Image, MANIFEST, downloads, index, names};
use crate::puller::{Told, amd64, failure, name, quick, resolve, resolve_with, with_credentials};

/// Set where the test runs itself with other certificate authorities: the registry to pull from.
const INNER: &str = "NAVIGATOR_TEST_REGISTRY";

async fn pull(
    options: Options,
    registry: &Registry,
    rest: &str,
    into: &Path,
) -> Result<Told, PullError> {
    let client = Client::new(options).unwrap();
    let told = Told::default();
    let found = client.resolve(&name(registry.authority(), rest), &amd64(), &told).await?;
    client.download(&found, downloads(&found, into), &told).await?;
    Ok(told)
}

#[tokio::test]
async fn an_image_is_pulled_whole_and_only_once() {
    let Some(registry) = Registry::start(Access::Open) else { return };
    let image = Image::with_layers(&[3_000_000, 70_000, 1]);
    registry.push("team/tool", &image);
    registry.put("team/tool", "v1", MANIFEST, &image.manifest);
    let directory = tempfile::tempdir().unwrap();
    let first = pull(quick(), &registry, "team/tool:v1", directory.path()).await.unwrap();
    assert_eq!((first.of("finished").len(), first.of("cached").len()), (3, 0));
    let there = names(directory.path());
    assert_eq!(there.len(), 3);
    for name in there {
        let bytes = std::fs::read(directory.path().join(&name)).unwrap();
        assert!(image.find(&format!("sha256:{name}")) == Some(&bytes), "{name}");
    }
    let pinned = format!("team/tool@{}", image.digest());
    let second = pull(quick(), &registry, &pinned, directory.path()).await.unwrap();
    assert_eq!((second.of("finished").len(), second.of("cached").len()), (0, 3));
}

#[tokio::test]
async fn a_layer_is_resumed_where_it_was_left() {
    let Some(registry) = Registry::start(Access::Open) else { return };
    let image = Image::with_layers(&[3_000_000]);
    registry.push("a", &image);
    registry.put("a", "b", MANIFEST, &image.manifest);
    let directory = tempfile::tempdir().unwrap();
    let hex = navigator_registry::Digest::sha256(&image.layers[0]).hex().to_owned();
    let partial = directory.path().join(format!("{hex}.partial"));
    std::fs::write(partial, &image.layers[0][..1_234_567]).unwrap();
    let told = pull(quick(), &registry, "a:b", directory.path()).await.unwrap();
    assert_eq!(told.of("started"), ["started 1234567/3000000"]);
    assert!(std::fs::read(directory.path().join(hex)).unwrap() == image.layers[0]);
}

#[tokio::test]
async fn the_image_for_the_platform_is_pulled() {
    let Some(registry) = Registry::start(Access::Open) else { return };
    let (mine, other) = (Image::with_layers(&[9]), Image::new(vec![vec![1; 8]], "arm64"));
    for image in [&mine, &other] {
        registry.push("a", image);
        registry.put("a", &image.digest().to_string(), MANIFEST, &image.manifest);
    }
    registry.put("a", "b", INDEX, &index(&[(&other, "arm64"), (&mine, "amd64")]));
    let found = resolve(registry.authority(), "a:b").await.unwrap();
    assert_eq!(found.manifest_digest, mine.digest());
}

#[tokio::test]
async fn an_image_in_dockers_own_form_is_pulled() {
    let Some(registry) = Registry::start(Access::Open) else { return };
    let image = Image::with_layers(&[9]).dockers();
    registry.push("a", &image);
    registry.put("a", &image.digest().to_string(), DOCKER_MANIFEST, &image.manifest);
    let list = String::from_utf8(index(&[(&image, "amd64")])).unwrap();
    let list = list.replace(INDEX, DOCKER_LIST).replace(MANIFEST, DOCKER_MANIFEST);
    registry.put("a", "b", DOCKER_LIST, list.as_bytes());
    let directory = tempfile::tempdir().unwrap();
    pull(quick(), &registry, "a:b", directory.path()).await.unwrap();
    assert_eq!(names(directory.path()).len(), 1);
}

#[tokio::test]
async fn what_is_not_there_is_told_as_that() {
    let Some(registry) = Registry::start(Access::Open) else { return };
    let error = resolve(registry.authority(), "no/such:image").await.unwrap_err();
    assert_eq!((error.repository.as_str(), error.reference.as_str()), ("no/such", "image"));
    assert!(matches!(*error.failure, Failure::NotFound));
}

#[tokio::test]
async fn a_registry_with_passwords_lets_in_who_has_one() {
    let Some(registry) = Registry::start(Access::Password) else { return };
    let image = Image::with_layers(&[9]);
    registry.push("a", &image);
    registry.put("a", "b", MANIFEST, &image.manifest);
    let home = tempfile::tempdir().unwrap();
    let auths = |auth: &str| {
        format!(r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#, registry.authority())
    };
    let options = with_credentials(home.path(), &auths("bWU6aHVudGVyMg=="));
    let directory = tempfile::tempdir().unwrap();
    pull(options, &registry, "a:b", directory.path()).await.unwrap();
    assert_eq!(names(directory.path()).len(), 1);

    let refused = failure(resolve(registry.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Unauthorised { logged_in: false }), "{refused:?}");
    let wrong = with_credentials(home.path(), &auths("bWU6d3Jvbmc="));
    let refused = failure(resolve_with(wrong, registry.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Unauthorised { logged_in: true }), "{refused:?}");
}

#[tokio::test]
async fn a_registrys_own_authority_is_trusted_when_it_is_named() {
    if let Some(registry) = std::env::var_os(INNER) {
        resolve(registry.to_str().unwrap(), "a:b").await.unwrap();
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let authority = Authority::new(home.path());
    let Some(registry) = Registry::start(Access::Tls(&authority)) else { return };
    let image = Image::with_layers(&[9]);
    registry.push("a", &image);
    registry.put("a", "b", MANIFEST, &image.manifest);
    let refused = failure(resolve(registry.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Untrusted(_)), "{refused:?}");
    let named = Options { authorities: vec![authority.ca.clone()], ..quick() };
    resolve_with(named, registry.authority(), "a:b").await.unwrap();
    // The environment of a running program is not changed here: the test runs itself with another.
    let mut inner = Command::new(std::env::current_exe().unwrap());
    inner.args(["--exact", "real::a_registrys_own_authority_is_trusted_when_it_is_named"]);
    inner.env(INNER, registry.authority()).env("SSL_CERT_FILE", &authority.ca);
    let ended = inner.stdout(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
}
