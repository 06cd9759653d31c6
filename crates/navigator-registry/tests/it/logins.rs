//! Logging in, and where credentials never go.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt;

use navigator_registry::{Failure, Options};

use crate::authority::Authority;
use crate::image::Image;
use crate::puller::{failure, quick, resolve, resolve_with, with_credentials};
use crate::server::{Asked, Reply, Server, honest};

/// `me:hunter2`, as files and headers have it.
const BASIC: &str = "bWU6aHVudGVyMg==";

fn challenge(value: &str) -> Reply {
    Reply::status(401).header("WWW-Authenticate", value)
}

fn auths(server: &str) -> String {
    format!(r#"{{"auths": {{"{server}": {{"auth": "{BASIC}"}}}}}}"#)
}

/// A registry that wants `Bearer TOKEN`, and has tokens at `/token` of itself.
async fn token_server(
    image: Image,
    token: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> Server {
    Server::start(move |asked| {
        let host = asked.header("host").unwrap();
        match asked.header("authorization") {
            _ if asked.path.starts_with("/token") => token(asked),
            Some("Bearer T0ken") => honest(&image, asked),
            _ => challenge(&format!("Bearer realm=\"http://{host}/token\",service=\"it\"")),
        }
    })
    .await
}

fn token() -> Reply {
    Reply::ok("application/json", br#"{"token": "T0ken", "expires_in": 300}"#)
}

#[tokio::test]
async fn a_token_is_had_by_anybody_where_that_is_allowed() {
    let server = token_server(Image::with_layers(&[9]), |_| token()).await;
    resolve(&server.authority(), "team/tool:1").await.unwrap();
    let asked = server.asked();
    let paths: Vec<_> = asked.iter().map(|asked| asked.path.as_str()).collect();
    assert_eq!(paths[1], "/token?service=it&scope=repository%3Ateam%2Ftool%3Apull");
    assert_eq!(asked[1].header("authorization"), None);
    // The manifest twice, the token, the configuration: the token is remembered.
    assert_eq!(paths.len(), 4);
}

#[tokio::test]
async fn a_token_is_had_with_name_and_password() {
    let server = token_server(Image::with_layers(&[9]), |asked| {
        match asked.header("authorization") == Some(&format!("Basic {BASIC}")) {
            true => token(),
            false => Reply::status(401),
        }
    })
    .await;
    let home = tempfile::tempdir().unwrap();
    let options = with_credentials(home.path(), &auths(&server.authority()));
    resolve_with(options, &server.authority(), "a:b").await.unwrap();
    let basic = |asked: &Asked| asked.header("authorization") == Some(&format!("Basic {BASIC}"));
    assert_eq!(server.count(|asked| basic(asked) && !asked.path.starts_with("/token")), 0);
    let refused = failure(resolve(&server.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Unauthorised { logged_in: false }), "{refused:?}");
}

#[tokio::test]
async fn an_identity_token_is_exchanged() {
    let server = token_server(Image::with_layers(&[9]), |asked| {
        let wanted = "service=it&scope=repository%3Aa%3Apull&grant_type=refresh_token\
                      &client_id=navigator&refresh_token=1dentity";
        match (asked.method.as_str(), asked.body.as_str()) {
            ("POST", body) if body == wanted => {
                Reply::ok("application/json", br#"{"access_token": "T0ken"}"#)
            }
            _ => Reply::status(400),
        }
    })
    .await;
    let home = tempfile::tempdir().unwrap();
    let json =
        format!(r#"{{"auths": {{"{}": {{"identitytoken": "1dentity"}}}}}}"#, server.authority());
    let options = with_credentials(home.path(), &json);
    resolve_with(options, &server.authority(), "a:b").await.unwrap();
    assert_eq!(server.count(|asked| asked.path.contains("1dentity")), 0);
}

#[tokio::test]
async fn a_credential_helper_is_asked() {
    let server = basic_server(Image::with_layers(&[9])).await;
    let home = tempfile::tempdir().unwrap();
    let helper = home.path().join("docker-credential-it");
    let script = format!(
        "#!/bin/sh\nread -r host\n\
         [ \"$1 $host\" = 'get {}' ] || {{ echo 'credentials not found in native keychain'; exit 1; }}\n\
         echo '{{\"ServerURL\": \"x\", \"Username\": \"me\", \"Secret\": \"hunter2\"}}'\n",
        server.authority()
    );
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let options = || with_credentials(home.path(), r#"{"credsStore": "it"}"#);
    resolve_with(options(), &server.authority(), "a:b").await.unwrap();

    let other = basic_server(Image::with_layers(&[9])).await;
    let refused = failure(resolve_with(options(), &other.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Unauthorised { logged_in: false }), "{refused:?}");
    for (program, fits) in [
        ("echo hunter2; exit 3", "reported a failure"),
        ("echo hunter2", "printed no credentials"),
        ("while echo hunter2; do :; done", "printed too much"),
    ] {
        std::fs::write(&helper, format!("#!/bin/sh\n{program}\n")).unwrap();
        let refused = failure(resolve_with(options(), &server.authority(), "a:b").await);
        let told = format!("{refused:?}");
        assert!(told.contains(fits) && !told.contains("hunter2"), "{told}");
    }
    let absent = with_credentials(home.path(), r#"{"credsStore": "absent"}"#);
    let refused = failure(resolve_with(absent, &server.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Credentials(_)), "{refused:?}");
}

async fn basic_server(image: Image) -> Server {
    Server::start(move |asked| match asked.header("authorization") {
        Some(value) if value == format!("Basic {BASIC}") => honest(&image, asked),
        _ => challenge("Basic realm=\"it\""),
    })
    .await
}

#[tokio::test]
async fn a_registry_that_never_lets_in_is_asked_twice() {
    let server = token_server(Image::with_layers(&[9]), |_| {
        Reply::ok("application/json", br#"{"token": "another"}"#)
    })
    .await;
    let refused = failure(resolve(&server.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Unauthorised { logged_in: false }), "{refused:?}");
    assert_eq!(server.count(|asked| asked.path == "/v2/a/manifests/b"), 2);
}

#[tokio::test]
async fn nonsense_of_a_token_endpoint_is_refused() {
    let endless = Reply::status(200).body(&[b' '; 65536]).then(crate::server::Then::Repeat);
    let elsewhere = Reply::status(302).header("Location", "/token2");
    let huge = format!("{{\"token\": \"{}\"}}", "x".repeat(60_000));
    for (reply, fits) in [
        (Reply::ok("text/html", b"<html>"), "Login"),
        (Reply::ok("application/json", b"{}"), "Login"),
        (Reply::ok("application/json", br#"{"token": "a\r\nX-Evil: b"}"#), "Login"),
        (Reply::ok("application/json", huge.as_bytes()), "Login"),
        (Reply::status(403), "Denied"),
        (Reply::status(404), "Token(404)"),
        (elsewhere, "Token(302)"),
        (endless, "TooLong"),
    ] {
        let server = token_server(Image::with_layers(&[9]), move |_| reply.clone()).await;
        let refused = failure(resolve(&server.authority(), "a:b").await);
        assert!(format!("{refused:?}").starts_with(fits), "{fits}: {refused:?}");
        assert_eq!(server.count(|asked| asked.path == "/token2"), 0);
    }
}

#[tokio::test]
async fn challenges_that_say_nothing_are_refused() {
    for value in
        ["Negotiate", "Bearer", "Bearer realm=\"file:///etc/passwd\"", "Bearer realm=\"x\""]
    {
        let server = Server::start(move |_| challenge(value)).await;
        let refused = failure(resolve(&server.authority(), "a:b").await);
        assert!(matches!(refused, Failure::Login(_)), "{value}: {refused:?}");
    }
}

#[tokio::test]
async fn from_tls_no_token_endpoint_without_is_followed() {
    let home = tempfile::tempdir().unwrap();
    let authority = Authority::new(home.path());
    let plain = Server::start(|_| token()).await;
    let realm = format!("Bearer realm=\"http://{}/token\"", plain.authority());
    let loopback = Ipv4Addr::LOCALHOST.into();
    let server = Server::at(loopback, Some(authority.server()), move |_| challenge(&realm)).await;
    let options = with_credentials(home.path(), &auths(&server.authority()));
    let options = Options { authorities: vec![authority.ca], ..options };
    let refused = failure(resolve_with(options, &server.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Login(_)), "{refused:?}");
    assert_eq!(plain.asked().len(), 0);
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_told_as_that() {
    let home = tempfile::tempdir().unwrap();
    let authority = Authority::new(home.path());
    let loopback = Ipv4Addr::LOCALHOST.into();
    let server = Server::at(loopback, Some(authority.server()), |_| Reply::status(404)).await;
    let refused = failure(resolve(&server.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Untrusted(_)), "{refused:?}");
    // In particular, nothing is said in clear text then.
    assert_eq!(server.asked().len(), 0);
}

/// An address of this machine that is not loopback, if it has one.
pub fn outer_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[tokio::test]
async fn credentials_are_never_sent_in_clear_text_over_a_network() {
    let Some(address) = outer_address() else {
        eprintln!("skipped: this machine has no address but loopback");
        return;
    };
    let server = Server::at(address, None, |_| challenge("Basic realm=\"it\"")).await;
    let refused = failure(resolve(&server.authority(), "a:b").await);
    assert!(matches!(refused, Failure::Plain(_)), "{refused:?}");
    assert_eq!(server.asked().len(), 0);
    let home = tempfile::tempdir().unwrap();
    let options = with_credentials(home.path(), &auths(&server.authority()));
    let options = Options { insecure: vec![server.authority()], ..options };
    let refused = failure(resolve_with(options, &server.authority(), "a:b").await);
    assert!(matches!(refused, Failure::ClearText), "{refused:?}");
    assert_eq!(server.count(|asked| asked.header("authorization").is_some()), 0);
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn an_insecure_registry_is_spoken_to_without_credentials() {
    let Some(address) = outer_address() else {
        eprintln!("skipped: this machine has no address but loopback");
        return;
    };
    let image = Image::with_layers(&[9]);
    let server = Server::at(address, None, move |asked| honest(&image, asked)).await;
    let options = Options { insecure: vec![server.authority()], ..quick() };
    resolve_with(options, &server.authority(), "a:b").await.unwrap();
}
