//! On what is decided? Declared state, schemas and policy as one immutable value, swapped whole.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustc_hash::FxHashMap;

use crate::drift::declared::{Declared, ObjectKey};
use crate::drift::schema::Schemas;
use crate::gate::history::Past;
use crate::gate::policy::Policy;

/// Name of a GitSource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub Arc<str>);

/// A commit, as 40 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub Arc<str>);

impl CommitId {
    /// The first seven digits, as people write it.
    pub fn short(&self) -> &str {
        self.0.get(..7).unwrap_or(&self.0)
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All that a verdict rests on, besides the write itself, the facts and the instant.
#[derive(Debug, Clone)]
pub struct Basis {
    /// Each source as last known good.
    pub sources: BTreeMap<SourceId, Arc<Source>>,
    /// What all sources declare, and lately declared.
    pub index: Arc<Index>,
    /// How kinds merge.
    pub schemas: Schemas,
    /// What the operator asked for.
    pub policy: Arc<Policy>,
}

/// One source as last known good.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name.
    pub id: SourceId,
    /// The revision in force; absent until the first good one.
    pub revision: Option<CommitId>,
    /// Author of that revision and when it was written, for messages that cannot name the line's own commit.
    pub head: Option<CommitInfo>,
    /// How far behind the head a deployer may be.
    pub max_lag: Duration,
    /// In which namespaces it may declare.
    pub scope: Scope,
    /// Owners of its files, by its CODEOWNERS: (file → owners), read when a message needs them.
    pub owners: Arc<dyn Owners>,
    /// Manifest faults of the revision in force, and why a newer one is not in force.
    pub faults: Arc<Vec<Fault>>,
}

/// Who owns a file.
pub trait Owners: fmt::Debug + Send + Sync {
    /// Owners of a file (from the repository's root), as in `@shop/backend`; empty where nobody is named.
    fn of(&self, file: &str) -> Vec<String>;
}

/// A commit, as a message names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// The commit.
    pub commit: CommitId,
    /// Its author's name.
    pub author: String,
    /// When it was written.
    pub date: Timestamp,
}

/// What a source may declare.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Globs of namespaces.
    pub namespaces: globset::GlobSet,
    /// The globs as written, for messages and webhook conditions.
    pub patterns: Vec<String>,
    /// Whether it may declare cluster-scoped objects (Namespaces in its scope always).
    pub cluster_scoped: bool,
}

/// Something in a repository or a configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The file, from the root of the repository (or as given on the command line).
    pub file: String,
    /// The line, from 1; 0 where the fault is the whole file's.
    pub line: u32,
    /// What is wrong, lower-case, without a final period.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_str(), self.line) {
            ("", _) => write!(f, "{}", self.what),
            (file, 0) => write!(f, "{file}: {}", self.what),
            (file, line) => write!(f, "{file}:{line}: {}", self.what),
        }
    }
}

/// What Git declares of each object, now and within `maxLag`.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// By object.
    pub objects: FxHashMap<ObjectKey, Entry>,
    /// How many objects each namespace holds, for a message about its deletion.
    pub by_namespace: BTreeMap<Box<str>, usize>,
    /// How many objects each (group, kind) has.
    pub by_kind: BTreeMap<(Box<str>, Box<str>), usize>,
}

/// What Git says of one object.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The source that declares (or last declared) it.
    pub source: SourceId,
    /// The declaration at the revision in force; absent where Git dropped the object within `maxLag`.
    pub head: Option<Arc<Declared>>,
    /// What earlier heads said of it, the newest first.
    pub past: Arc<[Past]>,
}
