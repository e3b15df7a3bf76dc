//! Who is asking, and what they may do.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use crate::config::settings::{Operator, Role};
use crate::ops::App;
use crate::ops::problem::Problem;
use crate::verify::{Tokens, bearer_token};

/// The operators by their tokens.
pub(super) struct Operators(Tokens<Arc<Operator>>);

/// An operator whose token was accepted. What they may do is asked of it, right by right.
#[derive(Debug, Clone)]
pub struct Caller(Arc<Operator>);

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// See orders, events and metrics.
    Read,
    /// Append a record to any topic.
    Append,
    /// See a payload as it was received.
    ReadPayload,
    /// Take changed mappings over.
    Reload,
    /// Have a rejected payload mapped again as it came, or say that nothing is to be done about a failure.
    Replay,
    /// Have another payload than the one that came taken in.
    EditPayload,
    /// Have a held key attempted again, or one of its records skipped.
    Release,
    /// Have everything that waits of a key skipped at once.
    Purge,
}

impl Right {
    /// The roles that have it, beside `admin`, which has all.
    const fn roles(self) -> &'static [Role] {
        match self {
            Self::Read => &[Role::Viewer, Role::Operator, Role::Editor],
            Self::Append => &[Role::Writer],
            Self::ReadPayload => &[Role::Operator, Role::Editor],
            Self::Replay | Self::Release => &[Role::Operator, Role::Editor],
            Self::Reload | Self::EditPayload => &[Role::Editor],
            Self::Purge => &[],
        }
    }

    const fn needed(self) -> &'static str {
        match self {
            Self::Read => "`viewer`",
            Self::Append => "`writer`",
            Self::ReadPayload | Self::Replay | Self::Release => "`operator`",
            Self::Reload | Self::EditPayload => "`editor`",
            Self::Purge => "`admin`",
        }
    }
}

impl Operators {
    pub fn new(operators: Vec<Operator>) -> Self {
        let operators: Vec<_> = operators.into_iter().map(Arc::new).collect();
        Self(Tokens::new(operators.iter().map(|operator| (&operator.token, operator.clone()))))
    }
}

impl Operators {
    /// Who is asking, if their token is accepted.
    pub fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        self.0.owner(bearer_token(headers).ok()?).cloned().map(Caller)
    }
}

impl Caller {
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// # Errors
    /// 403 if no role of the operator has the right.
    pub fn may(&self, right: Right) -> Result<(), Problem> {
        let allowed = self.0.roles.iter().any(|role| *role == Role::Admin || right.roles().contains(role));
        if allowed { Ok(()) } else { Err(Problem::forbidden(format!("the role {} is needed", right.needed()))) }
    }

    /// For what cannot be told apart by tenant.
    ///
    /// # Errors
    /// 403 if the operator is limited to some tenants.
    pub fn of_every_tenant(&self) -> Result<(), Problem> {
        match self.0.tenants.is_empty() {
            true => Ok(()),
            false => Err(Problem::forbidden("the token is limited to tenants, and this is not of one tenant")),
        }
    }

    pub fn sees(&self, tenant: &str) -> bool {
        self.0.tenants.is_empty() || self.0.tenants.iter().any(|allowed| allowed == tenant)
    }

    /// The tenants the operator is limited to; `None` is no limit.
    pub fn tenants(&self) -> Option<&[String]> {
        if self.0.tenants.is_empty() { None } else { Some(&self.0.tenants) }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        app.0.operators.caller(&parts.headers).ok_or_else(Problem::unauthorized)
    }
}
