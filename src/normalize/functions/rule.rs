//! What each value function does with one value: the bridge from a payload's [`Value`] to the rules of
//! [`value`](crate::normalize::value).

use std::sync::Arc;

use vrl::value::{Kind, Value, ValueRegex};

use crate::canonical::order::Warning;
use crate::canonical::rejection::Code;
use crate::config::binding::Parameter;
use crate::normalize::decode::number_literal;
use crate::normalize::functions::field::{Field, as_text};
use crate::normalize::functions::run::Run;
use crate::normalize::tables::{Rows, Table};
use crate::normalize::value::country::{self, SellingCountry};
use crate::normalize::value::time_form::TimeForm;
use crate::normalize::value::{
    Invalid, Numeric, Text, code, decimal, email, identifier, integer, phone, postal_code, quantity, text, time,
};

/// Stands for text that was refused. No payload gets here with it: every rule refuses U+0000.
pub const REFUSED: &str = "\0";

/// One value rule with its settings.
#[derive(Debug, Clone)]
pub enum Rule {
    OrderId,
    Text(text::Kind),
    Pattern(ValueRegex),
    Lookup {
        table: Arc<Table>,
        otherwise: Option<Otherwise>,
    },
    Listed {
        parameter: String,
    },
    SellingCountry,
    AddressCountry,
    PostalCode,
    Phone,
    Email,
    Timestamp(TimeForm),
    Date(TimeForm),
    /// Units of the epoch in a second.
    Epoch {
        per_second: i64,
    },
    Integer {
        min: i64,
        max: i64,
    },
    Decimal {
        max_decimals: u64,
    },
    Quantity,
    Boolean,
    /// The words for `true` and `false`.
    Words {
        yes: Vec<String>,
        no: Vec<String>,
    },
    OneOf(Vec<String>),
}

/// What stands for a code that is in no row.
#[derive(Debug, Clone)]
pub struct Otherwise {
    pub value: Value,
    pub warning: Option<Warning>,
}

/// The country a rule depends on: of sale for times and phone numbers, of the address for postal codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Country<'a> {
    Known(&'a str),
    /// It was refused; what depends on it is judged as far as that goes.
    Refused,
    /// The payload does not say.
    Absent,
}

type Outcome = Result<Option<Value>, Invalid>;

impl Rule {
    /// The canonical value, or `None` if nothing was left of it.
    ///
    /// # Errors
    /// What is wrong with the value.
    pub fn apply(&self, value: &Value, at: &Field, country: Country<'_>, run: &mut Run) -> Outcome {
        match self {
            Self::Integer { min, max } => {
                let literal = numeric(value).ok_or_else(|| mistyped("an integer"))?;
                integer::integer(literal, *min..=*max).map(|integer| Some(Value::Integer(integer)))
            }
            Self::Epoch { per_second } => {
                let literal = numeric(value).ok_or_else(|| mistyped("a number"))?;
                let units = integer::integer(literal, i64::MIN..=i64::MAX)?;
                let epoch_ms = units.saturating_mul(1000 / per_second);
                time::Timestamp::from_epoch_ms(epoch_ms).map(|instant| Some(Value::Integer(instant.epoch_ms())))
            }
            Self::Quantity => {
                let literal = numeric(value).ok_or_else(|| mistyped("a number"))?;
                quantity::quantity(literal).map(|quantity| Some(Value::from(quantity)))
            }
            Self::Decimal { max_decimals } => {
                let literal = numeric(value).ok_or_else(|| mistyped("a number"))?;
                decimal::text(literal, *max_decimals).map(|decimal| Some(Value::from(decimal)))
            }
            Self::Boolean => match value {
                Value::Boolean(_) => Ok(Some(value.clone())),
                _ => Err(mistyped("true or false")),
            },
            _ => self.apply_text(as_text(value).ok_or_else(|| mistyped("text"))?, at, country, run),
        }
    }

    fn apply_text(&self, raw: &str, at: &Field, country: Country<'_>, run: &mut Run) -> Outcome {
        match self {
            Self::OrderId => identifier::order_id(raw).map(some_text),
            Self::Text(kind) => Ok(cleaned(text::text(raw, *kind)?, at, run)),
            Self::Pattern(pattern) => match code::code(raw)? {
                code if pattern.is_match(code) => Ok(some_text(code)),
                _ => Err(Invalid::format(format!("expected text that matches `{}`", pattern.as_str()))),
            },
            Self::Lookup { table, otherwise } => look_up(table, otherwise.as_ref(), raw, at, run),
            Self::Listed { parameter } => code::listed(raw, run.list(parameter)).map(some_text),
            Self::SellingCountry => {
                country::selling_country(raw, run.countries()).map(|country| some_text(country.code()))
            }
            Self::AddressCountry => {
                let code = country::address_country(raw)?;
                if matches!(country, Country::Known(selling) if selling != code) {
                    run.warn(Warning::CrossBorderAddress, at);
                }
                Ok(some_text(code))
            }
            Self::PostalCode => postal_code::postal_code(raw, country.code()).map(|code| Some(Value::from(code))),
            Self::Email => Ok(cleaned(email::email(raw)?, at, run)),
            Self::Phone => Ok(cleaned(phone::phone(raw, country.selling())?, at, run)),
            Self::Timestamp(form) => {
                let instant = form.timestamp(raw, zone(form, raw, country, run)?)?;
                Ok(Some(Value::Integer(instant.epoch_ms())))
            }
            Self::Date(form) => form.date(raw, zone(form, raw, country, run)?).map(|date| Some(Value::from(date))),
            Self::Words { yes, no } => match code::code(raw)? {
                word if yes.iter().any(|known| known == word) => Ok(Some(Value::Boolean(true))),
                word if no.iter().any(|known| known == word) => Ok(Some(Value::Boolean(false))),
                _ => Err(Invalid::unknown(format!("expected one of: {}, {}", yes.join(", "), no.join(", ")))),
            },
            Self::OneOf(values) => match code::code(raw)? {
                code if values.iter().any(|known| known == code) => Ok(some_text(code)),
                _ => Err(Invalid::unknown(format!("expected one of: {}", values.join(", ")))),
            },
            Self::Integer { .. } | Self::Decimal { .. } | Self::Epoch { .. } | Self::Quantity | Self::Boolean => {
                Err(mistyped("text"))
            }
        }
    }

    /// Remarks on an absent value.
    pub fn absent(&self, at: &Field, run: &mut Run) {
        match self {
            Self::Email => run.warn(Warning::CustomerEmailMissing, at),
            Self::Phone => run.warn(Warning::CustomerPhoneMissing, at),
            _ => {}
        }
    }

    /// The types of value the rule reads; the schema lets a field have no other.
    pub fn takes(&self) -> Kind {
        match self {
            // Text where the schema says that a source writes its numbers so.
            Self::Integer { .. } | Self::Decimal { .. } | Self::Epoch { .. } | Self::Quantity => {
                Kind::object(vrl::value::kind::Collection::any()).or_bytes()
            }
            Self::Boolean => Kind::boolean(),
            _ => Kind::bytes(),
        }
    }

    /// [`takes`](Self::takes) in words.
    pub fn expects(&self) -> &'static str {
        match self {
            Self::Integer { .. } | Self::Decimal { .. } | Self::Epoch { .. } | Self::Quantity => "a number",
            Self::Boolean => "true or false",
            _ => "text",
        }
    }

    /// The type of the result, if there is one.
    pub fn gives(&self) -> Kind {
        match self {
            Self::Integer { .. } | Self::Timestamp(_) | Self::Epoch { .. } => Kind::integer(),
            Self::Boolean | Self::Words { .. } => Kind::boolean(),
            Self::Lookup { table, otherwise: Some(Otherwise { value: Value::Null, .. }) } => table.kind().or_null(),
            Self::Lookup { table, .. } => table.kind(),
            _ => Kind::bytes(),
        }
    }

    /// Stands for a refused value; of the type of the result.
    pub fn placeholder(&self) -> Value {
        match self {
            Self::Integer { min, .. } => Value::Integer(*min),
            Self::Timestamp(_) | Self::Epoch { .. } => Value::Integer(0),
            Self::Boolean | Self::Words { .. } => Value::Boolean(false),
            Self::Lookup { table, .. } => table.placeholder(),
            _ => Value::from(REFUSED),
        }
    }
}

impl<'a> Country<'a> {
    /// The country of the argument `country:`.
    pub fn of(value: &'a Value) -> Self {
        match as_text(value) {
            Some(REFUSED) => Self::Refused,
            Some(code) => Self::Known(code),
            None => Self::Absent,
        }
    }

    /// The country's code, if it is known.
    pub fn code(self) -> Option<&'a str> {
        match self {
            Self::Known(code) => Some(code),
            Self::Refused | Self::Absent => None,
        }
    }

    pub fn selling(self) -> Option<SellingCountry> {
        self.code().and_then(SellingCountry::from_code)
    }
}

fn look_up(table: &Table, otherwise: Option<&Otherwise>, raw: &str, at: &Field, run: &mut Run) -> Outcome {
    let found = code::code(raw).map(|code| table.find(code, added_rows(table, run)));
    match (found, otherwise) {
        (Ok(Some(row)), _) => Ok(Some(row)),
        (_, Some(otherwise)) => {
            if let Some(warning) = otherwise.warning {
                run.warn(warning, at);
            }
            Ok(Some(otherwise.value.clone()))
        }
        (Ok(None), None) => Err(Invalid::unknown(format!("expected a code of the table `{}`", table.name()))),
        (Err(invalid), None) => Err(invalid),
    }
}

fn added_rows<'r>(table: &Table, run: &'r Run) -> Option<&'r Rows> {
    match run.parameter(table.extended_by()?)? {
        Parameter::Table(rows) => Some(rows),
        _ => None,
    }
}

/// A number of the payload, or text where a number may be written as text.
pub fn numeric(value: &Value) -> Option<Numeric<'_>> {
    number_literal(value).map(Numeric::Number).or_else(|| as_text(value).map(Numeric::Text))
}

/// The country whose clock tells a time without offset.
///
/// # Errors
/// `InvalidFormat` if the payload names no selling country, the binding has several and the time has no offset.
fn zone(form: &TimeForm, raw: &str, country: Country<'_>, run: &Run) -> Result<Option<SellingCountry>, Invalid> {
    match (country, run.countries()) {
        (Country::Known(_) | Country::Refused, _) => Ok(country.selling()),
        (Country::Absent, [only]) => Ok(SellingCountry::from_code(only)),
        (Country::Absent, _) if form.is_complete(raw) => Ok(None),
        (Country::Absent, _) => Err(Invalid::format("expected a time with its offset: no selling country is given")),
    }
}

fn cleaned(text: Text<'_>, at: &Field, run: &mut Run) -> Option<Value> {
    if text.sanitized {
        run.warn(Warning::TextSanitized, at);
    }
    Some(text.text).filter(|text| !text.is_empty()).map(Value::from)
}

// The schema has checked the type of every field; a computed value may still be of another.
fn mistyped(expected: &str) -> Invalid {
    Invalid { code: Code::InvalidType, message: format!("expected {expected}") }
}

fn some_text(text: &str) -> Option<Value> {
    Some(Value::from(text))
}
