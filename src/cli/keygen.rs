//! `crossdock keygen`: a new signing secret.

use clap::Args;
use serde_json::json;

use crate::cli::{Failure, Output};
use crate::config::secret::Secret;
use crate::verify::scheme::new_standard_secret;

/// Make a new signing secret
///
/// 32 random bytes as 64 hexadecimal digits. The text itself is the key: the sender gets the same text.
#[derive(Debug, Args)]
pub struct Keygen {
    /// For webhooks by the Standard Webhooks specification: `whsec_` and Base64
    #[arg(long)]
    standard: bool,
}

impl Keygen {
    pub(super) fn run(&self, mut out: Output) -> Result<(), Failure> {
        let generate = if self.standard { new_standard_secret } else { Secret::generate };
        let secret = generate().map_err(|cause| Failure::Random { cause })?;
        out.print(|| secret.reveal().to_owned(), || json!({ "signing_secret": secret.reveal() }))?;
        Ok(())
    }
}
