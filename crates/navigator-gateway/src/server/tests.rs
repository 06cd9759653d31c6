//! A whole gateway, called over the sockets that it was given.

use std::net::SocketAddr;
use std::path::Path;

use hyper_util::rt::TokioIo;
use navigator_drivers::{LocalDriver, LocalSettings};
use navigator_proto::v1::ListSandboxesRequest;
use navigator_proto::v1::navigator_client::NavigatorClient;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use super::*;
use crate::certificates::{self, UserName};
use crate::store::{SealingKey, StoreUrl};

async fn parts(dir: &Path) -> Parts {
    let state = dir.join("state");
    let lock = StateLock::take(&state).unwrap();
    let key = SealingKey::load_or_create(&state.join("gateway.key")).unwrap();
    let store = Store::open(&StoreUrl::file(&state.join("gateway.db")), key).await.unwrap();
    let (directory, program) = (state.join("sandboxes"), "/bin/false".into());
    let driver = Arc::new(LocalDriver::new(LocalSettings {
        images: directory.join("images"),
        directory,
        program,
        environment: vec![],
    }));
    Parts {
        lock,
        store,
        driver,
        socket: dir.join("gateway.sock"),
        handed: None,
        remote: None,
        own_places: vec![],
        most_sandboxes: 10,
        ending: CancellationToken::new(),
    }
}

/// A connection to the gateway over TLS.
async fn remote(
    address: SocketAddr,
    tls: &Path,
    identity: Option<&Path>,
) -> Result<Channel, tonic::transport::Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(tls.join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let chain = vec![CertificateDer::from_pem_file(path).unwrap()];
            builder
                .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(path).unwrap())
                .unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let connect = tower::service_fn(move |_| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
            std::io::Result::Ok(TokioIo::new(connector.connect(name, stream).await?))
        }
    });
    Endpoint::from_static("http://localhost").connect_with_connector(connect).await
}

async fn list(channel: Channel) -> Result<usize, tonic::Status> {
    let listed =
        NavigatorClient::new(channel).list_sandboxes(ListSandboxesRequest::default()).await?;
    Ok(listed.into_inner().sandboxes.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn users_with_a_certificate_call_over_tls_and_others_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let tls = dir.path().join("tls");
    certificates::init(&tls, &[]).unwrap();
    let alice = certificates::issue_client(&tls, &UserName::parse("alice").unwrap()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = certificates::acceptor(&tls).unwrap();
    let mut parts = parts(dir.path()).await;
    parts.remote = Some(Remote { listener, acceptor });
    let ending = parts.ending.clone();
    let gateway = tokio::spawn(serve(parts));
    let channel = remote(address, &tls, Some(&alice)).await.unwrap();
    assert_eq!(list(channel.clone()).await.unwrap(), 0);
    // Whoever does not speak TLS, or says nothing, keeps nobody else waiting.
    let _silent = TcpStream::connect(address).await.unwrap();
    let refused = match remote(address, &tls, None).await {
        Ok(channel) => list(channel).await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
    std::fs::write(tls.join("revoked"), sha256(&alice)).unwrap();
    let refused = match remote(address, &tls, Some(&alice)).await {
        Ok(channel) => list(channel).await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
    // A connection that lives is not cut.
    assert_eq!(list(channel.clone()).await.unwrap(), 0);
    drop(channel);
    ending.cancel();
    gateway.await.unwrap().unwrap();
    assert!(!dir.path().join("gateway.sock").exists());
}

fn sha256(certificate: &Path) -> String {
    use sha2::Digest;
    let der = CertificateDer::from_pem_file(certificate).unwrap();
    sha2::Sha256::digest(&der).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_was_handed_over_is_served_and_left_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut parts = parts(dir.path()).await;
    let path = parts.socket.clone();
    parts.handed = Some(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let ending = parts.ending.clone();
    let gateway = tokio::spawn(serve(parts));
    let at = path.clone();
    let connect = tower::service_fn(move |_| {
        let path = at.clone();
        async move { std::io::Result::Ok(TokioIo::new(UnixStream::connect(path).await?)) }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    let channel = endpoint.connect_with_connector(connect).await.unwrap();
    assert_eq!(list(channel).await.unwrap(), 0);
    ending.cancel();
    gateway.await.unwrap().unwrap();
    assert!(path.exists());
}
