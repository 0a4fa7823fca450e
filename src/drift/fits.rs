//! Is a value what the server makes, by two outcomes of it?

use rustc_hash::FxHashSet;

use crate::drift::document::{At, Document, DocumentError, Value};
use crate::drift::value::{Members, equal};

/// Whether a value (compact JSON; absent where there is none) is what the server makes, by two outcomes: what both say, or any
/// scalar where they say two.
pub(crate) fn fits(one: Option<&str>, other: Option<&str>, live: Option<&str>) -> bool {
    if one == other && one == live {
        return true;
    }
    let (Ok(one), Ok(other), Ok(live)) = (read(one), read(other), read(live)) else { return false };
    fit(one.as_ref().map(Document::root), other.as_ref().map(Document::root), live.as_ref().map(Document::root))
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
