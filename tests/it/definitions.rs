//! Do files and the API server take the same objects? The kinds that `landfast crd` prints, on a real API server with real kubectl.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use landfast::config;
use landfast::config::definition::definitions;
use landfast::yaml;
use serde_json::{Value, json};

use crate::testbed::control_plane::ControlPlane;
use crate::testbed::eventually;
use crate::testbed::user::User;

/// A control plane that knows Landfast's kinds: others are not to load what is written here.
static PLANE: LazyLock<ControlPlane> = LazyLock::new(|| {
    let plane = ControlPlane::start();
    install(&plane);
    plane
});

/// Has a control plane know the kinds.
pub(crate) fn install(plane: &ControlPlane) {
    let definitions = fs::read_to_string(root("deploy/crds.yaml")).unwrap();
    plane.kubectl_with_input(User::Admin, &["apply", "-f", "-"], &definitions).succeeds();
    plane.kubectl(User::Admin, &["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).succeeds();
}

fn root(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn read(text: &str) -> Value {
    let nodes = yaml::documents(text).unwrap();
    let values: Vec<Value> = nodes.iter().map(|node| serde_json::from_str(&node.to_json()).unwrap()).collect();
    Value::from(values)
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": "landfast.dev/v1alpha1", "kind": kind, "metadata": { "name": name }, "spec": spec })
}

/// What the decoder of files says of an object.
fn faults(object: &Value) -> Vec<String> {
    let faults = config::parse(&[(String::new(), object.to_string())]).err().unwrap_or_default();
    faults.iter().map(|fault| fault.what.clone()).collect()
}

#[test]
fn the_file_in_deploy_is_what_the_command_prints() {
    let printed = Command::new(env!("CARGO_BIN_EXE_landfast")).arg("crd").output().unwrap();
    assert!(printed.status.success());
    crate::support::golden(&root("deploy/crds.yaml"), &String::from_utf8(printed.stdout).unwrap());
    let list = Command::new(env!("CARGO_BIN_EXE_landfast")).args(["crd", "-o", "json"]).output().unwrap();
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(list["items"], read(&fs::read_to_string(root("deploy/crds.yaml")).unwrap()));
}

/// One object of the corpus.
struct Case {
    name: String,
    kind: String,
    good: bool,
    spec: Value,
}

fn corpus() -> Vec<Case> {
    let text = fs::read_to_string(root("tests/cases/kinds.yaml")).unwrap();
    let corpus = read(&text)[0].clone();
    let mut cases = Vec::new();
    for (kind, members) in corpus.as_object().unwrap() {
        for (member, values) in members.as_object().unwrap().iter().filter(|(member, _)| *member != "base") {
            for (good, values) in [(true, &values["good"]), (false, &values["bad"])] {
                for value in values.as_array().unwrap() {
                    let mut spec = if member == "spec" { value.clone() } else { members["base"].clone() };
                    if member != "spec" {
                        spec[member] = value.clone();
                    }
                    cases.push(Case { name: format!("case-{}", cases.len()), kind: kind.clone(), good, spec });
                }
            }
        }
    }
    cases
}

#[test]
fn files_and_the_api_server_take_the_same_objects() {
    let cases = corpus();
    assert!(cases.len() > 200, "{}", cases.len());
    let objects: Vec<Value> = cases.iter().map(|case| object(&case.kind, &case.name, &case.spec)).collect();
    let texts: Vec<String> = objects.iter().map(ToString::to_string).collect();
    let said = PLANE.kubectl_with_input(
        User::Admin,
        &["create", "--dry-run=server", "-o", "name", "-f", "-"],
        &texts.join("\n---\n"),
    );
    let taken: BTreeSet<&str> = said.stdout.lines().filter_map(|line| line.rsplit('/').next()).collect();
    let mut wrong = Vec::new();
    for (case, object) in cases.iter().zip(&objects) {
        let (server, faults) = (taken.contains(case.name.as_str()), faults(object));
        if server != case.good || faults.is_empty() != case.good {
            let lines: Vec<&str> =
                said.stderr.lines().filter(|line| line.contains(&format!("\"{}\"", case.name))).collect();
            wrong.push(format!("{} {}\n  server takes: {server} {lines:?}\n  files: {faults:?}", case.kind, case.spec));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn examples_go_in_and_what_cannot_change_does_not() {
    for file in ["example.yaml", "example-breakglass.yaml"] {
        let text = fs::read_to_string(root("tests/data").join(file)).unwrap();
        PLANE.kubectl_with_input(User::Admin, &["apply", "-f", "-"], &text).succeeds();
    }
    let longer = r#"{"spec":{"duration":"3h"}}"#;
    let denied = PLANE.kubectl(User::Admin, &["patch", "breakglass", "inc-1234", "--type=merge", "-p", longer]);
    denied.fails_with(&["cannot be changed: create another BreakGlass"]);
    let listed = PLANE.kubectl(User::Admin, &["get", "landfast"]).succeeds().stdout;
    for part in [
        "PRECEDENCE",
        "REVISION",
        "DURATION",
        "STATE",
        "driftpolicy.landfast.dev/baseline",
        "inc-1234",
        "gitsource.landfast.dev/shop",
    ] {
        assert!(listed.contains(part), "{part} in {listed}");
    }
    for short in ["gsrc", "dp", "bg"] {
        PLANE.kubectl(User::Admin, &["get", short]).succeeds();
    }
    PLANE.kubectl(User::Admin, &["delete", "breakglass,driftpolicy,gitsource", "--all"]).succeeds();
}

#[test]
fn what_the_api_server_refuses_it_refuses_in_words() {
    let cases = [
        (
            "GitSource",
            json!({ "url": "file:///x", "interval": "1 minute", "ref": { "branch": "a", "tag": "b" }, "scope": {} }),
            vec![
                "is no duration such as 30s, 10m or 1h30m",
                "takes exactly one of branch, tag, semver, commit",
                "allows nothing: name namespaces or say clusterScoped: true",
            ],
        ),
        (
            "DriftPolicy",
            json!({ "failurePolicy": "Fail" }),
            vec!["failurePolicy is Fail, but mode Observe never denies"],
        ),
        (
            "DriftPolicy",
            json!({ "mode": "Enforce", "failurePolicy": "Fail", "rulings": { "drift": "Warn" } }),
            vec!["failurePolicy is Fail, but no ruling is Deny"],
        ),
        (
            "DriftPolicy",
            json!({ "rulings": { "undeclaredFields": "Revert" } }),
            vec!["supported values: \"Allow\", \"Warn\", \"Annotate\", \"Deny\""],
        ),
        ("DriftPolicy", json!({ "colour": "red" }), vec!["unknown field \"spec.colour\""]),
    ];
    for (kind, spec, parts) in cases {
        let object = object(kind, "refused", &spec).to_string();
        PLANE.kubectl_with_input(User::Admin, &["create", "--dry-run=server", "-f", "-"], &object).fails_with(&parts);
    }
}

#[test]
fn everything_is_explained() {
    for (kind, part) in [
        ("gitsource", "How far behind the head a deployer may still be rolling out"),
        ("driftpolicy", "The lowest number that matches governs"),
        ("breakglass", "For whom; absent: whoever creates it"),
    ] {
        // The API server publishes a kind a moment after it serves it.
        let told = eventually("the kind to be published", || {
            let told = PLANE.kubectl(User::Admin, &["explain", &format!("{kind}.spec")]);
            (told.code == 0).then_some(told.stdout)
        });
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(part) && !told.contains("<no description>"), "{told}");
        PLANE.kubectl(User::Admin, &["explain", kind, "--recursive"]).succeeds();
    }
    for definition in definitions() {
        let schema = definition.schema();
        each(&schema, definition.kind, &mut |path, schema| {
            let told = schema["description"].as_str().is_some_and(|text| text.ends_with('.'));
            assert!(told || path.ends_with(".metadata"), "{path}: {schema}");
        });
    }
}

/// Every schema below this one, with the path to it.
fn each(schema: &Value, path: &str, see: &mut impl FnMut(&str, &Value)) {
    see(path, schema);
    if schema["items"].is_object() {
        each(&schema["items"], &format!("{path}[]"), see);
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        each(member, &format!("{path}.{name}"), see);
    }
}

/// An object of which only this one value is given: `DriftPolicy.spec.writers[].role`.
fn lonely(path: &str, value: Value) -> Value {
    let (kind, path) = path.split_once('.').unwrap();
    let mut spec = value;
    for step in path.split('.').rev() {
        let (name, listed) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
        spec = if listed { json!({ name: [spec] }) } else { json!({ name: spec }) };
    }
    object(kind, "lonely", &spec["spec"])
}

#[test]
fn members_and_words_are_those_that_files_may_hold() {
    for definition in definitions() {
        let schema = definition.schema();
        each(&schema["properties"]["spec"], &format!("{}.spec", definition.kind), &mut |path, schema| {
            let told = |value: Value, what: &str| -> BTreeSet<String> {
                let faults = faults(&lonely(path, value));
                let fault = faults
                    .iter()
                    .find_map(|fault| fault.split_once(what))
                    .unwrap_or_else(|| panic!("{path}: {faults:?}"));
                fault.1.split(", ").map(ToOwned::to_owned).collect()
            };
            if let Some(members) = schema["properties"].as_object() {
                let kept = told(json!({ "none": 1 }), "; there are ");
                assert_eq!(members.keys().cloned().collect::<BTreeSet<_>>(), kept, "{path}");
            }
            if let Some(words) = schema["enum"].as_array() {
                let words = words.iter().map(|word| word.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>();
                assert_eq!(words, told(json!("none"), ", none of "), "{path}");
            }
        });
    }
}
