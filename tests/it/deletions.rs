//! What becomes of deletes: of an object, of many, of what holds declared objects, and by way of an owner?

use crate::gate::{Case, DEPLOYMENT, WIDGETS, gate};
use crate::testbed::user::User;
use crate::testbed::{control_plane, eventually};

const SETTINGS: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n  namespace: $NAMESPACE\n  \
                        labels:\n    part: declared\ndata:\n  key: value\n";

#[test]
fn deleting_what_git_declares_is_denied() {
    let case = Case::new("deny");
    case.declare_and_create(SETTINGS);
    let what = format!("ConfigMap {}/settings", case.namespace);
    for verb in [
        &["delete", "configmap", "settings"][..],
        &["delete", "configmap", "settings", "--cascade=orphan"],
        &["delete", "configmap", "-l", "part=declared"],
        &["delete", "configmap", "settings", "--dry-run=server"],
    ] {
        case.kubectl(User::Alice, verb).fails_with(&["denied the request", &what, "object.yaml"]);
    }
    case.kubectl(User::Alice, &["get", "configmap", "settings"]).succeeds();
}

#[test]
fn replacing_by_force_is_a_delete() {
    let case = Case::new("deny");
    case.declare_and_create(SETTINGS);
    case.feed(User::Alice, &["replace", "--force", "-f", "-"], SETTINGS).fails_with(&["may not be deleted"]);
    case.kubectl(User::Alice, &["get", "configmap", "settings"]).succeeds();
}

#[test]
fn in_an_emergency_landfast_is_not_asked_and_a_terminating_namespace_empties() {
    let case = Case::new("deny");
    case.declare_and_create(SETTINGS);
    let emergency = ["--as=root", "--as-group=system:masters", "--as-group=landfast:emergency"];
    let delete = ["delete", "namespace", &case.namespace, "--wait=false"];
    case.kubectl(User::Admin, &delete).fails_with(&["denied the request"]);
    case.kubectl(User::Admin, &[&delete[..], &emergency].concat()).succeeds();
    eventually("the controllers to empty the namespace", || {
        let answer = control_plane().kubectl(User::Admin, &["get", "namespace", &case.namespace]);
        answer.stderr.contains("NotFound").then_some(())
    });
}

#[test]
fn deleting_a_collection_is_denied_where_it_holds_a_declared_object() {
    let case = Case::new("deny");
    case.declare_and_create(SETTINGS);
    let path = format!("/api/v1/namespaces/{}/configmaps?labelSelector=part", case.namespace);
    case.kubectl(User::Alice, &["delete", "--raw", &path]).fails_with(&["settings", "denied the request"]);
    case.kubectl(User::Alice, &["create", "configmap", "own"]).succeeds();
    case.kubectl(User::Alice, &["label", "configmap", "own", "part=undeclared"]).succeeds();
    let path = path.replace("=part", "=part%3Dundeclared");
    case.kubectl(User::Alice, &["delete", "--raw", &path]).succeeds();
    case.kubectl(User::Alice, &["get", "configmap", "own"]).fails_with(&["NotFound"]);
}

#[test]
fn deleting_a_namespace_that_holds_declared_objects_is_denied_and_counts_them() {
    let case = Case::new("deny");
    gate().declare(&[
        (&format!("{}/one.yaml", case.namespace), &case.manifest(SETTINGS)),
        (&format!("{}/two.yaml", case.namespace), &case.manifest(DEPLOYMENT)),
    ]);
    case.kubectl(User::Alice, &["delete", "namespace", &case.namespace, "--wait=false"]).fails_with(&[
        "denied the request",
        &case.namespace,
        "2 objects that Git declares go with it",
    ]);
    let empty = Case::new("deny");
    empty.kubectl(User::Alice, &["delete", "namespace", &empty.namespace, "--wait=false"]).succeeds();
}

#[test]
fn deleting_a_definition_that_declared_objects_need_is_denied() {
    gate();
    let plane = control_plane();
    plane
        .kubectl(User::Alice, &["delete", "crd", "widgets.example.com", "--wait=false"])
        .fails_with(&["denied the request", "widgets.example.com"]);
    let harmless = WIDGETS.replace("size: { type: integer }", "size: { type: integer, description: How many }");
    plane.kubectl_with_input(User::Alice, &["apply", "-f", "-"], &harmless).succeeds();
}

#[test]
fn an_owner_that_git_does_not_declare_is_a_delete_in_disguise() {
    let case = Case::new("deny");
    case.declare_and_create(SETTINGS);
    case.kubectl(User::Alice, &["create", "configmap", "owner"]).succeeds();
    let uid = case.field("configmap/owner", ".metadata.uid");
    let owned = format!(
        r#"{{"metadata":{{"ownerReferences":[{{"apiVersion":"v1","kind":"ConfigMap","name":"owner","uid":"{uid}"}}]}}}}"#
    );
    case.kubectl(User::Alice, &["patch", "configmap", "settings", "-p", &owned])
        .fails_with(&["denied the request", "metadata.ownerReferences"]);
}

#[test]
fn a_policy_may_allow_deletes_and_still_deny_drift() {
    let case = Case::new("lenient");
    case.declare_and_create(SETTINGS);
    case.kubectl(User::Alice, &["patch", "configmap", "settings", "-p", r#"{"data":{"key":"other"}}"#])
        .fails_with(&["data.key"]);
    case.kubectl(User::Alice, &["delete", "configmap", "settings"]).succeeds();
}
