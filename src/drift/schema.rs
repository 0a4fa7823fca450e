//! How do the parts of a kind merge, and what does the server make of them?
//!
//! A targeted schema (scalar, list, map) instead of OpenAPI. Three layers, the later over the earlier: the embedded table of
//! the built-in kinds, the API server's own OpenAPI v3, CRDs declared in Git.

use std::sync::Arc;

use crate::drift::path::FieldPath;

/// All that is known of kinds and their schemas. Cheap to clone; part of the basis, so that a verdict can be repeated.
#[derive(Debug, Clone, Default)]
pub struct Schemas {
    kinds: Arc<Vec<Arc<KindInfo>>>,
}

/// What is known of one kind.
#[derive(Debug, Clone)]
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
}

/// One served version of a kind.
#[derive(Debug, Clone)]
pub struct VersionInfo {
    /// As in `v1`.
    pub version: String,
    /// Whether `status` is a subresource, so that writes to the main resource leave it alone.
    pub status: bool,
    /// Where `/scale` finds the replicas, if there is a `/scale`.
    pub scale: Option<FieldPath>,
}

/// A schema in [`Schemas`]; what [`compare`](crate::drift::compare::compare) walks.
#[derive(Debug, Clone, Copy)]
pub struct SchemaRef<'s> {
    schemas: &'s Schemas,
    ty: u32,
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
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone, Copy)]
pub struct MapRef<'s> {
    schemas: &'s Schemas,
    ty: u32,
}

/// One member of an object, as its schema has it.
#[derive(Debug, Clone, Copy)]
pub struct MemberRef<'s> {
    /// What it is.
    pub schema: SchemaRef<'s>,
    /// Whether its zero value is the same as its absence.
    pub zero: Zero,
    /// What the server puts where it is absent, as compact JSON.
    pub default: Option<&'s str>,
    /// Whether `null` is a value of its own (`nullable: true` of a CRD).
    pub nullable: bool,
}

/// Whether a member's zero value (`false`, `0`, `""`, `{}`, `[]`) is the same as its absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Zero {
    /// It is: the server drops it (a Go value with `omitempty`), then fills a default, if there is one.
    Absent,
    /// It is a value (a Go pointer, or a CRD's member).
    Value,
    /// The server writes it where it is absent (a Go value without `omitempty`).
    Written,
    /// Not known: only the server can tell.
    Unknown,
}

impl<'s> MapRef<'s> {
    /// Whether it merges as one value.
    pub fn atomic(self) -> bool {
        todo!()
    }

    /// The member of that name: its own schema, else that of any member; `None` where the schema has no such member.
    pub fn member(self, name: &str) -> Option<MemberRef<'s>> {
        let _ = name;
        todo!()
    }

    /// Whether members without a schema are kept (`x-kubernetes-preserve-unknown-fields`); else the server drops them.
    pub fn open(self) -> bool {
        todo!()
    }

    /// Members that the server fills in where they are absent, with their defaults.
    pub fn defaults(self) -> impl Iterator<Item = (&'s str, MemberRef<'s>)> {
        let _ = (self.schemas, self.ty);
        std::iter::empty()
    }
}

impl<'s> SchemaRef<'s> {
    /// How a value of this schema merges.
    pub fn shape(self) -> Shape<'s> {
        let _ = (self.schemas, self.ty);
        todo!()
    }
}

impl Schemas {
    /// The embedded table of the built-in kinds.
    pub fn builtin() -> Self {
        todo!()
    }

    /// These schemas with those of one group-version of the API server's OpenAPI v3 (`/openapi/v3/apis/<group>/<version>`).
    pub fn with_openapi(&self, openapi: &serde_json::Value) -> Result<Self, SchemaError> {
        let _ = openapi;
        todo!()
    }

    /// These schemas with those of a CustomResourceDefinition (a manifest of apiextensions.k8s.io/v1).
    pub fn with_crd(&self, crd: &serde_json::Value) -> Result<Self, SchemaError> {
        let _ = crd;
        todo!()
    }

    /// The kind of that name.
    pub fn kind(&self, group: &str, kind: &str) -> Option<&Arc<KindInfo>> {
        self.kinds.iter().find(|info| info.group == group && info.kind == kind)
    }

    /// The kind behind a resource, as in `apps` and `deployments`.
    pub fn kind_of_resource(&self, group: &str, resource: &str) -> Option<&Arc<KindInfo>> {
        self.kinds.iter().find(|info| info.group == group && info.resource == resource)
    }

    /// All kinds.
    pub fn kinds(&self) -> impl Iterator<Item = &Arc<KindInfo>> {
        self.kinds.iter()
    }

    /// The schema of a kind's version.
    pub fn schema(&self, group: &str, version: &str, kind: &str) -> Option<SchemaRef<'_>> {
        let _ = (group, version, kind);
        todo!()
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
