//! The result of a mapping -> the typed draft.
//!
//! `check` has held the type of the result against the [`Shape`](crate::normalize::shape::Shape) of the draft, so a
//! member of a wrong type, or a code outside its list, is a [`Defect`] of the mapping and never the payload's fault.

use std::path::Path;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as CodeError, StrDeserializer};
use vrl::value::{ObjectMap, Value};

use crate::canonical::order::{
    Address, Customer, ExternalRefs, Line, Money, SalesChannel, ServiceType, Urgency, Warning,
};
use crate::normalize::functions::as_text;
use crate::normalize::program::Defect;
use crate::normalize::value::time::Timestamp;

/// What a mapping says of an order; who sent it is added elsewhere.
#[derive(Debug)]
pub struct MappedOrder {
    pub external_order_id: String,
    pub sales_channel: SalesChannel,
    pub country_code: String,
    pub bu_code: String,
    pub store_id: Option<String>,
    pub urgency: Urgency,
    pub created_at: Timestamp,
    pub updated_at: Option<Timestamp>,
    pub requested_date: Option<String>,
    pub customer: Customer,
    pub address: Address,
    pub lines: Vec<Line>,
    pub total: Option<Money>,
    pub external_refs: ExternalRefs,
    pub notes: Option<String>,
}

/// What a mapping says of a cancellation.
#[derive(Debug)]
pub struct MappedCancellation {
    pub external_order_id: String,
    pub cancelled_at: Timestamp,
    pub country_code: Option<String>,
    pub reason_code: String,
    pub reason: Option<String>,
}

impl MappedOrder {
    /// # Errors
    /// [`Defect`] naming the member that is missing or of another type.
    pub fn read(result: Value, mapping: &Path) -> Result<Self, Defect> {
        let mut order = Members::of(result, "", mapping)?;
        Ok(Self {
            external_order_id: order.text("external_order_id")?,
            sales_channel: order.code("sales_channel")?,
            country_code: order.text("country_code")?,
            bu_code: order.text("bu_code")?,
            store_id: order.optional_text("store_id")?,
            urgency: order.optional_code("urgency")?.unwrap_or(Urgency::Standard),
            created_at: order.time("created_at")?,
            updated_at: order.optional_time("updated_at")?,
            requested_date: order.optional_text("requested_date")?,
            customer: read_customer(order.object("customer")?)?,
            address: read_address(order.object("address")?)?,
            lines: order.list("lines")?.into_iter().map(read_line).collect::<Result<_, _>>()?,
            total: order.optional_object("total")?.map(read_money).transpose()?,
            external_refs: order.optional_object("external_refs")?.map(read_refs).transpose()?.unwrap_or_default(),
            notes: order.optional_text("notes")?,
        })
    }

    /// Whether anything is to be done: an order of goods alone is none of ours.
    pub fn has_service(&self) -> bool {
        self.lines.iter().any(|line| line.service_type.is_some())
    }

    /// Puts the remarks on the customer right: adds what a mapping owes that never asked for an e-mail address or a
    /// telephone number, takes out what was said of the first of several before another one was found.
    pub fn remark_on_contact(&self, warnings: &mut Vec<Warning>) {
        for (is_missing, warning) in [
            (self.customer.email.is_none(), Warning::CustomerEmailMissing),
            (self.customer.phone.is_none(), Warning::CustomerPhoneMissing),
        ] {
            match (is_missing, warnings.contains(&warning)) {
                (true, false) => warnings.push(warning),
                (false, true) => warnings.retain(|known| *known != warning),
                _ => {}
            }
        }
    }
}

impl MappedCancellation {
    /// # Errors
    /// [`Defect`] naming the member that is missing or of another type.
    pub fn read(result: Value, mapping: &Path) -> Result<Self, Defect> {
        let mut cancellation = Members::of(result, "", mapping)?;
        Ok(Self {
            external_order_id: cancellation.text("external_order_id")?,
            cancelled_at: cancellation.time("cancelled_at")?,
            country_code: cancellation.optional_text("country_code")?,
            reason_code: cancellation.text("reason_code")?,
            reason: cancellation.optional_text("reason")?,
        })
    }
}

fn read_customer(mut customer: Members<'_>) -> Result<Customer, Defect> {
    Ok(Customer {
        customer_id: customer.text("customer_id")?,
        name: customer.text("name")?,
        first_name: customer.optional_text("first_name")?,
        last_name: customer.optional_text("last_name")?,
        email: customer.optional_text("email")?,
        phone: customer.optional_text("phone")?,
    })
}

fn read_address(mut address: Members<'_>) -> Result<Address, Defect> {
    Ok(Address {
        street: address.text("street")?,
        city: address.text("city")?,
        postal_code: address.text("postal_code")?,
        country: address.text("country")?,
    })
}

fn read_line(mut line: Members<'_>) -> Result<Line, Defect> {
    let service_type: Option<ServiceType> = line.optional_code("service_type")?;
    let minutes = match line.take("estimated_duration_min") {
        Some(Value::Integer(minutes)) => {
            Some(u32::try_from(minutes).map_err(|_| line.expected("estimated_duration_min", "minutes"))?)
        }
        Some(_) => return Err(line.expected("estimated_duration_min", "an integer")),
        None => None,
    };
    Ok(Line {
        line_id: line.text("line_id")?,
        product_code: line.text("product_code")?,
        description: line.optional_text("description")?,
        quantity: line.text("quantity")?,
        service_type,
        // A goods line takes no time.
        estimated_duration_min: service_type.map(|service| minutes.unwrap_or(service.default_minutes())),
        requires_confirmation_tv: match line.take("requires_confirmation_tv") {
            Some(Value::Boolean(requires)) => requires,
            Some(_) => return Err(line.expected("requires_confirmation_tv", "true or false")),
            None => false,
        },
    })
}

fn read_money(mut money: Members<'_>) -> Result<Money, Defect> {
    Ok(Money { amount: money.text("amount")?, currency: money.text("currency")? })
}

fn read_refs(mut refs: Members<'_>) -> Result<ExternalRefs, Defect> {
    Ok(ExternalRefs { project_id: refs.optional_text("project_id")?, lead_id: refs.optional_text("lead_id")? })
}

/// The members of one object of the result, taken out one by one.
struct Members<'m> {
    members: ObjectMap,
    /// Of the object, for a message: `customer.`, empty at the top.
    within: &'static str,
    mapping: &'m Path,
}

impl<'m> Members<'m> {
    fn of(value: Value, within: &'static str, mapping: &'m Path) -> Result<Self, Defect> {
        match value {
            Value::Object(members) => Ok(Self { members, within, mapping }),
            _ => Err(Defect::new(mapping, format!("`{within}`: expected an object"))),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        // Left behind as null: taking it out would put the rest of the map in order again, for every member.
        let member = self.members.get_mut(name)?;
        Some(std::mem::replace(member, Value::Null)).filter(|value| !value.is_null())
    }

    fn text(&mut self, name: &'static str) -> Result<String, Defect> {
        self.optional_text(name)?.ok_or_else(|| self.expected(name, "text"))
    }

    fn optional_text(&mut self, name: &'static str) -> Result<Option<String>, Defect> {
        match self.take(name) {
            Some(value) => match as_text(&value) {
                Some(text) => Ok(Some(text.to_owned())),
                None => Err(self.expected(name, "text")),
            },
            None => Ok(None),
        }
    }

    fn code<T: for<'de> Deserialize<'de>>(&mut self, name: &'static str) -> Result<T, Defect> {
        self.optional_code(name)?.ok_or_else(|| self.expected(name, "a code"))
    }

    fn optional_code<T: for<'de> Deserialize<'de>>(&mut self, name: &'static str) -> Result<Option<T>, Defect> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let code = as_text(&value).and_then(|code| {
            let code: StrDeserializer<'_, CodeError> = code.into_deserializer();
            T::deserialize(code).ok()
        });
        code.map(Some).ok_or_else(|| self.expected(name, "a code of the canonical order"))
    }

    fn time(&mut self, name: &'static str) -> Result<Timestamp, Defect> {
        self.optional_time(name)?.ok_or_else(|| self.expected(name, "a timestamp"))
    }

    fn optional_time(&mut self, name: &'static str) -> Result<Option<Timestamp>, Defect> {
        match self.take(name) {
            Some(Value::Integer(epoch_ms)) => match Timestamp::from_epoch_ms(epoch_ms) {
                Ok(time) => Ok(Some(time)),
                Err(_) => Err(self.expected(name, "a timestamp")),
            },
            Some(_) => Err(self.expected(name, "a timestamp")),
            None => Ok(None),
        }
    }

    fn object(&mut self, name: &'static str) -> Result<Members<'m>, Defect> {
        self.optional_object(name)?.ok_or_else(|| self.expected(name, "an object"))
    }

    fn optional_object(&mut self, name: &'static str) -> Result<Option<Members<'m>>, Defect> {
        self.take(name).map(|value| Members::of(value, name, self.mapping)).transpose()
    }

    fn list(&mut self, name: &'static str) -> Result<Vec<Members<'m>>, Defect> {
        match self.take(name) {
            Some(Value::Array(elements)) => {
                elements.into_iter().map(|element| Members::of(element, name, self.mapping)).collect()
            }
            Some(_) => Err(self.expected(name, "an array")),
            None => Ok(Vec::new()),
        }
    }

    fn expected(&self, name: &str, expected: &str) -> Defect {
        let dot = if self.within.is_empty() { "" } else { "." };
        Defect::new(self.mapping, format!("`{}{dot}{name}`: expected {expected}", self.within))
    }
}
