//! Which bounds has a break-glass, and the election of who looks after it?

use std::time::Duration;

/// `breakGlass.maxDuration` of a DriftPolicy that names none, and how long a grant is open whose annotation does not say.
pub const BREAK_GLASS_LONGEST_DEFAULT: Duration = Duration::from_hours(4);
/// See [`BREAK_GLASS_LONGEST_DEFAULT`]; a policy with a shorter longest one makes it shorter.
pub const BREAK_GLASS_DEFAULT: Duration = Duration::from_hours(1);

/// How far the clocks of replicas and of the API server may be apart: a grant counts from so long before it was opened.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(30);

/// How long it is remembered whether a user may break the glass of a policy, and of how many.
pub const ACCESS_AGE_MAX: Duration = Duration::from_secs(10);
/// See [`ACCESS_AGE_MAX`].
pub const ACCESS_KEPT: usize = 4_096;

/// Longest wait for one answer about a break-glass: whether the writer has the right, and then that its record is made.
pub const GLASS_WAIT_MAX: Duration = Duration::from_millis(800);

/// How many annotations are remembered that stand for no open record.
pub const DEAD_KEPT: usize = 4_096;

/// How often the same break-glass may be opened on one object, each time after the last has ended.
pub const REOPENED_MAX: u32 = 50;

/// How long the record of a break-glass is kept after its end.
pub const RECORD_LIFE: Duration = Duration::from_hours(30 * 24);

/// How often it is looked whether a break-glass is over.
pub const GLASS_CHECK: Duration = Duration::from_secs(1);

/// How long a Lease holds that is not renewed; how long its holder leads without renewing it; how often each replica looks at it.
///
/// A takeover takes at most the first and the third together, and a call: under 15 seconds. Of a Lease that is given back only the
/// third, and a call.
pub const LEASE_DURATION: Duration = Duration::from_secs(10);
/// See [`LEASE_DURATION`].
pub const LEASE_RENEW_MAX: Duration = Duration::from_secs(6);
/// See [`LEASE_DURATION`].
pub const LEASE_RETRY: Duration = Duration::from_secs(1);
/// Longest that one attempt to hold it may take.
pub const LEASE_CALL_MAX: Duration = Duration::from_secs(2);

// A leader notices that it cannot renew with its next attempt.
const _: () =
    assert!(LEASE_RENEW_MAX.as_secs() + LEASE_RETRY.as_secs() + LEASE_CALL_MAX.as_secs() <= LEASE_DURATION.as_secs());
const _: () = assert!(LEASE_RETRY.as_secs() + LEASE_CALL_MAX.as_secs() < LEASE_RENEW_MAX.as_secs());
const _: () = assert!(LEASE_DURATION.as_secs() + LEASE_RETRY.as_secs() + LEASE_CALL_MAX.as_secs() <= 15);
