//! The HTTP client of one registry: whom it trusts, who it is, how long it waits.

use std::net::IpAddr;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Identity};
use url::Url;

use crate::config::settings::{RegistryAuth, RegistrySettings};

/// # Errors
/// What is wrong with a file; never its content.
pub(super) fn client(settings: &RegistrySettings) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .timeout(settings.request_timeout)
        // Credentials go where they were sent and nowhere else.
        .redirect(Policy::none());
    if settings.url.scheme() == "http" {
        // No certificate is ever looked at, so a machine without any is as good.
        builder = builder.tls_certs_only([]);
    } else if let Some(ca) = &settings.tls.ca {
        let authorities = Certificate::from_pem_bundle(&read(ca)?);
        builder = builder.tls_certs_only(authorities.map_err(|_| unusable(ca))?);
    }
    if let Some(client) = &settings.tls.client {
        let mut pem = read(&client.certificate)?;
        pem.push(b'\n');
        pem.extend(read(&client.key)?);
        let identity = Identity::from_pem(&pem).map_err(|_| unusable(&client.certificate))?;
        builder = builder.identity(identity);
    }
    if is_this_machine(&settings.url) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| cause(&error))
}

/// # Errors
/// The credentials cannot stand in a header.
pub(super) fn authorization(auth: &RegistryAuth) -> Result<HeaderValue, String> {
    let text = match auth {
        RegistryAuth::Basic { username, password } => {
            format!("Basic {}", STANDARD.encode(format!("{username}:{}", password.reveal())))
        }
        RegistryAuth::Bearer(token) => format!("Bearer {}", token.reveal()),
    };
    let mut value = HeaderValue::try_from(text).map_err(|_| "expected credentials a header can hold".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The innermost cause: the outer ones say "error sending request" and repeat the address.
pub(super) fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|cause| format!("`{}` cannot be read: {cause}", path.display()))
}

fn unusable(path: &Path) -> String {
    format!("`{}` is not what TLS needs: expected certificates, and one key beside them, in PEM form", path.display())
}

/// Nobody has a proxy in front of the loopback interface, whatever the environment says.
fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}
