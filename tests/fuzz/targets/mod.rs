//! What must hold, whatever comes in? One function a target: it panics where a law is broken.
//!
//! `tests/fuzz.sh` runs them guided by coverage; the main suite replays what was found (`tests/it/found.rs`).

mod openapi;
mod paths;
mod quantities;
pub mod reviews;
mod yaml;

/// The target of that name.
pub fn named(name: &str) -> Option<fn(&[u8])> {
    Some(match name {
        "reviews" => reviews::run,
        "yaml" => yaml::run,
        "openapi" => openapi::run,
        "paths" => paths::run,
        "quantities" => quantities::run,
        _ => return None,
    })
}
