//! What follows from a write to an object that Git does not declare, in the scope of a source that declares others?
//!
//! Of the object no more is read than its owners, and these only of a person's write under a policy that minds.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::drift::declared::ObjectKey;
use crate::gate::aim::Reach;
use crate::gate::basis::{Basis, Scope, Source};
use crate::gate::case::Case;
use crate::gate::policy::{GROUP, Mode, Rule};
use crate::gate::ruling::{Ground, Ruled, STRAYS};
use crate::gate::verdict::{Ruling, WriterRole};
use crate::gate::write::Change;

/// Rules on a create or an update of an object that Git does not declare, as a case of the source in whose scope it is; `None`
/// where no policy minds.
pub(crate) fn ruled<'c>(case: &Case<'c>) -> Option<(Case<'c>, Ruled)> {
    let minds = case.basis.policy.rules.iter().any(|rule| rule.undeclared_objects > Ruling::Allow);
    // Our own objects are guarded by their schemas and RBAC.
    let own = case.aim.key.group() == GROUP;
    if !minds || own || case.writer.role != WriterRole::Person || case.aim.reach != Reach::Whole {
        return None;
    }
    let (Change::Create { after: object } | Change::Update { before: object, .. }) = case.write.change else {
        return None;
    };
    let (source, rule) = governing(case).filter(|_| !has_controller(object))?;
    let ruled = Ruled::by(case, rule, rule.undeclared_objects, STRAYS, Ground::Stray(source.id.clone()));
    Some((Case { source: Some(source), rule: Some(rule), ..case.clone() }, ruled))
}

/// The source in whose scope the object is, and the policy that governs it there; of several the strictest. A policy that names no
/// kinds is about those that Git declares: the API server is asked to send no others.
fn governing<'c>(case: &Case<'c>) -> Option<(&'c Source, &'c Rule)> {
    let (basis, key) = (case.basis, &case.aim.key);
    let sources: Vec<_> = basis.holders(key).collect();
    // What a source declares that was never read, nobody knows.
    if sources.iter().any(|source| source.revision.is_none()) {
        return None;
    }
    let governed =
        sources.into_iter().filter_map(|source| Some((source, basis.policy.governing(key, Some(&source.id))?)));
    let declares = basis.index.by_kind.contains_key(&(key.group().into(), key.kind().into()));
    let minded = governed
        .filter(|(_, rule)| rule.undeclared_objects > Ruling::Allow && (declares || rule.matches.kinds.is_some()));
    let in_order: Vec<_> = minded.collect();
    in_order.into_iter().rev().max_by_key(|(_, rule)| (rule.mode == Mode::Enforce, rule.undeclared_objects))
}

impl Basis {
    /// The sources in whose scope an object is.
    pub(crate) fn holders(&self, key: &ObjectKey) -> impl Iterator<Item = &Source> {
        self.sources.values().map(|source| &**source).filter(move |source| source.scope.holds(key))
    }
}

impl Scope {
    /// Whether a source with this scope could declare an object.
    pub fn holds(&self, key: &ObjectKey) -> bool {
        match (key.group(), key.kind(), key.namespace()) {
            ("", "Namespace", "") => self.cluster_scoped || self.namespaces.is_match(key.name()),
            (_, _, "") => self.cluster_scoped,
            (_, _, namespace) => self.namespaces.is_match(namespace),
        }
    }
}

/// Whether a controller owns an object: what it makes is its own business.
fn has_controller(object: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Object {
        metadata: Option<Metadata>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        owner_references: Option<Vec<Owner>>,
    }
    #[derive(Deserialize)]
    struct Owner {
        controller: Option<bool>,
    }
    let object: Option<Object> = serde_json::from_str(object.get()).ok();
    let owners = object.and_then(|object| object.metadata?.owner_references).unwrap_or_default();
    owners.iter().any(|owner| owner.controller == Some(true))
}
