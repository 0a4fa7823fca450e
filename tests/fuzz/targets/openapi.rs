//! Does every schema either become types or a fault, and does an object agree with itself by whatever types?
//!
//! The input is a CustomResourceDefinition or a document of the API server's OpenAPI v3, as JSON or YAML.

use landfast::drift::compare::{Typing, compare};
use landfast::drift::document::Document;
use landfast::drift::schema::{Relation, SchemaRef, Schemas, Shape};
use landfast::yaml::documents;
use serde_json::{Map, Value, json};

/// Deepest that a probe goes, and most members and kinds that one has.
const DEPTH_MAX: usize = 5;
const MEMBERS_MAX: usize = 6;
const KINDS_MAX: usize = 8;

pub(super) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for node in documents(text).unwrap_or_default() {
        let value: Value = serde_json::from_str(&node.to_json()).expect("what is written is JSON");
        let known = Schemas::builtin();
        for schemas in [known.with_crd(&value), known.with_openapi(&value)].into_iter().flatten() {
            let is_new = |kind: &&std::sync::Arc<_>| !known.kinds().any(|other| std::sync::Arc::ptr_eq(other, kind));
            for kind in schemas.kinds().filter(is_new).take(KINDS_MAX) {
                for version in kind.versions.iter().take(KINDS_MAX) {
                    probe(Typing::of(&schemas, &kind.group, &version.version, &kind.kind));
                }
            }
        }
    }
}

fn probe(typing: Typing<'_>) {
    let Some(schema) = typing.schema else { return };
    let grown = grown(schema, 0);
    let text = if grown.is_object() { grown.to_string() } else { "{}".to_owned() };
    let (own, none) = (Document::parse(text.as_bytes()).expect("an object"), Document::default());
    assert_eq!(compare(typing, &own, &own), [], "{text} agrees with itself");
    assert_eq!(compare(typing, &none, &own), [], "nothing is declared");
    let _ = compare(typing, &own, &none);
}

/// An object with something of everything.
fn grown(schema: SchemaRef<'_>, depth: usize) -> Value {
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    match schema.shape() {
        Shape::Scalar(_) => json!("1"),
        Shape::Deduced => json!({ "a": [1, null] }),
        Shape::Map(map) => {
            let named = map.members().take(MEMBERS_MAX).map(|(name, member)| (name.to_owned(), member.schema));
            let other = map.any().map(|member| ("another".to_owned(), member.schema));
            named.chain(other).map(|(name, schema)| (name, grown(schema, depth + 1))).collect::<Map<_, _>>().into()
        }
        Shape::List { relation: Relation::Atomic | Relation::Set, item } => json!([grown(item, depth + 1)]),
        Shape::List { relation: Relation::Keyed(keys), item } => {
            let mut own = grown(item, depth + 1);
            if let (Some(own), Some(key)) = (own.as_object_mut(), keys.first()) {
                own.insert(key.name.to_string(), json!("key"));
            }
            json!([own, { "b": 1 }])
        }
    }
}
