//! The schemas of this gateway against those of a registry.

use std::collections::HashSet;

use crate::schema::registry::{Error, Registry};
use crate::schema::{Catalogue, Entry, topics};

/// One subject and what registering our schema there would mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    pub subject: String,
    pub topic: &'static str,
    pub record: &'static str,
    pub state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// There is no such subject.
    Missing,
    /// One of its versions is our schema.
    Same { id: u32 },
    /// Our schema can become its next version.
    Compatible,
    /// It cannot, for these reasons of the registry.
    Incompatible { reasons: Vec<String> },
}

impl Comparison {
    pub fn is_incompatible(&self) -> bool {
        matches!(self.state, State::Incompatible { .. })
    }
}

/// Compares the record of each topic `wanted` accepts, in the order of [`topics::RECORDS`].
///
/// # Errors
/// The registry cannot be asked, or refuses to answer.
pub async fn compare(
    registry: &Registry,
    catalogue: &Catalogue,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Comparison>, Error> {
    let known: HashSet<_> = registry.subjects().await?.into_iter().collect();
    let mut comparisons = Vec::new();
    for (topic, record) in topics::RECORDS.into_iter().filter(|(topic, _)| wanted(topic)) {
        let Some(entry) = entry(catalogue, record) else { continue };
        let subject = topics::subject(topic);
        let state = if known.contains(&subject) { state(registry, &subject, entry).await? } else { State::Missing };
        comparisons.push(Comparison { subject, topic, record, state });
    }
    Ok(comparisons)
}

/// Registers what is missing and what is a compatible change; each becomes [`State::Same`]. To do it again after a
/// failure half-way does the rest.
///
/// # Errors
/// As [`compare`]; [`Error::Refused`] if anything is incompatible, before anything is registered.
pub async fn register(registry: &Registry, catalogue: &Catalogue, comparisons: &mut [Comparison]) -> Result<(), Error> {
    for Comparison { subject, state, .. } in comparisons.iter() {
        if let State::Incompatible { reasons } = state {
            let what = format!("a new version of `{subject}`");
            return Err(Error::Refused { what, reasons: reasons.clone() });
        }
    }
    for comparison in comparisons {
        let Some(entry) = entry(catalogue, comparison.record) else { continue };
        if matches!(comparison.state, State::Missing | State::Compatible) {
            let id = registry.register(&comparison.subject, &entry.text).await?;
            comparison.state = State::Same { id };
        }
    }
    Ok(())
}

async fn state(registry: &Registry, subject: &str, entry: &Entry) -> Result<State, Error> {
    match registry.look_up(subject, &entry.text).await {
        Ok(id) => return Ok(State::Same { id }),
        Err(Error::Unknown { .. }) => {}
        Err(error) => return Err(error),
    }
    match registry.incompatibilities(subject, &entry.text).await {
        Ok(reasons) if reasons.is_empty() => Ok(State::Compatible),
        Ok(reasons) => Ok(State::Incompatible { reasons }),
        // Deleted since the list was made.
        Err(Error::Unknown { .. }) => Ok(State::Missing),
        Err(error) => Err(error),
    }
}

fn entry<'a>(catalogue: &'a Catalogue, record: &str) -> Option<&'a Entry> {
    catalogue.records().find(|entry| entry.record == record)
}
