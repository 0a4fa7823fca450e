//! What is ignored, by rules and by annotations in Git, goes in whatever verb of kubectl brings it?

use serde_json::json;

use crate::fights;
use crate::gate::{Case, DEPLOYMENT, gate};
use crate::testbed::eventually;
use crate::testbed::user::User;

const ANNOTATED: &str = "metadata:\n  annotations:\n    landfast.dev/ignore: |\n      spec.replicas; moved by hand\n";

#[test]
fn an_ignored_field_goes_in_by_every_verb() {
    let case = Case::new("deny-ignoring");
    case.declare_and_create(DEPLOYMENT);
    case.kubectl(User::Alice, &["scale", "deployment", "web", "--replicas=5"]).succeeds();
    case.kubectl(User::Alice, &["patch", "deployment", "web", "-p", r#"{"spec":{"replicas":6}}"#]).succeeds();
    let seven = DEPLOYMENT.replace("replicas: 3", "replicas: 7");
    case.feed(User::Alice, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &seven).succeeds();
    assert_eq!(case.field("deployment/web", ".spec.replicas"), "7");
    case.kubectl(User::Alice, &["label", "deployment", "web", "app=api", "--overwrite"])
        .fails_with(&["metadata.labels.app", "in 1 field"]);
}

#[test]
fn a_rule_of_one_writer_is_nobody_elses() {
    let case = Case::new("deny-ignoring");
    case.declare_and_create(DEPLOYMENT);
    let image = ["set", "image", "deployment/web", "web=example.com/web:2"];
    case.kubectl(User::Alice, &image).fails_with(&["spec.template.spec.containers[name=web].image"]);
    case.kubectl(User::Bob, &image).succeeds();
}

#[test]
fn the_status_tells_which_rules_are_over_and_which_were_never_used() {
    let case = Case::new("deny-ignoring");
    let declared = DEPLOYMENT.replace("  replicas: 3\n", "  replicas: 3\n  minReadySeconds: 1\n");
    case.declare_and_create(&declared);
    case.kubectl(User::Alice, &["scale", "deployment", "web", "--replicas=5"]).succeeds();
    case.kubectl(User::Alice, &["patch", "deployment", "web", "-p", r#"{"spec":{"minReadySeconds":9}}"#])
        .fails_with(&["spec.minReadySeconds: 1 in Git, 9 in this write"]);
    let status = gate().landfast.status();
    let policy = status["policies"].as_array().unwrap().iter().find(|policy| policy["name"] == "ignoring").unwrap();
    let rule = |name: &str| policy["ignore"].as_array().unwrap().iter().find(|rule| rule["name"] == name).unwrap();
    assert!(rule("scaled")["used"].as_u64() > Some(0) && rule("scaled")["expired"] == false, "{policy:#}");
    assert!(rule("over")["used"] == 0 && rule("over")["expired"] == true, "{policy:#}");
    assert!(rule("never-used")["used"] == 0 && rule("never-used")["reason"] == "is not used", "{policy:#}");
}

#[test]
fn a_manifest_may_ignore_its_own_fields_and_the_live_object_may_not() {
    let case = Case::new("deny");
    case.declare_and_create(&DEPLOYMENT.replacen("metadata:\n", ANNOTATED, 1));
    case.kubectl(User::Alice, &["scale", "deployment", "web", "--replicas=5"]).succeeds();

    let other = Case::new("deny");
    other.declare_and_create(DEPLOYMENT);
    other
        .feed(
            User::Alice,
            &["apply", "--server-side", "--force-conflicts", "-f", "-"],
            &DEPLOYMENT.replacen("metadata:\n", ANNOTATED, 1).replace("replicas: 3", "replicas: 5"),
        )
        .fails_with(&["spec.replicas: 3 in Git, 5 in this write"]);
}

#[test]
fn an_ignore_annotation_that_cannot_be_read_is_a_fault_at_its_line() {
    let case = Case::new("deny");
    let wrong = DEPLOYMENT.replacen("metadata:\n", &ANNOTATED.replace("spec.replicas;", "spec..replicas;"), 1);
    case.declare_and_create(&wrong);
    let status = gate().landfast.status();
    let source = status["sources"].as_array().unwrap().iter().find(|source| source["name"] == "cases").unwrap();
    let place = format!(
        "{}/object.yaml:5: the annotation landfast.dev/ignore: `spec..replicas` is no field path",
        case.namespace
    );
    let faults: Vec<&str> = source["faults"].as_array().unwrap().iter().filter_map(|fault| fault.as_str()).collect();
    assert!(faults.iter().any(|fault| fault.starts_with(&place)), "{place}\n{faults:#?}");
    case.kubectl(User::Alice, &["scale", "deployment", "web", "--replicas=5"])
        .fails_with(&["3 in Git, 5 in this write"]);
    case.declare("object.yaml", DEPLOYMENT);
}

#[test]
fn a_rollout_may_be_undone_to_what_git_said_before() {
    let case = Case::new("deny-undo");
    case.declare_and_create(DEPLOYMENT);
    let second = DEPLOYMENT.replace("web:1", "web:2");
    case.declare("object.yaml", &second);
    case.feed(User::Alice, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &second).succeeds();
    let mixed = DEPLOYMENT.replace("replicas: 3", "replicas: 4");
    case.feed(User::Alice, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &mixed)
        .fails_with(&["differs from Git in 2 fields"]);
    eventually("two revisions to roll back between", || {
        let sets = case.kubectl(User::Alice, &["get", "replicasets", "-o", "name"]).succeeds().stdout;
        (sets.lines().count() == 2).then_some(())
    });
    case.kubectl(User::Alice, &["rollout", "undo", "deployment/web"]).succeeds();
    assert_eq!(case.field("deployment/web", ".spec.template.spec.containers[0].image"), "example.com/web:1");

    let other = Case::new("deny");
    other.declare_and_create(DEPLOYMENT);
    other.declare("object.yaml", &second);
    other.feed(User::Alice, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &second).succeeds();
    eventually("two revisions to roll back between", || {
        let sets = other.kubectl(User::Alice, &["get", "replicasets", "-o", "name"]).succeeds().stdout;
        (sets.lines().count() == 2).then_some(())
    });
    other.kubectl(User::Alice, &["rollout", "undo", "deployment/web"]).fails_with(&["differs from Git in 1 field"]);
}

/// The path of the one field that a denial names.
#[track_caller]
fn printed(denial: &str) -> &str {
    let line = denial.lines().find(|line| line.contains(" in Git, ")).unwrap();
    line.trim().split_once(": ").unwrap().0
}

/// Gives the policies a rule that ignores a field in the namespace of a case.
fn ignore(case: &fights::Case, field: &str) {
    let name = &*case.namespace;
    let rule = json!({ "name": "pasted", "kinds": ["Deployment.apps"], "fields": [field], "reason": "is pasted" });
    let policy = json!({ "apiVersion": "landfast.dev/v1alpha1", "kind": "DriftPolicy", "metadata": { "name": name },
        "spec": { "precedence": 5000, "match": { "namespaces": [name] }, "ignore": [rule] } });
    fights::SHOP.plane.kubectl_with_input(User::Admin, &["apply", "-f", "-"], &policy.to_string()).succeeds();
}

#[test]
fn the_path_that_a_denial_prints_may_be_pasted_into_a_rule() {
    let case = fights::Case::new("pasted");
    let declared = DEPLOYMENT.replacen("  labels:\n", "  labels:\n    example.com/team: shop\n", 1).replace(
        "          image: example.com/web:1\n",
        "          image: example.com/web:1\n          args: [run, --port=80]\n",
    ) + "      tolerations: [{ key: a, operator: Exists }, { key: b, operator: Exists }]\n";
    case.declare(0, &declared);
    case.feed(User::Alice, &["apply", "-f", "-"], &declared).succeeds();
    let write = |pointer: &str, value: &str| {
        let patch = json!([{ "op": "replace", "path": pointer, "value": value }]).to_string();
        case.kubectl(User::Alice, &["patch", "deployment", "web", "--type=json", "-p", &patch])
    };
    let container = "/spec/template/spec/containers/0";
    for pointer in [
        "/metadata/labels/example.com~1team",
        &format!("{container}/env/1/value"),
        &format!("{container}/args/1"),
        "/spec/template/spec/tolerations/0/key",
    ] {
        let denial = write(pointer, "other").fails_with(&["differs from Git in 1 field"]).stderr;
        ignore(&case, printed(&denial));
        eventually(printed(&denial), || (write(pointer, "other").code == 0).then_some(()));
    }
    // Inside a list that counts as one value, too: one of its items, and none of the others.
    ignore(&case, "spec.template.spec.containers[name=web].args[0]");
    let first = format!("{container}/args/0");
    eventually("the first to be ignored", || (write(&first, "serve").code == 0).then_some(()));
    write(&format!("{container}/args/1"), "--port=81").fails_with(&["containers[name=web].args"]);
}
