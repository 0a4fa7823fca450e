//! When is a form learnt, for how long does it hold, and what may the account do that learns it?

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use hyper::Request;
use jiff::SignedDuration;
use kube::Client;
use kube::client::Body;
use landfast::audit::Clock;
use landfast::cluster::form::Forms;
use landfast::drift::declared::ObjectKey;
use landfast::drift::form::Form;
use landfast::gate::facts::FormOf;
use landfast::limits;
use landfast::store::Store;
use landfast::yaml;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::form::{Foreign, Habit, RUNTIME, turn};
use crate::gate::{DEPLOYMENT, WIDGETS, gate};
use crate::testbed::control_plane::ControlPlane;
use crate::testbed::user::User;
use crate::testbed::{control_plane, eventually};
use crate::webhook::now;

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
