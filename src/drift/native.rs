//! What does the OpenAPI of a kind with Go types say? Definitions that name one another become types.
//!
//! Beside each definition goes its twin in the embedded table, which knows what OpenAPI does not tell. Definitions are read
//! from a queue, so that a chain of references costs no stack.

use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

use crate::drift::arena::{Arena, ListRelation, MapType, Member, MemberDefault, Type, TypeId};
use crate::drift::schema::{Meaning, Schemas, Zero};
use crate::drift::structural::{Wrong, keyed, list_keys};
use crate::limits::{DEPTH_MAX, SCHEMA_TYPES_MAX};

const REFERENCE: &str = "#/components/schemas/";
const MACHINERY: &str = "io.k8s.apimachinery.pkg.";

/// Reads a document's definitions into an arena.
pub(crate) struct Native<'a> {
    arena: &'a mut Arena,
    definitions: &'a Map<String, Value>,
    builtin: Schemas,
    scalars: FxHashMap<Meaning, TypeId>,
    known: FxHashMap<Definition<'a>, TypeId>,
    queue: Vec<(Definition<'a>, TypeId)>,
}

/// A definition as it is used somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Definition<'a> {
    name: &'a str,
    /// Its type in the embedded table.
    twin: Option<TypeId>,
    /// `x-kubernetes-map-type` beside the reference, which goes before the definition's own.
    atomic: Option<bool>,
}

impl<'a> Native<'a> {
    pub(crate) fn new(arena: &'a mut Arena, definitions: &'a Map<String, Value>) -> Self {
        Self {
            arena,
            definitions,
            builtin: Schemas::builtin(),
            scalars: FxHashMap::default(),
            known: FxHashMap::default(),
            queue: Vec::new(),
        }
    }

    /// The type of a kind, given its definition and its group, version and kind.
    pub(crate) fn root(&mut self, name: &str, gvk: (&str, &str, &str)) -> Result<TypeId, Wrong> {
        let (name, _) = self.definitions.get_key_value(name).ok_or("it is not defined")?;
        let twin = self.builtin.root(gvk.0, gvk.1, gvk.2).map(|root| root.ty);
        let root = self.definition(name, None, twin);
        while let Some((next, id)) = self.queue.pop() {
            let Some(schema) = self.definitions.get(next.name).and_then(Value::as_object) else { continue };
            let ty = self.type_of(schema, next.twin, next.atomic, 0)?;
            self.arena.set(id, ty);
        }
        Ok(root)
    }

    fn definition(&mut self, name: &'a str, atomic: Option<bool>, twin: Option<TypeId>) -> TypeId {
        let definition = Definition { name, twin: twin.or_else(|| self.twin_by_name(name)), atomic };
        if let Some(known) = self.known.get(&definition) {
            return *known;
        }
        let id = self.arena.reserve();
        self.known.insert(definition, id);
        self.queue.push((definition, id));
        id
    }

    /// The embedded table's type for a definition, wherever it is used there.
    fn twin_by_name(&self, name: &str) -> Option<TypeId> {
        self.table().definition(name.strip_prefix("io.k8s.")?)
    }

    fn table(&self) -> &Arena {
        let root = self.builtin.root("", "v1", "ConfigMap").expect("the tests read this kind from the embedded table");
        &root.arena
    }

    fn of(&mut self, schema: &'a Map<String, Value>, twin: Option<TypeId>, depth: usize) -> Result<TypeId, Wrong> {
        if depth > DEPTH_MAX {
            return Err("it is nested too deep");
        }
        if self.arena.len() >= SCHEMA_TYPES_MAX {
            return Err("it has too many types");
        }
        let Some(name) = reference(schema) else {
            let ty = self.type_of(schema, twin, None, depth)?;
            return Ok(match ty {
                Type::Deduced => Arena::DEDUCED,
                Type::Scalar(meaning) => self.scalar(meaning),
                Type::List { .. } | Type::Map(_) => self.arena.add(ty),
            });
        };
        let meaning = match name.strip_prefix(MACHINERY) {
            Some("api.resource.Quantity") => Meaning::Quantity,
            Some("util.intstr.IntOrString") => Meaning::IntOrString,
            Some("apis.meta.v1.Time") => Meaning::Time,
            Some("apis.meta.v1.MicroTime") => Meaning::MicroTime,
            Some("apis.meta.v1.Duration") => Meaning::Duration,
            Some("runtime.RawExtension") => {
                let raw = MapType::new(Vec::new(), true, true, Some(plain(Arena::DEDUCED)));
                return Ok(self.arena.add(Type::Map(raw)));
            }
            _ => return Ok(self.definition(name, atomic(schema), twin)),
        };
        Ok(self.scalar(meaning))
    }

    fn scalar(&mut self, meaning: Meaning) -> TypeId {
        *self.scalars.entry(meaning).or_insert_with(|| self.arena.add(Type::Scalar(meaning)))
    }

    fn type_of(
        &mut self,
        schema: &'a Map<String, Value>,
        twin: Option<TypeId>,
        over: Option<bool>,
        depth: usize,
    ) -> Result<Type, Wrong> {
        match schema.get("type").and_then(Value::as_str) {
            Some("object") => self.object(schema, twin, over.or(atomic(schema)), depth),
            Some("array") => self.list(schema, twin, depth),
            Some("string") if schema.get("format").and_then(Value::as_str) == Some("byte") => {
                Ok(Type::Scalar(Meaning::Bytes))
            }
            Some("string") => Ok(Type::Scalar(Meaning::String)),
            Some("integer") => Ok(Type::Scalar(Meaning::Integer)),
            Some("number") => Ok(Type::Scalar(Meaning::Number)),
            Some("boolean") => Ok(Type::Scalar(Meaning::Boolean)),
            _ => Ok(Type::Deduced),
        }
    }

    fn object(
        &mut self,
        schema: &'a Map<String, Value>,
        twin: Option<TypeId>,
        atomic: Option<bool>,
        depth: usize,
    ) -> Result<Type, Wrong> {
        let properties = schema.get("properties").and_then(Value::as_object);
        let mut members = Vec::new();
        for (name, property) in properties.into_iter().flatten() {
            let property = property.as_object().ok_or("a property is no object")?;
            let twin = twin.and_then(|twin| self.twin_map(twin)?.named(name).cloned());
            let ty = self.of(property, twin.as_ref().map(|twin| twin.ty), depth + 1)?;
            let member = match twin {
                Some(twin) => Member { ty, ..twin },
                None => self.untold(property, ty, required(schema, name)),
            };
            members.push((name.as_str().into(), member));
        }
        let any = match schema.get("additionalProperties") {
            Some(Value::Object(any)) => {
                let twin = twin.and_then(|twin| self.twin_map(twin)?.any.clone());
                let ty = self.of(any, twin.as_ref().map(|twin| twin.ty), depth + 1)?;
                Some(Member { ty, ..twin.unwrap_or_else(|| plain(ty).of_go_map()) })
            }
            Some(Value::Bool(true)) => Some(plain(Arena::DEDUCED)),
            None if properties.is_none() && atomic != Some(true) => return Ok(self.bare(twin)),
            _ => None,
        };
        let open = match twin.and_then(|twin| self.twin_map(twin)) {
            Some(twin) => twin.open,
            None => any.as_ref().is_some_and(|any| any.ty == Arena::DEDUCED),
        };
        Ok(Type::Map(MapType::new(members, atomic == Some(true), open, any)))
    }

    /// An object of which nothing is said: any JSON, or a Go struct without members.
    fn bare(&self, twin: Option<TypeId>) -> Type {
        match twin.and_then(|twin| self.twin_map(twin)) {
            Some(map) if map.any.is_none() && map.members().next().is_none() => Type::Map(map.clone()),
            _ => Type::Deduced,
        }
    }

    fn list(&mut self, schema: &'a Map<String, Value>, twin: Option<TypeId>, depth: usize) -> Result<Type, Wrong> {
        let twin = twin.and_then(|twin| match self.table().get(twin) {
            Type::List { item, .. } => Some(*item),
            Type::Scalar(_) | Type::Map(_) | Type::Deduced => None,
        });
        let items = schema.get("items").and_then(Value::as_object);
        let item = match items {
            Some(items) => self.of(items, twin, depth + 1)?,
            None => Arena::DEDUCED,
        };
        let text = |name: &str| schema.get(name).and_then(Value::as_str);
        let merges = matches!(text("x-kubernetes-patch-strategy"), Some("merge" | "merge,retainKeys"));
        let definition = items.and_then(|items| match reference(items) {
            Some(name) => self.definitions.get(name)?.as_object(),
            None => Some(items),
        });
        let relation = match (text("x-kubernetes-list-type"), text("x-kubernetes-patch-merge-key")) {
            (Some("set"), _) => ListRelation::Set,
            (Some("map"), _) => keyed(list_keys(schema), definition),
            (None, Some(key)) if merges => keyed(vec![key], definition),
            (None, None) if merges => ListRelation::Set,
            (Some(_) | None, _) => ListRelation::Atomic,
        };
        Ok(Type::List { relation, item })
    }

    fn twin_map(&self, twin: TypeId) -> Option<&MapType> {
        match self.table().get(twin) {
            Type::Map(map) => Some(map),
            Type::Scalar(_) | Type::List { .. } | Type::Deduced => None,
        }
    }

    /// A member that the embedded table does not have.
    fn untold(&self, property: &Map<String, Value>, ty: TypeId, required: bool) -> Member {
        let default = property.get("default").filter(|default| !default.is_null());
        // kube-openapi writes a zero as default where the Go value is no pointer.
        let zero_default =
            default.is_some_and(|json| matches!(json.to_string().as_str(), "{}" | "[]" | "\"\"" | "0" | "false"));
        let pointer = || {
            reference(property)
                .is_some_and(|name| self.definitions.get(name).is_some_and(|own| own["type"] == "object"))
        };
        let zero = match self.arena.get(ty) {
            _ if zero_default => Zero::Written,
            Type::List { .. } if required => Zero::Written,
            Type::List { .. } => Zero::Absent,
            Type::Map(_) if property.contains_key("additionalProperties") => Zero::Absent,
            // A struct by value would have `default: {}`.
            Type::Map(_) | Type::Deduced if pointer() => Zero::Value,
            Type::Map(_) | Type::Scalar(_) | Type::Deduced => Zero::Unknown,
        };
        let default = match default {
            Some(json) if !zero_default => MemberDefault::Value(json.to_string().into()),
            _ => MemberDefault::Depends,
        };
        Member { ty, zero, default, nullable: false }
    }
}

fn plain(ty: TypeId) -> Member {
    Member { ty, zero: Zero::Value, default: MemberDefault::None, nullable: false }
}

/// The definition that a schema points at, also through a single `allOf`.
fn reference(schema: &Map<String, Value>) -> Option<&str> {
    let own = schema.get("$ref").and_then(Value::as_str);
    let only = || match schema.get("allOf")?.as_array()?.as_slice() {
        [only] => only["$ref"].as_str(),
        _ => None,
    };
    own.or_else(only)?.strip_prefix(REFERENCE)
}

fn atomic(schema: &Map<String, Value>) -> Option<bool> {
    Some(schema.get("x-kubernetes-map-type")?.as_str()? == "atomic")
}

fn required(schema: &Map<String, Value>, name: &str) -> bool {
    schema.get("required").and_then(Value::as_array).is_some_and(|names| names.iter().any(|required| required == name))
}
