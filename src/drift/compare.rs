//! What differs between what Git declares and an object? The answer of a forced server-side apply, in memory.
//!
//! Total: any two documents get an answer. Recursion is bounded by the documents' own depth bound.

use crate::drift::document::Document;
use crate::drift::path::FieldPath;
use crate::drift::schema::SchemaRef;

/// How a declared path of an object disagrees with its declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The value is another.
    Changed,
    /// Git declares it, the object has it not.
    Missing,
    /// The declared items of a list stand in another order.
    Reordered,
    /// Only the server can tell (a default that no schema gives, a field that no schema knows): never refused on this alone.
    Unknown,
}

/// One declared path at which an object does not, or may not, agree.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Where.
    pub path: FieldPath,
    /// How.
    pub kind: Kind,
    /// Git's value as compact JSON; absent where Git declares that there be none.
    pub declared: Option<String>,
    /// The object's value as compact JSON; absent where it has none.
    pub live: Option<String>,
    /// The node of the declaration's document that says so, for its line.
    pub node: usize,
}

/// Compares a declaration with an object, both in the same version. Empty: they agree.
///
/// `schema` is `None` where nothing types the kind; then the shape is deduced as structured-merge-diff deduces it.
/// `declared` must be a declaration as [`Declared::json`](crate::drift::declared::Declared) holds it.
pub fn compare(schema: Option<SchemaRef<'_>>, declared: &Document<'_>, object: &Document<'_>) -> Vec<Difference> {
    let _ = (schema, declared, object);
    todo!()
}

/// One path that Git does not declare and that a write changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Undeclared {
    /// Where: the highest changed path of which no part is declared.
    pub path: FieldPath,
    /// Value before, as compact JSON.
    pub before: Option<String>,
    /// Value after, as compact JSON.
    pub after: Option<String>,
}

/// Finds what changes from `before` to `after` outside the declared paths. Server-owned metadata and `status` do not count.
pub fn undeclared(
    schema: Option<SchemaRef<'_>>,
    declared: &Document<'_>,
    before: &Document<'_>,
    after: &Document<'_>,
) -> Vec<Undeclared> {
    let _ = (schema, declared, before, after);
    todo!()
}
