//! What do people change that Git does not declare, where a policy minds (`undeclaredFields`)?

use crate::gate::{Case, DEPLOYMENT};
use crate::testbed::eventually;
use crate::testbed::user::User;

const HINT: &str = "hint: declare it in that file, or leave it as it was";

#[test]
fn what_a_person_adds_is_denied() {
    let case = Case::new("strict");
    let commit = case.declare("object.yaml", DEPLOYMENT);
    case.feed(User::Alice, &["create", "-f", "-"], DEPLOYMENT).succeeds();
    let sidecar = r#"{"spec":{"template":{"spec":{"containers":[{"name":"spy","image":"example.com/spy:1"}]}}}}"#;
    let toleration = r#"{"spec":{"template":{"spec":{"tolerations":[{"operator":"Exists"}]}}}}"#;
    let finalizer = r#"{"metadata":{"finalizers":["example.com/held"]}}"#;
    let (pod, patch) = ("spec.template.spec", ["patch", "deployment", "web", "-p"]);
    for (verb, path) in [
        ([&patch[..], &[sidecar]].concat(), format!("{pod}.containers[name=spy]: not in Git, {{")),
        (["set", "env", "deployment/web", "SPY=1"].to_vec(), format!("{pod}.containers[name=web].env[name=SPY]: not")),
        ([&patch[..], &[toleration]].concat(), format!("{pod}.tolerations: not in Git, [{{\"operator\":\"Exists\"}}]")),
        ([&patch[..], &[finalizer]].concat(), "metadata.finalizers[=\"example.com/held\"]: not in Git".to_owned()),
        (["label", "deployment", "web", "team=blue"].to_vec(), "metadata.labels.team: not in Git".to_owned()),
        (["rollout", "pause", "deployment/web"].to_vec(), "spec.paused: not in Git, true in this write".to_owned()),
        (
            ["annotate", "deployment", "web", "example.com/note=hello"].to_vec(),
            "metadata.annotations[\"example.com/note\"]: not in Git, \"hello\" in this write".to_owned(),
        ),
    ] {
        let first = format!("Deployment {}/web gets what Git does not declare in 1 field\n  {path}", case.namespace);
        let origin = format!("declared by {}/object.yaml:1 at {}", case.namespace, &commit[..7]);
        case.kubectl(User::Alice, &verb).fails_with(&[&first, &origin, HINT]);
    }
    assert_eq!(case.field("deployment/web", ".spec.template.spec.containers[*].name"), "web");
}

#[test]
fn what_services_and_controllers_add_goes_in() {
    let case = Case::new("strict");
    case.declare_and_create(DEPLOYMENT);
    for user in [User::Operator, User::ArgoCd, User::Flux, User::Ci] {
        case.kubectl(user, &["label", "--overwrite", "deployment", "web", &format!("by={}", user.short())]).succeeds();
    }
    eventually("the deployment controller to leave its revision", || {
        let revision = case.field("deployment/web", r".metadata.annotations.deployment\.kubernetes\.io/revision");
        (revision == "1").then_some(())
    });
    case.kubectl(User::Alice, &["label", "deployment", "web", "by-"])
        .fails_with(&["metadata.labels.by: not in Git, removed by this write", HINT]);
}

#[test]
fn what_kubectl_leaves_behind_is_nobodys() {
    let case = Case::new("strict");
    case.declare_and_create(DEPLOYMENT);
    // Created without it, so that this is the write that brings `last-applied-configuration`.
    case.feed(User::Alice, &["apply", "-f", "-"], DEPLOYMENT).succeeds();
    case.feed(User::Bob, &["apply", "--server-side", "--force-conflicts", "-f", "-"], DEPLOYMENT).succeeds();
    case.kubectl(User::Alice, &["rollout", "restart", "deployment/web"]).succeeds();
    case.feed(User::Alice, &["replace", "-f", "-"], DEPLOYMENT).succeeds();
    case.feed(User::Alice, &["apply", "set-last-applied", "--create-annotation", "-f", "-"], DEPLOYMENT).succeeds();
    let edited = |from: &str, to: &str| {
        let live = case.kubectl(User::Alice, &["get", "deployment", "web", "-o", "yaml"]).succeeds().stdout;
        assert!(live.contains(from), "{live}");
        case.feed(User::Alice, &["edit", "deployment", "web"], &live.replacen(from, to, 1))
    };
    edited("  labels:\n    app: web\n", "  labels:\n    app: web\n    team: blue\n")
        .fails_with(&["metadata.labels.team"]);
    edited("value: one", "value: 1st").fails_with(&["env[name=FIRST].value"]);
    edited("name: web\n", "name: web # as it was\n").succeeds();
}

#[test]
fn what_comes_with_a_restored_field_is_no_addition() {
    let case = Case::new("strict");
    let probe = "          image: example.com/web:1\n          readinessProbe: { httpGet: { path: /, port: 80 } }\n";
    let probed = DEPLOYMENT.replace("          image: example.com/web:1\n", probe);
    case.feed(User::Alice, &["create", "-f", "-"], DEPLOYMENT).succeeds();
    let service = "apiVersion: v1\nkind: Service\nmetadata: { name: web, namespace: $NAMESPACE }\nspec:\n  type: NodePort\n  \
                   selector: { app: web }\n  ports: [{ port: 80 }]\n";
    case.feed(User::Alice, &["create", "-f", "-"], &service.replace("NodePort", "ClusterIP")).succeeds();
    case.declare("object.yaml", &format!("{probed}---\n{service}"));
    // The API server fills in the probe's defaults, and finds a port for the Service.
    let restored = case.feed(User::Alice, &["apply", "-f", "-"], &probed).succeeds();
    assert!(!restored.stderr.contains("does not declare"), "{restored:#?}");
    assert_eq!(case.field("deployment/web", ".spec.template.spec.containers[0].readinessProbe.periodSeconds"), "10");
    let served = case.feed(User::Alice, &["apply", "-f", "-"], service).succeeds();
    assert!(!served.stderr.contains("nodePort"), "{served:#?}");
    assert_eq!(case.field("service/web", ".spec.type"), "NodePort");
}

#[test]
fn a_drift_is_denied_together_with_what_is_added() {
    let case = Case::new("strict");
    case.declare_and_create(DEPLOYMENT);
    let both = r#"{"metadata":{"labels":{"team":"blue"}},"spec":{"replicas":5}}"#;
    case.kubectl(User::Alice, &["patch", "deployment", "web", "-p", both]).fails_with(&[
        "differs from Git in 2 fields",
        "spec.replicas: 3 in Git, 5 in this write",
        "metadata.labels.team: not in Git, \"blue\" in this write",
        "hint: change that file",
    ]);
}
