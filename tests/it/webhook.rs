//! What does the API server send under our webhook entries? A webhook that lets everything in and notes it, and the keeper.
//!
//! A control plane of its own, because the configuration is one for the whole cluster; one test at a time for the same reason.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::Router;
use globset::GlobSet;
use jiff::Timestamp;
use landfast::audit::metrics::Metrics;
use landfast::cluster::keeper::{Keeper, Keeping};
use landfast::cluster::standing::Standing;
use landfast::cluster::webhook::Backend;
use landfast::drift::declared::{Declared, Lines, ObjectKey};
use landfast::drift::schema::Schemas;
use landfast::gate::basis::{Basis, Entry, Index, Scope, SourceId};
use landfast::gate::policy::{FailurePolicy, Policy, Rule};
use landfast::gate::verdict::Ruling;
use landfast::serve::authority::Authority;
use landfast::serve::listener::Listener;
use landfast::serve::renewal::Renewal;
use landfast::serve::tls::server_config;
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::support;
use crate::testbed::control_plane::ControlPlane;
use crate::testbed::eventually;
use crate::testbed::scratch::Scratch;
use crate::testbed::user::User;

pub(crate) static PLANE: LazyLock<ControlPlane> = LazyLock::new(ControlPlane::start);
/// Held by a test for as long as it runs: some take the API server away.
pub(crate) static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Where our configuration is.
pub(crate) const CONFIGURATION: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/landfast";

/// One call that the webhook got: `guard UPDATE deployments/scale alice`.
type Calls = Arc<Mutex<Vec<String>>>;

/// A webhook that lets everything in and notes it, and a keeper that registers it.
pub(crate) struct Bench {
    calls: Calls,
    pub(crate) basis: watch::Sender<Arc<Basis>>,
    pub(crate) alarms: Arc<AtomicUsize>,
    pub(crate) standing: watch::Receiver<Standing>,
    end: Option<oneshot::Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Bench {
    /// `port`: where the API server is sent; absent: to the webhook.
    pub(crate) async fn start(basis: Basis, port: Option<u16>, stand_down: Duration) -> Self {
        let calls = Calls::default();
        let (webhook, ca) = record(Arc::clone(&calls)).await;
        let alarms = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&alarms);
        let (standing, fares) = watch::channel(Standing::default());
        let (sender, receiver) = watch::channel(Arc::new(basis));
        let keeper = Keeper::new(Keeping {
            client: PLANE.client(User::Landfast).await,
            backend: Backend::Url(format!("https://127.0.0.1:{}", port.unwrap_or(webhook))),
            ca,
            namespace: "landfast-system".into(),
            stand_down,
            alarm: Arc::new(move |_| {
                told.fetch_add(1, Ordering::SeqCst);
            }),
            standing,
            clock: Arc::new(now),
        });
        let (end, ended) = oneshot::channel();
        let keeper = tokio::spawn(keeper.run(receiver, async move {
            let _ = ended.await;
        }));
        let bench = Self { calls, basis: sender, alarms, standing: fares, end: Some(end), keeper: Some(keeper) };
        eventually("the configuration to be written", || PLANE.get(CONFIGURATION).ok());
        bench
    }

    /// Ends the keeper and takes the configuration away, for the next test.
    pub(crate) async fn end(mut self) {
        self.end_keeper().await;
        let gone = PLANE.kubectl(User::Admin, &["delete", "validatingwebhookconfiguration", "landfast"]);
        assert!(gone.code == 0 || gone.stderr.contains("NotFound"), "{gone:?}");
    }

    pub(crate) async fn end_keeper(&mut self) {
        self.end.take().unwrap().send(()).unwrap();
        self.keeper.take().unwrap().await.unwrap();
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// Waits until a dry-run of alice is sent to this entry: a new configuration takes a moment to be honoured.
    pub(crate) fn honoured(&self, entry: &str, namespace: &str) {
        let call = format!("{entry} CREATE configmaps alice");
        eventually("the configuration to be honoured", || {
            let before = self.calls().len();
            let map = ["-n", namespace, "create", "configmap", "probe", "--dry-run=server"];
            PLANE.kubectl(User::Alice, &map).succeeds();
            self.calls()[before..].contains(&call).then_some(())
        });
        self.calls.lock().unwrap().clear();
    }
}

/// Serves a webhook that notes each call; its port and the authority of its certificate.
async fn record(calls: Calls) -> (u16, watch::Receiver<Arc<str>>) {
    let folder = Scratch::get().folder("recorder");
    let metrics = Arc::new(Metrics::new());
    let authority = Authority::open(&folder, &[], now()).unwrap();
    let (_, shown) = Renewal::new(authority, Arc::clone(&metrics), Arc::new(now)).unwrap();
    let router = Router::new().fallback(move |uri: hyper::Uri, body: String| {
        let review: Value = serde_json::from_str(&body).unwrap();
        let request = &review["request"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut resource = text(&request["resource"]["resource"]);
        if let Some(subresource) = request["subResource"].as_str() {
            resource = format!("{resource}/{subresource}");
        }
        let entry = uri.path().rsplit('/').next().unwrap_or_default();
        let (operation, user) = (text(&request["operation"]), text(&request["userInfo"]["username"]));
        calls.lock().unwrap().push(format!("{entry} {operation} {resource} {user}"));
        let response = json!({ "uid": request["uid"], "allowed": true });
        let answer = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response });
        std::future::ready(axum::Json(answer))
    });
    let tls = server_config(Arc::clone(&shown.certificates)).unwrap();
    let listener = Listener::https(([127, 0, 0, 1], 0).into(), tls, router, metrics).await.unwrap();
    let port = listener.address().port();
    tokio::spawn(listener.run(pending()));
    (port, shown.bundle)
}

#[expect(clippy::disallowed_methods, reason = "a test is its own rim")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// A policy over everything.
pub(crate) fn rule(failure_policy: FailurePolicy) -> Rule {
    Rule { failure_policy, undeclared_fields: Ruling::Warn, ..support::rule() }
}

/// A basis that declares these: `apps/v1 Deployment shop/web`.
pub(crate) fn basis(declared: &[String], schemas: Schemas, rules: Vec<Rule>) -> Basis {
    let id = SourceId("shop".into());
    let mut index = Index::default();
    for declared in declared {
        let [api_version, kind, place] = declared.split(' ').collect::<Vec<_>>()[..] else { panic!("{declared}") };
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let (namespace, name) = place.split_once('/').unwrap();
        let key = ObjectKey::new(group, kind, namespace, name);
        let head = Declared {
            key: key.clone(),
            version: version.into(),
            json: Box::from(*b"{}"),
            lines: Lines::default(),
            file: "a.yaml".into(),
            ignored: Box::default(),
        };
        let head = Some(Arc::new(head));
        index.objects.insert(key, Entry { source: id.clone(), head, since: now(), past: Arc::from([]) });
    }
    let patterns = vec!["test-*".into(), "?ank".into(), "default".into()];
    let mut basis = support::basis(schemas, index, id);
    for source in basis.sources.values_mut() {
        Arc::make_mut(source).scope =
            Scope { namespaces: GlobSet::empty(), patterns: patterns.clone(), cluster_scoped: true };
    }
    let landfast = Some(User::Landfast.name().to_owned());
    basis.policy = Arc::new(Policy { generation: 1, rules, landfast });
    basis
}

/// What many repositories declare.
pub(crate) fn declared(namespace: &str) -> Vec<String> {
    let mut declared: Vec<String> = [
        "apps/v1 Deployment web",
        "apps/v1 StatefulSet web",
        "v1 Service web",
        "v1 ConfigMap web",
        "v1 Secret web",
        "v1 Pod web",
        "v1 ReplicationController web",
        "v1 ServiceAccount web",
        "v1 PersistentVolumeClaim web",
        "batch/v1 Job web",
        "autoscaling/v2 HorizontalPodAutoscaler web",
        "networking.k8s.io/v1 Ingress web",
        "rbac.authorization.k8s.io/v1 Role web",
    ]
    .iter()
    .map(|kind| kind.replace(" web", &format!(" {namespace}/web")))
    .collect();
    declared.extend(
        ["v1 Namespace", "v1 PersistentVolume", "rbac.authorization.k8s.io/v1 ClusterRole"]
            .iter()
            .map(|kind| format!("{kind} /{namespace}")),
    );
    declared
}
