//! `crossdock events tail`.

use clap::Args;
use reqwest::Method;

use crate::cli::client::{Client, Gateway};
use crate::cli::{Common, Failure, Output};
use crate::config::environment::Environment;

const NDJSON: &str = "application/x-ndjson";

/// Print the records of a topic, one JSON object a line
///
/// Of all partitions. Members: `topic`, `partition`, `offset`, `timestamp`, `key`, `headers`, `schema`, `value`. A value
/// that cannot be decoded is `{"base64": …}`.
#[derive(Debug, Args)]
pub struct Tail {
    topic: String,
    /// `beginning`, `end`, or an offset that each partition is read from
    #[arg(long, default_value = "end", value_parser = start)]
    from: String,
    /// Stop at the last record there is; else wait for more
    #[arg(long)]
    no_follow: bool,
    /// Stop after this many records
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    #[command(flatten)]
    gateway: Gateway,
}

impl Tail {
    pub(super) async fn run(self, common: &Common, environment: Environment, out: Output) -> Result<(), Failure> {
        let client = self.gateway.client(common, environment)?;
        let follow = !self.no_follow;
        let limit = self.limit.map(|limit| limit.to_string());
        let mut query = vec![("from", self.from.as_str()), ("follow", if follow { "true" } else { "false" })];
        query.extend(limit.as_deref().map(|limit| ("limit", limit)));
        let request = client.request(Method::GET, &["events", &self.topic], &query);
        let answer = client.send(request, NDJSON).await?;
        self.pass_on(&client, answer, follow, out).await
    }

    /// Whole lines only: a reader never sees half a record, not even if the gateway dies in the middle of one.
    async fn pass_on(
        &self,
        client: &Client,
        mut answer: reqwest::Response,
        follow: bool,
        mut out: Output,
    ) -> Result<(), Failure> {
        let mut lines = 0;
        let mut pending = Vec::new();
        while let Some(chunk) = client.chunk(&mut answer, follow).await? {
            let Some(end) = chunk.iter().rposition(|byte| *byte == b'\n') else {
                pending.extend_from_slice(&chunk);
                continue;
            };
            let (whole, rest) = chunk.split_at(end + 1);
            pending.extend_from_slice(whole);
            lines += whole.iter().filter(|byte| **byte == b'\n').count() as u64;
            out.bytes(&pending)?;
            pending.clear();
            pending.extend_from_slice(rest);
        }
        let is_complete = pending.is_empty() && (!follow || self.limit.is_some_and(|limit| lines >= limit));
        if is_complete { Ok(()) } else { Err(client.ended().into()) }
    }
}

fn start(text: &str) -> Result<String, String> {
    match text {
        "beginning" | "end" => Ok(text.to_owned()),
        _ if text.parse::<i64>().is_ok_and(|offset| offset >= 0) => Ok(text.to_owned()),
        _ => Err("expected `beginning`, `end` or an offset from 0".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::extract::{Path, RawQuery};
    use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
    use axum::http::{HeaderMap, StatusCode};
    use axum::response::{IntoResponse, Response};
    use axum::routing::get;

    use super::*;
    use crate::cli::output::Format;
    use crate::cli::testing::{ask, serve};
    use crate::cli::{Exit, testing};

    /// Answers with the request itself as the first record, then `parts`.
    async fn gateway(parts: &'static [&'static str]) -> String {
        let answer = move |Path(topic): Path<String>, RawQuery(query): RawQuery, headers: HeaderMap| async move {
            let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let first = format!("{topic} {} {token}\n", query.unwrap_or_default());
            let parts = std::iter::once(first).chain(parts.iter().map(|&part| part.to_owned()));
            let parts = parts.map(Ok::<_, std::io::Error>);
            ([(CONTENT_TYPE, NDJSON)], Body::from_stream(futures_util::stream::iter(parts))).into_response()
        };
        serve(Router::new().route("/api/v1/ops/events/{topic}", get(answer))).await
    }

    #[tokio::test]
    async fn lines_are_passed_on_as_they_are() {
        let url = gateway(&["{\"a\":1}\n{\"b\"", ":1.00", "}\n"]).await;

        let words = ["events", "tail", "a/b c", "--from", "7", "--no-follow", "--limit", "9"];
        let (done, text) = ask(&url, Format::Text, &words).await;

        done.expect("complete");
        assert_eq!(text, "a/b c from=7&follow=false&limit=9 Bearer t0ken\n{\"a\":1}\n{\"b\":1.00}\n");
    }

    #[tokio::test]
    async fn a_stream_that_ends_too_early_is_a_failure_and_leaves_no_half_line() {
        let url = gateway(&["1\n", "2"]).await;
        for (words, is_done, lines) in [
            (vec!["events", "tail", "t", "--limit", "2"], false, 2), // a half line follows
            (vec!["events", "tail", "t", "--limit", "3"], false, 2),
            (vec!["events", "tail", "t"], false, 2),
            (vec!["events", "tail", "t", "--no-follow"], false, 2),
        ] {
            let (done, text) = ask(&url, Format::Text, &words).await;

            assert_eq!(done.is_ok(), is_done, "{words:?}");
            assert_eq!(done.err().map(|failure| failure.exit()), Some(Exit::Unavailable), "{words:?}");
            assert_eq!((text.lines().count(), text.ends_with("\n1\n")), (lines, true), "{words:?}");
        }
        let url = gateway(&["1\n"]).await;
        let (done, _) = ask(&url, Format::Text, &["events", "tail", "t", "--limit", "2"]).await;
        done.expect("as many as asked for");
    }

    #[tokio::test]
    async fn each_refusal_has_its_code_and_one_line() {
        let problem = r#"{"type":"about:blank","title":"Unknown topic","status":404,"detail":"no topic\n`t`"}"#;
        for (status, body, exit, line) in [
            (404, problem, Exit::BadData, "Unknown topic: no topic `t` (404)"),
            (400, "<html>", Exit::BadData, "Bad Request (400)"),
            (401, problem, Exit::BadConfiguration, "does not know this operator token"),
            (403, problem, Exit::BadConfiguration, "this operator may not do that: Unknown topic"),
            (429, "{}", Exit::Unavailable, "Too Many Requests (429)"),
            (503, "", Exit::Unavailable, "Service Unavailable (503)"),
            (302, "", Exit::Unavailable, "answered 302 Found, expected success"),
            (200, "hello", Exit::Unavailable, "expected application/x-ndjson"),
        ] {
            let answer = move || async move {
                let status = StatusCode::from_u16(status).unwrap_or_default();
                (status, body).into_response() as Response
            };
            let url = serve(Router::new().fallback(answer)).await;

            let (done, text) = ask(&url, Format::Text, &["events", "tail", "t"]).await;

            let failure = done.expect_err("refused");
            assert_eq!((failure.exit(), text.as_str()), (exit, ""), "{status}");
            let said = failure.to_string();
            assert!(said.contains(line) && !said.contains('\n'), "{status}: {said}");
        }
    }

    #[tokio::test]
    async fn nobody_at_the_address_says_what_to_do() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", free.local_addr().expect("bound"));
        drop(free);

        let (done, _) = testing::ask(&url, Format::Text, &["events", "tail", "t"]).await;

        let failure = done.expect_err("refused");
        assert_eq!(failure.exit(), Exit::Unavailable);
        let said = failure.to_string();
        assert!(said.contains("Connection refused") && said.contains("is `crossdock serve` running"), "{said}");
    }
}
