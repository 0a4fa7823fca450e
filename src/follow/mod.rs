//! Git, settings and schemas become the basis: who may publish it, and how is it asked for more?
//!
//! [`Follower`] is the only one that publishes a [`Basis`]; everybody else has a [`Follow`]. What cannot be fetched or read
//! never empties it: the last good revision of each source stays in force, and the status says why. No task is spawned here
//! and no clock is read: `app` runs [`Follower::run`] and passes the clock.
//!
//! ```text
//!  ask ──┐                 ┌─ errand: restore ─ fetch ─ read ─┐ (one a source, blocking work apart)
//!  tick ─┼─► one loop ─────┤                                  ├──► sources ─► index ─► basis ─► watch
//!  settings, schemas ──────┘                                  ┘
//! ```

mod blames;
mod budget;
mod errand;
mod followed;
mod kinds;
mod read;
mod run;
mod standing;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::audit::Clock;
use crate::audit::metrics::Metrics;
use crate::config::{Reference, Settings};
use crate::drift::schema::Schemas;
use crate::follow::blames::Blames;
use crate::gate::basis::{Basis, CommitId, CommitInfo, Fault, SourceId};
use crate::gate::facts::Line;
use crate::gate::grant::Grants;
use crate::git::fetch::Fetcher;
use crate::limits;
use crate::store::Store;

pub use crate::follow::run::Follower;

/// What a [`Follower`] starts with.
pub struct Options {
    /// The configuration.
    pub settings: Arc<Settings>,
    /// What is known of kinds before any CRD in Git.
    pub schemas: Schemas,
    /// Where mirrors and heads are kept.
    pub store: Arc<Store>,
    /// Who talks to remotes.
    pub fetcher: Fetcher,
    /// What time it is.
    pub clock: Clock,
    /// Where fetches are counted.
    pub metrics: Arc<Metrics>,
}

/// The handle of a [`Follower`]: what it published, and a way to ask for more. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Follow {
    events: mpsc::Sender<Event>,
    basis: watch::Receiver<Arc<Basis>>,
    status: watch::Receiver<Statuses>,
    blames: Arc<Blames>,
}

/// What wakes the loop from outside; its own fetches and clocks are the rest.
#[derive(Debug)]
enum Event {
    /// Was something merged a moment ago? Answered once a fetch that began after this has been published.
    Refresh(SourceId, oneshot::Sender<Refreshed>),
    /// The operator asks for something else. Answered once it is published.
    Settings(Arc<Settings>, oneshot::Sender<()>),
    /// Other break-glass is open than before.
    Grants(Arc<Grants>),
    /// The cluster's kinds have changed. Answered once they are published.
    Schemas(Schemas, oneshot::Sender<()>),
}

/// What came of asking Git anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// Another revision is in force; the basis is published.
    Moved,
    /// Git was asked, and the revision in force is still the one.
    Unchanged,
    /// Git could not be asked.
    Failed,
    /// It was asked too often just now: not asked.
    NotAsked,
    /// It failed just now: not asked.
    LeftAlone,
    /// No answer until the deadline; the fetch goes on.
    Silent,
    /// There is no such source.
    Unknown,
}

/// One source, for the status page.
#[derive(Debug, Clone)]
pub struct SourceStatus {
    /// Its name.
    pub id: SourceId,
    /// Its URL, without user and password.
    pub remote: String,
    /// The folder that declares.
    pub path: String,
    /// Which commit counts.
    pub reference: Reference,
    /// The revision in force.
    pub revision: Option<CommitInfo>,
    /// The commit that was found but must not take effect; its faults come first in `faults`.
    pub refused: Option<CommitId>,
    /// Objects declared.
    pub declared: usize,
    /// The first [`limits::FAULTS_SHOWN_MAX`] faults.
    pub faults: Vec<Fault>,
    /// How many faults there are.
    pub fault_count: usize,
    /// Groups and versions that files name and nobody knows yet.
    pub unknown: BTreeSet<(String, String)>,
    /// Why the last fetch failed; absent where it did not.
    pub error: Option<String>,
    /// When Git last answered.
    pub fetched: Option<Timestamp>,
    /// Whether kinds or settings are others than it was read with, so that it is about to be read again.
    pub stale: bool,
    /// How far its start has come.
    pub start: Start,
}

/// All sources, in the order of their names.
pub type Statuses = Arc<Vec<SourceStatus>>;

/// How far the start of a source has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// What the state folder remembers is being read.
    Restoring,
    /// All that was remembered is in force (or nothing was); Git has not answered yet.
    Restored,
    /// Git was asked at least once, with whatever outcome.
    Asked,
}

/// Makes a follower and its handle. Nothing happens before the follower runs.
pub fn follow(options: Options) -> (Follower, Follow) {
    let (events, inbox) = mpsc::channel(limits::FOLLOW_QUEUE);
    let blames = Arc::new(Blames::default());
    let (follower, basis, status) = Follower::new(options, inbox, Arc::clone(&blames));
    (follower, Follow { events, basis, status, blames })
}

impl Follow {
    /// The basis, now and from now on.
    pub fn basis(&self) -> watch::Receiver<Arc<Basis>> {
        self.basis.clone()
    }

    /// All sources, in the order of their names, now and from now on.
    pub fn status(&self) -> watch::Receiver<Statuses> {
        self.status.clone()
    }

    /// Asks Git whether a source has moved, and waits until that is in force.
    ///
    /// Asking together costs one fetch. A source that was asked too often lately, or whose remote fails, is not asked.
    pub async fn refresh(&self, source: &SourceId, deadline: Instant) -> Refreshed {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.events.send(Event::Refresh(source.clone(), reply)).await.ok()?;
            answer.await.ok()
        };
        // A loop that has ended, or has dropped the question, will not answer any more.
        timeout_at(deadline, asked).await.ok().flatten().unwrap_or(Refreshed::Silent)
    }

    /// The commit that last wrote a line; `None` where that is not known until the deadline.
    pub async fn blame(&self, line: &Line, deadline: Instant) -> Option<CommitInfo> {
        self.blames.of(line, deadline).await
    }

    /// Follows another configuration from now on. Returns once its policies are published; its new sources take their time.
    pub async fn set_settings(&self, settings: Arc<Settings>) {
        let (reply, published) = oneshot::channel();
        // A follower that has ended follows nothing more.
        let _ = self.events.send(Event::Settings(settings, reply)).await;
        let _ = published.await;
    }

    /// Lets in by this break-glass, and no other, from now on.
    pub async fn set_grants(&self, grants: Arc<Grants>) {
        // A follower that has ended follows nothing more.
        let _ = self.events.send(Event::Grants(grants)).await;
    }

    /// Knows other kinds from now on. Returns once they are published, and with them which sources are to be read again.
    pub async fn set_schemas(&self, schemas: Schemas) {
        let (reply, published) = oneshot::channel();
        let _ = self.events.send(Event::Schemas(schemas, reply)).await;
        let _ = published.await;
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("settings", &self.settings)
            .field("fetcher", &self.fetcher)
            .finish_non_exhaustive()
    }
}
