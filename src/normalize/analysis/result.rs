//! Holds the type of a mapping's result against the canonical draft.

use std::path::Path;

use vrl::compiler::Program;
use vrl::diagnostic::Span;
use vrl::parser::{self, ast::Block, ast::Container, ast::Expr, ast::Node, ast::RootExpr};
use vrl::value::Kind;

use crate::config::report::{Report, line_and_column};
use crate::normalize::analysis::suggestion;
use crate::normalize::shape::{Member, Shape};

/// Reports members the draft does not know, members it needs and may not get, and members of a wrong type.
pub fn check_result(file: &Path, source: &str, program: &Program, shape: &Shape, report: &mut Report) {
    if program.info().fallible || program.info().abortable {
        report.add(file, 0, 0, "a mapping cannot fail: expected no `!` and no `abort`, record problems instead");
    }
    let mut places = Places::default();
    if let Ok(syntax) = parser::parse(source)
        && let Some(RootExpr::Expr(last)) = syntax.last().map(Node::inner)
    {
        places.collect("", last);
    }
    let kind = program.final_type_info().result.kind().clone();
    let mut check = Check { file, source, places, report };
    check.value("", &kind, shape);
}

struct Check<'a> {
    file: &'a Path,
    source: &'a str,
    places: Places,
    report: &'a mut Report,
}

/// Where members of the result are written, by path (`/lines/-/quantity`); innermost last.
#[derive(Default)]
struct Places(Vec<(String, Span)>);

impl Check<'_> {
    fn value(&mut self, path: &str, kind: &Kind, shape: &Shape) {
        match shape {
            Shape::Text if kind.is_bytes() => {}
            Shape::Integer if kind.is_integer() => {}
            Shape::Boolean if kind.is_boolean() => {}
            Shape::Object(members) if kind.is_object() => self.members(path, kind, members),
            Shape::List(element) if kind.is_array() => {
                let inner = kind.as_array().map(|array| array.reduced_kind());
                if let Some(inner) = inner.filter(|inner| !inner.is_never()) {
                    self.value(&format!("{path}/-"), &inner, element);
                }
            }
            Shape::Body if is_body(kind) => {}
            _ => self.finding(path, format!("{}expected {}, found {kind}", named(path), shape.in_words())),
        }
    }

    fn members(&mut self, path: &str, kind: &Kind, members: &[Member]) {
        let Some(object) = kind.as_object() else { return };
        for field in object.known().keys() {
            let name = field.to_string();
            let name = name.trim_matches('"');
            if !members.iter().any(|member| member.name == name) {
                let known = suggestion(name, members.iter().map(|member| member.name));
                let path = format!("{path}/{name}");
                self.finding(&path, format!("`{name}` is no member of the result{known}"));
            }
        }
        for member in members {
            let path = format!("{path}/{}", member.name);
            let written = object.known().get(&member.name.into());
            match written {
                Some(kind) => self.member(&path, kind, member),
                None if member.required => self.finding(&path, format!("`{}` is missing in the result", member.name)),
                None => {}
            }
        }
    }

    fn member(&mut self, path: &str, kind: &Kind, member: &Member) {
        let mut defined = kind.clone();
        defined.remove_null();
        defined.remove_undefined();
        if defined.is_never() {
            let message = format!("`{}` is always null: leave it out, or give it a value", member.name);
            return self.finding(path, message);
        }
        if member.required && defined != *kind {
            self.finding(path, format!("`{}` may be null, but the result needs it", member.name));
        }
        self.value(path, &defined, &member.shape);
    }

    fn finding(&mut self, path: &str, message: String) {
        let (line, column) = self.places.of(path).map_or((0, 0), |span| line_and_column(self.source, span.start()));
        self.report.add(self.file, line, column, message);
    }
}

impl Places {
    /// The member at `path`, else the nearest object around it.
    fn of(&self, path: &str) -> Option<Span> {
        let mut path = path;
        loop {
            if let Some((_, span)) = self.0.iter().find(|(known, _)| known == path) {
                return Some(*span);
            }
            path = path.rsplit_once('/')?.0;
        }
    }

    fn collect(&mut self, path: &str, expr: &Node<Expr>) {
        self.0.push((path.to_owned(), expr.span()));
        match expr.inner() {
            Expr::Container(container) => match container.inner() {
                Container::Object(object) => {
                    for (name, value) in object.inner().clone() {
                        let (span, name) = name.take();
                        let path = format!("{path}/{name}");
                        self.0.push((path.clone(), span));
                        self.collect(&path, &value);
                    }
                }
                Container::Group(group) => self.collect(path, &group.inner().0),
                Container::Block(block) => self.block(path, block.inner()),
                Container::Array(_) => {}
            },
            Expr::FunctionCall(call) => {
                if let Some(closure) = &call.inner().closure {
                    self.block(&format!("{path}/-"), closure.inner().block.inner());
                }
            }
            _ => {}
        }
    }

    fn block(&mut self, path: &str, block: &Block) {
        if let Some(last) = block.0.last() {
            self.collect(path, last);
        }
    }
}

impl Shape {
    fn in_words(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "an integer",
            Self::Boolean => "true or false",
            Self::Object(_) => "an object",
            Self::List(_) => "an array",
            Self::Body => "an object or null",
        }
    }
}

/// Whether it is an object wherever it is not null.
fn is_body(kind: &Kind) -> bool {
    let mut defined = kind.clone();
    defined.remove_null();
    defined.is_object()
}

fn named(path: &str) -> String {
    match path.rsplit('/').find(|name| *name != "-") {
        None | Some("") => "the result: ".to_owned(),
        Some(name) => format!("`{name}`: "),
    }
}
