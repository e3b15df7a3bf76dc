//! How a mapping calls a value function: `phone(.customer.phone, country: country)`.
//!
//! The first argument is a field, or any value together with `at:`, the field to name if it is wrong. The rule itself
//! is in [`rule`](super::rule); here are arguments, types and what happens when a value is absent or refused.

use vrl::compiler::expression::Expr;
use vrl::compiler::function::{
    ArgumentList, Compiled, Error as ArgumentError, Example, FunctionCompileContext, Parameter,
};
use vrl::compiler::{
    Context, Expression, Function, FunctionExpression, Resolved, TypeDef, TypeState, value::kind as kinds,
};
use vrl::diagnostic::{DiagnosticMessage, Label, Span};
use vrl::value::{Kind, Value};

use crate::canonical::rejection::Code;
use crate::normalize::functions::field::{Field, as_text};
use crate::normalize::functions::rule::{Country, Rule};
use crate::normalize::functions::run::Run;
use crate::normalize::functions::{Known, describe};

/// The parameter every value function begins with, and the one that replaces a field.
pub const FIELD: Parameter = Parameter::required("field", kinds::ANY, "the field of the payload");
pub const AT: Parameter = Parameter::optional("at", kinds::ANY, "the field to name, if the value is computed");

/// A value function: one field in, one canonical value out.
#[derive(Debug)]
pub struct ValueFunction {
    pub name: &'static str,
    pub summary: &'static str,
    pub parameters: &'static [Parameter],
    /// The rule its arguments ask for.
    pub rule: fn(&Arguments<'_>) -> Result<Rule, Mistake>,
    pub known: Known,
}

/// The arguments of one call, at compile time.
pub struct Arguments<'a> {
    pub list: &'a ArgumentList,
    pub state: &'a TypeState,
    pub known: &'a Known,
    pub span: Span,
}

/// A call that does not compile.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Mistake {
    message: String,
    span: Span,
}

/// Where the value of a call comes from.
#[derive(Debug, Clone)]
pub enum Source {
    Field(Field),
    Computed { value: Box<dyn Expression>, at: Field },
}

#[derive(Debug, Clone)]
struct Call {
    source: Source,
    rule: Rule,
    country: Option<Box<dyn Expression>>,
    optional: bool,
}

impl Function for ValueFunction {
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
        describe::VALUE
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
        let source = arguments.source("field")?;
        let rule = (self.rule)(&arguments)?;
        let kind = source.kind(state);
        if !kind.intersects(&rule.takes()) {
            let message = format!("`{}` takes {}, the field is {kind}", self.name, rule.expects());
            return Err(arguments.mistake(message).into());
        }
        let optional = kind.contains_undefined() || kind.contains_null();
        Ok(Call { source, rule, country: list.optional("country"), optional }.as_expr())
    }
}

impl FunctionExpression for Call {
    fn resolve(&self, ctx: &mut Context) -> Resolved {
        let country = match &self.country {
            Some(country) => country.resolve(ctx)?,
            None => Value::Null,
        };
        let country = Country::of(&country);
        Ok(match &self.source {
            Source::Field(field) => {
                let value = field.get(ctx);
                Run::with(|run| self.apply(value, field, country, run))
            }
            Source::Computed { value, at } => {
                let value = value.resolve(ctx)?;
                let value = Some(&value).filter(|value| !value.is_null());
                Run::with(|run| match run.is_refused(value) {
                    true => self.rule.placeholder(),
                    false => self.apply(value, at, country, run),
                })
            }
        })
    }

    fn type_def(&self, _: &TypeState) -> TypeDef {
        let kind = self.rule.gives();
        TypeDef::from(if self.optional { kind.or_null() } else { kind })
    }
}

impl Call {
    /// The canonical value; a refused one is recorded and stands as a placeholder of the right type, so that the
    /// mapping goes on and finds the problems of the other fields too.
    fn apply(&self, value: Option<&Value>, at: &Field, country: Country<'_>, run: &mut Run) -> Value {
        let outcome = match value {
            Some(value) => self.rule.apply(value, at, country, run),
            None => Ok(None),
        };
        match outcome {
            Ok(Some(value)) => value,
            Ok(None) if self.optional => {
                self.rule.absent(at, run);
                Value::Null
            }
            Ok(None) => {
                run.problem(Code::FieldRequired, at, "is required");
                self.rule.placeholder()
            }
            Err(invalid) => {
                run.problem(invalid.code, at, invalid.message);
                self.rule.placeholder()
            }
        }
    }
}

impl Source {
    /// The field to name.
    pub fn place(&self) -> &Field {
        match self {
            Self::Field(at) | Self::Computed { at, .. } => at,
        }
    }

    pub fn kind(&self, state: &TypeState) -> Kind {
        match self {
            Self::Field(field) => field.kind().clone(),
            Self::Computed { value, .. } => value.type_def(state).kind().clone(),
        }
    }
}

impl Arguments<'_> {
    /// The value of `keyword` and the field to name for it.
    pub fn source(&self, keyword: &'static str) -> Result<Source, Mistake> {
        let expr = self.list.required_expr(keyword);
        match self.at()? {
            Some(at) => Ok(Source::Computed { value: Box::new(expr), at }),
            None => Field::of(&expr, self.state)
                .map(Source::Field)
                .ok_or_else(|| self.mistake(format!("`{keyword}` is computed: name the field to blame with `at:`"))),
        }
    }

    /// The field of `at:`, if it is given.
    pub fn at(&self) -> Result<Option<Field>, Mistake> {
        match self.list.optional("at") {
            Some(_) => self.field(&self.list.required_expr("at"), "at").map(Some),
            None => Ok(None),
        }
    }

    pub fn field(&self, expr: &Expr, keyword: &str) -> Result<Field, Mistake> {
        let field = Field::of(expr, self.state);
        field.ok_or_else(|| self.mistake(format!("`{keyword}`: expected a field of the payload")))
    }

    /// The constant text of `keyword`.
    pub fn text(&self, keyword: &'static str) -> Result<Option<String>, Mistake> {
        match self.literal(keyword)? {
            Some(value) => match as_text(&value) {
                Some(text) => Ok(Some(text.to_owned())),
                None => Err(self.mistake(format!("`{keyword}`: expected text"))),
            },
            None => Ok(None),
        }
    }

    /// The constant texts of `keyword`, at least one.
    pub fn texts(&self, keyword: &'static str) -> Result<Option<Vec<String>>, Mistake> {
        let wrong = || self.mistake(format!("`{keyword}`: expected an array of one or more constant texts"));
        let elements = match self.list.optional_array(keyword) {
            Ok(Some(elements)) => elements,
            Ok(None) => return Ok(None),
            Err(_) => return Err(wrong()),
        };
        let text = |element: Expr| Some(as_text(&element.resolve_constant(self.state)?)?.to_owned());
        let texts: Option<Vec<_>> = elements.into_iter().map(text).collect();
        texts.filter(|texts| !texts.is_empty()).map(Some).ok_or_else(wrong)
    }

    /// The constant integer of `keyword`.
    pub fn integer(&self, keyword: &'static str) -> Result<Option<i64>, Mistake> {
        match self.literal(keyword)? {
            Some(Value::Integer(number)) => Ok(Some(number)),
            Some(_) => Err(self.mistake(format!("`{keyword}`: expected an integer"))),
            None => Ok(None),
        }
    }

    pub fn literal(&self, keyword: &'static str) -> Result<Option<Value>, Mistake> {
        let literal = self.list.optional_literal(keyword, self.state);
        literal.map_err(|_: ArgumentError| self.mistake(format!("`{keyword}`: expected a constant")))
    }

    pub fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake { message: message.into(), span: self.span }
    }
}

impl DiagnosticMessage for Mistake {
    fn code(&self) -> usize {
        // The compiler's own code for a function that refuses its arguments.
        610
    }

    fn labels(&self) -> Vec<Label> {
        vec![Label::primary(self.message.clone(), self.span)]
    }
}

impl From<Mistake> for Box<dyn DiagnosticMessage> {
    fn from(mistake: Mistake) -> Self {
        Box::new(mistake)
    }
}
