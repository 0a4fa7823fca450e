//! What is left out of a comparison? Fields that somebody ignores, masked on both sides.
//!
//! A field that a pattern names is not compared at all. Where a pattern leads into a value that is compared as a whole (an atomic
//! list or map), what it names there is taken out of both sides first: of a list by position only where both are equally long.

use std::cell::Cell;

use serde_json::{Map, Value};

use crate::drift::document::{At, Document};
use crate::drift::path::{FieldPath, Pattern, Scalar, Segment, Step};

/// Patterns of fields that are left out, each with whether it left out anything so far.
#[derive(Debug, Clone, Default)]
pub struct Mask<'p>(Vec<(&'p Pattern, Cell<bool>)>);

/// Two values, as compact JSON, without what is left out of both; absent where there is none.
#[derive(Debug)]
pub(crate) struct Masked {
    pub(crate) one: Option<String>,
    pub(crate) other: Option<String>,
}

impl Masked {
    /// Both, read.
    pub(crate) fn documents(&self) -> [Option<Document<'_>>; 2] {
        [document(self.one.as_deref()), document(self.other.as_deref())]
    }
}

/// Of a part of what was a document before: it can be read.
fn document(json: Option<&str>) -> Option<Document<'_>> {
    json.and_then(|json| Document::parse_value(json.as_bytes()).ok())
}

impl<'p> Mask<'p> {
    /// Leaves out what these patterns name.
    pub fn of(patterns: impl IntoIterator<Item = &'p Pattern>) -> Self {
        Self(patterns.into_iter().map(|pattern| (pattern, Cell::new(false))).collect())
    }

    /// Whether it leaves out nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether each pattern, in the order given, left out something that differed.
    pub fn used(&self) -> impl Iterator<Item = bool> {
        self.0.iter().map(|(_, used)| used.get())
    }

    /// Whether all at this path is left out; who says so has left out something that differs.
    pub fn covers(&self, path: &FieldPath) -> bool {
        let mut covering = self.0.iter().filter(|(pattern, _)| pattern.matches(path)).peekable();
        let found = covering.peek().is_some();
        covering.for_each(|(_, used)| used.set(true));
        found
    }

    /// Whether all at this path would be left out.
    pub(crate) fn would_cover(&self, path: &FieldPath) -> bool {
        self.0.iter().any(|(pattern, _)| pattern.matches(path))
    }

    /// What is left of two values at a path that differ as a whole; `None` where no pattern leads into them.
    pub(crate) fn within(
        &self,
        path: &FieldPath,
        one: Option<At<'_, '_>>,
        other: Option<At<'_, '_>>,
    ) -> Option<Masked> {
        let steps: Vec<&[Step]> = self.0.iter().filter_map(|(pattern, _)| pattern.beneath(path)).collect();
        if steps.is_empty() {
            return None;
        }
        let (mut one, mut other) = (read(one), read(other));
        for steps in steps {
            leave_out(&mut one, &mut other, steps);
        }
        let json = |value: Option<Value>| value.map(|value| value.to_string());
        Some(Masked { one: json(one), other: json(other) })
    }

    /// Makes what is left out beneath a path stand in `to` as it stands in `from`, both the value at that path; nothing else of it.
    pub(crate) fn keep(&self, path: &FieldPath, to: &mut Value, from: &Value) {
        for steps in self.0.iter().filter_map(|(pattern, _)| pattern.beneath(path)) {
            keep(to, from, steps);
        }
    }

    /// Notes that what leads beneath a path made the values there equal.
    pub(crate) fn settled(&self, path: &FieldPath) {
        let leading = self.0.iter().filter(|(pattern, _)| pattern.beneath(path).is_some());
        leading.for_each(|(_, used)| used.set(true));
    }
}

fn read(at: Option<At<'_, '_>>) -> Option<Value> {
    // What a document writes is JSON.
    at.and_then(|at| serde_json::from_str(&at.to_json()).ok())
}

/// Takes out of both values what lies at the end of `steps`. A parent that this leaves empty goes where the other side has none.
fn leave_out(one: &mut Option<Value>, other: &mut Option<Value>, steps: &[Step]) {
    match (&mut *one, &mut *other) {
        (Some(one), Some(other)) => mask(one, other, steps),
        (Some(_), None) => leave_out_alone(one, steps),
        (None, Some(_)) => leave_out_alone(other, steps),
        (None, None) => {}
    }
}

fn leave_out_alone(only: &mut Option<Value>, steps: &[Step]) {
    let Some(value) = only else { return };
    let was_filled = !is_bare(value);
    let mut nothing = if value.is_array() { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
    mask(value, &mut nothing, steps);
    if was_filled && is_bare(value) {
        *only = None;
    }
}

fn is_bare(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn mask(one: &mut Value, other: &mut Value, steps: &[Step]) {
    let Some((step, rest)) = steps.split_first() else { return };
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let names = one.keys().chain(other.keys()).filter(|name| names(step, name));
            for name in names.cloned().collect::<Vec<_>>() {
                let (mut mine, mut theirs) = (one.remove(&name), other.remove(&name));
                if !rest.is_empty() {
                    leave_out(&mut mine, &mut theirs, rest);
                    one.extend(mine.map(|value| (name.clone(), value)));
                    other.extend(theirs.map(|value| (name, value)));
                }
            }
        }
        (Value::Array(one), Value::Array(other)) => items(one, other, step, rest),
        (_, _) => {}
    }
}

fn items(one: &mut Vec<Value>, other: &mut Vec<Value>, step: &Step, rest: &[Step]) {
    match step {
        Step::Is(segment @ (Segment::Key(_) | Segment::Item(_))) if rest.is_empty() => {
            one.retain(|item| !is_named(segment, item));
            other.retain(|item| !is_named(segment, item));
        }
        Step::Is(segment @ (Segment::Key(_) | Segment::Item(_))) => {
            let count = |items: &[Value]| items.iter().filter(|item| is_named(segment, item)).count();
            if count(one) == count(other) {
                let twins = other.iter_mut().filter(|item| is_named(segment, item));
                let pairs = one.iter_mut().filter(|item| is_named(segment, item)).zip(twins);
                pairs.for_each(|(one, other)| mask(one, other, rest));
            }
        }
        Step::AnyItem | Step::Is(Segment::Index(_)) if one.len() == other.len() => {
            for (position, (one, other)) in one.iter_mut().zip(other).enumerate() {
                match step {
                    Step::Is(Segment::Index(wanted)) if *wanted != position => {}
                    _ if rest.is_empty() => (*one, *other) = (Value::Null, Value::Null),
                    _ => mask(one, other, rest),
                }
            }
        }
        Step::AnyItem | Step::AnyField | Step::Is(Segment::Index(_) | Segment::Field(_)) => {}
    }
}

/// Copies what lies at the end of `steps`. Items are paired as they are where they are left out.
fn keep(to: &mut Value, from: &Value, steps: &[Step]) {
    let Some((step, rest)) = steps.split_first() else { return to.clone_from(from) };
    match (to, from) {
        (Value::Object(to), Value::Object(from)) => {
            let known = to.keys().chain(from.keys()).filter(|name| names(step, name));
            for name in known.cloned().collect::<Vec<_>>() {
                match (to.get_mut(&name), from.get(&name)) {
                    (Some(to), Some(from)) => keep(to, from, rest),
                    (None, Some(from)) if rest.is_empty() => _ = to.insert(name, from.clone()),
                    (Some(_), None) if rest.is_empty() => _ = to.remove(&name),
                    (Some(_) | None, None) | (None, Some(_)) => {}
                }
            }
        }
        (Value::Array(to), Value::Array(from)) => {
            let alike = to.len() == from.len();
            let is_meant = |place: usize, item: &Value| match step {
                Step::Is(segment @ (Segment::Key(_) | Segment::Item(_))) => is_named(segment, item),
                Step::Is(Segment::Index(wanted)) => alike && *wanted == place,
                Step::AnyItem => alike,
                Step::AnyField | Step::Is(Segment::Field(_)) => false,
            };
            let places = |items: &[Value]| -> Vec<usize> {
                items
                    .iter()
                    .enumerate()
                    .filter(|(place, item)| is_meant(*place, item))
                    .map(|(place, _)| place)
                    .collect()
            };
            let (mine, theirs) = (places(to), places(from));
            if mine.len() == theirs.len() {
                mine.into_iter().zip(theirs).for_each(|(mine, theirs)| keep(&mut to[mine], &from[theirs], rest));
            }
        }
        (_, _) => {}
    }
}

fn names(step: &Step, name: &str) -> bool {
    match step {
        Step::AnyField => true,
        Step::Is(Segment::Field(wanted)) => **wanted == *name,
        Step::AnyItem | Step::Is(Segment::Key(_) | Segment::Item(_) | Segment::Index(_)) => false,
    }
}

fn is_named(segment: &Segment, item: &Value) -> bool {
    match segment {
        Segment::Item(wanted) => is_scalar(item, wanted),
        Segment::Key(keys) => {
            keys.iter().all(|(name, wanted)| item.get(&**name).is_some_and(|value| is_scalar(value, wanted)))
        }
        Segment::Field(_) | Segment::Index(_) => false,
    }
}

/// Whether a value is the scalar that a path names.
pub(crate) fn is_scalar(value: &Value, wanted: &Scalar) -> bool {
    match (value, wanted) {
        (Value::Null, Scalar::Null) => true,
        (Value::Bool(value), Scalar::Bool(wanted)) => value == wanted,
        (Value::Number(number), Scalar::Number(wanted)) => number.to_string() == **wanted,
        (Value::String(text), Scalar::String(wanted)) => **text == **wanted,
        (_, Scalar::Null | Scalar::Bool(_) | Scalar::Number(_) | Scalar::String(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(pattern: &str, one: &str, other: &str) -> (String, String) {
        let pattern: Pattern = pattern.parse().unwrap();
        let mask = Mask::of([&pattern]);
        let (one, other) = (Document::parse(one.as_bytes()).unwrap(), Document::parse(other.as_bytes()).unwrap());
        let path = FieldPath::of(["at"]);
        let masked = mask.within(&path, one.root().get("at"), other.root().get("at")).unwrap();
        (masked.one.unwrap_or_default(), masked.other.unwrap_or_default())
    }

    fn both(one: &str, other: &str) -> (String, String) {
        (one.to_owned(), other.to_owned())
    }

    #[test]
    fn what_a_pattern_names_goes_from_both_sides() {
        let found = masked("at.x", r#"{"at":{"x":1,"y":2}}"#, r#"{"at":{"y":3}}"#);
        assert_eq!(found, both(r#"{"y":2}"#, r#"{"y":3}"#));
        let found = masked("at.*.x", r#"{"at":{"a":{"x":1,"y":2}}}"#, r#"{"at":{"a":{"x":3}}}"#);
        assert_eq!(found, both(r#"{"a":{"y":2}}"#, r#"{"a":{}}"#));
    }

    #[test]
    fn items_are_paired_by_position_only_at_equal_length() {
        let equal = masked("at[*].x", r#"{"at":[{"x":1},{"x":2,"y":1}]}"#, r#"{"at":[{"x":3},{"y":2}]}"#);
        assert_eq!(equal, both(r#"[{},{"y":1}]"#, r#"[{},{"y":2}]"#));
        let longer = masked("at[*].x", r#"{"at":[{"x":1}]}"#, r#"{"at":[{"x":3},{"x":4}]}"#);
        assert_eq!(longer, both(r#"[{"x":1}]"#, r#"[{"x":3},{"x":4}]"#));
        let one = masked("at[1]", r#"{"at":[1,2]}"#, r#"{"at":[3,4]}"#);
        assert_eq!(one, both("[1,null]", "[3,null]"));
    }

    #[test]
    fn items_that_are_named_go_whatever_the_length() {
        let found = masked("at[name=a]", r#"{"at":[{"name":"a"},{"name":"b"}]}"#, r#"{"at":[{"name":"b"}]}"#);
        assert_eq!(found, both(r#"[{"name":"b"}]"#, r#"[{"name":"b"}]"#));
        let found = masked("at[name=a].v", r#"{"at":[{"name":"a","v":1}]}"#, r#"{"at":[1,{"name":"a","v":2}]}"#);
        assert_eq!(found, both(r#"[{"name":"a"}]"#, r#"[1,{"name":"a"}]"#));
        assert_eq!(masked(r#"at[="x"]"#, r#"{"at":["x","y"]}"#, r#"{"at":["y"]}"#), both(r#"["y"]"#, r#"["y"]"#));
    }

    #[test]
    fn what_is_left_out_is_kept_and_nothing_else() {
        let kept = |pattern: &str, to: &str, from: &str| {
            let pattern: Pattern = pattern.parse().unwrap();
            let mut value = serde_json::from_str(to).unwrap();
            Mask::of([&pattern]).keep(&FieldPath::of(["at"]), &mut value, &serde_json::from_str(from).unwrap());
            value.to_string()
        };
        assert_eq!(kept("at[*].x", r#"[{"x":1,"y":1}]"#, r#"[{"x":2,"y":2}]"#), r#"[{"x":2,"y":1}]"#);
        assert_eq!(kept("at[*].x", r#"[{"y":1}]"#, r#"[{"x":2,"y":2}]"#), r#"[{"x":2,"y":1}]"#);
        assert_eq!(kept("at[*].x", r#"[{"x":1}]"#, r#"[{"y":2}]"#), "[{}]");
        assert_eq!(kept("at[*].x", r#"[{"x":1}]"#, r#"[{"x":2},{"x":3}]"#), r#"[{"x":1}]"#);
        assert_eq!(kept("at[1]", "[1,2]", "[3,4]"), "[1,4]");
        let (to, from) = (r#"[{"name":"a","v":1}]"#, r#"[{"name":"b","v":2},{"name":"a","v":3}]"#);
        assert_eq!(kept("at[name=a].v", to, from), r#"[{"name":"a","v":3}]"#);
        assert_eq!(
            kept("at.*.x", r#"{"a":{"x":1,"y":1}}"#, r#"{"a":{"x":2,"y":2},"b":{"x":3}}"#),
            r#"{"a":{"x":2,"y":1}}"#
        );
        assert_eq!(kept("elsewhere", "[1]", "[2]"), "[1]");
    }

    #[test]
    fn a_parent_left_empty_is_no_difference() {
        assert_eq!(masked("at.a.x", r#"{"at":{"a":{"x":1}}}"#, r#"{"at":{}}"#), both("{}", "{}"));
        assert_eq!(masked("at.a.x", r#"{"at":{"a":{}}}"#, r#"{"at":{}}"#), both(r#"{"a":{}}"#, "{}"));
    }
}
