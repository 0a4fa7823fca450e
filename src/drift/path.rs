//! How is a field named? The one grammar of field paths, printed and parsed here and nowhere else.
//!
//! `spec.template.spec.containers[name=web].image`, `spec.ports[port=80,protocol=TCP]`, set items
//! `metadata.finalizers[="x"]`, keys that are no plain words `metadata.annotations["a.b/c"]`, positions `[0]`; patterns add
//! `[*]` and `.*`.

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// A member of an object.
    Field(Box<str>),
    /// An item of a keyed list: its keys in the schema's order.
    Key(Vec<(Box<str>, Scalar)>),
    /// An item of a set.
    Item(Scalar),
    /// A position in any other list.
    Index(usize),
}

/// A scalar inside a path. Numbers keep their JSON text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scalar {
    /// `null`
    Null,
    /// A boolean.
    Bool(bool),
    /// A number's JSON text.
    Number(Box<str>),
    /// A string.
    String(Box<str>),
}

/// Where a field stands in an object. The empty path is the object itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(pub Vec<Segment>);

/// Text that is no field path, or no pattern of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no field path: {what} at character {at}")]
pub struct PathError {
    /// What was given.
    pub text: String,
    /// Character, from 1, at which it stopped making sense.
    pub at: usize,
    /// What was expected there.
    pub what: &'static str,
}

/// A pattern of paths: what a rule's `fields` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(pub Vec<Step>);

/// One step of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Exactly this.
    Is(Segment),
    /// Any member: `.*`.
    AnyField,
    /// Any item: `[*]`.
    AnyItem,
}
