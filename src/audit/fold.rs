//! Was this already recorded? Repeats of one record, counted instead of written again.
//!
//! Pure: time comes in with the records. Bounded: beyond [`limits::FOLDS_OPEN_MAX`] the oldest is closed early.

use std::collections::{HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::audit::record::Record;
use crate::limits;

/// Records that may still repeat.
#[derive(Debug, Default)]
pub struct Fold {
    open: HashMap<String, Open>,
    order: VecDeque<String>,
}

#[derive(Debug)]
struct Open {
    first: Timestamp,
    last: Timestamp,
    count: u64,
}

/// What a record is to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folded {
    /// Not seen within its window.
    First,
    /// Seen before; so often by now.
    Repeat(u64),
}

/// How often a record was repeated, once its window is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeats {
    /// The record.
    pub id: String,
    /// How often in all, the first included.
    pub repeated: u64,
    /// When last.
    pub until: Timestamp,
}

impl Fold {
    /// Takes a record.
    pub fn take(&mut self, record: &Record) -> Folded {
        if let Some(open) = self.open.get_mut(&record.id) {
            open.count += 1;
            open.last = record.time;
            return Folded::Repeat(open.count);
        }
        self.open.insert(record.id.clone(), Open { first: record.time, last: record.time, count: 1 });
        self.order.push_back(record.id.clone());
        Folded::First
    }

    /// Closes the windows that are over at `now` (or opened in its future: the clock jumped), and those beyond the bound.
    /// Gives those that were repeated.
    pub fn close(&mut self, now: Timestamp) -> Vec<Repeats> {
        let window = SignedDuration::try_from(limits::RECORD_FOLD).unwrap_or(SignedDuration::MAX);
        let mut closed = Vec::new();
        while let Some(id) = self.order.front() {
            let over = self.open.get(id).is_none_or(|open| now.duration_since(open.first).abs() >= window);
            if !over && self.order.len() <= limits::FOLDS_OPEN_MAX {
                break;
            }
            let id = self.order.pop_front().unwrap_or_default();
            closed.extend(self.end(id));
        }
        closed
    }

    /// Closes all windows, at the end of the process.
    pub fn close_all(&mut self) -> Vec<Repeats> {
        std::mem::take(&mut self.order).into_iter().filter_map(|id| self.end(id)).collect()
    }

    fn end(&mut self, id: String) -> Option<Repeats> {
        let open = self.open.remove(&id)?;
        (open.count > 1).then_some(Repeats { id, repeated: open.count, until: open.last })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use crate::audit::fold::{Fold, Folded, Repeats};
    use crate::audit::record::tests::verdict;
    use crate::audit::record::{Record, Seen};
    use crate::gate::verdict::Ruling;
    use crate::limits;

    fn record(written: &str, second: i64) -> Record {
        let now = Timestamp::from_second(second).unwrap();
        Record::of(&verdict("ConfigMap", Ruling::Deny, written), &Seen::default(), now)
    }

    #[test]
    fn repeats_are_counted_and_told_once_their_window_is_over() {
        let mut fold = Fold::default();
        assert_eq!(fold.take(&record("5", 0)), Folded::First);
        assert_eq!(fold.take(&record("5", 10)), Folded::Repeat(2));
        assert_eq!(fold.take(&record("6", 11)), Folded::First);
        assert_eq!(fold.close(Timestamp::from_second(59).unwrap()), []);
        let closed = fold.close(Timestamp::from_second(80).unwrap());
        let expected = Repeats { id: record("5", 0).id, repeated: 2, until: Timestamp::from_second(10).unwrap() };
        assert_eq!(closed, [expected]);
        assert_eq!(fold.close_all(), []);
    }

    #[test]
    fn a_clock_that_jumps_back_leaves_no_window_open_for_ever() {
        let mut fold = Fold::default();
        fold.take(&record("5", 1_000_000));
        fold.take(&record("5", 1_000_000));
        assert_eq!(fold.close(Timestamp::from_second(0).unwrap()).len(), 1);
    }

    #[test]
    fn open_windows_are_bounded() {
        let mut fold = Fold::default();
        for n in 0..limits::FOLDS_OPEN_MAX + 10 {
            fold.take(&record(&n.to_string(), 0));
        }
        fold.close(Timestamp::from_second(0).unwrap());
        assert_eq!(fold.open.len(), limits::FOLDS_OPEN_MAX);
        assert_eq!(fold.order.len(), limits::FOLDS_OPEN_MAX);
    }
}
