//! How far are the sources? What `follow` knows, in the words of the status page.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::app::bridges::{Answered, is_loaded};
use crate::follow::{Follow, SourceStatus};
use crate::serve::status::{Phase, Progress, SourceReport};

/// The progress of the process.
pub(super) struct Followed {
    follow: Follow,
    answered: watch::Receiver<Answered>,
    /// Once loaded is loaded: what a later commit brings holds nobody back.
    loaded: AtomicBool,
    draining: AtomicBool,
}

impl Followed {
    pub(super) fn new(follow: Follow, answered: watch::Receiver<Answered>) -> Arc<Self> {
        Arc::new(Self { follow, answered, loaded: AtomicBool::new(false), draining: AtomicBool::new(false) })
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
            || is_loaded(&self.follow.status().borrow(), &self.answered.borrow())
        {
            self.loaded.store(true, Ordering::Relaxed);
            Phase::Loaded
        } else {
            Phase::Loading
        }
    }

    fn sources(&self) -> Vec<SourceReport> {
        self.follow.status().borrow().iter().map(report).collect()
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
    }
}
