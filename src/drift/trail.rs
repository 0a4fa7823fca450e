//! Where is a walk of a document? A path is made of it only where something differs.

use crate::drift::document::At;
use crate::drift::items::{Identity, segment};
use crate::drift::path::{FieldPath, Segment};

/// The way down to where a walk is.
pub(crate) struct Trail<'t> {
    pub(crate) up: Option<&'t Trail<'t>>,
    pub(crate) step: Step<'t>,
}

/// One step down.
pub(crate) enum Step<'t> {
    Field(&'t str),
    Item { identity: Identity<'t>, position: usize, item: At<'t, 't> },
}

impl Trail<'_> {
    pub(crate) fn path(&self) -> FieldPath {
        let mut segments = Vec::new();
        let mut next = Some(self);
        while let Some(trail) = next {
            segments.push(match trail.step {
                Step::Field(name) => Segment::Field(name.into()),
                Step::Item { identity, position, item } => segment(identity, position, item),
            });
            next = trail.up;
        }
        segments.reverse();
        FieldPath(segments)
    }
}
