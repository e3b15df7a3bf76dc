//! What one run of a mapping collects beside its result: problems, warnings and where it stands in the payload.
//!
//! VRL hands a function its arguments and nothing else, so the run is kept for the thread that executes it. A
//! mapping runs on one thread from beginning to end and never starts another mapping.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use vrl::parser::ast::Ident;
use vrl::value::Value;

use crate::canonical::order::Warning;
use crate::canonical::rejection::{Code, Problem};
use crate::config::binding::{Binding, Parameter};
use crate::normalize::functions::field::{Field, Root, as_text};
use crate::normalize::functions::rule::REFUSED;

thread_local! {
    static CURRENT: RefCell<Run> = RefCell::default();
}

/// One run of one mapping over one payload.
#[derive(Debug, Default)]
pub struct Run {
    binding: Option<Arc<Binding>>,
    problems: Vec<Problem>,
    warnings: Vec<(String, Warning)>,
    scopes: Vec<Scope>,
    seen: HashSet<Seen>,
}

/// What a run found.
#[derive(Debug, Default)]
pub struct Findings {
    /// In the order found.
    pub problems: Vec<Problem>,
    /// Pointer and warning, in the order found, with repeats.
    pub warnings: Vec<(String, Warning)>,
}

/// The arrays an `each` goes through together, each with the name its closure gives to the element.
#[derive(Debug)]
pub struct Loop {
    pub arrays: Vec<(Ident, Field)>,
}

#[derive(Debug)]
struct Scope {
    of: Arc<Loop>,
    index: usize,
}

/// A value `unique` has met: which call, in which pass of the enclosing loops, which value.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Seen {
    call: usize,
    within: Vec<usize>,
    value: String,
}

impl Run {
    /// Runs `mapping` for a payload of `binding` and returns its result with what it found.
    pub fn of<T>(binding: &Arc<Binding>, mapping: impl FnOnce() -> T) -> (T, Findings) {
        let run = Self { binding: Some(Arc::clone(binding)), ..Self::default() };
        CURRENT.with_borrow_mut(|current| *current = run);
        let result = mapping();
        let run = CURRENT.take();
        (result, Findings { problems: run.problems, warnings: run.warnings })
    }

    /// The run of this thread.
    pub fn with<T>(act: impl FnOnce(&mut Self) -> T) -> T {
        CURRENT.with_borrow_mut(act)
    }

    /// Records what is wrong with `field`.
    pub fn problem(&mut self, code: Code, field: &Field, message: impl Into<String>) {
        let pointer = self.pointer(field);
        self.problems.push(Problem::new(code, pointer, message));
    }

    /// Records a remark on `field`.
    pub fn warn(&mut self, warning: Warning, field: &Field) {
        let pointer = self.pointer(field);
        self.warnings.push((pointer, warning));
    }

    /// Whether `value` was made of something refused before, for which one problem is enough.
    pub fn is_refused(&self, value: Option<&Value>) -> bool {
        !self.problems.is_empty() && value.and_then(as_text).is_some_and(|text| text.contains(REFUSED))
    }

    /// The codes of a list parameter of the binding.
    pub fn list(&self, parameter: &str) -> &[String] {
        self.binding.as_ref().map_or(&[], |binding| binding.list(parameter))
    }

    pub fn parameter(&self, parameter: &str) -> Option<&Parameter> {
        self.binding.as_ref()?.parameters.get(parameter)
    }

    /// The selling countries of the binding.
    pub fn countries(&self) -> &[String] {
        self.binding.as_ref().map_or(&[], |binding| &binding.countries)
    }

    /// Whether `value` is new to this call within the innermost loop.
    pub fn is_first(&mut self, call: usize, value: String) -> bool {
        let outer = self.scopes.len().saturating_sub(1);
        let within = self.scopes.iter().take(outer).map(|scope| scope.index).collect();
        self.seen.insert(Seen { call, within, value })
    }

    pub fn enter(&mut self, of: &Arc<Loop>) {
        self.scopes.push(Scope { of: Arc::clone(of), index: 0 });
    }

    /// The innermost loop goes on to the element at `index`.
    pub fn advance(&mut self, index: usize) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.index = index;
        }
    }

    pub fn leave(&mut self) {
        self.scopes.pop();
    }

    /// RFC 6901 pointer of `field` in the payload.
    fn pointer(&self, field: &Field) -> String {
        pointer_within(&self.scopes, field)
    }
}

// An element's pointer starts with that of its array, which may itself be found in an element further out.
fn pointer_within(scopes: &[Scope], field: &Field) -> String {
    let Root::Element(element) = field.root() else { return field.pointer().to_owned() };
    let found = scopes.iter().enumerate().rev().find_map(|(at, scope)| {
        let (_, array) = scope.of.arrays.iter().find(|(name, _)| name == element)?;
        Some((scopes.get(..at).unwrap_or(&[]), scope.index, array))
    });
    match found {
        Some((outer, index, array)) => format!("{}/{index}{}", pointer_within(outer, array), field.pointer()),
        None => field.pointer().to_owned(),
    }
}
