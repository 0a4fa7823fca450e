//! Which verdicts were there lately? The last records in memory, for the status page; it shows nothing that was not recorded.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;

use jiff::Timestamp;

use crate::audit::record::Record;
use crate::audit::safety::{Condition, Refusals};
use crate::limits;

/// The last [`limits::RECORDS_KEPT`] records.
#[derive(Debug, Default)]
pub struct Board {
    records: Mutex<VecDeque<Record>>,
    refusals: Mutex<Refusals>,
}

impl Board {
    /// A board with the last records of an earlier life, the oldest first, and the refusals of all of them.
    pub fn new(records: Vec<Record>, refusals: Refusals) -> Self {
        let board = Self { refusals: Mutex::new(refusals), ..Self::default() };
        for record in records {
            board.add(record);
        }
        board
    }

    /// Adds a record; the oldest makes room.
    pub fn add(&self, record: Record) {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).take(&record);
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.push_back(record);
        if records.len() > limits::RECORDS_KEPT {
            records.pop_front();
        }
    }

    /// Sets how often a record was repeated.
    pub fn repeat(&self, id: &str, count: u64) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = records.iter_mut().rev().find(|record| record.id == id) {
            record.count = count;
        }
    }

    /// Whether a policy is safe to enforce, by the records of this replica.
    pub fn safety(&self, policy: &str, now: Timestamp) -> Condition {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).condition(policy, now)
    }

    /// The records, the newest first.
    pub fn latest(&self) -> Vec<Record> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use crate::audit::board::Board;
    use crate::audit::record::tests::verdict;
    use crate::audit::record::{Record, Seen};
    use crate::audit::safety::Refusals;
    use crate::gate::verdict::Ruling;
    use crate::limits;

    #[test]
    fn the_newest_is_first_and_the_oldest_makes_room() {
        let record = |written: usize| {
            let verdict = verdict("ConfigMap", Ruling::Deny, &written.to_string());
            Record::of(&verdict, &Seen::default(), Timestamp::UNIX_EPOCH)
        };
        let board = Board::new((0..=limits::RECORDS_KEPT).map(record).collect(), Refusals::default());
        board.repeat(&record(limits::RECORDS_KEPT).id, 9);
        let latest = board.latest();
        assert_eq!(latest.len(), limits::RECORDS_KEPT);
        assert_eq!(latest[0], Record { count: 9, ..record(limits::RECORDS_KEPT) });
        assert_eq!(latest[limits::RECORDS_KEPT - 1], record(1));
    }
}
