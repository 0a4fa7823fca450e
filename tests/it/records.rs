//! What is left of a verdict, and what must never be?

use crate::gate::{Case, DEPLOYMENT, gate};
use crate::testbed::user::User;
use crate::testbed::{control_plane, eventually};

#[test]
fn a_denial_is_on_record_in_every_sink() {
    let case = Case::new("deny");
    case.declare_and_create(DEPLOYMENT);
    let counted = || gate().landfast.metric("landfast_decisions_total", &["ruling=\"Deny\"", "enforced=\"true\""]);
    let before = counted();
    case.kubectl(User::Alice, &["set", "image", "deployment/web", "web=example.com/web:2"]).fails_with(&["image"]);
    assert!(counted() > before);

    let event = eventually("the event on the object", || case.events("web", "DriftDenied").pop());
    let note = event["message"].as_str().unwrap_or_default();
    assert!(note.contains("image"), "{event:#}");
    assert_eq!(event["involvedObject"]["kind"], "Deployment");
    // It shows the first line of each.
    let listed = case.kubectl(User::Alice, &["get", "events"]).succeeds().stdout;
    let line = format!(
        "Deployment {}/web differs from Git in 1 field: spec.template.spec.containers[name=web].image: \
         \"example.com/web:1\" in Git, \"example.com/web:2\" in this write (by alice)",
        case.namespace
    );
    assert!(listed.contains(&line), "{listed}");

    let record = eventually("the line in the log", || {
        let ours = |text: &str| text.contains(&case.namespace) && text.contains(r#""ruling":"Deny""#);
        gate().landfast.records(|line| ours(&line.to_string())).pop()
    });
    assert_eq!(record["fields"][0]["path"], "spec.template.spec.containers[name=web].image", "{record:#}");
    let text = record.to_string();
    for part in
        ["alice", "example.com/web:1", "example.com/web:2", "object.yaml", r#""policy":"deny""#, r#""source":"cases""#]
    {
        assert!(text.contains(part), "{part} in {record:#}");
    }

    let audited = control_plane().await_audit("the denial's annotations", |event| {
        event["objectRef"]["namespace"] == *case.namespace
            && event["annotations"].as_object().is_some_and(|all| all.keys().any(|key| key.contains("landfast.dev/")))
    });
    let annotations = audited[0]["annotations"].to_string();
    assert!(annotations.contains("Deny") && annotations.contains("image"), "{annotations}");
}

#[test]
fn a_loop_of_denials_is_one_record() {
    let case = Case::new("deny");
    case.declare_and_create(DEPLOYMENT);
    for _ in 0..12 {
        case.kubectl(User::Alice, &["scale", "deployment", "web", "--replicas=5"]).fails_with(&["spec.replicas"]);
    }
    eventually("the event", || case.events("web", "DriftDenied").pop());
    // Two where the minute, the coarse time of a record's id, ended in between.
    let events = case.events("web", "DriftDenied").len();
    assert!(events <= 2, "{events} events of twelve denials");
    let lines = gate().landfast.records(|line| line.to_string().contains(&case.namespace)).len();
    assert!(lines <= 2, "{lines} log lines of twelve denials");
}

#[test]
fn a_value_of_a_secret_appears_nowhere() {
    let case = Case::new("deny");
    let (ours, theirs) = ("correct-horse-battery", "staple-of-another");
    let (ours64, theirs64) = ("Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5", "c3RhcGxlLW9mLWFub3RoZXI=");
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: login, namespace: $NAMESPACE }}\nstringData: {{ password: {ours} }}\n"
    );
    case.declare_and_create(&secret);
    let patch = format!(r#"{{"stringData":{{"password":"{theirs}"}}}}"#);
    let answer = case.kubectl(User::Alice, &["patch", "secret", "login", "-p", &patch]).fails_with(&["data.password"]);
    let events =
        eventually("the event", || Some(case.events("login", "DriftDenied")).filter(|events| !events.is_empty()));
    let audited = control_plane().audit(|event| event["objectRef"]["namespace"] == *case.namespace);
    let places = [
        ("the answer", answer.stderr),
        ("the events", serde_json::to_string(&events).unwrap()),
        ("the log", gate().landfast.log()),
        ("the audit log", serde_json::to_string(&audited).unwrap()),
        ("the status", gate().landfast.get("/status.json").unwrap().1),
        ("the metrics", gate().landfast.get("/metrics").unwrap().1),
    ];
    for (place, text) in places {
        for value in [ours, theirs, ours64, theirs64] {
            assert!(!text.contains(value), "{value} in {place}: {text}");
        }
    }
}

#[test]
fn match_conditions_are_evaluated_and_never_fail() {
    let case = Case::new("deny");
    case.declare_and_create(DEPLOYMENT);
    let plane = control_plane();
    // Without this the next line would hold for a webhook that has none.
    assert!(plane.metric("apiserver_admission_match_condition_evaluation_seconds_count", &[]) > 0.0);
    plane.assert_match_conditions_hold();
}
