//! What did the operator ask for? GitSource, DriftPolicy and BreakGlass, from files or the cluster, resolved to settings.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::gate::basis::{Fault, Scope, SourceId};
use crate::gate::policy::Policy;

/// Everything the operator asked for, resolved.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The sources that declare something.
    pub sources: Vec<SourceSettings>,
    /// All policies, resolved.
    pub policy: Arc<Policy>,
    /// What loads but has no effect yet, and what conflicts: to be said in the log, the status and the CLI.
    pub notices: Vec<Fault>,
}

/// One GitSource, resolved.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// Its name.
    pub id: SourceId,
    /// `https://`, `file://` (later ssh). May hold a password in its user part: never print it, print [`SourceSettings::remote`].
    pub url: String,
    /// Which commit counts.
    pub reference: Reference,
    /// The folder that declares, without leading or trailing slash; empty: the whole tree.
    pub path: String,
    /// How often the remote is asked.
    pub interval: Duration,
    /// Namespace of namespaced objects that name none.
    pub default_namespace: Option<String>,
    /// Where it may declare.
    pub scope: Scope,
    /// How far behind the head a deployer may be.
    pub max_lag: Duration,
}

/// Which commit of a repository counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// The tip of a branch.
    Branch(String),
    /// A tag, peeled to its commit.
    Tag(String),
    /// One commit.
    Commit(String),
}

impl SourceSettings {
    /// The URL without user and password, for messages.
    pub fn remote(&self) -> String {
        todo!()
    }
}

/// Loads configuration from files; folders give their `*.yaml`, `*.yml` and `*.json` files, not deeper.
///
/// All faults at once, each with its file and line.
pub fn load(paths: &[PathBuf]) -> Result<Settings, Vec<Fault>> {
    let _ = paths;
    todo!()
}
