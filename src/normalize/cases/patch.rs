//! The part of JSON Patch (RFC 6902) that cases need: `add`, `remove` and `replace`.

use serde_json::Value;

/// Applies the operations of `patch` in their order.
///
/// # Errors
/// Says which operation is not understood or names a place that is not there.
pub fn apply(document: &mut Value, patch: &Value) -> Result<(), String> {
    let operations = patch.as_array().ok_or("expected an array of operations")?;
    for (index, operation) in operations.iter().enumerate() {
        one(document, operation).map_err(|problem| format!("operation {index}: {problem}"))?;
    }
    Ok(())
}

fn one(document: &mut Value, operation: &Value) -> Result<(), String> {
    let text = |member: &str| operation.get(member).and_then(Value::as_str);
    let (op, path) = text("op").zip(text("path")).ok_or("expected `op` and `path`")?;
    let value = || operation.get("value").cloned().ok_or("expected `value`");
    let missing = || format!("nothing at `{path}`");
    if op == "replace" {
        *document.pointer_mut(path).ok_or_else(missing)? = value()?;
        return Ok(());
    }
    let (parent, name) = path.rsplit_once('/').ok_or_else(missing)?;
    let name = name.replace("~1", "/").replace("~0", "~");
    match (op, document.pointer_mut(parent).ok_or_else(missing)?) {
        ("add", Value::Object(members)) => {
            members.insert(name, value()?);
        }
        ("add", Value::Array(elements)) if name == "-" => elements.push(value()?),
        ("add", Value::Array(elements)) => match name.parse() {
            Ok(index) if index <= elements.len() => elements.insert(index, value()?),
            _ => return Err(missing()),
        },
        ("remove", Value::Object(members)) => {
            members.shift_remove(&name).ok_or_else(missing)?;
        }
        ("remove", Value::Array(elements)) => match name.parse() {
            Ok(index) if index < elements.len() => {
                elements.remove(index);
            }
            _ => return Err(missing()),
        },
        _ => return Err(format!("`{op}` at `{path}`: expected add, remove or replace at a member or element")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_change_members_and_elements() {
        let base = json!({"a": {"b": 1}, "list": [1, 2]});
        for (patch, expected) in [
            (json!([{"op": "replace", "path": "/a/b", "value": null}]), Ok(json!({"a": {"b": null}, "list": [1, 2]}))),
            (json!([{"op": "remove", "path": "/a"}]), Ok(json!({"list": [1, 2]}))),
            (json!([{"op": "add", "path": "/list/-", "value": 3}]), Ok(json!({"a": {"b": 1}, "list": [1, 2, 3]}))),
            (json!([{"op": "remove", "path": "/list/0"}]), Ok(json!({"a": {"b": 1}, "list": [2]}))),
            (json!([{"op": "remove", "path": "/c"}]), Err("operation 0: nothing at `/c`".to_owned())),
        ] {
            let mut document = base.clone();
            let applied = apply(&mut document, &patch).map(|()| document);

            assert_eq!(applied, expected, "{patch}");
        }
    }
}
