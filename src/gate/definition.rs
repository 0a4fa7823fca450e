//! What does a change of a CustomResourceDefinition take from declared objects? Versions that are served no more, fields that are
//! kept no more.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::drift::declared::{Declared, ObjectKey};
use crate::drift::document::Document;
use crate::drift::dropped::dropped;
use crate::drift::schema::Schemas;
use crate::gate::aim::Reach;
use crate::gate::basis::Entry;
use crate::gate::case::Case;
use crate::gate::write::Change;

/// Declared objects from which an update of a CustomResourceDefinition takes something, in order.
pub(crate) fn robbed<'c>(case: &Case<'c>) -> Vec<(&'c ObjectKey, &'c Entry)> {
    let key = &case.aim.key;
    let is_definition = (key.group(), key.kind()) == ("apiextensions.k8s.io", "CustomResourceDefinition");
    let Change::Update { before, after } = case.write.change else { return Vec::new() };
    if !is_definition || case.aim.reach != Reach::Whole {
        return Vec::new();
    }
    // Only where Git declares objects of the kind is a definition read at all.
    let Some((_, group)) = key.name().split_once('.') else { return Vec::new() };
    if !case.basis.index.by_kind.keys().any(|(declared, _)| **declared == *group) {
        return Vec::new();
    }
    let (Some(before), Some(after)) = (Definition::read(before), Definition::read(after)) else { return Vec::new() };
    if before.spec() == after.spec() {
        return Vec::new();
    }
    let objects = case.basis.index.objects.iter();
    let of_kind = objects.filter(|(key, _)| key.group() == group && key.kind() == before.kind());
    let mut robbed: Vec<_> = of_kind
        .filter(|(_, entry)| entry.head.as_ref().is_some_and(|declared| after.takes_from(&before, declared)))
        .collect();
    robbed.sort_unstable_by_key(|(key, _)| *key);
    robbed
}

/// A CustomResourceDefinition as one side of a write has it.
struct Definition {
    manifest: Value,
    /// Its kind alone, unless nothing is served.
    schemas: Schemas,
}

impl Definition {
    fn read(object: &RawValue) -> Option<Self> {
        let manifest: Value = serde_json::from_str(object.get()).ok()?;
        let schemas = Schemas::default().with_crd(&manifest).unwrap_or_default();
        Some(Self { manifest, schemas })
    }

    fn spec(&self) -> &Value {
        &self.manifest["spec"]
    }

    fn kind(&self) -> &str {
        self.spec()["names"]["kind"].as_str().unwrap_or_default()
    }

    fn serves(&self, version: &str) -> bool {
        let mut versions = self.spec()["versions"].as_array().into_iter().flatten();
        versions.any(|served| served["name"] == version && served["served"] == true)
    }

    /// Whether something of what is declared was served and kept before, and is not any more.
    fn takes_from(&self, before: &Self, declared: &Declared) -> bool {
        if !self.serves(&declared.version) {
            return before.serves(&declared.version);
        }
        let Ok(document) = Document::parse(&declared.json) else { return false };
        let (group, kind) = (declared.key.group(), declared.key.kind());
        let lost =
            |schemas: &Schemas| schemas.schema(group, &declared.version, kind).map(|schema| dropped(schema, &document));
        match (lost(&before.schemas), lost(&self.schemas)) {
            (Some(before), Some(after)) => !after.is_subset(&before),
            (None, Some(_)) | (_, None) => false,
        }
    }
}
