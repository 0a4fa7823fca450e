//! What becomes of writes beside what Git declares: to objects that it does not, and to Pods of those that it does?

use crate::gate::{Case, DEPLOYMENT, gate};
use crate::testbed::eventually;
use crate::testbed::user::User;

#[test]
fn a_person_may_not_make_what_git_does_not_declare() {
    let case = Case::new("deny-sealed");
    let own = ["create", "configmap", "own", "--from-literal=k=v"];
    let revision = gate().landfast.revision("cases").unwrap();
    case.kubectl(User::Alice, &own).fails_with(&[
        &format!(
            "ConfigMap {}/own is not declared in Git\n  it is in the scope of GitSource cases, which is at",
            case.namespace
        ),
        "hint: declare it there",
    ]);
    assert_eq!(revision.len(), 40);
    case.kubectl(User::Operator, &own).succeeds();
    case.kubectl(User::Alice, &["patch", "configmap", "own", "-p", r#"{"data":{"k":"w"}}"#])
        .fails_with(&["is not declared"]);
    case.kubectl(User::Alice, &["delete", "configmap", "own"]).succeeds();
    // The account that the control plane makes is a service's business, too.
    case.kubectl(User::Alice, &["get", "configmap", "kube-root-ca.crt"]).succeeds();
    case.declare(
        "own.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: own, namespace: $NAMESPACE }\ndata: { k: v }\n",
    );
    case.kubectl(User::Alice, &own).succeeds();
}

#[test]
fn a_person_may_not_reach_into_what_a_declared_object_made() {
    let case = Case::new("deny-sealed");
    case.declare_and_create(DEPLOYMENT);
    let pod = eventually("a Pod", || {
        let pods = case.kubectl(User::Alice, &["get", "pods", "-o", "name"]).succeeds().stdout;
        Some(pods.lines().next()?.trim_start_matches("pod/").to_owned())
    });
    let told = format!(
        "Pod {0}/{pod} belongs to Deployment {0}/web, which Git declares\n  declared by {0}/object.yaml:1 at",
        case.namespace
    );
    case.kubectl(User::Alice, &["exec", &pod, "--", "true"])
        .fails_with(&[&told, "hint: change what Git declares of it"]);
    case.kubectl(User::Alice, &["attach", &pod]).fails_with(&[&told]);
    // kubectl forwards to no Pod that does not run.
    let running = r#"{"status":{"phase":"Running"}}"#;
    case.kubectl(User::Admin, &["patch", "pod", &pod, "--subresource=status", "-p", running]).succeeds();
    case.kubectl(User::Alice, &["port-forward", &pod, "18080:80"]).fails_with(&["which Git declares"]);
    case.kubectl(User::Alice, &["debug", &pod, "--image=example.com/debug:1", "--attach=false"]).fails_with(&[&told]);
    case.kubectl(User::Alice, &["label", "pod", &pod, "app=api", "--overwrite"]).fails_with(&[&told]);
    let sets = case.kubectl(User::Alice, &["get", "replicasets", "-o", "name"]).succeeds().stdout;
    case.kubectl(User::Alice, &["scale", sets.trim(), "--replicas=1"]).fails_with(&["belongs to Deployment"]);
    case.kubectl(User::Alice, &["annotate", sets.trim(), "example.com/a=b"]).fails_with(&["belongs to Deployment"]);
    case.kubectl(User::Operator, &["label", "pod", &pod, "example.com/a=b"]).succeeds();
    case.kubectl(User::Alice, &["delete", "pod", &pod, "--wait=false"]).succeeds();
}

#[test]
fn a_pod_of_nobodys_is_nobodys_business() {
    let case = Case::new("deny");
    case.declare_and_create(DEPLOYMENT);
    let pod = eventually("a Pod", || {
        let pods = case.kubectl(User::Alice, &["get", "pods", "-o", "name"]).succeeds().stdout;
        Some(pods.lines().next()?.to_owned())
    });
    case.kubectl(User::Alice, &["label", &pod, "example.com/a=b"]).succeeds();
    case.kubectl(User::Alice, &["exec", pod.trim_start_matches("pod/"), "--", "true"])
        .fails_with(&["does not have a host assigned"]);
}

#[test]
fn a_definition_may_not_stop_serving_or_keeping_what_git_declares() {
    let case = Case::new("deny");
    case.declare(
        "widget.yaml",
        "apiVersion: example.com/v1\nkind: Widget\nmetadata: { name: one, namespace: $NAMESPACE }\nspec: { size: 1 }\n",
    );
    let patch = |patch: &str| {
        case.kubectl(
            User::Admin,
            &["patch", "crd", "widgets.example.com", "--dry-run=server", "--type=json", "-p", patch],
        )
    };
    let told = "CustomResourceDefinition widgets.example.com would no longer hold all that Git says of";
    patch(r#"[{"op":"replace","path":"/spec/versions/0/served","value":false}]"#)
        .fails_with(&[told, "hint: change them in Git first"]);
    patch(r#"[{"op":"remove","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/size"}]"#)
        .fails_with(&[told]);
    patch(r#"[{"op":"add","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/more","value":{"type":"string"}}]"#)
        .succeeds();
}

#[test]
fn an_opt_out_of_a_deployer_is_git_s_to_say() {
    let case = Case::new("deny");
    case.declare_and_create(DEPLOYMENT);
    for mark in [
        "kustomize.toolkit.fluxcd.io/reconcile=disabled",
        "kustomize.toolkit.fluxcd.io/ssa=Ignore",
        "argocd.argoproj.io/tracking-id=a:b",
        "landfast.dev/ignore=spec; mine",
    ] {
        let name = mark.split('=').next().unwrap();
        case.kubectl(User::Alice, &["annotate", "deployment", "web", mark])
            .fails_with(&[&format!("metadata.annotations[\"{name}\"]: not in Git")]);
    }
    case.kubectl(User::Operator, &["annotate", "deployment", "web", "kustomize.toolkit.fluxcd.io/reconcile=disabled"])
        .succeeds();
    case.kubectl(User::Alice, &["annotate", "deployment", "web", "kustomize.toolkit.fluxcd.io/reconcile-"]).succeeds();
}
