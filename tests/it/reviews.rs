//! What is ruled on everything that a real API server sent? 558 recorded reviews, against a repository that declares the first
//! state of each recorded object, in mode Enforce.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use landfast::config;
use landfast::drift::schema::Schemas;
use landfast::gate::basis::{Basis, Entry, Index, Objects, SourceId};
use landfast::gate::decide;
use landfast::gate::facts::{Facts, Question};
use landfast::gate::verdict::{Ruling, Verdict, WriterRole};
use landfast::gate::write::Write;
use landfast::render;
use landfast::serve::admission::router;
use landfast::serve::answers::{Answer, Answers};
use serde_json::Value;
use tokio::sync::watch;

use crate::serve::post;
use crate::serving::{Serving, clock};
use crate::support;

pub(crate) struct Recorded {
    /// `<scenario>__<verb>-<resource>__<who>__<n>`
    name: String,
    /// As it came.
    pub(crate) review: Value,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reviews")
}

pub(crate) fn recorded() -> Vec<Recorded> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let scenario = file.file_stem().unwrap().to_string_lossy().into_owned();
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let name = format!("{scenario}__{}", line["name"].as_str().unwrap());
            all.push(Recorded { name, review: line["review"].take() });
        }
    }
    all
}

/// The first state of each recorded object, as a person would export it: without what the server owns, without `status`.
pub(crate) fn first_states(all: &[Recorded]) -> Vec<Value> {
    let mut first: BTreeMap<String, (u64, Value)> = BTreeMap::new();
    for (position, recorded) in all.iter().enumerate() {
        let request = &recorded.review["request"];
        let (kind, created) = (&request["kind"], request["operation"] == "CREATE");
        let state = if created { &request["object"] } else { &request["oldObject"] };
        // What is sent to a subresource of its own kind (a Scale, an Eviction, …) is no object that Git could declare.
        let parts = ["Scale", "Eviction", "Binding", "TokenRequest", "SelfSubjectReview", "SelfSubjectAccessReview"];
        if parts.iter().any(|part| kind["kind"] == *part) || request["operation"] == "CONNECT" {
            continue;
        }
        // Scenarios stand in the order of recording; within one, a creation comes before all else, then the lower version.
        let scenario =
            all[..position].iter().rev().take_while(|it| scenario(&it.name) == scenario(&recorded.name)).count();
        let version: u64 = state["metadata"]["resourceVersion"].as_str().map_or(0, |version| version.parse().unwrap());
        let rank = ((position - scenario) as u64) << 32 | if created { 0 } else { version };
        let metadata = &state["metadata"];
        let key = format!("{} {} {} {}", kind["group"], kind["kind"], metadata["namespace"], metadata["name"]);
        match first.get(&key) {
            Some((earlier, _)) if *earlier <= rank => {}
            Some(_) | None => drop(first.insert(key, (rank, exported(state.clone())))),
        }
    }
    first.into_values().map(|(_, state)| state).collect()
}

fn scenario(name: &str) -> &str {
    name.split("__").next().unwrap()
}

fn exported(mut state: Value) -> Value {
    let object = state.as_object_mut().unwrap();
    object.remove("status");
    let metadata = object["metadata"].as_object_mut().unwrap();
    for owned in ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "generateName"] {
        metadata.remove(owned);
    }
    state
}

/// All of it enforced, as an operator writes it.
const POLICY: &str = "\
apiVersion: landfast.dev/v1alpha1
kind: DriftPolicy
metadata: { name: all }
spec:
  mode: Enforce
  rulings: { drift: Deny, delete: Deny, undeclaredFields: Deny }
";

/// Git declares all of these, and one policy enforces them.
pub(crate) fn basis(states: &[Value]) -> Basis {
    let definitions = states.iter().filter(|state| state["kind"] == "CustomResourceDefinition");
    let schemas = definitions.fold(Schemas::builtin(), |schemas, crd| schemas.with_crd(crd).unwrap());
    let scope = support::everywhere();
    let id = SourceId(Arc::from("recorded"));
    let mut objects = Objects::default();
    for (number, state) in states.iter().enumerate() {
        let file = format!("objects/{number:03}.json");
        let with = render::Context { schemas: &schemas, scope: &scope, default_namespace: None };
        let rendered = render::file(&file, state.to_string().as_bytes(), with).unwrap();
        assert!(rendered.faults.is_empty(), "{state}: {:?}", rendered.faults);
        for declared in rendered.objects {
            let entry = Entry {
                source: id.clone(),
                head: Some(declared.clone()),
                since: Timestamp::UNIX_EPOCH,
                past: Arc::default(),
            };
            objects.insert(declared.key.clone(), entry);
        }
    }
    let (index, _) = Index::build(&[(&id, &objects)]);
    let mut basis = support::basis(schemas, index, id);
    let settings = config::parse(&[("policy.yaml".to_owned(), POLICY.to_owned())]).unwrap();
    assert_eq!(settings.notices, []);
    basis.policy = settings.policy;
    basis
}

fn line(name: &str, verdict: &Verdict) -> String {
    let mut line = format!("{:<5} {:<10} {name}: {}", verdict.ruling.name(), verdict.role.name(), verdict.reason);
    for field in &verdict.fields {
        let _ = write!(line, "; {} {}", field.class.name(), field.path);
    }
    line
}

#[test]
fn every_recorded_review_gets_its_verdict() {
    let all = recorded();
    assert_eq!(all.len(), 558);
    let basis = basis(&first_states(&all));
    let facts = Facts::default();
    let mut lines = Vec::new();
    let (mut denied, mut refused_controllers) = (0, Vec::new());
    for recorded in &all {
        let bytes = serde_json::to_vec(&recorded.review).unwrap();
        let write = Write::parse(&bytes).unwrap_or_else(|error| panic!("{}: {error}", recorded.name));
        let outcome = decide(&write, &basis, &facts, Timestamp::UNIX_EPOCH);
        let verdict = &outcome.verdict;
        lines.push(line(&recorded.name, verdict));
        denied += u32::from(!verdict.allowed());
        if !verdict.allowed() && verdict.role == WriterRole::Controller {
            refused_controllers.push(recorded.name.clone());
        }
    }
    support::golden(&folder().join("verdicts.txt"), &format!("{}\n", lines.join("\n")));
    assert_eq!(refused_controllers, Vec::<String>::new(), "the control plane's own writes go in");
    assert!(denied >= 60, "{denied} denied");
}

/// Refuses to be asked anything, by whomever and whatever for.
struct Refuses;

impl Answers for Refuses {
    fn answer<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Answer> {
        panic!("asked: {question:?}")
    }

    fn at_hand(&self, question: &Question) -> Answer {
        panic!("asked for what is at hand: {question:?}")
    }
}

#[tokio::test]
async fn what_is_let_in_on_its_content_makes_no_call_to_anywhere() {
    let all = recorded();
    let mut basis = basis(&first_states(&all));
    // A person's new object waits for its form where additions are denied, and only there.
    let policy = POLICY.replace("undeclaredFields: Deny", "undeclaredFields: Allow");
    basis.policy = config::parse(&[("policy.yaml".to_owned(), policy)]).unwrap().policy;
    let basis = Arc::new(basis);
    let (sender, receiver) = watch::channel(Arc::clone(&basis));
    let serving = Serving::with(Arc::new(Refuses), sender, receiver);
    let router = router(Arc::clone(&serving.admission));
    let (mut validated, mut changed) = (0, 0);
    for recorded in &all {
        let bytes = serde_json::to_vec(&recorded.review).unwrap();
        let write = Write::parse(&bytes).unwrap();
        // By the admission's own clock, and by nothing but what is in memory.
        let outcome = decide(&write, &basis, &Facts::default(), clock()());
        if outcome.verdict.ruling != Ruling::Allow {
            continue;
        }
        assert!(outcome.questions.is_empty() && outcome.asides.is_empty(), "{}", recorded.name);
        for (path, count) in [("/validate", &mut validated), ("/mutate", &mut changed)] {
            let answer = post(&router, path, bytes.clone()).await;
            assert_eq!(answer["allowed"], true, "{} at {path}: {answer}", recorded.name);
            assert!(answer.get("warnings").is_none(), "{} at {path}: {answer}", recorded.name);
            *count += 1;
        }
    }
    assert!(validated > 350 && changed == validated, "{validated} and {changed} of {}", all.len());
    // A panic would have been answered by the failure rule, and counted.
    assert!(serving.metrics.encode().unwrap().contains("landfast_panics_total 0"));
}
