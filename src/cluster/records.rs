//! Is there an open record of this break-glass? BreakGlass objects by name: made, found, ended.
//!
//! The name is the same on every replica, so that two of them that are asked about one write make one record.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use kube::Client;
use kube::api::GetParams;
use kube::core::Request;
use serde_json::{Value, json};

use crate::audit::Clock;
use crate::cluster::call::{CallError, within_time};
use crate::cluster::writer::{BREAK_GLASSES, Writer};
use crate::config::crd::{GROUP, VERSION};
use crate::config::record::{Record, record};
use crate::gate::duration::written;
use crate::gate::facts::{Opening, Sought};
use crate::gate::grant::Grant;
use crate::limits;

/// BreakGlass objects, by name.
pub struct Records {
    client: Client,
    writer: Writer,
    clock: Clock,
    /// Annotations that stand for no open record, as they were set: whoever sets one anew makes its record before.
    dead: Mutex<HashSet<Sought>>,
}

/// Why nothing is known of a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The API server did not do as asked.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It is there, and means nothing.
    #[error("the BreakGlass {name} is faulty: {what}")]
    Faulty {
        /// Its name.
        name: String,
        /// The first fault.
        what: String,
    },
    /// It was made this moment, and is not open.
    #[error("the BreakGlass {0} is not open when it is made: our clock and the API server's disagree")]
    Clock(String),
    /// It was opened and ended too often.
    #[error("the BreakGlass {0} was opened {max} times", max = limits::REOPENED_MAX)]
    TooOften(String),
}

impl RecordError {
    /// What to do about it, where that is known.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Call(error) => error.hint(),
            Self::Faulty { .. } | Self::Clock(_) | Self::TooOften(_) => None,
        }
    }
}

impl Records {
    /// Asks through this client.
    pub fn new(client: Client, clock: Clock) -> Self {
        Self { writer: Writer::new(client.clone()), client, clock, dead: Mutex::default() }
    }

    /// The open record of a break-glass: made, or found where another replica was faster. What has ended stays so: the next has
    /// another number.
    pub async fn open(&self, opening: &Opening) -> Result<Option<Arc<Grant>>, RecordError> {
        for number in 1..=limits::REOPENED_MAX {
            let name = numbered(&opening.record, number);
            let made = match self.writer.create_break_glass(&manifest(opening, &name)).await {
                Ok(made) => {
                    let made = read(&made)?;
                    // Another would be no more open than this one.
                    if !made.is_open((self.clock)()) {
                        return Err(RecordError::Clock(name));
                    }
                    made
                }
                Err(error) if error.status() == Some(409) => match self.get(&name).await? {
                    Some(found) => found,
                    None => continue,
                },
                Err(error) => return Err(error.into()),
            };
            if !made.is_open((self.clock)()) {
                continue;
            }
            for replaced in opening.replaces.iter().filter(|record| **record != name) {
                self.end(replaced, &opening.by).await?;
            }
            return Ok(Some(Arc::new(made.grant)));
        }
        Err(RecordError::TooOften(opening.record.clone()))
    }

    /// The open record of this name, or the one that followed it. Where there is none, that is asked once: it stays so until the
    /// annotation is set anew.
    pub async fn find(&self, sought: &Sought) -> Result<Option<Arc<Grant>>, RecordError> {
        if self.dead.lock().unwrap_or_else(PoisonError::into_inner).contains(sought) {
            return Ok(None);
        }
        for number in 1..=limits::REOPENED_MAX {
            match self.get(&numbered(&sought.record, number)).await? {
                Some(found) if found.is_open((self.clock)()) => return Ok(Some(Arc::new(found.grant))),
                Some(_) => {}
                None => break,
            }
        }
        if sought.set.is_some() {
            let mut dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
            if dead.len() >= limits::DEAD_KEPT {
                dead.clear();
            }
            dead.insert(sought.clone());
        }
        Ok(None)
    }

    /// Notes that a record has ended.
    pub async fn end(&self, name: &str, by: &str) -> Result<(), CallError> {
        self.writer.end_break_glass(name, "Removed", &format!("ended by {by}"), (self.clock)()).await
    }

    async fn get(&self, name: &str) -> Result<Option<Record>, RecordError> {
        let request = Request::new(BREAK_GLASSES).get(name, &GetParams::default());
        let request = request.map_err(|error| CallError::from(kube::Error::BuildRequest(error)))?;
        match within_time(self.client.request::<Value>(request)).await {
            Ok(found) => read(&found).map(Some),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn read(object: &Value) -> Result<Record, RecordError> {
    record(object).map_err(|faults| RecordError::Faulty {
        name: object["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        what: faults.first().map(ToString::to_string).unwrap_or_default(),
    })
}

/// The name of the first record, and of those that follow it.
fn numbered(name: &str, number: u32) -> String {
    if number == 1 { name.to_owned() } else { format!("{name}-{number}") }
}

fn manifest(opening: &Opening, name: &str) -> Value {
    let Opening { object, uid, reason, duration, by, .. } = opening;
    let mut about = json!({ "kind": object.kind(), "name": object.name(), "uid": uid });
    for (member, value) in [("group", object.group()), ("namespace", object.namespace())] {
        if !value.is_empty() {
            about[member] = value.into();
        }
    }
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "BreakGlass",
        "metadata": { "name": name },
        "spec": { "reason": reason, "duration": written(*duration), "object": about, "createdBy": by },
    })
}
