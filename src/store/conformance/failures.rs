//! The failure index.

use uuid::Uuid;

use super::Harness;
use super::samples::{keep, prune};
use crate::canonical::ids::Sha256Digest;
use crate::store::Store;
use crate::store::recovery::{
    AuditEntry, Failure, FailureChange, FailureFilter, FailureKind, FailureRow, FailureState, MAX_PAGE, OpenFailures,
};

/// The `number`-th of some failures of tenant `north`, `number` milliseconds after the epoch.
pub(super) fn failure(number: i64) -> Failure {
    Failure {
        tenant_id: "north".to_owned(),
        event_id: id(number),
        kind: FailureKind::Order,
        failed_at: number,
        binding: "pyxis-north".to_owned(),
        error_code: "UNKNOWN_CODE".to_owned(),
        source_key: "pyxis".to_owned(),
        external_order_id: format!("PYX-{number}"),
        correlation_id: format!("c-{number}"),
        pointer: "/line_items/2/service_code".to_owned(),
        group: Uuid::from_u128(1),
        replay_of: None,
        raw_sha256: Some(Sha256Digest::of(&number.to_be_bytes())),
        place: ("integration.sales.order.failed".into(), 5, number),
        detail: format!(r#"{{"message":"é {number}"}}"#),
    }
}

fn id(number: i64) -> Uuid {
    Uuid::from_u64_pair(0x5eed, number as u64)
}

async fn found(store: &dyn Store, filter: FailureFilter) -> Vec<FailureRow> {
    store.failures(filter, None, MAX_PAGE).await.unwrap()
}

/// The ids' numbers of the failures found.
async fn numbers(store: &dyn Store, filter: FailureFilter) -> Vec<i64> {
    found(store, filter).await.iter().map(|row| row.failure.failed_at).collect()
}

async fn state(store: &dyn Store, number: i64) -> FailureState {
    let rows = found(store, FailureFilter { event_id: Some(id(number)), ..FailureFilter::default() }).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0].state
}

fn by(operator: &str) -> AuditEntry {
    AuditEntry {
        at: 9,
        operator: operator.to_owned(),
        action: "failure.replay".to_owned(),
        tenant_id: Some("north".to_owned()),
        subject: id(1).to_string(),
        detail: "{}".to_owned(),
    }
}

async fn set(store: &dyn Store, number: i64, state: FailureState) {
    let change = FailureChange { tenant_id: "north".to_owned(), event_id: id(number), state };
    store.audit(by("anna"), Some(change)).await.unwrap();
}

pub async fn an_indexed_failure_comes_back_equal(harness: impl Harness) {
    let bare = Failure { replay_of: Some(id(1)), raw_sha256: None, kind: FailureKind::Status, ..failure(2) };
    let full = Failure { detail: "x".repeat(100_000), pointer: String::new(), ..failure(3) };
    let failures = vec![failure(1), bare, full];

    assert_eq!(harness.store().index_failures(failures.clone()).await.unwrap(), 3);

    let harness = harness.reopen().await;
    let mut rows = found(harness.store(), FailureFilter::default()).await;
    rows.reverse();
    let indexed: Vec<_> = rows.iter().map(|row| row.failure.clone()).collect();
    assert!(indexed == failures, "not as they were indexed");
    assert_eq!(harness.store().index_failures(Vec::new()).await.unwrap(), 0);
}

pub async fn a_failure_indexed_again_changes_nothing(harness: impl Harness) {
    let store = harness.store();
    store.index_failures(vec![failure(1)]).await.unwrap();
    set(store, 1, FailureState::Dismissed).await;

    let again = Failure { failed_at: 7, detail: "{}".to_owned(), ..failure(1) };
    assert_eq!(store.index_failures(vec![again, failure(2), failure(2)]).await.unwrap(), 1);

    let rows = found(store, FailureFilter { event_id: Some(id(1)), ..FailureFilter::default() }).await;
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0].failure, rows[0].state), (&failure(1), FailureState::Dismissed));
}

pub async fn one_event_of_two_tenants_is_two_failures(harness: impl Harness) {
    let store = harness.store();
    let south = Failure { tenant_id: "south".to_owned(), ..failure(1) };

    assert_eq!(store.index_failures(vec![failure(1), south]).await.unwrap(), 2);
    set(store, 1, FailureState::Replayed).await;

    let filter = FailureFilter { event_id: Some(id(1)), ..FailureFilter::default() };
    let states: Vec<_> = found(store, filter).await.into_iter().map(|row| (row.failure.tenant_id, row.state)).collect();
    assert!(states.contains(&("north".to_owned(), FailureState::Replayed)), "{states:?}");
    assert!(states.contains(&("south".to_owned(), FailureState::Open)), "{states:?}");
}

pub async fn failures_come_newest_first_page_by_page(harness: impl Harness) {
    let store = harness.store();
    // Three of each moment, indexed out of the order of time.
    let failures: Vec<_> = [3, 1, 2, 0, 3, 1, 2, 0, 3, 1, 2, 0]
        .into_iter()
        .enumerate()
        .map(|(place, failed_at)| Failure { failed_at, ..failure(place as i64) })
        .collect();
    store.index_failures(failures).await.unwrap();

    let (mut after, mut pages) = (None, Vec::new());
    loop {
        let page = store.failures(FailureFilter::default(), after, 5).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.cursor());
        pages.push(page.iter().map(|row| (row.failure.failed_at, row.failure.place.2)).collect::<Vec<_>>());
    }

    let expected = [
        vec![(3, 8), (3, 4), (3, 0), (2, 10), (2, 6)],
        vec![(2, 2), (1, 9), (1, 5), (1, 1), (0, 11)],
        vec![(0, 7), (0, 3)],
    ];
    assert_eq!(pages, expected);
}

pub async fn every_filter_of_failures_filters(harness: impl Harness) {
    let store = harness.store();
    let other = Failure {
        tenant_id: "south".to_owned(),
        binding: "tempo-south".to_owned(),
        error_code: "FIELD_REQUIRED".to_owned(),
        source_key: "tempo".to_owned(),
        pointer: "/customer/e%_mail".to_owned(),
        group: Uuid::from_u128(2),
        replay_of: Some(id(9)),
        ..failure(2)
    };
    store.index_failures(vec![failure(1), other, failure(3)]).await.unwrap();
    set(store, 3, FailureState::Dismissed).await;

    let all = FailureFilter::default;
    let text = |text: &str| Some(text.to_owned());
    for (filter, expected) in [
        (all(), vec![3, 2, 1]),
        (FailureFilter { tenants: Some(vec!["north".to_owned(), "west".to_owned()]), ..all() }, vec![3, 1]),
        (FailureFilter { tenants: Some(Vec::new()), ..all() }, vec![]),
        (FailureFilter { event_id: Some(id(1)), ..all() }, vec![1]),
        (FailureFilter { kinds: Some(vec![FailureKind::Call, FailureKind::Order]), ..all() }, vec![3, 2, 1]),
        (FailureFilter { kinds: Some(vec![FailureKind::Call]), ..all() }, vec![]),
        (FailureFilter { state: Some(FailureState::Open), ..all() }, vec![2, 1]),
        (FailureFilter { state: Some(FailureState::Dismissed), ..all() }, vec![3]),
        (FailureFilter { binding: text("tempo-south"), ..all() }, vec![2]),
        (FailureFilter { error_code: text("UNKNOWN_CODE"), ..all() }, vec![3, 1]),
        (FailureFilter { source_key: text("tempo"), ..all() }, vec![2]),
        (FailureFilter { external_order_id: text("PYX-3"), ..all() }, vec![3]),
        (FailureFilter { correlation_id: text("c-2"), ..all() }, vec![2]),
        (FailureFilter { group: Some(Uuid::from_u128(2)), ..all() }, vec![2]),
        (FailureFilter { replay_of: Some(id(9)), ..all() }, vec![2]),
        (FailureFilter { pointer: text("line_items"), ..all() }, vec![3, 1]),
        (FailureFilter { pointer: text("%_"), ..all() }, vec![2]), // text, no pattern
        (FailureFilter { since: Some(2), ..all() }, vec![3, 2]),
        (FailureFilter { until: Some(2), ..all() }, vec![1]),
        (FailureFilter { state: Some(FailureState::Open), binding: text("pyxis-north"), ..all() }, vec![1]),
        (FailureFilter { binding: text("' OR 1 = 1 --"), ..all() }, vec![]),
    ] {
        assert_eq!(numbers(store, filter.clone()).await, expected, "{filter:?}");
    }
}

pub async fn failures_are_grouped_with_the_most_frequent_first(harness: impl Harness) {
    let store = harness.store();
    let of = |number: i64, group: u128| Failure { group: Uuid::from_u128(group), ..failure(number) };
    store.index_failures(vec![of(1, 1), of(2, 2), of(3, 2), of(4, 3), of(5, 2), of(6, 3)]).await.unwrap();
    set(store, 5, FailureState::Replayed).await;

    let groups = store.failure_groups(FailureFilter::default(), MAX_PAGE).await.unwrap();

    let told: Vec<_> = groups
        .iter()
        .map(|group| (group.failures, group.first_at, group.last_at, group.newest.failure.clone()))
        .collect();
    assert_eq!(told, [(3, 2, 5, of(5, 2)), (2, 4, 6, of(6, 3)), (1, 1, 1, of(1, 1))]);
    assert_eq!(groups[0].newest.state, FailureState::Replayed);
    assert_eq!(store.failure_groups(FailureFilter::default(), 2).await.unwrap(), groups[..2]);

    let open = FailureFilter { state: Some(FailureState::Open), ..FailureFilter::default() };
    let counts: Vec<_> = store
        .failure_groups(open, MAX_PAGE)
        .await
        .unwrap()
        .iter()
        .map(|group| (group.failures, group.last_at))
        .collect();
    assert_eq!(counts, [(2, 6), (2, 3), (1, 1)]);
}

pub async fn open_failures_are_counted_by_binding_and_code(harness: impl Harness) {
    let store = harness.store();
    assert_eq!(store.open_failures().await.unwrap(), []);
    let tempo = Failure { binding: "tempo".to_owned(), ..failure(2) };
    let format = Failure { error_code: "INVALID_FORMAT".to_owned(), ..failure(3) };
    store.index_failures(vec![failure(1), tempo, format, failure(4), failure(5)]).await.unwrap();
    set(store, 5, FailureState::Replayed).await;

    let mut open = store.open_failures().await.unwrap();

    open.sort();
    let open: Vec<_> = open
        .iter()
        .map(|OpenFailures { binding, error_code, failures }| (binding.as_str(), error_code.as_str(), *failures))
        .collect();
    let expected =
        [("pyxis-north", "INVALID_FORMAT", 1), ("pyxis-north", "UNKNOWN_CODE", 2), ("tempo", "UNKNOWN_CODE", 1)];
    assert_eq!(open, expected);
}

pub async fn only_open_failures_are_closed(harness: impl Harness) {
    let store = harness.store();
    let call = Failure { kind: FailureKind::Call, ..failure(3) };
    let translation = Failure { kind: FailureKind::Translation, ..failure(4) };
    store.index_failures(vec![failure(1), failure(2), call.clone(), translation]).await.unwrap();
    set(store, 2, FailureState::Dismissed).await;
    let change = |number: i64, tenant_id: &str| FailureChange {
        tenant_id: tenant_id.to_owned(),
        event_id: id(number),
        state: FailureState::Resolved,
    };

    let changes = vec![change(2, "north"), change(3, "north"), change(4, "south"), change(9, "north")];
    assert_eq!(store.close_failures(changes.clone()).await.unwrap(), 1);
    assert_eq!(store.close_failures(changes).await.unwrap(), 0);
    assert_eq!(store.close_failures(Vec::new()).await.unwrap(), 0);

    assert_eq!(state(store, 1).await, FailureState::Open);
    assert_eq!(state(store, 2).await, FailureState::Dismissed);
    assert_eq!(state(store, 3).await, FailureState::Resolved);
    assert_eq!(state(store, 4).await, FailureState::Open, "not another tenant's");
    let resolved = FailureFilter { state: Some(FailureState::Resolved), ..FailureFilter::default() };
    assert_eq!(found(store, resolved).await[0].failure, call);
}

pub async fn a_failure_of_a_replay_marks_the_one_replayed(harness: impl Harness) {
    let store = harness.store();
    store.index_failures(vec![failure(1), failure(2)]).await.unwrap();
    set(store, 2, FailureState::Dismissed).await;

    let child = |number: i64, parent: i64| Failure { replay_of: Some(id(parent)), ..failure(number) };
    let foreign = Failure { tenant_id: "south".to_owned(), ..child(5, 1) };
    store.index_failures(vec![foreign]).await.unwrap();
    assert_eq!(state(store, 1).await, FailureState::Open, "not by another tenant's");
    // The second names one that comes with it.
    store.index_failures(vec![child(3, 1), child(4, 3), child(6, 2)]).await.unwrap();

    assert_eq!(state(store, 1).await, FailureState::Replayed);
    assert_eq!(state(store, 2).await, FailureState::Dismissed, "an operator has spoken");
    assert_eq!(state(store, 3).await, FailureState::Replayed);
    assert_eq!(state(store, 4).await, FailureState::Open);
}

pub async fn failures_are_kept_until_they_are_older_than_the_limit(harness: impl Harness) {
    let store = harness.store();
    store.index_failures((0..1_200).map(failure).collect()).await.unwrap();
    set(store, 5, FailureState::Replayed).await;
    let mut limits = keep();
    limits.failures_since = 1_100;

    let first = store.prune(limits.clone()).await.unwrap();

    assert!(first < 1_100, "one call deletes a bounded number, found {first}");
    assert_eq!(first + prune(store, limits).await, 1_100);
    assert_eq!(numbers(store, FailureFilter { until: Some(1_102), ..FailureFilter::default() }).await, [1_101, 1_100]);
    assert_eq!(store.audit_rows(Default::default(), None, 1).await.unwrap().len(), 1, "the audit stays");
}
