//! Does a write only move an object along Git's commits? Deployers are trusted by content, never by name alone; a rollback is
//! trusted so too, whoever makes it.

use std::borrow::Cow;

use rustc_hash::FxHashSet;

use crate::drift::path::FieldPath;
use crate::gate::case::Case;
use crate::gate::finding::{Change, Finding};
use crate::gate::sides::Sides;
use crate::gate::verdict::Class;
use crate::gate::write;
use crate::limits::LAG_BYTES_MAX;

/// Whether a write that differs from the head says what one earlier head within `maxLag` said, as a whole.
///
/// One revision, not a mix: what the write leaves alone may differ from that revision only where it differs from the head too,
/// so that it was out of place before. `finding` is the write against the head.
///
/// What only the server could compare does not follow: else a deployer could write anything where Git has just moved the object
/// to another version of its kind.
pub fn is_behind(case: &Case<'_>, finding: &Finding, sides: &Sides<'_>) -> bool {
    earlier(case, finding, sides, usize::MAX).is_some()
}

/// What a write does to one of the last `count` earlier declarations of its object, where it says that one as a whole; only what
/// it changes beside that can be held against it.
pub fn rolled_back(case: &Case<'_>, finding: &Finding, sides: &Sides<'_>, count: usize) -> Option<Finding> {
    let declaration = earlier(case, finding, sides, count)?;
    Some(case.view().finding_of(&declaration, sides))
}

/// The newest of the last `count` earlier declarations that a write says as a whole.
fn earlier<'c>(case: &'c Case<'_>, finding: &Finding, sides: &Sides<'_>, count: usize) -> Option<Cow<'c, [u8]>> {
    let (entry, source) = (case.entry?, case.source?);
    let was_out_of_place = finding.changes.iter().filter(|change| change.class == Class::Preexisting);
    let already: FxHashSet<&FieldPath> = was_out_of_place.map(|change| &change.path).collect();
    let follows = |change: &Change| match change.class {
        Class::Restores | Class::Undeclared => true,
        Class::Drifts | Class::Reordered => case.is_free(change, finding.condemned),
        Class::Preexisting => already.contains(&change.path) || case.is_free(change, finding.condemned),
    };
    let view = case.view();
    let earlier = entry.declarations(case.now, source.max_lag).skip(usize::from(entry.head.is_some())).take(count);
    let mut compared = 0;
    let mut affordable = earlier.take_while(|json| {
        compared += json.len() + bytes(case.write.change);
        compared <= LAG_BYTES_MAX
    });
    affordable.find(|json| view.moves(json, sides).is_some_and(|changes| changes.iter().all(follows)))
}

/// Whether a deployer may delete a declared object: to make it anew, because it does not agree with Git.
pub fn may_replace(case: &Case<'_>) -> bool {
    let (Some(declared), write::Change::Delete { before: Some(before) }) = (case.declared(), case.write.change) else {
        return false;
    };
    !case.view().agrees(&declared.json, before)
}

/// Bytes of the objects that a write shows.
fn bytes(change: write::Change<'_>) -> usize {
    match change {
        write::Change::Create { after } => after.get().len(),
        write::Change::Update { before, after } => before.get().len() + after.get().len(),
        write::Change::Delete { .. } | write::Change::Connect => 0,
    }
}
