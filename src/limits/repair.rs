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
