//! Does the comparison hold its laws on the schemas of real kinds, whatever stands in the objects?
//!
//! Objects are grown from a schema by a list of choices, so that a failure shrinks with the list. What an apply makes of a
//! declaration and an object is said here once more, in a few lines that share nothing with the engine.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, LazyLock};

use landfast::drift::compare::{Kind, Typing, compare, undeclared};
use landfast::drift::declared::{Declared, Lines, ObjectKey};
use landfast::drift::document::Document;
use landfast::drift::mask::Mask;
use landfast::drift::path::{FieldPath, Pattern, Segment, Step};
use landfast::drift::schema::{ListKey, Meaning, Relation, SchemaRef, Schemas, Shape};
use landfast::gate::basis::{Basis, Entry, Index, SourceId};
use landfast::gate::decide;
use landfast::gate::facts::Facts;
use landfast::gate::verdict::{Ruling, Verdict};
use landfast::gate::write::Write;
use landfast::yaml::documents;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support;

/// The kinds: two built-in ones, and a custom resource with every sort of list and map.
const KINDS: [(&str, &str, &str); 3] =
    [("apps", "v1", "Deployment"), ("", "v1", "Service"), ("landfast.test", "v1", "Shop")];

/// Members that lead to most of what a kind can say: grown more often than others.
const WAYS: [&str; 8] = ["spec", "metadata", "labels", "template", "containers", "env", "ports", "listeners"];

/// Deepest that a grown object goes; a Pod's template has its probes at nine.
const DEPTH_MAX: usize = 12;

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| {
    let text = fs::read_to_string("tests/cases/compare/crd.yaml").unwrap();
    let crd = documents(&text).unwrap().remove(0).to_json();
    Schemas::builtin().with_crd(&serde_json::from_str(&crd).unwrap()).unwrap()
});

fn typing(kind: usize) -> Typing<'static> {
    let (group, version, kind) = KINDS[kind];
    Typing::of(&SCHEMAS, group, version, kind)
}

/// What is left to choose by; nothing left always chooses the first.
pub(crate) struct Choices<'c>(std::slice::Iter<'c, u16>);

/// So many choices, the same for the same seed.
pub(crate) fn chosen(seed: u64, count: usize) -> Vec<u16> {
    // Knuth's MMIX generator; its high bits are the good ones. The first few still look like the seed.
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u16::try_from(state >> 48).unwrap()
    };
    (0..count + 4).map(|_| next()).skip(4).collect()
}

impl<'c> Choices<'c> {
    pub(crate) fn new(all: &'c [u16]) -> Self {
        Self(all.iter())
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.next().map_or(0, |choice| usize::from(*choice) % bound.max(1))
    }

    pub(crate) fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    pub(crate) fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == odds - 1
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = last - self.below(last + 1);
            items.swap(last, other);
        }
    }
}

/// Grows a value of a schema; now and then one that is of another type.
fn grown(schema: SchemaRef<'_>, choices: &mut Choices<'_>, depth: usize) -> Value {
    if depth > 0 && choices.one_in(32) {
        return choices.of(&[json!(null), json!({}), json!([]), json!("x"), json!(1), json!({ "a": 1 }), json!([1])]);
    }
    match schema.shape() {
        Shape::Scalar(meaning) => scalar(meaning, choices),
        Shape::Deduced => deduced(choices, depth),
        Shape::Map(map) => {
            let mut members = Map::new();
            let named: Vec<_> = map.members().collect();
            let mut wanted: Vec<_> =
                named.iter().filter(|(name, _)| WAYS.contains(name) && !choices.one_in(4)).collect();
            wanted.extend((0..choices.below(4)).filter_map(|_| named.get(choices.below(named.len()))));
            for (name, member) in wanted.into_iter().take(if depth >= DEPTH_MAX { 0 } else { named.len() }) {
                members.insert((*name).to_owned(), grown(member.schema, choices, depth + 1));
            }
            if let Some(any) = map.any() {
                for name in ["a", "b.c/d", ""].iter().take(choices.below(4)) {
                    members.insert((*name).to_owned(), grown(any.schema, choices, depth + 1));
                }
            }
            members.into()
        }
        Shape::List { relation, item } => {
            let wanted = if depth >= DEPTH_MAX { 0 } else { choices.below(4) };
            let items = (0..wanted).map(|_| match relation {
                Relation::Keyed(keys) => keyed(keys, item, choices, depth),
                Relation::Set => choices.of(&[json!("a"), json!("b"), json!("c"), json!("d")]),
                Relation::Atomic => grown(item, choices, depth + 1),
            });
            Value::Array(items.collect())
        }
    }
}

fn keyed(keys: &[ListKey], item: SchemaRef<'_>, choices: &mut Choices<'_>, depth: usize) -> Value {
    let mut grown = grown(item, choices, depth + 1);
    if !grown.is_object() {
        grown = json!({});
    }
    for key in keys {
        match &key.default {
            Some(_) if choices.one_in(2) => _ = grown.as_object_mut().unwrap().remove(&*key.name),
            Some(default) if choices.one_in(2) => grown[&*key.name] = serde_json::from_str(default).unwrap(),
            _ => grown[&*key.name] = choices.of(&[json!("a"), json!("b"), json!(80), json!(81)]),
        }
    }
    grown
}

fn scalar(meaning: Meaning, choices: &mut Choices<'_>) -> Value {
    match meaning {
        Meaning::String | Meaning::Integer | Meaning::Number | Meaning::Boolean => choices.of(&[
            json!("a"),
            json!("b"),
            json!(""),
            json!(0),
            json!(1),
            json!(1.5),
            json!(true),
            json!(false),
            json!(null),
        ]),
        Meaning::Quantity | Meaning::CustomQuantity => choices.of(&[
            json!("1"),
            json!("1000m"),
            json!("0"),
            json!("1Gi"),
            json!("1024Mi"),
            json!(1),
            json!("x"),
            json!(0.5),
        ]),
        Meaning::IntOrString => choices.of(&[json!(80), json!("80"), json!("25%"), json!(0), json!("")]),
        Meaning::Time | Meaning::MicroTime | Meaning::CustomTime => {
            choices.of(&[json!("2024-01-01T00:00:00Z"), json!("2024-01-01T01:00:00+01:00"), json!(null), json!("x")])
        }
        Meaning::Duration => choices.of(&[json!("1h"), json!("60m"), json!("1h0m0s"), json!("x")]),
        Meaning::Bytes => choices.of(&[json!("YQ=="), json!("Y\nQ=="), json!(""), json!("?")]),
    }
}

fn deduced(choices: &mut Choices<'_>, depth: usize) -> Value {
    let inner = if depth >= DEPTH_MAX { 0 } else { choices.below(4) };
    match choices.below(4) {
        0 => (0..inner)
            .map(|n| (["a", "b", "c"][n].to_owned(), deduced(choices, depth + 1)))
            .collect::<Map<_, _>>()
            .into(),
        1 => (0..inner).map(|_| deduced(choices, depth + 1)).collect(),
        _ => scalar(Meaning::String, choices),
    }
}

/// What stands where, by its schema: how it merges, and of a list by what its items are told apart.
enum Merge<'s> {
    /// Member by member; the schema of each, `None` where all are deduced.
    Members(Option<SchemaRef<'s>>),
    Items(Relation<'s>, SchemaRef<'s>),
    Whole,
}

fn merge_of(schema: Option<SchemaRef<'_>>) -> Merge<'_> {
    match schema.map(|schema| (schema, schema.shape())) {
        None | Some((_, Shape::Deduced)) => Merge::Members(None),
        Some((schema, Shape::Map(map))) if !map.atomic() => Merge::Members(Some(schema)),
        Some((_, Shape::List { relation: relation @ (Relation::Keyed(_) | Relation::Set), item })) => {
            Merge::Items(relation, item)
        }
        Some((_, Shape::Map(_) | Shape::List { .. } | Shape::Scalar(_))) => Merge::Whole,
    }
}

fn member<'s>(schema: Option<SchemaRef<'s>>, name: &str) -> Option<SchemaRef<'s>> {
    match schema?.shape() {
        Shape::Map(map) => map.member(name).map(|member| member.schema),
        Shape::Scalar(_) | Shape::List { .. } | Shape::Deduced => None,
    }
}

/// What an item is told apart by.
fn identity(relation: Relation<'_>, item: &Value) -> String {
    let Relation::Keyed(keys) = relation else { return item.to_string() };
    let of = |key: &ListKey| match item.get(&*key.name).filter(|given| !given.is_null()) {
        Some(given) => given.to_string(),
        None => key.default.as_deref().unwrap_or_default().to_owned(),
    };
    keys.iter().map(of).collect::<Vec<_>>().join(" ")
}

/// A forced apply by a manager that owns nothing.
fn applied(schema: Option<SchemaRef<'_>>, declared: &Value, live: &Value) -> Value {
    match (merge_of(schema), declared, live) {
        (Merge::Members(_), Value::Null, Value::Object(members)) if !members.is_empty() => live.clone(),
        (Merge::Items(..), Value::Null, Value::Array(items)) if !items.is_empty() => live.clone(),
        (Merge::Members(schema), Value::Object(own), Value::Object(its)) => {
            let mut members = its.clone();
            for (name, value) in own {
                let inner = its.get(name).map_or_else(|| value.clone(), |it| applied(member(schema, name), value, it));
                members.insert(name.clone(), inner);
            }
            members.into()
        }
        (Merge::Items(relation, item), Value::Array(own), Value::Array(its)) => {
            let of = |value: &Value| identity(relation, value);
            let declared: BTreeSet<String> = own.iter().map(of).collect();
            let mut items: Vec<Value> = own
                .iter()
                .map(|value| {
                    let twins: Vec<_> = its.iter().filter(|it| of(it) == of(value)).collect();
                    if let [twin] = twins[..] { applied(Some(item), value, twin) } else { value.clone() }
                })
                .collect();
            items.extend(its.iter().filter(|it| !declared.contains(&of(it))).cloned());
            items.into()
        }
        _ => declared.clone(),
    }
}

/// An item with the keys that another has, so that it stays the same item.
fn with_keys_of(relation: Relation<'_>, item: &Value, other: Value) -> Value {
    let (Relation::Keyed(keys), Value::Object(mut members)) = (relation, other) else { return item.clone() };
    for key in keys {
        match item.get(&*key.name) {
            Some(value) => _ = members.insert(key.name.to_string(), value.clone()),
            None => _ = members.remove(&*key.name),
        }
    }
    members.into()
}

/// A declaration of an object: some of its parts, without duplicates in merged lists, which the server refuses.
fn pruned(schema: Option<SchemaRef<'_>>, value: &Value, choices: &mut Choices<'_>) -> Value {
    match (merge_of(schema), value) {
        (Merge::Members(schema), Value::Object(members)) => {
            let mut kept = Map::new();
            for (name, value) in members {
                if !choices.one_in(8) {
                    kept.insert(name.clone(), pruned(member(schema, name), value, choices));
                }
            }
            kept.into()
        }
        (Merge::Items(relation, item), Value::Array(items)) => {
            let mut met = BTreeSet::new();
            let mut kept = Vec::new();
            for value in items {
                if met.insert(identity(relation, value)) && !choices.one_in(4) {
                    kept.push(with_keys_of(relation, value, pruned(Some(item), value, choices)));
                }
            }
            kept.into()
        }
        _ => value.clone(),
    }
}

/// Another state of an object: here and there a value changed, gone, or moved.
fn altered(schema: Option<SchemaRef<'_>>, value: &Value, choices: &mut Choices<'_>, depth: usize) -> Value {
    if depth > 1 && choices.one_in(6) {
        return match schema {
            Some(schema) => grown(schema, choices, depth),
            None => deduced(choices, depth),
        };
    }
    match (merge_of(schema), value) {
        (Merge::Members(schema), Value::Object(members)) => {
            let mut kept = Map::new();
            for (name, value) in members {
                if depth == 0 || !choices.one_in(12) {
                    kept.insert(name.clone(), altered(member(schema, name), value, choices, depth + 1));
                }
            }
            kept.into()
        }
        (Merge::Items(relation, item), Value::Array(items)) => {
            let alter = |value| with_keys_of(relation, value, altered(Some(item), value, choices, depth + 1));
            let mut items: Vec<_> = items.iter().map(alter).collect();
            if choices.one_in(4) {
                choices.shuffle(&mut items);
            }
            items.into()
        }
        _ => value.clone(),
    }
}

/// The same object with its undeclared items elsewhere among the declared ones.
fn reordered(
    schema: Option<SchemaRef<'_>>,
    declared: Option<&Value>,
    live: &Value,
    choices: &mut Choices<'_>,
) -> Value {
    match (merge_of(schema), live) {
        (Merge::Members(schema), Value::Object(members)) => {
            let mut kept = Map::new();
            for (name, value) in members {
                let own = declared.and_then(|declared| declared.get(name));
                kept.insert(name.clone(), reordered(member(schema, name), own, value, choices));
            }
            kept.into()
        }
        (Merge::Items(relation, item), Value::Array(items)) => {
            let own = |value: &Value| twin(relation, declared, value);
            let (ours, others): (Vec<_>, Vec<_>) = items.iter().partition(|value| own(value).is_some());
            let mut items: Vec<_> =
                ours.into_iter().map(|value| reordered(Some(item), own(value), value, choices)).collect();
            for other in others {
                let at = choices.below(items.len() + 1);
                items.insert(at, other.clone());
            }
            items.into()
        }
        _ => live.clone(),
    }
}

/// The declared item that is told apart by the same.
fn twin<'d>(relation: Relation<'_>, declared: Option<&'d Value>, item: &Value) -> Option<&'d Value> {
    let declared = declared.and_then(Value::as_array).into_iter().flatten();
    declared.into_iter().find(|own| identity(relation, own) == identity(relation, item))
}

/// The same object with members and items that nobody declares. A merged container that is empty, or that a declaration takes
/// for something else, is left as it is: there, what is added is not beside what is declared but in its place.
fn extended(schema: Option<SchemaRef<'_>>, declared: Option<&Value>, live: &Value, choices: &mut Choices<'_>) -> Value {
    let fits = |container: fn(&Value) -> bool| declared.is_none_or(container);
    match (merge_of(schema), live) {
        (Merge::Members(schema), Value::Object(members)) if !members.is_empty() && fits(Value::is_object) => {
            let mut all = members.clone();
            for (name, value) in members {
                let own = declared.and_then(|declared| declared.get(name));
                all[name] = extended(member(schema, name), own, value, choices);
            }
            for name in [names(schema, choices), "another".to_owned()] {
                let is_new = declared.is_none_or(|declared| declared.get(&name).is_none()) && !all.contains_key(&name);
                if is_new && !choices.one_in(2) {
                    let value = member(schema, &name).map_or_else(|| json!("added"), |inner| grown(inner, choices, 3));
                    all.insert(name, value);
                }
            }
            all.into()
        }
        (Merge::Items(relation, item), Value::Array(items)) if !items.is_empty() && fits(Value::is_array) => {
            let extend = |value| {
                let own = twin(relation, declared, value);
                with_keys_of(relation, value, extended(Some(item), own, value, choices))
            };
            let mut all: Vec<_> = items.iter().map(extend).collect();
            let added = match relation {
                Relation::Keyed(keys) => {
                    keys.iter().map(|key| (key.name.to_string(), json!("new"))).collect::<Map<_, _>>().into()
                }
                Relation::Set | Relation::Atomic => json!("new"),
            };
            let at = choices.below(all.len() + 1);
            all.insert(at, added);
            all.into()
        }
        _ => live.clone(),
    }
}

/// The name of some member that a schema has.
fn names(schema: Option<SchemaRef<'_>>, choices: &mut Choices<'_>) -> String {
    let Some(Shape::Map(map)) = schema.map(SchemaRef::shape) else { return "another".to_owned() };
    let named: Vec<_> = map.members().map(|(name, _)| name).collect();
    if named.is_empty() { "another".to_owned() } else { choices.of(&named).to_owned() }
}

/// A value as JSON, members in any order.
fn shuffled(value: &Value, choices: &mut Choices<'_>) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            choices.shuffle(&mut members);
            let written = |(name, value): (&String, &Value)| {
                format!("{}:{}", Value::from(name.as_str()), shuffled(value, choices))
            };
            let members: Vec<_> = members.into_iter().map(written).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| shuffled(item, choices)).collect();
            format!("[{}]", items.join(","))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// What differs, in order.
fn differences(kind: usize, declared: &str, live: &str) -> Vec<(Kind, String)> {
    let (declared, live) = (Document::parse(declared.as_bytes()).unwrap(), Document::parse(live.as_bytes()).unwrap());
    let mut found: Vec<_> =
        compare(typing(kind), &declared, &live).into_iter().map(|it| (it.kind, it.path.to_string())).collect();
    found.sort_by(|one, other| one.1.cmp(&other.1));
    found
}

/// What differs in the eyes of one who ignores these fields.
fn left(pair: &Pair<'_>, patterns: &[Pattern]) -> Vec<(Kind, FieldPath)> {
    let mask = Mask::of(patterns);
    let (declared, live) = (pair.declared.to_string(), pair.live.to_string());
    let (declared, live) = (Document::parse(declared.as_bytes()).unwrap(), Document::parse(live.as_bytes()).unwrap());
    let found = compare(typing(pair.kind).without(&mask), &declared, &live);
    found.into_iter().map(|it| (it.kind, it.path)).collect()
}

/// The pattern with a wildcard in place of its last step.
fn widened(path: &FieldPath) -> Pattern {
    let mut pattern = Pattern::from(path.clone());
    *pattern.0.last_mut().unwrap() = match path.0.last() {
        Some(Segment::Field(_)) => Step::AnyField,
        _ => Step::AnyItem,
    };
    pattern.to_string().parse().unwrap()
}

/// A kind, a declaration and an object, and what is left to choose by.
struct Pair<'c> {
    kind: usize,
    schema: Option<SchemaRef<'static>>,
    declared: Value,
    live: Value,
    choices: Choices<'c>,
}

impl<'c> Pair<'c> {
    fn of(choices: &'c [u16]) -> Self {
        let mut choices = Choices::new(choices);
        let kind = choices.below(KINDS.len());
        let schema = typing(kind).schema;
        let whole = grown(schema.unwrap(), &mut choices, 0);
        let declared = pruned(schema, &whole, &mut choices);
        let live = altered(schema, &whole, &mut choices, 0);
        Self { kind, schema, declared, live, choices }
    }

    fn found(&self) -> Vec<(Kind, String)> {
        differences(self.kind, &self.declared.to_string(), &self.live.to_string())
    }
}

/// A write on an object of a namespace where people's drift is put back.
struct Written {
    basis: Basis,
    review: Value,
}

impl Written {
    fn of(choices: &[u16]) -> Self {
        let mut pair = Pair::of(choices);
        let (group, version, kind) = KINDS[pair.kind];
        let before = altered(pair.schema, &pair.live, &mut pair.choices, 0);
        let named = |mut object: Value| {
            let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
            object["apiVersion"] = api_version.into();
            object["kind"] = kind.into();
            if !object["metadata"].is_object() {
                object["metadata"] = json!({});
            }
            object["metadata"]["name"] = "web".into();
            object["metadata"]["namespace"] = "shop".into();
            object
        };
        let key = ObjectKey::new(group, kind, "shop", "web");
        let declared = Declared {
            key: key.clone(),
            version: version.into(),
            json: named(pair.declared).to_string().into_bytes().into(),
            lines: Lines::default(),
            file: "web.yaml".into(),
            ignored: Box::default(),
        };
        let id = SourceId("shop".into());
        let since = "2026-11-02T12:00:00Z".parse().unwrap();
        let entry = Entry { source: id.clone(), head: Some(Arc::new(declared)), since, past: Arc::default() };
        let index = Index { objects: [(key, entry)].into_iter().collect(), ..Index::default() };
        let mut basis = support::basis(SCHEMAS.clone(), index, id);
        Arc::make_mut(&mut basis.policy).rules[0].drift = Ruling::Revert;
        let resource = SCHEMAS.kind(group, kind).unwrap().resource.clone();
        let review = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u", "operation": "UPDATE", "name": "web", "namespace": "shop",
            "kind": { "group": group, "version": version, "kind": kind },
            "resource": { "group": group, "version": version, "resource": resource },
            "userInfo": { "username": "alice" },
            "object": named(pair.live), "oldObject": named(before),
        }});
        Self { basis, review }
    }

    fn verdict(&self) -> Verdict {
        let review = self.review.to_string();
        let now = "2026-11-02T12:00:00Z".parse().unwrap();
        decide(&Write::parse(review.as_bytes()).unwrap(), &self.basis, &Facts::default(), now).verdict
    }

    /// Changes the object as the API server does.
    fn amend(&mut self, verdict: &Verdict) {
        let patch: json_patch::Patch = serde_json::from_slice(&verdict.patch.to_json()).unwrap();
        json_patch::patch(&mut self.review["request"]["object"], &patch).unwrap();
    }
}

fn choices() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(any::<u16>(), 0..2_000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn an_object_agrees_with_itself(choices in choices()) {
        let Pair { kind, live, mut choices, .. } = Pair::of(&choices);
        let (one, other) = (live.to_string(), shuffled(&live, &mut choices));
        prop_assert_eq!(differences(kind, &one, &other), []);
        let documents = [&one, &other].map(|text| Document::parse(text.as_bytes()).unwrap());
        prop_assert_eq!(undeclared(typing(kind), &Document::default(), &documents[0], &documents[1]), []);
    }

    #[test]
    fn what_was_applied_agrees(choices in choices()) {
        let Pair { kind, schema, declared, live, .. } = Pair::of(&choices);
        let applied = applied(schema, &declared, &live);
        let found = differences(kind, &declared.to_string(), &applied.to_string());
        prop_assert_eq!(found, [], "{} {} {}", declared, live, applied);
    }

    #[test]
    fn the_order_of_members_and_of_undeclared_items_is_nothing(choices in choices()) {
        let mut pair = Pair::of(&choices);
        let found = pair.found();
        let moved = reordered(pair.schema, Some(&pair.declared), &pair.live, &mut pair.choices);
        let (declared, live) = (shuffled(&pair.declared, &mut pair.choices), shuffled(&moved, &mut pair.choices));
        prop_assert_eq!(differences(pair.kind, &declared, &live), found, "{} {}", declared, live);
    }

    #[test]
    fn a_path_as_it_is_printed_can_be_ignored(choices in choices()) {
        let pair = Pair::of(&choices);
        let all = left(&pair, &[]);
        let printed: Vec<Pattern> = all.iter().map(|(_, path)| path.to_string().parse().unwrap()).collect();
        prop_assert_eq!(left(&pair, &printed), []);
        for ((_, path), pattern) in all.iter().zip(&printed) {
            let rest: Vec<_> = all.iter().filter(|(_, other)| !path.covers(other)).cloned().collect();
            let now = left(&pair, std::slice::from_ref(pattern));
            // Without an item the others may stand in their order.
            let ordered = rest.iter().filter(|it| it.0 != Kind::Reordered || now.contains(it)).cloned();
            prop_assert_eq!(&now, &ordered.collect::<Vec<_>>(), "{} {} {}", path, pair.declared, pair.live);
            prop_assert!(!left(&pair, &[widened(path)]).iter().any(|(_, other)| path.covers(other)));
        }
    }

    #[test]
    fn undeclared_changes_as_they_are_printed_can_be_ignored(choices in choices()) {
        let Pair { kind, declared, live, .. } = Pair::of(&choices);
        let (declared, live) = (declared.to_string(), live.to_string());
        let [own, its] = [&declared, &live].map(|text| Document::parse(text.as_bytes()).unwrap());
        let none = Document::default();
        for (before, after) in [(&own, &its), (&its, &own)] {
            let all = undeclared(typing(kind), &none, before, after);
            let printed: Vec<Pattern> = all.iter().map(|it| it.path.to_string().parse().unwrap()).collect();
            let mask = Mask::of(&printed);
            prop_assert_eq!(undeclared(typing(kind).without(&mask), &none, before, after), []);
            prop_assert!(mask.used().all(|used| used));
        }
    }

    #[test]
    fn what_is_ignored_within_one_value_leaves_the_rest_of_it(choices in choices()) {
        let pair = Pair::of(&choices);
        let (declared, live) = (pair.declared.to_string(), pair.live.to_string());
        let documents = [&declared, &live].map(|text| Document::parse(text.as_bytes()).unwrap());
        for whole in compare(typing(pair.kind), &documents[0], &documents[1]) {
            let value = |json: &Option<String>| json.as_ref().and_then(|json| serde_json::from_str::<Value>(json).ok());
            let (Kind::Changed, Some(own), Some(its)) = (whole.kind, value(&whole.declared), value(&whole.live)) else {
                continue;
            };
            let steps: Vec<Step> = match (&own, &its) {
                (Value::Object(own), Value::Object(its)) => {
                    own.keys().chain(its.keys()).map(|name| Step::Is(Segment::Field(name.as_str().into()))).collect()
                }
                (Value::Array(own), Value::Array(its)) if own.len() == its.len() => vec![Step::AnyItem],
                _ => continue,
            };
            let beneath = |step: Step| {
                let mut pattern = Pattern::from(whole.path.clone());
                pattern.0.push(step);
                pattern
            };
            let all: Vec<Pattern> = steps.into_iter().map(beneath).collect();
            let (name, differs) = (whole.path.to_string(), |(_, path): &(Kind, FieldPath)| *path == whole.path);
            prop_assert!(!left(&pair, &all).iter().any(differs), "{name} {declared} {live}");
            let none = beneath(Step::Is(Segment::Field("of no object".into())));
            prop_assert!(left(&pair, &[none]).iter().any(differs), "{name} {declared} {live}");
        }
    }

    #[test]
    fn what_a_revert_patches_agrees_and_a_second_patches_nothing(choices in choices()) {
        let mut written = Written::of(&choices);
        let first = written.verdict();
        if first.ruling == Ruling::Revert {
            written.amend(&first);
            let second = written.verdict();
            prop_assert!(second.ruling <= Ruling::Warn && second.patch.is_empty(), "{:?} {:?}", written.review, second);
        }
    }

    #[test]
    fn undeclared_fields_make_no_difference(choices in choices()) {
        let mut pair = Pair::of(&choices);
        let found = pair.found();
        let more = extended(pair.schema, Some(&pair.declared), &pair.live, &mut pair.choices);
        let now = differences(pair.kind, &pair.declared.to_string(), &more.to_string());
        prop_assert_eq!(now, found, "{} {} {}", pair.declared, pair.live, more);
    }
}

#[test]
fn nearly_all_drift_can_be_put_back() {
    let (mut reverted, mut denied) = (0, Vec::new());
    for seed in 0..300 {
        let verdict = Written::of(&chosen(seed, 1_000)).verdict();
        match verdict.ruling {
            Ruling::Revert => reverted += 1,
            // What is no drift but a delete, and items without a key, which no server takes, are never put back.
            Ruling::Deny if verdict.message.contains("would be deleted") || verdict.message.contains(r#"=""]"#) => {}
            Ruling::Deny => denied.push((seed, verdict.message)),
            Ruling::Allow | Ruling::Warn | Ruling::Annotate => {}
        }
    }
    assert!(reverted > 30 && denied.len() * 9 < reverted, "{reverted} put back, {} denied: {denied:#?}", denied.len());
}

#[test]
fn the_laws_are_tried_on_objects_that_differ_and_agree() {
    let (mut differ, mut deep, mut more) = (0, 0, 0);
    for seed in 0..300 {
        let choices = chosen(seed, 1_000);
        let mut pair = Pair::of(&choices);
        let found = pair.found();
        differ += usize::from(!found.is_empty());
        deep += usize::from(found.iter().any(|(_, path)| path.matches(['.', '[']).count() >= 4));
        let extended = extended(pair.schema, Some(&pair.declared), &pair.live, &mut pair.choices);
        more += usize::from(extended != pair.live);
    }
    assert!(
        (100..290).contains(&differ) && deep > 15 && more > 150,
        "{differ} differ, {deep} of them deep, {more} extended"
    );
}
