//! This program started again, as the partner or as the bare loop: each has a process, and so a CPU time, of its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::measured::process::cpu_of;

/// Dropping it kills the process.
pub struct Again {
    child: Child,
}

impl Again {
    /// Starts this program with these arguments. Gives the first line it prints, too.
    pub fn start(arguments: &[&str]) -> (Self, String) {
        let program = std::env::current_exe().expect("this program");
        let mut command = Command::new(program);
        let child = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("it can be started");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        output.read_line(&mut line).expect("its first line");
        (Self { child }, line.trim_end().to_owned())
    }

    /// User and system time of all its threads so far.
    pub fn cpu(&self) -> Duration {
        cpu_of(&self.child.id().to_string())
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
