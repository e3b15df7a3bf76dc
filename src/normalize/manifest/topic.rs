//! `[[topic]]`: an inbound topic of the adapter, and which route maps its records.

use crate::config::reader::Section;
use crate::normalize::manifest::RouteSpec;

/// Kafka's limit for the name of a topic; a group's name shares it.
const MAX_NAME: usize = 249;

/// A topic and the routes of the two forms its values come in.
#[derive(Debug, Clone)]
pub struct TopicSpec {
    pub name: String,
    /// Consumer group that reads it.
    pub group: String,
    /// Route of values that are native JSON; `None`: there are none.
    pub route: Option<String>,
    /// Routes of framed Avro values, by record; empty: there are none.
    pub avro: Vec<AvroSpec>,
    /// Where the topic begins in the file, from 1.
    pub line: usize,
}

/// A record of framed Avro values.
#[derive(Debug, Clone)]
pub struct AvroSpec {
    /// With its namespace: `com.ahs.fsm.events.sales.PyxisOrderCreated`.
    pub record: String,
    pub route: String,
    /// Where the record begins in the file, from 1.
    pub line: usize,
}

/// The topics of the manifest without a mistake. `routes`: those it declares, `None` if some of them have mistakes, so
/// that an unknown name says nothing.
pub(super) fn read_topics(root: &Section<'_>, routes: Option<&[RouteSpec]>) -> Vec<TopicSpec> {
    let mut topics: Vec<TopicSpec> = Vec::new();
    for section in root.sections("topic") {
        let topic = read_topic(&section, routes);
        if let Some(topic) = &topic
            && topics.iter().any(|known| known.name == topic.name)
        {
            section.error(Some("name"), format!("a second topic `{}`", topic.name));
        }
        topics.extend(topic);
        section.finish();
    }
    topics
}

fn read_topic(section: &Section<'_>, routes: Option<&[RouteSpec]>) -> Option<TopicSpec> {
    let name = read_name(section, "name");
    let group = read_name(section, "group");
    let route = section.optional::<String>("route");
    if let Some(route) = &route {
        check_route(section, route, routes);
    }
    let mut avro: Vec<AvroSpec> = Vec::new();
    for section in section.sections("avro") {
        let read = read_avro(&section, routes);
        if let Some(read) = &read
            && avro.iter().any(|known| known.record == read.record)
        {
            section.error(Some("record"), format!("a second route for record `{}`", read.record));
        }
        avro.extend(read);
        section.finish();
    }
    if !section.has("route") && !section.has("avro") {
        section.error(None, "expected a `route` for JSON values, `[[topic.avro]]` for framed Avro values, or both");
    }
    Some(TopicSpec { name: name?, group: group?, route, avro, line: section.place(None).1 })
}

fn read_avro(section: &Section<'_>, routes: Option<&[RouteSpec]>) -> Option<AvroSpec> {
    let record = section.required::<String>("record");
    let route = section.required::<String>("route");
    if let Some(route) = &route {
        check_route(section, route, routes);
    }
    Some(AvroSpec { record: record?, route: route?, line: section.place(None).1 })
}

fn check_route(section: &Section<'_>, name: &str, routes: Option<&[RouteSpec]>) {
    let Some(routes) = routes else { return };
    if routes.iter().all(|route| route.name != name) {
        let known: Vec<&str> = routes.iter().map(|route| route.name.as_str()).collect();
        let message = format!("`route`: no route `{}`, expected one of: {}", name.escape_debug(), known.join(", "));
        section.error(Some("route"), message);
    }
}

fn read_name(section: &Section<'_>, key: &str) -> Option<String> {
    let name = section.required::<String>(key)?;
    let is_name = log_name(&name);
    if !is_name {
        section.error(Some(key), format!("`{key}`: expected 1 to {MAX_NAME} letters, digits, `.`, `_`, `-`"));
    }
    is_name.then_some(name)
}

/// Whether an event log takes it for the name of a topic or group.
pub(super) fn log_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}
