//! Does too much of a source differ at once? Then its repair is held until a person has looked. Pure.
//!
//! Many small accidents look like one big one only when they are counted together: an etcd restored to an older snapshot, a script
//! that went through a namespace, a wrong source. They show one object after the other. So while more and more objects differ, or
//! while the objects of some kind are only just being listed, nothing of the source is brought back; an object that differs alone
//! waits for [`SETTLE_FIRST`] and no longer.

use jiff::{SignedDuration, Timestamp};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::drift::declared::ObjectKey;
use crate::gate::basis::SourceId;
use crate::gate::repair::HoldAbove;
use crate::limits::{SETTLE, SETTLE_FIRST, SETTLE_MAX};

/// What differs at once, by source.
#[derive(Debug, Default)]
pub struct Threshold {
    bursts: FxHashMap<SourceId, Burst>,
    homes: FxHashMap<ObjectKey, SourceId>,
}

/// What differs of one source.
#[derive(Debug)]
struct Burst {
    /// Objects that differ or are missing, and that nobody approved.
    open: FxHashSet<ObjectKey>,
    /// Since when any does.
    began: Timestamp,
    /// When the last one was added.
    grew: Timestamp,
}

/// What holds of a source now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Its objects may be brought back.
    Go,
    /// It is not known yet how many differ; until then nothing is brought back.
    Settle(Timestamp),
    /// Too many differ: a person is asked.
    Hold(Hold),
}

/// Too much of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// How many objects differ or are missing.
    pub open: usize,
    /// How many may.
    pub most: usize,
    /// How many the source declares.
    pub declared: usize,
}

/// Whether all objects have been seen that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sighted {
    /// They have.
    Whole,
    /// Those of some kind are being listed.
    Listing,
}

impl HoldAbove {
    /// How many of so many objects may differ at once. A share is rounded up: one object is never a tenth too many.
    pub fn most(self, declared: usize) -> usize {
        match self {
            Self::Percent(share) => declared.saturating_mul(usize::from(share)).div_ceil(100),
            Self::Objects(most) => usize::try_from(most).unwrap_or(usize::MAX),
        }
    }
}

impl Threshold {
    /// Notes that an object of a source differs or is missing.
    pub fn enter(&mut self, source: &SourceId, key: &ObjectKey, now: Timestamp) {
        if self.homes.get(key).is_some_and(|home| home != source) {
            self.leave(key);
        }
        let burst = self.bursts.entry(source.clone());
        let burst = burst.or_insert_with(|| Burst { open: FxHashSet::default(), began: now, grew: now });
        if burst.open.insert(key.clone()) {
            burst.grew = now;
            self.homes.insert(key.clone(), source.clone());
        }
    }

    /// Notes that an object agrees, is approved, or is to be left as it is.
    pub fn leave(&mut self, key: &ObjectKey) {
        let Some(source) = self.homes.remove(key) else { return };
        let Some(burst) = self.bursts.get_mut(&source) else { return };
        burst.open.remove(key);
        if burst.open.is_empty() {
            self.bursts.remove(&source);
        }
    }

    /// The objects of a source that differ or are missing.
    pub fn open(&self, source: &SourceId) -> impl Iterator<Item = &ObjectKey> {
        self.bursts.get(source).into_iter().flat_map(|burst| &burst.open)
    }

    /// Whether a source, of which so much is declared, may be repaired under this bound.
    pub fn word(&self, source: &SourceId, bound: HoldAbove, declared: usize, sighted: Sighted, now: Timestamp) -> Word {
        let Some(burst) = self.bursts.get(source) else { return Word::Go };
        let (open, most) = (burst.open.len(), bound.most(declared));
        if open > most {
            return Word::Hold(Hold { open, most, declared });
        }
        let after = |since: Timestamp, wait| since.checked_add(wait).unwrap_or(Timestamp::MAX);
        // A clock that was set back makes nobody wait for long.
        let is_soon = |until: &Timestamp| *until > now && until.duration_since(now) <= wait(SETTLE_MAX);
        let last = after(burst.began, wait(SETTLE_MAX));
        let quiet = match (sighted, open) {
            (Sighted::Listing, _) => last,
            (Sighted::Whole, 1) => after(burst.grew, wait(SETTLE_FIRST)),
            (Sighted::Whole, _) => after(burst.grew, wait(SETTLE)),
        };
        Some(quiet.min(last)).filter(is_soon).map_or(Word::Go, Word::Settle)
    }
}

fn wait(time: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(time).unwrap_or(SignedDuration::ZERO)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn source() -> SourceId {
        SourceId("shop".into())
    }

    fn key(n: usize) -> ObjectKey {
        ObjectKey::new("", "ConfigMap", "shop", &n.to_string())
    }

    fn at(millis: u32) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + i64::from(millis)).unwrap()
    }

    fn word(threshold: &Threshold, sighted: Sighted, millis: u32) -> Word {
        threshold.word(&source(), HoldAbove::Percent(10), 100, sighted, at(millis))
    }

    fn millis(time: std::time::Duration) -> u32 {
        time.as_millis().try_into().unwrap()
    }

    #[test]
    fn one_object_waits_a_moment_and_is_brought_back() {
        let mut threshold = Threshold::default();
        assert_eq!(word(&threshold, Sighted::Whole, 0), Word::Go);
        threshold.enter(&source(), &key(0), at(0));
        let settled = millis(SETTLE_FIRST);
        assert_eq!(word(&threshold, Sighted::Whole, 0), Word::Settle(at(settled)));
        assert_eq!(word(&threshold, Sighted::Whole, settled), Word::Go);
    }

    #[test]
    fn a_trickle_is_counted_before_anything_is_brought_back() {
        let mut threshold = Threshold::default();
        let step = millis(SETTLE_FIRST) / 2;
        for n in 0..11 {
            let now = u32::try_from(n).unwrap() * step;
            assert!(!matches!(word(&threshold, Sighted::Whole, now), Word::Go) || n == 0, "{n}");
            threshold.enter(&source(), &key(n), at(now));
        }
        assert_eq!(word(&threshold, Sighted::Whole, 10 * step), Word::Hold(Hold { open: 11, most: 10, declared: 100 }));
        // What is out of bounds stays so however long it takes.
        assert!(matches!(word(&threshold, Sighted::Whole, u32::MAX), Word::Hold(_)));
        // What was approved does not count any more.
        threshold.leave(&key(3));
        assert_eq!(threshold.open(&source()).count(), 10);
        assert_eq!(word(&threshold, Sighted::Whole, u32::MAX), Word::Go);
    }

    #[test]
    fn a_list_is_waited_for_but_not_for_ever() {
        let mut threshold = Threshold::default();
        threshold.enter(&source(), &key(0), at(0));
        let last = millis(SETTLE_MAX);
        assert_eq!(word(&threshold, Sighted::Listing, last - 1), Word::Settle(at(last)));
        assert_eq!(word(&threshold, Sighted::Listing, last), Word::Go);
        assert_eq!(word(&threshold, Sighted::Whole, last - 1), Word::Go);
    }

    #[test]
    fn a_clock_that_is_set_back_holds_up_nothing() {
        let mut threshold = Threshold::default();
        threshold.enter(&source(), &key(0), at(1_000_000_000));
        assert_eq!(word(&threshold, Sighted::Listing, 0), Word::Go);
    }

    #[test]
    fn a_share_is_rounded_up() {
        for (bound, declared, most) in [
            (HoldAbove::Percent(10), 5, 1),
            (HoldAbove::Percent(10), 11, 2),
            (HoldAbove::Percent(0), 1000, 0),
            (HoldAbove::Percent(100), 7, 7),
            (HoldAbove::Percent(10), 0, 0),
            (HoldAbove::Objects(3), 2, 3),
        ] {
            assert_eq!(bound.most(declared), most, "{bound:?} of {declared}");
        }
    }

    #[test]
    fn an_object_that_moves_counts_where_it_is() {
        let (mut threshold, other) = (Threshold::default(), SourceId("other".into()));
        threshold.enter(&source(), &key(0), at(0));
        threshold.enter(&other, &key(0), at(0));
        assert_eq!((threshold.open(&source()).count(), threshold.open(&other).count()), (0, 1));
    }

    proptest! {
        /// Whatever happens in whatever order, a source is held exactly while more objects are open than may be.
        #[test]
        fn held_is_what_is_above(steps in prop::collection::vec((any::<bool>(), 0_usize..30, 0_u32..20_000), 0..200)) {
            let (mut threshold, mut model) = (Threshold::default(), std::collections::BTreeSet::new());
            for (enters, n, now) in steps {
                if enters {
                    threshold.enter(&source(), &key(n), at(now));
                    model.insert(n);
                } else {
                    threshold.leave(&key(n));
                    model.remove(&n);
                }
                let held = matches!(word(&threshold, Sighted::Whole, now), Word::Hold(_));
                prop_assert_eq!(held, model.len() > 10);
                prop_assert_eq!(threshold.open(&source()).count(), model.len());
            }
        }
    }
}
