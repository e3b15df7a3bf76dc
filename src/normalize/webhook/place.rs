//! Where in the source document the things are that a mapping saw.

use crate::canonical::draft::{Draft, DraftBody};
use crate::canonical::rejection::Problem;

/// Turns pointers into the document a mapping saw into pointers into what was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// In front of every pointer: `/3` for the fourth item of a batch.
    prefix: String,
    data: Data,
}

/// What the mapping saw as `/data`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Data {
    #[default]
    Member,
    /// The body; what is beside it came in headers.
    Body,
    /// The decoded text at `/data_base64`.
    Base64,
}

impl Place {
    /// An item of a batch.
    pub fn item(index: usize) -> Self {
        Self { prefix: format!("/{index}"), data: Data::Member }
    }

    /// The body of an event whose attributes are headers.
    pub fn body() -> Self {
        Self { data: Data::Body, ..Self::default() }
    }

    /// The data stood in Base64.
    pub fn base64(self) -> Self {
        Self { data: Data::Base64, ..self }
    }

    /// Renames every pointer of `draft`.
    pub fn apply(&self, draft: &mut Draft) {
        if *self == Self::default() {
            return;
        }
        match &mut draft.body {
            DraftBody::Order(order) => {
                for pointer in [&mut order.id_field, &mut order.revision_field] {
                    *pointer = self.pointer(pointer);
                }
            }
            DraftBody::Cancellation(cancellation) => cancellation.id_field = self.pointer(&cancellation.id_field),
            DraftBody::Rejection(rejection) => rejection.rename(|problem| self.rename(problem)),
        }
    }

    fn rename(&self, problem: &mut Problem) {
        let attribute = problem.field.strip_prefix('/').filter(|_| self.data == Data::Body && !is_data(&problem.field));
        if let Some(attribute) = attribute {
            problem.message = format!("header `ce-{attribute}`: {}", problem.message);
        }
        problem.field = self.pointer(&problem.field);
    }

    fn pointer(&self, pointer: &str) -> String {
        let within = pointer.strip_prefix("/data").filter(|_| is_data(pointer));
        let prefix = &self.prefix;
        match (self.data, within) {
            (Data::Body, Some(within)) => within.to_owned(),
            // The body has no place for it.
            (Data::Body, None) => String::new(),
            (Data::Base64, Some(within)) => format!("{prefix}/data_base64{within}"),
            _ => format!("{prefix}{pointer}"),
        }
    }
}

fn is_data(pointer: &str) -> bool {
    pointer == "/data" || pointer.starts_with("/data/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_renamed_to_what_was_sent() {
        for (place, pointer, expected) in [
            (Place::default(), "/data/a", "/data/a"),
            (Place::item(3), "/data/a", "/3/data/a"),
            (Place::item(3), "", "/3"),
            (Place::body(), "/data/a", "/a"),
            (Place::body(), "/data", ""),
            (Place::body(), "/database", ""),
            (Place::default().base64(), "/data/a", "/data_base64/a"),
            (Place::default().base64(), "/type", "/type"),
            (Place::item(0).base64(), "/data", "/0/data_base64"),
        ] {
            assert_eq!(place.pointer(pointer), expected, "{place:?} {pointer}");
        }
    }
}
