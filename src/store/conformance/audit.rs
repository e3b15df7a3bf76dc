//! What operators did.

use uuid::Uuid;

use super::Harness;
use crate::store::recovery::{AuditEntry, AuditFilter, FailureChange, FailureState, MAX_PAGE};

fn entry(at: i64, operator: &str, action: &str, tenant_id: Option<&str>, subject: &str) -> AuditEntry {
    AuditEntry {
        at,
        operator: operator.to_owned(),
        action: action.to_owned(),
        tenant_id: tenant_id.map(str::to_owned),
        subject: subject.to_owned(),
        detail: format!(r#"{{"reason":"é {at}"}}"#),
    }
}

pub async fn a_change_and_its_audit_row_are_written_together(harness: impl Harness) {
    let entry = entry(1, "anna", "failure.dismiss", Some("north"), "a");
    let unknown =
        FailureChange { tenant_id: "north".to_owned(), event_id: Uuid::from_u128(9), state: FailureState::Dismissed };

    harness.store().audit(entry.clone(), Some(unknown)).await.unwrap(); // of nothing: the row is there all the same

    let harness = harness.reopen().await;
    let rows = harness.store().audit_rows(AuditFilter::default(), None, MAX_PAGE).await.unwrap();
    assert_eq!(rows.into_iter().map(|row| row.entry).collect::<Vec<_>>(), [entry]);
}

pub async fn the_audit_is_read_newest_first_page_by_page(harness: impl Harness) {
    let store = harness.store();
    for at in [5, 4, 3, 2, 1] {
        store.audit(entry(at, "anna", "mappings.reload", None, "mappings"), None).await.unwrap();
    }

    let first = store.audit_rows(AuditFilter::default(), None, 3).await.unwrap();
    let rest = store.audit_rows(AuditFilter::default(), Some(first[2].number), 3).await.unwrap();

    let times = |rows: &[crate::store::recovery::AuditRow]| rows.iter().map(|row| row.entry.at).collect::<Vec<_>>();
    assert_eq!((times(&first), times(&rest)), (vec![1, 2, 3], vec![4, 5])); // by writing, whatever the clock said
}

pub async fn every_filter_of_the_audit_filters(harness: impl Harness) {
    let store = harness.store();
    for entry in [
        entry(1, "anna", "failure.replay", Some("north"), "a"),
        entry(2, "bert", "failure.replay", Some("south"), "b"),
        entry(3, "anna", "mappings.reload", None, "mappings"),
    ] {
        store.audit(entry, None).await.unwrap();
    }

    let all = AuditFilter::default;
    let text = |text: &str| Some(text.to_owned());
    for (filter, expected) in [
        (all(), vec![3, 2, 1]),
        (AuditFilter { tenants: Some(vec!["north".to_owned()]), ..all() }, vec![1]),
        (AuditFilter { operator: text("anna"), ..all() }, vec![3, 1]),
        (AuditFilter { action: text("failure.replay"), ..all() }, vec![2, 1]),
        (AuditFilter { subject: text("b"), ..all() }, vec![2]),
        (AuditFilter { operator: text("anna"), action: text("failure.replay"), ..all() }, vec![1]),
    ] {
        let rows = store.audit_rows(filter.clone(), None, MAX_PAGE).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.entry.at).collect::<Vec<_>>(), expected, "{filter:?}");
    }
}
