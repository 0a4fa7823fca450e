//! What is left on an object that was let in although it drifts? The annotation `landfast.dev/drift`, by real kubectl.

use std::path::Path;

use serde_json::{Value, json};

use crate::gate::{Case, DEPLOYMENT, gate};
use crate::reverts::{deployed, every_client, live};
use crate::support::golden;
use crate::testbed::eventually;
use crate::testbed::user::User;

fn mark(case: &Case) -> Option<Value> {
    let object = live(case, "deployment/web");
    let mark = object["metadata"]["annotations"]["landfast.dev/drift"].as_str()?;
    Some(serde_json::from_str(mark).unwrap())
}

fn patch(case: &Case, user: User, patch: &str) -> String {
    case.kubectl(user, &["patch", "deployment", "web", "-p", patch]).succeeds().stderr
}

#[test]
fn each_client_is_told_of_the_mark() {
    let case = deployed("annotate", DEPLOYMENT);
    golden(Path::new("tests/cases/clients/annotate.txt"), &every_client(&case));
}

#[test]
fn a_mark_says_who_and_what_until_the_object_agrees() {
    let case = deployed("annotate", DEPLOYMENT);
    let revision = gate().landfast.revision("cases").unwrap();
    let answer = patch(&case, User::Alice, r#"{"spec":{"replicas":5}}"#);
    assert!(answer.contains("spec.replicas: 3 in Git, 5 in this write"), "{answer}");
    assert_eq!(case.field("deployment/web", ".spec.replicas"), "5", "it is let in");
    let first = mark(&case).unwrap();
    assert_eq!((&first["writer"], &first["fields"]), (&json!("alice"), &json!(["spec.replicas"])));
    assert!(first["revision"].as_str().is_some_and(|revision| revision.len() == 40), "{first} {revision}");
    // A write that leaves it as it is keeps it, and so does who takes it away or writes another.
    patch(&case, User::Operator, r#"{"spec":{"minReadySeconds":5}}"#);
    for forged in ["landfast.dev/drift-", "landfast.dev/drift=nobody"] {
        case.kubectl(User::Bob, &["annotate", "--overwrite", "deployment", "web", forged]).succeeds();
        assert_eq!(mark(&case).as_ref(), Some(&first), "{forged}");
    }
    let image = r#"{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"example.com/web:2"}]}}}}"#;
    patch(&case, User::Bob, image);
    let image = "spec.template.spec.containers[name=web].image";
    let second = mark(&case).unwrap();
    assert_eq!((&second["writer"], &second["fields"]), (&json!("bob"), &json!(["spec.replicas", image])));
    patch(&case, User::Alice, r#"{"spec":{"replicas":3}}"#);
    assert_eq!(mark(&case).unwrap()["fields"], json!([image]), "what is put right is told no more");
    let forced = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    case.feed(User::ArgoCd, &forced, DEPLOYMENT).succeeds();
    assert_eq!(mark(&case), None);
}

#[test]
fn who_forges_a_mark_on_an_object_that_agrees_leaves_none() {
    let case = deployed("annotate", DEPLOYMENT);
    let forged = ["annotate", "deployment", "web", "landfast.dev/drift=forged"];
    case.kubectl(User::Alice, &forged).succeeds();
    assert_eq!(mark(&case), None);
}

#[test]
fn the_same_write_leaves_the_same_mark() {
    let case = deployed("annotate", DEPLOYMENT);
    let drifting = DEPLOYMENT.replace("replicas: 3", "replicas: 5");
    let apply =
        || case.feed(User::Alice, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &drifting).succeeds();
    apply();
    let (first, version) = (mark(&case), case.field("deployment/web", ".metadata.generation"));
    apply();
    assert_eq!(mark(&case), first);
    assert_eq!(case.field("deployment/web", ".metadata.generation"), version, "nothing was written");
}

#[test]
fn where_no_mark_can_stand_there_is_a_warning() {
    let case = deployed("annotate", DEPLOYMENT);
    let scaled = case.kubectl(User::Alice, &["scale", "deployment", "web", "--replicas=5"]).succeeds();
    assert!(scaled.stderr.contains("spec.replicas: 3 in Git, 5 in this write"), "{scaled:#?}");
    assert_eq!(mark(&case), None, "a Scale has no annotations of its object");
    let deleted = case.kubectl(User::Alice, &["delete", "deployment", "web"]).succeeds();
    assert!(deleted.stderr.contains("Warning: "), "{deleted:#?}");
    eventually("the events of the warnings", || (case.events("web", "DriftWarned").len() >= 2).then_some(()));
}

#[test]
fn what_git_does_not_declare_is_marked_while_it_is_there() {
    let case = deployed("annotate", DEPLOYMENT);
    case.kubectl(User::Alice, &["label", "deployment", "web", "team=blue"]).succeeds();
    assert_eq!(mark(&case).unwrap()["fields"], json!(["metadata.labels.team"]));
    patch(&case, User::Operator, r#"{"spec":{"minReadySeconds":5}}"#);
    assert_eq!(mark(&case).unwrap()["fields"], json!(["metadata.labels.team"]));
    case.kubectl(User::Alice, &["label", "deployment", "web", "team-"]).succeeds();
    assert_eq!(mark(&case), None);
}

#[test]
fn a_mark_is_on_the_record_once_and_a_rehearsal_is_not() {
    let case = deployed("annotate", DEPLOYMENT);
    let write = |more: &[&str]| {
        let patch = ["patch", "deployment", "web", "-p", r#"{"spec":{"replicas":5}}"#];
        case.kubectl(User::Alice, &[&patch, more].concat()).succeeds().stderr
    };
    let rehearsed = write(&["--dry-run=server"]);
    assert_eq!(mark(&case), None);
    assert_eq!(write(&[]), rehearsed);
    eventually("the event of the mark", || case.events("web", "DriftAnnotated").pop());
    let ruled = |line: &Value| line.to_string().contains(&case.namespace) && line["ruling"].is_string();
    let records = gate().landfast.records(ruled);
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!((&records[0]["ruling"], &records[0]["enforced"]), (&json!("Annotate"), &json!(true)));
}
