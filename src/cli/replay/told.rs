//! The answers about replay jobs, for people.

use serde_json::Value;

use crate::cli::orders::plain;

pub(super) fn plan(planned: &Value) -> String {
    let mut text = job(planned);
    if planned["keys_left_behind"].as_u64().is_some_and(|keys| keys > 0) {
        text.push_str(&format!(
            "\n{} of these orders have an older open failure that is not in the job: look at those first, or widen the \
             selection\n",
            plain(&planned["keys_left_behind"])
        ));
    }
    let id = plain(&planned["job_id"]);
    text.push_str(&format!("\nnext: crossdock replay run {id} --dry-run\n"));
    text
}

pub(super) fn job(job: &Value) -> String {
    let word = |name: &str| plain(&job[name]);
    let count = |name: &str| plain(&job["counts"][name]);
    let mut text = format!("job {}: {}\n\n", word("job_id"), word("state"));
    for (name, value) in [
        ("because", job["note"].as_str().map(|_| word("note")).unwrap_or_default()),
        ("reason", word("reason")),
        ("planned", format!("{} by {}", word("planned_at"), word("planned_by"))),
        ("started", job["started_at"].as_str().map(|_| word("started_at")).unwrap_or_default()),
        ("ended", job["ended_at"].as_str().map(|_| word("ended_at")).unwrap_or_default()),
        ("items", format!("{} of {} orders", word("items"), word("keys"))),
        ("pending", count("pending")),
        ("requested", count("requested")),
        ("succeeded", count("succeeded")),
        ("failed", count("failed")),
        ("refused", count("refused")),
    ] {
        if !value.is_empty() {
            text.push_str(&format!("{name:<10}{value}\n"));
        }
    }
    if let Some(items) = job["page"]["items"].as_array() {
        text.push('\n');
        text.extend(items.iter().map(item));
        if let Some(next) = job["page"]["next"].as_i64() {
            text.push_str(&format!("more: --after {next}\n"));
        }
    }
    text
}

pub(super) fn jobs(page: &Value) -> String {
    let jobs = page["jobs"].as_array().map(Vec::as_slice).unwrap_or_default();
    if jobs.is_empty() {
        return "there is no replay job\n".to_owned();
    }
    let line = |job: &Value| {
        let word = |name: &str| plain(&job[name]);
        let count = |name: &str| job["counts"][name].as_u64().unwrap_or_default();
        let settled = count("succeeded") + count("failed") + count("refused");
        format!(
            "{}  {}  {:<9}  {settled}/{} settled, {} failed  {}: {}\n",
            word("job_id"),
            word("planned_at"),
            word("state"),
            word("items"),
            count("failed"),
            word("planned_by"),
            word("reason"),
        )
    };
    jobs.iter().map(line).collect()
}

pub(super) fn outlook(answer: &Value) -> String {
    let mut text = format!(
        "dry run: the first {} of {} items, if they were replayed now\n",
        plain(&answer["looked_at"]),
        plain(&answer["job"]["items"])
    );
    for (what, items) in answer["outlook"].as_object().into_iter().flatten() {
        text.push_str(&format!("{:>7}  {}\n", plain(items), plain(&Value::from(what.as_str()))));
    }
    text
}

/// `number  state  kind  failure  outcome`.
fn item(item: &Value) -> String {
    let word = |name: &str| plain(&item[name]);
    format!(
        "{:>6}  {:<9}  {:<11}  {}  {}\n",
        word("number"),
        word("state"),
        word("kind"),
        word("failure_id"),
        word("outcome")
    )
}
