//! The integration tests: one binary, one control plane for all of them.
//!
//! Every file beside this one is listed here; `tidy` holds that none is forgotten.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test that cannot go on panics, and nobody links a test")]

mod approval;
mod asked;
mod attempts;
mod beside;
mod calls;
mod cases;
mod check;
mod cloudevents;
mod cluster;
mod commands;
mod comparison;
mod condemned;
mod config;
mod control_plane;
mod definitions;
mod deletions;
mod demo;
mod deployers;
mod equivalence;
mod exceptions;
mod explain;
mod fights;
mod follow;
mod follow_kinds;
mod form;
mod found;
mod gate;
mod git;
mod git_https;
mod held;
mod hostile;
mod incidents;
mod kinds;
mod laws;
mod leader;
mod marks;
mod mistyped;
mod modes;
mod outage;
mod prune;
mod records;
mod repair;
mod repair_faults;
mod repair_restart;
mod repair_ways;
mod report;
mod reverts;
mod reviews;
mod roles;
mod rows;
mod schemas;
mod serve;
mod serving;
mod sources;
mod subresources;
mod support;
#[allow(dead_code, unreachable_pub, reason = "helpers for all tests, whichever use them today")]
#[path = "../testbed/mod.rs"]
mod testbed;
mod tidy;
mod undeclared;
mod updates;
mod versions;
mod webhook;
mod wire;
mod writers;
mod yaml;
mod yaml_grown;
