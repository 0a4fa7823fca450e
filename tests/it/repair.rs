//! Does what slipped past come back, and nothing else? The real landfast beside a control plane of its own, with the deployers' and
//! people's real tools; seen by watching, never by waiting a fixed time.
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

const POLICIES: &str = include_str!("../data/repair.yaml");

/// One control plane, one repository, one landfast.
pub(crate) struct Shop {
    pub(crate) plane: ControlPlane,
    repository: Mutex<Repository>,
    pub(crate) landfast: Landfast,
}

static SHOP: LazyLock<Shop> = LazyLock::new(Shop::open);

impl Shop {
    pub(crate) fn open() -> Self {
        Self::prepared(|_| {})
    }

    /// One whose control plane is prepared before landfast starts.
    pub(crate) fn prepared(prepare: impl Fn(&ControlPlane)) -> Self {
        let plane = ControlPlane::start();
        install(&plane);
        prepare(&plane);
        let repository = Repository::new();
        let config =
            source("shop", &repository, "1s", r#"["alone-*", "deployed-*", "moving-*", "never-*"]"#) + POLICIES;
        let landfast = Landfast::start(&plane, &config);
        Self { plane, repository: Mutex::new(repository), landfast }
    }
}

/// One test's namespace.
pub(crate) struct Case<'s> {
    shop: &'s Shop,
    pub(crate) namespace: String,
}

impl Case<'static> {
    /// One beside the landfast that tests share.
    pub(crate) fn new(policy: &str) -> Self {
        Self::of(&SHOP, policy)
    }

    /// One with the declared Deployment `web` in it, as this user made it.
    pub(crate) fn with_web(policy: &str, user: User) -> Self {
        let case = Self::new(policy);
        case.feed(user, &["create", "-f", "-"], DEPLOYMENT).succeeds();
        case.declare(DEPLOYMENT);
        case
    }
}

impl<'s> Case<'s> {
    pub(crate) fn of(shop: &'s Shop, policy: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let namespace = format!("{policy}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        shop.plane.kubectl(User::Admin, &["create", "namespace", &namespace]).succeeds();
        Self { shop, namespace }
    }

    /// A namespace that is there already.
    pub(crate) fn at(shop: &'s Shop, namespace: &str) -> Self {
        Self { shop, namespace: namespace.to_owned() }
    }

    pub(crate) fn commit(&self, template: &str) -> String {
        let file = format!("{}.yaml", self.namespace);
        self.shop.repository.lock().unwrap().commit(&[(&file, &self.manifest(template))], "Declare")
    }

    pub(crate) fn declare(&self, template: &str) {
        let commit = self.commit(template);
        self.shop.landfast.eventually("the commit to be in force", || {
            let revision = self.shop.landfast.revision("shop").filter(|revision| !revision.is_empty())?;
            self.shop.repository.lock().unwrap().holds(&revision, &commit).then_some(())
        });
    }

    fn manifest(&self, template: &str) -> String {
        template.replace("$NAMESPACE", &self.namespace)
    }

    pub(crate) fn kubectl(&self, user: User, args: &[&str]) -> Output {
        self.shop.plane.kubectl(user, &[&["-n", &self.namespace], args].concat())
    }

    pub(crate) fn feed(&self, user: User, args: &[&str], template: &str) -> Output {
        let manifest = self.manifest(template);
        self.shop.plane.kubectl_with_input(user, &[&["-n", &self.namespace], args].concat(), &manifest)
    }

    /// An object; null where there is none.
    pub(crate) fn get(&self, object: &str) -> Value {
        let how = ["--ignore-not-found", "-o", "json", "--show-managed-fields"];
        // Its kind may be gone, too.
        let answer = self.kubectl(User::Admin, &[&["get", object], &how[..]].concat());
        serde_json::from_str(&answer.stdout).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn comes_back(&self, what: &str, object: &str, is: impl Fn(&Value) -> bool) -> Value {
        self.shop.landfast.eventually(what, || Some(self.get(object)).filter(&is))
    }

    /// The record of a repair in this namespace.
    #[track_caller]
    pub(crate) fn record(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let is_it = |line: &Value| line["operation"] == "REPAIR" && line["namespace"] == *self.namespace && is(line);
        self.shop.landfast.eventually(what, || self.shop.landfast.records(is_it).pop())
    }

    /// Waits for an Event with this reason.
    #[track_caller]
    pub(crate) fn event(&self, reason: &str) {
        self.shop.landfast.eventually(reason, || {
            let events = self.kubectl(User::Admin, &["get", "events", "-o", "json"]).succeeds().stdout;
            let events: Value = serde_json::from_str(&events).unwrap();
            events["items"].as_array().unwrap().iter().any(|event| event["reason"] == reason).then_some(())
        });
    }

    pub(crate) fn scale(&self, user: User, replicas: u32) {
        self.kubectl(user, &["scale", "deployment", "web", &format!("--replicas={replicas}")]).succeeds();
    }
}

/// Who owns a place of an object, each as manager and operation.
fn owners(object: &Value, pointer: &str) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    let owns = |entry: &&Value| entry["fieldsV1"].pointer(pointer).is_some();
    let name =
        |entry: &Value| format!("{}/{}", entry["manager"].as_str().unwrap(), entry["operation"].as_str().unwrap());
    entries.iter().filter(owns).map(name).collect()
}

/// What Landfast wrote in a namespace, Events left out.
fn writes_of_landfast(namespace: &str) -> Vec<Value> {
    SHOP.plane.audit(|event| {
        event["user"]["username"] == User::Landfast.name()
            && event["objectRef"]["namespace"] == *namespace
            && event["objectRef"]["resource"] != "events"
            && event["requestURI"].as_str().is_some_and(|uri| !uri.contains("dryRun=All"))
    })
}

/// `DEPLOYMENT` with two labels more.
fn labelled() -> String {
    DEPLOYMENT.replacen("    app: web\n", "    app: web\n    tier: front\n    zone: a\n", 1)
}

#[test]
fn what_differs_comes_back_and_is_put_on_the_record() {
    let case = Case::with_web("alone", User::Alice);
    case.kubectl(User::Alice, &["patch", "deployment", "web", "-p", r#"{"spec":{"replicas":7}}"#]).succeeds();
    case.comes_back("the replicas to come back", "deployment/web", |web| web["spec"]["replicas"] == 3);
    let record = case.record("the record", |_| true);
    assert_eq!(record["fields"][0]["path"], "spec.replicas", "{record}");
    assert_eq!((&record["fields"][0]["git"], &record["fields"][0]["before"]), (&3.into(), &7.into()), "{record}");
    assert_eq!(record["fields"][0]["origin"]["line"], 9, "{record}");
    assert_eq!(record["repair"]["outcome"], "Repaired", "{record}");
    let moved = &record["repair"]["movedBy"][0];
    assert!(moved["manager"].as_str().unwrap().starts_with("kubectl") && moved["time"].is_string(), "{record}");
    case.event("DriftRepaired");
}

#[test]
fn what_is_deleted_comes_back() {
    let case = Case::with_web("alone", User::Alice);
    let uid = case.get("deployment/web")["metadata"]["uid"].clone();
    case.kubectl(User::Alice, &["delete", "deployment", "web", "--wait=false"]).succeeds();
    case.comes_back("the Deployment to come back", "deployment/web", |web| {
        web["spec"]["replicas"] == 3 && web["metadata"]["uid"] != uid
    });
}

#[test]
fn without_repair_nothing_is_written() {
    let case = Case::with_web("never", User::Alice);
    case.scale(User::Alice, 7);
    case.feed(User::Alice, &["delete", "--wait=false", "-f", "-"], DEPLOYMENT).succeeds();
    // What came later was seen and repaired: so was this seen, and left.
    let later = Case::with_web("alone", User::Alice);
    later.scale(User::Alice, 7);
    later.comes_back("the replicas to come back", "deployment/web", |web| web["spec"]["replicas"] == 3);
    assert_eq!(writes_of_landfast(&case.namespace), [Value::Null; 0]);
    assert_eq!(case.get("deployment/web"), Value::Null);
}

#[test]
fn alone_it_moves_objects_on_and_what_git_drops_goes() {
    let case = Case::new("alone");
    case.feed(User::Alice, &["create", "-f", "-"], &labelled()).succeeds();
    case.declare(&labelled());
    case.kubectl(User::Alice, &["label", "--overwrite", "deployment", "web", "tier=back"]).succeeds();
    let web =
        case.comes_back("the label to come back", "deployment/web", |web| web["metadata"]["labels"]["tier"] == "front");
    assert_eq!(owners(&web, "/f:metadata/f:labels/f:tier"), ["landfast/Apply"]);
    assert_eq!(owners(&web, "/f:metadata/f:labels/f:zone"), ["landfast/Apply", "kubectl-create/Update"]);
    case.declare(&DEPLOYMENT.replace("replicas: 3", "replicas: 4"));
    case.comes_back("Git's next revision", "deployment/web", |web| {
        let labels = &web["metadata"]["labels"];
        web["spec"]["replicas"] == 4 && labels["tier"].is_null() && labels["zone"].is_null() && labels["app"] == "web"
    });
}

#[test]
fn beside_a_deployer_no_owner_is_left_that_keeps_a_field() {
    let case = Case::new("deployed");
    let flux = ["apply", "--server-side", "--force-conflicts", "--field-manager=kustomize-controller", "-f", "-"];
    // What Flux adds of its own it keeps.
    let marked = |manifest: &str| {
        manifest.replacen("    app: web\n", "    app: web\n    kustomize.toolkit.fluxcd.io/name: shop\n", 1)
    };
    case.declare(&labelled());
    case.feed(User::Flux, &flux, &marked(&labelled())).succeeds();
    case.comes_back("the Deployment to agree", "deployment/web", |web| !web.is_null());
    case.kubectl(User::Alice, &["label", "--overwrite", "deployment", "web", "tier=back"]).succeeds();
    let web =
        case.comes_back("the label to come back", "deployment/web", |web| web["metadata"]["labels"]["tier"] == "front");
    assert_eq!(owners(&web, "/f:metadata/f:labels/f:tier"), ["kustomize-controller/Apply"]);
    assert_eq!(web["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"], "shop");
    assert_eq!(owners(&web, "/f:spec/f:replicas"), ["kustomize-controller/Apply"]);
    case.declare(DEPLOYMENT);
    case.feed(User::Flux, &flux, &marked(DEPLOYMENT)).succeeds();
    let labels = &case.get("deployment/web")["metadata"]["labels"];
    assert!(labels["tier"].is_null() && labels["zone"].is_null(), "{labels}");
}

#[test]
fn where_the_policy_deploys_an_object_moves_on_beside_its_deployer() {
    let case = Case::new("moving");
    let flux = ["apply", "--server-side", "--force-conflicts", "--field-manager=kustomize-controller", "-f", "-"];
    case.declare(&labelled());
    // Nobody waits for the deployer to make it.
    case.comes_back("the Deployment to be made", "deployment/web", |web| web["spec"]["replicas"] == 3);
    case.feed(User::Flux, &flux, &labelled()).succeeds();
    let moved = DEPLOYMENT.replace("replicas: 3", "replicas: 4");
    case.declare(&moved);
    case.comes_back("Git's next revision", "deployment/web", |web| web["spec"]["replicas"] == 4);
    // What Git drops goes, though both applied it.
    case.feed(User::Flux, &flux, &moved).succeeds();
    case.comes_back("what Git dropped to go", "deployment/web", |web| {
        let labels = &web["metadata"]["labels"];
        labels["tier"].is_null() && labels["zone"].is_null() && labels["app"] == "web"
    });
}

#[test]
fn beside_a_deployer_an_object_goes_back_to_what_it_agreed_with() {
    let case = Case::with_web("deployed", User::Ci);
    case.scale(User::Alice, 7);
    case.comes_back("the replicas to come back", "deployment/web", |web| web["spec"]["replicas"] == 3);
    case.declare(&DEPLOYMENT.replace("replicas: 3", "replicas: 4"));
    case.scale(User::Alice, 8);
    case.comes_back("the replicas to come back to where the deployer is", "deployment/web", |web| {
        web["spec"]["replicas"] == 3
    });
    // The deployer moves on, and what comes after that goes back there.
    case.scale(User::Ci, 4);
    case.scale(User::Alice, 9);
    case.comes_back("the replicas to come back to where the deployer is now", "deployment/web", |web| {
        web["spec"]["replicas"] == 4
    });
    let web = case.get("deployment/web");
    assert_eq!(owners(&web, "/f:metadata/f:labels"), ["kubectl-create/Update"]);
}

#[test]
fn ignored_fields_stay_as_they_are() {
    let case = Case::new("alone");
    let ignoring = DEPLOYMENT.replacen(
        "  labels:\n",
        "  annotations: { landfast.dev/ignore: \"spec.replicas; by hand\" }\n  labels:\n",
        1,
    );
    case.feed(User::Alice, &["create", "-f", "-"], &ignoring).succeeds();
    case.declare(&ignoring);
    case.scale(User::Alice, 7);
    let image = r#"{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"example.com/other:1"}]}}}}"#;
    case.kubectl(User::Alice, &["patch", "deployment", "web", "-p", image]).succeeds();
    let web = case.comes_back("the image to come back", "deployment/web", |web| {
        web["spec"]["template"]["spec"]["containers"][0]["image"] == "example.com/web:1"
    });
    assert_eq!(web["spec"]["replicas"], 7);
    assert!(!owners(&web, "/f:spec/f:replicas").contains(&"landfast/Apply".to_owned()), "{web}");
}
