//! `GET /api/v1/ops/targets`: the partners that are called, as this gateway sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::config::binding::Binding;
use crate::courier::Condition;
use crate::door::rfc3339;
use crate::lane::checkpoint::Balance;
use crate::ops::App;
use crate::ops::auth::{Caller, Right};
use crate::ops::problem::Problem;
use crate::ownership::LaneStatus;

/// Every target there is now; `None` while the lanes are left and taken again.
pub type Targets = Arc<dyn Fn() -> Option<Vec<Target>> + Send + Sync>;

/// A binding whose partner is called.
#[derive(Debug, Clone)]
pub struct Target {
    pub binding: Arc<Binding>,
    /// The lanes' own topic.
    pub topic: String,
    /// What this gateway's calls have brought about.
    pub condition: Condition,
    /// By partition, those this gateway owns.
    pub lanes: BTreeMap<u32, Lane>,
}

/// A lane of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    pub status: LaneStatus,
    /// As of its last commit; `None` before the first.
    pub balance: Option<Balance>,
}

#[derive(Serialize)]
pub struct Page {
    /// In the order of their names.
    targets: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    binding: String,
    adapter: String,
    tenant_id: String,
    topic: String,
    breaker: BreakerRow,
    lanes: Vec<LaneRow>,
}

#[derive(Serialize)]
struct BreakerRow {
    /// `closed`, `open` or `half_open`.
    state: &'static str,
    /// While it is open.
    open_until: Option<String>,
    /// The target asked for a pause.
    paused_until: Option<String>,
    /// Half-open, and the one request that finds out is under way.
    is_probing: bool,
}

#[derive(Serialize)]
struct LaneRow {
    partition: u32,
    /// `recovering`, `running`, `waiting` or `refused`.
    status: &'static str,
    /// Why it does not run.
    reason: Option<String>,
    /// By state, as `crossdock_lane_records` counts them; null before the lane's first commit.
    records: Option<BTreeMap<&'static str, u64>>,
}

/// The targets of the operator's tenants, or 503 while the lanes are taken again.
pub async fn list(State(app): State<App>, caller: Caller) -> Result<Json<Page>, Problem> {
    caller.may(Right::Read)?;
    let Some(mut targets) = (app.0.targets)() else {
        return Err(Problem::unavailable("lanes are being taken again; ask again in a moment"));
    };
    targets.retain(|target| caller.sees(&target.binding.tenant_id));
    targets.sort_by(|one, other| one.binding.name.cmp(&other.binding.name));
    Ok(Json(Page { targets: targets.into_iter().map(Row::of).collect() }))
}

impl Row {
    fn of(target: Target) -> Self {
        let Target { binding, topic, condition, lanes } = target;
        Self {
            binding: binding.name.clone(),
            adapter: binding.adapter.clone(),
            tenant_id: binding.tenant_id.clone(),
            topic,
            breaker: BreakerRow {
                state: condition.state.as_str(),
                open_until: condition.open_until_ms.map(rfc3339),
                paused_until: condition.paused_until_ms.map(rfc3339),
                is_probing: condition.is_probing,
            },
            lanes: lanes.into_iter().map(LaneRow::of).collect(),
        }
    }
}

impl LaneRow {
    fn of((partition, lane): (u32, Lane)) -> Self {
        let (status, reason) = match lane.status {
            LaneStatus::Recovering => ("recovering", None),
            LaneStatus::Running => ("running", None),
            LaneStatus::Waiting { reason } => ("waiting", Some(reason)),
            LaneStatus::Refused { reason } => ("refused", Some(reason)),
        };
        let records = |balance: Balance| Balance::STATES.map(|(state, of)| (state, of(&balance))).into();
        Self { partition, status, reason, records: lane.balance.map(records) }
    }
}
