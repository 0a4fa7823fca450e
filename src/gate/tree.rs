//! How is one place of an object made to stand as it stands in another? Paths followed in two JSON trees at once.
//!
//! Knows no schema: an item is found by the keys that its path gives. Whoever puts something must compare afterwards.

use serde_json::{Map, Value};

use crate::drift::mask::is_scalar;
use crate::drift::path::{FieldPath, Scalar, Segment};

/// What stands at a path; of items with one identity the first.
pub(crate) fn at<'v>(root: &'v Value, path: &FieldPath) -> Option<&'v Value> {
    path.0.iter().try_fold(root, |at, segment| match segment {
        Segment::Field(name) => at.as_object()?.get(&**name),
        Segment::Index(index) => at.as_array()?.get(*index),
        Segment::Key(_) | Segment::Item(_) => at.as_array()?.iter().find(|item| is_item(item, segment)),
    })
}

/// What stands at a path, to be changed.
pub(crate) fn at_mut<'v>(root: &'v mut Value, path: &FieldPath) -> Option<&'v mut Value> {
    path.0.iter().try_fold(root, |at, segment| match segment {
        Segment::Field(name) => at.as_object_mut()?.get_mut(&**name),
        Segment::Index(index) => at.as_array_mut()?.get_mut(*index),
        Segment::Key(_) | Segment::Item(_) => at.as_array_mut()?.iter_mut().find(|item| is_item(item, segment)),
    })
}

/// Makes `path` stand in `root` as it stands in `from`; where that has nothing, it goes. What stands on the way and is of another
/// type than the path says goes with it; `false` where nothing could stand for that.
pub(crate) fn put(root: &mut Value, path: &FieldPath, from: Option<&Value>) -> bool {
    match path.0.as_slice() {
        [] => match from {
            Some(from) => {
                root.clone_from(from);
                true
            }
            None => false,
        },
        segments => put_within(root, segments, from),
    }
}

fn put_within(at: &mut Value, path: &[Segment], from: Option<&Value>) -> bool {
    let [segment, rest @ ..] = path else { return false };
    let fits = match segment {
        Segment::Field(_) => at.is_object(),
        Segment::Key(_) | Segment::Item(_) | Segment::Index(_) => at.is_array(),
    };
    if let (false, Some(from)) = (fits, from) {
        at.clone_from(from);
        return true;
    }
    match (segment, at) {
        (Segment::Field(name), Value::Object(members)) => {
            put_member(members, name, rest, from.and_then(Value::as_object))
        }
        (Segment::Key(_) | Segment::Item(_), Value::Array(items)) => {
            put_item(items, segment, rest, from.and_then(Value::as_array))
        }
        (Segment::Field(_) | Segment::Key(_) | Segment::Item(_) | Segment::Index(_), _) => false,
    }
}

fn put_member(
    members: &mut Map<String, Value>,
    name: &str,
    rest: &[Segment],
    from: Option<&Map<String, Value>>,
) -> bool {
    let source = from.and_then(|from| from.get(name));
    let Some(next) = rest.first() else {
        match source {
            Some(source) => _ = members.insert(name.to_owned(), source.clone()),
            None => _ = members.remove(name),
        }
        return true;
    };
    let has_room = members.get(name).is_some_and(|inner| !inner.is_null());
    match (has_room, source) {
        (false, None | Some(Value::Null)) => return true,
        (false, Some(_)) => _ = members.insert(name.to_owned(), empty(next)),
        (true, _) => {}
    }
    let Some(inner) = members.get_mut(name) else { return false };
    let done = put_within(inner, rest, source);
    // What held nothing else came with it.
    if source.is_none() && is_empty(inner) {
        members.remove(name);
    }
    done
}

fn put_item(items: &mut Vec<Value>, segment: &Segment, rest: &[Segment], from: Option<&Vec<Value>>) -> bool {
    let wanted: Vec<&Value> = from.into_iter().flatten().filter(|item| is_item(item, segment)).collect();
    let first = items.iter().position(|item| is_item(item, segment));
    match (first, wanted.as_slice()) {
        (None, []) => true,
        (Some(first), [only]) if !rest.is_empty() => put_within(&mut items[first], rest, Some(only)),
        (Some(first), []) if !rest.is_empty() => put_within(&mut items[first], rest, None),
        // All of it comes, goes, or stands for what stood there, duplicates included.
        (first, wanted) => {
            let place = first.unwrap_or_else(|| place_of(segment, items, from));
            items.retain(|item| !is_item(item, segment));
            let place = place.min(items.len());
            items.splice(place..place, wanted.iter().map(|item| (*item).clone()));
            true
        }
    }
}

/// Where an item that is missing belongs: behind the last of those that stand before it in `from`.
fn place_of(segment: &Segment, items: &[Value], from: Option<&Vec<Value>>) -> usize {
    let before = from.into_iter().flatten().take_while(|item| !is_item(item, segment));
    let behind = |earlier: &Value| items.iter().position(|item| is_twin(item, earlier, segment)).map(|place| place + 1);
    before.filter_map(behind).max().unwrap_or_default()
}

/// Whether two items are the same one, by the keys that the path of another gives.
fn is_twin(one: &Value, other: &Value, like: &Segment) -> bool {
    match like {
        Segment::Key(keys) => keys.iter().all(|(name, _)| one.get(&**name) == other.get(&**name)),
        Segment::Item(_) | Segment::Field(_) | Segment::Index(_) => one == other,
    }
}

/// Whether an item is the one that a path names. A key that it leaves out stands for its default; the others tell it apart.
fn is_item(item: &Value, segment: &Segment) -> bool {
    match segment {
        Segment::Item(wanted) => is_scalar(item, wanted),
        Segment::Key(keys) => {
            let fits = |(name, wanted): &(Box<str>, Scalar)| item.get(&**name).is_none_or(|it| is_scalar(it, wanted));
            item.is_object() && keys.iter().all(fits) && keys.iter().any(|(name, _)| item.get(&**name).is_some())
        }
        Segment::Field(_) | Segment::Index(_) => false,
    }
}

/// What can hold that step.
fn empty(step: &Segment) -> Value {
    match step {
        Segment::Field(_) => Value::Object(Map::new()),
        Segment::Key(_) | Segment::Item(_) | Segment::Index(_) => Value::Array(Vec::new()),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::gate::tree::{at, put};

    fn after(mut root: Value, path: &str, from: &Value) -> Value {
        assert!(put(&mut root, &path.parse().unwrap(), Some(from)), "{path}");
        root
    }

    #[test]
    fn a_member_comes_back_goes_or_gets_its_value() {
        let from = json!({ "spec": { "a": 1, "deep": { "b": { "c": 2 } } } });
        assert_eq!(
            after(json!({ "spec": { "a": 5, "x": 0 } }), "spec.a", &from),
            json!({ "spec": { "a": 1, "x": 0 } })
        );
        assert_eq!(
            after(json!({ "spec": {} }), "spec.deep.b.c", &from)["spec"],
            json!({ "deep": { "b": { "c": 2 } } })
        );
        assert_eq!(after(json!({ "metadata": { "labels": { "x": "y" } } }), "metadata.labels.x", &from), json!({}));
        assert_eq!(after(json!({ "spec": { "z": 1, "a": 1 } }), "spec.z", &from), json!({ "spec": { "a": 1 } }));
    }

    #[test]
    fn an_item_comes_back_where_it_stood() {
        let from = json!({ "l": [{ "name": "a" }, { "name": "b", "v": 1 }, { "name": "c" }] });
        let written = json!({ "l": [{ "name": "x" }, { "name": "a" }, { "name": "c" }] });
        let names = |value: &Value| {
            let items = value["l"].as_array().unwrap().iter();
            items.map(|item| item["name"].as_str().unwrap().to_owned()).collect::<String>()
        };
        assert_eq!(names(&after(written, "l[name=b]", &from)), "xabc");
        assert_eq!(names(&after(json!({ "l": [{ "name": "c" }] }), "l[name=a]", &from)), "ac");
        assert_eq!(
            after(json!({ "l": [{ "name": "b" }] }), "l[name=b].v", &from)["l"],
            json!([{ "name": "b", "v": 1 }])
        );
        assert_eq!(names(&after(json!({ "l": [{ "name": "a" }, { "name": "y" }] }), "l[name=y]", &from)), "a");
        let twice = json!({ "l": [{ "name": "b", "v": 2 }, { "name": "a" }, { "name": "b", "v": 3 }] });
        assert_eq!(after(twice, "l[name=b]", &from)["l"], json!([{ "name": "b", "v": 1 }, { "name": "a" }]));
        assert_eq!(after(json!({ "s": ["y"] }), r#"s[="x"]"#, &json!({ "s": ["x"] })), json!({ "s": ["x", "y"] }));
    }

    #[test]
    fn what_is_in_the_way_is_told() {
        let path = "spec.a.b".parse().unwrap();
        assert!(!put(&mut json!({ "spec": { "a": 1 } }), &path, Some(&json!({ "spec": {} }))));
        let from = json!({ "spec": { "a": { "b": 1 } } });
        assert_eq!(after(json!({ "spec": { "a": 1 } }), "spec.a.b", &from), from);
        assert_eq!(at(&json!({ "spec": { "a": 1 } }), &path), None);
    }
}
