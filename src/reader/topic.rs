//! The seam to the adapters: what the reader asks of one inbound topic, and which topics there are.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::canonical::draft::Draft;
use crate::canonical::rejection::Rejection;
use crate::config::binding::Binding;
use crate::normalize::TopicDefect;
use crate::schema::Catalogue;
use crate::verify::Verified;

/// One inbound topic, as an adapter's manifest declares it. Pure: it does no I/O, and the same delivery always gives
/// the same draft.
pub trait InboundTopic: Send + Sync + 'static {
    fn topic(&self) -> &str;
    /// The consumer group that reads it.
    fn group(&self) -> &str;
    /// Of a value; inclusive.
    fn max_bytes(&self) -> usize;
    /// Decodes, validates and maps. A value that fails a check becomes a draft with a rejection in it.
    ///
    /// # Errors
    /// Nothing is said about the record: it has to wait.
    fn normalize(&self, delivery: &Verified, catalogue: &Catalogue) -> Result<Draft, TopicDefect>;
    /// The draft that carries `rejection`, found before decoding.
    fn refuse(&self, delivery: &Verified, rejection: Rejection) -> Draft;
}

/// A topic and whose orders are on it.
#[derive(Clone)]
pub struct Inbound {
    pub route: Arc<dyn InboundTopic>,
    pub binding: Arc<Binding>,
}

/// What is read: each topic once, by its group.
#[derive(Debug, Default)]
pub struct Installation {
    pub(super) groups: Groups,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("topic `{topic}` of binding `{binding}` is read by `{other}` already")]
    Taken { topic: String, binding: String, other: String },
}

/// By name.
pub(super) type Groups = BTreeMap<Arc<str>, Arc<Topics>>;
/// Of one group, by name.
pub(super) type Topics = BTreeMap<Arc<str>, Inbound>;

impl Installation {
    /// # Errors
    /// [`Error::Taken`]: a topic belongs to one binding, or its records would be two tenants'.
    pub fn new(topics: impl IntoIterator<Item = Inbound>) -> Result<Self, Error> {
        let mut taken: BTreeMap<String, String> = BTreeMap::new();
        let mut groups: BTreeMap<Arc<str>, Topics> = BTreeMap::new();
        for inbound in topics {
            let (topic, binding) = (inbound.route.topic().to_owned(), inbound.binding.name.clone());
            if let Some(other) = taken.insert(topic.clone(), binding.clone()) {
                return Err(Error::Taken { topic, binding, other });
            }
            groups.entry(inbound.route.group().into()).or_default().insert(topic.into(), inbound);
        }
        Ok(Self { groups: groups.into_iter().map(|(group, topics)| (group, Arc::new(topics))).collect() })
    }

    /// Names of all topics.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.groups.values().flat_map(|topics| topics.keys()).map(|topic| &**topic)
    }
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound")
            .field("topic", &self.route.topic())
            .field("group", &self.route.group())
            .field("binding", &self.binding.name)
            .finish()
    }
}
