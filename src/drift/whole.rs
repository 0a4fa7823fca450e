//! Are two values the same once the server has made of them what it makes of them? Compared as a whole, defaults included.
//!
//! This decides every leaf: scalars, atomic lists and maps, and what stands on one side only. It never looks at order within
//! merged lists or at undeclared members; whoever calls it has gone down to a leaf already.

use crate::drift::document::{At, Document, Value};
use crate::drift::schema::{Default, Zero};
use crate::drift::slot::{Fields, Form, Slot};
use crate::drift::value::{Answer, Members, equal, equal_scalars};

/// Whether a declared and a live value are the same; either may be absent.
pub(crate) fn same(slot: Slot<'_>, declared: Option<At<'_, '_>>, live: Option<At<'_, '_>>) -> Answer {
    match (slot.present(declared), slot.present(live)) {
        _ if slot.default == Default::Kept => Answer::Same,
        // It comes with what is declared, and did not come with what is stored.
        (_, None) if matches!(slot.default, Default::Filled(_)) => Answer::Differs,
        (None, None) => Answer::Same,
        (Some(only), None) | (None, Some(only)) => alone(slot, only),
        (Some(one), Some(other)) => match both(slot, one, other) {
            Answer::Same => Answer::Same,
            found @ (Answer::Differs | Answer::Unknown) => one_dropped(slot, one, other).unwrap_or(found),
        },
    }
}

/// The answer where the server drops just one of two different values as a zero value, so that its default stands there.
fn one_dropped(slot: Slot<'_>, one: At<'_, '_>, other: At<'_, '_>) -> Option<Answer> {
    match slot.zero {
        Zero::Value => None,
        // A zero value that the server would write is filled like an absent one.
        Zero::Written if !slot.named || slot.default == Default::None => None,
        Zero::Unknown => (slot.is_zero(one) || slot.is_zero(other)).then_some(Answer::Unknown),
        Zero::Absent | Zero::Written => match (dropped(slot, one), dropped(slot, other)) {
            (Answer::Same, Answer::Differs) => Some(against_default(slot, other)),
            (Answer::Differs, Answer::Same) => Some(against_default(slot, one)),
            (Answer::Same, Answer::Same) => Some(Answer::Same),
            (Answer::Differs, Answer::Differs) => None,
            (Answer::Unknown, _) | (_, Answer::Unknown) => Some(Answer::Unknown),
        },
    }
}

/// Whether a value is the same as none at all.
fn alone(slot: Slot<'_>, only: At<'_, '_>) -> Answer {
    match slot.zero {
        Zero::Unknown if slot.is_zero(only) => Answer::Unknown,
        Zero::Value | Zero::Unknown => against_default(slot, only),
        // Of any member the server writes none.
        Zero::Written if !slot.named => against_default(slot, only),
        Zero::Absent | Zero::Written => match dropped(slot, only) {
            Answer::Differs => against_default(slot, only),
            dropped @ (Answer::Same | Answer::Unknown) => dropped,
        },
    }
}

/// Whether a value is the one that the server puts where there is none.
fn against_default(slot: Slot<'_>, only: At<'_, '_>) -> Answer {
    match slot.default {
        Default::None => Answer::Differs,
        Default::Depends => Answer::Unknown,
        Default::Kept => Answer::Same,
        Default::Value(json) | Default::Filled(json) => match Document::parse_value(json.as_bytes()) {
            Ok(default) => both(slot, only, default.root()),
            Err(_) => Answer::Unknown,
        },
    }
}

/// Whether nothing is left of a value once the server has dropped zero values: `Same` as nothing, or not.
fn dropped(slot: Slot<'_>, at: At<'_, '_>) -> Answer {
    match (slot.form(), at.value()) {
        (Form::Map(fields) | Form::WholeMap(fields), Value::Object) => members_alone(fields, at),
        _ => Answer::from_equal(slot.is_zero(at)),
    }
}

/// Whether every member of an object is the same as none at all.
fn members_alone(fields: Fields<'_>, object: At<'_, '_>) -> Answer {
    object.children().fold(Answer::Same, |found, child| {
        found.and(|| match fields.slot(child.key()) {
            Some(slot) => same(slot, Some(child), None),
            None => Answer::Same,
        })
    })
}

/// Whether two values that are both there are the same.
fn both(slot: Slot<'_>, one: At<'_, '_>, other: At<'_, '_>) -> Answer {
    if slot.zero == Zero::Written && (one.is_null() || other.is_null()) {
        return dropped(slot, one).and(|| dropped(slot, other));
    }
    match (slot.form(), one.value(), other.value()) {
        (Form::Scalar(meaning), ..) => Answer::from_equal(equal_scalars(meaning, slot.stands(), one, other)),
        (Form::Whole(item) | Form::List(_, item), Value::Array, Value::Array) => items(item, one, other),
        (Form::Map(fields) | Form::WholeMap(fields), Value::Object, Value::Object) => members(fields, one, other),
        (Form::Whole(_) | Form::List(..) | Form::Map(_) | Form::WholeMap(_) | Form::Deduced, ..) => {
            Answer::from_equal(equal(one, other))
        }
    }
}

/// Whether two lists hold the same items in the same order.
fn items(item: Slot<'_>, one: At<'_, '_>, other: At<'_, '_>) -> Answer {
    let (mut one, mut other) = (one.children(), other.children());
    let mut found = Answer::Same;
    loop {
        match (one.next(), other.next()) {
            (None, None) => return found,
            (Some(one), Some(other)) => found = found.and(|| same(item, Some(one), Some(other))),
            (Some(_), None) | (None, Some(_)) => return Answer::Differs,
        }
        if found == Answer::Differs {
            return found;
        }
    }
}

/// Whether two objects have the same members: what only one of them has must be the default.
fn members(fields: Fields<'_>, one: At<'_, '_>, other: At<'_, '_>) -> Answer {
    let mut others = Members::of(other);
    let mut met = 0;
    let mut found = Answer::Same;
    for child in one.children() {
        let twin = others.find(child.key());
        met += usize::from(twin.is_some());
        found = found.and(|| member(fields, child.key(), Some(child), twin));
        if found == Answer::Differs {
            return found;
        }
    }
    if met == other.children().count() {
        return found;
    }
    let mut ones = Members::of(one);
    for twin in other.children() {
        if ones.find(twin.key()).is_none() {
            found = found.and(|| member(fields, twin.key(), None, Some(twin)));
        }
    }
    found
}

/// Whether a member is the same in both objects. What no schema knows the server drops: where it stands in the live object
/// nevertheless, the schema is not the server's.
fn member(fields: Fields<'_>, name: &str, declared: Option<At<'_, '_>>, live: Option<At<'_, '_>>) -> Answer {
    match (fields.slot(name), declared, live) {
        (Some(slot), ..) => same(slot, declared, live),
        (None, Some(declared), Some(live)) => Answer::from_equal(equal(declared, live)),
        (None, _, None) => Answer::Same,
        (None, None, Some(_)) => Answer::Unknown,
    }
}
