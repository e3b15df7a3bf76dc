//! Functions that judge what is already canonical: `required`, `unique`, `assert` and `warn`.

use vrl::compiler::function::{ArgumentList, Compiled, Example, FunctionCompileContext, Parameter};
use vrl::compiler::{
    Context, Expression, Function, FunctionExpression, Resolved, TypeDef, TypeState, value::kind as kinds,
};
use vrl::value::{Kind, Value};

use crate::canonical::order::Warning;
use crate::canonical::rejection::Code;
use crate::normalize::functions::call::Arguments;
use crate::normalize::functions::field::Field;
use crate::normalize::functions::registry::warning;
use crate::normalize::functions::rule::REFUSED;
use crate::normalize::functions::run::Run;
use crate::normalize::functions::{Known, describe};

const AT: Parameter = Parameter::required("at", kinds::ANY, "the field to name");

/// One of the checks.
#[derive(Debug)]
pub struct CheckFunction {
    name: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    check: fn(&Arguments<'_>) -> Result<Check, super::call::Mistake>,
    known: Known,
}

#[derive(Debug, Clone)]
enum Check {
    /// `stand_in`: of the value's type, so that the mapping goes on without a second problem.
    Required {
        stand_in: Value,
    },
    /// Told apart from other calls by its place in the program.
    Unique {
        call: usize,
    },
    Assert {
        message: String,
    },
    Warn(Warning),
}

#[derive(Debug, Clone)]
struct Call {
    check: Check,
    value: Option<Box<dyn Expression>>,
    at: Field,
}

/// The checks, bound to what the adapter knows.
pub fn checks(known: &Known) -> Vec<CheckFunction> {
    let function =
        |name, summary, parameters, check| CheckFunction { name, summary, parameters, check, known: known.clone() };
    vec![
        function(
            "required",
            "The value; `FIELD_REQUIRED` at the field if it is null.",
            const { &[Parameter::required("value", kinds::ANY, "what must not be null"), AT] },
            |arguments| Ok(Check::Required { stand_in: stand_in(arguments) }),
        ),
        function(
            "unique",
            "The value; `BUSINESS_RULE` at the field if an earlier element of the same array had it.",
            const { &[Parameter::required("value", kinds::ANY, "what must not repeat"), AT] },
            |arguments| Ok(Check::Unique { call: arguments.span.start() }),
        ),
        // The compiler takes a statement of this name for one that is made for its effect.
        function(
            "assert",
            "Null; `BUSINESS_RULE` at the field, with `message`, unless the condition holds.",
            const {
                &[
                    Parameter::required("condition", kinds::BOOLEAN, "what must hold"),
                    AT,
                    Parameter::required("message", kinds::BYTES, "what was expected"),
                ]
            },
            |arguments| Ok(Check::Assert { message: arguments.text("message")?.unwrap_or_default() }),
        ),
        function(
            "warn",
            "Null; the order is accepted with the warning.",
            const { &[Parameter::required("warning", kinds::BYTES, "name of the warning"), AT] },
            |arguments| {
                let name = arguments.text("warning")?.unwrap_or_default();
                warning(arguments, &name).map(Check::Warn)
            },
        ),
    ]
}

impl Function for CheckFunction {
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
        describe::CHECK
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

    fn compile(&self, state: &TypeState, ctx: &mut FunctionCompileContext, list: ArgumentList) -> Compiled {
        let arguments = Arguments { list: &list, state, known: &self.known, span: ctx.span() };
        let at = arguments.field(&list.required_expr("at"), "at")?;
        let check = (self.check)(&arguments)?;
        let value = list.optional("value").or_else(|| list.optional("condition"));
        Ok(Call { check, value, at }.as_expr())
    }
}

impl FunctionExpression for Call {
    fn resolve(&self, ctx: &mut Context) -> Resolved {
        let value = match &self.value {
            Some(value) => value.resolve(ctx)?,
            None => Value::Null,
        };
        Ok(Run::with(|run| self.apply(value, run)))
    }

    fn type_def(&self, state: &TypeState) -> TypeDef {
        let mut kind = match (&self.check, &self.value) {
            (Check::Required { .. } | Check::Unique { .. }, Some(value)) => value.type_def(state).kind().clone(),
            _ => return TypeDef::null(),
        };
        if matches!(self.check, Check::Required { .. }) {
            kind.remove_null();
            kind.remove_undefined();
        }
        TypeDef::from(kind)
    }
}

impl Call {
    fn apply(&self, value: Value, run: &mut Run) -> Value {
        match &self.check {
            Check::Required { stand_in } => {
                if !value.is_null() {
                    return value;
                }
                run.problem(Code::FieldRequired, &self.at, "is required");
                stand_in.clone()
            }
            Check::Unique { call } => {
                if !value.is_null() && !run.is_first(*call, value.to_string()) {
                    run.problem(Code::BusinessRule, &self.at, "expected a value no earlier element has");
                }
                value
            }
            Check::Assert { message } => {
                if value == Value::Boolean(false) {
                    run.problem(Code::BusinessRule, &self.at, message.clone());
                }
                Value::Null
            }
            Check::Warn(warning) => {
                run.warn(*warning, &self.at);
                Value::Null
            }
        }
    }
}

/// Stands for a value that is not there.
fn stand_in(arguments: &Arguments<'_>) -> Value {
    let value = arguments.list.optional("value");
    let kind = value.map_or_else(Kind::null, |value| value.type_def(arguments.state).kind().clone());
    match () {
        () if kind.contains_bytes() => Value::from(REFUSED),
        () if kind.contains_integer() => Value::Integer(0),
        () if kind.contains_boolean() => Value::Boolean(false),
        () => Value::Null,
    }
}
