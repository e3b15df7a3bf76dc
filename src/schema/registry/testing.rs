//! A schema registry that says what it is told to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::config::settings::{RegistrySettings, TlsSettings};
use crate::schema::registry::Registry;

/// Says 404 to every question it has no answer to.
#[derive(Debug, Clone)]
pub(crate) struct Fake {
    pub url: String,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    answers: Mutex<HashMap<String, (u16, String)>>,
    /// In the place of every answer.
    outage: Mutex<Option<(u16, String)>>,
    asked: Mutex<Vec<Asked>>,
}

/// A question as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// `GET /subjects`, with the query.
    pub question: String,
    pub authorization: Option<String>,
    pub body: Value,
}

impl Fake {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let fake = Self { url, shared: Arc::default() };
        let router = fake.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    pub fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(Arc::clone(&self.shared))
    }

    pub fn says(&self, question: &str, status: u16, body: impl ToString) -> &Self {
        self.shared.answers.lock().expect("whole").insert(question.to_owned(), (status, body.to_string()));
        self
    }

    /// The schema of an id.
    pub fn has_schema(&self, id: u32, schema: &str) -> &Self {
        self.says(&format!("GET /schemas/ids/{id}"), 200, json!({ "schema": schema }))
    }

    pub fn breaks(&self, status: u16, body: &str) {
        *self.shared.outage.lock().expect("whole") = Some((status, body.to_owned()));
    }

    pub fn is_well(&self) {
        *self.shared.outage.lock().expect("whole") = None;
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().expect("whole").clone()
    }

    pub fn questions(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.question).collect()
    }

    pub fn settings(&self) -> RegistrySettings {
        settings(&self.url)
    }

    pub fn registry(&self, clock: Arc<dyn Clock>) -> Registry {
        Registry::new(&self.settings(), clock).expect("it can be set up")
    }
}

/// Waits of 100 to 1000 ms after failures; time enough for an answer on a busy machine.
pub(crate) fn settings(url: &str) -> RegistrySettings {
    RegistrySettings {
        url: url.parse().expect("an address"),
        auth: None,
        tls: TlsSettings::default(),
        request_timeout: Duration::from_secs(20),
        retry_backoff: Duration::from_millis(100),
        retry_backoff_max: Duration::from_secs(1),
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let question = format!("{method} {uri}");
    let authorization = headers.get(AUTHORIZATION).map(|value| value.to_str().expect("text").to_owned());
    let body = serde_json::from_slice(&body).unwrap_or_default();
    shared.asked.lock().expect("whole").push(Asked { question: question.clone(), authorization, body });
    let outage = shared.outage.lock().expect("whole").clone();
    let (status, text) = outage
        .or_else(|| shared.answers.lock().expect("whole").get(&question).cloned())
        .unwrap_or_else(|| (404, json!({ "error_code": 40403, "message": "Schema not found" }).to_string()));
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [(CONTENT_TYPE, "application/vnd.schemaregistry.v1+json")], text).into_response()
}
