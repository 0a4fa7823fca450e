//! Which fields does a deployer leave alone while the glass is broken? Those that the incident moved: so that self-heal does not
//! undo its fix, and nobody needs to suspend anything.
//!
//! What the incident moved is computed from the object's drift, not stored: see [`moved`]. All else that Git says goes in.

use std::sync::Arc;

use crate::drift::path::FieldPath;
use crate::gate::aim::Reach;
use crate::gate::case::Case;
use crate::gate::facts::Question;
use crate::gate::finding::Finding;
use crate::gate::glass::Plea;
use crate::gate::grant::Grant;
use crate::gate::message;
use crate::gate::moved;
use crate::gate::revert::union_of;
use crate::gate::ruling::{Ground, Ruled};
use crate::gate::sides::Sides;
use crate::gate::verdict::{Ruling, WriterRole};
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
    let moved = moved::by_incident(case, finding, sides, &grant);
    let told = moved.iter().map(|change| message::kept_warning(&case.aim.key, &change.path, &grant)).collect();
    let mut kept: Vec<FieldPath> =
        moved.iter().map(|change| union_of(&change.path).unwrap_or_else(|| change.path.clone())).collect();
    kept.extend(plea.stripped());
    Hold { grant: Some(grant), kept, told, urgent }
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
