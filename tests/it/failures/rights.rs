//! Who may find, see, replay and correct.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{failure_of, reject};
use crate::support::{Gateway, Options};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_do_what_is_told_by_role_and_tenant() {
    let secrets = TempDir::new().expect("a temporary directory");
    let mut top = String::new();
    for (name, role, tenants) in
        [("vera", "viewer", ""), ("olaf", "operator", ""), ("edda", "editor", ""), ("sven", "editor", "\"south\"")]
    {
        let file = secrets.path().join(name);
        fs::write(&file, format!("token-of-{name}")).expect("written");
        let file = file.display();
        top.push_str(&format!(
            "[[operator]]\nname = \"{name}\"\ntoken = \"file:{file}\"\nroles = [\"{role}\"]\ntenants = [{tenants}]\n"
        ));
    }
    let gateway = Gateway::start_with(&Options { top, ..Options::default() });
    let client = gateway.client();
    let corrected = reject(&client, "PYX-1").await.replace("PAINTING", "INSTALL_KITCHEN");
    let id = failure_of(&client, "PYX-1").await;
    let path = format!("/api/v1/ops/failures/{id}");
    let ask = |method: Method, path: String, name: &str, body: Value| {
        let token = format!("Bearer token-of-{name}");
        let request = client.ops(method, &path).header("authorization", token.clone());
        // The client has a token of its own already; the last one set is the one that goes out.
        let mut request = request.build().expect("a request");
        request.headers_mut().insert("authorization", token.parse().expect("a token"));
        request.headers_mut().insert("content-type", "application/json".parse().expect("a media type"));
        *request.body_mut() = Some(body.to_string().into());
        async move {
            let answered = reqwest::Client::new().execute(request).await.expect("an answer");
            (answered.status().as_u16(), answered.json::<Value>().await.expect("JSON"))
        }
    };
    let replay = format!("{path}/replay");

    for (name, state) in [("vera", "hidden"), ("olaf", "kept"), ("edda", "kept")] {
        let (status, shown) = ask(Method::GET, path.clone(), name, Value::Null).await;
        assert_eq!((status, shown["payload"]["state"].as_str()), (200, Some(state)), "{name}");
    }
    let edited = json!({"reason": "typo", "payload": corrected});
    let dry = json!({"payload": corrected, "dry_run": true});
    for (name, body, expected) in [
        ("vera", json!({"reason": "r"}), 403),
        ("vera", dry.clone(), 403),
        ("olaf", edited.clone(), 403),
        ("olaf", dry, 200),
        ("sven", edited.clone(), 404), // of another tenant
        ("olaf", json!({"payload_base64": "?", "reason": "r"}), 400),
        ("olaf", json!({"payload": "{}", "payload_base64": "e30=", "reason": "r"}), 400),
        ("olaf", json!({}), 422),
        ("edda", edited, 202),
    ] {
        let (status, answer) = ask(Method::POST, replay.clone(), name, body.clone()).await;
        assert_eq!(status, expected, "{name} {body}: {answer}");
    }
    let (_, found) = ask(Method::GET, "/api/v1/ops/failures".into(), "sven", Value::Null).await;
    assert_eq!(found["failures"], json!([]));
    let (_, found) = ask(Method::GET, "/api/v1/ops/failures?tenant=north".into(), "sven", Value::Null).await;
    assert_eq!(found["failures"], json!([]));
    let (_, audit) = ask(Method::GET, "/api/v1/ops/audit".into(), "sven", Value::Null).await;
    assert_eq!(audit["rows"], json!([]));
    let (_, audit) = ask(Method::GET, "/api/v1/ops/audit?action=failure.replay".into(), "vera", Value::Null).await;
    assert_eq!(audit["rows"][0]["operator"], "edda");

    for (question, expected) in [
        ("limit=0", 400),
        ("limit=501", 400),
        ("state=closed", 400),
        ("since=yesterday", 400),
        ("after=17", 400),
        ("colour=red", 400),
        ("after=17.3&state=open&since=2026-03-04T08:15:30Z", 200),
    ] {
        let (status, answer) = ask(Method::GET, format!("/api/v1/ops/failures?{question}"), "vera", Value::Null).await;
        assert_eq!(status, expected, "{question}: {answer}");
    }
}
