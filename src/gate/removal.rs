//! What does a delete take away that Git declares? The object itself, and what goes with it.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use crate::drift::declared::{Declared, ObjectKey};
use crate::drift::document::{At, Document};
use crate::gate::basis::{Entry, Index, SourceId};
use crate::gate::bookkeeping::REPLACE_MARKERS;
use crate::gate::exempt;
use crate::limits::HELD_SHOWN_MAX;

/// What a delete does to what is declared.
#[derive(Debug, Clone)]
pub struct Removal<'b> {
    /// Declared objects that go with it, by key: those in a Namespace, those of a CRD's kind.
    pub held: Vec<(&'b ObjectKey, &'b Entry)>,
    /// Whether the object is being deleted already.
    pub condemned: bool,
    /// Whether it names an owner, so that the garbage collector may have to delete it.
    pub owned: bool,
    /// Whether it asks its deployer to delete it: a hook, a force or a replace marker.
    pub marked: bool,
}

/// Declared objects that go with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What becomes of them.
    pub loss: Loss,
    /// How many.
    pub count: usize,
    /// The first [`HELD_SHOWN_MAX`] of them.
    pub named: Vec<HeldObject>,
    /// The sources that declare them.
    pub sources: BTreeSet<SourceId>,
}

/// What becomes of declared objects with a write to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// They are deleted.
    All,
    /// The server serves them no more, or keeps not all of them.
    Parts,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldObject {
    /// As in `Deployment shop/web`.
    pub object: String,
    /// The file that declares it.
    pub file: String,
    /// The line in that file.
    pub line: u32,
}

impl Held {
    /// Tells of these, in their order.
    pub fn of(held: &[(&ObjectKey, &Entry)], loss: Loss) -> Self {
        Self {
            loss,
            count: held.len(),
            named: held.iter().take(HELD_SHOWN_MAX).map(|(key, entry)| HeldObject::of(key, entry)).collect(),
            sources: held.iter().map(|(_, entry)| entry.source.clone()).collect(),
        }
    }
}

impl HeldObject {
    fn of(key: &ObjectKey, entry: &Entry) -> Self {
        let head = entry.head.as_ref();
        let file = head.map(|declared| declared.file.to_string()).unwrap_or_default();
        let line = head.and_then(|declared| declared.lines.get(0)).unwrap_or_default();
        Self { object: key.to_string(), file, line }
    }
}

impl<'b> Removal<'b> {
    /// What goes when the object at `key` is deleted. `before` is the object as stored, `declared` what Git says of it.
    pub fn of(key: &ObjectKey, before: Option<&RawValue>, declared: Option<&Declared>, index: &'b Index) -> Self {
        let stored = before.and_then(|before| Document::parse(before.get().as_bytes()).ok()).unwrap_or_default();
        let declared = declared.and_then(|declared| Document::parse(&declared.json).ok()).unwrap_or_default();
        let metadata = stored.root().get("metadata");
        let has = |name: &str| metadata.and_then(|metadata| metadata.get(name)).is_some_and(|at| !at.is_null());
        let is_marked = |document: &Document<'_>| {
            REPLACE_MARKERS.iter().any(|(name, value)| exempt::has_annotation(document, name, value))
        };
        Self {
            held: held(key, &stored, index),
            condemned: has("deletionTimestamp"),
            owned: has("ownerReferences"),
            marked: is_marked(&stored) || is_marked(&declared),
        }
    }
}

/// Declared objects that cannot outlive this one, in order.
///
/// Walks all declared objects, but only where the counts say that there are some: such deletes are rare.
fn held<'b>(key: &ObjectKey, stored: &Document<'_>, index: &'b Index) -> Vec<(&'b ObjectKey, &'b Entry)> {
    let goes: Box<dyn Fn(&ObjectKey) -> bool> = match (key.group(), key.kind()) {
        ("", "Namespace") if index.by_namespace.contains_key(key.name()) => {
            let namespace = key.name().to_owned();
            Box::new(move |other| other.namespace() == namespace)
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            let Some((group, kind)) = defined(stored) else { return Vec::new() };
            if !index.by_kind.contains_key(&(group.into(), kind.into())) {
                return Vec::new();
            }
            let (group, kind) = (group.to_owned(), kind.to_owned());
            Box::new(move |other| (other.group(), other.kind()) == (&group, &kind))
        }
        (_, _) => return Vec::new(),
    };
    let entries = index.objects.iter().filter(|(other, entry)| entry.head.is_some() && goes(other));
    let mut held: Vec<_> = entries.collect();
    held.sort_unstable_by_key(|(key, _)| *key);
    held
}

/// The group and kind that a CustomResourceDefinition defines.
fn defined<'d>(definition: &'d Document<'_>) -> Option<(&'d str, &'d str)> {
    let spec = definition.root().get("spec")?;
    let kind = spec.get("names")?.get("kind").and_then(At::as_str)?;
    Some((spec.get("group").and_then(At::as_str)?, kind))
}
