//! One kind of message: from the bytes of a verified delivery to the draft.

use std::sync::Arc;

use vrl::value::{Kind, Value};

use crate::canonical::draft::{CancellationDraft, Draft, DraftBody, DraftHead, Intent, OrderDraft};
use crate::canonical::ids::OrderKey;
use crate::canonical::order::{CanonicalOrder, SCHEMA, Status, Warning};
use crate::canonical::rejection::{Code, Problem, Rejection, Stage};
use crate::normalize::decode::{decode, is_empty, remove_empty};
use crate::normalize::embedded;
use crate::normalize::functions::{Findings, as_text};
use crate::normalize::manifest::{Embedded, Http, Manifest, Pointer, RouteSpec, Target};
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

    /// What the schema says of the payload.
    pub fn schema_kind(&self) -> &Kind {
        self.validator.schema_kind()
    }

    pub fn target(&self) -> Target {
        self.spec.target
    }

    /// How it is reached over HTTP, if it is.
    pub fn http(&self) -> Option<&Http> {
        self.spec.http.as_ref()
    }

    /// A JSON document in a member of the payload, if there is one.
    pub fn embedded(&self) -> Option<&Embedded> {
        self.spec.embedded.as_ref()
    }

    /// Whether both routes make the same of a payload that comes without a path.
    pub(super) fn maps_like(&self, other: &Self) -> bool {
        let intent = |target| if target == Target::OrderUpsert { Target::OrderCreated } else { target };
        Arc::ptr_eq(&self.program, &other.program)
            && Arc::ptr_eq(&self.validator, &other.validator)
            && intent(self.spec.target) == intent(other.spec.target)
            && self.spec.requires == other.spec.requires
            && self.spec.id == other.spec.id
            && self.spec.lines == other.spec.lines
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
        match decode(delivery.body()) {
            Ok(payload) => self.map(delivery, payload, Vec::new()),
            Err(rejection) => Ok(self.draft(delivery, None, DraftBody::Rejection(rejection))),
        }
    }

    /// Validates and maps a decoded payload. `found`: what is wrong with it already, at pointers into it; it is
    /// reported with the problems of its stage.
    ///
    /// # Errors
    /// As [`Self::normalize`].
    pub(super) fn map(&self, delivery: &Verified, mut payload: Value, found: Vec<Problem>) -> Result<Draft, Defect> {
        let id = self.order_id(&payload);
        let unreadable = self.open_embedded(&mut payload);
        remove_empty(&mut payload);
        let revision = self.spec.revision.iter().find(|field| is_present(&payload, field)).cloned();
        let (early, late) = found.into_iter().partition(|problem| problem.code.stage() <= Stage::Count);
        if let Some(rejection) = self.validate(&payload, early) {
            return Ok(self.draft(delivery, id, DraftBody::Rejection(rejection)));
        }
        let (result, Findings { mut problems, mut warnings }) = self.program.run(payload, delivery.binding())?;
        let late: Vec<Problem> = late;
        problems.extend(late);
        problems.extend(self.other_order(delivery, id.as_deref()));
        if let Some(rejection) = self.reject(problems) {
            return Ok(self.draft(delivery, id, DraftBody::Rejection(rejection)));
        }
        warnings.extend(unreadable);
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

    /// Opens the document embedded in the payload, if the route has one; a remark if it cannot be used.
    fn open_embedded(&self, payload: &mut Value) -> Option<(String, Warning)> {
        let embedded = self.spec.embedded.as_ref()?;
        let id = payload.get(&self.spec.id.path).and_then(as_text).unwrap_or_default().to_owned();
        let is_open = embedded::open(payload, embedded, &id);
        (!is_open).then(|| (embedded.at.text.clone(), Warning::RawPayloadUnreadable))
    }

    fn validate(&self, payload: &Value, found: Vec<Problem>) -> Option<Rejection> {
        let mut problems = self.validator.check(payload);
        // The schema may say the same of the same place.
        let more: Vec<Problem> =
            found.into_iter().filter(|found| !problems.iter().any(|known| known.field == found.field)).collect();
        if !more.is_empty() {
            problems.extend(more);
            self.validator.sort(&mut problems);
        }
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
            source_key: self.adapter.source_key(delivery.binding()).into_owned(),
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
        let mut draft = draft(&self.adapter, delivery, external_order_id, body);
        draft.head.route = Some(format!("{}/{}", self.adapter.name, self.spec.name));
        draft
    }
}

/// What the adapter makes of the delivery, with its circumstances.
pub(super) fn draft(
    adapter: &Manifest,
    delivery: &Verified,
    external_order_id: Option<String>,
    body: DraftBody,
) -> Draft {
    let (binding, context) = (delivery.binding(), delivery.context());
    let head = DraftHead {
        tenant_id: binding.tenant_id.clone(),
        source_system: adapter.source_system,
        source_key: adapter.source_key(binding).into_owned(),
        external_order_id,
        binding: binding.name.clone(),
        received_from: context.received_from.clone(),
        received_at: context.received_at,
        correlation_id: context.correlation_id.clone(),
        raw_sha256: delivery.digest(),
        retry_count: context.retry_count,
        transformation_version: adapter.transformation_version(),
        route: None,
        path: context.path.iter().cloned().collect(),
        replay_of: context.replay_of,
        delivery_id: None,
    };
    Draft { head, body, raw: delivery.body().clone() }
}

fn is_present(payload: &Value, field: &Pointer) -> bool {
    payload.get(&field.path).is_some_and(|value| !is_empty(value))
}

#[cfg(test)]
mod tests;
