//! Does the comparison hold its laws? Each case file is a list of them: what Git declares, an object, what differs.

use std::fs;
use std::path::Path;

use landfast::drift::compare::{Typing, compare, undeclared};
use landfast::drift::document::Document;
use landfast::drift::schema::Schemas;
use landfast::yaml::{Node, documents};
use proptest::prelude::*;

fn schemas() -> Schemas {
    let text = fs::read_to_string("tests/cases/compare/crd.yaml").unwrap();
    let with = |all: Schemas, crd: Node| all.with_crd(&serde_json::from_str(&crd.to_json()).unwrap()).unwrap();
    documents(&text).unwrap().into_iter().fold(Schemas::builtin(), with)
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
    assert_eq!(compare(typing.of_written(), &live, &live), [], "{law}: an object that is written agrees with itself");

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

#[test]
fn custom_resources_in_another_version_differ_as_the_server_says() {
    check_file("versions.yaml");
}

#[test]
fn of_a_version_that_is_open_where_the_stored_one_is_not_only_the_server_can_tell() {
    let schemas = schemas();
    assert!(schemas.schema("landfast.test", "v1alpha1", "Stall").is_none());
    assert!(schemas.kind("landfast.test", "Stall").unwrap().versions.iter().any(|known| known.version == "v1alpha1"));
}

fn deployment(containers: &[(String, String)], labels: &[(String, String)]) -> String {
    let container = |(name, image): &(String, String)| serde_json::json!({"name": name, "image": image});
    let labels: serde_json::Map<_, _> =
        labels.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let containers: Vec<_> = containers.iter().map(container).collect();
    serde_json::json!({"metadata": {"labels": labels}, "spec": {"template": {"spec": {"containers": containers}}}})
        .to_string()
}

fn paths(declared: &str, live: &str) -> Vec<String> {
    let schemas = Schemas::builtin();
    let typing = Typing::of(&schemas, "apps", "v1", "Deployment");
    let (declared, live) = (Document::parse(declared.as_bytes()).unwrap(), Document::parse(live.as_bytes()).unwrap());
    compare(typing, &declared, &live).iter().map(|found| found.path.to_string()).collect()
}

fn pairs(names: &'static str) -> impl Strategy<Value = Vec<(String, String)>> {
    proptest::collection::btree_map(names, "[xy]", 0..5).prop_map(|map| map.into_iter().collect())
}

proptest! {
    #[test]
    fn undeclared_items_and_their_order_never_matter(
        own in pairs("[a-e]"),
        others in pairs("[f-k]").prop_shuffle(),
        at in proptest::collection::vec(0_usize..6, 5),
        labels in pairs("[f-k]"),
    ) {
        let mut live = own.clone();
        for (other, at) in others.iter().zip(at) {
            live.insert(at.min(live.len()), other.clone());
        }
        prop_assert_eq!(paths(&deployment(&own, &[]), &deployment(&live, &labels)), Vec::<String>::new());
    }

    #[test]
    fn a_changed_item_is_found_wherever_it_stands(
        own in pairs("[a-e]").prop_filter("one at least", |own| !own.is_empty()),
        others in pairs("[f-k]"),
        which in any::<prop::sample::Index>(),
    ) {
        let mut live = [others, own.clone()].concat();
        let changed = which.get(&own).0.clone();
        for (name, image) in &mut live {
            if *name == changed {
                *image = "z".into();
            }
        }
        let expected = format!("spec.template.spec.containers[name={changed}].image");
        prop_assert_eq!(paths(&deployment(&own, &[]), &deployment(&live, &[])), [expected]);
    }
}
