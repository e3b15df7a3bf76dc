//! Secrets: shown as `***` wherever they are printed, and never written in a configuration file but by reference.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};

use subtle::ConstantTimeEq;

use crate::config::environment::Environment;

/// A longer file is no secret but a mistake.
const LONGEST_FILE: u64 = 64 * 1024;

/// A resolved secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Finds the secret a reference names.
#[derive(Debug)]
pub struct Resolver<'a> {
    pub environment: &'a Environment,
    /// Whether `literal:…` is a reference; in developer mode only.
    pub accept_literals: bool,
    /// Looks nothing up: a secret is its own reference then. For what is asked of a configuration where its secrets are
    /// not at hand.
    pub is_blind: bool,
}

/// Why a reference names no secret. Says the reference, never a value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // What stands there may be the secret itself, so it is not repeated.
    #[error("expected a reference such as `env:NAME` or `file:/path`, found other text")]
    NoReference,
    #[error("`literal:…` is accepted in developer mode only, expected `env:NAME` or `file:/path`")]
    Literal,
    #[error("`{reference}`: the variable is not set")]
    NotSet { reference: String },
    #[error("`{reference}`: {cause}")]
    Unreadable { reference: String, cause: io::Error },
    #[error("`{reference}`: longer than {LONGEST_FILE} bytes")]
    TooLong { reference: String },
    #[error("`{reference}`: expected UTF-8, found other bytes")]
    NotText { reference: String },
    #[error("`{reference}`: empty")]
    Empty { reference: String },
}

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// A new one: 32 random bytes as 64 hexadecimal digits, which need no quoting anywhere. The text itself is the
    /// key when something is signed with it.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(hex::encode(bytes)))
    }

    /// The value itself, for signing and for the one place a developer is shown it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Compares in constant time.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(candidate).into()
    }

    /// Whether it can be sent after `Bearer `: one or more visible ASCII characters, no space.
    pub fn is_token(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

impl Resolver<'_> {
    /// `env:NAME`, `file:/path` (line ends at its end are left out), or `literal:…` where that is accepted.
    ///
    /// # Errors
    /// The reference has another form, or what it names is missing, unreadable, empty or no text.
    pub fn resolve(&self, reference: &str) -> Result<Secret, Error> {
        let named = || reference.to_owned();
        let value = match reference.split_once(':') {
            Some(("env" | "file", name)) if self.is_blind && !name.is_empty() => reference.to_owned(),
            Some(("env", name)) => {
                let value = self.environment.get(name).ok_or_else(|| Error::NotSet { reference: named() })?;
                value.to_str().ok_or_else(|| Error::NotText { reference: named() })?.to_owned()
            }
            Some(("file", path)) => {
                let unreadable = |cause| Error::Unreadable { reference: named(), cause };
                let mut bytes = Vec::new();
                let file = File::open(path).map_err(unreadable)?;
                file.take(LONGEST_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
                if bytes.len() as u64 > LONGEST_FILE {
                    return Err(Error::TooLong { reference: named() });
                }
                let text = String::from_utf8(bytes).map_err(|_| Error::NotText { reference: named() })?;
                text.trim_end_matches(['\r', '\n']).to_owned()
            }
            Some(("literal", value)) if self.accept_literals => {
                if value.is_empty() {
                    return Err(Error::Empty { reference: named() });
                }
                value.to_owned()
            }
            Some(("literal", _)) => return Err(Error::Literal),
            _ => return Err(Error::NoReference),
        };
        if value.is_empty() { Err(Error::Empty { reference: named() }) } else { Ok(Secret(value)) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(reference: &str, accept_literals: bool) -> Result<String, String> {
        let environment = [("TOKEN", "t0ken"), ("BLANK", "")].into_iter().collect();
        let resolver = Resolver { environment: &environment, accept_literals, is_blind: false };
        resolver.resolve(reference).map(|secret| secret.reveal().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn where_nothing_is_looked_up_a_secret_is_its_reference() {
        let resolver = Resolver { environment: &Environment::default(), accept_literals: false, is_blind: true };

        assert_eq!(resolver.resolve("env:UNSET").expect("a reference").reveal(), "env:UNSET");
        assert_eq!(resolver.resolve("file:/nowhere").expect("a reference").reveal(), "file:/nowhere");
        assert!(matches!(resolver.resolve("open"), Err(Error::NoReference)));
    }

    #[test]
    fn a_reference_resolves_or_says_why_not_without_repeating_a_value() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).expect("written");
            format!("file:{}", path.display())
        };
        let file = write("secret", b"from a file\r\n");
        let (blank, binary) = (write("blank", b"\n"), write("binary", b"\xff\xfe"));
        let (long, missing) = (write("long", &[b'x'; 65_537]), format!("file:{}/none", folder.path().display()));
        let no_reference = "expected a reference such as `env:NAME` or `file:/path`, found other text";
        let literal = "`literal:…` is accepted in developer mode only, expected `env:NAME` or `file:/path`";
        for (reference, accept_literals, expected) in [
            ("env:TOKEN", false, Ok("t0ken")),
            (&file, false, Ok("from a file")),
            ("literal:abc:d", true, Ok("abc:d")),
            ("literal:abc", false, Err(literal)),
            ("literal:", true, Err("`literal:`: empty")),
            ("env:ABSENT", false, Err("`env:ABSENT`: the variable is not set")),
            ("env:BLANK", false, Err("`env:BLANK`: empty")),
            (&blank, false, Err(format!("`{blank}`: empty").as_str())),
            (&binary, false, Err(format!("`{binary}`: expected UTF-8, found other bytes").as_str())),
            (&long, false, Err(format!("`{long}`: longer than 65536 bytes").as_str())),
            (&missing, false, Err(format!("`{missing}`: No such file or directory (os error 2)").as_str())),
            ("s3cret", true, Err(no_reference)),
            ("vault:s3cret", true, Err(no_reference)),
            ("", true, Err(no_reference)),
        ] {
            let found = resolve(reference, accept_literals);
            assert_eq!(found.as_ref().map(String::as_str).map_err(String::as_str), expected, "{reference}");
        }
    }

    #[test]
    fn a_generated_secret_is_a_token_of_64_digits_and_never_the_same() {
        let (one, other) = (Secret::generate().expect("random"), Secret::generate().expect("random"));

        assert!(one.is_token() && one.reveal().len() == 64);
        assert_ne!(one, other);
        assert_eq!(format!("{one:?}"), "Secret(***)");
    }
}
