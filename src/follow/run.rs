//! What happens next? One loop over all that can wake it, which starts errands and publishes what they bring.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use crate::audit::Clock;
use crate::audit::metrics::{Fetched, Metrics};
use crate::config::Settings;
use crate::drift::declared::Declared;
use crate::drift::schema::Schemas;
use crate::follow::blames::Blames;
use crate::follow::budget::Answer;
use crate::follow::errand::{Order, Report};
use crate::follow::followed::{Change, Followed};
use crate::follow::kinds::{Kinds, fingerprint, with_crds};
use crate::follow::read::Extent;
use crate::follow::{Event, Options, Refreshed, Start, Statuses};
use crate::gate::basis::{Basis, Fault, Index, Overlap, SourceId};
use crate::gate::grant::Grants;
use crate::gate::policy::Policy;
use crate::git::fetch::Fetcher;
use crate::git::mirror;
use crate::store::Store;

/// The loop that keeps the basis; see [`super`].
pub struct Follower {
    inbox: mpsc::Receiver<Event>,
    basis: watch::Sender<Arc<Basis>>,
    status: watch::Sender<Statuses>,
    settings: Arc<Settings>,
    /// Of `settings`, with its generation.
    policy: Arc<Policy>,
    grants: Arc<Grants>,
    base: Schemas,
    /// `base` with the CRDs in force, and those.
    schemas: Schemas,
    crds: Vec<Arc<Declared>>,
    crd_faults: Vec<Fault>,
    sources: BTreeMap<SourceId, Followed>,
    errands: FuturesUnordered<BoxFuture<'static, Report>>,
    store: Arc<Store>,
    fetcher: Fetcher,
    clock: Clock,
    metrics: Arc<Metrics>,
    blames: Arc<Blames>,
}

/// What woke the loop.
enum Wake {
    Asked(Event),
    Done(Box<Report>),
    Due,
    Shutdown,
}

impl Follower {
    pub(super) fn new(
        options: Options,
        inbox: mpsc::Receiver<Event>,
        blames: Arc<Blames>,
    ) -> (Self, watch::Receiver<Arc<Basis>>, watch::Receiver<Statuses>) {
        let Options { settings, schemas, store, fetcher, clock, metrics } = options;
        let empty = Basis {
            sources: BTreeMap::new(),
            index: Arc::default(),
            schemas: schemas.clone(),
            policy: Arc::clone(&settings.policy),
            grants: Arc::default(),
        };
        let (basis, basis_seen) = watch::channel(Arc::new(empty));
        let (status, status_seen) = watch::channel(Arc::default());
        let mut follower = Self {
            inbox,
            basis,
            status,
            settings: Arc::default(),
            policy: Arc::default(),
            grants: Arc::default(),
            base: schemas.clone(),
            schemas,
            crds: Vec::new(),
            crd_faults: Vec::new(),
            sources: BTreeMap::new(),
            errands: FuturesUnordered::new(),
            store,
            fetcher,
            clock,
            metrics,
            blames,
        };
        follower.adopt(&settings, Instant::now());
        follower.publish_now(Index::build(&[]));
        (follower, basis_seen, status_seen)
    }

    /// Follows until `shutdown` or until nobody holds a handle any more.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        loop {
            self.start_errands();
            let wake = tokio::select! {
                () = &mut shutdown => Wake::Shutdown,
                wake = self.wake() => wake,
            };
            match wake {
                Wake::Shutdown => return,
                Wake::Due => {}
                Wake::Asked(event) => self.asked(event).await,
                Wake::Done(report) => self.done(*report).await,
            }
        }
    }

    /// Runs until every source has been asked for once and read; for who needs one basis and no more.
    ///
    /// What could not be fetched or read is told by the status.
    pub async fn settle(&mut self) {
        loop {
            let asked = |source: &Followed| source.start == Start::Asked && source.errand.is_none();
            if self.sources.values().all(asked) && !self.rereads_due() {
                return;
            }
            self.start_errands();
            match self.wake().await {
                Wake::Shutdown => return,
                Wake::Due => {}
                Wake::Asked(event) => self.asked(event).await,
                Wake::Done(report) => self.done(*report).await,
            }
        }
    }

    async fn wake(&mut self) -> Wake {
        let due = self.sources.values().filter(|source| source.errand.is_none()).map(|source| source.due).min();
        // With no source at all there is still settings to wait for.
        let due = due.unwrap_or_else(|| Instant::now() + Duration::from_hours(1));
        tokio::select! {
            event = self.inbox.recv() => event.map_or(Wake::Shutdown, Wake::Asked),
            Some(report) = self.errands.next() => Wake::Done(Box::new(report)),
            () = sleep_until(due) => Wake::Due,
        }
    }

    async fn asked(&mut self, event: Event) {
        match event {
            Event::Refresh(id, reply) => self.refresh(&id, reply),
            Event::Settings(settings, reply) => {
                self.adopt(&settings, Instant::now());
                self.publish().await;
                // Who has stopped waiting needs no answer.
                let _ = reply.send(());
            }
            Event::Grants(grants) => {
                self.grants = grants;
                // Nothing that Git says is read again for it.
                self.basis.send_modify(|basis| {
                    *basis = Arc::new(Basis { grants: Arc::clone(&self.grants), ..Basis::clone(basis) });
                });
            }
            Event::Schemas(base, reply) => {
                self.base = base;
                self.crds.clear();
                self.publish().await;
                // Who has stopped waiting needs no answer.
                let _ = reply.send(());
            }
        }
    }

    fn refresh(&mut self, id: &SourceId, reply: oneshot::Sender<Refreshed>) {
        let Some(source) = self.sources.get_mut(id) else {
            // Who has stopped waiting needs no answer.
            let _ = reply.send(Refreshed::Unknown);
            return;
        };
        // A fetch that began before the question may have missed what it asks for.
        if source.errand.is_some() || !source.late.is_empty() {
            source.late.push(reply);
            return;
        }
        match source.budget.take(Instant::now()) {
            Answer::Granted => {
                source.waiting.push(reply);
                source.due = Instant::now();
            }
            Answer::Spent => drop(reply.send(Refreshed::NotAsked)),
            Answer::BackingOff => drop(reply.send(Refreshed::LeftAlone)),
        }
    }

    /// Takes up settings: sources come, go, or are to be read otherwise.
    fn adopt(&mut self, settings: &Arc<Settings>, now: Instant) {
        if !Arc::ptr_eq(&self.settings.policy, &settings.policy) {
            let generation = self.policy.generation + 1;
            self.policy = Arc::new(Policy { generation, ..Policy::clone(&settings.policy) });
        }
        self.settings = Arc::clone(settings);
        let wanted: BTreeMap<_, _> = settings.sources.iter().map(|source| (&source.id, source)).collect();
        self.sources.retain(|id, _| wanted.contains_key(id));
        for (id, settings) in wanted {
            let mirror = mirror::folder(self.store.root(), id, &settings.url);
            let settings = Arc::new(settings.clone());
            let source = self.sources.entry(id.clone()).or_insert_with(|| Followed::new(&settings, now));
            if source.mirror != mirror || source.settings.reference != settings.reference {
                source.due = now;
            }
            (source.settings, source.mirror) = (settings, mirror);
        }
        let mirrors = self.sources.iter().map(|(id, source)| (id.clone(), source.mirror.clone()));
        self.blames.look_in(mirrors.collect());
    }

    fn start_errands(&mut self) {
        let (now, wanted) = (Instant::now(), fingerprint(&self.schemas));
        let ids: Vec<_> = self.sources.keys().cloned().collect();
        for id in ids {
            let Some(source) = self.sources.get_mut(&id) else { continue };
            let Some(errand) = source.next_errand(now, wanted) else { continue };
            source.errand = Some(errand);
            let foreign = self.foreign(&id);
            let Some(source) = self.sources.get(&id) else { continue };
            let own = source.standing.crds.values().cloned();
            let order = Order {
                errand,
                settings: Arc::clone(&source.settings),
                standing: Arc::clone(&source.standing),
                extent: if source.reads_alike() { Extent::Changes } else { Extent::Whole },
                refused: source.refused.clone(),
                mirror: source.mirror.clone(),
                kinds: Kinds::new(self.base.clone(), foreign, own, self.schemas.clone()),
                wanted,
                store: Arc::clone(&self.store),
                clock: Arc::clone(&self.clock),
            };
            self.errands.push(Box::pin(order.run(self.fetcher.clone())));
        }
    }

    fn rereads_due(&self) -> bool {
        let wanted = fingerprint(&self.schemas);
        self.sources.values().any(|source| source.is_stale(wanted))
    }

    /// CRDs of all other sources.
    fn foreign(&self, id: &SourceId) -> Vec<Arc<Declared>> {
        let others = self.sources.iter().filter(|(other, _)| *other != id);
        others.flat_map(|(_, source)| source.standing.crds.values().cloned()).collect()
    }

    async fn done(&mut self, report: Report) {
        let now = (self.clock)();
        let id = report.order.settings.id.clone();
        let Some(source) = self.sources.get_mut(&id) else { return };
        source.errand = None;
        let change = source.change(&report);
        let reply = source.take(report, now);
        if let Some(outcome) = reply.and_then(outcome) {
            self.metrics.fetches.get_or_create(&Fetched { source: id.0.to_string(), outcome }).inc();
        }
        // Only a fetch answers who waits for one.
        let waiting = if reply.is_some() { std::mem::take(&mut source.waiting) } else { Vec::new() };
        let late = std::mem::take(&mut source.late);
        match change {
            Change::Basis => self.publish().await,
            Change::StatusAlone => self.publish_status(),
        }
        let reply = reply.unwrap_or(Refreshed::Unchanged);
        for waiting in waiting {
            // Who has stopped waiting needs no answer.
            let _ = waiting.send(reply);
        }
        self.let_in_late(&id, late);
    }

    /// Who asked while an errand was under way gets a fetch of their own, all of them together.
    fn let_in_late(&mut self, id: &SourceId, late: Vec<oneshot::Sender<Refreshed>>) {
        let Some(source) = self.sources.get_mut(id) else { return };
        let late: Vec<_> = late.into_iter().filter(|reply| !reply.is_closed()).collect();
        if late.is_empty() {
            return;
        }
        let refused = match source.budget.take(Instant::now()) {
            Answer::Granted => {
                source.waiting.extend(late);
                source.due = Instant::now();
                return;
            }
            Answer::Spent => Refreshed::NotAsked,
            Answer::BackingOff => Refreshed::LeftAlone,
        };
        for reply in late {
            let _ = reply.send(refused);
        }
    }

    async fn publish(&mut self) {
        let mut sources: Vec<_> = self.sources.iter().collect();
        // The older keeps what two declare.
        sources.sort_by_key(|(id, source)| (source.settings.created, *id));
        let sources: Vec<_> =
            sources.into_iter().map(|(id, source)| (id.clone(), Arc::clone(&source.standing.objects))).collect();
        let crds = self.sources.values().flat_map(|source| source.standing.crds.values());
        let crds: Vec<_> = crds.cloned().collect();
        // Schemas anew, where the CRDs in force (or the cluster's kinds) are others than before.
        let base = (self.crds.is_empty() || self.crds != crds).then(|| self.base.clone());
        let built = tokio::task::spawn_blocking(move || {
            let kinds = base.map(|base| with_crds(&base, crds.iter()));
            let sources: Vec<_> = sources.iter().map(|(id, objects)| (id, &**objects)).collect();
            (Index::build(&sources), kinds.map(|kinds| (kinds, crds)))
        });
        match built.await {
            Ok((index, kinds)) => {
                if let Some(((schemas, faults), crds)) = kinds {
                    (self.schemas, self.crd_faults, self.crds) = (schemas, faults, crds);
                }
                self.publish_now(index);
            }
            Err(error) => warn!(%error, "Building the index failed: the last one stays"),
        }
    }

    fn publish_now(&mut self, (index, overlaps): (Index, Vec<Overlap>)) {
        let mut faults: BTreeMap<SourceId, Vec<Fault>> = BTreeMap::new();
        for Overlap { source, fault } in overlaps {
            faults.entry(source).or_default().push(fault);
        }
        let mut sources = BTreeMap::new();
        for (id, source) in &mut self.sources {
            source.faults = Arc::new(source.all_faults(faults.remove(id).unwrap_or_default(), &self.crd_faults));
            sources.insert(id.clone(), Arc::new(source.published()));
        }
        let (schemas, policy, grants) = (self.schemas.clone(), Arc::clone(&self.policy), Arc::clone(&self.grants));
        self.basis.send_replace(Arc::new(Basis { sources, index: Arc::new(index), schemas, policy, grants }));
        self.publish_status();
    }

    fn publish_status(&self) {
        let wanted = fingerprint(&self.schemas);
        self.status.send_replace(Arc::new(self.sources.values().map(|source| source.status(wanted)).collect()));
    }
}

/// How a fetch ended, as the metrics have it.
fn outcome(fetched: Refreshed) -> Option<&'static str> {
    match fetched {
        Refreshed::Moved => Some("new"),
        Refreshed::Unchanged => Some("unchanged"),
        Refreshed::Failed => Some("failed"),
        Refreshed::NotAsked | Refreshed::LeftAlone | Refreshed::Silent | Refreshed::Unknown => None,
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("sources", &self.sources.keys()).finish_non_exhaustive()
    }
}
