//! `each(.line_items) -> |index, line| { … }`: an array out of an array, one element at a time.

use std::sync::Arc;

use vrl::compiler::function::closure::{self, Definition, Input, Output, Variable, VariableKind};
use vrl::compiler::function::{ArgumentList, Closure, Compiled, Example, FunctionCompileContext, Parameter};
use vrl::compiler::{
    Context, Expression as _, Function, FunctionExpression, Resolved, TypeDef, TypeState, value::kind as kinds,
};
use vrl::parser::ast::Ident;
use vrl::value::kind::Collection;
use vrl::value::{Kind, Value};

use crate::normalize::functions::call::Arguments;
use crate::normalize::functions::run::{Loop, Run};
use crate::normalize::functions::{Known, describe};

const EXAMPLE: Example = Example {
    title: "an object for each line",
    source: "each(.line_items) -> |_index, line| { { \"code\": text(line.code, \"code\") } }",
    input: None,
    result: Ok("[{\"code\": \"A\"}]"),
    file: "",
    line: 0,
    deterministic: true,
    skip: true,
};

/// Runs its closure for each element and keeps what is not null.
#[derive(Debug)]
pub struct Each {
    pub known: Known,
}

#[derive(Debug, Clone)]
struct Pass {
    of: Arc<Loop>,
    closure: Closure,
    gives: Kind,
}

impl Function for Each {
    fn identifier(&self) -> &'static str {
        "each"
    }

    fn summary(&self) -> &'static str {
        "An array of what the closure makes of each element; null is left out. Inside, the element is a field."
    }

    fn usage(&self) -> &'static str {
        self.summary()
    }

    fn category(&self) -> &'static str {
        describe::STRUCTURE
    }

    fn return_kind(&self) -> u16 {
        kinds::ARRAY
    }

    fn examples(&self) -> &'static [Example] {
        &[EXAMPLE]
    }

    fn parameters(&self) -> &'static [Parameter] {
        const PARAMETERS: &[Parameter] = &[Parameter::required("field", kinds::ANY, "the array of the payload")];
        PARAMETERS
    }

    fn closure(&self) -> Option<Definition> {
        let variable = |kind| Variable { kind };
        Some(Definition {
            inputs: vec![Input {
                parameter_keyword: "field",
                kind: Kind::array(Collection::any()).or_null().or_undefined(),
                variables: vec![
                    variable(VariableKind::Exact(Kind::integer())),
                    variable(VariableKind::TargetInnerValue),
                ],
                output: Output::Kind(Kind::any()),
                example: EXAMPLE,
            }],
            is_iterator: true,
            supports_break: false,
        })
    }

    fn compile(&self, state: &TypeState, ctx: &mut FunctionCompileContext, list: ArgumentList) -> Compiled {
        let arguments = Arguments { list: &list, state, known: &self.known, span: ctx.span() };
        let array = arguments.field(&list.required_expr("field"), "field")?;
        let closure = list.required_closure()?;
        let element = closure.variables.get(1).cloned().unwrap_or_else(|| Ident::new(""));
        let mut gives = closure.block_type_def.kind().clone();
        gives.remove_null();
        Ok(Pass { of: Arc::new(Loop { element, array }), closure, gives }.as_expr())
    }
}

impl FunctionExpression for Pass {
    fn resolve(&self, ctx: &mut Context) -> Resolved {
        let elements = match self.of.array.get(ctx) {
            Some(Value::Array(elements)) => elements.clone(),
            _ => return Ok(Value::Array(Vec::new())),
        };
        let mut results = Vec::with_capacity(elements.len());
        let runner =
            closure::Runner::new(&self.closure.variables, |ctx: &mut Context<'_>| self.closure.block.resolve(ctx));
        let mut pass = runner.scoped_loop(ctx);
        Run::with(|run| run.enter(&self.of));
        let outcome = elements.into_iter().enumerate().try_for_each(|(index, element)| {
            Run::with(|run| run.advance(index));
            let result = pass.run_index_value(index, element)?;
            if !result.is_null() {
                results.push(result);
            }
            Ok(())
        });
        Run::with(Run::leave);
        outcome.map(|()| Value::Array(results))
    }

    fn type_def(&self, _: &TypeState) -> TypeDef {
        TypeDef::array(Collection::from_unknown(self.gives.clone()))
    }
}
