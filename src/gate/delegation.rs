//! Which fields of an object does some controller move? They leave the declaration for deployers and for repair.
//!
//! By a policy, or because Git itself declares an autoscaler for the object.

use crate::drift::declared::{Declared, ObjectKey};
use crate::drift::document::{At, Document};
use crate::drift::path::FieldPath;
use crate::gate::basis::{Basis, SourceId};

/// Kinds that move the replicas of their `spec.scaleTargetRef`.
const SCALERS: &[(&str, &str)] = &[("autoscaling", "HorizontalPodAutoscaler"), ("keda.sh", "ScaledObject")];

/// What leaves the declaration of one object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delegated<'b> {
    pub(crate) basis: &'b Basis,
    pub(crate) key: &'b ObjectKey,
    /// The source that declares it.
    pub(crate) source: Option<&'b SourceId>,
    /// The version that it is seen in.
    pub(crate) version: &'b str,
}

impl Delegated<'_> {
    /// Whether some controller moves this field.
    pub(crate) fn covers(&self, path: &FieldPath) -> bool {
        self.basis.policy.delegates(self.key, self.source, path)
            || (self.replicas().as_ref() == Some(path) && self.has_declared_scaler())
    }

    /// Where the kind's `/scale` writes.
    pub(crate) fn replicas(&self) -> Option<FieldPath> {
        let info = self.basis.schemas.kind(self.key.group(), self.key.kind())?;
        let versions = info.versions.iter();
        versions.filter(|served| served.version == self.version).find_map(|served| served.scale.clone())
    }

    /// Whether Git declares an autoscaler for the object. Asked only where its replicas differ.
    fn has_declared_scaler(&self) -> bool {
        SCALERS.iter().any(|(group, kind)| {
            self.basis.index.by_kind.contains_key(&((*group).into(), (*kind).into()))
                && self.basis.index.objects.iter().any(|(key, entry)| {
                    (key.group(), key.kind(), key.namespace()) == (group, kind, self.key.namespace())
                        && entry.head.as_deref().is_some_and(|scaler| self.is_target_of(scaler))
                })
        })
    }

    fn is_target_of(&self, scaler: &Declared) -> bool {
        let Ok(scaler) = Document::parse(&scaler.json) else { return false };
        let target = scaler.root().get("spec").and_then(|spec| spec.get("scaleTargetRef"));
        let named = |name: &str| target.and_then(|target| target.get(name)).and_then(At::as_str);
        let group = named("apiVersion").map(|version| version.rsplit_once('/').map_or("", |(group, _)| group));
        // KEDA takes a Deployment of `apps` where kind and version are left out.
        named("name") == Some(self.key.name())
            && named("kind").unwrap_or("Deployment") == self.key.kind()
            && group.unwrap_or("apps") == self.key.group()
    }
}
