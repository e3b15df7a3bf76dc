//! What a schema declares, as a tree in the order of its file.

use std::collections::BTreeMap;

use vrl::value::Kind;
use vrl::value::kind::Collection;

use crate::normalize::decode::NUMBER;
use crate::normalize::validate::presence::{AnyOfRequired, Pointer, RequiredIf};

/// A declared field and what is below it.
#[derive(Debug, Clone, Default)]
pub struct Field {
    pub(super) shape: Shape,
    pub(super) any_of_required: Vec<AnyOfRequired>,
    pub(super) required_if: Vec<RequiredIf>,
}

#[derive(Debug, Clone)]
pub(super) enum Shape {
    Object(Vec<Member>),
    Array(Box<Field>),
    Scalar { text: bool, number: bool, boolean: bool },
}

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) required: bool,
    pub(super) field: Field,
}

impl Default for Shape {
    fn default() -> Self {
        Self::Object(Vec::new())
    }
}

impl Field {
    /// The declared member `name`.
    pub fn member(&self, name: &str) -> Option<&Field> {
        self.ranked_member(name).map(|(_, field)| field)
    }

    /// The names of the declared members, in the order of the file; empty if this is no object.
    pub fn member_names(&self) -> impl Iterator<Item = &str> {
        self.members().iter().map(|member| member.name.as_str())
    }

    /// What an element is, if this is an array.
    pub fn element(&self) -> Option<&Field> {
        match &self.shape {
            Shape::Array(element) => Some(element),
            _ => None,
        }
    }

    /// The type of a valid value.
    pub fn kind(&self) -> Kind {
        match &self.shape {
            Shape::Object(members) => {
                let known: BTreeMap<_, _> = members
                    .iter()
                    .map(|member| {
                        let kind = member.field.kind();
                        (member.name.as_str().into(), if member.required { kind } else { kind.or_undefined() })
                    })
                    .collect();
                Kind::object(Collection::from_parts(known, Kind::undefined()))
            }
            Shape::Array(element) => Kind::array(Collection::from_unknown(element.kind())),
            Shape::Scalar { text, number, boolean } => {
                let mut kind = Kind::never();
                if *text {
                    kind.add_bytes();
                }
                if *number {
                    let literal = BTreeMap::from([(NUMBER.into(), Kind::bytes())]);
                    kind.add_object(Collection::from_parts(literal, Kind::undefined()));
                }
                if *boolean {
                    kind.add_boolean();
                }
                kind
            }
        }
    }

    /// Where the schema file puts `pointer`: positions of members and indices of elements, from the document down.
    pub(in crate::normalize) fn rank(&self, pointer: &str) -> Vec<usize> {
        const NOWHERE: usize = usize::MAX;
        let Some(path) = Pointer::parse(pointer) else { return vec![NOWHERE] };
        let mut field = Some(self);
        let mut rank = Vec::new();
        for segment in path.segments() {
            let (position, below) = match field.map(|field| (field.element(), field.ranked_member(segment))) {
                Some((Some(element), _)) => (segment.parse().unwrap_or(NOWHERE), Some(element)),
                Some((None, Some((position, member)))) => (position, Some(member)),
                _ => (NOWHERE, None),
            };
            rank.push(position);
            field = below;
        }
        rank
    }

    pub(in crate::normalize) fn ranked_member(&self, name: &str) -> Option<(usize, &Field)> {
        let found = self.members().iter().enumerate().find(|(_, member)| member.name == name);
        found.map(|(position, member)| (position, &member.field))
    }

    pub(super) fn members(&self) -> &[Member] {
        match &self.shape {
            Shape::Object(members) => members,
            _ => &[],
        }
    }

    pub(super) fn any_of_required(&self) -> &[AnyOfRequired] {
        &self.any_of_required
    }

    pub(super) fn required_if(&self) -> &[RequiredIf] {
        &self.required_if
    }
}
