//! What is a kind, and what of its objects is compared?

use std::sync::Arc;

use landfast::drift::schema::Schemas;
use serde_json::{Value, json};

use crate::judge::Step;
use crate::offer::{Down, Offer};

/// A version of a kind.
#[expect(clippy::struct_field_names, reason = "a kind's kind is what everybody calls it")]
pub struct Kind {
    /// As in `Deployment.v1.apps`.
    pub title: String,
    /// API group; empty for the core group.
    pub group: String,
    /// As in `v1`.
    pub version: String,
    /// As in `Deployment`.
    pub kind: String,
    /// Where its objects live: `/apis/apps/v1/namespaces/oracle/deployments`.
    pub collection: String,
    /// The namespace of its objects, where they have one.
    pub namespace: Option<String>,
    /// Whether `status` is a subresource.
    pub status_apart: bool,
    /// Whether it is one of our own.
    pub custom: bool,
    /// Objects that the server lets in; `$n` stands for a number.
    pub seeds: Vec<Value>,
    /// All places that its schema offers.
    pub places: Vec<Vec<Down>>,
    /// Those of them that the server lets be changed, as numbers, where it does so of few.
    pub movable: Vec<usize>,
    /// The OpenAPI document of its group and version.
    pub document: Arc<Value>,
    /// The definitions of our own kinds of its group.
    pub definitions: Vec<Value>,
    /// What the engine is given to know: more than one, where it may learn of the kind in more than one way.
    pub schemas: Vec<Schemas>,
}

impl Kind {
    /// What Landfast may know of a kind: of a built-in one the embedded table; of a custom one its definition in Git, or the
    /// server's OpenAPI, with the server's definition where there may be several versions.
    pub fn known(definitions: &[Value], document: &Value) -> Vec<Schemas> {
        if definitions.is_empty() {
            return vec![Schemas::builtin()];
        }
        let with = |all: Schemas, own: &Value| all.with_crd(own).unwrap();
        let several =
            definitions.iter().filter(|own| own["spec"]["versions"].as_array().is_some_and(|all| all.len() > 1));
        let by_server = several.fold(Schemas::builtin().with_openapi(document).unwrap(), with);
        vec![definitions.iter().fold(Schemas::builtin(), with), by_server]
    }

    /// The path of an object, or of the collection.
    pub fn path(&self, name: &str) -> String {
        if name.is_empty() { self.collection.clone() } else { format!("{}/{name}", self.collection) }
    }

    /// The kind's schema, as the server publishes it.
    pub fn offer(&self) -> Offer<'_> {
        let book = &self.document["components"]["schemas"];
        Offer::of_kind(book, &self.group, &self.version, &self.kind).expect("kinds without a schema are not tested")
    }

    /// Whether its objects are this kind's in another version.
    pub fn is_another_version_of(&self, kind: &Self) -> bool {
        self.version != kind.version && (&self.group, &self.kind) == (&kind.group, &kind.kind)
    }

    /// The objects to begin with, those first that hold most of what these ways lead to.
    pub fn seeds_for(&self, ways: &[&[Down]]) -> Vec<usize> {
        let held = |seed: &Value| ways.iter().map(|way| reached(seed, way)).sum::<usize>();
        let mut order: Vec<usize> = (0..self.seeds.len()).collect();
        order.sort_by_key(|number| std::cmp::Reverse(held(&self.seeds[*number])));
        order
    }

    /// An object to begin with, by number.
    pub fn seed(&self, number: usize, name: usize) -> Value {
        let mut seed = self.seeds[number].clone();
        if !seed["metadata"]["name"].as_str().is_some_and(|name| name.contains("$n")) {
            seed["metadata"]["name"] = json!(format!("o-$n-{}", self.version));
        }
        fill(&mut seed, &format!("{name:x}"));
        if let Some(namespace) = &self.namespace {
            seed["metadata"]["namespace"] = json!(namespace);
        }
        seed
    }
}

/// Where the server lets objects be changed that it mostly does not: varied in every other batch.
const MOVABLE: [(&str, &[&str]); 2] = [
    (
        "Pod",
        &[
            "metadata.annotations",
            "metadata.finalizers",
            "metadata.labels",
            "metadata.ownerReferences",
            "spec.activeDeadlineSeconds",
            "spec.containers.image",
            "spec.initContainers.image",
            "spec.terminationGracePeriodSeconds",
            "spec.tolerations",
        ],
    ),
    (
        "Job",
        &[
            "metadata.annotations",
            "metadata.finalizers",
            "metadata.labels",
            "metadata.ownerReferences",
            "spec.activeDeadlineSeconds",
            "spec.backoffLimit",
            "spec.parallelism",
            "spec.suspend",
            "spec.ttlSecondsAfterFinished",
        ],
    ),
];

/// The places of a kind of which few can be changed.
pub fn movable(kind: &str, places: &[Vec<Down>]) -> Vec<usize> {
    let fields = MOVABLE.iter().find(|(own, _)| *own == kind).map(|(_, fields)| *fields).unwrap_or_default();
    let is_within = |way: &[Down]| {
        let members = way.iter().filter_map(|down| match down {
            Down::Member(name) => Some(name.as_str()),
            Down::Inside => None,
        });
        let path = members.collect::<Vec<_>>().join(".");
        fields.iter().any(|field| path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    };
    (0..places.len()).filter(|number| is_within(&places[*number])).collect()
}

/// How many steps of a way lead to something.
fn reached(value: &Value, way: &[Down]) -> usize {
    let Some((down, rest)) = way.split_first() else { return 0 };
    match (down, value) {
        (Down::Member(name), Value::Object(members)) => members.get(name).map_or(0, |value| 1 + reached(value, rest)),
        (Down::Inside, Value::Object(members)) => {
            members.values().map(|value| 1 + reached(value, rest)).max().unwrap_or(0)
        }
        (Down::Inside, Value::Array(items)) => items.iter().map(|value| 1 + reached(value, rest)).max().unwrap_or(0),
        _ => 0,
    }
}

/// Puts a number in the place of `$n`.
fn fill(value: &mut Value, number: &str) {
    match value {
        Value::String(text) if text.contains("$n") => *text = text.replace("$n", number),
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, number)),
        Value::Object(members) => members.values_mut().for_each(|member| fill(member, number)),
        _ => {}
    }
}

/// Members of `metadata` that the server alone writes, or that name the object.
pub const SERVER_OWNED: [&str; 10] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "managedFields",
];

/// What a declaration never holds.
pub fn is_left_out(way: &[Down], status_apart: bool) -> bool {
    let name = |at: usize| match way.get(at) {
        Some(Down::Member(name)) => name.as_str(),
        Some(Down::Inside) | None => "",
    };
    let member = |name: &str| way.iter().position(|down| *down == Down::Member(name.to_owned()));
    // Ephemeral containers come through a subresource of their own, managed fields from the server alone.
    if ["ephemeralContainers", "managedFields"].into_iter().filter_map(member).any(|at| at + 1 < way.len()) {
        return true;
    }
    match name(0) {
        "apiVersion" | "kind" => true,
        "status" => status_apart,
        "metadata" => SERVER_OWNED.contains(&name(1)),
        _ => false,
    }
}

/// Whether a path is compared at all.
pub fn is_passed_over(path: &[Step], status_apart: bool) -> bool {
    let ways: Vec<Down> = path
        .iter()
        .take(2)
        .map(|step| match step {
            Step::Field(name) => Down::Member(name.clone()),
            _ => Down::Inside,
        })
        .collect();
    is_left_out(&ways, status_apart)
}
