//! Landfast stops configuration drift at write time.

pub mod audit;
pub mod config;
pub mod drift;
pub mod gate;
pub mod git;
pub mod limits;
pub mod render;
pub mod store;
pub mod yaml;
