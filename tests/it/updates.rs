//! What becomes of creates and updates, whatever verb of kubectl they come by?

use crate::gate::{Case, DEPLOYMENT, gate};
use crate::testbed::user::User;

const TWICE: &str = "spec.replicas: 3 in Git, 5 in this write";

#[test]
fn a_create_goes_in_as_git_declares_it_and_not_otherwise() {
    let case = Case::new("deny");
    case.declare("web.yaml", DEPLOYMENT);
    let drifting = DEPLOYMENT.replace("replicas: 3", "replicas: 5");
    case.feed(User::Alice, &["create", "-f", "-"], &drifting)
        .fails_with(&[&format!("Deployment {}/web differs from Git in 1 field", case.namespace), TWICE]);
    case.feed(User::Alice, &["create", "-f", "-"], DEPLOYMENT).succeeds();
}

#[test]
fn an_object_that_git_does_not_declare_is_nobodys_business() {
    let case = Case::new("deny");
    case.kubectl(User::Alice, &["create", "configmap", "own", "--from-literal=k=v"]).succeeds();
    case.kubectl(User::Alice, &["patch", "configmap", "own", "-p", r#"{"data":{"k":"w"}}"#]).succeeds();
    case.kubectl(User::Alice, &["delete", "configmap", "own"]).succeeds();
}

#[test]
fn every_verb_of_an_update_gets_the_same_denial() {
    let case = Case::new("deny");
    case.declare_and_create(DEPLOYMENT);
    let five = r#"{"spec":{"replicas":5}}"#;
    let json = r#"[{"op":"replace","path":"/spec/replicas","value":5}]"#;
    for verb in [
        &["patch", "deployment", "web", "-p", five][..],
        &["patch", "deployment", "web", "--type=merge", "-p", five],
        &["patch", "deployment", "web", "--type=json", "-p", json],
    ] {
        case.kubectl(User::Alice, verb).fails_with(&["differs from Git in 1 field", TWICE]);
    }
    let drifting = DEPLOYMENT.replace("replicas: 3", "replicas: 5");
    for verb in [
        &["apply", "-f", "-"][..],
        &["apply", "--server-side", "--force-conflicts", "-f", "-"],
        &["apply", "--server-side", "--force-conflicts", "--field-manager=landfast", "-f", "-"],
        &["replace", "-f", "-"],
    ] {
        case.feed(User::Bob, verb, &drifting).fails_with(&["differs from Git in 1 field", TWICE]);
    }
    case.kubectl(User::Alice, &["set", "image", "deployment/web", "web=example.com/web:2"]).fails_with(&[
        "spec.template.spec.containers[name=web].image: \"example.com/web:1\" in Git, \"example.com/web:2\" in this write",
        "object.yaml:20",
    ]);
    assert_eq!(case.field("deployment/web", ".spec.replicas"), "3");
}

#[test]
fn what_goes_with_its_map_or_list_is_named_at_its_own_line() {
    let case = Case::new("deny");
    let held = DEPLOYMENT.replacen("metadata:\n", "metadata:\n  finalizers:\n    - example.com/held\n", 1);
    case.declare_and_create(&held);
    // The API server leaves an empty map or list out.
    case.kubectl(User::Alice, &["label", "deployment", "web", "app-"])
        .fails_with(&["\n  metadata.labels.app: \"web\" in Git, not in this write\n", "object.yaml:9 at"]);
    let released = r#"{"metadata":{"finalizers":null}}"#;
    case.kubectl(User::Alice, &["patch", "deployment", "web", "--type=merge", "-p", released])
        .fails_with(&["\n  metadata.finalizers[=\"example.com/held\"]: ", "object.yaml:5 at"]);
}

#[test]
fn what_was_lost_may_come_back_piece_by_piece() {
    let case = Case::new("deny");
    let bare = DEPLOYMENT.replace("  labels:\n    app: web\nspec:", "spec:");
    assert_ne!(bare, DEPLOYMENT);
    case.feed(User::Alice, &["create", "-f", "-"], &bare).succeeds();
    case.declare("web.yaml", &DEPLOYMENT.replace("    app: web\nspec:", "    app: web\n    team: blue\nspec:"));
    let half = case.kubectl(User::Alice, &["label", "deployment", "web", "app=web"]).succeeds();
    assert!(half.stderr.contains("metadata.labels.team: \"blue\" in Git"), "{half:#?}");
    case.kubectl(User::Alice, &["label", "deployment", "web", "team=red"]).fails_with(&["metadata.labels.team"]);
    assert_eq!(case.kubectl(User::Alice, &["label", "deployment", "web", "team=blue"]).succeeds().stderr, "");
}

#[test]
fn kubectl_shows_the_whole_denial() {
    let case = Case::new("deny");
    let commit = case.declare("owned.yaml", DEPLOYMENT);
    case.feed(User::Alice, &["create", "-f", "-"], DEPLOYMENT).succeeds();
    let answer = case.kubectl(User::Alice, &["scale", "deployment", "web", "--replicas=5"]).fails_with(&[]);
    let (before, after) = answer.stderr.split_once("(Ann Author, ").unwrap();
    let (date, after) = after.split_at("2026-11-22".len());
    assert!(date.split('-').all(|part| part.parse::<u16>().is_ok()), "{answer:#?}");
    let expected = format!(
        "Error from server (Forbidden): admission webhook \"observe.landfast.dev\" denied the request: \
         Deployment {namespace}/web differs from Git in 1 field\n  \
         spec.replicas: 3 in Git, 5 in this write\n  \
         declared by {namespace}/owned.yaml:9 at {} (Ann Author, DATE), owned by @shop/backend, @shop/oncall\n\
         hint: change that file\n",
        &commit[..7],
        namespace = case.namespace,
    );
    assert_eq!(format!("{before}(Ann Author, DATE{after}"), expected);
}

#[test]
fn what_git_says_may_be_applied_by_anybody_at_any_time() {
    let case = Case::new("deny");
    case.declare("web.yaml", DEPLOYMENT);
    for user in [User::Alice, User::Bob, User::ArgoCd, User::Operator] {
        case.feed(user, &["apply", "-f", "-"], DEPLOYMENT).succeeds();
        case.feed(user, &["apply", "--server-side", "--force-conflicts", "-f", "-"], DEPLOYMENT).succeeds();
    }
}

#[test]
fn an_administrator_is_held_like_everybody() {
    let case = Case::new("deny");
    case.declare_and_create(DEPLOYMENT);
    case.kubectl(User::Admin, &["patch", "deployment", "web", "-p", r#"{"spec":{"replicas":5}}"#]).fails_with(&[TWICE]);
}

#[test]
fn several_drifted_fields_are_named_together() {
    let case = Case::new("deny");
    case.declare_and_create(DEPLOYMENT);
    let drifting =
        DEPLOYMENT.replace("replicas: 3", "replicas: 5").replace("web:1", "web:2").replace("value: one", "value: 1st");
    case.feed(User::Alice, &["apply", "-f", "-"], &drifting).fails_with(&[
        "differs from Git in 3 fields",
        TWICE,
        "spec.template.spec.containers[name=web].image",
        "spec.template.spec.containers[name=web].env[name=FIRST].value",
    ]);
}

#[test]
fn declared_items_in_another_order_are_drift() {
    let case = Case::new("deny");
    case.declare_and_create(DEPLOYMENT);
    let swapped = r#"[{"op":"replace","path":"/spec/template/spec/containers/0/env","value":[
        {"name":"SECOND","value":"two"},{"name":"FIRST","value":"one"}]}]"#;
    case.kubectl(User::Alice, &["patch", "deployment", "web", "--type=json", "-p", swapped])
        .fails_with(&["spec.template.spec.containers[name=web].env"]);
    let between = swapped.replace(
        "[\n        {\"name\":\"SECOND\",\"value\":\"two\"},{\"name\":\"FIRST\",\"value\":\"one\"}]",
        r#"[{"name":"FIRST","value":"one"},{"name":"EXTRA","value":"x"},{"name":"SECOND","value":"two"}]"#,
    );
    assert_ne!(between, swapped);
    case.kubectl(User::Alice, &["patch", "deployment", "web", "--type=json", "-p", &between]).succeeds();
}

#[test]
fn fields_that_git_does_not_declare_go_in() {
    let case = Case::new("deny");
    case.declare_and_create(DEPLOYMENT);
    case.kubectl(User::Alice, &["label", "deployment", "web", "team=blue"]).succeeds();
    case.kubectl(User::Alice, &["annotate", "deployment", "web", "example.com/note=hello"]).succeeds();
    case.kubectl(User::Alice, &["rollout", "restart", "deployment/web"]).succeeds();
    case.kubectl(User::Alice, &["patch", "deployment", "web", "-p", r#"{"spec":{"minReadySeconds":5}}"#]).succeeds();
}

#[test]
fn what_is_equal_in_meaning_is_no_drift() {
    let case = Case::new("deny");
    let quantities = DEPLOYMENT.replace(
        "          env:\n",
        "          resources: { limits: { cpu: 1000m, memory: 1024Mi } }\n          ports: [{ containerPort: 80 }]\n          env:\n",
    );
    case.declare_and_create(&quantities);
    let rewritten = quantities.replace("1000m", "\"1\"").replace("1024Mi", "1Gi");
    case.feed(User::Alice, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &rewritten).succeeds();
}

#[test]
fn a_field_that_drifted_before_is_named_and_whoever_restores_it_may() {
    let case = Case::new("deny");
    // It drifted before Git declared it: nobody was there to deny it.
    case.feed(User::Alice, &["create", "-f", "-"], &DEPLOYMENT.replace("replicas: 3", "replicas: 1")).succeeds();
    case.declare("web.yaml", DEPLOYMENT);
    let touched = case.kubectl(User::Alice, &["annotate", "deployment", "web", "example.com/note=hello"]).succeeds();
    assert!(touched.stderr.contains("Warning: ") && touched.stderr.contains("spec.replicas"), "{touched:#?}");
    case.kubectl(User::Alice, &["patch", "deployment", "web", "-p", r#"{"spec":{"replicas":4}}"#])
        .fails_with(&["spec.replicas: 3 in Git, 4 in this write"]);
    case.kubectl(User::Alice, &["patch", "deployment", "web", "-p", r#"{"spec":{"replicas":3}}"#]).succeeds();
    let silent = case.kubectl(User::Alice, &["annotate", "deployment", "web", "example.com/note=again", "--overwrite"]);
    assert_eq!(silent.succeeds().stderr, "");
}

#[test]
fn a_dry_run_gets_the_same_answer_and_leaves_nothing() {
    let case = Case::new("deny");
    case.declare_and_create(DEPLOYMENT);
    let scale = |more: &[&str]| {
        let patch = ["patch", "deployment", "web", "-p", r#"{"spec":{"replicas":5}}"#];
        case.kubectl(User::Alice, &[&patch, more].concat()).fails_with(&[TWICE]).stderr
    };
    let rehearsed = scale(&["--dry-run=server"]);
    let in_this_namespace = |line: &serde_json::Value| line.to_string().contains(&case.namespace);
    assert_eq!(gate().landfast.records(|line| in_this_namespace(line) && line.to_string().contains("Deny")).len(), 0);
    assert_eq!(scale(&[]), rehearsed);
}

#[test]
fn a_custom_resource_is_compared_by_its_own_schema() {
    let case = Case::new("deny");
    let widget = "apiVersion: example.com/v1\nkind: Widget\nmetadata:\n  name: wheel\n  namespace: $NAMESPACE\nspec:\n  \
                  size: 3\n  parts:\n    - name: rim\n      colour: red\n    - name: hub\n      colour: blue\n";
    case.declare_and_create(widget);
    let path = r#"[{"op":"replace","path":"/spec/parts/1/colour","value":"green"}]"#;
    case.kubectl(User::Alice, &["patch", "widget", "wheel", "--type=json", "-p", path])
        .fails_with(&["spec.parts[name=hub].colour: \"blue\" in Git, \"green\" in this write", "object.yaml:12"]);
    let added = r#"[{"op":"add","path":"/spec/parts/-","value":{"name":"spoke"}}]"#;
    case.kubectl(User::Alice, &["patch", "widget", "wheel", "--type=json", "-p", added]).succeeds();
}
