//! What is in this JSON object? A document laid flat, borrowed from its bytes.
//!
//! One pass, no tree: nodes stand in document order, each with the index behind its last descendant. `metadata.managedFields`
//! is passed over while reading, because nothing compares it.

use std::borrow::Cow;

/// A JSON document laid flat. Node 0 is the root.
#[derive(Debug, Clone, Default)]
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
    /// A number, as its JSON text.
    Number(Cow<'j, str>),
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

/// Bytes that are no JSON document, or one nested too deep.
#[derive(Debug, thiserror::Error)]
#[error("not a JSON object")]
pub struct DocumentError(#[from] serde_json::Error);

impl<'j> Document<'j> {
    /// Reads a document; an object's `metadata.managedFields` is left out.
    pub fn parse(json: &'j [u8]) -> Result<Self, DocumentError> {
        let _ = json;
        todo!()
    }

    /// The document itself.
    pub fn root(&self) -> At<'_, 'j> {
        At { document: self, index: 0 }
    }
}

impl<'d, 'j> At<'d, 'j> {
    /// The node's number in document order, as [`Lines::get`](crate::drift::declared::Lines::get) wants it.
    pub fn index(self) -> usize {
        self.index
    }

    /// What stands here.
    pub fn value(self) -> &'d Value<'j> {
        &self.document.nodes[self.index].value
    }

    /// The member name under which this stands; empty for items and the root.
    pub fn key(self) -> &'d str {
        &self.document.nodes[self.index].key
    }

    /// Members or items, in order; none of a scalar.
    pub fn children(self) -> impl Iterator<Item = At<'d, 'j>> {
        let last = self.document.nodes[self.index].end as usize;
        let mut next = self.index + 1;
        std::iter::from_fn(move || {
            (next < last).then(|| {
                let child = At { document: self.document, index: next };
                next = self.document.nodes[next].end as usize;
                child
            })
        })
    }

    /// The member of that name; of duplicates the last, as Go's decoder has it.
    pub fn get(self, name: &str) -> Option<At<'d, 'j>> {
        matches!(self.value(), Value::Object).then(|| self.children().filter(|child| child.key() == name).last())?
    }

    /// The string here, if it is one.
    pub fn as_str(self) -> Option<&'d str> {
        match self.value() {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// What stands here as compact JSON.
    pub fn to_json(self) -> String {
        todo!()
    }
}
