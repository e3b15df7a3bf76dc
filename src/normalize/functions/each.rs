//! `each(.line_items) -> |index, line| { … }`: an array out of an array, one element at a time; and `each_pair`, which
//! goes through a second array beside it.

use std::cell::Cell;
use std::sync::Arc;

use vrl::compiler::function::closure::{Definition, Input, Output, Runner, Variable, VariableKind};
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

const PAIR_EXAMPLE: Example = Example {
    title: "an object for each product and the line at its position",
    source: "each_pair(.products, .raw.lines) -> |_index, product, line| { { \"code\": text(line.code, \"code\") } }",
    ..EXAMPLE
};

/// Runs its closure for each element and keeps what is not null.
#[derive(Debug)]
pub struct Each {
    pub known: Known,
    /// Whether the closure gets the element at the same position of a second array, too.
    pub pairs: bool,
}

#[derive(Debug, Clone)]
struct Pass {
    of: Arc<Loop>,
    closure: Closure,
    gives: Kind,
}

impl Function for Each {
    fn identifier(&self) -> &'static str {
        if self.pairs { "each_pair" } else { "each" }
    }

    fn summary(&self) -> &'static str {
        match self.pairs {
            false => {
                "An array of what the closure makes of each element; null is left out. Inside, the element is a field."
            }
            true => {
                "As `each`, with the element at the same position of the array `beside` as a third variable; its fields \
                 are absent where `beside` is shorter, and what it has more is not looked at."
            }
        }
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
        if self.pairs { &[PAIR_EXAMPLE] } else { &[EXAMPLE] }
    }

    fn parameters(&self) -> &'static [Parameter] {
        const PARAMETERS: &[Parameter] = &[
            Parameter::required("field", kinds::ANY, "the array of the payload"),
            Parameter::required("beside", kinds::ANY, "another array of the payload"),
        ];
        if self.pairs { PARAMETERS } else { PARAMETERS.split_at(1).0 }
    }

    fn closure(&self) -> Option<Definition> {
        let variable = |kind| Variable { kind };
        let mut variables =
            vec![variable(VariableKind::Exact(Kind::integer())), variable(VariableKind::TargetInnerValue)];
        if self.pairs {
            // The compiler knows the elements of one array only. Any of these may be absent, whatever the schema says.
            variables.push(variable(VariableKind::Exact(Kind::any())));
        }
        Some(Definition {
            inputs: vec![Input {
                parameter_keyword: "field",
                kind: Kind::array(Collection::any()).or_null().or_undefined(),
                variables,
                output: Output::Kind(Kind::any()),
                example: if self.pairs { PAIR_EXAMPLE } else { EXAMPLE },
            }],
            is_iterator: true,
            supports_break: false,
        })
    }

    fn compile(&self, state: &TypeState, ctx: &mut FunctionCompileContext, list: ArgumentList) -> Compiled {
        let arguments = Arguments { list: &list, state, known: &self.known, span: ctx.span() };
        let array = arguments.field(&list.required_expr("field"), "field")?;
        let closure = list.required_closure()?;
        let name = |position: usize| closure.variables.get(position).cloned().unwrap_or_else(|| Ident::new(""));
        let mut arrays = vec![(name(1), array)];
        if self.pairs {
            arrays.push((name(2), arguments.field(&list.required_expr("beside"), "beside")?));
        }
        let mut gives = closure.block_type_def.kind().clone();
        gives.remove_null();
        Ok(Pass { of: Arc::new(Loop { arrays }), closure, gives }.as_expr())
    }
}

impl FunctionExpression for Pass {
    fn resolve(&self, ctx: &mut Context) -> Resolved {
        let mut arrays = self.of.arrays.iter().map(|(name, array)| match array.get(ctx) {
            Some(Value::Array(elements)) => (name, elements.clone()),
            _ => (name, Vec::new()),
        });
        let Some((_, elements)) = arrays.next() else { return Ok(Value::Array(Vec::new())) };
        let beside = arrays.next();
        drop(arrays);
        let mut results = Vec::with_capacity(elements.len());
        // A runner binds two variables: the third one has a runner of its own inside.
        let third = [Ident::new(""), beside.as_ref().map_or_else(|| Ident::new(""), |(name, _)| (*name).clone())];
        let inner = Runner::new(&third, |ctx: &mut Context<'_>| self.closure.block.resolve(ctx));
        let position = Cell::new(0);
        let runner = Runner::new(&self.closure.variables, |ctx: &mut Context<'_>| match &beside {
            Some((_, elements)) => {
                let element = elements.get(position.get()).cloned().unwrap_or(Value::Null);
                inner.run_index_value_owned(ctx, position.get(), element)
            }
            None => self.closure.block.resolve(ctx),
        });
        let mut pass = runner.scoped_loop(ctx);
        Run::with(|run| run.enter(&self.of));
        let outcome = elements.into_iter().enumerate().try_for_each(|(index, element)| {
            position.set(index);
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
