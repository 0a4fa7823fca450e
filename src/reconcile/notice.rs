//! What of an object's drift is news? What the gate was not asked about, and what is moved again each time that it was brought back.
//!
//! Only the leader tells, so each drift is told once.

use std::hash::BuildHasher as _;

use jiff::Timestamp;
use rustc_hash::FxBuildHasher;
use serde_json::Value;
use tokio::time::Instant;
use tracing::debug;

use crate::audit::metrics::OfSource;
use crate::audit::repair::{Moved, Outcome};
use crate::drift::declared::ObjectKey;
use crate::gate::conclude;
use crate::gate::finding::Change;
use crate::gate::live::Look;
use crate::gate::managers;
use crate::reconcile::fight::Turn;
use crate::reconcile::plan::{Cause, Held};
use crate::reconcile::record::{Ending, Matter, record};
use crate::reconcile::run::Reconciler;
use crate::reconcile::sight::Sight;
use crate::reconcile::standing::{Presence, Stance};

/// What stands for an object that is missing among what was noticed.
const MISSING: u64 = 0;

impl Reconciler {
    /// Takes in how an object stands by now, and tells what is new in it.
    pub(super) fn notice(&mut self, look: &Look<'_>, held: &Held, sight: Option<&Sight>, now: Timestamp) {
        let known = self.standings.entry(look.key());
        match (&known.stance, &known.presence) {
            (_, Presence::Unknown | Presence::Leaving { .. }) | (Stance::Unknown, _) => {}
            (Stance::Agrees, _) => {
                known.noticed = Box::default();
                if let Some(bout) = &mut known.bout {
                    bout.agrees(now);
                    self.calm(look, held, now);
                }
            }
            (Stance::Differs { .. }, Presence::There { .. } | Presence::Absent { .. }) => {
                self.drifted(look, held, sight, now);
            }
        }
    }

    fn drifted(&mut self, look: &Look<'_>, held: &Held, sight: Option<&Sight>, now: Timestamp) {
        let key = look.key();
        let known = self.standings.entry(key);
        // What agreed with something else, or with nothing yet, has not drifted: Git has moved on.
        let Some(target) = held.target.as_ref().filter(|target| known.memory.agreed == Some(target.fingerprint)) else {
            return;
        };
        let marks: Box<[u64]> = match sight {
            None => [MISSING].into(),
            Some(_) => held.gap.drift.iter().map(mark).collect(),
        };
        let noticed = std::mem::replace(&mut known.noticed, marks);
        let is_new = |mark: u64| !noticed.contains(&mark);
        let fresh: Vec<Change> =
            held.gap.drift.iter().filter(|change| sight.is_some() && is_new(mark(change))).cloned().collect();
        if known.memory.ran || (fresh.is_empty() && (sight.is_some() || !is_new(MISSING))) {
            return;
        }
        let moved = match sight {
            Some(sight) => self.movers(key, &fresh, sight, now),
            None => self.deleter(key, now).into_iter().collect(),
        };
        let cause = if sight.is_some() { Cause::Drifted } else { Cause::Missing };
        let matter = Matter { cause, fingerprint: target.fingerprint, drift: &fresh };
        self.slipped(look, &matter, &moved, now);
        let known = self.standings.entry(key);
        let Some(bout) = &mut known.bout else { return };
        let fields = fresh.iter().map(|change| change.path.clone()).collect();
        match bout.drifted(now, fields, moved) {
            Turn::Drift => {}
            Turn::GoesOn => debug!(%key, "Moved again"),
            Turn::Begins => {
                let Some(standoff) = bout.standoff().cloned() else { return };
                let waits =
                    format!("it is repaired again at {:.0}, and later each time that it is moved", standoff.until);
                self.metrics.fights.get_or_create(&of_source(look)).inc();
                self.tell_of(look, &matter, (Outcome::FightDetected, Some(waits)), standoff.with, now);
            }
        }
    }

    /// Tells of what the gate was not asked about.
    fn slipped(&mut self, look: &Look<'_>, matter: &Matter<'_>, moved: &[Moved], now: Timestamp) {
        let was_asked = |path: &str| moved.iter().any(|moved| moved.path == path && moved.user.is_some());
        let drift: Vec<Change> =
            matter.drift.iter().filter(|change| !was_asked(&change.path.to_string())).cloned().collect();
        let is_whole = matter.drift.is_empty();
        if drift.is_empty() && (!is_whole || was_asked("")) {
            return;
        }
        let by = moved.iter().filter(|moved| moved.user.is_none()).cloned().collect();
        let matter = Matter { drift: &drift, ..*matter };
        self.metrics.slipped_past.get_or_create(&of_source(look)).inc();
        self.tell_of(look, &matter, (Outcome::SlippedPast, None), by, now);
    }

    /// Ends a fight that is over, or looks again when it would be.
    fn calm(&mut self, look: &Look<'_>, held: &Held, now: Timestamp) {
        let key = look.key();
        let known = self.standings.entry(key);
        let (Some(bout), Some(fingerprint)) = (&mut known.bout, held.agrees) else { return };
        if let Some(standoff) = bout.settle(now) {
            let matter = Matter { cause: Cause::Drifted, fingerprint, drift: &[] };
            let after = format!("after it was moved {} times since {:.0}", standoff.flips, standoff.since);
            self.tell_of(look, &matter, (Outcome::FightEnded, Some(after)), standoff.with, now);
        } else if let Some(at) = bout.calm_at() {
            self.look_at(key, Instant::now() + at.duration_since(now).unsigned_abs());
        }
    }

    fn tell_of(
        &self,
        look: &Look<'_>,
        matter: &Matter<'_>,
        (outcome, words): (Outcome, Option<String>),
        moved_by: Vec<Moved>,
        now: Timestamp,
    ) {
        let Some(known) = self.standings.get(look.key()) else { return };
        let ending = Ending { outcome, manager: None, error: words, moved_by };
        let record = record(look, known, matter, ending, now);
        if outcome != Outcome::SlippedPast || self.recorder.passed().is_news(&record.id) {
            self.recorder.record(record);
        }
    }

    /// Who moved these fields: the managers that own them, and the users, where the gate was asked.
    fn movers(&self, key: &ObjectKey, fresh: &[Change], sight: &Sight, now: Timestamp) -> Vec<Moved> {
        let object: Value = serde_json::from_str(sight.raw().get()).unwrap_or_default();
        let moved = fresh.iter().map(|change| {
            let mover = managers::mover(&object, &change.path);
            let user = self.recorder.passed().of_field(key, &conclude::field(key, change, None), now);
            let (manager, time) = mover.map(|mover| (mover.manager, mover.time)).unzip();
            Moved { path: change.path.to_string(), manager, user, time: time.flatten() }
        });
        moved.collect()
    }

    /// Who deleted an object, or the Namespace that it was in, where the gate was asked.
    fn deleter(&self, key: &ObjectKey, now: Timestamp) -> Option<Moved> {
        let home = ObjectKey::new("", "Namespace", "", key.namespace());
        let passed = self.recorder.passed();
        let user = passed.of_delete(key, now).or_else(|| passed.of_delete(&home, now))?;
        Some(Moved { path: String::new(), manager: None, user: Some(user), time: None })
    }
}

fn mark(change: &Change) -> u64 {
    FxBuildHasher.hash_one((&change.path, &change.written)).max(MISSING + 1)
}

fn of_source(look: &Look<'_>) -> OfSource {
    OfSource { source: look.entry.source.to_string() }
}
