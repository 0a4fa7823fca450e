//! What changed in the configuration, and who changed it? A record of its own, in the journal and the log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A change of the configuration that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconfigured {
    /// When it came into force.
    pub time: Timestamp,
    /// Counts the configurations since the start.
    pub policy_generation: u64,
    /// What changed.
    pub changes: Vec<Change>,
}

/// One object that came, went, or asks for something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// `Added`, `Changed` or `Removed`.
    pub change: String,
    /// Its kind, as in `DriftPolicy`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Where it was written: file and line, or what kubectl calls it.
    pub origin: String,
    /// Its generation in the cluster; files have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// The field manager that wrote it, where the API server knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
}

impl Reconfigured {
    /// Writes one log line.
    pub(super) fn log(&self) {
        tracing::info!(
            target: "landfast::record",
            policy_generation = self.policy_generation,
            changes.json = serde_json::to_string(&self.changes).unwrap_or_default(),
            "Reconfigured"
        );
    }
}
