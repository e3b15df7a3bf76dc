//! `POST /api/v1/ops/mappings/reload`: takes changed mappings, schemas and bindings over.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use tracing::{info, warn};

use crate::config::report::Report;
use crate::ops::App;
use crate::ops::auth::{Caller, Right};
use crate::ops::problem::Problem;
use crate::recovery::audit::{Deed, RELOAD};

/// Takes over mappings and bindings as they are on disk now, or says what is wrong with them. Blocks while it compiles.
pub type Reload = Arc<dyn Fn() -> Result<Reloaded, Report> + Send + Sync>;

/// An adapter in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InForce {
    pub name: String,
    pub version: String,
}

/// What is in force after a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    pub adapters: Vec<InForce>,
    /// By name, in the order of the file.
    pub bindings: Vec<String>,
    /// Keys of the configuration that have changed and are not in force before a restart.
    pub needs_restart: Vec<String>,
}

/// 200 with what is now in force, or 422 with every mistake, a line each; then the old set stays.
pub async fn reload(State(app): State<App>, caller: Caller) -> Result<Json<Reloaded>, Problem> {
    caller.may(Right::Reload)?;
    caller.of_every_tenant()?;
    let deed = Deed { operator: caller.name(), action: RELOAD, tenant_id: None, subject: "mappings" };
    let reload = app.0.reload.clone();
    let reloaded = tokio::task::spawn_blocking(move || reload()).await.map_err(|_| Problem::internal())?;
    match reloaded {
        Ok(reloaded) => {
            let (adapters, bindings) = (reloaded.adapters.len(), reloaded.bindings.len());
            info!(operator = caller.name(), adapters, bindings, "mappings reloaded");
            app.0.audit.write(deed, &json!(reloaded), None).await?;
            Ok(Json(reloaded))
        }
        Err(report) => {
            app.0.audit.write(deed, &json!({"refused": report.findings().len()}), None).await?;
            warn!(operator = caller.name(), mistakes = report.findings().len(), "new mappings are refused");
            Err(Problem::unprocessable(report.to_string().trim_end()))
        }
    }
}
