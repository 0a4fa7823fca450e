//! Does the embedded table say what the API server says, and what it does?

use std::collections::HashSet;

use landfast::drift::schema::{Default, MapRef, MemberRef, Relation, SchemaRef, Schemas, Shape, Zero};
use serde_json::{Map, Value, json};

use crate::testbed::user::User;
use crate::testbed::{control_plane, eventually};

#[test]
fn the_servers_openapi_adds_nothing_to_the_embedded_table() {
    let get = |path: &str| serde_json::from_str::<Value>(&control_plane().get(path).unwrap()).unwrap();
    let (mut server, mut both) = (Schemas::default(), Schemas::builtin());
    for (name, document) in get("/openapi/v3")["paths"].as_object().unwrap() {
        if name.contains("/v") {
            let document = get(document["serverRelativeURL"].as_str().unwrap());
            (server, both) = (server.with_openapi(&document).unwrap(), both.with_openapi(&document).unwrap());
        }
    }
    let builtin = Schemas::builtin();
    let mut differences = Vec::new();
    let mut compared = 0;
    for info in builtin.kinds() {
        let types = |schemas: &Schemas| schemas.types_digest(&info.group, &info.kind);
        assert_eq!(types(&builtin), types(&both), "{}: its declarations would be read anew", info.kind);
        for version in &info.versions {
            let Some(theirs) = server.schema(&info.group, &version.version, &info.kind) else {
                continue; // versions that a server must be told to serve
            };
            let ours = builtin.schema(&info.group, &version.version, &info.kind).unwrap();
            let path = format!("{}/{} {}", info.group, version.version, info.kind);
            same(ours, theirs, &path, &mut HashSet::new(), &mut differences);
            let theirs = server.kind(&info.group, &info.kind).unwrap();
            assert_eq!((&theirs.resource, theirs.namespaced), (&info.resource, info.namespaced));
            assert!(theirs.versions.contains(version), "{path}: {version:?}, {theirs:?}");
            compared += 1;
        }
    }
    assert!(compared >= 55, "{compared}");
    assert!(differences.is_empty(), "{differences:#?}");
}

/// Finds where two schemas differ. Pairs that were met before are passed over: schemas refer to themselves.
fn same<'s>(
    ours: SchemaRef<'s>,
    theirs: SchemaRef<'s>,
    path: &str,
    met: &mut HashSet<(SchemaRef<'s>, SchemaRef<'s>)>,
    found: &mut Vec<String>,
) {
    if !met.insert((ours, theirs)) {
        return;
    }
    match (ours.shape(), theirs.shape()) {
        (Shape::Deduced, Shape::Deduced) => {}
        (Shape::Scalar(ours), Shape::Scalar(theirs)) if ours == theirs => {}
        (Shape::List { relation: ours, item }, Shape::List { relation: theirs, item: other }) => {
            if keys(ours) != keys(theirs) {
                found.push(format!("{path}: {ours:?}, {theirs:?}"));
            }
            same(item, other, &format!("{path}[]"), met, found);
        }
        (Shape::Map(ours), Shape::Map(theirs)) => same_members(ours, theirs, path, met, found),
        (ours, theirs) => found.push(format!("{path}: {ours:?}, {theirs:?}")),
    }
}

fn keys(relation: Relation<'_>) -> String {
    format!("{relation:?}")
}

fn same_members<'s>(
    ours: MapRef<'s>,
    theirs: MapRef<'s>,
    path: &str,
    met: &mut HashSet<(SchemaRef<'s>, SchemaRef<'s>)>,
    found: &mut Vec<String>,
) {
    if format!("{ours:?}") != format!("{theirs:?}") {
        found.push(format!("{path}: {ours:?}, {theirs:?}"));
    }
    // No built-in type names a member so: it stands for those that are not named.
    for name in ours.members().map(|(name, _)| name).chain(["any other"]) {
        let (Some(ours), Some(theirs)) = (ours.member(name), theirs.member(name)) else { continue };
        let path = format!("{path}.{name}");
        if (ours.zero, ours.default, ours.nullable) != (theirs.zero, theirs.default, theirs.nullable) {
            found.push(format!("{path}: {ours:?}, {theirs:?}"));
        }
        same(ours.schema, theirs.schema, &path, met, found);
    }
}

#[test]
fn what_the_server_fills_in_is_in_the_embedded_table() {
    let plane = control_plane();
    let namespace = plane.namespace();
    eventually("the default service account", || {
        let account = plane.kubectl(User::Admin, &["-n", &namespace, "get", "serviceaccount", "default"]);
        (account.code == 0).then_some(())
    });
    let sparse = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sparse.yaml");
    let ask = |more: &[&str]| {
        let args = [&["-n", &namespace, "create", "-o", "json", "-f", sparse], more].concat();
        let answer = plane.kubectl(User::Admin, &args).succeeds();
        let objects = serde_json::Deserializer::from_str(&answer.stdout).into_iter::<Value>();
        objects.map(Result::unwrap).collect::<Vec<_>>()
    };
    let sent = ask(&["--dry-run=client", "--validate=false"]);
    let got = ask(&["--dry-run=server"]);
    assert!(sent.len() >= 80 && sent.len() == got.len(), "{} {}", sent.len(), got.len());
    let mut unexplained = Vec::new();
    for (sent, got) in sent.iter().zip(&got) {
        let (group, version) = sent["apiVersion"].as_str().unwrap().rsplit_once('/').unwrap_or(("", "v1"));
        let kind = sent["kind"].as_str().unwrap();
        let schemas = Schemas::builtin();
        let schema = schemas.schema(group, version, kind).unwrap();
        explain(schema, sent, got, &format!("{} {}", kind, sent["metadata"]["name"]), &mut unexplained);
    }
    assert!(unexplained.is_empty(), "{unexplained:#?}");
}

/// Finds members that the server added, took away or filled otherwise than the schema says.
fn explain(schema: SchemaRef<'_>, sent: &Value, got: &Value, path: &str, found: &mut Vec<String>) {
    match (schema.shape(), sent, got) {
        (Shape::Map(map), Value::Object(sent), Value::Object(got)) => {
            for (name, value) in got.iter().filter(|(name, _)| *name != "status" && *name != "managedFields") {
                let path = format!("{path}.{name}");
                match (map.member(name), sent.get(name)) {
                    (None, _) => found.push(format!("{path}: no schema")),
                    (Some(member), Some(own)) if !is_zero(own) || own == value => {
                        explain(member.schema, own, value, &path, found);
                    }
                    (Some(member), own) => explain_added(member, own, value, &path, found),
                }
            }
            explain_dropped(map, sent, got, path, found);
        }
        (Shape::List { item, .. }, Value::Array(sent), Value::Array(got)) => {
            for (position, (sent, got)) in sent.iter().zip(got).enumerate() {
                explain(item, sent, got, &format!("{path}[{position}]"), found);
            }
        }
        _ => {} // scalars in another writing are the comparison's
    }
}

/// `own` is the zero value that was sent, if there was one.
fn explain_added(member: MemberRef<'_>, own: Option<&Value>, value: &Value, path: &str, found: &mut Vec<String>) {
    match (member.default, member.zero) {
        (Default::Depends | Default::Kept, _) => {}
        (Default::Value(json), zero) if own.is_none() || zero != Zero::Value => {
            let default: Value = serde_json::from_str(json).unwrap();
            if default == *value {
                return;
            }
            if !default.is_object() {
                found.push(format!("{path}: {value} instead of {json}"));
            }
            explain(member.schema, &default, value, path, found);
        }
        (Default::None, Zero::Written) if value.is_object() => {
            explain(member.schema, own.unwrap_or(&json!({})), value, path, found);
        }
        (Default::None, _) if is_zero(value) && member.zero != Zero::Absent || value.is_null() => {}
        (Default::None, Zero::Value) if own.is_some() && value.is_object() => {
            explain(member.schema, &json!({}), value, path, found);
        }
        (default, zero) => found.push(format!("{path}: {value} appears, {default:?}, {zero:?}")),
    }
}

fn explain_dropped(
    map: MapRef<'_>,
    sent: &Map<String, Value>,
    got: &Map<String, Value>,
    path: &str,
    found: &mut Vec<String>,
) {
    for (name, value) in sent.iter().filter(|(name, _)| !got.contains_key(*name)) {
        match map.member(name) {
            None => {}
            Some(member) if member.zero != Zero::Value && is_zero(value) => {}
            Some(member) => found.push(format!("{path}.{name}: {value} is gone, {member:?}")),
        }
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "0",
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}
