//! Can the API server ever accept these values? Not where a schema wants another type of JSON: then every verb fails.
//!
//! Nothing is said that is not certain: a null, a field that no schema knows and whatever validation may mind are left to the
//! server. Built-in kinds are judged as Go's decoder does (Kubernetes 1.36: a request that cannot be decoded is refused before
//! any webhook sees it), custom resources as their schema's validation does.

use std::fmt::Write as _;

use crate::drift::path::{FieldPath, Segment};
use crate::drift::schema::{MapRef, Meaning, SchemaRef, Shape};
use crate::limits::FAULTS_SHOWN_MAX;
use crate::yaml::{Node, Value};

/// A value of a type that the API server never accepts in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistyped {
    /// Its line.
    pub(super) line: u32,
    /// What is wrong, as in `` `spec.replicas` is a string, not a whole number ``.
    pub(super) what: String,
}

/// The mistyped values of a manifest, in the order written; of many the first [`FAULTS_SHOWN_MAX`].
pub(super) fn mistyped(manifest: &Node, schema: SchemaRef<'_>) -> Vec<Mistyped> {
    let mut found = Vec::new();
    walk(manifest, schema, None, &mut found);
    found
}

/// The way down; a path is made of it only where something is wrong.
struct Trail<'t> {
    up: Option<&'t Trail<'t>>,
    step: Step<'t>,
}

#[derive(Clone, Copy)]
enum Step<'t> {
    Field(&'t str),
    Item(usize),
}

fn walk(node: &Node, schema: SchemaRef<'_>, trail: Option<&Trail<'_>>, found: &mut Vec<Mistyped>) {
    if found.len() >= FAULTS_SHOWN_MAX {
        return;
    }
    let wanted = match (schema.shape(), &node.value) {
        (_, Value::Null) | (Shape::Deduced, _) => None,
        (Shape::Scalar(Meaning::Bytes), Value::String(text)) if !may_be_base64(text) => Some("base64"),
        (Shape::Scalar(meaning), value) => wanted(meaning, value),
        (Shape::List { item, .. }, Value::Array(items)) => {
            for (position, own) in items.iter().enumerate() {
                walk(own, item, Some(&Trail { up: trail, step: Step::Item(position) }), found);
            }
            None
        }
        (Shape::Map(map), Value::Object(members)) => {
            for member in members {
                if let Some(known) = map.member(&member.key) {
                    let trail = Trail { up: trail, step: Step::Field(&member.key) };
                    walk(&member.value, known.schema, Some(&trail), found);
                }
            }
            None
        }
        (Shape::Map(map), _) if is_any_json(map) => None,
        (Shape::Map(_), _) => Some("an object"),
        (Shape::List { .. }, _) => Some("a list"),
    };
    if let Some(wanted) = wanted {
        let mut what = format!("`{}` is {}, not {wanted}", path(trail), node.what());
        if let (Value::Number(_) | Value::Bool(_), "a string") = (&node.value, wanted) {
            let _ = write!(what, ": quote it");
        }
        found.push(Mistyped { line: node.line, what });
    }
}

/// What a scalar has to be, where it is something else.
fn wanted(meaning: Meaning, value: &Value) -> Option<&'static str> {
    let text = matches!(value, Value::String(_));
    let number = matches!(value, Value::Number(_));
    let whole = matches!(value, Value::Number(number) if number.as_f64().is_none_or(|float| float.fract() == 0.0));
    let (fits, wanted) = match meaning {
        Meaning::String | Meaning::Time | Meaning::MicroTime | Meaning::CustomTime | Meaning::Duration => {
            (text, "a string")
        }
        // Go takes a list of numbers for bytes, too.
        Meaning::Bytes => (text || matches!(value, Value::Array(_)), "a string"),
        Meaning::Boolean => (matches!(value, Value::Bool(_)), "a boolean"),
        Meaning::Integer => (whole, "a whole number"),
        Meaning::Number => (number, "a number"),
        Meaning::IntOrString => (text || whole, "a whole number or a string"),
        Meaning::Quantity | Meaning::CustomQuantity => (text || number, "a quantity"),
    };
    (!fits).then_some(wanted)
}

/// Whether Go may read a text as base64: padded, and line breaks do not count.
fn may_be_base64(text: &str) -> bool {
    let bytes: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let padding = bytes.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    let digits = &bytes[..bytes.len() - padding];
    bytes.len().is_multiple_of(4)
        && digits.iter().all(|byte| matches!(byte, b'+' | b'/') || byte.is_ascii_alphanumeric())
}

/// Whether the Go type keeps whatever JSON it is given (`RawExtension`), though OpenAPI calls it an object.
fn is_any_json(map: MapRef<'_>) -> bool {
    map.atomic()
        && map.any().is_some_and(|any| matches!(any.schema.shape(), Shape::Deduced))
        && map.members().count() == 0
}

fn path(trail: Option<&Trail<'_>>) -> FieldPath {
    let steps = std::iter::successors(trail, |trail| trail.up);
    let mut segments: Vec<Segment> = steps
        .map(|trail| match trail.step {
            Step::Field(name) => Segment::Field(name.into()),
            Step::Item(position) => Segment::Index(position),
        })
        .collect();
    segments.reverse();
    FieldPath(segments)
}
