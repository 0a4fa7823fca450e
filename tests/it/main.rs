//! The integration tests: one binary, one control plane for all of them.
//!
//! Every file beside this one is listed here; `tidy` holds that none is forgotten.
