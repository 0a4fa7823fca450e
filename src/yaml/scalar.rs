//! What does a scalar mean? The resolver of go-yaml v2.4 (resolve.go), which `sigs.k8s.io/yaml` uses, for values and keys.
//!
//! YAML 1.1 with Go's number syntax: `yes` is true, `0755` is 493, `08` is 8, `12:30` is a string.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::yaml::Value;
use crate::yaml::events::{Style, Written};

const CORE: &str = "tag:yaml.org,2002:";

/// What a scalar means, before it becomes a JSON value or a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    String(String),
    /// A string that has the form of a date; JSON sees a string.
    Time(String),
    /// The plain word `<<` where it is no key.
    Merge,
}

/// Whether a key is the merge key: a plain `<<`, or tagged as one, or with the tag `!`, which to go-yaml is as if it were plain.
pub(super) fn is_merge(written: &Written<'_>) -> bool {
    written.text == "<<"
        && match written.tag.as_deref() {
            None => written.style == Style::Plain,
            Some(tag) => tag == "!" || tag.strip_prefix(CORE) == Some("merge"),
        }
}

/// Resolves a scalar; the error is the text of a fault.
pub(super) fn resolve(written: &Written<'_>) -> Result<Resolved, String> {
    let text = written.text.as_ref();
    let tag = match written.tag.as_deref() {
        None if written.style == Style::Quoted => return Ok(Resolved::String(text.to_owned())),
        None => return Ok(guess(text, Dates::Strings)),
        Some(tag) => tag,
    };
    let found = match tag.strip_prefix(CORE) {
        Some("binary") => return binary(text),
        Some("bool" | "int" | "float" | "null") => guess(text, Dates::Strings),
        Some("timestamp") => guess(text, Dates::Times),
        // `!!str`, and every tag that go-yaml does not resolve.
        _ => return Ok(Resolved::String(text.to_owned())),
    };
    match (tag.strip_prefix(CORE), found) {
        #[expect(clippy::cast_precision_loss, reason = "as Go's float64(v) does")]
        (Some("float"), Resolved::Int(int)) => Ok(Resolved::Float(int as f64)),
        (Some("float"), found @ Resolved::Float(_))
        | (Some("int"), found @ (Resolved::Int(_) | Resolved::Uint(_)))
        | (Some("bool"), found @ Resolved::Bool(_))
        | (Some("null"), found @ Resolved::Null)
        | (Some("timestamp"), found @ Resolved::Time(_)) => Ok(found),
        (name, _) => Err(format!("`{text}` is no !!{}", name.unwrap_or_default())),
    }
}

fn binary(text: &str) -> Result<Resolved, String> {
    let bare: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    match STANDARD.decode(bare) {
        Ok(bytes) => Ok(Resolved::String(lossy(&bytes))),
        Err(_) => Err("!!binary value holds invalid base64".to_owned()),
    }
}

/// As text, with U+FFFD for each byte that is none: Go's JSON has one for each.
fn lossy(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// Whether what looks like a date is told apart from a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dates {
    Strings,
    Times,
}

/// The meaning of an untagged plain scalar.
fn guess(text: &str, dates: Dates) -> Resolved {
    if let Some(word) = word(text) {
        return word;
    }
    let number = match text.as_bytes().first() {
        Some(b'.') => dotted(text),
        Some(b'0'..=b'9' | b'+' | b'-') => {
            if dates == Dates::Times && is_time(text) {
                return Resolved::Time(text.to_owned());
            }
            number(&text.replace('_', ""))
        }
        _ => None,
    };
    number.unwrap_or_else(|| Resolved::String(text.to_owned()))
}

fn word(text: &str) -> Option<Resolved> {
    Some(match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Resolved::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Resolved::Bool(false),
        "" | "~" | "null" | "Null" | "NULL" => Resolved::Null,
        ".nan" | ".NaN" | ".NAN" => Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Resolved::Float(f64::NEG_INFINITY),
        "<<" => Resolved::Merge,
        _ => return None,
    })
}

/// A number without its underscores, as Go's `ParseInt` with base 0, then `ParseUint`, then a float of YAML's form.
fn number(text: &str) -> Option<Resolved> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let (radix, digits) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.starts_with(|c: char| c.is_digit(radix)) {
        if let Ok(int) = i64::from_str_radix(&format!("{sign}{digits}"), radix) {
            return Some(Resolved::Int(int));
        }
        // `ParseUint` knows no sign, not even a plus.
        if !text.starts_with(['+', '-'])
            && let Ok(uint) = u64::from_str_radix(digits, radix)
        {
            return Some(Resolved::Uint(uint));
        }
    }
    if decimal(text) {
        return parse_float(text);
    }
    // A relic of go-yaml: what follows `0b` may carry the sign.
    let relic = text.strip_prefix("0b")?;
    i64::from_str_radix(relic, 2).ok().map(Resolved::Int)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn decimal(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (text, None),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    all_digits(whole)
        && all_digits(part)
        && !(whole.is_empty() && part.is_empty())
        && (!whole.is_empty() || mantissa.contains('.'))
        && exponent.is_none_or(|digits| !digits.is_empty() && all_digits(digits))
}

/// A float that begins with its point: Go's `ParseFloat` takes underscores between digits there.
fn dotted(text: &str) -> Option<Resolved> {
    let bytes = text.as_bytes();
    let between = |n: usize| bytes[n - 1].is_ascii_digit() && bytes.get(n + 1).is_some_and(u8::is_ascii_digit);
    let fits = bytes.iter().enumerate().all(|(n, &byte)| byte != b'_' || between(n));
    let plain = text.replace('_', "");
    (fits && decimal(&plain)).then(|| parse_float(&plain))?
}

/// Go's `ParseFloat` refuses what is out of range; then the scalar is a string.
fn parse_float(text: &str) -> Option<Resolved> {
    text.parse::<f64>().ok().filter(|float| float.is_finite()).map(Resolved::Float)
}

/// The forms of a date that go-yaml knows: `2006-1-2`, with a time behind a space, or with `T` and a zone.
fn is_time(text: &str) -> bool {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some((text.as_bytes()[at], &text[at + 1..]))),
        None => (text, None),
    };
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let padded = |part: &str| if part.len() == 1 { format!("0{part}") } else { part.to_owned() };
    let date = format!("{year}-{}-{}", padded(month), padded(day));
    if year.len() != 4 || date.len() != 10 || date.parse::<jiff::civil::Date>().is_err() {
        return false;
    }
    let Some((separator, time)) = time else { return true };
    let zone = time.find(['Z', '+', '-']);
    let (clock, zone) = time.split_at(zone.unwrap_or(time.len()));
    let zone_fits = match separator {
        b' ' => zone.is_empty(),
        _ => zone == "Z" || (zone.len() == 6 && zone.as_bytes()[3] == b':' && zone[1..].split(':').all(two_digits)),
    };
    let parts: Vec<String> = clock.split(':').map(padded).collect();
    let [hour, minute, second] = &parts[..] else { return false };
    let second = match second.split_once('.') {
        Some((whole, part)) if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) => padded(whole),
        Some(_) => return false,
        None => second.clone(),
    };
    let below = |part: &str, bound: u32| two_digits(part) && part.parse::<u32>().is_ok_and(|value| value < bound);
    zone_fits && below(hour, 24) && below(minute, 60) && below(&second, 60)
}

fn two_digits(part: &str) -> bool {
    part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// A float as kubectl's JSON has it: Go writes integral ones below 1e21 without a point, and reads them back as `i64` where
/// they fit. `None` for what JSON cannot hold.
pub(super) fn float(float: f64) -> Option<serde_json::Number> {
    let plain = float.abs() < 1e21;
    // Rust's `{}` writes the shortest digits that read back, as Go does, and no exponent.
    if plain && let Ok(int) = format!("{float}").parse::<i64>() {
        return Some(int.into());
    }
    serde_json::Number::from_f64(float)
}

// === impl Resolved ===

impl Resolved {
    /// As a JSON value.
    pub(super) fn into_value(self) -> Result<Value, String> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(bool) => Value::Bool(bool),
            Self::Int(int) => Value::Number(int.into()),
            #[expect(clippy::cast_precision_loss, reason = "kubectl reads what is no i64 as a float")]
            Self::Uint(uint) => Value::Number(float(uint as f64).ok_or("not a number")?),
            Self::Float(value) => match float(value) {
                Some(number) => Value::Number(number),
                None => return Err("JSON knows no infinity and no NaN".to_owned()),
            },
            Self::String(text) | Self::Time(text) => Value::String(text),
            Self::Merge => Value::String("<<".to_owned()),
        })
    }

    /// As the name of a JSON member.
    pub(super) fn into_key(self) -> Result<String, String> {
        Ok(match self {
            Self::Null => return Err("a key must not be null".to_owned()),
            Self::Bool(true) => "true".to_owned(),
            Self::Bool(false) => "false".to_owned(),
            Self::Int(int) => int.to_string(),
            Self::Uint(uint) => return Err(format!("`{uint}` is too large a key")),
            Self::Float(value) => float_key(value),
            Self::String(text) | Self::Time(text) => text,
            Self::Merge => "<<".to_owned(),
        })
    }
}

/// Go's `FormatFloat(value, 'g', -1, 32)`.
fn float_key(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "sigs.k8s.io/yaml formats keys with 32 bits")]
    let value = value as f32;
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let exponent: i32 = scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    // Go's shortest form takes an exponent below 1e-4 and from 1e6 on.
    if value != 0.0 && !(-4..6).contains(&exponent) {
        let mantissa = scientific.split_once('e').map_or("", |(mantissa, _)| mantissa);
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{value}")
}
