//! What becomes of writes through a subresource: scale, status, finalize?

use crate::gate::{Case, DEPLOYMENT};
use crate::testbed::user::User;

#[test]
fn scaling_is_a_write_of_the_replicas_that_git_declares() {
    let case = Case::new("deny");
    case.declare_and_create(DEPLOYMENT);
    case.kubectl(User::Alice, &["scale", "deployment", "web", "--replicas=5"]).fails_with(&[
        &format!("Deployment {}/web differs from Git in 1 field", case.namespace),
        "spec.replicas: 3 in Git, 5 in this write",
        "object.yaml:9",
    ]);
    case.kubectl(User::Alice, &["scale", "deployment", "web", "--replicas=3"]).succeeds();
}

#[test]
fn scaling_is_free_where_git_declares_no_replicas() {
    let case = Case::new("deny");
    case.declare_and_create(&DEPLOYMENT.replace("  replicas: 3\n", ""));
    case.kubectl(User::Alice, &["scale", "deployment", "web", "--replicas=5"]).succeeds();
}

#[test]
fn metadata_is_compared_on_its_way_through_status_and_status_is_not() {
    let case = Case::new("deny");
    // A Deployment's labels are put back by the server on this way, its annotations are not.
    case.declare_and_create(
        &DEPLOYMENT.replace("  labels:\n    app: web\nspec:", "  annotations:\n    team: blue\nspec:"),
    );
    let status = |patch: &str| {
        case.kubectl(User::Alice, &["patch", "deployment", "web", "--subresource=status", "--type=merge", "-p", patch])
    };
    status(r#"{"metadata":{"annotations":{"team":"red"}}}"#)
        .fails_with(&["metadata.annotations.team", "object.yaml:7"]);
    status(r#"{"metadata":{"annotations":{"team":"red"}},"status":{"replicas":7}}"#)
        .fails_with(&["metadata.annotations.team"]);
    status(r#"{"metadata":{"annotations":{"note":"x"}}}"#).succeeds();
    status(r#"{"status":{"observedGeneration":1}}"#).succeeds();
}

#[test]
fn metadata_is_compared_on_its_way_through_finalize() {
    let case = Case::new("deny");
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: $NAMESPACE\n  labels:\n    team: blue\n";
    case.declare("namespace.yaml", namespace);
    case.feed(User::Alice, &["apply", "-f", "-"], namespace).succeeds();
    let live = case.kubectl(User::Alice, &["get", "namespace", &case.namespace, "-o", "json"]).succeeds().stdout;
    let path = format!("/api/v1/namespaces/{}/finalize", case.namespace);
    let drifting = live.replace(r#""team": "blue""#, r#""team": "red""#);
    assert_ne!(drifting, live);
    case.feed(User::Alice, &["replace", "--raw", &path, "-f", "-"], &drifting).fails_with(&["metadata.labels.team"]);
    case.feed(User::Alice, &["replace", "--raw", &path, "-f", "-"], &live).succeeds();
}
