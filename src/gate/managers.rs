//! Who owns which fields of an object? What `metadata.managedFields` says, read for whoever brings an object back.
//!
//! Any client can empty or forge it, so nothing is let in or refused by it. Source: structured-merge-diff v6, `FieldsV1`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::drift::path::{FieldPath, Scalar, Segment};
use crate::gate::ownership::name_of;
use crate::gate::tree;

/// A field manager, and how it came by its fields.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Manager {
    /// Its name, as in `kustomize-controller`.
    pub name: String,
    /// How it writes.
    pub operation: Operation,
}

/// How a field manager writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Operation {
    /// By server-side apply: what it leaves out the next time goes.
    Apply,
    /// By any other write: what it wants gone it takes away.
    Update,
}

impl Operation {
    /// As `managedFields` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }

    fn of(entry: &Value) -> Option<Self> {
        match entry.get("operation")?.as_str()? {
            "Apply" => Some(Self::Apply),
            "Update" => Some(Self::Update),
            _ => None,
        }
    }
}

/// Who moved a field last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mover {
    /// The manager's name.
    pub manager: String,
    /// When it wrote last.
    pub time: Option<Timestamp>,
}

/// The entries of `metadata.managedFields`.
pub(crate) fn entries(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten()
}

fn own_entries(object: &Value) -> impl Iterator<Item = &Value> {
    entries(object).filter(|entry| entry.get("subresource").is_none_or(|it| it.as_str() == Some("")))
}

/// The manager that owns most of what `declared` says of `object`, and is not `but`; through no subresource.
pub fn owner(object: &Value, declared: &Value, but: &str) -> Option<Manager> {
    let candidates = own_entries(object).filter_map(|entry| {
        let name = entry.get("manager")?.as_str().filter(|name| *name != but)?;
        let owned = leaves(entry).iter().filter(|path| tree::at(declared, path).is_some()).count();
        let manager = Manager { name: name.to_owned(), operation: Operation::of(entry)? };
        (owned > 0).then_some((owned, manager))
    });
    // Of equals who applies: it is the deployer's way.
    let by_rank = |(owned, manager): &(usize, Manager)| (*owned, manager.operation == Operation::Apply);
    candidates.max_by_key(by_rank).map(|(_, manager)| manager)
}

/// Whether a manager owns a place of an object, or anything within it.
pub fn owns(object: &Value, manager: &Manager, path: &FieldPath) -> bool {
    of(object, manager).any(|entry| entry.get("fieldsV1").and_then(|set| within(set, &path.0)).is_some())
}

/// The places that a manager owns, each of them a leaf of its set.
pub fn owned(object: &Value, manager: &Manager) -> Vec<FieldPath> {
    of(object, manager).flat_map(leaves).collect()
}

/// Whether a manager owns anything of an object.
pub fn is_owner(object: &Value, manager: &Manager) -> bool {
    of(object, manager).next().is_some()
}

/// Whether another than this manager owns a place, or anything within it.
pub fn is_shared(object: &Value, manager: &Manager, path: &FieldPath) -> bool {
    let is_this = |entry: &Value| of(object, manager).any(|own| own == entry);
    let owns = |entry: &Value| entry.get("fieldsV1").and_then(|set| within(set, &path.0)).is_some();
    entries(object).any(|entry| !is_this(entry) && owns(entry))
}

/// The owners of an object without this one; `None` where it is none. Subresources have owners of their own.
pub fn without(object: &Value, manager: &Manager) -> Option<Value> {
    let goes = |entry: &Value| of(object, manager).any(|own| own == entry);
    let kept: Vec<Value> = entries(object).filter(|entry| !goes(entry)).cloned().collect();
    (kept.len() < entries(object).count()).then_some(kept.into())
}

/// The entries that own a place of an object, what is around it as one value, or anything within it; through subresources, too.
pub(crate) fn owners<'v>(object: &'v Value, path: &FieldPath) -> impl Iterator<Item = &'v Value> {
    entries(object).filter(move |entry| entry.get("fieldsV1").and_then(|set| within(set, &path.0)).is_some())
}

/// Who moved a place last: of those that own it the one that wrote last.
pub fn mover(object: &Value, path: &FieldPath) -> Option<Mover> {
    let movers = owners(object, path).filter_map(|entry| {
        let time = entry.get("time").and_then(Value::as_str).and_then(|time| time.parse().ok());
        Some(Mover { manager: entry.get("manager")?.as_str()?.to_owned(), time })
    });
    movers.max_by_key(|mover| mover.time)
}

fn of<'v>(object: &'v Value, manager: &Manager) -> impl Iterator<Item = &'v Value> {
    own_entries(object).filter(move |entry| {
        entry.get("manager").and_then(Value::as_str) == Some(&manager.name)
            && Operation::of(entry) == Some(manager.operation)
    })
}

/// What a set holds at a path; of a path that goes deeper than the set the leaf above.
fn within<'v>(set: &'v Value, path: &[Segment]) -> Option<&'v Value> {
    let [segment, rest @ ..] = path else { return Some(set) };
    let Some(name) = name_of(set, segment) else {
        // A leaf stands for all that is in it.
        return set.as_object().is_some_and(Map::is_empty).then_some(set);
    };
    within(set.get(&name)?, rest)
}

/// The leaves of an entry's set.
fn leaves(entry: &Value) -> Vec<FieldPath> {
    let mut found = Vec::new();
    if let Some(set) = entry.get("fieldsV1") {
        walk(set, &mut Vec::new(), &mut found);
    }
    found
}

fn walk(set: &Value, at: &mut Vec<Segment>, found: &mut Vec<FieldPath>) {
    let members = set.as_object().into_iter().flatten().filter(|(name, _)| *name != ".");
    let mut is_leaf = true;
    for (name, inner) in members {
        let Some(segment) = segment(name) else { continue };
        is_leaf = false;
        at.push(segment);
        walk(inner, at, found);
        at.pop();
    }
    if is_leaf && !at.is_empty() {
        found.push(FieldPath(at.clone()));
    }
}

/// The step that a member of a set names.
fn segment(name: &str) -> Option<Segment> {
    let (kind, rest) = name.split_once(':')?;
    Some(match kind {
        "f" => Segment::Field(rest.into()),
        "i" => Segment::Index(rest.parse().ok()?),
        "v" => Segment::Item(scalar(&serde_json::from_str(rest).ok()?)?),
        "k" => {
            let keys: Map<String, Value> = serde_json::from_str(rest).ok()?;
            let keys: Option<Vec<_>> =
                keys.iter().map(|(name, value)| Some((name.as_str().into(), scalar(value)?))).collect();
            Segment::Key(keys.filter(|keys| !keys.is_empty())?)
        }
        _ => return None,
    })
}

fn scalar(value: &Value) -> Option<Scalar> {
    Some(match value {
        Value::Null => Scalar::Null,
        Value::Bool(value) => Scalar::Bool(*value),
        Value::Number(number) => Scalar::Number(number.to_string().into()),
        Value::String(text) => Scalar::String(text.as_str().into()),
        Value::Array(_) | Value::Object(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object() -> Value {
        let flux = json!({ "f:spec": { "f:replicas": {}, "f:ports": { r#"k:{"port":80,"protocol":"TCP"}"#: { ".": {}, "f:port": {} } } } });
        json!({ "metadata": { "managedFields": [
            { "manager": "flux", "operation": "Apply", "time": "2026-11-30T10:00:00Z", "fieldsV1": flux },
            { "manager": "kubectl", "operation": "Update", "time": "2026-11-30T11:00:00Z", "fieldsV1": { "f:spec": { "f:paused": {} } } },
            { "manager": "kubectl", "operation": "Update", "subresource": "scale", "time": "2026-11-30T12:00:00Z",
              "fieldsV1": { "f:spec": { "f:replicas": {} } } },
        ] } })
    }

    #[test]
    fn the_owner_is_who_owns_most_of_what_is_declared() {
        let declared =
            json!({ "spec": { "replicas": 3, "paused": false, "ports": [{ "port": 80, "protocol": "TCP" }] } });
        let flux = Manager { name: "flux".to_owned(), operation: Operation::Apply };
        assert_eq!(owner(&object(), &declared, "landfast"), Some(flux.clone()));
        let kubectl = Manager { name: "kubectl".to_owned(), operation: Operation::Update };
        assert_eq!(owner(&object(), &declared, "flux"), Some(kubectl));
        assert_eq!(owner(&object(), &json!({ "data": {} }), "landfast"), None);
        assert!(owns(&object(), &flux, &"spec.replicas".parse().unwrap()));
        assert!(!owns(&object(), &flux, &"spec.paused".parse().unwrap()));
        let owned: Vec<_> = owned(&object(), &flux).iter().map(ToString::to_string).collect();
        assert_eq!(owned, ["spec.ports[port=80,protocol=TCP].port", "spec.replicas"]);
    }

    #[test]
    fn who_moved_a_field_is_who_of_its_owners_wrote_last() {
        let moved = |path: &str| mover(&object(), &path.parse().unwrap()).map(|mover| mover.time.unwrap().to_string());
        assert_eq!(moved("spec.replicas").as_deref(), Some("2026-11-30T12:00:00Z"));
        assert_eq!(moved("spec.template"), None);
    }
}
