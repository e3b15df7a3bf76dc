//! `crossdock token`: a new operator token and what to write into the configuration.

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::cli::{Failure, Output};
use crate::config::operator_token::OPERATOR;
use crate::config::resolve;
use crate::config::secret::Secret;

/// Make a new operator token
///
/// It is printed once and stored nowhere. The first line goes where the gateway finds its environment, the block below
/// it into `crossdock.toml`.
#[derive(Debug, Args)]
pub struct Token {
    /// Who it is for; stands in the audit
    #[arg(value_parser = operator_name)]
    name: String,
    /// What they may do; can be given several times
    #[arg(long = "role", required = true, value_enum)]
    roles: Vec<RoleName>,
    /// Whose data they may see; can be given several times [default: every tenant]
    #[arg(long = "tenant", value_parser = tenant)]
    tenants: Vec<String>,
}

/// The roles as the configuration names them.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    Viewer,
    Writer,
    Operator,
    Editor,
    Admin,
    Client,
}

impl Token {
    pub(super) fn run(&self, mut out: Output) -> Result<(), Failure> {
        let secret = Secret::generate().map_err(|cause| Failure::Random { cause })?;
        let Self { name, tenants, .. } = self;
        let roles: Vec<_> = self.roles.iter().map(|role| role.name()).collect();
        let variable = format!("CROSSDOCK_TOKEN_{}", as_variable(name));
        let reference = format!("env:{variable}");
        out.print(
            || {
                let mut text = format!(
                    "{variable}={}\n\n[[operator]]\nname = \"{name}\"\ntoken = \"{reference}\"\nroles = [{}]\n",
                    secret.reveal(),
                    quoted(&roles)
                );
                if !tenants.is_empty() {
                    text.push_str(&format!("tenants = [{}]\n", quoted(tenants)));
                }
                text
            },
            || {
                let operator = json!({ "name": name, "token": reference, "roles": roles, "tenants": tenants });
                json!({ "token": secret.reveal(), "variable": variable, "operator": operator })
            },
        )?;
        Ok(())
    }
}

impl RoleName {
    fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Writer => "writer",
            Self::Operator => "operator",
            Self::Editor => "editor",
            Self::Admin => "admin",
            Self::Client => "client",
        }
    }
}

fn operator_name(text: &str) -> Result<String, String> {
    match text {
        OPERATOR => Err(format!("`{OPERATOR}` is the holder of `operator.token`")),
        _ if resolve::is_operator_name(text) => Ok(text.to_owned()),
        _ => Err("expected 1 to 64 letters, digits, `.`, `_`, `@`, `-`".to_owned()),
    }
}

fn tenant(text: &str) -> Result<String, String> {
    if resolve::is_tenant(text) {
        Ok(text.to_owned())
    } else {
        Err("expected 1 to 64 letters, digits, `.`, `_`, `-`".to_owned())
    }
}

fn as_variable(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Texts that need no escapes, as elements of a TOML array.
fn quoted(texts: &[impl AsRef<str>]) -> String {
    texts.iter().map(|text| format!("\"{}\"", text.as_ref())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::Parser as _;

    use super::*;
    use crate::cli::output::Format;
    use crate::cli::testing::Captured;
    use crate::cli::{Cli, Command};
    use crate::config::layers::{Layers, Sources};
    use crate::config::settings::Role;

    #[test]
    fn the_printed_block_and_variable_make_the_operator() {
        let line = "crossdock token anna.b --role viewer --role writer --tenant north";
        let cli = Cli::try_parse_from(line.split(' ')).expect("usage");
        let Command::Token(token) = cli.command else { panic!("another command") };
        let captured = Captured::default();

        token.run(Output::to(captured.clone(), Format::Text)).expect("printed");

        let text = captured.text();
        let (variable, block) = text.split_once("\n\n").expect("two parts");
        let environment = [variable.split_once('=').expect("an assignment")].into_iter().collect();
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("crossdock.toml");
        std::fs::write(&file, block).expect("written");
        let layers = Layers::open(Sources { file: Some(file), environment, flags: Vec::new() }).expect("TOML");
        let settings = layers.settings(&BTreeMap::new()).expect("no mistake");
        let [operator] = settings.operators.as_slice() else { panic!("one operator") };
        assert_eq!((operator.name.as_str(), operator.tenants.join(" ")), ("anna.b", "north".to_owned()));
        assert_eq!(operator.roles, [Role::Viewer, Role::Writer]);
        assert!(variable.starts_with("CROSSDOCK_TOKEN_ANNA_B=") && operator.token.is_token());
    }
}
