//! A Confluent-compatible schema registry: who gives every schema its id.
//!
//! [`Registry`] asks one question at a time and says what the answer means. Three kinds of failure matter: the registry
//! cannot answer now ([`Error::Unavailable`]: wait), it answers and does not know ([`Error::Unknown`]: a fact), it
//! answers and refuses ([`Error::Refused`], [`Error::Forbidden`]: a person decides). Only an answer that carries a
//! registry's own error code counts as one of the registry: what a proxy in front of it says is no fact about a schema.
//!
//! After a failure the registry is left alone for a while that grows (`pause`); questions in that time fail at once.
//! `learned` keeps what was answered, [`comparison`] holds the schemas of this gateway against the registry's.
//!
//! Source: Confluent Schema Registry API reference, `application/vnd.schemaregistry.v1+json`.

mod answer;
pub mod comparison;
mod connect;
mod learned;
mod pause;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use url::Url;

use crate::clock::Clock;
use crate::config::settings::RegistrySettings;
use crate::schema::registry::answer::{Compatibility, Id, Schema};
use crate::schema::registry::pause::Pause;

pub(super) use learned::Learned;
pub(super) use writer::Writer;

/// One schema registry.
pub struct Registry {
    http: reqwest::Client,
    url: Url,
    authorization: Option<HeaderValue>,
    pause: Pause,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("schema registry `{url}` cannot be asked: {cause}")]
    Setup { url: String, cause: String },
    /// Passes with time: it is down, slow, overloaded, or something that is no registry answers in its place.
    #[error("schema registry `{url}` does not answer: {cause}")]
    Unavailable { url: String, cause: String },
    #[error("schema registry `{url}` does not accept this gateway's credentials: it answered {status}")]
    Forbidden { url: String, status: u16 },
    /// `reasons`: the registry's own words.
    #[error("schema registry refuses {what}: {}", reasons.join("; "))]
    Refused { what: String, reasons: Vec<String> },
    #[error("schema registry knows no {what}")]
    Unknown { what: String },
}

impl Error {
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

impl Registry {
    /// Reads the certificates; nothing is asked yet.
    ///
    /// # Errors
    /// [`Error::Setup`] if a file or the credentials cannot be used.
    pub fn new(settings: &RegistrySettings, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let setup = |cause| Error::Setup { url: shown(&settings.url), cause };
        Ok(Self {
            http: connect::client(settings).map_err(setup)?,
            authorization: settings.auth.as_ref().map(connect::authorization).transpose().map_err(setup)?,
            url: settings.url.clone(),
            pause: Pause::new(settings.retry_backoff, settings.retry_backoff_max, clock),
        })
    }

    /// How long questions will fail without being asked, because the last one did.
    pub fn pause(&self) -> Duration {
        self.pause.left()
    }

    /// The names of all subjects.
    ///
    /// # Errors
    /// As every question; never [`Error::Unknown`].
    pub async fn subjects(&self) -> Result<Vec<String>, Error> {
        // One implementation says null where there is none.
        let subjects: Option<Vec<String>> = self.ask(Method::GET, &["subjects"], &[], None, "list of subjects").await?;
        Ok(subjects.unwrap_or_default())
    }

    /// The id under which `subject` has exactly this schema.
    ///
    /// # Errors
    /// [`Error::Unknown`] if it has not.
    pub async fn look_up(&self, subject: &str, schema: &str) -> Result<u32, Error> {
        let what = format!("subject `{subject}` with this schema");
        let Id { id } = self.ask(Method::POST, &["subjects", subject], &[], Some(schema), &what).await?;
        Ok(id)
    }

    /// Makes the schema the latest version of `subject`, unless it has it already; its id.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is not compatible or no schema.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32, Error> {
        let what = format!("a new version of `{subject}`");
        let path = ["subjects", subject, "versions"];
        let Id { id } = self.ask(Method::POST, &path, &[], Some(schema), &what).await?;
        Ok(id)
    }

    /// Why the schema cannot become the next version of `subject`; none if it can.
    ///
    /// # Errors
    /// [`Error::Unknown`] if there is no such subject.
    pub async fn incompatibilities(&self, subject: &str, schema: &str) -> Result<Vec<String>, Error> {
        let what = format!("version of `{subject}`");
        let path = ["compatibility", "subjects", subject, "versions", "latest"];
        let answer: Compatibility = self.ask(Method::POST, &path, &[("verbose", "true")], Some(schema), &what).await?;
        Ok(answer.reasons())
    }

    /// The schema of an id.
    async fn schema(&self, id: u32) -> Result<Schema, Error> {
        let text = id.to_string();
        self.ask(Method::GET, &["schemas", "ids", &text], &[], None, &format!("schema with id {id}")).await
    }

    /// The schema of one version of a subject.
    async fn version(&self, subject: &str, version: u32) -> Result<Schema, Error> {
        let text = version.to_string();
        let what = format!("version {version} of `{subject}`");
        self.ask(Method::GET, &["subjects", subject, "versions", &text], &[], None, &what).await
    }

    /// `what` is asked about, for people.
    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        schema: Option<&str>,
        what: &str,
    ) -> Result<T, Error> {
        let unavailable = |cause| Error::Unavailable { url: shown(&self.url), cause };
        self.pause.check().map_err(unavailable)?;
        let mut request = self.http.request(method, self.address(path, query)).header("accept", answer::MEDIA_TYPES);
        if let Some(authorization) = &self.authorization {
            request = request.header(reqwest::header::AUTHORIZATION, authorization.clone());
        }
        if let Some(schema) = schema {
            let document = json!({ "schema": minified(schema) }).to_string();
            request = request.header("content-type", answer::MEDIA_TYPE).body(document);
        }
        let answered = match request.send().await {
            Ok(answered) => answer::read(answered).await,
            Err(error) => Err(connect::cause(&error)),
        };
        match answered.and_then(|answer| answer.meaning(what, &shown(&self.url))) {
            Ok(answer) => {
                self.pause.end();
                answer
            }
            Err(cause) => {
                self.pause.begin(&cause);
                Err(unavailable(cause))
            }
        }
    }

    fn address(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        // An http address always has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// The address as the user would write it.
fn shown(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// Without the white space of its file: not every registry takes two spellings for one schema.
fn minified(schema: &str) -> String {
    serde_json::from_str(schema).map_or_else(|_| schema.to_owned(), |json: Value| json.to_string())
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
