//! To what is a yes given? A digest over all that is shown of it. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::drift::declared::ObjectKey;
use crate::gate::ask::annotations;
use crate::gate::finding::Change;
use crate::gate::message::is_secret;

/// The annotation that says yes: digests, with spaces between them.
pub const APPROVE: &str = "landfast.dev/approve";

/// What a yes is bound to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(Box<str>);

/// What a person is asked about one object.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The object.
    pub key: &'a ObjectKey,
    /// Its uid; empty where it is missing.
    pub uid: &'a str,
    /// The revision of its source.
    pub revision: &'a str,
    /// Which declaration it goes to.
    pub target: &'a str,
    /// What differs.
    pub drift: &'a [Change],
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Digest {
    /// The digests that the annotations of an object name. Read for the few objects that hold the word at all.
    pub fn of(object: &RawValue) -> Vec<Self> {
        let said = annotations(object, APPROVE).and_then(|mut annotations| annotations.remove(APPROVE)?);
        Self::list(said.as_deref().unwrap_or_default())
    }

    /// The digests that a text names.
    pub fn list(text: &str) -> Vec<Self> {
        text.split_whitespace().map(|word| Self(word.into())).collect()
    }

    /// Of a repair of an object, in the state of this uid, at this revision, to this declaration, for these differences.
    pub fn of_repair(pending: &Asked<'_>) -> Self {
        let mut parts = Parts::default();
        let Asked { key, uid, revision, target, drift } = *pending;
        for part in ["repair", &format!("{key:?}"), uid, revision] {
            parts.add(part);
        }
        let secret = is_secret(key);
        parts.add(if secret { "" } else { target });
        let mut fields: Vec<_> = drift.iter().map(|change| (change.path.to_string(), change)).collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        for (path, change) in fields {
            let value = |value: &Option<String>| {
                value.as_deref().filter(|_| !secret).map_or_else(String::new, |value| format!("={value}"))
            };
            for part in [&path, change.class.name(), &value(&change.git), &value(&change.written)] {
                parts.add(part);
            }
        }
        parts.end()
    }

    /// Of the deletion of an object that Git dropped.
    pub fn of_deletion(key: &ObjectKey, uid: &str, revision: &str) -> Self {
        let mut parts = Parts::default();
        for part in ["deletion", &format!("{key:?}"), uid, revision] {
            parts.add(part);
        }
        parts.end()
    }

    /// Of a source at this revision of which these objects differ.
    pub fn of_source<'k>(source: &str, revision: &str, open: impl Iterator<Item = &'k ObjectKey>) -> Self {
        let mut parts = Parts::default();
        for part in ["source", source, revision] {
            parts.add(part);
        }
        let mut open: Vec<String> = open.map(|key| format!("{key:?}")).collect();
        open.sort();
        for key in &open {
            parts.add(key);
        }
        parts.end()
    }
}

/// A digest of parts, each with its length, so that no two lists of parts read alike.
#[derive(Default)]
struct Parts(Sha256);

impl Parts {
    fn add(&mut self, part: &str) {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part.as_bytes());
    }

    fn end(self) -> Digest {
        let digest: [u8; 32] = self.0.finalize().into();
        let (head, _) = digest.split_first_chunk::<16>().expect("a SHA-256 digest has 32 bytes");
        Digest(format!("{:032x}", u128::from_be_bytes(*head)).into())
    }
}
