//! `crossdock sign`: the headers of a signed request.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::cli::{Common, Failure, Output};
use crate::clock::{Clock as _, SystemClock};
use crate::config::developer;
use crate::config::environment::Environment;
use crate::config::layers::Layers;
use crate::config::report::Report;
use crate::config::resolve::Credentials;
use crate::normalize::manifest::Manifest;
use crate::verify;
use crate::verify::scheme::Scheme;

/// Print the headers of a signed request, for `curl -H @-`
///
/// One header a line, by the scheme of the binding's adapter: for house systems the time, the signature and the
/// binding's bearer token. A signature covers the file's exact bytes, so they must be sent as they are: with
/// `--data-binary`, not with `-d`.
///
///   crossdock sign --binding B order.json |
///     curl -H @- -H 'Content-Type: application/json' --data-binary @order.json URL
///
/// The secrets are those of the configuration, or of developer mode in the data folder; the first of several is used.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Sign {
    /// The binding to sign as
    #[arg(long)]
    binding: String,
    /// When it is signed, in seconds since 1970 [default: now]
    #[arg(long, value_name = "SECONDS")]
    at: Option<i64>,
    /// The id of the delivery, where the scheme has one [default: a new one]
    #[arg(long)]
    id: Option<String>,
    /// The body of the request
    file: PathBuf,
}

impl Sign {
    pub(super) fn run(&self, common: &Common, environment: Environment, mut out: Output) -> Result<(), Failure> {
        let mut layers = Layers::open(common.sources(environment, Vec::new())).map_err(Failure::Configuration)?;
        if layers.is_developer() {
            let folders = layers.folders().map_err(Failure::Configuration)?;
            developer::attach(&mut layers, &folders.data_dir)?;
        }
        let credentials = layers.credentials(&self.binding).map_err(Failure::Configuration)?;
        let body = std::fs::read(&self.file).map_err(|cause| Failure::Input { path: self.file.clone(), cause })?;
        let at = self.at.unwrap_or_else(|| SystemClock.now_ms().div_euclid(1000));
        let headers = match scheme(&layers, &credentials)? {
            Some(scheme) => self.by_scheme(&scheme, &credentials, at, &body)?,
            None => headers(&credentials, at, &body),
        };
        if headers.is_empty() {
            return Err(Failure::NoCredentials { binding: self.binding.clone() });
        }
        out.print(
            || headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect(),
            || {
                let member = |(name, value): &(String, String)| (name.clone(), value.as_str().into());
                Value::Object(headers.iter().map(member).collect::<Map<_, _>>())
            },
        )?;
        Ok(())
    }

    fn by_scheme(
        &self,
        scheme: &Scheme,
        credentials: &Credentials,
        at: i64,
        body: &[u8],
    ) -> Result<Vec<(String, String)>, Failure> {
        let secrets = match scheme {
            Scheme::Standard | Scheme::HmacHeader(_) => &credentials.signing_secret,
            Scheme::Bearer => &credentials.bearer_tokens,
            Scheme::Basic => &credentials.basic_credentials,
        };
        let Some(secret) = secrets.first() else { return Ok(Vec::new()) };
        let id = self.id.clone().unwrap_or_else(|| format!("msg_{}", Uuid::new_v4().simple()));
        scheme.sign(secret, &id, at, body).map_err(|wrong| {
            let mut report = Report::default();
            let message = format!("binding `{}`: `{}`: {wrong}", self.binding, scheme.secrets_key());
            report.add("configuration", 0, 0, message);
            Failure::Configuration(report)
        })
    }
}

/// The scheme of the binding's adapter, if it has one of its own. Its other files need not be right.
fn scheme(layers: &Layers, credentials: &Credentials) -> Result<Option<Scheme>, Failure> {
    let Some(adapter) = &credentials.adapter else { return Ok(None) };
    let folder = layers.folders().map_err(Failure::Configuration)?.mappings_dir.join(adapter);
    let (manifest, _) = Manifest::load_sound(&folder);
    Ok(manifest.and_then(|manifest| manifest.webhook).map(|webhook| webhook.auth))
}

/// What the credentials allow: the signature, the token, or both.
fn headers(credentials: &Credentials, at: i64, body: &[u8]) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    if let Some(secret) = credentials.signing_secret.first() {
        headers.push(("X-FSM-Timestamp".to_owned(), at.to_string()));
        headers.push(("X-FSM-Signature".to_owned(), verify::sign(secret, at, body)));
    }
    if let Some(token) = credentials.bearer_tokens.first() {
        headers.push(("Authorization".to_owned(), format!("Bearer {}", token.reveal())));
    }
    headers
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::output::Format;
    use crate::cli::testing::Captured;
    use crate::cli::{Cli, Command, Exit};

    /// Runs `sign` on `body` with a configuration of one binding, `b`.
    fn sign(binding: &str, keys: &str, body: &[u8], format: Format) -> Result<String, Failure> {
        sign_in("", binding, keys, body, format)
    }

    /// The same, with `top` above the binding.
    fn sign_in(top: &str, binding: &str, keys: &str, body: &[u8], format: Format) -> Result<String, Failure> {
        let folder = tempfile::tempdir().expect("a folder");
        let (config, file) = (folder.path().join("crossdock.toml"), folder.path().join("order.json"));
        std::fs::write(&config, format!("{top}[[binding]]\nname = \"b\"\n{keys}")).expect("written");
        std::fs::write(&file, body).expect("written");
        let path = file.display().to_string();
        let cli = Cli::try_parse_from([
            "crossdock",
            "sign",
            "--binding",
            binding,
            "--at",
            "1772612130",
            "--id",
            "msg_1",
            &path,
        ]);
        let Command::Sign(sign) = cli.expect("usage").command else { panic!("another command") };
        let common = Common { config: Some(config), ..Common::default() };
        let secret = if keys.contains("\"shop\"") { "whsec_c2VjcmV0" } else { "secret" };
        let secret = if keys.contains("basic") { "acme:secret" } else { secret };
        let environment = [("TOKEN", "t0ken"), ("SECRET", secret)].into_iter().collect();
        let captured = Captured::default();
        sign.run(&common, environment, Output::to(captured.clone(), format))?;
        Ok(captured.text())
    }

    // printf '1772612130.{"a":1}' | openssl dgst -sha256 -hmac secret
    const SIGNATURE: &str = "v1=ef2b06388704a5aa2ecc469d059ebed96e44e26f0598a962640594df6c2cc9e6";

    #[test]
    fn the_headers_are_one_a_line_for_curl() {
        let both = "bearer_tokens = \"env:TOKEN\"\nsigning_secret = [\"env:SECRET\", \"env:TOKEN\"]\n";

        let text = sign("b", both, br#"{"a":1}"#, Format::Text).expect("signed");

        let expected =
            format!("X-FSM-Timestamp: 1772612130\nX-FSM-Signature: {SIGNATURE}\nAuthorization: Bearer t0ken\n");
        assert_eq!(text, expected);
    }

    #[test]
    fn a_webhooks_binding_signs_by_the_scheme_of_its_adapter() {
        let (mappings, secret) = ("fixtures/webhook/mappings", "env:SECRET");
        for (adapter, secrets, expected) in [
            (
                "shop",
                format!("signing_secret = \"{secret}\""),
                // printf 'msg_1.1772612130.{"a":1}' | openssl dgst -sha256 -hmac s3cret -binary | base64
                "webhook-id: msg_1\nwebhook-timestamp: 1772612130\nwebhook-signature: v1,",
            ),
            ("relay", format!("signing_secret = \"{secret}\""), "x-relay-time: 1772612130\nx-relay-signature: sha256="),
            ("plain", "basic_credentials = \"env:SECRET\"".to_owned(), "authorization: Basic "),
        ] {
            let keys = format!("adapter = \"{adapter}\"\n{secrets}\n");
            let top = format!("mappings_dir = \"{}/{mappings}\"\n", env!("CARGO_MANIFEST_DIR"));

            let text = sign_in(&top, "b", &keys, br#"{"a":1}"#, Format::Text).expect("signed");

            assert!(text.starts_with(expected), "{adapter}: {text}");
        }
    }

    #[test]
    fn only_what_the_binding_has_is_printed() {
        let text = sign("b", "bearer_tokens = \"env:TOKEN\"", b"", Format::Json).expect("signed");
        assert_eq!(text, "{\"Authorization\":\"Bearer t0ken\"}\n");

        let failure = sign("b", "", b"", Format::Text).expect_err("nothing to say");
        assert_eq!(
            (failure.exit(), failure.to_string().contains("binding `b` has neither")),
            (Exit::BadConfiguration, true)
        );
        let failure = sign("c", "", b"", Format::Text).expect_err("unknown");
        assert_eq!(failure.exit(), Exit::BadConfiguration);
    }
}
