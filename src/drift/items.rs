//! Which item of one list is which item of another? By merge key, or by value in a set; duplicates stay apart.

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::value::RawValue;

use crate::drift::document::{At, Value};
use crate::drift::path::{Scalar, Segment};
use crate::drift::schema::{ListKey, Relation};
use crate::drift::slot::Slot;
use crate::drift::value::{canonical, equal};

/// How the items of a list are told apart, and what an item is.
#[derive(Clone, Copy)]
pub(crate) struct Identity<'s> {
    pub(crate) relation: Relation<'s>,
    pub(crate) item: Slot<'s>,
}

/// A declared item and what stands for it in the object.
pub(crate) enum Match<'d, 'j, 'l, 'k> {
    /// The object has none.
    Missing(At<'d, 'j>),
    /// The object has another number of items with this identity; told once, at the first declared one.
    Several(At<'d, 'j>, Vec<At<'l, 'k>>),
    /// The object has it.
    Pair(At<'d, 'j>, At<'l, 'k>),
}

/// Whether both lists hold items of the same identities at the same positions. No allocation: the usual case.
pub(crate) fn aligned(identity: Identity<'_>, one: At<'_, '_>, other: At<'_, '_>) -> bool {
    let (mut one, mut other) = (one.children(), other.children());
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if same_identity(identity, one, other) => {}
            (Some(_) | None, _) => return false,
        }
    }
}

fn same_identity(identity: Identity<'_>, one: At<'_, '_>, other: At<'_, '_>) -> bool {
    match identity.relation {
        Relation::Atomic => false,
        Relation::Set => equal(one, other),
        // What is no object has no keys, not even by default.
        Relation::Keyed(_) if one.value() != &Value::Object || other.value() != &Value::Object => false,
        Relation::Keyed(keys) => {
            keys.iter().all(|key| match (value_of(key, one), value_of(key, other)) {
                (KeyValue::Given(one), KeyValue::Given(other)) => equal(one, other),
                (KeyValue::Given(given), KeyValue::Default(default))
                | (KeyValue::Default(default), KeyValue::Given(given)) => is_text(given, default),
                (KeyValue::Default(_), KeyValue::Default(_)) => true,
                // An item without any key cannot be told apart by position alone.
                (KeyValue::Absent, _) | (_, KeyValue::Absent) => false,
            })
        }
    }
}

/// A key of an item.
#[derive(Clone, Copy)]
enum KeyValue<'s, 'd, 'j> {
    Given(At<'d, 'j>),
    /// Not given: this stands in for it, as compact JSON.
    Default(&'s str),
    Absent,
}

fn value_of<'s, 'd, 'j>(key: &'s ListKey, item: At<'d, 'j>) -> KeyValue<'s, 'd, 'j> {
    // As it is written, a null or a zero too: the server tells items apart before it makes a default of those.
    match (item.get(&key.name), &key.default) {
        (Some(given), _) => KeyValue::Given(given),
        (None, Some(default)) => KeyValue::Default(default),
        (None, None) => KeyValue::Absent,
    }
}

/// Whether a scalar is this compact JSON, without writing it where it is a string.
fn is_text(at: At<'_, '_>, json: &str) -> bool {
    match at.value() {
        Value::String(text) if !json.contains('\\') => {
            json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) == Some(text.as_ref())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array | Value::Object => {
            canonical(at) == json
        }
    }
}

fn is_empty(key: At<'_, '_>) -> bool {
    match key.value() {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Array | Value::Object => false,
    }
}

/// An item's identity as text: equal for equal identities, and only for them.
pub(crate) fn identity_of(identity: Identity<'_>, item: At<'_, '_>) -> String {
    let Relation::Keyed(keys) = identity.relation else {
        return canonical(item);
    };
    if !matches!(item.value(), Value::Object) {
        return format!("!{}", item.to_json());
    }
    let mut text = String::new();
    for key in keys {
        match value_of(key, item) {
            // The server leaves out what is empty (seen: a ServiceAccount's `secrets`), and tells such items apart no more.
            KeyValue::Given(given) if key.default.is_none() && is_empty(given) => {}
            KeyValue::Given(given) => text.push_str(&canonical(given)),
            KeyValue::Default(default) => text.push_str(default),
            KeyValue::Absent => {}
        }
        // Never part of compact JSON, where control characters are escaped.
        text.push('\u{1f}');
    }
    text
}

/// The items of a list by identity, each with its position.
pub(crate) type ByIdentity<'d, 'j> = FxHashMap<String, Vec<(usize, At<'d, 'j>)>>;

/// Sorts a list's items by identity.
pub(crate) fn by_identity<'d, 'j>(identity: Identity<'_>, list: At<'d, 'j>) -> ByIdentity<'d, 'j> {
    let mut found = ByIdentity::default();
    for (position, item) in list.children().enumerate() {
        found.entry(identity_of(identity, item)).or_default().push((position, item));
    }
    found
}

/// Each declared item with what stands for it, in declared order, and the identities in the order of either side where the
/// object has those that count in another.
pub(crate) fn matches<'d, 'j, 'l, 'k>(
    identity: Identity<'_>,
    declared: At<'d, 'j>,
    live: At<'l, 'k>,
    counts: impl Fn(usize, At<'d, 'j>) -> bool,
) -> (Vec<Match<'d, 'j, 'l, 'k>>, Option<Reordered>) {
    let lives = by_identity(identity, live);
    let declareds = by_identity(identity, declared);
    let mut met: FxHashMap<String, usize> = FxHashMap::default();
    let mut found = Vec::new();
    let mut pairs = Vec::new();
    for (place, item) in declared.children().enumerate() {
        let own = identity_of(identity, item);
        let twins = lives.get(&own).map(Vec::as_slice).unwrap_or_default();
        let occurrence = met.entry(own.clone()).or_default();
        *occurrence += 1;
        let wanted = declareds.get(&own).map_or(1, Vec::len);
        if twins.is_empty() {
            found.push(Match::Missing(item));
        } else if twins.len() == wanted {
            let (position, twin) = twins[*occurrence - 1];
            if counts(place, item) {
                pairs.push((position, item, twin));
            }
            found.push(Match::Pair(item, twin));
        } else if *occurrence == 1 {
            found.push(Match::Several(item, twins.iter().map(|(_, twin)| *twin).collect()));
        }
    }
    if pairs.is_sorted_by_key(|(position, ..)| *position) {
        return (found, None);
    }
    let wanted = pairs.iter().map(|(_, item, _)| label(identity, *item)).collect::<Vec<_>>();
    pairs.sort_by_key(|(position, ..)| *position);
    let standing = pairs.iter().map(|(_, item, _)| label(identity, *item)).collect::<Vec<_>>();
    (found, Some(Reordered { declared: array(&wanted), live: array(&standing) }))
}

/// The declared items' identities in the order of either side, as compact JSON.
pub(crate) struct Reordered {
    pub(crate) declared: String,
    pub(crate) live: String,
}

/// Whether the items that stand in both of two lists, as [`Reordered`] tells them, stand in one order.
pub(crate) fn keep_order(one: &str, other: &str) -> bool {
    let (Some(one), Some(other)) = (told(one), told(other)) else { return false };
    let (in_one, in_other): (FxHashSet<&str>, FxHashSet<&str>) =
        (one.iter().copied().collect(), other.iter().copied().collect());
    one.iter().filter(|item| in_other.contains(*item)).eq(other.iter().filter(|item| in_one.contains(*item)))
}

/// The items that a list tells.
fn told(list: &str) -> Option<Vec<&str>> {
    let items: Vec<&RawValue> = serde_json::from_str(list).ok()?;
    Some(items.into_iter().map(RawValue::get).collect())
}

fn array(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

/// What a person calls an item: its key, its keys as an object, or itself.
fn label(identity: Identity<'_>, item: At<'_, '_>) -> String {
    let Relation::Keyed(keys) = identity.relation else {
        return item.to_json();
    };
    let named = keys.iter().filter_map(|key| match value_of(key, item) {
        KeyValue::Given(given) => Some((&key.name, given.to_json())),
        KeyValue::Default(default) => Some((&key.name, default.to_owned())),
        KeyValue::Absent => None,
    });
    let named = named.collect::<Vec<_>>();
    match named.as_slice() {
        [(_, only)] => only.clone(),
        several => {
            let members = several.iter().map(|(name, json)| format!("{}:{json}", serde_json::Value::from(&***name)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
    }
}

/// How a path names an item: by its keys or itself; by its position where it has no identity.
pub(crate) fn segment(identity: Identity<'_>, position: usize, item: At<'_, '_>) -> Segment {
    match identity.relation {
        Relation::Atomic => Segment::Index(position),
        Relation::Set => scalar(item).map_or(Segment::Index(position), Segment::Item),
        Relation::Keyed(_) if item.value() != &Value::Object => Segment::Index(position),
        Relation::Keyed(keys) => {
            let named = keys.iter().filter_map(|key| {
                let scalar = match value_of(key, item) {
                    KeyValue::Given(given) => scalar(given),
                    KeyValue::Default(default) => serde_json::from_str(default).ok().as_ref().and_then(scalar_of),
                    KeyValue::Absent => None,
                };
                scalar.map(|scalar| (key.name.clone(), scalar))
            });
            let named = named.collect::<Vec<_>>();
            if named.is_empty() { Segment::Index(position) } else { Segment::Key(named) }
        }
    }
}

fn scalar(at: At<'_, '_>) -> Option<Scalar> {
    match at.value() {
        Value::Null => Some(Scalar::Null),
        Value::Bool(value) => Some(Scalar::Bool(*value)),
        Value::Number(_) => Some(Scalar::Number(canonical(at).into())),
        Value::String(text) => Some(Scalar::String(text.as_ref().into())),
        Value::Array | Value::Object => None,
    }
}

fn scalar_of(value: &serde_json::Value) -> Option<Scalar> {
    match value {
        serde_json::Value::Null => Some(Scalar::Null),
        serde_json::Value::Bool(value) => Some(Scalar::Bool(*value)),
        serde_json::Value::Number(number) => Some(Scalar::Number(number.to_string().into())),
        serde_json::Value::String(text) => Some(Scalar::String(text.as_str().into())),
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
    }
}
