//! What do several tests need? Golden files, and a basis made by hand.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use globset::{Glob, GlobSetBuilder};
use landfast::drift::schema::Schemas;
use landfast::gate::basis::{Basis, CommitId, Index, Owners, Scope, Source, SourceId};
use landfast::gate::policy::{FailurePolicy, Match, Mode, Policy, Rule};
use landfast::gate::repair::Repair;
use landfast::gate::verdict::Ruling;

/// Compares with a golden file; `UPDATE=1` writes it anew.
pub(crate) fn golden(file: &Path, actual: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(file).unwrap_or_default();
    assert_eq!(actual, expected, "{} differs; UPDATE=1 writes it anew", file.display());
}

/// A repository without CODEOWNERS, or with one owner of all.
#[derive(Debug)]
pub(crate) struct OwnedBy(pub(crate) Vec<String>);

impl Owners for OwnedBy {
    fn of(&self, _: &str) -> Vec<String> {
        self.0.clone()
    }
}

/// A source may declare anything.
pub(crate) fn everywhere() -> Scope {
    let namespaces = GlobSetBuilder::new().add(Glob::new("*").unwrap()).build().unwrap();
    Scope { namespaces, patterns: vec!["*".to_owned()], cluster_scoped: true }
}

/// The revision in force.
pub(crate) fn revision() -> CommitId {
    CommitId(Arc::from("3f2a91c0000000000000000000000000000000aa"))
}

/// A source at one revision that may declare anything.
pub(crate) fn source(id: SourceId) -> Source {
    Source {
        id,
        revision: Some(revision()),
        max_lag: Duration::from_hours(24),
        scope: everywhere(),
        owners: Arc::new(OwnedBy(Vec::new())),
        faults: Arc::default(),
        refused: None,
        heads: Arc::default(),
    }
}

/// A policy that enforces all.
pub(crate) fn rule() -> Rule {
    Rule {
        name: "all".to_owned(),
        precedence: 1,
        mode: Mode::Enforce,
        failure_policy: FailurePolicy::Ignore,
        matches: Match::default(),
        drift: Ruling::Deny,
        delete: Ruling::Deny,
        undeclared_fields: Ruling::Allow,
        undeclared_objects: Ruling::Allow,
        derived_objects: Ruling::Allow,
        rollback: 0,
        writers: Vec::new(),
        ignore: Vec::new(),
        break_glass: None,
        repair: Repair::default(),
    }
}

/// One source at one revision, and one policy that enforces all.
pub(crate) fn basis(schemas: Schemas, index: Index, id: SourceId) -> Basis {
    let policy = Policy { rules: vec![rule()], ..Policy::default() };
    let sources = [(id.clone(), Arc::new(source(id)))].into();
    Basis { sources, index: Arc::new(index), schemas, policy: Arc::new(policy), grants: Arc::default() }
}
