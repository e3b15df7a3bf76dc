//! Whom a target is taken for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::server::Server;
use super::{Partner, settings};
use crate::config::courier::CourierSettings;
use crate::config::settings::{ClientCertificate, TlsSettings};
use crate::courier::credentials::Credentials;
use crate::courier::{Cause, Verdict};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed")
}

fn signed(authority: &Authority, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    (params.signed_by(&key, authority).expect("signed"), key)
}

/// For `localhost`; where `clients` is given, only for those it has signed.
fn acceptor(authority: &Authority, clients: Option<&Authority>) -> TlsAcceptor {
    let (certificate, key) = signed(authority, "localhost");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.as_ref().der().clone()).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = builder.with_single_cert(vec![certificate.der().clone()], key).expect("a server");
    TlsAcceptor::from(Arc::new(config))
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    path
}

async fn verdict(server: &Server, host: &str, tls: TlsSettings) -> Verdict {
    let settings = CourierSettings { tls, ..settings() };
    let url = format!("https://{host}:{}/hook", server.port);
    Partner::at(&url, &settings, Credentials::default()).attempt("e1").await.verdict
}

#[tokio::test]
async fn only_a_target_that_proves_its_name_is_told_anything() {
    let folder = tempfile::tempdir().expect("a folder");
    let (own, other) = (authority(), authority());
    let server = Server::with([], Some(acceptor(&own, None))).await;
    let trusting = |authority: &Authority, name| TlsSettings {
        ca: Some(write(folder.path(), name, &authority.as_ref().pem())),
        client: None,
    };

    let refused = Verdict::TargetFailed(Cause::Tls);
    assert_eq!(verdict(&server, "localhost", trusting(&other, "other.pem")).await, refused);
    assert_eq!(verdict(&server, "127.0.0.1", trusting(&own, "own.pem")).await, refused);
    assert!(server.seen().is_empty());

    assert_eq!(verdict(&server, "localhost", trusting(&own, "own.pem")).await, Verdict::Success);
}

#[tokio::test]
async fn a_target_that_does_not_take_us_for_ourselves_has_seen_no_attempt() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = authority();
    let server = Server::with([], Some(acceptor(&own, Some(&own)))).await;
    let ca = Some(write(folder.path(), "own.pem", &own.as_ref().pem()));
    let (certificate, key) = signed(&own, "crossdock");
    let client = ClientCertificate {
        certificate: write(folder.path(), "client.pem", &certificate.pem()),
        key: write(folder.path(), "client-key.pem", &key.serialize_pem()),
    };

    let nameless = verdict(&server, "localhost", TlsSettings { ca: ca.clone(), client: None }).await;
    let known = verdict(&server, "localhost", TlsSettings { ca, client: Some(client) }).await;

    assert_eq!(nameless, Verdict::TargetFailed(Cause::Tls));
    assert_eq!(known, Verdict::Success);
}
