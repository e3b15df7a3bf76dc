//! `crossdock events append`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use reqwest::Method;
use serde_json::json;

use crate::cli::client::Gateway;
use crate::cli::{Common, Failure, Output};
use crate::config::environment::Environment;

/// Append one record to a topic
///
/// To any topic: for tests, and for an operator who knows what reads it.
#[derive(Debug, Args)]
pub struct Append {
    topic: String,
    /// The record's key; it decides the partition
    #[arg(long, required_unless_present = "no_key", conflicts_with = "no_key")]
    key: Option<String>,
    /// A record without a key
    #[arg(long)]
    no_key: bool,
    /// How the value is stored: the file's bytes as they are, or its JSON as framed Avro
    #[arg(long, value_enum, default_value_t)]
    encoding: Encoding,
    /// The Avro schema [default: the topic's]
    #[arg(long, value_name = "NAME")]
    schema: Option<String>,
    /// The value; `-` is standard input
    file: PathBuf,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Encoding {
    Avro,
    #[default]
    Raw,
}

impl Append {
    pub(super) async fn run(self, common: &Common, environment: Environment, mut out: Output) -> Result<(), Failure> {
        let client = self.gateway.client(common, environment)?;
        let value = read(&self.file).map_err(|cause| Failure::Input { path: self.file.clone(), cause })?;
        let encoding = match self.encoding {
            Encoding::Avro => "avro",
            Encoding::Raw => "raw",
        };
        let request = client.request(Method::POST, &["events", &self.topic], &[]).json(&json!({
            "key": self.key,
            "encoding": encoding,
            "schema": self.schema,
            "value_base64": STANDARD.encode(value),
        }));
        let answer = client.send(request, "application/json").await?;
        let place = client.json(answer).await?;
        out.print(
            || format!("{} partition {} offset {}", self.topic, place["partition"], place["offset"]),
            || place.clone(),
        )?;
        Ok(())
    }
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    if file != Path::new("-") {
        return std::fs::read(file);
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::routing::post;
    use axum::{Json, Router};
    use serde_json::Value;

    use crate::cli::output::Format;
    use crate::cli::testing::{ask, serve};

    #[tokio::test]
    async fn the_files_bytes_arrive_and_their_place_is_printed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("value");
        std::fs::write(&file, b"\xff\x00").expect("written");
        let file = file.display().to_string();
        let echo = |Json(record): Json<Value>| async move {
            (StatusCode::CREATED, Json(serde_json::json!({ "partition": 3, "offset": 17, "record": record })))
        };
        let url = serve(Router::new().route("/api/v1/ops/events/sales.t", post(echo))).await;
        for (words, expected) in [
            (vec!["--key", "FR_1"], r#"{"key":"FR_1","encoding":"raw","schema":null,"value_base64":"/wA="}"#),
            (
                vec!["--no-key", "--encoding", "avro", "--schema", "S"],
                r#"{"key":null,"encoding":"avro","schema":"S","value_base64":"/wA="}"#,
            ),
        ] {
            let words: Vec<_> = ["events", "append", "sales.t", &file].into_iter().chain(words).collect();

            let (done, json) = ask(&url, Format::Json, &words).await;
            done.expect("appended");
            let (_, text) = ask(&url, Format::Text, &words).await;

            let answer: Value = serde_json::from_str(&json).expect("JSON");
            assert_eq!(answer["record"].to_string(), expected);
            assert_eq!(text, "sales.t partition 3 offset 17\n");
        }
    }
}
