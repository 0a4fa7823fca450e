//! Who last wrote this line, within the time that a denial may wait?

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use crate::follow::read::chain;
use crate::gate::basis::{CommitInfo, SourceId};
use crate::gate::facts::Line;
use crate::git::mirror::Mirror;
use crate::limits;

/// Answers that were found, and the mirrors in which to look.
#[derive(Debug)]
pub(super) struct Blames {
    known: Mutex<BTreeMap<Line, Known>>,
    mirrors: Mutex<BTreeMap<SourceId, PathBuf>>,
    /// Histories walked at once: a slow one must not take every thread.
    places: Arc<Semaphore>,
}

/// What a walk found; that nobody wrote a line is known as well.
#[derive(Debug, Clone)]
struct Known(Option<CommitInfo>);

impl Default for Blames {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(limits::BLAMES_AT_ONCE));
        Self { known: Mutex::default(), mirrors: Mutex::default(), places }
    }
}

impl Blames {
    /// Where each source's mirror stands; set whenever the settings change.
    pub(super) fn look_in(&self, mirrors: BTreeMap<SourceId, PathBuf>) {
        *self.mirrors.lock().unwrap_or_else(PoisonError::into_inner) = mirrors;
    }

    /// The commit that last wrote a line; `None` where that is not known in time.
    pub(super) async fn of(self: &Arc<Self>, line: &Line, deadline: Instant) -> Option<CommitInfo> {
        if let Some(known) = self.known(line) {
            return known.0;
        }
        let mirror = self.mirrors.lock().unwrap_or_else(PoisonError::into_inner).get(&line.source)?.clone();
        let place = timeout_at(deadline, Arc::clone(&self.places).acquire_owned()).await.ok()?.ok()?;
        let (line, this) = (line.clone(), Arc::clone(self));
        let walk = tokio::task::spawn_blocking(move || {
            let _place = place;
            this.walk(&line, &mirror, deadline)
        });
        timeout_at(deadline, walk).await.ok()?.ok()?
    }

    /// Ends by itself at the deadline, so that nothing runs on for nobody.
    fn walk(&self, line: &Line, mirror: &std::path::Path, deadline: Instant) -> Option<CommitInfo> {
        // Who waited for a place may find that another has looked in the meantime.
        if let Some(known) = self.known(line) {
            return known.0;
        }
        let in_time = || Instant::now() < deadline;
        let found =
            Mirror::open(mirror).and_then(|mirror| mirror.blame(&line.revision, &line.file, line.line, in_time));
        let found = found.unwrap_or_else(|error| {
            debug!(file = line.file, line = line.line, error = chain(&error), "Blame failed");
            None
        });
        // What was given up is not known to be unknown.
        if found.is_some() || in_time() {
            self.keep(line, found.as_ref());
        }
        found
    }

    fn known(&self, line: &Line) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(line).cloned()
    }

    fn keep(&self, line: &Line, found: Option<&CommitInfo>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= limits::BLAMES_KEPT {
            // Lines of old revisions are never asked for again; starting afresh is rare and cheap.
            known.clear();
        }
        known.insert(line.clone(), Known(found.cloned()));
    }
}
