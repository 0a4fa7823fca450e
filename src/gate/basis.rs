//! On what is decided? Declared state, schemas and policy as one immutable value, swapped whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::drift::declared::{Declared, ObjectKey};
use crate::drift::schema::Schemas;
use crate::gate::grant::Grants;
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
    /// Break-glass that is open.
    pub grants: Arc<Grants>,
}

/// One source as last known good.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name.
    pub id: SourceId,
    /// The revision in force; absent until the first good one.
    pub revision: Option<CommitId>,
    /// How far behind the head a deployer may be.
    pub max_lag: Duration,
    /// In which namespaces it may declare.
    pub scope: Scope,
    /// Owners of its files, by its CODEOWNERS: (file → owners), read when a message needs them.
    pub owners: Arc<dyn Owners>,
    /// Manifest faults of the revision in force, and why a newer one is not in force.
    pub faults: Arc<Vec<Fault>>,
    /// The newest commit, where it could not be put in force, and the first reason.
    pub refused: Option<(CommitId, Fault)>,
    /// The commits that were in force within `maxLag`, and when each was first seen as the head, the oldest first.
    pub heads: Arc<[(CommitId, Timestamp)]>,
}

impl Source {
    /// When a commit was first seen as the head; `None` where it was not, or only together with a later one.
    pub fn observed(&self, commit: &str) -> Option<Timestamp> {
        let place = self.heads.iter().rposition(|(head, _)| *head.0 == *commit)?;
        let (_, at) = self.heads.get(place)?;
        self.heads.get(place + 1).is_none_or(|(_, next)| next != at).then_some(*at)
    }
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
    pub objects: Objects,
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
    /// Since when that is so: the declaration's first observation, or when Git dropped the object.
    pub since: Timestamp,
    /// What earlier heads said of it, the newest first.
    pub past: Arc<[Past]>,
}

/// What one source says of all its objects.
pub type Objects = FxHashMap<ObjectKey, Entry>;

/// A declaration that does not count, because an earlier source declares the same object.
#[derive(Debug, Clone)]
pub struct Overlap {
    /// The source whose declaration does not count.
    pub source: SourceId,
    /// Which object, and where both declare it.
    pub fault: Fault,
}

impl Index {
    /// Brings together what the sources say; of two that declare one object the earlier in the list keeps it.
    ///
    /// Entries are shared, not copied. An object that one source dropped and another declares is the latter's.
    pub fn build(sources: &[(&SourceId, &Objects)]) -> (Self, Vec<Overlap>) {
        let (mut index, mut overlaps) = (Self::default(), Vec::new());
        for (source, objects) in sources {
            index.objects.reserve(objects.len());
            for (key, entry) in *objects {
                let Some(earlier) = index.objects.get_mut(key) else {
                    index.objects.insert(key.clone(), entry.clone());
                    continue;
                };
                match (&earlier.head, &entry.head) {
                    (Some(kept), Some(refused)) => {
                        let fault = declared_twice(refused, kept, Some(&earlier.source));
                        overlaps.push(Overlap { source: (*source).clone(), fault });
                    }
                    (None, Some(_)) => *earlier = entry.clone(),
                    (_, None) => {}
                }
            }
        }
        overlaps.sort_by(|a, b| (&a.source, &a.fault).cmp(&(&b.source, &b.fault)));
        index.count();
        (index, overlaps)
    }

    /// The groups and versions in which Git declares objects at the revisions in force.
    pub fn versions(&self) -> BTreeSet<(String, String)> {
        let heads = self.objects.values().filter_map(|entry| entry.head.as_ref());
        let distinct: FxHashSet<_> = heads.map(|declared| (declared.key.group(), &*declared.version)).collect();
        distinct.into_iter().map(|(group, version)| (group.to_owned(), version.to_owned())).collect()
    }

    fn count(&mut self) {
        let (mut namespaces, mut kinds) = (FxHashMap::default(), FxHashMap::default());
        for (key, entry) in &self.objects {
            if entry.head.is_some() {
                *namespaces.entry(key.namespace()).or_default() += 1;
                *kinds.entry((key.group(), key.kind())).or_default() += 1;
            }
        }
        namespaces.remove("");
        self.by_namespace = namespaces.into_iter().map(|(namespace, count)| (namespace.into(), count)).collect();
        self.by_kind = kinds.into_iter().map(|((group, kind), count)| ((group.into(), kind.into()), count)).collect();
    }
}

/// The fault of a declaration whose object is declared elsewhere already; it names both places.
pub fn declared_twice(refused: &Declared, kept: &Declared, kept_by: Option<&SourceId>) -> Fault {
    let line = |declared: &Declared| declared.lines.get(0).unwrap_or_default();
    let by = kept_by.map(|source| format!(" of source {source}")).unwrap_or_default();
    Fault {
        file: refused.file.to_string(),
        line: line(refused),
        what: format!("{} is declared already by {}:{}{by}, which counts", refused.key, kept.file, line(kept)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::declared::Lines;

    fn entry(source: &str, kind: &str, name: &str, standing: Standing) -> (ObjectKey, Entry) {
        let key = ObjectKey::new("", kind, "shop", name);
        let declared = Declared {
            key: key.clone(),
            version: "v1".into(),
            json: (*b"{}").into(),
            lines: Lines::pack([7]),
            file: format!("{source}.yaml").into(),
            ignored: Box::default(),
        };
        let head = match standing {
            Standing::Declared => Some(Arc::new(declared)),
            Standing::Dropped => None,
        };
        let source = SourceId(source.into());
        (key, Entry { source, head, since: Timestamp::UNIX_EPOCH, past: Arc::default() })
    }

    #[derive(Clone, Copy)]
    enum Standing {
        Declared,
        Dropped,
    }
    use Standing::{Declared as Is, Dropped};

    fn index(a: &[(ObjectKey, Entry)], b: &[(ObjectKey, Entry)]) -> (Index, Vec<Overlap>) {
        let [a, b] = [a, b].map(|entries| entries.iter().cloned().collect::<Objects>());
        Index::build(&[(&SourceId("a".into()), &a), (&SourceId("b".into()), &b)])
    }

    #[test]
    fn the_earlier_source_keeps_what_both_declare() {
        let (index, overlaps) = index(&[entry("a", "Pod", "x", Is)], &[entry("b", "Pod", "x", Is)]);
        assert!(index.objects.values().all(|entry| &*entry.source.0 == "a"));
        assert_eq!(&*overlaps[0].source.0, "b");
        let said = overlaps[0].fault.to_string();
        assert_eq!(said, "b.yaml:7: Pod shop/x is declared already by a.yaml:7 of source a, which counts");
    }

    #[test]
    fn an_object_may_move_to_another_source() {
        for (a, b, owner) in [(Dropped, Is, "b"), (Is, Dropped, "a")] {
            let (index, overlaps) = index(&[entry("a", "Pod", "x", a)], &[entry("b", "Pod", "x", b)]);
            assert!(index.objects.values().all(|entry| &*entry.source.0 == owner));
            assert!(overlaps.is_empty());
        }
    }

    #[test]
    fn only_what_is_declared_now_is_counted() {
        let declared = [entry("a", "Pod", "x", Is), entry("a", "Pod", "y", Dropped), entry("a", "Service", "x", Is)];
        let (index, _) = index(&declared, &[]);
        assert_eq!(index.by_namespace, BTreeMap::from([("shop".into(), 2)]));
        assert_eq!(index.by_kind, BTreeMap::from([(("".into(), "Pod".into()), 1), (("".into(), "Service".into()), 1)]));
        assert_eq!(index.versions(), BTreeSet::from([(String::new(), "v1".to_owned())]));
    }
}
