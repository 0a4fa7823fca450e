//! What does the API server make of what Git declares? Forms as they are learnt and kept, beside a second webhook.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use hyper::Request;
use jiff::SignedDuration;
use kube::Client;
use kube::client::Body;
use landfast::audit::Clock;
use landfast::audit::metrics::Metrics;
use landfast::cluster::form::Forms;
use landfast::drift::declared::ObjectKey;
use landfast::drift::form::Form;
use landfast::gate::facts::FormOf;
use landfast::limits;
use landfast::serve::authority::Authority;
use landfast::serve::listener::Listener;
use landfast::serve::renewal::Renewal;
use landfast::serve::tls::server_config;
use landfast::store::Store;
use landfast::yaml;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::gate::{Case, DEPLOYMENT, WIDGETS, gate};
use crate::reverts::deployed;
use crate::testbed::control_plane::ControlPlane;
use crate::testbed::scratch::Scratch;
use crate::testbed::user::User;
use crate::testbed::{control_plane, eventually};
use crate::webhook::now;

const MIRROR: &str = "mirror.example.com/web:1@sha256:0001";

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: { name: web, namespace: $NAMESPACE }\nspec:\n  \
                       type: NodePort\n  clusterIP: \"\"\n  ports: [{ port: 80, nodePort: 0 }]\n";

/// `maxUnavailable` stands behind a feature gate that is closed (MaxUnavailableStatefulSet, Kubernetes 1.36).
const GATED: &str = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: { name: web, namespace: $NAMESPACE }\nspec:\n  \
                     replicas: 1\n  updateStrategy: { rollingUpdate: { maxUnavailable: 2 } }\n  \
                     selector: { matchLabels: { app: web } }\n  template:\n    metadata: { labels: { app: web } }\n    \
                     spec: { containers: [{ name: web, image: \"example.com/web:1\" }] }\n";

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

#[test]
fn what_another_webhook_makes_of_git_is_no_drift_and_what_people_make_of_it_is() {
    // Before ours in the order of names, and after it.
    for prefix in ["another", "zealous"] {
        let case = Case::new("strict");
        let _foreign = Foreign::register(prefix, Habit::Mirrors, &case.namespace);
        case.declare("object.yaml", DEPLOYMENT);
        let spied = format!("{DEPLOYMENT}        - name: spy\n          image: example.com/spy:1\n");
        case.feed(User::Alice, &["create", "-f", "-"], &spied).fails_with(&[
            "gets what Git does not declare in 1 field",
            "spec.template.spec.containers[name=spy]: not in Git",
        ]);
        let created = case.feed(User::Alice, &["create", "-f", "-"], DEPLOYMENT).succeeds();
        assert_eq!(created.stderr, "");
        assert_eq!(case.field("deployment/web", ".spec.template.spec.containers[*].image"), format!("{MIRROR} mesh:1"));
        let other = ["set", "image", "deployment/web", "web=example.com/web:2"];
        case.kubectl(User::Alice, &other).fails_with(&[
            "differs from Git in 1 field",
            "containers[name=web].image: \"example.com/web:1\" in Git, \"mirror.example.com/web:2@sha256:0001\" in this write",
        ]);
        let forced = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        for (user, verb) in [(User::Alice, &forced[..]), (User::Bob, &["replace", "-f", "-"]), (User::ArgoCd, &forced)]
        {
            let written = case.feed(user, verb, DEPLOYMENT).succeeds();
            assert_eq!(written.stderr, "", "the image differed from Git before, and is none of this write's");
        }
        let without = r#"[{"op":"remove","path":"/spec/template/spec/containers/1"}]"#;
        case.kubectl(User::Alice, &["patch", "deployment", "web", "--type=json", "-p", without]).succeeds();
        assert_eq!(case.field("deployment/web", ".spec.template.spec.containers[*].name"), "web mesh");
    }
}

#[test]
fn what_another_webhook_makes_of_updates_only_is_no_drift() {
    let case = Case::new("deny");
    case.feed(User::Alice, &["create", "-f", "-"], DEPLOYMENT).succeeds();
    let _foreign = Foreign::register("another", Habit::MirrorsUpdates, &case.namespace);
    case.declare("object.yaml", DEPLOYMENT);
    let image = |image: &str| case.kubectl(User::Alice, &["set", "image", "deployment/web", &format!("web={image}")]);
    image("example.com/web:2").fails_with(&["containers[name=web].image: \"example.com/web:1\" in Git, "]);
    let grace = r#"{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":5}}}}"#;
    assert_eq!(case.kubectl(User::Alice, &["patch", "deployment", "web", "-p", grace]).succeeds().stderr, "");
    assert_eq!(case.field("deployment/web", ".spec.template.spec.containers[*].image"), format!("{MIRROR} mesh:1"));
}

#[test]
fn drift_is_put_back_whatever_another_webhook_does_before_or_after() {
    for prefix in ["another", "zealous"] {
        let case = deployed("revert", DEPLOYMENT);
        let foreign = Foreign::register(prefix, Habit::Mirrors, &case.namespace);
        let forced = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        eventually("forms to be learnt anew", || {
            (case.feed(User::ArgoCd, &forced, DEPLOYMENT).code == 0).then_some(())
        });
        let spec = || {
            let images = case.field("deployment/web", ".spec.template.spec.containers[*].image");
            format!("{} {images}", case.field("deployment/web", ".spec.replicas"))
        };
        let before = format!("3 {MIRROR} mesh:1");
        assert_eq!(spec(), before);
        let other = ["set", "image", "deployment/web", "web=example.com/web:2"];
        let told = case.kubectl(User::Alice, &other).succeeds().stderr;
        assert!(told.contains("is put back") && told.contains("containers[name=web].image"), "{prefix}: {told}");
        assert_eq!(spec(), before, "{prefix}");
        case.feed(User::Alice, &forced, &DEPLOYMENT.replace("replicas: 3", "replicas: 5")).succeeds();
        assert_eq!(spec(), before, "{prefix}");
        foreign.takes_to(Habit::Scales);
        let told = case.kubectl(User::Alice, &["label", "deployment", "web", "team=blue"]).succeeds().stderr;
        assert!(told.contains("spec.replicas: 3 in Git, 7 in this write"), "{prefix}: {told}");
        assert_eq!(spec(), before, "{prefix}");
        assert_eq!(case.field("deployment/web", ".metadata.labels.team"), "blue");
    }
}

#[test]
fn of_what_another_webhook_made_before_only_the_first_write_is_warned() {
    let case = Case::new("deny");
    let _foreign = Foreign::register("another", Habit::Mirrors, &case.namespace);
    case.feed(User::Alice, &["create", "-f", "-"], DEPLOYMENT).succeeds();
    case.declare("object.yaml", DEPLOYMENT);
    let annotate = |note: usize| {
        let note = format!("example.com/note={note}");
        case.kubectl(User::Alice, &["annotate", "--overwrite", "deployment", "web", &note]).succeeds().stderr
    };
    let first = annotate(0);
    assert!(first.contains("containers[name=web].image: \"example.com/web:1\" in Git, "), "{first}");
    let mut notes = 1..;
    eventually("the form to be learnt behind the write", || annotate(notes.next()?).is_empty().then_some(()));
}

#[test]
fn a_deployer_may_be_behind_in_what_another_webhook_makes_of_git() {
    let case = Case::new("deny");
    let _foreign = Foreign::register("another", Habit::Mirrors, &case.namespace);
    case.declare("object.yaml", DEPLOYMENT);
    case.declare("object.yaml", &DEPLOYMENT.replace("web:1", "web:2"));
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    case.feed(User::ArgoCd, &apply, DEPLOYMENT).succeeds();
    case.feed(User::ArgoCd, &apply, &DEPLOYMENT.replace("web:1", "web:3")).fails_with(&["differs from Git"]);
}

#[test]
fn what_the_server_drops_or_assigns_is_no_drift() {
    let case = Case::new("deny");
    case.declare("object.yaml", &format!("{GATED}---\n{SERVICE}"));
    for manifest in [GATED, SERVICE] {
        let created = case.feed(User::Alice, &["create", "-f", "-"], manifest).succeeds();
        assert_eq!(created.stderr, "");
    }
    assert_eq!(case.field("statefulset/web", ".spec.updateStrategy.rollingUpdate.maxUnavailable"), "");
    let ports = |port: u16| {
        let patch = format!(r#"[{{"op":"replace","path":"/spec/ports/0/nodePort","value":{port}}}]"#);
        case.kubectl(User::Alice, &["patch", "service", "web", "--type=json", "-p", &patch])
    };
    let assigned = case.field("service/web", ".spec.ports[0].nodePort");
    let other = if assigned == "30101" { 30102 } else { 30101 };
    assert_eq!(ports(other).succeeds().stderr, "");
    let internal = r#"{"spec":{"type":"ClusterIP","ports":[{"port":80,"nodePort":null}]}}"#;
    case.kubectl(User::Alice, &["patch", "service", "web", "-p", internal])
        .fails_with(&["spec.type: \"NodePort\" in Git, \"ClusterIP\" in this write"]);
}

#[test]
fn what_the_server_names_anew_in_each_pod_is_not_the_persons() {
    let case = Case::new("strict");
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: { name: web, namespace: $NAMESPACE }\nspec:\n  \
               containers: [{ name: web, image: \"example.com/web:1\" }]\n";
    case.declare("pod.yaml", pod);
    let added = format!("{pod}  volumes: [{{ name: own, emptyDir: {{}} }}]\n");
    // Pods are declared for the first time here, and the account that they run as is made with the namespace.
    eventually("the added volume to be denied", || {
        let answer = case.feed(User::Alice, &["create", "--dry-run=server", "-f", "-"], &added);
        answer.stderr.contains("spec.volumes[name=own]: not in Git").then_some(())
    });
    case.feed(User::Alice, &["create", "-f", "-"], &added).fails_with(&["gets what Git does not declare in 1 field"]);
    assert_eq!(case.feed(User::Alice, &["create", "-f", "-"], pod).succeeds().stderr, "");
    assert!(case.field("pod/web", ".spec.volumes[*].name").starts_with("kube-api-access-"));
}

#[test]
fn a_port_that_git_gives_is_no_obstacle() {
    let case = Case::new("strict");
    let given = SERVICE.replace("nodePort: 0", "nodePort: 30777");
    case.declare("object.yaml", &given);
    assert_eq!(case.feed(User::Alice, &["create", "-f", "-"], &given).succeeds().stderr, "");
    let other = r#"[{"op":"replace","path":"/spec/ports/0/nodePort","value":30778}]"#;
    case.kubectl(User::Alice, &["patch", "service", "web", "--type=json", "-p", other])
        .fails_with(&["nodePort: 30777 in Git, 30778 in this write"]);
}

#[test]
fn where_dry_runs_are_refused_the_unknown_is_let_in_with_a_warning_and_the_known_is_not() {
    let case = Case::new("deny");
    let _foreign = Foreign::register("another", Habit::RefusesDryRuns, &case.namespace);
    case.declare("object.yaml", GATED);
    let created = case.feed(User::Alice, &["create", "-f", "-"], GATED).succeeds();
    assert!(created.stderr.contains("maxUnavailable: 2 in Git, not in this write"), "{created:#?}");
    case.kubectl(User::Alice, &["scale", "statefulset", "web", "--replicas=5"]).fails_with(&[
        "spec.replicas: 1 in Git, 5 in this write",
        "note: the API server did not say what it makes of what Git declares",
    ]);
    let asked = gate().landfast.metric("landfast_questions_total", &["question=\"form\"", "outcome=\"silence\""]);
    assert!(asked >= 1.0, "{asked}");
}

/// Forms with a clock that can be put forward.
struct Learner {
    folder: TempDir,
    ahead: Arc<AtomicI64>,
    /// While it is set, nobody tells what surrounds the objects.
    blind: Arc<AtomicBool>,
    /// With the task that learns them.
    forms: Option<(Forms, JoinHandle<()>)>,
}

impl Drop for Learner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Learner {
    async fn new() -> Self {
        let (folder, ahead, blind) = (tempfile::tempdir().unwrap(), Arc::default(), Arc::default());
        let mut learner = Self { folder, ahead, blind, forms: None };
        learner.restart().await;
        learner
    }

    fn stop(&mut self) {
        if let Some((_, learning)) = self.forms.take() {
            learning.abort();
        }
    }

    async fn restart(&mut self) {
        self.stop();
        let (path, ahead) = (self.folder.path().to_owned(), Arc::clone(&self.ahead));
        let clock: Clock = Arc::new(move || now() + SignedDuration::from_secs(ahead.load(Ordering::SeqCst)));
        // What the last one still writes holds the folder.
        let store = tokio::task::spawn_blocking(move || eventually("the state folder", || Store::open(&path).ok()));
        let client = blindable(control_plane().client(User::Landfast).await, Arc::clone(&self.blind));
        let (forms, errands) = Forms::open(client, Arc::new(store.await.unwrap()), clock);
        self.forms = Some((forms, tokio::spawn(errands.run(pending()))));
    }

    async fn form(&self, of: &FormOf, resource: &str) -> Option<Arc<Form>> {
        self.forms.as_ref().unwrap().0.form(of, resource).await
    }

    /// Waits until this many forms are on the disk.
    async fn remembers(&self, count: usize) {
        let forms = self.folder.path().join("forms");
        let files = move || {
            std::fs::read_dir(&forms)
                .unwrap()
                .filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "json"))
                .count()
        };
        let waiting = move || eventually("forms to be remembered", || (files() == count).then_some(()));
        tokio::task::spawn_blocking(waiting).await.unwrap();
    }
}

/// A client of which no answer comes about the schemas while `blind` is set.
fn blindable(client: Client, blind: Arc<AtomicBool>) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, blind) = (client.clone(), blind.load(Ordering::SeqCst));
        async move {
            if blind && request.uri().path() == "/openapi/v3" { pending().await } else { client.send(request).await }
        }
    });
    Client::new(service, "default")
}

fn form_of(manifest: &str, namespace: &str) -> FormOf {
    let manifest = manifest.replace("$NAMESPACE", namespace);
    let json = yaml::documents(&manifest).unwrap()[0].to_json();
    let read: Value = serde_json::from_str(&json).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = text(&read["apiVersion"]);
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    let object = ObjectKey::new(group, &text(&read["kind"]), namespace, &text(&read["metadata"]["name"]));
    FormOf { object, manifest: json.as_bytes().into() }
}

#[test]
fn a_form_is_learnt_once_and_holds_until_something_changes_that_makes_it() {
    let namespace = control_plane().namespace();
    let foreign = Foreign::register("another", Habit::Mirrors, &namespace);
    let of = form_of(DEPLOYMENT, &namespace);
    RUNTIME.block_on(async {
        let mut learner = Learner::new().await;
        let all = join_all((0..20).map(|_| learner.form(&of, "deployments"))).await;
        let form = all[0].clone().expect("a Deployment has a form");
        assert!(all.iter().all(|other| other.as_ref() == Some(&form)));
        assert_eq!(foreign.rehearsals(), 3, "one form takes three dry-runs");

        learner.remembers(1).await;
        learner.restart().await;
        assert_eq!(learner.form(&of, "deployments").await, Some(Arc::clone(&form)));
        assert_eq!(foreign.rehearsals(), 3, "a restart keeps it");

        let age = i64::try_from(limits::FORM_AGE_MAX.as_secs()).unwrap();
        learner.ahead.fetch_add(age + 1, Ordering::SeqCst);
        assert!(learner.form(&of, "deployments").await.is_some());
        assert_eq!(foreign.rehearsals(), 6, "it has grown too old");

        foreign.apply(9);
        sleep(limits::FORM_STATE_AGE_MAX * 2).await;
        assert!(learner.form(&of, "deployments").await.is_some());
        assert_eq!(foreign.rehearsals(), 9, "the mutating configuration has changed");
        assert!(
            learner.form(&form_of(&DEPLOYMENT.replace("web:1", "web:2"), &namespace), "deployments").await.is_some()
        );
        assert_eq!(foreign.rehearsals(), 12, "another manifest has a form of its own");
    });
}

#[test]
fn where_nobody_tells_what_surrounds_an_object_what_was_told_last_holds() {
    let namespace = control_plane().namespace();
    let foreign = Foreign::register("another", Habit::Mirrors, &namespace);
    let (one, other) = (form_of(DEPLOYMENT, &namespace), form_of(&DEPLOYMENT.replace("web:1", "web:2"), &namespace));
    RUNTIME.block_on(async {
        let learner = Learner::new().await;
        learner.blind.store(true, Ordering::SeqCst);
        assert_eq!(learner.form(&one, "deployments").await, None, "nothing was told yet");
        learner.blind.store(false, Ordering::SeqCst);
        sleep(limits::FORM_STATE_AGE_MAX).await;
        let form = learner.form(&one, "deployments").await.expect("a Deployment has a form");
        learner.blind.store(true, Ordering::SeqCst);
        sleep(limits::FORM_STATE_AGE_MAX).await;
        assert_eq!(learner.form(&one, "deployments").await, Some(form));
        assert_eq!(foreign.rehearsals(), 3, "it is kept");
        assert!(learner.form(&other, "deployments").await.is_some(), "and others are learnt");
        assert_eq!(foreign.rehearsals(), 6);
    });
}

#[test]
fn a_form_that_nobody_waits_for_any_more_is_learnt_to_its_end() {
    let namespace = control_plane().namespace();
    let foreign = Foreign::register("another", Habit::Dawdles, &namespace);
    let of = form_of(DEPLOYMENT, &namespace);
    RUNTIME.block_on(async {
        let learner = Learner::new().await;
        let first = timeout(limits::FORM_WAIT_MAX, learner.form(&of, "deployments")).await;
        assert!(first.is_err(), "the other webhook is slower than a write waits");
        learner.remembers(1).await;
        assert!(learner.form(&of, "deployments").await.is_some());
        assert_eq!(foreign.rehearsals(), 3, "what the first one asked for is there");
    });
}

#[test]
fn who_asks_while_many_forms_are_learnt_takes_a_turn() {
    let namespace = control_plane().namespace();
    let foreign = Foreign::register("another", Habit::Dawdles, &namespace);
    let count = limits::FORMS_AT_ONCE * 2 + 1;
    let all: Vec<_> =
        (0..count).map(|at| form_of(&DEPLOYMENT.replace("web:1", &format!("web:{at}")), &namespace)).collect();
    RUNTIME.block_on(async {
        let learner = Learner::new().await;
        let forms = join_all(all.iter().map(|of| learner.form(of, "deployments"))).await;
        assert_eq!(forms.iter().flatten().count(), count);
        assert_eq!(foreign.rehearsals(), count * 3);
    });
}

#[test]
fn a_server_that_only_failed_to_look_is_asked_again() {
    let namespace = control_plane().namespace();
    let foreign = Foreign::register("another", Habit::Mirrors, &namespace);
    let of = form_of(DEPLOYMENT, &namespace);
    RUNTIME.block_on(async {
        let learner = Learner::new().await;
        foreign.takes_to(Habit::Fails);
        assert_eq!(learner.form(&of, "deployments").await, None);
        assert!(foreign.rehearsals() > 0, "it was asked");
        foreign.takes_to(Habit::Mirrors);
        assert!(learner.form(&of, "deployments").await.is_some(), "the failure is not remembered");
    });
}

/// Adds an annotation to ConfigMaps; `$NAMESPACE` names it.
const POLICY: &str = "\
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: { name: annotates-$NAMESPACE }
spec:
  matchConstraints:
    namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: $NAMESPACE } }
    resourceRules: [{ apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps] }]
  failurePolicy: Fail
  reinvocationPolicy: Never
  mutations:
    - patchType: ApplyConfiguration
      applyConfiguration: { expression: 'Object{metadata: Object.metadata{annotations: {\"by\": \"first\"}}}' }
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: { name: annotates-$NAMESPACE }
spec: { policyName: annotates-$NAMESPACE }
";

const SCREWS: &str = "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: screws.example.com }
spec:
  group: example.com
  names: { kind: Screw, plural: screws }
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              properties: { size: { type: integer }, head: { type: string, default: first } }
";

#[test]
fn a_changed_policy_or_schema_makes_another_form() {
    let (_turn, plane) = (turn(), control_plane());
    let namespace = plane.namespace();
    let apply = |manifest: &str| {
        let manifest = manifest.replace("$NAMESPACE", &namespace);
        plane.kubectl_with_input(User::Admin, &["apply", "--server-side", "-f", "-"], &manifest).succeeds();
    };
    apply(SCREWS);
    plane.kubectl(User::Admin, &["wait", "--for=condition=Established", "crd/screws.example.com"]).succeeds();
    apply(POLICY);
    let named = "metadata: { name: web, namespace: $NAMESPACE }\n";
    let map = form_of(&format!("apiVersion: v1\nkind: ConfigMap\n{named}data: {{ a: b }}\n"), &namespace);
    let screw = form_of(&format!("apiVersion: example.com/v1\nkind: Screw\n{named}spec: {{ size: 1 }}\n"), &namespace);
    let learner = RUNTIME.block_on(Learner::new());
    let becomes = |of: &FormOf, resource: &str, with: &str| {
        // The API server honours a new policy or schema a moment after it was written.
        eventually("the API server to honour it", || {
            let manifest = std::str::from_utf8(&of.manifest).unwrap();
            let rehearse = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
            plane.kubectl_with_input(User::Admin, &rehearse, manifest).stdout.contains(with).then_some(())
        });
        eventually(&format!("the form of {of:?} to have {with}"), || {
            let form = RUNTIME.block_on(learner.form(of, resource))?;
            serde_json::to_string(&*form).unwrap().contains(with).then_some(())
        });
    };
    becomes(&map, "configmaps", "first");
    becomes(&screw, "screws", "first");
    apply(&POLICY.replace("first", "second"));
    apply(&SCREWS.replace("first", "second"));
    becomes(&map, "configmaps", "second");
    becomes(&screw, "screws", "second");
    plane.kubectl(User::Admin, &["delete", "crd/screws.example.com", "--wait=false"]).succeeds();
    let policy =
        ["delete", "mutatingadmissionpolicy,mutatingadmissionpolicybinding", &format!("annotates-{namespace}")];
    plane.kubectl(User::Admin, &policy).succeeds();
}

#[test]
fn that_there_is_no_form_is_remembered_for_a_while() {
    let namespace = control_plane().namespace();
    let foreign = Foreign::register("another", Habit::RefusesDryRuns, &namespace);
    let of = form_of(DEPLOYMENT, &namespace);
    RUNTIME.block_on(async {
        let learner = Learner::new().await;
        assert_eq!(learner.form(&of, "deployments").await, None);
        let asked = foreign.rehearsals();
        assert_eq!(learner.form(&of, "deployments").await, None);
        assert_eq!((asked, foreign.rehearsals()), (3, 3), "twice under other names, once on the object itself");
        let age = i64::try_from(limits::FORM_REFUSED_AGE_MAX.as_secs()).unwrap();
        learner.ahead.fetch_add(age + 1, Ordering::SeqCst);
        assert_eq!(learner.form(&of, "deployments").await, None);
        assert_eq!(foreign.rehearsals(), 6);
    });
}

#[test]
fn an_object_whose_name_has_a_meaning_is_asked_about_itself() {
    gate();
    let definition = form_of(WIDGETS, "");
    let taken = "apiVersion: v1\nkind: Service\nmetadata: { name: taken, namespace: $NAMESPACE }\nspec: { type: NodePort, ports: [{ port: 80, nodePort: 30999 }] }\n";
    let namespace = control_plane().namespace();
    let service = taken.replace("$NAMESPACE", &namespace);
    control_plane().kubectl_with_input(User::Admin, &["create", "-f", "-"], &service).succeeds();
    RUNTIME.block_on(async {
        let learner = Learner::new().await;
        assert!(learner.form(&definition, "customresourcedefinitions").await.is_some());
        assert!(learner.form(&form_of(taken, &namespace), "services").await.is_some());
    });
}

#[test]
fn no_value_of_a_secret_is_written_down() {
    let namespace = control_plane().namespace();
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: { name: keys, namespace: $NAMESPACE }\nstringData: { key: hidden }\n";
    let map = secret.replace("Secret", "ConfigMap").replace("stringData", "data").replace("hidden", "shown");
    RUNTIME.block_on(async {
        let learner = Learner::new().await;
        assert!(learner.form(&form_of(secret, &namespace), "secrets").await.is_some());
        assert!(learner.form(&form_of(&map, &namespace), "configmaps").await.is_some());
        learner.remembers(1).await;
        let files = std::fs::read_dir(learner.folder.path().join("forms")).unwrap();
        let texts: Vec<_> = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
        assert!(
            texts.iter().all(|text| text.contains("shown") && !text.contains(&STANDARD.encode("hidden"))),
            "{texts:?}"
        );
    });
}

#[test]
fn landfasts_own_account_can_make_nothing_but_dry_runs() {
    // As it is installed: nobody has bound the roles for repair.
    let plane = ControlPlane::start();
    let repair = ["testbed-repair", "landfast-repair", "landfast-repair-admission", "landfast-deployers"];
    plane.kubectl(User::Admin, &[&["delete", "clusterrolebinding"], &repair[..]].concat()).succeeds();
    let namespace = plane.namespace();
    let mut tried = 0;
    eventually("the policy, which is installed last, to be in force", || {
        tried += 1;
        let probe = ["-n", &namespace, "create", "configmap", &format!("probe-{tried}")];
        (plane.kubectl(User::Landfast, &probe).code != 0).then_some(())
    });
    let create = ["-n", &namespace, "create", "configmap", "own"];
    plane.kubectl(User::Landfast, &create).fails_with(&["Landfast only rehearses this write"]);
    plane.kubectl(User::Landfast, &[&create[..], &["--dry-run=server"]].concat()).succeeds();
    // A dry-run of a token is a token.
    let token = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default/token");
    let request = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest"}"#;
    for path in [&token, &format!("{token}?dryRun=All")] {
        let create = ["create", "--raw", path, "-f", "-"];
        let asked = plane.kubectl_with_input(User::Landfast, &create, request);
        asked.fails_with(&["Landfast only rehearses this write"]);
    }
    // What no policy sees, or what shows a Secret, its role must leave out.
    for [verb, resource, subresource] in
        [["create", "nodes", "proxy"], ["create", "pods", "exec"], ["patch", "secrets", ""]]
    {
        let may = ["auth", "can-i", verb, resource, "--subresource", subresource, "--all-namespaces"];
        let may = plane.kubectl(User::Landfast, &may);
        assert!(may.code != 0 && may.stdout.trim() == "no", "{may:#?}");
    }
}
