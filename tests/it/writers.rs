//! Who may write what: deployers by content, controllers their fields, services and people what Git says?

use crate::gate::{Case, DEPLOYMENT};
use crate::testbed::eventually;
use crate::testbed::user::User;

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
