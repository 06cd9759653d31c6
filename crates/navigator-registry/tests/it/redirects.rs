//! Redirects: followed where they may lead, and without credentials.

use std::net::Ipv4Addr;

use navigator_registry::{Client, Failure, Options};

use crate::authority::Authority;
use crate::image::{Image, downloads, names};
use crate::logins::outer_address;
use crate::puller::{Told, amd64, failure, name, quick, resolve, resolve_with, with_credentials};
use crate::server::{Asked, Reply, Server, honest};

fn to(location: &str) -> Reply {
    Reply::status(307).header("Location", location)
}

#[tokio::test]
async fn layers_come_from_elsewhere_and_no_credential_goes_there() {
    let image = Image::with_layers(&[50_000]);
    let stored = image.clone();
    let store = Server::start(move |asked| honest(&stored, asked)).await;
    let there = store.authority();
    let server = Server::start(move |asked| match asked.header("authorization") {
        None => Reply::status(401).header("WWW-Authenticate", "Basic realm=\"it\""),
        Some(_) if asked.is_blob() => to(&format!("http://{there}{}", asked.path)),
        Some(_) => honest(&image, asked),
    })
    .await;
    let home = tempfile::tempdir().unwrap();
    // The store has credentials in the file, too: they are not for whom the registry sends there.
    let json = format!(
        r#"{{"auths": {{"{}": {{"auth": "bWU6aHVudGVyMg=="}}, "{}": {{"auth": "bWU6aHVudGVyMg=="}}}}}}"#,
        server.authority(),
        store.authority()
    );
    let client = Client::new(with_credentials(home.path(), &json)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let found = client
        .resolve(&name(&server.authority(), "a:b"), &amd64(), &Told::default())
        .await
        .unwrap();
    let wanted = downloads(&found, directory.path());
    client.download(&found, wanted, &Told::default()).await.unwrap();
    assert_eq!(names(directory.path()).len(), 1);
    assert_eq!(store.asked().len(), 2);
    assert_eq!(store.count(|asked| asked.header("authorization").is_some()), 0);
}

#[tokio::test]
async fn who_is_redirected_to_cannot_ask_for_credentials() {
    let asking =
        Server::start(|_| Reply::status(401).header("WWW-Authenticate", "Basic realm=x")).await;
    let there = asking.authority();
    let server = Server::start(move |_| to(&format!("http://{there}/x"))).await;
    let home = tempfile::tempdir().unwrap();
    let json =
        format!(r#"{{"auths": {{"{}": {{"auth": "bWU6aHVudGVyMg=="}}}}}}"#, server.authority());
    let options = with_credentials(home.path(), &json);
    let refused = failure(resolve_with(options, &server.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Redirect(_)), "{refused:?}");
    assert_eq!(asking.asked().len(), 1);
    assert_eq!(asking.count(|asked| asked.header("authorization").is_some()), 0);
}

#[tokio::test]
async fn a_login_does_not_come_back_after_a_detour() {
    let home = tempfile::tempdir().unwrap();
    let detour = Server::start(|asked| {
        let back = asked.path.strip_prefix("/?").unwrap();
        to(&format!("http://{back}/leak"))
    })
    .await;
    let there = detour.authority();
    let server = Server::start(move |asked| match asked.header("authorization") {
        _ if asked.path == "/leak" => to("/leaked"),
        _ if asked.path == "/leaked" => Reply::status(404),
        None => Reply::status(401).header("WWW-Authenticate", "Basic realm=x"),
        Some(_) => to(&format!("http://{there}/?{}", asked.header("host").unwrap())),
    })
    .await;
    let json =
        format!(r#"{{"auths": {{"{}": {{"auth": "bWU6aHVudGVyMg=="}}}}}}"#, server.authority());
    let options = with_credentials(home.path(), &json);
    failure(resolve_with(options, &server.authority(), "a:b").await);
    let leaked = |asked: &Asked| asked.path.starts_with("/leak");
    assert_eq!(server.count(leaked), 2);
    assert_eq!(server.count(|asked| leaked(asked) && asked.header("authorization").is_some()), 0);
}

#[tokio::test]
async fn redirects_end() {
    let server = Server::start(|asked| to(&asked.path)).await;
    let refused = failure(resolve(&server.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Redirect(_)), "{refused:?}");
    assert_eq!(server.asked().len(), 6);
}

#[tokio::test]
async fn redirects_to_nowhere_are_refused() {
    for location in
        ["file:///etc/passwd", "http://user:password@127.0.0.1/", "http://", "gopher://a"]
    {
        let server = Server::start(move |_| to(location)).await;
        let refused = failure(resolve(&server.authority(), "a:b").await);
        assert!(matches!(refused, Failure::Redirect(_)), "{location}: {refused:?}");
    }
    let server = Server::start(|_| Reply::status(302)).await;
    let refused = failure(resolve(&server.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Redirect(_)), "{refused:?}");
}

#[tokio::test]
async fn no_redirect_leads_away_from_tls() {
    let home = tempfile::tempdir().unwrap();
    let authority = Authority::new(home.path());
    let plain = Server::start(|_| Reply::status(404)).await;
    let location = format!("http://{}/x", plain.authority());
    let loopback = Ipv4Addr::LOCALHOST.into();
    let server = Server::at(loopback, Some(authority.server()), move |_| to(&location)).await;
    let options = Options { authorities: vec![authority.ca], ..quick() };
    let refused = failure(resolve_with(options, &server.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Redirect(_)), "{refused:?}");
    assert_eq!(plain.asked().len(), 0);
}

#[tokio::test]
async fn a_registry_elsewhere_does_not_reach_this_machine_through_us() {
    let Some(address) = outer_address() else {
        eprintln!("skipped: this machine has no address but loopback");
        return;
    };
    let victim = Server::start(|_| token()).await;
    let (location, here) = (format!("http://{}/secret", victim.authority()), victim.authority());
    let server = Server::at(address, None, move |asked| match asked.path.contains("/redirect/") {
        true => to(&location),
        false => {
            let realm = format!("Bearer realm=\"http://{here}/token\"");
            Reply::status(401).header("WWW-Authenticate", &realm)
        }
    })
    .await;
    for repository in ["redirect/a", "token/a"] {
        let options = Options { insecure: vec![server.authority()], ..quick() };
        let name = format!("{repository}:b");
        let refused = failure(resolve_with(options, &server.authority(), &name).await);
        assert!(matches!(refused, Failure::Redirect(_)), "{repository}: {refused:?}");
    }
    assert_eq!(victim.asked().len(), 0);
}

fn token() -> Reply {
    Reply::ok("application/json", br#"{"token": "T0ken"}"#)
}
