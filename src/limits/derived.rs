//! How far, how long and how often is it asked whose a Pod is?

use std::time::Duration;

/// How long an answer about an owner holds: a Pod keeps its controller, save for one that is adopted or released.
pub const OWNER_FACT_AGE_MAX: Duration = Duration::from_secs(30);

/// Answers about owners that are remembered.
pub const OWNER_FACTS_MAX: usize = 1_024;

/// Owners above an object that are asked for, one after the other: a CronJob's Pod has two.
pub const OWNERS_DEEP_MAX: usize = 4;

/// How long a person who reaches into a Pod waits for the API server to say whose it is.
pub const OWNER_WAIT_MAX: Duration = Duration::from_millis(500);
