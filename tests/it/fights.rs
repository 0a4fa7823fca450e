//! Is it told what slipped past, how all that Git declares stands, and who moves a field again and again? The real landfast beside a
//! control plane of its own, configured in the cluster; seen by watching, never by waiting a fixed time.
//!
//! The first part of a namespace's name says which policy governs it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};

use serde_json::Value;

use crate::definitions::install;
use crate::gate::{DEPLOYMENT, source};
use crate::testbed::control_plane::ControlPlane;
use crate::testbed::kubectl::Output;
use crate::testbed::landfast::Landfast;
use crate::testbed::repository::Repository;
use crate::testbed::user::User;

const POLICIES: &str = include_str!("../data/fights.yaml");

/// Whom the API server does not ask landfast about.
const AROUND_THE_GATE: [&str; 3] = ["--as=eve", "--as-group=system:masters", "--as-group=landfast:emergency"];

/// One control plane, two repositories that declare the same, one landfast.
pub(crate) struct Shop {
    pub(crate) plane: ControlPlane,
    repositories: Mutex<[Repository; 2]>,
    pub(crate) landfast: Landfast,
}

pub(crate) static SHOP: LazyLock<Shop> = LazyLock::new(|| {
    let plane = ControlPlane::start();
    install(&plane);
    let repositories = [Repository::new(), Repository::new()];
    let namespaces = r#"["fought-*", "watched-*", "asked-*", "pasted-*"]"#;
    let [first, second] = [0, 1].map(|n| source(["shop", "younger"][n], &repositories[n], "1s", namespaces));
    let apply = |config: &str| plane.kubectl_with_input(User::Admin, &["apply", "-f", "-"], config).succeeds();
    apply(&(first + POLICIES));
    apply(&second);
    let landfast = Landfast::in_cluster(&plane);
    let repositories = Mutex::new(repositories);
    Shop { plane, repositories, landfast }
});

/// One test's namespace, with the declared Deployment `web` in it.
pub(crate) struct Case {
    pub(crate) namespace: String,
}

impl Case {
    pub(crate) fn new(policy: &str) -> Self {
        Self::deployed(policy, User::Alice)
    }

    /// The same, as this user made the Deployment.
    pub(crate) fn deployed(policy: &str, user: User) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let case = Self { namespace: format!("{policy}-{}", NUMBER.fetch_add(1, Ordering::Relaxed)) };
        SHOP.plane.kubectl(User::Admin, &["create", "namespace", &case.namespace]).succeeds();
        case.feed(user, &["create", "-f", "-"], DEPLOYMENT).succeeds();
        case.declare(0, DEPLOYMENT);
        Self::is_known();
        case
    }

    /// Waits until landfast has seen that all that is declared is as it is declared: what differs from then on has drifted.
    #[track_caller]
    pub(crate) fn is_known() {
        SHOP.landfast.eventually("the objects to be known", || {
            let status = SHOP.landfast.status();
            let shop = status["sources"].as_array()?.iter().find(|source| source["name"] == "shop")?;
            let objects = &shop["objects"];
            // All that the last commit declares is counted, too: the count comes a little after it.
            let counts = objects.as_object()?.iter().filter(|(state, _)| *state != "repaired");
            let counted: u64 = counts.filter_map(|(_, count)| count.as_u64()).sum();
            (objects["unknown"] == 0 && objects["not_deployed"] == 0 && shop["declared"] == counted).then_some(())
        });
    }

    pub(crate) fn declare(&self, repository: usize, template: &str) {
        let (file, source) = (format!("{}.yaml", self.namespace), ["shop", "younger"][repository]);
        let commit =
            SHOP.repositories.lock().unwrap()[repository].commit(&[(&file, &self.manifest(template))], "Declare");
        SHOP.landfast.eventually("the commit to be in force", || {
            let revision = SHOP.landfast.revision(source).filter(|revision| !revision.is_empty())?;
            SHOP.repositories.lock().unwrap()[repository].holds(&revision, &commit).then_some(())
        });
    }

    fn manifest(&self, template: &str) -> String {
        template.replace("$NAMESPACE", &self.namespace)
    }

    pub(crate) fn kubectl(&self, user: User, args: &[&str]) -> Output {
        SHOP.plane.kubectl(user, &[&["-n", &self.namespace], args].concat())
    }

    pub(crate) fn feed(&self, user: User, args: &[&str], template: &str) -> Output {
        SHOP.plane.kubectl_with_input(user, &[&["-n", &self.namespace], args].concat(), &self.manifest(template))
    }

    pub(crate) fn scale(&self, user: User, more: &[&str], replicas: u32) {
        let scale = ["scale", "deployment", "web", &format!("--replicas={replicas}")];
        self.kubectl(user, &[&scale[..], more].concat()).succeeds();
    }

    pub(crate) fn replicas(&self) -> Value {
        let web = self.kubectl(User::Admin, &["get", "deployment", "web", "-o", "json"]);
        let web: Value = serde_json::from_str(&web.succeeds().stdout).unwrap();
        web["spec"]["replicas"].clone()
    }

    #[track_caller]
    fn is_back(&self) {
        SHOP.landfast.eventually("the replicas to come back", || (self.replicas() == 3).then_some(()));
    }

    /// The Events of this reason on the Deployment.
    pub(crate) fn events(&self, reason: &str) -> Vec<Value> {
        let events = self.kubectl(User::Admin, &["get", "events", "-o", "json"]).succeeds().stdout;
        let events: Value = serde_json::from_str(&events).unwrap();
        let is = |event: &&Value| event["reason"] == reason && event["involvedObject"]["name"] == "web";
        events["items"].as_array().unwrap().iter().filter(is).cloned().collect()
    }

    #[track_caller]
    fn told(&self, reason: &str) -> String {
        let event = SHOP.landfast.eventually(reason, || self.events(reason).into_iter().next());
        event["message"].as_str().unwrap().to_owned()
    }
}

fn git_source(name: &str) -> Value {
    let source = SHOP.plane.kubectl(User::Admin, &["get", "gitsource", name, "-o", "json"]).succeeds().stdout;
    serde_json::from_str(&source).unwrap()
}

fn condition(source: &Value, kind: &str) -> Option<Value> {
    source["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind).cloned()
}

#[test]
fn a_field_moved_again_after_three_repairs_is_a_fight_with_a_name_and_it_ends_by_itself() {
    let case = Case::new("fought");
    for _ in 0..3 {
        case.scale(User::Alice, &[], 7);
        case.is_back();
    }
    assert_eq!(case.events("FightDetected"), Vec::<Value>::new());
    case.scale(User::Alice, &[], 7);
    let told = case.told("FightDetected");
    assert!(told.contains("spec.replicas: 3 in Git, 7 live") && told.contains("alice as kubectl"), "{told}");
    // It is not put back at once any more, and the status says why.
    assert_eq!(case.replicas(), 7);
    let source = SHOP.landfast.eventually("the condition", || {
        Some(git_source("shop")).filter(|source| condition(source, "Fighting").is_some_and(|it| it["status"] == "True"))
    });
    let fighting = condition(&source, "Fighting").unwrap();
    assert!(
        fighting["message"].as_str().unwrap().contains(&format!("{}/web spec.replicas", case.namespace)),
        "{fighting}"
    );
    assert_eq!(condition(&source, "InSync").unwrap()["reason"], "Fighting", "{source}");
    assert!(SHOP.landfast.metric("landfast_fights_total", &[r#"source="shop""#]) >= 1.0);
    // Later it is, and when nobody moves it again, that is said once.
    case.is_back();
    let ended = case.told("FightEnded");
    assert!(ended.contains("stays as it was brought back"), "{ended}");
    assert_eq!(case.events("FightDetected").len(), 1);
}

#[test]
fn what_went_around_the_gate_is_told_with_its_manager_and_what_was_let_in_is_not() {
    let case = Case::new("fought");
    case.scale(User::Alice, &[], 5);
    case.is_back();
    let repaired = case.told("DriftRepaired");
    assert!(repaired.contains("spec.replicas: 3 in Git, 5 live"), "{repaired}");
    // Of a scale the API server notes no time.
    let patch = ["patch", "deployment", "web", "--type=merge", "-p", r#"{"spec":{"replicas":9}}"#];
    case.kubectl(User::Admin, &[&patch[..], &AROUND_THE_GATE].concat()).succeeds();
    let slipped = case.told("DriftSlippedPast");
    assert!(slipped.contains("spec.replicas: 3 in Git, 9 live, moved by kubectl-patch at 20"), "{slipped}");
    case.is_back();
    assert_eq!(case.events("DriftSlippedPast").len(), 1);
    let record = SHOP.landfast.eventually("the record", || {
        let status = SHOP.landfast.status();
        let mut records = status["records"].as_array()?.iter();
        records
            .find(|it| it["repair"]["outcome"] == "SlippedPast" && it["object"]["namespace"] == *case.namespace)
            .cloned()
    });
    assert_eq!(record["fields"][0]["path"], "spec.replicas", "{record}");
    assert_eq!(
        record["repair"]["moved_by"].as_array().or(record["repair"]["movedBy"].as_array()).map(Vec::len),
        Some(1),
        "{record}"
    );
    assert!(SHOP.landfast.metric("landfast_slipped_past_total", &[r#"source="shop""#]) >= 1.0);
}

#[test]
fn a_secret_that_slipped_past_leaves_no_value() {
    let case = Case::new("watched");
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: { name: web, namespace: $NAMESPACE }\nstringData: { key: hunter2 }\n";
    case.feed(User::Alice, &["create", "-f", "-"], secret).succeeds();
    case.declare(0, &format!("{DEPLOYMENT}---\n{secret}"));
    let namespace = &*case.namespace;
    Case::is_known();
    let patch = r#"{"stringData":{"key":"swordfish"}}"#;
    case.kubectl(User::Admin, &[&["patch", "secret", "web", "-p", patch], &AROUND_THE_GATE[..]].concat()).succeeds();
    let is_told = |line: &Value| {
        line["namespace"] == namespace
            && line["kind"] == "Secret"
            && line["reason"] == "differs from Git, and the gate was not asked"
    };
    let told = SHOP.landfast.eventually("the record", || SHOP.landfast.records(is_told).into_iter().next());
    assert!(told.to_string().contains("data.key"), "{told}");
    for value in ["swordfish", "c3dvcmRmaXNo", "hunter2", "aHVudGVyMg=="] {
        assert!(!SHOP.landfast.log().contains(value), "{value} in the log");
        assert!(!SHOP.landfast.status().to_string().contains(value), "{value} in the status");
    }
}

#[test]
fn what_two_sources_declare_stays_with_the_older_and_is_not_fought_over() {
    let case = Case::new("fought");
    case.declare(1, &DEPLOYMENT.replace("replicas: 3", "replicas: 8"));
    let younger = SHOP.landfast.eventually("the fault of the younger", || {
        Some(git_source("younger")).filter(|source| source["status"]["faultCount"].as_i64() >= Some(1))
    });
    assert!(younger["status"]["faults"].to_string().contains("declared"), "{younger}");
    case.scale(User::Alice, &[], 5);
    case.is_back();
    case.told("DriftRepaired");
    case.scale(User::Alice, &[], 6);
    case.is_back();
    let repairs = || {
        SHOP.landfast.records(|line| line["namespace"] == *case.namespace && line["repair"]["outcome"] == "Repaired")
    };
    SHOP.landfast.eventually("the second record", || (repairs().len() >= 2).then_some(()));
    assert_eq!((repairs().len(), case.events("FightDetected").len()), (2, 0), "{:#?}", repairs());
}

#[test]
fn the_status_counts_how_all_stand_and_a_person_can_read_it() {
    let case = Case::new("watched");
    case.scale(User::Alice, &[], 5);
    let source = SHOP.landfast.eventually("the drift in the status of the source", || {
        Some(git_source("shop")).filter(|source| source["status"]["objects"]["drifting"].as_i64() >= Some(1))
    });
    assert_eq!(condition(&source, "InSync").unwrap()["status"], "False", "{source}");
    assert!(source["status"]["objects"]["oldestDrift"].is_string(), "{source}");
    // What others tell of it stays.
    assert_eq!(condition(&source, "Ready").unwrap()["status"], "True", "{source}");
    assert!(SHOP.landfast.metric("landfast_objects", &[r#"source="shop""#, r#"state="drifting""#]) >= 1.0);
    SHOP.landfast.eventually("the drift to age", || {
        (SHOP.landfast.metric("landfast_oldest_drift_seconds", &[r#"source="shop""#]) > 0.5).then_some(())
    });
    let (code, page) = SHOP.landfast.get("/").unwrap();
    assert_eq!(code, 200);
    assert!(page.contains("<h2>Git</h2>") && page.contains("drifting"), "{page}");
    case.scale(User::Alice, &[], 3);
}

#[test]
fn what_admission_never_sees_comes_back_where_it_is_declared() {
    let case = Case::new("watched");
    let policy = POLICY.replace("$NAMESPACE", &case.namespace);
    SHOP.plane.kubectl_with_input(User::Admin, &["create", "-f", "-"], &policy).succeeds();
    case.declare(0, &format!("{DEPLOYMENT}---\n{POLICY}"));
    Case::is_known();
    let expression = || {
        let get = ["get", "validatingadmissionpolicy", &case.namespace, "--ignore-not-found", "-o", "json"];
        let policy = SHOP.plane.kubectl(User::Admin, &get).succeeds().stdout;
        let policy: Value = serde_json::from_str(&policy).ok()?;
        policy["spec"]["validations"][0]["expression"].as_str().map(str::to_owned)
    };
    let weak = r#"{"spec":{"validations":[{"expression":"true"}]}}"#;
    let patch = ["patch", "validatingadmissionpolicy", &case.namespace, "--type=merge", "-p", weak];
    SHOP.plane.kubectl(User::Admin, &patch).succeeds();
    let is_told = |line: &Value| line["name"] == *case.namespace && line["repair"]["outcome"] == "SlippedPast";
    SHOP.landfast
        .eventually("what went past the gate to be told", || SHOP.landfast.records(is_told).into_iter().next());
    let is_back = || (expression()? == "object.metadata.name != 'forbidden'").then_some(());
    SHOP.landfast.eventually("the policy to come back", is_back);
    SHOP.plane.kubectl(User::Admin, &["delete", "validatingadmissionpolicy", &case.namespace]).succeeds();
    SHOP.landfast.eventually("the deleted policy to come back", is_back);
}

const POLICY: &str = r#"apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: { name: $NAMESPACE }
spec:
  matchConstraints:
    resourceRules:
      - { apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps] }
  validations:
    - expression: object.metadata.name != 'forbidden'
"#;
