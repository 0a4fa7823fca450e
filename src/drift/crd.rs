//! What does a CustomResourceDefinition say of its kind?

use std::sync::Arc;

use serde_json::Value;

use crate::drift::arena::{Arena, TypeId};
use crate::drift::path::FieldPath;
use crate::drift::schema::{Conversion, KindInfo, Over, Root, SchemaError, Schemas, VersionInfo};
use crate::drift::stored::{Stored, say_the_same};
use crate::drift::structural::Structural;
use crate::drift::version::by_priority;

impl Schemas {
    /// These schemas with those of a CustomResourceDefinition (a manifest of apiextensions.k8s.io/v1).
    ///
    /// It takes the place of all that was known of its kind. An error where the manifest is no such definition, serves nothing,
    /// or would redefine a built-in kind.
    pub fn with_crd(&self, crd: &Value) -> Result<Self, SchemaError> {
        let name = crd["metadata"]["name"].as_str().unwrap_or("a CustomResourceDefinition");
        let wrong = |what: &str| SchemaError { subject: name.to_owned(), what: what.to_owned() };
        if crd["apiVersion"] != "apiextensions.k8s.io/v1" || crd["kind"] != "CustomResourceDefinition" {
            return Err(wrong("it is no CustomResourceDefinition of apiextensions.k8s.io/v1"));
        }
        let mut info = kind_info(&crd["spec"]).map_err(wrong)?;
        let builtin = Schemas::builtin();
        let taken = builtin.kind(&info.group, &info.kind).or(builtin.kind_of_resource(&info.group, &info.resource));
        if taken.is_some() {
            return Err(wrong("it names a built-in kind"));
        }
        info.served = self.kind(&info.group, &info.kind).is_some_and(|known| known.served);
        let roots = roots(&crd["spec"]).map_err(wrong)?;
        Ok(self.with(vec![(info, roots)], Over::Kind))
    }
}

fn kind_info(spec: &Value) -> Result<KindInfo, &'static str> {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let mut versions: Vec<VersionInfo> = served(spec).map(version_info).collect();
    versions.sort_by(|a, b| by_priority(&a.version, &b.version));
    if versions.is_empty() {
        return Err("it serves no version");
    }
    Ok(KindInfo {
        group: text(&spec["group"]).ok_or("it names no group")?,
        kind: text(&spec["names"]["kind"]).ok_or("it names no kind")?,
        resource: text(&spec["names"]["plural"]).ok_or("it names no plural")?,
        namespaced: spec["scope"] == "Namespaced",
        versions,
        served: false,
        conversion: conversion(spec),
    })
}

/// The served versions, with their names.
fn served(spec: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let versions = spec["versions"].as_array().into_iter().flatten();
    versions
        .filter(|version| version["served"] == true)
        .filter_map(|version| Some((version["name"].as_str()?, version)))
}

fn version_info((name, version): (&str, &Value)) -> VersionInfo {
    let subresources = &version["subresources"];
    let replicas = subresources["scale"]["specReplicasPath"].as_str();
    VersionInfo {
        version: name.to_owned(),
        status: subresources["status"].is_object(),
        // A path of members only, as in `.spec.replicas`: the API server takes no other.
        scale: replicas.map(|path| FieldPath::of(path.split('.').filter(|name| !name.is_empty()))),
    }
}

fn roots(spec: &Value) -> Result<Vec<Root>, &'static str> {
    let mut arena = Arena::new();
    let mut structural = Structural::new(&mut arena);
    let stored = stored(spec);
    let mut types = Vec::<(&str, &Value, Option<TypeId>)>::new();
    for (name, version) in served(spec) {
        let schema = schema(spec, version);
        // Versions that say the same share a type.
        let ty = match types.iter().find(|(_, known, _)| say_the_same(known, schema)) {
            Some((_, _, ty)) => *ty,
            None => structural.root_beside(schema, beside(spec, stored, schema))?,
        };
        types.push((name, schema, ty));
    }
    let arena = arena.finished();
    let root = |(name, _, ty): (&str, &Value, Option<TypeId>)| {
        Some(Root { version: name.into(), arena: Arc::clone(&arena), ty: ty? })
    };
    Ok(types.into_iter().filter_map(root).collect())
}

/// The schema of a version; null where everything is kept.
fn schema<'s>(spec: &Value, version: &'s Value) -> &'s Value {
    if spec["preserveUnknownFields"] == true { &Value::Null } else { &version["schema"]["openAPIV3Schema"] }
}

/// The schema of the version that is stored.
fn stored(spec: &Value) -> Option<&Value> {
    let mut versions = spec["versions"].as_array().into_iter().flatten();
    versions.find(|version| version["storage"] == true).map(|version| schema(spec, version))
}

/// What stands beside a version's schema in the one that is stored.
fn beside<'s>(spec: &Value, stored: Option<&'s Value>, schema: &Value) -> Stored<'s> {
    match stored {
        None => Stored::Same,
        Some(stored) if say_the_same(stored, schema) => Stored::Same,
        Some(_) if conversion(spec) == Conversion::Code => Stored::Open,
        Some(stored) => stored.as_object().map_or(Stored::Open, Stored::Schema),
    }
}

/// What turns one version into another.
fn conversion(spec: &Value) -> Conversion {
    match spec["conversion"]["strategy"].as_str() {
        None | Some("None") => Conversion::Nothing,
        Some(_) => Conversion::Code,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::drift::schema::{Default, Meaning, Relation, Schemas, Shape, Zero};
    use crate::drift::shape::walk::{at, keys, map};

    fn crd(spec: &Value) -> Value {
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.example.com"},
            "spec": {"group": "example.com", "names": {"kind": "Thing", "plural": "things"}, "scope": "Namespaced",
                "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}}]}})
    }

    fn object(properties: &Value) -> Value {
        json!({"type": "object", "properties": properties})
    }

    fn with(properties: &Value) -> Schemas {
        Schemas::builtin().with_crd(&crd(&object(properties))).unwrap()
    }

    #[test]
    fn its_values_stay_as_they_are_written() {
        let schemas = with(&json!({
            "text": {"type": "string", "default": "a"},
            "off": {"type": "boolean"},
            "maybe": {"type": "string", "nullable": true},
        }));
        let thing = schemas.schema("example.com", "v1", "Thing").unwrap();
        assert_eq!(at(thing, "spec.text").default, Default::Value("\"a\""));
        assert_eq!(at(thing, "spec.off").zero, Zero::Value);
        assert_eq!(at(thing, "spec.off").default, Default::None);
        assert!(at(thing, "spec.maybe").nullable && !at(thing, "spec.off").nullable);
        assert_eq!(at(thing, "metadata.labels").zero, Zero::Absent);
    }

    #[test]
    fn its_scalars_mean_what_their_schema_says() {
        let quantity = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";
        let schemas = with(&json!({
            "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
            "size": {"x-kubernetes-int-or-string": true, "pattern": quantity},
            "share": {"type": "number"}, "count": {"type": "integer"}, "on": {"type": "boolean"},
            "since": {"type": "string", "format": "date-time"},
            "wait": {"type": "string", "format": "duration"},
            "code": {"type": "string", "format": "byte"},
        }));
        let thing = schemas.schema("example.com", "v1", "Thing").unwrap();
        let of = |name: &str| match at(thing, &format!("spec.{name}")).schema.shape() {
            Shape::Scalar(meaning) => meaning,
            other => panic!("{other:?} is no scalar"),
        };
        assert_eq!(of("port"), Meaning::IntOrString);
        assert_eq!((of("share"), of("count"), of("on")), (Meaning::Number, Meaning::Integer, Meaning::Boolean));
        assert_eq!(of("size"), Meaning::CustomQuantity);
        assert_eq!(of("since"), Meaning::CustomTime);
        assert_eq!(of("wait"), Meaning::Duration);
        assert_eq!(of("code"), Meaning::String, "the server keeps it as it is written");
    }

    #[test]
    fn its_lists_and_maps_merge_as_their_schema_says() {
        let item = object(&json!({"name": {"type": "string"}, "protocol": {"type": "string", "default": "TCP"}}));
        let schemas = with(&json!({
            "keyed": {"type": "array", "items": item, "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name", "protocol"]},
            "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "plain": {"type": "array", "items": item},
            "whole": {"type": "object", "additionalProperties": {"type": "string"}, "x-kubernetes-map-type": "atomic"},
        }));
        let thing = schemas.schema("example.com", "v1", "Thing").unwrap();
        assert_eq!(keys(at(thing, "spec.keyed")), ["name", "protocol=\"TCP\""]);
        assert!(matches!(at(thing, "spec.set").schema.shape(), Shape::List { relation: Relation::Set, .. }));
        assert!(matches!(at(thing, "spec.plain").schema.shape(), Shape::List { relation: Relation::Atomic, .. }));
        assert!(map(at(thing, "spec.whole").schema).atomic());
    }

    #[test]
    fn what_it_does_not_name_is_dropped_unless_it_is_preserved() {
        let schemas = with(&json!({
            "closed": {"type": "object"},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"closed": {"type": "object"}}},
            "any": {"x-kubernetes-preserve-unknown-fields": true},
            "pod": {"type": "object", "x-kubernetes-embedded-resource": true},
        }));
        let thing = schemas.schema("example.com", "v1", "Thing").unwrap();
        assert!(map(at(thing, "spec.closed").schema).member("x").is_none());
        assert!(matches!(at(thing, "spec.open.x").schema.shape(), Shape::Deduced));
        assert!(map(at(thing, "spec.open.closed").schema).member("x").is_none());
        assert!(matches!(at(thing, "spec.any").schema.shape(), Shape::Deduced));
        assert!(map(at(thing, "spec.pod.metadata").schema).member("labels").is_some());
    }

    #[test]
    fn it_tells_its_kind_and_where_the_replicas_are() {
        let mut crd = crd(&object(&json!({"size": {"type": "integer"}})));
        let versions = crd["spec"]["versions"].as_array_mut().unwrap();
        versions[0]["subresources"]["scale"] = json!({"specReplicasPath": ".spec.size"});
        versions.push(json!({"name": "v1beta1", "served": true, "schema": {"openAPIV3Schema": {"type": "object"}}}));
        versions.push(json!({"name": "v2", "served": true, "schema": {"openAPIV3Schema": {"type": "object"}}}));
        versions.push(json!({"name": "v3", "served": false}));
        let schemas = Schemas::builtin().with_crd(&crd).unwrap();
        let thing = schemas.kind_of_resource("example.com", "things").unwrap();
        let versions: Vec<&str> = thing.versions.iter().map(|version| version.version.as_str()).collect();
        assert_eq!(versions, ["v2", "v1", "v1beta1"]);
        assert!(thing.namespaced && !thing.served);
        let v1 = &thing.versions[1];
        assert!(v1.status);
        assert_eq!(v1.scale.as_ref().unwrap().to_string(), "spec.size");
    }

    #[test]
    fn a_definition_of_a_built_in_kind_is_refused() {
        let mut crd = crd(&object(&json!({})));
        crd["spec"]["group"] = json!("apps");
        crd["spec"]["names"] = json!({"kind": "Deployment", "plural": "deployments"});
        assert!(Schemas::builtin().with_crd(&crd).is_err());
    }

    #[test]
    fn no_manifest_can_do_harm() {
        let good = crd(&object(&json!({"a": {"type": "array", "items": {"type": "string"}}})));
        for part in [
            "",
            "/spec",
            "/spec/names",
            "/spec/versions",
            "/spec/versions/0",
            "/spec/versions/0/schema/openAPIV3Schema",
            "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/a/items",
        ] {
            for bad in [json!(null), json!(1), json!("x"), json!([]), json!([[]]), json!({"type": 1, "properties": []})]
            {
                let mut crd = good.clone();
                *crd.pointer_mut(part).unwrap() = bad;
                let _ = Schemas::builtin().with_crd(&crd);
            }
        }
        let mut deep = json!({"type": "string"});
        for _ in 0..200 {
            deep = object(&json!({"a": deep}));
        }
        assert!(Schemas::builtin().with_crd(&crd(&deep)).is_err());
    }

    #[test]
    fn a_newer_definition_takes_the_place_of_an_older() {
        let older = with(&json!({"a": {"type": "string"}}));
        let newer = older.with_crd(&crd(&object(&json!({"b": {"type": "string"}})))).unwrap();
        let spec = |schemas: &Schemas, name: &str| {
            map(at(schemas.schema("example.com", "v1", "Thing").unwrap(), "spec").schema).member(name).is_some()
        };
        assert!(spec(&older, "a") && !spec(&older, "b"));
        assert!(!spec(&newer, "a") && spec(&newer, "b"));
    }
}
