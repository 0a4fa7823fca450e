//! Does the testbed stand: is it a real control plane, with people who may not do everything, that leaves nothing behind?

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use crate::testbed::control_plane;
use crate::testbed::eventually;
use crate::testbed::user::User;

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, image: \"example.com/web:1\" }] }
";

#[test]
fn a_deployment_gets_its_pods_and_its_write_is_in_the_audit_log() {
    let plane = control_plane();
    let namespace = plane.namespace();
    plane.kubectl_with_input(User::Alice, &["-n", &namespace, "apply", "-f", "-"], DEPLOYMENT).succeeds();

    eventually("the controllers to make two pods", || {
        let pods = plane.kubectl(User::Alice, &["-n", &namespace, "get", "pods", "-o", "name"]).succeeds();
        Some(pods).filter(|pods| pods.stdout.lines().count() == 2)
    });
    let writes = plane.await_audit("alice creates the deployment", |event| {
        event["user"]["username"] == "alice"
            && event["objectRef"]["namespace"] == *namespace
            && event["verb"] == "create"
    });
    assert_eq!(writes[0]["objectRef"]["resource"], "deployments");
    assert_eq!(writes[0]["responseStatus"]["code"], 201);
}

#[test]
fn people_and_services_are_no_cluster_administrators() {
    let plane = control_plane();
    for user in [User::Alice, User::Bob, User::Oncall, User::Ci, User::Operator, User::Landfast] {
        plane
            .kubectl(user, &["create", "clusterrole", "all", "--verb=*", "--resource=*"])
            .fails_with(&["forbidden", user.name()]);
    }
    assert!(may_break_glass(User::Oncall));
    assert!(!may_break_glass(User::Alice));
}

#[test]
fn the_api_server_comes_back_with_its_state() {
    let plane = crate::testbed::control_plane::ControlPlane::start();
    let namespace = plane.namespace();
    plane.stop_api_server();
    assert!(plane.get("/readyz").is_err());
    plane.start_api_server();
    plane.kubectl(User::Admin, &["get", "namespace", &namespace]).succeeds();
    plane.assert_match_conditions_hold();
}

#[test]
fn when_the_owner_of_the_pipe_is_gone_its_processes_and_folders_go_too() {
    let folder = tempfile::tempdir().unwrap().keep();
    std::fs::write(folder.join("file"), "x").unwrap();
    let mut orphan = Command::new("sleep").arg("600").spawn().unwrap();
    let mut spared = Command::new("sleep").arg("600").spawn().unwrap();
    let mut watchdog =
        Command::new("sh").args(["-c", include_str!("../testbed/watchdog.sh")]).stdin(Stdio::piped()).spawn().unwrap();
    let mut pipe = watchdog.stdin.take().unwrap();
    let lines = [
        format!("pid {}", orphan.id()),
        format!("pid {}", spared.id()),
        format!("forget {}", spared.id()),
        format!("folder {}", folder.display()),
    ];
    pipe.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    drop(pipe);
    assert!(watchdog.wait().unwrap().success());
    assert_eq!(orphan.wait().unwrap().signal(), Some(15));
    assert!(!folder.exists());
    assert!(spared.try_wait().unwrap().is_none());
    spared.kill().unwrap();
    spared.wait().unwrap();
}

fn may_break_glass(user: User) -> bool {
    // Not `kubectl auth can-i`: it looks the kind up, which is not installed here.
    let review = r#"{ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {
        "resourceAttributes": { "group": "landfast.dev", "resource": "driftpolicies", "verb": "break-glass", "name": "shop" } } }"#;
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = control_plane().kubectl_with_input(user, &["create", "--raw", path, "-f", "-"], review).succeeds();
    let answer: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    answer["status"]["allowed"].as_bool().unwrap()
}
