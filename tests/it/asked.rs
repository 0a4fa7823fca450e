//! What does Landfast make of its objects in the cluster, and of a configuration that changes while it runs? With the real binary
//! and real kubectl, on control planes of their own.

use std::process::Command;
use std::sync::Arc;

use landfast::cluster::configuration::Watching;
use landfast::config::held::{FileSources, together};
use landfast::config::{self, Settings};
use serde_json::{Value, json};

use crate::definitions::install;
use crate::gate::{DEPLOYMENT, source};
use crate::testbed::control_plane::ControlPlane;
use crate::testbed::landfast::Landfast;
use crate::testbed::repository::Repository;
use crate::testbed::user::User;
use crate::testbed::{block_on, eventually};

const POLICY: &str = "apiVersion: landfast.dev/v1alpha1\nkind: DriftPolicy\nmetadata: { name: deny }\nspec:\n  \
                      mode: Enforce\n  rulings: { drift: Deny, delete: Warn }\n  failurePolicy: Fail\n";

fn plane() -> ControlPlane {
    let plane = ControlPlane::start();
    plane.kubectl(User::Admin, &["create", "namespace", "shop"]).succeeds();
    plane.kubectl_with_input(User::Admin, &["create", "-f", "-"], &web()).succeeds();
    plane
}

fn web() -> String {
    DEPLOYMENT.replace("$NAMESPACE", "shop")
}

fn repository() -> Repository {
    let repository = Repository::new();
    repository.commit(&[("web.yaml", &web())], "Declare");
    repository
}

/// Whether somebody who scales would be denied, without an effect if not.
fn denied(plane: &ControlPlane) -> bool {
    let scale = ["-n", "shop", "scale", "deployment", "web", "--replicas=9", "--dry-run=server"];
    plane.kubectl(User::Alice, &scale).code != 0
}

fn apply(plane: &ControlPlane, text: &str) {
    plane.kubectl_with_input(User::Admin, &["apply", "-f", "-"], text).succeeds();
}

fn patch(plane: &ControlPlane, object: &str, patch: &Value) {
    plane.kubectl(User::Admin, &["patch", object, "--type=merge", "-p", &patch.to_string()]).succeeds();
}

/// The answer of that type in an object's status, as status and message.
fn condition(plane: &ControlPlane, object: &str, kind: &str) -> Option<(String, String)> {
    let object = plane.kubectl(User::Admin, &["get", object, "-o", "json"]).succeeds().stdout;
    let object: Value = serde_json::from_str(&object).unwrap();
    let found = object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)?.clone();
    if found["observedGeneration"] != object["metadata"]["generation"] {
        return None;
    }
    Some((found["status"].as_str()?.to_owned(), found["message"].as_str()?.to_owned()))
}

fn await_condition(plane: &ControlPlane, landfast: &Landfast, object: &str, kind: &str, parts: &[&str]) {
    let what = format!("{kind} of {object} to be {parts:?}");
    landfast.eventually(&what, || {
        let (status, message) = condition(plane, object, kind)?;
        (status == parts[0] && parts[1..].iter().all(|part| message.contains(part))).then_some(())
    });
}

#[test]
fn the_api_server_and_a_file_give_the_same_configuration() {
    let plane = ControlPlane::start();
    install(&plane);
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/example.yaml")).unwrap();
    let plain = "apiVersion: landfast.dev/v1alpha1\nkind: GitSource\nmetadata: { name: plain }\nspec:\n  url: file:///srv/x\n  \
                 ref: { tag: v1 }\n  scope: { namespaces: [\"shop-*\"], clusterScoped: true }\n";
    let text = format!("{text}---\n{plain}---\n{POLICY}");
    apply(&plane, &text);
    let held = block_on(async {
        let (watching, mut seen) = Watching::new(plane.client(User::Landfast).await);
        let all = async { seen.wait_for(|seen| seen.answered && seen.held.len() == 5).await.unwrap().held.clone() };
        tokio::select! {
            () = watching.run(std::future::pending()) => unreachable!("it runs for ever"),
            held = all => held,
        }
    });
    assert!(held.iter().all(|held| held.manager.as_deref() == Some("kubectl-client-side-apply")), "{held:?}");
    let from_cluster = together(&[], &held, &[], FileSources::Allowed).unwrap();
    assert_eq!(from_cluster.told.iter().flat_map(|told| told.faults.clone()).collect::<Vec<_>>(), Vec::<String>::new());
    let from_file = config::parse(&[("example.yaml".to_owned(), text)]).unwrap();
    assert_eq!(ageless(from_cluster.settings), ageless(from_file));
}

/// All that is in force, without ages and places.
fn ageless(mut settings: Settings) -> String {
    settings.sources.iter_mut().for_each(|source| source.created = None);
    let mut notices: Vec<_> = settings.notices.drain(..).map(|notice| notice.fault.what).collect();
    notices.sort();
    let policy = Arc::unwrap_or_clone(settings.policy);
    format!("{:#?}\n{:#?}\n{:#?}\n{notices:#?}", settings.sources, settings.idle, policy.rules)
}

#[test]
fn objects_in_the_cluster_rule_and_tell_how_they_fare() {
    let (plane, repository) = (plane(), repository());
    let mut landfast = Landfast::in_cluster(&plane);
    landfast
        .eventually("word of the missing kinds", || landfast.log().contains("does not know this kind").then_some(()));
    install(&plane);
    let git = source("shop", &repository, "1s", "[shop]");
    apply(&plane, &format!("{git}---\n{POLICY}"));
    landfast.eventually("drift to be denied", || denied(&plane).then_some(()));
    await_condition(&plane, &landfast, "gitsource/shop", "Ready", &["True", &repository.head()[..7]]);
    await_condition(&plane, &landfast, "driftpolicy/deny", "Accepted", &["True"]);
    await_condition(&plane, &landfast, "driftpolicy/deny", "Conflicted", &["False"]);
    await_condition(&plane, &landfast, "driftpolicy/deny", "SafeToEnforce", &["True"]);
    let listed = plane.kubectl(User::Admin, &["get", "gitsource", "shop"]).succeeds().stdout;
    assert!(listed.contains(&repository.head()) && listed.contains("True"), "{listed}");

    // A fault in Git is told with file and line.
    repository
        .commit(&[("bad.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: x, namespace: bank }\n")], "Stray");
    landfast.eventually("the fault of a file", || {
        let path = "jsonpath={.status.faults[0].file}:{.status.faults[0].line}";
        let told = plane.kubectl(User::Admin, &["get", "gitsource", "shop", "-o", path]).succeeds().stdout;
        told.starts_with("bad.yaml:").then_some(())
    });

    explained_by_the_cluster(&plane);

    // A second policy of the same precedence, younger.
    apply(
        &plane,
        &POLICY.replace("deny", "another").replace("Enforce", "Observe").replace("  failurePolicy: Fail\n", ""),
    );
    await_condition(&plane, &landfast, "driftpolicy/another", "Conflicted", &["True", "overlaps deny"]);
    assert!(denied(&plane), "the older governs");

    // A policy change takes effect, and is on the record with whoever made it.
    patch(&plane, "driftpolicy/deny", &json!({ "spec": { "mode": "Observe", "failurePolicy": "Ignore" } }));
    landfast.eventually("the change to be in force", || (!denied(&plane)).then_some(()));
    let changed = |line: &Value| {
        line["message"] == "Reconfigured"
            && line.to_string().contains(
                r#""change":"Changed","generation":2,"kind":"DriftPolicy","manager":"kubectl-patch","name":"deny""#,
            )
    };
    landfast.eventually("the record of it", || (!landfast.records(changed).is_empty()).then_some(()));
    let journal = std::fs::read_to_string(landfast.state().join("records.v1.jsonl")).unwrap();
    assert!(
        journal.lines().any(|line| line.contains(r#""change":"Changed""#) && line.contains("kubectl-patch")),
        "{journal}"
    );
    what_it_would_deny_a_deployer_is_in_the_way(&plane, &landfast);
    patch(&plane, "driftpolicy/deny", &json!({ "spec": { "mode": "Enforce", "failurePolicy": "Fail" } }));
    landfast.eventually("drift to be denied again", || denied(&plane).then_some(()));

    a_faulty_object_leaves_its_last_good_version(&plane, &mut landfast);

    plane.kubectl(User::Admin, &["delete", "gitsource", "shop"]).succeeds();
    landfast.eventually("what it declared to be released", || (!denied(&plane)).then_some(()));
    plane.assert_match_conditions_hold();
}

/// What the cluster holds explains an object as files do, and whose a Pod is.
fn explained_by_the_cluster(plane: &ControlPlane) {
    let kubeconfig = plane.kubeconfig(User::Admin);
    let explain = |arguments: &[&str]| {
        let explain = ["explain", "--kubeconfig", kubeconfig.to_str().unwrap()];
        let output = Command::new(env!("CARGO_BIN_EXE_landfast")).args(explain).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let told = explain(&["Deployment.apps", "shop/web", "spec.replicas"]);
    for part in [
        "declared by web.yaml:1 of GitSource shop",
        "a change is ruled Deny, by deny, mode Enforce",
        "1000 deny governs",
    ] {
        assert!(told.contains(part), "{part} in\n{told}");
    }
    let pod = eventually("a Pod", || {
        let pods = plane.kubectl(User::Admin, &["-n", "shop", "get", "pods", "-o", "name"]).succeeds().stdout;
        Some(pods.lines().next()?.trim_start_matches("pod/").to_owned())
    });
    let told = explain(&["Pod", &format!("shop/{pod}")]);
    for part in [
        "not declared in Git\n  made by Deployment.apps shop/web, which Git declares\n",
        "who reaches into it or edits it is ruled Allow, by deny, mode Enforce",
    ] {
        assert!(told.contains(part), "{part} in\n{told}");
    }
}

fn what_it_would_deny_a_deployer_is_in_the_way(plane: &ControlPlane, landfast: &Landfast) {
    let ci = json!([{ "name": "ci", "role": "Deployer", "subjects": [{ "kind": "User", "name": "ci" }] }]);
    patch(plane, "driftpolicy/deny", &json!({ "spec": { "writers": ci } }));
    let scale = |replicas: &str| {
        let scale = ["-n", "shop", "scale", "deployment", "web", replicas];
        plane.kubectl(User::Ci, &scale).succeeds();
    };
    landfast.eventually("a deployer that would be denied", || {
        scale("--replicas=7");
        let role = |line: &Value| line["user"] == "ci" && line["role"] == "Deployer";
        (!landfast.records(role).is_empty()).then_some(())
    });
    scale("--replicas=3");
    let told = ["False", "ci would be denied: update of Deployment shop/web at spec.replicas, last recorded "];
    await_condition(plane, landfast, "driftpolicy/deny", "SafeToEnforce", &told);
    let listed = plane.kubectl(User::Admin, &["get", "driftpolicy", "deny"]).succeeds().stdout;
    assert!(listed.contains("SAFETOENFORCE"), "{listed}");
}

fn a_faulty_object_leaves_its_last_good_version(plane: &ControlPlane, landfast: &mut Landfast) {
    // Only kinds that check less let a fault in, as those of an older release would.
    let open = json!([{ "op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema",
                        "value": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } }]);
    let definition = "crd/driftpolicies.landfast.dev";
    plane.kubectl(User::Admin, &["patch", definition, "--type=json", "-p", &open.to_string()]).succeeds();
    let faulty = json!({ "spec": { "mode": "Enforce", "rulings": { "drift": "deny" }, "precedence": -1 } });
    eventually("the API server to check less", || {
        let args = ["patch", "driftpolicy/deny", "--type=merge", "-p", &faulty.to_string()];
        (plane.kubectl(User::Admin, &args).code == 0).then_some(())
    });
    let told =
        ["False", "`spec.rulings.drift` is `deny`", "`spec.precedence` is -1", "the last good one, stays in force"];
    await_condition(plane, landfast, "driftpolicy/deny", "Accepted", &told);
    assert!(denied(plane), "its last good version denies");
    assert!(
        landfast.status()["configuration"]["objects"]["DriftPolicy deny"].is_array(),
        "{}",
        landfast.status()["configuration"]
    );
    assert!(landfast.end().success());
    landfast.resume();
    landfast.eventually("its last good version to deny after a restart", || denied(plane).then_some(()));
    await_condition(plane, landfast, "driftpolicy/deny", "Accepted", &told);
}

#[test]
fn a_changed_file_is_in_force_without_a_restart() {
    let (plane, repository) = (plane(), repository());
    let git = source("shop", &repository, "1h", "[shop]");
    let landfast = Landfast::start(&plane, &format!("{git}{POLICY}"));
    landfast.eventually("drift to be denied", || denied(&plane).then_some(()));
    landfast.configure(&format!("{git}{}", POLICY.replace("Enforce", "Observe").replace("Fail", "Ignore")));
    landfast.eventually("the change to be in force", || (!denied(&plane)).then_some(()));
    landfast.configure(&format!("{git}{POLICY}"));
    landfast.eventually("drift to be denied again", || denied(&plane).then_some(()));

    landfast.configure(&format!("{git}{}", POLICY.replace("mode: Enforce", "mode: Off")));
    landfast.eventually("the fault to be shown", || {
        let faults = landfast.status()["configuration"]["faults"].clone();
        faults[0].as_str()?.contains("config.yaml:14: `spec.mode` is a boolean").then_some(())
    });
    assert!(landfast.log().contains("the last good one stays in force"));
    assert!(denied(&plane), "the last good configuration is in force");

    // A change while somebody's change of the webhooks stands down does not bring them back.
    landfast.configure(&format!("{git}{POLICY}"));
    let webhooks = "validatingwebhookconfiguration/landfast";
    plane.kubectl(User::Admin, &["delete", webhooks]).succeeds();
    landfast.eventually("the stand-down", || (landfast.status()["webhooks"]["state"] == "standing down").then_some(()));
    landfast.configure(&format!("{git}{}", POLICY.replace("delete: Warn", "delete: Deny")));
    landfast.eventually("the change to be in force", || {
        (landfast.status()["policies"][0]["delete"] == "Deny").then_some(())
    });
    plane.kubectl(User::Admin, &["get", webhooks]).fails_with(&["not found"]);
    assert_eq!(landfast.status()["webhooks"]["state"], "standing down");

    // A file that lost its text is a mistake.
    landfast.configure("# nothing\n");
    landfast.eventually("the fault to be shown", || {
        let faults = landfast.status()["configuration"]["faults"].clone();
        faults[0].as_str()?.contains("config.yaml: holds no object").then_some(())
    });
    assert_eq!(landfast.status()["policies"][0]["name"], "deny", "the last good configuration is in force");

    landfast.configure(POLICY);
    landfast.eventually("the source to be gone", || {
        landfast.status()["sources"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
}

#[test]
fn a_repository_on_our_own_disk_is_named_by_files_only() {
    let (plane, repository) = (plane(), repository());
    install(&plane);
    let landfast = Landfast::start(&plane, &source("files", &repository, "1h", "[shop]"));
    apply(&plane, &source("objects", &repository, "1h", "[shop]"));
    let told =
        ["False", "`spec.url` is a file on Landfast's own disk", "--allow-file-sources", "nothing of it is in force"];
    await_condition(&plane, &landfast, "gitsource/objects", "Ready", &told);
    let sources = landfast.status()["sources"].clone();
    assert_eq!((sources.as_array().map(Vec::len), &sources[0]["name"]), (Some(1), &json!("files")), "{sources}");
}
