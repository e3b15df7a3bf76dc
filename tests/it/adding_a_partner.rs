//! `docs/adding-a-partner.md`, followed to the letter by a running gateway: what the page says works.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::gateway::{OPERATOR_TOKEN, root};
use crate::support::{Gateway, copy};

const CONFIGURATION: &str = r#"data_dir = "data"
mappings_dir = "mappings"
schemas_dir = "schemas"

[door]
listen = "127.0.0.1:0"

[ops]
listen = "127.0.0.1:0"

[telemetry]
log_format = "json"

[[operator]]
name = "tests"
token = "env:TEST_OPERATOR"
roles = ["admin"]
"#;

/// A code block of the page: what its first line says behind the language, and its text.
struct Block {
    purpose: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(info), None) => {
                let purpose = info.split_once(' ').map_or("", |(_, purpose)| purpose).to_owned();
                open = Some(Block { purpose, text: String::new() });
            }
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// Does what a block is for; gives what a command printed.
fn follow(block: &Block, folder: &Path, gateway: &Gateway) -> Option<String> {
    let Block { purpose, text } = block;
    if let Some(file) = purpose.strip_prefix("file=") {
        let file = folder.join(file);
        fs::create_dir_all(file.parent().expect("a file is in a folder")).expect("a folder");
        fs::write(file, text).expect("written");
        return None;
    }
    if let Some(file) = purpose.strip_prefix("append=") {
        let before = fs::read_to_string(folder.join(file)).expect("the file is there");
        fs::write(folder.join(file), format!("{before}\n{text}")).expect("written");
        return None;
    }
    assert_eq!(purpose, "run", "a block is a file, a part of one, or a command");
    let text = text.replace("http://127.0.0.1:8080", &gateway.door).replace("http://127.0.0.1:8081", &gateway.ops);
    let binary = Path::new(env!("CARGO_BIN_EXE_crossdock")).parent().expect("a folder");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    let run = Command::new("sh")
        .args(["-euc", &text])
        .current_dir(folder)
        .env("PATH", path)
        .env("NO_PROXY", "*")
        .env("CROSSDOCK_URL", &gateway.ops)
        .env("CROSSDOCK_TOKEN", OPERATOR_TOKEN)
        .env("TEST_OPERATOR", OPERATOR_TOKEN)
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{text}\n{said}\n{}", String::from_utf8_lossy(&run.stderr));
    Some(said)
}

#[test]
fn a_partner_is_added_by_files_alone_while_the_gateway_runs() {
    let directory = TempDir::new().expect("a temporary directory");
    for part in ["mappings", "schemas"] {
        copy(&root().join(part), &directory.path().join(part));
    }
    fs::write(directory.path().join("crossdock.toml"), CONFIGURATION).expect("written");
    let gateway = Gateway::spawn(directory, &[]).unwrap_or_else(|(_, said)| panic!("{said:?}"));
    let page = fs::read_to_string(root().join("docs/adding-a-partner.md")).expect("the page");

    let said: Vec<String> =
        blocks(&page).iter().filter_map(|block| follow(block, gateway.directory(), &gateway)).collect();

    let [_mapped, checked, _secret, reloaded, answered, watched, reloaded_again, recorded] = said.as_slice() else {
        panic!("{said:?}")
    };
    assert_eq!(checked.trim(), "no mistakes");
    let reloaded: Value = serde_json::from_str(reloaded).expect("JSON");
    assert_eq!(
        (&reloaded["bindings"][0], &reloaded["needs_restart"]),
        (&"nordlys-north".into(), &Value::Array(vec![]))
    );
    let answered: Value = serde_json::from_str(answered).expect("JSON");
    assert_eq!((&answered["status"], &answered["externalOrderId"]), (&"RECEIVED".into(), &"NL-2042".into()));
    let (event, order) = watched.split_once('\n').expect("an event, then the order");
    let event: Value = serde_json::from_str(event).expect("JSON");
    assert_eq!(event["key"], "CUSTOM_NL-2042");
    assert_eq!(event["value"]["transformation_version"], "nordlys/1.0.0");
    assert!(order.contains("accepted"), "{order}");
    let expected = fs::read(gateway.directory().join("mappings/nordlys/cases/booked/expected.json")).expect("kept");
    let expected: Value = serde_json::from_slice(&expected).expect("JSON");
    assert_eq!(expected["canonical"]["total"]["amount"], "2440.00");
    assert!(reloaded_again.contains("no mistakes") && reloaded_again.contains("nordlys-north"), "{reloaded_again}");
    let event = recorded.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    assert!(event.into_iter().any(|event| event["key"] == "CUSTOM_NL-2043"), "{recorded}");
    assert!(recorded.contains("nordlys.jobs/"), "the journey names the record: {recorded}");
}
