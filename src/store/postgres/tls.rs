//! The TLS side of a connection: whom it trusts, and who it says it is.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::store::postgres::options::{ClientCertificate, Tls};

/// What `tls` means to rustls; `None` if it is off. Reads the files once: new ones need a restart.
///
/// # Errors
/// A text that names the file and says what is wrong with it.
pub(super) fn client_config(tls: &Tls) -> Result<Option<ClientConfig>, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|cause| cause.to_string())?;
    let (builder, client) = match tls {
        Tls::Off => return Ok(None),
        Tls::Require { client } => {
            (builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))), client)
        }
        Tls::VerifyFull { ca: Some(ca), client } => (builder.with_root_certificates(authorities(ca)?), client),
        Tls::VerifyFull { ca: None, client } => {
            (builder.with_platform_verifier().map_err(|cause| cause.to_string())?, client)
        }
    };
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(ClientCertificate { chain, key }) => {
            let private = PrivateKeyDer::from_pem_file(key).map_err(|cause| named(key, cause))?;
            builder.with_client_auth_cert(certificates(chain)?, private).map_err(|cause| named(chain, cause))?
        }
    };
    Ok(Some(config))
}

fn authorities(file: &Path) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(file)? {
        store.add(certificate).map_err(|cause| named(file, cause))?;
    }
    Ok(store)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(named(file, "it holds no certificate")),
        Ok(certificates) => Ok(certificates),
        Err(cause) => Err(named(file, cause)),
    }
}

fn named(file: &Path, cause: impl std::fmt::Display) -> String {
    format!("`{}`: {cause}", file.display())
}

/// Accepts every certificate, but only from one who holds its key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
