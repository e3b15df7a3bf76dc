//! A binding joins an adapter to a tenant and carries exactly the binding parameters of the adapter's contract.

use std::collections::BTreeMap;

use crate::config::courier::CourierSettings;
use crate::config::secret::Secret;

/// One `[[binding]]`, resolved against its adapter's manifest.
#[derive(Debug, Clone, Default)]
pub struct Binding {
    /// Names its metrics, ledger rows and outbound topic.
    pub name: String,
    pub adapter: String,
    pub tenant_id: String,
    /// Selling countries accepted, ISO 3166-1 alpha-2.
    pub countries: Vec<String>,
    /// Requests per minute and tenant; 0 is no limit.
    pub rate_limit_per_minute: u32,
    /// Any of them names the binding.
    pub bearer_tokens: Vec<Secret>,
    /// Any of them may have signed.
    pub signing_secret: Vec<Secret>,
    /// The adapter's topics this binding reads; no other binding reads them.
    pub topics: Vec<String>,
    /// `user:password`, any of them names the binding.
    pub basic_credentials: Vec<Secret>,
    /// What the signature of a call to it covers.
    pub signature_mode: SignatureMode,
    /// How its system is called.
    pub courier: CourierSettings,
    /// Names it in the path of its webhooks, and its orders: `custom.<source_id>`. Of adapters with webhooks only.
    pub source_id: Option<String>,
    /// The adapter's other parameters, by name.
    pub parameters: BTreeMap<String, Parameter>,
}

/// What the signature of an outgoing call covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SignatureMode {
    /// The time of signing and the body.
    #[default]
    Timestamp,
    /// The body alone: an old call can be sent again with a new time.
    Body,
}

/// The value of a binding parameter, of the type its manifest gives.
#[derive(Debug, Clone)]
pub enum Parameter {
    Text(String),
    List(Vec<String>),
    Secrets(Vec<Secret>),
    /// Extra rows of a code table: code to the row's columns.
    Table(BTreeMap<String, BTreeMap<String, String>>),
}

impl Binding {
    /// The codes of a list parameter; empty if it is not given.
    pub fn list(&self, parameter: &str) -> &[String] {
        match self.parameters.get(parameter) {
            Some(Parameter::List(codes)) => codes,
            _ => &[],
        }
    }
}

/// What a binding of an adapter must or may say beside what every binding says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BindingSpec {
    pub parameters: BTreeMap<String, ParameterSpec>,
    /// The topics of the adapter, in the order of its manifest.
    pub topics: Vec<String>,
}

/// A parameter as an adapter's manifest declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterSpec {
    pub kind: ParameterKind,
    pub required: bool,
}

/// The type of a binding parameter. In the configuration file: text, an array of texts, one secret reference or an
/// array of them, an absolute http(s) URL, or a table of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    Text,
    List,
    Secrets,
    Url,
    Table,
}
