//! Which failures have one cause: same binding, same class, same field, same message, whatever the numbers in them.

use uuid::Uuid;

use crate::canonical::ids::NAMESPACE;

/// The group of a failure. `pointer` and `message` are those of its first problem.
pub fn id(tenant_id: &str, binding: &str, error_code: &str, pointer: &str, message: &str) -> Uuid {
    let (pointer, message) = (shape_of_pointer(pointer), shape_of_message(message));
    // U+001F separates: a tenant and a binding have none, so no two groups are told by one text.
    let name = ["failure-group", tenant_id, binding, error_code, &pointer, &message].join("\u{1f}");
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

/// The pointer with `*` for every index: `/line_items/*/service_code`, `/ORDERS05/IDOC/E1EDP01[*]/MENGE`.
pub fn shape_of_pointer(pointer: &str) -> String {
    let segment = |segment: &str| match segment.split_once('[') {
        _ if is_number(segment) => "*".to_owned(),
        Some((name, index)) if index.strip_suffix(']').is_some_and(is_number) => format!("{name}[*]"),
        _ => segment.to_owned(),
    };
    pointer.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// The message with `#` for every run of digits.
pub fn shape_of_message(message: &str) -> String {
    let mut shape = String::with_capacity(message.len());
    for character in message.chars() {
        match character.is_ascii_digit() {
            false => shape.push(character),
            true if shape.ends_with('#') => {}
            true => shape.push('#'),
        }
    }
    shape
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_no_cause() {
        for (pointer, expected) in [
            ("", ""),
            ("/order_id", "/order_id"),
            ("/line_items/2/service_code", "/line_items/*/service_code"),
            ("/line_items/10/2", "/line_items/*/*"),
            ("/ORDERS05/IDOC/E1EDP01[3]/MENGE", "/ORDERS05/IDOC/E1EDP01[*]/MENGE"),
            ("/ORDERS05/a[b]/[]", "/ORDERS05/a[b]/[]"),
        ] {
            assert_eq!(shape_of_pointer(pointer), expected);
        }
    }

    #[test]
    fn failures_of_one_cause_are_of_one_group() {
        let of = |binding, code, pointer, message| id("north", binding, code, pointer, message);
        let group = of("pyxis-north", "LIMIT_EXCEEDED", "/lines/1/note", "at most 500 characters, found 812");

        assert_eq!(group, of("pyxis-north", "LIMIT_EXCEEDED", "/lines/77/note", "at most 500 characters, found 5012"));
        for other in [
            of("pyxis-south", "LIMIT_EXCEEDED", "/lines/1/note", "at most 500 characters, found 812"),
            of("pyxis-north", "INVALID_FORMAT", "/lines/1/note", "at most 500 characters, found 812"),
            of("pyxis-north", "LIMIT_EXCEEDED", "/lines/1/name", "at most 500 characters, found 812"),
            of("pyxis-north", "LIMIT_EXCEEDED", "/lines/1/note", "at most 500 bytes, found 812"),
        ] {
            assert_ne!(group, other);
        }
    }
}
