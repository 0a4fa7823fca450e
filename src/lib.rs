//! Landfast stops configuration drift at write time.

pub mod audit;
pub mod config;
pub mod drift;
pub mod gate;
pub mod limits;
pub mod render;
pub mod yaml;
