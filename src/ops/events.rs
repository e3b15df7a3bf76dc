//! `/api/v1/ops/events/{topic}`: see the records of a topic, append one.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::info;

use crate::log::{Append, Record};
use crate::ops::App;
use crate::ops::auth::{Caller, Right};
use crate::ops::problem::Problem;
use crate::ops::tail::{Start, Tail};
use crate::recovery::audit::{APPEND, Deed};
use crate::schema::topics::record_of;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TailQuestion {
    /// `beginning`, `end` (default) or an offset.
    from: Option<String>,
    /// Wait for more at the end; default true.
    follow: Option<bool>,
    /// Most records shown.
    limit: Option<u64>,
    /// Only this partition.
    partition: Option<u32>,
}

/// A record to append.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRecord {
    key: Option<String>,
    #[serde(default)]
    encoding: Encoding,
    /// The Avro record's name, for `avro`; the topic's own if it is not given.
    schema: Option<String>,
    /// `raw`: the value's bytes, null for a tombstone. `avro`: JSON text.
    value_base64: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Encoding {
    Avro,
    #[default]
    Raw,
}

#[derive(Serialize)]
pub struct Appended {
    topic: String,
    partition: u32,
    offset: i64,
}

/// Streams records as NDJSON, one object a line; 404 for an unknown topic or partition.
pub async fn tail(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    question: Result<Query<TailQuestion>, QueryRejection>,
) -> Result<Response, Problem> {
    caller.may(Right::Read)?;
    let (Path(topic), Query(question)) = (path?, question?);
    let from = match question.from.as_deref() {
        Some("beginning") => Start::Beginning,
        None | Some("end") => Start::End,
        Some(offset) => match offset.parse() {
            Ok(offset @ 0..) => Start::Offset(offset),
            _ => return Err(Problem::bad_request("expected `from` to be `beginning`, `end` or an offset")),
        },
    };
    let follow = question.follow.unwrap_or(true);
    let tail = Tail::open(&app, caller, topic, from, follow, question.limit, question.partition).await?;
    let headers = [(CONTENT_TYPE, "application/x-ndjson"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((headers, Body::from_stream(tail.into_stream())).into_response())
}

/// Appends one record: 201 with its place, once it is durable.
pub async fn append(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    record: Result<Json<NewRecord>, JsonRejection>,
) -> Result<(StatusCode, Json<Appended>), Problem> {
    caller.may(Right::Append)?;
    // The record's headers, and with them its tenant, are not the operator's to choose.
    caller.of_every_tenant()?;
    let (Path(topic), Json(record)) = (path?, record?);
    let value = value(&app, &topic, &record)?;
    let record = Record { key: record.key.map(Bytes::from), value, headers: Vec::new() };
    let deed = Deed { operator: caller.name(), action: APPEND, tenant_id: None, subject: &topic };
    let size = json!({"record_bytes": record.size()});
    // Before it: nothing is appended that the audit does not know of.
    app.0.audit.write(deed, &size, None).await?;
    let append = Append { topic: topic.as_str().into(), partition: None, record };
    let positions = app.0.log.append(vec![append]).await?;
    let position = positions.first().ok_or_else(Problem::internal)?;
    info!(operator = caller.name(), topic, partition = position.partition, offset = position.offset, "record appended");
    Ok((StatusCode::CREATED, Json(Appended { topic, partition: position.partition, offset: position.offset })))
}

fn value(app: &App, topic: &str, record: &NewRecord) -> Result<Option<Bytes>, Problem> {
    let bytes = record.value_base64.as_deref().map(|text| STANDARD.decode(text)).transpose();
    let bytes = bytes.map_err(|_| Problem::bad_request("expected `value_base64` to be base64 with padding"))?;
    if record.encoding == Encoding::Raw {
        return match record.schema {
            None => Ok(bytes.map(Bytes::from)),
            Some(_) => Err(Problem::bad_request("`schema` is for the encoding `avro` only")),
        };
    }
    let schema = record.schema.as_deref().or_else(|| record_of(topic));
    let schema =
        schema.ok_or_else(|| Problem::bad_request("the topic has no schema of its own, name one in `schema`"))?;
    let bytes = bytes.ok_or_else(|| Problem::bad_request("`value_base64` is needed to encode `avro`"))?;
    let document = serde_json::from_slice(&bytes).map_err(|error| {
        Problem::unprocessable(format!("value is not JSON, line {} column {}", error.line(), error.column()))
    })?;
    let encoded = app.0.catalogue.encode_json(schema, &document);
    encoded.map(Some).map_err(|error| Problem::unprocessable(error.to_string()))
}
