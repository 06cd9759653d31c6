//! Gateways elsewhere: who proves what to whom.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use navigator_client::{ConnectError, Credentials, Gateway, Reach, connect};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::block_on;

/// An authority, and what it signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// A client's credentials, signed by this authority, that trust another one's gateways.
    fn client(&self, trusted: &Self) -> Credentials {
        let (certificate, key) = self.sign("client");
        Credentials {
            ca: trusted.0.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem().into(),
        }
    }
}

/// A connection as tonic wants it.
struct Io(TlsStream<TcpStream>);

impl Connected for Io {
    type ConnectInfo = ();

    fn connect_info(&self) -> Self::ConnectInfo {}
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Serves a gateway as `name`, for clients of the same authority, and returns its port.
async fn serve(authority: &Authority, name: &str) -> u16 {
    let (certificate, key) = authority.sign(name);
    let mut clients = RootCertStore::empty();
    clients.add(authority.0.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(clients.into(), provider.clone());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (accepted, incoming) = tokio::sync::mpsc::channel(1);
    tokio::spawn(navigator_testkit::gateway::serve_accepted(incoming));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that is not trusted is told so by the handshake.
            if let Ok(stream) = acceptor.accept(stream).await
                && accepted.send(Ok(Io(stream))).await.is_err()
            {
                return;
            }
        }
    });
    port
}

fn gateway(port: u16, credentials: Credentials) -> Gateway {
    Gateway {
        name: "team".into(),
        reach: Reach::Tls { host: "localhost".into(), port, credentials },
    }
}

#[test]
fn both_sides_prove_who_they_are() {
    let authority = Authority::new();
    let result = block_on(async {
        let port = serve(&authority, "localhost").await;
        connect(&gateway(port, authority.client(&authority))).await.map(drop)
    });
    assert!(result.is_ok(), "{result:?}");
}

#[test]
fn a_gateway_of_another_authority_or_name_is_not_trusted() {
    let (authority, other) = (Authority::new(), Authority::new());
    for (trusted, name) in [(&other, "localhost"), (&authority, "elsewhere.example")] {
        let result = block_on(async {
            let port = serve(&authority, name).await;
            connect(&gateway(port, authority.client(trusted))).await.map(drop)
        });
        let refused = matches!(
            result,
            Err(ConnectError::Network { action: "make a trusted connection to", .. })
        );
        assert!(refused, "{name}: {result:?}");
    }
}

#[test]
fn a_client_of_another_authority_is_refused_in_words() {
    let (authority, other) = (Authority::new(), Authority::new());
    let result = block_on(async {
        let port = serve(&authority, "localhost").await;
        connect(&gateway(port, other.client(&authority))).await.map(drop)
    });
    assert!(matches!(result, Err(ConnectError::Talk { .. })), "{result:?}");
}

#[test]
fn credentials_that_are_none_are_named_and_never_shown() {
    let authority = Authority::new();
    let good = authority.client(&authority);
    let texts = ["", "secret", "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"];
    for text in texts {
        for part in 0..3 {
            let mut credentials = good.clone();
            match part {
                0 => credentials.ca = text.into(),
                1 => credentials.certificate = text.into(),
                _ => credentials.key = text.to_owned().into(),
            }
            let result = block_on(connect(&gateway(1, credentials))).map(drop);
            assert!(matches!(result, Err(ConnectError::Credentials(_))), "{text} {part}");
            assert!(!format!("{result:?}").contains("secret"), "{result:?}");
        }
    }
    let mut mixed = good;
    mixed.key = authority.client(&authority).key;
    let result = block_on(connect(&gateway(1, mixed))).map(drop);
    assert!(matches!(result, Err(ConnectError::Credentials(_))), "{result:?}");
}
