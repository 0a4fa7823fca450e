//! Do two values mean the same to the API server? Scalars by their schema's meaning, anything else by its JSON.
//!
//! Nothing here knows of defaults or absence; that is [`whole`](crate::drift::whole)'s.

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use jiff::Timestamp;
use rustc_hash::FxHashMap;
use serde_json::Number;

use crate::drift::document::{At, Children, Value};
use crate::drift::quantity::{Quantity, Stands, canonical as canonical_quantity, duration, instant};
use crate::drift::schema::Meaning;

/// Whether two values are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// They are.
    Same,
    /// They are not.
    Differs,
    /// Only the server can tell.
    Unknown,
}

impl Answer {
    /// `Same` or `Differs`.
    pub(crate) fn from_equal(equal: bool) -> Self {
        if equal { Answer::Same } else { Answer::Differs }
    }

    /// The answer to both questions together: one difference is enough, whatever is unknown beside it.
    pub(crate) fn and(self, other: impl FnOnce() -> Answer) -> Self {
        match self {
            Answer::Differs => Answer::Differs,
            Answer::Same => other(),
            Answer::Unknown => match other() {
                Answer::Differs => Answer::Differs,
                Answer::Same | Answer::Unknown => Answer::Unknown,
            },
        }
    }
}

/// Whether two values are the same JSON; numbers numerically, members in any order.
pub(crate) fn equal(one: At<'_, '_>, other: At<'_, '_>) -> bool {
    match (one.value(), other.value()) {
        (Value::Number(one), Value::Number(other)) => equal_numbers(one, other),
        (Value::Array, Value::Array) => {
            let (mut one, mut other) = (one.children(), other.children());
            loop {
                match (one.next(), other.next()) {
                    (None, None) => return true,
                    (Some(one), Some(other)) if equal(one, other) => {}
                    (Some(_) | None, _) => return false,
                }
            }
        }
        (Value::Object, Value::Object) => {
            let mut members = Members::of(other);
            let mut count = 0;
            one.children().all(|child| {
                count += 1;
                members.find(child.key()).is_some_and(|twin| equal(child, twin))
            }) && other.children().count() == count
        }
        (one, other) => one == other,
    }
}

/// Whether two numbers are the same (`1` and `1.0` are).
fn equal_numbers(one: &Number, other: &Number) -> bool {
    if one == other {
        return true;
    }
    match (one.is_f64(), other.is_f64()) {
        (false, false) => false,
        (true, _) | (_, true) => one.as_f64() == other.as_f64(),
    }
}

/// Whether two scalars mean the same.
pub(crate) fn equal_scalars(meaning: Meaning, stands: Stands, one: At<'_, '_>, other: At<'_, '_>) -> bool {
    if equal(one, other) {
        return true;
    }
    match meaning {
        Meaning::String | Meaning::Integer | Meaning::Number | Meaning::Boolean | Meaning::IntOrString => false,
        Meaning::Quantity => both(one, other, |at| canonical_quantity(&text_of(at)?, stands)),
        Meaning::CustomQuantity => both(one, other, |at| Quantity::parse(&text_of(at)?)),
        Meaning::Time => both(one, other, |at| instant(at.as_str()?).map(Timestamp::as_second)),
        Meaning::MicroTime => both(one, other, |at| instant(at.as_str()?).map(Timestamp::as_microsecond)),
        Meaning::CustomTime => both(one, other, |at| instant(at.as_str()?)),
        Meaning::Duration => both(one, other, |at| duration(at.as_str()?)),
        Meaning::Bytes => both(one, other, |at| bytes(at.as_str()?)),
    }
}

/// Whether both can be read, and are read as the same.
fn both<T: PartialEq>(one: At<'_, '_>, other: At<'_, '_>, read: impl Fn(At<'_, '_>) -> Option<T>) -> bool {
    read(one).is_some_and(|value| read(other) == Some(value))
}

/// A string, or a number as text.
pub(crate) fn text_of(at: At<'_, '_>) -> Option<String> {
    match at.value() {
        Value::String(text) => Some(text.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array | Value::Object => None,
    }
}

/// The standard alphabet; bits beyond the last byte do not count, as Go has it.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Base64 as Go decodes it: line breaks do not count.
pub(crate) fn bytes(text: &str) -> Option<Vec<u8>> {
    if text.contains(['\r', '\n']) {
        return BASE64.decode(text.replace(['\r', '\n'], "")).ok();
    }
    BASE64.decode(text).ok()
}

/// A scalar as text that is the same for equal scalars: what list items are told apart by.
pub(crate) fn canonical(at: At<'_, '_>) -> String {
    match at.value() {
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            // Exact for every whole number that a list key can sensibly hold; beyond it the float's own text stands.
            #[expect(clippy::cast_possible_truncation, reason = "bounded by the guard")]
            Some(float) if float.fract() == 0.0 && float.abs() < 9.0e15 => (float as i64).to_string(),
            Some(_) | None => number.to_string(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array | Value::Object => {
            at.to_json()
        }
    }
}

/// Finds members of one object again and again: fast where they are asked for in nearly the order they stand in, and never
/// quadratic.
pub(crate) struct Members<'d, 'j> {
    object: At<'d, 'j>,
    next: Children<'d, 'j>,
    index: Option<FxHashMap<&'d str, At<'d, 'j>>>,
}

/// Members looked at in vain for one name before all are indexed.
const SCAN_MAX: usize = 64;

impl<'d, 'j> Members<'d, 'j> {
    pub(crate) fn of(object: At<'d, 'j>) -> Self {
        Self { object, next: object.children(), index: None }
    }

    /// The member of that name; of duplicates any.
    pub(crate) fn find(&mut self, name: &str) -> Option<At<'d, 'j>> {
        if let Some(index) = &self.index {
            return index.get(name).copied();
        }
        let ahead = self.next.clone().take(SCAN_MAX).find(|child| child.key() == name);
        if let Some(child) = ahead {
            self.next = child.after(self.object);
            return Some(child);
        }
        let mut seen = 0;
        let around = self.object.children().take(SCAN_MAX).inspect(|_| seen += 1).find(|child| child.key() == name);
        if around.is_some() || seen < SCAN_MAX {
            return around;
        }
        let index = self.object.children().map(|child| (child.key(), child)).collect::<FxHashMap<_, _>>();
        let found = index.get(name).copied();
        self.index = Some(index);
        found
    }
}
