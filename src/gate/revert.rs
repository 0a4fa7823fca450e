//! What is put back when people's drift is reverted? Each drifted path with the union or list item around it, as it stood before
//! the write; Git's value where that had drifted, too. What is ignored within stays as it is written.
//!
//! What comes out is compared like any write: a revert after which anything still drifts is none.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::drift::declared::Declared;
use crate::drift::path::{FieldPath, Segment};
use crate::gate::aim::Reach;
use crate::gate::case::Case;
use crate::gate::finding::{Certainty, Change};
use crate::gate::message::is_secret;
use crate::gate::optout;
use crate::gate::patch::Rewrite;
use crate::gate::tree;
use crate::gate::verdict::Class;
use crate::gate::write;

/// Members of which the server takes one at a time, or whose parts only make sense together: they go back as a whole.
/// Kubernetes 1.36, `k8s.io/api` (`+union`, and what validation refuses side by side).
const UNIONS: &[&str] = &[
    "appArmorProfile",
    "backend",
    "clientConfig",
    "conversion",
    "defaultBackend",
    "livenessProbe",
    "postStart",
    "preStop",
    "readinessProbe",
    "seccompProfile",
    "startupProbe",
    "strategy",
    "updateStrategy",
];

/// Lists whose items are unions: `value` or `valueFrom`, one source of a volume.
const LISTS_OF_UNIONS: &[&str] = &["env", "volumes"];

/// How often what still drifts is put to Git's value: what stands in the way of one value may be another.
const ROUNDS_MAX: usize = 3;

/// Puts the drift of a write back; `None` where that cannot be done, or leaves any.
pub(crate) fn reverted(case: &Case<'_>, declared: &Declared, changes: &[Change]) -> Option<Rewrite> {
    let mut rewrite = Rewrite::of(case.write.change)?;
    let git = as_written(case, declared, changes)?;
    let drifts: Vec<&Change> = changes.iter().filter(|change| is_certain_drift(case, change)).collect();
    if rewrite.before().is_some() {
        for change in drifts.iter().filter(|change| change.class != Class::Reordered) {
            let path = in_object(case, &scope(&change.path));
            if !rewrite.put_back(&path) {
                return None;
            }
            rewrite.keep(&path, &case.ignored.mask);
        }
    }
    for change in drifts.iter().filter(|change| change.class == Class::Reordered) {
        reorder(&mut rewrite, change)?;
    }
    for _ in 0..ROUNDS_MAX {
        let left = left(case, declared, &rewrite, &drifts)?;
        if left.is_empty() {
            return Some(rewrite);
        }
        for change in left {
            match change.class {
                Class::Reordered => reorder(&mut rewrite, &change)?,
                Class::Drifts | Class::Preexisting | Class::Restores | Class::Undeclared => {
                    let path = union_of(&change.path).unwrap_or_else(|| change.path.clone());
                    let path = in_object(case, &path);
                    if !rewrite.put(&path, &git) {
                        return None;
                    }
                    rewrite.keep(&path, &case.ignored.mask);
                }
            }
        }
    }
    None
}

fn is_certain_drift(case: &Case<'_>, change: &Change) -> bool {
    (change.is_drift() || optout::drifts(case, change)) && change.certainty == Certainty::Known
}

/// What still drifts, and of what was put back that which had drifted before, too.
fn left(case: &Case<'_>, declared: &Declared, rewrite: &Rewrite, drifts: &[&Change]) -> Option<Vec<Change>> {
    let after = RawValue::from_string(rewrite.object().to_string()).ok()?;
    let change = match case.write.change {
        write::Change::Create { .. } => write::Change::Create { after: &after },
        write::Change::Update { before, .. } => write::Change::Update { before, after: &after },
        write::Change::Delete { .. } | write::Change::Connect => return None,
    };
    let finding = case.view().finding(&declared.json, change);
    let was_put_back =
        |path: &FieldPath| drifts.iter().any(|drift| scope(&drift.path).covers(path) || path.covers(&drift.path));
    let is_left = |change: &Change| {
        change.certainty == Certainty::Known
            && match change.class {
                Class::Drifts | Class::Reordered => !case.is_free(change, finding.condemned),
                Class::Preexisting => was_put_back(&change.path),
                Class::Undeclared => optout::drifts(case, change) && !case.is_free(change, finding.condemned),
                Class::Restores => false,
            }
    };
    Some(finding.changes.iter().filter(|change| is_left(change)).cloned().collect())
}

/// Git's object as a write has it: a Scale for `/scale`, a Secret's values all in `data`.
fn as_written(case: &Case<'_>, declared: &Declared, changes: &[Change]) -> Option<Value> {
    let mut git: Value = serde_json::from_slice(&declared.json).ok()?;
    if let Reach::Replicas(path) = &case.aim.reach {
        let replicas = tree::at(&git, path)?.clone();
        return Some(json!({ "spec": { "replicas": replicas } }));
    }
    if is_secret(&case.aim.key) {
        for change in changes {
            if let ([Segment::Field(data), Segment::Field(name)], Some(value)) = (change.path.0.as_slice(), &change.git)
                && **data == *"data"
            {
                let data = git.as_object_mut()?.entry("data").or_insert_with(|| json!({}));
                data.as_object_mut()?.insert(name.to_string(), serde_json::from_str(value).ok()?);
            }
        }
    }
    Some(git)
}

/// Where the review's object has a path of the declared one.
fn in_object(case: &Case<'_>, path: &FieldPath) -> FieldPath {
    match case.aim.reach {
        Reach::Replicas(_) => FieldPath::of(["spec", "replicas"]),
        Reach::Whole | Reach::Metadata | Reach::Nothing(_) => path.clone(),
    }
}

/// The nearest union or list item around a path, else the path itself; of what has no identity, the list that holds it.
pub(crate) fn scope(path: &FieldPath) -> FieldPath {
    let path = addressable(path);
    let is_whole = |segment: &Segment| match segment {
        Segment::Field(name) => UNIONS.contains(&&**name),
        Segment::Key(_) | Segment::Item(_) => true,
        Segment::Index(_) => false,
    };
    let length = path.0.iter().rposition(is_whole).map_or(path.0.len(), |place| place + 1);
    FieldPath(path.0[..length].to_vec())
}

/// The nearest union around a path.
pub(crate) fn union_of(path: &FieldPath) -> Option<FieldPath> {
    let is_union = |place: usize| match (&path.0[place], place.checked_sub(1).map(|up| &path.0[up])) {
        (Segment::Field(name), _) => UNIONS.contains(&&**name),
        (Segment::Key(_), Some(Segment::Field(list))) => LISTS_OF_UNIONS.contains(&&**list),
        (Segment::Key(_) | Segment::Item(_) | Segment::Index(_), _) => false,
    };
    let place = (0..path.0.len()).rev().find(|place| is_union(*place))?;
    Some(FieldPath(path.0[..=place].to_vec()))
}

/// The part of a path that leads through members and items with an identity.
fn addressable(path: &FieldPath) -> FieldPath {
    let length = path.0.iter().position(|segment| matches!(segment, Segment::Index(_))).unwrap_or(path.0.len());
    FieldPath(path.0[..length].to_vec())
}

/// Puts the declared items of a list in Git's order, each in a place of one of them; where nothing but the order was changed,
/// the list is as it was before.
pub(crate) fn reorder(rewrite: &mut Rewrite, change: &Change) -> Option<()> {
    let path = &change.path;
    let items = tree::at(rewrite.object(), path)?.as_array()?;
    let before = rewrite.before().and_then(|before| tree::at(before, path)).and_then(Value::as_array);
    let had_order = change.before.is_none();
    if before.is_some_and(|before| had_order && is_permutation(before, items)) {
        return rewrite.put_back(path).then_some(());
    }
    let order: Vec<Value> = serde_json::from_str(change.git.as_deref()?).ok()?;
    let standing = places(&order, items)?;
    let mut wanted = standing.clone();
    wanted.sort_unstable();
    let mut ordered = items.clone();
    for (place, from) in wanted.into_iter().zip(standing) {
        ordered[place] = items[from].clone();
    }
    rewrite.set(path, Value::Array(ordered)).then_some(())
}

/// Where the items stand that a comparison calls by these labels: themselves, all their keys, or the value of their one key.
fn places(labels: &[Value], items: &[Value]) -> Option<Vec<usize>> {
    let find = |is: &dyn Fn(&Value, &Value) -> bool| {
        let place = |label| items.iter().position(|item| is(item, label));
        labels.iter().map(place).collect::<Option<Vec<usize>>>()
    };
    let by_keys = |item: &Value, label: &Value| {
        label.as_object().is_some_and(|keys| {
            item.is_object() && keys.iter().all(|(name, key)| item.get(name).is_none_or(|own| own == key))
        })
    };
    let names = items.iter().filter_map(Value::as_object).flat_map(|item| item.keys());
    let mut by_one_key = std::iter::once("name").chain(names.map(String::as_str));
    find(&|item, label| item == label)
        .or_else(|| find(&by_keys))
        .or_else(|| by_one_key.find_map(|name| find(&|item, label| item.get(name) == Some(label))))
}

fn is_permutation(one: &[Value], other: &[Value]) -> bool {
    one.len() == other.len() && one.iter().all(|item| other.contains(item))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::gate::revert::{places, scope, union_of};

    #[test]
    fn a_path_goes_back_with_the_union_or_item_around_it() {
        for (path, whole) in [
            ("spec.replicas", "spec.replicas"),
            ("spec.strategy.type", "spec.strategy"),
            ("spec.containers[name=web].image", "spec.containers[name=web]"),
            ("spec.containers[name=web].env[name=A].value", "spec.containers[name=web].env[name=A]"),
            ("spec.containers[name=web].livenessProbe.httpGet.port", "spec.containers[name=web].livenessProbe"),
            (r#"metadata.finalizers[="x"]"#, r#"metadata.finalizers[="x"]"#),
            ("spec.list[0].a", "spec.list"),
        ] {
            assert_eq!(scope(&path.parse().unwrap()).to_string(), whole);
        }
        let union = |path: &str| union_of(&path.parse().unwrap()).map(|union| union.to_string());
        assert_eq!(union("spec.volumes[name=v].emptyDir").as_deref(), Some("spec.volumes[name=v]"));
        assert_eq!(union("spec.containers[name=web].image"), None);
    }

    #[test]
    fn items_are_found_by_whatever_a_comparison_calls_them() {
        let found = |labels: Value, items: Value| places(labels.as_array().unwrap(), items.as_array().unwrap());
        assert_eq!(found(json!(["b", "a"]), json!(["a", "x", "b"])), Some(vec![2, 0]));
        assert_eq!(found(json!(["b", "a"]), json!([{ "name": "a" }, { "name": "b" }])), Some(vec![1, 0]));
        let ports = json!([{ "port": 80 }, { "port": 53, "protocol": "UDP" }]);
        let keys = json!([{ "port": 53, "protocol": "UDP" }, { "port": 80, "protocol": "TCP" }]);
        assert_eq!(found(keys, ports), Some(vec![1, 0]));
        assert_eq!(found(json!(["c"]), json!([{ "name": "a" }])), None);
    }
}
