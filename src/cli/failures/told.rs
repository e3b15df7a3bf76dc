//! The answers about failures, for people: safe on a terminal, whatever a payload says.

use serde_json::Value;

use crate::cli::audit::row_told;
use crate::cli::orders::plain;

pub(super) fn list(page: &Value) -> String {
    let failures = elements(&page["failures"]);
    if failures.is_empty() {
        return "no failure matches\n".to_owned();
    }
    let mut text: String = failures.iter().map(line).collect();
    if let Some(next) = page["next"].as_str() {
        text.push_str(&format!("more: --after {next}\n"));
    }
    text
}

pub(super) fn groups(groups: &Value) -> String {
    let groups = elements(&groups["groups"]);
    if groups.is_empty() {
        return "no failure matches\n".to_owned();
    }
    let told = |group: &Value| {
        let word = |name: &str| plain(&group[name]);
        format!(
            "{:>7}  {}  {}\n         {}\n         first {}, last {}\n         newest {}, group {}\n",
            word("failures"),
            word("binding"),
            word("error_code"),
            word("message"),
            word("first_at"),
            word("last_at"),
            word("newest_failure_id"),
            word("group_id"),
        )
    };
    groups.iter().map(told).collect::<Vec<_>>().join("\n")
}

pub(super) fn failure(whole: &Value) -> String {
    let failure = &whole["failure"];
    let word = |name: &str| plain(&failure[name]);
    let mut text = format!(
        "{} {}: {}, {}\nfailure {}\n\n",
        word("source_key"),
        word("external_order_id"),
        word("error_code"),
        word("state"),
        word("failure_id")
    );
    let problems = elements(&whole["problems"]);
    for problem in problems {
        text.push_str(&problem_told(problem));
    }
    match whole["omitted_problems"].as_u64() {
        Some(more @ 1..) => text.push_str(&format!("  and {more} more\n")),
        _ if problems.is_empty() => text.push_str(&format!("  {}\n", word("message"))),
        _ => {}
    }
    text.push('\n');
    let parameters = whole["path"].as_object().into_iter().flatten();
    let path = parameters.map(|(name, value)| format!(" {name}={}", plain(value))).collect::<String>();
    let event = &whole["event"];
    let place = ["topic", "partition", "offset"].map(|name| plain(&event[name]));
    for (name, value) in [
        ("failed", word("failed_at")),
        ("received", format!("{} from {}", plain(&whole["received_at"]), plain(&whole["received_from"]))),
        ("binding", format!("{} of tenant {}", word("binding"), word("tenant_id"))),
        ("route", route_told(whole, &path)),
        ("replays", word("retry_count")),
        ("replay of", failure["replay_of"].as_str().map(|id| format!("failure {id}")).unwrap_or_default()),
        ("correlation", word("correlation_id")),
        ("payload", word("raw_sha256")),
        ("record", record_told(&whole["record"])),
        ("answer", whole["http_status"].as_i64().map(|status| format!("HTTP {status}")).unwrap_or_default()),
        ("event", format!("{} partition {} offset {}", place[0], place[1], place[2])),
        ("group", word("group_id")),
        ("order", order_told(&whole["order"])),
    ] {
        if !value.is_empty() {
            text.push_str(&format!("{name:<13}{}\n", plain(&Value::from(value))));
        }
    }
    section(&mut text, "failed again", elements(&whole["replay_failures"]).iter().map(line));
    section(&mut text, "other failures of this order", elements(&whole["siblings"]).iter().map(line));
    section(&mut text, "what was done", elements(&whole["audit"]).iter().map(row_told));
    text.push_str(&payload(&whole["payload"]));
    text
}

pub(super) fn replay(answer: &Value) -> String {
    let word = |name: &str| plain(&answer[name]);
    if answer["dry_run"] == true {
        let mut text = format!("dry run: {}\n", word("outcome"));
        match answer["errors"].as_array() {
            Some(errors) => text.extend(errors.iter().map(problem_told)),
            None => text.push_str(&format!("{:#}\n", answer["canonical"])),
        }
        return text;
    }
    let repeated =
        if answer["repeated"] == true { ", replayed before with this payload, nothing was done now" } else { "" };
    let mut text = format!("{} by {}{repeated}\n", word("outcome"), word("mapped_by"));
    text.extend(elements(&answer["errors"]).iter().map(problem_told));
    if answer["outcome"] == "accepted" {
        text.push_str(&format!("  order {}, {}\n", word("external_order_id"), word("order_id")));
    }
    if let Some(failure) = answer["failure_id"].as_str() {
        text.push_str(&format!("  published as failure {}\n", plain(&Value::from(failure))));
    }
    text.push_str(&format!("  replay {}\n", word("replay_id")));
    text
}

/// Of a rejected payload: by what it was mapped.
fn route_told(whole: &Value, path: &str) -> String {
    if whole["record"].is_null() {
        format!("{}{path}, mapped by {}", plain(&whole["route"]), plain(&whole["mapped_by"]))
    } else {
        String::new()
    }
}

/// Of a dead letter: which record of which lane it is, and how it stood.
fn record_told(record: &Value) -> String {
    if record.is_null() {
        return String::new();
    }
    let word = |name: &str| plain(&record[name]);
    let held = if record["held"] == true { ", held its key" } else { "" };
    format!(
        "{} of key {} in {} partition {}: {} after {} attempts{held}",
        word("seq"),
        word("key"),
        word("topic"),
        word("partition"),
        word("disposition"),
        word("attempts")
    )
}

/// `id  time  state  binding  order  code pointer`.
fn line(failure: &Value) -> String {
    let word = |name: &str| plain(&failure[name]);
    let pointer = failure["pointer"].as_str().filter(|pointer| !pointer.is_empty());
    let pointer = pointer.map(|pointer| format!(" at {}", plain(&Value::from(pointer)))).unwrap_or_default();
    format!(
        "{}  {}  {:<9}  {}  {}  {}{pointer}\n",
        word("failure_id"),
        word("failed_at"),
        word("state"),
        word("binding"),
        word("external_order_id"),
        word("error_code"),
    )
}

fn problem_told(problem: &Value) -> String {
    let field = problem["field"].as_str().filter(|field| !field.is_empty()).unwrap_or("the document");
    format!("  {} at {}: {}\n", plain(&problem["code"]), plain(&Value::from(field)), plain(&problem["message"]))
}

fn order_told(order: &Value) -> String {
    match order["state"].as_str() {
        Some(state) => format!("{state}, {}", plain(&order["order_id"])),
        None => "not known".to_owned(),
    }
}

fn payload(payload: &Value) -> String {
    match (payload["text"].as_str(), payload["base64"].as_str(), payload["state"].as_str()) {
        // Line ends and tabs are the payload's layout; anything else that moves a cursor is not shown.
        (Some(text), ..) => {
            let safe = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { ' ' } else { c };
            format!("\npayload:\n{}\n", text.trim_end().chars().map(safe).collect::<String>())
        }
        (None, Some(base64), _) => format!("\npayload, base64:\n{base64}\n"),
        (None, None, Some("hidden")) => "\npayload: not shown to this operator\n".to_owned(),
        _ => "\npayload: not kept any more\n".to_owned(),
    }
}

fn section(text: &mut String, title: &str, parts: impl Iterator<Item = String>) {
    let parts: String = parts.collect();
    if !parts.is_empty() {
        text.push_str(&format!("\n{title}:\n{parts}"));
    }
}

fn elements(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
