//! What must be changed in a write, so that some places of its object stand as they did before it, or as Git has them?
//!
//! Says nothing of which places: whoever reverts, marks an object or keeps an incident's fields names them. Who owned a place
//! before the write owns it again.

use std::fmt;

use json_patch::{PatchOperation, diff};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::drift::mask::Mask;
use crate::drift::path::FieldPath;
use crate::gate::ownership;
use crate::gate::tree;
use crate::gate::write::Change;

/// A JSON patch (RFC 6902) of the object that a review carries. It may be of a Secret, so nothing of it is ever printed.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Patch(json_patch::Patch);

impl fmt::Debug for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Patch({} operations)", self.0.len())
    }
}

impl Patch {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes that go over the wire.
    ///
    /// # Panics
    /// Never: a patch has string keys only.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a patch has string keys only")
    }

    /// What it does, in order.
    pub fn operations(&self) -> &[PatchOperation] {
        &self.0
    }
}

/// The object of a write on its way to another.
#[derive(Clone)]
pub struct Rewrite {
    /// Absent on a create.
    before: Option<Value>,
    written: Value,
    object: Value,
    /// What was put.
    places: Vec<FieldPath>,
}

impl Rewrite {
    /// The object as the write has it; `None` where the write leaves none.
    pub fn of(change: Change<'_>) -> Option<Self> {
        let read = |json: &RawValue| serde_json::from_str::<Value>(json.get()).ok();
        let (before, written) = match change {
            Change::Create { after } => (None, read(after)?),
            Change::Update { before, after } => (Some(read(before)?), read(after)?),
            Change::Delete { .. } | Change::Connect => return None,
        };
        Some(Self { before, object: written.clone(), written, places: Vec::new() })
    }

    /// The object as it stood before the write.
    pub fn before(&self) -> Option<&Value> {
        self.before.as_ref()
    }

    /// The object as it is to be.
    pub fn object(&self) -> &Value {
        &self.object
    }

    /// Makes a place stand as it did before the write; `false` where that is not possible.
    pub fn put_back(&mut self, path: &FieldPath) -> bool {
        let done = tree::put(&mut self.object, path, self.before.as_ref());
        self.places.push(path.clone());
        done
    }

    /// Makes a place stand as in `other`; `false` where that is not possible.
    pub fn put(&mut self, path: &FieldPath, other: &Value) -> bool {
        let done = tree::put(&mut self.object, path, Some(other));
        self.places.push(path.clone());
        done
    }

    /// Leaves beneath a place as written what `mask` leaves out.
    pub(crate) fn keep(&mut self, path: &FieldPath, mask: &Mask<'_>) {
        if let (Some(to), Some(from)) = (tree::at_mut(&mut self.object, path), tree::at(&self.written, path)) {
            mask.keep(path, to, from);
        }
    }

    /// Gives a place that is there another value; `false` where it is not there.
    pub fn set(&mut self, path: &FieldPath, value: Value) -> bool {
        self.places.push(path.clone());
        tree::at_mut(&mut self.object, path).map(|place| *place = value).is_some()
    }

    /// What leads from the write to the object as it is to be; empty where they are the same.
    pub fn patch(mut self) -> Patch {
        if self.object != self.written {
            match &self.before {
                // Nothing is left of the write, so nobody wrote.
                Some(before) if content(before) == content(&self.object) => {
                    tree::put(&mut self.object, &FieldPath::of(["metadata", "managedFields"]), Some(before));
                }
                before => ownership::put_back(&mut self.object, before.as_ref(), &self.places),
            }
        }
        Patch(diff(&self.written, &self.object))
    }
}

/// An object without what the server notes of each write.
fn content(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for noted in ["managedFields", "generation", "resourceVersion"] {
            metadata.remove(noted);
        }
    }
    object
}
