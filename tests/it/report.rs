//! Does `landfast report` sum up what was ruled, and does what it proposes settle it? The real binary, over journals and a real server.

use std::path::{Path, PathBuf};
use std::process::Command;

use landfast::config;
use serde_json::Value;

use crate::gate::{Case, DEPLOYMENT, gate};
use crate::support::golden;
use crate::testbed::eventually;
use crate::testbed::user::User;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/report").join(name)
}

/// What it prints; it says why where it cannot.
fn report(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_landfast")).arg("report").args(arguments).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), errors.as_str()), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}

/// Two replicas' journals, summed up to a set time.
fn of_two_replicas(arguments: &[&str]) -> String {
    let (a, b) = (data("a.jsonl"), data("b.jsonl"));
    let journals = ["--journal", a.to_str().unwrap(), "--journal", b.to_str().unwrap()];
    report(&[&journals[..], &["--until", "2026-11-23T10:00:00Z"], arguments].concat())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The rulings of a report on a writer.
fn rulings(report: &Value, user: &str) -> Vec<Value> {
    let of_user = |row: &&Value| row["writer"]["user"] == user;
    report["rulings"].as_array().unwrap().iter().filter(of_user).cloned().collect()
}

#[test]
fn a_report_for_people_and_for_scripts_is_this() {
    golden(&data("report.txt"), &of_two_replicas(&[]));
    let told = json(&of_two_replicas(&["-o", "json"]));
    golden(&data("report.json"), &(serde_json::to_string_pretty(&told).unwrap() + "\n"));
}

#[test]
fn records_of_replicas_are_one_by_their_id_and_their_counts_add_up() {
    let told = json(&of_two_replicas(&["-o", "json"]));
    // Four reviews by one replica, one more by the other, and another object.
    let keda = rulings(&told, "system:serviceaccount:keda:keda-operator");
    assert_eq!(keda.iter().map(|row| row["writes"].as_u64().unwrap()).collect::<Vec<_>>(), [6], "{keda:#?}");
    assert_eq!((&told["records"], &told["writes"]), (&15.into(), &21.into()));
}

#[test]
fn a_journal_that_is_named_twice_counts_once() {
    let a = data("a.jsonl");
    let (until, a) = (["--until", "2026-11-23T10:00:00Z"], a.to_str().unwrap());
    let once = report(&[&["--journal", a], &until[..]].concat());
    assert_eq!(report(&[&["--journal", a, "--journal", a], &until[..]].concat()), once);
}

#[test]
fn what_is_outside_of_the_span_does_not_count() {
    let told = of_two_replicas(&["--since", "48h", "-o", "json"]);
    assert!(told.contains("too-early") && !told.contains("too-late"), "{told}");
    let told = of_two_replicas(&["--since", "2026-11-22T14:30:00Z", "-o", "json"]);
    assert!(!told.contains("keda-operator"), "{told}");
    // What is safe hangs on a whole day all the same; no record of the span names `shop` as observed, but bob's does.
    let safety = json(&told)["safety"].to_string();
    assert!(safety.contains(r#""policy":"shop""#) && safety.contains("argocd-application-controller"), "{safety}");
    let output =
        Command::new(env!("CARGO_BIN_EXE_landfast")).args(["report", "--state-dir", "/nowhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere holds no journal"));
}

#[test]
fn every_proposed_entry_is_read_by_the_configuration() {
    let told = json(&of_two_replicas(&["-o", "json"]));
    let read = |members: &str| {
        let members: String = members.lines().flat_map(|line| ["  ", line, "\n"]).collect();
        let policy = format!(
            "apiVersion: landfast.dev/v1alpha1\nkind: DriftPolicy\nmetadata: {{ name: shop }}\nspec:\n  precedence: 1\n{members}"
        );
        config::parse(&[("pasted.yaml".to_owned(), policy)])
            .unwrap_or_else(|faults| panic!("{faults:?} in:\n{members}"))
    };
    let mut members = Vec::new();
    for row in told["rulings"].as_array().unwrap() {
        let Some(yaml) = row["settle"]["yaml"].as_str() else {
            assert!(row["settle"]["none"].is_string(), "{row:#}");
            continue;
        };
        read(yaml);
        members.push(row["settle"]["member"].as_str().unwrap().to_owned());
    }
    members.sort();
    members.dedup();
    assert_eq!(members, ["ignore", "writers"]);
    // And all of them together, as people are told them.
    let words = of_two_replicas(&[]);
    let pasted = words.split("add to the spec of DriftPolicy shop\n").nth(1).unwrap();
    let pasted = pasted.split("\n\n").next().unwrap().lines().flat_map(|line| [&line[2..], "\n"]).collect::<String>();
    assert_eq!(read(&pasted).policy.rules[0].writers.len(), 2);
}

#[test]
fn a_policy_on_no_record_is_named_where_the_configuration_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let policy = |name: &str, more: &str| {
        format!(
            "apiVersion: landfast.dev/v1alpha1\nkind: DriftPolicy\nmetadata: {{ name: {name} }}\nspec: {{ precedence: 1{more} }}\n---\n"
        )
    };
    let writer = ", match: { namespaces: [shop] }, writers: [{ name: keda-operator, role: Deployer, subjects: [{ kind: User, name: x }] }], \
                  ignore: [{ name: old, fields: [spec.replicas], reason: r }, \
                  { name: over, fields: [spec.paused], reason: r, expires: \"2026-01-01T00:00:00Z\" }]";
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, [policy("shop", writer), policy("idle", ", match: { namespaces: [idle] }")].concat())
        .unwrap();
    let told = json(&of_two_replicas(&["--config", config.to_str().unwrap(), "-o", "json"]));
    assert_eq!(told["policiesOnNoRecord"], serde_json::json!(["idle"]));
    // What was of use before the span is of no use in it.
    let entry = |name: &str| serde_json::json!({ "policy": "shop", "member": "ignore", "name": name });
    assert_eq!(told["entriesOfNoUse"], serde_json::json!([entry("old"), entry("over")]));
    let over = "DriftPolicy shop: the ignore rule over expired at 2026-01-01T00:00:00Z";
    assert_eq!(told["entriesThatAreOver"], serde_json::json!([over]));
    let words = of_two_replicas(&["--config", config.to_str().unwrap()]);
    for part in ["On no record: idle.", "Of no use in this span: ignore old of shop, ignore over of shop.", over] {
        assert!(words.contains(part), "{words}");
    }
    // A proposed entry takes no name that is taken.
    assert_eq!(rulings(&told, "system:serviceaccount:keda:keda-operator")[0]["settle"]["name"], "keda-operator-2");
    assert!(json(&of_two_replicas(&["-o", "json"])).get("policiesOnNoRecord").is_none());
}

#[test]
fn what_observe_records_is_reported_with_what_settles_it() {
    let case = Case::new("observe");
    case.declare_and_create(DEPLOYMENT);
    for user in [User::Alice, User::Operator] {
        let answer = case.kubectl(user, &["set", "image", "deployment/web", "web=example.com/web:2"]).succeeds();
        assert_eq!(answer.stderr, "");
        case.kubectl(User::Alice, &["set", "image", "deployment/web", "web=example.com/web:1"]).succeeds();
    }
    let state = gate().landfast.state();
    let rows = eventually("both writes in the report", || {
        let told = json(&report(&["--state-dir", state.to_str().unwrap(), "--since", "1h", "-o", "json"]));
        // No other test that is only observed writes this field.
        let field = "spec.template.spec.containers[name=web].image";
        let ours = |row: &&Value| row["policy"] == "writers" && row["field"] == field;
        let rows: Vec<Value> = told["rulings"].as_array().unwrap().iter().filter(ours).cloned().collect();
        (rows.len() == 2).then_some(rows)
    });
    for row in &rows {
        assert_eq!((&row["ruling"], &row["enforced"]), (&"Deny".into(), &false.into()));
        assert_eq!(row["example"], format!("{}/web", case.namespace));
    }
    let settled = |user: User| {
        let row = rows.iter().find(|row| row["writer"]["user"] == user.name()).unwrap();
        row["settle"]["member"].as_str().unwrap().to_owned()
    };
    assert_eq!((settled(User::Alice), settled(User::Operator)), ("ignore".to_owned(), "writers".to_owned()));
}

#[test]
fn a_policy_that_would_deny_a_deployer_is_not_safe_to_enforce() {
    let case = Case::new("observe");
    case.declare_and_create(DEPLOYMENT);
    case.kubectl(User::Ci, &["scale", "deployment", "web", "--replicas=5"]).succeeds();
    let condition = eventually("the condition", || {
        let status = gate().landfast.status();
        let policies = status["policies"].as_array()?;
        let policy = policies.iter().find(|policy| policy["name"] == "writers")?;
        let condition = policy["conditions"][0].clone();
        condition.to_string().contains(&case.namespace).then_some(condition)
    });
    assert_eq!((&condition["type"], &condition["status"]), (&"SafeToEnforce".into(), &"False".into()));
    let message = condition["message"].as_str().unwrap();
    let expected =
        format!("ci would be denied: update of Deployment {}/web at spec.replicas, last recorded ", case.namespace);
    assert!(message.starts_with(&expected), "{message}");
}
