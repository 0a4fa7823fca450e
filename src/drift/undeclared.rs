//! What does a write change that Git does not declare? An added sidecar, a finalizer, a label: everything outside the
//! declared paths. What differs on a declared path is [`compare`](crate::drift::compare)'s.

use rustc_hash::FxHashMap;

use crate::drift::compare::{Kind, Typing};
use crate::drift::document::{At, Document, Value};
use crate::drift::items::{Identity, by_identity, identity_of};
use crate::drift::mask::Mask;
use crate::drift::path::FieldPath;
use crate::drift::secret::{Folded, is_secret};
use crate::drift::slot::{Fields, Form, Slot};
use crate::drift::trail::{Step, Trail};
use crate::drift::typing::is_server_owned;
use crate::drift::value::{Answer, Members, equal};
use crate::drift::whole::same;

/// One path that Git does not declare and that a write changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Undeclared {
    /// Where: the lowest merged member or item of which no part is declared. An item that comes or goes is one path.
    pub path: FieldPath,
    /// [`Changed`](Kind::Changed), or [`Unknown`](Kind::Unknown) where the server may have made the change itself, because of
    /// another (an allocated port, a default that depends on other values).
    pub kind: Kind,
    /// Value before, as compact JSON; absent where there was none.
    pub before: Option<String>,
    /// Value after, as compact JSON; absent where there is none.
    pub after: Option<String>,
}

/// Finds what changes from `before` to `after` outside the declared paths. Server-owned metadata and, where it is a
/// subresource, `status` do not count. The order of undeclared items does not either.
pub fn undeclared(
    typing: Typing<'_>,
    declared: &Document<'_>,
    before: &Document<'_>,
    after: &Document<'_>,
) -> Vec<Undeclared> {
    let mut walk = Walk { found: Vec::new(), mask: typing.mask };
    let secret = is_secret(declared.root()).then(|| Folded::of(declared.root()));
    let sides = Sides { declared: Some(declared.root()), before: Some(before.root()), after: Some(after.root()) };
    sides.each(|name, sides| {
        let trail = Trail { up: None, step: Step::Field(name) };
        match (&secret, name) {
            (_, "metadata") => walk.metadata(typing, sides, &trail),
            (Some(folded), "data") => sides.each(|name, values| {
                let trail = Trail { up: Some(&trail), step: Step::Field(name) };
                if !folded.holds(name) {
                    walk.value(Slot::deduced(), values, &trail);
                }
            }),
            _ => {
                if let Some(slot) = typing.member(name) {
                    walk.value(slot, sides, &trail);
                }
            }
        }
    });
    walk.found
}

/// One place in all three documents.
#[derive(Clone, Copy)]
struct Sides<'d, 'j> {
    declared: Option<At<'d, 'j>>,
    before: Option<At<'d, 'j>>,
    after: Option<At<'d, 'j>>,
}

impl<'d, 'j> Sides<'d, 'j> {
    /// Calls back for each member that stands before or after, and may have changed: those from before first.
    fn each(self, mut visit: impl FnMut(&'d str, Sides<'d, 'j>)) {
        let none = || None;
        let members = |at: Option<At<'d, 'j>>| at.map(Members::of);
        let (mut declareds, mut befores, mut afters) =
            (members(self.declared), members(self.before), members(self.after));
        for before in self.before.into_iter().flat_map(At::children) {
            let name = before.key();
            let after = afters.as_mut().map_or_else(none, |members| members.find(name));
            if after.is_some_and(|after| before.is_identical(after)) {
                continue; // most of an object, in most writes
            }
            let declared = declareds.as_mut().map_or_else(none, |members| members.find(name));
            visit(name, Sides { declared, before: Some(before), after });
        }
        for after in self.after.into_iter().flat_map(At::children) {
            let name = after.key();
            if befores.as_mut().is_none_or(|members| members.find(name).is_none()) {
                let declared = declareds.as_mut().map_or_else(none, |members| members.find(name));
                visit(name, Sides { declared, before: None, after: Some(after) });
            }
        }
    }

    /// Whether each side that is there is of that type; a declared null leaves what merges alone.
    fn all(self, container: &Value<'_>) -> bool {
        let fits = |at: Option<At<'_, '_>>| at.is_none_or(|at| at.value() == container);
        let declared = self.declared.is_none_or(|at| at.value() == container || at.is_null());
        declared && fits(self.before) && fits(self.after)
    }

    /// Whether an empty container comes or goes.
    fn is_empty_change(self) -> bool {
        match (self.before, self.after) {
            (Some(only), None) | (None, Some(only)) => only.is_leaf(),
            (Some(_), Some(_)) | (None, None) => false,
        }
    }
}

/// Goes down two states of an object beside its declaration.
struct Walk<'m> {
    found: Vec<Undeclared>,
    mask: Option<&'m Mask<'m>>,
}

impl Walk<'_> {
    fn report(&mut self, kind: Kind, sides: Sides<'_, '_>, trail: &Trail<'_>) {
        let path = trail.path();
        if self.mask.is_some_and(|mask| mask.covers(&path)) {
            return;
        }
        let (before, after) = (sides.before.map(At::to_json), sides.after.map(At::to_json));
        self.found.push(Undeclared { path, kind, before, after });
    }

    /// Whether two values are the same, save for what is left out of both.
    fn same(&self, slot: Slot<'_>, sides: Sides<'_, '_>, trail: &Trail<'_>) -> Answer {
        let answer = same(slot, sides.before, sides.after);
        let Some(mask) = self.mask.filter(|_| answer != Answer::Same) else { return answer };
        let path = trail.path();
        let Some(left) = mask.within(&path, sides.before, sides.after) else { return answer };
        let [before, after] = left.documents();
        let masked = same(slot, before.as_ref().map(Document::root), after.as_ref().map(Document::root));
        if masked == Answer::Same {
            mask.settled(&path);
        }
        masked
    }

    fn value(&mut self, slot: Slot<'_>, sides: Sides<'_, '_>, trail: &Trail<'_>) {
        match slot.form() {
            Form::Map(fields) if sides.all(&Value::Object) && !sides.is_empty_change() => {
                self.members(fields, sides, trail);
            }
            Form::Deduced if sides.all(&Value::Object) && !sides.is_empty_change() => {
                self.members(Fields::Deduced, sides, trail);
            }
            Form::List(relation, item) if sides.all(&Value::Array) && !sides.is_empty_change() => {
                self.items(Identity { relation, item }, sides, trail);
            }
            _ if sides.declared.is_some() => {}
            _ => match self.same(slot, sides, trail) {
                Answer::Same => {}
                Answer::Differs => self.report(Kind::Changed, sides, trail),
                Answer::Unknown => self.report(Kind::Unknown, sides, trail),
            },
        }
    }

    fn members(&mut self, fields: Fields<'_>, sides: Sides<'_, '_>, up: &Trail<'_>) {
        sides.each(|name, sides| {
            let slot = fields.slot(name).unwrap_or_else(Slot::deduced);
            self.value(slot, sides, &Trail { up: Some(up), step: Step::Field(name) });
        });
    }

    fn metadata(&mut self, typing: Typing<'_>, sides: Sides<'_, '_>, up: &Trail<'_>) {
        let Form::Map(fields) = typing.metadata_slot().form() else {
            return;
        };
        sides.each(|name, sides| {
            let slot = fields.slot(name).unwrap_or_else(Slot::deduced);
            if !is_server_owned(name) {
                self.value(slot, sides, &Trail { up: Some(up), step: Step::Field(name) });
            }
        });
    }

    fn items(&mut self, identity: Identity<'_>, sides: Sides<'_, '_>, up: &Trail<'_>) {
        // The usual case: this list is not what the write is about.
        if let (Some(before), Some(after)) = (sides.before, sides.after)
            && equal(before, after)
        {
            return;
        }
        let declareds = sides.declared.map(|list| by_identity(identity, list)).unwrap_or_default();
        let befores = sides.before.map(|list| by_identity(identity, list)).unwrap_or_default();
        let mut met = FxHashMap::<String, usize>::default();
        for (position, after) in sides.after.into_iter().flat_map(At::children).enumerate() {
            let own = identity_of(identity, after);
            let nth = met.entry(own.clone()).or_default();
            let before = befores.get(&own).and_then(|all| all.get(*nth)).map(|(_, at)| *at);
            let declared = declareds.get(&own).and_then(|all| all.get(*nth)).map(|(_, at)| *at);
            *nth += 1;
            let sides = Sides { declared, before, after: Some(after) };
            self.item(
                identity.item,
                sides,
                &Trail { up: Some(up), step: Step::Item { identity, position, item: after } },
            );
        }
        for (position, before) in sides.before.into_iter().flat_map(At::children).enumerate() {
            let own = identity_of(identity, before);
            let is_declared = declareds.contains_key(&own);
            // Each one after stands for one before; what is left over has gone.
            let left = met.entry(own).or_default();
            if *left > 0 {
                *left -= 1;
            } else if !is_declared {
                let sides = Sides { declared: None, before: Some(before), after: None };
                let trail = Trail { up: Some(up), step: Step::Item { identity, position, item: before } };
                self.report(Kind::Changed, sides, &trail);
            }
        }
    }

    fn item(&mut self, slot: Slot<'_>, sides: Sides<'_, '_>, trail: &Trail<'_>) {
        match (sides.declared, sides.before) {
            // A declared item that comes back is no undeclared change, and what comes with it is its own.
            (Some(_), None) => {}
            (None, None) => self.report(Kind::Changed, sides, trail),
            (_, Some(_)) => self.value(slot, sides, trail),
        }
    }
}
