//! Are two quantities equal to the engine exactly when they are equal as numbers? They are read here once more, as exact
//! rationals, in a way that shares nothing with the engine.
//!
//! The input is two texts, one a line.

use std::sync::LazyLock;

use landfast::drift::compare::{Typing, compare};
use landfast::drift::document::Document;
use landfast::drift::schema::Schemas;
use serde_json::json;

/// Digits and exponents beyond which the engine may give up: then it compares texts.
const EXACT_DIGITS_MAX: usize = 18;
const EXACT_EXPONENT_MAX: i32 = 9;

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| {
    let quantity = json!({ "x-kubernetes-int-or-string": true, "pattern": "[KMGTPE]i" });
    let spec = json!({ "type": "object", "properties": { "custom": quantity } });
    let schema = json!({ "openAPIV3Schema": { "type": "object", "properties": { "spec": spec } } });
    let version = json!({ "name": "v1", "served": true, "schema": schema });
    let names = json!({ "kind": "Load", "plural": "loads" });
    let definition = json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "spec": { "group": "fuzz.test", "names": names, "versions": [version] } });
    Schemas::builtin().with_crd(&definition).expect("a definition")
});

pub(super) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (one, other) = text.split_once('\n').unwrap_or((text, text));
    let (exact, twin) = (Exact::read(one), Exact::read(other));

    let custom = |text: &str| json!({ "spec": { "custom": text } }).to_string();
    let equal = agree(("fuzz.test", "v1", "Load"), &custom(one), &custom(other));
    match (&exact, &twin) {
        (Some(exact), Some(twin)) if equal => assert_eq!(exact.nanos, twin.nanos, "{one} is not {other}"),
        (Some(exact), Some(twin)) if exact.is_small && twin.is_small => {
            assert_ne!(exact.nanos, twin.nanos, "{one} is {other}");
        }
        (Some(_), Some(_)) => {}
        (None, _) | (_, None) => assert_eq!(equal, one == other, "{one} and {other} are texts"),
    }

    // The server writes those of built-in kinds anew and keeps the kind of suffix: equal ones are the same number, or are both
    // cut at the largest that has a binary suffix.
    let claim = |text: &str| json!({ "spec": { "resources": { "requests": { "storage": text } } } }).to_string();
    let builtin = agree(("", "v1", "PersistentVolumeClaim"), &claim(one), &claim(other));
    if let (true, Some(exact), Some(twin)) = (builtin, exact, twin) {
        assert_eq!(exact.millis(), twin.millis(), "{one} is not {other} in a claim");
    }
    assert!(agree(("", "v1", "PersistentVolumeClaim"), &claim(one), &claim(one)));
}

fn agree((group, version, kind): (&str, &str, &str), declared: &str, live: &str) -> bool {
    let read = |text| Document::parse(text).expect("JSON");
    compare(Typing::of(&SCHEMAS, group, version, kind), &read(declared.as_bytes()), &read(live.as_bytes())).is_empty()
}

/// A quantity, rounded up to its finest part.
struct Exact {
    /// In billionths.
    nanos: Whole,
    is_small: bool,
    is_binary: bool,
}

/// A whole number of any size: its sign, and its decimal digits, the lowest first, without leading zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Whole {
    is_negative: bool,
    digits: Vec<u8>,
}

impl Exact {
    /// `[+-]? (digits [. digits?] | . digits) (Ki|Mi|Gi|Ti|Pi|Ei | n|u|m|k|M|G|T|P|E | [eE] [+-]? digits)?`
    fn read(text: &str) -> Option<Self> {
        let is_negative = text.starts_with('-');
        let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let mut parts = number.split('.');
        let (whole, fraction) = (parts.next()?, parts.next().unwrap_or_default());
        if parts.next().is_some() || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let (factor, power) = suffix_of(suffix)?;
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).rev().map(|digit| digit - b'0').collect();
        for _ in 0..factor {
            times(&mut digits, 1024);
        }
        let power = power.checked_sub(i32::try_from(fraction.len()).ok()?)?.checked_add(9)?;
        let is_small = number.len() <= EXACT_DIGITS_MAX && power.abs() <= EXACT_EXPONENT_MAX + 18;
        // Numbers of more digits than can be written down are beside the point.
        let digits = shifted(digits, power.clamp(-2_000, 2_000));
        let nanos = Whole { is_negative: is_negative && !digits.is_empty(), digits };
        Some(Self { nanos, is_small, is_binary: factor > 0 })
    }

    /// In thousandths, as an entry of a resource list is kept.
    fn millis(&self) -> Whole {
        let mut digits = shifted(self.nanos.digits.clone(), -6);
        let largest: Vec<u8> = format!("{}000", i64::MAX).bytes().rev().map(|digit| digit - b'0').collect();
        let exceeds =
            (digits.len(), digits.iter().rev().collect::<Vec<_>>()) > (largest.len(), largest.iter().rev().collect());
        if self.is_binary && exceeds {
            digits = largest;
        }
        Whole { is_negative: self.nanos.is_negative, digits }
    }
}

fn suffix_of(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "Ki" => (1, 0),
        "Mi" => (2, 0),
        "Gi" => (3, 0),
        "Ti" => (4, 0),
        "Pi" => (5, 0),
        "Ei" => (6, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "" => (0, 0),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        _ => (0, suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

fn times(digits: &mut Vec<u8>, factor: u32) {
    let mut carry = 0;
    for digit in digits.iter_mut() {
        let product = u32::from(*digit) * factor + carry;
        *digit = u8::try_from(product % 10).expect("a digit");
        carry = product / 10;
    }
    while carry > 0 {
        digits.push(u8::try_from(carry % 10).expect("a digit"));
        carry /= 10;
    }
}

/// Times a power of ten; what is lost rounds up, away from zero.
fn shifted(mut digits: Vec<u8>, power: i32) -> Vec<u8> {
    let places = usize::try_from(power.unsigned_abs()).expect("a small number");
    if power >= 0 {
        digits.splice(0..0, std::iter::repeat_n(0, places));
    } else {
        let lost = digits.drain(..places.min(digits.len())).any(|digit| digit != 0);
        if lost {
            let mut at = 0;
            while digits.get(at) == Some(&9) {
                digits[at] = 0;
                at += 1;
            }
            match digits.get_mut(at) {
                Some(digit) => *digit += 1,
                None => digits.push(1),
            }
        }
    }
    while digits.last() == Some(&0) {
        digits.pop();
    }
    digits
}
