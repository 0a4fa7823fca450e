//! How is a value written so that people like to read it? Block style, one line a scalar.

use std::fmt::Write as _;

use serde_json::Value;

use crate::yaml::documents;

/// Columns that each level stands further right.
const INDENT: usize = 2;

/// The value as one YAML document, which ends in a newline. [`documents`] reads the same value back.
pub fn print(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(members) if !members.is_empty() => object(members, 0, &mut text),
        Value::Array(items) if !items.is_empty() => list(items, 0, &mut text),
        _ => text.push_str(&scalar(value)),
    }
    text.truncate(text.trim_end_matches('\n').len());
    text.push('\n');
    text
}

/// Members, each on its own line; the first is written where the text ends.
fn object(members: &serde_json::Map<String, Value>, depth: usize, text: &mut String) {
    for (n, (key, value)) in members.iter().enumerate() {
        if n > 0 {
            text.extend(std::iter::repeat_n(' ', depth));
        }
        text.push_str(&scalar(&Value::from(key.as_str())));
        text.push(':');
        match value {
            Value::Object(members) if !members.is_empty() => {
                text.push('\n');
                text.extend(std::iter::repeat_n(' ', depth + INDENT));
                object(members, depth + INDENT, text);
            }
            Value::Array(items) if !items.is_empty() => {
                text.push('\n');
                text.extend(std::iter::repeat_n(' ', depth + INDENT));
                list(items, depth + INDENT, text);
            }
            _ => {
                // Writing to a String never fails.
                let _ = writeln!(text, " {}", scalar(value));
            }
        }
    }
}

fn list(items: &[Value], depth: usize, text: &mut String) {
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            text.extend(std::iter::repeat_n(' ', depth));
        }
        text.push_str("- ");
        match item {
            Value::Object(members) if !members.is_empty() => object(members, depth + INDENT, text),
            Value::Array(items) if !items.is_empty() => list(items, depth + INDENT, text),
            _ => {
                let _ = writeln!(text, "{}", scalar(item));
            }
        }
    }
}

/// On one line; a string without quotes where it is read as that string.
fn scalar(value: &Value) -> String {
    let Value::String(text) = value else { return value.to_string() };
    let plain = text.starts_with(|c: char| c.is_ascii_alphanumeric()) && !text.contains(['\n', '\r']);
    let stays = || {
        documents(&format!("a: {text}\n")).is_ok_and(|read| {
            read.first().and_then(|node| node.get("a")).is_some_and(|node| node.as_str() == Some(text))
        })
    };
    // What other readers than kubectl take for a boolean.
    let is_word = matches!(text.as_str(), "y" | "Y" | "n" | "N");
    if plain && !is_word && stays() { text.clone() } else { value.to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn it_reads_like_a_manifest() {
        let value =
            json!({ "a": { "b": ["x", { "c": 1, "d": [] }], "e": "no: it" }, "f": "yes", "g": null, "h": [[1, 2]] });
        let wanted =
            "a:\n  b:\n    - x\n    - c: 1\n      d: []\n  e: \"no: it\"\nf: \"yes\"\ng: null\nh:\n  - - 1\n    - 2\n";
        assert_eq!(print(&value), wanted);
    }

    fn values() -> impl Strategy<Value = Value> {
        let text = r#"[a-z0-9:#,'"~ \n\t\\{}\[\]*&!|>%@-]{0,8}"#;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 16, 4, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(text, inner, 0..4)
                    .prop_map(|members| Value::from(members.into_iter().collect::<serde_json::Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(value in values()) {
            let printed = print(&json!({ "value": value.clone() }));
            let read = documents(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
            let read: Value = serde_json::from_str(&read[0].to_json()).unwrap();
            prop_assert_eq!(&read["value"], &value, "{}", printed);
        }
    }
}
