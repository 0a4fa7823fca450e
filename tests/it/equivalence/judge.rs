//! What does the API server say of a declaration and an object? Its own forced apply, as a dry-run by a manager that owns
//! nothing; and the engine is asked the same.
//!
//! What is declared, and how its items are told apart, is read from the manager's `managedFields`, so that the server's side
//! shares nothing with the engine but the grammar in which paths are printed.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use landfast::drift::compare::{Difference, Kind, Status, Typing, compare};
use landfast::drift::declared::Declared;
use landfast::drift::document::Document;
use landfast::drift::path::{FieldPath, Scalar, Segment};
use landfast::drift::schema::Schemas;
use landfast::{render, yaml};
use serde_json::{Map, Value, json};

use crate::support;
use crate::testbed::user::User;
use crate::testbed::{control_plane, eventually};

/// Kinds of our own: the one of the comparison's cases, and what rows ask for beside it.
const DEFINITIONS: [&str; 2] =
    [include_str!("../../cases/compare/crd.yaml"), include_str!("../../data/equivalence-crds.yaml")];

/// Metadata that the server owns: no part of a declaration.
const SERVER_OWNED: [&str; 6] =
    ["creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"];

/// What the API server refuses.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// HTTP status.
    pub(crate) code: u16,
    /// In the server's words.
    pub(crate) message: String,
}

/// The shared API server, with the kinds of these tests and a namespace of their own.
struct Server {
    runtime: tokio::runtime::Runtime,
    client: kube::Client,
    namespace: String,
    schemas: Schemas,
    names: AtomicU32,
}

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

impl Server {
    fn start() -> Self {
        let plane = control_plane();
        let mut schemas = Schemas::builtin();
        for definitions in DEFINITIONS {
            plane.kubectl_with_input(User::Admin, &["apply", "-f", "-"], definitions).succeeds();
            for definition in render::definitions("crds.yaml", definitions.as_bytes()).unwrap() {
                let name = format!("crd/{}", definition["metadata"]["name"].as_str().unwrap());
                plane.kubectl(User::Admin, &["wait", "--for=condition=Established", &name]).succeeds();
                schemas = schemas.with_crd(&definition).unwrap();
            }
        }
        let namespace = plane.namespace();
        // Without it no Pod can be made.
        let account = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
        eventually("the default service account", || plane.get(&account).ok());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads start");
        let client = runtime.block_on(plane.client(User::Admin));
        Self { runtime, client, namespace, schemas, names: AtomicU32::new(0) }
    }

    /// Sends one request; the answer as JSON.
    fn send(&self, method: &str, path: &str, kind: &str, body: &Value) -> Result<Value, Refusal> {
        let request = hyper::Request::builder().method(method).uri(path).header("content-type", kind);
        let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).unwrap() };
        let answer =
            self.runtime.block_on(self.client.request_text(request.body(body).expect("a path makes a request")));
        match answer {
            Ok(text) => Ok(serde_json::from_str(&text).expect("the API server answers JSON")),
            Err(kube::Error::Api(status)) => Err(Refusal { code: status.code, message: status.message.clone() }),
            Err(error) => panic!("{method} {path}: {error}"),
        }
    }

    /// Where objects of an object's kind are.
    fn collection(&self, object: &Value) -> String {
        let api_version = object["apiVersion"].as_str().unwrap();
        let (root, group) = match api_version.split_once('/') {
            Some((group, _)) => ("apis", group),
            None => ("api", ""),
        };
        let info = self.schemas.kind(group, object["kind"].as_str().unwrap()).expect("a known kind");
        let namespace = if info.namespaced { format!("/namespaces/{}", self.namespace) } else { String::new() };
        format!("/{root}/{api_version}{namespace}/{}", info.resource)
    }
}

/// A declaration beside an object that is on the server.
pub(crate) struct Row {
    declared: Declared,
    raw: Value,
    live: Value,
    path: String,
}

impl Row {
    /// Puts `live` on the server, and declares `declared` of it. Manifests that name nothing get a name of their own.
    #[track_caller]
    pub(crate) fn new(declared: &str, live: &str) -> Self {
        let name = format!("row-{}", SERVER.names.fetch_add(1, Ordering::Relaxed));
        let (mut declared, mut live) = (read(declared), read(live));
        for object in [&mut declared, &mut live] {
            let metadata = object.as_object_mut().unwrap().entry("metadata").or_insert_with(|| json!({}));
            metadata.as_object_mut().unwrap().entry("name").or_insert_with(|| name.clone().into());
        }
        let created = format!("{}?fieldManager=somebody&fieldValidation=Ignore", SERVER.collection(&live));
        let made = SERVER.send("POST", &created, "application/json", &live);
        let made = made.unwrap_or_else(|refusal| panic!("the object cannot be made: {refusal:?}"));
        let path = format!("{}/{}", SERVER.collection(&declared), made["metadata"]["name"].as_str().unwrap());
        let live = Self::get(&path);
        Self { declared: rendered(&declared), raw: declared, live, path }
    }

    fn get(path: &str) -> Value {
        SERVER
            .send("GET", path, "application/json", &Value::Null)
            .unwrap_or_else(|refusal| panic!("{path}: {refusal:?}"))
    }

    /// Changes the object by a merge patch, of a subresource where one is named.
    #[track_caller]
    pub(crate) fn patched(mut self, subresource: &str, patch: &str) -> Self {
        let place = format!("{}{subresource}?fieldManager=somebody", self.path);
        let done = SERVER.send("PATCH", &place, "application/merge-patch+json", &read(patch));
        done.unwrap_or_else(|refusal| panic!("{place}: {refusal:?}"));
        self.live = Self::get(&self.path);
        self
    }

    /// Waits until the control plane has made something of the object.
    #[track_caller]
    pub(crate) fn once(mut self, what: &str, done: impl Fn(&Value) -> bool) -> Self {
        self.live = eventually(what, || Some(Self::get(&self.path)).filter(|live| done(live)));
        self
    }

    /// The object as it stands on the server.
    pub(crate) fn live(&self) -> &Value {
        &self.live
    }

    /// What the engine says: `Changed spec.replicas`, in order.
    pub(crate) fn engine(&self) -> Vec<String> {
        told(&self.compared(&self.live))
    }

    fn compared(&self, object: &Value) -> Vec<Difference> {
        let key = &self.declared.key;
        let typing = Typing::of(&SERVER.schemas, key.group(), &self.declared.version, key.kind());
        let object = object.to_string();
        let declared = Document::parse(&self.declared.json).unwrap();
        let found = compare(typing, &declared, &Document::parse(object.as_bytes()).unwrap());
        assert!(found.iter().all(|it| it.kind != Kind::Unknown), "the engine does not know: {found:#?}");
        found
    }

    /// The paths that the server changes when the declaration is applied with force, by a manager that owns nothing.
    pub(crate) fn server(&self) -> Result<BTreeSet<FieldPath>, Refusal> {
        self.applied().map(|(_, changed)| changed)
    }

    /// What the server makes of the object, and the declared paths that this changes.
    fn applied(&self) -> Result<(Value, BTreeSet<FieldPath>), Refusal> {
        let path = format!("{}?dryRun=All&force=true&fieldManager=judge&fieldValidation=Ignore", self.path);
        let after = SERVER.send("PATCH", &path, "application/apply-patch+yaml", &own(&self.raw))?;
        // Of a declaration of nothing the manager owns nothing, and may not stand there.
        let managers = after["metadata"]["managedFields"].as_array().into_iter().flatten();
        let mut found = BTreeSet::new();
        for manager in managers.filter(|manager| manager["manager"] == "judge") {
            let fields = folded(manager["fieldsV1"].as_object().unwrap());
            changed(&fields, Some(&self.live), Some(&after), &mut Vec::new(), &mut found);
        }
        Ok((after, found))
    }

    /// Both say that exactly these differ, and that what the server makes of the object agrees.
    #[track_caller]
    pub(crate) fn differs(&self, expected: &[&str]) {
        let engine = self.compared(&self.live);
        assert_eq!(told(&engine), expected, "by the engine, of {:#}", self.live);
        let engine: BTreeSet<_> = engine.into_iter().map(|it| sorted(it.path)).collect();
        let (after, server) = self.applied().unwrap_or_else(|refusal| panic!("the server has no answer: {refusal:?}"));
        let meets = |one: &FieldPath, other: &FieldPath| one.covers(other) || other.covers(one);
        let missed: Vec<_> = server.iter().filter(|path| !engine.iter().any(|own| meets(own, path))).collect();
        let invented: Vec<_> = engine.iter().filter(|path| !server.iter().any(|its| meets(its, path))).collect();
        let shown = |paths: &[&FieldPath]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!((shown(&missed), shown(&invented)), (Vec::new(), Vec::new()), "only the server, only the engine");
        assert_eq!(told(&self.compared(&after)), Vec::<String>::new(), "what was applied agrees: {after:#}");
    }

    /// Both say that nothing differs.
    #[track_caller]
    pub(crate) fn agrees(&self) {
        self.differs(&[]);
    }

    /// The server refuses the declaration with this status; the engine alone says that these differ.
    #[track_caller]
    pub(crate) fn is_refused(&self, code: u16, expected: &[&str]) {
        match self.server() {
            Err(refusal) => assert_eq!(refusal.code, code, "{}", refusal.message),
            Ok(changed) => panic!("the server takes it and changes {changed:?}"),
        }
        assert_eq!(self.engine(), expected);
    }
}

/// Differences as `Changed spec.replicas`, in order.
fn told(found: &[Difference]) -> Vec<String> {
    let mut told: Vec<_> = found.iter().map(|it| format!("{:?} {}", it.kind, it.path)).collect();
    told.sort();
    told
}

/// The namespace of all rows.
pub(crate) fn namespace() -> &'static str {
    &SERVER.namespace
}

/// What the API server knows as what these tests know.
pub(crate) fn schemas() -> &'static Schemas {
    &SERVER.schemas
}

/// What the server says to an object that it does not have: to its creation and to its forced apply, as dry-runs.
pub(crate) fn asked(object: &Value) -> [Result<Value, Refusal>; 2] {
    let collection = SERVER.collection(object);
    let created = format!("{collection}?dryRun=All&fieldManager=judge&fieldValidation=Ignore");
    let name = object["metadata"]["name"].as_str().unwrap();
    let applied = format!("{collection}/{name}?dryRun=All&force=true&fieldManager=judge&fieldValidation=Ignore");
    [
        SERVER.send("POST", &created, "application/json", object),
        SERVER.send("PATCH", &applied, "application/apply-patch+yaml", object),
    ]
}

/// One YAML document as JSON.
pub(crate) fn read(text: &str) -> Value {
    serde_json::from_str(&yaml::documents(text).unwrap()[0].to_json()).unwrap()
}

/// What a file declares, and what is wrong with it.
pub(crate) fn file(text: &str) -> render::Rendered {
    let scope = support::everywhere();
    let with = render::Context { schemas: &SERVER.schemas, scope: &scope, default_namespace: Some(&SERVER.namespace) };
    render::file("row.yaml", text.as_bytes(), with).unwrap()
}

/// What Git declares by a manifest.
pub(crate) fn rendered(manifest: &Value) -> Declared {
    let mut rendered = file(&manifest.to_string());
    assert!(rendered.faults.is_empty(), "{:?}", rendered.faults);
    Declared::clone(&rendered.objects.remove(0))
}

/// A manifest without what the server owns, as the contract takes it.
fn own(manifest: &Value) -> Value {
    let mut own = manifest.clone();
    let (group, version) = manifest["apiVersion"].as_str().unwrap().split_once('/').unwrap_or(("", "v1"));
    let kind = manifest["kind"].as_str().unwrap();
    let object = own.as_object_mut().unwrap();
    if Typing::of(&SERVER.schemas, group, version, kind).status == Status::Apart {
        object.remove("status");
    }
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.retain(|name, _| !SERVER_OWNED.contains(&name.as_str()));
    own
}

/// The server says that a Secret's `stringData` is owned, but keeps it in `data`.
fn folded(fields: &Map<String, Value>) -> Map<String, Value> {
    let mut fields = fields.clone();
    if let Some(Value::Object(strings)) = fields.remove("f:stringData") {
        let data = fields.entry("f:data").or_insert_with(|| Value::Object(Map::new()));
        data.as_object_mut().unwrap().extend(strings);
    }
    fields
}

/// Walks a set of fields, as `managedFields` has it, down two states of an object: which of its paths changed?
fn changed(
    fields: &Map<String, Value>,
    before: Option<&Value>,
    after: Option<&Value>,
    at: &mut Vec<Segment>,
    found: &mut BTreeSet<FieldPath>,
) {
    let is_leaf = fields.is_empty();
    if (is_leaf && before != after) || before.is_some() != after.is_some() || is_reordered(fields, before, after) {
        found.insert(FieldPath(at.clone()));
    }
    for (name, inner) in fields.iter().filter(|(name, _)| *name != ".") {
        let segment = segment(name);
        let (before, after) = (standing(&segment, before), standing(&segment, after));
        at.push(segment);
        match (before.as_slice(), after.as_slice()) {
            ([] | [_], [] | [_]) => {
                let inner = inner.as_object().unwrap();
                changed(inner, before.first().copied(), after.first().copied(), at, found);
            }
            // Duplicates of a key are one value.
            (before, after) if before == after => {}
            _ => _ = found.insert(FieldPath(at.clone())),
        }
        at.pop();
    }
}

/// Whether those declared items of a list that were there before stand in another order after.
fn is_reordered(fields: &Map<String, Value>, before: Option<&Value>, after: Option<&Value>) -> bool {
    let declared: Vec<_> =
        fields.keys().filter(|name| name.starts_with(['k', 'v'])).map(|name| segment(name)).collect();
    let order = |list: Option<&Value>| {
        let items = list.and_then(Value::as_array).into_iter().flatten();
        items.filter_map(|item| declared.iter().position(|own| is_item(own, item))).collect::<Vec<_>>()
    };
    let (before, after) = (order(before), order(after));
    before.iter().filter(|own| after.contains(own)).ne(after.iter().filter(|own| before.contains(own)))
}

/// What stands at a step: of an item all that have its key.
fn standing<'v>(step: &Segment, within: Option<&'v Value>) -> Vec<&'v Value> {
    match (step, within) {
        (Segment::Field(name), Some(Value::Object(members))) => members.get(&**name).into_iter().collect(),
        (Segment::Key(_) | Segment::Item(_), Some(Value::Array(items))) => {
            items.iter().filter(|item| is_item(step, item)).collect()
        }
        (Segment::Index(index), Some(Value::Array(items))) => items.get(*index).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn is_item(step: &Segment, item: &Value) -> bool {
    match step {
        Segment::Key(keys) => {
            keys.iter().all(|(name, value)| item.get(&**name).is_some_and(|own| scalar(own) == *value))
        }
        Segment::Item(value) => scalar(item) == *value,
        Segment::Field(_) | Segment::Index(_) => false,
    }
}

/// One step of `managedFields`: `f:name`, `k:{"key":"value"}`, `v:"value"`, `i:0`.
fn segment(name: &str) -> Segment {
    let (sort, rest) = name.split_once(':').expect("a step has a sort");
    match sort {
        "f" => Segment::Field(rest.into()),
        "k" => {
            let keys: Map<String, Value> = serde_json::from_str(rest).unwrap();
            Segment::Key(keys.iter().map(|(name, value)| (name.as_str().into(), scalar(value))).collect())
        }
        "v" => Segment::Item(scalar(&serde_json::from_str(rest).unwrap())),
        "i" => Segment::Index(rest.parse().unwrap()),
        _ => panic!("`{name}` is no step"),
    }
}

fn scalar(value: &Value) -> Scalar {
    match value {
        Value::Null => Scalar::Null,
        Value::Bool(value) => Scalar::Bool(*value),
        Value::String(text) => Scalar::String(text.as_str().into()),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => Scalar::Number(value.to_string().into()),
    }
}

/// A path with the keys of its items by name, as `managedFields` has them.
fn sorted(mut path: FieldPath) -> FieldPath {
    for segment in &mut path.0 {
        if let Segment::Key(keys) = segment {
            keys.sort();
        }
    }
    path
}
