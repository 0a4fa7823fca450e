//! What is told on the operator's objects? Their statuses, written only where they say something else than before.
//!
//! Every replica may write them: by server-side apply under one field manager, so that a repeat changes nothing, and each only
//! when what it has to say changes, so that two of them do not write against one another.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::warn;

use crate::audit::Clock;
use crate::audit::safety::{SAFE_TO_ENFORCE, refused_at};
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
    /// Answers of True, False or Unknown.
    pub conditions: Vec<Condition>,
    /// The other members of its status.
    pub more: Value,
}

/// Whether something is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// It is.
    True,
    /// It is not.
    False,
    /// Nobody knows yet.
    Unknown,
}

impl Holds {
    fn name(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What is true or false.
    pub kind: &'static str,
    /// Whether it is so.
    pub holds: Holds,
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
    /// Under which name: of one status several tell, each their own members.
    pub manager: &'static str,
}

/// The name under which the leader tells how the objects of a source stand.
pub const REPAIR_MANAGER: &str = "landfast-repair";

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
        if says(&live, &status) {
            return true;
        }
        match self.writer.apply_status(desired, status, self.manager).await {
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

/// Whether a status says this already, whatever else others tell in it.
fn says(live: &Value, status: &Value) -> bool {
    let conditions = |status: &Value| status["conditions"].as_array().cloned().unwrap_or_default();
    let told = conditions(live);
    conditions(status).iter().all(|condition| told.contains(condition))
        && status.as_object().into_iter().flatten().all(|(name, value)| name == "conditions" || live[name] == *value)
}

impl Desired {
    /// The status; what is as it was keeps its time.
    fn status(&self, live: &Value, now: Timestamp) -> Value {
        let conditions = self.conditions.iter().map(|condition| {
            let mut standing = live["conditions"].as_array().into_iter().flatten();
            let before = standing.find(|before| before["type"] == condition.kind);
            if let Some(before) = before.filter(|before| knows_more(before, condition, now)) {
                let mut kept = before.clone();
                kept["observedGeneration"] = json!(self.generation);
                return kept;
            }
            let status = condition.holds.name();
            let since = before.filter(|before| before["status"] == status).map_or_else(
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

/// Whether another replica wrote of a later refusal than this one knows: each has its own records.
fn knows_more(before: &Value, condition: &Condition, now: Timestamp) -> bool {
    if condition.kind != SAFE_TO_ENFORCE || before["status"] != "False" {
        return false;
    }
    let own = refused_at(&condition.message, now);
    before["message"].as_str().and_then(|message| refused_at(message, now)).is_some_and(|theirs| Some(theirs) > own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_another_replica_knows_of_stands_until_it_is_old() {
        let desired = |holds: bool, message: &str| Desired {
            kind: "DriftPolicy".to_owned(),
            plural: "driftpolicies",
            name: "shop".to_owned(),
            uid: "u".to_owned(),
            generation: 2,
            conditions: vec![Condition {
                kind: SAFE_TO_ENFORCE,
                holds: holds.into(),
                reason: "R",
                message: message.to_owned(),
            }],
            more: json!({}),
        };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let refused = |hour: u32| format!("ci would be denied: x, last recorded 2026-11-22T{hour:02}:00:00Z");
        let live = desired(false, &refused(12)).status(&json!({}), at("2026-11-22T12:00:01Z"));
        let said = |desired: &Desired, now: &str| {
            let condition = desired.status(&live, at(now))["conditions"][0].clone();
            assert_eq!(condition["observedGeneration"], 2);
            (condition["status"].as_str().unwrap().to_owned(), condition["message"].as_str().unwrap().to_owned())
        };
        let (kept, safe) = (("False".to_owned(), refused(12)), desired(true, "nothing"));
        assert_eq!(said(&safe, "2026-11-22T13:00:00Z"), kept);
        assert_eq!(said(&desired(false, &refused(11)), "2026-11-22T13:00:00Z"), kept);
        assert_eq!(said(&desired(false, &refused(13)), "2026-11-22T13:00:00Z").1, refused(13));
        assert_eq!(said(&safe, "2026-11-23T12:00:00Z").0, "True");
    }
}
