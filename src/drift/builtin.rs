//! What are the built-in kinds? The embedded table, read once.
//!
//! `builtin.json` is written by `tests/testbed/builtin`, from the API server's own OpenAPI v3, its Go types and its defaulting
//! functions; it states the version of Kubernetes. No server is asked.
//!
//! A type is a word (a scalar, or `deduced`), a list (`list` or `set`: the item's type; `keys`: each key with the schema's
//! default) or an object (`of`: the OpenAPI definition; `members`; `any`: what a member is that is not named; `atomic`). A
//! member is its type's number, its [`Zero`] (`a`bsent, `v`alue, `w`ritten) and its default: nothing, `"is"` and the value,
//! `"depends"`, or `"kept"`.

use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::drift::arena::{Arena, ListRelation, MapType, Member, MemberDefault, Type, TypeId};
use crate::drift::path::{FieldPath, Segment};
use crate::drift::schema::{Conversion, KindInfo, ListKey, Meaning, Over, Root, Schemas, VersionInfo, Zero};

static BUILTIN: LazyLock<Schemas> = LazyLock::new(|| {
    let table: Table = serde_json::from_str(include_str!("builtin.json"))
        .expect("the embedded table is written by a program and read by the tests");
    table.schemas()
});

impl Schemas {
    /// The embedded table of the built-in kinds.
    pub fn builtin() -> Self {
        BUILTIN.clone()
    }
}

#[derive(Deserialize)]
struct Table {
    #[serde(borrow)]
    types: Vec<TypeRow<'static>>,
    #[serde(borrow)]
    kinds: Vec<KindRow<'static>>,
}

#[derive(Deserialize)]
struct KindRow<'t> {
    group: &'t str,
    kind: &'t str,
    resource: &'t str,
    namespaced: bool,
    #[serde(borrow)]
    versions: Vec<VersionRow<'t>>,
}

#[derive(Deserialize)]
struct VersionRow<'t> {
    version: &'t str,
    r#type: u32,
    #[serde(default)]
    status: bool,
    #[serde(default)]
    scale: bool,
}

enum TypeRow<'t> {
    Word(&'t str),
    Structure(Structure<'t>),
}

#[derive(Deserialize)]
struct Structure<'t> {
    list: Option<u32>,
    set: Option<u32>,
    #[serde(borrow, default)]
    keys: Vec<KeyRow<'t>>,
    of: Option<&'t str>,
    #[serde(default)]
    atomic: bool,
    #[serde(borrow)]
    any: Option<MemberRow<'t>>,
    #[serde(borrow, default)]
    members: Members<'t>,
}

#[derive(Default)]
struct Members<'t>(Vec<(&'t str, MemberRow<'t>)>);

struct MemberRow<'t> {
    ty: u32,
    zero: Zero,
    default: DefaultRow<'t>,
}

enum DefaultRow<'t> {
    None,
    Is(&'t str),
    Depends,
    Kept,
}

struct KeyRow<'t> {
    name: &'t str,
    default: Option<&'t str>,
}

impl Table {
    fn schemas(self) -> Schemas {
        let mut arena = Arena::new();
        for (number, row) in self.types.iter().enumerate().skip(1) {
            let id = arena.add(row.compile());
            debug_assert_eq!(id.0 as usize, number);
            if let TypeRow::Structure(Structure { of: Some(name), .. }) = row {
                arena.define(name, id);
            }
        }
        let arena = arena.finished();
        let kinds = self.kinds.iter().map(|row| (row.info(), row.roots(&arena))).collect();
        Schemas::default().with(kinds, Over::Kind)
    }
}

impl KindRow<'_> {
    fn info(&self) -> KindInfo {
        KindInfo {
            group: self.group.to_owned(),
            kind: self.kind.to_owned(),
            resource: self.resource.to_owned(),
            namespaced: self.namespaced,
            versions: self.versions.iter().map(VersionRow::info).collect(),
            served: true,
            conversion: Conversion::Code,
        }
    }

    fn roots(&self, arena: &Arc<Arena>) -> Vec<Root> {
        let root = |row: &VersionRow<'_>| Root {
            version: row.version.into(),
            arena: Arc::clone(arena),
            ty: TypeId(row.r#type),
        };
        self.versions.iter().map(root).collect()
    }
}

impl VersionRow<'_> {
    fn info(&self) -> VersionInfo {
        // Every built-in kind that scales has its replicas there.
        let replicas = || FieldPath(vec![Segment::Field("spec".into()), Segment::Field("replicas".into())]);
        VersionInfo { version: self.version.to_owned(), status: self.status, scale: self.scale.then(replicas) }
    }
}

impl TypeRow<'_> {
    fn compile(&self) -> Type {
        match self {
            TypeRow::Word(word) => meaning(word).map_or(Type::Deduced, Type::Scalar),
            TypeRow::Structure(structure) => structure.compile(),
        }
    }
}

/// `None` for what is deduced.
fn meaning(word: &str) -> Option<Meaning> {
    Some(match word {
        "string" => Meaning::String,
        "integer" => Meaning::Integer,
        "number" => Meaning::Number,
        "boolean" => Meaning::Boolean,
        "quantity" => Meaning::Quantity,
        "intOrString" => Meaning::IntOrString,
        "time" => Meaning::Time,
        "microTime" => Meaning::MicroTime,
        "duration" => Meaning::Duration,
        "bytes" => Meaning::Bytes,
        _ => return None,
    })
}

impl Structure<'_> {
    fn compile(&self) -> Type {
        if let Some(item) = self.set {
            return Type::List { relation: ListRelation::Set, item: TypeId(item) };
        }
        let Some(item) = self.list else {
            let members = self.members.0.iter().map(|(name, row)| ((*name).into(), row.compile())).collect();
            let any = self.any.as_ref().map(|any| any.compile().of_go_map());
            let open = any.as_ref().is_some_and(|any| any.ty == Arena::DEDUCED);
            return Type::Map(MapType::new(members, self.atomic, open, any));
        };
        let relation = if self.keys.is_empty() {
            ListRelation::Atomic
        } else {
            ListRelation::Keyed(self.keys.iter().map(KeyRow::compile).collect())
        };
        Type::List { relation, item: TypeId(item) }
    }
}

impl MemberRow<'_> {
    fn compile(&self) -> Member {
        let default = match self.default {
            DefaultRow::None => MemberDefault::None,
            DefaultRow::Is(json) => MemberDefault::Value(json.into()),
            DefaultRow::Depends => MemberDefault::Depends,
            DefaultRow::Kept => MemberDefault::Kept,
        };
        Member { ty: TypeId(self.ty), zero: self.zero, default, nullable: false }
    }
}

impl KeyRow<'_> {
    fn compile(&self) -> ListKey {
        ListKey { name: self.name.into(), default: self.default.map(Into::into) }
    }
}

impl<'de: 't, 't> Deserialize<'de> for TypeRow<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Row;
        impl<'de> Visitor<'de> for Row {
            type Value = TypeRow<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word or an object")
            }

            fn visit_borrowed_str<E: Error>(self, word: &'de str) -> Result<Self::Value, E> {
                Ok(TypeRow::Word(word))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                Structure::deserialize(MapAccessDeserializer::new(map)).map(TypeRow::Structure)
            }
        }
        deserializer.deserialize_any(Row)
    }
}

impl<'de: 't, 't> Deserialize<'de> for Members<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rows;
        impl<'de> Visitor<'de> for Rows {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("members by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Rows)
    }
}

impl<'de: 't, 't> Deserialize<'de> for MemberRow<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Row;
        impl<'de> Visitor<'de> for Row {
            type Value = MemberRow<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type, what zero means, and a default")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let missing = || A::Error::custom("a member has at least two parts");
                let ty = seq.next_element()?.ok_or_else(missing)?;
                let zero = match seq.next_element::<&str>()?.ok_or_else(missing)? {
                    "a" => Zero::Absent,
                    "v" => Zero::Value,
                    "w" => Zero::Written,
                    _ => Zero::Unknown,
                };
                let default = match seq.next_element::<&str>()? {
                    None => DefaultRow::None,
                    Some("is") => DefaultRow::Is(seq.next_element::<&RawValue>()?.ok_or_else(missing)?.get()),
                    Some("kept") => DefaultRow::Kept,
                    Some(_) => DefaultRow::Depends,
                };
                Ok(MemberRow { ty, zero, default })
            }
        }
        deserializer.deserialize_seq(Row)
    }
}

impl<'de: 't, 't> Deserialize<'de> for KeyRow<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Row;
        impl<'de> Visitor<'de> for Row {
            type Value = KeyRow<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key and perhaps its default")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let name = seq.next_element()?.ok_or_else(|| A::Error::custom("a key has a name"))?;
                let default = seq.next_element::<&RawValue>()?.map(RawValue::get);
                Ok(KeyRow { name, default })
            }
        }
        deserializer.deserialize_seq(Row)
    }
}

#[cfg(test)]
mod tests {
    use crate::drift::schema::{Default, Meaning, Relation, Schemas, Shape, Zero};
    use crate::drift::shape::walk::{at, keys, map};

    const POD: &str = "spec.template.spec.";

    #[test]
    fn lists_are_keyed_by_their_map_keys() {
        let schemas = Schemas::builtin();
        let service = schemas.schema("", "v1", "Service").unwrap();
        assert_eq!(keys(at(service, "spec.ports")), ["port=0", "protocol=\"TCP\""]);
        let deployment = schemas.schema("apps", "v1", "Deployment").unwrap();
        let of = |path: &str| keys(at(deployment, &format!("{POD}{path}")));
        assert_eq!(of("containers"), ["name=\"\""]);
        assert_eq!(of("containers.ports"), ["containerPort=0", "protocol=\"TCP\""]);
        assert_eq!(of("topologySpreadConstraints"), ["topologyKey=\"\"", "whenUnsatisfiable=\"\""]);
        let finalizers = at(deployment, "metadata.finalizers").schema.shape();
        assert!(matches!(finalizers, Shape::List { relation: Relation::Set, .. }));
        let args = at(deployment, &format!("{POD}containers.args")).schema.shape();
        assert!(matches!(args, Shape::List { relation: Relation::Atomic, .. }));
        assert!(map(at(deployment, "spec.selector").schema).atomic());
    }

    #[test]
    fn scalars_mean_what_their_go_type_makes_of_them() {
        let schemas = Schemas::builtin();
        let deployment = schemas.schema("apps", "v1", "Deployment").unwrap();
        let of = |path: &str| match at(deployment, path).schema.shape() {
            Shape::Scalar(meaning) => meaning,
            other => panic!("{other:?} is no scalar"),
        };
        assert_eq!(of(&format!("{POD}containers.resources.limits.cpu")), Meaning::Quantity);
        assert_eq!(of("spec.strategy.rollingUpdate.maxSurge"), Meaning::IntOrString);
        assert_eq!(of("metadata.creationTimestamp"), Meaning::Time);
        assert_eq!(of("metadata.labels.any"), Meaning::String);
        assert_eq!(of("spec.replicas"), Meaning::Integer);
        assert_eq!(of("spec.paused"), Meaning::Boolean);
        let lease = schemas.schema("coordination.k8s.io", "v1", "Lease").unwrap();
        assert!(matches!(at(lease, "spec.renewTime").schema.shape(), Shape::Scalar(Meaning::MicroTime)));
        let secret = schemas.schema("", "v1", "Secret").unwrap();
        assert!(matches!(at(secret, "data.any").schema.shape(), Shape::Scalar(Meaning::Bytes)));
    }

    #[test]
    fn zero_is_a_value_behind_a_pointer_only() {
        let schemas = Schemas::builtin();
        let deployment = schemas.schema("apps", "v1", "Deployment").unwrap();
        let of = |path: &str| at(deployment, &format!("{POD}{path}")).zero;
        assert_eq!(of("hostNetwork"), Zero::Absent);
        assert_eq!(of("automountServiceAccountToken"), Zero::Value);
        assert_eq!(of("volumes.emptyDir"), Zero::Value);
        assert_eq!(of("containers.resources"), Zero::Written);
        assert_eq!(of("containers.name"), Zero::Written);
        assert_eq!(of("nodeSelector"), Zero::Absent);
    }

    #[test]
    fn a_member_that_no_schema_has_is_none() {
        let schemas = Schemas::builtin();
        let service = schemas.schema("", "v1", "Service").unwrap();
        assert!(map(service).member("spek").is_none());
        assert!(map(at(service, "metadata.labels").schema).member("anything").is_some());
    }

    #[test]
    fn kinds_are_found_by_name_and_by_resource() {
        let schemas = Schemas::builtin();
        let deployment = schemas.kind("apps", "Deployment").unwrap();
        assert!(deployment.namespaced && deployment.served);
        assert_eq!(schemas.kind_of_resource("apps", "deployments").unwrap().kind, "Deployment");
        assert!(deployment.versions[0].status && deployment.versions[0].scale.is_some());
        let autoscaler = schemas.kind("autoscaling", "HorizontalPodAutoscaler").unwrap();
        assert_eq!(autoscaler.versions.iter().map(|own| own.version.as_str()).collect::<Vec<_>>(), ["v2", "v1"]);
        assert!(schemas.kind("apps", "Service").is_none());
        assert!(!schemas.kind("", "Namespace").unwrap().namespaced);
    }

    #[test]
    fn a_schema_of_schemas_refers_to_itself() {
        let schemas = Schemas::builtin();
        let crd = schemas.schema("apiextensions.k8s.io", "v1", "CustomResourceDefinition").unwrap();
        let deep = format!("spec.versions.schema.openAPIV3Schema{}", ".properties.x".repeat(100));
        assert!(map(at(crd, &deep).schema).member("x-kubernetes-list-type").is_some());
    }

    #[test]
    fn defaults_are_what_the_server_fills_in() {
        let schemas = Schemas::builtin();
        let of = |group: &str, kind: &str, path: &str| {
            let version = &schemas.kind(group, kind).unwrap().versions[0].version;
            match at(schemas.schema(group, version, kind).unwrap(), path).default {
                Default::None => "none".to_owned(),
                Default::Value(json) | Default::Filled(json) => json.to_owned(),
                Default::Depends => "depends".to_owned(),
                Default::Kept => "kept".to_owned(),
            }
        };
        assert_eq!(of("apps", "Deployment", "spec.replicas"), "1");
        assert_eq!(of("networking.k8s.io", "NetworkPolicy", "spec.ingress.ports.protocol"), "\"TCP\"");
        assert_eq!(of("apps", "StatefulSet", "spec.volumeClaimTemplates.apiVersion"), "kept");
        assert_eq!(of("apps", "StatefulSet", "spec.volumeClaimTemplates.status.phase"), "\"Pending\"");
        let token = "spec.template.spec.volumes.projected.sources.serviceAccountToken.expirationSeconds";
        assert_eq!(of("apps", "Deployment", token), "3600");
        let webhooks = "ValidatingWebhookConfiguration";
        assert_eq!(of("admissionregistration.k8s.io", webhooks, "webhooks.rules.scope"), "\"*\"");
        assert_eq!(of("apps", "Deployment", "spec.template.spec.containers.command"), "none");
    }

    #[test]
    fn a_default_that_follows_another_value_depends() {
        let schemas = Schemas::builtin();
        let depends = |group: &str, version: &str, kind: &str, path: &str| {
            let member = at(schemas.schema(group, version, kind).unwrap(), path);
            assert_eq!(member.default, Default::Depends, "{kind} {path}");
        };
        depends("apps", "v1", "Deployment", "spec.template.spec.containers.imagePullPolicy");
        depends("apps", "v1", "Deployment", "spec.strategy.rollingUpdate");
        depends("rbac.authorization.k8s.io", "v1", "RoleBinding", "subjects.apiGroup");
        depends("", "v1", "Service", "spec.clusterIP");
        depends("", "v1", "LimitRange", "spec.limits.default.cpu");
        depends("", "v1", "Pod", "spec.containers.ports.hostPort");
    }

    #[test]
    fn a_default_belongs_to_where_a_type_is_used() {
        let schemas = Schemas::builtin();
        let links = |group: &str, kind: &str, path: &str| at(schemas.schema(group, "v1", kind).unwrap(), path).default;
        assert_eq!(links("", "Pod", "spec.enableServiceLinks"), Default::Value("true"));
        assert_eq!(links("apps", "Deployment", "spec.template.spec.enableServiceLinks"), Default::None);
    }

    #[test]
    fn the_table_is_of_the_version_that_the_testbed_pins() {
        let table: serde_json::Value = serde_json::from_str(include_str!("builtin.json")).unwrap();
        let pinned = format!("k8s.io/kubernetes {}", table["kubernetes"].as_str().unwrap());
        assert!(include_str!("../../tests/testbed/go.mod").contains(&pinned), "go.mod does not have {pinned}");
    }
}
