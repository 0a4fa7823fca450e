//! Which kinds are there, once the CRDs that Git declares are counted in?

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustc_hash::FxHasher;

use crate::drift::declared::Declared;
use crate::drift::schema::Schemas;
use crate::gate::basis::Fault;

/// The cluster's kinds with those of CRDs, made anew only where a CRD has changed.
#[derive(Debug, Clone)]
pub(super) struct Kinds {
    /// What is known of kinds before any CRD in Git.
    pub(super) base: Schemas,
    /// CRDs that other sources declare.
    pub(super) foreign: Arc<Vec<Arc<Declared>>>,
    own: Vec<Arc<Declared>>,
    schemas: Schemas,
}

impl Kinds {
    /// `schemas` are those that `base`, `foreign` and `own` make.
    pub(super) fn new(
        base: Schemas,
        foreign: Vec<Arc<Declared>>,
        own: impl Iterator<Item = Arc<Declared>>,
        schemas: Schemas,
    ) -> Self {
        Self { base, foreign: Arc::new(foreign), own: own.collect(), schemas }
    }

    /// The kinds once a source declares these CRDs itself.
    pub(super) fn with<'c>(&mut self, own: impl Iterator<Item = &'c Arc<Declared>> + Clone) -> &Schemas {
        if !self.own.iter().eq(own.clone()) {
            self.own = own.cloned().collect();
            (self.schemas, _) = with_crds(&self.base, self.foreign.iter().chain(&self.own));
        }
        &self.schemas
    }
}

/// The schemas of the cluster with those of all CRDs declared in Git; and the CRDs that cannot be used.
pub(super) fn with_crds<'c>(base: &Schemas, crds: impl Iterator<Item = &'c Arc<Declared>>) -> (Schemas, Vec<Fault>) {
    let (mut schemas, mut faults) = (base.clone(), Vec::new());
    for crd in crds {
        let json = serde_json::from_slice::<serde_json::Value>(&crd.json).map_err(|error| error.to_string());
        let with = json.and_then(|json| schemas.with_crd(&json).map_err(|error| error.to_string()));
        match with {
            Ok(with) => schemas = with,
            Err(what) => {
                let line = crd.lines.get(0).unwrap_or_default();
                faults.push(Fault { file: crd.file.to_string(), line, what });
            }
        }
    }
    (schemas, faults)
}

/// A number that changes when a file could read differently: when kinds come, go, move into or out of namespaces, or when a
/// field's JSON type changes.
///
/// Reading needs no more of a schema than this, so any other change within a kind's fields costs no new reading.
pub(super) fn fingerprint(schemas: &Schemas) -> u64 {
    let mut sum = 0_u64;
    for info in schemas.kinds() {
        let mut hasher = FxHasher::default();
        (&info.group, &info.kind, info.namespaced).hash(&mut hasher);
        schemas.types_digest(&info.group, &info.kind).hash(&mut hasher);
        info.versions.iter().for_each(|version| version.version.hash(&mut hasher));
        sum = sum.wrapping_add(hasher.finish());
    }
    sum
}
