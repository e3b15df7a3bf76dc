//! The lines of the demo: what was sent, what was answered and decided, what was published.

use serde_json::{Value, json};

use crate::canonical::event;
use crate::cli::demo::script::Step;
use crate::cli::demo::stage::Scored;
use crate::cli::partner::Answer;
use crate::cli::partner::oracle::Way;

/// Paints text if there is a terminal to see it.
#[derive(Debug, Clone, Copy)]
pub struct Ink {
    pub is_color: bool,
}

impl Ink {
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.is_color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What the columns are.
pub fn header(ink: Ink) -> String {
    ink.bold(&row("FROM", "SENDS", "ANSWER, DECISION", "PUBLISHED TO integration.sales.…"))
}

/// The step and what became of it: one line, one more for each message that had waited, and the reason below.
pub fn lines(step: &Step, partner: &str, scored: &Scored, ink: Ink) -> String {
    let answer = match &scored.answer {
        Some(Ok(answer)) => told(answer),
        Some(Err(cause)) => format!("no answer: {cause}"),
        None => "on its topic".to_owned(),
    };
    let is_rejected = matches!(&scored.answer, Some(Ok(Answer { problem: Some(_), .. })));
    let mut decisions = scored.decisions.iter();
    let first = decisions.next();
    let outcome = match first {
        // The answer has said it already.
        Some(decision) if !is_rejected => format!("{answer}, {}", decision.outcome),
        _ => answer,
    };
    let published = first.map_or("-".to_owned(), |decision| short(&decision.topics));
    let sends = match step.way {
        Way::Http => step.sends.clone(),
        Way::Topic => format!("{} (topic)", step.sends),
    };
    let line = row(partner, &sends, &outcome, &published);
    let mut text = if is_rejected { ink.yellow(&line) } else { line } + "\n";
    for decision in decisions {
        let outcome = format!("and then {}", decision.outcome);
        text += &(row("", "  what had waited", &outcome, &short(&decision.topics)) + "\n");
    }
    if let Some(surprise) = &scored.surprise {
        text += &(ink.red(&format!("       otherwise than it should be: {surprise}")) + "\n");
    }
    text + &ink.dim(&format!("       {}", step.because)) + "\n"
}

/// The same for machines, on one line.
pub fn document(step: &Step, partner: &str, scored: &Scored) -> Value {
    let answer = match &scored.answer {
        Some(Ok(Answer { status, problem })) => json!({
            "status": status,
            "code": problem.as_ref().map(|(code, _)| code),
            "field": problem.as_ref().map(|(_, field)| field),
        }),
        Some(Err(cause)) => json!({ "error": cause }),
        None => Value::Null,
    };
    let decisions =
        scored.decisions.iter().map(|decision| json!({ "outcome": decision.outcome, "published": decision.topics }));
    json!({
        "from": partner,
        "order": step.message.order_id,
        "sends": step.sends,
        "answer": answer,
        "decisions": decisions.collect::<Vec<_>>(),
        "surprise": scored.surprise,
    })
}

fn told(answer: &Answer) -> String {
    match &answer.problem {
        Some((code, field)) if field.is_empty() => format!("{} {code}", answer.status),
        Some((code, field)) => format!("{} {code} {field}", answer.status),
        None => answer.status.to_string(),
    }
}

/// A line of four columns.
pub fn row(from: &str, sends: &str, outcome: &str, published: &str) -> String {
    format!("{from:<6} {sends:<27} {outcome:<49} {published}").trim_end().to_owned()
}

/// Topics without what all of them begin with.
fn short(topics: &[String]) -> String {
    let common = event::ORDER_RECEIVED.trim_end_matches("order_received");
    let names: Vec<_> = topics.iter().map(|topic| topic.strip_prefix(common).unwrap_or(topic)).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}
