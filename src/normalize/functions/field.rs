//! A field: a place in the payload, known when the mapping is compiled.
//!
//! Value functions take a field rather than a value, so a problem names the place it was found at, and a field the
//! schema lets be absent is told apart from one that must be there.

use vrl::compiler::expression::query::Target;
use vrl::compiler::expression::{Expr, Expression as _};
use vrl::compiler::{Context, TypeState};
use vrl::parser::ast::Ident;
use vrl::path::{OwnedSegment, OwnedTargetPath, OwnedValuePath, PathPrefix};
use vrl::value::{Kind, Value};

/// A place in the payload.
#[derive(Debug, Clone)]
pub struct Field {
    root: Root,
    path: OwnedTargetPath,
    /// From the root, `/customer/phone`; empty for the root itself.
    pointer: String,
    kind: Kind,
}

/// Where a field's path begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    Payload,
    /// The element of an `each`, by the name its closure gives it.
    Element(Ident),
}

impl Field {
    /// The field `expr` names; `None` if it is not a path into the payload or into an element of it.
    pub fn of(expr: &Expr, state: &TypeState) -> Option<Self> {
        let kind = expr.type_def(state).kind().clone();
        match expr {
            Expr::Query(query) => match query.target() {
                Target::External(PathPrefix::Event) => Some(Self::at(Root::Payload, query.path(), kind)),
                Target::Internal(variable) => {
                    Some(Self::at(Root::Element(variable.ident().clone()), query.path(), kind))
                }
                _ => None,
            },
            Expr::Variable(variable) => {
                Some(Self::at(Root::Element(variable.ident().clone()), &OwnedValuePath::root(), kind))
            }
            _ => None,
        }
    }

    fn at(root: Root, path: &OwnedValuePath, kind: Kind) -> Self {
        Self { root, pointer: pointer(path), path: OwnedTargetPath::event(path.clone()), kind }
    }

    pub fn root(&self) -> &Root {
        &self.root
    }

    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// What the schema says may be found here.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Whether the schema lets the field be absent.
    pub fn is_optional(&self) -> bool {
        self.kind.contains_undefined() || self.kind.contains_null()
    }

    /// What is found here; `None` if nothing is.
    pub fn get<'c>(&self, ctx: &'c Context<'_>) -> Option<&'c Value> {
        let found = match &self.root {
            Root::Payload => ctx.target().target_get(&self.path).ok().flatten(),
            Root::Element(element) => ctx.state().variable(element).and_then(|value| value.get(&self.path.path)),
        };
        found.filter(|value| !value.is_null())
    }
}

/// RFC 6901 pointer of a path, relative to where it begins.
pub fn pointer(path: &OwnedValuePath) -> String {
    let mut pointer = String::new();
    for segment in &path.segments {
        pointer.push('/');
        match segment {
            OwnedSegment::Field(name) => pointer.push_str(&name.replace('~', "~0").replace('/', "~1")),
            OwnedSegment::Index(index) => pointer.push_str(&index.to_string()),
        }
    }
    pointer
}

/// The text of a value, if it is text.
pub fn as_text(value: &Value) -> Option<&str> {
    match value {
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
        Value::String(text) => Some(text),
        _ => None,
    }
}
