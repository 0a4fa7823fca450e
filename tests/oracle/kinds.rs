//! Which kinds are there, and what does a valid object of each look like? By the server's own discovery.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use landfast::drift::schema::Schemas;
use landfast::yaml;
use serde_json::{Value, json};

use crate::embed::embed;
use crate::kind::{Kind, is_left_out, movable};
use crate::offer::Offer;
use crate::server::Server;
use crate::values::example;

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
        let own = custom.iter().filter(|all| is_custom && all[0]["spec"]["group"] == group);
        let definitions: Vec<Value> = own.map(|all| all[0].clone()).collect();
        let schemas = Kind::known(&definitions, &document);
        for resource in resources["resources"].as_array().unwrap() {
            let found = Found { group, version, path, resource, resources: &resources };
            if let Some(kind) = found.kind(&document, &schemas, &seeds, &definitions) {
                kinds.push(kind);
            }
        }
    }
    kinds.sort_by(|one, other| one.title.cmp(&other.title));
    kinds
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
        definitions: &[Value],
    ) -> Option<Kind> {
        let (name, kind) = (self.resource["name"].as_str()?, self.resource["kind"].as_str()?);
        let can =
            |verb: &str| self.resource["verbs"].as_array().is_some_and(|verbs| verbs.iter().any(|own| own == verb));
        if name.contains('/') || !["create", "get", "patch", "delete"].into_iter().all(can) {
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
        let places = offer.places(|way| is_left_out(way, status_apart));
        Some(Kind {
            title: [kind, self.version, self.group].join(".").trim_end_matches('.').to_owned(),
            group: self.group.to_owned(),
            version: self.version.to_owned(),
            kind: kind.to_owned(),
            collection: format!("/{}{within}/{name}", self.path),
            namespace,
            status_apart,
            custom: !definitions.is_empty(),
            definitions: definitions.to_vec(),
            seeds: found,
            movable: movable(kind, &places),
            places,
            document: Arc::clone(document),
            schemas: schemas.to_vec(),
        })
    }
}
