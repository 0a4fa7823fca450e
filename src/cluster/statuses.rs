//! What is told on the operator's objects? Their statuses, written only where they say something else than before.
//!
//! Every replica may write them: by server-side apply under one field manager, so that a repeat changes nothing, and each only
//! when what it has to say changes, so that two of them do not write against one another.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::warn;

use crate::audit::Clock;
use crate::cluster::configuration::Seen;
use crate::cluster::writer::Writer;
use crate::limits;

/// What is to be told on one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// Its kind.
    pub kind: String,
    /// As in URLs: `gitsources`.
    pub plural: &'static str,
    /// Its name.
    pub name: String,
    /// Its uid: another object of the name is not meant.
    pub uid: String,
    /// The generation that this speaks of.
    pub generation: i64,
    /// Answers of True or False.
    pub conditions: Vec<Condition>,
    /// The other members of its status.
    pub more: Value,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What is true or false.
    pub kind: &'static str,
    /// Whether it is so.
    pub holds: bool,
    /// One word on why.
    pub reason: &'static str,
    /// Why, for a person.
    pub message: String,
}

/// Keeps the statuses.
pub struct Statuses {
    /// Writes them.
    pub writer: Writer,
    /// What is to be told.
    pub desired: watch::Receiver<Arc<Vec<Desired>>>,
    /// What stands there now.
    pub seen: watch::Receiver<Seen>,
    /// Since when something is so.
    pub clock: Clock,
}

impl Statuses {
    /// Runs until `shutdown` resolves or nobody has anything to tell any more.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        let mut written: BTreeMap<String, Desired> = BTreeMap::new();
        loop {
            let desired = Arc::clone(&self.desired.borrow_and_update());
            written.retain(|uid, _| desired.iter().any(|desired| desired.uid == *uid));
            let mut failed = false;
            for desired in desired
                .iter()
                .filter(|desired| written.get(&desired.uid) != Some(*desired))
                .cloned()
                .collect::<Vec<_>>()
            {
                if self.write(&desired).await {
                    written.insert(desired.uid.clone(), desired);
                } else {
                    failed = true;
                }
            }
            let again =
                async { if failed { sleep(limits::API_RETRY_MAX).await } else { std::future::pending().await } };
            tokio::select! {
                () = &mut shutdown => return,
                () = again => {}
                changed = self.desired.changed() => {
                    if changed.is_err() { return; }
                    // What changes at once is told at once.
                    sleep(limits::STATUS_DEBOUNCE).await;
                }
            }
        }
    }

    /// Whether it stands now as desired, or will never.
    async fn write(&self, desired: &Desired) -> bool {
        let live = self.seen.borrow().statuses.get(&desired.uid).cloned().unwrap_or_default();
        let status = desired.status(&live, (self.clock)());
        if status == live {
            return true;
        }
        match self.writer.apply_status(desired, status).await {
            Ok(()) => true,
            // It is gone, or another of its name has come.
            Err(error) if matches!(error.status(), Some(404 | 409)) => true,
            Err(error) => {
                warn!(
                    kind = desired.kind,
                    name = desired.name,
                    error = &error as &dyn std::error::Error,
                    hint = error.hint(),
                    "Cannot write a status"
                );
                false
            }
        }
    }
}

impl Desired {
    /// The status; what is as it was keeps its time.
    fn status(&self, live: &Value, now: jiff::Timestamp) -> Value {
        let conditions = self.conditions.iter().map(|condition| {
            let status = if condition.holds { "True" } else { "False" };
            let before = live["conditions"].as_array().into_iter().flatten();
            let mut same = before.filter(|before| before["type"] == condition.kind && before["status"] == status);
            let since = same.next().map_or_else(
                || json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
                |before| before["lastTransitionTime"].clone(),
            );
            json!({
                "type": condition.kind,
                "status": status,
                "observedGeneration": self.generation,
                "lastTransitionTime": since,
                "reason": condition.reason,
                "message": condition.message,
            })
        });
        let conditions: Vec<Value> = conditions.collect();
        let mut status = self.more.clone();
        status["observedGeneration"] = json!(self.generation);
        status["conditions"] = Value::from(conditions);
        status
    }
}
