//! What does Git not say any more? Where a policy prunes, what Landfast itself applied and Git dropped is deleted.
//!
//! An object is Landfast's to delete only while all of this holds: Landfast applied it, and it still is that object (by its uid);
//! the source that it was applied for dropped it within `maxLag`, as Landfast saw; no other source declares it, and each was asked
//! since; no deployer is named for it; no break-glass covers it. So a deleted GitSource, a restart, or an object that moves between
//! files and sources deletes nothing.
//!
//! Where repair is Manual, where the revision declares nothing any more, or where it dropped more at once than `holdAbove`, a person
//! is asked first. What is in a Namespace goes before it, and what is of a kind before its definition; neither is deleted while
//! anything is left in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::audit::record::Record;
use crate::audit::repair::{About, Outcome, Repaired};
use crate::cluster::call::CallError;
use crate::cluster::client;
use crate::cluster::contents::{of_definition, of_namespace};
use crate::cluster::webhook::FIELD_MANAGER;
use crate::cluster::writer::Writer;
use crate::cluster::writer::repairs::place;
use crate::drift::declared::ObjectKey;
use crate::gate::basis::{Basis, Source, SourceId};
use crate::gate::grant::Place;
use crate::gate::policy::Rule;
use crate::gate::repair::{Repair, RepairMode};
use crate::limits::{GRANT_GRACE, REPAIR_RETRY_MAX, REPAIR_RETRY_MIN};
use crate::reconcile::approval::{Action, Answer, Digest, Named, Pending};
use crate::reconcile::run::Reconciler;
use crate::reconcile::sight::Sight;
use crate::reconcile::standing::Made;
use crate::reconcile::turns::Rank;
use crate::reconcile::work::Work;

/// Asks every source what it says now; whether each answered.
pub type AskAll = Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// What Git dropped and Landfast applied.
#[derive(Default)]
pub(super) struct Prunes {
    /// By object, whether every source was asked since.
    dropped: BTreeMap<ObjectKey, Stage>,
    /// What is dropped while the sources are being asked.
    asking: Option<BTreeSet<ObjectKey>>,
    /// When they are asked again.
    again: Option<Instant>,
    failed: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not every source was asked whether it declares the object.
    Unasked,
    /// Nobody declares it.
    Nobodys,
}

/// What came of deleting an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pruned {
    /// It is deleted.
    Deleted,
    /// It was gone, or is going.
    Gone,
    /// It is another by now, or somebody else's: it stays.
    NotOurs,
    /// Its annotations ask for a break-glass, whose record may come.
    Asks,
    /// There is something left in it.
    Holds(String),
}

impl Prunes {
    /// Whether this object is to be deleted, as far as Git is concerned.
    pub(super) fn contains(&self, key: &ObjectKey) -> bool {
        self.dropped.get(key) == Some(&Stage::Nobodys)
    }

    /// Begins anew. Who is being asked goes on, and what they say is of what was dropped then.
    pub(super) fn forget(&mut self) {
        *self = Self { asking: self.asking.take(), ..Self::default() };
    }

    /// When something is to be done next.
    pub(super) fn at(&self) -> Option<Instant> {
        self.again
    }
}

/// How a policy has objects of this source pruned; `None` where it does not, or where that is a deployer's.
fn prunes<'b>(basis: &'b Basis, key: &ObjectKey, source: &SourceId) -> Option<(&'b Rule, &'b Repair)> {
    let rule = basis.policy.governing(key, Some(source))?;
    let repair = rule.repairs().filter(|repair| repair.prune)?;
    (!basis.policy.names_deployer(key, Some(source))).then_some((rule, repair))
}

impl Reconciler {
    /// What is remembered of an object that Landfast applied.
    pub(super) fn made(&self, key: &ObjectKey, sight: &Sight) -> Option<Made> {
        let Named { version, resource, .. } = self.named(key)?;
        let source = (*self.basis.index.objects.get(key)?.source.0).into();
        Some(Made { uid: sight.uid().into(), source, version, resource, leaves: false })
    }

    /// Takes stock of what Git dropped and Landfast applied, and has the sources asked where that is needed.
    pub(super) fn sweep(&mut self) {
        let basis = Arc::clone(&self.basis);
        let is_dropped = |key: &ObjectKey, made: &Made| {
            let entry = basis.index.objects.get(key).filter(|entry| entry.head.is_none());
            entry.is_some_and(|entry| *entry.source.0 == *made.source && prunes(&basis, key, &entry.source).is_some())
        };
        let made = self.standings.iter().filter_map(|(key, known)| Some((key, known.memory.made.as_ref()?)));
        let dropped: Vec<_> = made.filter(|(key, made)| is_dropped(key, made)).map(|(key, _)| key.clone()).collect();
        let before = std::mem::take(&mut self.prunes.dropped);
        for key in dropped {
            let stage = before.get(&key).copied().unwrap_or(Stage::Unasked);
            self.prunes.dropped.insert(key, stage);
        }
        for key in before.keys().filter(|key| !self.prunes.dropped.contains_key(*key)) {
            self.permits.approvals.settle(key);
        }
        self.ask_all();
    }

    /// Looks at all that is to be deleted: what kept it may be over.
    pub(super) fn look_at_what_is_dropped(&mut self) {
        let dropped: Vec<_> = self.prunes.dropped.keys().filter(|key| self.prunes.contains(key)).cloned().collect();
        for key in dropped {
            self.look_anew(key);
        }
    }

    /// Has every source asked, where something was dropped since they were.
    fn ask_all(&mut self) {
        let unasked = self.prunes.dropped.iter().filter(|(_, stage)| **stage == Stage::Unasked);
        let unasked: BTreeSet<_> = unasked.map(|(key, _)| key.clone()).collect();
        if !self.leads() || unasked.is_empty() || self.prunes.asking.is_some() {
            return;
        }
        self.prunes.again = None;
        self.prunes.asking = Some(unasked);
        let ask = (self.ask_all)();
        self.work.push(Box::pin(async move { Work::AskedAll(ask.await) }));
    }

    /// Goes on where the sources are to be asked again.
    pub(super) fn prune_again(&mut self, now: Instant) {
        if self.prunes.again.is_some_and(|at| at <= now) {
            self.prunes.again = None;
            self.ask_all();
        }
    }

    /// Takes in whether every source was asked. What they say is in force by now.
    pub(super) fn asked_all(&mut self, answered: bool) {
        let asked = self.prunes.asking.take().unwrap_or_default();
        // What stands in a commit that cannot be read may be just what was dropped elsewhere.
        let is_read = |source: &Arc<Source>| source.revision.is_some() && source.refused.is_none();
        if !(answered && self.basis.sources.values().all(is_read)) {
            let wait = REPAIR_RETRY_MIN.saturating_mul(1 << self.prunes.failed.min(10)).min(REPAIR_RETRY_MAX);
            self.prunes.failed += 1;
            self.prunes.again = Some(Instant::now() + wait);
            info!("What Git dropped stays for now: not every source could be asked whether it declares it");
            return;
        }
        self.prunes.failed = 0;
        for key in asked {
            if let Some(stage) = self.prunes.dropped.get_mut(&key) {
                *stage = Stage::Nobodys;
                self.look_anew(key);
            }
        }
        self.ask_all();
    }

    /// Deletes an object that Git dropped, where nothing speaks against it.
    pub(super) fn prune(&mut self, key: &ObjectKey) {
        let (now, basis) = ((self.clock)(), Arc::clone(&self.basis));
        let Some(made) = self.standings.get(key).and_then(|known| known.memory.made.clone()) else { return };
        let source = SourceId(Arc::from(&*made.source));
        let Some((rule, repair)) = prunes(&basis, key, &source) else { return };
        if !self.leads() {
            return;
        }
        if let Some(until) = granted(&basis, rule, key, &made.uid, now) {
            debug!(%key, %until, "Deleted when its break-glass is over");
            return self.look_at(key, Instant::now() + until.duration_since(now).unsigned_abs());
        }
        if self.needs_a_word(&source, repair) && !self.has_a_word(key, &made, now) {
            return;
        }
        if self.prunes.dropped.keys().any(|other| is_in(other, key)) {
            // It is looked at again when what is in it is deleted.
            return;
        }
        self.note_leaving(key, true);
        let (client, writer, key) = (self.client.clone(), self.writer.clone(), key.clone());
        self.busy.insert(key.clone(), false);
        self.work.push(Box::pin(async move {
            let done = delete(&client, &writer, &key, &made).await;
            Work::Pruned(key, done, made.leaves)
        }));
    }

    /// Whether a person is to say yes first: always, or where a revision drops all there was, much of it at once, or holds what cannot
    /// be used (it may be just that).
    fn needs_a_word(&self, source: &SourceId, repair: &Repair) -> bool {
        let declared = self.permits.declares(source);
        let of_source =
            |key: &&ObjectKey| self.basis.index.objects.get(*key).is_some_and(|entry| entry.source == *source);
        let dropped = self.prunes.dropped.keys().filter(of_source).count();
        let is_whole = self.basis.sources.get(source).is_some_and(|source| source.faults.is_empty());
        repair.mode == RepairMode::Manual
            || declared == 0
            || !is_whole
            || repair.hold_above.is_some_and(|bound| dropped > bound.most(declared + dropped))
    }

    /// Whether a person said yes; else one is asked.
    fn has_a_word(&mut self, key: &ObjectKey, made: &Made, now: Timestamp) -> bool {
        let source = self.basis.sources.get(&SourceId(Arc::from(&*made.source)));
        let Some(revision) = source.and_then(|source| source.revision.clone()) else { return false };
        let digest = Digest::of_deletion(key, &made.uid, &revision.0);
        let since = self.basis.index.objects.get(key).map_or(now, |entry| entry.since);
        let pending = Pending {
            digest: digest.clone(),
            action: Action::Delete,
            object: Named::of(key, &made.version, &made.resource),
            uid: made.uid.clone(),
            source: made.source.clone(),
            revision: (*revision.0).into(),
            fields: Vec::new(),
            more: 0,
            since,
            void: None,
        };
        match self.permits.approvals.ask(key, pending, &[]) {
            Answer::Approved => {
                info!(%key, %digest, "A person approved that it is deleted");
                true
            }
            Answer::Asked => {
                info!(%key, %digest, "Git dropped it: deleted when a person approves");
                false
            }
            Answer::Waits | Answer::Void(_) => false,
        }
    }

    fn tell_of_pruned(&self, key: &ObjectKey) {
        info!(%key, "Git dropped it, and it is deleted");
        let Some(made) = self.standings.get(key).and_then(|known| known.memory.made.as_ref()) else { return };
        let source = SourceId(Arc::from(&*made.source));
        let revision = self.basis.sources.get(&source).and_then(|source| source.revision.as_ref());
        let about = About {
            key,
            version: &made.version,
            uid: Some(&made.uid),
            policy: self.basis.policy.governing(key, Some(&source)).map(|rule| rule.name.as_str()),
            source: &made.source,
            revision: revision.map(|revision| &*revision.0),
            origin: None,
        };
        let pruned = Repaired {
            outcome: Outcome::Pruned,
            cause: "Dropped".to_owned(),
            manager: Some(FIELD_MANAGER.to_owned()),
            moved_by: Vec::new(),
            error: None,
        };
        self.metrics.repaired("pruned");
        self.recorder.record(Record::of_repair(&about, pruned, &[], (self.clock)()));
    }

    /// Notes that the deletion of an object is begun, or that it did not come to it. Written down before it is sent.
    fn note_leaving(&mut self, key: &ObjectKey, leaves: bool) {
        if let Some(made) = self.standings.entry(key).memory.made.as_mut().filter(|made| made.leaves != leaves) {
            made.leaves = leaves;
            self.changed.insert(key.clone());
        }
    }

    /// Takes in what came of deleting an object.
    pub(super) fn pruned(&mut self, key: &ObjectKey, done: Result<Pruned, CallError>, was_begun: bool) {
        let is_refused = done.as_ref().is_err_and(|error| error.status() == Some(409));
        if is_refused || matches!(done, Ok(Pruned::Asks | Pruned::Holds(_))) {
            self.note_leaving(key, false);
        }
        match done {
            Ok(done @ (Pruned::Deleted | Pruned::Gone | Pruned::NotOurs)) => {
                match done {
                    Pruned::Deleted => self.tell_of_pruned(key),
                    // Nobody heard the answer to its deletion.
                    Pruned::Gone | Pruned::NotOurs if was_begun => self.tell_of_pruned(key),
                    Pruned::NotOurs => {
                        info!(%key, "Git dropped it, and it stays: it is not the object that was applied any more");
                    }
                    Pruned::Gone | Pruned::Asks | Pruned::Holds(_) => {}
                }
                self.standings.entry(key).memory.made = None;
                self.changed.insert(key.clone());
                self.prunes.dropped.remove(key);
                self.permits.approvals.settle(key);
                let later = self.prunes.dropped.keys().filter(|key| Rank::of(key) < Rank::Rest);
                let later: Vec<_> = later.cloned().collect();
                for key in later {
                    self.look_anew(key);
                }
            }
            Ok(Pruned::Asks) => self.look_at(key, Instant::now() + 2 * GRANT_GRACE),
            Ok(Pruned::Holds(what)) => {
                let now = (self.clock)();
                let wait = self.standings.entry(key).attempts.fail(now, what.clone());
                warn!(%key, left = what, "Git dropped it, and it stays: something is left in it");
                self.look_at(key, Instant::now() + wait);
            }
            // It was written just now.
            Err(error) if error.status() == Some(409) => self.look_anew(key.clone()),
            Err(error) => self.fail(key, &error),
        }
    }
}

/// Whether an object is in a Namespace, or may be of a kind that a definition defines.
fn is_in(object: &ObjectKey, of: &ObjectKey) -> bool {
    match Rank::of(of) {
        Rank::Namespace => object.namespace() == of.name(),
        Rank::Definition => {
            let group = of.name().split_once('.').map_or("", |(_, group)| group);
            Rank::of(object) == Rank::Rest && object.group() == group
        }
        Rank::Rest => false,
    }
}

/// Until when a break-glass keeps an object as it is.
fn granted(basis: &Basis, rule: &Rule, key: &ObjectKey, uid: &str, now: Timestamp) -> Option<Timestamp> {
    let bounds = rule.bounds()?;
    let place = Place { object: key, uid: Some(uid), home: None };
    let own = basis.grants.covering(place, now);
    let of_home = basis.grants.of_namespace(key.namespace(), now);
    own.chain(of_home).filter(|grant| grant.is_within(bounds)).map(|grant| grant.ends()).max()
}

/// Deletes an object, if it is still what was applied and nothing is left in it.
async fn delete(client: &kube::Client, writer: &Writer, key: &ObjectKey, made: &Made) -> Result<Pruned, CallError> {
    let place = place(key.group(), &made.version, &made.resource, key.namespace());
    let Some(object) = client::get(client, &place, key.name()).await? else { return Ok(Pruned::Gone) };
    let Ok(sight) = Sight::parse(object) else { return Ok(Pruned::NotOurs) };
    if sight.uid() != &*made.uid {
        return Ok(Pruned::NotOurs);
    }
    if sight.is_leaving() {
        return Ok(Pruned::Gone);
    }
    if sight.asks() {
        return Ok(Pruned::Asks);
    }
    let left = match Rank::of(key) {
        Rank::Namespace => of_namespace(client, key.name()).await?,
        Rank::Definition => of_definition(client, sight.raw()).await?,
        Rank::Rest => None,
    };
    if let Some(left) = left {
        return Ok(Pruned::Holds(left));
    }
    writer.remove(&place, key.name(), sight.uid(), sight.version()).await?;
    Ok(Pruned::Deleted)
}
