//! Is the deployer asked to bring an object back, where a policy says so, and does nobody take over where it does not? Stand-ins for
//! Flux's Kustomizations and Argo CD's Applications: their real kinds, reduced to what is used, and answers by applying.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::fights::{Case, SHOP};
use crate::gate::DEPLOYMENT;
use crate::testbed::user::User;

const KINDS: &str = include_str!("../data/deployers.yaml");

/// The namespaces that the deployers run in.
const FLUX: &str = "flux-system";
const ARGO: &str = "argocd";

/// A Deployment that a deployer keeps.
struct Kept {
    case: Case,
    /// The deployer's own object: its kind, its namespace.
    own: (&'static str, &'static str),
    user: User,
}

impl Kept {
    /// Made by Flux, at the revision that declares it.
    fn by_flux() -> Self {
        let (case, revision) = prepared(FLUX, User::Flux);
        let name = &*case.namespace;
        let marks = ["name", "namespace"].map(|what| {
            let value = if what == "name" { name } else { FLUX };
            format!("kustomize.toolkit.fluxcd.io/{what}={value}")
        });
        case.kubectl(User::Flux, &["label", "deployment", "web", &marks[0], &marks[1]]).succeeds();
        let own = json!({ "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": { "name": name, "namespace": FLUX }, "spec": {} });
        let kept = Self { case, own: ("kustomization", FLUX), user: User::Flux };
        Self::make(&own);
        let status = json!({ "status": { "lastAppliedRevision": format!("main@sha1:{revision}") } });
        kept.patch(&status, &["--subresource=status"]);
        kept
    }

    /// Made by Argo CD, at this revision, or the one that declares it.
    fn by_argo(target: Option<&str>) -> Self {
        let (case, revision) = prepared(ARGO, User::ArgoCd);
        let name = &*case.namespace;
        let mark = format!("argocd.argoproj.io/tracking-id={name}:apps/Deployment:{name}/web");
        case.kubectl(User::ArgoCd, &["annotate", "deployment", "web", &mark]).succeeds();
        let own = json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": { "name": name, "namespace": ARGO }, "spec": { "syncPolicy": { "automated": {} } },
            "status": { "sync": { "revision": target.unwrap_or(&revision) } } });
        let kept = Self { case, own: ("application", ARGO), user: User::ArgoCd };
        Self::make(&own);
        kept
    }

    fn make(own: &Value) {
        SHOP.plane.kubectl_with_input(User::Admin, &["create", "-f", "-"], &own.to_string()).succeeds();
    }

    fn patch(&self, patch: &Value, more: &[&str]) {
        let (kind, namespace) = self.own;
        let args = ["-n", namespace, "patch", kind, &self.case.namespace, "--type=merge", "-p", &patch.to_string()];
        SHOP.plane.kubectl(User::Admin, &[&args[..], more].concat()).succeeds();
    }

    /// The deployer's own object.
    fn own(&self) -> Value {
        let (kind, namespace) = self.own;
        let own = SHOP.plane.kubectl(User::Admin, &["-n", namespace, "get", kind, &self.case.namespace, "-o", "json"]);
        serde_json::from_str(&own.succeeds().stdout).unwrap()
    }

    /// Does as the deployer does when it is asked.
    fn answer(&self) {
        let apply = ["apply", "--server-side", "--force-conflicts", "--field-manager=deployer", "-f", "-"];
        self.case.feed(self.user, &apply, DEPLOYMENT).succeeds();
    }

    #[track_caller]
    fn flux_is_asked(&self) {
        SHOP.landfast.eventually("Flux to be asked", || {
            let asked = &self.own()["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"];
            asked.as_str().is_some_and(|at| at.starts_with("20")).then_some(())
        });
    }

    #[track_caller]
    fn cannot_repair(&self, why: &str) {
        SHOP.landfast.eventually(why, || {
            self.case
                .events("CannotRepair")
                .iter()
                .any(|event| event["message"].to_string().contains(why))
                .then_some(())
        });
        // Nobody took over.
        assert_eq!(self.case.replicas(), 7);
    }

    /// The manager of the record of its repair.
    #[track_caller]
    fn repaired_by(&self) -> String {
        let namespace = &*self.case.namespace;
        let is = |line: &Value| line["namespace"] == namespace && line["repair"]["outcome"] == "Repaired";
        let record = SHOP.landfast.eventually("the record", || SHOP.landfast.records(is).into_iter().next());
        record["repair"]["manager"].as_str().unwrap().to_owned()
    }
}

/// A namespace with the declared Deployment in it, as this deployer made it, and the revision in force, which declares it: of commits
/// that come together landfast sees the last only.
fn prepared(home: &str, user: User) -> (Case, String) {
    // Two that apply a new object at the same time make it twice.
    static PREPARING: Mutex<()> = Mutex::new(());
    let alone = PREPARING.lock().unwrap_or_else(PoisonError::into_inner);
    SHOP.plane.kubectl_with_input(User::Admin, &["apply", "-f", "-"], KINDS).succeeds();
    let established = ["wait", "--for=condition=Established", "-f", "-"];
    SHOP.plane.kubectl_with_input(User::Admin, &established, KINDS).succeeds();
    let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {home} }}\n");
    SHOP.plane.kubectl_with_input(User::Admin, &["apply", "-f", "-"], &namespace).succeeds();
    drop(alone);
    let case = Case::deployed("asked", user);
    let revision = SHOP.landfast.revision("shop").unwrap();
    (case, revision)
}

#[test]
fn flux_is_asked_and_what_it_brings_back_is_its_repair() {
    let kept = Kept::by_flux();
    kept.case.scale(User::Alice, &[], 7);
    kept.flux_is_asked();
    assert_eq!(kept.case.replicas(), 7);
    kept.answer();
    assert_eq!(kept.repaired_by(), format!("Kustomization {FLUX}/{}", kept.case.namespace));
}

#[test]
fn flux_that_is_suspended_is_not_asked_and_that_is_said() {
    let kept = Kept::by_flux();
    kept.patch(&json!({ "spec": { "suspend": true } }), &[]);
    kept.case.scale(User::Alice, &[], 7);
    kept.cannot_repair("is suspended");
    let own = kept.own();
    assert_eq!((&own["spec"]["suspend"], own["metadata"].get("annotations")), (&json!(true), None));
}

#[test]
fn a_deployer_that_does_not_answer_is_named_and_nobody_takes_over() {
    let kept = Kept::by_flux();
    kept.case.scale(User::Alice, &[], 7);
    kept.flux_is_asked();
    kept.cannot_repair("was asked and has not brought it back");
}

#[test]
fn argo_is_asked_to_sync_just_this_object() {
    let kept = Kept::by_argo(None);
    kept.case.scale(User::Alice, &[], 7);
    let operation = SHOP.landfast.eventually("Argo CD to be asked", || kept.own().get("operation").cloned());
    let name = &*kept.case.namespace;
    let resource = json!({ "group": "apps", "kind": "Deployment", "namespace": name, "name": "web" });
    assert_eq!(operation["sync"]["resources"], json!([resource]));
    assert_eq!(operation["sync"]["revision"], kept.own()["status"]["sync"]["revision"]);
    kept.answer();
    assert_eq!(kept.repaired_by(), format!("Application {name}"));
}

#[test]
fn argo_is_not_asked_where_its_target_is_another_declaration() {
    let kept = Kept::by_argo(None);
    let moved = DEPLOYMENT.replace("replicas: 3", "replicas: 4");
    kept.case.declare(0, &moved);
    kept.case.feed(User::ArgoCd, &["apply", "-f", "-"], &moved).succeeds();
    Case::is_known();
    kept.case.scale(User::Alice, &[], 7);
    kept.cannot_repair("where Git does not declare the object as it is to be");
    assert_eq!(kept.own().get("operation"), None);
}

#[test]
fn argo_is_not_asked_where_its_target_was_never_seen() {
    let kept = Kept::by_argo(Some("0123456789012345678901234567890123456789"));
    kept.case.scale(User::Alice, &[], 7);
    kept.cannot_repair("which Landfast has not seen at the head of the source");
    assert_eq!(kept.own().get("operation"), None);
}
