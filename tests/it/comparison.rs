//! Does the comparison hold its laws? Each case file is a list of them: what Git declares, an object, what differs.

use std::fs;
use std::path::Path;

use landfast::drift::compare::{Typing, compare, undeclared};
use landfast::drift::document::Document;
use landfast::drift::schema::Schemas;
use landfast::yaml::{Node, documents};

fn schemas() -> Schemas {
    let text = fs::read_to_string("tests/cases/compare/crd.yaml").unwrap();
    let crd = documents(&text).unwrap().remove(0).to_json();
    Schemas::builtin().with_crd(&serde_json::from_str(&crd).unwrap()).unwrap()
}

fn strings(case: &Node, name: &str) -> Option<Vec<String>> {
    Some(case.get(name)?.items().iter().map(|item| item.as_str().unwrap().to_owned()).collect())
}

fn check(schemas: &Schemas, case: &Node) {
    let law = case.get("law").and_then(Node::as_str).unwrap();
    let (api_version, kind) = case.get("kind").and_then(Node::as_str).unwrap().split_once(' ').unwrap();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let typing = Typing::of(schemas, group, version, kind);
    assert!(typing.schema.is_some(), "{law}: {kind} has a schema");
    let part = |name: &str| case.get(name).map(Node::to_json);
    let (declared, live) = (part("declared").unwrap(), part("live").unwrap());
    let declared = Document::parse(declared.as_bytes()).unwrap();
    let live = Document::parse(live.as_bytes()).unwrap();

    let differences = compare(typing, &declared, &live);
    let mut found: Vec<_> = differences.iter().map(|found| format!("{:?} {}", found.kind, found.path)).collect();
    found.sort();
    assert_eq!(found, strings(case, "expect").unwrap(), "{law}");
    assert_eq!(compare(typing, &live, &live), [], "{law}: an object agrees with itself");

    let Some(before) = part("before") else { return };
    let before = Document::parse(before.as_bytes()).unwrap();
    let changes = undeclared(typing, &declared, &before, &live);
    let mut found: Vec<_> = changes.iter().map(|found| found.path.to_string()).collect();
    found.sort();
    assert_eq!(found, strings(case, "undeclared").unwrap(), "{law}");
    assert_eq!(undeclared(typing, &declared, &live, &live), [], "{law}: nothing changes nothing");
}

fn check_file(name: &str) {
    let schemas = schemas();
    let text = fs::read_to_string(Path::new("tests/cases/compare").join(name)).unwrap();
    let cases = documents(&text).unwrap();
    assert!(cases.len() > 5, "{name} holds its cases");
    for case in &cases {
        check(&schemas, case);
    }
}

#[test]
fn built_in_kinds_differ_as_the_server_says() {
    check_file("builtin.yaml");
}

#[test]
fn custom_resources_differ_as_the_server_says() {
    check_file("custom.yaml");
}
