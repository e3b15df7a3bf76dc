//! One kind of message: from the bytes of a verified delivery to the draft.

use std::sync::Arc;

use vrl::value::Value;

use crate::canonical::draft::{CancellationDraft, Draft, DraftBody, DraftHead, Intent, OrderDraft};
use crate::canonical::ids::OrderKey;
use crate::canonical::order::{CanonicalOrder, SCHEMA, Status, Warning};
use crate::canonical::rejection::{Code, Problem, Rejection};
use crate::normalize::decode::{decode, is_empty, remove_empty};
use crate::normalize::functions::{Findings, as_text};
use crate::normalize::manifest::{Http, Manifest, Pointer, RouteSpec, Target};
use crate::normalize::outcome::{MappedCancellation, MappedOrder};
use crate::normalize::program::{Defect, Program};
use crate::normalize::validate::Validator;
use crate::normalize::value::identifier;
use crate::verify::Verified;

/// A route of an adapter, ready to map.
#[derive(Debug)]
pub struct Route {
    adapter: Arc<Manifest>,
    spec: RouteSpec,
    validator: Arc<Validator>,
    program: Arc<Program>,
}

impl Route {
    pub(super) fn new(
        adapter: Arc<Manifest>,
        spec: RouteSpec,
        validator: Arc<Validator>,
        program: Arc<Program>,
    ) -> Self {
        Self { adapter, spec, validator, program }
    }

    pub fn name(&self) -> &str {
        &self.spec.name
    }

    pub fn adapter(&self) -> &Manifest {
        &self.adapter
    }

    pub fn target(&self) -> Target {
        self.spec.target
    }

    /// How it is reached over HTTP, if it is.
    pub fn http(&self) -> Option<&Http> {
        self.spec.http.as_ref()
    }

    /// Largest body, inclusive.
    pub fn body_bytes(&self) -> usize {
        self.adapter.body_bytes
    }

    /// Decodes, validates and maps. A payload that fails a check becomes a draft with its rejection: all problems of
    /// the first failing stage, in the order of the contract's field table.
    ///
    /// # Errors
    /// [`Defect`]: the mapping is at fault, not the sender.
    pub fn normalize(&self, delivery: &Verified) -> Result<Draft, Defect> {
        let mut payload = match decode(delivery.body()) {
            Ok(payload) => payload,
            Err(rejection) => return Ok(self.draft(delivery, None, DraftBody::Rejection(rejection))),
        };
        let id = self.order_id(&payload);
        remove_empty(&mut payload);
        let revision = self.spec.revision.iter().find(|field| is_present(&payload, field)).cloned();
        if let Some(rejection) = self.validate(&payload) {
            return Ok(self.draft(delivery, id, DraftBody::Rejection(rejection)));
        }
        let (result, Findings { mut problems, warnings }) = self.program.run(payload, delivery.binding())?;
        problems.extend(self.other_order(delivery, id.as_deref()));
        if let Some(rejection) = self.reject(problems) {
            return Ok(self.draft(delivery, id, DraftBody::Rejection(rejection)));
        }
        let warnings = self.in_order(warnings);
        let (id, body) = match self.spec.target {
            Target::OrderCancelled => self.cancellation(result, warnings)?,
            Target::OrderCreated => self.order(Intent::Created, result, warnings, revision, delivery)?,
            Target::OrderUpdated => self.order(Intent::Updated, result, warnings, revision, delivery)?,
            Target::OrderUpsert => self.order(Intent::Upsert, result, warnings, revision, delivery)?,
        };
        Ok(self.draft(delivery, Some(id), body))
    }

    /// The draft that carries `rejection`, found before decoding; the order's id is read if the body allows it.
    pub fn refuse(&self, delivery: &Verified, rejection: Rejection) -> Draft {
        let id = decode(delivery.body()).ok().and_then(|payload| self.order_id(&payload));
        self.draft(delivery, id, DraftBody::Rejection(rejection))
    }

    /// The order's id, if it is there and has a usable shape.
    fn order_id(&self, payload: &Value) -> Option<String> {
        let id = payload.get(&self.spec.id.path).and_then(as_text)?;
        identifier::order_id(id).ok().map(str::to_owned)
    }

    fn validate(&self, payload: &Value) -> Option<Rejection> {
        let mut problems = self.validator.check(payload);
        for field in self.spec.requires.iter().filter(|field| !is_present(payload, field)) {
            let rank = self.rank(&field.text);
            let place = problems.iter().position(|problem| self.rank(&problem.field) > rank);
            let missing = Problem::new(Code::FieldRequired, field.text.clone(), "is required");
            problems.insert(place.unwrap_or(problems.len()), missing);
        }
        Rejection::of(problems)
    }

    /// The path of the request names the order, too.
    fn other_order(&self, delivery: &Verified, id: Option<&str>) -> Option<Problem> {
        let id = id?;
        let differs = delivery.context().path.iter().any(|(_, named)| named != id);
        let message = "expected the order id of the request's path";
        differs.then(|| Problem::new(Code::BusinessRule, self.spec.id.text.clone(), message))
    }

    fn reject(&self, mut problems: Vec<Problem>) -> Option<Rejection> {
        if problems.len() > 1 {
            self.validator.sort(&mut problems);
        }
        Rejection::of(problems)
    }

    /// Where the contract's field table has the field of `pointer`.
    fn rank(&self, pointer: &str) -> Vec<usize> {
        self.validator.fields().rank(pointer)
    }

    /// The warnings in the order of their fields, without repeats.
    fn in_order(&self, mut found: Vec<(String, Warning)>) -> Vec<Warning> {
        if found.len() > 1 {
            found.sort_by_cached_key(|(field, _)| self.rank(field));
        }
        let mut warnings = Vec::with_capacity(found.len());
        for (_, warning) in found {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        warnings
    }

    fn order(
        &self,
        intent: Intent,
        result: Value,
        mut warnings: Vec<Warning>,
        revision: Option<Pointer>,
        delivery: &Verified,
    ) -> Result<(String, DraftBody), Defect> {
        let mapped = MappedOrder::read(result, self.program.file())?;
        if !mapped.has_service() {
            let lines = self.spec.lines.as_ref().map_or("", |lines| &lines.text);
            let rejection = Rejection::one(Code::BusinessRule, lines, "expected at least one line with a service");
            return Ok((mapped.external_order_id, DraftBody::Rejection(rejection)));
        }
        mapped.remark_on_contact(&mut warnings);
        let order = self.canonical(mapped, warnings, delivery);
        let id = order.external_order_id.clone();
        let draft = OrderDraft {
            intent,
            digest: order.business_digest(),
            order,
            id_field: self.spec.id.text.clone(),
            revision_field: revision.map(|field| field.text).unwrap_or_default(),
        };
        Ok((id, DraftBody::Order(Box::new(draft))))
    }

    fn canonical(&self, mapped: MappedOrder, warnings: Vec<Warning>, delivery: &Verified) -> CanonicalOrder {
        let key = OrderKey {
            tenant_id: delivery.binding().tenant_id.clone(),
            source_key: self.adapter.source_key.clone(),
            external_order_id: mapped.external_order_id,
        };
        CanonicalOrder {
            schema: SCHEMA.to_owned(),
            fsm_service_order_id: key.service_order_id().to_string(),
            tenant_id: key.tenant_id,
            source_system: self.adapter.source_system,
            source_key: key.source_key,
            external_order_id: key.external_order_id,
            revision: mapped.updated_at.unwrap_or(mapped.created_at).epoch_ms().to_string(),
            status: Status::Received,
            sales_channel: mapped.sales_channel,
            country_code: mapped.country_code,
            bu_code: mapped.bu_code,
            store_id: mapped.store_id,
            urgency: mapped.urgency,
            created_at: mapped.created_at.to_text(),
            updated_at: mapped.updated_at.map(|time| time.to_text()),
            requested_date: mapped.requested_date,
            customer: mapped.customer,
            address: mapped.address,
            lines: mapped.lines,
            total: mapped.total,
            external_refs: mapped.external_refs,
            notes: mapped.notes,
            warnings,
            raw_sha256: delivery.digest(),
        }
    }

    fn cancellation(&self, result: Value, warnings: Vec<Warning>) -> Result<(String, DraftBody), Defect> {
        let mapped = MappedCancellation::read(result, self.program.file())?;
        let draft = CancellationDraft {
            cancelled_at: mapped.cancelled_at.epoch_ms(),
            country_code: mapped.country_code,
            reason_code: mapped.reason_code,
            reason: mapped.reason,
            warnings,
            id_field: self.spec.id.text.clone(),
        };
        Ok((mapped.external_order_id, DraftBody::Cancellation(draft)))
    }

    fn draft(&self, delivery: &Verified, external_order_id: Option<String>, body: DraftBody) -> Draft {
        let (binding, context) = (delivery.binding(), delivery.context());
        let head = DraftHead {
            tenant_id: binding.tenant_id.clone(),
            source_system: self.adapter.source_system,
            source_key: self.adapter.source_key.clone(),
            external_order_id,
            binding: binding.name.clone(),
            received_from: context.received_from.clone(),
            received_at: context.received_at,
            correlation_id: context.correlation_id.clone(),
            raw_sha256: delivery.digest(),
            retry_count: context.retry_count,
            transformation_version: self.adapter.transformation_version(),
        };
        Draft { head, body, raw: delivery.body().clone() }
    }
}

fn is_present(payload: &Value, field: &Pointer) -> bool {
    payload.get(&field.path).is_some_and(|value| !is_empty(value))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::canonical::ids::Sha256Digest;
    use crate::normalize::tests::{adapters, binding};
    use crate::verify::Context;

    const ORDER: &[u8] = include_bytes!("../../mappings/pyxis/cases/order/input.json");

    fn delivery(body: impl Into<Bytes>) -> Verified {
        let context = Context {
            received_from: "http".into(),
            received_at: 1_772_612_131_210,
            correlation_id: "c-1".into(),
            retry_count: 2,
            ..Context::default()
        };
        Verified::by_operator(Arc::new(binding()), body.into(), context)
    }

    fn normalize(route: &str, body: impl Into<Bytes>) -> Draft {
        let adapters = adapters();
        let route = adapters.adapter("pyxis").and_then(|adapter| adapter.route(route)).expect("the route is there");
        route.normalize(&delivery(body)).expect("the mapping has no defect")
    }

    #[test]
    fn the_example_of_the_contract_has_the_digest_printed_there() {
        let DraftBody::Order(draft) = normalize("order", ORDER).body else { panic!("expected an order") };

        assert_eq!(draft.digest.to_string(), "abe06f7d585ef87d46c736e04388111f01943047fa37a63adc574b88580dce53");
        assert_eq!(
            (draft.intent, draft.id_field.as_str(), draft.revision_field.as_str()),
            (Intent::Upsert, "/order_id", "/created_at")
        );
    }

    #[test]
    fn a_rejected_payload_keeps_its_order_id_and_every_circumstance() {
        let draft = normalize("order", r#"{"order_id": "PYX-1", "created_at": "soon"}"#);

        assert!(matches!(draft.body, DraftBody::Rejection(_)));
        assert_eq!(draft.head.external_order_id.as_deref(), Some("PYX-1"));
        assert_eq!(draft.head.partition_key(), "north|pyxis|PYX-1");
        assert_eq!((draft.head.received_at, draft.head.retry_count), (1_772_612_131_210, 2));
        assert_eq!(draft.head.transformation_version, "pyxis/1.0.0");
        assert_eq!(draft.head.raw_sha256, Sha256Digest::of(&draft.raw));
    }

    #[test]
    fn an_order_id_of_unusable_shape_is_none() {
        for body in [r#"{"order_id": "a b"}"#, r#"{"order_id": 7}"#, "{}", "[]", "{", "7"] {
            assert_eq!(normalize("order", body).head.external_order_id, None, "{body}");
        }
    }

    #[test]
    fn a_refused_delivery_is_read_for_its_order_id() {
        let adapters = adapters();
        let route = adapters.adapter("pyxis").and_then(|adapter| adapter.route("order")).expect("the route is there");
        let rejection = Rejection::one(Code::UnsupportedMediaType, "", "expected application/json");

        let draft = route.refuse(&delivery(ORDER), rejection.clone());

        assert_eq!(draft.head.external_order_id.as_deref(), Some("PYX-FR-20260304-7731"));
        assert_eq!(draft.body, DraftBody::Rejection(rejection));
    }

    #[test]
    fn no_value_in_any_place_makes_the_mapping_fail() {
        let adapters = adapters();
        let route = adapters.adapter("pyxis").and_then(|adapter| adapter.route("order")).expect("the route is there");
        let order: serde_json::Value = serde_json::from_slice(ORDER).expect("the example is JSON");
        let odd = [
            r#"null"#,
            "true",
            "0",
            "-1",
            "1e400",
            "1e-400",
            "\"\"",
            r#""\u0000""#,
            r#""\u0007""#,
            r#""?""#,
            r#""0""#,
            "[]",
            "[null]",
            "{}",
            r#"{"$number": "1"}"#,
            r#""2026-02-30T25:61:61+99:99""#,
            r#""+""#,
            r#""@.""#,
            r#""(0)""#,
        ];
        let mut places = Vec::new();
        collect("", &order, &mut places);

        for (place, value) in places.iter().flat_map(|place| odd.iter().map(move |value| (place, value))) {
            let mut payload = order.clone();
            let spot = payload.pointer_mut(place).expect("the place is there");
            *spot = serde_json::from_str(value).expect("an odd value is JSON");

            let draft = route.normalize(&delivery(payload.to_string()));

            assert!(draft.is_ok(), "{value} at {place}: {draft:?}");
        }
    }

    fn collect(path: &str, value: &serde_json::Value, places: &mut Vec<String>) {
        places.push(path.to_owned());
        for (name, member) in value.as_object().into_iter().flatten() {
            collect(&format!("{path}/{name}"), member, places);
        }
        for (index, element) in value.as_array().into_iter().flatten().enumerate() {
            collect(&format!("{path}/{index}"), element, places);
        }
    }
}
