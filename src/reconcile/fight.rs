//! Is this object fought over? A history of flips says it: a declared field that somebody moves again each time that it was brought
//! back.
//!
//! After [`FIGHT_FLIPS`] flips of one field within [`FIGHT_WINDOW`] repairs of the object wait, longer with each further flip. The
//! fight ends by itself when the object stays as it was repaired for longer than its opponent ever took. Nothing here sleeps, and
//! only whoever repairs has a history.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::audit::repair::Moved;
use crate::drift::path::FieldPath;
use crate::limits::{
    FIGHT_CALM_MAX, FIGHT_CALM_MIN, FIGHT_FIELDS_MAX, FIGHT_FLIPS, FIGHT_MOVERS_MAX, FIGHT_REMEMBERED, FIGHT_WAIT_MAX,
    FIGHT_WAIT_MIN, FIGHT_WINDOW,
};

/// Beyond so many doublings every wait is the longest.
const DOUBLINGS_MAX: u32 = 16;

/// What happened to one object between repairs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bout {
    /// Whether it is being brought back.
    tried: bool,
    /// When it was brought back last, if nobody has moved it since.
    repaired: Option<Timestamp>,
    /// The oldest first.
    flips: VecDeque<Flip>,
    standoff: Option<Standoff>,
}

/// Drift after a repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flip {
    /// When it was seen.
    pub at: Timestamp,
    /// How long after the repair.
    pub after: SignedDuration,
    /// The fields that were moved; none where the object was deleted.
    pub fields: Vec<FieldPath>,
    /// Who moved them, as far as it is known.
    pub by: Vec<Moved>,
}

/// A fight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standoff {
    /// The first of the flips that made it one.
    pub since: Timestamp,
    /// The fields that are fought over; none where it is the whole object.
    pub fields: Vec<FieldPath>,
    /// With whom, the last one first.
    pub with: Vec<Moved>,
    /// How often it was flipped so far.
    pub flips: u32,
    /// Not before this instant it is repaired again.
    pub until: Timestamp,
    /// How often repairs have waited.
    rounds: u32,
}

/// What a flip means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is drift like any other.
    Drift,
    /// With it a fight has begun.
    Begins,
    /// The fight goes on.
    GoesOn,
}

impl Bout {
    /// Notes that the object is being brought back.
    pub fn tries(&mut self) {
        self.tried = true;
    }

    /// Notes that the object agrees: it was brought back, if that was tried. In a fight it counts whoever did it, or if Git gave in.
    pub fn agrees(&mut self, now: Timestamp) {
        let is_over = self.standoff.is_some() && self.repaired.is_none();
        if std::mem::take(&mut self.tried) || is_over {
            self.repaired = Some(now);
        }
    }

    /// Notes that the object differs again, in these fields (none: it is gone). Drift that stays, or that no repair went before, is
    /// no flip.
    pub fn drifted(&mut self, now: Timestamp, fields: Vec<FieldPath>, by: Vec<Moved>) -> Turn {
        let Some(repaired) = self.repaired.take() else { return Turn::Drift };
        self.forget(now);
        let mut fields = fields;
        fields.truncate(FIGHT_FIELDS_MAX);
        self.flips.push_back(Flip { at: now, after: now.duration_since(repaired), fields, by });
        if let Some(standoff) = &mut self.standoff {
            let latest = self.flips.back();
            standoff.flips = standoff.flips.saturating_add(1);
            standoff.rounds = standoff.rounds.saturating_add(1);
            standoff.until = later(now, wait(standoff.rounds));
            let fields = latest.into_iter().flat_map(|flip| &flip.fields);
            for field in fields.take(FIGHT_FIELDS_MAX) {
                if !standoff.fields.is_empty() && !standoff.fields.contains(field) {
                    standoff.fields.push(field.clone());
                }
            }
            standoff.fields.truncate(FIGHT_FIELDS_MAX);
            standoff.with = movers(self.flips.iter());
            return Turn::GoesOn;
        }
        let Some(fields) = self.fought() else { return Turn::Drift };
        let is_of = |flip: &&Flip| if fields.is_empty() { flip.fields.is_empty() } else { shares(flip, &fields) };
        let of: Vec<&Flip> = self.flips.iter().filter(is_of).collect();
        let standoff = Standoff {
            since: of.first().map_or(now, |flip| flip.at),
            with: movers(of.iter().copied()),
            flips: u32::try_from(of.len()).unwrap_or(u32::MAX),
            fields,
            until: later(now, wait(0)),
            rounds: 0,
        };
        self.standoff = Some(standoff);
        Turn::Begins
    }

    /// The fight that goes on.
    pub fn standoff(&self) -> Option<&Standoff> {
        self.standoff.as_ref()
    }

    /// When the fight is over, if nobody moves anything before; `None` where there is none, or the object still differs.
    pub fn calm_at(&self) -> Option<Timestamp> {
        self.standoff.as_ref()?;
        let slowest = self.flips.iter().map(|flip| flip.after).max().unwrap_or_default();
        let calm = Duration::try_from(slowest).unwrap_or_default().saturating_mul(3);
        Some(later(self.repaired?, calm.clamp(FIGHT_CALM_MIN, FIGHT_CALM_MAX)))
    }

    /// Ends the fight where it is over, and gives it: it is told once.
    pub fn settle(&mut self, now: Timestamp) -> Option<Standoff> {
        self.calm_at().filter(|calm| *calm <= now)?;
        self.flips.clear();
        self.standoff.take()
    }

    fn forget(&mut self, now: Timestamp) {
        let window = SignedDuration::try_from(FIGHT_WINDOW).unwrap_or(SignedDuration::MAX);
        self.flips.retain(|flip| now.duration_since(flip.at).abs() <= window);
        while self.flips.len() >= FIGHT_REMEMBERED {
            self.flips.pop_front();
        }
    }

    /// The fields that were flipped often enough; none of them where it is the object that was deleted so often.
    fn fought(&self) -> Option<Vec<FieldPath>> {
        let latest = self.flips.back()?;
        let enough = |count: usize| count >= FIGHT_FLIPS;
        if latest.fields.is_empty() {
            return enough(self.flips.iter().filter(|flip| flip.fields.is_empty()).count()).then(Vec::new);
        }
        let often = |field: &&FieldPath| enough(self.flips.iter().filter(|flip| flip.fields.contains(field)).count());
        let fought: Vec<FieldPath> = latest.fields.iter().filter(often).cloned().collect();
        (!fought.is_empty()).then_some(fought)
    }
}

fn shares(flip: &Flip, fields: &[FieldPath]) -> bool {
    flip.fields.iter().any(|field| fields.contains(field))
}

/// Everybody who moved something, the last one first, each once with his last time.
fn movers<'f>(flips: impl DoubleEndedIterator<Item = &'f Flip>) -> Vec<Moved> {
    let mut all: Vec<Moved> = Vec::new();
    for mover in flips.rev().flat_map(|flip| &flip.by) {
        let is_known = |known: &Moved| (&known.manager, &known.user) == (&mover.manager, &mover.user);
        if all.len() < FIGHT_MOVERS_MAX && !all.iter().any(is_known) {
            all.push(mover.clone());
        }
    }
    all
}

fn wait(rounds: u32) -> Duration {
    FIGHT_WAIT_MIN.saturating_mul(1 << rounds.min(DOUBLINGS_MAX)).min(FIGHT_WAIT_MAX)
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn path(text: &str) -> Vec<FieldPath> {
        vec![text.parse().unwrap()]
    }

    fn by(manager: &str) -> Vec<Moved> {
        vec![Moved { path: String::new(), manager: Some(manager.to_owned()), time: None, user: None }]
    }

    fn repaired(bout: &mut Bout, now: Timestamp) {
        bout.tries();
        bout.agrees(now);
    }

    /// Repaired at each of these seconds, moved again a second later.
    fn fought(seconds: &[i64], field: &str) -> (Bout, Vec<Turn>) {
        let mut bout = Bout::default();
        let turns = seconds.iter().map(|second| {
            repaired(&mut bout, at(*second));
            bout.drifted(at(second + 1), path(field), by("hpa"))
        });
        let turns = turns.collect();
        (bout, turns)
    }

    #[test]
    fn the_third_flip_of_one_field_begins_a_fight_and_names_the_writer() {
        let (bout, turns) = fought(&[0, 10, 20], "spec.replicas");
        assert_eq!(turns, [Turn::Drift, Turn::Drift, Turn::Begins]);
        let standoff = bout.standoff().unwrap();
        assert_eq!((standoff.flips, standoff.since), (3, at(1)));
        assert_eq!((&standoff.fields, &standoff.with), (&path("spec.replicas"), &by("hpa")));
        assert_eq!(standoff.until, later(at(21), FIGHT_WAIT_MIN));
    }

    #[test]
    fn other_fields_slow_flips_and_drift_that_stays_are_no_fight() {
        let mut bout = Bout::default();
        for (n, field) in ["spec.a", "spec.b", "spec.c", "spec.d"].into_iter().enumerate() {
            repaired(&mut bout, at(i64::try_from(n).unwrap()));
            assert_eq!(bout.drifted(at(i64::try_from(n).unwrap()), path(field), Vec::new()), Turn::Drift);
        }
        let window = i64::try_from(FIGHT_WINDOW.as_secs()).unwrap();
        let (_, turns) = fought(&[0, window, 2 * window, 3 * window], "spec.replicas");
        assert_eq!(turns, [Turn::Drift; 4]);
        let mut bout = Bout::default();
        repaired(&mut bout, at(0));
        for second in 1..9 {
            // Seen again and again, it was moved once.
            assert_eq!(bout.drifted(at(second), path("spec.a"), Vec::new()), Turn::Drift);
        }
        assert_eq!(bout.flips.len(), 1);
    }

    #[test]
    fn what_others_brought_back_is_no_repair() {
        let mut bout = Bout::default();
        for second in 0..9 {
            bout.agrees(at(second));
            assert_eq!(bout.drifted(at(second), path("spec.a"), Vec::new()), Turn::Drift);
        }
        assert!(bout.flips.is_empty());
    }

    #[test]
    fn an_object_deleted_again_and_again_is_fought_over_as_a_whole() {
        let mut bout = Bout::default();
        let mut turn = Turn::Drift;
        for second in 0..3 {
            repaired(&mut bout, at(second));
            turn = bout.drifted(at(second), Vec::new(), Vec::new());
        }
        assert_eq!(turn, Turn::Begins);
        assert!(bout.standoff().unwrap().fields.is_empty());
    }

    #[test]
    fn repairs_wait_longer_each_time_up_to_a_bound() {
        let (mut bout, _) = fought(&[0, 10, 20], "spec.replicas");
        let mut before = FIGHT_WAIT_MIN;
        for _ in 0..40 {
            let now = bout.standoff().unwrap().until;
            repaired(&mut bout, now);
            assert_eq!(bout.drifted(now, path("spec.replicas"), by("hpa")), Turn::GoesOn);
            let waits = Duration::try_from(bout.standoff().unwrap().until.duration_since(now)).unwrap();
            assert_eq!(waits, (before * 2).min(FIGHT_WAIT_MAX));
            before = waits;
        }
        assert!(bout.flips.len() <= FIGHT_REMEMBERED);
    }

    #[test]
    fn a_fight_ends_once_when_the_field_stays_put_for_longer_than_the_opponent_took() {
        let (mut bout, _) = fought(&[0, 10, 20], "spec.replicas");
        // It still differs.
        assert_eq!(bout.settle(at(100_000)), None);
        repaired(&mut bout, at(200));
        let calm = later(at(200), FIGHT_CALM_MIN);
        assert_eq!(bout.calm_at(), Some(calm));
        assert_eq!(bout.settle(calm.checked_sub(Duration::from_secs(1)).unwrap()), None);
        assert_eq!(bout.settle(calm).map(|standoff| standoff.flips), Some(3));
        assert_eq!(bout.settle(calm), None);
        // Who takes long is waited for long.
        let (mut slow, slowly) = (Bout::default(), i64::try_from(FIGHT_CALM_MIN.as_secs()).unwrap());
        for n in 0..3 {
            repaired(&mut slow, at(n * 2 * slowly));
            slow.drifted(at((n * 2 + 1) * slowly), path("spec.a"), Vec::new());
        }
        repaired(&mut slow, at(10 * slowly));
        assert_eq!(slow.calm_at(), Some(at(13 * slowly)));
    }

    proptest! {
        /// Whatever happens, a fight needs enough flips, a history is bounded, and what waits does not wait for longer than the bound.
        #[test]
        fn a_history_is_bounded_and_no_fight_begins_early(steps in prop::collection::vec((any::<bool>(), 0_i64..400, 0_u8..3), 0..200)) {
            let (mut bout, mut now, mut flips) = (Bout::default(), 0, 0);
            for (is_repair, more, field) in steps {
                now += more;
                if is_repair {
                    repaired(&mut bout, at(now));
                } else {
                    flips += usize::from(bout.repaired.is_some());
                    let turn = bout.drifted(at(now), path(&format!("spec.f{field}")), by("x"));
                    prop_assert!(turn == Turn::Drift || flips >= FIGHT_FLIPS);
                }
                prop_assert!(bout.flips.len() <= FIGHT_REMEMBERED);
                if let Some(standoff) = bout.standoff() {
                    prop_assert!(standoff.until <= later(at(now), FIGHT_WAIT_MAX));
                    prop_assert!(standoff.with.len() <= FIGHT_MOVERS_MAX && standoff.fields.len() <= FIGHT_FIELDS_MAX);
                }
            }
        }
    }
}
