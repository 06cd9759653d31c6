//! What is refused of manifests and configurations, and what is understood.

use navigator_registry::{Digest, Failure, ManifestError};
use serde_json::json;

use crate::image::{CONFIG, INDEX, Image, MANIFEST, descriptor, index};
use crate::puller::{failure, resolve};
use crate::server::{Reply, Server, Then, honest};

/// A server that answers every request for a manifest like this.
async fn manifests(reply: Reply) -> Server {
    Server::start(move |_| reply.clone()).await
}

#[tokio::test]
async fn an_image_is_found_by_tag_and_by_digest() {
    let image = Image::with_layers(&[10, 20]);
    let served = image.clone();
    let server = Server::start(move |asked| honest(&served, asked)).await;
    let by_tag = resolve(&server.authority(), "a/b:c").await.unwrap();
    assert_eq!((by_tag.digest.clone(), by_tag.config), (image.digest(), image.config));
    assert_eq!((by_tag.manifest.layers.len(), by_tag.manifest_bytes), (2, image.manifest));
    let by_digest = resolve(&server.authority(), &format!("a/b@{}", by_tag.digest)).await.unwrap();
    assert_eq!(by_digest.digest, by_tag.digest);
    let asked = server.asked();
    assert_eq!(asked[0].path, "/v2/a/b/manifests/c");
    assert!(asked[0].header("accept").unwrap().contains(INDEX));
}

#[tokio::test]
async fn another_manifest_than_the_digests_is_refused() {
    let image = Image::with_layers(&[10]);
    let server = manifests(Reply::ok(MANIFEST, &image.manifest)).await;
    let other = Digest::sha256(b"another");
    let refused = failure(resolve(&server.authority(), &format!("a@{other}")).await);
    assert!(matches!(refused, Failure::Digest { what: "the manifest", .. }), "{refused:?}");
    let announced =
        Reply::ok(MANIFEST, &image.manifest).header("Docker-Content-Digest", &other.to_string());
    let server = manifests(announced).await;
    let refused = failure(resolve(&server.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Digest { .. }), "{refused:?}");
}

#[tokio::test]
async fn what_is_no_manifest_is_refused() {
    for (reply, fits) in [
        (Reply::ok("text/html", b"<html>"), "MediaType"),
        (Reply::ok(MANIFEST, b"{\"schemaVersion\": 2"), "Json"),
        (Reply::ok(MANIFEST, b"[1]"), "Json"),
        (Reply::ok("application/json", b"{\"schemaVersion\": 1, \"name\": \"a\"}"), "Schema1"),
        (Reply::ok(INDEX, &Image::with_layers(&[1]).manifest), "Ambiguous"),
    ] {
        let server = manifests(reply).await;
        let refused = failure(resolve(&server.authority(), "a:b").await);
        let Failure::Manifest(why) = &refused else { panic!("{fits}: {refused:?}") };
        assert!(format!("{why:?}").starts_with(fits), "{fits}: {why:?}");
    }
}

#[tokio::test]
async fn a_manifest_without_end_is_refused() {
    let endless = Reply::status(200).header("Content-Type", MANIFEST).body(&[b' '; 65536]);
    let server = manifests(endless.clone().then(Then::Repeat)).await;
    let refused = failure(resolve(&server.authority(), "a:b").await);
    assert!(matches!(refused, Failure::TooLong { .. }), "{refused:?}");
    let announced = endless.header("Content-Length", "99999999").then(Then::Hang);
    let server = manifests(announced).await;
    let refused = failure(resolve(&server.authority(), "a:b").await);
    assert!(matches!(refused, Failure::TooLong { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let many = (0..400).fold(Reply::status(200), |reply, _| reply.header("X-A", "b"));
    let server = manifests(many).await;
    let refused = failure(resolve(&server.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Unreachable(_)), "{refused:?}");
    let long = Reply::status(200).header("X-A", &"b".repeat(200_000));
    let server = manifests(long).await;
    let refused = failure(resolve(&server.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Unreachable(_)), "{refused:?}");
}

#[tokio::test]
async fn another_configuration_than_the_manifests_is_refused() {
    let image = Image::with_layers(&[10]);
    for (body, fits) in [(vec![b'x'; image.config.len()], "Digest"), (b"{}".to_vec(), "Size")] {
        let served = image.clone();
        let server = Server::start(move |asked| match asked.is_blob() {
            true => Reply::ok("", &body),
            false => honest(&served, asked),
        })
        .await;
        let refused = failure(resolve(&server.authority(), "a:b").await);
        assert!(format!("{refused:?}").starts_with(fits), "{refused:?}");
    }
}

#[tokio::test]
async fn the_image_for_the_platform_is_taken_from_an_index() {
    let (mine, other) = (Image::with_layers(&[10]), Image::new(vec![], "arm64"));
    let outer = {
        let inner = index(&[(&other, "arm64"), (&mine, "amd64")]);
        let mut entry = descriptor(INDEX, &inner);
        entry["platform"] = json!({ "os": "linux", "architecture": "amd64" });
        let outer = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
        (outer.to_string().into_bytes(), inner)
    };
    let (wanted, digest) = (mine.digest(), Digest::sha256(&outer.0));
    let server = Server::start(move |asked| {
        let (outer, inner) = &outer;
        match asked.path.as_str() {
            "/v2/a/manifests/b" => Reply::ok(INDEX, outer),
            path if path.ends_with(&Digest::sha256(inner).to_string()) => Reply::ok(INDEX, inner),
            _ => honest(&mine, asked),
        }
    })
    .await;
    let found = resolve(&server.authority(), "a:b").await.unwrap();
    assert_eq!((found.manifest_digest, found.digest), (wanted, digest));
}

#[tokio::test]
async fn images_for_other_platforms_are_refused() {
    let other = Image::new(vec![], "s390x");
    let listed = index(&[(&other, "s390x")]);
    let server = Server::start(move |asked| match asked.path.as_str() {
        "/v2/a/manifests/list" => Reply::ok(INDEX, &listed),
        _ => honest(&other, asked),
    })
    .await;
    for tag in ["list", "single"] {
        let refused = failure(resolve(&server.authority(), &format!("a:{tag}")).await);
        let Failure::Platform { offered, .. } = &refused else { panic!("{refused:?}") };
        assert_eq!(offered, "linux/s390x");
    }
}

#[tokio::test]
async fn a_manifest_of_another_size_than_its_index_says_is_refused() {
    let image = Image::with_layers(&[9]);
    let listed = String::from_utf8(index(&[(&image, "amd64")])).unwrap();
    let size = format!("\"size\":{}", image.manifest.len());
    assert!(listed.contains(&size));
    let listed = listed.replace(&size, "\"size\":7");
    let server = Server::start(move |asked| match asked.path.as_str() {
        "/v2/a/manifests/b" => Reply::ok(INDEX, listed.as_bytes()),
        _ => honest(&image, asked),
    })
    .await;
    let refused = failure(resolve(&server.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Size { wanted: 7, .. }), "{refused:?}");
}

#[tokio::test]
async fn indexes_within_indexes_end() {
    let mut inner = index(&[]);
    let mut documents = vec![];
    for _ in 0..6 {
        let outer = json!({
            "schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(INDEX, &inner)],
        });
        documents.push(inner);
        inner = outer.to_string().into_bytes();
    }
    let server = Server::start(move |asked| {
        let named =
            |document: &&Vec<u8>| asked.path.ends_with(&Digest::sha256(document).to_string());
        Reply::ok(INDEX, documents.iter().find(named).unwrap_or(&inner))
    })
    .await;
    let refused = failure(resolve(&server.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Manifest(ManifestError::TooMuch { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_configuration_is_only_one_when_it_says_so() {
    let mut chart: serde_json::Value =
        serde_json::from_slice(&Image::with_layers(&[1]).manifest).unwrap();
    assert_eq!(chart["config"]["mediaType"], CONFIG);
    chart["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json".into();
    let server = manifests(Reply::ok(MANIFEST, chart.to_string().as_bytes())).await;
    let refused = failure(resolve(&server.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Manifest(ManifestError::MediaType(_))), "{refused:?}");
}
