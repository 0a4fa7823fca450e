//! Who may write, and what do we answer? Read this first: [`decide`] is the product.
//!
//! Pure: no clock, no lock, no await, no file, no network. The webhooks, `landfast check`, the reconciler and the tests call
//! the same function. It never prints a Secret's value.
//!
//! A write goes through these files, in this order: [`mod@write`] reads the review, [`aim`] says which object it reaches, [`case`]
//! lays beside it what the [`basis`] knows ([`policy`], [`ignore`], [`writer`] with the shipped [`tables`] and [`bookkeeping`], [`history`]), [`finding`] (on both [`sides`]) and
//! [`removal`] say what it does to what is declared (`stray` and [`derived`], what is not declared itself has to do with it), before any policy; [`ruling`] (by a `sanction`; for deployers with [`deployer`]) says what
//! follows, [`amend`] how the write is changed on its way in ([`revert`], [`mark`], both by a [`patch`] with its [`ownership`]), [`conclude`] makes it a [`verdict`] with the questions ([`facts`]) whose answers could still change it, [`message`]
//! puts it in words, [`json`] and [`response`] on the wire. [`live`] holds an object that nobody writes against Git, for whoever brings
//! it back as a policy's [`repair`] says.

pub mod aim;
mod amend;
pub mod ask;
pub mod basis;
pub mod bookkeeping;
pub mod case;
mod classes;
pub mod conclude;
mod definition;
mod delegation;
pub mod deployer;
pub mod derived;
pub mod duration;
pub mod entry;
pub mod exempt;
pub mod explain;
pub mod facts;
pub mod finding;
mod glass;
pub mod grant;
pub mod history;
mod hold;
pub mod ignore;
pub mod incident;
pub mod json;
pub mod live;
pub mod managers;
pub(crate) mod mark;
pub mod message;
mod moved;
pub mod optout;
mod owners;
pub(crate) mod ownership;
pub mod patch;
pub mod policy;
pub mod removal;
pub mod repair;
pub mod response;
pub(crate) mod revert;
pub mod ruling;
mod sanction;
mod scale;
pub mod sides;
mod stamp;
mod stray;
pub mod tables;
pub mod text;
pub(crate) mod tree;
pub mod verdict;
pub mod write;
pub mod writer;

use jiff::Timestamp;

use crate::drift::declared::Declared;
use crate::gate::aim::{Aim, Reach};
use crate::gate::basis::Basis;
use crate::gate::case::Case;
use crate::gate::facts::Facts;
use crate::gate::removal::Removal;
use crate::gate::ruling::Ruled;
use crate::gate::verdict::Outcome;
use crate::gate::write::{Change, Write};
use crate::limits::FIELDS_KEPT_MAX;

/// Decides one write.
///
/// Total and deterministic: the same write on the same basis, facts and instant gets the same outcome on every replica, in
/// `landfast check` and in the tests. `questions` is empty unless the write is about to be refused and an answer could still
/// let it in or better its message (or, of a form, could still have it refused); each says what is ruled when nobody answers.
pub fn decide(write: &Write<'_>, basis: &Basis, facts: &Facts, now: Timestamp) -> Outcome {
    let aim = Aim::of(write, &basis.schemas);
    let case = Case::open(write, &aim, basis, facts, now);
    if case.declared().is_none() || matches!(write.change, Change::Connect) {
        // What is not declared itself may still be a matter of what is.
        let other = derived::ruled(&case).or_else(|| stray::ruled(&case));
        if let Some((case, ruled)) = other {
            return conclude::outcome(&case, amend::undeclared(&case, glass::applied(&case, ruled)));
        }
    }
    let ruled = match (&aim.reach, write.change) {
        (Reach::Nothing(reason), _) => Ruled::foreign(reason),
        (_, Change::Delete { before }) => {
            let removal = Removal::of(&aim.key, before, case.declared(), &basis.index);
            glass::applied(&case, ruling::of_removal(&case, &removal))
        }
        (_, Change::Create { .. } | Change::Update { .. } | Change::Connect) => {
            match (stamp::ruled(&case), case.declared()) {
                (Some(stamped), _) => stamped,
                (None, Some(declared)) => of_change(&case, declared),
                (None, None) => amend::undeclared(&case, glass::applied(&case, Ruled::foreign("not declared in Git"))),
            }
        }
    };
    let lost = ruling::of_loss(&case, &definition::robbed(&case), &ruled);
    conclude::outcome(&case, lost.map_or(ruled, |lost| glass::applied(&case, lost)))
}

/// Rules on what a write leaves of a declared object; the values of the fields that are kept are looked up.
fn of_change(case: &Case<'_>, declared: &Declared) -> Ruled {
    let view = case.view();
    let texts = view.texts(case.write.change);
    let sides = texts.read();
    let finding = view.finding_of(&declared.json, &sides);
    let hold = hold::of(case, &finding, &sides);
    let ruled = hold.applied(glass::applied(case, ruling::of_change(case, finding, &sides)));
    let mut ruled = amend::amended(case, declared, &sides, ruled);
    ruled.changes.truncate(FIELDS_KEPT_MAX);
    sides.complete(&mut ruled.changes);
    ruled
}
