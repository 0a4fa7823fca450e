//! How long is an answer of the API server waited for and believed, and how many are kept?

use std::time::Duration;

/// How long an answer about a namespace's phase holds, and how many are kept.
pub const NAMESPACE_FACT_AGE_MAX: Duration = Duration::from_secs(2);
/// See [`NAMESPACE_FACT_AGE_MAX`].
pub const NAMESPACE_FACTS_MAX: usize = 1_024;

/// Earlier declarations whose server form is asked for before the write of who may write them is refused: a deployer that is still
/// rolling out, and who rolls back, is nearly always at the last revision.
pub const FORMS_BEHIND_MAX: usize = 2;

/// Longest a write that is about to be refused waits for the server form.
pub const FORM_WAIT_MAX: Duration = Duration::from_secs(1);

/// Longest that learning one form may take, from when it begins: longer than a write waits for it, so that the next one finds
/// it, even where slow webhooks are asked twice in a row.
pub const FORM_TIME_MAX: Duration = Duration::from_secs(4);

/// How long a form holds. What is known to change it makes it learnt anew at once; this is for what gives no sign (a webhook
/// that behaves otherwise, a LimitRange).
pub const FORM_AGE_MAX: Duration = Duration::from_mins(10);

/// How long it is remembered that the server refuses to give a form.
pub const FORM_REFUSED_AGE_MAX: Duration = Duration::from_secs(30);

/// How long the state of the mutating configurations and of the schemas holds, once read.
pub const FORM_STATE_AGE_MAX: Duration = Duration::from_secs(1);

/// Longest that reading it anew may take: it leaves time to find the form.
pub const FORM_STATE_TIME_MAX: Duration = Duration::from_millis(800);

/// How long the state that was read last stands in for one that cannot be read.
pub const FORM_STATE_KEPT_MAX: Duration = Duration::from_secs(30);

/// Forms that are learnt at once for those who wait: each takes three dry-runs. One more is learnt for nobody who waits.
pub const FORMS_AT_ONCE: usize = 8;

/// Forms that are still to be learnt, for those who wait and for nobody who waits; beyond it who waits waits for a place, and
/// for others the next write asks again.
pub const FORM_QUEUE: usize = 256;

/// How long an answer about an owner holds: a Pod keeps its controller, save for one that is adopted or released.
pub const OWNER_FACT_AGE_MAX: Duration = Duration::from_secs(30);

/// Answers about owners that are remembered.
pub const OWNER_FACTS_MAX: usize = 1_024;

/// Owners above an object that are asked for, one after the other: a CronJob's Pod has two.
pub const OWNERS_DEEP_MAX: usize = 4;

/// How long a person who reaches into a Pod waits for the API server to say whose it is.
pub const OWNER_WAIT_MAX: Duration = Duration::from_millis(500);
