//! How is a write changed on its way in? Drift is put back where the ruling is Revert, and the mark of drift is kept.
//!
//! Only what a policy enforces changes a write. Applied twice, it changes nothing the second time.

use crate::drift::declared::Declared;
use crate::drift::path::FieldPath;
use crate::gate::aim::Reach;
use crate::gate::case::Case;
use crate::gate::mark;
use crate::gate::patch::Rewrite;
use crate::gate::policy::Mode;
use crate::gate::revert::reverted;
use crate::gate::ruling::Ruled;
use crate::gate::sides::Sides;
use crate::gate::verdict::{Ruling, WriterRole};

/// Adds to what is ruled how the write is changed. Where a revert cannot be built, the ruling is Deny.
pub(crate) fn amended(case: &Case<'_>, declared: &Declared, sides: &Sides<'_>, mut ruled: Ruled) -> Ruled {
    let rewrite = match ruled.ruling {
        Ruling::Deny => return ruled,
        // A plain write of an object without a mark: nearly all.
        Ruling::Allow | Ruling::Warn if !is_marked(sides) && ruled.incident.kept.is_empty() => return ruled,
        Ruling::Allow | Ruling::Warn | Ruling::Annotate => Rewrite::of(case.write.change),
        Ruling::Revert => reverted(case, declared, &ruled.changes),
    };
    let Some(mut rewrite) = rewrite else {
        if ruled.ruling == Ruling::Revert {
            ruled.ruling = Ruling::Deny;
        }
        return ruled;
    };
    let enforced = case.rule.is_some_and(|rule| rule.mode == Mode::Enforce);
    if !enforced || case.writer.role == WriterRole::Landfast {
        return ruled;
    }
    keep(&mut rewrite, &ruled.incident.kept);
    match case.aim.reach {
        Reach::Whole | Reach::Metadata => {
            mark::keep(case, &declared.json, &ruled.changes, ruled.counted, &mut rewrite);
        }
        Reach::Replicas(_) | Reach::Nothing(_) => {}
    }
    ruled.patch = rewrite.patch();
    ruled
}

/// The same for an object that Git does not declare: what a break-glass keeps, and the mark where the ruling is Annotate.
pub(crate) fn undeclared(case: &Case<'_>, mut ruled: Ruled) -> Ruled {
    let marks = ruled.ruling == Ruling::Annotate && ruled.mode == Mode::Enforce;
    if (marks || !ruled.incident.kept.is_empty())
        && let Some(mut rewrite) = Rewrite::of(case.write.change)
    {
        keep(&mut rewrite, &ruled.incident.kept);
        if marks {
            mark::of_undeclared(case, &mut rewrite);
        }
        ruled.patch = rewrite.patch();
    }
    ruled
}

fn keep(rewrite: &mut Rewrite, places: &[FieldPath]) {
    for place in places {
        // Where there is no way, the write's own value stays: it agrees with Git.
        let _kept = rewrite.put_back(place);
    }
}

/// Whether either side carries a mark.
fn is_marked(sides: &Sides<'_>) -> bool {
    match sides {
        Sides::Some { before, after } => {
            mark::standing(after).is_some() || before.as_ref().and_then(mark::standing).is_some()
        }
        Sides::None | Sides::Unreadable => false,
    }
}
