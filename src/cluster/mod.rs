//! What do we ask of the API server, and what do we keep in it?
//!
//! Reads: [`client`] who we are, [`openapi`] kinds and schemas, [`namespace`] whether a namespace is going away,
//! [`form`] what the server makes of a declaration, [`configuration`] which of the operator's objects it holds.
//! Keeps: [`keeper`] our webhook configuration, as [`webhook`] renders it, [`statuses`] of the operator's objects. Every write goes through [`writer`] and nowhere else.
//! Decides nothing about a write of others, and spawns nothing.

pub mod access;
pub mod ancestry;
pub mod call;
pub mod client;
pub mod condition;
pub mod configuration;
pub mod contents;
mod coverage;
mod documents;
pub mod form;
pub mod glasses;
pub mod keeper;
pub mod kinship;
pub mod lease;
pub mod namespace;
mod naming;
pub mod openapi;
mod reading;
pub mod records;
pub mod standing;
pub mod statuses;
mod surroundings;
pub mod webhook;
pub mod writer;
