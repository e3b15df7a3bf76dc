//! Topics the contracts let this gateway read, and its consumer group on each.
//!
//! Source: `contracts/canonical-events.md` sections 2.1 and 2.3. One of them may be this gateway's own as well: it
//! reads the failures it has published.

const PYXIS: &str = "integration-adapters-sales-pyxis-orders-v1";
const TEMPO: &str = "integration-adapters-sales-tempo-services-v1";
const SAP: &str = "integration-adapters-sales-sap-orders-v1";
const CHANNELS: &str = "integration-adapters-sales-channels-v1";
const STATUS_UPDATES: &str = "integration-adapters-fsm-status-updates-v1";
const VISIT_OUTCOMES: &str = "integration-adapters-fsm-tv-outcomes-v1";
const FAILURES: &str = "integration-adapters-sales-failures-v1";
const CRM: &str = "integration-adapters-crm-events-v1";

/// Topic and group.
pub const READ: [(&str, &str); 28] = [
    ("sales.pyxis.order.created", PYXIS),
    ("sales.pyxis.order.updated", PYXIS),
    ("sales.pyxis.order.cancelled", PYXIS),
    ("sales.tempo.service.requested", TEMPO),
    ("sales.tempo.service.updated", TEMPO),
    ("sales.tempo.service.cancelled", TEMPO),
    ("sales.sap.order.created", SAP),
    ("sales.channel.store.order", CHANNELS),
    ("sales.channel.web.order", CHANNELS),
    ("sales.channel.callcenter.order", CHANNELS),
    ("fsm.order.status_updated", STATUS_UPDATES),
    ("fsm.order.assigned", STATUS_UPDATES),
    ("fsm.order.scheduled", STATUS_UPDATES),
    ("fsm.order.completed", STATUS_UPDATES),
    ("fsm.tv.outcome_recorded", VISIT_OUTCOMES),
    ("fsm.tv.modifications_required", VISIT_OUTCOMES),
    ("integration.sales.order.failed", FAILURES),
    ("integration.sales.status.failed", FAILURES),
    ("integration.erp.payment_ready", "erp-adapter-payment-ready-v1"),
    ("projects.tv_outcome.recorded", "sales-adapter-tv-outcomes-v1"),
    ("projects.service_order.closed", "erp-adapter-projects-closed-v1"),
    ("projects.service_order.cancelled", "sales-adapter-projects-cancelled-v1"),
    ("assignments.assignment.confirmed", "sales-adapter-assignments-confirmed-v1"),
    ("crm.leads", CRM),
    ("crm.contacts", CRM),
    ("crm.opportunities", CRM),
    ("crm.events", CRM),
    ("crm.customer.profile.updated", "integration-adapters-crm-customers-v1"),
];
