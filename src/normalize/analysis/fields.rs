//! Holds every path of a mapping against the schema of the payload.

use std::path::Path;

use vrl::compiler::Function;
use vrl::diagnostic::Span;
use vrl::parser::ast::{
    Assignment, AssignmentTarget, Block, Container, Expr, FunctionArgument, FunctionCall, Ident, IfStatement, Node,
    Object, Predicate, Query, QueryTarget, RootExpr, Unary,
};
use vrl::parser::{self, Literal};
use vrl::path::{OwnedSegment, OwnedValuePath, PathPrefix};
use vrl::value::Kind;

use crate::config::report::{Report, line_and_column};
use crate::normalize::analysis::suggestion;
use crate::normalize::functions::{self, Known};

/// Reports every path that names no field of the schema, every value function whose field is none, and every member
/// written twice. A source that cannot be parsed is left to the compiler.
pub fn check_fields(file: &Path, source: &str, payload: &Kind, known: &Known, report: &mut Report) {
    let Ok(program) = parser::parse(source) else { return };
    let functions = functions::all(known);
    let mut walk = Walk { file, source, payload, known, functions: &functions, names: Vec::new(), report };
    for root in program.iter() {
        if let RootExpr::Expr(expr) = root.inner() {
            walk.expr(expr);
        }
    }
}

struct Walk<'a> {
    file: &'a Path,
    source: &'a str,
    payload: &'a Kind,
    known: &'a Known,
    functions: &'a [Box<dyn Function>],
    /// The names in scope, innermost last.
    names: Vec<(Ident, Bound)>,
    report: &'a mut Report,
}

/// What a name stands for.
#[derive(Clone)]
enum Bound {
    /// The element of an `each`, with its type.
    Element(Kind),
    /// Something else; the type if it is known without compiling.
    Other(Option<Kind>),
}

impl Walk<'_> {
    /// Checks an expression and gives its type, if that is known without compiling.
    fn expr(&mut self, expr: &Node<Expr>) -> Option<Kind> {
        match expr.inner() {
            Expr::Literal(_) | Expr::Break(_) => None,
            Expr::Container(container) => self.container(container.inner()),
            Expr::IfStatement(statement) => {
                self.condition(statement.inner());
                None
            }
            Expr::Op(op) => {
                self.expr(&op.0);
                self.expr(&op.2);
                None
            }
            Expr::Assignment(assignment) => self.assignment(assignment.inner()),
            Expr::Query(query) => self.query(query.inner(), query.span()),
            Expr::FunctionCall(call) => self.call(call.inner()),
            Expr::Variable(name) => match self.bound(name.inner())? {
                Bound::Element(kind) | Bound::Other(Some(kind)) => Some(kind),
                Bound::Other(None) => None,
            },
            Expr::Unary(unary) => {
                let Unary::Not(not) = unary.inner();
                self.expr(&not.inner().clone().take().1);
                None
            }
            Expr::Abort(abort) => {
                if let Some(message) = &abort.inner().message {
                    self.expr(message);
                }
                None
            }
            Expr::Return(result) => self.expr(&result.inner().expr),
        }
    }

    fn container(&mut self, container: &Container) -> Option<Kind> {
        match container {
            Container::Group(group) => self.expr(&group.inner().0),
            Container::Block(block) => self.block(block.inner()),
            Container::Array(array) => {
                for element in array.inner().clone() {
                    self.expr(&element);
                }
                None
            }
            Container::Object(object) => {
                self.object(object.inner());
                None
            }
        }
    }

    fn object(&mut self, object: &Object) {
        let mut written: Vec<String> = Vec::new();
        for (name, value) in object.clone() {
            let (span, name) = name.take();
            if written.contains(&name) {
                self.finding(span, format!("`{name}` is written twice in one object"));
            }
            written.push(name);
            self.expr(&value);
        }
    }

    fn block(&mut self, block: &Block) -> Option<Kind> {
        let outer = self.names.len();
        let mut kind = None;
        for expr in &block.0 {
            kind = self.expr(expr);
        }
        self.names.truncate(outer);
        kind
    }

    fn condition(&mut self, statement: &IfStatement) {
        match statement.predicate.inner() {
            Predicate::One(expr) => {
                self.expr(expr);
            }
            Predicate::Many(exprs) => exprs.iter().for_each(|expr| {
                self.expr(expr);
            }),
        }
        self.block(statement.if_node.inner());
        if let Some(otherwise) = &statement.else_node {
            self.block(otherwise.inner());
        }
    }

    fn assignment(&mut self, assignment: &Assignment) -> Option<Kind> {
        let (targets, expr) = match assignment {
            Assignment::Single { target, expr, .. } => (vec![target], expr),
            Assignment::Infallible { ok, err, expr, .. } => (vec![ok, err], expr),
        };
        let kind = self.expr(expr);
        for target in targets {
            let AssignmentTarget::Internal(name, path) = target.inner() else { continue };
            if matches!(self.bound(name), Some(Bound::Element(_))) {
                self.finding(target.span(), format!("`{name}` is an element of the payload and cannot be assigned"));
            }
            let kind = if path.is_none() { kind.clone() } else { None };
            self.names.push((name.clone(), Bound::Other(kind)));
        }
        kind
    }

    fn query(&mut self, query: &Query, span: Span) -> Option<Kind> {
        let root = match query.target.inner() {
            QueryTarget::External(PathPrefix::Event) => Some(self.payload.clone()),
            QueryTarget::External(PathPrefix::Metadata) => {
                self.finding(span, "a mapping reads the payload (`.field`) and nothing else");
                None
            }
            QueryTarget::Internal(name) => match self.bound(name)? {
                Bound::Element(kind) | Bound::Other(Some(kind)) => Some(kind),
                Bound::Other(None) => None,
            },
            QueryTarget::FunctionCall(call) => self.call(call),
            QueryTarget::Container(container) => self.container(container),
        };
        self.path(root?, query.path.inner(), span)
    }

    /// The type at `path`, after reporting the first segment that leads nowhere.
    fn path(&mut self, root: Kind, path: &OwnedValuePath, span: Span) -> Option<Kind> {
        let mut kind = root;
        for segment in &path.segments {
            let step = OwnedValuePath::from(vec![segment.clone()]);
            let next = kind.at_path(&step);
            if next.is_undefined() {
                let message = match (segment, kind.as_object()) {
                    (OwnedSegment::Field(name), Some(object)) => {
                        let names: Vec<String> = object.known().keys().map(|name| name.to_string()).collect();
                        let names = names.iter().map(|name| name.trim_matches('"'));
                        format!("no field `{name}` in the schema{}", suggestion(name, names))
                    }
                    (OwnedSegment::Field(name), None) => format!("no field `{name}`: what is before it is no object"),
                    (OwnedSegment::Index(index), _) => format!("no element {index}: what is before it is no array"),
                };
                self.finding(span, message);
                return None;
            }
            kind = next;
        }
        Some(kind)
    }

    fn call(&mut self, call: &FunctionCall) -> Option<Kind> {
        let functions = self.functions;
        let function = functions.iter().find(|function| function.identifier() == &**call.ident.inner());
        let kinds: Vec<_> = call.arguments.iter().map(|argument| self.expr(&argument.inner().expr)).collect();
        if let Some(function) = function {
            self.field_arguments(function.as_ref(), call);
        }
        if let Some(closure) = &call.closure {
            // The index, then an element of each array, in the order of the arguments.
            let element = |kind: Option<Kind>| kind.and_then(|kind| Some(kind.as_array()?.reduced_kind()));
            let bounds = kinds.into_iter().map(|kind| element(kind).map_or(Bound::Other(None), Bound::Element));
            let mut bounds = std::iter::once(Bound::Other(None)).chain(bounds);
            let outer = self.names.len();
            for variable in &closure.inner().variables {
                let bound = bounds.next().unwrap_or(Bound::Other(None));
                self.names.push((variable.inner().clone(), bound));
            }
            self.block(closure.inner().block.inner());
            self.names.truncate(outer);
        }
        self.row_of(call)
    }

    // The type of a table's row is known without compiling: columns are checked like fields.
    fn row_of(&self, call: &FunctionCall) -> Option<Kind> {
        if &**call.ident.inner() != "lookup" {
            return None;
        }
        let table = call.arguments.iter().enumerate().find_map(|(position, argument)| {
            let named = argument.inner().ident.as_ref().map(|name| name.inner().as_ref() == "table");
            let Expr::Literal(literal) = argument.inner().expr.inner() else { return None };
            let Literal::String(text) = literal.inner() else { return None };
            named.unwrap_or(position == 1).then(|| text.to_string())
        })?;
        Some(self.known.tables.get(table.trim_matches('"'))?.kind())
    }

    // A field is a path into the payload or into an element: a name for anything else has no pointer.
    fn field_arguments(&mut self, function: &dyn Function, call: &FunctionCall) {
        let has_at = call.arguments.iter().any(|argument| keyword(argument.inner()) == Some("at"));
        for (index, name) in functions::field_parameters(function) {
            let positional = call.arguments.iter().filter(|argument| argument.inner().ident.is_none()).nth(index);
            let named = call.arguments.iter().find(|argument| keyword(argument.inner()) == Some(name));
            let Some(argument) = named.or(positional) else { continue };
            if ["field", "amount"].contains(&name) && has_at {
                continue;
            }
            let expr = &argument.inner().expr;
            let variable = match expr.inner() {
                Expr::Variable(name) => name.inner(),
                Expr::Query(query) => match query.inner().target.inner() {
                    QueryTarget::Internal(name) => name,
                    _ => continue,
                },
                _ => continue,
            };
            if !matches!(self.bound(variable), Some(Bound::Element(_)) | None) {
                let help = if name == "field" { "write the path, or add `at:`" } else { "write the path" };
                self.finding(expr.span(), format!("`{variable}` is no element of an `each`: {help}"));
            }
        }
    }

    fn bound(&self, name: &Ident) -> Option<Bound> {
        self.names.iter().rev().find(|(known, _)| known == name).map(|(_, bound)| bound.clone())
    }

    fn finding(&mut self, span: Span, message: impl Into<String>) {
        let (line, column) = line_and_column(self.source, span.start());
        self.report.add(self.file, line, column, message);
    }
}

fn keyword(argument: &FunctionArgument) -> Option<&str> {
    argument.ident.as_ref().map(|name| name.inner().as_ref())
}
