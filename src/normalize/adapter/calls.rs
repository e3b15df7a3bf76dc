//! Loads the calls of an adapter: a program for each record that may cause one.

use std::sync::Arc;

use crate::normalize::adapter::Loading;
use crate::normalize::call::{Call, Cause, input_kind};
use crate::normalize::manifest::call::CallSpec;
use crate::normalize::program::Program;
use crate::normalize::shape;
use crate::schema::Catalogue;

impl Loading<'_> {
    /// `None` if a mistake of it was reported.
    pub(super) fn call(&mut self, spec: &CallSpec, catalogue: &Catalogue) -> Option<Call> {
        let mut causes = Vec::new();
        for cause in &spec.on {
            let Some(record) = catalogue.records().find(|entry| entry.full_name() == cause.record) else {
                self.unknown_record(&cause.record, cause.line);
                continue;
            };
            let file = self.folder.join(&cause.program);
            match Program::load(&file, &input_kind(record), &shape::Shape::Body, &self.known) {
                Ok(program) => causes.push(Cause::new(cause.clone(), record, Arc::new(program))),
                Err(mistakes) => self.report.merge(mistakes),
            }
        }
        (causes.len() == spec.on.len()).then(|| Call::new(spec.clone(), causes))
    }
}
