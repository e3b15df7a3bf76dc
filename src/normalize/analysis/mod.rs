//! What `check` proves of a mapping beyond that it compiles.
//!
//! VRL lets a bare copy of a field that does not exist pass as null, and knows nothing of the canonical draft. So the
//! source is read a second time: [`fields`] holds every path against the schema, [`result`] holds the type of the
//! result against its [`Shape`](crate::normalize::shape::Shape).

mod fields;
mod result;

pub use fields::check_fields;
pub use result::check_result;

/// `, did you mean …?` if a known name is close to the one written, else the known names.
fn suggestion<'n>(written: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let nearest = known.iter().map(|name| (distance(written, name), *name)).min();
    match nearest {
        Some((distance, name)) if distance <= 1 + written.chars().count() / 4 => format!(", did you mean `{name}`?"),
        Some(_) => format!(", expected one of: {}", known.join(", ")),
        None => String::new(),
    }
}

/// Edits that turn one word into the other; neighbors that changed places are one.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, a) in from.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, b) in to.iter().enumerate() {
            let substituted = last[column] + usize::from(a != b);
            let mut least = substituted.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *a == to[column - 1] && from[row - 1] == *b {
                least = least.min(before_last[column - 1] + 1);
            }
            current.push(least);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_suggested_and_a_far_one_lists_all() {
        for (written, expected) in [
            ("nots", ", did you mean `notes`?"),
            ("product_nmae", ", did you mean `product_name`?"),
            ("color", ", expected one of: notes, product_name"),
        ] {
            assert_eq!(suggestion(written, ["notes", "product_name"]), expected, "{written}");
        }
    }
}
