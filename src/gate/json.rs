//! How does a script read a verdict? As the one JSON object that is promised to it.

use serde_json::{Map, Value, json};

use crate::gate::verdict::{Field, Origin, Verdict};

/// A verdict as `landfast check -o json` prints it. Keys that do not apply are left out.
///
/// Values of fields stand as the JSON they are, or as text ending in `…` where they were too long.
pub fn verdict_json(verdict: &Verdict, uid: &str) -> Value {
    let object = &verdict.object;
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    if !uid.is_empty() {
        put("uid", uid.into());
    }
    put("ruling", verdict.ruling.name().into());
    put("enforced", verdict.enforced.into());
    put("allowed", verdict.allowed().into());
    let mut named =
        json!({ "group": object.group(), "version": verdict.version, "kind": object.kind(), "name": object.name() });
    if !object.namespace().is_empty() {
        named["namespace"] = object.namespace().into();
    }
    put("object", named);
    put("operation", verdict.operation.into());
    if !verdict.subresource.is_empty() {
        put("subresource", verdict.subresource.as_str().into());
    }
    put("writer", json!({ "user": verdict.user.name, "role": verdict.role.name() }));
    let named = [
        ("policy", verdict.policy.clone()),
        ("source", verdict.source.as_ref().map(ToString::to_string)),
        ("revision", verdict.revision.as_ref().map(ToString::to_string)),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            put(name, value.into());
        }
    }
    put("reason", verdict.reason.into());
    put("fields", verdict.fields.iter().map(field_json).collect());
    for (name, list) in [("owners", &verdict.owners), ("warnings", &verdict.warnings)] {
        if !list.is_empty() {
            put(name, list.clone().into());
        }
    }
    if !verdict.message.is_empty() {
        put("message", verdict.message.as_str().into());
    }
    Value::Object(members)
}

/// One field of a verdict.
pub fn field_json(field: &Field) -> Value {
    let mut members = Map::new();
    members.insert("path".into(), field.path.to_string().into());
    members.insert("class".into(), field.class.name().into());
    for (name, value) in [("git", &field.git), ("before", &field.before), ("written", &field.written)] {
        if let Some(text) = value {
            members.insert(name.into(), serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()));
        }
    }
    if let Some(origin) = &field.origin {
        members.insert("origin".into(), origin_json(origin));
    }
    Value::Object(members)
}

fn origin_json(origin: &Origin) -> Value {
    let mut value = json!({ "file": origin.file, "line": origin.line });
    if let Some(commit) = &origin.commit {
        value["commit"] = commit.commit.to_string().into();
        value["author"] = commit.author.as_str().into();
        value["date"] = commit.date.to_string().into();
    }
    value
}
