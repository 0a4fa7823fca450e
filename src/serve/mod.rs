//! How does the API server reach the gate? HTTPS in, an AdmissionReview out; and a plain page that tells how it goes.
//!
//! Keeps no state but open connections. Never answers a review without its uid, never answers 413, and lets no panic out: what
//! cannot be decided is answered by the failure rule of the entry that was called.

pub mod admission;
pub mod answers;
pub mod authority;
pub(crate) mod body;
pub mod listener;
pub(crate) mod page;
mod patience;
pub mod renewal;
pub mod reply;
pub mod status;
pub mod tls;
