//! Which target is fuzzed? The one that the environment variable `FUZZ_TARGET` names.

#![no_main]

#[path = "../it/support.rs"]
#[allow(dead_code, reason = "helpers for all tests, whichever these use")]
mod support;
mod targets;

use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    targets::named(&name).unwrap_or_else(|| panic!("`{name}` is no target"))
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
