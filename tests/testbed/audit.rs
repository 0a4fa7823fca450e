//! What did the API server write into its audit log?

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::testbed::eventually;

/// What is recorded: every write, with its annotations. Reads, the oracle's questions and the control plane's leases would only be noise.
pub const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - { level: None, verbs: [get, list, watch] }
  - { level: None, users: [judge] }
  - { level: None, resources: [{ group: coordination.k8s.io, resources: [leases] }] }
  - { level: Metadata, resources: [{ group: \"\", resources: [secrets, events] }] }
  - { level: Request }
";

/// Returns all events so far that `matches` accepts.
pub fn events(log: &Path, matches: impl Fn(&Value) -> bool) -> Vec<Value> {
    let text = fs::read_to_string(log).unwrap_or_default();
    // The last line may still be in the middle of being written.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(|event| matches(event)).collect()
}

/// Waits until at least one event is accepted by `matches`, and returns all that are.
pub fn await_events(log: &Path, what: &str, matches: impl Fn(&Value) -> bool) -> Vec<Value> {
    eventually(&format!("an audit event: {what}"), || Some(events(log, &matches)).filter(|found| !found.is_empty()))
}
