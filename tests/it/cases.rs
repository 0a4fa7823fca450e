//! Is every write ruled as the law says? One file a law in `tests/cases/gate`: what Git declares, who writes what, and the
//! verdict with its message. `UPDATE=1` writes the verdicts anew; read the difference.
//!
//! A case is YAML down to the line `expected: |`:
//! `declared` (manifests), `earlier` (`- {ended: seconds ago, declared}`, the newest first), `policy`, `writer`, `groups`,
//! `grants` (BreakGlass: `name`, `opened` so many minutes ago, `spec`), `owners` (of every file), `refused` (where a newer commit went wrong: its file and line),
//! `facts` (`terminating`, `fetched`, `silent`; `access`: whether the writer may break the glass; `records`, `home`; `forms`: what the server makes of the first declaration and of earlier ones, `null` where
//! it was asked in vain; `owners`: the controllers of an object, each as `group/Kind/namespace/name/uid`; `pass`: `Changing`), and the write: `operation`, `subresource`, `version`, `manager` (its field manager), `live` (a manifest; the first
//! declared one where absent) and `change` (what is merged into it, as kubectl's merge patch does).

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use globset::{Glob, GlobSetBuilder};
use jiff::{Timestamp, ToSpan as _};
use landfast::config;
use landfast::drift::declared::{Declared, ObjectKey};
use landfast::drift::form::Form;
use landfast::drift::schema::Schemas;
use landfast::gate::basis::{Basis, CommitId, CommitInfo, Entry, Fault, Index, Objects, SourceId};
use landfast::gate::decide;
use landfast::gate::facts::{Access, Facts, Line, Namespace, Owner, Pass};
use landfast::gate::grant::{Grant, Grants};
use landfast::gate::history::{Packed, Past};
use landfast::gate::ignore::Ignore;
use landfast::gate::incident::Glass;
use landfast::gate::json;
use landfast::gate::policy::{Bounds, Delegation, KindName, Mode, Role, Rule, Subject, Writer};
use landfast::gate::verdict::{Outcome, Ruling};
use landfast::gate::write;
use landfast::{render, yaml};
use serde_json::{Value, json};

use crate::found::targets::reviews::holds;
use crate::support;

const EXPECTED: &str = "\nexpected: |\n";

#[test]
fn every_write_is_ruled_as_the_law_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/gate");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 40, "{}", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let (given, _) = text.split_once(EXPECTED).unwrap_or((text.trim_end(), ""));
        let outcome = std::panic::catch_unwind(|| check(&read(given)));
        let told = told(&outcome.unwrap_or_else(|_| panic!("{}", file.display())));
        let told: Vec<String> = told.lines().map(|line| format!("  {line}").trim_end().to_owned()).collect();
        support::golden(&file, &format!("{given}{EXPECTED}{}\n", told.join("\n")));
    }
}

fn now() -> Timestamp {
    "2026-11-02T12:00:00Z".parse().unwrap()
}

fn read(text: &str) -> Value {
    let documents = yaml::documents(text).unwrap();
    serde_json::from_str(&documents[0].to_json()).unwrap()
}

/// Decides the write of a case that another test tells.
pub(crate) fn decided(case: &str) -> Outcome {
    check(&read(case))
}

/// Decides the write of a case.
fn check(case: &Value) -> Outcome {
    let basis = basis(case);
    let facts = facts(case, &basis);
    let review = serde_json::to_vec(&review(case, &basis)).unwrap();
    let outcome = decide(&write::Write::parse(&review).unwrap(), &basis, &facts, now());
    holds(&outcome);
    outcome
}

fn text<'c>(case: &'c Value, member: &str) -> &'c str {
    case[member].as_str().unwrap_or_default()
}

/// What a case declares, and its policy.
pub(crate) fn basis(case: &Value) -> Basis {
    let declared = text(case, "declared");
    let definitions = render::definitions("apps/web.yaml", declared.as_bytes()).unwrap();
    let schemas = definitions.iter().fold(Schemas::builtin(), |schemas, crd| schemas.with_crd(crd).unwrap());
    let id = SourceId(Arc::from("shop"));
    let mut objects = Objects::default();
    for object in rendered(declared, &schemas) {
        let past = past(case, &object, &schemas);
        let key = object.key.clone();
        let since = now() - case["earlier"][0]["ended"].as_i64().unwrap_or(60).seconds();
        objects.insert(key, Entry { source: id.clone(), head: Some(object), since, past });
    }
    for key in case["dropped"].as_array().into_iter().flatten() {
        let object = rendered(key.as_str().unwrap(), &schemas).remove(0);
        objects
            .insert(object.key.clone(), Entry { source: id.clone(), head: None, since: now(), past: Arc::default() });
    }
    let (index, _) = Index::build(&[(&id, &objects)]);
    let mut basis = support::basis(schemas, index, id);
    let source = Arc::make_mut(basis.sources.values_mut().next().unwrap());
    let owners = case["owners"].as_array().into_iter().flatten();
    source.owners = Arc::new(support::OwnedBy(owners.map(|owner| owner.as_str().unwrap().to_owned()).collect()));
    if let Some((file, line)) = text(case, "refused").rsplit_once(':') {
        let fault = Fault { file: file.to_owned(), line: line.parse().unwrap(), what: "not UTF-8".to_owned() };
        source.refused = Some((CommitId(Arc::from("bad0000")), fault));
    }
    let grants = case["grants"].as_array().into_iter().flatten();
    basis.grants = Arc::new(Grants::of(grants.map(|grant| Arc::new(self::grant(grant)))));
    let policy = Arc::make_mut(&mut basis.policy);
    policy.landfast = Some("system:serviceaccount:landfast-system:landfast".to_owned());
    match &case["policy"] {
        Value::String(none) if none == "none" => policy.rules.clear(),
        given => amend(&mut policy.rules[0], given),
    }
    basis
}

fn rendered(manifests: &str, schemas: &Schemas) -> Vec<Arc<Declared>> {
    let scope = support::everywhere();
    let with = render::Context { schemas, scope: &scope, default_namespace: Some("shop") };
    let rendered = render::file("apps/web.yaml", manifests.as_bytes(), with).unwrap();
    assert!(rendered.faults.is_empty(), "{:?}", rendered.faults);
    rendered.objects
}

/// A grant: a BreakGlass as the API server would send it, opened so many minutes ago.
fn grant(given: &Value) -> Grant {
    let opened = now() - given["opened"].as_i64().unwrap().minutes();
    let metadata = json!({ "name": given["name"], "uid": "r-1", "creationTimestamp": opened.to_string() });
    let (version, kind) = ("landfast.dev/v1alpha1", "BreakGlass");
    let record = json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "spec": given["spec"] });
    config::record::record(&record).unwrap().grant
}

/// What earlier heads said of an object, the newest first.
fn past(case: &Value, head: &Declared, schemas: &Schemas) -> Arc<[Past]> {
    let mut newer = head.json.clone();
    let mut all = Vec::new();
    for earlier in case["earlier"].as_array().into_iter().flatten() {
        let objects = rendered(text(earlier, "declared"), schemas);
        let Some(older) = objects.into_iter().find(|object| object.key == head.key) else { continue };
        let until = now() - earlier["ended"].as_i64().unwrap().seconds();
        all.push(Past { from: until - 1.hours(), until, packed: Packed::pack(&older.json, &newer) });
        newer.clone_from(&older.json);
    }
    all.into()
}

fn amend(rule: &mut Rule, given: &Value) {
    let ruling = |name: &str| {
        let all = [Ruling::Allow, Ruling::Warn, Ruling::Annotate, Ruling::Revert, Ruling::Deny];
        given[name].as_str().map(|wanted| all.into_iter().find(|ruling| ruling.name() == wanted).unwrap())
    };
    rule.drift = ruling("drift").unwrap_or(rule.drift);
    rule.delete = ruling("delete").unwrap_or(rule.drift);
    rule.undeclared_fields = ruling("undeclaredFields").unwrap_or(Ruling::Allow);
    rule.undeclared_objects = ruling("undeclaredObjects").unwrap_or(Ruling::Allow);
    rule.derived_objects = ruling("derivedObjects").unwrap_or(Ruling::Allow);
    for ignored in given["ignore"].as_array().into_iter().flatten() {
        let texts = |name: &str| {
            let all = ignored[name].as_array()?;
            Some(all.iter().map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>())
        };
        rule.ignore.push(Ignore {
            name: text(ignored, "name").to_owned(),
            names: texts("names").map(|names| {
                let add = |mut globs: GlobSetBuilder, name: &String| {
                    globs.add(Glob::new(name).unwrap());
                    globs
                };
                names.iter().fold(GlobSetBuilder::new(), add).build().unwrap()
            }),
            subjects: texts("users").map(|users| users.into_iter().map(Subject::User).collect()),
            fields: texts("fields").unwrap().iter().map(|field| field.parse().unwrap()).collect(),
            expires: ignored["expires"].as_str().map(|at| at.parse().unwrap()),
            ..Ignore::default()
        });
    }
    rule.rollback = given["rollback"].as_u64().map_or(0, |count| usize::try_from(count).unwrap());
    if given["mode"] == "Observe" {
        rule.mode = Mode::Observe;
    }
    if let Some(pattern) = given["breakGlass"].as_str() {
        let reason = Some(regex::Regex::new(pattern).unwrap());
        rule.break_glass = Some(Bounds { longest: Duration::from_hours(4), reason });
    }
    if let Some(user) = given["deployer"].as_str() {
        rule.writers.push(writer(user, Role::Deployer));
    }
    if let Some(user) = given["controller"].as_str() {
        let kinds = vec![KindName { kind: "Deployment".to_owned(), group: "apps".to_owned() }];
        let fields = vec!["spec.replicas".parse().unwrap()];
        rule.writers.push(writer(user, Role::Controller(vec![Delegation { kinds, fields }])));
    }
}

fn writer(user: &str, role: Role) -> Writer {
    Writer { name: user.to_owned(), role, subjects: vec![Subject::User(user.to_owned())] }
}

fn facts(case: &Value, basis: &Basis) -> Facts {
    let mut facts = Facts::default();
    if case["facts"]["pass"] == "Changing" {
        facts.pass = Pass::Changing;
    }
    for namespace in case["facts"]["terminating"].as_array().into_iter().flatten() {
        let terminating = Namespace { terminating: true, ..Namespace::default() };
        facts.namespaces.insert(namespace.as_str().unwrap().to_owned(), terminating);
    }
    if let Some(access) = case["facts"]["access"].as_bool() {
        facts.access.insert("all".to_owned(), if access { Access::Granted } else { Access::Refused });
    }
    for known in case["facts"]["records"].as_array().into_iter().flatten() {
        let grant = (!known["spec"].is_null()).then(|| Arc::new(grant(known)));
        facts.records.insert(text(known, "name").to_owned(), grant);
    }
    if let Some(uid) = case["facts"]["home"].as_str() {
        let home = Namespace { uid: Some(uid.to_owned()), ..Namespace::default() };
        facts.namespaces.insert("shop".to_owned(), home);
    }
    for line in case["facts"]["blamed"].as_array().into_iter().flatten() {
        let line = Line {
            source: SourceId(Arc::from("shop")),
            revision: support::revision(),
            file: "apps/web.yaml".to_owned(),
            line: u32::try_from(line.as_u64().unwrap()).unwrap(),
        };
        let (author, date) = ("Ada Author".to_owned(), "2026-11-02T09:00:00Z".parse().unwrap());
        facts.blame.insert(line, Some(CommitInfo { commit: CommitId(Arc::from("ada0000")), author, date }));
    }
    for (object, owners) in case["facts"]["owners"].as_object().into_iter().flatten() {
        let key = |text: &str| {
            let parts: Vec<&str> = text.split('/').collect();
            ObjectKey::new(parts[0], parts[1], parts[2], parts[3])
        };
        let owner = |text: &str| Owner { key: key(text), uid: text.split('/').nth(4).unwrap_or_default().to_owned() };
        let owners = owners.as_array().map(|all| all.iter().map(|it| owner(it.as_str().unwrap())).collect());
        facts.owners.insert(key(object), owners);
    }
    for (name, set) in [("fetched", &mut facts.fetched), ("silent", &mut facts.silent)] {
        if case["facts"][name] == true {
            set.insert(SourceId(Arc::from("shop")));
        }
    }
    let forms = case["facts"]["forms"].as_array().into_iter().flatten();
    let first = rendered(text(case, "declared"), &basis.schemas).remove(0);
    let declarations = basis.index.objects[&first.key].declarations(now(), Duration::from_hours(24));
    for (manifest, form) in declarations.zip(forms) {
        let form = form.as_str().map(|form| {
            let object = read(form).to_string();
            Arc::new(Form::made(&object, &object))
        });
        facts.forms.insert((*manifest).into(), form);
    }
    facts
}

/// The write of a case, as the API server would send it.
fn review(case: &Value, basis: &Basis) -> Value {
    let live = match text(case, "live") {
        "" => read(text(case, "declared").split("\n---\n").next().unwrap()),
        live => read(live),
    };
    let mut after = live.clone();
    merge(&mut after, &case["change"]);
    let operation = if case["operation"].is_null() { "UPDATE" } else { text(case, "operation") };
    let (group, version) = text(&live, "apiVersion").rsplit_once('/').unwrap_or(("", text(&live, "apiVersion")));
    let (subresource, parent) = (text(case, "subresource"), text(case, "of"));
    let kind = if parent.is_empty() { text(&live, "kind") } else { parent };
    let group = if parent.is_empty() { group } else { text(case, "group") };
    let info = basis.schemas.kind(group, kind);
    let resource = info.map_or_else(|| format!("{}s", kind.to_lowercase()), |info| info.resource.clone());
    let namespaced = info.is_none_or(|info| info.namespaced);
    let (object, old) = match operation {
        "CREATE" => (after, Value::Null),
        "DELETE" => (Value::Null, live.clone()),
        "CONNECT" => (json!({}), Value::Null),
        _ => (after, live.clone()),
    };
    json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u-1", "operation": operation, "dryRun": case["dryRun"] == true,
        "name": live["metadata"]["name"], "namespace": namespaced.then_some("shop"),
        "kind": { "group": group, "version": version, "kind": live["kind"] },
        "resource": { "group": group, "version": version, "resource": resource },
        "subResource": (!subresource.is_empty()).then_some(subresource),
        "userInfo": { "username": case["writer"].as_str().unwrap_or("alice"), "groups": case["groups"] },
        "object": object, "oldObject": old, "options": { "fieldManager": case["manager"] },
    }})
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (_, Value::Null) => {}
        (Value::Object(members), Value::Object(changes)) => {
            for (name, change) in changes {
                if change.is_null() {
                    members.remove(name);
                } else {
                    merge(members.entry(name.clone()).or_insert(Value::Null), change);
                }
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

/// An outcome, for a person to read.
fn told(outcome: &Outcome) -> String {
    let verdict = &outcome.verdict;
    let effect = if verdict.enforced { "enforced" } else { "observed" };
    let mut told = format!("{} ({effect}) to a {}: {}", verdict.ruling.name(), verdict.role.name(), verdict.reason);
    for field in &verdict.fields {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let values = [&field.git, &field.before, &field.written].map(shown).join(" | ");
        let _ = write!(told, "\n{} {}: {values}", field.class.name(), field.path);
    }
    if let Some(origin) = &verdict.origin {
        let commit = origin.commit.as_ref().map_or("-", |at| at.commit().short());
        let _ = write!(told, "\norigin: {}:{} at {commit}", origin.file, origin.line);
    }
    if let Some(Glass { act, record, reason, ends }) = &verdict.glass {
        let _ = write!(told, "\nbreak-glass: {act:?} {record} ({reason}) until {ends}");
    }
    for question in &outcome.questions {
        let _ = write!(told, "\nquestion: {question:?}");
    }
    for aside in &outcome.asides {
        let _ = write!(told, "\naside: {aside:?}");
    }
    for exception in &verdict.ignored {
        let _ = write!(told, "\nignored by: {exception}");
    }
    for warning in &verdict.warnings {
        let _ = write!(told, "\nwarning: {warning}");
    }
    for operation in json::verdict_json(verdict, "")["patch"].as_array().into_iter().flatten() {
        let _ = write!(told, "\npatch: {operation}");
    }
    if !verdict.message.is_empty() {
        let _ = write!(told, "\nmessage:\n{}", verdict.message);
    }
    told
}
