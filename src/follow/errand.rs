//! What is done for one source at a time? Restoring it from the state folder, fetching it, or reading it once more.
//!
//! One errand a source at once. It gets the source as it stood and returns it as it stands now; it publishes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tracing::{debug, info, warn};

use crate::audit::Clock;
use crate::config::{Reference, SourceSettings};
use crate::follow::kinds::Kinds;
use crate::follow::read::{Extent, Reader, chain};
use crate::follow::standing::Standing;
use crate::gate::basis::{CommitId, Fault};
use crate::gate::history::horizon;
use crate::git::fetch::{FetchError, Fetcher};
use crate::git::mirror::{Head, Mirror};
use crate::store::{HeadRecord, SourceRecord, Store};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    /// Take up what the state folder remembers; Git is not asked.
    Restore,
    /// Ask Git, and move on to its head.
    Fetch,
    /// Read the revision in force once more, because kinds or settings have changed.
    Reread,
}

/// All that an errand needs; it shares nothing that changes.
#[derive(Clone)]
pub(super) struct Order {
    pub(super) errand: Errand,
    pub(super) settings: Arc<SourceSettings>,
    pub(super) standing: Arc<Standing>,
    /// Whole where the settings say to read otherwise than the source was read.
    pub(super) extent: Extent,
    /// The commit that did not take effect last time, and why.
    pub(super) refused: Option<Arc<Refused>>,
    pub(super) mirror: PathBuf,
    pub(super) kinds: Kinds,
    /// The fingerprint of the kinds in force when the errand began.
    pub(super) wanted: u64,
    pub(super) store: Arc<Store>,
    pub(super) clock: Clock,
}

/// A commit that must not take effect.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) commit: CommitId,
    pub(super) faults: Vec<Fault>,
}

/// What came of an errand.
pub(super) struct Report {
    pub(super) order: Order,
    /// The source as it stands now; the same pointer where nothing changed.
    pub(super) standing: Arc<Standing>,
    pub(super) refused: Option<Arc<Refused>>,
    /// What Git answered, where it was asked.
    pub(super) fetched: Option<Result<CommitId, FetchError>>,
}

/// A source on its way from one standing to the next.
struct Journey<'o> {
    order: &'o Order,
    kinds: Kinds,
    standing: Standing,
    refused: Option<Arc<Refused>>,
}

impl Order {
    /// Does it. Never fails: what went wrong stands in the report, and the source stays as it was.
    pub(super) async fn run(self, fetcher: Fetcher) -> Report {
        let head = match self.errand {
            Errand::Fetch => Some(fetcher.fetch(&self.settings, &self.mirror).await),
            Errand::Restore | Errand::Reread => None,
        };
        let (order, answer) = (self.clone(), head.clone());
        let worked = tokio::task::spawn_blocking(move || order.work(answer.as_ref())).await;
        let (standing, refused) = worked.unwrap_or_else(|error| {
            // A fault of ours (a panic); the last good state stays.
            warn!(source = %self.settings.id, %error, "Reading a source failed");
            (None, self.refused.clone())
        });
        let standing = standing.map_or_else(|| Arc::clone(&self.standing), Arc::new);
        Report { standing, refused, fetched: head, order: self }
    }

    /// The part that blocks. No standing: nothing has changed.
    fn work(&self, fetched: Option<&Result<CommitId, FetchError>>) -> (Option<Standing>, Option<Arc<Refused>>) {
        match (self.errand, fetched) {
            (Errand::Restore, _) => self.restore(),
            (Errand::Reread, _) => self.reread(),
            (Errand::Fetch, Some(Ok(commit))) => self.move_on(commit),
            (Errand::Fetch, Some(Err(error))) => (self.miss(error), self.refused.clone()),
            (Errand::Fetch, None) => (None, self.refused.clone()),
        }
    }

    fn journey(&self) -> Journey<'_> {
        Journey { order: self, kinds: self.kinds.clone(), standing: Standing::clone(&self.standing), refused: None }
    }

    fn restore(&self) -> (Option<Standing>, Option<Arc<Refused>>) {
        let Some(record) = self.store.load(&self.settings.id) else { return (None, None) };
        let Ok(mirror) = Mirror::open(&self.mirror) else { return (None, None) };
        let heads = record.heads.into_iter();
        let heads = heads.map(|head| Head { commit: CommitId(head.commit.into()), observed: head.observed });
        let heads: Vec<_> = heads.filter(|head| mirror.holds(&head.commit)).collect();
        let past = horizon((self.clock)(), self.settings.max_lag);
        let first = heads.iter().rposition(|head| head.observed <= past).unwrap_or_default();
        let mut journey = self.journey();
        journey.standing.gone_since = record.gone_since;
        for head in heads.into_iter().skip(first) {
            journey.go(&mirror, head, Extent::Changes);
        }
        let restored = journey.standing.revision.is_some();
        let Journey { standing, refused, .. } = journey;
        (restored.then_some(standing), refused)
    }

    fn reread(&self) -> (Option<Standing>, Option<Arc<Refused>>) {
        let Some(revision) = &self.standing.revision else { return (None, None) };
        let Ok(mirror) = Mirror::open(&self.mirror) else { return (None, self.refused.clone()) };
        let head = Head { commit: revision.commit.clone(), observed: (self.clock)() };
        let mut journey = self.journey();
        match journey.go(&mirror, head, Extent::Whole) {
            // What was refused may be read under other settings: the next fetch tries it once more.
            Went::On => (Some(journey.standing), self.refused.clone().filter(|_| self.extent == Extent::Changes)),
            Went::Nowhere => (None, journey.refused),
        }
    }

    fn move_on(&self, commit: &CommitId) -> (Option<Standing>, Option<Arc<Refused>>) {
        let now = (self.clock)();
        let same = self.extent == Extent::Changes;
        let here = self.standing.revision.as_ref().is_some_and(|revision| revision.commit == *commit);
        let refused_before = self.refused.as_ref().is_some_and(|refused| refused.commit == *commit);
        if same && (here || refused_before) {
            let refused = self.refused.clone().filter(|_| refused_before);
            return (self.stay(now), refused);
        }
        let mirror = match Mirror::open(&self.mirror) {
            Ok(mirror) => mirror,
            Err(error) => {
                let fault = Fault { file: String::new(), line: 0, what: chain(&error) };
                return (None, Some(Arc::new(Refused { commit: commit.clone(), faults: vec![fault] })));
            }
        };
        let (mut journey, mut extent) = (self.journey(), self.extent);
        journey.standing.gone_since = None;
        for head in self.way(&mirror, commit, now) {
            if journey.go(&mirror, head, extent) == Went::On {
                extent = Extent::Changes;
            }
        }
        journey.standing.prune(horizon(now, self.settings.max_lag));
        journey.save();
        let Journey { standing, refused, .. } = journey;
        (Some(standing), refused)
    }

    /// The head is where it was: only what is too old is forgotten.
    fn stay(&self, now: Timestamp) -> Option<Standing> {
        let horizon = horizon(now, self.settings.max_lag);
        let returned = self.standing.gone_since.is_some();
        if !returned && !self.standing.forgets_at(horizon) {
            return None;
        }
        let mut journey = self.journey();
        journey.standing.gone_since = None;
        journey.standing.prune(horizon);
        if returned {
            journey.save();
        }
        Some(journey.standing)
    }

    /// The commits to go through, `commit` last.
    ///
    /// Between two fetches a branch may have had heads that nobody saw; a deployer may have, so those of its first-parent
    /// history count as if they had been the head until now. At a first start they count by their commit times.
    fn way(&self, mirror: &Mirror, commit: &CommitId, now: Timestamp) -> Vec<Head> {
        let last = Head { commit: commit.clone(), observed: now };
        match self.settings.reference {
            Reference::Branch(_) => {}
            Reference::Tag(_) | Reference::Commit(_) => return vec![last],
        }
        let Some(revision) = &self.standing.revision else {
            let since = horizon(now, self.settings.max_lag);
            return mirror.heads_since(commit, since, now).unwrap_or_else(|_| vec![last]);
        };
        let forward = mirror.descends(commit, &revision.commit).unwrap_or(false);
        if !forward {
            info!(source = %self.settings.id, from = %revision.commit, to = %commit, "History was rewritten");
            return vec![last];
        }
        let between = mirror.heads_between(&revision.commit, commit).unwrap_or_default();
        let mut way: Vec<_> = between.into_iter().map(|commit| Head { commit, observed: now }).collect();
        if way.last() != Some(&last) {
            way.push(last);
        }
        way
    }

    /// Git could not be asked; where the ref itself is gone, that is remembered, and at last the source is released.
    fn miss(&self, error: &FetchError) -> Option<Standing> {
        let now = (self.clock)();
        let mut journey = self.journey();
        let before = journey.standing.gone_since;
        if !error.is_gone() || journey.standing.revision.is_none() {
            return None;
        }
        let since = *journey.standing.gone_since.get_or_insert(now);
        let released = since <= horizon(now, self.settings.release_after);
        if released {
            warn!(source = %self.settings.id, %since, "The ref has been gone for long: its objects are released");
            journey.standing = Standing::default();
            journey.standing.gone_since = Some(since);
        }
        if before.is_some() && !released {
            return None;
        }
        journey.save();
        Some(journey.standing)
    }
}

/// Whether a commit took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Went {
    On,
    Nowhere,
}

impl Journey<'_> {
    /// Moves on to a commit, or says why not. An earlier refusal is forgotten: a later commit may have mended it.
    fn go(&mut self, mirror: &Mirror, head: Head, extent: Extent) -> Went {
        let settings = &self.order.settings;
        let commit = head.commit.clone();
        match (Reader { mirror, settings, kinds: &mut self.kinds }).step(&self.standing, head, extent) {
            Ok(step) => {
                self.standing.apply(step, &settings.id, settings.max_lag);
                self.refused = None;
                Went::On
            }
            Err(faults) => {
                debug!(source = %settings.id, %commit, faults = faults.len(), "Commit passed over");
                self.refused = Some(Arc::new(Refused { commit, faults }));
                Went::Nowhere
            }
        }
    }

    fn save(&self) {
        let heads = self.standing.heads.iter();
        let heads = heads.map(|head| HeadRecord { commit: head.commit.to_string(), observed: head.observed }).collect();
        let record = SourceRecord { heads, gone_since: self.standing.gone_since };
        let Order { settings, store, .. } = self.order;
        if let Err(error) = store.save(&settings.id, &record) {
            warn!(source = %settings.id, %error, "The state folder cannot be written");
        }
    }
}
