//! Standard output: data only, whole lines, and a reader that leaves early is no error of ours.

use std::io::{self, Write};

use clap::ValueEnum;
use serde_json::Value;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Text,
    Json,
}

/// Where a command's data goes. A write to a closed pipe is an error like any other; its exit code is 0.
pub struct Output {
    pub format: Format,
    writer: Box<dyn Write + Send>,
}

impl Output {
    pub fn standard(format: Format) -> Self {
        Self { format, writer: Box::new(io::stdout()) }
    }

    #[cfg(test)]
    pub fn to(writer: impl Write + Send + 'static, format: Format) -> Self {
        Self { format, writer: Box::new(writer) }
    }

    /// `text()` or `json()`, as the user wants it, and a line end if it has none.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn print(&mut self, text: impl FnOnce() -> String, json: impl FnOnce() -> Value) -> io::Result<()> {
        let mut line = match self.format {
            Format::Text => text(),
            Format::Json => json().to_string(),
        };
        if !line.ends_with('\n') {
            line.push('\n');
        }
        self.bytes(line.as_bytes())
    }

    /// Passes `bytes` on at once.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)?;
        self.writer.flush()
    }
}
