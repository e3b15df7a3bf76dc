//! The answers about keys, for people: safe on a terminal, whatever a partner answered.

use serde_json::Value;

use crate::cli::orders::plain;

pub(super) fn list(page: &Value) -> String {
    let keys = elements(&page["keys"]);
    if keys.is_empty() {
        return "every key is free\n".to_owned();
    }
    let mut text: String = keys.iter().map(line).collect();
    if let Some(next) = page["next"].as_str() {
        text.push_str(&format!("more: --after {}\n", plain(&Value::from(next))));
    }
    text
}

pub(super) fn key(whole: &Value) -> String {
    let key = &whole["key"];
    let word = |name: &str| plain(&key[name]);
    let mut text = format!("{}: {}\n\n", word("key"), word("state"));
    for (name, value) in [
        ("topic", format!("{} partition {}", word("topic"), word("partition"))),
        ("waiting", format!("{} records since {}", word("records"), plain(&key["head"]["waiting_since"]))),
        ("failure", plain(&whole["failure_id"])),
    ] {
        text.push_str(&format!("{name:<9}{value}\n"));
    }
    text.push('\n');
    for record in elements(&whole["records"]) {
        text.push_str(&self::record(record));
    }
    if let Some(next) = whole["next"].as_i64() {
        text.push_str(&format!("more: --from {next}\n"));
    }
    text
}

/// What a command came to, and what to do next.
pub(in crate::cli) fn command(answer: &Value) -> String {
    let word = |name: &str| plain(&answer[name]);
    let record = answer["record"].as_str().unwrap_or_default();
    let mut text = match (answer["outcome"].as_str().unwrap_or_default(), record) {
        ("done", "ended") => "done: the record has come to its end\n".to_owned(),
        ("done", "held") => "done: attempted, and failed again; the key stays held\n".to_owned(),
        ("done", "dead") => "done: attempted, and died again; that is a failure of its own\n".to_owned(),
        ("done", place) => format!("done: the record waits in {}\n", plain(&Value::from(place))),
        ("nothing_to_do", _) => "nothing to do: the record does not wait for this\n".to_owned(),
        ("overtaken", _) => {
            "overtaken: a later record of the key was attempted since, or this one came back already; --force replays \
             it all the same\n"
                .to_owned()
        }
        ("not_head", _) => "not the head: an earlier record of the key is held, settle that one first\n".to_owned(),
        ("not_executed_yet", _) => {
            "accepted, not executed yet: the lane is busy, paused or without an owner, and will come to it; ask again \
             to see\n"
                .to_owned()
        }
        (other, _) => format!("{}\n", plain(&Value::from(other))),
    };
    if !answer["failure"].is_null() {
        text.push_str(&format!("  {}\n", cause(&answer["failure"])));
    }
    text.push_str(&format!("  command {}\n", word("command_id")));
    text
}

/// `since  state  records  key  topic  cause`.
fn line(key: &Value) -> String {
    let word = |name: &str| plain(&key[name]);
    let failure = &key["head"]["failure"];
    let failure = if failure.is_null() { String::new() } else { format!("  {}", cause(failure)) };
    format!(
        "{}  {:<8}  {:>5}  {}  {}{failure}\n",
        plain(&key["head"]["waiting_since"]),
        word("state"),
        word("records"),
        word("key"),
        word("topic"),
    )
}

/// `seq  role  place  attempts`, then the cause.
fn record(record: &Value) -> String {
    let word = |name: &str| plain(&record[name]);
    let mut text = format!(
        "{:>9}  {:<8}  {:<8}  {} attempts, {} second rounds, since {}\n",
        word("seq"),
        word("role"),
        word("place"),
        word("attempts"),
        word("second_rounds"),
        word("waiting_since"),
    );
    if !record["failure"].is_null() {
        text.push_str(&format!("           {}\n", cause(&record["failure"])));
    }
    text
}

fn cause(failure: &Value) -> String {
    let status = match failure["http_status"].as_i64() {
        Some(status) => format!(" (HTTP {status})"),
        None => String::new(),
    };
    format!("{}{status}: {}", plain(&failure["class"]), plain(&failure["message"]))
}

fn elements(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
