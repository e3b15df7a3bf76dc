//! Reads what there can be several of, `[[binding]]` and `[[operator]]`: against the adapters' manifests, with
//! secrets in the place of references, and against each other.

use std::collections::BTreeMap;

use toml_edit::Item;
use url::Url;

use crate::config::binding::{Binding, BindingSpec, Parameter, ParameterKind, ParameterSpec, SignatureMode};
use crate::config::layers::AdapterParameters;
use crate::config::load::Profiles;
use crate::config::operator_token::OPERATOR;
use crate::config::reader::{FromItem, Section};
use crate::config::secret::{Resolver, Secret};
use crate::config::settings::{Operator, Role};

/// The countries that have value rules.
///
/// Source: `contracts/canonical-events.md` section 6.
pub const COUNTRIES: [&str; 5] = ["FR", "ES", "IT", "PL", "PT"];

/// Requests per minute and tenant. Source: `contracts/canonical-events.md` section 11.
const RATE_LIMIT_PER_MINUTE: u32 = 100;

/// What a sender proves itself with: any of each is accepted, the first is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The adapter, which knows the scheme; `None` if the binding does not say.
    pub adapter: Option<String>,
    pub bearer_tokens: Vec<Secret>,
    pub signing_secret: Vec<Secret>,
    pub basic_credentials: Vec<Secret>,
}

impl Credentials {
    /// Those of a binding.
    pub fn of(binding: &Binding) -> Self {
        Self {
            adapter: Some(binding.adapter.clone()),
            bearer_tokens: binding.bearer_tokens.clone(),
            signing_secret: binding.signing_secret.clone(),
            basic_credentials: binding.basic_credentials.clone(),
        }
    }
}

/// One secret reference or several.
struct References(Vec<String>);

/// Extra rows of a code table.
struct Rows(BTreeMap<String, BTreeMap<String, String>>);

/// The bindings without a mistake; mistakes are reported, those between bindings too.
pub(super) fn bindings(
    root: &Section<'_>,
    adapters: &AdapterParameters,
    courier: &Profiles,
    secrets: &Resolver<'_>,
) -> Vec<Binding> {
    let mut names = Unique::default();
    let mut tokens = Unique::default();
    let mut topics = Unique::default();
    let mut sources = Unique::default();
    let mut bindings: Vec<Binding> = Vec::new();
    for (index, section) in root.sections("binding").into_iter().enumerate() {
        let name = named(&section, "name", is_binding_name, "a letter, then letters, digits and `-`, at most 32, a-z");
        if let Some(name) = &name {
            names.claim(index, &section, "name", name, &format!("binding `{name}` is there already"));
        }
        let credentials = read_credentials(&section, secrets);
        let owner = name.as_deref().unwrap_or_default();
        for token in &credentials.bearer_tokens {
            let message = format!("binding `{owner}`: a bearer token names one binding, this one is in use already");
            tokens.claim(index, &section, "bearer_tokens", token.reveal(), &message);
        }
        let read = topics_of(&section, adapters);
        for topic in &read {
            let message = format!("binding `{owner}`: `{topic}` belongs to one binding (`topics`), it is read already");
            topics.claim(index, &section, "topics", topic, &message);
        }
        if let Some(source_id) = section.peek_text(SOURCE_ID) {
            let message = format!("binding `{owner}`: a `source_id` names one binding, this one is in use already");
            sources.claim(index, &section, SOURCE_ID, source_id, &message);
        }
        let courier = courier.of_binding(&section);
        let binding = binding(section, name, credentials, read, adapters, secrets);
        bindings.extend(binding.map(|binding| Binding { courier, ..binding }));
    }
    bindings
}

/// The operators without a mistake; one with several tokens is several.
pub(super) fn operators(root: &Section<'_>, secrets: &Resolver<'_>) -> Vec<Operator> {
    let mut names = Unique::default();
    let mut tokens = Unique::default();
    let mut operators = Vec::new();
    for (index, section) in root.sections("operator").into_iter().enumerate() {
        let expected = "1 to 64 letters, digits, `.`, `_`, `@`, `-`";
        let name = named(&section, "name", is_operator_name, expected);
        if let Some(name) = &name {
            names.claim(index, &section, "name", name, &format!("operator `{name}` is there already"));
            if name == OPERATOR {
                section.error(Some("name"), format!("operator `{OPERATOR}` is the holder of `operator.token`"));
            }
        }
        if !section.has("token") {
            section.required::<References>("token");
        }
        let found = resolve(&section, "token", secrets);
        let roles = roles(&section);
        let tenants = section.optional::<Vec<String>>("tenants").unwrap_or_default();
        for tenant in tenants.iter().filter(|tenant| !is_tenant(tenant)) {
            section.error(
                Some("tenants"),
                format!("`operator.tenants`: expected {TENANT}, found `{}`", tenant.escape_debug()),
            );
        }
        for token in &found {
            let owner = name.as_deref().unwrap_or_default();
            check_token(&section, "token", token);
            let message = format!("operator `{owner}`: a token names one operator, this one is in use already");
            tokens.claim(index, &section, "token", token.reveal(), &message);
        }
        section.finish();
        let (Some(name), Some(roles)) = (name, roles) else { continue };
        operators.extend(found.into_iter().map(|token| Operator {
            name: name.clone(),
            token,
            roles: roles.clone(),
            tenants: tenants.clone(),
        }));
    }
    operators
}

/// The credentials of one binding, or the names of those there are; a reference without a secret is reported.
pub(super) fn credentials(
    root: &Section<'_>,
    binding: &str,
    secrets: &Resolver<'_>,
) -> Result<Credentials, Vec<String>> {
    let mut known = Vec::new();
    for section in root.sections("binding") {
        let Some(name) = section.optional::<String>("name") else { continue };
        if name == binding {
            let credentials = read_credentials(&section, secrets);
            return Ok(Credentials { adapter: section.optional("adapter"), ..credentials });
        }
        known.push(name);
    }
    Err(known)
}

fn binding(
    section: Section<'_>,
    name: Option<String>,
    Credentials { bearer_tokens, signing_secret, basic_credentials, .. }: Credentials,
    topics: Vec<String>,
    adapters: &AdapterParameters,
    secrets: &Resolver<'_>,
) -> Option<Binding> {
    let adapter = section.required::<String>("adapter");
    let tenant_id = named(&section, "tenant_id", is_tenant, TENANT);
    let countries = countries(&section);
    let rate_limit_per_minute = section.optional("rate_limit_per_minute").unwrap_or(RATE_LIMIT_PER_MINUTE);
    let signature_mode = section.optional("signature_mode").unwrap_or_default();
    let adapter = adapter?;
    let Some(BindingSpec { parameters: specs, .. }) = adapters.get(&adapter) else {
        let known = listed(adapters.keys().map(String::as_str));
        section.error(Some("adapter"), format!("no adapter `{}`, there is: {known}", adapter.escape_debug()));
        return None;
    };
    let mut parameters = BTreeMap::new();
    let mut source_id = None;
    for (key, spec) in specs {
        match key.as_str() {
            SOURCE_ID => {
                let expected = "a letter, then 1 to 31 letters, digits and `-`, a-z";
                source_id = named(&section, SOURCE_ID, is_source_id, expected);
            }
            // Every binding has these; the manifest only says whether they must be given.
            "tenant_id" | "countries" | "rate_limit_per_minute" => {}
            "bearer_tokens" | "signing_secret" | BASIC_CREDENTIALS => {
                if spec.required {
                    section.required::<References>(key);
                }
            }
            _ => {
                if let Some(value) = parameter(&section, key, spec, secrets) {
                    parameters.insert(key.clone(), value);
                }
            }
        }
    }
    if section.has(BASIC_CREDENTIALS) && !specs.contains_key(BASIC_CREDENTIALS) {
        section.error(Some(BASIC_CREDENTIALS), format!("`{BASIC_CREDENTIALS}`: adapter `{adapter}` takes none"));
    }
    section.finish();
    Some(Binding {
        name: name?,
        adapter,
        tenant_id: tenant_id?,
        countries,
        rate_limit_per_minute,
        bearer_tokens,
        signing_secret,
        topics,
        basic_credentials,
        signature_mode,
        source_id,
        parameters,
        ..Binding::default()
    })
}

fn parameter(section: &Section<'_>, key: &str, spec: &ParameterSpec, secrets: &Resolver<'_>) -> Option<Parameter> {
    match spec.kind {
        ParameterKind::Text => given(section, key, spec).map(Parameter::Text),
        ParameterKind::List => given(section, key, spec).map(Parameter::List),
        ParameterKind::Secrets => {
            given::<References>(section, key, spec)?;
            Some(Parameter::Secrets(resolve(section, key, secrets)))
        }
        ParameterKind::Url => {
            let text: String = given(section, key, spec)?;
            // Not repeated: an address may hold a password.
            let expected = "expected an http or https address without user, query and fragment";
            if is_web_address(&text) {
                return Some(Parameter::Text(text));
            }
            section.error(Some(key), format!("`binding.{key}`: {expected}, found other text"));
            None
        }
        ParameterKind::Table => given(section, key, spec).map(|Rows(rows)| Parameter::Table(rows)),
    }
}

fn given<T: FromItem>(section: &Section<'_>, key: &str, spec: &ParameterSpec) -> Option<T> {
    if spec.required { section.required(key) } else { section.optional(key) }
}

fn countries(section: &Section<'_>) -> Vec<String> {
    if !section.has("countries") {
        section.optional::<Vec<String>>("countries");
        return COUNTRIES.map(str::to_owned).to_vec();
    }
    let Some(countries) = section.optional::<Vec<String>>("countries") else { return Vec::new() };
    let known = COUNTRIES.join(", ");
    if countries.is_empty() {
        section.error(Some("countries"), format!("`binding.countries`: expected one or more of {known}, found none"));
    }
    for country in countries.iter().filter(|country| !COUNTRIES.contains(&country.as_str())) {
        let found = country.escape_debug();
        section.error(Some("countries"), format!("`binding.countries`: expected of {known}, found `{found}`"));
    }
    countries
}

/// The topics the binding reads: those it names, else all of its adapter.
fn topics_of(section: &Section<'_>, adapters: &AdapterParameters) -> Vec<String> {
    let named = section.optional::<Vec<String>>("topics");
    // Nothing is reported here for an adapter that is missing or wrong; `binding` does.
    let all = adapters.iter().find(|(adapter, _)| section.is("adapter", adapter)).map(|(_, spec)| &spec.topics);
    let (Some(all), false) = (all, named.is_none() && section.has("topics")) else { return Vec::new() };
    let Some(named) = named else { return all.clone() };
    for topic in named.iter().filter(|topic| !all.contains(topic)) {
        let known = listed(all.iter().map(String::as_str));
        let message = format!("`binding.topics`: expected of {known}, found `{}`", topic.escape_debug());
        section.error(Some("topics"), message);
    }
    all.iter().filter(|topic| named.contains(topic)).cloned().collect()
}

fn read_credentials(section: &Section<'_>, secrets: &Resolver<'_>) -> Credentials {
    let bearer_tokens = resolve(section, "bearer_tokens", secrets);
    for token in &bearer_tokens {
        check_token(section, "bearer_tokens", token);
    }
    Credentials {
        adapter: None,
        bearer_tokens,
        signing_secret: resolve(section, "signing_secret", secrets),
        basic_credentials: if section.has(BASIC_CREDENTIALS) {
            resolve(section, BASIC_CREDENTIALS, secrets)
        } else {
            Vec::new()
        },
    }
}

/// The secrets `key` names; none if it is absent.
fn resolve(section: &Section<'_>, key: &str, secrets: &Resolver<'_>) -> Vec<Secret> {
    let Some(References(references)) = section.optional(key) else { return Vec::new() };
    let mut found = Vec::new();
    for reference in &references {
        match secrets.resolve(reference) {
            Ok(secret) => found.push(secret),
            Err(error) => section.error(Some(key), format!("`{key}`: {error}")),
        }
    }
    found
}

/// The secret this gateway proves itself with: the first that `key` names. Without `secrets` only the form of the
/// reference is looked at.
pub(super) fn secret(
    section: &Section<'_>,
    key: &str,
    required: bool,
    secrets: Option<&Resolver<'_>>,
) -> Option<Secret> {
    if required && !section.has(key) {
        section.required::<References>(key);
    }
    match secrets {
        Some(secrets) => resolve(section, key, secrets).into_iter().next(),
        None => section.optional::<References>(key).and(None),
    }
}

fn check_token(section: &Section<'_>, key: &str, token: &Secret) {
    if !token.is_token() {
        section.error(Some(key), format!("`{key}`: expected visible ASCII characters without spaces, found others"));
    }
}

fn roles(section: &Section<'_>) -> Option<Vec<Role>> {
    let names: Vec<String> = section.required("roles")?;
    if names.is_empty() {
        section.error(Some("roles"), format!("`operator.roles`: expected one or more of {ROLES}, found none"));
    }
    let mut roles = Vec::new();
    for name in &names {
        match Role::named(name) {
            Some(role) => roles.push(role),
            None => {
                let message = format!("`operator.roles`: expected of {ROLES}, found `{}`", name.escape_debug());
                section.error(Some("roles"), message);
            }
        }
    }
    Some(roles)
}

/// Required text of a certain form.
fn named(section: &Section<'_>, key: &str, accepts: fn(&str) -> bool, expected: &str) -> Option<String> {
    let text: String = section.required(key)?;
    if accepts(&text) {
        return Some(text);
    }
    section.error(Some(key), format!("`{key}`: expected {expected}, found `{}`", text.escape_debug()));
    None
}

/// Values that one table may use: by value, the table's number and its place.
#[derive(Default)]
struct Unique(BTreeMap<String, (usize, String)>);

impl Unique {
    fn claim(&mut self, index: usize, section: &Section<'_>, key: &str, value: &str, message: &str) {
        let (file, line) = section.place(Some(key));
        let place = if line == 0 { file.display().to_string() } else { format!("{}:{line}", file.display()) };
        let (first, at) = self.0.entry(value.to_owned()).or_insert((index, place));
        // A list that names one secret twice is odd, but clear.
        if *first != index {
            section.error(Some(key), format!("{message}: {at}"));
        }
    }
}

/// The names joined, or "none".
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The key that only bindings of adapters with webhooks have.
pub const SOURCE_ID: &str = "source_id";
/// The key that only bindings of adapters with user and password have.
pub const BASIC_CREDENTIALS: &str = "basic_credentials";

const ROLES: &str = "viewer, writer, operator, editor, admin, client";
const TENANT: &str = "1 to 64 letters, digits, `.`, `_`, `-`";

/// Part of every identity and key, so neither `|` nor `:`.
pub fn is_tenant(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

pub fn is_operator_name(text: &str) -> bool {
    is_tenant(&text.replace('@', "-"))
}

/// Part of a path and of every identity.
pub fn is_source_id(text: &str) -> bool {
    text.len() >= 2 && is_binding_name(text)
}

fn is_binding_name(text: &str) -> bool {
    text.len() <= 32
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

pub(super) fn is_web_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    })
}

impl FromItem for References {
    const EXPECTED: &'static str = "a secret reference such as \"env:NAME\", or an array of them";
    fn from_item(item: &Item) -> Option<Self> {
        match item.as_str() {
            Some(reference) => Some(Self(vec![reference.to_owned()])),
            None => Vec::from_item(item).filter(|references| !references.is_empty()).map(Self),
        }
    }
}

impl FromItem for SignatureMode {
    const EXPECTED: &'static str = "\"timestamp\" or \"body\"";
    fn from_item(item: &Item) -> Option<Self> {
        match item.as_str()? {
            "timestamp" => Some(Self::Timestamp),
            "body" => Some(Self::Body),
            _ => None,
        }
    }
}

impl FromItem for Rows {
    const EXPECTED: &'static str = "a table of rows such as { CODE = { column = \"value\" } }";
    fn from_item(item: &Item) -> Option<Self> {
        let rows = item.as_table_like()?.iter().map(|(code, row)| {
            let row = row.as_table_like()?.iter().map(|(column, cell)| Some((column.to_owned(), text_of(cell)?)));
            Some((code.to_owned(), row.collect::<Option<_>>()?))
        });
        rows.collect::<Option<_>>().map(Self)
    }
}

fn text_of(cell: &Item) -> Option<String> {
    let number = || cell.as_integer().map(|number| number.to_string());
    let flag = || cell.as_bool().map(|flag| flag.to_string());
    cell.as_str().map(str::to_owned).or_else(number).or_else(flag)
}
