//! What a failed call means to the caller: that it may be repeated, or that a person must act.

use std::error::Error as _;
use std::time::Duration;

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::error::SqlState;

use crate::store::Error;

/// A step of a call that failed. `From` makes one of everything a statement may answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server's refusal, or no answer because the connection was lost.
    Statement(tokio_postgres::Error),
    /// No connection was to be had.
    Connection(PoolError),
    /// The call did not end in time.
    Late(Duration),
    /// A value that the tables cannot hold, or hold and should not.
    Value(String),
    /// The answer of the trait itself, such as a fenced lane.
    Refused(Error),
}

impl Failure {
    /// `name`: the store, for people.
    pub(super) fn into_error(self, name: &str) -> Error {
        match self {
            Self::Statement(cause) | Self::Connection(PoolError::Backend(cause)) => of_server(&cause, name),
            Self::Connection(PoolError::Timeout(TimeoutType::Wait)) => {
                Error::Unavailable { reason: "all its connections are in use".to_owned() }
            }
            Self::Connection(PoolError::Timeout(_)) => {
                Error::Unavailable { reason: "the server does not answer a new connection".to_owned() }
            }
            Self::Connection(cause) => Error::Unavailable { reason: cause.to_string() },
            Self::Late(limit) => Error::Unavailable { reason: format!("the server does not answer within {limit:?}") },
            Self::Value(reason) => Error::Unusable { path: name.to_owned(), reason },
            Self::Refused(error) => error,
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(cause: tokio_postgres::Error) -> Self {
        Self::Statement(cause)
    }
}

impl From<PoolError> for Failure {
    fn from(cause: PoolError) -> Self {
        Self::Connection(cause)
    }
}

fn of_server(cause: &tokio_postgres::Error, name: &str) -> Error {
    // The server's message, never its detail: that may quote values.
    match cause.as_db_error() {
        Some(refusal) if passes(refusal.code()) => {
            Error::Unavailable { reason: format!("{} (SQLSTATE {})", refusal.message(), refusal.code().code()) }
        }
        Some(refusal) => Error::Unusable {
            path: name.to_owned(),
            reason: format!("{} (SQLSTATE {})", refusal.message(), refusal.code().code()),
        },
        None if is_lost(cause) => Error::Unavailable { reason: chain(cause) },
        None => Error::Unusable { path: name.to_owned(), reason: chain(cause) },
    }
}

/// Whether a refusal ends without a person: the same statement may succeed later.
///
/// Source: PostgreSQL manual, appendix "PostgreSQL Error Codes".
fn passes(code: &SqlState) -> bool {
    // Connection exception, transaction rollback, insufficient resources, not in prerequisite state, operator
    // intervention (shutdown, start-up, statement time-out), system error.
    const CLASSES: &[&str] = &["08", "40", "53", "55", "57", "58"];

    let by_class = code.code().get(..2).is_some_and(|class| CLASSES.contains(&class));
    by_class
        || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
        || *code == SqlState::IN_FAILED_SQL_TRANSACTION // a pipelined statement after the one that failed
        || *code == SqlState::READ_ONLY_SQL_TRANSACTION // it was made a standby: the next connection finds the new primary
}

/// Whether the connection broke, or never came to be. Not what TLS refused: a wrong certificate stays wrong.
fn is_lost(cause: &tokio_postgres::Error) -> bool {
    let broken = |io: &std::io::Error| !io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    cause.is_closed() || causes(cause).any(|cause| cause.downcast_ref().is_some_and(broken))
}

fn chain(cause: &tokio_postgres::Error) -> String {
    let mut text = cause.to_string();
    for cause in causes(cause) {
        text.push_str(": ");
        text.push_str(&cause.to_string());
    }
    text
}

fn causes(error: &tokio_postgres::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}
