//! Who may write what: deployers by content, controllers their fields, services and people what Git says?

use hyper::Request;
use serde_json::Value;

use crate::gate::{Case, DEPLOYMENT, gate};
use crate::testbed::user::User;
use crate::testbed::{block_on, control_plane, eventually};

/// The account of Argo CD, for those who try to pass for it.
const ARGO_CD: &str = "--as=system:serviceaccount:argocd:argocd-application-controller";

fn with_replicas(count: u32) -> String {
    DEPLOYMENT.replace("replicas: 3", &format!("replicas: {count}"))
}

#[test]
fn a_rollout_of_a_declared_deployment_goes_through() {
    let case = Case::new("deny");
    case.declare_and_create(DEPLOYMENT);
    eventually("the controllers to make three pods", || {
        let pods = case.kubectl(User::Alice, &["get", "pods", "-o", "name"]).succeeds().stdout;
        (pods.lines().count() == 3).then_some(())
    });
    eventually("the deployment controller to write its status and revision", || {
        let revision = case.field("deployment/web", r".metadata.annotations.deployment\.kubernetes\.io/revision");
        let observed = case.field("deployment/web", ".status.replicas");
        (revision == "1" && observed == "3").then_some(())
    });
}

#[test]
fn a_deployer_may_lag() {
    let case = Case::new("deny");
    case.declare("web.yaml", DEPLOYMENT);
    case.declare("web.yaml", &with_replicas(4));
    case.declare("web.yaml", &with_replicas(5));
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    for deployer in [User::ArgoCd, User::Flux, User::Ci] {
        for count in [3, 4, 5] {
            case.feed(deployer, &apply, &with_replicas(count)).succeeds();
        }
        case.feed(deployer, &apply, &with_replicas(6)).fails_with(&["spec.replicas: 5 in Git, 6 in this write"]);
    }
    case.feed(User::Alice, &apply, &with_replicas(4)).fails_with(&["spec.replicas: 5 in Git, 4 in this write"]);
}

#[test]
fn a_deployer_may_not_mix_two_declarations() {
    let case = Case::new("deny");
    case.declare("web.yaml", DEPLOYMENT);
    case.declare("web.yaml", &with_replicas(5).replace("web:1", "web:2"));
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    case.feed(User::ArgoCd, &apply, &with_replicas(5)).fails_with(&["example.com/web:2"]);
    case.feed(User::ArgoCd, &apply, DEPLOYMENT).succeeds();
}

#[test]
fn a_deployer_may_leave_its_own_marks() {
    let case = Case::new("deny");
    case.declare_and_create(DEPLOYMENT);
    let marked = DEPLOYMENT.replace(
        "  labels:\n    app: web\nspec:",
        "  annotations:\n    argocd.argoproj.io/tracking-id: shop:apps/Deployment:shop/web\n  labels:\n    app: web\nspec:",
    );
    assert_ne!(marked, DEPLOYMENT);
    case.feed(User::ArgoCd, &["apply", "-f", "-"], &marked).succeeds();
    case.feed(User::Flux, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &marked).succeeds();
}

#[test]
fn a_controller_may_move_what_is_delegated_to_it_and_nothing_else() {
    let case = Case::new("deny");
    let patient = DEPLOYMENT.replace("  replicas: 3\n", "  replicas: 3\n  minReadySeconds: 5\n");
    case.declare_and_create(&patient);
    let wait = |seconds: u32| format!(r#"{{"spec":{{"minReadySeconds":{seconds}}}}}"#);
    case.kubectl(User::Operator, &["patch", "deployment", "web", "-p", &wait(7)]).succeeds();
    case.kubectl(User::Operator, &["scale", "deployment", "web", "--replicas=7"]).fails_with(&["spec.replicas"]);
    // A deployer leaves the delegated field out; anybody else who moves it drifts.
    case.kubectl(User::Alice, &["patch", "deployment", "web", "-p", &wait(9)]).fails_with(&["spec.minReadySeconds"]);
    assert_eq!(case.field("deployment/web", ".spec.minReadySeconds"), "7");
}

#[test]
fn a_service_is_held_to_the_declared_fields() {
    let case = Case::new("deny");
    let settings =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: settings, namespace: $NAMESPACE }\ndata: { key: value }\n";
    case.declare_and_create(settings);
    case.kubectl(User::Operator, &["patch", "configmap", "settings", "-p", r#"{"data":{"key":"other"}}"#])
        .fails_with(&["data.key: \"value\" in Git, \"other\" in this write"]);
    case.kubectl(User::Operator, &["patch", "configmap", "settings", "-p", r#"{"data":{"more":"x"}}"#]).succeeds();
}

/// Two declarations, three replicas and then five; the second is live.
fn grown() -> Case {
    let case = Case::new("deny");
    case.declare("object.yaml", DEPLOYMENT);
    case.declare("object.yaml", &with_replicas(5));
    case.feed(User::Alice, &["create", "-f", "-"], &with_replicas(5)).succeeds();
    case
}

/// Who was denied, and as what, by the last record of that namespace.
fn denied(case: &Case, user: &str) -> Value {
    eventually("the record of the denial", || {
        gate().landfast.records(|line| line["namespace"] == *case.namespace && line["user"] == user).pop()
    })
}

#[test]
fn a_service_account_without_a_role_is_held_to_git() {
    let case = grown();
    let account = format!("{}:builder", case.namespace);
    case.kubectl(User::Admin, &["create", "serviceaccount", "builder"]).succeeds();
    let rights = ["create", "rolebinding", "builder", "--clusterrole=edit", "--serviceaccount", &account];
    case.kubectl(User::Admin, &rights).succeeds();
    let token = case.kubectl(User::Admin, &["create", "token", "builder"]).succeeds().stdout;
    // A kubeconfig of its own would be another way; the flag goes before the file.
    let token = format!("--token={}", token.trim());
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-", &token];
    case.feed(User::Bob, &apply, &with_replicas(6)).fails_with(&["spec.replicas: 5 in Git, 6 in this write"]);
    // What a deployer may: to lag.
    case.feed(User::Bob, &apply, DEPLOYMENT).fails_with(&["spec.replicas: 5 in Git, 3 in this write"]);
    case.feed(User::Bob, &apply, &with_replicas(5)).succeeds();
    assert_eq!(denied(&case, &format!("system:serviceaccount:{account}"))["role"], "Service");
}

#[test]
fn who_acts_as_another_is_that_other() {
    let case = grown();
    let three = ["scale", "deployment", "web", "--replicas=3"];
    let acting = |who: &str| case.kubectl(User::Admin, &[&three[..], &[who]].concat());
    acting("--as=bob").fails_with(&["spec.replicas: 5 in Git, 3 in this write"]);
    let record = denied(&case, "bob");
    assert_eq!((&record["role"], &record["ruling"]), (&"Person".into(), &"Deny".into()), "{record:#}");
    assert_eq!(
        gate().landfast.records(|line| line["namespace"] == *case.namespace && line["user"] == "admin").len(),
        0
    );
    // The role `edit` lets her act as any account of its namespaces, but as no person.
    let as_argo_cd = |replicas: &str| case.kubectl(User::Alice, &["scale", "deployment", "web", replicas, ARGO_CD]);
    case.kubectl(User::Alice, &[&three[..], &["--as=bob"]].concat()).fails_with(&["cannot impersonate"]);
    as_argo_cd("--replicas=6").fails_with(&["spec.replicas: 5 in Git, 6 in this write"]);
    assert_eq!(denied(&case, User::ArgoCd.name())["role"], "Deployer");
    as_argo_cd("--replicas=3").succeeds();
    assert_eq!(case.field("deployment/web", ".spec.replicas"), "3");
}

#[test]
fn names_that_a_writer_gives_itself_change_nothing() {
    let case = grown();
    let told = "spec.replicas: 5 in Git, 3 in this write";
    for manager in ["argocd-controller", "kustomize-controller", "helm", "landfast", "before-first-apply"] {
        let manager = format!("--field-manager={manager}");
        let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-", &manager];
        case.feed(User::Alice, &apply, DEPLOYMENT).fails_with(&[told]);
        let patch = ["patch", "deployment", "web", "-p", r#"{"spec":{"replicas":3}}"#, &manager];
        case.kubectl(User::Alice, &patch).fails_with(&[told]);
    }
    case.feed(
        User::ArgoCd,
        &["apply", "--server-side", "--force-conflicts", "-f", "-", "--field-manager=alice"],
        DEPLOYMENT,
    )
    .succeeds();
    case.feed(User::Alice, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &with_replicas(5)).succeeds();
    // kubectl gives no other name of itself.
    let agent = "argocd-application-controller/v3.1.0";
    let request = Request::patch(format!("/apis/apps/v1/namespaces/{}/deployments/web", case.namespace))
        .header("content-type", "application/merge-patch+json")
        .header("user-agent", agent)
        .body(br#"{"spec":{"replicas":3}}"#.to_vec())
        .unwrap();
    let plane = control_plane();
    let answer = block_on(async { plane.client(User::Alice).await.request::<Value>(request).await });
    assert!(answer.unwrap_err().to_string().contains(told));
    plane.await_audit("a write under that name", |event| {
        event["userAgent"] == agent && event["objectRef"]["namespace"] == *case.namespace
    });
}

#[test]
fn a_declared_autoscaler_lets_its_controller_move_replicas_and_nobody_else() {
    let case = Case::new("deny");
    let scaler = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\n\
                  metadata: { name: web, namespace: $NAMESPACE }\nspec:\n  maxReplicas: 9\n  \
                  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: web }\n";
    case.declare("scaler.yaml", scaler);
    case.declare_and_create(DEPLOYMENT);
    let scale = |user: User, more: &[&str]| {
        case.kubectl(user, &[&["scale", "deployment", "web", "--replicas=7"], more].concat())
    };
    for user in [User::Alice, User::Operator] {
        scale(user, &[]).fails_with(&["spec.replicas"]);
    }
    // It has no kubectl; its name decides, and the group is for the rights.
    let controller = ["--as=system:serviceaccount:kube-system:horizontal-pod-autoscaler", "--as-group=system:masters"];
    scale(User::Admin, &controller).succeeds();
    assert_eq!(case.field("deployment/web", ".spec.replicas"), "7");
    case.kubectl(User::Admin, &[&["label", "--overwrite", "deployment", "web", "app=api"], &controller[..]].concat())
        .fails_with(&["metadata.labels.app"]);
    // It is no part of what a deployer is held to; it may leave it out, and does.
    let bare = DEPLOYMENT.replace("  replicas: 3\n", "");
    case.feed(User::ArgoCd, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &bare).succeeds();
    assert_eq!(case.field("deployment/web", ".spec.replicas"), "7");
}
