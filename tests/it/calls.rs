//! How often is Landfast asked? By the API server's own metrics, on a control plane where nobody else asks.

use serde_json::{Value, json};

use crate::gate::{DEPLOYMENT, source};
use crate::testbed::control_plane::ControlPlane;
use crate::testbed::eventually;
use crate::testbed::landfast::Landfast;
use crate::testbed::repository::Repository;
use crate::testbed::user::User;

const POLICY: &str = "apiVersion: landfast.dev/v1alpha1\nkind: DriftPolicy\nmetadata: { name: revert }\nspec:\n  \
                      mode: Enforce\n  rulings: { drift: Revert, delete: Deny }\n  failurePolicy: Fail\n  \
                      writers: [{ name: ci, role: Deployer, subjects: [{ kind: User, name: ci }] }]\n";

const APPLY: &[&str] = &["apply", "--server-side", "--force-conflicts", "-f", "-"];

/// Calls so far of the validating entries and of the mutating one.
fn calls(plane: &ControlPlane) -> (f64, f64) {
    let of = |entry: &str| {
        let name = format!("name=\"{entry}.landfast.dev\"");
        plane.metric("apiserver_admission_webhook_request_total", &[&name])
    };
    (of("guard") + of("observe"), of("revert"))
}

/// What a kubelet would do: every Pod is ready.
fn run_pods(plane: &ControlPlane) {
    let pods = plane.kubectl(User::Admin, &["-n", "shop", "get", "pods", "-o", "json"]).succeeds().stdout;
    let pods: Value = serde_json::from_str(&pods).unwrap();
    let ready = json!({ "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] } });
    for pod in pods["items"].as_array().unwrap() {
        let (name, patch) = (pod["metadata"]["name"].as_str().unwrap(), ready.to_string());
        // It may be gone by now.
        let _ = plane.kubectl(User::Admin, &["-n", "shop", "patch", "pod", name, "--subresource=status", "-p", &patch]);
    }
}

fn await_rollout(plane: &ControlPlane, generation: &str) {
    eventually("the rollout to end", || {
        run_pods(plane);
        let path = "jsonpath={.status.observedGeneration} {.status.replicas} {.status.updatedReplicas} {.status.availableReplicas}";
        let status = plane.kubectl(User::Admin, &["-n", "shop", "get", "deployment", "web", "-o", path]).succeeds();
        (status.stdout == format!("{generation} 3 3 3")).then_some(())
    });
}

#[test]
fn a_rollout_by_its_deployer_makes_one_call_of_each_kind() {
    let (plane, repository) = (ControlPlane::start(), Repository::new());
    let web = DEPLOYMENT.replace("$NAMESPACE", "shop");
    plane.kubectl(User::Admin, &["create", "namespace", "shop"]).succeeds();
    repository.commit(&[("web.yaml", &web)], "Declare");
    let landfast = Landfast::start(&plane, &format!("{}{POLICY}", source("shop", &repository, "1s", "[shop]")));
    landfast.eventually("drift to be put back", || {
        let drifting = web.replace("web:1", "web:9");
        let answer = plane.kubectl_with_input(User::Alice, &["create", "--dry-run=server", "-f", "-"], &drifting);
        (answer.code == 0 && answer.stderr.contains("is put back")).then_some(())
    });

    let start = calls(&plane);
    plane.kubectl_with_input(User::Ci, APPLY, &web).succeeds();
    await_rollout(&plane, "1");
    let created = calls(&plane);
    assert_eq!((created.0 - start.0, created.1 - start.1), (1.0, 1.0), "the creation and three Pods");

    let second = web.replace("web:1", "web:2");
    repository.commit(&[("web.yaml", &second)], "Move on");
    landfast
        .eventually("the commit to be in force", || (landfast.revision("shop")? == repository.head()).then_some(()));
    let before = calls(&plane);
    plane.kubectl_with_input(User::Ci, APPLY, &second).succeeds();
    await_rollout(&plane, "2");
    let after = calls(&plane);
    assert_eq!((after.0 - before.0, after.1 - before.1), (1.0, 1.0), "a rollout over three replicas");
    plane.assert_match_conditions_hold();
}
