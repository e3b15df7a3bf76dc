//! `crossdock demo`, as somebody meets it who has never heard of the project.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::support::crossdock;
use crate::support::gateway::root;

/// A demo that stays up. Dropping it kills the process.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn once(arguments: &[&str]) -> Output {
    crossdock()
        .args(["demo", "--once"])
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("the binary can be started")
}

#[test]
fn everything_comes_out_as_the_script_says_and_the_balance_holds() {
    let run = once(&["--output", "json"]);

    let text = String::from_utf8(run.stdout).expect("text");
    assert!(run.status.success(), "{text}");
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let balance = lines.pop().expect("a last line");
    assert_eq!(balance["balance"]["holds"], true, "{balance}");
    assert!(lines.iter().all(|line| line["surprise"].is_null()), "{text}");
    let codes: Vec<_> = lines.iter().filter_map(|line| line["answer"]["code"].as_str()).collect();
    for code in [
        "AUTHENTICATION_FAILED",
        "MALFORMED_PAYLOAD",
        "UNSUPPORTED_MEDIA_TYPE",
        "PAYLOAD_TOO_LARGE",
        "FIELD_REQUIRED",
        "INVALID_TYPE",
        "INVALID_FORMAT",
        "UNKNOWN_CODE",
        "BUSINESS_RULE",
    ] {
        assert_eq!(codes.iter().filter(|found| **found == code).count(), 1, "{code} in {codes:?}");
    }
    let outcomes: Vec<_> =
        lines.iter().flat_map(|line| line["decisions"].as_array()).flatten().map(|one| &one["outcome"]).collect();
    for outcome in ["accepted", "duplicate", "stale", "parked", "suppressed", "rejected"] {
        assert!(outcomes.contains(&&Value::from(outcome)), "{outcome} in {outcomes:?}");
    }
    let calls: Vec<_> = lines.iter().filter_map(|line| line["calls"].as_array()).collect();
    let answers: Vec<Vec<_>> =
        calls.iter().map(|calls| calls.iter().filter_map(|call| call["status"].as_u64()).collect()).collect();
    assert_eq!(answers, [vec![204], vec![], vec![503, 204], vec![404], vec![], vec![204]], "{text}");
    let retried = calls[2];
    assert_eq!(retried[0]["idempotency_key"], retried[1]["idempotency_key"], "{text}");
    assert_eq!(balance["balance"]["records_for_partners"]["held"], 2, "{balance}");
}

#[test]
fn its_lines_fit_a_terminal_and_have_no_colour_where_there_is_none() {
    let run = once(&[]);

    let text = String::from_utf8(run.stdout).expect("text");
    assert!(run.status.success(), "{text}");
    assert!(text.contains("balance holds"), "{text}");
    assert!(!text.contains('\x1b'), "{text}");
    let too_long: Vec<_> = text.lines().filter(|line| line.chars().count() > 120).collect();
    assert!(too_long.is_empty(), "{too_long:#?}");
}

#[test]
fn a_configuration_file_beside_it_is_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    for part in ["mappings", "schemas"] {
        std::os::unix::fs::symlink(root().join(part), folder.path().join(part)).expect("linked");
    }
    std::fs::write(folder.path().join("crossdock.toml"), "not = \"a configuration\"\n").expect("written");

    let run = crossdock().args(["demo", "--once"]).current_dir(folder.path()).output().expect("run");

    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(!folder.path().join("crossdock-data").exists());
}

#[test]
fn it_stays_up_the_printed_commands_work_and_ctrl_c_ends_it_with_a_balance() {
    let mut command = crossdock();
    command.arg("demo").current_dir(root()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut demo = Running(command.spawn().expect("the binary can be started"));
    let mut printed = BufReader::new(demo.0.stdout.take().expect("stdout is a pipe"));
    let (mut commands, mut line) = (Vec::new(), String::new());
    while !line.contains("Ctrl-C") {
        line.clear();
        assert_ne!(printed.read_line(&mut line).expect("text"), 0, "the demo ended: {commands:?}");
        commands.extend(line.strip_prefix("  ").filter(|line| line.contains("--data-dir")).map(str::to_owned));
    }

    let paste = |word: &str| {
        let command = commands.iter().find(|command| command.contains(word)).expect("a command");
        let run = Command::new("bash").args(["-c", command]).current_dir(root()).output().expect("a shell");
        assert!(run.status.success(), "{command}\n{}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).expect("text")
    };
    let (journey, events, answer) = (paste("orders show"), paste("events tail"), paste("curl"));
    let (failures, held, released) = (paste("failures list"), paste("keys list"), paste("keys release"));
    let mut calls = Vec::new();
    while calls.len() < 2 {
        line.clear();
        assert_ne!(printed.read_line(&mut line).expect("text"), 0, "the demo ended: {calls:?}");
        calls.extend(line.contains("PYXIS-DEMO-51").then(|| line.clone()));
    }
    let interrupted = Command::new("kill").args(["-INT", &demo.0.id().to_string()]).status();

    assert!(interrupted.is_ok_and(|status| status.success()));
    assert!(journey.contains("cancelled: accepted"), "{journey}");
    assert_eq!(events.lines().count(), 3, "{events}");
    assert!(failures.contains("PYXIS-DEMO-51"), "{failures}");
    assert!(held.contains("north|pyxis|PYXIS-DEMO-51") && held.contains("held"), "{held}");
    assert!(released.starts_with("done"), "{released}");
    // The one that was held, then what waited behind it.
    assert!(calls[0].contains("attempt 2: 204") && calls[1].contains("to pyxis: 204"), "{calls:?}");
    let answer: Value = serde_json::from_str(&answer).expect("the answer is JSON");
    assert_eq!(answer["status"], "RECEIVED", "{answer}");
    let mut rest = String::new();
    printed.read_to_string(&mut rest).expect("text");
    assert!(demo.0.wait().expect("it ends").success(), "{rest}");
    assert!(rest.contains("balance holds") && rest.contains("order_received 7"), "{rest}");
    let folder = commands[0].split_whitespace().skip_while(|word| *word != "--data-dir").nth(1).expect("a folder");
    assert!(!std::path::Path::new(folder).exists(), "{folder} is left");
}
