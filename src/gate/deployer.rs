//! Does a deployer only move an object along Git's commits? Trusted by content, never by name alone.

use crate::gate::case::Case;
use crate::gate::finding::{Certainty, Change, Finding};
use crate::gate::verdict::Class;
use crate::gate::write;

/// Whether a write that differs from the head says what one earlier head within `maxLag` said, as a whole.
///
/// One revision, not a mix: what the write leaves alone may differ from that revision only where it differs from the head too,
/// so that it was out of place before. `finding` is the write against the head.
pub fn is_behind(case: &Case<'_>, finding: &Finding) -> bool {
    let (Some(entry), Some(source)) = (case.entry, case.source) else { return false };
    let already = |change: &Change| {
        let same = |other: &Change| other.class == Class::Preexisting && other.path == change.path;
        finding.changes.iter().any(same)
    };
    let follows = |change: &Change| match (change.class, change.certainty) {
        (Class::Restores | Class::Undeclared, _) | (_, Certainty::Unknown) => true,
        (Class::Drifts | Class::Reordered, Certainty::Known) => case.is_free(change, finding.condemned),
        (Class::Preexisting, Certainty::Known) => already(change) || case.is_free(change, finding.condemned),
    };
    let view = case.view();
    let earlier = entry.declarations(case.now, source.max_lag).skip(usize::from(entry.head.is_some()));
    earlier.into_iter().any(|json| view.finding(&json, case.write.change).changes.iter().all(follows))
}

/// Whether a deployer may delete a declared object: to make it anew, because it does not agree with Git.
pub fn may_replace(case: &Case<'_>) -> bool {
    let (Some(declared), write::Change::Delete { before: Some(before) }) = (case.declared(), case.write.change) else {
        return false;
    };
    !case.view().agrees(&declared.json, before)
}
