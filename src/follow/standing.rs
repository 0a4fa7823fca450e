//! What does one source declare at its last good revision, and lately? Files and objects, moved on by one commit at a time.
//!
//! Pure: it neither reads Git nor a clock. A step that cannot be read never gets here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use rustc_hash::FxHashMap;

use crate::config::TreeReading;
use crate::drift::declared::{Declared, ObjectKey};
use crate::gate::basis::{CommitInfo, Entry, Fault, Objects, Owners, SourceId, declared_twice};
use crate::gate::history::{Turn, horizon};
use crate::git::mirror::Head;
use crate::git::owners::Codeowners;
use crate::git::tree::BlobId;

/// One source at its last good revision. Cheap to clone, save for two maps of pointers.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    /// The revision in force; absent until the first good one.
    pub(super) revision: Option<CommitInfo>,
    /// Commits that were in force, the oldest first; those of the last `maxLag`, and the one before.
    pub(super) heads: Vec<Head>,
    /// All files that may hold manifests, by path.
    pub(super) files: BTreeMap<Arc<str>, Arc<Reading>>,
    /// What is declared, and lately was.
    pub(super) objects: Arc<Objects>,
    /// Declarations that do not count, because a file before theirs declares the same object.
    twice: BTreeMap<ObjectKey, Vec<Arc<Declared>>>,
    /// The CustomResourceDefinitions among the objects; and those that files still name but that cannot be used as they are
    /// written now, as they last were.
    pub(super) crds: BTreeMap<ObjectKey, Arc<Declared>>,
    /// CODEOWNERS at the revision, and the file it was read from.
    pub(super) owners: Arc<dyn Owners>,
    /// See `owners`.
    pub(super) owners_file: Option<BlobId>,
    /// Which kinds were known when the files were read; see [`super::kinds::fingerprint`].
    pub(super) read_with: u64,
    /// What the tree was taken for when the files were read.
    pub(super) read_as: Option<TreeReading>,
    /// Declarations in all files.
    pub(super) count: usize,
    /// Since when the remote says that the ref is gone.
    pub(super) gone_since: Option<Timestamp>,
}

/// What one file gave.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) objects: Vec<Arc<Declared>>,
    pub(super) faults: Vec<Fault>,
    pub(super) unknown: BTreeSet<(String, String)>,
}

/// Files that changed, in the order of their paths; `None` where a file is gone.
pub(super) type Files = Vec<(Arc<str>, Option<Arc<Reading>>)>;

/// What a commit makes of a source, read without fail.
#[derive(Debug)]
pub(super) struct Step {
    /// The commit, and when it was observed.
    pub(super) head: Head,
    pub(super) info: CommitInfo,
    /// Every file that changed, or all of them.
    pub(super) files: Files,
    /// The CRDs that the files were read with.
    pub(super) crds: BTreeMap<ObjectKey, Arc<Declared>>,
    pub(super) owners: Option<(Option<BlobId>, Codeowners)>,
    pub(super) read_with: u64,
    pub(super) read_as: TreeReading,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            revision: None,
            heads: Vec::new(),
            files: BTreeMap::new(),
            objects: Arc::default(),
            twice: BTreeMap::new(),
            crds: BTreeMap::new(),
            owners: Arc::new(Codeowners::default()),
            owners_file: None,
            read_with: 0,
            read_as: None,
            count: 0,
            gone_since: None,
        }
    }
}

impl Standing {
    /// Moves on to a commit. Costs what the commit changed, and the maps of pointers if somebody else still looks at them.
    pub(super) fn apply(&mut self, step: Step, source: &SourceId, max_lag: std::time::Duration) {
        let observed = step.head.observed;
        let mut candidates: FxHashMap<ObjectKey, Vec<Arc<Declared>>> = FxHashMap::default();
        let mut changed = BTreeSet::new();
        for (path, reading) in step.files {
            let old = match &reading {
                Some(reading) => self.files.insert(path.clone(), Arc::clone(reading)),
                None => self.files.remove(&path),
            };
            for gone in old.iter().flat_map(|old| &old.objects) {
                self.count -= 1;
                candidates.entry(gone.key.clone()).or_default();
            }
            for declared in reading.iter().flat_map(|reading| &reading.objects) {
                self.count += 1;
                candidates.entry(declared.key.clone()).or_default().push(Arc::clone(declared));
            }
            changed.insert(path);
        }
        for (key, declared) in candidates {
            self.settle(&key, declared, &changed, source, observed, horizon(observed, max_lag));
        }
        let objects = &self.objects;
        self.crds.retain(|key, _| objects.get(key).is_some_and(|entry| entry.head.is_some()));
        for (key, crd) in step.crds {
            self.crds.entry(key).or_insert(crd);
        }
        if self.heads.last().is_none_or(|last| last.commit != step.head.commit) {
            self.heads.push(step.head);
        }
        self.revision = Some(step.info);
        self.read_with = step.read_with;
        self.read_as = Some(step.read_as);
        if let Some((file, owners)) = step.owners {
            (self.owners_file, self.owners) = (file, Arc::new(owners));
        }
    }

    /// One object some of whose files changed: the first file that declares it counts.
    fn settle(
        &mut self,
        key: &ObjectKey,
        mut declared: Vec<Arc<Declared>>,
        changed: &BTreeSet<Arc<str>>,
        source: &SourceId,
        observed: Timestamp,
        horizon: Timestamp,
    ) {
        let objects = Arc::make_mut(&mut self.objects);
        let entry = objects.get(key);
        let present = entry.and_then(|entry| entry.head.clone());
        let elsewhere = present.into_iter().chain(self.twice.remove(key).into_iter().flatten());
        declared.extend(elsewhere.filter(|declared| !changed.contains(&declared.file)));
        // Stable: within one file the order written stays.
        declared.sort_by(|a, b| a.file.cmp(&b.file));
        let mut declared = declared.into_iter();
        let head = declared.next();
        let others: Vec<_> = declared.collect();
        if !others.is_empty() {
            self.twice.insert(key.clone(), others);
        }
        let next = match entry {
            Some(entry) => entry.turn(&Turn { head: head.as_ref(), observed, horizon }),
            None => head.clone().map(|head| Entry {
                source: source.clone(),
                head: Some(head),
                since: observed,
                past: Arc::default(),
            }),
        };
        match next {
            Some(next) => drop(objects.insert(key.clone(), next)),
            None => drop(objects.remove(key)),
        }
        match head.filter(|_| is_crd(key)) {
            Some(crd) => drop(self.crds.insert(key.clone(), crd)),
            None => drop(self.crds.remove(key)),
        }
    }

    /// Forgets what ended longer ago than counts. Costs a look at each object, and nothing is copied where nothing goes.
    pub(super) fn prune(&mut self, horizon: Timestamp) {
        let keep = self.heads.iter().rposition(|head| head.observed <= horizon).unwrap_or_default();
        self.heads.drain(..keep);
        let forgetting = |(key, entry): (&ObjectKey, &Entry)| entry.forgets_at(horizon).then(|| key.clone());
        let forgetting: Vec<_> = self.objects.iter().filter_map(forgetting).collect();
        if forgetting.is_empty() {
            return;
        }
        let objects = Arc::make_mut(&mut self.objects);
        for key in forgetting {
            let kept = objects
                .get(&key)
                .and_then(|entry| entry.turn(&Turn { head: entry.head.as_ref(), observed: horizon, horizon }));
            match kept {
                Some(entry) => drop(objects.insert(key, entry)),
                None => drop(objects.remove(&key)),
            }
        }
    }

    /// Whether [`Standing::prune`] would forget something of an object.
    pub(super) fn forgets_at(&self, horizon: Timestamp) -> bool {
        self.objects.values().any(|entry| entry.forgets_at(horizon))
    }

    /// Everything that can be read but not used, in the order of files and lines.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let of_files = self.files.values().flat_map(|reading| reading.faults.iter().cloned());
        let twice = self.twice.iter().filter_map(|(key, refused)| {
            let kept = self.objects.get(key)?.head.as_ref()?;
            Some(refused.iter().map(|refused| declared_twice(refused, kept, None)))
        });
        let mut faults: Vec<_> = of_files.chain(twice.flatten()).collect();
        faults.sort();
        faults
    }

    /// Groups and versions that files name and nobody knows.
    pub(super) fn unknown(&self) -> BTreeSet<(String, String)> {
        self.files.values().flat_map(|reading| &reading.unknown).cloned().collect()
    }

    /// How many objects are declared at the revision in force.
    pub(super) fn declared(&self) -> usize {
        self.count - self.twice.values().map(Vec::len).sum::<usize>()
    }
}

pub(super) fn is_crd(key: &ObjectKey) -> bool {
    key.kind() == "CustomResourceDefinition" && key.group() == "apiextensions.k8s.io"
}
