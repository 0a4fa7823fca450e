//! What do we know of kinds that only the cluster defines: soon after they come, while an API server stutters, after our restart?

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use hyper::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use landfast::cluster::openapi::{GroupVersion, Learnt, OpenApi};
use landfast::drift::compare::{Typing, compare};
use landfast::drift::document::Document;
use landfast::drift::schema::Schemas;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cluster::{POLICY, landfast_wrote, send};
use crate::gate::source;
use crate::testbed::eventually;
use crate::testbed::landfast::Landfast;
use crate::testbed::repository::Repository;
use crate::testbed::user::User;
use crate::webhook::{PLANE, TURN};

const WIDGETS: &str = r#"{"metadata":{"name":"widgets.example.com"},"spec":{"group":"example.com","scope":"Namespaced",
    "names":{"plural":"widgets","kind":"Widget"},"versions":[{"name":"v1","served":true,"storage":true,
    "schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","properties":{
    "count":{"type":"integer"},"parts":{"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"}}}},
    "status":{"type":"object","properties":{"count":{"type":"integer"}}}}}},
    "subresources":{"status":{},"scale":{"specReplicasPath":".spec.count","statusReplicasPath":".status.count"}}}]}}"#;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_is_known_soon_after_its_definition() {
    let _turn = TURN.lock().await;
    let wanted = ["apps/v1", "example.com/v1"].map(GroupVersion::parse).into();
    let (_keep, wanted) = watch::channel(wanted);
    let (openapi, learnt) = OpenApi::new(PLANE.client(User::Landfast).await, Schemas::builtin(), wanted);
    let known = learnt.schemas;
    let running = tokio::spawn(openapi.run(std::future::pending()));
    assert!(known.borrow().kind("example.com", "Widget").is_none());
    send("POST", DEFINITIONS, WIDGETS, &[]).unwrap();
    let widget = eventually("the kind to be known", || known.borrow().kind("example.com", "Widget").cloned());
    assert_eq!((widget.resource.as_str(), widget.namespaced, widget.served), ("widgets", true, true));
    let version = &widget.versions[0];
    let scale = version.scale.as_ref().map(ToString::to_string);
    assert_eq!((version.version.as_str(), version.status, scale.as_deref()), ("v1", true, Some("spec.count")));
    assert!(known.borrow().schema("example.com", "v1", "Widget").is_some());
    assert!(known.borrow().kind("apps", "Deployment").is_some());
    send("DELETE", &format!("{DEFINITIONS}/widgets.example.com"), "{}", &[]).unwrap();
    eventually("the kind to be forgotten", || known.borrow().kind("example.com", "Widget").is_none().then_some(()));
    running.abort();
}

/// What an API server does wrong for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stutter {
    Nothing,
    /// The index leaves this out, as while CRDs are still being loaded.
    Omits(&'static str),
    /// Paths that begin so are answered with 503, as those of an aggregated API that is away.
    Fails(&'static str),
}

/// The real API server, with a stutter.
struct Stuttering {
    stutter: Arc<Mutex<Stutter>>,
    wanted: watch::Sender<BTreeSet<GroupVersion>>,
    learnt: Learnt,
    task: JoinHandle<()>,
}

impl Stuttering {
    async fn start(wanted: &[&str], first: Stutter) -> Self {
        let real = PLANE.client(User::Landfast).await;
        let stutter = Arc::new(Mutex::new(first));
        let now = Arc::clone(&stutter);
        let service = tower::service_fn(move |request: Request<Body>| {
            let (real, stutter) = (real.clone(), *now.lock().unwrap());
            async move {
                let path = request.uri().path().to_owned();
                let mut response = match stutter {
                    Stutter::Fails(start) if path.starts_with(start) => {
                        let mut away = Response::new(Body::empty());
                        *away.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                        return Ok(away);
                    }
                    Stutter::Nothing | Stutter::Omits(_) | Stutter::Fails(_) => real.send(request).await?,
                };
                if let (Stutter::Omits(name), "/openapi/v3") = (stutter, path.as_str()) {
                    let body = http_body_util::BodyExt::collect(response.into_body()).await?.to_bytes();
                    let mut index: Value = serde_json::from_slice(&body).unwrap();
                    assert!(index["paths"].as_object_mut().unwrap().remove(name).is_some());
                    response = Response::new(Body::from(index.to_string().into_bytes()));
                }
                Ok::<_, kube::Error>(response)
            }
        });
        let (wanted, seen) = watch::channel(wanted.iter().map(|it| GroupVersion::parse(it)).collect());
        let (openapi, learnt) = OpenApi::new(Client::new(service, "default"), Schemas::builtin(), seen);
        Self { stutter, wanted, learnt, task: tokio::spawn(openapi.run(std::future::pending())) }
    }

    /// Wants one more, which has it look, and waits for the answer.
    fn asks_for(&self, group_version: &str) {
        self.wanted.send_if_modified(|wanted| wanted.insert(GroupVersion::parse(group_version)));
        self.answers(group_version);
    }

    fn answers(&self, group_version: &str) {
        let group_version = GroupVersion::parse(group_version);
        eventually("the answer", || self.learnt.answered.borrow().contains(&group_version).then_some(()));
    }

    fn knows_widgets(&self) -> bool {
        self.learnt.schemas.borrow().kind("example.com", "Widget").is_some()
    }
}

/// Defines widgets, for as long as this lives.
struct Widgets;

impl Widgets {
    fn define() -> Self {
        send("POST", DEFINITIONS, WIDGETS, &[]).unwrap();
        eventually("widgets to be listed", || PLANE.get("/openapi/v3/apis/example.com/v1").ok());
        Self
    }
}

impl Drop for Widgets {
    fn drop(&mut self) {
        // A second panic would take all other tests along.
        if std::thread::panicking() {
            return;
        }
        send("DELETE", &format!("{DEFINITIONS}/widgets.example.com"), "{}", &[]).unwrap();
        eventually("widgets to be gone", || PLANE.get("/apis/example.com/v1").err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_index_leaves_out_for_a_while_stays_known() {
    let _turn = TURN.lock().await;
    let widgets = Widgets::define();
    let server = Stuttering::start(&["example.com/v1"], Stutter::Nothing).await;
    eventually("widgets to be known", || server.knows_widgets().then_some(()));
    *server.stutter.lock().unwrap() = Stutter::Omits("apis/example.com/v1");
    server.asks_for("batch/v1");
    assert!(server.knows_widgets());
    // Nor is it taken for one that is nowhere served.
    let fresh = Stuttering::start(&["example.com/v1"], Stutter::Omits("apis/example.com/v1")).await;
    fresh.asks_for("batch/v1");
    fresh.asks_for("nowhere.example.com/v1");
    assert!(!fresh.learnt.answered.borrow().contains(&GroupVersion::parse("example.com/v1")));
    *server.stutter.lock().unwrap() = Stutter::Nothing;
    drop(widgets);
    eventually("widgets to be forgotten", || (!server.knows_widgets()).then_some(()));
    server.task.abort();
    fresh.task.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_cannot_be_read_holds_back_no_other() {
    let _turn = TURN.lock().await;
    let _widgets = Widgets::define();
    let away = Stutter::Fails("/openapi/v3/apis/apps/v1");
    let server = Stuttering::start(&["apps/v1", "example.com/v1"], away).await;
    server.answers("example.com/v1");
    assert!(server.knows_widgets());
    assert!(!server.learnt.answered.borrow().contains(&GroupVersion::parse("apps/v1")));
    *server.stutter.lock().unwrap() = Stutter::Nothing;
    server.answers("apps/v1");
    server.task.abort();
}

/// Two versions, of which the older fills in more; `$STORED` is what the stored one says of `count`.
const GADGETS: &str = r#"{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"gadgets.several.example.com"},
    "spec":{"group":"several.example.com","scope":"Namespaced","names":{"plural":"gadgets","kind":"Gadget"},"versions":[
    {"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object",
    "properties":{"count":$STORED}}}}}},
    {"name":"v1beta1","served":true,"storage":false,"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object",
    "properties":{"count":{"type":"integer","default":1}}}}}}}]}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn of_a_kind_with_several_versions_it_is_asked_which_is_stored() {
    let _turn = TURN.lock().await;
    let wanted = [GroupVersion::parse("several.example.com/v1beta1")].into();
    let (_keep, wanted) = watch::channel(wanted);
    let (openapi, learnt) = OpenApi::new(PLANE.client(User::Landfast).await, Schemas::builtin(), wanted);
    let running = tokio::spawn(openapi.run(std::future::pending()));
    let define = |stored: &str| {
        let manifest = GADGETS.replace("$STORED", stored);
        PLANE.kubectl_with_input(User::Admin, &["apply", "-f", "-"], &manifest).succeeds();
    };
    let differs = || {
        let schemas = learnt.schemas.borrow();
        schemas.kind("several.example.com", "Gadget")?;
        let typing = Typing::of(&schemas, "several.example.com", "v1beta1", "Gadget");
        let [declared, live] = [r#"{"spec":{"count":1}}"#, r#"{"spec":{}}"#].map(str::as_bytes);
        let [declared, live] = [declared, live].map(|json| Document::parse(json).unwrap());
        Some(compare(typing, &declared, &live).len())
    };
    define(r#"{"type":"integer"}"#);
    eventually("a default to be known that the stored version lacks", || (differs()? == 1).then_some(()));
    define(r#"{"type":"integer","default":1}"#);
    eventually("the stored default to be known, too", || (differs()? == 0).then_some(()));
    running.abort();
    send("DELETE", &format!("{DEFINITIONS}/gadgets.several.example.com"), "{}", &[]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_guards_kinds_that_only_the_cluster_defines() {
    let _turn = TURN.lock().await;
    let _widgets = Widgets::define();
    let namespace = PLANE.namespace();
    let repository = Repository::new();
    let widget = format!("apiVersion: example.com/v1\nkind: Widget\nmetadata: {{ name: w, namespace: {namespace} }}\n");
    repository.commit(&[("widget.yaml", &widget)], "Declare");
    let mut landfast =
        Landfast::start(&PLANE, &(source("shop", &repository, "1h", &format!("[{namespace}]")) + POLICY));
    let configuration = || PLANE.get(crate::webhook::CONFIGURATION).ok().filter(|it| it.contains("/widgets"));
    eventually("widgets to be guarded", configuration);
    let first = landfast_wrote(&landfast.log()).len();
    landfast.kill();
    landfast.resume();
    assert_eq!(landfast.status()["sources"][0]["declared"], 1, "ready before its kinds are known");
    let written = eventually("the configuration to be written again", || {
        Some(landfast_wrote(&landfast.log())).filter(|written| written.len() > first)
    });
    assert!(written[first..].iter().all(|entries| *entries == 2), "the guard was away: {written:?}");
    assert!(configuration().is_some());
    landfast.end();
    PLANE.kubectl(User::Admin, &["delete", "validatingwebhookconfiguration", "landfast"]).succeeds();
}
