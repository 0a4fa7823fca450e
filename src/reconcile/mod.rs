//! What slipped past, how does it come back? The reconciler: it watches what Git declares, compares with the gate's own engine, and
//! brings back what differs, as the policies' `repair` says.
//!
//! A webhook cannot see what happened while it was away, what etcd was restored to, or what went around it. Every replica watches
//! and compares, so that a new leader knows what each object has agreed with; only the leader writes. There is no polling: an idle
//! reconciler costs its watches.
//!
//! ```text
//!   watches ──► sight ──► gate::live (compare) ──► standing (what is known) ──► plan ──► apply ──► cluster::writer
//!     ▲  one a kind       with what it agreed            │ remembered in             │     │
//!   basis: kinds, grants, policies, schemas              ▼ store::ledger      wait / learn │ what came of it is a sight, too
//! ```
//!
//! | file | what it answers | |
//! |---|---|---|
//! | [`sight`] | what does an object look like on the wire? JSON unread, never kept | |
//! | [`standing`] | what is known of each object: there or not, agrees or not, with what it agreed before | pure |
//! | [`plan`](mod@plan) | what is to be done with one object, and why | pure |
//! | [`fight`] | is it moved again each time that it is brought back, and by whom | pure |
//! | [`tally`] | how do the objects of each source stand | pure |
//! | [`threshold`] | does too much of a source differ at once? | pure |
//! | [`approval`] | what is a person asked, and what did one say? | pure |
//! | [`body`] | what is sent | pure |
//! | [`record`] | what is put on the record of a repair | pure |
//! | [`turns`] | whose turn is it | pure |
//! | `watch` | what happens? One stream a kind, all in one | edge |
//! | `heard` | what does it mean that a watch told something | edge |
//! | `run` | the loop: what wakes it, and what that means | edge |
//! | `permit` | may a planned repair begin? Threshold and approvals, as the policy's mode says | edge |
//! | `desk` | how is a person asked and heard? One ConfigMap | edge |
//! | `prune` | what does Git not say any more? What Landfast applied of it goes | edge |
//! | `judge` | what follows from how an object looks: compared, noted, planned, begun. The one way in | edge |
//! | `notice` | what of a drift is news: what the gate was not asked about, and fights | edge |
//! | [`deployer`] | who deploys an object, and can it be asked | pure |
//! | `asking` | how is a deployer asked, and what where it does not answer | edge |
//! | `work` | what takes time: a look, a question to the server, a repair | edge |
//! | `apply` | how is one repair carried out (apply, then the whole item, then the whole list) | edge |
//!
//! Where the rest belongs: what else is to keep a repair from its beginning comes in where `permit` does, between `plan` and the
//! beginning of the work, in `judge` (`Reconciler::consider`).

mod apply;
pub mod approval;
mod asking;
pub mod body;
pub mod deployer;
mod desk;
pub mod fight;
mod heard;
mod judge;
mod notice;
mod permit;
pub mod plan;
mod prune;
pub mod record;
mod run;
pub mod sight;
pub mod standing;
pub mod tally;
pub mod threshold;
pub mod turns;
mod watch;
mod work;

pub use crate::reconcile::prune::AskAll;
pub use crate::reconcile::run::{Reconciler, Reconciling};
