//! What does the API server's OpenAPI v3 say of the kinds of one group-version?
//!
//! It tells which kinds there are, their subresources, and how their parts merge. What it does not tell of built-in kinds
//! (whether a zero is absence, what the server fills in) is taken from the embedded table, member by member, and is unknown
//! where the table does not have the member. Custom resources are read as [`structural`](crate::drift::structural) reads them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::drift::arena::{Arena, MapType, Type, TypeId};
use crate::drift::native::Native;
use crate::drift::path::FieldPath;
use crate::drift::schema::{KindInfo, Over, Root, SchemaError, Schemas, VersionInfo};
use crate::drift::structural::{Structural, Wrong};

impl Schemas {
    /// These schemas with those of one group-version of the API server's OpenAPI v3 (`/openapi/v3/apis/<group>/<version>`).
    ///
    /// Other versions of a kind stay as they were known. An error where it is no such document; it never panics.
    pub fn with_openapi(&self, openapi: &Value) -> Result<Self, SchemaError> {
        let wrong = |subject: &str, what: &str| SchemaError { subject: subject.to_owned(), what: what.to_owned() };
        let paths = openapi["paths"].as_object().ok_or_else(|| wrong("a group-version", "it has no paths"))?;
        let none = Map::new();
        let definitions = openapi["components"]["schemas"].as_object().unwrap_or(&none);
        let names = definitions_by_kind(definitions);
        let mut compiler = Compiler { known: self, definitions, arena: Arena::new() };
        let mut kinds = Vec::new();
        for found in served(paths).into_values() {
            let Some(name) = names.get(&(found.group, found.version, found.kind)) else {
                continue; // a path whose kind has no definition of its own, such as a subresource's
            };
            let ty = compiler.root(&found, name).map_err(|what| wrong(name, what))?;
            kinds.push((compiler.info(&found, ty), found.version.to_owned(), ty));
        }
        let arena = compiler.arena.finished();
        let root = |version: String, ty| Root { version: version.into(), arena: Arc::clone(&arena), ty };
        let kinds = kinds.into_iter().map(|(info, version, ty)| (info, vec![root(version, ty)])).collect();
        Ok(self.with(kinds, Over::Versions))
    }
}

/// A kind as the paths of the document tell of it.
struct Found<'o> {
    group: &'o str,
    version: &'o str,
    kind: &'o str,
    resource: &'o str,
    namespaced: bool,
    status: bool,
    scale: bool,
}

/// The kinds that can be read back, by resource.
fn served(paths: &Map<String, Value>) -> BTreeMap<&str, Found<'_>> {
    let mut found = BTreeMap::new();
    for (path, operations) in paths {
        let Some((resource, "", namespaced)) = resource_of(path) else { continue };
        let gvk = &operations["get"]["x-kubernetes-group-version-kind"];
        let (Some(group), Some(version), Some(kind)) =
            (gvk["group"].as_str(), gvk["version"].as_str(), gvk["kind"].as_str())
        else {
            continue;
        };
        let kind = Found { group, version, kind, resource, namespaced, status: false, scale: false };
        found.insert(resource, kind);
    }
    for path in paths.keys() {
        let Some((resource, subresource, _)) = resource_of(path) else { continue };
        let Some(kind) = found.get_mut(resource) else { continue };
        kind.status |= subresource == "status";
        kind.scale |= subresource == "scale";
    }
    found
}

/// The resource and subresource of a path that names one object, and whether it lies in a namespace.
fn resource_of(path: &str) -> Option<(&str, &str, bool)> {
    let below =
        path.strip_prefix("/api/").or_else(|| path.strip_prefix("/apis/")?.split_once('/').map(|(_, rest)| rest))?;
    let (_version, below) = below.split_once('/')?;
    let (below, namespaced) = match below.strip_prefix("namespaces/{namespace}/") {
        Some(below) => (below, true),
        None => (below, false),
    };
    let (resource, object) = below.split_once('/')?;
    match object.split_once('/') {
        None if object == "{name}" => Some((resource, "", namespaced)),
        Some(("{name}", subresource)) => Some((resource, subresource, namespaced)),
        _ => None,
    }
}

/// The definitions that are a kind's own, by group, version and kind.
fn definitions_by_kind(definitions: &Map<String, Value>) -> BTreeMap<(&str, &str, &str), &str> {
    let mut names = BTreeMap::new();
    for (name, definition) in definitions {
        let Some([gvk]) = definition["x-kubernetes-group-version-kind"].as_array().map(Vec::as_slice) else {
            continue; // none, or one that every kind has, such as DeleteOptions
        };
        if let (Some(group), Some(version), Some(kind)) =
            (gvk["group"].as_str(), gvk["version"].as_str(), gvk["kind"].as_str())
        {
            names.insert((group, version, kind), name.as_str());
        }
    }
    names
}

struct Compiler<'o> {
    known: &'o Schemas,
    definitions: &'o Map<String, Value>,
    arena: Arena,
}

impl Compiler<'_> {
    fn root(&mut self, found: &Found<'_>, name: &str) -> Result<TypeId, Wrong> {
        let definition = &self.definitions[name];
        let metadata = &definition["properties"]["metadata"];
        if metadata.is_null() {
            return Structural::new(&mut self.arena).root(&Value::Null);
        }
        // Go types have `default: {}` there, because metadata is no pointer; custom resources have none.
        if metadata["default"].is_null() {
            return Structural::new(&mut self.arena).root(definition);
        }
        Native::new(&mut self.arena, self.definitions).root(name, (found.group, found.version, found.kind))
    }

    fn info(&self, found: &Found<'_>, ty: TypeId) -> KindInfo {
        let known = self.known.kind(found.group, found.kind);
        // OpenAPI does not tell; a CRD in Git may have.
        let conversion = known.map(|info| info.conversion).unwrap_or_default();
        let known = known.and_then(|info| info.versions.iter().find(|known| known.version == found.version));
        let scale = match known.and_then(|version| version.scale.clone()) {
            Some(path) if found.scale => Some(path),
            _ => found.scale.then(|| self.replicas(ty)).flatten(),
        };
        KindInfo {
            group: found.group.to_owned(),
            kind: found.kind.to_owned(),
            resource: found.resource.to_owned(),
            namespaced: found.namespaced,
            versions: vec![VersionInfo { version: found.version.to_owned(), status: found.status, scale }],
            served: true,
            conversion,
        }
    }

    /// Where the replicas are, by custom: OpenAPI does not tell it of custom resources.
    fn replicas(&self, ty: TypeId) -> Option<FieldPath> {
        let spec = self.map(ty)?.named("spec")?.ty;
        self.map(spec)?.named("replicas")?;
        Some(FieldPath::of(["spec", "replicas"]))
    }

    fn map(&self, ty: TypeId) -> Option<&MapType> {
        match self.arena.get(ty) {
            Type::Map(map) => Some(map),
            Type::Scalar(_) | Type::List { .. } | Type::Deduced => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::drift::schema::{Default, Relation, Schemas, Shape, Zero};
    use crate::drift::shape::walk::{at, keys, map};

    const METADATA: &str = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

    /// A document with one kind, its definition and others.
    fn document(gvk: [&str; 3], resource: &str, definition: Value, others: Value) -> Value {
        let [group, version, kind] = gvk;
        let name = json!({"group": group, "version": version, "kind": kind});
        let path = format!("/apis/{group}/{version}/namespaces/{{namespace}}/{resource}/{{name}}");
        let get = json!({"get": {"x-kubernetes-group-version-kind": name}});
        let mut schemas = others;
        schemas["own"] = definition;
        schemas["own"]["type"] = json!("object");
        schemas["own"]["x-kubernetes-group-version-kind"] = json!([name]);
        let paths = json!({path.clone(): get, format!("{path}/status"): get, format!("{path}/scale"): get});
        json!({"paths": paths, "components": {"schemas": schemas}})
    }

    fn reference(name: &str) -> Value {
        json!({"allOf": [{"$ref": format!("#/components/schemas/{name}")}]})
    }

    #[test]
    fn a_built_in_member_keeps_what_the_table_knows_of_it() {
        let spec = json!({"type": "object", "properties": {
            "replicas": {"type": "integer"},
            "paused": {"type": "boolean"},
            "novelty": {"type": "boolean"},
            "list": {"type": "array", "items": {"type": "string"}},
            "pointer": reference("io.k8s.api.apps.v1.DeploymentSpec"),
        }});
        let mut value_struct = reference("io.k8s.api.apps.v1.DeploymentSpec");
        value_struct["default"] = json!({});
        let definition =
            json!({"properties": {"metadata": {"allOf": [{"$ref": METADATA}], "default": {}}, "spec": value_struct}});
        let document = document(
            ["apps", "v1", "Deployment"],
            "deployments",
            definition,
            json!({"io.k8s.api.apps.v1.DeploymentSpec": spec}),
        );
        let schemas = Schemas::builtin().with_openapi(&document).unwrap();
        let deployment = schemas.schema("apps", "v1", "Deployment").unwrap();
        assert_eq!(at(deployment, "spec.replicas").default, Default::Value("1"));
        assert_eq!(at(deployment, "spec.paused").zero, Zero::Absent);
        assert_eq!(at(deployment, "spec.novelty").zero, Zero::Unknown);
        assert_eq!(at(deployment, "spec.novelty").default, Default::Depends);
        assert_eq!(at(deployment, "spec.list").zero, Zero::Absent);
        assert_eq!(at(deployment, "spec.pointer").zero, Zero::Value);
        assert!(map(at(deployment, "spec").schema).member("strategy").is_none(), "this server does not have it");
        assert!(schemas.schema("apps", "v1", "StatefulSet").is_some(), "others stay");
    }

    #[test]
    fn lists_merge_as_the_server_says() {
        let item = json!({"type": "object", "properties": {
            "port": {"type": "integer", "default": 0}, "protocol": {"type": "string", "default": "TCP"}}});
        let list = |more: Value| {
            let mut list = json!({"type": "array", "items": reference("item")});
            list.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            list
        };
        let definition = json!({"properties": {
            "metadata": {"allOf": [{"$ref": METADATA}], "default": {}},
            "keyed": list(json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
                "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "port"})),
            "patched": list(json!({"x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "port"})),
            "set": list(json!({"x-kubernetes-patch-strategy": "merge"})),
            "plain": list(json!({})),
        }});
        let document = document(["metrics.k8s.io", "v1", "Thing"], "things", definition, json!({"item": item}));
        let schemas = Schemas::builtin().with_openapi(&document).unwrap();
        let thing = schemas.schema("metrics.k8s.io", "v1", "Thing").unwrap();
        assert_eq!(keys(at(thing, "keyed")), ["port=0", "protocol=\"TCP\""]);
        assert_eq!(keys(at(thing, "patched")), ["port=0"]);
        assert!(matches!(at(thing, "set").schema.shape(), Shape::List { relation: Relation::Set, .. }));
        assert!(matches!(at(thing, "plain").schema.shape(), Shape::List { relation: Relation::Atomic, .. }));
        let info = schemas.kind("metrics.k8s.io", "Thing").unwrap();
        assert!(info.namespaced && info.served && info.versions[0].status);
        assert!(info.versions[0].scale.is_none(), "nothing tells where its replicas are");
    }

    #[test]
    fn a_custom_resource_is_read_as_one() {
        let definition = json!({"properties": {
            "metadata": {"allOf": [{"$ref": METADATA}]},
            "spec": {"type": "object", "properties": {"replicas": {"type": "integer", "default": 2}}},
        }});
        let document = document(["example.com", "v1", "Thing"], "things", definition, json!({}));
        let schemas = Schemas::builtin().with_openapi(&document).unwrap();
        let thing = schemas.schema("example.com", "v1", "Thing").unwrap();
        let replicas = at(thing, "spec.replicas");
        assert_eq!((replicas.zero, replicas.default), (Zero::Value, Default::Value("2")));
        assert_eq!(at(thing, "metadata.labels").zero, Zero::Absent);
        assert!(schemas.kind("example.com", "Thing").unwrap().versions[0].scale.is_some());
    }

    #[test]
    fn no_document_can_do_harm() {
        let none = json!({});
        let metadata = json!({"allOf": [{"$ref": METADATA}], "default": {}});
        let of = |definition: Value, others: Value| {
            Schemas::builtin().with_openapi(&document(["apps", "v9", "Thing"], "things", definition, others))
        };
        for document in [json!(null), json!([]), json!({"paths": 1}), json!({"components": {"schemas": 1}})] {
            assert!(Schemas::builtin().with_openapi(&document).is_err(), "{document}");
        }
        let circle = json!({"a": reference("b"), "b": reference("a")});
        let definition = json!({"properties": {"metadata": metadata, "a": reference("a"), "gone": reference("gone")}});
        assert!(of(definition, circle).is_ok());
        assert!(of(json!({"properties": {"metadata": metadata, "a": 1}}), none.clone()).is_err());
        let mut deep = json!({"type": "string"});
        for _ in 0..200 {
            deep = json!({"type": "array", "items": deep});
        }
        assert!(of(json!({"properties": {"metadata": metadata, "a": deep}}), none.clone()).is_err());
        let chain: serde_json::Map<String, Value> = (0..50_000)
            .map(|n| {
                (format!("n{n}"), json!({"type": "object", "properties": {"next": reference(&format!("n{}", n + 1))}}))
            })
            .collect();
        assert!(of(json!({"properties": {"metadata": metadata, "a": reference("n0")}}), Value::Object(chain)).is_ok());
    }
}
