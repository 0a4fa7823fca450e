//! Does the engine answer as the API server would? Thousands of generated writes, judged by a real one.
//!
//! `tests/oracle.sh [CASES] [SEED]`. For a kind, an object O is stored and declarations D are made that differ from it in
//! generated ways; the server is asked for D applied to O, with force, as a dry-run by a fresh manager; the declared paths that it
//! changes are compared with those that the engine reports. Both directions count: what only the engine reports is a false
//! denial, what only the server changes a missed drift. `judge` reads the server's answer and shares no code with the engine,
//! `verdict` says when two answers are the same, `values` and `vary` generate.
//!
//! `cargo test` runs it with [`CASES`] cases; another test's name as argument runs nothing.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test that cannot go on panics, and prints its table"
)]

mod batch;
mod chance;
mod embed;
mod faults;
mod form;
mod judge;
mod kind;
mod kinds;
mod meaning;
mod offer;
mod record;
mod server;
mod shrink;
mod tally;
#[allow(dead_code, unreachable_pub, unused_imports, reason = "helpers for all tests, whichever use them today")]
#[path = "../testbed/mod.rs"]
mod testbed;
mod values;
mod vary;
mod verdict;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use futures::StreamExt as _;
use serde_json::json;

use crate::batch::{Case, Outcome};
use crate::kind::Kind;
use crate::record::Record;
use crate::server::Server;
use crate::tally::{Disagreement, Row};
use crate::testbed::control_plane::ControlPlane;
use crate::testbed::user::User;

/// Cases of a run that names no number: some cannot be tried, and 3,000 are to be. some are lost where the server lets in no object.
const CASES: usize = 3_300;

/// Batches under way at once: enough to keep two processors busy.
const AT_ONCE: usize = 8;

/// Disagreements of one kind that are shrunk.
const SHRUNK_MAX: usize = 6;

/// Disagreements that are told in full.
const TOLD_MAX: usize = 40;

/// Kinds whose objects the server stamps with the second of each write (a taint's `timeAdded`).
const STAMPED: [&str; 1] = ["ResourceSlice"];

const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

/// Kinds on which planted faults are looked for: of each sort one.
const FAULTY_KINDS: &str = "CertificateSigningRequest,ConfigMap,Defaults,Deployment,Keyed,Lists,Nullable,Number,Pruned,ResourceQuota,Scalars,Secret,Service.,Varied";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| words.iter().any(|word| word == name);
    let names: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let numbers: Vec<u64> = names.iter().filter_map(|word| word.parse().ok()).collect();
    // What `cargo test NAME` hands to every test binary.
    let is_meant = names.first().is_none_or(|word| word.parse::<u64>().is_ok() || "oracle".contains(word.as_str()));
    if !is_meant || flag("--list") {
        return ExitCode::SUCCESS;
    }
    let cases = numbers.first().map_or(CASES, |cases| usize::try_from(*cases).unwrap_or(CASES));
    let seed = numbers.get(1).copied().unwrap_or(1);
    let plane = ControlPlane::start();
    plane.stop_controllers();
    let only = std::env::var("ORACLE_KIND").ok();
    let only = if flag("--faults") { Some(FAULTY_KINDS.to_owned()) } else { only };
    let folder = plane.folder().join("faults");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("recorded.jsonl");
    let record = flag("--faults").then(|| Record::at(&file));
    let run = Run { cases, seed, only, record };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let faults = runtime.block_on(run.all(&plane));
    drop(run);
    if faults > 0 || flag("--faults") && faults::plant(&file, &folder) > 0 {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// A run of the oracle.
struct Run {
    cases: usize,
    seed: u64,
    /// How the titles of the kinds begin that are tried, separated by commas.
    only: Option<String>,
    record: Option<Record>,
}

impl Run {
    fn is_tried(&self, kind: &Kind) -> bool {
        let is = |only: &str| only.split(',').any(|own| kind.title.starts_with(own));
        self.only.as_deref().is_none_or(is)
    }

    /// How many cases disagree, and how many doubts there are of the run itself.
    async fn all(&self, plane: &ControlPlane) -> usize {
        let started = std::time::Instant::now();
        let server = Server::new(plane.client(User::Judge).await);
        let custom = kinds::custom(&server).await;
        define(&server, &custom).await;
        let mut kinds = kinds::all(&server, &custom).await;
        kinds.retain(|kind| self.is_tried(kind));
        furnish(&server, &kinds).await;
        let places = kinds.iter().map(|kind| kind.places.len()).sum::<usize>();
        println!("{} kinds, {places} places; seed {}", kinds.len(), self.seed);
        let (mut all, mut disagreements) = (Row::default(), Vec::new());
        print_head();
        let shares = shares(&kinds, self.cases);
        let kinds: Vec<Arc<Kind>> = kinds.into_iter().map(Arc::new).collect();
        for (kind, cases) in kinds.iter().zip(shares) {
            if let Some(record) = &self.record {
                record.kind(kind);
            }
            let other = kinds.iter().find(|other| other.is_another_version_of(kind));
            let (row, mut found) = self.examine(&server, kind, other, cases).await;
            shrink_some(&server, kind, &mut found).await;
            print_row(&kind.title, &row, kind.places.len());
            all.add(&row);
            disagreements.extend(found);
        }
        print_row("all", &all, 0);
        tell(&disagreements);
        println!(
            "{:?}; exceptions {:?}; refused {:?}; lost {}",
            started.elapsed(),
            all.exceptions,
            all.codes,
            all.lost
        );
        println!(
            "{} left to the server, {} of them still with its form; once the object was written to, of {} {}",
            all.unknown, all.open, all.moved, all.moved_open
        );
        println!(
            "{} answered, of which {} % change something",
            all.answers(),
            100 * all.changed / all.answers().max(1)
        );
        let doubts = all.doubts(self.cases);
        for doubt in &doubts {
            println!("This run proves little: {doubt}");
        }
        println!("{} cases, {} disagreements", all.cases, all.disagreed());
        all.disagreed() + doubts.len()
    }
}

/// How many cases each kind gets: as its schema is large, within bounds.
fn shares(kinds: &[Kind], cases: usize) -> Vec<usize> {
    let weight =
        |kind: &Kind| if kind.kind == "CustomResourceDefinition" { 60 } else { kind.places.len().clamp(200, 1_500) };
    let sum: usize = kinds.iter().map(weight).sum();
    kinds.iter().map(|kind| (cases * weight(kind)).div_ceil(sum.max(1))).collect()
}

/// Makes our own kinds known to the server.
async fn define(server: &Server, custom: &[Vec<serde_json::Value>]) {
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    for all in custom {
        server.write(definitions, &all[0]).await;
        let (group, versions) = (&all[0]["spec"]["group"], all[0]["spec"]["versions"].as_array().unwrap());
        for version in versions {
            let path = format!("/openapi/v3/apis/{}/{}", group.as_str().unwrap(), version["name"].as_str().unwrap());
            let kind = all[0]["spec"]["names"]["kind"].as_str().unwrap();
            server.await_kind(&path, kind).await;
        }
    }
}

/// Makes the namespaces, each with the account that pods ask for.
async fn furnish(server: &Server, kinds: &[Kind]) {
    let namespaces: std::collections::BTreeSet<_> = kinds.iter().filter_map(|kind| kind.namespace.clone()).collect();
    for namespace in namespaces {
        server.write("/api/v1/namespaces", &json!({ "metadata": { "name": namespace } })).await;
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        server.write(&accounts, &json!({ "metadata": { "name": "default" } })).await;
    }
}

impl Run {
    /// Tries the cases of one kind.
    async fn examine(
        &self,
        server: &Server,
        kind: &Arc<Kind>,
        other: Option<&Arc<Kind>>,
        cases: usize,
    ) -> (Row, Vec<Disagreement>) {
        let (mut row, mut found) = (Row::default(), Vec::new());
        let seed = self.seed;
        let mut runs = futures::stream::iter(0..cases.div_ceil(batch::CASES))
            .map(|batch| {
                let (server, kind) = (server.clone(), Arc::clone(kind));
                // Every other object comes in another version, where there is one.
                let other = other.filter(|_| batch % 2 == 1).cloned();
                let left = cases - batch * batch::CASES;
                tokio::spawn(async move { examine_batch(&server, &kind, other.as_deref(), seed, batch, left).await })
            })
            .buffered(AT_ONCE);
        while let Some(run) = runs.next().await {
            for (case, outcome) in run.unwrap() {
                found.extend(row.count(kind, &case, &outcome));
                if let (Some(record), Outcome::Answered(answered)) = (&self.record, &outcome) {
                    record.case(&case.declared, &answered.before, &answered.after);
                }
            }
        }
        (row, found)
    }
}

async fn examine_batch(
    server: &Server,
    kind: &Kind,
    other: Option<&Kind>,
    seed: u64,
    batch: usize,
    left: usize,
) -> Vec<(Case, Outcome)> {
    let mut object = batch::object(server, other.unwrap_or(kind), seed, batch).await;
    let stored = match other {
        None => batch::store(server, kind, &object).await,
        Some(other) => batch::store_through(server, other, kind, &object).await,
    };
    let mut stored = match stored {
        Ok(stored) => stored,
        Err(answer) => {
            println!("{} {batch}: not stored: {} {}", kind.title, answer.code, answer.text);
            return Vec::new();
        }
    };
    if STAMPED.contains(&kind.kind.as_str()) {
        // Within the second of its making, the server would stamp the same time again.
        tokio::time::sleep(SECOND).await;
    }
    if other.is_some() {
        object = batch::declarable(kind, &stored.value);
    }
    let mut outcomes = Vec::new();
    for case in batch::declarations(kind, seed, batch, &object).into_iter().take(left) {
        let outcome = batch::attempt(server, kind, &mut stored, &case.declared).await;
        outcomes.push((case, outcome));
    }
    batch::move_on(server, kind, &mut stored, &mut outcomes).await;
    server.delete(kind, &stored.name).await;
    outcomes
}

/// Shrinks a case of each thing that is disagreed about.
async fn shrink_some(server: &Server, kind: &Kind, disagreements: &mut [Disagreement]) {
    let mut met = std::collections::BTreeSet::new();
    for disagreement in disagreements {
        if met.len() < SHRUNK_MAX && met.insert(disagreement.about.clone()) {
            let (declared, object) = (disagreement.case.declared.clone(), disagreement.case.object.clone());
            let (declared, object) = shrink::shrink(server, kind, declared, object).await;
            disagreement.told = format!("{}\n  shrunk: {declared}\n  of: {object}", disagreement.told);
        }
    }
}

fn print_head() {
    println!(
        "{:<58} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>5} {:>8} {:>11}",
        "kind", "cases", "agreed", "ours", "theirs", "refused", "except", "unknown", "open", "changed", "places"
    );
}

fn print_row(title: &str, row: &Row, places: usize) {
    let met = if places == 0 { String::new() } else { format!("{}/{places}", row.answered.len()) };
    println!(
        "{title:<58} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>5} {:>8} {met:>11}",
        row.cases, row.agreed, row.ours, row.theirs, row.refused, row.excepted, row.unknown, row.open, row.changed
    );
}

/// Tells each thing that is disagreed about once, with how often.
fn tell(disagreements: &[Disagreement]) {
    let mut by = BTreeMap::<&str, Vec<&Disagreement>>::new();
    for disagreement in disagreements {
        by.entry(&disagreement.about).or_default().push(disagreement);
    }
    for (about, all) in &by {
        println!("{:>5} {about}", all.len());
    }
    for all in by.values().take(TOLD_MAX) {
        let shortest = all.iter().min_by_key(|one| one.told.len()).expect("none is empty");
        println!("{}", shortest.told);
    }
}
