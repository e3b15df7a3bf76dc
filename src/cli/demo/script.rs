//! What the two partner systems send, in which order, and why it is worth seeing.

use crate::canonical::rejection::Code;
use crate::cli::demo::way_out;
use crate::cli::partner::oracle::Way;
use crate::cli::partner::{Flaw, Kind, Message, Sample};

/// A few steps with one point.
#[derive(Debug)]
pub struct Scene {
    pub title: &'static str,
    pub steps: Vec<Step>,
}

/// One message.
#[derive(Debug)]
pub struct Step {
    /// Which of the partners sends it.
    pub partner: usize,
    pub way: Way,
    pub message: Message,
    /// In a few words, for the line.
    pub sends: String,
    /// Why it comes out as it does.
    pub because: &'static str,
}

/// The whole script for these partners; the first one has topics if `has_topics`.
pub fn scenes(partners: &[&Sample], has_topics: bool) -> Vec<Scene> {
    let life = vec![
        step(partners, 0, 1, Kind::Created, "new order", "On disk before the 202; decided and published behind it."),
        step(partners, 0, 1, Kind::Created, "the same again", "A repeat changes nothing and publishes nothing."),
        step(partners, 0, 1, Kind::Updated(10), "an update", "A newer version; the event names the changed fields."),
        step(
            partners,
            0,
            1,
            Kind::Updated(5),
            "an older update, late",
            "Older than what is known: it changes nothing.",
        ),
        step(
            partners,
            0,
            1,
            Kind::Cancelled(20),
            "a cancellation",
            "The order is over; whoever reads the topic knows.",
        ),
    ];
    let mut disorder = Vec::new();
    if has_topics {
        disorder.push(Step {
            way: Way::Topic,
            ..step(partners, 0, 2, Kind::Updated(10), "an update first", "No such order yet: it waits, up to 24 hours.")
        });
        let because = "The creation is accepted, and what waited for it is run.";
        disorder.push(Step { way: Way::Topic, ..step(partners, 0, 2, Kind::Created, "then its creation", because) });
    }
    disorder.extend([
        step(
            partners,
            1,
            1,
            Kind::Cancelled(20),
            "a cancellation first",
            "Kept for 30 days: a cancellation is never lost.",
        ),
        step(partners, 1, 1, Kind::Created, "then its creation", "Cancelled before it came: only that is published."),
        step(partners, 1, 2, Kind::Created, "new order", "Another system, other payload, the same canonical events."),
    ]);
    vec![
        Scene { title: "An order's life", steps: life },
        Scene { title: "Messages in the wrong order", steps: disorder },
        Scene { title: "Bad payloads, one of each class", steps: bad(partners) },
    ]
}

/// Each flaw once, the partners in turn.
fn bad(partners: &[&Sample]) -> Vec<Step> {
    let Some(first) = partners.first() else { return Vec::new() };
    let flaws = first.flaws().into_iter().enumerate();
    let steps = flaws.filter_map(|(index, flaw)| {
        let partner = index % partners.len();
        let sample = partners.get(partner)?;
        let order = u32::try_from(index).ok()? + 3;
        let step = step(partners, partner, order, Kind::Created, "", "");
        let message = Message { flaw, ..step.message };
        let because = sample.expected(&message).problem.map_or("", |(code, _)| why(code));
        Some(Step { sends: sample.describe(&message), message, because, ..step })
    });
    steps.collect()
}

/// The order of that number, of a partner with this adapter.
pub fn order_id(adapter: &str, number: u32) -> String {
    format!("{}-DEMO-{number}", adapter.to_uppercase())
}

/// The orders the platform has something to say about.
pub fn spoken_of(partners: &[&Sample]) -> Vec<Step> {
    let because = "The platform will say what becomes of it.";
    let orders = [(0, way_out::KNOWN), (0, way_out::UNKNOWN), (1, way_out::KNOWN)];
    orders.map(|(partner, order)| step(partners, partner, order, Kind::Created, "new order", because)).into()
}

fn step(partners: &[&Sample], partner: usize, order: u32, kind: Kind, sends: &str, because: &'static str) -> Step {
    let name = partners.get(partner).map_or("", |sample| &sample.adapter);
    let message = Message { order_id: order_id(name, order), created_s: order, kind, flaw: Flaw::None };
    Step { partner, way: Way::Http, message, sends: sends.to_owned(), because }
}

/// What a class of rejection is about.
const fn why(code: Code) -> &'static str {
    match code {
        Code::PayloadTooLarge => "Over the contract's limit: refused unread, nothing is stored.",
        Code::AuthenticationFailed => {
            "Not signed by the partner: nothing is stored, and the answer gives nothing away."
        }
        Code::UnsupportedMediaType => "The route takes JSON only.",
        Code::MalformedPayload => "Not one JSON document; what came is on the topic, nobody has to send it again.",
        Code::FieldRequired => "Missing, null and blank are the same, and the pointer says where.",
        Code::InvalidType => "Never coerced: the leading zero of a postal code would be lost.",
        Code::InvalidFormat => "The right type, the wrong form.",
        Code::UnknownCode => "Not in the code tables; nothing falls back to a default.",
        Code::BusinessRule => "Each field is right, together they are not.",
        _ => "Against the contract.",
    }
}
