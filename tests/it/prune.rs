//! Is only that deleted which landfast applied and Git dropped? The real landfast; seen by watching, never by waiting a fixed time.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::approval::{SHOP, alone, approve};
use crate::testbed::kubectl::Output;
use crate::testbed::user::User;

/// One test's namespace.
struct Case {
    namespace: String,
}

impl Case {
    fn new(policy: &str) -> Self {
        let case = Self::unmade(policy);
        SHOP.plane.kubectl(User::Admin, &["create", "namespace", &case.namespace]).succeeds();
        case
    }

    fn unmade(policy: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(100);
        Self { namespace: format!("{policy}-{}", NUMBER.fetch_add(1, Ordering::Relaxed)) }
    }

    fn kubectl(&self, user: User, args: &[&str]) -> Output {
        SHOP.plane.kubectl(user, &[&["-n", &self.namespace], args].concat())
    }

    /// A ConfigMap's manifest.
    fn settings(&self, name: &str) -> String {
        let namespace = &self.namespace;
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name}, namespace: {namespace} }}\ndata: {{ key: value }}\n---\n"
        )
    }

    fn declare(&self, source: &str, manifest: &str) {
        let repository = SHOP.repository(source).lock().unwrap();
        let commit = repository.commit(&[(&self.file(), manifest), ("README.md", "Settings.\n")], "Declare");
        SHOP.await_in_force(source, &repository, &commit);
    }

    fn file(&self) -> String {
        format!("{}.yaml", self.namespace)
    }

    fn drop(&self, source: &str) {
        let repository = SHOP.repository(source).lock().unwrap();
        let commit = repository.remove(&self.file(), "Drop");
        SHOP.await_in_force(source, &repository, &commit);
    }

    /// An object; null where there is none.
    fn get(&self, object: &str) -> Value {
        let answer =
            self.kubectl(User::Admin, &["get", object, "--ignore-not-found", "-o", "json", "--show-managed-fields"]);
        serde_json::from_str(&answer.succeeds().stdout).unwrap_or_default()
    }

    #[track_caller]
    fn comes(&self, object: &str) -> Value {
        SHOP.landfast.eventually("it to be made", || Some(self.get(object)).filter(|object| !object.is_null()))
    }

    #[track_caller]
    fn goes(&self, object: &str) {
        SHOP.landfast.eventually("it to be deleted", || self.get(object).is_null().then_some(()));
    }
}

/// Something that stays declared, so that dropping the rest leaves no source empty.
fn anchored(source: &str) {
    let anchor = Case { namespace: format!("{}-anchor", if source == "manual" { "manual" } else { "gone" }) };
    anchor.declare(source, &anchor.settings(&format!("anchor-{source}")));
}

#[test]
fn what_landfast_applied_and_git_dropped_is_deleted_and_nothing_else() {
    anchored("gone");
    let case = Case::new("gone");
    let theirs = case.settings("theirs");
    SHOP.plane.kubectl_with_input(User::Alice, &["create", "-f", "-"], &theirs).succeeds();
    case.declare("gone", &(case.settings("ours") + &theirs));
    case.comes("configmap/ours");
    case.drop("gone");
    case.goes("configmap/ours");
    assert_eq!(case.get("configmap/theirs")["data"]["key"], "value");
}

#[test]
fn what_moves_to_another_source_or_file_stays() {
    anchored("gone");
    let case = Case::new("gone");
    case.declare("gone", &case.settings("moves"));
    let uid = case.comes("configmap/moves")["metadata"]["uid"].clone();
    // The other source is asked because something was dropped: else it would be within the hour.
    let other = SHOP.other.lock().unwrap();
    let commit = other.commit(&[(&case.file(), &case.settings("moves"))], "Take over");
    case.drop("gone");
    SHOP.await_in_force("other", &other, &commit);
    let adrift = r#"{"data":{"key":"adrift"}}"#;
    case.kubectl(User::Alice, &["patch", "configmap", "moves", "--type=merge", "-p", adrift]).succeeds();
    SHOP.landfast.eventually("the other source to have it brought back", || {
        (case.get("configmap/moves")["data"]["key"] == "value").then_some(())
    });
    assert_eq!(case.get("configmap/moves")["metadata"]["uid"], uid);
}

#[test]
fn a_namespace_goes_last_and_not_while_anything_is_left_in_it() {
    anchored("gone");
    let case = Case::unmade("gone");
    let home = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {} }}\n---\n", case.namespace);
    case.declare("gone", &(home + &case.settings("inside")));
    case.comes("configmap/inside");
    SHOP.plane.kubectl_with_input(User::Alice, &["create", "-f", "-"], &case.settings("theirs")).succeeds();
    case.drop("gone");
    case.goes("configmap/inside");
    let place = format!("Namespace {}", case.namespace);
    SHOP.landfast.eventually("the Namespace to be kept", || {
        let is_kept = |line: &str| line.contains(&place) && line.contains("something is left in it");
        SHOP.landfast.log().lines().any(is_kept).then_some(())
    });
    assert_eq!(case.get("configmap/theirs")["data"]["key"], "value");
    case.kubectl(User::Alice, &["delete", "configmap", "theirs"]).succeeds();
    let namespace = format!("namespace/{}", case.namespace);
    SHOP.landfast.eventually("the Namespace to go", || {
        let home = case.get(&namespace);
        (home.is_null() || home["metadata"]["deletionTimestamp"].is_string()).then_some(())
    });
}

#[test]
fn under_a_break_glass_nothing_is_deleted() {
    anchored("gone");
    let case = Case::new("gone");
    case.declare("gone", &case.settings("held"));
    case.comes("configmap/held");
    let glass = format!("gone-glass-{}", case.namespace);
    let record = format!(
        "apiVersion: landfast.dev/v1alpha1\nkind: BreakGlass\nmetadata: {{ name: {glass} }}\nspec:\n  reason: INC-1 restore\n  \
         duration: 1h\n  match: {{ namespaces: [{}] }}\n",
        case.namespace
    );
    SHOP.plane.kubectl_with_input(User::Oncall, &["create", "-f", "-"], &record).succeeds();
    SHOP.landfast.eventually("the glass to be open", || {
        let state = SHOP.plane.kubectl(User::Admin, &["get", "breakglass", &glass, "-o", "jsonpath={.status.state}"]);
        (state.stdout == "Open").then_some(())
    });
    case.drop("gone");
    // What is dropped later and not held is deleted: so was the question asked, and the other kept.
    let later = Case::new("gone");
    later.declare("gone", &later.settings("free"));
    later.comes("configmap/free");
    later.drop("gone");
    later.goes("configmap/free");
    assert_eq!(case.get("configmap/held")["data"]["key"], "value");
    SHOP.plane.kubectl(User::Oncall, &["delete", "breakglass", &glass]).succeeds();
    case.goes("configmap/held");
}

#[test]
fn where_a_deployer_is_named_the_deployer_prunes() {
    anchored("gone");
    let case = Case::new("kept");
    // `repair.deploy`: Landfast moves on to the head beside the deployer.
    case.declare("gone", &case.settings("deployed"));
    case.comes("configmap/deployed");
    let other = Case::new("gone");
    other.declare("gone", &other.settings("free"));
    other.comes("configmap/free");
    case.drop("gone");
    other.drop("gone");
    other.goes("configmap/free");
    assert_eq!(case.get("configmap/deployed")["data"]["key"], "value");
}

#[test]
fn in_mode_manual_a_person_approves_that_it_is_made_and_that_it_is_deleted() {
    let _alone = alone();
    anchored("manual");
    let case = Case::new("manual");
    case.declare("manual", &case.settings("asked"));
    let waits = |action: &str| {
        SHOP.landfast.eventually("it to wait", || {
            let notice = SHOP.notice();
            let pending = notice["pending"].as_array()?;
            pending.iter().find(|it| it["namespace"] == *case.namespace && it["action"] == action).cloned()
        })
    };
    let made = waits("Create");
    assert!(case.get("configmap/asked").is_null());
    let (code, _, errors) = approve(User::Oncall, &[made["digest"].as_str().unwrap()]);
    assert_eq!(code, Some(0), "{errors}");
    case.comes("configmap/asked");
    case.drop("manual");
    let shown = waits("Delete");
    let digest = shown["digest"].as_str().unwrap();
    // Whoever may write it need not be one who may have it deleted.
    case.kubectl(User::Alice, &["annotate", "configmap", "asked", &format!("landfast.dev/approve={digest}")])
        .succeeds();
    let object = format!("{}/asked", case.namespace);
    let (code, _, errors) = approve(User::Alice, &["ConfigMap", &object]);
    assert!(code == Some(2) && errors.contains("forbidden"), "{errors}");
    assert_eq!(case.get("configmap/asked")["data"]["key"], "value");
    let (code, out, errors) = approve(User::Oncall, &["ConfigMap", &object]);
    assert!(code == Some(0) && out.contains("deletion"), "{out}{errors}");
    case.goes("configmap/asked");
}
