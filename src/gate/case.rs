//! What is known of a write before anything is judged? The write beside what the basis says of its object.

use jiff::Timestamp;

use crate::drift::declared::Declared;
use crate::drift::path::FieldPath;
use crate::gate::aim::Aim;
use crate::gate::basis::{Basis, Entry, Source};
use crate::gate::delegation::Delegated;
use crate::gate::facts::{Facts, Owner};
use crate::gate::finding::{Change, View};
use crate::gate::ignore::Ignored;
use crate::gate::policy::Rule;
use crate::gate::verdict::WriterRole;
use crate::gate::write::{self, Write};
use crate::gate::writer::Identity;

/// A write, and all that bears on it.
#[derive(Debug, Clone)]
pub struct Case<'c> {
    /// The write.
    pub write: &'c Write<'c>,
    /// Which object it reaches.
    pub aim: &'c Aim,
    /// On what is decided.
    pub basis: &'c Basis,
    /// What has been answered so far.
    pub facts: &'c Facts,
    /// The instant.
    pub now: Timestamp,
    /// What Git says and said of the object.
    pub entry: Option<&'c Entry>,
    /// The source that declares it.
    pub source: Option<&'c Source>,
    /// The policy that governs it.
    pub rule: Option<&'c Rule>,
    /// Who writes.
    pub writer: Identity<'c>,
    /// What is left out of the declaration.
    pub ignored: Ignored<'c>,
    /// The declared object that made the one that is written, where it is seen as a case of that.
    pub maker: Option<Owner>,
}

impl<'c> Case<'c> {
    /// Brings together what bears on a write.
    pub fn open(write: &'c Write<'c>, aim: &'c Aim, basis: &'c Basis, facts: &'c Facts, now: Timestamp) -> Self {
        let entry = basis.index.objects.get(&aim.key);
        let id = entry.map(|entry| &entry.source);
        Self {
            write,
            aim,
            basis,
            facts,
            now,
            entry,
            source: id.and_then(|id| basis.sources.get(id)).map(|source| &**source),
            rule: id.and_then(|id| basis.policy.governing(&aim.key, Some(id))),
            maker: None,
            writer: Identity::of(&write.user, &basis.policy, &aim.key, id),
            ignored: basis.ignored(&aim.key, id, entry.and_then(|entry| entry.head.as_deref()), Some(&write.user), now),
        }
    }

    /// What Git declares of the object now.
    pub fn declared(&self) -> Option<&'c Declared> {
        self.entry?.head.as_deref()
    }

    /// The object as this write shows it.
    pub fn view(&self) -> View<'_> {
        let view = View::new(self.aim, &self.write.target.version, &self.basis.schemas);
        view.with_forms(&self.facts.forms).without(&self.ignored.mask)
    }

    /// Whether the namespace of the object is known to be terminating.
    pub fn is_terminating(&self) -> bool {
        self.facts.namespaces.get(self.aim.key.namespace()).is_some_and(|namespace| namespace.terminating)
    }

    /// Whether a changed field is the writer's to move, or goes with an object that is being deleted anyway.
    pub fn is_free(&self, change: &Change, condemned: bool) -> bool {
        let finalizers = FieldPath::of(["metadata", "finalizers"]);
        let goes = (condemned || self.is_terminating()) && change.written.is_none() && finalizers.covers(&change.path);
        let delegated = self.writer.role == WriterRole::Deployer && self.delegated().covers(&change.path);
        let bare = matches!(self.write.change, write::Change::Create { .. })
            && change.written.is_none()
            && self.writer.makes(&self.aim.key);
        goes || bare
            || delegated
            || self.writer.may_move(&self.aim.key, &change.path, self.delegated().replicas().as_ref())
    }

    /// What leaves the declaration for deployers and for repair, because some controller moves it.
    pub(crate) fn delegated(&self) -> Delegated<'_> {
        let source = self.entry.map(|entry| &entry.source);
        Delegated { basis: self.basis, key: &self.aim.key, source, version: &self.write.target.version }
    }
}
