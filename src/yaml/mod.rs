//! How does kubectl read this text? YAML and JSON become values that know their line.
//!
//! Pure. Scalars are resolved exactly as `sigs.k8s.io/yaml` (go-yaml v2) resolves them, because that is what kubectl,
//! Argo CD and Flux apply; duplicate keys, merge keys and anchors as there. Never reads a file, never panics on any input.

mod compose;
mod escapes;
mod events;
mod json;
mod print;
mod scalar;
mod split;

use std::fmt::Write as _;

pub use crate::yaml::print::print;

/// One value with the place it was written at.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Line, from 1, of the first character of the value; for a member of a mapping, of its key. What an alias stands for
    /// keeps the lines of its anchor.
    pub line: u32,
    /// Column, from 1, in characters.
    pub column: u32,
    /// What was written.
    pub value: Value,
}

/// A JSON value whose parts know their place.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// A boolean, by go-yaml v2's words.
    Bool(bool),
    /// A number as kubectl sends it: an `i64` where it is one (`1e3` is), else a float.
    Number(serde_json::Number),
    /// A string.
    String(String),
    /// A sequence.
    Array(Vec<Node>),
    /// A mapping, in the order written; keys are unique, the last of duplicates won.
    Object(Vec<Member>),
}

/// One member of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Line of the key, from 1.
    pub line: u32,
    /// Column of the key, from 1.
    pub column: u32,
    /// The key, as JSON has it.
    pub key: String,
    /// Its value.
    pub value: Node,
}

/// Text that is not YAML as kubectl reads it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct YamlError {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// What is wrong, lower-case, without a final period.
    pub what: String,
}

// === impl Node ===

impl Node {
    /// The member of that name, where this is a mapping that has it.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.members().iter().find(|member| member.key == name).map(|member| &member.value)
    }

    /// The members, where this is a mapping; else none.
    pub fn members(&self) -> &[Member] {
        match &self.value {
            Value::Object(members) => members,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => &[],
        }
    }

    /// The items, where this is a sequence; else none.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Array(items) => items,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => &[],
        }
    }

    /// The string, where this is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// What a person calls this value: `a string`, `a list`, …
    pub fn what(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        }
    }

    /// The value as compact JSON, members in the order written.
    pub fn to_json(&self) -> String {
        let mut json = String::new();
        self.write_json(&mut json);
        json
    }

    /// The lines of this node and of all below it, in the order in which [`Self::to_json`] writes them: a node, then its
    /// members or items.
    pub fn lines(&self) -> Vec<u32> {
        let mut lines = Vec::new();
        self.collect_lines(&mut lines);
        lines
    }

    fn write_json(&self, json: &mut String) {
        match &self.value {
            Value::Null => json.push_str("null"),
            Value::Bool(true) => json.push_str("true"),
            Value::Bool(false) => json.push_str("false"),
            Value::Number(number) => {
                let _ = write!(json, "{number}"); // Writing to a string cannot fail.
            }
            Value::String(text) => write_string(text, json),
            Value::Array(items) => {
                json.push('[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        json.push(',');
                    }
                    item.write_json(json);
                }
                json.push(']');
            }
            Value::Object(members) => {
                json.push('{');
                for (n, member) in members.iter().enumerate() {
                    if n > 0 {
                        json.push(',');
                    }
                    write_string(&member.key, json);
                    json.push(':');
                    member.value.write_json(json);
                }
                json.push('}');
            }
        }
    }

    fn collect_lines(&self, lines: &mut Vec<u32>) {
        lines.push(self.line);
        for item in self.items() {
            item.collect_lines(lines);
        }
        for member in self.members() {
            member.value.collect_lines(lines);
        }
    }
}

fn write_string(text: &str, json: &mut String) {
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        json.push('"');
        json.push_str(text);
        json.push('"');
        return;
    }
    json.push_str(&serde_json::Value::from(text).to_string());
}

/// Reads all documents of a file, empty ones left out.
///
/// The text is split on `---` lines as kubectl does, so lines count from the beginning of the file. The first document
/// that cannot be read fails the whole file.
pub fn documents(text: &str) -> Result<Vec<Node>, YamlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    split::each(text, |node| {
        if node.value != Value::Null {
            found.push(node);
        }
    })?;
    Ok(found)
}

impl YamlError {
    fn at(line: u32, column: u32, what: impl Into<String>) -> Self {
        Self { line, column, what: what.into() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> String {
        let found = documents(text).unwrap();
        assert_eq!(found.len(), 1, "{text}");
        found[0].to_json()
    }

    fn fault(text: &str) -> YamlError {
        documents(text).unwrap_err()
    }

    #[test]
    fn members_know_the_line_of_their_key() {
        let found = documents("# top\na:\n  b: 1\n  c:\n  - x\n  -\n    z: |\n      text\n").unwrap();
        assert_eq!(found[0].to_json(), r#"{"a":{"b":1,"c":["x",{"z":"text\n"}]}}"#);
        assert_eq!(found[0].lines(), [2, 2, 3, 4, 5, 7, 7]);
    }

    #[test]
    fn lines_count_through_documents() {
        let found = documents("a: 1\n---\n# nothing\n---\r\nb: 2\n--- # three\nc: 3").unwrap();
        let lines: Vec<u32> = found.iter().map(|node| node.line).collect();
        assert_eq!(lines, [1, 5, 7]);
    }

    #[test]
    fn what_an_alias_stands_for_keeps_its_lines() {
        let found = documents("a: &x\n  b: 1\nc: *x\nd:\n  <<: *x\n").unwrap();
        assert_eq!(found[0].to_json(), r#"{"a":{"b":1},"c":{"b":1},"d":{"b":1}}"#);
        assert_eq!(found[0].lines(), [1, 1, 2, 3, 2, 4, 2]);
    }

    #[test]
    fn json_documents_may_follow_one_another() {
        let found = documents("{\"a\": 1}\n{\n \"b\": [true,\n  \"\\u00e4\"]}\n").unwrap();
        assert_eq!(found[1].to_json(), r#"{"b":[true,"ä"]}"#);
        assert_eq!(found[1].lines(), [2, 3, 3, 4]);
    }

    #[test]
    fn flow_yaml_that_is_no_json_is_yaml() {
        assert_eq!(one("{a: yes, b: [0755, ~]}"), r#"{"a":true,"b":[493,null]}"#);
        assert_eq!(one("{\"a\": 1}\n---\n# c\n"), r#"{"a":1}"#);
        assert_eq!(documents("{\"a\": 1}\n---\nb: 2\n").unwrap()[1].line, 3);
    }

    #[test]
    fn floats_keep_their_last_bit() {
        for text in ["99.99829864501953", "0.24444399774074554", "0.4052530229091644", "1e21", "0.1"] {
            let same = |json: String| json.trim_matches(['[', ']']).parse::<f64>() == text.parse();
            assert!(same(one(&format!("[{text}]"))), "{text}");
            assert!(same(one(&format!("{{\"a\":{text}}}")).replace("{\"a\":", "").replace('}', "")), "{text}");
        }
    }

    #[test]
    fn errors_name_the_line_of_the_file() {
        assert_eq!(fault("a: 1\n---\nb: 1\nc: [1\nd: 2\n").line, 5);
        assert_eq!(fault("a: 1\n---\n\nb: *x\n").line, 4);
        assert_eq!(fault("a: 1\n--- {b: 1}\n").line, 2);
        assert_eq!(fault("{\n\"a\": 1,\n\"b\" 2}").line, 3);
        assert_eq!(fault("a: &x\n  b: *x\n").what, "anchor contains itself");
        assert_eq!(fault("a: 1\n? [x]\n: 2\n").line, 2);
        assert_eq!(fault("a: 1\n~: 2\n").line, 2);
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash() {
        for text in ["[".repeat(100_000), "{\"a\":".repeat(100_000), "- ".repeat(100_000), "? ".repeat(50_000)] {
            assert!(documents(&text).is_err());
        }
        let deep = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
        assert!(documents(&deep(127)).is_ok());
        assert!(documents(&deep(128)).is_err());
        assert!(documents(&format!("{{\"a\":{}}}", deep(126))).is_ok());
        assert!(documents(&format!("{{\"a\":{}}}", deep(127))).is_err());
    }

    #[test]
    fn a_line_may_hold_the_whole_file() {
        let text = format!("{{\"a\":[{}1]}}", "{\"b\":1},".repeat(200_000));
        let found = documents(&text).unwrap();
        let items = found[0].get("a").unwrap().items();
        assert_eq!((items.len(), items[200_000].line, items[200_000].column), (200_001, 1, 7 + 8 * 200_000));
    }

    #[test]
    fn a_bomb_is_an_error() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for n in 1..12 {
            let item = format!("*a{}", n - 1);
            let list = vec![item; 9].join(",");
            writeln!(text, "a{n}: &a{n} [{list}]").unwrap();
        }
        assert_eq!(fault(&text).what, "document contains excessive aliasing");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"([ab&*!|>'":{}\[\],?<~.0-9 \n\t\r\\#%@-]|\PC|\n  |: |\n- |&a |\*a|<<: |---\n|\\u00|!!int ){0,60}"#) {
            for text in [text.clone(), format!("{{{text}"), format!("\"{text}")] {
                for node in documents(&text).unwrap_or_default() {
                    prop_assert!(serde_json::from_str::<serde_json::Value>(&node.to_json()).is_ok());
                }
            }
        }
    }
}
