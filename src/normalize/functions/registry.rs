//! The value functions by name, and how each reads its arguments.

use vrl::compiler::function::Parameter;
use vrl::compiler::value::kind as kinds;
use vrl::value::Value;

use crate::canonical::order::Warning;
use crate::normalize::functions::Known;
use crate::normalize::functions::call::{AT, Arguments, FIELD, Mistake, ValueFunction};
use crate::normalize::functions::rule::{Otherwise, Rule};
use crate::normalize::value::text;
use crate::normalize::value::time_form::TimeForm;

const COUNTRY: Parameter = Parameter::required("country", kinds::ANY, "the selling country");
const FIELD_ONLY: &[Parameter] = &[FIELD, AT];
const LOCAL: &[Parameter] = &[FIELD, COUNTRY, AT];
const TIME: &[Parameter] = &[
    FIELD,
    COUNTRY,
    Parameter::optional("format", kinds::BYTES, "how it is written"),
    Parameter::optional("zone", kinds::BYTES, "whose clock it is of"),
    AT,
];
/// Most decimals of a number that is calculated with.
const MAX_DECIMALS: i64 = 12;

/// Every value function, bound to what the adapter knows.
pub fn value_functions(known: &Known) -> Vec<ValueFunction> {
    let function =
        |name, summary, parameters, rule| ValueFunction { name, summary, parameters, rule, known: known.clone() };
    vec![
        function("order_id", "The external order's identifier: 1 to 64 of `A-Z a-z 0-9 . _ -`.", FIELD_ONLY, |_| {
            Ok(Rule::OrderId)
        }),
        function(
            "text",
            "Text in canonical form (NFC, trimmed, no control characters), of the length its kind allows: \
             `identifier`, `code`, `name`, `street`, `city`, `description`, `notes`.",
            const { &[FIELD, Parameter::required("kind", kinds::BYTES, "what the text is"), AT] },
            text_rule,
        ),
        function(
            "pattern",
            "A code that matches a regular expression, e.g. `r'^[A-Z0-9_]{2,64}$'`.",
            const { &[FIELD, Parameter::required("pattern", kinds::REGEX, "the expression"), AT] },
            pattern_rule,
        ),
        function(
            "lookup",
            "The row of a code in a table: its value, or an object of its columns. A code without a row is \
             `UNKNOWN_CODE`, or gives `otherwise` (a value of the table, or null) and the remark `warning`.",
            const {
                &[
                    FIELD,
                    Parameter::required("table", kinds::BYTES, "name of the table"),
                    Parameter::optional("otherwise", kinds::BYTES | kinds::NULL, "the value of a code without a row"),
                    Parameter::optional("warning", kinds::BYTES, "the remark on a code without a row"),
                    AT,
                ]
            },
            lookup_rule,
        ),
        function(
            "listed",
            "A code of one of the binding's lists, e.g. `bu_codes`.",
            const { &[FIELD, Parameter::required("parameter", kinds::BYTES, "the binding parameter"), AT] },
            listed_rule,
        ),
        function("selling_country", "The country of sale: one of the binding's `countries`.", FIELD_ONLY, |_| {
            Ok(Rule::SellingCountry)
        }),
        function(
            "address_country",
            "The country of an address: any ISO 3166-1 code; `cross_border_address` if it is not `country`.",
            LOCAL,
            |_| Ok(Rule::AddressCountry),
        ),
        function(
            "postal_code",
            "A postal code in the form of the address's country.",
            const { &[FIELD, Parameter::required("country", kinds::ANY, "the country of the address"), AT] },
            |_| Ok(Rule::PostalCode),
        ),
        function(
            "phone",
            "The customer's telephone number with its calling code; absent is `customer_phone_missing`.",
            LOCAL,
            |_| Ok(Rule::Phone),
        ),
        function("email", "The customer's e-mail address; absent is `customer_email_missing`.", FIELD_ONLY, |_| {
            Ok(Rule::Email)
        }),
        function(
            "timestamp",
            "A point in time as epoch milliseconds; without offset it is local time of `country`, or of `zone`, such as \
             `Europe/Berlin`. `format`: directives of strptime such as `%d.%m.%Y %H:%M`, in the place of RFC 3339.",
            TIME,
            |arguments| time_form(arguments).map(Rule::Timestamp),
        ),
        function(
            "date",
            "A date as `YYYY-MM-DD`; a date-time is cut to its date in `country`, or in `zone`. `format` as above.",
            TIME,
            |arguments| time_form(arguments).map(Rule::Date),
        ),
        function(
            "epoch",
            "A point in time counted from 1970 in `unit`, `s` or `ms`, as epoch milliseconds.",
            const { &[FIELD, Parameter::required("unit", kinds::BYTES, "what is counted"), AT] },
            epoch_rule,
        ),
        function(
            "integer",
            "An integer from `min` to `max`; `3.0` and `3e0` are 3.",
            const {
                &[
                    FIELD,
                    Parameter::optional("min", kinds::INTEGER, "least value"),
                    Parameter::optional("max", kinds::INTEGER, "greatest value"),
                    AT,
                ]
            },
            |arguments| {
                let (min, max) = (arguments.integer("min")?, arguments.integer("max")?);
                Ok(Rule::Integer { min: min.unwrap_or(i64::MIN), max: max.unwrap_or(i64::MAX) })
            },
        ),
        function(
            "decimal",
            "A number with at most 15 digits before the point and `decimals` (default 12) behind it, as text, exact.",
            const { &[FIELD, Parameter::optional("decimals", kinds::INTEGER, "most decimals"), AT] },
            decimal_rule,
        ),
        function("quantity", "A number above zero with at most 3 decimals, as text.", FIELD_ONLY, |_| {
            Ok(Rule::Quantity)
        }),
        function(
            "boolean",
            "`true` or `false`; with `yes` and `no`, arrays of words, text that is one of them.",
            const {
                &[
                    FIELD,
                    Parameter::optional("yes", kinds::ARRAY, "the words for true"),
                    Parameter::optional("no", kinds::ARRAY, "the words for false"),
                    AT,
                ]
            },
            boolean_rule,
        ),
        function(
            "one_of",
            "A code that is one of an array's.",
            const { &[FIELD, Parameter::required("values", kinds::ARRAY, "the codes"), AT] },
            |arguments| arguments.texts("values").map(|values| Rule::OneOf(values.unwrap_or_default())),
        ),
    ]
}

fn time_form(arguments: &Arguments<'_>) -> Result<TimeForm, Mistake> {
    let (format, zone) = (arguments.text("format")?, arguments.text("zone")?);
    TimeForm::new(format.as_deref(), zone.as_deref()).map_err(|message| arguments.mistake(message))
}

fn epoch_rule(arguments: &Arguments<'_>) -> Result<Rule, Mistake> {
    match arguments.text("unit")?.as_deref() {
        Some("s") => Ok(Rule::Epoch { per_second: 1 }),
        Some("ms") => Ok(Rule::Epoch { per_second: 1000 }),
        _ => Err(arguments.mistake("`unit`: expected \"s\" or \"ms\"")),
    }
}

fn decimal_rule(arguments: &Arguments<'_>) -> Result<Rule, Mistake> {
    let decimals = arguments.integer("decimals")?.unwrap_or(MAX_DECIMALS);
    let within = u64::try_from(decimals).ok().filter(|_| decimals <= MAX_DECIMALS);
    let max_decimals = within.ok_or_else(|| arguments.mistake(format!("`decimals`: expected 0 to {MAX_DECIMALS}")))?;
    Ok(Rule::Decimal { max_decimals })
}

fn boolean_rule(arguments: &Arguments<'_>) -> Result<Rule, Mistake> {
    match (arguments.texts("yes")?, arguments.texts("no")?) {
        (None, None) => Ok(Rule::Boolean),
        (Some(yes), Some(no)) if !yes.iter().any(|word| no.contains(word)) => Ok(Rule::Words { yes, no }),
        (Some(_), Some(_)) => Err(arguments.mistake("a word is both `yes` and `no`")),
        _ => Err(arguments.mistake("`yes` and `no`: expected both or neither")),
    }
}

fn text_rule(arguments: &Arguments<'_>) -> Result<Rule, Mistake> {
    let name = arguments.text("kind")?.unwrap_or_default();
    let kind = text::Kind::from_name(&name);
    kind.map(Rule::Text).ok_or_else(|| {
        let kinds = "identifier, code, name, street, city, description, notes";
        arguments.mistake(format!("no kind of text `{name}`, expected one of: {kinds}"))
    })
}

fn pattern_rule(arguments: &Arguments<'_>) -> Result<Rule, Mistake> {
    match arguments.literal("pattern")? {
        Some(Value::Regex(pattern)) => Ok(Rule::Pattern(pattern)),
        _ => Err(arguments.mistake("`pattern`: expected a regular expression such as r'^[A-Z]+$'")),
    }
}

fn lookup_rule(arguments: &Arguments<'_>) -> Result<Rule, Mistake> {
    let name = arguments.text("table")?.unwrap_or_default();
    let tables = &arguments.known.tables;
    let table = tables.get(&name).ok_or_else(|| {
        arguments.mistake(format!("no table `{name}`, expected one of: {}", tables.names().join(", ")))
    })?;
    let warning = match arguments.text("warning")? {
        Some(name) => Some(warning(arguments, &name)?),
        None => None,
    };
    let otherwise = arguments.literal("otherwise")?.map(|value| Otherwise { value, warning });
    if warning.is_some() && otherwise.is_none() {
        return Err(arguments.mistake("`warning` without `otherwise`: an unknown code is a problem, not a remark"));
    }
    if otherwise.as_ref().is_some_and(|Otherwise { value, .. }| !value.is_null() && !table.holds(value)) {
        return Err(arguments.mistake(format!("`otherwise` is not a value of the table `{name}`")));
    }
    Ok(Rule::Lookup { table: table.clone(), otherwise })
}

fn listed_rule(arguments: &Arguments<'_>) -> Result<Rule, Mistake> {
    let parameter = arguments.text("parameter")?.unwrap_or_default();
    let lists = &arguments.known.lists;
    match lists.contains(&parameter) {
        true => Ok(Rule::Listed { parameter }),
        false => Err(arguments.mistake(format!(
            "no binding parameter `{parameter}` of type list, expected one of: {}",
            lists.join(", ")
        ))),
    }
}

/// The warning called `name`.
pub fn warning(arguments: &Arguments<'_>, name: &str) -> Result<Warning, Mistake> {
    Warning::from_name(name).ok_or_else(|| arguments.mistake(format!("no warning `{name}`")))
}
