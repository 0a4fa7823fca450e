//! What does a write do to what Git declares of its object? Found before any policy is looked at.
//!
//! It never asks who writes. Every changed path restores Git's value, drifts from it, or is not declared; what already
//! differed and is not touched is told apart.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::drift::compare::{self, Difference, Kind, Typing};
use crate::drift::declared::ObjectKey;
use crate::drift::document::{At, Document};
use crate::drift::path::{FieldPath, Segment};
use crate::drift::schema::{Conversion, Schemas};
use crate::gate::aim::{Aim, Reach};
use crate::gate::exempt;
use crate::gate::lookup;
use crate::gate::tables;
use crate::gate::verdict::Class;
use crate::gate::write;

/// What a write does to the fields of a declared object.
#[derive(Debug, Clone, Default)]
pub struct Finding {
    /// Every path that matters, as compared; undeclared changes last.
    pub changes: Vec<Change>,
    /// Owners that the write adds and Git does not declare (seen: the garbage collector deletes the object a second later).
    pub owners: Vec<Change>,
    /// Whether the object is being deleted already.
    pub condemned: bool,
}

/// One path that matters.
#[derive(Debug, Clone)]
pub struct Change {
    /// Where.
    pub path: FieldPath,
    /// What the change is.
    pub class: Class,
    /// Whether that is sure.
    pub certainty: Certainty,
    /// Git's value, as compact JSON.
    pub git: Option<String>,
    /// The value before the write.
    pub before: Option<String>,
    /// The value in the write.
    pub written: Option<String>,
    /// The node of the declaration that says so, for its line.
    pub node: usize,
}

/// How sure a comparison is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// It differs.
    Known,
    /// Only the server can tell whether it does.
    Unknown,
}

impl Change {
    /// Whether it leaves Git's value.
    pub fn is_drift(&self) -> bool {
        match self.class {
            Class::Drifts | Class::Reordered => true,
            Class::Restores | Class::Preexisting | Class::Undeclared => false,
        }
    }
}

/// An object through the eyes of a write: which parts count, and by which schema.
#[derive(Debug, Clone, Copy)]
pub struct View<'v> {
    key: &'v ObjectKey,
    version: &'v str,
    reach: &'v Reach,
    typing: Typing<'v>,
    conversion: Conversion,
}

impl<'v> View<'v> {
    /// The view that a write at `aim`, in the group's `version`, gives of its object.
    pub fn new(aim: &'v Aim, version: &'v str, schemas: &'v Schemas) -> Self {
        let typing = Typing::of(schemas, aim.key.group(), version, aim.key.kind());
        let conversion = schemas.kind(aim.key.group(), aim.key.kind()).map(|info| info.conversion).unwrap_or_default();
        Self { key: &aim.key, version, reach: &aim.reach, typing, conversion }
    }

    /// What a write does to a declaration (compact JSON).
    pub fn finding(&self, declared: &[u8], change: write::Change<'_>) -> Finding {
        let (before, after) = match change {
            write::Change::Create { after } => (None, after),
            write::Change::Update { before, after } => (Some(before), after),
            write::Change::Delete { .. } | write::Change::Connect => return Finding::default(),
        };
        let (before, after) = (before.map(|before| self.seen(before)), self.seen(after));
        let Ok(declared) = Document::parse(declared) else { return Finding::default() };
        let Ok(after) = Document::parse(after.as_bytes()) else { return Finding::unreadable() };
        let before = before.as_ref().and_then(|before| Document::parse(before.as_bytes()).ok());
        let mut changes = match &before {
            None => created(self.differences(&declared, &after)),
            Some(before) => self.updated(&declared, before, &after),
        };
        for change in &mut changes {
            let values = [(&mut change.before, before.as_ref()), (&mut change.written, Some(&after))];
            for (value, document) in values {
                if value.is_none() {
                    *value = document.and_then(|document| lookup::json(document.root(), &change.path));
                }
            }
        }
        let owners = match self.reach {
            Reach::Whole | Reach::Metadata => added_owners(&declared, before.as_ref(), &after),
            Reach::Replicas(_) | Reach::Nothing(_) => Vec::new(),
        };
        changes.retain(|change| !owners.iter().any(|owner| owner.path == change.path));
        Finding { changes, owners, condemned: before.as_ref().is_some_and(is_condemned) }
    }

    /// Whether an object agrees with a declaration (both as JSON); what cannot be read does not.
    pub fn agrees(&self, declared: &[u8], object: &RawValue) -> bool {
        let object = self.seen(object);
        let (Ok(declared), Ok(object)) = (Document::parse(declared), Document::parse(object.as_bytes())) else {
            return false;
        };
        self.differences(&declared, &object).iter().all(|difference| difference.kind == Kind::Unknown)
    }

    /// The object as far as the write shows it: of a Scale the parent with nothing but its replicas.
    fn seen<'r>(&self, object: &'r RawValue) -> Cow<'r, str> {
        match self.reach {
            Reach::Replicas(path) => Cow::Owned(nested(path, replicas(object))),
            Reach::Whole | Reach::Metadata | Reach::Nothing(_) => Cow::Borrowed(object.get()),
        }
    }

    fn updated(&self, declared: &Document<'_>, before: &Document<'_>, after: &Document<'_>) -> Vec<Change> {
        let mut changes = classified(self.differences(declared, before), self.differences(declared, after));
        let same_fields = self.has_fields_of(declared);
        let sure = |path: &FieldPath| {
            if same_fields || is_in_metadata(path) { Certainty::Known } else { Certainty::Unknown }
        };
        let undeclared = compare::undeclared(self.typing, declared, before, after);
        changes.extend(undeclared.into_iter().filter(|change| self.counts(&change.path)).map(|change| Change {
            certainty: sure(&change.path),
            path: change.path,
            class: Class::Undeclared,
            git: None,
            before: change.before,
            written: change.after,
            node: 0,
        }));
        changes
    }

    fn differences(&self, declared: &Document<'_>, object: &Document<'_>) -> Vec<Difference> {
        let mut found = match self.reach {
            Reach::Replicas(path) => self.replicas_differ(path, declared, object),
            Reach::Whole | Reach::Metadata => compare::compare(self.typing, declared, object),
            Reach::Nothing(_) => Vec::new(),
        };
        found.retain(|it| self.reaches(&it.path) && !exempt::is_exempt(self.key, declared, it));
        let same_fields = self.has_fields_of(declared);
        for difference in found.iter_mut().filter(|it| !same_fields && !is_in_metadata(&it.path)) {
            difference.kind = Kind::Unknown;
        }
        found
    }

    fn replicas_differ(&self, path: &FieldPath, declared: &Document<'_>, object: &Document<'_>) -> Vec<Difference> {
        let Some(at) = lookup::at(declared.root(), path) else { return Vec::new() };
        let alone = nested(path, at.to_json());
        let Ok(alone) = Document::parse(alone.as_bytes()) else { return Vec::new() };
        let mut found = compare::compare(self.typing, &alone, object);
        for difference in &mut found {
            difference.node = at.index();
        }
        found
    }

    /// Whether the write can change this path at all.
    fn reaches(&self, path: &FieldPath) -> bool {
        match self.reach {
            Reach::Whole => true,
            Reach::Metadata => is_in_metadata(path),
            Reach::Replicas(replicas) => replicas.covers(path),
            Reach::Nothing(_) => false,
        }
    }

    /// Whether an undeclared change is anybody's.
    fn counts(&self, path: &FieldPath) -> bool {
        self.reaches(path) && !tables::is_nobodys(self.key, path)
    }

    /// Whether paths of the declaration mean the same in the object. Where nothing types the kind, or another version of it was
    /// sent that only code turns into the declared one, only the server can tell; metadata is the same in all.
    fn has_fields_of(&self, declared: &Document<'_>) -> bool {
        let written = declared.root().get("apiVersion").and_then(At::as_str).unwrap_or_default();
        let same = written.rsplit('/').next() == Some(self.version) || self.conversion == Conversion::Nothing;
        same && self.typing.schema.is_some()
    }
}

impl Finding {
    /// An object that cannot be read cannot be let in as if it agreed.
    fn unreadable() -> Self {
        let whole = Difference { path: FieldPath::default(), kind: Kind::Changed, declared: None, live: None, node: 0 };
        Self { changes: created(vec![whole]), ..Self::default() }
    }
}

fn created(differences: Vec<Difference>) -> Vec<Change> {
    differences.into_iter().map(|difference| drifting(difference, None)).collect()
}

/// Tells apart what a write did, by what differed before and what differs after it.
fn classified(before: Vec<Difference>, after: Vec<Difference>) -> Vec<Change> {
    let mut changes = Vec::new();
    for difference in after {
        let earlier = before.iter().find(|earlier| earlier.path == difference.path);
        let untouched = earlier.is_some_and(|it| it.live == difference.live && it.kind == difference.kind);
        match (untouched, difference.kind) {
            (true, Kind::Unknown) => {}
            (true, Kind::Changed | Kind::Missing | Kind::Reordered) => changes.push(Change {
                class: Class::Preexisting,
                before: difference.live.clone(),
                ..drifting(difference, None)
            }),
            (false, Kind::Changed | Kind::Missing | Kind::Reordered | Kind::Unknown) => {
                changes.push(drifting(difference, earlier));
            }
        }
    }
    for earlier in before {
        let related = |change: &Change| change.path.covers(&earlier.path) || earlier.path.covers(&change.path);
        if earlier.kind != Kind::Unknown && !changes.iter().any(related) {
            changes.push(Change {
                path: earlier.path,
                class: Class::Restores,
                certainty: Certainty::Known,
                git: earlier.declared,
                before: earlier.live,
                written: None,
                node: earlier.node,
            });
        }
    }
    changes
}

fn drifting(difference: Difference, earlier: Option<&Difference>) -> Change {
    let (class, certainty) = match difference.kind {
        Kind::Changed | Kind::Missing => (Class::Drifts, Certainty::Known),
        Kind::Reordered => (Class::Reordered, Certainty::Known),
        Kind::Unknown => (Class::Drifts, Certainty::Unknown),
    };
    Change {
        path: difference.path,
        class,
        certainty,
        git: difference.declared,
        before: earlier.and_then(|earlier| earlier.live.clone()),
        written: difference.live,
        node: difference.node,
    }
}

/// Owners in `after` that neither stood before nor are declared. An owner is known by its uid.
fn added_owners(declared: &Document<'_>, before: Option<&Document<'_>>, after: &Document<'_>) -> Vec<Change> {
    let known: Vec<At<'_, '_>> = owners(Some(declared)).chain(owners(before)).collect();
    let uid = |owner: At<'_, '_>| owner.get("uid").and_then(At::as_str).map(str::to_owned);
    let known: Vec<Option<String>> = known.into_iter().map(uid).collect();
    let added = owners(Some(after)).enumerate().filter(|(_, owner)| !known.contains(&uid(*owner)));
    added
        .map(|(position, owner)| {
            let mut path = FieldPath::of(["metadata", "ownerReferences"]);
            path.0.push(match owner.get("uid").and_then(At::as_str) {
                Some(uid) => Segment::Key(vec![("uid".into(), crate::drift::path::Scalar::String(uid.into()))]),
                None => Segment::Index(position),
            });
            Change {
                path,
                class: Class::Undeclared,
                certainty: Certainty::Known,
                git: None,
                before: None,
                written: Some(owner.to_json()),
                node: 0,
            }
        })
        .collect()
}

fn owners<'d, 'j: 'd>(document: Option<&'d Document<'j>>) -> impl Iterator<Item = At<'d, 'j>> {
    let owners = document.and_then(|document| document.root().get("metadata")?.get("ownerReferences"));
    owners.into_iter().flat_map(At::children)
}

fn is_condemned(object: &Document<'_>) -> bool {
    object.root().get("metadata").and_then(|metadata| metadata.get("deletionTimestamp")).is_some_and(|at| !at.is_null())
}

fn is_in_metadata(path: &FieldPath) -> bool {
    begins_with(path, "metadata")
}

fn begins_with(path: &FieldPath, name: &str) -> bool {
    matches!(path.0.first(), Some(Segment::Field(field)) if **field == *name)
}

/// `{"spec":{"replicas":5}}` for `spec.replicas` and `5`; a path to replicas has members only.
fn nested(path: &FieldPath, value: String) -> String {
    path.0.iter().rev().fold(value, |inner, segment| match segment {
        Segment::Field(name) => format!("{{{}:{inner}}}", serde_json::Value::from(&**name)),
        Segment::Key(_) | Segment::Item(_) | Segment::Index(_) => inner,
    })
}

/// What a Scale asks for. The API server leaves zero out (`replicas,omitempty`).
fn replicas(scale: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Scale<'s> {
        #[serde(borrow)]
        spec: Option<Spec<'s>>,
    }
    #[derive(Deserialize)]
    struct Spec<'s> {
        #[serde(borrow)]
        replicas: Option<&'s RawValue>,
    }
    let scale: Option<Scale<'_>> = serde_json::from_str(scale.get()).ok();
    let replicas = scale.and_then(|scale| scale.spec?.replicas);
    replicas.map_or_else(|| "0".to_owned(), |replicas| replicas.get().to_owned())
}
