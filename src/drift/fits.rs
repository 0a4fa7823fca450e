//! Is a value what the server makes, by two outcomes of it?

use jiff::{SignedDuration, Timestamp};
use rustc_hash::FxHashSet;

use crate::drift::document::{At, Document, DocumentError, Value};
use crate::drift::value::{Members, equal};

/// How far a stamp may be from when the object was made: the server writes it when it reads the request, and webhooks may take
/// their time (10 s by default) before the object is made.
const STAMP_APART_MAX: SignedDuration = SignedDuration::from_secs(15);

/// Whether a value (compact JSON; absent where there is none) is what the server makes, by two outcomes: what both say, or any
/// scalar where they say two.
pub(crate) fn fits(one: Option<&str>, other: Option<&str>, live: Option<&str>) -> bool {
    if one == other && one == live {
        return true;
    }
    let (Ok(one), Ok(other), Ok(live)) = (read(one), read(other), read(live)) else { return false };
    fit(one.as_ref().map(Document::root), other.as_ref().map(Document::root), live.as_ref().map(Document::root))
}

/// Whether a value is what the server makes but for the times that it stamps it with: in the outcomes, those of about the
/// instant `at` when the first was made.
pub(crate) fn stamped(one: Option<&str>, other: Option<&str>, at: Option<&str>, live: Option<&str>) -> bool {
    let (Some(other), Some(at)) = (other, at.and_then(|at| at.parse().ok())) else { return false };
    let Ok(mut elsewhen) = serde_json::from_str(other) else { return false };
    unstamp(&mut elsewhen, at) && fits(one, Some(&elsewhen.to_string()), live)
}

/// Takes out the times of about that instant; whether there are any. Objects nest no deeper than serde_json reads them.
fn unstamp(value: &mut serde_json::Value, at: Timestamp) -> bool {
    match value {
        serde_json::Value::String(text) => {
            let is_stamp = text.parse().is_ok_and(|time: Timestamp| time.duration_since(at).abs() <= STAMP_APART_MAX);
            if is_stamp {
                *value = serde_json::Value::Null;
            }
            is_stamp
        }
        serde_json::Value::Array(items) => unstamp_all(items.iter_mut(), at),
        serde_json::Value::Object(members) => unstamp_all(members.values_mut(), at),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => false,
    }
}

fn unstamp_all<'v>(values: impl Iterator<Item = &'v mut serde_json::Value>, at: Timestamp) -> bool {
    let mut found = false;
    for value in values {
        found |= unstamp(value, at);
    }
    found
}

fn read(json: Option<&str>) -> Result<Option<Document<'_>>, DocumentError> {
    json.map(|json| Document::parse_value(json.as_bytes())).transpose()
}

fn fit(one: Option<At<'_, '_>>, other: Option<At<'_, '_>>, live: Option<At<'_, '_>>) -> bool {
    match (one, other, live) {
        (None, None, live) => live.is_none(),
        (Some(_), Some(_), None) => false,
        // There the one time and not the other: it is never known.
        (Some(_), None, _) | (None, Some(_), _) => true,
        (Some(one), Some(other), Some(live)) => match (one.value(), other.value(), live.value()) {
            (Value::Object, Value::Object, Value::Object) => members_fit(one, other, live),
            (Value::Array, Value::Array, Value::Array) => items_fit(one, other, live),
            (Value::Object | Value::Array, ..) | (_, Value::Object | Value::Array, _) => {
                equal(one, other) && equal(one, live)
            }
            (_, _, Value::Object | Value::Array) => false,
            _ => equal(one, live) || !equal(one, other),
        },
    }
}

fn members_fit(one: At<'_, '_>, other: At<'_, '_>, live: At<'_, '_>) -> bool {
    let (mut ones, mut others, mut lives) = (Members::of(one), Members::of(other), Members::of(live));
    let names = [one, other, live].into_iter().flat_map(At::children).map(At::key);
    let mut seen = FxHashSet::default();
    names.filter(|name| seen.insert(*name)).all(|name| fit(ones.find(name), others.find(name), lives.find(name)))
}

fn items_fit(one: At<'_, '_>, other: At<'_, '_>, live: At<'_, '_>) -> bool {
    let (mut ones, mut others, mut lives) = (one.children(), other.children(), live.children());
    loop {
        match (ones.next(), others.next(), lives.next()) {
            (None, None, None) => return true,
            (Some(one), Some(other), Some(live)) if fit(Some(one), Some(other), Some(live)) => {}
            (..) => return false,
        }
    }
}
