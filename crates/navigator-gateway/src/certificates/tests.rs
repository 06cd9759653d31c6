//! Certificates as they are made, and who gets in with which: real handshakes, also with openssl.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, SanType, date_time_ymd};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::acceptor::Live;
use super::*;

type Streams = (
    tokio_rustls::server::TlsStream<tokio::io::DuplexStream>,
    tokio_rustls::client::TlsStream<tokio::io::DuplexStream>,
);

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

fn made() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let tls = dir.path().join("tls");
    init(&tls, &["gw.example".into()]).unwrap();
    (dir, tls)
}

/// A client that trusts the authority in `dir` and shows what is in `identity`.
fn client(dir: &Path, identity: Option<&Path>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(files::certificate(&dir.join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    match identity {
        None => builder.with_no_client_auth(),
        Some(path) => builder
            .with_client_auth_cert(files::chain(path).unwrap(), files::key(path).unwrap())
            .unwrap(),
    }
}

async fn shake(acceptor: &TlsAcceptor, client: ClientConfig) -> Result<Streams, String> {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from("gw.example").unwrap();
    let connector = TlsConnector::from(Arc::new(client));
    let (server, client) = tokio::join!(acceptor.accept(ours), connector.connect(name, theirs));
    match (server, client) {
        (Ok(server), Ok(client)) => Ok((server, client)),
        (Err(server), _) => Err(server.to_string()),
        (Ok(_), Err(client)) => Err(client.to_string()),
    }
}

async fn refused(acceptor: &TlsAcceptor, client: ClientConfig) -> String {
    match shake(acceptor, client).await {
        Ok(_) => panic!("it got in"),
        Err(error) => error.to_lowercase(),
    }
}

/// A client's certificate with something changed, signed by the authority.
fn odd(dir: &Path, change: impl FnOnce(&mut CertificateParams)) -> PathBuf {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![SanType::URI("navigator://user/eve".try_into().unwrap())];
    change(&mut params);
    let path = dir.join("clients/odd.pem");
    files::replace(&path, &Authority::load(dir).unwrap().finish(&params).unwrap()).unwrap();
    path
}

fn openssl(args: &[&str], path: &Path) -> String {
    let output = Command::new("openssl").args(args).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn files_are_private_and_nothing_is_replaced() {
    let (_dir, tls) = made();
    let alice = issue_client(&tls, &user("alice")).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&tls), mode(&tls.join("clients"))), (0o700, 0o700));
    for file in ["ca.pem", "ca-key.pem", "server.pem", "clients/alice.pem"] {
        assert_eq!(mode(&tls.join(file)), 0o600, "{file}");
    }
    let before = std::fs::read(tls.join("ca.pem")).unwrap();
    init(&tls, &[]).unwrap();
    assert_eq!(std::fs::read(tls.join("ca.pem")).unwrap(), before);
    let again = issue_client(&tls, &user("alice")).unwrap_err();
    assert!(matches!(again, CertificateError::Exists { path } if path == alice));
    let left = files::names(&tls).unwrap();
    assert!(!left.iter().any(|name| name.starts_with('.')), "{left:?}");
}

#[test]
fn an_authority_that_was_made_half_is_completed_and_a_lost_key_is_told() {
    let (_dir, tls) = made();
    std::fs::remove_file(tls.join("ca.pem")).unwrap();
    std::fs::remove_file(tls.join("server.pem")).unwrap();
    init(&tls, &[]).unwrap();
    issue_client(&tls, &user("alice")).unwrap();
    std::fs::remove_file(tls.join("ca-key.pem")).unwrap();
    let lost = init(&tls, &[]).unwrap_err().to_string();
    assert!(lost.contains("ca-key.pem"), "{lost}");
    assert!(!tls.join("ca-key.pem").exists());
}

#[test]
fn names_of_a_server_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    for wrong in ["", "a b", "-", "http://x"] {
        let error = init(dir.path(), &[wrong.into()]).unwrap_err();
        assert!(matches!(error, CertificateError::ServerName(_)), "{wrong:?}: {error}");
    }
    let many: Vec<String> = (0..200).map(|n| format!("host{n}.example")).collect();
    assert!(matches!(init(dir.path(), &many), Err(CertificateError::Names(203))));
    assert!(!dir.path().join("ca.pem").exists());
}

#[test]
fn openssl_finds_the_certificates_proper() {
    let (_dir, tls) = made();
    let alice = issue_client(&tls, &user("alice")).unwrap();
    let ca = tls.join("ca.pem");
    let verify = |purpose: &str, path: &Path| {
        let ca = ca.to_str().unwrap();
        openssl(&["verify", "-x509_strict", "-purpose", purpose, "-CAfile", ca], path)
    };
    verify("sslserver", &tls.join("server.pem"));
    verify("sslclient", &alice);
    let authority = openssl(&["x509", "-noout", "-text", "-in"], &ca);
    for part in ["pathlen:0", "Certificate Sign, CRL Sign", "Subject Key Identifier", "prime256v1"]
    {
        assert!(authority.contains(part), "{part}: {authority}");
    }
    let server = openssl(&["x509", "-noout", "-text", "-in"], &tls.join("server.pem"));
    for part in ["CA:FALSE", "TLS Web Server Authentication", "Authority Key Identifier"] {
        assert!(server.contains(part), "{part}: {server}");
    }
    for name in
        ["DNS:gw.example", "DNS:localhost", "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1"]
    {
        assert!(server.contains(name), "{name}: {server}");
    }
    let alice = openssl(&["x509", "-noout", "-text", "-in"], &alice);
    for part in ["URI:navigator://user/alice", "TLS Web Client Authentication", "Digital Signature"]
    {
        assert!(alice.contains(part), "{part}: {alice}");
    }
}

#[test]
fn ends_are_told_and_renewal_moves_them_and_changes_keys_not_names() {
    let (_dir, tls) = made();
    issue_client(&tls, &user("alice")).unwrap();
    let read = |file: &str| std::fs::read_to_string(tls.join(file)).unwrap();
    let before = (read("server.pem"), read("clients/alice.pem"));
    renew(&tls, &Purpose::Server).unwrap();
    renew(&tls, &Purpose::Client(user("alice"))).unwrap();
    assert!(before.0 != read("server.pem") && before.1 != read("clients/alice.pem"));
    let server =
        openssl(&["x509", "-noout", "-ext", "subjectAltName", "-in"], &tls.join("server.pem"));
    assert_eq!(
        server.matches("DNS:").count() + server.matches("IP Address:").count(),
        4,
        "{server}"
    );
    let ends = expiries(&tls).unwrap();
    let purposes: Vec<_> = ends.iter().map(|end| end.purpose.clone()).collect();
    assert_eq!(purposes, [Purpose::Authority, Purpose::Server, Purpose::Client(user("alice"))]);
    let days = |end: &Expiry| (end.not_after.as_second() - Timestamp::now().as_second()) / 86_400;
    assert!((3648..=3650).contains(&days(&ends[0])) && (363..=365).contains(&days(&ends[1])));
    assert!(renew(&tls, &Purpose::Authority).is_err());
    assert!(matches!(
        renew(&tls, &Purpose::Client(user("bob"))),
        Err(CertificateError::File { .. })
    ));
}

#[tokio::test]
async fn a_user_gets_in_with_either_version_and_is_known_by_name() {
    let (_dir, tls) = made();
    let alice = issue_client(&tls, &user("alice")).unwrap();
    let acceptor = acceptor(&tls).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(files::certificate(&tls.join("ca.pem")).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(files::chain(&alice).unwrap(), files::key(&alice).unwrap())
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        for _ in 0..2 {
            let (mut server, mut client) = shake(&acceptor, config.clone()).await.unwrap();
            assert_eq!(
                peer(server.get_ref().1.peer_certificates().unwrap()).unwrap(),
                user("alice")
            );
            assert_eq!(server.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
            server.write_all(b"x").await.unwrap();
            assert_eq!(client.read_u8().await.unwrap(), b'x');
            // The second connection of the same client would resume if it could.
            assert_eq!(server.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full));
        }
    }
}

#[tokio::test]
async fn whoever_is_no_valid_user_stays_out() {
    let (_dir, tls) = made();
    let (_other, others) = made();
    let acceptor = acceptor(&tls).unwrap();
    let stranger = issue_client(&others, &user("alice")).unwrap();
    let answer = |identity: Option<PathBuf>| refused_by(&acceptor, &tls, identity);
    assert!(answer(None).await.contains("certificate"), "no certificate");
    let error = answer(Some(stranger)).await;
    assert!(error.contains("unknownissuer") || error.contains("badsignature"), "{error}");
    let error = answer(Some(tls.join("server.pem"))).await;
    assert!(error.contains("extended key usage") || error.contains("purpose"), "{error}");
    let expired = odd(&tls, |params| params.not_after = date_time_ymd(2020, 1, 1));
    assert!(answer(Some(expired)).await.contains("expired"));
    let early = odd(&tls, |params| params.not_before = date_time_ymd(4000, 1, 1));
    assert!(answer(Some(early)).await.contains("not valid yet"));
    type Change = fn(&mut CertificateParams);
    let changes: [Change; 5] = [
        |params| params.subject_alt_names = vec![],
        |params| {
            params.subject_alt_names =
                vec![SanType::URI("navigator://admin/eve".try_into().unwrap())]
        },
        |params| {
            params.subject_alt_names =
                vec![SanType::URI("navigator://user/a/b".try_into().unwrap())]
        },
        |params| {
            params.subject_alt_names.push(SanType::URI("navigator://user/bob".try_into().unwrap()))
        },
        |params| params.subject_alt_names.push(SanType::DnsName("gw.example".try_into().unwrap())),
    ];
    for change in changes {
        let error = answer(Some(odd(&tls, change))).await;
        assert!(error.contains("applicationverificationfailure"), "{error}");
    }
}

async fn refused_by(acceptor: &TlsAcceptor, dir: &Path, identity: Option<PathBuf>) -> String {
    refused(acceptor, client(dir, identity.as_deref())).await
}

#[tokio::test]
async fn revoked_by_serial_or_fingerprint_is_refused_at_once_and_others_are_not() {
    let (_dir, tls) = made();
    let (alice, bob) =
        (issue_client(&tls, &user("alice")).unwrap(), issue_client(&tls, &user("bob")).unwrap());
    let acceptor = acceptor(&tls).unwrap();
    let list = tls.join("revoked");
    for args in [
        ["x509", "-noout", "-serial", "-in"].as_slice(),
        &["x509", "-noout", "-fingerprint", "-sha256", "-in"],
    ] {
        shake(&acceptor, client(&tls, Some(&alice))).await.unwrap();
        std::fs::write(&list, openssl(args, &alice)).unwrap();
        assert!(refused(&acceptor, client(&tls, Some(&alice))).await.contains("revoked"));
        shake(&acceptor, client(&tls, Some(&bob))).await.unwrap();
        // A mistake in the list takes nothing from it.
        std::fs::write(&list, "nonsense\n").unwrap();
        assert!(refused(&acceptor, client(&tls, Some(&alice))).await.contains("revoked"));
        std::fs::remove_file(&list).unwrap();
    }
}

#[tokio::test]
async fn certificates_are_rotated_while_connections_live_and_bad_ones_are_not_taken() {
    let (_dir, tls) = made();
    let alice = issue_client(&tls, &user("alice")).unwrap();
    let live = Arc::new(Live::load(&tls).unwrap());
    let acceptor = TlsAcceptor::from(Arc::new(acceptor::config(&live).unwrap()));
    let shown = |streams: &Streams| streams.1.get_ref().1.peer_certificates().unwrap()[0].clone();
    let mut first = shake(&acceptor, client(&tls, Some(&alice))).await.unwrap();
    let old = std::fs::read(tls.join("server.pem")).unwrap();
    for garbage in [b"garbage".as_slice(), b"", b"\xff\xfe", &old[..old.len() / 2]] {
        std::fs::write(tls.join("server.pem"), garbage).unwrap();
        live.forget_looked();
        let again = shake(&acceptor, client(&tls, Some(&alice))).await.unwrap();
        assert_eq!(shown(&again), shown(&first));
    }
    std::fs::write(tls.join("server.pem"), &old).unwrap();
    renew(&tls, &Purpose::Server).unwrap();
    live.forget_looked();
    let second = shake(&acceptor, client(&tls, Some(&alice))).await.unwrap();
    assert_ne!(shown(&second), shown(&first));
    assert_eq!(shown(&second), files::certificate(&tls.join("server.pem")).unwrap());
    first.0.write_all(b"x").await.unwrap();
    assert_eq!(first.1.read_u8().await.unwrap(), b'x');
}

#[test]
fn files_that_cannot_be_used_are_refused_with_what_is_wrong() {
    let (_dir, tls) = made();
    let (_other, others) = made();
    let refusal = |file: &str, content: &[u8], mode: u32| {
        let path = tls.join(file);
        let (kept, right) = (std::fs::read(&path).unwrap(), std::fs::Permissions::from_mode(0o600));
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = acceptor(&tls).map(|_| ()).unwrap_err().to_string();
        std::fs::write(&path, kept).unwrap();
        std::fs::set_permissions(&path, right).unwrap();
        assert!(error.contains(file), "{error}");
        error
    };
    let own = std::fs::read_to_string(tls.join("server.pem")).unwrap();
    let theirs = std::fs::read_to_string(others.join("server.pem")).unwrap();
    let (certificate, _) = own.split_at(own.find("-----BEGIN PRIVATE").unwrap());
    let (_, other_key) = theirs.split_at(theirs.find("-----BEGIN PRIVATE").unwrap());
    let mixed = format!("{certificate}{other_key}");
    assert!(refusal("server.pem", mixed.as_bytes(), 0o600).contains("does not fit"));
    assert!(refusal("server.pem", certificate.as_bytes(), 0o600).contains("no private key"));
    assert!(refusal("server.pem", own.as_bytes(), 0o644).contains("chmod 600"));
    assert!(refusal("server.pem", b"", 0o600).contains("no certificate"));
    assert!(refusal("server.pem", &[b'x'; 300 * 1024], 0o600).contains("too large"));
    assert!(refusal("ca.pem", b"\xff", 0o600).contains("no text"));
    assert!(refusal("ca.pem", certificate.as_bytes(), 0o600).contains("authority"));
    let weak = openssl(&["genrsa", "-out", "/dev/stdout"], Path::new("1024"));
    assert!(
        refusal("server.pem", format!("{certificate}{weak}").as_bytes(), 0o600).contains("key")
    );
    std::fs::write(tls.join("revoked"), "nonsense").unwrap();
    assert!(acceptor(&tls).map(|_| ()).unwrap_err().to_string().contains("line 1"));
}

#[tokio::test]
async fn openssl_as_a_client_gets_in_with_a_certificate_only() {
    let (_dir, tls) = made();
    let alice = issue_client(&tls, &user("alice")).unwrap();
    let acceptor = acceptor(&tls).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for identity in [Some(&alice), None] {
        let mut command = tokio::process::Command::new("openssl");
        command.args([
            "s_client",
            "-connect",
            &address,
            "-verify_return_error",
            "-quiet",
            "-CAfile",
        ]);
        command.arg(tls.join("ca.pem")).stdin(Stdio::piped()).stderr(Stdio::null());
        if let Some(path) = identity {
            command.arg("-cert").arg(path).arg("-key").arg(path);
        }
        let child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let accepted = acceptor.accept(stream).await;
        assert_eq!(accepted.is_ok(), identity.is_some());
        if let Ok(mut stream) = accepted {
            stream.write_all(b"hello").await.unwrap();
            stream.shutdown().await.unwrap();
            drop(stream);
            assert_eq!(child.wait_with_output().await.unwrap().stdout, b"hello");
        }
    }
}
