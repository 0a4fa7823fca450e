//! What do the objects in the cluster ask for, together with those in files? Each is decoded for itself: a faulty one is answered
//! with all its faults, and its last good version goes on working.
//!
//! Reads nothing from the API server: `cluster` does, and hands in what it holds.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::crd::{GROUP, Object, Origin, Spec, Transport, VERSION};
use crate::config::definition::definitions;
use crate::config::{Settings, Topic, decode, resolve};
use crate::gate::basis::Fault;
use crate::yaml::{self, Node};

/// An object as the API server holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Its kind, as in `GitSource`.
    pub kind: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`: another object of the name has no claim to what this one said.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// Of two that want the same, the older has it.
    pub created: Timestamp,
    /// The manager that last wrote the spec, where the API server knows it.
    pub manager: Option<String>,
    /// `spec`, as JSON.
    pub spec: serde_json::Value,
}

/// Whether an object in the cluster may name a repository on Landfast's own disk: whoever may create it would read what lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileSources {
    /// It may not; files may.
    #[default]
    Refused,
    /// It may: `--allow-file-sources`.
    Allowed,
}

/// What became of an object in the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Which, as it is now.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The generation that this speaks of.
    pub generation: i64,
    /// All that is wrong with it; then it is not in force as it is now.
    pub faults: Vec<String>,
    /// The generation that is in force, if one is.
    pub in_force: Option<i64>,
    /// What it asks for that has no effect, and what conflicts.
    pub notices: Vec<(Topic, String)>,
}

/// What all objects ask for together.
#[derive(Debug)]
pub struct Together {
    /// In force from now on.
    pub settings: Settings,
    /// All that are in force: from files, then from the cluster.
    pub objects: Vec<Object>,
    /// What became of each in the cluster.
    pub told: Vec<Told>,
    /// Of each in the cluster the version in force, to be remembered.
    pub good: Vec<Held>,
}

const LOCAL: &str = "`spec.url` is a file on Landfast's own disk, which an object in the cluster may name only with \
                     `landfast serve --allow-file-sources`";

impl Held {
    /// How it is named where a file has its path: `driftpolicies/shop`.
    pub fn place(&self) -> String {
        let plural = definitions().into_iter().find(|definition| definition.kind == self.kind);
        format!("{}/{}", plural.map_or("objects", |definition| definition.plural), self.name)
    }

    /// The object it asks for, or all that is wrong with it.
    fn decode(&self, file_sources: FileSources) -> Result<Object, Vec<Fault>> {
        let manifest = serde_json::json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": self.kind,
            "metadata": { "name": self.name },
            "spec": self.spec,
        });
        let (place, mut faults) = (self.place(), Vec::new());
        let nodes = yaml::documents(&manifest.to_string())
            .map_err(|error| vec![Fault { file: place.clone(), line: 0, what: error.what }])?;
        let objects = decode::file(&place, &nodes, &mut faults);
        // All of it stands on one line.
        for fault in &mut faults {
            fault.line = 0;
        }
        let object = objects.into_iter().next();
        let is_local = |object: &Object| match &object.spec {
            Spec::GitSource(source) => source.url.transport == Transport::File,
            Spec::DriftPolicy(_) | Spec::BreakGlass(_) => false,
        };
        if file_sources == FileSources::Refused && object.as_ref().is_some_and(is_local) {
            faults.push(Fault { file: place.clone(), line: 0, what: LOCAL.to_owned() });
        }
        match object {
            Some(object) if faults.is_empty() => {
                let origin = Origin { file: place, line: 0 };
                Ok(Object { origin, created: Some(self.created), ..object })
            }
            Some(_) | None => Err(faults),
        }
    }

    fn is_of(&self, object: &Object) -> bool {
        self.kind == object.spec.kind() && self.name == object.name
    }
}

/// Brings together what files and the cluster hold. `good` is what was last in force of the latter.
///
/// A file wins over an object of the same kind and name in the cluster, which is told so. Fails only with faults of files.
pub fn together(
    files: &[Object],
    held: &[Held],
    good: &[Held],
    file_sources: FileSources,
) -> Result<Together, Vec<Fault>> {
    let (mut objects, mut told, mut kept) = (files.to_vec(), Vec::new(), Vec::new());
    for held in held {
        let first = files.iter().find(|object| held.is_of(object));
        let decoded = match first {
            Some(first) => Err(vec![format!("{} {} is in {} too, which counts", held.kind, held.name, first.origin)]),
            None => held.decode(file_sources).map_err(|faults| faults.into_iter().map(|fault| fault.what).collect()),
        };
        let (faults, in_force) = match decoded {
            Ok(object) => (Vec::new(), Some((held, object))),
            Err(faults) if first.is_some() => (faults, None),
            Err(faults) => {
                let earlier = good.iter().find(|good| good.uid == held.uid && good.kind == held.kind);
                (faults, earlier.and_then(|earlier| Some((earlier, earlier.decode(file_sources).ok()?))))
            }
        };
        told.push(Told {
            kind: held.kind.clone(),
            name: held.name.clone(),
            uid: held.uid.clone(),
            generation: held.generation,
            faults,
            in_force: in_force.as_ref().map(|(version, _)| version.generation),
            notices: Vec::new(),
        });
        if let Some((version, object)) = in_force {
            kept.push(version.clone());
            objects.push(object);
        }
    }
    let settings = resolve::resolve(&objects)?;
    for (held, told) in held.iter().zip(&mut told) {
        let place = held.place();
        let of_it = settings.notices.iter().filter(|notice| notice.fault.file == place);
        told.notices = of_it.map(|notice| (notice.topic, notice.fault.what.clone())).collect();
    }
    Ok(Together { settings, objects, told, good: kept })
}

/// A number that changes with what an object asks for. It holds nothing of it, so that it can be kept anywhere.
pub(super) fn fingerprint(node: &Node) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    node.get("spec").map(Node::to_json).hash(&mut hasher);
    hasher.finish()
}
