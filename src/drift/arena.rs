//! How are schemas held? An arena of types that name each other by number, so that a recursive schema is finite.
//!
//! It knows nothing of where a schema comes from; [`builtin`](crate::drift::builtin), [`openapi`](crate::drift::openapi) and
//! [`crd`](crate::drift::crd) fill it.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHashMap};

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
    /// Where each name stands in `members`, sorted by the name's hash: a search compares numbers that lie together, and one
    /// name at its end.
    places: Box<[(u32, u32)]>,
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
    Filled(Box<str>),
    Depends,
    /// What stood there before: no update changes it.
    Kept,
}

impl Member {
    /// The member as any member of a Go map: there, a null is its type's zero value, which is kept. Raw JSON has no such type.
    pub(crate) fn of_go_map(self) -> Self {
        let zero = if self.ty == Arena::DEDUCED { self.zero } else { Zero::Written };
        Self { zero, ..self }
    }
}

impl Type {
    /// The digest, where those of the types that it names are known one step less deep.
    fn digest(&self, known: &[u64]) -> u64 {
        let of = |member: &Member| known.get(member.ty.0 as usize).copied().unwrap_or_default();
        match self {
            Type::Deduced => 0,
            Type::Scalar(meaning) => FxBuildHasher.hash_one((1, meaning)),
            Type::List { item, .. } => FxBuildHasher.hash_one((2, known.get(item.0 as usize))),
            Type::Map(map) => {
                let named =
                    |(name, place): &(u32, u32)| (*name, map.members.get(*place as usize).map(|(_, it)| of(it)));
                let members = map.places.iter().map(named).collect::<Vec<_>>();
                FxBuildHasher.hash_one((3, map.atomic, map.any.as_ref().map(of), members))
            }
        }
    }
}

impl MapType {
    pub(crate) fn new(mut members: Vec<(Box<str>, Member)>, atomic: bool, open: bool, any: Option<Member>) -> Self {
        members.sort_by(|a, b| a.0.cmp(&b.0));
        let mut places: Vec<_> = (0_u32..).zip(&members).map(|(place, (name, _))| (hashed(name), place)).collect();
        places.sort_unstable();
        Self { atomic, open, members: members.into(), places: places.into(), any }
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Member> {
        let hash = hashed(name);
        let first = self.places.partition_point(|(own, _)| *own < hash);
        let places = self.places[first..].iter().take_while(|(own, _)| *own == hash);
        let mut candidates = places.filter_map(|(_, place)| self.members.get(*place as usize));
        candidates.find(|(own, _)| **own == *name).map(|(_, member)| member)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.members.iter().map(|(name, member)| (&**name, member))
    }
}

/// The high half of the name's hash: FxHash leaves the low one weak.
fn hashed(name: &str) -> u32 {
    u32::try_from(FxBuildHasher.hash_one(name) >> 32).expect("half of 64 bits fit 32")
}

/// The types of one source of schemas.
#[derive(Debug)]
pub(crate) struct Arena {
    types: Vec<Type>,
    /// OpenAPI definitions by name.
    definitions: FxHashMap<Box<str>, TypeId>,
    /// By type; see [`digest`](Self::digest).
    digests: Vec<u64>,
    /// Whether these are a custom resource's, whose values stay as they are written.
    custom: bool,
    /// Whether what is stored may lack what a version fills in.
    varied: bool,
}

/// How deep types are told apart by their digest: twice the depth of a Deployment. A recursive type is told apart so, too.
const DIGEST_DEPTH: usize = 24;

impl Arena {
    /// The type of what no schema knows; the same number in every arena.
    pub(crate) const DEDUCED: TypeId = TypeId(0);

    pub(crate) fn new() -> Self {
        Self {
            types: vec![Type::Deduced],
            definitions: FxHashMap::default(),
            digests: Vec::new(),
            custom: false,
            varied: false,
        }
    }

    /// Says that these are a custom resource's types.
    pub(crate) fn be_custom(&mut self) {
        self.custom = true;
    }

    /// Says that what is stored may lack what a version fills in.
    pub(crate) fn be_varied(&mut self) {
        self.varied = true;
    }

    /// Whether what is stored may lack what a version fills in.
    pub(crate) fn is_varied(&self) -> bool {
        self.varied
    }

    /// Whether these are a custom resource's types.
    pub(crate) fn is_custom(&self) -> bool {
        self.custom
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

    /// The arena, now that all its types are there.
    pub(crate) fn finished(mut self) -> Arc<Self> {
        self.digests = vec![0; self.types.len()];
        for _ in 0..DIGEST_DEPTH {
            self.digests = self.types.iter().map(|ty| ty.digest(&self.digests)).collect();
        }
        Arc::new(self)
    }

    /// A number that differs where the JSON types of a type differ, or those of what it names down to [`DIGEST_DEPTH`]; the
    /// same in every arena that holds the same types.
    pub(crate) fn digest(&self, id: TypeId) -> u64 {
        self.digests.get(id.0 as usize).copied().unwrap_or_default()
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
