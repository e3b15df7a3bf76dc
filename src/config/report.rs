//! Everything wrong with the files, at once: what `crossdock check` prints and what refuses a start or a reload.

use std::fmt;
use std::path::{Path, PathBuf};

/// One mistake in one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub file: PathBuf,
    /// From 1; 0 if the mistake is the file as a whole.
    pub line: usize,
    /// From 1; 0 if unknown.
    pub column: usize,
    /// Names the thing, what was expected and what was found; no secret, no payload.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.column > 0 {
                write!(f, ":{}", self.column)?;
            }
        }
        write!(f, ": {}", self.message)
    }
}

/// All mistakes found, in the order of file and line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    findings: Vec<Finding>,
}

impl Report {
    pub fn add(&mut self, file: impl AsRef<Path>, line: usize, column: usize, message: impl Into<String>) {
        self.findings.push(Finding { file: file.as_ref().to_owned(), line, column, message: message.into() });
    }

    pub fn merge(&mut self, other: Report) {
        self.findings.extend(other.findings);
    }

    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// Sorted by file, line and column, without repeats.
    pub fn findings(&self) -> Vec<&Finding> {
        let mut sorted: Vec<_> = self.findings.iter().collect();
        sorted.sort();
        sorted.dedup();
        sorted
    }

    /// `Ok` if nothing was found.
    pub fn into_result(self) -> Result<(), Report> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in self.findings() {
            writeln!(f, "{finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

/// Line and column (both from 1) of a byte offset in `text`.
pub fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    (line, column)
}
