//! Which bounds have records, and those who are told of them: the journal, Events, CloudEvents, the report?

use std::time::Duration;

use crate::limits::{KIB, MIB};

/// Records kept in memory for the status page, and queued for the sinks.
pub const RECORDS_KEPT: usize = 256;
/// See [`RECORDS_KEPT`]. A full queue drops and counts; it never delays a verdict.
pub const RECORD_QUEUE: usize = 4_096;

/// Size at which the journal of records starts a new file; one older file is kept.
pub const JOURNAL_BYTES_MAX: u64 = 64 * MIB as u64;

/// Coarse time of a record id: equal refusals within it are one record.
pub const RECORD_FOLD: Duration = Duration::from_mins(1);

/// How long it is remembered which drift the gate let in, and of how many objects: the reconciler sees what was stored within
/// moments, or when the API server is back.
pub const PASSED_AGE_MAX: Duration = Duration::from_mins(2);
/// See [`PASSED_AGE_MAX`]. Of more the longest ago is forgotten.
pub const PASSED_OBJECTS_MAX: usize = 4_096;
/// Fields of one object that are remembered so.
pub const PASSED_FIELDS_MAX: usize = 64;

/// How long a policy is held unsafe to enforce after a deployer or the control plane would have been denied by it.
pub const SAFETY_WINDOW: Duration = Duration::from_hours(24);

/// How often a policy's condition on that is looked up anew, and so how often it is written at most.
pub const SAFETY_LOOK: Duration = Duration::from_secs(5);

/// Objects that an `ignore` entry proposed by `landfast report` names; of more it names none, and holds for all.
pub const NAMES_PROPOSED_MAX: usize = 10;

/// Characters of a column in a report for people; JSON has all of it.
pub const COLUMN_CHARS_MAX: usize = 60;

/// Records taken from the queue at once.
pub const RECORD_BATCH: usize = 256;

/// Bytes at the end of each journal file that are read at the start, for the last records.
pub const JOURNAL_TAIL_BYTES: u64 = 4 * MIB as u64;

/// Records whose repeats are counted at once; beyond it the oldest is closed early.
pub const FOLDS_OPEN_MAX: usize = 16_384;

/// How often windows that are over are looked for.
pub const FOLD_TICK: Duration = Duration::from_secs(1);

/// Events that wait for the API server.
pub const EVENT_QUEUE: usize = 1_024;

/// Longest that one Event may take to be written.
pub const EVENT_TIME_MAX: Duration = Duration::from_secs(5);

/// How often raised counts are written to Events.
pub const EVENT_PATCH_INTERVAL: Duration = Duration::from_secs(10);

/// New Events that one object may cause at once, and how long one takes to come back: as client-go's spam filter has it
/// (`defaultSpamBurst`, `defaultSpamQPS` of `record/events_cache.go`).
pub const EVENTS_PER_OBJECT: u32 = 25;
/// See [`EVENTS_PER_OBJECT`].
pub const EVENT_REFILL: Duration = Duration::from_mins(5);

/// Objects whose Events are counted.
pub const EVENT_OBJECTS_MAX: usize = 4_096;

/// Longest note of an Event (events.k8s.io/v1: 1 kB).
pub const EVENT_NOTE_BYTES_MAX: usize = KIB;

/// Records that wait for the receiver of CloudEvents.
pub const CLOUD_EVENT_QUEUE: usize = 1_024;

/// Longest that one try to deliver a CloudEvent may take, and that a shutdown waits for those that are queued.
pub const CLOUD_EVENT_TIME_MAX: Duration = Duration::from_secs(5);

/// Tries to deliver one CloudEvent, some two minutes of them; then it is dropped, so that one that a receiver cannot bear holds up no
/// other.
pub const CLOUD_EVENT_TRIES: u32 = 10;

/// New Events on all objects together at once, and how long one takes to come back; and the counts raised each
/// [`EVENT_PATCH_INTERVAL`]. Together at most 280 writes in a minute, and 180 a minute in the long run.
pub const EVENTS_AT_ONCE: u32 = 100;
/// See [`EVENTS_AT_ONCE`].
pub const EVENTS_REFILL: Duration = Duration::from_secs(1);
/// See [`EVENTS_AT_ONCE`].
pub const EVENTS_RAISED_MAX: usize = 20;

/// How often at most it is noted that an entry of a policy was of use.
pub const USE_FOLD: Duration = Duration::from_hours(1);

/// Entries of which it is remembered when they were of use; beyond it all are noted anew.
pub const USES_MAX: usize = 4_096;
