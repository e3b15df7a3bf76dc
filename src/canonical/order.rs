//! The canonical order: the full result of normalisation, of which every order event is a projection.
//!
//! Source: `contracts/canonical-events.md` section 5. Members are serialized in the order printed there.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::canonical::ids::{OrderKey, Sha256Digest};

/// Value of `schema`.
pub const SCHEMA: &str = "ahs.canonical.order/1";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanonicalOrder {
    pub schema: String,
    pub tenant_id: String,
    pub source_system: SourceSystem,
    pub source_key: String,
    pub external_order_id: String,
    /// UUIDv5, lower case with hyphens.
    pub fsm_service_order_id: String,
    /// Epoch milliseconds as decimal text.
    pub revision: String,
    pub status: Status,
    pub sales_channel: SalesChannel,
    /// The selling country, ISO 3166-1 alpha-2.
    pub country_code: String,
    pub bu_code: String,
    pub store_id: Option<String>,
    pub urgency: Urgency,
    /// UTC with milliseconds.
    pub created_at: String,
    pub updated_at: Option<String>,
    /// `YYYY-MM-DD`.
    pub requested_date: Option<String>,
    pub customer: Customer,
    pub address: Address,
    pub lines: Vec<Line>,
    pub total: Option<Money>,
    pub external_refs: ExternalRefs,
    pub notes: Option<String>,
    /// In the order of first occurrence, without repeats.
    pub warnings: Vec<Warning>,
    pub raw_sha256: Sha256Digest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SourceSystem {
    Pyxis,
    Tempo,
    Sap,
    Custom,
}

impl SourceSystem {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pyxis => "PYXIS",
            Self::Tempo => "TEMPO",
            Self::Sap => "SAP",
            Self::Custom => "CUSTOM",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    Received,
    Cancelled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SalesChannel {
    Store,
    Web,
    CallCenter,
    Mobile,
    Partner,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Urgency {
    Urgent,
    Standard,
    Low,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    pub customer_id: String,
    pub name: String,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub email: Option<String>,
    /// `+` and 7 to 15 digits.
    pub phone: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    pub street: String,
    pub city: String,
    pub postal_code: String,
    pub country: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub line_id: String,
    pub product_code: String,
    pub description: Option<String>,
    /// Decimal text without trailing zeros.
    pub quantity: String,
    /// `None` for a goods line.
    pub service_type: Option<ServiceType>,
    /// Minutes; `None` for a goods line.
    pub estimated_duration_min: Option<u32>,
    pub requires_confirmation_tv: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceType {
    Installation,
    TechnicalVisit,
    Rework,
    Maintenance,
    Repair,
    EmergencyRepair,
    Quotation,
}

impl ServiceType {
    pub const ALL: [Self; 7] = [
        Self::Installation,
        Self::TechnicalVisit,
        Self::Rework,
        Self::Maintenance,
        Self::Repair,
        Self::EmergencyRepair,
        Self::Quotation,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Installation => "installation",
            Self::TechnicalVisit => "technical_visit",
            Self::Rework => "rework",
            Self::Maintenance => "maintenance",
            Self::Repair => "repair",
            Self::EmergencyRepair => "emergency_repair",
            Self::Quotation => "quotation",
        }
    }

    /// Minutes planned when the source says nothing.
    pub const fn default_minutes(self) -> u32 {
        match self {
            Self::Installation => 240,
            Self::TechnicalVisit | Self::EmergencyRepair => 90,
            Self::Rework | Self::Maintenance | Self::Repair => 120,
            Self::Quotation => 60,
        }
    }
}

/// Decimal text padded to the currency's minor unit, and its ISO 4217 code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    pub amount: String,
    pub currency: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalRefs {
    pub project_id: Option<String>,
    pub lead_id: Option<String>,
}

/// The closed set of remarks on an accepted payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    CustomerEmailMissing,
    CustomerPhoneMissing,
    CurrencyMismatch,
    CrossBorderAddress,
    TextSanitized,
    ReasonCodeUnknown,
    TotalMismatch,
    RawPayloadUnreadable,
}

impl Warning {
    /// The warning named `text`, as it is written in `warnings`.
    pub fn from_name(text: &str) -> Option<Self> {
        serde_json::from_value(serde_json::Value::String(text.to_owned())).ok()
    }
}

impl CanonicalOrder {
    pub fn key(&self) -> OrderKey {
        OrderKey {
            tenant_id: self.tenant_id.clone(),
            source_key: self.source_key.clone(),
            external_order_id: self.external_order_id.clone(),
        }
    }

    /// SHA-256 of the canonical JSON (RFC 8785) without `revision`, `created_at`, `updated_at`, `status`,
    /// `warnings` and `raw_sha256`: equal for two payloads that mean the same.
    pub fn business_digest(&self) -> Sha256Digest {
        // Struct members in alphabetical order are RFC 8785's order: every member name is ASCII, every number a
        // small integer and every string escaped by serde_json just as the RFC asks, so no second pass is needed.
        // A test holds this against the `serde_json_canonicalizer` crate.
        #[derive(Serialize)]
        struct Business<'a> {
            address: AddressSorted<'a>,
            bu_code: &'a str,
            country_code: &'a str,
            customer: CustomerSorted<'a>,
            external_order_id: &'a str,
            external_refs: ExternalRefsSorted<'a>,
            fsm_service_order_id: &'a str,
            lines: Vec<LineSorted<'a>>,
            notes: &'a Option<String>,
            requested_date: &'a Option<String>,
            sales_channel: SalesChannel,
            schema: &'a str,
            source_key: &'a str,
            source_system: SourceSystem,
            store_id: &'a Option<String>,
            tenant_id: &'a str,
            total: &'a Option<Money>,
            urgency: Urgency,
        }
        #[derive(Serialize)]
        struct AddressSorted<'a> {
            city: &'a str,
            country: &'a str,
            postal_code: &'a str,
            street: &'a str,
        }
        #[derive(Serialize)]
        struct CustomerSorted<'a> {
            customer_id: &'a str,
            email: &'a Option<String>,
            first_name: &'a Option<String>,
            last_name: &'a Option<String>,
            name: &'a str,
            phone: &'a Option<String>,
        }
        #[derive(Serialize)]
        struct ExternalRefsSorted<'a> {
            lead_id: &'a Option<String>,
            project_id: &'a Option<String>,
        }
        #[derive(Serialize)]
        struct LineSorted<'a> {
            description: &'a Option<String>,
            estimated_duration_min: Option<u32>,
            line_id: &'a str,
            product_code: &'a str,
            quantity: &'a str,
            requires_confirmation_tv: bool,
            service_type: Option<ServiceType>,
        }
        let business = Business {
            address: AddressSorted {
                city: &self.address.city,
                country: &self.address.country,
                postal_code: &self.address.postal_code,
                street: &self.address.street,
            },
            bu_code: &self.bu_code,
            country_code: &self.country_code,
            customer: CustomerSorted {
                customer_id: &self.customer.customer_id,
                email: &self.customer.email,
                first_name: &self.customer.first_name,
                last_name: &self.customer.last_name,
                name: &self.customer.name,
                phone: &self.customer.phone,
            },
            external_order_id: &self.external_order_id,
            external_refs: ExternalRefsSorted {
                lead_id: &self.external_refs.lead_id,
                project_id: &self.external_refs.project_id,
            },
            fsm_service_order_id: &self.fsm_service_order_id,
            lines: self
                .lines
                .iter()
                .map(|line| LineSorted {
                    description: &line.description,
                    estimated_duration_min: line.estimated_duration_min,
                    line_id: &line.line_id,
                    product_code: &line.product_code,
                    quantity: &line.quantity,
                    requires_confirmation_tv: line.requires_confirmation_tv,
                    service_type: line.service_type,
                })
                .collect(),
            notes: &self.notes,
            requested_date: &self.requested_date,
            sales_channel: self.sales_channel,
            schema: &self.schema,
            source_key: &self.source_key,
            source_system: self.source_system,
            store_id: &self.store_id,
            tenant_id: &self.tenant_id,
            total: &self.total,
            urgency: self.urgency,
        };
        struct Hashing(Sha256);
        impl std::io::Write for Hashing {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.update(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut hashing = std::io::BufWriter::with_capacity(2048, Hashing(Sha256::new()));
        // Neither the structs above nor the hasher can fail.
        let _ = serde_json::to_writer(&mut hashing, &business);
        let digest = hashing.into_inner().map(|hashing| hashing.0.finalize().into());
        Sha256Digest(digest.unwrap_or([0; 32]))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The order printed in the contract.
    pub(crate) fn example() -> CanonicalOrder {
        serde_json::from_value(serde_json::json!({
            "schema": SCHEMA, "tenant_id": "north", "source_system": "PYXIS", "source_key": "pyxis",
            "external_order_id": "PYX-FR-20260304-7731",
            "fsm_service_order_id": "8fc78ce8-6c4a-55d8-aaaa-f149200431d2", "revision": "1772612130000",
            "status": "RECEIVED", "sales_channel": "STORE", "country_code": "FR", "bu_code": "BU_FR_HOME",
            "store_id": "FR-LYO-04", "urgency": "STANDARD", "created_at": "2026-03-04T08:15:30.000Z",
            "updated_at": null, "requested_date": "2026-03-19",
            "customer": {"customer_id": "C-558120", "name": "Maëlle Tessier", "first_name": "Maëlle",
                "last_name": "Tessier", "email": "maelle.tessier@example.org", "phone": "+33655512340"},
            "address": {"street": "8 quai des Tilleuls", "city": "Lyon", "postal_code": "69007", "country": "FR"},
            "lines": [{"line_id": "1", "product_code": "KIT-INST-STD", "description": "Kitchen fitting, standard",
                "quantity": "1", "service_type": "installation", "estimated_duration_min": 480,
                "requires_confirmation_tv": true}],
            "total": {"amount": "1490.00", "currency": "EUR"},
            "external_refs": {"project_id": null, "lead_id": null}, "notes": null, "warnings": [],
            "raw_sha256": "0000000000000000000000000000000000000000000000000000000000000000"
        }))
        .expect("the example is a canonical order")
    }

    /// The digest as RFC 8785's own implementation gives it.
    fn reference_digest(order: &CanonicalOrder) -> Sha256Digest {
        let mut document = serde_json::to_value(order).expect("an order is JSON");
        let members = document.as_object_mut().expect("an order is an object");
        for member in ["revision", "created_at", "updated_at", "status", "warnings", "raw_sha256"] {
            members.remove(member);
        }
        Sha256Digest::of(&serde_json_canonicalizer::to_vec(&document).expect("JSON can be made canonical"))
    }

    #[test]
    fn the_digest_is_the_one_printed_in_the_contract() {
        assert_eq!(
            example().business_digest().to_string(),
            "abe06f7d585ef87d46c736e04388111f01943047fa37a63adc574b88580dce53"
        );
    }

    #[test]
    fn the_digest_is_that_of_rfc_8785_for_awkward_text() {
        let mut order = example();
        order.notes = Some("quote \" slash / back \\ tab \t line \u{2028} del \u{7f} é 日本 😀 \u{1}".into());
        order.lines.push(Line { service_type: None, estimated_duration_min: None, ..order.lines[0].clone() });
        order.total = None;

        assert_eq!(order.business_digest(), reference_digest(&order));
    }
}
