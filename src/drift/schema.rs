//! Which kinds are there, and what is the schema of each of their versions?
//!
//! Three layers, the later over the earlier: the embedded table of the built-in kinds, the API server's own OpenAPI v3, CRDs.
//! Nothing here is asked of a server. What a schema says is in [`shape`](crate::drift::shape).

use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::drift::arena::{Arena, TypeId};
use crate::drift::path::FieldPath;
pub use crate::drift::shape::{Default, ListKey, MapRef, Meaning, MemberRef, Relation, SchemaRef, Shape, Zero};
use crate::drift::version::by_priority;

/// All that is known of kinds and their schemas. Cheap to clone; part of the basis, so that a verdict can be repeated.
#[derive(Clone, Default)]
pub struct Schemas {
    groups: Arc<FxHashMap<Arc<str>, Arc<Group>>>,
}

/// The kinds of one API group.
#[derive(Clone, Default)]
struct Group {
    kinds: FxHashMap<Box<str>, Arc<Entry>>,
    /// Kind by resource.
    resources: FxHashMap<Box<str>, Arc<Entry>>,
}

struct Entry {
    info: Arc<KindInfo>,
    roots: Vec<Root>,
}

/// The schema of one version of a kind.
#[derive(Clone)]
pub(crate) struct Root {
    pub(crate) version: Box<str>,
    pub(crate) arena: Arc<Arena>,
    pub(crate) ty: TypeId,
}

/// What is known of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindInfo {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind, as in `Deployment`.
    pub kind: String,
    /// Resource, as in `deployments`.
    pub resource: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Versions, the preferred first: those that the cluster was seen to serve, that a CRD serves, or that the embedded table
    /// has (an API server may have to be told to serve some of these).
    pub versions: Vec<VersionInfo>,
    /// Whether the cluster (or the embedded table) types it; false where only a CRD in Git tells.
    pub served: bool,
    /// What turns one version into another.
    pub conversion: Conversion,
}

/// What turns an object of one version of a kind into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Conversion {
    /// The server's own code, or a webhook: fields may move.
    #[default]
    Code,
    /// Nothing: only `apiVersion` changes (a CRD with the conversion strategy `None`).
    Nothing,
}

/// One served version of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionInfo {
    /// As in `v1`.
    pub version: String,
    /// Whether `status` is a subresource, so that writes to the main resource leave it alone.
    pub status: bool,
    /// Where `/scale` finds the replicas, if there is a `/scale`.
    pub scale: Option<FieldPath>,
}

impl Schemas {
    /// The kind of that name.
    pub fn kind(&self, group: &str, kind: &str) -> Option<&Arc<KindInfo>> {
        Some(&self.groups.get(group)?.kinds.get(kind)?.info)
    }

    /// The kind behind a resource, as in `apps` and `deployments`.
    pub fn kind_of_resource(&self, group: &str, resource: &str) -> Option<&Arc<KindInfo>> {
        Some(&self.groups.get(group)?.resources.get(resource)?.info)
    }

    /// Whether any kind of that group is known.
    pub fn knows_group(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    /// All kinds, in no particular order.
    pub fn kinds(&self) -> impl Iterator<Item = &Arc<KindInfo>> {
        self.groups.values().flat_map(|group| group.kinds.values().map(|entry| &entry.info))
    }

    /// The schema of a kind's version.
    pub fn schema(&self, group: &str, version: &str, kind: &str) -> Option<SchemaRef<'_>> {
        let root = self.root(group, version, kind)?;
        Some(SchemaRef::new(&root.arena, root.ty))
    }

    /// A number that changes when the JSON types of a kind's fields do, in any of its versions.
    pub fn types_digest(&self, group: &str, kind: &str) -> u64 {
        let entry = self.groups.get(group).and_then(|group| group.kinds.get(kind));
        entry.map_or(0, |entry| digest(&entry.roots))
    }

    pub(crate) fn root(&self, group: &str, version: &str, kind: &str) -> Option<&Root> {
        self.groups.get(group)?.kinds.get(kind)?.roots.iter().find(|root| &*root.version == version)
    }

    /// These schemas with others over them.
    pub(crate) fn with(&self, kinds: Vec<(KindInfo, Vec<Root>)>, over: Over) -> Self {
        let mut groups = (*self.groups).clone();
        for (info, roots) in kinds {
            let slot = groups.entry(info.group.as_str().into()).or_default();
            let group = Arc::make_mut(slot);
            let name = info.kind.clone().into_boxed_str();
            let entry = Arc::new(match (over, group.kinds.get(&name)) {
                (Over::Versions, Some(known)) => known.with(info, roots),
                (Over::Versions | Over::Kind, _) => Entry { info: Arc::new(info), roots },
            });
            group.resources.insert(entry.info.resource.as_str().into(), Arc::clone(&entry));
            group.kinds.insert(name, entry);
        }
        Self { groups: Arc::new(groups) }
    }
}

/// What a new schema of a kind replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// The versions that it has; others stay as they were.
    Versions,
    /// The kind as a whole.
    Kind,
}

impl Entry {
    fn with(&self, info: KindInfo, roots: Vec<Root>) -> Self {
        let mut versions = self.info.versions.clone();
        versions.retain(|known| !info.versions.iter().any(|given| given.version == known.version));
        versions.extend(info.versions);
        versions.sort_by(|a, b| by_priority(&a.version, &b.version));
        let mut all = roots;
        for root in &self.roots {
            if !all.iter().any(|given| given.version == root.version) {
                all.push(root.clone());
            }
        }
        let served = info.served || self.info.served;
        Self { info: Arc::new(KindInfo { versions, served, ..info }), roots: all }
    }
}

fn digest(roots: &[Root]) -> u64 {
    let mut digests: Vec<_> = roots.iter().map(|root| (&root.version, root.arena.digest(root.ty))).collect();
    digests.sort_unstable();
    FxBuildHasher.hash_one(digests)
}

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schemas").field("kinds", &self.kinds().count()).finish()
    }
}

/// A schema that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema of {subject}: {what}")]
pub struct SchemaError {
    /// Which definition.
    pub subject: String,
    /// What is wrong with it.
    pub what: String,
}
