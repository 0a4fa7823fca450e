//! Every bound of Landfast, in one place: value, unit, reason and source.
//!
//! Relations between bounds are asserted at compile time. No other file holds a bare number that limits something.

mod answers;
mod incident;
mod record;
mod repair;

use std::time::Duration;

pub use crate::limits::answers::*;
pub use crate::limits::incident::*;
pub use crate::limits::record::*;
pub use crate::limits::repair::*;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Longest `AdmissionReview` body that is read whole.
///
/// Two objects of 1 MiB may need 12 bytes of JSON for each byte (seen: a label on a ConfigMap holding 1 MB of `<` makes a
/// review of 12.5 MB), so the 7 MiB of controller-runtime would refuse legal writes.
pub const REVIEW_BYTES_MAX: usize = 32 * MIB;

/// How much of a review that is too long is kept, to answer with its uid. The API server writes `request.uid` first.
pub const REVIEW_HEAD_BYTES: usize = 4 * KIB;

/// Bodies of all reviews being read or decided at once, together.
pub const REVIEW_BYTES_TOTAL_MAX: usize = 256 * MIB;

/// `timeoutSeconds` of our webhook entries, and what is assumed where a request carries no `?timeout=`.
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(3);

/// Kept back from a request's deadline, so that our answer arrives before the API server stops waiting.
pub const ANSWER_MARGIN: Duration = Duration::from_millis(300);

/// Longest a write that is about to be refused waits for Git.
pub const FETCH_WAIT_MAX: Duration = Duration::from_secs(1);

/// Longest a denial waits to learn which commit last wrote the line; beyond it the file and the head are named.
pub const BLAME_WAIT_MAX: Duration = Duration::from_millis(500);

/// How long it takes until the API server is asked again who we are, where it did not say.
pub const IDENTITY_RETRY: Duration = Duration::from_secs(5);

/// Longest that one fetch of a source may take before its process is ended.
pub const FETCH_TIME_MAX: Duration = Duration::from_mins(1);

/// How long the first fetch waits for the API server's kinds, where what was restored names some that nobody knows.
pub const FIRST_FETCH_DELAY: Duration = Duration::from_secs(2);

/// Longest first fetch of a source, which brings its whole history; it may not be silent for [`FETCH_TIME_MAX`].
pub const CLONE_TIME_MAX: Duration = Duration::from_mins(10);

/// Most bytes that one fetch may bring: a server that sends without end must not fill our disk.
pub const PACK_BYTES_MAX: usize = 4 * 1024 * MIB;

/// Longest answer of our own child process that is read: one line with a commit or an error, and its progress.
pub const ANSWER_BYTES_MAX: u64 = 64 * KIB as u64;

/// Longest wait after Git has failed again and again, before a refused write or the interval may ask it once more.
pub const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// Questions and changes that wait for the loop that follows Git; a full queue makes the asker wait within its deadline.
pub const FOLLOW_QUEUE: usize = 256;

/// Fetches that refused writes may cause per source before they must wait for the budget to fill again.
pub const FETCH_BUDGET: u32 = 10;

/// How long it takes until one fetch is back in a source's budget.
pub const FETCH_BUDGET_REFILL: Duration = Duration::from_secs(3);

/// Shortest and default `interval` of a GitSource.
pub const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// See [`INTERVAL_MIN`].
pub const INTERVAL_DEFAULT: Duration = Duration::from_mins(1);

/// Default `maxLag` of a GitSource: how far behind the head a deployer may still be rolling out.
pub const MAX_LAG_DEFAULT: Duration = Duration::from_hours(24);

/// Default `releaseAfter` of a GitSource: how long its objects stay declared once its ref is gone.
pub const RELEASE_AFTER_DEFAULT: Duration = Duration::from_hours(24);

/// `precedence` of a DriftPolicy that names none: behind all that do, unless they say a higher number.
pub const PRECEDENCE_DEFAULT: i64 = 1_000;

/// Largest `precedence` of a DriftPolicy, so that it fits every API client's integers.
pub const PRECEDENCE_MAX: i64 = 1_000_000;

/// Largest `rollback` of a DriftPolicy: how many declarations of an object are looked back at.
pub const ROLLBACK_MAX: i64 = 100;

/// Longest list in the configuration. The API server checks no rule on a list that might have no end.
pub const CONFIG_ITEMS_MAX: usize = 128;

/// Longest string in the configuration, in characters, for the same reason.
pub const CONFIG_TEXT_MAX: usize = 2_048;

/// Longest short name of a ref, in characters: Git keeps a loose ref as a file, whose name has at most 255 bytes.
pub const CONFIG_REF_MAX: usize = 250;

/// How often the files of `--config` are looked at. Two looks that agree are needed, so that nothing is read while it is written:
/// a change is in force within a second.
pub const CONFIG_LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long after a failed watch of the operator's objects they are asked for again.
pub const CONFIG_RETRY: Duration = Duration::from_secs(2);

/// How long what is told on the operator's objects is gathered before it is written.
pub const STATUS_DEBOUNCE: Duration = Duration::from_millis(500);

/// Deepest nesting of a JSON or YAML document (serde_json's own bound for JSON).
pub const DEPTH_MAX: usize = 128;

/// Types that the schemas of one kind or of one group-version may have. All built-in kinds together have under a thousand; the
/// largest CRD seen has some ten thousand.
pub const SCHEMA_TYPES_MAX: usize = 200_000;

/// Largest manifest file that is read. The API server refuses objects of more than 3 MiB; a file may hold many.
pub const FILE_BYTES_MAX: usize = 16 * MIB;

/// Files that one source may hold under its path.
pub const FILES_MAX: usize = 200_000;

/// Entries of Git trees that are walked for one commit: trees may name one another without end (a Git bomb).
pub const TREE_ENTRIES_MAX: usize = 2_000_000;

/// Heads of one source that are remembered, whatever its `maxLag`.
pub const HEADS_MAX: usize = 1_000;

/// Commits through which one line is followed to find its author.
pub const BLAME_COMMITS_MAX: usize = 1_000_000;

/// Lines whose authors are kept in memory, and histories that are walked at once.
pub const BLAMES_KEPT: usize = 4_096;
/// See [`BLAMES_KEPT`].
pub const BLAMES_AT_ONCE: usize = 2;

/// Bytes of declarations and objects that are compared to find the earlier revision a deployer is still at: some 4,000 revisions
/// of a common Deployment, some 20 of an object of 1 MiB, well under a second of work.
pub const LAG_BYTES_MAX: usize = 64 * MIB;

/// Lines of a CODEOWNERS file that count; GitHub reads 3 MB.
pub const OWNER_RULES_MAX: usize = 20_000;

/// Objects that one source may declare.
pub const OBJECTS_PER_SOURCE_MAX: usize = 200_000;

/// Values one JSON object may hold.
///
/// The API server refuses requests of more than 3 MiB, and a value takes two bytes at least: no object that is stored holds
/// more. Each costs us some 56 bytes, so that a hostile review of 32 MiB stays within some 110 MiB.
pub const DOCUMENT_NODES_MAX: usize = 2_000_000;

/// Nodes one YAML document may grow to once its aliases are expanded; beyond it the document is a bomb.
pub const YAML_NODES_MAX: usize = 1_000_000;

/// Scalars of one YAML document whose `\'` is rewritten so that it can be read; each costs one more pass.
pub const YAML_MENDS_MAX: usize = 64;

/// Faults kept per source in its status.
pub const FAULTS_SHOWN_MAX: usize = 20;

/// Characters of a value shown in a message, a record or an event; the rest becomes `…`.
pub const VALUE_CHARS_MAX: usize = 120;

/// Fields listed one by one in a message; the rest is counted.
pub const FIELDS_SHOWN_MAX: usize = 20;

/// Fields that one verdict keeps, for records and scripts; the rest is counted.
pub const FIELDS_KEPT_MAX: usize = 100;

/// Lines of a declaration whose commits are looked up for one message; the others name the revision in force.
pub const LINES_BLAMED_MAX: usize = 5;

/// Characters of a path, a file or a name shown in a message.
pub const PATH_CHARS_MAX: usize = 200;

/// Owners of a file named in a message.
pub const OWNERS_SHOWN_MAX: usize = 5;

/// Warnings that one answer carries (the API server drops what exceeds 4,096 characters together).
pub const WARNINGS_MAX: usize = 8;

/// Characters of one audit annotation's value.
pub const ANNOTATION_CHARS_MAX: usize = 4_096;

/// Declared objects that a message names of those that go with a Namespace or a definition.
pub const HELD_SHOWN_MAX: usize = 3;

/// A `kubectl` warning longer than this may be cut (Kubernetes API types, `AdmissionResponse.warnings`).
pub const WARNING_CHARS_MAX: usize = 120;

/// Connections served at once; the API server keeps at most 25 idle ones a host and opens more under load.
pub const CONNECTIONS_MAX: usize = 1_024;

/// Longest TLS handshake.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);

/// Longest wait for a request's headers, and for its body.
pub const HEADER_TIME_MAX: Duration = Duration::from_secs(10);
/// See [`HEADER_TIME_MAX`].
pub const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a drain on SIGTERM waits for requests in flight.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(20);

/// Longest `?timeout=` that counts (Kubernetes: `timeoutSeconds` is at most 30).
pub const TIMEOUT_MAX: Duration = Duration::from_secs(30);

/// Reviews up to this size are decided where they were read; larger ones where they hold up no other connection.
pub const REVIEW_BYTES_INLINE: usize = 256 * KIB;

/// Larger reviews decided at once: reading one may take many times its own memory.
pub const LARGE_DECISIONS_MAX: usize = 2;

/// How often a review is decided anew after its questions were answered; an answer may raise one more question.
pub const ROUNDS_MAX: usize = 3;

/// How long a connection may stay without a request: longer than the API server's client keeps one idle (90 s, client-go), so
/// that we are never the one who closes it under a request.
pub const IDLE_TIME_MAX: Duration = Duration::from_mins(2);

/// Longest head of a request.
pub const HEAD_BYTES_MAX: usize = 64 * KIB;

/// Requests at once on one HTTP/2 connection.
pub const STREAMS_MAX: u32 = 128;

/// How long the listener still accepts once it drains, while it asks its clients to close: a client that has not heard of it
/// yet finds an open door.
pub const DRAIN_NOTICE: Duration = Duration::from_secs(1);

/// Pause after a connection that could not be accepted (no file descriptor left).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a replica waits for its sources before it says it is ready.
pub const READY_WAIT_MAX: Duration = Duration::from_secs(30);

/// Life of our own authority and of the leaf it signs; each is renewed when a third of it is left.
pub const AUTHORITY_LIFE: Duration = Duration::from_hours(87600);
/// See [`AUTHORITY_LIFE`].
pub const LEAF_LIFE: Duration = Duration::from_hours(2160);

/// How long a new authority is only announced before it signs: every API server must know it by then.
pub const AUTHORITY_OVERLAP: Duration = Duration::from_hours(24);

/// How far back a new certificate begins: clocks differ.
pub const CERTIFICATE_BACKDATE: Duration = Duration::from_hours(1);

/// How often certificates are looked after. By wall clock: timers drift while a machine sleeps.
pub const CERTIFICATE_CHECK: Duration = Duration::from_mins(10);

/// Longest part of a webhook's `matchCondition` that lists what is guarded. The API server refuses expressions of more than
/// 100,000 code points (seen: some 4,100 namespaces of 20 characters), and `!(…)` and a separator come on top.
pub const CONDITION_CHARS_MAX: usize = 99_000;

/// Longest answer of one call to the API server that is not a watch.
pub const API_TIME_MAX: Duration = Duration::from_secs(10);

/// Largest OpenAPI document of one group-version, or index of them, that is read (seen: apps/v1 has 1.1 MB).
pub const OPENAPI_BYTES_MAX: usize = 32 * MIB;

/// Group-versions whose OpenAPI is kept.
pub const OPENAPI_DOCUMENTS_MAX: usize = 512;

/// How often the index of the API server's OpenAPI is read without a cause: an upgrade gives no sign of itself.
pub const OPENAPI_INTERVAL: Duration = Duration::from_mins(5);

/// How long changes of the basis are gathered before the webhook configuration is rendered.
pub const WEBHOOK_DEBOUNCE: Duration = Duration::from_millis(50);

/// Default of `--stand-down`: how long a configuration that somebody deleted or weakened stays so.
pub const STAND_DOWN_DEFAULT: Duration = Duration::from_mins(15);

/// First and longest wait before a failed call to the API server is made again.
pub const API_RETRY_MIN: Duration = Duration::from_millis(500);
/// See [`API_RETRY_MIN`].
pub const API_RETRY_MAX: Duration = Duration::from_secs(30);

/// Forms that are kept, and their bytes together: enough for the objects that are written to again and again.
pub const FORMS_KEPT: usize = 4_096;
/// See [`FORMS_KEPT`].
pub const FORMS_BYTES_MAX: usize = 32 * MIB;

const _: () = assert!(ANSWER_MARGIN.as_millis() < WEBHOOK_TIMEOUT.as_millis());
const _: () = assert!(
    FORM_WAIT_MAX.as_millis() + FETCH_WAIT_MAX.as_millis() + BLAME_WAIT_MAX.as_millis() + ANSWER_MARGIN.as_millis()
        < WEBHOOK_TIMEOUT.as_millis()
);
const _: () = assert!(FORM_WAIT_MAX.as_millis() < FORM_TIME_MAX.as_millis());
const _: () = assert!(FORM_STATE_TIME_MAX.as_millis() < FORM_WAIT_MAX.as_millis());
const _: () = assert!(FORM_STATE_TIME_MAX.as_millis() < FORM_STATE_AGE_MAX.as_millis());
const _: () = assert!(FORM_STATE_AGE_MAX.as_secs() < FORM_STATE_KEPT_MAX.as_secs());
const _: () = assert!(FORM_REFUSED_AGE_MAX.as_secs() < FORM_AGE_MAX.as_secs());
const _: () = assert!(REVIEW_BYTES_MAX < REVIEW_BYTES_TOTAL_MAX);
const _: () = assert!(REVIEW_HEAD_BYTES < REVIEW_BYTES_INLINE && REVIEW_BYTES_INLINE < REVIEW_BYTES_MAX);
const _: () = assert!(HEADER_TIME_MAX.as_secs() < IDLE_TIME_MAX.as_secs());
const _: () = assert!(DRAIN_NOTICE.as_millis() < DRAIN_TIME_MAX.as_millis());
const _: () = assert!(AUTHORITY_OVERLAP.as_secs() * 10 < LEAF_LIFE.as_secs());
const _: () = assert!((WARNINGS_MAX + 1) * WARNING_CHARS_MAX < 4_096);
const _: () = assert!(FIELDS_SHOWN_MAX <= FIELDS_KEPT_MAX);
