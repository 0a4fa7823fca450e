//! Who learns of a verdict? Every verdict other than a plain Allow goes once to every sink; plain Allows are counted only.
//!
//! ```text
//!  serve ── verdict ──► Recorder ──(bounded queue)──► Sinks ──► journal, log line, board
//!                          │                            ├──(bounded queue)──► Events ──► EventSink (cluster::writer)
//!                          │                            └──(bounded queue)──► CloudEvents ──► a receiver over HTTP
//!                          └──► metrics
//! ```
//!
//! A slow or dead sink never delays a verdict; what was dropped is counted. No value of a Secret is ever kept. Nothing here
//! decides, and nothing here talks to the API server: that is behind [`event::EventSink`].

pub mod board;
pub mod change;
pub mod cloudevents;
pub mod event;
pub mod fold;
pub mod journal;
pub mod log;
pub mod metrics;
pub mod passed;
pub mod record;
pub mod remedies;
pub mod repair;
pub mod report;
pub mod safety;
pub mod settle;
pub mod sinks;
pub mod throttle;
pub mod usage;

use std::sync::Arc;

use jiff::Timestamp;

/// Tells the time. Made in `app`, so that tests can hold it still.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
