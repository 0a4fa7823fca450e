//! What is to be done with one object, and why? Decided on what is known; done elsewhere.
//!
//! An object goes back to the newest declaration that it has already agreed with; it moves on to the head only where no deployer is
//! named, or where the policy deploys. Under a break-glass, and where the policy says Never, nothing is done at all.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::value::RawValue;

use crate::drift::document::Document;
use crate::drift::path::FieldPath;
use crate::gate::facts::{FormOf, Forms};
use crate::gate::finding::Change;
use crate::gate::grant::Place;
use crate::gate::live::{Gap, Look};
use crate::gate::managers::Manager;
use crate::limits::{GRANT_GRACE, REPAIR_PAST_MAX};
use crate::reconcile::standing::{Fingerprint, Known, Presence, Settled};

/// What is to be done with one object.
#[derive(Debug)]
pub enum Plan {
    /// Nothing.
    Leave(Why),
    /// Nothing before this instant; then it is looked at again.
    Wait(Why, Timestamp),
    /// First the server is asked what it makes of this declaration.
    Learn(FormOf),
    /// It is brought back.
    Repair(Box<Repair>),
}

/// Why nothing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It agrees.
    Agrees,
    /// Only the server can tell whether it differs, and it does not.
    Doubt,
    /// No policy that enforces has it repaired.
    Never,
    /// Git says nothing of it any more.
    Dropped,
    /// It never agreed with anything Git said: its deployer has not brought it yet.
    NotDeployed,
    /// Its kind was not listed yet.
    Unseen,
    /// It is a Job that has begun.
    Ran,
    /// It is being deleted: what follows is a new one.
    Leaving,
    /// Its Namespace is missing or being deleted.
    Homeless,
    /// A break-glass covers it, or may.
    Grant,
    /// An attempt failed a moment ago.
    Failed,
}

/// How one object is brought back.
#[derive(Debug, Clone)]
pub struct Repair {
    /// Why.
    pub cause: Cause,
    /// The declaration that it goes to, as compact JSON. It may be a Secret's.
    pub manifest: Arc<[u8]>,
    /// Which one that is.
    pub fingerprint: Fingerprint,
    /// What differs; empty where it is missing, or only applied again.
    pub drift: Vec<Change>,
    /// What stays as it is.
    pub kept: Vec<FieldPath>,
    /// Under whose name; absent: Landfast's own.
    pub owner: Option<Manager>,
}

/// Why an object is brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It is missing.
    Missing,
    /// It differs from what it agreed with.
    Drifted,
    /// It is moved on to the head.
    Moved,
    /// Git says something else than what Landfast applied: what it dropped is to go.
    Reapplied,
}

/// How an object stands to what Git says and said.
#[derive(Debug, Default)]
pub struct Held {
    /// The declaration that it agrees with, of those that count.
    pub agrees: Option<Fingerprint>,
    /// What it is to be brought to.
    pub target: Option<Target>,
    /// What keeps it from that.
    pub gap: Gap,
    /// The newest declaration of which only the server can tell whether it agrees with it.
    pub doubt: Option<Target>,
}

/// A declaration that an object is to be brought to.
#[derive(Debug, Clone)]
pub struct Target {
    /// As compact JSON.
    pub manifest: Arc<[u8]>,
    /// Which one.
    pub fingerprint: Fingerprint,
    /// Whether it is the one in force.
    pub is_head: bool,
}

impl Held {
    /// Holds an object, as it is (absent: it is missing), against what Git says and said of it.
    pub fn of(look: &Look<'_>, known: &Known, object: Option<&RawValue>, now: Timestamp) -> Self {
        let read = object.and_then(|object| Document::parse(object.get().as_bytes()).ok());
        let version = look.entry.head.as_ref().map_or("", |head| &head.version);
        let gap_to = |manifest: &[u8]| match &read {
            Some(object) => look.gap(manifest, object, version, &Forms::default()),
            None => Gap::default(),
        };
        let moves_on = !look.has_deployer() || look.rule.is_some_and(|rule| rule.repair.deploy);
        let rollback = look.rule.map_or(0, |rule| rule.rollback);
        let max_lag = look.source.map(|source| source.max_lag).unwrap_or_default();
        let mut held = Self::default();
        let mut reached = false;
        for (n, manifest) in look.entry.declarations(now, max_lag).take(REPAIR_PAST_MAX).enumerate() {
            let fingerprint = Fingerprint::of(&manifest);
            let is_head = n == 0 && look.entry.head.is_some();
            let is_agreed = known.memory.agreed == Some(fingerprint);
            let gap = gap_to(&manifest);
            let agrees =
                read.is_some() && (gap.is_none() || known.is_settled(fingerprint, gap.digest(), Settled::Agrees));
            let target = || Target { manifest: shared(&manifest), fingerprint, is_head };
            if !agrees && gap.is_doubt() && held.doubt.is_none() {
                held.doubt = Some(target());
            }
            if agrees {
                held.agrees = Some(fingerprint);
                if !moves_on || is_head {
                    // Its deployer, or who may go back that far, has moved it there.
                    (held.target, held.gap) = (Some(target()), Gap { kept: gap.kept, ..Gap::default() });
                }
                break;
            }
            if (is_head && moves_on) || (is_agreed && held.target.is_none()) {
                (held.target, held.gap) = (Some(target()), gap);
            }
            reached |= is_agreed;
            if reached && n >= rollback {
                break;
            }
        }
        held
    }
}

fn shared(manifest: &[u8]) -> Arc<[u8]> {
    Arc::from(manifest)
}

/// Says what is to be done with an object. `home` is what is known of its Namespace, where that is declared too.
pub fn plan(look: &Look<'_>, known: &Known, held: Held, home: Option<&Known>, now: Timestamp) -> Plan {
    if look.rule.is_none_or(|rule| rule.repairs().is_none()) {
        return Plan::Leave(Why::Never);
    }
    if look.entry.head.is_none() {
        return Plan::Leave(Why::Dropped);
    }
    let missing = match &known.presence {
        Presence::Unknown => return Plan::Leave(Why::Unseen),
        Presence::Leaving { .. } => return Plan::Leave(Why::Leaving),
        Presence::There { .. } => false,
        Presence::Absent { .. } => true,
    };
    let learn = |of: &Target| Plan::Learn(FormOf { object: look.key().clone(), manifest: (&*of.manifest).into() });
    let doubt = held.doubt.filter(|_| !missing && held.agrees.is_none() && held.gap.drift.is_empty());
    if let Some(doubt) = doubt {
        let told = known.settled.is_some_and(|settled| settled.fingerprint == doubt.fingerprint);
        return if told { Plan::Leave(Why::Doubt) } else { learn(&doubt) };
    }
    let Some(Target { manifest, fingerprint, is_head }) = held.target else {
        return Plan::Leave(if held.agrees.is_some() { Why::Agrees } else { Why::NotDeployed });
    };
    if known.attempts.unsettled == Some(fingerprint) && !held.gap.drift.is_empty() {
        // It was applied, and something else came of it: who makes that of it?
        let told = known.settled.is_some_and(|settled| settled.fingerprint == fingerprint);
        if !told {
            return learn(&Target { manifest, fingerprint, is_head });
        }
    }
    let own = !look.has_deployer();
    let cause = if missing {
        if known.memory.ran {
            return Plan::Leave(Why::Ran);
        }
        Cause::Missing
    } else if !held.gap.drift.is_empty() {
        if known.memory.agreed == Some(fingerprint) { Cause::Drifted } else { Cause::Moved }
    } else if own && known.ours && is_head && known.memory.applied != Some(fingerprint) {
        Cause::Reapplied
    } else {
        return Plan::Leave(Why::Agrees);
    };
    if let Some(waits) = waits(look, known, home, missing, now) {
        return waits;
    }
    let owner = if own { None } else { known.memory.owner.clone() };
    let Gap { drift, kept, open: _ } = held.gap;
    Plan::Repair(Box::new(Repair { cause, manifest, fingerprint, drift, kept, owner }))
}

/// What holds a repair back for a while.
fn waits(look: &Look<'_>, known: &Known, home: Option<&Known>, missing: bool, now: Timestamp) -> Option<Plan> {
    if let Some(until) = granted(look, known, now) {
        return Some(Plan::Wait(Why::Grant, until));
    }
    let homeless = |home: &Known| matches!(home.presence, Presence::Absent { .. } | Presence::Leaving { .. });
    if missing && home.is_some_and(homeless) {
        // It is planned again when its Namespace is there.
        return Some(Plan::Leave(Why::Homeless));
    }
    match known.attempts.again {
        Some(again) if again > now => Some(Plan::Wait(Why::Failed, again)),
        Some(_) | None => None,
    }
}

/// Until when a break-glass holds repair back, as far as that is known now.
fn granted(look: &Look<'_>, known: &Known, now: Timestamp) -> Option<Timestamp> {
    let bounds = look.rule.and_then(|rule| rule.bounds())?;
    let (grants, key) = (&look.basis.grants, look.key());
    let place = Place { object: key, uid: known.uid(), home: None };
    let covering = grants.covering(place, now).filter(|grant| grant.is_within(bounds));
    let of_home = grants.of_namespace(key.namespace(), now).filter(|grant| grant.is_within(bounds));
    if let Some(ends) = covering.chain(of_home).map(|grant| grant.ends()).max() {
        return Some(ends);
    }
    // Its record may come a moment after what it let in.
    let since = match &known.presence {
        Presence::Absent { since, asked: true, .. } => Some(*since),
        Presence::There { .. } => known.asks_since,
        Presence::Absent { .. } | Presence::Leaving { .. } | Presence::Unknown => None,
    }?;
    let grace = SignedDuration::try_from(GRANT_GRACE).unwrap_or_default();
    since.checked_add(grace).ok().filter(|until| *until > now)
}
