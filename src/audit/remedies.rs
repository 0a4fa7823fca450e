//! What was done in a span beside rulings: by break-glass, and by repair? Sums of records, for a report.
//!
//! Pure. It says nothing that no record holds.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::audit::record::Record;
use crate::audit::repair::Outcome;
use crate::gate::verdict::WriterRole;

/// What was done by break-glass of one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Why the glass was broken.
    pub reason: String,
    /// The records of it.
    pub records: BTreeSet<String>,
    /// Who opened it, and who was let in by it.
    pub users: BTreeSet<String>,
    /// Writes that it let in.
    pub writes: u64,
    /// Objects that it was about.
    pub objects: BTreeSet<String>,
    /// From when on, until when at the latest.
    pub first: Timestamp,
    /// See [`first`](Self::first).
    pub ends: Timestamp,
}

/// What was repaired of one kind, or could not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// What became of it.
    pub outcome: Outcome,
    /// As kubectl writes it: `Deployment.apps`.
    pub kind: String,
    /// How often.
    pub repairs: u64,
    /// Namespaces and names.
    pub objects: BTreeSet<String>,
    /// Fields that differed.
    pub fields: BTreeSet<String>,
    /// Managers that had moved them.
    pub moved_by: BTreeSet<String>,
    /// When last.
    pub last: Timestamp,
}

impl Broken {
    /// All of some records, by their reasons.
    pub fn all<'r>(records: impl Iterator<Item = &'r Record>) -> Vec<Self> {
        let mut broken: BTreeMap<&str, Broken> = BTreeMap::new();
        for record in records {
            let Some(glass) = &record.glass else { continue };
            let known = broken.entry(&glass.reason).or_insert_with(|| Broken {
                reason: glass.reason.clone(),
                records: BTreeSet::new(),
                users: BTreeSet::new(),
                writes: 0,
                objects: BTreeSet::new(),
                first: record.time,
                ends: glass.ends,
            });
            known.records.insert(glass.record.clone());
            known.first = known.first.min(record.time);
            known.ends = known.ends.max(glass.ends);
            if record.writer.role != WriterRole::Landfast {
                known.users.insert(record.writer.user.clone());
                known.objects.insert(format!("{} {}", record.object.kind, record.object.place()));
                known.writes += record.count;
            }
        }
        broken.into_values().collect()
    }

    /// For scripts.
    pub(super) fn json(&self) -> Value {
        json!({
            "reason": self.reason, "records": self.records, "users": self.users, "writes": self.writes,
            "objects": self.objects, "first": self.first, "until": self.ends,
        })
    }
}

impl Mended {
    /// All of some records, what needs somebody most first.
    pub fn all<'r>(records: impl Iterator<Item = &'r Record>) -> Vec<Self> {
        let mut mended: BTreeMap<(Outcome, String), Mended> = BTreeMap::new();
        for record in records {
            let Some(repair) = &record.repair else { continue };
            let kind = record.object.kind_name();
            let known = mended.entry((repair.outcome, kind.clone())).or_insert_with(|| Mended {
                outcome: repair.outcome,
                kind,
                repairs: 0,
                objects: BTreeSet::new(),
                fields: BTreeSet::new(),
                moved_by: BTreeSet::new(),
                last: record.time,
            });
            known.repairs += record.count;
            known.objects.insert(record.object.place());
            known.fields.extend(record.fields.iter().map(|field| field.path.clone()));
            let names = repair.moved_by.iter().filter_map(|moved| moved.user.clone().or_else(|| moved.manager.clone()));
            known.moved_by.extend(names);
            known.last = known.last.max(record.time);
        }
        mended.into_values().collect()
    }

    /// For scripts.
    pub(super) fn json(&self) -> Value {
        json!({
            "outcome": self.outcome, "kind": self.kind, "repairs": self.repairs, "objects": self.objects,
            "fields": self.fields, "movedBy": self.moved_by, "last": self.last,
        })
    }
}
