//! Is each role held to its work? Once the right account with what is not its own, once another account with what is.

use crate::gate::{Case, DEPLOYMENT};
use crate::testbed::eventually;
use crate::testbed::kubectl::Output;
use crate::testbed::user::User;

const APPLY: &[&str] = &["apply", "--server-side", "--force-conflicts", "-f", "-"];

const SETTINGS: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n  namespace: $NAMESPACE\n  \
                        labels: { app.kubernetes.io/managed-by: me }\ndata:\n  key: value\n";

/// Gives a command as somebody whose name decides; the group is for the rights.
fn acting(case: &Case, account: &str, args: &[&str]) -> Output {
    let name = format!("--as={account}");
    case.kubectl(User::Admin, &[args, &[&name, "--as-group=system:masters"]].concat())
}

/// The account of a controller of the control plane.
fn controller(name: &str) -> String {
    format!("system:serviceaccount:kube-system:{name}")
}

fn moved(case: &Case, account: &str, object: &str, patch: &str) -> Output {
    acting(case, account, &["patch", object, "settings", "--type=merge", "-p", patch])
}

#[test]
fn helm_and_the_others_may_leave_their_marks_and_nobody_else_may_move_what_git_says_of_them() {
    let case = Case::new("deny");
    case.declare_and_create(SETTINGS);
    let helm = SETTINGS.replace("managed-by: me", "managed-by: Helm").replace(
        "  labels:",
        "  annotations: { meta.helm.sh/release-name: shop, meta.helm.sh/release-namespace: shop }\n  labels:",
    );
    // A client of Helm patches what it renders; a CI account runs it.
    case.feed(User::Ci, APPLY, &helm).succeeds();
    assert_eq!(case.field("configmap/settings", r".metadata.labels.app\.kubernetes\.io/managed-by"), "Helm");
    case.feed(User::Ci, APPLY, &helm.replace("value", "other")).fails_with(&["data.key", "in 1 field"]);
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: { name: sh.helm.release.v1.shop.v1, namespace: $NAMESPACE }\n\
                  type: helm.sh/release.v1\nstringData: { release: none }\n";
    case.feed(User::Ci, &["create", "-f", "-"], secret).succeeds();
    case.feed(User::Ci, &["delete", "-f", "-"], secret).succeeds();
    for (user, label) in [(User::Alice, "Argo"), (User::Operator, "Argo")] {
        let label = format!("app.kubernetes.io/managed-by={label}");
        case.kubectl(user, &["label", "--overwrite", "configmap", "settings", &label])
            .fails_with(&["metadata.labels[\"app.kubernetes.io/managed-by\"]"]);
    }
    for mark in ["argocd.argoproj.io/tracking-id=a:b", "kustomize.toolkit.fluxcd.io/name=shop"] {
        let verb = if mark.starts_with("argo") { "annotate" } else { "label" };
        case.kubectl(User::Ci, &[verb, "configmap", "settings", mark.split(':').next().unwrap()]).succeeds();
    }
}

#[test]
fn a_deployer_may_delete_to_make_anew_and_nobody_else_may() {
    let case = Case::new("deny");
    case.declare_and_create(SETTINGS);
    for user in [User::ArgoCd, User::Flux, User::Ci, User::Alice, User::Operator] {
        case.kubectl(user, &["delete", "configmap", "settings"]).fails_with(&["may not be deleted"]);
    }
    let emergency = ["--as=root", "--as-group=system:masters", "--as-group=landfast:emergency"];
    let drift = ["patch", "configmap", "settings", "-p", r#"{"data":{"key":"other"}}"#];
    case.kubectl(User::Admin, &[&drift[..], &emergency].concat()).succeeds();
    for user in [User::Alice, User::Operator] {
        case.kubectl(user, &["delete", "configmap", "settings"]).fails_with(&["may not be deleted"]);
    }
    case.feed(User::Ci, &["replace", "--force", "-f", "-"], SETTINGS).succeeds();
    assert_eq!(case.field("configmap/settings", ".data.key"), "value");
    // A marker in Git asks for it.
    let forced =
        SETTINGS.replace("  labels:", "  annotations: { argocd.argoproj.io/sync-options: Replace=true }\n  labels:");
    case.declare("object.yaml", &forced);
    case.feed(User::ArgoCd, APPLY, &forced).succeeds();
    case.kubectl(User::Alice, &["delete", "configmap", "settings"]).fails_with(&["may not be deleted"]);
    case.kubectl(User::ArgoCd, &["delete", "configmap", "settings"]).succeeds();
}

#[test]
fn the_garbage_collector_deletes_what_has_an_owner_and_nothing_else() {
    let case = Case::new("deny");
    let collector = controller("generic-garbage-collector");
    case.declare_and_create(SETTINGS);
    let delete = ["delete", "configmap", "settings"];
    acting(&case, &collector, &delete).fails_with(&["may not be deleted"]);
    moved(&case, &collector, "configmap", r#"{"data":{"key":"other"}}"#).fails_with(&["data.key"]);
    // With an owner that Git declares it is condemned with it.
    case.kubectl(User::Operator, &["create", "configmap", "owner"]).succeeds();
    let uid = case.field("configmap/owner", ".metadata.uid");
    let owned = SETTINGS.replace(
        "  labels:",
        &format!("  ownerReferences: [{{ apiVersion: v1, kind: ConfigMap, name: owner, uid: {uid} }}]\n  labels:"),
    );
    case.declare("object.yaml", &owned);
    case.feed(User::Ci, APPLY, &owned).succeeds();
    case.kubectl(User::Alice, &delete).fails_with(&["may not be deleted"]);
    acting(&case, "system:serviceaccount:elsewhere:generic-garbage-collector", &delete)
        .fails_with(&["may not be deleted"]);
    // The real one.
    case.kubectl(User::Operator, &["delete", "configmap", "owner"]).succeeds();
    eventually("the garbage collector to delete what is condemned", || {
        case.kubectl(User::Alice, &["get", "configmap", "settings"]).stderr.contains("NotFound").then_some(())
    });
}

#[test]
fn the_namespace_controller_deletes_and_changes_nothing() {
    let case = Case::new("deny");
    case.declare_and_create(SETTINGS);
    let account = controller("namespace-controller");
    moved(&case, &account, "configmap", r#"{"data":{"key":"other"}}"#).fails_with(&["data.key"]);
    acting(&case, &controller("job-controller"), &["delete", "configmap", "settings"])
        .fails_with(&["may not be deleted"]);
    acting(&case, &account, &["delete", "configmap", "settings"]).succeeds();
}

#[test]
fn the_ttl_controller_deletes_jobs_and_nothing_else() {
    let case = Case::new("deny");
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: { name: settings, namespace: $NAMESPACE, labels: { a: b } }\nspec:\n  \
               ttlSecondsAfterFinished: 1\n  template:\n    spec: { restartPolicy: Never, containers: [{ name: a, image: \"example.com/a:1\" }] }\n";
    case.declare("settings.yaml", SETTINGS);
    case.feed(User::Alice, &["create", "-f", "-"], SETTINGS).succeeds();
    case.declare("job.yaml", job);
    case.feed(User::Alice, &["create", "-f", "-"], job).succeeds();
    let account = controller("ttl-after-finished-controller");
    moved(&case, &account, "job", r#"{"metadata":{"labels":{"a":"c"}}}"#).fails_with(&["metadata.labels.a"]);
    acting(&case, &account, &["delete", "configmap", "settings"]).fails_with(&["may not be deleted"]);
    case.kubectl(User::Alice, &["delete", "job", "settings"]).fails_with(&["may not be deleted"]);
    acting(&case, &account, &["delete", "job", "settings"]).succeeds();
}

#[test]
fn rules_are_put_together_by_the_control_plane_and_by_nobody_else() {
    let case = Case::new("deny");
    let label = format!("example.com/part-of-{}", case.namespace);
    let role = |name: &str, more: &str| {
        format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{ name: {name}-$NAMESPACE{more}"
        )
    };
    let part = role(
        "part",
        &format!(
            ", labels: {{ {label}: \"true\" }} }}\nrules: [{{ apiGroups: [\"\"], resources: [pods], verbs: [get] }}]\n"
        ),
    );
    let whole = role(
        "whole",
        &format!(
            " }}\naggregationRule: {{ clusterRoleSelectors: [{{ matchLabels: {{ {label}: \"true\" }} }}] }}\nrules: []\n"
        ),
    );
    for (file, role) in [("part.yaml", &part), ("whole.yaml", &whole)] {
        case.declare(file, role);
        case.feed(User::Admin, &["create", "-f", "-"], role).succeeds();
    }
    let name = format!("clusterrole/whole-{}", case.namespace);
    eventually("the rules to be put together", || {
        (case.field(&name, ".rules[0].resources[0]") == "pods").then_some(())
    });
    let wider = r#"[{"op":"replace","path":"/rules/0/verbs","value":["get","list"]}]"#;
    let part = format!("part-{}", case.namespace);
    let patch = ["patch", "clusterrole", &part, "--type=json", "-p", wider];
    acting(&case, &controller("clusterrole-aggregation-controller"), &patch).succeeds();
    case.feed(User::Admin, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &role(
        "part",
        &format!(", labels: {{ {label}: \"true\" }} }}\nrules: [{{ apiGroups: [\"\"], resources: [pods], verbs: [get] }}]\n"),
    ))
    .succeeds();
    case.kubectl(User::Admin, &patch).fails_with(&["rules"]);
    acting(
        &case,
        &controller("clusterrole-aggregation-controller"),
        &["label", "clusterrole", &part, "--overwrite", &format!("{label}=false")],
    )
    .fails_with(&["metadata.labels"]);
    case.kubectl(User::Admin, &["delete", "clusterrole", &part]).fails_with(&["may not be deleted"]);
}

#[test]
fn a_scaled_object_in_git_lets_its_controller_move_replicas_and_nobody_else() {
    let case = Case::new("deny");
    let scaled = "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: { name: web, namespace: $NAMESPACE }\n\
                  spec: { scaleTargetRef: { name: web } }\n";
    let lone = DEPLOYMENT.replace("name: web\n", "name: lone\n");
    case.declare("lone.yaml", &lone);
    case.declare("scaled.yaml", scaled);
    case.declare_and_create(DEPLOYMENT);
    let scale = |name: &'static str| ["scale", "deployment", name, "--replicas=7"];
    for user in [User::Alice, User::Operator] {
        case.kubectl(user, &scale("web")).fails_with(&["spec.replicas"]);
    }
    // KEDA moves the replicas by an autoscaler that it makes; what its own account may move, a policy says.
    acting(&case, "system:serviceaccount:keda:keda-operator", &scale("web")).fails_with(&["spec.replicas"]);
    let mover = controller("horizontal-pod-autoscaler");
    acting(&case, &mover, &["label", "--overwrite", "deployment", "web", "app=api"])
        .fails_with(&["metadata.labels.app"]);
    acting(&case, &mover, &["scale", "deployment", "web", "--replicas=6"]).succeeds();
    // The replicas are no part of what a deployer is held to; it leaves them where they are.
    case.feed(User::ArgoCd, APPLY, &DEPLOYMENT.replace("  replicas: 3\n", "")).succeeds();
    assert_eq!(case.field("deployment/web", ".spec.replicas"), "6");
    case.kubectl(User::Alice, &scale("web")).fails_with(&["spec.replicas"]);
    // Of an object that nothing scales they are.
    case.feed(User::ArgoCd, APPLY, &lone.replace("replicas: 3", "replicas: 4")).fails_with(&["spec.replicas"]);
}
