//! `POST /api/v1/ops/mappings/reload`: takes changed mappings and schemas over.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tracing::{info, warn};

use crate::config::report::Report;
use crate::ops::App;
use crate::ops::auth::{Caller, Right};
use crate::ops::problem::Problem;

/// Takes over the mappings as they are on disk now, or says what is wrong with them. Blocks while it compiles.
pub type Reload = Arc<dyn Fn() -> Result<Vec<InForce>, Report> + Send + Sync>;

/// An adapter in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InForce {
    pub name: String,
    pub version: String,
}

#[derive(Serialize)]
pub struct Reloaded {
    adapters: Vec<InForce>,
}

/// 200 with the adapters now in force, or 422 with every mistake, a line each; then the old set stays.
pub async fn reload(State(app): State<App>, caller: Caller) -> Result<Json<Reloaded>, Problem> {
    caller.may(Right::Reload)?;
    caller.of_every_tenant()?;
    let reload = app.0.reload.clone();
    let reloaded = tokio::task::spawn_blocking(move || reload()).await.map_err(|_| Problem::internal())?;
    match reloaded {
        Ok(adapters) => {
            info!(operator = caller.name(), adapters = adapters.len(), "mappings reloaded");
            Ok(Json(Reloaded { adapters }))
        }
        Err(report) => {
            warn!(operator = caller.name(), mistakes = report.findings().len(), "new mappings are refused");
            Err(Problem::unprocessable(report.to_string().trim_end()))
        }
    }
}
