//! One line on standard error that says how far the run is, where a person can see it.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::cli::generate::drive::Progress;

const DRAW_EVERY: Duration = Duration::from_millis(200);
const BAR: usize = 30;

/// The line; gone when this is dropped.
pub struct Line(Option<JoinHandle<()>>);

impl Line {
    /// Draws until it is dropped, if standard error is a terminal.
    pub fn draw(progress: &Arc<Progress>, count: u64) -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let (progress, started) = (Arc::clone(progress), Instant::now());
        Self(Some(tokio::spawn(async move {
            loop {
                let sent = progress.sent.load(Ordering::Relaxed);
                let differences = progress.differences.load(Ordering::Relaxed);
                let line = bar(sent, count, differences, started.elapsed());
                let _ = write!(io::stderr().lock(), "\r\x1b[K{line}");
                tokio::time::sleep(DRAW_EVERY).await;
            }
        })))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

fn bar(sent: u64, count: u64, differences: u64, took: Duration) -> String {
    let part = sent as f64 / count.max(1) as f64;
    let full = ((part * BAR as f64) as usize).min(BAR);
    let rate = sent as f64 / took.as_secs_f64().max(0.001);
    let otherwise = if differences > 0 { format!(", {differences} otherwise than expected") } else { String::new() };
    format!("[{}{}] {sent}/{count}, {rate:.0}/s{otherwise}", "#".repeat(full), "-".repeat(BAR - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_says_how_far_it_is() {
        let second = Duration::from_secs(1);
        assert_eq!(bar(0, 10, 0, second), format!("[{}] 0/10, 0/s", "-".repeat(30)));
        assert_eq!(bar(10, 10, 2, second), format!("[{}] 10/10, 10/s, 2 otherwise than expected", "#".repeat(30)));
    }
}
