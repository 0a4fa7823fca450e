//! What does the schema of a custom resource say? Structural OpenAPI v3 becomes types.
//!
//! Read as the API server reads it (apiextensions-apiserver 1.36: pruning, defaulting; kube-openapi's schemaconv for lists and
//! maps). What no schema names is dropped, unless unknown fields are preserved; values stay as they were written, so that a
//! zero is a value. It follows no reference.

use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

use crate::drift::arena::{Arena, ListRelation, MapType, Member, MemberDefault, Type, TypeId};
use crate::drift::schema::{ListKey, Meaning, Schemas, Zero};
use crate::drift::stored::{Place, Stored};
use crate::limits::{DEPTH_MAX, SCHEMA_TYPES_MAX};

/// The part of a quantity's pattern, as controller-gen writes it, that no other pattern has.
const QUANTITY_PATTERN: &str = "[KMGTPE]i";

/// Reads structural schemas into an arena.
pub(crate) struct Structural<'a> {
    arena: &'a mut Arena,
    scalars: FxHashMap<Meaning, TypeId>,
    metadata: TypeId,
    embedded_metadata: TypeId,
    /// Whether what is stored is of another structure somewhere, so that only the server can tell what becomes of it.
    unclear: bool,
}

/// What a schema is wrong in; the caller knows whose it is.
pub(crate) type Wrong = &'static str;

impl<'a> Structural<'a> {
    pub(crate) fn new(arena: &'a mut Arena) -> Self {
        arena.be_custom();
        let builtin = Schemas::builtin();
        let mut metadata = |group, kind, path: &[&str]| {
            let root = builtin.root(group, "v1", kind).expect("the tests read these kinds from the embedded table");
            let at = path.iter().try_fold(root.ty, |ty, name| match root.arena.get(ty) {
                Type::Map(map) => map.named(name).map(|member| member.ty),
                Type::Scalar(_) | Type::List { .. } | Type::Deduced => None,
            });
            arena.graft(&root.arena, at.unwrap_or(Arena::DEDUCED))
        };
        let own = metadata("", "ConfigMap", &["metadata"]);
        let embedded_metadata = metadata("apps", "Deployment", &["spec", "template", "metadata"]);
        Self { arena, scalars: FxHashMap::default(), metadata: own, embedded_metadata, unclear: false }
    }

    /// The type of a whole custom resource. `null` for a version without schema: then everything is kept.
    pub(crate) fn root(&mut self, schema: &Value) -> Result<TypeId, Wrong> {
        self.whole(schema, Stored::Same)
    }

    /// The same of a version, where another is stored; `None` where the two are too different to tell what becomes of an object.
    pub(crate) fn root_beside(&mut self, schema: &Value, stored: Stored<'_>) -> Result<Option<TypeId>, Wrong> {
        self.unclear = false;
        let root = self.whole(schema, stored)?;
        Ok((!self.unclear).then_some(root))
    }

    fn whole(&mut self, schema: &Value, stored: Stored<'_>) -> Result<TypeId, Wrong> {
        let map = match schema {
            Value::Object(schema) => self.map(schema, stored, 0, Some(self.metadata))?,
            Value::Null => {
                let members = self.resource_members(Member { zero: Zero::Written, ..value(self.metadata) });
                Type::Map(MapType::new(members, false, true, Some(value(Arena::DEDUCED))))
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err("a schema is an object");
            }
        };
        Ok(self.arena.add(map))
    }

    fn scalar(&mut self, meaning: Meaning) -> TypeId {
        *self.scalars.entry(meaning).or_insert_with(|| self.arena.add(Type::Scalar(meaning)))
    }

    fn of(&mut self, schema: &Map<String, Value>, stored: Stored<'_>, depth: usize) -> Result<TypeId, Wrong> {
        if depth > DEPTH_MAX {
            return Err("it is nested too deep");
        }
        if self.arena.len() >= SCHEMA_TYPES_MAX {
            return Err("it has too many types");
        }
        self.unclear |= !stored.fits(schema);
        let ty = match schema.get("type").and_then(Value::as_str) {
            Some("object") => self.map(schema, stored, depth, None)?,
            Some("array") => self.list(schema, stored, depth)?,
            Some("string") => return Ok(self.scalar(string_meaning(schema))),
            Some("integer") => return Ok(self.scalar(Meaning::Integer)),
            Some("number") => return Ok(self.scalar(Meaning::Number)),
            Some("boolean") => return Ok(self.scalar(Meaning::Boolean)),
            _ if flag(schema, "x-kubernetes-int-or-string") => {
                return Ok(self.scalar(match string_meaning(schema) {
                    Meaning::CustomQuantity => Meaning::CustomQuantity,
                    _ => Meaning::IntOrString,
                }));
            }
            _ if schema.contains_key("properties") || schema.contains_key("additionalProperties") => {
                self.map(schema, stored, depth, None)?
            }
            _ if schema.contains_key("items") => self.list(schema, stored, depth)?,
            _ => {
                self.unclear |= stored.others().is_none() || stored.names_members();
                return Ok(Arena::DEDUCED);
            }
        };
        Ok(self.arena.add(ty))
    }

    /// `metadata` is that of a resource; `None` where the object is none (`x-kubernetes-embedded-resource` makes it one).
    fn map(
        &mut self,
        schema: &Map<String, Value>,
        stored: Stored<'_>,
        depth: usize,
        metadata: Option<TypeId>,
    ) -> Result<Type, Wrong> {
        let metadata = metadata.or(flag(schema, "x-kubernetes-embedded-resource").then_some(self.embedded_metadata));
        let mut members = Vec::new();
        if let Some(metadata) = metadata {
            let is_own = metadata == self.metadata;
            // Of a resource within another, the server writes no metadata, but makes some of a null.
            let member = Member {
                zero: if is_own { Zero::Written } else { Zero::Unknown },
                nullable: !is_own,
                ..value(metadata)
            };
            members = self.resource_members(member);
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            if metadata.is_some() && ["apiVersion", "kind", "metadata"].contains(&name.as_str()) {
                continue;
            }
            let property = property.as_object().ok_or("a property is no object")?;
            let Some(place) = stored.member(name) else { continue };
            members.push((name.as_str().into(), self.member(property, place, depth)?));
        }
        let open = flag(schema, "x-kubernetes-preserve-unknown-fields");
        let any = match schema.get("additionalProperties") {
            Some(Value::Object(any)) => {
                let place = Place { stored: self.others(stored), default: None };
                let Member { ty, nullable, .. } = self.member(any, place, depth)?;
                Some(Member { nullable, ..value(ty) })
            }
            Some(Value::Bool(true)) => Some(value(Arena::DEDUCED)),
            _ => open.then(|| value(Arena::DEDUCED)),
        };
        if any.is_some() {
            self.others(stored);
        }
        let atomic = schema.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic");
        Ok(Type::Map(MapType::new(members, atomic, open, any)))
    }

    fn resource_members(&mut self, metadata: Member) -> Vec<(Box<str>, Member)> {
        let text = self.scalar(Meaning::String);
        vec![("apiVersion".into(), value(text)), ("kind".into(), value(text)), ("metadata".into(), metadata)]
    }

    /// What is stored of members that are not named. Where it names some of them, or drops others, that is not clear.
    fn others<'s>(&mut self, stored: Stored<'s>) -> Stored<'s> {
        self.unclear |= stored.names_members();
        stored.others().unwrap_or_else(|| {
            self.unclear = true;
            Stored::Open
        })
    }

    fn member(&mut self, schema: &Map<String, Value>, place: Place<'_>, depth: usize) -> Result<Member, Wrong> {
        let own = schema.get("default").filter(|default| !default.is_null());
        let nullable = flag(schema, "nullable");
        let (default, nullable) = match place.stored {
            Stored::Same => (own.map(|json| MemberDefault::Value(json.to_string().into())), nullable),
            Stored::Open => (own.map(|json| MemberDefault::Filled(json.to_string().into())), nullable),
            Stored::Schema(stored) => {
                let keeps_null = flag(stored, "nullable");
                self.unclear |= nullable && !keeps_null && own != place.default;
                self.varies(keeps_null && !nullable);
                // Where a null may stand, the stored default does not.
                let is_there = place.default.is_some() && (nullable || !keeps_null);
                let default = own.or(place.default).map(|json| json.to_string().into());
                let default = default.map(if is_there { MemberDefault::Value } else { MemberDefault::Filled });
                (default, nullable && keeps_null)
            }
        };
        let default = default.unwrap_or(MemberDefault::None);
        self.varies(matches!(default, MemberDefault::Filled(_)));
        Ok(Member { default, nullable, ..value(self.of(schema, place.stored, depth + 1)?) })
    }

    fn varies(&mut self, varies: bool) {
        if varies {
            self.arena.be_varied();
        }
    }

    fn list(&mut self, schema: &Map<String, Value>, stored: Stored<'_>, depth: usize) -> Result<Type, Wrong> {
        let items = schema.get("items").and_then(Value::as_object);
        let item = match items {
            Some(items) => {
                let stored = stored.items();
                self.unclear |= stored.is_none();
                self.of(items, stored.unwrap_or(Stored::Open), depth + 1)?
            }
            None => Arena::DEDUCED,
        };
        let relation = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
            Some("set") => ListRelation::Set,
            Some("map") => keyed(list_keys(schema), items),
            _ => ListRelation::Atomic,
        };
        Ok(Type::List { relation, item })
    }
}

/// The names in `x-kubernetes-list-map-keys`.
pub(crate) fn list_keys(list: &Map<String, Value>) -> Vec<&str> {
    let names = list.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The relation of a list with keys, each with the default that its property has: structured-merge-diff knows no other.
pub(crate) fn keyed(keys: Vec<&str>, items: Option<&Map<String, Value>>) -> ListRelation {
    let key = |name: &str| {
        let property = items.and_then(|items| items.get("properties")?.get(name));
        let default = property.and_then(|property| property.get("default")).filter(|default| !default.is_null());
        ListKey { name: name.into(), default: default.map(|json| json.to_string().into()) }
    };
    if keys.is_empty() { ListRelation::Atomic } else { ListRelation::Keyed(keys.into_iter().map(key).collect()) }
}

/// A member that is stored as it is written.
fn value(ty: TypeId) -> Member {
    Member { ty, zero: Zero::Value, default: MemberDefault::None, nullable: false }
}

fn flag(schema: &Map<String, Value>, name: &str) -> bool {
    schema.get(name) == Some(&Value::Bool(true))
}

fn string_meaning(schema: &Map<String, Value>) -> Meaning {
    let text = |name: &str| schema.get(name).and_then(Value::as_str);
    match text("format") {
        Some("date-time" | "datetime") => Meaning::CustomTime,
        Some("duration") => Meaning::Duration,
        _ if text("pattern").is_some_and(|pattern| pattern.contains(QUANTITY_PATTERN)) => Meaning::CustomQuantity,
        _ => Meaning::String,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use crate::drift::schema::Schemas;

    /// JSON that looks like a schema, with anything in any place.
    fn schema_like() -> impl Strategy<Value = Value> {
        let leaf = prop::sample::select(vec![
            json!(null),
            json!(true),
            json!(1),
            json!("object"),
            json!("array"),
            json!("string"),
            json!("map"),
            json!("atomic"),
            json!({"$ref": "#/components/schemas/own"}),
        ]);
        let names = prop::sample::select(vec![
            "type",
            "properties",
            "items",
            "additionalProperties",
            "default",
            "nullable",
            "format",
            "allOf",
            "$ref",
            "metadata",
            "x-kubernetes-list-type",
            "x-kubernetes-list-map-keys",
            "x-kubernetes-map-type",
            "x-kubernetes-preserve-unknown-fields",
            "x-kubernetes-embedded-resource",
            "x-kubernetes-int-or-string",
        ]);
        leaf.prop_recursive(6, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::vec((names.clone(), inner), 0..6).prop_map(|members| members
                    .into_iter()
                    .map(|(k, v)| (k.to_owned(), v))
                    .collect::<Map<_, _>>()
                    .into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_schema_makes_it_panic(schema in schema_like()) {
            let version = json!({"name": "v1", "served": true, "schema": {"openAPIV3Schema": schema}});
            let names = json!({"kind": "Thing", "plural": "things"});
            let _ = Schemas::builtin().with_crd(&json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "spec": {"group": "example.com", "names": names, "versions": [version]}}));
            let gvk = json!({"group": "example.com", "version": "v1", "kind": "Thing"});
            let path = json!({"get": {"x-kubernetes-group-version-kind": gvk}});
            let native = json!({"type": "object", "x-kubernetes-group-version-kind": [gvk],
                "properties": {"metadata": {"default": {}}, "spec": schema}});
            let _ = Schemas::builtin().with_openapi(&json!({"paths": {"/apis/example.com/v1/things/{name}": path},
                "components": {"schemas": {"own": native, "other": schema}}}));
        }
    }
}
