//! Do the offline commands answer as scripts may rely on? The real binary, a real repository, no cluster.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::gate::DEPLOYMENT;
use crate::testbed::repository::Repository;

struct Ran {
    code: i32,
    answers: Vec<Value>,
    errors: String,
}

fn landfast(arguments: &[&str], input: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfast"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Who does not read its input has an answer already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    Ran {
        code: output.status.code().unwrap(),
        answers: answers.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| line.into())).collect(),
        errors: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A repository that declares one Deployment in `shop`, and a configuration that guards it.
struct House {
    repository: Repository,
    folder: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let house = Self { repository: Repository::new(), folder: tempfile::tempdir().unwrap() };
        house.repository.commit(&[("web.yaml", &declared()), ("CODEOWNERS", "* @shop/backend\n")], "Declare the shop");
        let url = house.repository.url();
        house.file(
            "config.yaml",
            &format!(
                "apiVersion: landfast.dev/v1alpha1\nkind: GitSource\nmetadata: {{ name: shop }}\nspec:\n  url: {url}\n  \
                 ref: {{ branch: main }}\n  defaultNamespace: shop\n  scope: {{ namespaces: [shop] }}\n---\napiVersion: landfast.dev/v1alpha1\n\
                 kind: DriftPolicy\nmetadata: {{ name: shop }}\nspec: {{ precedence: 1, mode: Enforce }}\n"
            ),
        );
        house
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_string_lossy().into_owned()
    }

    fn check(&self, arguments: &[&str], input: &str) -> Ran {
        let config = self.folder.path().join("config.yaml");
        let mut all = vec!["check", "--config", config.to_str().unwrap(), "-o", "json"];
        all.extend(arguments);
        landfast(&all, input)
    }
}

fn declared() -> String {
    DEPLOYMENT.replace("$NAMESPACE", "shop")
}

fn scale(uid: &str, replicas: u32) -> Value {
    let scale = |replicas| json!({ "kind": "Scale", "apiVersion": "autoscaling/v1", "spec": { "replicas": replicas } });
    json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": uid, "operation": "UPDATE", "name": "web", "namespace": "shop", "subResource": "scale",
        "kind": { "group": "autoscaling", "version": "v1", "kind": "Scale" },
        "resource": { "group": "apps", "version": "v1", "resource": "deployments" },
        "userInfo": { "username": "alice", "groups": ["system:authenticated"] },
        "object": scale(replicas), "oldObject": scale(3), "dryRun": false, "options": null,
    }})
}

#[test]
fn reviews_are_answered_in_their_order() {
    let house = House::new();
    let array = house.file("reviews.json", &json!([scale("one", 5), scale("two", 3)]).to_string());
    let ran = house.check(&["--review", &array, "--review", "-"], &scale("three", 4).to_string());
    let told: Vec<Value> =
        ran.answers.iter().map(|answer| json!([answer["uid"], answer["ruling"], answer["allowed"]])).collect();
    assert_eq!(told, [json!(["one", "Deny", false]), json!(["two", "Allow", true]), json!(["three", "Deny", false])]);
    assert_eq!((ran.code, ran.errors.as_str()), (1, ""));
    let first = &ran.answers[0];
    assert_eq!(
        first["object"],
        json!({ "group": "apps", "version": "v1", "kind": "Deployment", "namespace": "shop", "name": "web" })
    );
    assert_eq!(first["writer"], json!({ "user": "alice", "role": "Person" }));
    assert_eq!(
        (&first["policy"], &first["source"], &first["subresource"]),
        (&json!("shop"), &json!("shop"), &json!("scale"))
    );
    assert_eq!(first["revision"], json!(house.repository.head()));
    let field = &first["fields"][0];
    assert_eq!((&field["path"], &field["class"]), (&json!("spec.replicas"), &json!("drifts")));
    assert_eq!((&field["git"], &field["before"], &field["written"]), (&json!(3), &json!(3), &json!(5)));
    assert_eq!(field["origin"]["file"], json!("web.yaml"));
    assert_eq!(field["origin"]["commit"], first["revision"]);
}

#[test]
fn a_manifest_without_a_namespace_is_in_the_one_of_the_sources() {
    let house = House::new();
    let manifest = declared().replace("replicas: 3", "replicas: 5").replace("namespace: shop", "annotations: {}");
    assert!(!manifest.contains("namespace"), "{manifest}");
    let ran = house.check(&["-"], &manifest);
    let answer = &ran.answers[0];
    assert_eq!((&answer["object"]["namespace"], &answer["ruling"]), (&json!("shop"), &json!("Deny")), "{}", ran.errors);
    assert_eq!(ran.code, 1);
}

#[test]
fn a_line_is_told_with_who_wrote_it_not_with_who_came_last() {
    let house = House::new();
    let wrote = house.repository.head();
    house.repository.commit(&[("README.md", "the shop\n")], "Say what it is");
    let ran = house.check(&["--review", "-"], &scale("one", 5).to_string());
    let answer = &ran.answers[0];
    assert_eq!(answer["revision"], json!(house.repository.head()));
    let origin = &answer["fields"][0]["origin"];
    assert_eq!(origin["commit"], json!(wrote), "{}", ran.errors);
    let author = origin["author"].as_str().unwrap();
    let at = format!("at {} ({author}, ", &wrote[..7]);
    assert!(answer["message"].as_str().unwrap().contains(&at), "{answer}");
}

#[test]
fn a_manifest_is_checked_as_a_creation() {
    let house = House::new();
    let same = house.file("same.yaml", &declared());
    let ran = house.check(&["--writer", "bob", &same], "");
    assert_eq!((ran.code, &ran.answers[0]["allowed"]), (0, &json!(true)), "{}", ran.errors);
    let other = house.file("other.yaml", &declared().replace("replicas: 3", "replicas: 9"));
    let ran = house.check(&["--writer", "bob", &same, &other], "");
    assert_eq!((ran.code, &ran.answers[1]["allowed"]), (1, &json!(false)), "{}", ran.errors);
    assert!(ran.answers[1].get("uid").is_none());
    assert!(ran.answers[1]["message"].as_str().unwrap().contains("owned by @shop/backend"));
}

#[test]
fn what_cannot_be_answered_exits_with_2_and_says_why() {
    let house = House::new();
    let cases = [
        (vec!["--review", "-"], "{}", "`apiVersion` is not `admission.k8s.io/v1`"),
        (vec!["--review", "-"], "nothing", "not JSON"),
        (vec!["--review", "/nowhere.json"], "", "cannot read /nowhere.json"),
        (vec!["/nowhere.yaml"], "", "cannot read /nowhere.yaml"),
        (vec![], "", "required"),
    ];
    for (arguments, input, expected) in cases {
        let ran = house.check(&arguments, input);
        assert_eq!(ran.code, 2, "{arguments:?}");
        assert!(ran.errors.contains(expected), "{arguments:?}: {}", ran.errors);
    }
    house.file("config.yaml", "kind: GitSource\n");
    let ran = house.check(&["--review", "-"], "{}");
    assert_eq!(ran.code, 2);
    assert!(ran.errors.contains("config.yaml:1"), "{}", ran.errors);
}

#[test]
fn diff_compares_two_files() {
    let house = House::new();
    let same = house.file("declared.yaml", &declared());
    let live = house.file("live.yaml", &declared().replace("replicas: 3", "replicas: 9"));
    let run = |arguments: &[&str]| landfast(&[&["diff", "-o", "json"], arguments].concat(), "");
    let ran = run(&["--declared", &same, "--live", &same]);
    assert_eq!((ran.code, ran.answers), (0, vec![json!({ "agrees": true, "fields": [] })]), "{}", ran.errors);
    let ran = run(&["--declared", &same, "--live", &live]);
    assert_eq!((ran.code, &ran.answers[0]["agrees"]), (1, &json!(false)), "{}", ran.errors);
    assert_eq!(ran.answers[0]["fields"][0]["path"], "spec.replicas");
    assert_eq!(ran.answers[0]["fields"][0]["class"], "drifts");
    let ran = run(&["--declared", &same, "--live", &live, "--before", &live]);
    assert_eq!((ran.code, &ran.answers[0]["fields"][0]["class"]), (1, &json!("preexisting")));
    let ran = run(&["--declared", &same, "--live", &same, "--before", &live]);
    assert_eq!((ran.code, &ran.answers[0]["fields"][0]["class"]), (0, &json!("restores")));
    let ran = run(&["--declared", &same, "--live", "/nowhere.yaml"]);
    assert_eq!(ran.code, 2);
}

#[test]
fn diff_never_compares_two_objects() {
    let house = House::new();
    let [map, other, bare] =
        ["metadata: { name: a, namespace: shop }", "metadata: { name: b, namespace: shop }", "metadata: { name: a }"]
            .map(|metadata| format!("apiVersion: v1\nkind: ConfigMap\n{metadata}\ndata: {{ a: \"1\" }}\n"));
    let [map, other, bare] =
        [("map", map), ("other", other), ("bare", bare)].map(|(name, text)| house.file(&format!("{name}.yaml"), &text));
    let web = house.file("web.yaml", &declared());
    let run = |live: &str, more: &[&str]| landfast(&[&["diff", "--declared", &map, "--live", live], more].concat(), "");
    for (live, named) in [(&web, "Deployment shop/web"), (&other, "ConfigMap shop/b")] {
        let ran = run(live, &[]);
        let told = format!("the live object is {named}, declared is ConfigMap shop/a");
        assert_eq!((ran.code, ran.errors.contains(&told)), (2, true), "{}", ran.errors);
    }
    assert_eq!(run(&map, &["--before", &web]).code, 2);
    assert_eq!(run(&bare, &[]).code, 0, "what names no namespace is of the declared one");
    let ran = landfast(&["diff", "--declared", &bare, "--live", &map], "");
    assert_eq!(ran.code, 0, "a repository may leave the namespace to its deployer: {}", ran.errors);
}

#[test]
fn diff_shows_no_value_of_a_secret() {
    let house = House::new();
    let secret = |value: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: a, namespace: shop }}\nstringData: {{ key: {value} }}\n"
        )
    };
    let (one, two) = (house.file("one.yaml", &secret("hunter1")), house.file("two.yaml", &secret("hunter2")));
    let ran = landfast(&["diff", "--declared", &one, "--live", &two], "");
    let told: Vec<&str> = ran.answers.iter().filter_map(Value::as_str).collect();
    assert_eq!((ran.code, ran.errors.as_str()), (1, ""));
    assert!(told[1].ends_with(" drifts: differs (values not shown)"), "{told:?}");
    assert!(!told.iter().any(|line| line.contains("hunter") || line.contains("not declared")), "{told:?}");
}

#[test]
fn a_configuration_without_effect_lets_nothing_in() {
    let house = House::new();
    let web = house.file("web.yaml", &declared());
    let config = std::fs::read_to_string(house.folder.path().join("config.yaml")).unwrap();
    let (source, policy) = config.split_once("---\n").unwrap();
    let unbuilt = format!("{source}  verify: {{ secretRef: {{ name: keys }} }}\n");
    for (config, told) in [
        (policy, "could not answer: the configuration has no GitSource"),
        (unbuilt.as_str(), "could not answer: the configuration leaves GitSource shop without effect"),
    ] {
        house.file("config.yaml", config);
        let ran = house.check(&[&web], "");
        assert_eq!((ran.code, ran.errors.contains(told)), (2, true), "{}", ran.errors);
    }
}

#[test]
fn help_says_who_writes_and_that_standard_input_is_read() {
    let told = landfast(&["check", "--help"], "").answers;
    let told: String = told.iter().filter_map(Value::as_str).collect();
    let ran = House::new().check(&["-"], &declared().replace("replicas: 3", "replicas: 9"));
    assert_eq!((ran.code, &ran.answers[0]["writer"]["user"]), (1, &json!("system:anonymous")), "{}", ran.errors);
    assert!(told.contains("system:anonymous") && told.contains("`-` is standard input"), "{told}");
}
