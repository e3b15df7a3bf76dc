//! Developer mode, `serve` without a configuration file: bindings to try things with, on this machine only.
//!
//! `developer.toml` in the data folder is an ordinary configuration file but for its `literal:…` secrets, made at the
//! first start and kept: what was pasted yesterday works today. It stands where the configuration file would.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::config::binding::{ParameterKind, ParameterSpec};
use crate::config::layers::{AdapterParameters, Layers};
use crate::config::private;
use crate::config::reader::Document;
use crate::config::report::Report;
use crate::config::secret::Secret;

/// In the data folder, mode 0600.
pub const FILE: &str = "developer.toml";

const TENANT_ID: &str = "north";

const HEADER: &str = "# Made for developer mode. Before you use it elsewhere, put references (`env:NAME`, `file:/path`)\n\
                      # in the place of the secrets; `literal:` is accepted nowhere else.\n";

/// A binding of developer mode, with the values of the examples in the adapter's contract.
#[derive(Debug)]
struct Example {
    name: &'static str,
    adapter: &'static str,
    countries: &'static str,
    bu_codes: &'static str,
    /// Where its orders go.
    path: &'static str,
    /// An order to send, in the folder of the mappings: the one printed in the adapter's contract.
    payload: &'static str,
    /// The id of that order.
    order_id: &'static str,
}

const EXAMPLES: [Example; 2] = [
    Example {
        name: "pyxis-north",
        adapter: "pyxis",
        countries: r#"["FR", "ES", "IT", "PL"]"#,
        bu_codes: r#"["BU_FR_HOME", "BU_ES_HOME", "BU_IT_HOME", "BU_PL_HOME"]"#,
        path: "/api/v1/adapters/sales/pyxis/orders",
        payload: "pyxis/cases/order/input.json",
        order_id: "PYX-FR-20260304-7731",
    },
    Example {
        name: "tempo-north",
        adapter: "tempo",
        countries: r#"["ES", "IT"]"#,
        bu_codes: r#"["BU_ES_DIY", "BU_IT_HOME"]"#,
        path: "/api/v1/adapters/sales/tempo/services",
        payload: "tempo/cases/order/input.json",
        order_id: "TEMPO-ES-20260311-0417",
    },
];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file was changed by hand.
    #[error("{0}")]
    Wrong(Report),
    #[error("`{path}` cannot be read: {cause}")]
    Read { path: PathBuf, cause: io::Error },
    #[error("`{path}` cannot be written: {cause}")]
    Write { path: PathBuf, cause: io::Error },
    #[error("no random numbers: {cause}")]
    Random { cause: getrandom::Error },
}

/// What `serve` says at a start in developer mode: where it listens and commands to paste.
#[derive(Debug)]
pub struct Greeting<'a> {
    /// How this program was called, so that the commands run as they are.
    pub program: &'a str,
    pub data_dir: &'a Path,
    pub mappings_dir: &'a Path,
    pub door: SocketAddr,
    pub ops: SocketAddr,
    /// Adapters that were loaded.
    pub adapters: &'a AdapterParameters,
}

/// Adds the bindings of `developer.toml` in `data_dir`, if the file is there: for commands that only read.
///
/// # Errors
/// The file cannot be read or is no TOML.
pub fn attach(layers: &mut Layers, data_dir: &Path) -> Result<(), Error> {
    if let Some(text) = read(&data_dir.join(FILE))? {
        layers.insert(Document::parse(data_dir.join(FILE), text).map_err(Error::Wrong)?);
    }
    Ok(())
}

/// As [`attach`], but first completes the file: a binding, with new secrets, for each adapter that has an example
/// and no binding of that name yet.
///
/// # Errors
/// As [`attach`], or the file cannot be written.
pub fn prepare(layers: &mut Layers, data_dir: &Path, adapters: &AdapterParameters) -> Result<(), Error> {
    let path = data_dir.join(FILE);
    let before = read(&path)?;
    let mut text = before.clone().unwrap_or_else(|| HEADER.to_owned());
    for example in EXAMPLES {
        let Some(spec) = adapters.get(example.adapter) else { continue };
        // By its line, not by its value: what a person wrote into the file is never repeated below it.
        if !text.lines().any(|line| line.trim() == format!("name = \"{}\"", example.name)) {
            text.push_str(&example.table(&spec.parameters)?);
        }
    }
    if before.as_deref() != Some(text.as_str()) {
        private::make_folder(data_dir)
            .and_then(|()| private::write(data_dir, FILE, &text))
            .map_err(|cause| Error::Write { path: path.clone(), cause })?;
    }
    layers.insert(Document::parse(path, text).map_err(Error::Wrong)?);
    Ok(())
}

/// Puts these addresses, by the name of the binding, in the place of those at which its partner is called: a simulated
/// partner has another one at each start. The file is there.
///
/// # Errors
/// The file cannot be read or written.
pub fn call_at(data_dir: &Path, addresses: &BTreeMap<&str, String>) -> Result<(), Error> {
    let path = data_dir.join(FILE);
    let (mut text, mut is_called) = (String::new(), false);
    for line in read(&path)?.unwrap_or_default().lines() {
        let name = line.trim().strip_prefix("name = \"").and_then(|rest| rest.strip_suffix('"'));
        let address = name.and_then(|name| addresses.get(name));
        is_called = address.is_some() || is_called && name.is_none() && line.trim() != "[[binding]]";
        if !(is_called && line.trim().starts_with("base_url = ")) {
            text.push_str(&format!("{line}\n"));
        }
        if let Some(address) = address {
            text.push_str(&format!("base_url = \"{address}\"\n"));
        }
    }
    private::write(data_dir, FILE, &text).map_err(|cause| Error::Write { path, cause })
}

impl Example {
    fn table(&self, specs: &BTreeMap<String, ParameterSpec>) -> Result<String, Error> {
        let Self { name, adapter, countries, bu_codes, .. } = self;
        let secret = || Secret::generate().map_err(|cause| Error::Random { cause });
        let mut table = format!(
            "\n[[binding]]\nname = \"{name}\"\nadapter = \"{adapter}\"\ntenant_id = \"{TENANT_ID}\"\n\
             countries = {countries}\nrate_limit_per_minute = 0\nbearer_tokens = \"literal:{}\"\n\
             signing_secret = \"literal:{}\"\n",
            secret()?.reveal(),
            secret()?.reveal()
        );
        for (key, spec) in specs {
            match (key.as_str(), spec.kind) {
                ("bu_codes", ParameterKind::List) => table.push_str(&format!("bu_codes = {bu_codes}\n")),
                // Nobody is there: whoever wants calls to arrive puts an address here.
                ("base_url", ParameterKind::Url) if spec.required => {
                    table.push_str("base_url = \"http://127.0.0.1:9\"\n");
                }
                ("bearer_tokens" | "signing_secret", _) => {}
                (key, ParameterKind::Secrets) if spec.required => {
                    table.push_str(&format!("{key} = \"literal:{}\"\n", secret()?.reveal()));
                }
                _ => {}
            }
        }
        Ok(table)
    }
}

impl fmt::Display for Greeting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { program, data_dir, mappings_dir, door, ops, adapters } = self;
        let command = format!("  {} --data-dir {}", quoted(program), quoted(&data_dir.display().to_string()));
        writeln!(f, "Developer mode: no configuration file, this machine only, no rate limits.\n")?;
        writeln!(f, "  sales systems deliver to  http://{door}")?;
        writeln!(f, "  operators ask             http://{ops}")?;
        writeln!(f, "  secrets are in            {}", data_dir.join(FILE).display())?;
        for example in EXAMPLES.iter().filter(|example| adapters.contains_key(example.adapter)) {
            let Example { name, adapter, path, order_id, .. } = example;
            let payload = quoted(&mappings_dir.join(example.payload).display().to_string());
            writeln!(f, "\nSend an order as {name}:")?;
            writeln!(
                f,
                "{command} sign --binding {name} {payload} | curl -sS -H @- -H 'Content-Type: application/json' \
                 --data-binary @{payload} http://{door}{path}"
            )?;
            writeln!(f, "See what became of it:")?;
            writeln!(f, "{command} orders show --url http://{ops} {adapter} {order_id}")?;
        }
        writeln!(f, "\nWatch the events come out:")?;
        for topic in ["integration.sales.order_received", "integration.sales.order.normalized"] {
            writeln!(f, "{command} events tail {topic} --from beginning --limit 1 --url http://{ops}")?;
        }
        writeln!(f, "\nCtrl-C stops the gateway; what it answered is kept in {}.", data_dir.display())
    }
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::Read { path: path.to_owned(), cause }),
    }
}

/// One word of a shell command.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
