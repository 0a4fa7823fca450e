//! Which fields does a deployer leave alone while the glass is broken? Those that the incident moved: so that self-heal does not
//! undo its fix, and nobody needs to suspend anything.
//!
//! What the incident moved is computed from the object's drift, not stored: where it differs from what Git said when the glass was
//! broken. What Git changes after that goes in.

use std::sync::Arc;

use crate::drift::document::Document;
use crate::drift::path::FieldPath;
use crate::gate::aim::Reach;
use crate::gate::case::Case;
use crate::gate::facts::Question;
use crate::gate::finding::{Change, Finding};
use crate::gate::glass::Plea;
use crate::gate::grant::Grant;
use crate::gate::lookup::Lookup;
use crate::gate::message;
use crate::gate::revert::union_of;
use crate::gate::ruling::{Ground, Ruled};
use crate::gate::sides::Sides;
use crate::gate::verdict::{Class, Ruling, WriterRole};
use crate::gate::write;

/// What a deployer's write leaves alone.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// The break-glass that holds it.
    grant: Option<Arc<Grant>>,
    kept: Vec<FieldPath>,
    told: Vec<String>,
    urgent: Vec<Question>,
}

/// What the open break-glass of an object holds against this write.
pub(crate) fn of(case: &Case<'_>, finding: &Finding, sides: &Sides<'_>) -> Hold {
    let none = Hold::default();
    let (write::Change::Update { .. }, Reach::Whole | Reach::Metadata) = (case.write.change, &case.aim.reach) else {
        return none;
    };
    let (WriterRole::Deployer, Some(rule), Sides::Some { before: Some(_), .. }) = (case.writer.role, case.rule, sides)
    else {
        return none;
    };
    let Some(bounds) = rule.bounds() else { return none };
    let plea = Plea::of(case, rule);
    let (mut open, urgent) = plea.open_grants();
    open.retain(|grant| grant.is_within(bounds));
    let Some(grant) = open.into_iter().min_by_key(|grant| grant.opened) else { return Hold { urgent, ..none } };
    let moved = moved(case, finding, sides, &grant);
    let told = moved.iter().map(|change| message::kept_warning(&case.aim.key, &change.path, &grant)).collect();
    let mut kept: Vec<FieldPath> =
        moved.iter().map(|change| union_of(&change.path).unwrap_or_else(|| change.path.clone())).collect();
    kept.extend(plea.stripped());
    Hold { grant: Some(grant), kept, told, urgent }
}

/// What the write would move of what the incident moved.
fn moved<'f>(case: &Case<'_>, finding: &'f Finding, sides: &Sides<'_>, grant: &Grant) -> Vec<&'f Change> {
    let baseline = case.entry.and_then(|entry| entry.at(grant.opened)).unwrap_or_default();
    // The same write seen from what Git said then: what stood apart from that before the write.
    let apart = case.view().moves(&baseline, sides).unwrap_or_default();
    let apart: Vec<&FieldPath> = apart.iter().filter(|change| stood_apart(change)).map(|change| &change.path).collect();
    let read = Document::parse(&baseline).unwrap_or_default();
    let mut declared = Lookup::of(&read);
    let is_apart = |path: &FieldPath| apart.iter().any(|other| other.covers(path) || path.covers(other));
    let touched = finding.changes.iter().filter(|change| !case.is_free(change, finding.condemned));
    touched
        .filter(|change| match change.class {
            Class::Restores | Class::Drifts | Class::Reordered => is_apart(&change.path),
            // A deployer's own additions are its right; what the incident added it would take away.
            Class::Undeclared => {
                change.before.is_some() && (declared.at(&change.path).is_none() || is_apart(&change.path))
            }
            Class::Preexisting => false,
        })
        .collect()
}

fn stood_apart(change: &Change) -> bool {
    match change.class {
        Class::Preexisting | Class::Restores => true,
        Class::Drifts | Class::Reordered => change.before.is_some(),
        Class::Undeclared => false,
    }
}

impl Hold {
    /// Adds it to what is ruled; what stays out of place because of it is no news to the deployer.
    pub(crate) fn applied(self, mut ruled: Ruled) -> Ruled {
        let Self { grant, kept, told, urgent } = self;
        ruled.incident.kept.extend(kept);
        ruled.incident.told.extend(told);
        ruled.incident.urgent.extend(urgent);
        if grant.is_some() && ruled.ground == Ground::Preexisting {
            (ruled.ruling, ruled.ground, ruled.reason) = (Ruling::Allow, Ground::None, "left alone for a break-glass");
        }
        ruled
    }
}
