//! What follows from how an object looks? It is compared, what is known of it is noted, and what is to be done is planned and begun.
//!
//! The one way in for every sight of an object.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::audit::repair::{Moved, Outcome};
use crate::cluster::call::CallError;
use crate::cluster::webhook::FIELD_MANAGER;
use crate::drift::declared::ObjectKey;
use crate::drift::document::Document;
use crate::drift::form::Form;
use crate::gate::facts::{FormOf, Forms};
use crate::gate::live::Look;
use crate::gate::managers;
use crate::gate::message::is_secret;
use crate::reconcile::apply::{Done, Failure};
use crate::reconcile::asking::is_asked;
use crate::reconcile::plan::{By, Cause, Held, Plan, Repair, Why, plan};
use crate::reconcile::record::{Ending, Matter, record};
use crate::reconcile::run::Reconciler;
use crate::reconcile::sight::Sight;
use crate::reconcile::standing::{Answer, Fingerprint, Presence, Settled, Stance};

/// What is told of an object that was applied and does not agree.
const UNSETTLED: &str = "it was applied as Git declares it, and something else is stored";

impl Reconciler {
    /// Takes in an object as it was seen, unless it was seen so or later already.
    pub(super) fn see(&mut self, key: &ObjectKey, sight: Sight) {
        let now = (self.clock)();
        let known = self.standings.entry(key);
        let is_same = known.uid() == Some(sight.uid());
        if is_same && known.has_seen(sight.version()) && !known.doubted {
            return;
        }
        let was_there = matches!(known.presence, Presence::There { .. });
        let (uid, version) = (Box::from(sight.uid()), Box::from(sight.version()));
        let is_job = (key.group(), key.kind()) == ("batch", "Job");
        let before = known.memory.clone();
        known.memory.ran = is_job && (sight.has_begun() || (is_same && known.memory.ran));
        known.memory.uid = Some(Box::from(sight.uid()));
        known.presence =
            if sight.is_leaving() { Presence::Leaving { uid, version } } else { Presence::There { uid, version } };
        known.asks_since = sight.asks().then(|| known.asks_since.unwrap_or(now));
        known.ours = sight.owned_by(FIELD_MANAGER);
        known.doubted = false;
        if before != known.memory {
            self.changed.insert(key.clone());
        }
        self.consider(key, Some(sight), &Forms::default());
        if !was_there {
            self.house(key);
        }
        if (key.group(), key.kind()) == ("apiextensions.k8s.io", "CustomResourceDefinition") {
            // Its kind may be there now.
            self.watches.retry_defined_by(key.name());
        }
    }

    /// Takes in the answer to a repair: it is held against Git whether a watch was faster or not, unless the object has moved on.
    fn see_answer(&mut self, key: &ObjectKey, sight: Sight) {
        let known = self.standings.entry(key);
        let version = match &known.presence {
            Presence::There { version, .. } | Presence::Leaving { version, .. } => Some(&**version),
            Presence::Unknown | Presence::Absent { .. } => None,
        };
        if known.uid() == Some(sight.uid()) && known.has_seen(sight.version()) && version != Some(sight.version()) {
            return self.look_anew(key.clone());
        }
        known.doubted = true;
        self.see(key, sight);
    }

    /// Takes in that an object is not there; `last` is what it looked like when it went.
    pub(super) fn miss(&mut self, key: &ObjectKey, last: Option<&Sight>) {
        let now = (self.clock)();
        let known = self.standings.entry(key);
        let seen = match &known.presence {
            Presence::There { uid, .. } | Presence::Leaving { uid, .. } => Some(uid),
            Presence::Unknown | Presence::Absent { .. } => None,
        };
        if last.is_some_and(|last| seen.is_some_and(|uid| **uid != *last.uid())) {
            // It was made anew by now.
            return;
        }
        known.doubted = false;
        if !matches!(known.presence, Presence::Absent { .. }) {
            let uid = last.map(Sight::uid).or(known.uid()).map(Into::into);
            known.presence = Presence::Absent { since: now, uid, asked: last.is_some_and(Sight::asks) };
            known.settled = None;
        }
        self.consider(key, None, &Forms::default());
    }

    /// What is to be in a Namespace may come once that is there.
    fn house(&mut self, key: &ObjectKey) {
        if (key.group(), key.kind()) != ("", "Namespace") {
            return;
        }
        let is_homeless = |other: &ObjectKey| other.namespace() == key.name();
        let missing = self
            .standings
            .iter()
            .filter(|(other, known)| is_homeless(other) && matches!(known.presence, Presence::Absent { .. }));
        let missing: Vec<_> = missing.map(|(key, _)| key.clone()).collect();
        for key in missing {
            self.look_anew(key);
        }
    }

    /// Compares, notes, plans, and begins what is planned or has it wait.
    pub(super) fn consider(&mut self, key: &ObjectKey, sight: Option<Sight>, forms: &Forms) {
        let (now, basis) = ((self.clock)(), Arc::clone(&self.basis));
        let Some(look) = Look::at(&basis, key, now) else { return };
        let held = Held::of(&look, self.standings.entry(key), sight.as_ref().map(Sight::raw), forms, now);
        let agrees = sight.is_some() && held.agrees.is_some() && held.gap.drift.is_empty();
        self.settle_asked(key, agrees);
        if let Some(sight) = sight.as_ref().filter(|_| agrees) {
            self.note_deployer(&look, sight);
            self.settle_begun(&look, held.agrees, sight);
        }
        self.note(&look, &held, sight.as_ref(), now);
        if self.leads() {
            self.notice(&look, &held, sight.as_ref(), now);
        }
        let home = ObjectKey::new("", "Namespace", "", key.namespace());
        let home = self.standings.get(&home).filter(|_| basis.index.objects.contains_key(&home));
        let Some(known) = self.standings.get(key) else { return };
        let planned = plan(&look, known, held, home, now);
        let planned = self.permitted(&look, planned, sight.as_ref(), now);
        let is_asked_of = matches!(planned, Plan::Leave(Why::Held | Why::Unapproved));
        let is_open = is_asked_of || matches!(planned, Plan::Repair(_) | Plan::Wait(..));
        let known = self.standings.entry(key);
        known.open = is_open;
        known.why = match &planned {
            Plan::Leave(why) | Plan::Wait(why, _) => Some(*why),
            Plan::Learn(_) | Plan::Repair(_) => None,
        };
        self.untallied = true;
        let leads = self.leads();
        match planned {
            Plan::Leave(why) => debug!(%key, ?why, "Left as it is"),
            Plan::Wait(Why::Settling, until) => self.settle(key, sight, until, now),
            Plan::Wait(why, until) => {
                debug!(%key, ?why, %until, "Waits");
                self.look_at(key, Instant::now() + until.duration_since(now).unsigned_abs());
            }
            Plan::Repair(_) if !leads => debug!(%key, "Left to the leader"),
            Plan::Learn(_) | Plan::Repair(_) if self.busy.contains_key(key) => {
                // It is looked at again when that is done.
                _ = self.busy.insert(key.clone(), true);
            }
            Plan::Learn(_) | Plan::Repair(_) if !self.is_free() => self.turns.push(key.clone(), sight),
            Plan::Learn(of) => {
                if let Some(sight) = sight {
                    self.learn(key, sight, of);
                }
            }
            Plan::Repair(repair) if is_asked(&look) => self.ask(&look, sight, repair),
            Plan::Repair(repair) => self.repair(key, sight, repair),
        }
    }

    /// Notes how an object stands.
    fn note(&mut self, look: &Look<'_>, held: &Held, sight: Option<&Sight>, now: Timestamp) {
        let key = look.key();
        let known = self.standings.entry(key);
        let before = known.memory.clone();
        // What has gone back from what it is to be has drifted, to whatever Git once said.
        let goal =
            held.target.as_ref().map(|target| target.fingerprint).filter(|goal| known.memory.agreed == Some(*goal));
        let reached = held.agrees.filter(|agrees| goal.is_none_or(|goal| goal == *agrees));
        if let (Some(agrees), Some(sight)) = (reached, sight) {
            if (known.memory.agreed != Some(agrees) || known.ours.applied) && look.has_deployer() {
                known.memory.owner = owner(look, sight);
            }
            known.memory.agreed = Some(agrees);
            known.memory.released = None;
            known.attempts.settle();
        } else if held.reached.is_some() {
            known.memory.agreed = held.reached;
        }
        let since = match known.stance {
            Stance::Differs { since, .. } => since,
            Stance::Unknown | Stance::Agrees => now,
        };
        known.stance = if sight.is_none() || !held.gap.drift.is_empty() {
            Stance::Differs { since, digest: held.gap.digest() }
        } else if held.agrees.is_some() {
            Stance::Agrees
        } else {
            Stance::Unknown
        };
        if before != known.memory {
            self.changed.insert(key.clone());
        }
    }

    /// Notes what the server said of a declaration, so that it is not asked again before the object differs in something else.
    pub(super) fn learnt(&mut self, key: &ObjectKey, sight: Sight, of: &FormOf, form: Option<Arc<Form>>) {
        let (now, basis) = ((self.clock)(), Arc::clone(&self.basis));
        let Some(look) = Look::at(&basis, key, now) else { return };
        let Ok(read) = Document::parse(sight.raw().get().as_bytes()) else { return };
        let version = look.entry.head.as_ref().map_or("", |head| &*head.version);
        let digest = look.gap(&of.manifest, &read, version, &Forms::default()).digest();
        let is_silent = form.is_none();
        let forms: Forms = [(of.manifest.clone(), form)].into();
        let told = look.gap(&of.manifest, &read, version, &forms);
        let settled = match (told.is_none(), is_silent || told.is_doubt()) {
            (true, _) => Settled::Agrees,
            (false, true) => Settled::Silent,
            (false, false) => Settled::Differs,
        };
        let fingerprint = Fingerprint::of(&of.manifest);
        let known = self.standings.entry(key);
        known.settled = Some(Answer { fingerprint, digest, settled });
        if settled != Settled::Agrees && known.attempts.unsettled == Some(fingerprint) {
            known.attempts.fail(now, UNSETTLED.to_owned());
        }
        self.consider(key, Some(sight), &forms);
    }

    /// Notes what came of a repair, puts it on the record, and looks at the object as it is now.
    pub(super) fn repaired(
        &mut self,
        key: &ObjectKey,
        repair: &Repair,
        moved_by: Vec<Moved>,
        done: Result<Done, Failure>,
    ) {
        let now = (self.clock)();
        if !matches!(done, Err(Failure::Call(_))) {
            self.standings.entry(key).memory.begun = None;
            self.changed.insert(key.clone());
        }
        match done {
            Ok(Done { sight, manager }) => {
                let made = self.made(key, &sight);
                let known = self.standings.entry(key);
                // Until it is seen to agree.
                let is_again = known.attempts.unsettled.replace(repair.fingerprint) == Some(repair.fingerprint);
                if is_again {
                    known.attempts.fail(now, UNSETTLED.to_owned());
                    known.attempts.refused = true;
                }
                if repair.by == By::Landfast {
                    known.memory.applied = Some(repair.fingerprint);
                    known.memory.made = made;
                    self.changed.insert(key.clone());
                }
                let manager = Some(manager.name.as_str());
                let outcome = if is_again { Outcome::CannotRepair } else { Outcome::Repaired };
                let error = is_again.then(|| UNSETTLED.to_owned());
                if repair.cause != Cause::Released {
                    self.tell(key, &Matter::of(repair), Ending { outcome, manager, error, moved_by });
                }
                self.see_answer(key, sight);
            }
            Err(Failure::Stale) => self.look_anew(key.clone()),
            Err(Failure::Call(error)) => self.fail(key, &error),
            Err(Failure::Refused(error)) => {
                let said = if is_secret(key) { "it refuses it".to_owned() } else { error.to_string() };
                let manager = match &repair.by {
                    By::Owner(Some(owner)) => Some(owner.name.as_str()),
                    By::Landfast | By::Owner(None) => None,
                };
                let ending = Ending { outcome: Outcome::CannotRepair, manager, error: Some(said), moved_by };
                self.tell(key, &Matter::of(repair), ending);
                self.fail(key, &error);
                self.standings.entry(key).attempts.refused = true;
            }
        }
    }

    /// Puts on the record how a repair ended.
    pub(super) fn tell(&mut self, key: &ObjectKey, matter: &Matter<'_>, ending: Ending<'_>) {
        let (now, outcome) = ((self.clock)(), ending.outcome);
        let basis = Arc::clone(&self.basis);
        let look = Look::at(&basis, key, now);
        let (Some(look), Some(known)) = (look, self.standings.get(key)) else { return };
        match outcome {
            Outcome::Repaired => {
                self.metrics.repaired("repaired");
                *self.repairs.entry(look.entry.source.clone()).or_default() += 1;
            }
            Outcome::CannotRepair => self.metrics.repaired("cannot_repair"),
            Outcome::SlippedPast | Outcome::FightDetected | Outcome::FightEnded | Outcome::Held | Outcome::Pruned => {}
        }
        if let (Outcome::Repaired, Stance::Differs { since, .. }) = (outcome, &known.stance) {
            let took = now.duration_since(*since).unsigned_abs();
            self.metrics.repair_seconds.observe(took.as_secs_f64());
        }
        self.recorder.record(record(&look, known, matter, ending, now));
    }

    /// Has an object tried again later, later each time.
    pub(super) fn fail(&mut self, key: &ObjectKey, error: &CallError) {
        let now = (self.clock)();
        let known = self.standings.entry(key);
        // A status tells it, and what the API server says of a Secret may quote values.
        let said = if is_secret(key) { "it is refused".to_owned() } else { error.to_string() };
        let wait = known.attempts.fail(now, said);
        known.open = true;
        self.look_at(key, Instant::now() + wait);
        let failed = self.standings.entry(key).attempts.failed;
        let status = error.status();
        if is_secret(key) {
            // What the API server says may quote values.
            warn!(%key, status, failed, hint = error.hint(), "Not brought back; tried again later");
        } else {
            let error = error as &dyn std::error::Error;
            warn!(%key, error, failed, "Not brought back; tried again later");
        }
    }
}

/// The manager that owns most of what is declared, besides us.
fn owner(look: &Look<'_>, sight: &Sight) -> Option<managers::Manager> {
    let object: Value = serde_json::from_str(sight.raw().get()).ok()?;
    let declared: Value = serde_json::from_slice(&look.entry.head.as_ref()?.json).ok()?;
    managers::owner(&object, &declared, FIELD_MANAGER)
}
