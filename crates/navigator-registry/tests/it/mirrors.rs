//! Mirrors: asked first, passed over when they fail, and bound to the digest.

use navigator_registry::{Client, Failure, Options};

use crate::image::{Image, MANIFEST, downloads, names};
use crate::puller::{Told, amd64, failure, name, quick, with_credentials};
use crate::server::{Asked, Reply, Server, honest};

/// Options with these mirrors of a registry.
fn mirrored(registry: &Server, mirrors: &[&str]) -> Options {
    let mirror = |url: &&str| format!("{}={url}", registry.authority()).parse().unwrap();
    Options { mirrors: mirrors.iter().map(mirror).collect(), ..quick() }
}

fn url(server: &Server) -> String {
    format!("http://{}", server.authority())
}

async fn serving(image: &Image) -> Server {
    let image = image.clone();
    Server::start(move |asked| honest(&image, asked)).await
}

#[tokio::test]
async fn a_mirror_is_asked_first_and_for_its_own_names() {
    let image = Image::with_layers(&[9]);
    let (mirror, registry) = (serving(&image).await, serving(&image).await);
    let place = format!("{}/cache", url(&mirror));
    let client = Client::new(mirrored(&registry, &[&place])).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let told = Told::default();
    let image = name(&registry.authority(), "a/b:c");
    let found = client.resolve(&image, &amd64(), &told).await.unwrap();
    client.download(&found, downloads(&found, directory.path()), &told).await.unwrap();
    assert_eq!(found.from, mirror.authority());
    assert_eq!(mirror.count(|asked| asked.path.starts_with("/v2/cache/a/b/")), 3);
    assert_eq!(registry.asked().len(), 0);
}

#[tokio::test]
async fn mirrors_that_fail_are_told_and_passed_over() {
    let image = Image::with_layers(&[9]);
    let registry = serving(&image).await;
    let broken = Server::start(|_| Reply::status(502)).await;
    let lacking = Server::start(|_| Reply::status(404)).await;
    let gone = url(&Server::start(|_| Reply::status(404)).await);
    let options = mirrored(&registry, &[&gone, &url(&broken), &url(&lacking)]);
    let client = Client::new(options).unwrap();
    let told = Told::default();
    let found = client.resolve(&name(&registry.authority(), "a:b"), &amd64(), &told).await.unwrap();
    assert_eq!(found.from, registry.authority());
    let passed_over = told.of("mirror");
    assert_eq!(passed_over.len(), 3, "{passed_over:?}");
    assert!(passed_over[1].contains("502"), "{passed_over:?}");
    assert_eq!(broken.asked().len(), 2);
}

#[tokio::test]
async fn no_mirror_changes_what_a_digest_names() {
    let (image, evil) = (Image::with_layers(&[9]), Image::with_layers(&[9, 9]));
    let registry = serving(&image).await;
    let mirror = Server::start(move |asked| match asked.is_blob() {
        true => Reply::ok("", &[6; 9]),
        false => Reply::ok(MANIFEST, &evil.manifest),
    })
    .await;
    let client = Client::new(mirrored(&registry, &[&url(&mirror)])).unwrap();
    let told = Told::default();
    let pinned = name(&registry.authority(), &format!("a@{}", image.digest()));
    let found = client.resolve(&pinned, &amd64(), &told).await.unwrap();
    assert_eq!(found.manifest_bytes, image.manifest);
    assert!(told.of("mirror")[0].contains("failed to verify the manifest"));
}

#[tokio::test]
async fn a_layer_that_a_mirror_has_wrong_comes_from_the_registry() {
    let image = Image::with_layers(&[5000]);
    let registry = serving(&image).await;
    let mirrored_image = image.clone();
    let mirror = Server::start(move |asked| match honest(&mirrored_image, asked) {
        reply if reply.body.len() == 5000 => Reply { body: vec![6; 5000], ..reply },
        reply => reply,
    })
    .await;
    let client = Client::new(mirrored(&registry, &[&url(&mirror)])).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let told = Told::default();
    let found = client.resolve(&name(&registry.authority(), "a:b"), &amd64(), &told).await.unwrap();
    client.download(&found, downloads(&found, directory.path()), &told).await.unwrap();
    let path = directory.path().join(&names(directory.path())[0]);
    assert_eq!(std::fs::read(path).unwrap(), image.layers[0]);
    assert_eq!((told.of("mirror").len(), registry.count(Asked::is_blob)), (1, 1));
}

#[tokio::test]
async fn the_registrys_failure_is_the_result() {
    let registry = Server::start(|_| Reply::status(404)).await;
    let mirror = Server::start(|_| Reply::status(403)).await;
    let client = Client::new(mirrored(&registry, &[&url(&mirror)])).unwrap();
    let image = name(&registry.authority(), "a:b");
    let error = client.resolve(&image, &amd64(), &Told::default()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("failed to pull a (b) from {}", registry.authority()));
    assert!(matches!(failure::<()>(Err(error)), Failure::NotFound));
}

#[tokio::test]
async fn a_mirror_does_not_get_the_registrys_credentials() {
    let image = Image::with_layers(&[9]);
    let registry = serving(&image).await;
    let mirror =
        Server::start(|_| Reply::status(401).header("WWW-Authenticate", "Basic realm=x")).await;
    let home = tempfile::tempdir().unwrap();
    let json =
        format!(r#"{{"auths": {{"{}": {{"auth": "bWU6aHVudGVyMg=="}}}}}}"#, registry.authority());
    let credentials = with_credentials(home.path(), &json).credentials;
    let options = Options { credentials, ..mirrored(&registry, &[&url(&mirror)]) };
    let client = Client::new(options).unwrap();
    let image = name(&registry.authority(), "a:b");
    client.resolve(&image, &amd64(), &Told::default()).await.unwrap();
    assert_eq!(mirror.asked().len(), 1);
    assert_eq!(mirror.count(|asked| asked.header("authorization").is_some()), 0);
}
