//! Which items does the server name anew each time that it makes an object? Those that two outcomes of one declaration have in
//! each other's place.

use crate::drift::fits::fits;
use crate::drift::undeclared::Undeclared;

/// Items that the server names anew each time, so that they are other items in both outcomes (a Pod's token volume).
pub(crate) struct Assigned(Vec<(Undeclared, Undeclared)>);

impl Assigned {
    /// From what changes between the outcomes: what goes and what comes in its place.
    pub(crate) fn between(changes: Vec<Undeclared>) -> Self {
        let (mut going, mut coming): (Vec<_>, Vec<_>) = changes
            .into_iter()
            .filter(|it| it.before.is_none() != it.after.is_none())
            .partition(|it| it.after.is_none());
        let mut pairs = Vec::new();
        while let Some(gone) = going.pop() {
            if let Some(place) = coming.iter().rposition(|come| are_siblings(come, &gone)) {
                pairs.push((gone, coming.remove(place)));
            }
        }
        Self(pairs)
    }

    /// Whether an added item is such a one; each stands for one.
    pub(crate) fn take(&mut self, added: &Undeclared) -> bool {
        if added.before.is_some() {
            return false;
        }
        let stands_for = |(gone, come): &(Undeclared, Undeclared)| {
            are_siblings(gone, added) && fits(gone.before.as_deref(), come.after.as_deref(), added.after.as_deref())
        };
        let found = self.0.iter().position(stands_for);
        found.map(|place| self.0.swap_remove(place)).is_some()
    }
}

fn are_siblings(one: &Undeclared, other: &Undeclared) -> bool {
    let above = |it: &Undeclared| it.path.0.split_last().map(|(_, above)| above.to_vec());
    above(one) == above(other)
}
