//! What becomes of drift under the ruling Revert? Real kubectl, and who owns what afterwards.

use std::path::Path;

use serde_json::{Value, json};

use crate::gate::{Case, DEPLOYMENT, gate};
use crate::support::golden;
use crate::testbed::eventually;
use crate::testbed::kubectl::Output;
use crate::testbed::user::User;

const FORCED: &[&str] = &["apply", "--server-side", "--force-conflicts", "-f", "-"];

/// What a deployer's apply is: forced, by a manager of its own.
const DEPLOYED: &[&str] =
    &["apply", "--server-side", "--force-conflicts", "--field-manager=argocd-controller", "-f", "-"];

/// A container that has one of everything that goes back as a whole.
const RICH: &str = r"apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: $NAMESPACE, labels: { app: web, tier: front } }
spec:
  replicas: 3
  strategy: { type: RollingUpdate, rollingUpdate: { maxSurge: 1 } }
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      nodeSelector: { disk: ssd }
      volumes: [{ name: scratch, emptyDir: {} }]
      containers:
        - name: web
          image: example.com/web:1
          args: [run, --fast]
          env: [{ name: FIRST, value: one }, { name: SECOND, value: two }]
          livenessProbe: { httpGet: { path: /live, port: 8080 } }
";

/// A namespace of this policy with this object declared and deployed, and the API server asking about changes to it.
pub(crate) fn deployed(policy: &str, template: &str) -> Case {
    let case = Case::new(policy);
    case.declare("object.yaml", template);
    case.feed(User::ArgoCd, DEPLOYED, template).succeeds();
    eventually("the mutating webhook to be asked", || {
        let probe = ["label", "--overwrite", "deployment", "web", "app=probe", "--dry-run=server"];
        let answer = case.kubectl(User::Alice, &probe);
        (answer.code == 0 && answer.stderr.contains("metadata.labels.app")).then_some(())
    });
    case
}

/// The live object without what the server notes of each write.
pub(crate) fn live(case: &Case, object: &str) -> Value {
    let json = case.kubectl(User::Admin, &["get", object, "-o", "json", "--show-managed-fields"]).succeeds().stdout;
    serde_json::from_str(&json).unwrap()
}

/// Who owns what, without the control plane's own notes on `status`.
fn owners(case: &Case) -> Vec<Value> {
    let entries = live(case, "deployment/web")["metadata"]["managedFields"].take();
    entries.as_array().unwrap().iter().filter(|entry| entry["subresource"] != "status").cloned().collect()
}

fn patched(case: &Case, user: User, patch: &Value) -> Output {
    case.kubectl(user, &["patch", "deployment", "web", "--type=json", "-p", &patch.to_string()])
}

/// What a client prints, without what differs from run to run.
pub(crate) fn told(case: &Case, output: &Output) -> String {
    let text = format!("$ {}\n{}{}", output.command, output.stdout, output.stderr);
    let text = text.replace(&case.namespace, "NAMESPACE");
    text.lines().map(|line| line.split(" at ").next().unwrap().to_owned() + "\n").collect()
}

/// Each client writes five replicas where Git says three, and an annotation that Git does not declare.
pub(crate) fn every_client(case: &Case) -> String {
    let drifting = DEPLOYMENT.replace("replicas: 3", "replicas: 5");
    let five = r#"{"spec":{"replicas":5}}"#;
    let json = r#"[{"op":"replace","path":"/spec/replicas","value":5}]"#;
    let clients: [(&[&str], &str); 8] = [
        (&["apply", "-f", "-"], &drifting),
        (FORCED, &drifting),
        (&["replace", "-f", "-"], &drifting),
        (&["patch", "deployment", "web", "-p", five], ""),
        (&["patch", "deployment", "web", "--type=merge", "-p", five], ""),
        (&["patch", "deployment", "web", "--type=json", "-p", json], ""),
        (&["scale", "deployment", "web", "--replicas=5"], ""),
        (&["set", "image", "deployment/web", "web=example.com/web:2"], ""),
    ];
    // It writes what it has read: the control plane may have written in between.
    let edit = eventually("an edit that meets no other write", || {
        let read = case.kubectl(User::Alice, &["get", "deployment", "web", "-o", "yaml"]).succeeds().stdout;
        let edited =
            case.feed(User::Alice, &["edit", "deployment", "web"], &read.replace("replicas: 3", "replicas: 5"));
        (edited.code == 0).then_some(edited)
    });
    let mut all = told(case, &edit) + "\n";
    case.feed(User::ArgoCd, DEPLOYED, DEPLOYMENT).succeeds();
    for (client, input) in clients {
        all += &told(case, &case.feed(User::Alice, client, input).succeeds());
        all.push('\n');
        case.feed(User::ArgoCd, DEPLOYED, DEPLOYMENT).succeeds();
    }
    all
}

#[test]
fn each_client_is_told_what_was_put_back() {
    let case = deployed("revert", DEPLOYMENT);
    golden(Path::new("tests/cases/clients/revert.txt"), &every_client(&case));
    assert_eq!(case.field("deployment/web", ".spec.replicas"), "3");
    assert_eq!(case.field("deployment/web", ".spec.template.spec.containers[*].image"), "example.com/web:1");
}

#[test]
fn whoever_was_put_back_owns_nothing_of_it() {
    let case = deployed("revert", DEPLOYMENT);
    let before = owners(&case);
    let drifting = DEPLOYMENT.replace("replicas: 3", "replicas: 5").replace("web:1", "web:2");
    let again = drifting.replace("labels:\n    app: web\nspec", "labels:\n    app: web\n    own: hers\nspec");
    case.feed(User::Alice, FORCED, &drifting).succeeds();
    assert_eq!(owners(&case), before, "nothing was left of that apply");
    case.kubectl(User::Alice, &["scale", "deployment", "web", "--replicas=5"]).succeeds();
    assert_eq!(owners(&case), before, "nor of that scale");
    // Something is left of this one.
    case.feed(User::Alice, FORCED, &again).succeeds();
    let after = owners(&case);
    let hers = after.iter().find(|entry| entry["manager"] == "kubectl").unwrap();
    assert_eq!(hers["fieldsV1"].pointer("/f:metadata/f:labels/f:own"), Some(&json!({})));
    assert_eq!(hers["fieldsV1"].pointer("/f:spec/f:replicas"), None);
    assert_eq!(hers["fieldsV1"].pointer("/f:spec/f:template/f:spec/f:containers"), None, "{hers:#}");
    assert!(after.contains(&before[0]), "the deployer owns what it owned");
    // What Git drops goes with the deployer's next apply: nobody else holds it.
    let dropped = DEPLOYMENT.replace("  replicas: 3\n", "");
    case.declare("object.yaml", &dropped);
    case.feed(User::ArgoCd, DEPLOYED, &dropped).succeeds();
    assert_eq!(case.field("deployment/web", ".spec.replicas"), "1", "the server's default");
}

/// What may drift in [`RICH`], each with the path that names it and a patch that does it.
fn drifts() -> Vec<(&'static str, Vec<Value>)> {
    let container = "/spec/template/spec/containers/0";
    let put = |op: &str, at: &str, value: Value| json!({ "op": op, "path": at, "value": value });
    let from = json!({ "fieldRef": { "fieldPath": "metadata.name" } });
    let env = |items: Value| put("replace", &format!("{container}/env"), items);
    vec![
        ("spec.strategy.type", vec![put("replace", "/spec/strategy", json!({ "type": "Recreate" }))]),
        (
            "env[name=FIRST].value",
            vec![put("replace", &format!("{container}/env/0"), json!({ "name": "FIRST", "valueFrom": from }))],
        ),
        (
            "volumes[name=scratch].emptyDir",
            vec![put(
                "replace",
                "/spec/template/spec/volumes/0",
                json!({ "name": "scratch", "hostPath": { "path": "/tmp" } }),
            )],
        ),
        (
            "livenessProbe.httpGet",
            vec![put("replace", &format!("{container}/livenessProbe"), json!({ "exec": { "command": ["true"] } }))],
        ),
        ("env[name=SECOND]", vec![env(json!([{ "name": "FIRST", "value": "one" }]))]),
        ("env", vec![env(json!([{ "name": "SECOND", "value": "two" }, { "name": "FIRST", "value": "one" }]))]),
        (
            "env[name=FIRST]",
            vec![env(
                json!([{ "name": "FIRST", "value": "x" }, { "name": "FIRST", "value": "one" }, { "name": "SECOND", "value": "two" }]),
            )],
        ),
        ("args", vec![put("replace", &format!("{container}/args"), json!(["run"]))]),
        (
            "containers[name=web]",
            vec![put(
                "replace",
                "/spec/template/spec/containers",
                json!([{ "name": "other", "image": "example.com/other:1" }]),
            )],
        ),
        ("metadata.labels.tier", vec![json!({ "op": "remove", "path": "/metadata/labels/tier" })]),
        ("nodeSelector", vec![put("replace", "/spec/template/spec/nodeSelector", json!({ "disk": "hdd" }))]),
        (
            "spec.strategy.rollingUpdate.maxSurge",
            vec![
                put("replace", "/spec/strategy/rollingUpdate/maxSurge", json!(0)),
                put("replace", "/spec/replicas", json!(1)),
            ],
        ),
    ]
}

#[test]
fn unions_items_lists_and_maps_go_back_as_a_whole() {
    let case = deployed("revert", RICH);
    let spec = |case: &Case| {
        let object = live(case, "deployment/web");
        json!([object["spec"], object["metadata"]["labels"]])
    };
    let before = spec(&case);
    for (field, patch) in drifts() {
        // Some of it is drift only beside the server form, which is learnt anew while other tests bring webhooks and take them away.
        let answer = eventually("the drift to be put back", || {
            let answer = patched(&case, User::Alice, &json!(patch)).succeeds();
            if answer.stderr.contains("is put back") {
                return Some(answer);
            }
            case.feed(User::ArgoCd, &["replace", "-f", "-"], RICH).succeeds();
            None
        });
        assert!(answer.stderr.contains(field), "{field}: {answer:#?}");
        let mut after = spec(&case);
        if field == "containers[name=web]" {
            // What Git does not declare is nobody's here.
            let containers = after[0]["template"]["spec"]["containers"].as_array_mut().unwrap();
            containers.retain(|container| container["name"] != "other");
        }
        assert_eq!(after, before, "{field}");
        let clean = json!([{ "op": "test", "path": "/metadata/name", "value": "web" }]);
        assert_eq!(patched(&case, User::Alice, &clean).succeeds().stderr, "", "nothing is left of {field}");
        case.feed(User::ArgoCd, &["replace", "-f", "-"], RICH).succeeds();
    }
}

#[test]
fn what_had_drifted_before_gets_the_value_of_git() {
    let case = deployed("revert", DEPLOYMENT);
    case.declare(
        "object.yaml",
        &DEPLOYMENT.replace("replicas: 3", "replicas: 4").replace("value: one", "value: first"),
    );
    let answer = case.kubectl(User::Alice, &["scale", "deployment", "web", "--replicas=5"]).succeeds();
    assert!(answer.stderr.contains("spec.replicas: 4 in Git, 5 in this write"), "{answer:#?}");
    assert_eq!(case.field("deployment/web", ".spec.replicas"), "4");
    let other = json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/env/0/value", "value": "x" }]);
    patched(&case, User::Alice, &other).succeeds();
    assert_eq!(case.field("deployment/web", ".spec.template.spec.containers[0].env[0].value"), "first");
}

#[test]
fn a_new_object_gets_the_values_of_git() {
    let case = deployed("revert", DEPLOYMENT);
    case.kubectl(User::ArgoCd, &["delete", "deployment", "web"]);
    case.feed(User::Alice, &["delete", "-f", "-"], DEPLOYMENT).fails_with(&["may not be deleted"]);
    case.declare(
        "map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: own, namespace: $NAMESPACE }\ndata: { a: one, b: two }\n",
    );
    let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: own, namespace: $NAMESPACE }\ndata: { a: other, c: three }\n";
    eventually("the new kind to be asked about", || {
        let answer = case.feed(User::Alice, &["create", "--dry-run=server", "-f", "-"], other);
        (answer.code == 0 && answer.stderr.contains("data.a")).then_some(())
    });
    let answer = case.feed(User::Alice, &["create", "-f", "-"], other).succeeds();
    assert!(answer.stderr.contains("data.a: \"one\" in Git, \"other\" in this write"), "{answer:#?}");
    assert_eq!(live(&case, "configmap/own")["data"], json!({ "a": "one", "b": "two", "c": "three" }));
}

#[test]
fn only_people_are_put_back() {
    let case = deployed("revert", DEPLOYMENT);
    for user in [User::Operator, User::ArgoCd] {
        let five = json!([{ "op": "replace", "path": "/spec/replicas", "value": 5 }]);
        patched(&case, user, &five).fails_with(&["differs from Git in 1 field", "spec.replicas: 3 in Git"]);
    }
    case.kubectl(User::Alice, &["delete", "deployment", "web"]).fails_with(&["is declared in Git"]);
}

#[test]
fn a_revert_is_on_the_record_once_and_a_rehearsal_is_not() {
    let case = deployed("revert", DEPLOYMENT);
    let lines = |case: &Case| {
        gate().landfast.records(|line| line.to_string().contains(&case.namespace) && line["ruling"].is_string())
    };
    let scale = |more: &[&str]| {
        let scale = ["scale", "deployment", "web", "--replicas=5"];
        case.kubectl(User::Alice, &[&scale, more].concat()).succeeds().stderr
    };
    let rehearsed = scale(&["--dry-run=server"]);
    assert_eq!(scale(&[]), rehearsed);
    eventually("the event of the revert", || case.events("web", "DriftReverted").pop());
    scale(&[]);
    let records = eventually("the record", || Some(lines(&case)).filter(|lines| !lines.is_empty()));
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!((&records[0]["ruling"], &records[0]["enforced"]), (&json!("Revert"), &json!(true)));
    let count = gate().landfast.metric("landfast_decisions_total", &["ruling=\"Revert\"", "enforced=\"true\""]);
    assert!(count >= 2.0, "{count}");
}
