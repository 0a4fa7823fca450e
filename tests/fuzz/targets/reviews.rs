//! Does every review get one verdict that says what it means, and shows nothing of a Secret?
//!
//! The input is an AdmissionReview, before it, up to a zero byte, what Git declares of its object: without that it is what the
//! review shows of the object before the write, or after it.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use landfast::drift::declared::{Declared, Lines};
use landfast::drift::schema::Schemas;
use landfast::gate::aim::Aim;
use landfast::gate::basis::{Basis, Entry, Index, Objects, Scope, SourceId};
use landfast::gate::facts::Facts;
use landfast::gate::policy::{Role, Subject, Writer};
use landfast::gate::response::Answer;
use landfast::gate::verdict::{Outcome, Ruling};
use landfast::gate::write::{Change, Write};
use landfast::gate::{decide, json};
use landfast::{render, yaml};
use serde_json::Value;

use crate::support;

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(Schemas::builtin);
static SCOPE: LazyLock<Scope> = LazyLock::new(support::everywhere);

pub(super) fn run(data: &[u8]) {
    let (declared, review) = match data.iter().position(|byte| *byte == 0) {
        Some(at) => (Some(&data[..at]), &data[at + 1..]),
        None => (None, data),
    };
    let Ok(write) = Write::parse(review) else { return };
    let aim = Aim::of(&write, &SCHEMAS);
    let shown = match write.change {
        Change::Create { after } => Some(after),
        Change::Update { before, .. } => Some(before),
        Change::Delete { before } => before,
        Change::Connect => None,
    };
    let json = match declared {
        Some(manifest) => manifest_json(manifest),
        None => shown.map(|object| object.get().to_owned()),
    };
    let declared = json.map(|json| Declared {
        key: aim.key.clone(),
        version: write.target.version.as_str().into(),
        json: json.into_bytes().into(),
        lines: Lines::pack([1, 2, 3]),
        file: Arc::from("shop.yaml"),
        ignored: Box::default(),
    });
    let (basis, facts) = (basis(declared), Facts::default());
    let outcome = decide(&write, &basis, &facts, Timestamp::UNIX_EPOCH);
    holds(&outcome);
    let again = decide(&write, &basis, &facts, Timestamp::UNIX_EPOCH);
    assert_eq!(json::verdict_json(&outcome.verdict, write.uid), json::verdict_json(&again.verdict, write.uid));
}

/// A manifest as the renderer gives it, else the first object of a text as it stands.
fn manifest_json(manifest: &[u8]) -> Option<String> {
    let with = render::Context { schemas: &SCHEMAS, scope: &SCOPE, default_namespace: Some("shop") };
    let rendered = render::file("shop.yaml", manifest, with).unwrap_or_default();
    if let Some(object) = rendered.objects.first() {
        return Some(String::from_utf8_lossy(&object.json).into_owned());
    }
    let nodes = yaml::documents(std::str::from_utf8(manifest).ok()?).ok()?;
    nodes.first().map(yaml::Node::to_json)
}

fn basis(declared: Option<Declared>) -> Basis {
    let id = SourceId(Arc::from("shop"));
    let mut objects = Objects::default();
    if let Some(declared) = declared {
        let (key, head) = (declared.key.clone(), Some(Arc::new(declared)));
        objects.insert(key, Entry { source: id.clone(), head, since: Timestamp::UNIX_EPOCH, past: Arc::default() });
    }
    let (index, _) = Index::build(&[(&id, &objects)]);
    let mut basis = support::basis(SCHEMAS.clone(), index, id);
    let policy = Arc::make_mut(&mut basis.policy);
    policy.rules[0].undeclared_fields = Ruling::Warn;
    let subjects = vec![Subject::User("ci".to_owned()), Subject::Group("system:masters".to_owned())];
    policy.rules[0].writers.push(Writer { name: "ci".to_owned(), role: Role::Deployer, subjects });
    basis
}

/// What holds of every outcome.
pub fn holds(outcome: &Outcome) {
    let verdict = &outcome.verdict;
    let answer: Value = serde_json::from_slice(&Answer::of(verdict, "u-1").to_json()).expect("an answer is JSON");
    assert_eq!(answer["response"]["allowed"], verdict.allowed());
    assert_eq!(json::verdict_json(verdict, "u-1")["allowed"], verdict.allowed());
    let silent = verdict.ruling == Ruling::Allow && verdict.glass.is_none();
    assert_eq!(verdict.message.is_empty(), silent, "{}", verdict.message);
    assert!(verdict.message.lines().next().unwrap_or_default().chars().count() <= 120, "{}", verdict.message);
    assert!(verdict.warnings.iter().all(|warning| warning.chars().count() <= 120), "{:?}", verdict.warnings);
    assert!(!verdict.message.chars().any(|letter| letter.is_control() && letter != '\n'), "{:?}", verdict.message);
    let warns = matches!(verdict.ruling, Ruling::Warn | Ruling::Annotate | Ruling::Revert);
    assert!(verdict.warnings.is_empty() || (verdict.enforced && verdict.allowed()), "{:?}", verdict.warnings);
    assert!(!verdict.warnings.is_empty() || !verdict.enforced || !warns);
    let changing: Value =
        serde_json::from_slice(&Answer::changing(verdict, "u-1").to_json()).expect("an answer is JSON");
    assert_eq!(changing["response"]["allowed"], true);
    assert_eq!(changing["response"]["patch"].is_string(), !verdict.patch.is_empty());
    if (verdict.object.group(), verdict.object.kind()) == ("", "Secret") {
        let is_shown = |value: &Option<String>| value.is_some();
        assert!(
            !verdict.fields.iter().any(|field| [&field.git, &field.before, &field.written].into_iter().any(is_shown))
        );
    }
}
