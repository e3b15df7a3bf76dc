//! The functions of the mapping language. There are no others: VRL's own library, with its clock, its random numbers
//! and its network, is not compiled in, so a mapping gives the same result for the same payload for ever.
//!
//! A *value function* takes a field and makes its value canonical; one that is wrong is recorded as a problem with its
//! pointer, and the mapping goes on, so that one run finds all problems of a payload.

mod call;
mod checks;
mod each;
mod field;
mod money;
mod plain;
mod registry;
mod rule;
mod run;

use std::fmt::Write as _;
use std::sync::Arc;

use vrl::compiler::Function;

use crate::normalize::tables::Tables;

pub use field::{as_text, pointer};
pub use rule::REFUSED;
pub use run::{Findings, Run};

/// What functions may refer to by name: the adapter's tables and the list parameters of its bindings.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub tables: Arc<Tables>,
    pub lists: Arc<Vec<String>>,
}

/// Groups of functions, in the order of the documentation.
mod describe {
    pub const STRUCTURE: &str = "Structure";
    pub const VALUE: &str = "Value functions";
    pub const CHECK: &str = "Checks";
    pub const PLAIN: &str = "Plain functions";
    pub const ALL: [&str; 4] = [STRUCTURE, VALUE, CHECK, PLAIN];
}

/// Every function of the mapping language.
pub fn all(known: &Known) -> Vec<Box<dyn Function>> {
    let mut functions: Vec<Box<dyn Function>> = vec![
        Box::new(each::Each { known: known.clone(), pairs: false }),
        Box::new(each::Each { known: known.clone(), pairs: true }),
        Box::new(money::Money { known: known.clone() }),
    ];
    functions.extend(registry::value_functions(known).into_iter().map(|function| Box::new(function) as _));
    functions.extend(checks::checks(known).into_iter().map(|function| Box::new(function) as _));
    functions.extend(plain::plain_functions().into_iter().map(|function| Box::new(function) as _));
    functions
}

/// The tables of functions in `docs/mappings.md`.
pub fn reference() -> String {
    let functions = all(&Known::default());
    let mut text = String::new();
    for group in describe::ALL {
        let _ = write!(text, "### {group}\n\n| Function | Gives |\n|---|---|\n");
        for function in functions.iter().filter(|function| function.category() == group) {
            let parameters = function.parameters().iter().map(|parameter| match parameter.required {
                true => parameter.keyword.to_owned(),
                false => format!("{}:", parameter.keyword),
            });
            let parameters = parameters.collect::<Vec<_>>().join(", ");
            let summary = function.summary().replace('|', "\\|");
            let _ = writeln!(text, "| `{}({parameters})` | {summary} |", function.identifier());
        }
        text.push('\n');
    }
    text
}

/// Whether an argument of a function must be a field, or may be one.
pub fn field_parameters(function: &dyn Function) -> impl Iterator<Item = (usize, &'static str)> {
    let names = ["field", "beside", "at", "amount", "currency"];
    let parameters = function.parameters().iter().enumerate();
    parameters.map(|(index, parameter)| (index, parameter.keyword)).filter(move |(_, name)| names.contains(name))
}

#[cfg(test)]
mod tests;
