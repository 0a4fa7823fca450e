//! How does one source stand, and what is to be done for it next?
//!
//! It starts nothing and publishes nothing: the loop does.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::{SourceSettings, printable_url};
use crate::follow::budget::Budget;
use crate::follow::errand::{Errand, Order, Refused, Report};
use crate::follow::standing::Standing;
use crate::follow::{Refreshed, SourceStatus, Start};
use crate::gate::basis::{Fault, Source};
use crate::limits;

/// One source and what is under way for it.
pub(super) struct Followed {
    pub(super) settings: Arc<SourceSettings>,
    /// The settings with which `standing` was read, from which mirror, and the kinds with which it was tried to read it.
    pub(super) read_as: Arc<SourceSettings>,
    pub(super) read_from: PathBuf,
    pub(super) tried_with: u64,
    pub(super) mirror: PathBuf,
    pub(super) standing: Arc<Standing>,
    pub(super) refused: Option<Arc<Refused>>,
    /// All faults, as published last.
    pub(super) faults: Arc<Vec<Fault>>,
    pub(super) error: Option<String>,
    pub(super) fetched: Option<Timestamp>,
    pub(super) start: Start,
    pub(super) errand: Option<Errand>,
    pub(super) due: Instant,
    pub(super) budget: Budget,
    /// Who waits for the fetch under way, and who came after it had begun.
    pub(super) waiting: Vec<oneshot::Sender<Refreshed>>,
    pub(super) late: Vec<oneshot::Sender<Refreshed>>,
}

/// What an errand changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Basis,
    StatusAlone,
}

impl Followed {
    pub(super) fn new(settings: &Arc<SourceSettings>, now: Instant) -> Self {
        Self {
            settings: Arc::clone(settings),
            read_as: Arc::clone(settings),
            read_from: PathBuf::new(),
            tried_with: 0,
            mirror: PathBuf::new(),
            standing: Arc::default(),
            refused: None,
            faults: Arc::default(),
            error: None,
            fetched: None,
            start: Start::Restoring,
            errand: None,
            due: now,
            budget: Budget::new(now),
            waiting: Vec::new(),
            late: Vec::new(),
        }
    }

    pub(super) fn next_errand(&self, now: Instant, wanted: u64) -> Option<Errand> {
        match (self.errand, self.start) {
            (Some(_), _) => None,
            (None, Start::Restoring) => Some(Errand::Restore),
            (None, Start::Restored | Start::Asked) if self.is_stale(wanted) => Some(Errand::Reread),
            (None, Start::Restored | Start::Asked) => (self.due <= now).then_some(Errand::Fetch),
        }
    }

    /// Whether what is in force would read differently now, and that was not tried yet.
    pub(super) fn is_stale(&self, wanted: u64) -> bool {
        let other_kinds = self.standing.read_with != wanted && self.tried_with != wanted;
        // From another mirror only a fetch can bring it.
        let other_settings = !self.reads_alike() && self.read_from == self.mirror;
        self.standing.revision.is_some() && (other_kinds || other_settings)
    }

    pub(super) fn reads_alike(&self) -> bool {
        let (ours, theirs) = (&self.settings, &self.read_as);
        self.read_from == self.mirror
            && ours.path == theirs.path
            && ours.reading == theirs.reading
            && ours.default_namespace == theirs.default_namespace
            && ours.scope.patterns == theirs.scope.patterns
            && ours.scope.cluster_scoped == theirs.scope.cluster_scoped
    }

    /// Whether settings ask another remote, or for another commit of it, than an errand did.
    fn asks_elsewhere(&self, order: &Order) -> bool {
        order.mirror != self.mirror || order.settings.reference != self.settings.reference
    }

    pub(super) fn change(&self, report: &Report) -> Change {
        let commit = |refused: &Option<Arc<Refused>>| refused.as_ref().map(Arc::as_ptr);
        let same = Arc::ptr_eq(&self.standing, &report.standing) && commit(&self.refused) == commit(&report.refused);
        if same { Change::StatusAlone } else { Change::Basis }
    }

    /// Takes what an errand brought; a fetch has an answer for who waits for it.
    pub(super) fn take(&mut self, report: Report, now: Timestamp) -> Option<Refreshed> {
        let Report { order, standing, refused, fetched } = report;
        let moved = standing.revision.as_ref().map(|info| &info.commit)
            != self.standing.revision.as_ref().map(|info| &info.commit);
        self.tell(&order, &standing, refused.as_deref(), moved);
        (self.standing, self.refused) = (standing, refused);
        let elsewhere = self.asks_elsewhere(&order);
        if !matches!(fetched, Some(Err(_))) {
            (self.read_as, self.read_from, self.tried_with) = (order.settings, order.mirror, order.wanted);
        }
        if order.errand == Errand::Restore {
            self.start = Start::Restored;
            if !self.standing.unknown().is_empty() {
                // A remote that hangs must not hold back the reading that the API server's answer calls for.
                self.due += limits::FIRST_FETCH_DELAY;
            }
        }
        let fetched = fetched?;
        self.start = Start::Asked;
        let instant = Instant::now();
        match fetched {
            Ok(_) => {
                (self.error, self.fetched) = (None, Some(now));
                self.budget.succeeded();
            }
            Err(error) => {
                let error = error.to_string();
                if self.error.as_ref() != Some(&error) {
                    warn!(source = %self.settings.id, error, "Fetch failed: the last good revision stays in force");
                }
                self.error = Some(error);
                self.budget.failed(instant);
            }
        }
        self.due = self.budget.next(instant, self.settings.interval.max(limits::INTERVAL_MIN));
        if elsewhere {
            self.due = instant;
        }
        Some(match (&self.error, moved) {
            (Some(_), _) => Refreshed::Failed,
            (None, true) => Refreshed::Moved,
            (None, false) => Refreshed::Unchanged,
        })
    }

    /// Says once what changed.
    fn tell(&self, order: &Order, standing: &Standing, refused: Option<&Refused>, moved: bool) {
        let source = &self.settings.id;
        if let Some(revision) = standing.revision.as_ref().filter(|_| moved) {
            let faults = standing.faults();
            info!(%source, revision = %revision.commit, declared = standing.declared(), faults = faults.len(), "Revision in force");
            for fault in faults.iter().take(limits::FAULTS_SHOWN_MAX) {
                warn!(%source, %fault, "Not declared");
            }
        }
        let known = order.refused.as_ref().map(|refused| &refused.commit);
        if let Some(refused) = refused.filter(|refused| Some(&refused.commit) != known) {
            for fault in &refused.faults {
                warn!(%source, commit = %refused.commit, %fault, "Commit refused: the last good revision stays in force");
            }
        }
    }

    /// Why a newer commit is not in force, then all that is in force but cannot be used.
    pub(super) fn all_faults(&self, overlaps: Vec<Fault>, of_crds: &[Fault]) -> Vec<Fault> {
        let refused = self.refused.iter().flat_map(|refused| {
            let note = format!("commit {} is not in force", refused.commit.short());
            refused.faults.iter().map(move |fault| Fault { what: format!("{}; {note}", fault.what), ..fault.clone() })
        });
        let own_crd = |fault: &&Fault| self.standing.crds.values().any(|crd| *crd.file == *fault.file);
        let of_crds = of_crds.iter().filter(own_crd).cloned();
        refused.chain(of_crds).chain(overlaps).chain(self.standing.faults()).collect()
    }

    /// `wanted`: the fingerprint of the kinds in force.
    pub(super) fn status(&self, wanted: u64) -> SourceStatus {
        SourceStatus {
            id: self.settings.id.clone(),
            remote: printable_url(&self.settings.url),
            path: self.settings.path.clone(),
            reference: self.settings.reference.clone(),
            revision: self.standing.revision.clone(),
            refused: self.refused.as_ref().map(|refused| refused.commit.clone()),
            declared: self.standing.declared(),
            faults: self.faults.iter().take(limits::FAULTS_SHOWN_MAX).cloned().collect(),
            fault_count: self.faults.len(),
            unknown: self.standing.unknown(),
            error: self.error.clone(),
            fetched: self.fetched,
            stale: self.is_stale(wanted),
            start: self.start,
        }
    }

    pub(super) fn published(&self) -> Source {
        Source {
            id: self.settings.id.clone(),
            revision: self.standing.revision.as_ref().map(|info| info.commit.clone()),
            max_lag: self.settings.max_lag,
            scope: self.settings.scope.clone(),
            owners: Arc::clone(&self.standing.owners),
            faults: Arc::clone(&self.faults),
            refused: self
                .refused
                .as_ref()
                .and_then(|refused| Some((refused.commit.clone(), refused.faults.first()?.clone()))),
            heads: self.standing.heads.iter().map(|head| (head.commit.clone(), head.observed)).collect(),
        }
    }
}
