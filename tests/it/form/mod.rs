//! What does the API server make of what Git declares? Forms as they are learnt and kept, beside a second webhook. The other webhook stands here;
//! `verdicts` is what follows for writes, `learning` how forms are learnt and kept.

mod learning;
mod verdicts;

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use landfast::audit::metrics::Metrics;
use landfast::limits;
use landfast::serve::authority::Authority;
use landfast::serve::listener::Listener;
use landfast::serve::renewal::Renewal;
use landfast::serve::tls::server_config;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::sleep;

use crate::testbed::scratch::Scratch;
use crate::testbed::user::User;
use crate::testbed::{control_plane, eventually};
use crate::webhook::now;

const MIRROR: &str = "mirror.example.com/web:1@sha256:0001";

/// Serves the other webhook: most tests are not async themselves.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Held while a test has something that mutates: each such configuration makes all forms learnt anew.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the other webhook does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// Names each image of `example.com` by its mirror, and adds a sidecar.
    Mirrors,
    /// The same where the object is there already.
    MirrorsUpdates,
    /// The same, later than a write waits for it.
    Dawdles,
    /// Is out of order.
    Fails,
    /// Runs seven replicas of whatever Alice writes.
    Scales,
    /// Refuses dry-runs: it cannot do without its side effects.
    RefusesDryRuns,
}

/// A webhook of somebody else, for one namespace; deregistered when it is dropped.
struct Foreign {
    habit: Arc<Mutex<Habit>>,
    name: String,
    namespace: String,
    port: u16,
    ca: Arc<str>,
    /// How often it was asked about a dry-run of landfast.
    rehearsals: Arc<AtomicUsize>,
    _turn: MutexGuard<'static, ()>,
}

impl Foreign {
    /// Registers it and waits until it is asked. Mutating webhooks are asked in the order of their names.
    fn register(prefix: &str, habit: Habit, namespace: &str) -> Self {
        let (rehearsals, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let habit = Arc::new(Mutex::new(habit));
        let (port, ca) = RUNTIME.block_on(serve(Arc::clone(&habit), Arc::clone(&rehearsals), Arc::clone(&asked)));
        let (name, namespace) = (format!("{prefix}-{namespace}"), namespace.to_owned());
        let foreign = Self { habit, name, namespace, port, ca, rehearsals, _turn: turn() };
        foreign.apply(10);
        eventually("the other webhook to be asked", || {
            let probe = ["-n", &foreign.namespace, "create", "configmap", "probe", "--dry-run=server"];
            control_plane().kubectl(User::Admin, &probe);
            (asked.load(Ordering::SeqCst) > 0).then_some(())
        });
        foreign
    }

    fn apply(&self, timeout: u32) {
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": self.kind(), "metadata": { "name": self.name },
            "webhooks": [{
                "name": "other.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "timeoutSeconds": timeout,
                "clientConfig": {
                    "url": format!("https://127.0.0.1:{}/", self.port),
                    "caBundle": STANDARD.encode(self.ca.as_bytes()),
                },
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": self.namespace } },
                "rules": [{
                    "apiGroups": ["", "apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                    "resources": ["deployments", "services", "statefulsets", "configmaps"],
                }],
            }],
        });
        let apply = ["apply", "--server-side", "-f", "-"];
        control_plane().kubectl_with_input(User::Admin, &apply, &configuration.to_string()).succeeds();
    }

    fn kind(&self) -> &'static str {
        match *self.habit.lock().unwrap() {
            Habit::Mirrors | Habit::MirrorsUpdates | Habit::Dawdles | Habit::Fails | Habit::Scales => {
                "MutatingWebhookConfiguration"
            }
            Habit::RefusesDryRuns => "ValidatingWebhookConfiguration",
        }
    }

    /// From now on it does this; a mutating webhook stays one.
    fn takes_to(&self, habit: Habit) {
        *self.habit.lock().unwrap() = habit;
    }

    fn rehearsals(&self) -> usize {
        self.rehearsals.load(Ordering::SeqCst)
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        control_plane().kubectl(User::Admin, &["delete", self.kind(), &self.name]);
    }
}

/// Serves it; its port and the authority of its certificate.
async fn serve(habit: Arc<Mutex<Habit>>, rehearsals: Arc<AtomicUsize>, asked: Arc<AtomicUsize>) -> (u16, Arc<str>) {
    let metrics = Arc::new(Metrics::new());
    let authority = Authority::open(&Scratch::get().folder("other"), &[], now()).unwrap();
    let (_, shown) = Renewal::new(authority, Arc::clone(&metrics), Arc::new(now)).unwrap();
    let router = Router::new().fallback(move |body: String| {
        let review: Value = serde_json::from_str(&body).unwrap();
        let request = &review["request"];
        asked.fetch_add(1, Ordering::SeqCst);
        if request["userInfo"]["username"] == User::Landfast.name() {
            assert_eq!(request["dryRun"], true, "{request:#}");
            rehearsals.fetch_add(1, Ordering::SeqCst);
        }
        let mut response = json!({ "uid": request["uid"], "allowed": true });
        let habit = *habit.lock().unwrap();
        match habit {
            Habit::MirrorsUpdates if request["operation"] != "UPDATE" => {}
            Habit::Mirrors | Habit::MirrorsUpdates | Habit::Dawdles | Habit::Fails => {
                response["patchType"] = json!("JSONPatch");
                response["patch"] = json!(STANDARD.encode(mirrored(&request["object"]).to_string()));
            }
            Habit::Scales if request["userInfo"]["username"] != User::Alice.name() => {}
            Habit::Scales => {
                let seven = json!([{ "op": "add", "path": "/spec/replicas", "value": 7 }]);
                response["patchType"] = json!("JSONPatch");
                response["patch"] = json!(STANDARD.encode(seven.to_string()));
            }
            Habit::RefusesDryRuns => response["allowed"] = json!(request["dryRun"] != true),
        }
        let answer = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response });
        async move {
            match habit {
                Habit::Mirrors | Habit::MirrorsUpdates | Habit::Scales | Habit::RefusesDryRuns => Ok(Json(answer)),
                Habit::Dawdles => {
                    sleep(limits::FORM_WAIT_MAX + Duration::from_millis(200)).await;
                    Ok(Json(answer))
                }
                Habit::Fails => Err(StatusCode::INTERNAL_SERVER_ERROR),
            }
        }
    });
    let tls = server_config(Arc::clone(&shown.certificates)).unwrap();
    let listener = Listener::https(([127, 0, 0, 1], 0).into(), tls, router, metrics).await.unwrap();
    let port = listener.address().port();
    tokio::spawn(listener.run(pending()));
    let ca = Arc::clone(&shown.bundle.borrow());
    (port, ca)
}

/// The JSON patch that names images by their mirror and adds the sidecar, where that is still to be done.
fn mirrored(object: &Value) -> Value {
    const CONTAINERS: &str = "/spec/template/spec/containers";
    let containers = object.pointer(CONTAINERS).and_then(Value::as_array);
    let mut patch = Vec::new();
    for (at, container) in containers.into_iter().flatten().enumerate() {
        if let Some(image) = container["image"].as_str().and_then(|image| image.strip_prefix("example.com/")) {
            let value = format!("mirror.example.com/{image}@sha256:0001");
            patch.push(json!({ "op": "replace", "path": format!("{CONTAINERS}/{at}/image"), "value": value }));
        }
    }
    if containers.is_some_and(|containers| containers.iter().all(|container| container["name"] != "mesh")) {
        let mesh = json!({ "name": "mesh", "image": "mesh:1" });
        patch.push(json!({ "op": "add", "path": format!("{CONTAINERS}/-"), "value": mesh }));
    }
    patch.into()
}
