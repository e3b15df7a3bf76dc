use std::collections::HashMap;
use std::time::Duration;

use crate::canonical::draft::INTAKE;
use crate::canonical::ids::Sha256Digest;
use crate::door::testing::{MemoryLog, catalogue};
use crate::lane::batch::{CommandOutcome, Ruling};
use crate::lane::command::Verb;
use crate::normalize::tests::{adapters, binding};
use crate::recovery::failure::Detail;
use crate::recovery::job::run::Runner;
use crate::recovery::mappings::Mappings;
use crate::recovery::replay;
use crate::recovery::testing::{TestLane, dead, ended, held};
use crate::store::conformance::samples::{lane, payload, stored};
use crate::store::recovery::{AuditFilter, Failure, FailureKind};
use crate::telemetry::metrics::Metrics;

use super::*;

const ORDER: &str = include_str!("../../../mappings/pyxis/cases/order/input.json");
const CANARY_OF_ONE: Pace = Pace { per_second: 1_000, canary: 1, most_failed_percent: 0, operator: String::new() };

struct Fixture {
    lane: TestLane,
    intake: Arc<MemoryLog>,
    jobs: Arc<Jobs>,
}

impl Fixture {
    async fn new() -> Self {
        let lane = TestLane::new().await;
        let intake = MemoryLog::with_topics(&[INTAKE]);
        let mappings = Arc::new(Mappings::default());
        mappings.install(adapters(), &[Arc::new(binding())]);
        let replays = Replays::new(replay::Deps {
            log: intake.clone(),
            store: lane.store.clone(),
            catalogue: catalogue(),
            clock: lane.clock.clone(),
            metrics: Arc::new(Metrics::new().unwrap()),
            mappings,
            append_timeout: Duration::from_secs(5),
        });
        let jobs = Jobs::new(Deps {
            store: lane.store.clone(),
            clock: lane.clock.clone(),
            replays: Arc::new(replays),
            keys: lane.keys.clone(),
            new_id: Arc::new(Uuid::new_v4),
        });
        Self { lane, intake, jobs: Arc::new(jobs) }
    }

    fn runner(&self) -> Runner {
        let jobs = self.jobs.clone();
        Runner { jobs, holder: Uuid::new_v4(), lease: None, courses: BTreeMap::new(), given: HashMap::new() }
    }

    async fn planned(&self) -> JobRow {
        let plan = Plan {
            operator: "anna".into(),
            reason: "ticket 4711".into(),
            filter: FailureFilter::default(),
            question: "{}".into(),
        };
        self.jobs.plan(plan).await.unwrap()
    }

    async fn begun(&self, pace: Pace) -> JobRow {
        let job = self.planned().await;
        self.jobs.run(&job, "berta", &pace).await.unwrap()
    }

    async fn rejected(&self, body: &str) {
        let digest = Sha256Digest::of(body.as_bytes());
        stored(&*self.lane.store, &lane(0), |write| write.payloads = vec![payload(body.as_bytes(), 1)]).await;
        let detail =
            Detail { route: Some("pyxis/order".into()), received_from: Some("http".into()), ..Detail::default() };
        let failure = Failure {
            tenant_id: "north".into(),
            event_id: crate::canonical::ids::rejection_event_id(digest, 0),
            kind: FailureKind::Order,
            failed_at: 1,
            binding: "pyxis-north".into(),
            error_code: "UNKNOWN_CODE".into(),
            source_key: "pyxis".into(),
            external_order_id: "PYX-FR-20260304-7731".into(),
            correlation_id: "c-1".into(),
            pointer: "/a".into(),
            group: Uuid::nil(),
            replay_of: None,
            raw_sha256: Some(digest),
            place: ("integration.sales.order.failed".into(), 3, 17),
            detail: serde_json::to_string(&detail).unwrap(),
        };
        self.lane.store.index_failures(vec![failure]).await.unwrap();
    }

    /// State and outcome of every item.
    async fn items(&self, job: &JobRow) -> Vec<(ItemState, String)> {
        let items = self.jobs.items(job.id, None, 0, MAX_PAGE).await.unwrap();
        items.into_iter().map(|item| (item.state, item.outcome.unwrap_or_default())).collect()
    }

    /// Rounds until the job has ended; as it then is.
    async fn finish(&self, runner: &mut Runner, job: &JobRow) -> JobRow {
        loop {
            runner.round().await.unwrap();
            let job = self.jobs.one(job.id).await.unwrap();
            if job.state != JobState::Running {
                return job;
            }
            self.lane.clock.advance(1_000);
            tokio::task::yield_now().await;
        }
    }

    async fn audited(&self) -> Vec<(String, String)> {
        let rows = self.lane.store.audit_rows(AuditFilter::default(), None, MAX_PAGE).await.unwrap();
        rows.into_iter().rev().map(|row| (row.entry.operator, row.entry.action)).collect()
    }
}

fn key(number: usize) -> String {
    format!("north|pyxis|PYX-{number}")
}

#[tokio::test]
async fn payloads_and_records_are_replayed_oldest_first() {
    let fixture = Fixture::new().await;
    fixture.rejected(ORDER).await;
    fixture.lane.dies(7, &key(1), true).await;
    fixture.lane.clock.advance(1);
    fixture.lane.dies(9, &key(2), false).await;
    // Begun one by one: those of different orders that are begun at once go side by side.
    let job = fixture.begun(Pace { per_second: 1, canary: 0, ..CANARY_OF_ONE }).await;
    let mut runner = fixture.runner();

    let lane = async {
        let retry = fixture.lane.executes(CommandOutcome::Done, vec![ended(7, &key(1), 1, Ruling::Applied)]).await;
        let replay = fixture.lane.executes(CommandOutcome::Overtaken, Vec::new()).await;
        [retry.0.verb, replay.0.verb].map(|verb| format!("{verb:?}"))
    };
    let (ended, verbs) = tokio::join!(fixture.finish(&mut runner, &job), lane);

    assert_eq!(ended.state, JobState::Done);
    let expected = [
        (ItemState::Succeeded, "accepted".to_owned()),
        (ItemState::Succeeded, "ended".to_owned()),
        (ItemState::Refused, "overtaken".to_owned()),
    ];
    assert_eq!(fixture.items(&job).await, expected);
    assert_eq!(verbs, ["Retry", "Replay { seq: 9, hop: 1, attempts: 4, is_forced: false }"]);
    assert_eq!(fixture.intake.records(INTAKE).len(), 1);
    let audited = fixture.audited().await;
    assert_eq!(audited[0], ("anna".to_owned(), "replay.plan".to_owned()));
    assert_eq!(audited[1], ("berta".to_owned(), "replay.run".to_owned()));
    assert_eq!(audited.last().unwrap().1, "replay.end");
}

#[tokio::test]
async fn items_of_one_order_are_asked_for_in_their_order() {
    let fixture = Fixture::new().await;
    for number in 0..40 {
        fixture.lane.dies(number, &key(number as usize % 4), false).await;
        fixture.lane.clock.advance(1);
    }
    let job = fixture.begun(Pace { canary: 0, ..CANARY_OF_ONE }).await;
    let mut runner = fixture.runner();

    let lane = async {
        let mut asked = BTreeMap::<_, Vec<_>>::new();
        for _ in 0..40 {
            let (command, _) = fixture.lane.executes(CommandOutcome::Nothing, Vec::new()).await;
            let Verb::Replay { seq, .. } = command.verb else { panic!("{command:?}") };
            asked.entry(command.key).or_default().push(seq);
        }
        asked
    };
    let (ended, asked) = tokio::join!(fixture.finish(&mut runner, &job), lane);

    assert_eq!((ended.state, ended.counts.refused), (JobState::Done, 40));
    for (first, (key, seqs)) in (0..).zip(asked) {
        assert_eq!(seqs, (first..40).step_by(4).collect::<Vec<_>>(), "{key:?}");
    }
}

#[tokio::test]
async fn a_held_record_that_ended_meanwhile_is_refused_as_ended() {
    let fixture = Fixture::new().await;
    fixture.lane.dies(7, &key(1), true).await;
    let job = fixture.begun(CANARY_OF_ONE).await;
    let mut runner = fixture.runner();

    let (ended, _) =
        tokio::join!(fixture.finish(&mut runner, &job), fixture.lane.executes(CommandOutcome::Overtaken, Vec::new()));

    assert_eq!(ended.state, JobState::Done);
    assert_eq!(fixture.items(&job).await, [(ItemState::Refused, "the record has ended already".to_owned())]);
}

#[tokio::test]
async fn a_canary_that_fails_leaves_the_rest_alone() {
    let fixture = Fixture::new().await;
    for number in 0..5 {
        fixture.lane.dies(number, &key(number as usize), true).await;
        fixture.lane.clock.advance(1);
    }
    let job = fixture.begun(CANARY_OF_ONE).await;
    let mut runner = fixture.runner();

    let again = vec![held(0, &key(0), 1)];
    let (ended, _) =
        tokio::join!(fixture.finish(&mut runner, &job), fixture.lane.executes(CommandOutcome::Done, again));

    assert_eq!((ended.state, ended.note.as_deref()), (JobState::Stopped, Some("1 of the first 1 items failed")));
    assert_eq!((ended.counts.failed, ended.counts.pending), (1, 4));
    assert_eq!(fixture.items(&job).await[0].1, "failed again, in held: timeout: no answer");
    assert_eq!(fixture.lane.commands().await, 1);
}

#[tokio::test]
async fn a_record_that_dies_again_at_once_has_failed() {
    let fixture = Fixture::new().await;
    fixture.lane.dies(7, &key(1), false).await;
    let job = fixture.begun(CANARY_OF_ONE).await;
    let mut runner = fixture.runner();
    let mut again = dead(7, &key(1));
    again.hop = 1;
    again.origin = crate::lane::Place::new(crate::lane::Topic::Control, 0);

    let (ended, _) =
        tokio::join!(fixture.finish(&mut runner, &job), fixture.lane.executes(CommandOutcome::Done, vec![again]));

    assert_eq!(ended.state, JobState::Stopped);
    assert_eq!(fixture.items(&job).await, [(ItemState::Failed, "died again: timeout: no answer".to_owned())]);
}

#[tokio::test]
async fn a_record_that_died_again_has_failed_for_the_next_runner_too() {
    let fixture = Fixture::new().await;
    fixture.lane.dies(7, &key(1), false).await;
    let job = fixture.begun(CANARY_OF_ONE).await;
    let mut died = fixture.runner();
    while fixture.lane.commands().await == 0 {
        died.round().await.unwrap();
    }
    let mut again = dead(7, &key(1));
    again.hop = 1;
    again.origin = crate::lane::Place::new(crate::lane::Topic::Control, 0);
    fixture.lane.executes(CommandOutcome::Done, vec![again.clone()]).await;
    fixture.lane.buries(&again, &key(1), false).await;
    fixture.lane.clock.advance(15_000);

    let ended = fixture.finish(&mut fixture.runner(), &job).await;

    assert_eq!(fixture.items(&job).await, [(ItemState::Failed, "died again".to_owned())]);
    assert_eq!((ended.state, ended.counts.failed), (JobState::Done, 1), "one of one, and nothing was left to stop");
}

#[tokio::test]
async fn a_job_goes_on_where_a_dead_runner_left_it_and_nothing_is_done_twice() {
    let fixture = Fixture::new().await;
    fixture.rejected(ORDER).await;
    fixture.lane.dies(7, &key(1), true).await;
    let job = fixture.begun(Pace { canary: 0, ..CANARY_OF_ONE }).await;
    let mut dead = fixture.runner();
    while fixture.jobs.one(job.id).await.unwrap().counts.pending > 0 {
        dead.round().await.unwrap();
        fixture.lane.clock.advance(1_000);
    }
    let mut next = fixture.runner();
    next.round().await.unwrap();
    assert_eq!(next.lease, None, "the dead runner's lease has not run out");
    fixture.lane.clock.advance(15_000);

    let lane = async {
        let end = vec![ended(7, &key(1), 1, Ruling::Applied)];
        let (first, _) = fixture.lane.executes(CommandOutcome::Done, end).await;
        first.id
    };
    let (ended, id) = tokio::join!(fixture.finish(&mut next, &job), lane);

    assert_eq!((ended.state, ended.counts.succeeded), (JobState::Done, 2));
    assert_eq!(fixture.intake.records(INTAKE).len(), 1);
    let items = fixture.jobs.items(job.id, None, 0, MAX_PAGE).await.unwrap();
    assert_eq!(items[1].command_id.map(|id| id.to_string()), Some(id), "every runner gives the same command");
    dead.round().await.unwrap();
}

#[tokio::test]
async fn a_cancelled_job_begins_nothing_more() {
    let fixture = Fixture::new().await;
    fixture.lane.dies(7, &key(1), true).await;
    let job = fixture.planned().await;

    let cancelled = fixture.jobs.cancel(&job, "anna", "wrong selection").await.unwrap();

    assert_eq!((cancelled.state, cancelled.note.as_deref()), (JobState::Cancelled, Some("wrong selection")));
    let refused = fixture.jobs.run(&job, "anna", &Pace::default()).await.unwrap_err();
    assert_eq!(refused.to_string(), "the job is cancelled, expected it to be planned");
    assert!(!fixture.runner().round().await.unwrap());
    assert_eq!(fixture.lane.commands().await, 0);
}

#[tokio::test]
async fn what_somebody_else_has_seen_to_is_refused() {
    let fixture = Fixture::new().await;
    let row = fixture.lane.dies(7, &key(1), true).await;
    let job = fixture.begun(CANARY_OF_ONE).await;
    let Failure { tenant_id, event_id, .. } = row.failure;
    let change = crate::store::recovery::FailureChange { tenant_id, event_id, state: FailureState::Dismissed };
    fixture.lane.store.close_failures(vec![change]).await.unwrap();

    let ended = fixture.finish(&mut fixture.runner(), &job).await;

    assert_eq!(ended.state, JobState::Done);
    assert_eq!(fixture.items(&job).await, [(ItemState::Refused, "the failure is dismissed already".to_owned())]);
}

#[tokio::test]
async fn the_outlook_tells_what_would_be_done_and_does_nothing() {
    let fixture = Fixture::new().await;
    fixture.rejected(ORDER).await;
    fixture.rejected(&ORDER.replace("INSTALL_KITCHEN", "PAINTING")).await;
    fixture.lane.dies(7, &key(1), true).await;
    fixture.lane.dies(8, &key(1), true).await;
    fixture.lane.dies(9, &key(2), false).await;
    let job = fixture.planned().await;

    let outlook = fixture.jobs.outlook(&job).await.unwrap();

    let told: Vec<_> = outlook.iter().map(|(what, items)| (what.as_str(), *items)).collect();
    let expected = [
        ("accepted", 1),
        ("attempted at its held key", 1),
        ("comes back from its dead letter, unless it was overtaken", 1),
        ("refused: an earlier record of its key is held", 1),
        ("rejected again: UNKNOWN_CODE", 1),
    ];
    assert_eq!(told, expected);
    assert_eq!((fixture.lane.commands().await, fixture.intake.records(INTAKE).len()), (0, 0));
}

#[tokio::test]
async fn a_selection_without_failures_is_no_job() {
    let fixture = Fixture::new().await;
    let plan =
        Plan { operator: "anna".into(), reason: "r".into(), filter: FailureFilter::default(), question: "{}".into() };

    assert!(matches!(fixture.jobs.plan(plan).await, Err(Error::Nothing)));
}
