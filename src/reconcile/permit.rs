//! May a planned repair begin? By itself, unless too much of its source differs at once; or when a person said yes to it.
//!
//! Counted and asked on every replica, so that the next leader knows; only the leader repairs.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::audit::record::Record;
use crate::audit::repair::{About, Outcome, Repaired};
use crate::config::crd::{GROUP, VERSION};
use crate::drift::declared::ObjectKey;
use crate::gate::basis::{Basis, CommitId, SourceId};
use crate::gate::live::Look;
use crate::gate::policy::Rule;
use crate::gate::repair::{HoldAbove, RepairMode};
use crate::reconcile::approval::{Action, Answer, Approvals, Asked, Digest, HeldSource, Named, Pending, shown};
use crate::reconcile::plan::{Cause, Plan, Repair, Why};
use crate::reconcile::run::Reconciler;
use crate::reconcile::sight::Sight;
use crate::reconcile::standing::{Known, Stance};
use crate::reconcile::threshold::{Hold, Sighted, Threshold, Word};
use crate::reconcile::turns::Turns;
use crate::reconcile::watch::Watched;

/// What repairs hang on besides their plan.
#[derive(Default)]
pub(super) struct Permits {
    pub(super) threshold: Threshold,
    pub(super) approvals: Approvals,
    /// How much each source declares.
    declared: BTreeMap<SourceId, usize>,
    /// Sources of which too much differs, with the bound that they are beyond.
    holds: BTreeMap<SourceId, (HoldAbove, Hold)>,
    /// Objects that wait for their source to come to rest, and the sources that they wait for.
    settling: Turns,
    restless: BTreeMap<SourceId, HoldAbove>,
    /// When they are looked at again.
    pub(super) settles: Option<Instant>,
}

impl Permits {
    /// Counts what each source declares.
    pub(super) fn count(&mut self, basis: &Basis) {
        self.declared.clear();
        for entry in basis.index.objects.values().filter(|entry| entry.head.is_some()) {
            match self.declared.get_mut(&entry.source) {
                Some(count) => *count += 1,
                None => drop(self.declared.insert(entry.source.clone(), 1)),
            }
        }
    }

    /// How much a source declares.
    pub(super) fn declares(&self, source: &SourceId) -> usize {
        self.declared.get(source).copied().unwrap_or_default()
    }
}

impl Reconciler {
    /// What is left of a plan, by what the policy's mode says.
    pub(super) fn permitted(&mut self, look: &Look<'_>, planned: Plan, sight: Option<&Sight>, now: Timestamp) -> Plan {
        self.count(look, &planned, now);
        let repairs = look.rule.and_then(Rule::repairs).map(|repairs| (repairs.mode, repairs.hold_above));
        match (planned, repairs) {
            // What is let go of keeps its values: there is nothing to say yes to.
            (released @ Plan::Repair(_), _) if is_release(&released) => {
                self.permits.approvals.settle(look.key());
                released
            }
            (Plan::Repair(repair), Some((RepairMode::Manual, _))) => self.approved(look, repair, sight, now),
            (Plan::Repair(repair), Some((RepairMode::Automatic, Some(bound)))) => {
                self.permits.approvals.settle(look.key());
                self.bounded(look, repair, bound, now)
            }
            (waits @ (Plan::Wait(..) | Plan::Learn(_)), _) => waits,
            (planned @ (Plan::Repair(_) | Plan::Leave(_)), _) => {
                self.permits.approvals.settle(look.key());
                planned
            }
        }
    }

    /// Counts an object among those of its source that differ at once, or not.
    fn count(&mut self, look: &Look<'_>, planned: &Plan, now: Timestamp) {
        let (key, source) = (look.key(), &look.entry.source);
        let Some(known) = self.standings.get(key) else { return };
        let counts = match planned {
            Plan::Repair(repair) => is_drift(repair.cause, known),
            Plan::Leave(Why::Homeless) => known.memory.agreed.is_some(),
            Plan::Wait(Why::Failed, _) | Plan::Learn(_) => return,
            Plan::Wait(..) | Plan::Leave(_) => false,
        };
        if counts && !is_released(look, known) {
            self.permits.threshold.enter(source, key, now);
        } else {
            self.permits.threshold.leave(key);
        }
        self.recount(source, now);
    }

    /// Ends the hold of a source of which no more differs than may, and tells what has changed of one.
    fn recount(&mut self, source: &SourceId, now: Timestamp) {
        let Some((bound, before)) = self.permits.holds.get(source).copied() else { return };
        match self.word(source, bound, now) {
            Word::Hold(hold) if hold == before => {}
            Word::Hold(hold) => {
                self.permits.holds.insert(source.clone(), (bound, hold));
                self.permits.approvals.change();
            }
            Word::Go | Word::Settle(_) => {
                info!(%source, "No more of it differs at once than may: repair goes on");
                self.unhold(source);
            }
        }
    }

    fn word(&self, source: &SourceId, bound: HoldAbove, now: Timestamp) -> Word {
        let sighted = if self.watches.is_listing() { Sighted::Listing } else { Sighted::Whole };
        self.permits.threshold.word(source, bound, self.permits.declares(source), sighted, now)
    }

    /// Goes on with what differs of a source that was held.
    fn unhold(&mut self, source: &SourceId) {
        self.permits.holds.remove(source);
        self.permits.approvals.change();
        let open: Vec<_> = self.permits.threshold.open(source).cloned().collect();
        for key in open {
            self.look_anew(key);
        }
    }

    /// Lets a repair begin where no more of its source differs than may.
    fn bounded(&mut self, look: &Look<'_>, repair: Box<Repair>, bound: HoldAbove, now: Timestamp) -> Plan {
        let source = &look.entry.source;
        if self.standings.get(look.key()).is_some_and(|known| is_released(look, known)) {
            return Plan::Repair(repair);
        }
        match self.word(source, bound, now) {
            Word::Go => Plan::Repair(repair),
            Word::Settle(until) => {
                self.permits.restless.insert(source.clone(), bound);
                Plan::Wait(Why::Settling, until)
            }
            Word::Hold(hold) => {
                if self.permits.holds.insert(source.clone(), (bound, hold)).is_none() {
                    self.tell_of_hold(look, hold, now);
                }
                self.permits.approvals.change();
                Plan::Leave(Why::Held)
            }
        }
    }

    fn tell_of_hold(&self, look: &Look<'_>, hold: Hold, now: Timestamp) {
        let (source, Hold { open, most, declared }) = (&look.entry.source, hold);
        warn!(%source, open, most, declared, "Too much of it differs at once: nothing is brought back until a person approves");
        if !self.leads() {
            return;
        }
        let about = About {
            key: &ObjectKey::new(GROUP, "GitSource", "", &source.0),
            version: VERSION,
            uid: None,
            policy: look.rule.map(|rule| rule.name.as_str()),
            source: &source.0,
            revision: revision(look).map(|revision| &*revision.0),
            origin: None,
        };
        let much = format!("{open} of its {declared} objects differ or are missing at once, and {most} may");
        let told = Repaired {
            outcome: Outcome::Held,
            cause: "Threshold".to_owned(),
            manager: None,
            moved_by: Vec::new(),
            error: Some(much),
        };
        self.metrics.repaired("held");
        self.recorder.record(Record::of_repair(&about, told, &[], now));
    }

    /// Lets a repair begin where a person said yes to it; else a person is asked.
    fn approved(&mut self, look: &Look<'_>, repair: Box<Repair>, sight: Option<&Sight>, now: Timestamp) -> Plan {
        let (key, unapproved) = (look.key(), Plan::Leave(Why::Unapproved));
        let (Some(object), Some(revision)) = (self.named(key), revision(look)) else { return unapproved };
        let uid = sight.map(Sight::uid).unwrap_or_default();
        let target = format!("{:?}", repair.fingerprint);
        let digest =
            Digest::of_repair(&Asked { key, uid, revision: &revision.0, target: &target, drift: &repair.drift });
        let (fields, more) = shown(key, &repair.drift);
        let since = match self.standings.get(key).map(|known| &known.stance) {
            Some(Stance::Differs { since, .. }) => *since,
            Some(Stance::Unknown | Stance::Agrees) | None => now,
        };
        let pending = Pending {
            digest: digest.clone(),
            action: if sight.is_some() { Action::Update } else { Action::Create },
            object,
            uid: uid.into(),
            source: (*look.entry.source.0).into(),
            revision: (*revision.0).into(),
            fields,
            more,
            since,
            void: None,
        };
        let own = sight.map(|sight| Digest::of(sight.raw())).unwrap_or_default();
        match self.permits.approvals.ask(key, pending, &own) {
            Answer::Approved => {
                info!(%key, %digest, "A person approved that it is brought back");
                return Plan::Repair(repair);
            }
            Answer::Asked => info!(%key, %digest, "Brought back when a person approves"),
            Answer::Void(void) => {
                warn!(%key, %void, %digest, "What was approved is another revision or another difference: it does not count");
            }
            Answer::Waits => {}
        }
        unapproved
    }

    /// An object with all that it takes to find it; `None` where nobody knows its kind.
    pub(super) fn named(&self, key: &ObjectKey) -> Option<Named> {
        let head = self.basis.index.objects.get(key)?.head.as_ref()?;
        let resource = &self.watches.resource(&Watched::of(key, &head.version))?.plural;
        Some(Named::of(key, &head.version, resource))
    }

    /// Has an object wait until its source has come to rest, with what was seen of it.
    pub(super) fn settle(&mut self, key: &ObjectKey, sight: Option<Sight>, until: Timestamp, now: Timestamp) {
        self.permits.settling.push(key.clone(), sight);
        self.wake_at(until, now);
    }

    fn wake_at(&mut self, until: Timestamp, now: Timestamp) {
        let at = Instant::now() + until.duration_since(now).unsigned_abs();
        self.permits.settles = Some(self.permits.settles.map_or(at, |before| before.min(at)));
    }

    /// Goes on with what has waited for its source to come to rest, where one has.
    pub(super) fn settled(&mut self) {
        self.permits.settles = None;
        if self.permits.settling.is_empty() {
            return;
        }
        let now = (self.clock)();
        let restless = self.permits.restless.clone();
        let words: Vec<_> = restless.iter().map(|(source, bound)| self.word(source, *bound, now)).collect();
        let until = words.iter().map(|word| match word {
            Word::Settle(until) => Some(*until),
            Word::Go | Word::Hold(_) => None,
        });
        if let Some(until) = until.collect::<Option<Vec<_>>>().and_then(|until| until.into_iter().min()) {
            return self.wake_at(until, now);
        }
        self.permits.restless.clear();
        let settled = std::mem::take(&mut self.permits.settling);
        self.turns.append(settled);
    }

    /// Asks anew what was asked at another revision: a yes is to one.
    pub(super) fn ask_anew(&mut self, before: &Basis) {
        let basis = Arc::clone(&self.basis);
        let revision = |basis: &Basis, id: &SourceId| basis.sources.get(id).and_then(|source| source.revision.clone());
        self.permits.holds.retain(|id, _| basis.sources.contains_key(id));
        for id in basis.sources.keys().filter(|id| revision(&basis, id) != revision(before, id)) {
            for key in self.permits.approvals.of_source(&id.0) {
                self.look_anew(key);
            }
            self.recount(id, (self.clock)());
            self.permits.approvals.change();
        }
    }

    /// Forgets what was asked and counted of an object that Git says nothing of any more.
    pub(super) fn dropped(&mut self, key: &ObjectKey) {
        self.permits.approvals.settle(key);
        self.permits.threshold.leave(key);
    }

    /// What is told of the sources that are held.
    pub(super) fn held(&self) -> Vec<HeldSource> {
        let of = |(source, (_, hold)): (&SourceId, &(HoldAbove, Hold))| {
            let revision = self.basis.sources.get(source)?.revision.as_ref()?;
            let open: Vec<_> = self.permits.threshold.open(source).collect();
            Some(HeldSource::of(&source.0, &revision.0, *hold, open.iter().copied()))
        };
        self.permits.holds.iter().filter_map(of).collect()
    }

    /// Takes in what a person said on the ConfigMap.
    pub(super) fn hear_said(&mut self, said: Vec<Digest>) {
        for key in self.permits.approvals.hear(said) {
            self.look_anew(key);
        }
        for held in self.held() {
            if self.permits.approvals.says(&held.digest) {
                self.release(&held);
            }
        }
    }

    /// Brings back what differs of a source now, as a person said; what comes to differ later is not in it.
    fn release(&mut self, held: &HeldSource) {
        let source = SourceId(Arc::from(&*held.source));
        info!(%source, digest = %held.digest, open = held.open, "A person approved that it is brought back");
        let open: Vec<_> = self.permits.threshold.open(&source).cloned().collect();
        for key in &open {
            self.standings.entry(key).memory.released = Some(held.revision.clone());
            self.changed.insert(key.clone());
            self.permits.threshold.leave(key);
        }
        self.permits.approvals.spend(held.digest.clone());
        self.unhold(&source);
        for key in open {
            self.look_anew(key);
        }
    }
}

/// Whether bringing it back undoes what somebody did, or what happened to it; what Git says anew is no drift.
fn is_drift(cause: Cause, known: &Known) -> bool {
    match cause {
        Cause::Drifted => true,
        Cause::Missing => known.memory.agreed.is_some() || known.memory.uid.is_some(),
        // Whatever it is, it was never seen to be what Git said.
        Cause::Moved => known.memory.agreed.is_none(),
        Cause::Reapplied | Cause::Released => false,
    }
}

/// Whether a plan only lets go of what Landfast owns.
fn is_release(planned: &Plan) -> bool {
    matches!(planned, Plan::Repair(repair) if repair.cause == Cause::Released)
}

/// Whether a person said yes to its source at this revision while it differed.
fn is_released(look: &Look<'_>, known: &Known) -> bool {
    revision(look).is_some_and(|revision| known.memory.released.as_deref() == Some(&*revision.0))
}

fn revision<'b>(look: &Look<'b>) -> Option<&'b CommitId> {
    look.source.and_then(|source| source.revision.as_ref())
}
