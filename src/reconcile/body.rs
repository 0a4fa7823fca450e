//! What is sent to bring an object back? The declaration, with what is to stay as it is and what its owner says besides.
//!
//! Pure; it may be a Secret's, so nothing of it is ever printed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::drift::declared::ObjectKey;
use crate::drift::path::{FieldPath, Segment};
use crate::gate::finding::Change;
use crate::gate::managers::{self, Manager};
use crate::gate::message::is_secret;
use crate::gate::patch::Rewrite;
use crate::gate::revert::{reorder, scope, union_of};
use crate::gate::tree;
use crate::gate::verdict::Class;
use crate::gate::write;

/// How much of Git's object takes the place of what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Each field that differs.
    Fields,
    /// The nearest union or list item around it.
    Items,
    /// The list that holds it.
    Lists,
}

/// Git's object, as it is sent: with its names, and a Secret's values all in `data`, where every owner finds them again.
pub fn declared(key: &ObjectKey, manifest: &[u8], carried: &[(FieldPath, Value)]) -> Option<Value> {
    let mut object: Value = serde_json::from_slice(manifest).ok()?;
    let metadata = object.as_object_mut()?.entry("metadata").or_insert_with(|| json!({})).as_object_mut()?;
    metadata.insert("name".to_owned(), key.name().into());
    if !key.namespace().is_empty() {
        metadata.insert("namespace".to_owned(), key.namespace().into());
    }
    if is_secret(key) {
        fold(object.as_object_mut()?);
    }
    for (path, value) in carried {
        if let Some(place) = tree::at_mut(&mut object, path) {
            place.clone_from(value);
        }
    }
    Some(object)
}

/// `stringData` wins over `data`, as on the server.
fn fold(secret: &mut Map<String, Value>) {
    let Some(Value::Object(texts)) = secret.remove("stringData") else { return };
    let data = secret.entry("data").or_insert_with(|| json!({}));
    if data.is_null() {
        *data = json!({});
    }
    let Some(data) = data.as_object_mut() else { return };
    for (name, text) in texts {
        let text = text.as_str().unwrap_or_default();
        data.insert(name, STANDARD.encode(text).into());
    }
}

/// What is applied over an object, as this manager.
///
/// What is to stay is said only where the manager owns it already, at its live value: left out it would go, and said anew it
/// would get one more owner. What else another manager owns (its labels and annotations) it says again, too.
pub fn applied(git: &Value, live: &Value, kept: &[FieldPath], by: &Manager, own: &str) -> Value {
    let mut body = git.clone();
    for path in kept {
        let from = managers::owns(live, by, path).then_some(live);
        tree::put(&mut body, path, from);
    }
    if by.name != own {
        for path in managers::owned(live, by) {
            if tree::at(&body, &path).is_none() && tree::at(live, &path).is_some() {
                tree::put(&mut body, &path, Some(live));
            }
        }
    }
    of_this(&mut body, live);
    body
}

/// What this manager applied, Git does not say any more, and somebody else owns as well: left out of an apply it would stay. An item
/// goes as a whole.
pub fn dropped(git: &Value, live: &Value, kept: &[FieldPath], by: &Manager) -> Vec<FieldPath> {
    let is_kept = |path: &FieldPath| kept.iter().any(|kept| kept.covers(path) || path.covers(kept));
    let left = managers::owned(live, by)
        .into_iter()
        .filter(|path| tree::at(git, path).is_none() && !is_kept(path) && managers::is_shared(live, by, path));
    let mut dropped: Vec<FieldPath> = left.map(|path| gone(git, path)).collect();
    dropped.sort();
    dropped.dedup();
    dropped
}

/// The item, if one around a path is gone from Git's object, else the path.
fn gone(git: &Value, path: FieldPath) -> FieldPath {
    let is_gone = |length: &usize| {
        matches!(path.0[*length - 1], Segment::Key(_) | Segment::Item(_))
            && tree::at(git, &FieldPath(path.0[..*length].to_vec())).is_none()
    };
    match (1..=path.0.len()).find(is_gone) {
        Some(length) => FieldPath(path.0[..length].to_vec()),
        None => path,
    }
}

/// The live object with Git's values where it differs; `None` where they cannot be put.
pub fn replaced(git: &Value, live: &RawValue, drift: &[Change], extent: Extent) -> Option<Value> {
    let mut rewrite = Rewrite::of(write::Change::Create { after: live })?;
    for change in drift {
        if change.class == Class::Reordered {
            reorder(&mut rewrite, change)?;
            continue;
        }
        let path = match extent {
            Extent::Fields => change.path.clone(),
            Extent::Items => union_of(&change.path).unwrap_or_else(|| scope(&change.path)),
            Extent::Lists => list_of(&change.path),
        };
        if !rewrite.put(&path, git) {
            return None;
        }
    }
    Some(rewrite.object().clone())
}

/// The nearest list around a path, else the nearest union, else the path.
fn list_of(path: &FieldPath) -> FieldPath {
    let is_item = |segment: &Segment| match segment {
        Segment::Key(_) | Segment::Item(_) | Segment::Index(_) => true,
        Segment::Field(_) => false,
    };
    match path.0.iter().rposition(is_item) {
        Some(place) => FieldPath(path.0[..place].to_vec()),
        None => union_of(path).unwrap_or_else(|| scope(path)),
    }
}

/// The live object without these places.
pub fn without(live: &Value, paths: &[FieldPath]) -> Value {
    let mut object = live.clone();
    for path in paths {
        tree::put(&mut object, path, None);
    }
    object
}

/// Holds what is sent to the object that was seen: to another one, or a later version of it, it does nothing.
fn of_this(body: &mut Value, live: &Value) {
    for name in ["uid", "resourceVersion"] {
        if let Some(value) = live.pointer(&format!("/metadata/{name}")) {
            body["metadata"][name] = value.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gate::managers::Operation;

    fn live(manager: &str) -> Value {
        let fields = json!({ "f:metadata": { "f:labels": { "f:tool": {} } }, "f:spec": { "f:replicas": {} } });
        json!({
            "metadata": { "name": "web", "uid": "u", "resourceVersion": "7", "labels": { "tool": "x", "mine": "y" },
                "managedFields": [{ "manager": manager, "operation": "Apply", "fieldsV1": fields }] },
            "spec": { "replicas": 5, "paused": true },
        })
    }

    fn manager(name: &str) -> Manager {
        Manager { name: name.to_owned(), operation: Operation::Apply }
    }

    #[test]
    fn what_stays_is_said_only_by_who_owns_it() {
        let git = json!({ "metadata": { "name": "web" }, "spec": { "replicas": 3, "paused": false } });
        let kept = ["spec.replicas".parse().unwrap(), "spec.paused".parse().unwrap()];
        let body = applied(&git, &live("landfast"), &kept, &manager("landfast"), "landfast");
        assert_eq!(body["spec"], json!({ "replicas": 5 }));
        assert_eq!(body["metadata"], json!({ "name": "web", "uid": "u", "resourceVersion": "7" }));
    }

    #[test]
    fn what_another_manager_says_besides_it_says_again() {
        let git = json!({ "metadata": { "name": "web" }, "spec": { "replicas": 3 } });
        let body = applied(&git, &live("flux"), &[], &manager("flux"), "landfast");
        assert_eq!(body["metadata"]["labels"], json!({ "tool": "x" }));
        assert_eq!(body["spec"], json!({ "replicas": 3 }));
        // What Landfast applied and Git dropped is to go.
        let body = applied(&git, &live("landfast"), &[], &manager("landfast"), "landfast");
        assert_eq!(body["metadata"].get("labels"), None);
    }

    #[test]
    fn what_git_dropped_and_others_own_too_is_taken_away() {
        let item = r#"k:{"name":"side"}"#;
        let fields = |more: &Value| json!({ "f:spec": { "f:list": { item: more }, "f:gone": {}, "f:said": {} } });
        let entry = |manager: &str, operation: &str, fields: &Value| json!({ "manager": manager, "operation": operation, "fieldsV1": fields });
        let both = json!({ ".": {}, "f:name": {}, "f:image": {} });
        let mut live = json!({
            "metadata": { "managedFields": [
                entry("landfast", "Apply", &fields(&both)), entry("kubectl", "Update", &fields(&both)),
            ] },
            "spec": { "list": [{ "name": "side", "image": "x", "by": "default" }], "gone": 1, "said": 2 },
        });
        let git = json!({ "spec": { "said": 2, "list": [] } });
        let paths = |live: &Value| {
            let dropped = dropped(&git, live, &[], &manager("landfast"));
            dropped.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(paths(&live), ["spec.gone", "spec.list[name=side]"]);
        // What nobody else owns goes with the apply.
        live["metadata"]["managedFields"].as_array_mut().unwrap().pop();
        assert_eq!(paths(&live), [""; 0]);
    }

    #[test]
    fn a_secret_is_sent_with_all_its_values_in_data() {
        let key = ObjectKey::new("", "Secret", "shop", "key");
        let manifest = br#"{"data":{"a":"eA==","b":"eA=="},"stringData":{"b":"y"}}"#;
        let object = declared(&key, manifest, &[]).unwrap();
        assert_eq!(object["data"], json!({ "a": "eA==", "b": "eQ==" }));
        assert_eq!(object.get("stringData"), None);
        assert_eq!(object["metadata"], json!({ "name": "key", "namespace": "shop" }));
    }

    #[test]
    fn a_whole_item_takes_the_place_of_what_stands_in_the_way() {
        let live = r#"{"spec":{"env":[{"name":"A","value":"x"},{"name":"B"}]}}"#;
        let live = RawValue::from_string(live.to_owned()).unwrap();
        let git = json!({ "spec": { "env": [{ "name": "A", "valueFrom": { "fieldRef": {} } }] } });
        let change = Change {
            path: "spec.env[name=A].valueFrom".parse().unwrap(),
            class: Class::Drifts,
            certainty: crate::gate::finding::Certainty::Known,
            git: None,
            before: None,
            written: None,
            node: 0,
        };
        let items = replaced(&git, &live, std::slice::from_ref(&change), Extent::Items).unwrap();
        assert_eq!(items["spec"]["env"], json!([{ "name": "A", "valueFrom": { "fieldRef": {} } }, { "name": "B" }]));
        let lists = replaced(&git, &live, &[change], Extent::Lists).unwrap();
        assert_eq!(lists["spec"], git["spec"]);
    }
}
