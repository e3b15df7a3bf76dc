//! What a column of a code table may hold. The canonical order's own code lists are types too, so that a table cannot
//! map a partner's code to one nobody knows.

use vrl::value::{Kind, Value};

use crate::canonical::order::ServiceType;
use crate::config::reader::Section;
use crate::normalize::functions::REFUSED;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    Text,
    Integer,
    Boolean,
    OneOf(&'static [&'static str]),
}

const SALES_CHANNELS: &[&str] = &["STORE", "WEB", "CALL_CENTER", "MOBILE", "PARTNER"];
const URGENCIES: &[&str] = &["URGENT", "STANDARD", "LOW"];
const REASON_CODES: &[&str] =
    &["CUSTOMER_REQUEST", "RESOURCE_UNAVAILABLE", "DUPLICATE_ORDER", "BILLING_ISSUE", "OUT_OF_SERVICE_AREA", "OTHER"];
const SERVICE_TYPES: &[&str] = &{
    let mut names = [""; ServiceType::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = ServiceType::ALL[at].as_str();
        at += 1;
    }
    names
};

impl Domain {
    /// The names a table's file may use.
    pub const NAMES: &str = "text, integer, boolean, sales_channel, service_type, urgency, reason_code";

    /// The type called `name`, one of [`Domain::NAMES`].
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "text" => Self::Text,
            "integer" => Self::Integer,
            "boolean" => Self::Boolean,
            "sales_channel" => Self::OneOf(SALES_CHANNELS),
            "service_type" => Self::OneOf(SERVICE_TYPES),
            "urgency" => Self::OneOf(URGENCIES),
            "reason_code" => Self::OneOf(REASON_CODES),
            _ => return None,
        })
    }

    /// The value of `key`; one outside the type is reported.
    pub fn read(self, section: &Section<'_>, key: &str) -> Option<Value> {
        match self {
            Self::Integer => Some(Value::Integer(section.required::<u32>(key)?.into())),
            Self::Boolean => Some(Value::Boolean(section.required(key)?)),
            Self::Text | Self::OneOf(_) => {
                let value = self.parse(&section.required::<String>(key)?);
                if value.is_none() {
                    section.error(Some(key), format!("`{key}`: expected {}", self.expected()));
                }
                value
            }
        }
    }

    /// The value `text` stands for, if it is of the type.
    pub fn parse(self, text: &str) -> Option<Value> {
        match self {
            Self::Text => Some(Value::from(text)),
            Self::Integer => text.parse::<u32>().ok().map(|number| Value::Integer(number.into())),
            Self::Boolean => text.parse().ok().map(Value::Boolean),
            Self::OneOf(names) => names.contains(&text).then(|| Value::from(text)),
        }
    }

    /// The type for the mapping's compiler.
    pub fn kind(self) -> Kind {
        match self {
            Self::Text | Self::OneOf(_) => Kind::bytes(),
            Self::Integer => Kind::integer(),
            Self::Boolean => Kind::boolean(),
        }
    }

    /// Stands for a refused value.
    pub fn placeholder(self) -> Value {
        match self {
            Self::Text | Self::OneOf(_) => Value::from(REFUSED),
            Self::Integer => Value::Integer(0),
            Self::Boolean => Value::Boolean(false),
        }
    }

    /// The type in words.
    pub fn expected(self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Integer => "a number from 0".into(),
            Self::Boolean => "true or false".into(),
            Self::OneOf(names) => format!("one of: {}", names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::Value as Json;

    use super::*;
    use crate::canonical::order::{SalesChannel, Urgency};

    #[test]
    fn every_code_of_a_list_is_one_of_the_canonical_order() {
        for name in SALES_CHANNELS {
            assert!(SalesChannel::deserialize(Json::from(*name)).is_ok(), "{name}");
        }
        for name in URGENCIES {
            assert!(Urgency::deserialize(Json::from(*name)).is_ok(), "{name}");
        }
        for name in SERVICE_TYPES {
            assert!(ServiceType::deserialize(Json::from(*name)).is_ok(), "{name}");
        }
    }
}
