//! The integration tests: one binary, one control plane for all of them.
//!
//! Every file beside this one is listed here; `tidy` holds that none is forgotten.

mod control_plane;
#[allow(dead_code, unreachable_pub, reason = "helpers for all tests, whichever use them today")]
#[path = "../testbed/mod.rs"]
mod testbed;
