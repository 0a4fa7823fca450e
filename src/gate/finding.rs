//! What does a write do to what Git declares of its object? Found before any policy is looked at.
//!
//! It never asks who writes. Every changed path restores Git's value, drifts from it, or is not declared; what already
//! differed and is not touched is told apart.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rustc_hash::FxHashSet;
use serde_json::value::RawValue;

use crate::drift::compare::{self, Difference, Kind, Typing};
use crate::drift::declared::ObjectKey;
use crate::drift::document::{At, Document};
use crate::drift::form::{Form, Stage, touches};
use crate::drift::lookup::Lookup;
use crate::drift::mask::Mask;
use crate::drift::path::{FieldPath, Segment};
use crate::drift::schema::{Conversion, Schemas};
use crate::drift::version::is_same_in_all;
use crate::gate::aim::{Aim, Reach};
use crate::gate::classes::{classified, created};
use crate::gate::exempt;
use crate::gate::facts::Forms;
use crate::gate::owners;
use crate::gate::scale::{nested, replicas};
use crate::gate::sides::{Sides, Texts};
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
    schemas: &'v Schemas,
    forms: Option<&'v Forms>,
}

impl<'v> View<'v> {
    /// The view that a write at `aim`, in the group's `version`, gives of its object.
    pub fn new(aim: &'v Aim, version: &'v str, schemas: &'v Schemas) -> Self {
        let typing = Typing::of(schemas, aim.key.group(), version, aim.key.kind());
        Self { key: &aim.key, version, reach: &aim.reach, typing, schemas, forms: None }
    }

    /// The same with these server forms at hand.
    #[must_use]
    pub fn with_forms(self, forms: &'v Forms) -> Self {
        Self { forms: Some(forms), ..self }
    }

    /// The same without what is left out of the declaration.
    #[must_use]
    pub fn without(self, mask: &'v Mask<'v>) -> Self {
        Self { typing: self.typing.without(mask), ..self }
    }

    /// What a write does to a declaration (compact JSON), every value of it looked up.
    pub fn finding(&self, declared: &[u8], change: write::Change<'_>) -> Finding {
        let texts = self.texts(change);
        let sides = texts.read();
        let mut finding = self.finding_of(declared, &sides);
        sides.complete(&mut finding.changes);
        finding
    }

    /// What a write shows of its object, before and after it.
    pub fn texts<'r>(&self, change: write::Change<'r>) -> Texts<'r> {
        match change {
            write::Change::Create { after } => Texts { before: None, after: Some(self.seen(after)) },
            write::Change::Update { before, after } => {
                Texts { before: Some(self.seen(before)), after: Some(self.seen(after)) }
            }
            write::Change::Delete { .. } | write::Change::Connect => Texts { before: None, after: None },
        }
    }

    /// What a write does to a declaration (compact JSON). Only values that differ stand in it: [`Sides::complete`] adds the
    /// others to the changes that are to be shown.
    pub fn finding_of(&self, declared: &[u8], sides: &Sides<'_>) -> Finding {
        let form = self.form_of(declared);
        let Ok(declared) = Document::parse(declared) else { return Finding::default() };
        let (before, after) = match sides {
            Sides::None => return Finding::default(),
            Sides::Unreadable => return Finding::unreadable(),
            Sides::Some { before, after } => (before.as_ref(), after),
        };
        let mut changes = self.moved(&declared, form, before, after);
        changes.extend(self.undeclared(&declared, form, before, after));
        let owners = match self.reach {
            Reach::Whole | Reach::Metadata => {
                let mut added = owners::added(&declared, before, after);
                added.retain(|owner| self.typing.mask.is_none_or(|mask| !mask.covers(&owner.path)));
                added
            }
            Reach::Replicas(_) | Reach::Nothing(_) => Vec::new(),
        };
        let added: FxHashSet<&FieldPath> = owners.iter().map(|owner| &owner.path).collect();
        changes.retain(|change| !added.contains(&change.path));
        Finding { changes, owners, condemned: before.is_some_and(is_condemned) }
    }

    /// What a write does to the declared paths alone; `None` where one side or the declaration cannot be read.
    pub fn moves(&self, declared: &[u8], sides: &Sides<'_>) -> Option<Vec<Change>> {
        let Sides::Some { before, after } = sides else { return None };
        let form = self.form_of(declared);
        let declared = Document::parse(declared).ok()?;
        Some(self.moved(&declared, form, before.as_ref(), after))
    }

    /// What differs in an object that is stored, by a declaration (`read` of it). Values that agree are not looked up.
    pub(crate) fn stored(&self, declared: &[u8], read: &Document<'_>, object: &Document<'_>) -> Vec<Change> {
        created(self.differences(read, self.form_of(declared), object, Stage::Stored))
    }

    /// Where a declaration and an object differ, whoever may have them differ.
    pub(crate) fn apart(&self, declared: &Document<'_>, object: &Document<'_>) -> Vec<FieldPath> {
        compare::compare(self.typing, declared, object).into_iter().map(|difference| difference.path).collect()
    }

    /// Whether an object agrees with a declaration (both as JSON); what cannot be read does not.
    pub fn agrees(&self, declared: &[u8], object: &RawValue) -> bool {
        let (form, object) = (self.form_of(declared), self.seen(object));
        let (Ok(declared), Ok(object)) = (Document::parse(declared), Document::parse(object.as_bytes())) else {
            return false;
        };
        self.differences(&declared, form, &object, Stage::Stored)
            .iter()
            .all(|difference| difference.kind == Kind::Unknown)
    }

    /// The object as far as the write shows it: of a Scale the parent with nothing but its replicas.
    fn seen<'r>(&self, object: &'r RawValue) -> Cow<'r, str> {
        match self.reach {
            Reach::Replicas(path) => Cow::Owned(nested(path, replicas(object))),
            Reach::Whole | Reach::Metadata | Reach::Nothing(_) => Cow::Borrowed(object.get()),
        }
    }

    fn moved(
        &self,
        declared: &Document<'_>,
        form: Option<&Form>,
        before: Option<&Document<'_>>,
        after: &Document<'_>,
    ) -> Vec<Change> {
        match before {
            None => created(self.differences(declared, form, after, Stage::New)),
            Some(before) => {
                let before = self.differences(declared, form, before, Stage::Stored);
                classified(&before, self.differences(declared, form, after, Stage::Written))
            }
        }
    }

    /// What changes outside of what is declared. Of a new object that is what it has beyond the server form, and nothing where
    /// that is not known; to what the server makes of the declaration anyway, nobody changes anything.
    fn undeclared(
        &self,
        declared: &Document<'_>,
        form: Option<&Form>,
        before: Option<&Document<'_>>,
        after: &Document<'_>,
    ) -> Vec<Change> {
        let form = form.filter(|_| self.is_in_version_of(declared));
        let beyond = form.and_then(|form| form.beyond(self.typing, declared, after));
        let found = match (before, beyond) {
            (Some(before), beyond) => {
                let mut found = compare::undeclared(self.typing, declared, before, after);
                if let Some(beyond) = beyond.filter(|_| !found.is_empty()) {
                    let beyond: BTreeSet<FieldPath> = beyond.into_iter().map(|beyond| beyond.path).collect();
                    found.retain(|change| change.after.is_none() || touches(&beyond, &change.path));
                }
                found
            }
            (None, Some(beyond)) => {
                let added = beyond.into_iter().filter(|beyond| beyond.after.is_some());
                added.map(|added| compare::Undeclared { before: None, kind: Kind::Changed, ..added }).collect()
            }
            (None, None) => Vec::new(),
        };
        let same_fields = self.has_fields_of(declared);
        let certainty = |change: &compare::Undeclared| {
            let known = change.kind != Kind::Unknown && (same_fields || is_same_in_all(self.key, &change.path));
            if known { Certainty::Known } else { Certainty::Unknown }
        };
        let counted = found.into_iter().filter(|change| self.counts(&change.path));
        let change = |change: compare::Undeclared| Change {
            certainty: certainty(&change),
            path: change.path,
            class: Class::Undeclared,
            git: None,
            before: change.before,
            written: change.after,
            node: 0,
        };
        counted.map(change).collect()
    }

    fn differences(
        &self,
        declared: &Document<'_>,
        form: Option<&Form>,
        object: &Document<'_>,
        stage: Stage,
    ) -> Vec<Difference> {
        let typing = match stage {
            Stage::Stored => self.typing,
            Stage::New | Stage::Written => self.typing.of_written(),
        };
        let against = |object: &Document<'_>| match self.reach {
            Reach::Replicas(path) => self.replicas_differ(path, declared, object),
            Reach::Whole | Reach::Metadata => compare::compare(typing, declared, object),
            Reach::Nothing(_) => Vec::new(),
        };
        let mut found = match form.filter(|_| self.is_in_version_of(declared)) {
            Some(form) => form.settle(object, stage, against),
            None => against(object),
        };
        found.retain(|it| self.reaches(&it.path) && !exempt::is_exempt(self.key, declared, it));
        let same_fields = self.has_fields_of(declared);
        for difference in found.iter_mut().filter(|it| !same_fields && !is_same_in_all(self.key, &it.path)) {
            difference.kind = Kind::Unknown;
        }
        found
    }

    /// The server form of a declaration, where it is at hand.
    fn form_of(&self, declared: &[u8]) -> Option<&'v Form> {
        self.forms?.get(declared)?.as_deref()
    }

    fn replicas_differ(&self, path: &FieldPath, declared: &Document<'_>, object: &Document<'_>) -> Vec<Difference> {
        let Some(at) = Lookup::of(declared).at(path) else { return Vec::new() };
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
    /// sent that code turns into the declared one or that says something else, only the server can tell; some fields are the
    /// same in all.
    fn has_fields_of(&self, declared: &Document<'_>) -> bool {
        self.typing.schema.is_some() && (self.is_in_version_of(declared) || self.says_the_same_as(declared))
    }

    /// Whether the object is sent in the version that Git declares it in.
    fn is_in_version_of(&self, declared: &Document<'_>) -> bool {
        version_of(declared) == self.version
    }

    /// Whether the object is sent in a version that nothing turns into the declared one, and that is the same but in name.
    fn says_the_same_as(&self, declared: &Document<'_>) -> bool {
        let (group, kind) = (self.key.group(), self.key.kind());
        let conversion = self.schemas.kind(group, kind).map(|info| info.conversion).unwrap_or_default();
        conversion == Conversion::Nothing
            && self.schemas.schema(group, version_of(declared), kind) == self.typing.schema
    }
}

impl Finding {
    /// An object that cannot be read cannot be let in as if it agreed.
    fn unreadable() -> Self {
        let whole = Difference { path: FieldPath::default(), kind: Kind::Changed, declared: None, live: None, node: 0 };
        Self { changes: created(vec![whole]), ..Self::default() }
    }
}

/// The version in which Git declares an object.
fn version_of<'d>(declared: &'d Document<'_>) -> &'d str {
    let written = declared.root().get("apiVersion").and_then(At::as_str).unwrap_or_default();
    written.rsplit('/').next().unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// Enough that looking each one up among its siblings would take minutes.
    const MANY: usize = 50_000;

    fn map(members: impl Iterator<Item = (String, usize)>) -> Box<RawValue> {
        let mut data = String::new();
        for (name, value) in members {
            let _ = write!(data, r#","{name}":"{value}""#);
        }
        let json = format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"m","namespace":"shop"}},"data":{{"x":"1"{data}}}}}"#
        );
        RawValue::from_string(json).unwrap()
    }

    fn many(value: usize) -> Box<RawValue> {
        map((0..MANY).map(|n| (format!("key-{n}"), value)))
    }

    fn found(declared: &RawValue, before: &RawValue, after: &RawValue) -> Finding {
        let schemas = Schemas::builtin();
        let aim = Aim { key: ObjectKey::new("", "ConfigMap", "shop", "m"), reach: Reach::Whole };
        View::new(&aim, "v1", &schemas).finding(declared.get().as_bytes(), write::Change::Update { before, after })
    }

    fn counts(finding: &Finding, class: Class) -> usize {
        finding.changes.iter().filter(|change| change.class == class).count()
    }

    #[test]
    fn thousands_of_undeclared_keys_may_be_swapped_for_others() {
        let declared = map(std::iter::once(("y".to_owned(), 1)));
        let side = |prefix: &str, y| {
            let others = (0..MANY).map(|n| (format!("{prefix}-{n}"), n));
            map(others.chain([("y".to_owned(), y)]))
        };
        let finding = found(&declared, &side("old", 1), &side("new", 2));
        assert_eq!(counts(&finding, Class::Undeclared), 2 * MANY);
        assert_eq!(counts(&finding, Class::Drifts), 1);
        let drift = finding.changes.iter().find(|change| change.is_drift()).unwrap();
        assert_eq!((drift.before.as_deref(), drift.written.as_deref()), (Some(r#""1""#), Some(r#""2""#)));
    }

    #[test]
    fn thousands_of_declared_keys_may_move_at_once() {
        let moves = [
            (many(1), many(2), Class::Drifts),
            (many(2), many(2), Class::Preexisting),
            (many(2), many(1), Class::Restores),
        ];
        for (before, after, class) in moves {
            let finding = found(&many(1), &before, &after);
            assert_eq!(counts(&finding, class), MANY, "{class:?}");
            assert!(finding.changes.iter().all(|change| change.class == class && change.written.is_some()));
        }
    }
}
