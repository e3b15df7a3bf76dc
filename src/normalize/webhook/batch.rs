//! Where the items of a batch stand in its body, so that each is kept byte for byte.

use std::ops::Range;

/// Most items. Source: `contracts/canonical-events.md` section 10.
pub(super) const MAX_ITEMS: usize = 1000;

/// The bytes of each element of `body`, a JSON array that was decoded before. Says nothing of use about anything else.
pub(super) fn ranges(body: &[u8]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let first = body.iter().position(|byte| *byte == b'[').map_or(body.len(), |bracket| bracket + 1);
    // The element under way, from its first byte to the last one so far that is no white space around it.
    let mut element: Option<Range<usize>> = None;
    let (mut depth, mut in_text, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in body.iter().enumerate().skip(first) {
        if in_text {
            (in_text, is_escaped) = (is_escaped || *byte != b'"', !is_escaped && *byte == b'\\');
        } else {
            match byte {
                b',' | b']' if depth == 0 => {
                    ranges.extend(element.take());
                    continue;
                }
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                b'"' => in_text = true,
                b' ' | b'\t' | b'\n' | b'\r' => continue,
                _ => {}
            }
        }
        element = Some(element.map_or(at, |element| element.start)..at + 1);
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_found_without_the_space_around_it() {
        for (body, expected) in [
            ("[]", vec![]),
            (" [ 1 , {\"a\": [1, \"]\"]}\n, \"é\" ] ", vec!["1", "{\"a\": [1, \"]\"]}", "\"é\""]),
            ("\u{feff}[[2], null]", vec!["[2]", "null"]),
            (r#"["a\"]", "\\", {"]": "["}]"#, vec![r#""a\"]""#, r#""\\""#, r#"{"]": "["}"#]),
            ("{}", vec![]),
            ("[1e999999, 3]", vec!["1e999999", "3"]),
        ] {
            let found: Vec<_> = ranges(body.as_bytes()).into_iter().map(|range| &body[range]).collect();

            assert_eq!(found, expected, "{body}");
        }
    }

    #[test]
    fn a_number_of_thousands_of_digits_is_an_item() {
        let body = format!("[{}, 1]", "9".repeat(5000));

        assert_eq!(ranges(body.as_bytes()).len(), 2);
    }
}
