//! Problem documents: every error of the operations API.
//!
//! Source: RFC 9457.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::door::RETRY_AFTER_S;
use crate::recovery::{job, keys, replay};
use crate::{log, store};

/// What went wrong, in one sentence an operator can act on.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    detail: String,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    /// A request that axum could not take apart. Its texts name what was expected of the path, query or body.
    fn refused(status: StatusCode, detail: String) -> Self {
        Self { status, detail }
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, detail: detail.into() }
    }

    pub fn unauthorized() -> Self {
        let detail = "expected `Authorization: Bearer` with an operator's token".to_owned();
        Self { status: StatusCode::UNAUTHORIZED, detail }
    }

    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, detail: detail.into() }
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, detail: detail.into() }
    }

    pub fn method_not_allowed() -> Self {
        let detail = "the resource does not take this method".to_owned();
        Self { status: StatusCode::METHOD_NOT_ALLOWED, detail }
    }

    pub fn conflict(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::CONFLICT, detail: detail.into() }
    }

    pub fn gone(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::GONE, detail: detail.into() }
    }

    pub fn too_large(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, detail: detail.into() }
    }

    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, detail: detail.into() }
    }

    pub fn internal() -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, detail: "the gateway failed at this request".to_owned() }
    }

    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, detail: detail.into() }
    }
}

impl From<log::Error> for Problem {
    fn from(error: log::Error) -> Self {
        let detail = error.to_string();
        match error {
            log::Error::UnknownTopic { .. } | log::Error::UnknownPartition { .. } => Self::not_found(detail),
            log::Error::TooLarge { .. } => Self::too_large(detail),
            _ => Self::unavailable(detail),
        }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl From<replay::Error> for Problem {
    fn from(error: replay::Error) -> Self {
        let detail = error.to_string();
        match error {
            replay::Error::NoPayload | replay::Error::NoRoute | replay::Error::Missing(_) => Self::conflict(detail),
            replay::Error::Expired => Self::gone(detail),
            replay::Error::TooLarge { .. } => Self::too_large(detail),
            // Ours, and mended by us: nothing the operator sent is wrong.
            replay::Error::Mapping { .. } | replay::Error::Schema(_) | replay::Error::Late { .. } => {
                Self::unavailable(detail)
            }
            replay::Error::Log(error) => error.into(),
            replay::Error::Store(error) => error.into(),
        }
    }
}

impl From<job::Error> for Problem {
    fn from(error: job::Error) -> Self {
        let detail = error.to_string();
        match error {
            job::Error::TooMany | job::Error::Nothing => Self::unprocessable(detail),
            job::Error::Unknown => Self::not_found(detail),
            job::Error::State { .. } => Self::conflict(detail),
            job::Error::Unavailable => Self::unavailable(detail),
            job::Error::Store(error) => error.into(),
        }
    }
}

impl From<keys::Error> for Problem {
    fn from(error: keys::Error) -> Self {
        let detail = error.to_string();
        match error {
            keys::Error::NoDeadLetter
            | keys::Error::NotHead { .. }
            | keys::Error::UnderWay { .. }
            | keys::Error::NoControl { .. } => Self::conflict(detail),
            keys::Error::LetterGone { .. } => Self::gone(detail),
            keys::Error::Edit(_) => Self::unprocessable(detail),
            keys::Error::Late { .. } => Self::unavailable(detail),
            keys::Error::Log(error) => error.into(),
            keys::Error::Store(error) => error.into(),
        }
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::refused(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::refused(rejection.status(), rejection.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::refused(rejection.status(), rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
            }
            _ => {}
        }
        response
    }
}
