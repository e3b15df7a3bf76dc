//! Verified -> Draft: decode, validate against the JSON Schema, map with VRL, apply the value rules. And the way back:
//! [`call`] makes the HTTP request of a notification.
//!
//! Does no I/O after loading: the same delivery, adapter and binding always give the same draft.

pub mod adapter;
mod analysis;
pub mod call;
pub mod cases;
pub mod decode;
mod embedded;
pub mod functions;
pub mod manifest;
mod outcome;
pub mod preview;
mod program;
pub mod route;
pub mod sample;
mod shape;
pub mod tables;
pub mod topic;
pub mod validate;
pub mod value;
pub mod webhook;

pub use adapter::{Adapter, AdapterSet, Loaded};
pub use program::Defect;
pub use route::Route;
pub use topic::{TopicDefect, TopicRoute};
pub use webhook::{Message, Messages, Webhook};

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;
    use std::sync::LazyLock;

    use super::*;
    use crate::config::binding::{Binding, Parameter};

    /// Compiled once: that takes longer than most tests.
    static ADAPTERS: LazyLock<AdapterSet> = LazyLock::new(|| {
        AdapterSet::load(Path::new("mappings"), Path::new("schemas")).unwrap_or_else(|report| panic!("{report}"))
    });

    pub(crate) fn adapters() -> &'static AdapterSet {
        &ADAPTERS
    }

    #[test]
    fn every_case_of_every_adapter_gives_what_it_expects() {
        for adapter in adapters().iter().chain(webhook::tests::adapters().iter()) {
            assert!(!cases::names(adapter).is_empty(), "{} has no cases", adapter.manifest().name);
            if let Err(report) = cases::check(adapter) {
                panic!("{report}");
            }
        }
    }

    /// A binding of the contract's examples.
    pub(crate) fn binding() -> Binding {
        let bu_codes = ["BU_FR_HOME", "BU_ES_HOME", "BU_IT_HOME", "BU_PL_HOME"].map(str::to_owned);
        Binding {
            name: "pyxis-north".into(),
            adapter: "pyxis".into(),
            tenant_id: "north".into(),
            countries: ["FR", "ES", "IT", "PL"].map(str::to_owned).to_vec(),
            parameters: [("bu_codes".to_owned(), Parameter::List(bu_codes.to_vec()))].into(),
            ..Binding::default()
        }
    }
}
