//! What does an object look like before and after a write? Both sides read once, however many declarations they are held against.

use std::borrow::Cow;

use crate::drift::document::Document;
use crate::drift::lookup::Lookup;
use crate::gate::finding::Change;
use crate::gate::verdict::Class;

/// The JSON of both sides, as far as a write shows them.
#[derive(Debug)]
pub struct Texts<'r> {
    /// Absent on a create.
    pub before: Option<Cow<'r, str>>,
    /// Absent where the write leaves no object.
    pub after: Option<Cow<'r, str>>,
}

/// Both sides, read.
#[derive(Debug)]
pub enum Sides<'t> {
    /// The write leaves no object.
    None,
    /// What it leaves cannot be read.
    Unreadable,
    /// What it leaves.
    Some {
        /// Absent on a create, or where it cannot be read: then nothing is known to have stood there.
        before: Option<Document<'t>>,
        /// What the write leaves.
        after: Document<'t>,
    },
}

impl Texts<'_> {
    /// Reads both.
    pub fn read(&self) -> Sides<'_> {
        let Some(after) = &self.after else { return Sides::None };
        let Ok(after) = Document::parse(after.as_bytes()) else { return Sides::Unreadable };
        let before = self.before.as_ref().and_then(|before| Document::parse(before.as_bytes()).ok());
        Sides::Some { before, after }
    }
}

impl Sides<'_> {
    /// Adds to changes what stands on the side that agrees with Git. An undeclared change has both its values already.
    pub fn complete(&self, changes: &mut [Change]) {
        let Self::Some { before, after } = self else { return };
        let (mut before, mut after) = (before.as_ref().map(Lookup::of), Lookup::of(after));
        for change in changes.iter_mut().filter(|change| change.class != Class::Undeclared) {
            if change.before.is_none() {
                change.before = before.as_mut().and_then(|before| before.json(&change.path));
            }
            if change.written.is_none() {
                change.written = after.json(&change.path);
            }
        }
    }
}
