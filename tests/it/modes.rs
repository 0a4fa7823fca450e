//! What do modes, rulings and precedence change?

use crate::gate::{Case, DEPLOYMENT, gate};
use crate::testbed::eventually;
use crate::testbed::user::User;

const FIVE: [&str; 5] = ["patch", "deployment", "web", "-p", r#"{"spec":{"replicas":5}}"#];

#[test]
fn observe_lets_everything_in_without_a_word_and_records_it() {
    let case = Case::new("observe");
    case.declare_and_create(DEPLOYMENT);
    let answer = case.kubectl(User::Alice, &FIVE).succeeds();
    assert_eq!(answer.stderr, "");
    assert_eq!(case.field("deployment/web", ".spec.replicas"), "5");
    eventually("the event of what would have been denied", || case.events("web", "DriftObserved").pop());
    case.kubectl(User::Alice, &["delete", "deployment", "web"]).succeeds();
}

#[test]
fn warn_lets_in_and_says_what_drifts() {
    let case = Case::new("warn");
    case.declare_and_create(DEPLOYMENT);
    let answer = case.kubectl(User::Alice, &FIVE).succeeds();
    let object = format!("Deployment {}/web", case.namespace);
    let field = format!("Warning: {object} drifts from Git: spec.replicas: 3 in Git, 5 in this write\n");
    let origin = format!("Warning: {object}: declared by {}/object.yaml:9 at ", case.namespace);
    assert!(answer.stderr.starts_with(&format!("{field}{origin}")), "{answer:#?}");
    for line in answer.stderr.lines() {
        assert!(line.trim_start_matches("Warning: ").chars().count() <= 120, "{line}");
    }
    eventually("the event of the warning", || case.events("web", "DriftWarned").pop());
    let deleted = case.kubectl(User::Alice, &["delete", "deployment", "web"]).succeeds();
    assert!(deleted.stderr.contains("Warning: "), "{deleted:#?}");
}

#[test]
fn the_lowest_precedence_governs() {
    // `deny` matches this namespace too.
    let case = Case::new("deny-exempt");
    case.declare_and_create(DEPLOYMENT);
    let answer = case.kubectl(User::Alice, &FIVE).succeeds();
    assert!(answer.stderr.contains("spec.replicas"), "{answer:#?}");
    let record = eventually("the record of the warning", || {
        gate()
            .landfast
            .records(|line| line.to_string().contains(&case.namespace) && line.to_string().contains("Warn"))
            .pop()
    });
    assert!(record.to_string().contains(r#""policy":"exempt""#), "{record:#}");
}
