//! Replay jobs.

use uuid::Uuid;

use super::Harness;
use super::failures::failure;
use super::samples::{keep, prune};
use crate::store::Store;
use crate::store::jobs::{ItemChange, ItemCounts, ItemState, JobChange, JobFilter, JobPlan, JobRow, JobState};
use crate::store::recovery::{Failure, FailureFilter, FailureKind, FailureState, MAX_PAGE};

fn id(number: u64) -> Uuid {
    Uuid::from_u64_pair(0x0b, number)
}

fn plan(number: u64, filter: FailureFilter) -> JobPlan {
    JobPlan {
        id: id(number),
        created_at: 7,
        operator: "anna".to_owned(),
        reason: "é".to_owned(),
        filter,
        question: "{}".to_owned(),
    }
}

fn open() -> FailureFilter {
    FailureFilter { state: Some(FailureState::Open), ..FailureFilter::default() }
}

async fn planned(store: &dyn Store, number: u64, filter: FailureFilter) -> JobRow {
    store.plan_job(plan(number, filter)).await.unwrap().unwrap()
}

async fn job(store: &dyn Store, number: u64) -> JobRow {
    let filter = JobFilter { id: Some(id(number)), ..JobFilter::default() };
    store.jobs(filter, None, 1).await.unwrap().remove(0)
}

fn change(number: u64, to: JobState, from: &[JobState]) -> JobChange {
    JobChange { id: id(number), from: from.to_vec(), to, lease: None, pace: None, note: None, at: 9 }
}

fn item(number: i64, state: ItemState) -> ItemChange {
    ItemChange { number, state, command_id: Some(id(99)), outcome: Some("ü".to_owned()), at: 11 }
}

async fn numbers(store: &dyn Store, state: Option<ItemState>) -> Vec<i64> {
    let items = store.job_items(id(1), state, 0, MAX_PAGE).await.unwrap();
    items.iter().map(|item| item.number).collect()
}

pub async fn a_job_freezes_the_failures_its_filter_names_oldest_first(harness: impl Harness) {
    let store = harness.store();
    let call = Failure { kind: FailureKind::Call, ..failure(2) };
    let south = Failure { tenant_id: "south".to_owned(), ..failure(4) };
    store.index_failures(vec![failure(3), call, failure(1), south]).await.unwrap();
    let filter = FailureFilter { tenants: Some(vec!["north".to_owned()]), ..open() };

    let written = planned(store, 1, filter).await;
    store.index_failures(vec![failure(5)]).await.unwrap();

    let expected = JobRow {
        number: written.number,
        id: id(1),
        operator: "anna".to_owned(),
        reason: "é".to_owned(),
        tenants: Some(vec!["north".to_owned()]),
        question: "{}".to_owned(),
        state: JobState::Planned,
        pace: None,
        created_at: 7,
        started_at: None,
        ended_at: None,
        note: None,
        keys: 3,
        keys_left_behind: 0,
        counts: ItemCounts { pending: 3, ..ItemCounts::default() },
    };
    assert_eq!(written, expected);
    let harness = harness.reopen().await;
    let store = harness.store();
    assert_eq!(job(store, 1).await, expected);
    let items = store.job_items(id(1), None, 0, MAX_PAGE).await.unwrap();
    let told: Vec<_> = items.iter().map(|item| (item.number, item.event_id, item.kind)).collect();
    let expected = [(1, FailureKind::Order), (2, FailureKind::Call), (3, FailureKind::Order)]
        .map(|(number, kind)| (number, failure(number).event_id, kind));
    assert_eq!(told, expected);
    assert!(items.iter().all(|item| item.state == ItemState::Pending && item.tenant_id == "north"));
    assert_eq!(store.job_items(id(2), None, 0, MAX_PAGE).await.unwrap(), []);
}

pub async fn a_plan_written_again_is_the_job_that_is_there(harness: impl Harness) {
    let store = harness.store();
    store.index_failures(vec![failure(1)]).await.unwrap();
    let first = planned(store, 1, open()).await;
    store.index_failures(vec![failure(2)]).await.unwrap();

    let again = planned(store, 1, open()).await;

    assert_eq!(again, first);
    assert_eq!(numbers(store, None).await, [1]);
}

pub async fn keys_with_an_older_failure_that_is_no_item_are_counted(harness: impl Harness) {
    let store = harness.store();
    let of = |number: i64, order: &str, error_code: &str| Failure {
        external_order_id: order.to_owned(),
        error_code: error_code.to_owned(),
        ..failure(number)
    };
    let elsewhere = Failure { binding: "pyxis-south".to_owned(), ..of(1, "C", "OTHER") };
    store
        .index_failures(vec![
            of(2, "A", "OTHER"), // older than an item of its key
            of(3, "A", "THIS"),
            of(4, "A", "THIS"),
            of(5, "B", "THIS"),
            of(6, "B", "OTHER"), // younger
            elsewhere,           // of another binding
            of(7, "C", "THIS"),
        ])
        .await
        .unwrap();

    let job = planned(store, 1, FailureFilter { error_code: Some("THIS".to_owned()), ..open() }).await;

    assert_eq!((job.counts.all(), job.keys, job.keys_left_behind), (4, 3, 1));
}

pub async fn jobs_come_newest_first_and_by_their_state(harness: impl Harness) {
    let store = harness.store();
    store.index_failures(vec![failure(1)]).await.unwrap();
    for number in 1..=3 {
        planned(store, number, open()).await;
    }
    assert!(store.change_job(change(2, JobState::Running, &[JobState::Planned])).await.unwrap());
    let ids = |jobs: Vec<JobRow>| jobs.iter().map(|job| job.id).collect::<Vec<_>>();

    let all = store.jobs(JobFilter::default(), None, 2).await.unwrap();
    let rest = store.jobs(JobFilter::default(), Some(all[1].number), 2).await.unwrap();
    let running = JobFilter { state: Some(JobState::Running), ..JobFilter::default() };

    assert_eq!((ids(all), ids(rest)), (vec![id(3), id(2)], vec![id(1)]));
    assert_eq!(ids(store.jobs(running, None, 9).await.unwrap()), [id(2)]);
}

pub async fn a_job_changes_only_from_the_states_named(harness: impl Harness) {
    let store = harness.store();
    store.index_failures(vec![failure(1)]).await.unwrap();
    planned(store, 1, open()).await;
    let lease = store.lease_jobs(id(7), 0, 10).await.unwrap().unwrap();
    let begun = JobChange { pace: Some("{}".to_owned()), ..change(1, JobState::Running, &[JobState::Planned]) };

    assert!(store.change_job(begun.clone()).await.unwrap());
    assert!(!store.change_job(begun).await.unwrap(), "it runs already");
    let stopped = JobChange {
        note: Some("too many".to_owned()),
        at: 12,
        ..change(1, JobState::Stopped, &[JobState::Planned, JobState::Running])
    };
    assert!(!store.change_job(JobChange { lease: Some(lease + 1), ..stopped.clone() }).await.unwrap());
    assert!(store.change_job(JobChange { lease: Some(lease), ..stopped }).await.unwrap());
    assert!(!store.change_job(change(8, JobState::Running, &[JobState::Planned])).await.unwrap(), "there is none");

    let job = job(store, 1).await;
    assert_eq!(
        (job.state, job.pace.as_deref(), job.note.as_deref()),
        (JobState::Stopped, Some("{}"), Some("too many"))
    );
    assert_eq!((job.started_at, job.ended_at), (Some(9), Some(12)));
}

pub async fn items_change_and_are_counted(harness: impl Harness) {
    let store = harness.store();
    store.index_failures((1..=5).map(failure).collect()).await.unwrap();
    planned(store, 1, open()).await;
    planned(store, 2, open()).await;
    let lease = store.lease_jobs(id(7), 0, 10).await.unwrap().unwrap();
    let bare = ItemChange { command_id: None, outcome: None, ..item(1, ItemState::Requested) };

    let changes = vec![bare, item(2, ItemState::Succeeded), item(3, ItemState::Failed), item(4, ItemState::Refused)];
    assert!(store.change_items(lease, id(1), changes).await.unwrap());
    assert!(store.change_items(lease, id(1), vec![item(2, ItemState::Requested)]).await.unwrap());
    let without = ItemChange { command_id: None, ..item(2, ItemState::Succeeded) };
    assert!(store.change_items(lease, id(1), vec![without]).await.unwrap());

    let counts = ItemCounts { pending: 1, requested: 1, succeeded: 1, failed: 1, refused: 1 };
    assert_eq!(job(store, 1).await.counts, counts);
    assert_eq!(job(store, 2).await.counts, ItemCounts { pending: 5, ..ItemCounts::default() });
    assert_eq!((counts.settled(), counts.all()), (3, 5));
    let rows = store.job_items(id(1), Some(ItemState::Succeeded), 0, 9).await.unwrap();
    let row = &rows[0];
    assert_eq!(
        (row.number, row.command_id, row.outcome.as_deref(), row.changed_at),
        (2, Some(id(99)), Some("ü"), Some(11))
    );
    assert_eq!(numbers(store, Some(ItemState::Pending)).await, [5]);
    assert_eq!(store.job_items(id(1), None, 3, 1).await.unwrap()[0].number, 4);
}

pub async fn an_older_lease_is_refused(harness: impl Harness) {
    let store = harness.store();
    store.index_failures(vec![failure(1)]).await.unwrap();
    planned(store, 1, open()).await;

    let first = store.lease_jobs(id(7), 0, 10).await.unwrap();
    assert_eq!(store.lease_jobs(id(8), 9, 19).await.unwrap(), None, "somebody has it");
    assert_eq!(store.lease_jobs(id(7), 9, 20).await.unwrap(), first, "prolonged");
    assert_eq!(store.lease_jobs(id(8), 19, 29).await.unwrap(), None);
    let second = store.lease_jobs(id(8), 20, 30).await.unwrap();
    assert!(second > first, "{second:?}");

    let change = || vec![item(1, ItemState::Succeeded)];
    assert!(!store.change_items(first.unwrap(), id(1), change()).await.unwrap());
    assert_eq!(numbers(store, Some(ItemState::Pending)).await, [1], "nothing was written");
    assert!(store.change_items(second.unwrap(), id(1), change()).await.unwrap());
    let harness = harness.reopen().await;
    assert_eq!(harness.store().lease_jobs(id(7), 29, 39).await.unwrap(), None, "the lease outlives the process");
}

pub async fn a_job_of_ten_thousand_items_is_read_page_by_page(harness: impl Harness) {
    let store = harness.store();
    for first in (0..10_000).step_by(1_000) {
        store.index_failures((first..first + 1_000).map(failure).collect()).await.unwrap();
    }
    let job = planned(store, 1, open()).await;
    assert_eq!((job.counts.pending, job.keys), (10_000, 10_000));

    let (mut after, mut read) = (0, 0);
    loop {
        let page = store.job_items(id(1), Some(ItemState::Pending), after, MAX_PAGE).await.unwrap();
        let Some(last) = page.last() else { break };
        (after, read) = (last.number, read + page.len());
    }
    assert_eq!((after, read), (10_000, 10_000));
}

pub async fn jobs_are_kept_until_they_are_older_than_the_limit(harness: impl Harness) {
    let store = harness.store();
    store.index_failures((1_000..1_600).map(failure).collect()).await.unwrap();
    for number in 1..=3 {
        planned(store, number, open()).await; // at 7
    }
    assert!(store.change_job(change(2, JobState::Running, &[JobState::Planned])).await.unwrap());
    let mut limits = keep();
    limits.failures_since = 7;
    assert_eq!(prune(store, limits.clone()).await, 0, "not older");
    limits.failures_since = 8;

    let first = store.prune(limits.clone()).await.unwrap();

    assert!(first < 1_200, "one call deletes a bounded number, found {first}");
    assert_eq!(first + prune(store, limits).await, 2 * 601);
    let left = store.jobs(JobFilter::default(), None, 9).await.unwrap();
    assert_eq!(left.iter().map(|job| (job.id, job.counts.all())).collect::<Vec<_>>(), [(id(2), 600)], "it runs");
}
