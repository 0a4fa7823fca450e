//! What is measured? A Deployment as teams write it, declared by one source, and an update of it as the API server sends it.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use globset::{Glob, GlobSet};
use jiff::Timestamp;

use crate::drift::declared::Declared;
use crate::drift::schema::Schemas;
use crate::gate::basis::{Basis, CommitId, Entry, Index, Objects, Owners, Scope, Source, SourceId};
use crate::render;

/// The manifest in Git, 2.4 KB.
pub(super) const MANIFEST: &str = include_str!("deployment.yaml");
/// The review: an update of 12 KB by a person, with the object before and after (5.8 KB each, `managedFields` and `status`
/// among it) that adds one label which Git does not declare.
const REVIEW: &str = include_str!("update.json");

/// A review that agrees with Git.
pub(super) fn agreeing() -> Vec<u8> {
    REVIEW.trim_end().as_bytes().to_vec()
}

/// The same with another image, which drifts.
pub(super) fn drifting() -> Vec<u8> {
    let at = REVIEW.find("web:1.42.0").unwrap_or_default(); // `object` comes before `oldObject`
    let (head, tail) = REVIEW.trim_end().split_at(at);
    [head, &tail.replacen("web:1.42.0", "web:1.43.0", 1)].concat().into_bytes()
}

/// The same of an object that Git does not declare.
pub(super) fn undeclared() -> Vec<u8> {
    REVIEW.trim_end().replace(r#""name":"web","namespace":"shop""#, r#""name":"own","namespace":"shop""#).into_bytes()
}

/// What a manifest declares.
pub(super) fn declared(manifest: &[u8], schemas: &Schemas) -> anyhow::Result<Arc<Declared>> {
    let scope = everywhere();
    let with = render::Context { schemas, scope: &scope, default_namespace: None };
    let rendered = render::file("deployment.yaml", manifest, with).map_err(|fault| anyhow::anyhow!("{fault}"))?;
    rendered.objects.into_iter().next().context("the sample declares nothing")
}

/// A basis that declares it. Without a policy all is decided as if enforced, and let in.
pub(super) fn basis(declared: &Arc<Declared>, schemas: Schemas) -> Arc<Basis> {
    let id = SourceId("shop".into());
    let entry = Entry {
        source: id.clone(),
        head: Some(Arc::clone(declared)),
        since: Timestamp::UNIX_EPOCH,
        past: Arc::default(),
    };
    let objects: Objects = std::iter::once((declared.key.clone(), entry)).collect();
    let (index, _) = Index::build(&[(&id, &objects)]);
    let commit = CommitId("3f2a91c0c0ffee0000000000000000000000beef".into());
    let source = Source {
        id: id.clone(),
        revision: Some(commit),
        max_lag: crate::limits::MAX_LAG_DEFAULT,
        scope: everywhere(),
        owners: Arc::new(NoOwners),
        faults: Arc::default(),
        refused: None,
        heads: Arc::default(),
    };
    Arc::new(Basis {
        sources: BTreeMap::from([(id, Arc::new(source))]),
        index: Arc::new(index),
        schemas,
        policy: Arc::default(),
        grants: Arc::default(),
    })
}

fn everywhere() -> Scope {
    let all = Glob::new("*").and_then(|all| GlobSet::builder().add(all).build()).expect("`*` is a glob");
    Scope { namespaces: all, patterns: vec!["*".to_owned()], ..Scope::default() }
}

#[derive(Debug)]
struct NoOwners;

impl Owners for NoOwners {
    fn of(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}
