//! What did a write do at each declared path, by what differed before it and what differs after? It restores, drifts, or leaves
//! what was out of place.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::drift::compare::{Difference, Kind};
use crate::drift::path::FieldPath;
use crate::gate::finding::{Certainty, Change};
use crate::gate::verdict::Class;

/// All that differs in a new object.
pub(crate) fn created(differences: Vec<Difference>) -> Vec<Change> {
    differences.into_iter().map(|difference| drifting(difference, None)).collect()
}

/// Tells apart what a write did, by what differed before and what differs after it.
pub(crate) fn classified(before: &[Difference], after: Vec<Difference>) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut differed: FxHashMap<&FieldPath, &Difference> = FxHashMap::default();
    for earlier in before {
        differed.entry(&earlier.path).or_insert(earlier);
    }
    for difference in after {
        let earlier = differed.get(&difference.path).copied();
        // What is not touched differs as surely as it did before.
        match earlier.filter(|it| it.stays_in(&difference)).map(|it| it.kind) {
            Some(Kind::Unknown) => {}
            Some(kind @ (Kind::Changed | Kind::Missing | Kind::Reordered)) => {
                let difference = Difference { kind, ..difference };
                changes.push(Change { class: Class::Preexisting, ..drifting(difference, earlier) });
            }
            None => changes.push(drifting(difference, earlier)),
        }
    }
    let restored = restored(before, &changes);
    changes.extend(restored);
    changes
}

/// What differed and is neither a part of any change nor has one within it.
fn restored(before: &[Difference], changes: &[Change]) -> Vec<Change> {
    let mut taken = Apart::default();
    let mut paths: Vec<&FieldPath> = changes.iter().map(|change| &change.path).collect();
    paths.sort_unstable();
    for path in paths {
        taken.add(path);
    }
    let known = before.iter().filter(|earlier| earlier.kind != Kind::Unknown);
    let restored = known.filter(|earlier| taken.add(&earlier.path)).map(|earlier| Change {
        path: earlier.path.clone(),
        class: Class::Restores,
        certainty: Certainty::Known,
        git: earlier.declared.clone(),
        before: earlier.live.clone(),
        written: None,
        node: earlier.node,
    });
    restored.collect()
}

/// Paths of which none lies within another, so that a path's neighbours in their order tell all that concerns it.
#[derive(Default)]
struct Apart<'p>(BTreeSet<&'p FieldPath>);

impl<'p> Apart<'p> {
    /// Takes a path in; `false` where it lies within one that is there, or one lies within it.
    fn add(&mut self, path: &'p FieldPath) -> bool {
        let above = self.0.range::<FieldPath, _>(..=path).next_back().is_some_and(|before| before.covers(path));
        let below = self.0.range::<FieldPath, _>(path..).next().is_some_and(|after| path.covers(after));
        !above && !below && self.0.insert(path)
    }
}

fn drifting(difference: Difference, earlier: Option<&Difference>) -> Change {
    let (class, certainty) = match difference.kind {
        Kind::Changed | Kind::Missing => (Class::Drifts, Certainty::Known),
        Kind::Reordered => (Class::Reordered, Certainty::Known),
        Kind::Unknown => (Class::Drifts, Certainty::Unknown),
    };
    Change {
        path: difference.path,
        class,
        certainty,
        git: difference.declared,
        before: earlier.and_then(|earlier| earlier.live.clone()),
        written: difference.live,
        node: difference.node,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_part_of_a_change_is_restored_by_none() {
        let difference = |path: &str| Difference {
            path: path.parse().unwrap(),
            kind: Kind::Changed,
            declared: None,
            live: Some("1".to_owned()),
            node: 0,
        };
        let before: Vec<Difference> = ["a", "b.c", "b.d", "e.f.g", "h"].map(difference).into();
        let after: Vec<Difference> = ["a.x", "a.x.y", "b.c", "b.cc", "e"].map(difference).into();
        let changes = classified(&before, after);
        let restored = changes.iter().filter(|change| change.class == Class::Restores);
        assert_eq!(restored.map(|change| change.path.to_string()).collect::<Vec<_>>(), ["b.d", "h"]);
    }
}
