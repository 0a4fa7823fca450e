//! How do the parts of a kind merge, and what does the server make of them?
//!
//! A targeted schema (scalar, list, map) instead of OpenAPI. Three layers, the later over the earlier: the embedded table of
//! the built-in kinds, the API server's own OpenAPI v3, CRDs declared in Git. Nothing here is asked of a server.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::drift::arena::{Arena, ListRelation, MapType, Member, MemberDefault, Type, TypeId};
use crate::drift::path::FieldPath;
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
    /// Served versions, the preferred first.
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

/// A schema in [`Schemas`]; what [`compare`](crate::drift::compare::compare) walks.
#[derive(Clone, Copy)]
pub struct SchemaRef<'s> {
    arena: &'s Arena,
    ty: TypeId,
}

/// How a value merges.
#[derive(Debug, Clone, Copy)]
pub enum Shape<'s> {
    /// One value.
    Scalar(Meaning),
    /// A list.
    List {
        /// How its items are told apart.
        relation: Relation<'s>,
        /// What an item is.
        item: SchemaRef<'s>,
    },
    /// An object: members with a schema of their own, or any member with the same.
    Map(MapRef<'s>),
    /// Nothing is known: maps are granular, lists atomic, scalars by their JSON value (structured-merge-diff's deduced type).
    Deduced,
}

/// How the items of a list are told apart.
#[derive(Debug, Clone, Copy)]
pub enum Relation<'s> {
    /// One value as a whole.
    Atomic,
    /// Items are their own identity.
    Set,
    /// These members of an item are its identity; each with the default that stands in where it is missing.
    Keyed(&'s [ListKey]),
}

/// One key of a keyed list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListKey {
    /// The member's name.
    pub name: Box<str>,
    /// What stands in where it is missing, as compact JSON.
    pub default: Option<Box<str>>,
}

/// When two scalars mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// The same JSON value; numbers numerically.
    Plain,
    /// A Kubernetes quantity of a built-in kind: the server writes it anew.
    Quantity,
    /// A number or a string; the two differ (`80` is not `"80"`).
    IntOrString,
    /// An instant, to the second.
    Time,
    /// An instant, to the microsecond.
    MicroTime,
    /// A Go duration, of a CRD that says so by its format.
    Duration,
    /// A quantity of a CRD, stored as written: equal by meaning (the closed table of exceptions).
    CustomQuantity,
    /// A date-time of a CRD, stored as written: equal by meaning (the closed table of exceptions).
    CustomTime,
    /// Base64 bytes; whitespace does not count.
    Bytes,
}

/// An object's schema.
#[derive(Clone, Copy)]
pub struct MapRef<'s> {
    arena: &'s Arena,
    map: &'s MapType,
}

/// One member of an object, as its schema has it.
#[derive(Debug, Clone, Copy)]
pub struct MemberRef<'s> {
    /// What it is.
    pub schema: SchemaRef<'s>,
    /// Whether its zero value is the same as its absence.
    pub zero: Zero,
    /// What the server puts where it is absent.
    pub default: Default<'s>,
    /// Whether `null` is a value of its own (`nullable: true` of a CRD).
    pub nullable: bool,
}

/// What the server puts where a member is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default<'s> {
    /// Nothing.
    None,
    /// Always this value, as compact JSON.
    Value(&'s str),
    /// Perhaps something: it depends on other values, or the server finds it by other means than the schema (an allocated
    /// address, an admission plugin). Only the server can tell; nothing has to be asked where the object lacks it, too.
    Depends,
}

/// Whether a member's zero value (`false`, `0`, `""`, `{}`, `[]`) is the same as its absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Zero {
    /// It is: the server drops it (a Go value with `omitempty`), then fills a default, if there is one.
    Absent,
    /// It is a value (a Go pointer, or a CRD's member).
    Value,
    /// It is, and the server writes it where it is absent (a Go value without `omitempty`; a struct even with it). A struct's
    /// own members get their defaults in it, so that it has no default of its own.
    Written,
    /// Not known: only the server can tell.
    Unknown,
}

impl<'s> MapRef<'s> {
    /// Whether it merges as one value.
    pub fn atomic(self) -> bool {
        self.map.atomic
    }

    /// The member of that name: its own schema, else that of any member; `None` where the schema has no such member, so that
    /// the server drops it. An open map has every member (of a deduced schema where it is not named).
    pub fn member(self, name: &str) -> Option<MemberRef<'s>> {
        let member = self.map.named(name).or(self.map.any.as_ref())?;
        Some(self.refer(member))
    }

    /// Whether the schema names that member; else it is one of any.
    pub fn names(self, name: &str) -> bool {
        self.map.named(name).is_some()
    }

    /// Whether members without a schema are kept (`x-kubernetes-preserve-unknown-fields`); else the server drops them.
    pub fn open(self) -> bool {
        self.map.open
    }

    /// Members that the server fills, or may fill, in where they are absent, by name.
    pub fn defaults(self) -> impl Iterator<Item = (&'s str, MemberRef<'s>)> {
        self.members().filter(|(_, member)| member.default != Default::None)
    }

    /// All members that the schema names, by name.
    pub fn members(self) -> impl Iterator<Item = (&'s str, MemberRef<'s>)> {
        self.map.members().map(move |(name, member)| (name, self.refer(member)))
    }

    fn refer(self, member: &'s Member) -> MemberRef<'s> {
        MemberRef {
            schema: SchemaRef { arena: self.arena, ty: member.ty },
            zero: member.zero,
            default: match &member.default {
                MemberDefault::None => Default::None,
                MemberDefault::Value(json) => Default::Value(json),
                MemberDefault::Depends => Default::Depends,
            },
            nullable: member.nullable,
        }
    }
}

impl fmt::Debug for MapRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapRef")
            .field("atomic", &self.map.atomic)
            .field("open", &self.map.open)
            .field("members", &self.map.members().map(|(name, _)| name).collect::<Vec<_>>())
            .field("any", &self.map.any.is_some())
            .finish()
    }
}

impl<'s> SchemaRef<'s> {
    /// How a value of this schema merges.
    pub fn shape(self) -> Shape<'s> {
        match self.arena.get(self.ty) {
            Type::Scalar(meaning) => Shape::Scalar(*meaning),
            Type::List { relation, item } => Shape::List {
                relation: match relation {
                    ListRelation::Atomic => Relation::Atomic,
                    ListRelation::Set => Relation::Set,
                    ListRelation::Keyed(keys) => Relation::Keyed(keys),
                },
                item: SchemaRef { arena: self.arena, ty: *item },
            },
            Type::Map(map) => Shape::Map(MapRef { arena: self.arena, map }),
            Type::Deduced => Shape::Deduced,
        }
    }
}

/// Two references are equal where they name the same type; equal types elsewhere are others.
impl PartialEq for SchemaRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.arena, other.arena) && self.ty == other.ty
    }
}

impl Eq for SchemaRef<'_> {}

impl Hash for SchemaRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self.arena).hash(state);
        self.ty.hash(state);
    }
}

impl fmt::Debug for SchemaRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = match self.arena.get(self.ty) {
            Type::Scalar(meaning) => return write!(f, "SchemaRef({}: {meaning:?})", self.ty.0),
            Type::List { .. } => "list",
            Type::Map(_) => "map",
            Type::Deduced => "deduced",
        };
        write!(f, "SchemaRef({}: {shape})", self.ty.0)
    }
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
        Some(SchemaRef { arena: &root.arena, ty: root.ty })
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

/// Ways through a schema, for tests.
#[cfg(test)]
pub(crate) mod walk {
    use crate::drift::schema::{MapRef, MemberRef, Relation, SchemaRef, Shape};

    pub(crate) fn map(schema: SchemaRef<'_>) -> MapRef<'_> {
        match schema.shape() {
            Shape::Map(map) => map,
            other => panic!("{other:?} is no map"),
        }
    }

    /// The member at a dotted path; lists are stepped into.
    pub(crate) fn at<'s>(schema: SchemaRef<'s>, path: &str) -> MemberRef<'s> {
        let mut steps = path.split('.');
        let mut member = map(schema).member(steps.next().unwrap()).unwrap();
        for step in steps {
            let inner = match member.schema.shape() {
                Shape::List { item, .. } => item,
                _ => member.schema,
            };
            member = map(inner).member(step).unwrap_or_else(|| panic!("no {step} in {path}"));
        }
        member
    }

    /// The keys of a list, each as `name` or `name=default`.
    pub(crate) fn keys(member: MemberRef<'_>) -> Vec<String> {
        let Shape::List { relation: Relation::Keyed(keys), .. } = member.schema.shape() else {
            panic!("{:?} has no keys", member.schema.shape());
        };
        let key = |name: &str, default: Option<&str>| match default {
            Some(json) => format!("{name}={json}"),
            None => name.to_owned(),
        };
        keys.iter().map(|own| key(&own.name, own.default.as_deref())).collect()
    }
}
