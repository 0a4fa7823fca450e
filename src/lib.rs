//! Landfast stops configuration drift at write time.
//!
//! Every write that reaches admission for an object that Git declares is compared, field by field, with what Git declares at
//! that moment. What drifts is denied or let in with a warning, as a policy says, and is put on the record.
//!
//! ```text
//!        commit                                      write
//!          │                                           │
//!    git ──┤ fetch, tree, blame                        ▼
//!          ▼                                   serve/admission ◄──── API server
//!       render    text → declarations                  │  parse (gate::write)
//!          │                                           ▼
//!       follow ──► Basis (one Arc, swapped whole) ► gate::decide ──► verdict
//!          ▲                                           │   ▲
//!   cluster│ schemas    config  policy        questions│   │facts      only before a refusal
//!                                                      ▼   │
//!                                            app: git, cluster answer
//!                                                      │
//!                                    audit: log, event, journal, metrics, board
//! ```
//!
//! | layer | modules | what it answers |
//! |---|---|---|
//! | 0 | [`limits`] | every bound, with its reason |
//! | 1 | [`yaml`] | how does kubectl read this text? |
//! | 2 | [`drift`] | what differs? |
//! | 3 | [`gate`] | who may write, and what do we answer? |
//! | 4 | [`config`] [`audit`] [`store`] | what did the operator ask for; who learns of it; what survives a restart? |
//! | 5 | [`git`] [`render`] [`cluster`] [`serve`] | the edges, strangers to one another |
//! | 6 | [`follow`] | Git, configuration and schemas become one basis |
//! | 6 | [`reconcile`] | what slipped past comes back |
//! | 7 | [`app`] | wiring |
//! | 8 | [`cli`] | one file a command |
//!
//! A module imports lower layers only, never a neighbour. `tests/it/tidy.rs` holds that, and what follows.
//!
//! # Invariants, as absences
//!
//! - `yaml`, `drift`, `gate` and `render` never read a clock, a file or the network, and never await.
//! - A verdict depends on nothing but the write, the basis, the facts and the instant: the same four give the same verdict on
//!   every replica, in `landfast check` and in the tests.
//! - What is let in on its content waits for nobody. (Where additions are denied, a person's new object waits for its server form.)
//! - Nothing but `follow` publishes a basis, and a commit that cannot be read never empties one.
//! - Nothing but `cluster::writer` writes to the API server.
//! - Nothing but `app` spawns a task; a task that ends ends the process.
//! - No value of a Secret reaches a message, a record or a log.
//! - No policy that cannot deny can block: only the entry `guard` fails closed, and it names only what a policy guards so.

pub mod app;
pub mod audit;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod drift;
pub mod follow;
pub mod gate;
pub mod git;
pub mod limits;
pub mod reconcile;
pub mod render;
pub mod serve;
pub mod store;
pub mod yaml;
