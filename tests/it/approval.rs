//! Does a repair wait for a person where it is to, and does a yes count for what was shown and for nothing else? The real landfast and
//! the real command beside a control plane of their own; seen by watching, never by waiting a fixed time.

use std::fmt::Write as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::definitions::install;
use crate::gate::{DEPLOYMENT, source};
use crate::testbed::control_plane::ControlPlane;
use crate::testbed::kubectl::Output;
use crate::testbed::landfast::Landfast;
use crate::testbed::repository::Repository;
use crate::testbed::user::User;

const POLICIES: &str = include_str!("../data/approval.yaml");

/// One control plane, a repository for each source, one landfast.
pub(crate) struct Shop {
    pub(crate) plane: ControlPlane,
    manual: Mutex<Repository>,
    bulk: Mutex<Repository>,
    gone: Mutex<Repository>,
    /// Asked for its head once an hour, unless somebody asks.
    pub(crate) other: Mutex<Repository>,
    pub(crate) landfast: Landfast,
}

pub(crate) static SHOP: LazyLock<Shop> = LazyLock::new(|| {
    let plane = ControlPlane::start();
    install(&plane);
    let [manual, bulk, gone, other] = [(); 4].map(|()| Repository::new());
    let sources = [
        source("manual", &manual, "1s", r#"["manual-*"]"#),
        source("bulk", &bulk, "1s", "[bulk]"),
        source("gone", &gone, "1s", r#"["gone-*", "kept-*"]"#),
        source("other", &other, "1h", r#"["gone-*"]"#),
    ];
    let landfast = Landfast::start(&plane, &(sources.concat() + POLICIES));
    let [manual, bulk, gone, other] = [manual, bulk, gone, other].map(Mutex::new);
    Shop { plane, manual, bulk, gone, other, landfast }
});

/// Every commit to a source asks anew for what waits of it, so those who say yes to its repairs take turns.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shop {
    pub(crate) fn repository(&self, source: &str) -> &Mutex<Repository> {
        match source {
            "manual" => &self.manual,
            "gone" => &self.gone,
            other => panic!("no tests write to the repository of {other} so"),
        }
    }

    pub(crate) fn await_in_force(&self, source: &str, repository: &Repository, commit: &str) {
        self.landfast.eventually("the commit to be in force", || {
            let revision = self.landfast.revision(source).filter(|revision| !revision.is_empty())?;
            repository.holds(&revision, commit).then_some(())
        });
    }

    /// What waits for a person.
    pub(crate) fn notice(&self) -> Value {
        let answer = self.plane.kubectl(
            User::Admin,
            &["-n", "landfast-system", "get", "configmap", "landfast-repairs", "--ignore-not-found", "-o", "json"],
        );
        let map: Value = serde_json::from_str(&answer.succeeds().stdout).unwrap_or_default();
        let mut notice: Value = serde_json::from_str(map["data"]["repairs"].as_str().unwrap_or("{}")).unwrap();
        notice["said"] = map["metadata"]["annotations"]["landfast.dev/approve"].clone();
        notice
    }

    fn held(&self) -> Option<Value> {
        self.notice()["held"].as_array().and_then(|held| held.first().cloned())
    }
}

/// `landfast approve`, as somebody.
pub(crate) fn approve(user: User, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfast"));
    command.arg("approve").arg("--kubeconfig").arg(SHOP.plane.kubeconfig(user)).args(arguments);
    let output = command.output().unwrap();
    let [out, errors] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code(), out, errors)
}

/// One test's namespace.
struct Case {
    namespace: String,
}

impl Case {
    /// A namespace with the declared Deployment `web` in it, where repair waits for a person.
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let case = Self { namespace: format!("manual-{}", NUMBER.fetch_add(1, Ordering::Relaxed)) };
        SHOP.plane.kubectl(User::Admin, &["create", "namespace", &case.namespace]).succeeds();
        let manifest = DEPLOYMENT.replace("$NAMESPACE", &case.namespace);
        SHOP.plane.kubectl_with_input(User::Alice, &["create", "-f", "-"], &manifest).succeeds();
        {
            let repository = SHOP.manual.lock().unwrap();
            let commit = repository.commit(&[(&format!("{}.yaml", case.namespace), &manifest)], "Declare");
            SHOP.await_in_force("manual", &repository, &commit);
        }
        // What it is to go back to it must have been seen to agree with; and the gate must be asked.
        SHOP.landfast.eventually("an undeclared label to be denied", || {
            let answer = case.kubectl(User::Alice, &["label", "deployment", "web", "probe=yes", "--dry-run=server"]);
            answer.stderr.contains("Git does not declare").then_some(())
        });
        case
    }

    fn kubectl(&self, user: User, args: &[&str]) -> Output {
        SHOP.plane.kubectl(user, &[&["-n", &self.namespace], args].concat())
    }

    fn web(&self) -> Value {
        let answer = self.kubectl(User::Admin, &["get", "deployment", "web", "--ignore-not-found", "-o", "json"]);
        serde_json::from_str(&answer.succeeds().stdout).unwrap_or_default()
    }

    fn scale(&self, replicas: u32) {
        self.kubectl(User::Alice, &["scale", "deployment", "web", &format!("--replicas={replicas}")]).succeeds();
    }

    fn annotate(&self, digest: &str) {
        let said = format!("landfast.dev/approve={digest}");
        self.kubectl(User::Alice, &["annotate", "--overwrite", "deployment", "web", &said]).succeeds();
    }

    #[track_caller]
    fn pends(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        SHOP.landfast.eventually(what, || {
            let notice = SHOP.notice();
            let pending = notice["pending"].as_array()?;
            pending.iter().find(|it| it["namespace"] == *self.namespace && is(it)).cloned()
        })
    }

    #[track_caller]
    fn comes_back(&self) {
        SHOP.landfast.eventually("the Deployment to come back", || (self.web()["spec"]["replicas"] == 3).then_some(()));
    }
}

#[test]
fn a_person_approves_what_was_shown_by_an_annotation() {
    let _alone = alone();
    let case = Case::new();
    case.scale(7);
    let shown = case.pends("the repair to wait", |_| true);
    assert_eq!(
        (&shown["action"], &shown["kind"], &shown["name"]),
        (&"Update".into(), &"Deployment".into(), &"web".into())
    );
    let field = &shown["fields"][0];
    assert_eq!(
        (&field["path"], &field["git"], &field["written"]),
        (&"spec.replicas".into(), &3.into(), &7.into()),
        "{shown}"
    );
    // To another diff it counts for nothing, and that is said.
    case.scale(8);
    let digest = shown["digest"].as_str().unwrap();
    let shown = case.pends("the other difference to wait", |it| it["fields"][0]["written"] == 8);
    assert_ne!(shown["digest"], digest);
    case.annotate(digest);
    case.pends("the approval to be void", |it| it["void"] == digest);
    assert_eq!(case.web()["spec"]["replicas"], 8);
    case.annotate(shown["digest"].as_str().unwrap());
    case.comes_back();
    SHOP.landfast.eventually("the annotation to go with it", || {
        case.web()["metadata"]["annotations"]["landfast.dev/approve"].is_null().then_some(())
    });
    SHOP.landfast.eventually("nothing to wait any more", || {
        let notice = SHOP.notice();
        notice["pending"].as_array()?.iter().all(|it| it["namespace"] != *case.namespace).then_some(())
    });
}

#[test]
fn at_another_revision_an_approval_counts_for_nothing() {
    let _alone = alone();
    let case = Case::new();
    case.scale(7);
    let shown = case.pends("the repair to wait", |_| true);
    let commit = {
        let repository = SHOP.manual.lock().unwrap();
        let settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: new, namespace: $NAMESPACE }\n";
        let settings = settings.replace("$NAMESPACE", &case.namespace);
        let commit = repository.commit(&[(&format!("{}-new.yaml", case.namespace), &settings)], "Declare more");
        SHOP.await_in_force("manual", &repository, &commit);
        commit
    };
    case.annotate(shown["digest"].as_str().unwrap());
    let anew = case.pends("the approval to be void", |it| it["void"] == shown["digest"]);
    assert_eq!(case.web()["spec"]["replicas"], 7);
    assert!(SHOP.manual.lock().unwrap().holds(anew["revision"].as_str().unwrap(), &commit), "{anew}");
    case.annotate(anew["digest"].as_str().unwrap());
    case.comes_back();
}

#[test]
fn what_is_missing_is_approved_by_the_command_and_by_those_who_may() {
    let _alone = alone();
    let case = Case::new();
    case.kubectl(User::Alice, &["delete", "deployment", "web"]).succeeds();
    let shown = case.pends("the Deployment to wait", |it| it["name"] == "web");
    assert_eq!(shown["action"], "Create");
    let digest = shown["digest"].as_str().unwrap();
    let (code, out, _) = approve(User::Oncall, &[]);
    assert!(code == Some(0) && out.contains(&digest[..12]) && out.contains("web"), "{out}");
    let (code, out, _) = approve(User::Oncall, &["-o", "json"]);
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert!(code == Some(0) && listed["pending"].as_array().unwrap().contains(&shown), "{out}");
    let object = format!("{}/web", case.namespace);
    let (code, _, errors) = approve(User::Alice, &["Deployment.apps", &object]);
    assert!(code == Some(2) && errors.contains("forbidden"), "{errors}");
    let (code, _, errors) = approve(User::Oncall, &["0123456789ab"]);
    assert!(code == Some(2) && errors.contains("nothing that waits has the digest"), "{errors}");
    assert!(case.web().is_null());
    let (code, out, errors) = approve(User::Oncall, &["Deployment.apps", &object]);
    assert!(code == Some(0) && out.contains(digest), "{out}{errors}");
    case.comes_back();
    SHOP.landfast.eventually("the yes to be taken away", || {
        let said = SHOP.notice()["said"].clone();
        said.as_str().is_none_or(|said| !said.contains(digest)).then_some(())
    });
}

#[test]
fn a_yes_to_nothing_that_waits_is_said_to_be_none() {
    let wrong = "ffffffffffffffffffffffffffffffff";
    // It stands there once something was told.
    let _alone = alone();
    let case = Case::new();
    case.scale(7);
    case.pends("the repair to wait", |_| true);
    let said = format!("landfast.dev/approve={wrong}");
    let annotate = ["-n", "landfast-system", "annotate", "--overwrite", "configmap", "landfast-repairs", &said];
    SHOP.plane.kubectl(User::Alice, &annotate).fails_with(&["forbidden"]);
    SHOP.plane.kubectl(User::Oncall, &annotate).succeeds();
    SHOP.landfast.eventually("it to be told", || {
        let is_told = |line: &str| line.contains(wrong) && line.contains("counts for nothing");
        SHOP.landfast.log().lines().any(is_told).then_some(())
    });
    assert_eq!(case.web()["spec"]["replicas"], 7);
}

/// So many ConfigMaps with this value.
fn settings(value: &str, names: std::ops::Range<usize>) -> String {
    names.fold(String::new(), |mut all, n| {
        let _ = write!(
            all,
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: s-{n}, namespace: bulk }}\ndata: {{ key: {value} }}\n---\n"
        );
        all
    })
}

/// The values that the ConfigMaps have now.
fn values() -> Vec<String> {
    let answer = SHOP.plane.kubectl(User::Admin, &["-n", "bulk", "get", "configmaps", "-o", "json"]).succeeds();
    let list: Value = serde_json::from_str(&answer.stdout).unwrap();
    let ours = list["items"].as_array().unwrap().iter().filter_map(|item| item["data"]["key"].as_str());
    ours.map(str::to_owned).collect()
}

fn all_are(value: &str) -> bool {
    let values = values();
    values.len() == 20 && values.iter().all(|other| other == value)
}

#[test]
fn too_much_of_a_source_at_once_is_held_until_a_person_approves_it() {
    SHOP.plane.kubectl(User::Admin, &["create", "namespace", "bulk"]).succeeds();
    let declare = |value: &str| {
        let repository = SHOP.bulk.lock().unwrap();
        let commit = repository.commit(&[("settings.yaml", &settings(value, 0..20))], "Declare");
        SHOP.await_in_force("bulk", &repository, &commit);
        SHOP.landfast.eventually("what is new in Git to be made, however much it is", || all_are(value).then_some(()));
    };
    declare("one");
    declare("two");
    let write = |value: &str, names| {
        SHOP.plane.kubectl_with_input(User::Alice, &["replace", "-f", "-"], &settings(value, names)).succeeds();
    };
    // Six of twenty may.
    write("adrift", 0..3);
    SHOP.landfast.eventually("three to come back", || all_are("two").then_some(()));
    assert!(SHOP.held().is_none());
    // What Git said before is adrift, too: so looks an etcd that was restored.
    // In an incident nothing is brought back; at its end all of it differs at once.
    let glass = "apiVersion: landfast.dev/v1alpha1\nkind: BreakGlass\nmetadata: { name: bulk }\nspec:\n  reason: INC-1 restore\n  \
        duration: 1h\n  match: { namespaces: [bulk] }\n";
    SHOP.plane.kubectl_with_input(User::Oncall, &["create", "-f", "-"], glass).succeeds();
    SHOP.landfast.eventually("the glass to be open", || {
        let state = SHOP.plane.kubectl(User::Admin, &["get", "breakglass", "bulk", "-o", "jsonpath={.status.state}"]);
        (state.stdout == "Open").then_some(())
    });
    write("one", 0..10);
    SHOP.plane.kubectl(User::Oncall, &["delete", "breakglass", "bulk"]).succeeds();
    let held = SHOP.landfast.eventually("the source to be held", || SHOP.held().filter(|held| held["open"] == 10));
    assert_eq!((&held["source"], &held["most"], &held["declared"]), (&"bulk".into(), &6.into(), &20.into()), "{held}");
    assert_eq!(values().iter().filter(|value| *value == "one").count(), 10, "nothing is written of it");
    // More comes to differ: what was shown is not what is there now.
    write("late", 10..12);
    let late = SHOP.landfast.eventually("the rest to be held", || SHOP.held().filter(|held| held["open"] == 12));
    assert_ne!(held["digest"], late["digest"]);
    let (code, _, errors) = approve(User::Oncall, &[held["digest"].as_str().unwrap()]);
    assert!(code == Some(2) && errors.contains("may have moved on"), "{errors}");
    let (code, _, errors) = approve(User::Alice, &["--source", "bulk"]);
    assert!(code == Some(2) && errors.contains("forbidden"), "{errors}");
    assert!(!values().contains(&"two".to_owned()) || values().iter().filter(|value| *value == "two").count() == 8);
    let (code, out, errors) = approve(User::Oncall, &["--source", "bulk"]);
    assert!(code == Some(0) && out.contains("GitSource bulk"), "{out}{errors}");
    SHOP.landfast.eventually("all to come back", || all_are("two").then_some(()));
    SHOP.landfast.eventually("the source not to be held", || SHOP.held().is_none().then_some(()));
}
