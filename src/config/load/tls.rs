//! The files of a TLS connection: read once at the start, so that a wrong one is a mistake with its line and not a
//! connection that fails later.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use crate::config::reader::Section;
use crate::config::settings::{ClientCertificate, TlsSettings};

/// A bundle of every public authority is a fifth of this.
const LONGEST_FILE: u64 = 1024 * 1024;
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
/// Ends the first line of each form a private key has.
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// What the three files are called in a table, each after the client library its other keys are named after.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    pub ca: &'static str,
    pub certificate: &'static str,
    pub key: &'static str,
}

/// What becomes of the files a table names.
#[derive(Clone, Copy)]
pub(super) enum Use {
    /// They are looked at.
    Now,
    /// The table is one of an engine that does not run: they need not be there.
    Not,
    /// The table itself turns TLS off, as this says: whoever names a file counts on TLS, so that is a mistake.
    Contradicted(&'static str),
}

pub(super) fn read(section: &Section<'_>, keys: Keys, usage: Use) -> TlsSettings {
    let [ca, certificate, key] = [(keys.ca, CERTIFICATE), (keys.certificate, CERTIFICATE), (keys.key, PRIVATE_KEY)]
        .map(|(key, content)| {
            let path = section.optional::<PathBuf>(key);
            match (&path, usage) {
                (Some(path), Use::Now) => check(section, key, path, content),
                (Some(_), Use::Contradicted(reason)) => unused(section, key, reason),
                (Some(_), Use::Not) | (None, _) => {}
            }
            path
        });
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
        (None, None) => None,
        (Some(_), None) => lonely(section, keys.certificate, keys.key),
        (None, Some(_)) => lonely(section, keys.key, keys.certificate),
    };
    TlsSettings { ca, client }
}

/// Reports a key that nothing reads because of what another one says.
pub(super) fn unused(section: &Section<'_>, key: &str, reason: &str) {
    section.error(Some(key), format!("{} is of no use: {reason}", section.name_of(key)));
}

fn lonely<T>(section: &Section<'_>, key: &str, missing: &str) -> Option<T> {
    let (key_name, missing) = (section.name_of(key), section.name_of(missing));
    section.error(Some(key), format!("{key_name} needs {missing} beside it"));
    None
}

fn check(section: &Section<'_>, key: &str, path: &PathBuf, content: &str) {
    // Somebody pasted the key itself; it is not repeated.
    if path.to_string_lossy().contains("-----BEGIN") {
        return section.refuse(key, "the path of a file in PEM form", "its content");
    }
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST_FILE).read_to_end(&mut text));
    if let Err(cause) = read {
        let name = section.name_of(key);
        section.error(Some(key), format!("{name}: `{}` cannot be read: {cause}", path.display()));
    } else if !String::from_utf8_lossy(&text).contains(content) {
        let what = if content == CERTIFICATE { "a certificate" } else { "a private key" };
        section.refuse(key, &format!("a file with {what} in PEM form"), "another file");
    }
}
