//! How does a value merge, and what does the server make of it?
//!
//! A targeted schema (scalar, list, map) instead of OpenAPI.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::drift::arena::{Arena, ListRelation, MapType, Member, MemberDefault, Type, TypeId};

/// A schema in [`Schemas`](crate::drift::schema::Schemas); what [`compare`](crate::drift::compare::compare) walks.
#[derive(Clone, Copy)]
pub struct SchemaRef<'s> {
    arena: &'s Arena,
    ty: TypeId,
    /// Whether it is of an object that is being written, so that it has what its version fills in.
    written: bool,
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
    /// A string: the same text.
    String,
    /// A whole number: the same, however it is written.
    Integer,
    /// Any number: the same, however it is written.
    Number,
    /// A boolean.
    Boolean,
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
    written: bool,
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
    /// This value, as compact JSON, in whatever is written in this version; what another version wrote may lack it.
    Filled(&'s str),
    /// Perhaps something: it depends on other values, or the server finds it by other means than the schema (an allocated
    /// address, an admission plugin). Only the server can tell; nothing has to be asked where the object lacks it, too.
    Depends,
    /// What stood there before: no update changes it, whatever it says, so that it never differs.
    Kept,
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
        self.named(name).or_else(|| self.any())
    }

    /// The member of that name, where the schema names it.
    pub fn named(self, name: &str) -> Option<MemberRef<'s>> {
        self.map.named(name).map(|member| self.refer(member))
    }

    /// What a member is that the schema does not name, where it has such.
    pub fn any(self) -> Option<MemberRef<'s>> {
        self.map.any.as_ref().map(|member| self.refer(member))
    }

    /// Whether members without a schema are kept (`x-kubernetes-preserve-unknown-fields`); else the server drops them.
    pub fn open(self) -> bool {
        self.map.open
    }

    /// All members that the schema names, by name.
    pub fn members(self) -> impl Iterator<Item = (&'s str, MemberRef<'s>)> {
        self.map.members().map(move |(name, member)| (name, self.refer(member)))
    }

    fn refer(self, member: &'s Member) -> MemberRef<'s> {
        MemberRef {
            schema: SchemaRef { arena: self.arena, ty: member.ty, written: self.written },
            zero: member.zero,
            default: match &member.default {
                MemberDefault::None => Default::None,
                MemberDefault::Value(json) => Default::Value(json),
                MemberDefault::Filled(json) if self.written => Default::Value(json),
                MemberDefault::Filled(json) => Default::Filled(json),
                MemberDefault::Depends => Default::Depends,
                MemberDefault::Kept => Default::Kept,
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
    pub(crate) fn new(arena: &'s Arena, ty: TypeId) -> Self {
        Self { arena, ty, written: false }
    }

    /// The same of an object that is being written: it has what its version fills in.
    pub(crate) fn written(self) -> Self {
        Self { written: true, ..self }
    }

    /// Whether it is a custom resource's, whose values stay as they are written: an item may be null, and is no zero then.
    pub fn is_custom(self) -> bool {
        self.arena.is_custom()
    }

    /// Whether it is of a kind of which what is stored may lack what a version fills in.
    pub(crate) fn is_varied(self) -> bool {
        self.arena.is_varied() && !self.written
    }

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
                item: SchemaRef { ty: *item, ..self },
            },
            Type::Map(map) => Shape::Map(MapRef { arena: self.arena, map, written: self.written }),
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

/// Ways through a schema, for tests.
#[cfg(test)]
pub(crate) mod walk {
    use crate::drift::shape::{MapRef, MemberRef, Relation, SchemaRef, Shape};

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
