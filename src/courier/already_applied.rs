//! Whether a 409 says that the change is there already: then the call has done what it was for.
//!
//! Partners say it in words of their own. The words below say that this change was taken before; words that only say
//! that something is in the way ("already closed", "already cancelled") may mean another change, and stay failures.

use serde_json::Value;

/// As a code, in the whole.
const CODES: [&str; 8] = [
    "already applied",
    "already processed",
    "already received",
    "already recorded",
    "duplicate",
    "duplicate request",
    "duplicate event",
    "idempotent replay",
];

/// Within a sentence.
const PHRASES: [&str; 6] = [
    "already applied",
    "already been applied",
    "already processed",
    "already been processed",
    "duplicate request",
    "duplicate event",
];

/// Members whose text is a code.
const CODE_MEMBERS: [&str; 6] = ["code", "error_code", "errorCode", "status", "reason", "error"];
/// Members whose text is a sentence.
const SENTENCE_MEMBERS: [&str; 5] = ["message", "error", "detail", "title", "error_description"];

/// A longer text is no such sentence.
const LONGEST: usize = 1_000;

/// Looks into a JSON object and into its member `error`, else at the body as text.
pub(super) fn says_already_applied(body: &[u8]) -> bool {
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => {
            let inner = members.get("error").and_then(Value::as_object);
            [Some(&members), inner].into_iter().flatten().any(|members| {
                let text = |name: &&str| members.get(*name).and_then(Value::as_str);
                CODE_MEMBERS.iter().filter_map(text).any(is_code) || SENTENCE_MEMBERS.iter().filter_map(text).any(says)
            })
        }
        Ok(Value::String(text)) => is_code(&text) || says(&text),
        Ok(_) => false,
        Err(_) => str::from_utf8(body).is_ok_and(|text| is_code(text) || says(text)),
    }
}

fn is_code(text: &str) -> bool {
    words(text).is_some_and(|text| CODES.contains(&text.as_str()))
}

fn says(text: &str) -> bool {
    let Some(text) = words(text) else { return false };
    let padded = format!(" {text} ");
    PHRASES.iter().any(|phrase| padded.contains(&format!(" {phrase} ")))
        && !["not", "never", "no", "cannot"].iter().any(|word| padded.contains(&format!(" {word} ")))
}

/// `ALREADY_APPLIED`, `already-applied` and `Already applied.` are the same words.
fn words(text: &str) -> Option<String> {
    if text.len() > LONGEST {
        return None;
    }
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    Some(words.map(str::to_lowercase).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_that_name_this_change_say_that_it_is_there_already() {
        let long = format!(r#"{{"message": "{} already applied"}}"#, "x".repeat(LONGEST));
        for (body, expected) in [
            (r#"{"error_code": "ALREADY_APPLIED"}"#, true),
            (r#"{"code": "already-processed"}"#, true),
            (r#"{"status": "DUPLICATE"}"#, true),
            (r#"{"error": {"code": "DUPLICATE_EVENT"}}"#, true),
            (r#"{"error": "Already applied."}"#, true),
            (r#"{"message": "Status change 17 was already applied"}"#, true),
            (r#"{"title": "Conflict", "detail": "This event has already been processed."}"#, true),
            (r#""ALREADY_APPLIED""#, true),
            ("Already processed", true),
            ("already applied\n", true),
            (r#"{"message": "not already applied"}"#, false),
            (r#"{"message": "cannot be changed, another update was already applied"}"#, false),
            (r#"{"message": "order already closed"}"#, false),
            (r#"{"message": "order already cancelled"}"#, false),
            (r#"{"code": "CONFLICT"}"#, false),
            (r#"{"message": "DUPLICATE"}"#, false), // a sentence of one word names nothing
            (r#"{"data": {"code": "ALREADY_APPLIED"}}"#, false),
            (r#"{"code": 409}"#, false),
            (r#"["ALREADY_APPLIED"]"#, false),
            (&long, false),
            ("", false),
            ("<html>Conflict</html>", false),
        ] {
            assert_eq!(says_already_applied(body.as_bytes()), expected, "{body}");
        }
        assert!(!says_already_applied(b"\xff\xfe already applied"));
    }
}
