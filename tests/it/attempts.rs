//! Who tries to get through with a break-glass that is not his, copied, edited, too long, or of an object that is gone? And who gets
//! through as he should, where a write carries no annotation?

use serde_json::Value;

use crate::gate::DEPLOYMENT;
use crate::incidents::{Case, REASON, SHOP};
use crate::testbed::eventually;
use crate::testbed::user::User;

fn reason(reason: &str) -> String {
    format!("landfast.dev/break-glass={reason}")
}

/// A Deployment that asks for a break-glass.
fn asking(name: &str, replicas: u32) -> String {
    let asking = DEPLOYMENT.replace("name: web\n  namespace", &format!("name: {name}\n  namespace"));
    asking.replace("replicas: 3", &format!("replicas: {replicas}")).replace(
        "  labels:\n    app: web\nspec:",
        &format!("  annotations: {{ landfast.dev/break-glass: {REASON} }}\n  labels:\n    app: web\nspec:"),
    )
}

/// Has a BreakGlass created for `web` in a case's namespace, and waits until it is known.
fn create(case: &Case, name: &str, more: &str) {
    let record = format!(
        "apiVersion: landfast.dev/v1alpha1\nkind: BreakGlass\nmetadata: {{ name: {name}-{0} }}\nspec:\n  reason: {REASON}\n  \
         match: {{ namespaces: [{0}] }}\n{more}",
        case.namespace
    );
    SHOP.plane.kubectl_with_input(User::Oncall, &["create", "-f", "-"], &record).succeeds();
    let state = ["get", "breakglass", &format!("{name}-{}", case.namespace), "-o", "jsonpath={.status.state}"];
    eventually("it to be open", || (SHOP.plane.kubectl(User::Oncall, &state).stdout == "Open").then_some(()));
}

fn pod(case: &Case) -> String {
    eventually("a Pod", || {
        let pods = case.kubectl(User::Admin, &["get", "pods", "-o", "name"]).succeeds().stdout;
        Some(pods.lines().next()?.trim_start_matches("pod/").to_owned())
    })
}

#[test]
fn a_break_glass_set_beforehand_serves_what_carries_no_annotation() {
    let case = Case::new("deny");
    case.annotate(User::Oncall, &reason(REASON)).succeeds();
    eventually("a scale to go in", || (case.scale(User::Oncall, 5).code == 0).then_some(()));
    case.kubectl(User::Oncall, &["delete", "deployment", "web"]).succeeds();
    // Made anew it is another object: what was opened for the old one serves nobody, and cannot be had by replaying it.
    case.feed(User::Ci, &["create", "-f", "-"], DEPLOYMENT).succeeds();
    case.scale(User::Oncall, 6).fails_with(&["spec.replicas: 3 in Git, 6"]);
    case.annotate(User::Alice, &reason(REASON)).succeeds();
    assert_eq!(case.annotation(), Value::Null);
    case.feed(User::Alice, &["replace", "-f", "-"], &asking("web", 6)).fails_with(&["alice may not break the glass"]);
    case.scale(User::Oncall, 6).fails_with(&["spec.replicas: 3 in Git, 6"]);
}

#[test]
fn an_annotation_that_is_copied_opens_nothing() {
    let case = Case::new("deny");
    let other = DEPLOYMENT.replace("name: web\n  namespace", "name: api\n  namespace");
    case.declare(&format!("{DEPLOYMENT}---\n{other}"));
    case.break_glass(User::Oncall, REASON, 5).succeeds();
    case.feed(User::Alice, &["create", "-f", "-"], &asking("api", 5)).fails_with(&["alice may not break the glass"]);
    let copied = case.feed(User::Alice, &["create", "-f", "-"], &asking("api", 3)).succeeds();
    assert!(copied.stderr.contains("does not count: alice may not break the glass"), "{copied:#?}");
    let api = case.kubectl(User::Admin, &["get", "deployment", "api", "-o", "yaml"]).succeeds().stdout;
    assert!(!api.contains("landfast.dev/break-glass"), "{api}");
    case.kubectl(User::Oncall, &["scale", "deployment", "api", "--replicas=5"]).fails_with(&["spec.replicas"]);
    // A deployer that carries it along, as a restore does, opens nothing either.
    case.feed(User::Ci, &["replace", "-f", "-"], &asking("api", 3)).succeeds();
    case.kubectl(User::Oncall, &["scale", "deployment", "api", "--replicas=5"]).fails_with(&["spec.replicas"]);
    assert_eq!(case.records().len(), 1);
}

#[test]
fn an_annotation_is_edited_by_whoever_has_the_right_only() {
    let case = Case::new("deny");
    case.break_glass(User::Oncall, REASON, 5).succeeds();
    let edited = case.annotate(User::Alice, &reason("INC-9 mine")).succeeds();
    assert!(edited.stderr.contains("does not count: alice may not break the glass"), "{edited:#?}");
    assert_eq!((case.annotation(), case.records().len()), (REASON.into(), 1));
    case.annotate(User::Oncall, &reason("INC-9 another")).succeeds();
    assert_eq!(case.annotation(), "INC-9 another");
    eventually("the other record to take its place", || {
        let ended = case.records().iter().filter(|record| record["status"]["state"] == "Ended").count();
        (case.records().len() == 2 && ended == 1).then_some(())
    });
    assert_eq!(case.annotation(), "INC-9 another", "the end of the first leaves the second alone");
    case.scale(User::Oncall, 6).succeeds();
}

#[test]
fn a_break_glass_of_a_person_beyond_the_longest_time_does_not_count() {
    let case = Case::new("deny");
    let operator = "subjects: [{ kind: ServiceAccount, namespace: operators, name: shop-operator }]";
    create(&case, "long", &format!("  duration: 5h\n  {operator}\n"));
    case.scale(User::Operator, 5).fails_with(&["spec.replicas: 3 in Git, 5"]);
    create(&case, "short", &format!("  duration: 1h\n  {operator}\n"));
    eventually("every replica to know of it", || (case.scale(User::Operator, 5).code == 0).then_some(()));
}

#[test]
fn an_annotation_that_does_not_count_goes_also_where_the_write_goes_in() {
    let case = Case::new("deny");
    create(&case, "alice", "  duration: 1h\n  subjects: [{ kind: User, name: alice }]\n");
    eventually("every replica to know of it", || (case.scale(User::Alice, 5).code == 0).then_some(()));
    let written = case.break_glass(User::Alice, "INC-9 mine", 6).succeeds();
    assert!(written.stderr.contains("is let in by break-glass \"INC-1 the shop is down\""), "{written:#?}");
    assert!(written.stderr.contains("\"INC-9 mine\" does not count: alice may not"), "{written:#?}");
    assert_eq!((case.replicas(), case.annotation()), (6.into(), Value::Null));
}

/// What the API server says once admission has let an exec through: no node runs the Pod.
const LET_THROUGH: &str = "does not have a host assigned";

#[test]
fn whoever_breaks_the_glass_may_reach_into_the_pods_of_an_object() {
    let case = Case::new("deny");
    let pod = pod(&case);
    let exec = ["exec", &pod, "--", "true"];
    let debug = ["debug", &pod, "--image=example.com/debug:1", "--attach=false"];
    let refused = format!("Pod {0}/{pod} belongs to Deployment {0}/web, which Git declares", case.namespace);
    case.kubectl(User::Oncall, &exec).fails_with(&[&refused]);
    case.kubectl(User::Oncall, &debug).fails_with(&[&refused]);
    case.annotate(User::Oncall, &reason(REASON)).succeeds();
    eventually("every replica to know of it", || (case.kubectl(User::Oncall, &debug).code == 0).then_some(()));
    case.kubectl(User::Oncall, &exec).fails_with(&[LET_THROUGH]);
    case.kubectl(User::Alice, &exec).fails_with(&["alice may not break the glass of policy shop"]);
    case.kubectl(User::Alice, &debug).fails_with(&["alice may not break the glass of policy shop"]);
    // By a BreakGlass that names her she may.
    create(&case, "exec", "  duration: 1h\n  subjects: [{ kind: User, name: alice }]\n");
    eventually("every replica to know of it", || {
        case.kubectl(User::Alice, &exec).stderr.contains(LET_THROUGH).then_some(())
    });
}

#[test]
fn a_break_glass_in_git_bears_the_name_of_its_deployer_and_is_a_fault() {
    let case = Case::new("deny");
    let name = format!("git-{}", case.namespace);
    let record = format!(
        "apiVersion: landfast.dev/v1alpha1\nkind: BreakGlass\nmetadata: {{ name: {name} }}\nspec:\n  reason: {REASON}\n  \
         duration: 1h\n  match: {{ namespaces: [{}] }}\n",
        case.namespace
    );
    case.declare(&format!("{DEPLOYMENT}---\n{record}"));
    case.shop.landfast[0].eventually("the fault", || {
        let faults = case.shop.landfast[0].status()["sources"][0]["faults"].to_string();
        faults.contains(&format!("BreakGlass {name} belongs in the cluster")).then_some(())
    });
    SHOP.plane.kubectl_with_input(User::Flux, &["create", "-f", "-"], &record).succeeds();
    let by = ["get", "breakglass", &name, "-o", "jsonpath={.spec.createdBy}"];
    assert_eq!(SHOP.plane.kubectl(User::Oncall, &by).succeeds().stdout, User::Flux.name());
}
