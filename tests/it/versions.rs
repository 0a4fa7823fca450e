//! Is an object the same in whatever version it is written, and its scale by whatever path?

use crate::gate::{Case, DEPLOYMENT};
use crate::testbed::user::User;

const SCALER: &str = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\n\
                      metadata: { name: web, namespace: $NAMESPACE }\nspec:\n  maxReplicas: 9\n  minReplicas: 2\n  \
                      scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: none }\n  \
                      metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 50 } } }]\n";

const GADGET: &str = "apiVersion: example.com/v2\nkind: Gadget\nmetadata: { name: one, namespace: $NAMESPACE }\n\
                      spec: { replicas: 2, size: 3 }\n";

const FORCED: &[&str] = &["apply", "--server-side", "--force-conflicts", "-f", "-"];

/// The same object as version 1 has it.
fn first_version() -> String {
    let (head, _) = SCALER.split_once("  metrics:").unwrap();
    head.replace("autoscaling/v2", "autoscaling/v1") + "  targetCPUUtilizationPercentage: 50\n"
}

fn hold_scaler(declared: &str) {
    let case = Case::new("deny");
    case.declare_and_create(declared);
    let (first, second) = ("horizontalpodautoscalers.v1.autoscaling", "horizontalpodautoscalers.v2.autoscaling");
    for (object, version) in [(first, "autoscaling/v1"), (second, "autoscaling/v2")] {
        let patch = |patch: &str| case.kubectl(User::Alice, &["patch", object, "web", "--type=merge", "-p", patch]);
        patch(r#"{"spec":{"maxReplicas":7}}"#).fails_with(&["spec.maxReplicas: 9 in Git, 7 in this write"]);
        patch(r#"{"spec":{"maxReplicas":9}}"#).succeeds();
        patch(r#"{"metadata":{"labels":{"a":"b"}}}"#).succeeds();
        case.kubectl(User::Alice, &["delete", object, "web"]).fails_with(&["may not be deleted"]);
        let shown = case.kubectl(User::Alice, &["get", object, "web", "-o", "jsonpath={.apiVersion}"]).succeeds();
        assert_eq!(shown.stdout, version);
    }
    for manifest in [SCALER.to_owned(), first_version()] {
        case.feed(User::Alice, FORCED, &manifest).succeeds();
        case.feed(User::Alice, FORCED, &manifest.replace("maxReplicas: 9", "maxReplicas: 7"))
            .fails_with(&["spec.maxReplicas: 9 in Git, 7 in this write"]);
    }
}

#[test]
fn an_autoscaler_that_git_declares_in_version_two_is_held_in_version_one() {
    hold_scaler(SCALER);
}

#[test]
fn an_autoscaler_that_git_declares_in_version_one_is_held_in_version_two() {
    hold_scaler(&first_version());
}

#[test]
fn a_custom_resource_is_held_in_each_of_its_versions_and_scaled_by_the_path_of_each() {
    let case = Case::new("deny");
    case.declare_and_create(GADGET);
    for object in ["gadgets.v1.example.com", "gadgets.v2.example.com"] {
        let patch = |patch: &str| case.kubectl(User::Alice, &["patch", object, "one", "--type=merge", "-p", patch]);
        patch(r#"{"spec":{"size":5}}"#).fails_with(&["spec.size: 3 in Git, 5 in this write"]);
        patch(r#"{"spec":{"size":3}}"#).succeeds();
    }
    for (object, told, git) in [
        ("gadgets.v1.example.com", "spec.replicas: 2 in Git, 5 in this write", "--replicas=2"),
        ("gadgets.v2.example.com", "spec.size: 3 in Git, 5 in this write", "--replicas=3"),
    ] {
        let scale = |replicas: &str| case.kubectl(User::Alice, &["scale", object, "one", replicas]);
        scale("--replicas=5").fails_with(&[told]);
        scale(git).succeeds();
    }
}

#[test]
fn a_replica_set_that_git_declares_is_scaled_as_git_says() {
    let case = Case::new("deny");
    let set = DEPLOYMENT.replace("kind: Deployment", "kind: ReplicaSet");
    case.declare_and_create(&set);
    let scale = |replicas: &str| case.kubectl(User::Alice, &["scale", "replicaset", "web", replicas]);
    scale("--replicas=5").fails_with(&["spec.replicas: 3 in Git, 5 in this write"]);
    scale("--replicas=3").succeeds();
}
