//! What is known of each declared object? Its identity, whether it agrees, and what it agreed with before: a few words each.
//!
//! No object is kept. What must survive a restart (which declaration an object has agreed with, who owns it) is a [`Memory`].

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::audit::repair::Moved;
use crate::drift::declared::ObjectKey;
use crate::gate::managers::Manager;
use crate::limits::{REPAIR_RETRY_MAX, REPAIR_RETRY_MIN};
use crate::reconcile::deployer::Deployer;
use crate::reconcile::fight::{Bout, Standoff};
use crate::reconcile::plan::{Cause, Repair, Why};
use crate::reconcile::sight::Owned;

/// Beyond so many doublings every wait is the longest.
const DOUBLINGS_MAX: u32 = 16;

/// Which declaration, among those of one object: the head of a digest of its manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Of a manifest as compact JSON.
    ///
    /// # Panics
    /// Never: a digest has more bytes than are taken.
    pub fn of(manifest: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::digest(manifest).into();
        let (head, _) = digest.split_first_chunk::<8>().expect("a SHA-256 digest has 32 bytes");
        Self(u64::from_be_bytes(*head))
    }
}

/// Whether an object is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Presence {
    /// Its kind was not listed yet.
    #[default]
    Unknown,
    /// It is there.
    There {
        /// Its uid.
        uid: Box<str>,
        /// Its resource version.
        version: Box<str>,
    },
    /// It is being deleted.
    Leaving {
        /// Its uid.
        uid: Box<str>,
        /// Its resource version.
        version: Box<str>,
    },
    /// It is not there.
    Absent {
        /// Since when that is known.
        since: Timestamp,
        /// The uid that it had, where it was seen.
        uid: Option<Box<str>>,
        /// Whether its annotations asked for a break-glass when it went.
        asked: bool,
    },
}

/// How an object stands to what it is held to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Stance {
    /// It was not compared yet.
    #[default]
    Unknown,
    /// It agrees.
    Agrees,
    /// It differs, or is missing.
    Differs {
        /// Since when that is known.
        since: Timestamp,
        /// In what: the same for the same paths and values.
        digest: u64,
    },
}

/// What is known of one object.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Whether it is there.
    pub presence: Presence,
    /// How it stands to what it is held to.
    pub stance: Stance,
    /// What survives a restart.
    pub memory: Memory,
    /// What Landfast owns of it under its own name.
    pub ours: Owned,
    /// Since when its annotations ask for a break-glass.
    pub asks_since: Option<Timestamp>,
    /// What the server said of what the engine could not tell.
    pub settled: Option<Answer>,
    /// Whether it is to be compared again, whatever was seen of it.
    pub doubted: bool,
    /// Whether it is to be brought back, now or later.
    pub open: bool,
    /// What became of attempts to bring it back.
    pub attempts: Attempts,
    /// Why nothing was done with it when it was planned last; absent where it was to be brought back.
    pub why: Option<Why>,
    /// The drift that was taken in already, each field with its value.
    pub noticed: Box<[u64]>,
    /// What happened between repairs, where it was brought back.
    pub bout: Option<Box<Bout>>,
    /// The deployer that was asked to bring it back.
    pub asked: Option<Box<Asked>>,
}

/// A deployer that was asked to bring an object back.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Until when it is waited for.
    pub until: Timestamp,
    /// Which.
    pub deployer: Deployer,
    /// What it is to do.
    pub repair: Repair,
    /// Who had moved what differs.
    pub moved_by: Vec<Moved>,
}

/// What the server said of an object that differs from a declaration, as far as the engine can tell. It holds until the object
/// differs in something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The declaration.
    pub fingerprint: Fingerprint,
    /// In what it differs.
    pub digest: u64,
    /// What the server said.
    pub settled: Settled,
}

/// What the server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It makes the same of the declaration.
    Agrees,
    /// It makes something else of it.
    Differs,
    /// Nothing.
    Silent,
}

/// What is remembered of one object across restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The declaration that it agreed with last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreed: Option<Fingerprint>,
    /// The declaration that Landfast applied last under its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Fingerprint>,
    /// The manager that owns most of what is declared, if it is another than Landfast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Manager>,
    /// Who deploys it, where that is who brings it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployer: Option<Deployer>,
    /// Its uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Box<str>>,
    /// Whether it is a Job that has begun.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ran: bool,
    /// What Landfast applied under its own name: what of it Git drops is its own to delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
    /// A repair that was begun. Written down before it is sent: where nobody hears the answer (Landfast ends, the connection breaks) the
    /// object itself tells whether it was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Begun>,
    /// The revision of its source at which a person had it brought back with much else. Over when it agrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<Box<str>>,
}

/// A repair whose answer is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Why the object was to be brought back.
    pub cause: Cause,
    /// The declaration that it goes to.
    pub fingerprint: Fingerprint,
    /// Whether under Landfast's own name, so that it is its own to delete.
    pub own: bool,
}

/// An object that Landfast applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Its uid.
    pub uid: Box<str>,
    /// The source that it was applied for.
    pub source: Box<str>,
    /// The version that it was applied in.
    pub version: Box<str>,
    /// The resource, as in URLs.
    pub resource: Box<str>,
    /// Whether its deletion was begun and the answer is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaves: bool,
}

/// What became of attempts to bring one object back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempts {
    /// How many failed, one after the other.
    pub failed: u32,
    /// Not before this instant again.
    pub again: Option<Timestamp>,
    /// Why the last one failed.
    pub error: Option<Arc<str>>,
    /// Whether the server refused the last one every way there is, or stored something else.
    pub refused: bool,
    /// The declaration that was applied and that it does not agree with: the server, or who writes behind it, makes something
    /// else of it.
    pub unsettled: Option<Fingerprint>,
}

/// All that is known.
#[derive(Debug, Default)]
pub struct Standings {
    known: FxHashMap<ObjectKey, Known>,
}

impl Known {
    /// The uid of the object, also where it is gone.
    pub fn uid(&self) -> Option<&str> {
        match &self.presence {
            Presence::There { uid, .. } | Presence::Leaving { uid, .. } => Some(uid),
            Presence::Absent { uid, .. } => uid.as_deref().or(self.memory.uid.as_deref()),
            Presence::Unknown => self.memory.uid.as_deref(),
        }
    }

    /// The fight over the object.
    pub fn standoff(&self) -> Option<&Standoff> {
        self.bout.as_ref()?.standoff()
    }

    /// Whether the server said this of an object that differs so.
    pub fn is_settled(&self, fingerprint: Fingerprint, digest: u64, settled: Settled) -> bool {
        self.settled == Some(Answer { fingerprint, digest, settled })
    }

    /// Whether the server was asked about an object that differs so.
    pub fn is_told(&self, fingerprint: Fingerprint, digest: u64) -> bool {
        self.settled.is_some_and(|told| (told.fingerprint, told.digest) == (fingerprint, digest))
    }

    /// Whether an object of this resource version was seen before, or a later one was. Versions grow (Kubernetes 1.35); where one
    /// is no number, only the same one counts.
    pub fn has_seen(&self, version: &str) -> bool {
        let (Presence::There { version: seen, .. } | Presence::Leaving { version: seen, .. }) = &self.presence else {
            return false;
        };
        match (seen.parse::<u64>(), version.parse::<u64>()) {
            (Ok(seen), Ok(version)) => version <= seen,
            (Err(_), _) | (_, Err(_)) => **seen == *version,
        }
    }
}

impl Attempts {
    /// Notes a failure; how long to wait now.
    pub fn fail(&mut self, now: Timestamp, error: String) -> Duration {
        let doublings = self.failed.min(DOUBLINGS_MAX);
        let wait = REPAIR_RETRY_MIN.saturating_mul(1 << doublings).min(REPAIR_RETRY_MAX);
        self.failed = self.failed.saturating_add(1);
        self.again = now.checked_add(wait).ok();
        self.error = Some(error.into());
        wait
    }

    /// Notes that the object agrees.
    pub fn settle(&mut self) {
        *self = Self::default();
    }
}

impl Standings {
    /// Begins with what is remembered.
    pub fn of(remembered: impl IntoIterator<Item = (ObjectKey, Memory)>) -> Self {
        let known = remembered.into_iter().map(|(key, memory)| (key, Known { memory, ..Known::default() }));
        Self { known: known.collect() }
    }

    /// What is known of an object.
    pub fn get(&self, key: &ObjectKey) -> Option<&Known> {
        self.known.get(key)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, key: &ObjectKey) -> Option<&mut Known> {
        self.known.get_mut(key)
    }

    /// The same; it begins here where nothing is known.
    pub fn entry(&mut self, key: &ObjectKey) -> &mut Known {
        self.known.entry(key.clone()).or_default()
    }

    /// How many objects are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// All objects.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Known)> {
        self.known.iter()
    }

    /// Forgets the objects that Git says nothing of any more; which.
    pub fn retain(&mut self, keep: impl Fn(&ObjectKey) -> bool) -> Vec<ObjectKey> {
        let gone: Vec<ObjectKey> = self.known.keys().filter(|key| !keep(key)).cloned().collect();
        self.known.retain(|key, _| keep(key));
        gone
    }

    /// Has these objects compared again when they are seen next.
    pub fn doubt(&mut self, these: impl Fn(&ObjectKey) -> bool) {
        let these = self.known.iter_mut().filter(|(key, _)| these(key));
        these.for_each(|(_, known)| known.doubted = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_version_was_seen_already() {
        let mut known = Known::default();
        assert!(!known.has_seen("7"));
        known.presence = Presence::There { uid: "u".into(), version: "10".into() };
        assert!(known.has_seen("9") && known.has_seen("10") && !known.has_seen("11"));
        known.presence = Presence::There { uid: "u".into(), version: "a".into() };
        assert!(known.has_seen("a") && !known.has_seen("9"));
    }

    #[test]
    fn a_memory_reads_back_as_it_was_written() {
        let memory = Memory { agreed: Some(Fingerprint::of(b"{}")), ran: true, ..Memory::default() };
        let json = serde_json::to_string(&memory).unwrap();
        assert_eq!(serde_json::from_str::<Memory>(&json).unwrap(), memory);
    }
}
