//! What does this write reach? One object, and the part of it that the write can change.
//!
//! It says nothing of what Git declares; it only reads the request's target and the kinds that are known.

use crate::drift::declared::ObjectKey;
use crate::drift::path::FieldPath;
use crate::drift::schema::{KindInfo, Schemas};
use crate::gate::write::{Change, Target, Write};

/// What a write is aimed at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aim {
    /// The object: the parent for `/scale` and `/status`.
    pub key: ObjectKey,
    /// The part of it that the write can change.
    pub reach: Reach,
}

/// The part of an object that a write can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// All of it.
    Whole,
    /// Labels, annotations, finalizers and owners only (seen: 17 kinds let them in through `/status`).
    Metadata,
    /// The replicas, at this path of the parent.
    Replicas(FieldPath),
    /// Nothing that Git can declare; why.
    Nothing(&'static str),
}

impl Aim {
    /// Finds the object and the part that a write reaches.
    pub fn of(write: &Write<'_>, schemas: &Schemas) -> Self {
        let target = &write.target;
        let parent = schemas.kind_of_resource(&target.group, &target.resource).map(|info| &**info);
        let reach = Reach::of(target, write.change, parent);
        let kind = match parent {
            Some(info) if !target.subresource.is_empty() => &info.kind,
            Some(_) | None => &target.kind,
        };
        let namespace = match parent {
            Some(info) if !info.namespaced => "",
            Some(_) | None => &target.namespace,
        };
        Self { key: ObjectKey::new(&target.group, kind, namespace, &target.name), reach }
    }
}

impl Reach {
    fn of(target: &Target, change: Change<'_>, parent: Option<&KindInfo>) -> Self {
        let pods = target.group.is_empty() && target.resource == "pods";
        match (target.subresource.as_str(), change) {
            (_, Change::Connect) => Self::Nothing("connects to an object"),
            ("", Change::Delete { .. }) if pods => Self::Nothing("Pods may always be deleted"),
            ("eviction" | "binding" | "token", _) => Self::Nothing("is never judged"),
            ("", Change::Create { .. } | Change::Update { .. } | Change::Delete { .. }) => Self::Whole,
            ("status" | "finalize", _) => Self::Metadata,
            ("scale", _) => match parent.and_then(|info| replicas(info, target)) {
                Some(path) => Self::Replicas(path),
                None => Self::Nothing("scales a kind that is not known"),
            },
            // As in `pods/resize` and `certificatesigningrequests/approval`: the object itself is sent.
            (_, Change::Update { .. }) if parent.is_some_and(|info| info.kind == target.kind) => Self::Whole,
            (_, Change::Create { .. } | Change::Update { .. } | Change::Delete { .. }) => {
                Self::Nothing("does not reach the object")
            }
        }
    }
}

/// Where `/scale` writes: by the version that the client asked for (seen: `requestResource.version` decides for a CRD).
fn replicas(info: &KindInfo, target: &Target) -> Option<FieldPath> {
    let of = |version: &str| info.versions.iter().find(|served| served.version == version)?.scale.clone();
    of(&target.request_version).or_else(|| of(&target.version))
}
