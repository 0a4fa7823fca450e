//! Do two values of a custom resource mean the same, though the server keeps them as they are written? What the closed table of
//! exceptions masks, read by code of its own.

use serde_json::Value;

use crate::offer::{Offer, Sort};

/// The exception by which two values are the same; nothing where they differ otherwise.
pub fn exception(offer: Option<Offer<'_>>, before: &Value, after: &Value) -> Option<&'static str> {
    let mut named = None;
    alike(offer, before, after, &mut named).then_some(named).flatten()
}

fn alike(offer: Option<Offer<'_>>, before: &Value, after: &Value, named: &mut Option<&'static str>) -> bool {
    if super::judge::same(before, after) {
        return true;
    }
    match (offer.map(Offer::sort), before, after) {
        (Some(Sort::Quantity), ..) => by(named, "custom-quantity", [quantity(before), quantity(after)]),
        (Some(Sort::Text("duration")), Value::String(before), Value::String(after)) => {
            by(named, "custom-duration", [duration(before), duration(after)])
        }
        (Some(Sort::Text("date-time" | "datetime")), Value::String(before), Value::String(after)) => {
            by(named, "custom-date-time", [before.parse::<jiff::Timestamp>().ok(), after.parse().ok()])
        }
        (_, Value::Array(before), Value::Array(after)) => {
            let inside = offer.and_then(Offer::inside);
            before.len() == after.len()
                && before.iter().zip(after).all(|(before, after)| alike(inside, before, after, named))
        }
        (_, Value::Object(before), Value::Object(after)) => {
            before.len() == after.len()
                && before.iter().all(|(name, before)| {
                    let inner = offer.and_then(|offer| offer.member(name));
                    after.get(name).is_some_and(|after| alike(inner, before, after, named))
                })
        }
        _ => false,
    }
}

fn by<T: PartialEq>(named: &mut Option<&'static str>, name: &'static str, read: [Option<T>; 2]) -> bool {
    let [before, after] = read;
    let same = before.is_some() && before == after;
    if same {
        *named = Some(name);
    }
    same
}

/// A quantity in billionths, rounded up; only as far as the generator writes them: what is beyond is none.
fn quantity(value: &Value) -> Option<i128> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let end = text.find(|next: char| !(next.is_ascii_digit() || "+-.".contains(next))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (factor, power) = match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        exponent => (1, exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    // In billionths, and for each digit of the fraction a tenth.
    let power = 9_i32.checked_add(power)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let scale = 10_i128.checked_pow(power.unsigned_abs())?;
    let product = digits.checked_mul(factor)?;
    if power >= 0 { product.checked_mul(scale) } else { Some(rounded_up(product, scale)) }
}

/// A quotient, away from zero where it is none.
fn rounded_up(product: i128, by: i128) -> i128 {
    let rest = product % by;
    product / by + rest.signum()
}

/// A Go duration in seconds; only the units that the generator writes.
fn duration(text: &str) -> Option<u64> {
    let (mut total, mut rest) = (0, text);
    while !rest.is_empty() {
        let end = rest.find(|next: char| !next.is_ascii_digit())?;
        let scale = match rest.as_bytes()[end] {
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        total += rest[..end].parse::<u64>().ok()? * scale;
        rest = &rest[end + 1..];
    }
    Some(total)
}
