//! What is in this JSON object? A document laid flat, borrowed from its bytes.
//!
//! One pass, no tree: nodes stand in document order, each with the index behind its last descendant. `metadata.managedFields`
//! is passed over while reading, because nothing compares it. Never deeper than [`DEPTH_MAX`](crate::limits::DEPTH_MAX), so
//! that whoever walks a document may recurse.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use crate::limits::{DEPTH_MAX, DOCUMENT_NODES_MAX};

/// Bytes of JSON that make one node, by experience with manifests: only a first guess of how much to allocate.
const BYTES_PER_NODE: usize = 24;

/// A JSON document laid flat. Node 0 is the root.
#[derive(Debug, Clone)]
pub struct Document<'j> {
    nodes: Vec<Node<'j>>,
}

#[derive(Debug, Clone)]
struct Node<'j> {
    key: Cow<'j, str>,
    value: Value<'j>,
    end: u32,
}

/// What stands at a node; the children of a container are reached through [`At`].
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'j> {
    /// `null`
    Null,
    /// A boolean.
    Bool(bool),
    /// A number: `i64` or `u64` where it is one, else the nearest `f64`, as Go's decoder has it.
    Number(Number),
    /// A string.
    String(Cow<'j, str>),
    /// An array.
    Array,
    /// An object.
    Object,
}

/// A place in a document.
#[derive(Debug, Clone, Copy)]
pub struct At<'d, 'j> {
    document: &'d Document<'j>,
    index: usize,
}

/// Bytes that are no JSON object, or one nested too deep or with more than [`DOCUMENT_NODES_MAX`] values.
#[derive(Debug, thiserror::Error)]
#[error("not a JSON object")]
pub struct DocumentError(#[from] serde_json::Error);

impl Default for Document<'_> {
    /// `{}`
    fn default() -> Self {
        Self { nodes: vec![Node { key: Cow::Borrowed(""), value: Value::Object, end: 1 }] }
    }
}

impl<'j> Document<'j> {
    /// Reads an object; its `metadata.managedFields` is left out.
    pub fn parse(json: &'j [u8]) -> Result<Self, DocumentError> {
        let document = Self::read(json, Place::Root)?;
        match document.root().value() {
            Value::Object => Ok(document),
            _ => Err(serde_json::Error::custom("expected an object").into()),
        }
    }

    /// Reads any JSON value: a default, an item.
    pub fn parse_value(json: &'j [u8]) -> Result<Self, DocumentError> {
        Self::read(json, Place::Within)
    }

    fn read(json: &'j [u8], place: Place) -> Result<Self, DocumentError> {
        let mut nodes = Vec::with_capacity(json.len() / BYTES_PER_NODE + 1);
        // Checked once: a reader of bytes would check each string by itself.
        let text = str::from_utf8(json).map_err(serde_json::Error::custom)?;
        let mut reader = serde_json::Deserializer::from_str(text);
        Seed { nodes: &mut nodes, key: Cow::Borrowed(""), place, depth: 0 }.deserialize(&mut reader)?;
        reader.end()?;
        Ok(Self { nodes })
    }

    /// The document itself.
    pub fn root(&self) -> At<'_, 'j> {
        At { document: self, index: 0 }
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: the root is a node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

impl<'d, 'j> At<'d, 'j> {
    fn node(self) -> &'d Node<'j> {
        &self.document.nodes[self.index]
    }

    /// The node's number in document order, as [`Lines::get`](crate::drift::declared::Lines::get) wants it.
    pub fn index(self) -> usize {
        self.index
    }

    /// What stands here.
    pub fn value(self) -> &'d Value<'j> {
        &self.node().value
    }

    /// The member name under which this stands; empty for items and the root.
    pub fn key(self) -> &'d str {
        &self.node().key
    }

    /// Members or items, in order; none of a scalar.
    pub fn children(self) -> Children<'d, 'j> {
        Children { document: self.document, next: self.index + 1, end: self.node().end as usize }
    }

    /// What follows this among the members or items of `parent`, whose child it is.
    pub(crate) fn after(self, parent: At<'d, 'j>) -> Children<'d, 'j> {
        Children { document: self.document, next: self.node().end as usize, end: parent.node().end as usize }
    }

    /// Whether nothing stands within.
    pub fn is_leaf(self) -> bool {
        self.node().end as usize == self.index + 1
    }

    /// The member of that name; of duplicates the last, as Go's decoder has it.
    pub fn get(self, name: &str) -> Option<At<'d, 'j>> {
        matches!(self.value(), Value::Object).then(|| self.children().filter(|child| child.key() == name).last())?
    }

    /// Whether the same stands there, member by member in the same order. A difference here may still mean the same.
    pub(crate) fn is_identical(self, other: At<'_, '_>) -> bool {
        let within = |at: At<'_, '_>| at.node().end as usize - at.index;
        let length = within(self);
        length == within(other)
            && self.value() == other.value()
            && (1..length).all(|step| {
                let (own, its) = (&self.document.nodes[self.index + step], &other.document.nodes[other.index + step]);
                let ends = (own.end as usize - self.index, its.end as usize - other.index);
                ends.0 == ends.1 && own.value == its.value && own.key == its.key
            })
    }

    /// The string here, if it is one.
    pub fn as_str(self) -> Option<&'d str> {
        match self.value() {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether `null` stands here.
    pub fn is_null(self) -> bool {
        matches!(self.value(), Value::Null)
    }

    /// What stands here as compact JSON.
    pub fn to_json(self) -> String {
        let mut text = String::new();
        self.write_json(&mut text);
        text
    }

    /// Recurses no deeper than the document is.
    fn write_json(self, text: &mut String) {
        let (open, close) = match self.value() {
            Value::Null => return text.push_str("null"),
            Value::Bool(value) => return text.push_str(if *value { "true" } else { "false" }),
            Value::Number(number) => return text.push_str(&number.to_string()),
            Value::String(string) => return push_string(text, string),
            Value::Array => ('[', ']'),
            Value::Object => ('{', '}'),
        };
        text.push(open);
        for (at, child) in self.children().enumerate() {
            if at > 0 {
                text.push(',');
            }
            if open == '{' {
                push_string(text, child.key());
                text.push(':');
            }
            child.write_json(text);
        }
        text.push(close);
    }
}

fn push_string(text: &mut String, string: &str) {
    text.push_str(&serde_json::Value::from(string).to_string());
}

/// The members or items of a container, in order.
#[derive(Debug, Clone)]
pub struct Children<'d, 'j> {
    document: &'d Document<'j>,
    next: usize,
    end: usize,
}

impl<'d, 'j> Iterator for Children<'d, 'j> {
    type Item = At<'d, 'j>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.next < self.end).then(|| {
            let child = At { document: self.document, index: self.next };
            self.next = child.node().end as usize;
            child
        })
    }
}

/// Where in an object a value is read: only at one place something is passed over.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    Metadata,
    Within,
}

/// Reads one value onto the end of the nodes.
struct Seed<'n, 'j> {
    nodes: &'n mut Vec<Node<'j>>,
    key: Cow<'j, str>,
    place: Place,
    depth: usize,
}

impl<'j> Seed<'_, 'j> {
    fn push<E: serde::de::Error>(self, value: Value<'j>) -> Result<(), E> {
        let index = add(self.nodes, self.key, value)?;
        close(self.nodes, index)
    }

    /// Opens a container: where it stands.
    fn open<E: serde::de::Error>(&mut self, value: Value<'j>) -> Result<usize, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom("nested too deep"));
        }
        add(self.nodes, std::mem::take(&mut self.key), value)
    }
}

fn add<'j, E: serde::de::Error>(nodes: &mut Vec<Node<'j>>, key: Cow<'j, str>, value: Value<'j>) -> Result<usize, E> {
    if nodes.len() >= DOCUMENT_NODES_MAX {
        return Err(E::custom("too many values"));
    }
    nodes.push(Node { key, value, end: 0 });
    Ok(nodes.len() - 1)
}

/// Notes that a node's last descendant has been read.
fn close<E: serde::de::Error>(nodes: &mut [Node<'_>], index: usize) -> Result<(), E> {
    nodes[index].end = u32::try_from(nodes.len()).map_err(|_| E::custom("too many values"))?;
    Ok(())
}

impl<'j> DeserializeSeed<'j> for Seed<'_, 'j> {
    type Value = ();

    fn deserialize<D: Deserializer<'j>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'j> Visitor<'j> for Seed<'_, 'j> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.push(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.push(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        self.push(Value::Number(number.into()))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        self.push(Value::Number(number.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        let number = Number::from_f64(number).ok_or_else(|| E::custom("a number out of range"))?;
        self.push(Value::Number(number))
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'j str) -> Result<(), E> {
        self.push(Value::String(Cow::Borrowed(text)))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.push(Value::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'j>>(mut self, mut items: A) -> Result<(), A::Error> {
        let index = self.open(Value::Array)?;
        let depth = self.depth + 1;
        let nodes = self.nodes;
        while items
            .next_element_seed(Seed { nodes: &mut *nodes, key: Cow::Borrowed(""), place: Place::Within, depth })?
            .is_some()
        {}
        close(nodes, index)
    }

    fn visit_map<A: MapAccess<'j>>(mut self, mut members: A) -> Result<(), A::Error> {
        let index = self.open(Value::Object)?;
        let depth = self.depth + 1;
        let nodes = self.nodes;
        while let Some(key) = members.next_key_seed(Key)? {
            let place = match (self.place, &*key) {
                (Place::Root, "metadata") => Place::Metadata,
                (Place::Metadata, "managedFields") => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
                (Place::Root | Place::Metadata | Place::Within, _) => Place::Within,
            };
            members.next_value_seed(Seed { nodes: &mut *nodes, key, place, depth })?;
        }
        close(nodes, index)
    }
}

/// Reads a member's name, borrowed where it holds no escapes.
struct Key;

impl<'j> DeserializeSeed<'j> for Key {
    type Value = Cow<'j, str>;

    fn deserialize<D: Deserializer<'j>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'j> Visitor<'j> for Key {
    type Value = Cow<'j, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'j str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_object_of_too_many_values_is_refused() {
        let object = |count: usize| format!(r#"{{"data":[{}0]}}"#, "0,".repeat(count)).into_bytes();
        assert!(Document::parse(&object(DOCUMENT_NODES_MAX - 3)).is_ok());
        assert!(Document::parse(&object(DOCUMENT_NODES_MAX - 2)).is_err());
    }

    #[test]
    fn what_is_read_is_written_again() {
        for text in [
            "{}",
            r#"{"a":null,"b":[1,-2,1.5,true,"x\n\"ü"],"c":{"d":{},"e":[[],{}]}}"#,
            r#"{"big":18446744073709551615,"small":-9223372036854775808}"#,
        ] {
            assert_eq!(Document::parse(text.as_bytes()).expect("an object").root().to_json(), text);
        }
    }

    #[test]
    fn managed_fields_are_passed_over_and_only_there() {
        let text = br#"{"metadata":{"managedFields":[{"a":1}],"name":"x"},"spec":{"managedFields":1,"metadata":{"managedFields":2}}}"#;
        let document = Document::parse(text).expect("an object");
        assert_eq!(
            document.root().to_json(),
            r#"{"metadata":{"name":"x"},"spec":{"managedFields":1,"metadata":{"managedFields":2}}}"#
        );
    }

    #[test]
    fn nodes_are_numbered_in_document_order() {
        let document = Document::parse(br#"{"a":{"b":1,"c":[2,3]},"d":4}"#).expect("an object");
        let d = document.root().get("d").expect("d");
        assert_eq!((d.index(), d.value()), (6, &Value::Number(4.into())));
        let c = document.root().get("a").and_then(|a| a.get("c")).expect("c");
        assert_eq!(c.children().map(At::index).collect::<Vec<_>>(), [4, 5]);
    }

    #[test]
    fn of_duplicate_members_the_last_counts() {
        let document = Document::parse(br#"{"a":1,"a":2}"#).expect("an object");
        assert_eq!(document.root().get("a").expect("a").to_json(), "2");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "1", "[]", "null", "{", "{}x", "{\"a\":1e400}", "{\"a\":\"\\ud800\"}", "{'a':1}"] {
            assert!(Document::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Document::parse(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(Document::parse(nested(DEPTH_MAX - 2).as_bytes()).is_ok());
        assert!(Document::parse(nested(DEPTH_MAX).as_bytes()).is_err());
        assert!(Document::parse(nested(1_000_000).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Document::parse(&bytes);
        }

        #[test]
        fn no_text_of_json_tokens_makes_it_panic(text in r#"(\{|\}|\[|\]|,|:|"metadata"|"managedFields"|1|null){0,16}"#) {
            let _ = Document::parse(text.as_bytes());
        }
    }
}
