//! Under which name is an object rehearsed, and how is it told without that name?

use std::hash::{BuildHasher as _, RandomState};

use serde_json::Value;

/// Shortest unused name: long enough that nobody has it.
const NAME_CHARS_MIN: usize = 16;

/// A name that nobody has, as long as `name`, so that the server treats it alike.
pub(super) fn unused_name(name: &str) -> String {
    let random = std::iter::repeat_with(|| format!("{:016x}", RandomState::new().hash_one(())));
    let length = name.len().max(NAME_CHARS_MIN);
    "lf".chars().chain(random.flat_map(|part| part.chars().collect::<Vec<_>>())).take(length).collect()
}

/// Replaces a name wherever it stands: the server and others may have derived values from it.
pub(super) fn rename(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => {
            if text.contains(from) {
                *text = renamed(text, from, to);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, from, to)),
        Value::Object(members) => {
            members.values_mut().for_each(|member| rename(member, from, to));
            let keys: Vec<String> = members.keys().filter(|key| key.contains(from)).cloned().collect();
            for key in keys {
                let member = members.remove(&key).unwrap_or_default();
                members.insert(renamed(&key, from, to), member);
            }
        }
    }
}

fn renamed(text: &str, from: &str, to: &str) -> String {
    text.split(from).collect::<Vec<_>>().join(to)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_unused_name_is_as_long_as_the_name_and_fits_where_names_are_labels() {
        for length in [1, 5, 16, 63, 253] {
            let name = unused_name(&"a".repeat(length));
            assert_eq!(name.len(), length.max(NAME_CHARS_MIN));
            assert!(name.starts_with("lf") && name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{name}");
            assert_ne!(name, unused_name(&"a".repeat(length)));
        }
    }

    #[test]
    fn what_is_derived_from_the_unused_name_is_derived_from_the_name() {
        let mut object =
            json!({ "metadata": { "name": "lf0", "labels": { "lf0": "x-lf0-lf0", "app": "web" } }, "n": [1, "lf0"] });
        rename(&mut object, "lf0", "web");
        let expected =
            json!({ "metadata": { "name": "web", "labels": { "web": "x-web-web", "app": "web" } }, "n": [1, "web"] });
        assert_eq!(object, expected);
    }
}
