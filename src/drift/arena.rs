//! How are schemas held? An arena of types that name each other by number, so that a recursive schema is finite.
//!
//! It knows nothing of where a schema comes from; [`builtin`](crate::drift::builtin), [`openapi`](crate::drift::openapi) and
//! [`crd`](crate::drift::crd) fill it.

use rustc_hash::FxHashMap;

use crate::drift::shape::{ListKey, Meaning, Zero};

/// A type's number in its arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TypeId(pub(crate) u32);

/// One type.
#[derive(Debug, Clone)]
pub(crate) enum Type {
    Scalar(Meaning),
    List { relation: ListRelation, item: TypeId },
    Map(MapType),
    Deduced,
}

/// How the items of a list are told apart; owned form of [`Relation`](crate::drift::shape::Relation).
#[derive(Debug, Clone)]
pub(crate) enum ListRelation {
    Atomic,
    Set,
    Keyed(Box<[ListKey]>),
}

/// An object's type.
#[derive(Debug, Clone)]
pub(crate) struct MapType {
    pub(crate) atomic: bool,
    /// Whether members without a schema are kept.
    pub(crate) open: bool,
    /// Sorted by name.
    members: Box<[(Box<str>, Member)]>,
    /// What a member is that is not named.
    pub(crate) any: Option<Member>,
}

/// A member of an object.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) ty: TypeId,
    pub(crate) zero: Zero,
    pub(crate) default: MemberDefault,
    pub(crate) nullable: bool,
}

/// Owned form of [`Default`](crate::drift::shape::Default).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MemberDefault {
    None,
    Value(Box<str>),
    Depends,
}

impl Member {
    /// The member as any member of a Go map: there, a null is its type's zero value, which is kept. Raw JSON has no such type.
    pub(crate) fn of_go_map(self) -> Self {
        let zero = if self.ty == Arena::DEDUCED { self.zero } else { Zero::Written };
        Self { zero, ..self }
    }
}

impl MapType {
    pub(crate) fn new(mut members: Vec<(Box<str>, Member)>, atomic: bool, open: bool, any: Option<Member>) -> Self {
        members.sort_by(|a, b| a.0.cmp(&b.0));
        Self { atomic, open, members: members.into(), any }
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Member> {
        let at = self.members.binary_search_by(|(own, _)| (**own).cmp(name)).ok()?;
        Some(&self.members[at].1)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.members.iter().map(|(name, member)| (&**name, member))
    }
}

/// The types of one source of schemas.
#[derive(Debug)]
pub(crate) struct Arena {
    types: Vec<Type>,
    /// OpenAPI definitions by name.
    definitions: FxHashMap<Box<str>, TypeId>,
}

impl Arena {
    /// The type of what no schema knows; the same number in every arena.
    pub(crate) const DEDUCED: TypeId = TypeId(0);

    pub(crate) fn new() -> Self {
        Self { types: vec![Type::Deduced], definitions: FxHashMap::default() }
    }

    /// Adds a type.
    pub(crate) fn add(&mut self, ty: Type) -> TypeId {
        let id = TypeId(u32::try_from(self.types.len()).expect("limits keep arenas far below four billion types"));
        self.types.push(ty);
        id
    }

    /// Keeps a number for a type that refers to itself; [`set`](Self::set) gives it its type.
    pub(crate) fn reserve(&mut self) -> TypeId {
        self.add(Type::Deduced)
    }

    pub(crate) fn set(&mut self, id: TypeId, ty: Type) {
        self.types[id.0 as usize] = ty;
    }

    /// The type of that number; deduced where the arena has no such number.
    pub(crate) fn get(&self, id: TypeId) -> &Type {
        self.types.get(id.0 as usize).unwrap_or(&Type::Deduced)
    }

    /// Copies a type, and all that it names, from another arena. Only for arenas of our own making: it is recursive.
    pub(crate) fn graft(&mut self, from: &Arena, id: TypeId) -> TypeId {
        self.graft_once(from, id, &mut FxHashMap::default())
    }

    fn graft_once(&mut self, from: &Arena, id: TypeId, done: &mut FxHashMap<TypeId, TypeId>) -> TypeId {
        if id == Self::DEDUCED {
            return id;
        }
        if let Some(known) = done.get(&id) {
            return *known;
        }
        let own = self.reserve();
        done.insert(id, own);
        let mut ty = from.get(id).clone();
        match &mut ty {
            Type::Scalar(_) | Type::Deduced => {}
            Type::List { item, .. } => *item = self.graft_once(from, *item, done),
            Type::Map(map) => {
                for member in map.members.iter_mut().map(|(_, member)| member).chain(&mut map.any) {
                    member.ty = self.graft_once(from, member.ty, done);
                }
            }
        }
        self.set(own, ty);
        own
    }

    pub(crate) fn len(&self) -> usize {
        self.types.len()
    }

    pub(crate) fn define(&mut self, name: &str, id: TypeId) {
        self.definitions.entry(name.into()).or_insert(id);
    }

    pub(crate) fn definition(&self, name: &str) -> Option<TypeId> {
        self.definitions.get(name).copied()
    }
}
