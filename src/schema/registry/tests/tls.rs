//! Whom the client trusts, and who it is.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

use super::clock;
use crate::config::settings::{ClientCertificate, RegistrySettings, TlsSettings};
use crate::schema::registry::testing::{Fake, settings};
use crate::schema::registry::{Error, Registry};

/// Somebody who signs certificates.
type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed")
}

/// A certificate for `name`, and its key.
fn signed(authority: &Authority, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    (params.signed_by(&key, authority).expect("signed"), key)
}

struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.tcp.accept().await.expect("a connection");
            // A client that turns away is what some tests want.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

/// Serves `fake` at `https://localhost`, to clients whose certificate `clients` signed if there is one.
async fn serve(fake: &Fake, authority: &Authority, clients: Option<&Authority>) -> String {
    let (certificate, key) = signed(authority, "localhost");
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.as_ref().der().clone()).expect("a root");
            let provider = Arc::new(aws_lc_rs::default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = builder.with_single_cert(vec![certificate.der().clone()], key).expect("a server");
    let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("https://localhost:{}", tcp.local_addr().expect("bound").port());
    let listener = TlsListener { tcp, acceptor: TlsAcceptor::from(Arc::new(config)) };
    let router = fake.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    path
}

async fn ask(url: &str, tls: TlsSettings) -> Result<Vec<String>, Error> {
    Registry::new(&RegistrySettings { tls, ..settings(url) }, clock())?.subjects().await
}

#[tokio::test]
async fn only_a_server_the_own_authority_signed_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let fake = Fake::start().await;
    fake.says("GET /subjects", 200, "[]");
    let (own, other) = (authority(), authority());
    let url = serve(&fake, &own, None).await;
    let trusting = |authority: &Authority, name| TlsSettings {
        ca: Some(write(folder.path(), name, &authority.as_ref().pem())),
        client: None,
    };

    assert_eq!(ask(&url, trusting(&own, "own.pem")).await, Ok(Vec::new()));
    let by_address = url.replace("localhost", "127.0.0.1");
    for (url, tls) in [
        (&url, trusting(&other, "other.pem")),
        (&url, TlsSettings::default()),
        // Signed, but for another name.
        (&by_address, trusting(&own, "own.pem")),
    ] {
        let error = ask(url, tls).await.expect_err("not trusted");
        assert!(error.is_transient() && error.to_string().contains("invalid peer certificate"), "{error}");
    }
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn the_client_shows_its_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let fake = Fake::start().await;
    fake.says("GET /subjects", 200, "[]");
    let (servers, clients) = (authority(), authority());
    let url = serve(&fake, &servers, Some(&clients)).await;
    let ca = write(folder.path(), "ca.pem", &servers.as_ref().pem());
    let shown_by = |authority: &Authority, name: &str| {
        let (certificate, key) = signed(authority, "crossdock");
        Some(ClientCertificate {
            certificate: write(folder.path(), &format!("{name}.pem"), &certificate.pem()),
            key: write(folder.path(), &format!("{name}-key.pem"), &key.serialize_pem()),
        })
    };

    let known = TlsSettings { ca: Some(ca.clone()), client: shown_by(&clients, "known") };
    assert_eq!(ask(&url, known).await, Ok(Vec::new()));
    for client in [None, shown_by(&servers, "unknown")] {
        let error = ask(&url, TlsSettings { ca: Some(ca.clone()), client }).await.expect_err("not let in");
        assert!(error.is_transient(), "{error}");
    }
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn files_tls_cannot_use_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let gone = folder.path().join("gone.pem");
    let junk = write(folder.path(), "junk.pem", "-----BEGIN CERTIFICATE-----\nsecret!\n-----END CERTIFICATE-----\n");
    let client = ClientCertificate { certificate: junk.clone(), key: junk.clone() };
    for (tls, expected) in [
        (TlsSettings { ca: Some(gone), client: None }, "gone.pem` cannot be read: No such file or directory"),
        (TlsSettings { ca: Some(junk), client: None }, "junk.pem` is not what TLS needs"),
        (TlsSettings { ca: None, client: Some(client) }, "junk.pem` is not what TLS needs"),
    ] {
        let error = ask("https://localhost:1", tls).await.expect_err("of no use").to_string();

        assert!(error.contains(expected) && !error.contains("secret!"), "{error}");
    }
}
