//! Who may write, and what do we answer? Read this first: [`decide`] is the product.
//!
//! Pure: no clock, no lock, no await, no file, no network. The webhooks, `landfast check`, the reconciler and the tests call
//! the same function. It never prints a Secret's value.

pub mod basis;
pub mod entry;
pub mod facts;
pub mod history;
pub mod message;
pub mod policy;
pub mod verdict;
pub mod write;

use jiff::Timestamp;

use crate::gate::basis::Basis;
use crate::gate::facts::Facts;
use crate::gate::verdict::Outcome;
use crate::gate::write::Write;

/// Decides one write.
///
/// Total and deterministic: the same write on the same basis, facts and instant gets the same outcome on every replica, in
/// `landfast check` and in the tests. `questions` is empty unless the write is about to be refused and an answer could still
/// let it in or better its message; each question says what is ruled when nobody answers in time.
pub fn decide(write: &Write<'_>, basis: &Basis, facts: &Facts, now: Timestamp) -> Outcome {
    let _ = (write, basis, facts, now);
    todo!()
}
