//! The log of the process, on standard error: text on a terminal, else one JSON object a line.

use std::io::{self, IsTerminal as _};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::environment::Environment;
use crate::config::settings::{LogFormat, TelemetrySettings};

/// Filters in the place of `telemetry.log_filter` if it is set and not empty.
const FILTER_VARIABLE: &str = "RUST_LOG";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{from}`: {cause}")]
    Filter { from: &'static str, cause: String },
    #[error("the log is started already")]
    Started,
}

/// Starts the log of this process; once.
///
/// # Errors
/// `RUST_LOG` is no filter, or the log is started already.
pub fn start(settings: &TelemetrySettings, environment: &Environment) -> Result<(), Error> {
    let is_text = match settings.log_format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let filter = filter(settings, environment)?;
    subscriber(is_text, filter, io::stderr).try_init().map_err(|_| Error::Started)
}

fn filter(settings: &TelemetrySettings, environment: &Environment) -> Result<EnvFilter, Error> {
    let wrong =
        |from| move |cause: tracing_subscriber::filter::ParseError| Error::Filter { from, cause: cause.to_string() };
    match environment.get(FILTER_VARIABLE).filter(|directives| !directives.is_empty()) {
        Some(directives) => EnvFilter::try_new(directives.to_string_lossy()).map_err(wrong(FILTER_VARIABLE)),
        None => EnvFilter::try_new(&settings.log_filter).map_err(wrong("telemetry.log_filter")),
    }
}

fn subscriber<W>(is_text: bool, filter: EnvFilter, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // A log nobody can read any more is no reason to stop: errors of the writer are not told to the same writer.
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).log_internal_errors(false);
    if is_text {
        Box::new(lines.with_ansi(io::stderr().is_terminal()).finish())
    } else {
        Box::new(lines.json().flatten_event(true).with_span_list(false).finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::Captured;

    /// What one warning and one debug line look like under `variable`, or else `log_filter`.
    fn logged(is_text: bool, log_filter: &str, variable: &str) -> Result<Vec<String>, String> {
        let settings = TelemetrySettings { log_format: LogFormat::Auto, log_filter: log_filter.to_owned() };
        let environment = [(FILTER_VARIABLE, variable)].into_iter().collect();
        let filter = filter(&settings, &environment).map_err(|error| error.to_string())?;
        let captured = Captured::default();
        let writer = captured.clone();
        tracing::subscriber::with_default(subscriber(is_text, filter, move || writer.clone()), || {
            tracing::warn!(delay_ms = 5, "retrying");
            tracing::debug!("detail");
        });
        Ok(captured.text().lines().map(str::to_owned).collect())
    }

    #[test]
    fn the_variable_overrules_the_setting() {
        for (log_filter, variable, lines) in
            [("info", "", 1), ("debug", "", 2), ("debug", "off", 0), ("off", "crossdock=debug", 2)]
        {
            assert_eq!(
                logged(true, log_filter, variable).map(|logged| logged.len()),
                Ok(lines),
                "{log_filter} {variable}"
            );
        }
        let error = logged(true, "info", "a=b=c").expect_err("no filter");
        assert!(error.starts_with("`RUST_LOG`: "), "{error}");
    }

    #[test]
    fn a_line_is_one_json_object_or_text() {
        let json = logged(false, "info", "").expect("a filter");
        let line: serde_json::Value = serde_json::from_str(&json[0]).expect("JSON");
        assert_eq!(
            (&line["level"], &line["message"], line["delay_ms"].as_u64()),
            (&"WARN".into(), &"retrying".into(), Some(5))
        );

        let text = logged(true, "info", "").expect("a filter");
        assert!(text[0].contains("WARN") && text[0].ends_with("retrying delay_ms=5"), "{text:?}");
    }
}
