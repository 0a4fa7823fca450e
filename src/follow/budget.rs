//! May Git be asked once more? A small budget that fills again with time, and patience with a remote that fails.
//!
//! Pure: instants come in.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits;

/// What a source may still be asked for.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    left: u32,
    /// From when the time until the next refill counts.
    counted: Instant,
    failures: u32,
    closed_until: Option<Instant>,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: limits::FETCH_BUDGET, counted: now, failures: 0, closed_until: None }
    }

    /// Takes one fetch, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> Answer {
        if self.closed_until.is_some_and(|until| now < until) {
            return Answer::BackingOff;
        }
        self.refill(now);
        let Some(left) = self.left.checked_sub(1) else { return Answer::Spent };
        self.left = left;
        Answer::Granted
    }

    /// A fetch went well.
    pub(super) fn succeeded(&mut self) {
        (self.failures, self.closed_until) = (0, None);
    }

    /// A fetch failed: nobody may ask for a while, twice as long each time.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failures += 1;
        let seconds = 1_u64.checked_shl(self.failures - 1).unwrap_or(u64::MAX);
        let pause = Duration::from_secs(seconds).min(limits::BACKOFF_MAX);
        self.closed_until = now.checked_add(pause);
    }

    /// When the interval may ask again: not before the pause after a failure is over.
    pub(super) fn next(&self, now: Instant, interval: Duration) -> Instant {
        let regular = now + interval;
        self.closed_until.map_or(regular, |until| until.max(regular))
    }

    fn refill(&mut self, now: Instant) {
        while self.left < limits::FETCH_BUDGET && now >= self.counted + limits::FETCH_BUDGET_REFILL {
            self.left += 1;
            self.counted += limits::FETCH_BUDGET_REFILL;
        }
        if self.left == limits::FETCH_BUDGET {
            self.counted = now;
        }
    }
}

/// Whether Git may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Granted,
    /// Too many have asked lately.
    Spent,
    /// Git has failed just now.
    BackingOff,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(now: Instant) -> Budget {
        let mut budget = Budget::new(now);
        for _ in 0..limits::FETCH_BUDGET {
            assert_eq!(budget.take(now), Answer::Granted);
        }
        assert_eq!(budget.take(now), Answer::Spent);
        budget
    }

    #[test]
    fn a_spent_budget_fills_again_with_time() {
        let start = Instant::now();
        let mut budget = spent(start);
        let later = start + limits::FETCH_BUDGET_REFILL;
        assert_eq!([budget.take(later), budget.take(later)], [Answer::Granted, Answer::Spent]);
        let much_later = start + limits::FETCH_BUDGET_REFILL * 1_000;
        for _ in 0..limits::FETCH_BUDGET {
            assert_eq!(budget.take(much_later), Answer::Granted);
        }
        assert_eq!(budget.take(much_later), Answer::Spent);
    }

    #[test]
    fn a_failing_remote_is_left_alone_for_longer_and_longer() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        budget.failed(start);
        assert_eq!(budget.take(start), Answer::BackingOff);
        assert_eq!(budget.take(start + Duration::from_secs(1)), Answer::Granted);
        (0..100).for_each(|_| budget.failed(start));
        assert_eq!(budget.next(start, Duration::from_secs(1)), start + limits::BACKOFF_MAX);
        budget.succeeded();
        assert_eq!(budget.take(start), Answer::Granted);
        assert_eq!(budget.next(start, Duration::from_secs(1)), start + Duration::from_secs(1));
    }
}
