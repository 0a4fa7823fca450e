//! What may still be written to what is going away: objects that are being deleted, and all that is in a terminating namespace?

use crate::gate::Case;
use crate::testbed::user::User;
use crate::testbed::{control_plane, eventually};

const HELD: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n  namespace: $NAMESPACE\n  \
                    finalizers: [example.com/held]\ndata:\n  key: value\n";

const EMERGENCY: &[&str] = &["--as=root", "--as-group=system:masters", "--as-group=landfast:emergency"];

fn patch(case: &Case, user: User, patch: &str) -> crate::testbed::kubectl::Output {
    case.kubectl(user, &["patch", "configmap", "settings", "--type=merge", "-p", patch])
}

fn is_gone(case: &Case) {
    case.kubectl(User::Alice, &["get", "configmap", "settings"]).fails_with(&["NotFound"]);
}

#[test]
fn what_is_being_deleted_is_still_compared_and_its_finalizers_may_go() {
    let case = Case::new("deny");
    case.declare_and_create(HELD);
    let released = r#"{"metadata":{"finalizers":null}}"#;
    patch(&case, User::Alice, released).fails_with(&["metadata.finalizers"]);
    let delete = ["delete", "configmap", "settings", "--wait=false"];
    case.kubectl(User::Admin, &[&delete[..], EMERGENCY].concat()).succeeds();
    patch(&case, User::Alice, r#"{"data":{"key":"other"}}"#)
        .fails_with(&["data.key: \"value\" in Git, \"other\" in this write"]);
    case.kubectl(User::Alice, &delete).succeeds();
    patch(&case, User::Alice, released).succeeds();
    is_gone(&case);
}

#[test]
fn in_a_terminating_namespace_deletes_and_finalizers_pass_and_drift_does_not() {
    let case = Case::new("deny");
    case.declare("held.yaml", HELD);
    case.feed(User::Alice, &["create", "-f", "-"], HELD).succeeds();
    let other = HELD.replace("settings", "other");
    case.declare("other.yaml", &other);
    case.feed(User::Alice, &["create", "-f", "-"], &other).succeeds();
    let delete = ["delete", "namespace", &case.namespace, "--wait=false"];
    case.kubectl(User::Admin, &[&delete[..], EMERGENCY].concat()).succeeds();
    eventually("the namespace to go away", || {
        (case.field(&format!("namespace/{}", case.namespace), ".status.phase") == "Terminating").then_some(())
    });
    case.kubectl(User::Alice, &["delete", "configmap", "settings", "--wait=false"]).succeeds();
    patch(&case, User::Alice, r#"{"data":{"key":"other"}}"#).fails_with(&["data.key"]);
    for name in ["settings", "other"] {
        let released = ["patch", "configmap", name, "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#];
        case.kubectl(User::Alice, &released).succeeds();
    }
    eventually("the namespace to be gone", || {
        let answer = control_plane().kubectl(User::Admin, &["get", "namespace", &case.namespace]);
        answer.stderr.contains("NotFound").then_some(())
    });
}

#[test]
fn a_finalizer_that_git_does_not_declare_follows_its_own_ruling() {
    for (policy, goes_in) in [("strict", false), ("deny", true)] {
        let case = Case::new(policy);
        case.declare_and_create(HELD);
        let more = patch(&case, User::Alice, r#"{"metadata":{"finalizers":["example.com/held","example.com/more"]}}"#);
        if goes_in {
            more.succeeds();
        } else {
            more.fails_with(&["metadata.finalizers[=\"example.com/more\"]: not in Git"]);
        }
    }
}
