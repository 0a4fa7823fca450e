//! Who owns a place of an object after it was put back? Whoever owned it before the write: `metadata.managedFields` put back
//! there, and nowhere else.
//!
//! Else whoever wrote what was put back would own it (seen: the server notes owners before any webhook is asked), and a field
//! that Git drops would stay for ever. Source: structured-merge-diff v6, `FieldsV1`.

use serde_json::{Map, Value};

use crate::drift::mask::is_scalar;
use crate::drift::path::{FieldPath, Segment};

/// An owner: the same manager may own by applying and by updating, in several versions, and through subresources.
const OWNER: [&str; 4] = ["manager", "operation", "apiVersion", "subresource"];

/// Puts the ownership of these paths in `object` back to what it is in `before`.
pub(crate) fn put_back(object: &mut Value, before: Option<&Value>, paths: &[FieldPath]) {
    let entries = |object: &Value| object.pointer("/metadata/managedFields").and_then(Value::as_array).cloned();
    let Some(written) = entries(object) else { return };
    let before = before.and_then(entries).unwrap_or_default();
    let mut kept: Vec<Value> = Vec::with_capacity(written.len());
    for mut entry in written {
        let earlier = before.iter().find(|earlier| is_same_owner(earlier, &entry));
        let Some(set) = entry.get_mut("fieldsV1") else { continue };
        for path in paths {
            graft(set, &path.0, earlier.and_then(|earlier| earlier.get("fieldsV1")));
        }
        match earlier.filter(|earlier| earlier.get("fieldsV1") == Some(set)) {
            // It owns what it owned: then the time of that counts, too.
            Some(earlier) => kept.push(earlier.clone()),
            None if is_empty(set) => {}
            None => kept.push(entry),
        }
    }
    // Who lost all he had to this write gets back what was put back.
    for earlier in &before {
        if kept.iter().any(|entry| is_same_owner(entry, earlier)) {
            continue;
        }
        let mut set = Value::Object(Map::new());
        for path in paths {
            graft(&mut set, &path.0, earlier.get("fieldsV1"));
        }
        if let (false, Value::Object(mut entry)) = (is_empty(&set), earlier.clone()) {
            entry.insert("fieldsV1".to_owned(), set);
            kept.push(Value::Object(entry));
        }
    }
    if let Some(entries) = object.pointer_mut("/metadata/managedFields") {
        *entries = Value::Array(kept);
    }
}

/// Makes a set of fields hold at `path` what `from` holds there. What is left without fields goes: an empty set would own the
/// place itself.
fn graft(set: &mut Value, path: &[Segment], from: Option<&Value>) {
    let [segment, rest @ ..] = path else { return };
    let Some(members) = set.as_object_mut() else { return };
    let source = from.and_then(|from| Some((name_of(from, segment)?, from)));
    let source = source.and_then(|(name, from)| Some((from.get(&name)?, name)));
    let own = members.keys().find(|name| is_named(name, segment)).cloned();
    let (source, name) = match (source, own) {
        (Some((source, name)), own) => (Some(source), own.unwrap_or(name)),
        (None, Some(own)) => (None, own),
        (None, None) => return,
    };
    match (rest.is_empty(), source) {
        (true, Some(source)) => _ = members.insert(name, source.clone()),
        (true, None) => _ = members.remove(&name),
        (false, source) => {
            if !members.contains_key(&name) {
                // The place comes back with what it was itself.
                let itself = source.and_then(|source| source.get(".")).map(|dot| (".".to_owned(), dot.clone()));
                members.insert(name.clone(), itself.into_iter().collect::<Map<_, _>>().into());
            }
            graft(&mut members[&name], rest, source);
            if is_empty(&members[&name]) {
                members.remove(&name);
            }
        }
    }
}

pub(crate) fn name_of(set: &Value, segment: &Segment) -> Option<String> {
    set.as_object()?.keys().find(|name| is_named(name, segment)).cloned()
}

/// Whether a member of a set of fields is this step of a path.
fn is_named(name: &str, segment: &Segment) -> bool {
    match (name.split_once(':'), segment) {
        (Some(("f", name)), Segment::Field(field)) => *name == **field,
        (Some(("i", name)), Segment::Index(index)) => name.parse() == Ok(*index),
        (Some(("v", json)), Segment::Item(wanted)) => {
            serde_json::from_str::<Value>(json).is_ok_and(|value| is_scalar(&value, wanted))
        }
        (Some(("k", json)), Segment::Key(keys)) => {
            let named = serde_json::from_str::<Map<String, Value>>(json).unwrap_or_default();
            named.len() == keys.len()
                && keys.iter().all(|(name, wanted)| named.get(&**name).is_some_and(|it| is_scalar(it, wanted)))
        }
        (_, Segment::Field(_) | Segment::Index(_) | Segment::Item(_) | Segment::Key(_)) => false,
    }
}

pub(crate) fn is_same_owner(one: &Value, other: &Value) -> bool {
    OWNER.iter().all(|name| one.get(name) == other.get(name))
}

fn is_empty(set: &Value) -> bool {
    set.as_object().is_none_or(Map::is_empty)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::gate::ownership::put_back;

    fn object(entries: &Value) -> Value {
        json!({ "metadata": { "managedFields": entries } })
    }

    fn entry(manager: &str, time: &str, fields: &Value) -> Value {
        json!({ "manager": manager, "operation": "Apply", "apiVersion": "apps/v1", "time": time, "fieldsV1": fields })
    }

    #[test]
    fn who_took_a_field_by_force_gives_it_back() {
        let before = object(&json!([entry("argocd", "1", &json!({ "f:spec": { "f:replicas": {}, "f:paused": {} } }))]));
        let mut written = object(&json!([
            entry("argocd", "1", &json!({ "f:spec": { "f:paused": {} } })),
            entry("kubectl", "2", &json!({ "f:spec": { "f:replicas": {} } })),
        ]));
        put_back(&mut written, Some(&before), &["spec.replicas".parse().unwrap()]);
        assert_eq!(written, before);
    }

    #[test]
    fn who_lost_all_he_had_is_there_again() {
        let before = object(&json!([entry("argocd", "1", &json!({ "f:spec": { "f:replicas": {} } }))]));
        let took = json!({ "f:spec": { "f:replicas": {}, "f:paused": {} } });
        let mut written = object(&json!([entry("kubectl", "2", &took)]));
        put_back(&mut written, Some(&before), &["spec.replicas".parse().unwrap()]);
        let left = entry("kubectl", "2", &json!({ "f:spec": { "f:paused": {} } }));
        assert_eq!(written, object(&json!([left, before["metadata"]["managedFields"][0]])));
    }

    #[test]
    fn an_item_is_found_by_its_keys() {
        let fields = |port: &Value| json!({ "f:ports": { ".": {}, r#"k:{"port":80,"protocol":"TCP"}"#: port } });
        let before = object(&json!([entry("argocd", "1", &fields(&json!({ ".": {}, "f:port": {} })))]));
        let mut written = object(&json!([entry("kubectl", "2", &fields(&json!({ "f:targetPort": {} })))]));
        put_back(&mut written, Some(&before), &["ports[port=80,protocol=TCP]".parse().unwrap()]);
        assert_eq!(
            written,
            object(&json!([
                entry("kubectl", "2", &json!({ "f:ports": { ".": {} } })),
                before["metadata"]["managedFields"][0],
            ]))
        );
    }
}
