//! `money(.total.value, .total.currency, country)`: an amount and its currency, which only together have a meaning.

use std::collections::BTreeMap;

use vrl::compiler::expression::Expr;
use vrl::compiler::function::{ArgumentList, Compiled, Example, FunctionCompileContext, Parameter};
use vrl::compiler::{
    Context, Expression, Function, FunctionExpression, Resolved, TypeDef, TypeState, value::kind as kinds,
};
use vrl::value::kind::Collection;
use vrl::value::{Kind, ObjectMap, Value};

use crate::canonical::order::Warning;
use crate::canonical::rejection::Code;
use crate::normalize::functions::call::{AT, Arguments, Source};
use crate::normalize::functions::field::{Field, as_text};
use crate::normalize::functions::rule::{Country, REFUSED, numeric};
use crate::normalize::functions::run::Run;
use crate::normalize::functions::{Known, describe};
use crate::normalize::value::currency::{self, Currency};
use crate::normalize::value::{Numeric, money};

/// The total of an order.
#[derive(Debug)]
pub struct Money {
    pub known: Known,
}

#[derive(Debug, Clone)]
struct Total {
    amount: Source,
    currency: Part,
    country: Box<dyn Expression>,
    optional: bool,
}

/// Where the currency comes from; a constant is blamed on the amount.
#[derive(Debug, Clone)]
enum Part {
    Field(Field),
    Constant(Currency),
}

impl Function for Money {
    fn identifier(&self) -> &'static str {
        "money"
    }

    fn summary(&self) -> &'static str {
        "An amount of zero or more, written in its currency's minor unit: `{\"amount\", \"currency\"}`, or null if both \
         are absent; `currency_mismatch` if the currency is not the usual one of `country`."
    }

    fn usage(&self) -> &'static str {
        self.summary()
    }

    fn category(&self) -> &'static str {
        describe::VALUE
    }

    fn return_kind(&self) -> u16 {
        kinds::OBJECT | kinds::NULL
    }

    fn examples(&self) -> &'static [Example] {
        &[]
    }

    fn parameters(&self) -> &'static [Parameter] {
        const PARAMETERS: &[Parameter] = &[
            Parameter::required("amount", kinds::ANY, "the field with the amount"),
            Parameter::required("currency", kinds::ANY, "the field with the currency, or a constant such as \"EUR\""),
            Parameter::required("country", kinds::ANY, "the selling country"),
            AT,
        ];
        PARAMETERS
    }

    fn compile(&self, state: &TypeState, ctx: &mut FunctionCompileContext, list: ArgumentList) -> Compiled {
        let arguments = Arguments { list: &list, state, known: &self.known, span: ctx.span() };
        let amount = arguments.source("amount")?;
        let currency = match list.required_expr("currency") {
            Expr::Literal(_) => {
                let code = arguments.text("currency")?.unwrap_or_default();
                let currency = currency::currency(&code).map_err(|invalid| arguments.mistake(invalid.message))?;
                Part::Constant(currency)
            }
            expr => Part::Field(arguments.field(&expr, "currency")?),
        };
        let kind = amount.kind(state);
        let optional = kind.contains_undefined() || kind.contains_null();
        Ok(Total { amount, currency, country: list.required("country"), optional }.as_expr())
    }
}

impl FunctionExpression for Total {
    fn resolve(&self, ctx: &mut Context) -> Resolved {
        let country = self.country.resolve(ctx)?;
        let computed = match &self.amount {
            Source::Computed { value, .. } => value.resolve(ctx)?,
            Source::Field(_) => Value::Null,
        };
        let amount = match &self.amount {
            Source::Computed { .. } => Some(&computed).filter(|value| !value.is_null()),
            Source::Field(field) => field.get(ctx),
        };
        let currency = match &self.currency {
            Part::Field(field) => field.get(ctx),
            Part::Constant(_) => None,
        };
        Ok(Run::with(|run| self.apply(amount, currency, Country::of(&country), run)))
    }

    fn type_def(&self, _: &TypeState) -> TypeDef {
        let members = [("amount", Kind::bytes()), ("currency", Kind::bytes())];
        let members: BTreeMap<_, _> = members.into_iter().map(|(name, kind)| (name.into(), kind)).collect();
        let money = Kind::object(Collection::from(members));
        TypeDef::from(if self.optional { money.or_null() } else { money })
    }
}

impl Total {
    fn apply(&self, amount: Option<&Value>, code: Option<&Value>, country: Country<'_>, run: &mut Run) -> Value {
        if amount.is_none() && code.is_none() && self.optional {
            return Value::Null;
        }
        if run.is_refused(amount) {
            return written(REFUSED, REFUSED);
        }
        let currency = self.currency(code, country, run);
        let literal = amount.and_then(numeric);
        let amount = match (amount, literal) {
            (None, _) => self.refuse(Code::FieldRequired, "is required", run),
            (Some(_), None) => self.refuse(Code::InvalidType, "expected a number, or text such as \"1490.00\"", run),
            (_, Some(literal)) => self.amount(literal, currency, run),
        };
        written(&amount, currency.map_or(REFUSED, |currency| currency.code()))
    }

    fn amount(&self, literal: Numeric<'_>, currency: Option<Currency>, run: &mut Run) -> String {
        match money::total(literal, currency) {
            Ok(amount) => amount,
            Err(invalid) => self.refuse(invalid.code, &invalid.message, run),
        }
    }

    fn refuse(&self, code: Code, message: &str, run: &mut Run) -> String {
        run.problem(code, self.amount.place(), message);
        REFUSED.to_owned()
    }

    fn currency(&self, code: Option<&Value>, country: Country<'_>, run: &mut Run) -> Option<Currency> {
        let (found, field) = match &self.currency {
            Part::Constant(currency) => (Ok(*currency), self.amount.place()),
            Part::Field(field) => match code {
                None => (Err((Code::FieldRequired, "is required".to_owned())), field),
                Some(code) => match as_text(code) {
                    Some(code) => (currency::currency(code).map_err(|invalid| (invalid.code, invalid.message)), field),
                    None => (Err((Code::InvalidType, "expected text".to_owned())), field),
                },
            },
        };
        match found {
            Ok(currency) => {
                if country.selling().is_some_and(|country| country.currency() != currency.code()) {
                    run.warn(Warning::CurrencyMismatch, field);
                }
                Some(currency)
            }
            Err((code, message)) => {
                run.problem(code, field, message);
                None
            }
        }
    }
}

fn written(amount: &str, currency: &str) -> Value {
    ObjectMap::from([("amount".into(), Value::from(amount)), ("currency".into(), Value::from(currency))]).into()
}
