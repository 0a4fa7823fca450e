//! How far are the sources? What `follow` knows, in the words of the status page.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::app::bridges::{Answered, is_loaded};
use crate::app::configuration::Asked;
use crate::cluster::standing::Standing;
use crate::follow::{Follow, SourceStatus};
use crate::reconcile::tally::{State, Tallies, Tally};
use crate::serve::status::{ConfigurationReport, KEPT, ObjectsReport, Phase, Progress, SourceReport, WebhooksReport};

/// The progress of the process.
pub(super) struct Followed {
    follow: Follow,
    answered: watch::Receiver<Answered>,
    asked: watch::Receiver<Arc<Asked>>,
    /// How our webhook configuration fares, where we keep it.
    webhooks: Option<watch::Receiver<Standing>>,
    /// How the objects of each source stand, where there is a cluster.
    tallies: watch::Receiver<Arc<Tallies>>,
    /// Once loaded is loaded: what a later commit brings holds nobody back.
    loaded: AtomicBool,
    draining: AtomicBool,
}

impl Followed {
    pub(super) fn new(
        follow: Follow,
        answered: watch::Receiver<Answered>,
        asked: watch::Receiver<Arc<Asked>>,
        (webhooks, tallies): (Option<watch::Receiver<Standing>>, watch::Receiver<Arc<Tallies>>),
    ) -> Arc<Self> {
        let (loaded, draining) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { follow, answered, asked, webhooks, tallies, loaded, draining })
    }

    /// From now on nobody is to be sent here.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

impl Progress for Followed {
    fn phase(&self) -> Phase {
        if self.draining.load(Ordering::Relaxed) {
            Phase::Draining
        } else if self.loaded.load(Ordering::Relaxed)
            || (self.asked.borrow().whole && is_loaded(&self.follow.status().borrow(), &self.answered.borrow()))
        {
            self.loaded.store(true, Ordering::Relaxed);
            Phase::Loaded
        } else {
            Phase::Loading
        }
    }

    fn sources(&self) -> Vec<SourceReport> {
        let tallies = Arc::clone(&self.tallies.borrow());
        let report =
            |status: &SourceStatus| SourceReport { objects: tallies.get(&status.id).map(objects), ..report(status) };
        self.follow.status().borrow().iter().map(report).collect()
    }

    fn configuration(&self) -> ConfigurationReport {
        let asked = self.asked.borrow();
        let faulty = asked.told.iter().filter(|told| !told.faults.is_empty());
        ConfigurationReport {
            faults: asked.faults.iter().map(ToString::to_string).collect(),
            objects: faulty.map(|told| (format!("{} {}", told.kind, told.name), told.faults.clone())).collect(),
            notices: asked.settings.notices.iter().map(ToString::to_string).collect(),
        }
    }

    fn webhooks(&self) -> Option<WebhooksReport> {
        let standing = self.webhooks.as_ref()?.borrow().clone();
        Some(match standing {
            Standing::Starting => WebhooksReport { state: "starting", ..WebhooksReport::default() },
            Standing::Kept { since } => WebhooksReport { state: KEPT, since: Some(since), ..WebhooksReport::default() },
            Standing::StandingDown { until } => {
                WebhooksReport { state: "standing down", back_at: Some(until), ..WebhooksReport::default() }
            }
            Standing::Failing { since, error } => {
                WebhooksReport { state: "failing", since: Some(since), back_at: None, error: Some(error) }
            }
        })
    }
}

fn report(status: &SourceStatus) -> SourceReport {
    let revision = status.revision.as_ref();
    SourceReport {
        name: status.id.to_string(),
        remote: status.remote.clone(),
        revision: revision.map(|revision| revision.commit.to_string()),
        author: revision.map(|revision| revision.author.clone()),
        date: revision.map(|revision| revision.date),
        refused: status.refused.as_ref().map(ToString::to_string),
        declared: status.declared,
        fault_count: status.fault_count,
        faults: status.faults.iter().map(ToString::to_string).collect(),
        error: status.error.clone(),
        fetched: status.fetched,
        objects: None,
    }
}

fn objects(tally: &Tally) -> ObjectsReport {
    ObjectsReport {
        states: State::ALL.iter().map(|state| (state.name(), tally.count(*state))).collect(),
        repaired: tally.repaired,
        oldest_drift: tally.oldest,
        unwatched: tally.unwatched.clone(),
        fights: tally.fights.clone(),
        stuck: tally.stuck.clone(),
    }
}
