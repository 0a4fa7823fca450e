//! What is a person asked, and what did one say? Repairs that wait for a yes, sources that are held, and the yes itself. Pure.
//!
//! Each has a digest over what is shown of it: the object with its uid, the revision of its source, the declaration that it goes to,
//! and every field with both values; of a held source its revision and which objects differ. A yes names a digest, so it is to this
//! and to nothing else: once Git or the object has moved on it counts for nothing.
//!
//! It is said by the annotation [`APPROVE`]: on the object itself, where one is there to be brought back (whoever may write it may
//! write what Git says of it anyway, so no other right is needed; the repair takes the annotation away), and for all else (what is
//! missing, what is to be deleted, a held source) on the ConfigMap [`REPAIRS`] in Landfast's own namespace, where RBAC says who may.
//!
//! No value of a Secret is shown, or goes into a digest: neither its live one nor Git's, which could be guessed from it. Its
//! paths and the revision do.

mod digest;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::drift::declared::ObjectKey;
use crate::gate::conclude;
use crate::gate::finding::Change;
use crate::gate::json::FieldJson;
use crate::limits::{HELD_OBJECTS_SHOWN_MAX, PENDING_FIELDS_MAX, REPAIRS_BYTES_MAX};
use crate::reconcile::threshold::Hold;

pub use crate::reconcile::approval::digest::{APPROVE, Asked, Digest};

/// The ConfigMap that says what waits for a yes.
pub const REPAIRS: &str = "landfast-repairs";

/// The key of it under which that stands, as JSON: a [`Notice`].
pub const NOTICE: &str = "repairs";

/// All that waits for a person.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Sources of which too much differs at once.
    pub held: Vec<HeldSource>,
    /// Single repairs.
    pub pending: Vec<Pending>,
    /// How many more wait than fit.
    pub more: usize,
}

/// A repair that waits for a yes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// What a yes names.
    pub digest: Digest,
    /// What is to be done.
    pub action: Action,
    /// The object.
    #[serde(flatten)]
    pub object: Named,
    /// Its uid; empty where it is missing.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub uid: Box<str>,
    /// The source that declares it, or did.
    pub source: Box<str>,
    /// The revision of that source.
    pub revision: Box<str>,
    /// The fields that differ, with both values: `git`, and `written` as it is now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldJson>,
    /// How many more differ.
    #[serde(default)]
    pub more: usize,
    /// Since when that is known.
    pub since: Timestamp,
    /// A yes that was said and does not count: it was to another revision or another diff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub void: Option<Digest>,
}

/// What is to be done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// It is brought back.
    Update,
    /// It is made again.
    Create,
    /// It is deleted: Git dropped it.
    Delete,
}

/// An object, with all that it takes to find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// API group; empty for the core group.
    pub group: Box<str>,
    /// Its version.
    pub version: Box<str>,
    /// The resource, as in URLs.
    pub resource: Box<str>,
    /// Kind.
    pub kind: Box<str>,
    /// Namespace; empty where it is in none.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub namespace: Box<str>,
    /// Name.
    pub name: Box<str>,
}

/// A source of which too much differs at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSource {
    /// What a yes names.
    pub digest: Digest,
    /// Its name.
    pub source: Box<str>,
    /// Its revision.
    pub revision: Box<str>,
    /// How many of its objects differ or are missing.
    pub open: usize,
    /// How many may.
    pub most: usize,
    /// How many it declares.
    pub declared: usize,
    /// Some of those that differ.
    pub objects: Vec<String>,
}

/// What was asked and said.
#[derive(Debug, Default)]
pub struct Approvals {
    pending: BTreeMap<ObjectKey, Pending>,
    /// A yes that is being carried out.
    granted: BTreeMap<ObjectKey, Digest>,
    /// What stands on the ConfigMap.
    said: BTreeSet<Digest>,
    /// What of it has been carried out.
    spent: BTreeSet<Digest>,
    changed: bool,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Somebody said yes to just this.
    Approved,
    /// A person is asked from now on.
    Asked,
    /// Nobody has said anything yet.
    Waits,
    /// Somebody said yes to something else: this one does not count. Told once.
    Void(Digest),
}

/// The fields that are shown of a diff, and how many are not.
pub fn shown(key: &ObjectKey, drift: &[Change]) -> (Vec<FieldJson>, usize) {
    let fields = drift.iter().take(PENDING_FIELDS_MAX).map(|change| FieldJson::of(&conclude::field(key, change, None)));
    (fields.collect(), drift.len().saturating_sub(PENDING_FIELDS_MAX))
}

impl Named {
    /// An object of this version and resource.
    pub fn of(key: &ObjectKey, version: &str, resource: &str) -> Self {
        Self {
            group: key.group().into(),
            version: version.into(),
            resource: resource.into(),
            kind: key.kind().into(),
            namespace: key.namespace().into(),
            name: key.name().into(),
        }
    }

    /// The object.
    pub fn key(&self) -> ObjectKey {
        ObjectKey::new(&self.group, &self.kind, &self.namespace, &self.name)
    }
}

impl HeldSource {
    /// What is told of a source that is held.
    pub fn of<'k>(source: &str, revision: &str, hold: Hold, open: impl Iterator<Item = &'k ObjectKey> + Clone) -> Self {
        let mut objects: Vec<_> = open.clone().collect();
        objects.sort();
        let objects = objects.into_iter().take(HELD_OBJECTS_SHOWN_MAX).map(ToString::to_string).collect();
        let Hold { open: count, most, declared } = hold;
        let digest = Digest::of_source(source, revision, open);
        Self { digest, source: source.into(), revision: revision.into(), open: count, most, declared, objects }
    }
}

impl Approvals {
    /// Asks for a yes to a repair. `own` is what the object's own annotation names: it counts where there is an object to be written.
    /// A yes that was heard holds until it is carried out, or the question is another.
    pub fn ask(&mut self, key: &ObjectKey, mut pending: Pending, own: &[Digest]) -> Answer {
        let counts = pending.action == Action::Update && own.contains(&pending.digest);
        let is_granted = self.granted.get(key) == Some(&pending.digest);
        if counts || is_granted || self.said.contains(&pending.digest) {
            self.changed |= self.pending.remove(key).is_some();
            self.granted.insert(key.clone(), pending.digest);
            return Answer::Approved;
        }
        // Whatever came of the last yes, this is another question.
        if let Some(digest) = self.granted.remove(key) {
            self.spend(digest);
        }
        pending.void = own.first().cloned();
        let before = self.pending.get(key);
        if let Some(before) = before.filter(|before| before.digest == pending.digest) {
            pending.since = before.since;
        }
        let was_told = before.is_some_and(|before| before.void == pending.void);
        let is_asked = before.is_some_and(|before| before.digest == pending.digest);
        let told = pending.void.clone().filter(|_| !was_told);
        if before != Some(&pending) {
            self.changed = true;
            self.pending.insert(key.clone(), pending);
        }
        match told {
            Some(void) => Answer::Void(void),
            None if is_asked => Answer::Waits,
            None => Answer::Asked,
        }
    }

    /// Takes back what was asked about an object: there is nothing to be done with it.
    pub fn settle(&mut self, key: &ObjectKey) {
        self.changed |= self.pending.remove(key).is_some();
        if let Some(digest) = self.granted.remove(key) {
            self.spend(digest);
        }
    }

    /// Notes that a yes has been carried out.
    pub fn spend(&mut self, digest: Digest) {
        if self.said.contains(&digest) {
            self.spent.insert(digest);
            self.changed = true;
        }
    }

    /// Takes in what stands on the ConfigMap; the objects that somebody said yes to.
    pub fn hear(&mut self, said: Vec<Digest>) -> Vec<ObjectKey> {
        self.said = said.into_iter().collect();
        self.spent.retain(|digest| self.said.contains(digest));
        self.changed = true;
        let approved = self.pending.iter().filter(|(_, pending)| self.said.contains(&pending.digest));
        approved.map(|(key, _)| key.clone()).collect()
    }

    /// Whether somebody said yes to this on the ConfigMap.
    pub fn says(&self, digest: &Digest) -> bool {
        self.said.contains(digest)
    }

    /// What stands on the ConfigMap and is over: first what was carried out, then what never meant anything that is asked now.
    pub fn over(&self, held: &[HeldSource]) -> (Vec<&Digest>, Vec<&Digest>) {
        let open: BTreeSet<_> = self.pending.values().map(|pending| &pending.digest).collect();
        let is_open = |digest: &&Digest| {
            open.contains(digest)
                || held.iter().any(|held| held.digest == **digest)
                || self.granted.values().any(|granted| granted == *digest)
        };
        self.said.iter().filter(|digest| !is_open(digest)).partition(|digest| self.spent.contains(*digest))
    }

    /// Whether anything is to be told that was not told before; it counts as told from now on.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Has everything told anew.
    pub fn change(&mut self) {
        self.changed = true;
    }

    /// The objects of a source that wait for a yes.
    pub fn of_source(&self, source: &str) -> Vec<ObjectKey> {
        let of_source = self.pending.iter().filter(|(_, pending)| *pending.source == *source);
        of_source.map(|(key, _)| key.clone()).collect()
    }

    /// All that waits, as far as it fits.
    pub fn notice(&self, held: Vec<HeldSource>) -> Notice {
        let mut room = REPAIRS_BYTES_MAX;
        let mut fits = |size: usize| {
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        };
        let size = |json: serde_json::Result<String>| json.map_or(usize::MAX, |json| json.len());
        let mut notice = Notice::default();
        for held in held {
            if fits(size(serde_json::to_string(&held))) {
                notice.held.push(held);
            } else {
                notice.more += 1;
            }
        }
        for pending in self.pending.values() {
            if fits(size(serde_json::to_string(pending))) {
                notice.pending.push(pending.clone());
            } else {
                notice.more += 1;
            }
        }
        notice
    }
}

#[cfg(test)]
mod tests;
