//! Which Avro record a topic carries: for the subjects of a schema registry, and for whoever appends to a topic by hand
//! and does not say.
//!
//! Source: `contracts/canonical-events.md` section 2.

use crate::canonical::draft::INTAKE;

/// Topics and the name of their record.
pub const RECORDS: [(&str, &str); 24] = [
    (INTAKE, "Intake"),
    ("sales.pyxis.order.created", "PyxisOrderCreated"),
    ("sales.pyxis.order.updated", "PyxisOrderUpdated"),
    ("sales.pyxis.order.cancelled", "PyxisOrderCancelled"),
    ("sales.tempo.service.requested", "TempoServiceRequested"),
    ("sales.tempo.service.updated", "TempoServiceUpdated"),
    ("sales.tempo.service.cancelled", "TempoServiceCancelled"),
    ("fsm.order.status_updated", "FsmOrderStatusUpdated"),
    ("fsm.order.assigned", "FsmOrderStatusUpdated"),
    ("fsm.order.scheduled", "FsmOrderStatusUpdated"),
    ("fsm.order.completed", "FsmOrderStatusUpdated"),
    ("fsm.tv.outcome_recorded", "FsmTvOutcomeRecorded"),
    ("fsm.tv.modifications_required", "FsmTvOutcomeRecorded"),
    ("projects.tv_outcome.recorded", "TvOutcomeRecorded"),
    ("projects.service_order.closed", "ServiceOrderClosed"),
    ("projects.service_order.cancelled", "ServiceOrderCancelled"),
    ("assignments.assignment.confirmed", "AssignmentConfirmed"),
    ("integration.sales.order_received", "SalesOrderReceived"),
    ("integration.sales.order.normalized", "SalesOrderNormalized"),
    ("integration.sales.order_updated", "SalesOrderUpdated"),
    ("integration.sales.order_cancelled", "SalesOrderCancelled"),
    ("integration.sales.order.failed", "SalesOrderFailed"),
    ("integration.sales.status.failed", "SalesStatusFailed"),
    ("integration.erp.payment_ready", "PaymentReady"),
];

/// The record of `topic`; `None` if the topic has no Avro schema or is not one of the contract's.
pub fn record_of(topic: &str) -> Option<&'static str> {
    RECORDS.iter().find(|(name, _)| *name == topic).map(|(_, record)| *record)
}

/// The subject under which a registry has the schemas of a topic's values.
pub fn subject(topic: &str) -> String {
    format!("{topic}-value")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::schema::tests::catalogue;

    #[test]
    fn every_record_of_a_topic_is_in_the_catalogue() {
        let catalogue = catalogue();
        let known: BTreeSet<_> = catalogue.records().map(|entry| entry.record.as_str()).collect();

        let unknown: Vec<_> = RECORDS.iter().filter(|(_, record)| !known.contains(record)).collect();

        assert_eq!(unknown, [] as [&(&str, &str); 0]);
    }
}
