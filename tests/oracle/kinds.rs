//! Which kinds are there, and what does a valid object of each look like? By the server's own discovery.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use landfast::drift::schema::Schemas;
use landfast::yaml;
use serde_json::{Value, json};

use crate::embed::embed;
use crate::offer::{Down, Offer};
use crate::server::Server;
use crate::values::example;

/// A version of a kind.
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
    /// The OpenAPI document of its group and version.
    document: Arc<Value>,
    /// What the engine is given to know: more than one, where it may learn of the kind in more than one way.
    pub schemas: Vec<Schemas>,
}

/// Kinds that can be created and read, and are left out, with the reason.
pub const LEFT_OUT: [(&str, &str); 0] = [];

impl Kind {
    /// The path of an object, or of the collection.
    pub fn path(&self, name: &str) -> String {
        if name.is_empty() { self.collection.clone() } else { format!("{}/{name}", self.collection) }
    }

    /// The kind's schema, as the server publishes it.
    pub fn offer(&self) -> Offer<'_> {
        let book = &self.document["components"]["schemas"];
        Offer::of_kind(book, &self.group, &self.version, &self.kind).expect("kinds without a schema are not tested")
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
            seed["metadata"]["name"] = json!("o-$n");
        }
        fill(&mut seed, &format!("{name:x}"));
        if let Some(namespace) = &self.namespace {
            seed["metadata"]["namespace"] = json!(namespace);
        }
        seed
    }
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

/// The namespace of a kind's objects: one for each, because a LimitRange or a ResourceQuota would reach the others.
pub fn namespace(kind: &str) -> String {
    format!("oracle-{}", kind.to_lowercase())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn manifests(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    let documents = yaml::documents(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let all = documents.iter().map(|document| serde_json::from_str::<Value>(&document.to_json()).unwrap());
    all.flat_map(|document| match document["items"].as_array() {
        Some(items) if document["kind"] == "List" => items.clone(),
        _ => vec![document],
    })
    .collect()
}

/// Our own kinds: in each file a CustomResourceDefinition, and objects of it.
pub async fn custom(server: &Server) -> Vec<Vec<Value>> {
    let core = server.read("/openapi/v3/api/v1").await;
    let mut files: Vec<_> =
        std::fs::read_dir(folder().join("oracle/crds")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (pods, _) = rich();
    let read = |file: &PathBuf| {
        let mut all = manifests(file);
        embed(&mut all[0], &core["components"]["schemas"]);
        let objects = all.split_off(1);
        all.extend(objects.iter().flat_map(|object| with_pods(object, &pods)));
        all
    };
    files.iter().map(read).collect()
}

/// An object once with each of the Pods in the place of `$spec`; once where it has no such place.
fn with_pods(object: &Value, pods: &[Value]) -> Vec<Value> {
    let text = object.to_string();
    if !text.contains("\"$spec\"") {
        return vec![object.clone()];
    }
    pods.iter().map(|pod| serde_json::from_str(&text.replace("\"$spec\"", &pod.to_string())).unwrap()).collect()
}

/// Pods that hold much of what they may, and objects that hold much of what their kinds may.
fn rich() -> (Vec<Value>, Vec<Value>) {
    let file = manifests(&folder().join("oracle/rich.yaml")).remove(0);
    let (pods, objects) = (file["pods"].as_array().unwrap(), file["objects"].as_array().unwrap());
    (pods.clone(), objects.iter().flat_map(|object| with_pods(object, pods)).collect())
}

/// Objects to begin with, by `apiVersion` and kind.
fn seeds(custom: &[Vec<Value>]) -> BTreeMap<(String, String), Vec<Value>> {
    let name = |object: &Value| {
        let text = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
        (text("apiVersion"), text("kind"))
    };
    let mut own = BTreeMap::<_, Vec<Value>>::new();
    for object in manifests(&folder().join("oracle/seeds.yaml"))
        .into_iter()
        .chain(custom.iter().flat_map(|all| all[1..].to_vec()))
    {
        own.entry(name(&object)).or_default().push(object);
    }
    let mut all = BTreeMap::<_, Vec<Value>>::new();
    for object in manifests(&folder().join("data/sparse.yaml")) {
        all.entry(name(&object)).or_default().push(object);
    }
    all.extend(own);
    for object in rich().1 {
        all.entry(name(&object)).or_default().push(object);
    }
    all
}

/// All kinds that can be created and read back, in the order of their titles.
pub async fn all(server: &Server, custom: &[Vec<Value>]) -> Vec<Kind> {
    let seeds = seeds(custom);
    let groups: Vec<_> = custom.iter().map(|all| all[0]["spec"]["group"].clone()).collect();
    let mut kinds = Vec::new();
    let index = server.read("/openapi/v3").await;
    for (path, document) in index["paths"].as_object().unwrap() {
        let Some(version) = path.rsplit('/').next().filter(|_| path.starts_with("api") && path.contains("/v")) else {
            continue;
        };
        let group = if path.starts_with("apis/") { path.split('/').nth(1).unwrap() } else { "" };
        let resources = server.read(&format!("/{path}")).await;
        let document = Arc::new(server.read(document["serverRelativeURL"].as_str().unwrap()).await);
        let is_custom = groups.iter().any(|own| own == group);
        let schemas = if is_custom { with_custom(custom, group, &document) } else { vec![Schemas::builtin()] };
        for resource in resources["resources"].as_array().unwrap() {
            let found = Found { group, version, path, resource, resources: &resources };
            if let Some(kind) = found.kind(&document, &schemas, &seeds, is_custom) {
                kinds.push(kind);
            }
        }
    }
    kinds.sort_by(|one, other| one.title.cmp(&other.title));
    kinds
}

/// Landfast knows a custom resource by its definition in Git, or by the server's OpenAPI.
fn with_custom(custom: &[Vec<Value>], group: &str, document: &Value) -> Vec<Schemas> {
    let own = custom.iter().filter(|all| all[0]["spec"]["group"] == group);
    let by_definition = own.fold(Schemas::builtin(), |schemas, all| schemas.with_crd(&all[0]).unwrap());
    vec![by_definition, Schemas::builtin().with_openapi(document).unwrap()]
}

/// A resource, as discovery has it.
struct Found<'d> {
    group: &'d str,
    version: &'d str,
    path: &'d str,
    resource: &'d Value,
    resources: &'d Value,
}

impl Found<'_> {
    fn kind(
        &self,
        document: &Arc<Value>,
        schemas: &[Schemas],
        seeds: &BTreeMap<(String, String), Vec<Value>>,
        custom: bool,
    ) -> Option<Kind> {
        let (name, kind) = (self.resource["name"].as_str()?, self.resource["kind"].as_str()?);
        let can =
            |verb: &str| self.resource["verbs"].as_array().is_some_and(|verbs| verbs.iter().any(|own| own == verb));
        if name.contains('/') || !["create", "get", "patch", "delete"].into_iter().all(can) {
            return None;
        }
        if LEFT_OUT.iter().any(|(own, _)| *own == kind) {
            return None;
        }
        let namespace = (self.resource["namespaced"] == true).then(|| namespace(kind));
        let within = namespace.as_ref().map_or(String::new(), |namespace| format!("/namespaces/{namespace}"));
        let status = format!("{name}/status");
        let status_apart = self.resources["resources"].as_array()?.iter().any(|own| own["name"] == status.as_str());
        let book = &document["components"]["schemas"];
        let offer = Offer::of_kind(book, self.group, self.version, kind)?;
        let api_version =
            if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) };
        let found = seeds.get(&(api_version.clone(), kind.to_owned())).cloned().unwrap_or_else(|| {
            let mut seed = example(offer, "", 0, 0);
            (seed["apiVersion"], seed["kind"], seed["metadata"]) = (json!(api_version), json!(kind), json!({}));
            vec![seed]
        });
        Some(Kind {
            title: [kind, self.version, self.group].join(".").trim_end_matches('.').to_owned(),
            group: self.group.to_owned(),
            version: self.version.to_owned(),
            kind: kind.to_owned(),
            collection: format!("/{}{within}/{name}", self.path),
            namespace,
            status_apart,
            custom,
            seeds: found,
            places: offer.places(|way| is_left_out(way, status_apart)),
            document: Arc::clone(document),
            schemas: schemas.to_vec(),
        })
    }
}

/// Members of `metadata` that the server alone writes, or that name the object.
const SERVER_OWNED: [&str; 10] = [
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
fn is_left_out(way: &[Down], status_apart: bool) -> bool {
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
pub fn is_passed_over(path: &[crate::judge::Step], status_apart: bool) -> bool {
    let ways: Vec<Down> = path
        .iter()
        .take(2)
        .map(|step| match step {
            crate::judge::Step::Field(name) => Down::Member(name.clone()),
            _ => Down::Inside,
        })
        .collect();
    is_left_out(&ways, status_apart)
}
