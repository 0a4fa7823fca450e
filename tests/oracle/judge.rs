//! What did the server change? Read from its own answer: the fresh manager's `managedFields` say which paths are declared, the
//! object before and after the dry-run what became of them.
//!
//! Shares no code with the engine: JSON as `serde_json` has it, and a reader of FieldsV1 of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::offer::Offer;

/// The manager that applies declarations; it owns nothing.
pub const JUDGE: &str = "oracle-judge";

/// One step of a path, as FieldsV1 has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// A member.
    Field(String),
    /// An item by its keys, each as compact JSON.
    Key(BTreeMap<String, String>),
    /// An item of a set, as compact JSON.
    Item(String),
    /// A position.
    Index(usize),
}

/// Where a value stands.
pub type Path = Vec<Step>;

/// A path for people.
pub struct Shown<'p>(pub &'p [Step]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if at == 0 => write!(f, "{name}")?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Key(keys) => {
                    let keys: Vec<_> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
                    write!(f, "[{}]", keys.join(","))?;
                }
                Step::Item(value) => write!(f, "[={value}]")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// What the server says of a declaration and an object.
#[derive(Debug, Default)]
pub struct Judgement {
    /// Declared paths whose value changed.
    pub changed: BTreeSet<Path>,
    /// Lists whose declared items changed their order.
    pub moved: BTreeSet<Path>,
}

/// A member of a field set: where, and whether something is declared beneath it.
struct Member {
    path: Path,
    is_leaf: bool,
}

/// What stands before and after, and the schema that says how list items are told apart.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    /// The object as it was stored.
    pub before: &'a Value,
    /// What the dry-run made of it.
    pub after: &'a Value,
    /// The kind's schema.
    pub offer: Offer<'a>,
    /// Whether the kind is a custom resource, whose values stay as they are written.
    pub custom: bool,
}

/// Judges by the field set of `manager`; `None` where the answer has none, though something may be declared.
pub fn judge(sides: Sides<'_>, manager: &str, skip: impl Fn(&[Step]) -> bool) -> Option<Judgement> {
    let managers = sides.after["metadata"]["managedFields"].as_array()?;
    let own = managers.iter().find(|entry| entry["manager"] == manager && entry["operation"] == "Apply");
    let mut members = Vec::new();
    if let Some(own) = own {
        read(&own["fieldsV1"], &mut Vec::new(), &mut members);
    }
    // A Secret's `stringData` is never read back: what counts are its entries, in `data`.
    let is_write_only =
        |path: &[Step]| sides.after["kind"] == "Secret" && *path == [Step::Field("stringData".to_owned())];
    members.retain(|member| !skip(&member.path) && !is_write_only(&member.path));
    for member in &mut members {
        sides.fill_keys(&mut member.path);
    }
    let mut judgement = Judgement::default();
    for member in &members {
        if sides.changed(member) {
            judgement.changed.insert(aliased(&member.path, sides.before));
        }
    }
    for (list, items) in lists(&members) {
        if sides.moved(&list, &items) {
            judgement.moved.insert(list);
        }
    }
    Some(judgement)
}

/// A Secret's `stringData` is written into `data`, and never read back.
fn aliased(path: &[Step], object: &Value) -> Path {
    let mut path = path.to_vec();
    if object["kind"] == "Secret"
        && let Some(Step::Field(name)) = path.first_mut().filter(|step| **step == Step::Field("stringData".to_owned()))
    {
        "data".clone_into(name);
    }
    path
}

/// Reads the members of a FieldsV1 tree.
fn read(fields: &Value, way: &mut Path, members: &mut Vec<Member>) {
    for (name, beneath) in fields.as_object().into_iter().flatten() {
        if name == "." {
            members.push(Member { path: way.clone(), is_leaf: false });
            continue;
        }
        let Some(step) = step(name) else { continue };
        way.push(step);
        if beneath.as_object().is_none_or(serde_json::Map::is_empty) {
            members.push(Member { path: way.clone(), is_leaf: true });
        } else {
            read(beneath, way, members);
        }
        way.pop();
    }
}

fn step(name: &str) -> Option<Step> {
    let (prefix, rest) = name.split_once(':')?;
    let json = || serde_json::from_str::<Value>(rest).ok();
    Some(match prefix {
        "f" => Step::Field(rest.to_owned()),
        "k" => Step::Key(json()?.as_object()?.iter().map(|(name, value)| (name.clone(), plain(value))).collect()),
        "v" => Step::Item(plain(&json()?)),
        "i" => Step::Index(rest.parse().ok()?),
        _ => return None,
    })
}

/// Compact JSON; whole numbers without a fraction, so that `1` and `1.0` are the same text.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().unwrap_or_default();
            if float.fract() == 0.0 && float.abs() < 1e15 { format!("{float:.0}") } else { float.to_string() }
        }
        other => other.to_string(),
    }
}

/// The lists of which items are declared, and those items.
fn lists(members: &[Member]) -> BTreeMap<Path, Vec<Step>> {
    let mut lists = BTreeMap::<Path, Vec<Step>>::new();
    for member in members {
        for (at, step) in member.path.iter().enumerate() {
            if matches!(step, Step::Key(_) | Step::Item(_)) {
                let items = lists.entry(member.path[..at].to_vec()).or_default();
                if !items.contains(step) {
                    items.push(step.clone());
                }
            }
        }
    }
    lists
}

impl<'a> Sides<'a> {
    /// Gives keys that the declaration has as null, or of a Go type as zero, the default that the server puts there.
    pub fn fill_keys(self, path: &mut Path) {
        let mut offer = Some(self.offer);
        for step in path {
            match step {
                Step::Field(name) => offer = offer.and_then(|offer| offer.member(name)),
                Step::Item(_) | Step::Index(_) => offer = offer.and_then(Offer::inside),
                Step::Key(keys) => {
                    offer = offer.and_then(Offer::inside);
                    for (name, value) in keys {
                        let default = offer.and_then(|offer| offer.member(name)).and_then(Offer::default);
                        let is_none =
                            value == "null" || !self.custom && matches!(value.as_str(), "\"\"" | "0" | "false");
                        if let Some(default) = default.filter(|_| is_none) {
                            *value = plain(default);
                        }
                    }
                }
            }
        }
    }

    fn changed(self, member: &Member) -> bool {
        let (before, after) = (self.at(self.before, &member.path), self.at(self.after, &member.path));
        if member.is_leaf {
            return before.len() != after.len() || before.iter().zip(&after).any(|(one, other)| !same(one, other));
        }
        before.len() != after.len() || before.iter().zip(&after).any(|(one, other)| sort(one) != sort(other))
    }

    /// What stands at a path: of items that share their keys, all.
    pub fn at(self, object: &'a Value, path: &[Step]) -> Vec<&'a Value> {
        let is_secret = object["kind"] == "Secret" && path.first() == Some(&Step::Field("stringData".to_owned()));
        let mut found = vec![(object, Some(self.offer))];
        for (number, step) in path.iter().enumerate() {
            let mut next = Vec::new();
            for (value, offer) in found {
                match step {
                    Step::Field(name) => {
                        let name = if number == 0 && is_secret { "data" } else { name };
                        let inner = offer.and_then(|offer| offer.member(name));
                        next.extend(value.get(name).map(|value| (value, inner)));
                    }
                    Step::Key(_) | Step::Item(_) | Step::Index(_) => {
                        let inside = offer.and_then(Offer::inside);
                        let items = value.as_array().into_iter().flatten().enumerate();
                        let own = items.filter(|(index, item)| is_item(step, *index, item, offer));
                        next.extend(own.map(|(_, item)| (item, inside)));
                    }
                }
            }
            found = next;
        }
        found.into_iter().map(|(value, _)| value).collect()
    }

    /// Whether the declared items that stand once on both sides stand in another order.
    fn moved(self, list: &[Step], items: &[Step]) -> bool {
        let order = |object| {
            let lists = self.at(object, list);
            let offer = self.offer_at(list);
            let [only] = lists.as_slice() else { return Vec::new() };
            let standing = only.as_array().into_iter().flatten().enumerate();
            standing
                .filter_map(|(index, item)| items.iter().find(|step| is_item(step, index, item, offer)))
                .collect::<Vec<_>>()
        };
        let (before, after) = (order(self.before), order(self.after));
        let once = |order: &[&Step], step: &Step| order.iter().filter(|own| **own == step).count() == 1;
        let kept = |order: &[&'_ Step]| -> Vec<Step> {
            order.iter().filter(|step| once(&before, step) && once(&after, step)).map(|step| (*step).clone()).collect()
        };
        kept(&before) != kept(&after)
    }

    /// The schema at a path.
    pub fn offer_at(self, path: &[Step]) -> Option<Offer<'a>> {
        path.iter().try_fold(self.offer, |offer, step| match step {
            Step::Field(name) => offer.member(name),
            Step::Key(_) | Step::Item(_) | Step::Index(_) => offer.inside(),
        })
    }
}

/// Whether a list's item is the one that a step names. A key that is not given has the schema's default, if there is one.
fn is_item(step: &Step, index: usize, item: &Value, list: Option<Offer<'_>>) -> bool {
    match step {
        Step::Field(_) => false,
        Step::Item(value) => plain(item) == *value,
        Step::Index(wanted) => index == *wanted,
        Step::Key(keys) => {
            let inside = list.and_then(Offer::inside);
            let default = |name: &str| inside.and_then(|inside| inside.member(name)).and_then(Offer::default);
            let value =
                |name: &str| item.get(name).filter(|value| !value.is_null()).or_else(|| default(name)).map(plain);
            let others = list.map(Offer::keys).unwrap_or_default();
            // A Go value without a pointer leaves its zero out.
            let zero = |wanted: &str| matches!(wanted, "\"\"" | "0" | "false" | "null");
            let is = |name: &str, wanted: &String| value(name).map_or(zero(wanted), |value| value == *wanted);
            item.is_object()
                && keys.iter().all(|(name, wanted)| is(name, wanted))
                && others.iter().filter(|name| !keys.contains_key(**name)).all(|name| value(name).is_none())
        }
    }
}

/// The JSON type.
pub fn sort(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

/// Whether two values are the same JSON; numbers numerically.
pub fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(_), Value::Number(_)) => plain(one) == plain(other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| same(value, other)))
        }
        (one, other) => one == other,
    }
}
