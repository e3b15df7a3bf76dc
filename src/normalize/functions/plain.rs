//! Functions that only compute: null in, null out, no problem ever.

use vrl::compiler::expression::Expr;
use vrl::compiler::function::{ArgumentList, Compiled, Example, FunctionCompileContext, Parameter};
use vrl::compiler::{
    Context, Expression, Function, FunctionExpression, Resolved, TypeDef, TypeState, value::kind as kinds,
};
use vrl::value::{Kind, Value};

use crate::normalize::functions::describe;
use crate::normalize::functions::field::as_text;
use crate::normalize::functions::rule::REFUSED;
use crate::normalize::value::Numeric;
use crate::normalize::value::decimal::Decimal;
use crate::normalize::value::text::is_blank;
use crate::normalize::value::time::Timestamp;

/// A function of values.
#[derive(Debug)]
pub struct PlainFunction {
    name: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    operation: Operation,
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    FirstOf,
    Join,
    Upper,
    Lower,
    Trim,
    Part,
    StripZeros,
    ToText,
    Utc,
    Any,
    IsBefore,
    IsIn,
    IsPresent,
    Sum,
    Product,
}

#[derive(Debug, Clone)]
struct Call {
    operation: Operation,
    /// The elements of an array given as first argument, or that argument.
    values: Vec<Expr>,
    rest: Vec<Box<dyn Expression>>,
}

const TEXT: Parameter = Parameter::required("value", kinds::BYTES | kinds::NULL | kinds::UNDEFINED, "text or null");
const DECIMAL_1: Parameter = Parameter::required("first", kinds::BYTES | kinds::NULL | kinds::UNDEFINED, "a decimal");
const DECIMAL_2: Parameter = Parameter::required("second", kinds::BYTES | kinds::NULL | kinds::UNDEFINED, "a decimal");
const LIST: Parameter = Parameter::required("values", kinds::ARRAY, "an array written out: `[a, b]`");

/// The functions that only compute.
pub fn plain_functions() -> Vec<PlainFunction> {
    let function = |name, summary, parameters, operation| PlainFunction { name, summary, parameters, operation };
    vec![
        function("first_of", "The first value that is not null.", const { &[LIST] }, Operation::FirstOf),
        function(
            "join",
            "The texts with a separator between them; null and blank ones are left out with their separator.",
            const { &[LIST, Parameter::required("separator", kinds::BYTES, "what goes between")] },
            Operation::Join,
        ),
        function("upper", "Text in upper case.", const { &[TEXT] }, Operation::Upper),
        function("lower", "Text in lower case.", const { &[TEXT] }, Operation::Lower),
        function("trim", "Text without white space at its ends.", const { &[TEXT] }, Operation::Trim),
        function(
            "part",
            "The part at `index` (from 0) of a text split at `separator`; null if there are fewer.",
            const {
                &[
                    TEXT,
                    Parameter::required("separator", kinds::BYTES, "where to split"),
                    Parameter::required("index", kinds::INTEGER, "which part"),
                ]
            },
            Operation::Part,
        ),
        function("strip_zeros", "Text without leading zeros.", const { &[TEXT] }, Operation::StripZeros),
        function(
            "to_text",
            "An integer as text.",
            const { &[Parameter::required("value", kinds::INTEGER | kinds::NULL | kinds::UNDEFINED, "an integer or null")] },
            Operation::ToText,
        ),
        function(
            "utc",
            "A point in time (epoch milliseconds) as UTC text: `2026-03-04T08:15:30.000Z`.",
            const { &[Parameter::required("value", kinds::INTEGER | kinds::NULL | kinds::UNDEFINED, "a timestamp")] },
            Operation::Utc,
        ),
        function(
            "any",
            "Whether any of an array of booleans, such as `each` makes, is true.",
            const { &[Parameter::required("conditions", kinds::ARRAY, "an array of booleans")] },
            Operation::Any,
        ),
        function(
            "is_before",
            "Whether the first time is before the second; false if either is null.",
            const {
                &[
                    Parameter::required("first", kinds::INTEGER | kinds::NULL | kinds::UNDEFINED, "a timestamp"),
                    Parameter::required("second", kinds::INTEGER | kinds::NULL | kinds::UNDEFINED, "a timestamp"),
                ]
            },
            Operation::IsBefore,
        ),
        function(
            "is_in",
            "Whether the value is one of the array's.",
            const { &[Parameter::required("value", kinds::ANY, "any value"), LIST] },
            Operation::IsIn,
        ),
        function(
            "is_present",
            "Whether there is a value: false for null.",
            const { &[Parameter::required("value", kinds::ANY, "any value")] },
            Operation::IsPresent,
        ),
        function(
            "sum",
            "The exact sum of an array of decimals, such as `each` makes; null ones are left out, null if none is left.",
            const { &[Parameter::required("decimals", kinds::ARRAY, "an array of decimals")] },
            Operation::Sum,
        ),
        function(
            "product",
            "The exact product of two decimals; null if either is.",
            const { &[DECIMAL_1, DECIMAL_2] },
            Operation::Product,
        ),
    ]
}

impl Function for PlainFunction {
    fn identifier(&self) -> &'static str {
        self.name
    }

    fn summary(&self) -> &'static str {
        self.summary
    }

    fn usage(&self) -> &'static str {
        self.summary
    }

    fn category(&self) -> &'static str {
        describe::PLAIN
    }

    fn return_kind(&self) -> u16 {
        kinds::ANY
    }

    fn examples(&self) -> &'static [Example] {
        &[]
    }

    fn parameters(&self) -> &'static [Parameter] {
        self.parameters
    }

    fn compile(&self, _: &TypeState, _: &mut FunctionCompileContext, list: ArgumentList) -> Compiled {
        let values = match self.parameters.iter().any(|parameter| parameter.keyword == "values") {
            true => list.required_array("values")?,
            false => Vec::new(),
        };
        let others = self.parameters.iter().filter(|parameter| parameter.keyword != "values");
        let rest = others.map(|parameter| list.required(parameter.keyword)).collect();
        Ok(Call { operation: self.operation, values, rest }.as_expr())
    }
}

impl FunctionExpression for Call {
    fn resolve(&self, ctx: &mut Context) -> Resolved {
        // Evaluated only as far as needed: what comes after the first value must not find problems.
        if let Operation::FirstOf = self.operation {
            for value in &self.values {
                let value = value.resolve(ctx)?;
                if !value.is_null() {
                    return Ok(value);
                }
            }
            return Ok(Value::Null);
        }
        let values = self.values.iter().map(|value| value.resolve(ctx)).collect::<Result<Vec<_>, _>>()?;
        let rest = self.rest.iter().map(|value| value.resolve(ctx)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.operation.apply(&values, &rest))
    }

    fn type_def(&self, state: &TypeState) -> TypeDef {
        let mut kinds = self.values.iter().map(|value| value.type_def(state).kind().clone().upgrade_undefined());
        let first_is_null = || {
            let kind = self.rest.first().map(|value| value.type_def(state).kind().clone());
            kind.is_some_and(|kind| kind.contains_null() || kind.contains_undefined())
        };
        let kind = match self.operation {
            Operation::FirstOf => {
                let certain = self.values.iter().any(|value| !value.type_def(state).kind().contains_null());
                let mut kind = kinds.fold(Kind::never(), |all, kind| all.union(kind));
                if certain {
                    kind.remove_null();
                }
                kind
            }
            Operation::Join if kinds.any(|kind| !kind.contains_null()) => Kind::bytes(),
            Operation::Join | Operation::Part => Kind::bytes().or_null(),
            Operation::Any | Operation::IsBefore | Operation::IsIn | Operation::IsPresent => Kind::boolean(),
            Operation::Sum => Kind::bytes().or_null(),
            Operation::Product => match self.rest.iter().any(|value| {
                let kind = value.type_def(state).kind().clone();
                kind.contains_null() || kind.contains_undefined()
            }) {
                true => Kind::bytes().or_null(),
                false => Kind::bytes(),
            },
            _ if first_is_null() => Kind::bytes().or_null(),
            _ => Kind::bytes(),
        };
        TypeDef::from(kind)
    }
}

impl Operation {
    fn apply(self, values: &[Value], rest: &[Value]) -> Value {
        let text = rest.first().and_then(as_text);
        match self {
            Self::FirstOf => values.iter().find(|value| !value.is_null()).cloned().unwrap_or(Value::Null),
            Self::Join => {
                let parts: Vec<&str> = values.iter().filter_map(as_text).filter(|part| !is_blank(part)).collect();
                match parts.is_empty() {
                    true => Value::Null,
                    false => Value::from(parts.join(text.unwrap_or_default())),
                }
            }
            Self::Upper => text.map(str::to_uppercase).into(),
            Self::Lower => text.map(str::to_lowercase).into(),
            Self::Trim => text.map(str::trim).into(),
            Self::StripZeros => text.map(|text| text.trim_start_matches('0')).into(),
            Self::Part => {
                let separator = rest.get(1).and_then(as_text).unwrap_or_default();
                let index = rest.get(2).and_then(Value::as_integer).and_then(|index| usize::try_from(index).ok());
                let part = text.zip(index).and_then(|(text, index)| text.split(separator).nth(index));
                part.into()
            }
            Self::ToText => rest.first().and_then(Value::as_integer).map(|integer| integer.to_string()).into(),
            Self::Utc => match rest.first().and_then(Value::as_integer).map(Timestamp::from_epoch_ms) {
                Some(Ok(instant)) => Value::from(instant.to_text()),
                // A time that a value function gave is within bounds, unless it stands for a refused one.
                Some(Err(_)) => Value::from(REFUSED),
                None => Value::Null,
            },
            Self::Any => {
                let conditions = rest.first().and_then(Value::as_array).unwrap_or_default();
                Value::Boolean(conditions.contains(&Value::Boolean(true)))
            }
            Self::IsBefore => {
                let [first, second] = [0, 1].map(|at| rest.get(at).and_then(Value::as_integer));
                Value::Boolean(first.zip(second).is_some_and(|(first, second)| first < second))
            }
            Self::IsPresent => Value::Boolean(rest.first().is_some_and(|value| !value.is_null())),
            Self::Sum => {
                let elements = rest.first().and_then(Value::as_array).into_iter().flatten();
                let terms = elements.filter(|value| !value.is_null());
                terms.map(operand).reduce(|sum, term| Some(sum?.plus(&term?))).map_or(Value::Null, calculated)
            }
            Self::Product => match rest {
                [first, second] if !first.is_null() && !second.is_null() => {
                    calculated(operand(first).zip(operand(second)).map(|(first, second)| first.times(&second)))
                }
                _ => Value::Null,
            },
            Self::IsIn => Value::Boolean(rest.first().is_some_and(|value| values.contains(value))),
        }
    }
}

/// Longest operand: a product of four numbers of the largest size fits, and multiplying stays cheap.
const MAX_OPERAND_CHARS: usize = 128;

fn operand(value: &Value) -> Option<Decimal> {
    let text = as_text(value).filter(|text| text.len() <= MAX_OPERAND_CHARS)?;
    Decimal::parse(Numeric::Text(text))
}

/// What was calculated of something refused is refused, too; its problem is recorded already.
fn calculated(result: Option<Decimal>) -> Value {
    result.map_or(Value::from(REFUSED), |decimal| Value::from(decimal.to_exact_text()))
}
