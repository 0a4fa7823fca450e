//! Bounds of bringing objects back.

use std::time::Duration;

/// How long after an object that asked for a break-glass was changed or deleted its record is waited for: the record is made before
/// the write is let in, so only the two watches may be apart.
pub const GRANT_GRACE: Duration = Duration::from_millis(500);

/// Declarations of one object that it is held against to find the newest one that it agrees with.
pub const REPAIR_PAST_MAX: usize = 64;

/// Objects that are looked at, asked about or written at once. The API server lets a client have some hundred requests at once;
/// more of them would be slower for others and no faster for us.
pub const REPAIRS_AT_ONCE: usize = 16;

/// Bytes of objects that wait for their turn; of what is beyond, the object is read again.
pub const REPAIR_BYTES_MAX: usize = 16 * 1024 * 1024;

/// First and longest wait before an object that could not be brought back is tried again; doubled each time.
pub const REPAIR_RETRY_MIN: Duration = Duration::from_millis(500);
/// See [`REPAIR_RETRY_MIN`].
pub const REPAIR_RETRY_MAX: Duration = Duration::from_mins(5);

/// How long attempts that fail in the same way are one record.
pub const CANNOT_REPAIR_FOLD: Duration = Duration::from_hours(1);

/// Lines of a ledger from which on it is written anew where most of them are over: some megabytes.
pub const LEDGER_LINES_MIN: usize = 20_000;

/// How long a kind that the API server does not let us watch is left alone.
pub const WATCH_FORBIDDEN_RETRY: Duration = Duration::from_mins(1);

/// Objects in one page of a list: pages of some megabytes.
pub const WATCH_PAGE: u32 = 250;

/// Flips of one field after repairs, within [`FIGHT_WINDOW`], that are a fight.
pub const FIGHT_FLIPS: usize = 3;
/// See [`FIGHT_FLIPS`]. A deployer that comes by every 10 minutes is within it.
pub const FIGHT_WINDOW: Duration = Duration::from_hours(1);
/// Flips of one object that are remembered.
pub const FIGHT_REMEMBERED: usize = 16;
/// Fields and writers that a fight names.
pub const FIGHT_FIELDS_MAX: usize = 16;
/// See [`FIGHT_FIELDS_MAX`].
pub const FIGHT_MOVERS_MAX: usize = 4;
/// First and longest wait of repairs of an object that is fought over; doubled with each flip.
pub const FIGHT_WAIT_MIN: Duration = Duration::from_secs(10);
/// See [`FIGHT_WAIT_MIN`].
pub const FIGHT_WAIT_MAX: Duration = Duration::from_hours(1);
/// How long a field stays put before a fight is over: three times as long as its opponent took at most, within these bounds.
pub const FIGHT_CALM_MIN: Duration = Duration::from_secs(30);
/// See [`FIGHT_CALM_MIN`].
pub const FIGHT_CALM_MAX: Duration = Duration::from_hours(3);

// Enough flips fit into what is remembered, and an opponent as slow as the window allows is still waited for.
const _: () = assert!(FIGHT_FLIPS <= FIGHT_REMEMBERED);
const _: () = assert!(FIGHT_CALM_MAX.as_secs() >= FIGHT_WINDOW.as_secs());

/// How often it is counted, at most, how the objects of each source stand.
pub const TALLY_INTERVAL: Duration = Duration::from_secs(1);
/// Fights, and objects that cannot be brought back, that a status names.
pub const TALLY_SHOWN_MAX: usize = 5;
/// How often the status of a GitSource says anew how its objects stand, at most.
pub const TALLY_WRITE_INTERVAL: Duration = Duration::from_secs(5);

/// How long a deployer that was asked is waited for: reconciling one Kustomization, or syncing one object, takes seconds.
pub const DEPLOYER_ANSWER_MAX: Duration = Duration::from_secs(30);
/// When a deployer that is at work is asked again.
pub const DEPLOYER_BUSY_RETRY: Duration = Duration::from_secs(5);

/// How long one object that differs alone waits for others of its source, where much of a source at once needs a person. It is a
/// part of the 250 ms within which it is to be brought back.
pub const SETTLE_FIRST: Duration = Duration::from_millis(50);

/// How long nothing more of a source may come to differ, where two objects or more do, until they are brought back.
pub const SETTLE: Duration = Duration::from_millis(250);

/// Longest that objects wait so: a source that never comes to rest, or a kind that cannot be listed, must not end all repair.
pub const SETTLE_MAX: Duration = Duration::from_secs(5);

// One object is no burst.
const _: () = assert!(SETTLE_FIRST.as_millis() < SETTLE.as_millis() && SETTLE.as_millis() < SETTLE_MAX.as_millis());

/// Bytes of what is told to wait for a person: a ConfigMap holds one MiB.
pub const REPAIRS_BYTES_MAX: usize = 512 * 1024;

/// Fields that are shown of one repair that waits for a person.
pub const PENDING_FIELDS_MAX: usize = 20;

/// Objects that are named of a source that is held.
pub const HELD_OBJECTS_SHOWN_MAX: usize = 50;

/// How long what waits for a person is left to change before it is told anew.
pub const REPAIRS_DEBOUNCE: Duration = Duration::from_millis(200);

/// How often `landfast approve` tries to say yes where others write the same ConfigMap.
pub const ANSWERED_TIMES_MAX: usize = 5;

/// Objects of one kind that are listed to see whether a Namespace is empty: more than the control plane itself puts there.
pub const LEFT_LISTED_MAX: u32 = 10;
