//! A member's task: starts a lane's task when it is assigned, stops it when it is revoked.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::log::{self, EventLog, Membership, Ownership};
use crate::ownership::{Board, Calls, End, LaneStatus, Pace, unless_stopped};
use crate::store::LaneId;
use crate::telemetry::metrics::Metrics;

/// Runs lanes.
pub trait Runner: Send + Sync + 'static {
    /// Takes the lane over and runs it until it ends. The lane runs again, by another call, only after this one has
    /// ended.
    fn run(&self, calls: Calls) -> BoxFuture<'static, End>;
}

/// One member of a group and the lanes it owns.
pub struct Member<R> {
    pub group: &'static str,
    pub log: Arc<dyn EventLog>,
    pub membership: Arc<dyn Membership>,
    pub board: Arc<Board>,
    pub metrics: Arc<Metrics>,
    pub pace: Pace,
    pub stopping: watch::Receiver<bool>,
    pub runner: R,
}

struct RunningLane {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

type RunningLanes = BTreeMap<LaneId, RunningLane>;

impl<R: Runner> Member<R> {
    /// Runs until it is stopped; then every lane has ended.
    pub async fn run(mut self) {
        let mut lanes = RunningLanes::new();
        let mut delay = self.pace.backoff_first;
        while let Some(change) = unless_stopped(&mut self.stopping, self.membership.next()).await {
            match change {
                Ok(Ownership::Assigned(assigned)) => {
                    delay = self.pace.backoff_first;
                    self.board.set_group(None);
                    for lane in assigned {
                        self.stop_lane(&mut lanes, &id_of(&lane)).await;
                        self.start_lane(&mut lanes, lane);
                    }
                }
                Ok(Ownership::Revoked(revoked)) => {
                    let ids: Vec<_> = revoked.iter().map(id_of).collect();
                    self.stop_lanes(&mut lanes, ids).await;
                }
                Err(error) => {
                    tracing::warn!(%error, group = self.group, "group cannot be asked for lanes");
                    self.board.set_group(Some(format!("group {}: {error}", self.group)));
                    if unless_stopped(&mut self.stopping, tokio::time::sleep(delay)).await.is_none() {
                        break;
                    }
                    delay = delay.saturating_mul(2).min(self.pace.backoff_cap);
                }
            }
        }
        let all = lanes.keys().cloned().collect();
        self.stop_lanes(&mut lanes, all).await;
    }

    fn start_lane(&self, lanes: &mut RunningLanes, lane: log::Lane) {
        let id = id_of(&lane);
        let (stop, stopping) = watch::channel(false);
        let calls = Calls {
            log: Arc::clone(&self.log),
            membership: Arc::clone(&self.membership),
            board: Arc::clone(&self.board),
            metrics: Arc::clone(&self.metrics),
            pace: self.pace,
            id: id.clone(),
            lane,
            stop: stopping,
        };
        self.board.set(&id, LaneStatus::Recovering);
        let (board, life) = (Arc::clone(&self.board), self.runner.run(calls));
        lanes.insert(id.clone(), RunningLane { stop, task: tokio::spawn(run_lane(board, id, life)) });
    }

    /// All are told before any is waited for: they finish their batches side by side.
    async fn stop_lanes(&self, lanes: &mut RunningLanes, ids: Vec<LaneId>) {
        ids.iter().filter_map(|id| lanes.get(id)).for_each(RunningLane::tell_to_stop);
        for id in ids {
            self.stop_lane(lanes, &id).await;
        }
    }

    /// Stops the lane, if it is here, and waits for its end.
    async fn stop_lane(&self, lanes: &mut RunningLanes, id: &LaneId) {
        let Some(lane) = lanes.remove(id) else { return };
        lane.tell_to_stop();
        if let Err(error) = lane.task.await {
            tracing::error!(topic = %id.topic, partition = id.partition, %error, "lane ended abnormally");
        }
        self.board.remove(id);
    }
}

impl RunningLane {
    fn tell_to_stop(&self) {
        // A lane that has ended by itself needs no telling.
        let _ = self.stop.send(true);
    }
}

fn id_of(lane: &log::Lane) -> LaneId {
    LaneId { topic: Arc::clone(&lane.topic), partition: lane.partition }
}

/// Runs one lane to its end, which the board then tells.
async fn run_lane(board: Arc<Board>, id: LaneId, life: BoxFuture<'static, End>) {
    // A defect of ours must show as a lane that does not run, not as one that runs no more and says nothing.
    let end = AssertUnwindSafe(life).catch_unwind().await;
    let LaneId { topic, partition } = &id;
    match end.unwrap_or_else(|_| End::Refused { reason: "lane panicked".to_owned() }) {
        End::Stopped => tracing::info!(%topic, partition, "lane stopped"),
        End::Fenced => {
            tracing::warn!(%topic, partition, "lane is owned by another member, dropped");
            // Until the group tells so, too, and the lane is revoked.
            board.set(&id, LaneStatus::Refused { reason: "another member owns it".to_owned() });
        }
        End::Refused { reason } => {
            tracing::error!(%topic, partition, reason, "lane refused");
            board.set(&id, LaneStatus::Refused { reason });
        }
    }
}
