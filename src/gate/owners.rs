//! Whom does a write make an owner of an object? Owners beyond those that Git declares: with them the object would be deleted.

use rustc_hash::FxHashSet;

use crate::drift::document::{At, Document};
use crate::drift::path::{FieldPath, Scalar, Segment};
use crate::gate::finding::{Certainty, Change};
use crate::gate::verdict::Class;

/// Owners in `after` that neither stood before nor are declared. One that changes its group, kind or name is another: the garbage
/// collector looks for it by all of these, and does not find it. In another version of its group it is the same.
pub(crate) fn added(declared: &Document<'_>, before: Option<&Document<'_>>, after: &Document<'_>) -> Vec<Change> {
    let known: FxHashSet<[Option<&str>; 4]> = owners(Some(declared)).map(who).chain(owners(before).map(who)).collect();
    let added = owners(Some(after)).enumerate().filter(|(_, owner)| !known.contains(&who(*owner)));
    added
        .map(|(position, owner)| {
            let mut path = FieldPath::of(["metadata", "ownerReferences"]);
            path.0.push(match owner.get("uid").and_then(At::as_str) {
                Some(uid) => Segment::Key(vec![("uid".into(), Scalar::String(uid.into()))]),
                None => Segment::Index(position),
            });
            Change {
                path,
                class: Class::Undeclared,
                certainty: Certainty::Known,
                git: None,
                before: None,
                written: Some(owner.to_json()),
                node: 0,
            }
        })
        .collect()
}

/// What an owner is known by.
fn who<'d>(owner: At<'d, '_>) -> [Option<&'d str>; 4] {
    let text = |name| owner.get(name).and_then(At::as_str);
    let group = text("apiVersion").map(|version| version.split_once('/').map_or("", |(group, _)| group));
    [group, text("kind"), text("name"), text("uid")]
}

fn owners<'d, 'j: 'd>(document: Option<&'d Document<'j>>) -> impl Iterator<Item = At<'d, 'j>> {
    let owners = document.and_then(|document| document.root().get("metadata")?.get("ownerReferences"));
    owners.into_iter().flat_map(At::children)
}
