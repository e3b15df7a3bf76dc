//! Notification -> HTTP request, by the adapter's `[[call]]`s and their programs.
//!
//! An adapter's calls are asked in the order of its manifest; the first whose program gives a body makes the request,
//! and if none does the notification is *skipped*. The same notification, binding and mappings give the same request
//! for ever: nothing here reads a clock, a secret or a state. Credentials and signatures are added where it is sent.
//!
//! Source: `contracts/canonical-events.md` section 9, and "Calls to …" of each partner's contract.

mod body;
mod cause;
pub mod preview;
mod told;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value as Json;

use crate::canonical::notification::{Kind, Notification};
use crate::canonical::rejection::Problem;
use crate::config::binding::{Binding, Parameter};
use crate::normalize::AdapterSet;
use crate::normalize::manifest::call::{CallAuth, CallSpec};
use crate::normalize::program::Defect;

pub(super) use cause::{Cause, input_kind};

/// A call of an adapter, ready to be asked.
#[derive(Debug)]
pub struct Call {
    spec: CallSpec,
    /// One for each record of the manifest.
    causes: Vec<Cause>,
}

/// A request to a partner, but for what depends on secrets and on the time it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRequest {
    /// The name in the manifest.
    pub call: String,
    pub kind: Kind,
    /// What it tells: a request whose value is that of the last one delivered for the same tenant, binding, order and
    /// kind is not sent again. Ends as `duplicate` then.
    pub value: String,
    pub method: String,
    pub url: String,
    pub auth: CallAuth,
    /// JSON.
    pub body: Bytes,
}

/// Why a notification cannot be made a request. None of them passes with time: mended mappings or another binding do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("binding `{binding}`: no adapter `{adapter}`")]
    NoAdapter { binding: String, adapter: String },
    #[error("binding `{binding}`: call `{call}` needs `{parameter}`, the address of the partner")]
    NoAddress { binding: String, call: String, parameter: String },
    /// The event has what the mapping does not know, such as a status without a row.
    #[error("call `{call}`: event `{record}` cannot be told: {} at {problem}", problem.code)]
    Untold { call: String, record: String, problem: Box<Problem> },
    #[error(transparent)]
    Mapping(#[from] Defect),
}

/// A request whose address is not known yet.
#[derive(Debug)]
struct Composed<'a> {
    spec: &'a CallSpec,
    value: String,
    body: Json,
}

/// The request `notification` causes at the partner of `binding`; `None`: there is nothing to tell.
///
/// # Errors
/// [`Error`]: nothing that another attempt would mend.
pub fn request(
    adapters: &AdapterSet,
    binding: &Arc<Binding>,
    notification: &Notification,
) -> Result<Option<CallRequest>, Error> {
    let adapter = adapters
        .adapter(&binding.adapter)
        .ok_or_else(|| Error::NoAdapter { binding: binding.name.clone(), adapter: binding.adapter.clone() })?;
    let Some(composed) = compose(adapter.calls(), binding, notification)? else { return Ok(None) };
    let spec = composed.spec;
    let url = url(spec, binding).ok_or_else(|| Error::NoAddress {
        binding: binding.name.clone(),
        call: spec.name.clone(),
        parameter: spec.url.parameter.clone(),
    })?;
    Ok(Some(CallRequest {
        call: spec.name.clone(),
        kind: spec.kind,
        value: composed.value,
        method: spec.method.clone(),
        url,
        auth: spec.auth,
        body: Bytes::from(composed.body.to_string()),
    }))
}

impl Call {
    /// `causes`: one for each the manifest names.
    pub(super) fn new(spec: CallSpec, causes: Vec<Cause>) -> Self {
        Self { spec, causes }
    }

    pub fn name(&self) -> &str {
        &self.spec.name
    }

    pub fn spec(&self) -> &CallSpec {
        &self.spec
    }

    /// Full names of the records that may cause it.
    pub fn records(&self) -> impl Iterator<Item = &str> {
        self.spec.on.iter().map(|cause| cause.record.as_str())
    }

    /// Whether an event of `record`, its full name, may cause it when it comes by `topic`.
    pub fn is_caused_by(&self, record: &str, topic: &str) -> bool {
        self.causes.iter().any(|cause| cause.is_for(record, topic))
    }
}

/// The first request of `calls` for the notification.
fn compose<'a>(
    calls: &'a [Arc<Call>],
    binding: &Arc<Binding>,
    notification: &Notification,
) -> Result<Option<Composed<'a>>, Error> {
    for call in calls {
        let cause = call.causes.iter().find(|cause| cause.is_for(&notification.record, &notification.topic));
        let Some(cause) = cause else { continue };
        let (result, problems) = cause.run(notification, binding)?;
        if let Some(problem) = problems.into_iter().next() {
            let (call, record) = (call.spec.name.clone(), notification.record.clone());
            return Err(Error::Untold { call, record, problem: Box::new(problem) });
        }
        if let Some(body) = body::body(&result) {
            let value = told::value(&call.spec, notification, &body);
            return Ok(Some(Composed { spec: &call.spec, value, body }));
        }
    }
    Ok(None)
}

/// `None` if the binding names no address.
fn url(spec: &CallSpec, binding: &Binding) -> Option<String> {
    match binding.parameters.get(&spec.url.parameter) {
        Some(Parameter::Text(base)) => Some(spec.url.behind(base)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
