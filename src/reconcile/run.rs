//! When is what done? The loop: what wakes it, what each of that means, and whose turn it is.
//!
//! Everything comes in as a sight of an object, whether a watch told it, a look or the answer to a repair; so there is one way in,
//! [`judge`](super::judge). Only the leader begins repairs; everybody compares.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use kube::Client;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use crate::audit::Clock;
use crate::audit::metrics::Metrics;
use crate::audit::sinks::Recorder;
use crate::cluster::form::Forms;
use crate::cluster::lease::Lead;
use crate::cluster::writer::Writer;
use crate::drift::declared::ObjectKey;
use crate::gate::basis::{Basis, Entry, SourceId};
use crate::gate::facts::Facts;
use crate::limits;
use crate::reconcile::desk::Desk;
use crate::reconcile::permit::Permits;
use crate::reconcile::prune::{AskAll, Prunes};
use crate::reconcile::standing::{Attempts, Known, Memory, Presence, Stance, Standings};
use crate::reconcile::tally::{Tallies, tallies};
use crate::reconcile::turns::Turns;
use crate::reconcile::watch::{Heard, Watched, Watches, wanted};
use crate::reconcile::work::Work;
use crate::store::{Ledger, Store};

/// What the reconciler needs to know.
pub struct Reconciling {
    /// The API server.
    pub client: Client,
    /// What Git declares, and what the policies say.
    pub basis: watch::Receiver<Arc<Basis>>,
    /// Whether this replica leads.
    pub leads: watch::Receiver<Lead>,
    /// What the server makes of declarations.
    pub forms: Forms,
    /// Tells the time.
    pub clock: Clock,
    /// Keeps what must survive a restart.
    pub store: Arc<Store>,
    /// Takes what was repaired.
    pub recorder: Recorder,
    /// Counts it.
    pub metrics: Arc<Metrics>,
    /// Learns how the objects of each source stand.
    pub tallies: watch::Sender<Arc<Tallies>>,
    /// Landfast's own namespace.
    pub namespace: String,
    /// Asks every source what it says now.
    pub ask_all: AskAll,
}

/// Brings back what differs from Git.
pub struct Reconciler {
    pub(super) client: Client,
    pub(super) writer: Writer,
    pub(super) forms: Forms,
    pub(super) clock: Clock,
    pub(super) basis: Arc<Basis>,
    basis_seen: watch::Receiver<Arc<Basis>>,
    pub(super) leads: watch::Receiver<Lead>,
    pub(super) watches: Watches,
    pub(super) standings: Standings,
    /// Of each kind that is being listed, what was seen so far.
    pub(super) listings: BTreeMap<Watched, FxHashSet<ObjectKey>>,
    pub(super) work: FuturesUnordered<BoxFuture<'static, Work>>,
    /// Objects that something is done with; whether they are to be looked at when it is done.
    pub(super) busy: FxHashMap<ObjectKey, bool>,
    pub(super) turns: Turns,
    pub(super) permits: Permits,
    pub(super) desk: Desk,
    pub(super) prunes: Prunes,
    pub(super) ask_all: AskAll,
    /// When objects are to be looked at, and the same by object.
    due: BTreeSet<(Instant, ObjectKey)>,
    due_at: FxHashMap<ObjectKey, Instant>,
    /// Objects whose memory has changed.
    pub(super) changed: BTreeSet<ObjectKey>,
    ledger: Ledger,
    pub(super) recorder: Recorder,
    pub(super) metrics: Arc<Metrics>,
    /// Repairs of each source since the start.
    pub(super) repairs: BTreeMap<SourceId, u64>,
    tallies: watch::Sender<Arc<Tallies>>,
    /// Whether something was learnt since all was counted, and when that was.
    pub(super) untallied: bool,
    tallied: Instant,
}

/// All that can wake the loop.
enum Event {
    Shutdown,
    Basis,
    Leads,
    Done(Box<Work>),
    Heard(Watched, Box<Heard>),
    Said(Box<Heard>),
    Due,
    Tally,
}

impl Reconciler {
    /// Prepares; nothing is watched before [`run`](Self::run). Blocks.
    pub fn new(reconciling: Reconciling) -> Self {
        let Reconciling { client, mut basis, leads, forms, clock, .. } = reconciling;
        let Reconciling { store, recorder, metrics, tallies, namespace, ask_all, .. } = reconciling;
        let (ledger, remembered) = store.standings::<Memory>();
        let remembered = remembered.into_iter().filter_map(|(key, memory)| Some((ObjectKey::read(&key)?, memory)));
        let current = Arc::clone(&basis.borrow_and_update());
        Self {
            writer: Writer::new(client.clone()),
            watches: Watches::new(client.clone()),
            desk: Desk::new(client.clone(), namespace),
            permits: Permits::default(),
            prunes: Prunes::default(),
            ask_all,
            client,
            forms,
            clock,
            basis: current,
            basis_seen: basis,
            leads,
            standings: Standings::of(remembered),
            listings: BTreeMap::new(),
            work: FuturesUnordered::new(),
            busy: FxHashMap::default(),
            turns: Turns::default(),
            due: BTreeSet::new(),
            due_at: FxHashMap::default(),
            changed: BTreeSet::new(),
            ledger,
            recorder,
            metrics,
            repairs: BTreeMap::new(),
            tallies,
            untallied: true,
            tallied: Instant::now(),
        }
    }

    /// Runs until `shutdown` resolves; what is under way then is let go: the next leader looks at it anew.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        self.watches.set(wanted(&self.basis));
        self.permits.count(&self.basis);
        self.desk.set(&self.basis);
        loop {
            let next = self.due.first().map(|(at, _)| *at);
            let next = [next, self.permits.settles, self.desk.at, self.prunes.at()].into_iter().flatten().min();
            let due = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let (is_due, tally) = (self.untallied, sleep_until(self.tallied + limits::TALLY_INTERVAL));
            let event = tokio::select! {
                biased;
                () = &mut shutdown => Event::Shutdown,
                changed = self.basis_seen.changed() => if changed.is_ok() { Event::Basis } else { Event::Shutdown },
                changed = self.leads.changed() => if changed.is_ok() { Event::Leads } else { Event::Shutdown },
                Some(work) = self.work.next() => Event::Done(Box::new(work)),
                () = due => Event::Due,
                heard = self.desk.next() => Event::Said(Box::new(heard)),
                () = tally, if is_due => Event::Tally,
                (kind, heard) = self.watches.next() => Event::Heard(kind, Box::new(heard)),
            };
            match event {
                Event::Shutdown => return self.remember(),
                Event::Basis => self.turn(),
                Event::Leads => self.lead(),
                Event::Done(work) => self.end(*work),
                Event::Heard(kind, heard) => self.hear(&kind, *heard),
                Event::Said(heard) => self.hear_notice(*heard),
                Event::Due => self.look_at_what_is_due(),
                Event::Tally => self.tally(),
            }
            self.begin();
            self.publish();
            self.remember();
        }
    }

    /// Takes over, or gives up.
    fn lead(&mut self) {
        self.look_at_what_differs();
        self.prunes.forget();
        self.sweep();
    }

    /// Whether this replica leads.
    pub(super) fn leads(&self) -> bool {
        self.leads.borrow().holds()
    }

    /// Moves on to what is in force now.
    fn turn(&mut self) {
        let basis = Arc::clone(&self.basis_seen.borrow_and_update());
        let before = std::mem::replace(&mut self.basis, Arc::clone(&basis));
        self.watches.set(wanted(&basis));
        self.desk.set(&basis);
        self.untallied = true;
        if !Arc::ptr_eq(&before.index, &basis.index) {
            self.permits.count(&basis);
            // What was never declared to this process may be yet: at a start the sources come one by one.
            let is_gone =
                |key: &ObjectKey| before.index.objects.contains_key(key) && !basis.index.objects.contains_key(key);
            let gone = self.standings.retain(|key| !is_gone(key));
            for key in &gone {
                self.dropped(key);
            }
            self.changed.extend(gone);
        }
        let anew = self.to_list_anew(&before, &basis);
        for kind in &anew {
            self.standings.doubt(|key| (key.group(), key.kind()) == (&*kind.group, &*kind.kind));
            self.listings.remove(kind);
            self.watches.again(kind);
        }
        if !Arc::ptr_eq(&before.index, &basis.index) {
            let others = basis.index.objects.iter().filter(|(key, now)| is_other(before.index.objects.get(key), now));
            let others: Vec<ObjectKey> = others.map(|(key, _)| key.clone()).collect();
            for key in others {
                self.dropped(&key);
                if let Some(known) = self.standings.get_mut(&key) {
                    known.attempts = Attempts::default();
                    known.asked = None;
                }
                self.look_anew(key);
            }
        }
        if !Arc::ptr_eq(&before.grants, &basis.grants) {
            self.look_at_what_is_open();
        }
        self.ask_anew(&before);
        self.sweep();
        if !Arc::ptr_eq(&before.grants, &basis.grants) || !Arc::ptr_eq(&before.policy, &basis.policy) {
            self.look_at_what_is_dropped();
        }
    }

    /// The kinds of which every object may stand otherwise than before: by another policy all of them, by another schema its own;
    /// and those that could not be watched.
    fn to_list_anew(&self, before: &Basis, basis: &Basis) -> BTreeSet<Watched> {
        let by_policy = |basis: &Basis| (basis.policy.generation, basis.policy.landfast.clone());
        let all = by_policy(before) != by_policy(basis);
        let types = |basis: &Basis, kind: &Watched| basis.schemas.types_digest(&kind.group, &kind.kind);
        let is_other = |kind: &&Watched| all || types(before, kind) != types(basis, kind);
        let others = self.watches.kinds().filter(is_other).cloned();
        others.chain(self.watches.failing()).collect()
    }

    /// Counts how the objects of each source stand.
    fn tally(&mut self) {
        (self.untallied, self.tallied) = (false, Instant::now());
        let unwatched = self.watches.unwatched(&self.basis);
        let tallies = tallies(&self.basis, |key| self.standings.get(key), &unwatched, &self.repairs);
        self.tallies.send_if_modified(|before| {
            let changed = **before != tallies;
            if changed {
                *before = Arc::new(tallies);
            }
            changed
        });
    }

    /// Looks at all that differs: what nobody led to tell of, and what was not repaired, is to be.
    fn look_at_what_differs(&mut self) {
        let is_told = |known: &Known| !known.noticed.is_empty();
        let differs = |known: &Known| matches!(known.stance, Stance::Differs { .. }) && !is_told(known);
        let is_begun = |known: &Known| known.memory.begun.is_some();
        let these = self.standings.iter().filter(|(_, known)| known.open || differs(known) || is_begun(known));
        let these: Vec<_> = these.map(|(key, _)| key.clone()).collect();
        for key in these {
            self.look_anew(key);
        }
    }

    /// Looks at all that waits for something, or was not its turn to repair.
    fn look_at_what_is_open(&mut self) {
        let open: Vec<_> = self.standings.iter().filter(|(_, known)| known.open).map(|(key, _)| key.clone()).collect();
        for key in open {
            self.look_anew(key);
        }
    }

    fn look_at_what_is_due(&mut self) {
        let now = Instant::now();
        if self.permits.settles.is_some_and(|at| at <= now) {
            self.settled();
        }
        self.prune_again(now);
        while let Some((at, _)) = self.due.first()
            && *at <= now
            && let Some((_, key)) = self.due.pop_first()
        {
            self.due_at.remove(&key);
            self.look_anew(key);
        }
    }

    /// Has an object looked at when its turn comes, whatever was seen of it before.
    pub(super) fn look_anew(&mut self, key: ObjectKey) {
        if let Some(known) = self.standings.get_mut(&key) {
            known.doubted = true;
        }
        self.turns.push(key, None);
    }

    /// Has an object looked at in a while; what was said before does not count any more.
    pub(super) fn look_at(&mut self, key: &ObjectKey, at: Instant) {
        if let Some(before) = self.due_at.insert(key.clone(), at) {
            self.due.remove(&(before, key.clone()));
        }
        self.due.insert((at, key.clone()));
    }

    /// Begins what waits, as far as there is room.
    fn begin(&mut self) {
        while self.is_free()
            && let Some((key, sight)) = self.turns.pop(|key| !self.busy.contains_key(key))
        {
            if self.prunes.contains(&key) {
                self.prune(&key);
                continue;
            }
            let known = self.standings.get(&key);
            let is_last = |version: &str| {
                let there = known.filter(|known| !known.doubted).map(|known| &known.presence);
                matches!(there, Some(Presence::There { version: last, .. }) if **last == *version)
            };
            match sight.filter(|sight| is_last(sight.version())) {
                Some(sight) => self.consider(&key, Some(sight), &Facts::default().forms),
                None => self.look(&key),
            }
        }
    }

    /// Whether more may be begun.
    pub(super) fn is_free(&self) -> bool {
        self.work.len() < limits::REPAIRS_AT_ONCE
    }

    /// Writes down what has changed of what must survive a restart.
    fn remember(&mut self) {
        if self.changed.is_empty() {
            return;
        }
        let changed = std::mem::take(&mut self.changed);
        let names: Vec<_> = changed.iter().map(|key| format!("{key:?}")).collect();
        let memories = changed.iter().map(|key| self.standings.get(key).map(|known| &known.memory));
        let mut written = self.ledger.append(names.iter().map(String::as_str).zip(memories));
        if self.ledger.is_long(self.standings.len()) {
            let all: Vec<_> = self.standings.iter().map(|(key, known)| (format!("{key:?}"), &known.memory)).collect();
            written = self.ledger.rewrite(all.iter().map(|(key, memory)| (key.as_str(), *memory)));
        }
        if let Err(error) = written {
            warn!(%error, "What objects agreed with is not remembered");
        }
    }
}

/// Whether Git says something else of an object than before.
fn is_other(before: Option<&Entry>, now: &Entry) -> bool {
    match (before.and_then(|before| before.head.as_ref()), now.head.as_ref()) {
        (Some(before), Some(now)) => !Arc::ptr_eq(before, now) && before.json != now.json,
        (None, None) => false,
        (None, Some(_)) | (Some(_), None) => true,
    }
}
