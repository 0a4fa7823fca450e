//! What follows from reaching into a Pod or ReplicaSet that a declared object made? exec, attach, port-forward, debug containers
//! and edits, by people.
//!
//! Whose it is, the object says where the write shows it; beyond that only the API server can tell. Never a deletion, an eviction
//! or a status.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use crate::drift::declared::ObjectKey;
use crate::drift::document::{At, Document};
use crate::gate::basis::Basis;
use crate::gate::case::Case;
use crate::gate::facts::{Owner, Question};
use crate::gate::policy::{Mode, Rule};
use crate::gate::ruling::{Ground, MAY_REACH, REACHES, Ruled};
use crate::gate::verdict::{Ruling, WriterRole};
use crate::gate::write::Change;

/// Kinds of what others make to run it, with their groups, and the subresources by which these are edited.
pub const EDITED: &[(&str, &str, &[&str])] =
    &[("", "pods", &["", "ephemeralcontainers", "resize"]), ("apps", "replicasets", &["", "scale"])];

/// Subresources of Pods that lead into them.
pub const ENTERED: &[&str] = &["exec", "attach", "portforward"];

/// Rules on reaching into what a declared object made, as a case of that object; `None` where the write does not, or no policy
/// minds.
pub(crate) fn ruled<'c>(case: &Case<'c>) -> Option<(Case<'c>, Ruled)> {
    let minds = case.basis.policy.rules.iter().any(|rule| rule.derived_objects > Ruling::Allow);
    let namespace = case.aim.key.namespace();
    if !minds || case.writer.role != WriterRole::Person || !case.basis.index.by_namespace.contains_key(namespace) {
        return None;
    }
    let first = nearest(case)?;
    if let Nearest::Controller(owner) = &first
        && let Some(found) = of_owner(case, owner)
    {
        return found.ruled();
    }
    let (Nearest::Controller(Owner { key: first, .. }) | Nearest::Entered(first)) = first;
    match case.facts.owners.get(&first) {
        Some(Some(owners)) => owners.iter().find_map(|owner| of_owner(case, owner))?.ruled(),
        Some(None) => unknown(case, None),
        None => unknown(case, Some(Question::Owner(first))),
    }
}

/// The namespaces in which policies mind who reaches into what declared objects made.
pub fn minded(basis: &Basis) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if basis.policy.rules.iter().all(|rule| rule.derived_objects == Ruling::Allow) {
        return found;
    }
    for (key, entry) in basis.index.objects.iter().filter(|(_, entry)| entry.head.is_some()) {
        let minds = |rule: &Rule| rule.derived_objects > Ruling::Allow;
        if !found.contains(key.namespace()) && basis.policy.governing(key, Some(&entry.source)).is_some_and(minds) {
            found.insert(key.namespace().to_owned());
        }
    }
    found.remove("");
    found
}

/// The object nearest to the write of which it is known that the write reaches into it.
enum Nearest {
    /// The one that is entered, or scaled: it is not shown.
    Entered(ObjectKey),
    /// The controller of the one that is edited.
    Controller(Owner),
}

fn nearest(case: &Case<'_>) -> Option<Nearest> {
    let target = &case.write.target;
    let (resource, subresource) = (target.resource.as_str(), target.subresource.as_str());
    match case.write.change {
        Change::Connect => {
            let enters = target.group.is_empty() && resource == "pods" && ENTERED.contains(&subresource);
            enters.then(|| Nearest::Entered(case.aim.key.clone()))
        }
        Change::Update { before, .. } => {
            let edits = EDITED
                .iter()
                .any(|(group, made, ways)| *group == target.group && *made == resource && ways.contains(&subresource));
            // A Scale shows no owner.
            match (edits, subresource) {
                (false, _) => None,
                (true, "scale") => Some(Nearest::Entered(case.aim.key.clone())),
                (true, _) => controller(case, before).map(Nearest::Controller),
            }
        }
        Change::Create { .. } | Change::Delete { .. } => None,
    }
}

/// A declared object among the owners, as the case is to be seen.
struct Found<'c>(Case<'c>);

impl<'c> Found<'c> {
    fn ruled(self) -> Option<(Case<'c>, Ruled)> {
        let Self(case) = self;
        let rule = case.rule.filter(|rule| rule.derived_objects > Ruling::Allow)?;
        let owner = case.declared()?.key.clone();
        let ground = Ground::Derived(Some(owner));
        let ruled = Ruled::by(&case, rule, rule.derived_objects, REACHES, ground);
        Some((case, ruled))
    }
}

fn of_owner<'c>(case: &Case<'c>, owner: &Owner) -> Option<Found<'c>> {
    let entry = case.basis.index.objects.get(&owner.key).filter(|entry| entry.head.is_some())?;
    let source = case.basis.sources.get(&entry.source).map(|source| &**source);
    let rule = case.basis.policy.governing(&owner.key, Some(&entry.source));
    let maker = Some(owner.clone());
    Some(Found(Case { entry: Some(entry), source, rule, maker, ..case.clone() }))
}

/// Whose it is, nobody said: let in, and on the record under the first policy that may mind. It waits for an answer only where one
/// of them refuses.
fn unknown<'c>(case: &Case<'c>, question: Option<Question>) -> Option<(Case<'c>, Ruled)> {
    let rules = case.basis.policy.rules.iter();
    let mut minding =
        rules.filter(|rule| rule.derived_objects > Ruling::Allow && rule.matches.is_at_home(&case.aim.key));
    let refuses = |rule: &Rule| rule.mode == Mode::Enforce && rule.derived_objects >= Ruling::Revert;
    let waits = minding.clone().any(refuses);
    let rule = minding.next()?;
    let (questions, asides) = question.into_iter().partition(|_| waits);
    let warned = Ruled::by(case, rule, rule.derived_objects.min(Ruling::Warn), MAY_REACH, Ground::Derived(None));
    Some((case.clone(), Ruled { questions, asides, ..warned }))
}

/// The controller that an object names.
fn controller(case: &Case<'_>, object: &RawValue) -> Option<Owner> {
    let object = Document::parse(object.get().as_bytes()).ok()?;
    let mut owners = object.root().get("metadata")?.get("ownerReferences")?.children();
    let owner = owners.find(|owner| owner.get("controller").is_some_and(|at| at.to_json() == "true"))?;
    let text = |name| owner.get(name).and_then(At::as_str);
    let group = text("apiVersion")?.rsplit_once('/').map_or("", |(group, _)| group);
    let kind = text("kind")?;
    let namespaced = case.basis.schemas.kind(group, kind).is_none_or(|info| info.namespaced);
    let namespace = if namespaced { case.aim.key.namespace() } else { "" };
    Some(Owner { key: ObjectKey::new(group, kind, namespace, text("name")?), uid: text("uid")?.to_owned() })
}
