//! What is left of a verdict, and what must never be?

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

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
fn the_audit_log_of_the_api_server_says_what_was_ruled_and_nothing_of_a_plain_allow() {
    let plane = control_plane();
    let annotations = |event: &Value| -> BTreeMap<String, String> {
        let all = event["annotations"].as_object().cloned().unwrap_or_default();
        let ours = all.into_iter().filter(|(key, _)| key.contains("landfast.dev/"));
        ours.map(|(key, value)| (key, value.as_str().unwrap().to_owned())).collect()
    };
    let scaled = |case: &Case, replicas: &str, code: u64| {
        let replicas = format!("--replicas={replicas}");
        let answer = case.kubectl(User::Alice, &["scale", "deployment", "web", &replicas]);
        assert_eq!(answer.code == 0, code == 200, "{answer:?}");
        let found = plane.await_audit("the scale", |event| {
            event["objectRef"]["namespace"] == *case.namespace
                && event["objectRef"]["subresource"] == "scale"
                && event["responseStatus"]["code"] == code
        });
        annotations(found.last().unwrap())
    };
    for (policy, ruling, code) in [("deny", "Deny", 403), ("warn", "Warn", 200)] {
        let case = Case::new(policy);
        case.declare_and_create(DEPLOYMENT);
        let told = scaled(&case, "5", code);
        let entries: BTreeSet<&str> =
            told.keys().filter_map(|key| key.split_once('/')).map(|(entry, _)| entry).collect();
        assert!(entries.len() == 1 && entries.iter().all(|entry| entry.ends_with(".landfast.dev")), "{told:?}");
        let of = |key: &str| {
            let (_, value) = told.iter().find(|(name, _)| name.ends_with(&format!("/{key}"))).unwrap();
            value.as_str()
        };
        assert_eq!((of("ruling"), of("enforced"), of("policy")), (ruling, "true", policy));
        assert_eq!((of("writer-role"), of("source"), of("reason")), ("Person", "cases", "drifts from Git"));
        let fields: Value = serde_json::from_str(of("fields")).unwrap();
        assert_eq!((&fields[0]["path"], &fields[0]["written"]), (&"spec.replicas".into(), &5.into()));
    }
    let case = Case::new("deny");
    case.declare_and_create(DEPLOYMENT);
    assert_eq!(scaled(&case, "3", 200), BTreeMap::new());
}

#[test]
fn no_label_of_a_metric_grows_with_what_is_written() {
    let case = Case::new("deny");
    case.declare_and_create(DEPLOYMENT);
    case.kubectl(User::Alice, &["scale", "deployment", "web", "--replicas=5"]).fails_with(&["spec.replicas"]);
    let page = gate().landfast.get("/metrics").unwrap().1;
    // What the configuration names; all others are of closed sets. A revision stands alone: one a source.
    let named = ["source", "policy", "rule", "revision", "version", "le"];
    let closed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("ruling", &["Allow", "Warn", "Annotate", "Revert", "Deny"] as &[&str]),
        ("enforced", &["true", "false"]),
        ("operation", &["CREATE", "UPDATE", "DELETE", "CONNECT"]),
        ("role", &["Landfast", "Deployer", "Controller", "Service", "Person"]),
        ("question", &["fetch", "blame", "namespace", "form", "access", "owner"]),
        ("outcome", &["answered", "silence", "new", "unchanged", "failed", "repaired", "cannot_repair"]),
        (
            "state",
            &[
                "in_sync",
                "drifting",
                "waiting_for_approval",
                "held",
                "fighting",
                "cannot_repair",
                "not_deployed",
                "unknown",
            ],
        ),
        ("sink", &["queue", "journal", "event", "cloudevents"]),
        ("how", &["deleted", "changed"]),
    ]);
    let mut seen = BTreeSet::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let Some((_, labels)) = line.split_once('{') else { continue };
        for label in labels.split_once('}').unwrap().0.split("\",").filter(|label| !label.is_empty()) {
            let (key, value) = label.split_once("=\"").unwrap();
            let value = value.trim_end_matches('"');
            let known = named.contains(&key) || closed.get(key).is_some_and(|values| values.contains(&value));
            assert!(known, "{key}={value} in {line}");
            seen.insert(key.to_owned());
        }
    }
    assert!(["ruling", "role", "source", "question"].iter().all(|key| seen.contains(*key)), "{seen:?}");
    let revisions = page.lines().filter(|line| line.starts_with("landfast_source_info{")).count();
    assert_eq!(revisions, 2, "one for each source:\n{page}");
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

#[test]
fn every_metric_says_what_it_is_in_the_conventional_way() {
    let case = Case::new("deny");
    case.declare_and_create(DEPLOYMENT);
    let page = gate().landfast.get("/metrics").unwrap().1;
    let told = |mark: &str| -> BTreeMap<String, String> {
        let lines = page.lines().filter_map(|line| line.strip_prefix(mark)?.split_once(' '));
        lines.map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
    };
    let (helps, types) = (told("# HELP "), told("# TYPE "));
    assert!(types.len() > 15 && helps.keys().eq(types.keys()), "{page}");
    for (name, kind) in &types {
        let of_us = name.starts_with("landfast_") && !helps[name].trim_end_matches('.').is_empty();
        assert!(of_us && !name.contains("__") && name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_'), "{name}");
        let samples = page.lines().filter(|line| line.starts_with(name.as_str()));
        match kind.as_str() {
            "counter" => assert!(samples.into_iter().all(|line| line[name.len()..].starts_with("_total")), "{name}"),
            "histogram" => assert!(name.ends_with("_seconds") || name.ends_with("_bytes"), "{name}"),
            "gauge" | "info" => assert!(!name.ends_with("_total"), "{name}"),
            other => panic!("{name} is a {other}"),
        }
    }
}
