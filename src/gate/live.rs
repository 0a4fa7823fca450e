//! How does an object that is stored stand to what Git says of it? As repair sees it: nobody writes.
//!
//! The comparison is the gate's own. What is ignored in everybody's writes, what some controller moves and what is nobody's drift
//! is told apart: repair keeps it as it is.

use std::hash::BuildHasher as _;

use jiff::Timestamp;
use rustc_hash::FxBuildHasher;
use serde_json::Value;

use crate::drift::declared::ObjectKey;
use crate::drift::document::Document;
use crate::drift::path::FieldPath;
use crate::gate::aim::{Aim, Reach};
use crate::gate::basis::{Basis, Entry, Source};
use crate::gate::delegation::Delegated;
use crate::gate::facts::Forms;
use crate::gate::finding::{Certainty, Change, View};
use crate::gate::ignore::Ignored;
use crate::gate::policy::Rule;

/// A declared object, and what the basis says of it.
#[derive(Debug)]
pub struct Look<'b> {
    /// On what is decided.
    pub basis: &'b Basis,
    /// What Git says and said of it.
    pub entry: &'b Entry,
    /// The source that declares it.
    pub source: Option<&'b Source>,
    /// The policy that governs it.
    pub rule: Option<&'b Rule>,
    aim: Aim,
    ignored: Ignored<'b>,
}

/// What keeps an object from agreeing with a declaration.
#[derive(Debug, Clone, Default)]
pub struct Gap {
    /// Declared fields that differ for sure.
    pub drift: Vec<Change>,
    /// Those of which only the server can tell.
    pub open: Vec<Change>,
}

impl<'b> Look<'b> {
    /// Brings together what bears on an object; `None` where Git says nothing of it.
    pub fn at(basis: &'b Basis, key: &ObjectKey, now: Timestamp) -> Option<Self> {
        let (key, entry) = basis.index.objects.get_key_value(key)?;
        let source = basis.sources.get(&entry.source).map(|source| &**source);
        let rule = basis.policy.governing(key, Some(&entry.source));
        let ignored = basis.ignored(key, Some(&entry.source), entry.head.as_deref(), None, now);
        let aim = Aim { key: key.clone(), reach: Reach::Whole };
        Some(Self { basis, entry, source, rule, aim, ignored })
    }

    /// The object.
    pub fn key(&self) -> &ObjectKey {
        &self.aim.key
    }

    /// Whether a deployer is named for it: then moving on is the deployer's.
    pub fn has_deployer(&self) -> bool {
        self.basis.policy.names_deployer(self.key(), Some(&self.entry.source))
    }

    /// What keeps an object (seen in `version`) from agreeing with a declaration, both read. `forms` are the server forms at hand.
    pub fn gap(&self, declared: &[u8], object: &Document<'_>, version: &str, forms: &Forms) -> Gap {
        let bare = View::new(&self.aim, version, &self.basis.schemas);
        let view = bare.with_forms(forms).without(&self.ignored.mask);
        let Ok(read) = Document::parse(declared) else { return Gap::default() };
        let delegated = Delegated { basis: self.basis, key: self.key(), source: Some(&self.entry.source), version };
        let mut gap = Gap::default();
        for change in view.stored(declared, &read, object) {
            match change.certainty {
                Certainty::Known if delegated.covers(&change.path) => {}
                Certainty::Known => gap.drift.push(change),
                Certainty::Unknown => gap.open.push(change),
            }
        }
        gap
    }

    /// What differs and is to stay: ignored, some controller's, or nobody's; all that is not in the gap.
    pub fn kept(&self, declared: &[u8], object: &Document<'_>, version: &str, gap: &Gap) -> Vec<FieldPath> {
        let bare = View::new(&self.aim, version, &self.basis.schemas);
        let Ok(read) = Document::parse(declared) else { return Vec::new() };
        let counts = |path: &FieldPath| gap.drift.iter().chain(&gap.open).any(|change| change.path == *path);
        bare.apart(&read, object).into_iter().filter(|path| !counts(path)).collect()
    }

    /// Git's value of a place that differs as a whole, with what is ignored within it as it is live; `None` where nothing is.
    pub fn carried(&self, change: &Change) -> Option<Value> {
        let read = |json: &Option<String>| serde_json::from_str::<Value>(json.as_deref()?).ok();
        let (git, live) = (read(&change.git)?, read(&change.written)?);
        let mut carried = git.clone();
        self.ignored.mask.keep(&change.path, &mut carried, &live);
        (carried != git).then_some(carried)
    }
}

impl Gap {
    /// Whether nothing is known to differ, and nothing is left to the server.
    pub fn is_none(&self) -> bool {
        self.drift.is_empty() && self.open.is_empty()
    }

    /// Whether only the server can tell.
    pub fn is_doubt(&self) -> bool {
        self.drift.is_empty() && !self.open.is_empty()
    }

    /// Whether an object is nearer to the declaration of this gap than to that of the other: all that is between it and the one is
    /// between it and the other, too, where both say the same, and something more.
    pub fn is_nearer_than(&self, other: &Self) -> bool {
        let is_in = |changes: &[Change], change: &Change| {
            changes.iter().any(|other| other.path == change.path && other.git == change.git)
        };
        self.drift.len() < other.drift.len()
            && self.drift.iter().all(|change| is_in(&other.drift, change))
            && self.open.iter().all(|change| is_in(&other.open, change))
    }

    /// A number that is the same for the same paths and live values, within one run of the process.
    pub fn digest(&self) -> u64 {
        let differs = self.drift.iter().chain(&self.open).map(|change| (&change.path, &change.written));
        FxBuildHasher.hash_one(differs.collect::<Vec<_>>())
    }
}
