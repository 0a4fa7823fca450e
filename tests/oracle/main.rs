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
mod judge;
mod kinds;
mod meaning;
mod offer;
mod server;
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

use crate::batch::Outcome;
use crate::kinds::Kind;
use crate::server::Server;
use crate::tally::{Disagreement, Row};
use crate::testbed::control_plane::ControlPlane;
use crate::testbed::user::User;

/// Cases of a run that names no number.
const CASES: usize = 3_000;

/// Batches under way at once: enough to keep two processors busy.
const AT_ONCE: usize = 8;

/// Disagreements that are told in full.
const TOLD_MAX: usize = 40;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let numbers: Vec<u64> = words.iter().filter_map(|word| word.parse().ok()).collect();
    // What `cargo test NAME` hands to every test binary.
    if words.first().is_some_and(|word| word.parse::<u64>().is_err() && !"oracle".contains(word.as_str())) {
        return ExitCode::SUCCESS;
    }
    let only = std::env::var("ORACLE_KIND").ok();
    let cases = numbers.first().map_or(CASES, |cases| usize::try_from(*cases).unwrap_or(CASES));
    let seed = numbers.get(1).copied().unwrap_or(1);
    let plane = ControlPlane::start();
    plane.stop_controllers();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let disagreements = runtime.block_on(run(&plane, cases, seed, only.as_deref()));
    if disagreements == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(plane: &ControlPlane, cases: usize, seed: u64, only: Option<&str>) -> usize {
    let started = std::time::Instant::now();
    let server = Server(plane.client(User::Judge).await);
    let custom = kinds::custom(&server).await;
    define(&server, &custom).await;
    let mut kinds = kinds::all(&server, &custom).await;
    kinds.retain(|kind| only.is_none_or(|only| kind.title.starts_with(only)));
    furnish(&server, &kinds).await;
    println!(
        "{} kinds, {} places, ready after {:?}",
        kinds.len(),
        kinds.iter().map(|kind| kind.places.len()).sum::<usize>(),
        started.elapsed()
    );
    let shares = shares(&kinds, cases);
    let mut all = Row::default();
    let mut disagreements = Vec::new();
    print_head();
    for (kind, cases) in kinds.into_iter().zip(shares) {
        let (kind, began) = (Arc::new(kind), std::time::Instant::now());
        let (row, found) = examine(&server, &kind, cases, seed).await;
        print_row(&kind.title, &row, kind.places.len());
        if std::env::var_os("ORACLE_WHY").is_some() {
            println!("TIME {} {:?} per case", kind.title, began.elapsed() / row.cases.max(1) as u32);
        }
        all.add(&row);
        disagreements.extend(found);
    }
    print_row("all", &all, 0);
    tell(&disagreements);
    println!("{:?}; exceptions {:?}; refused {:?}; lost {}", started.elapsed(), all.exceptions, all.codes, all.lost);
    println!(
        "{} answered, of which {:.1} % change something",
        all.answers(),
        100.0 * all.changed as f64 / all.answers().max(1) as f64
    );
    println!("{} cases, {} disagreements", all.cases, all.disagreed());
    all.disagreed()
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

/// Tries the cases of one kind.
async fn examine(server: &Server, kind: &Arc<Kind>, cases: usize, seed: u64) -> (Row, Vec<Disagreement>) {
    let mut row = Row::default();
    let mut found = Vec::new();
    let batches = cases.div_ceil(batch::CASES);
    let mut runs = futures::stream::iter(0..batches)
        .map(|batch| {
            let (server, kind) = (server.clone(), Arc::clone(kind));
            let left = cases - batch * batch::CASES;
            tokio::spawn(async move { examine_batch(&server, &kind, seed, batch, left).await })
        })
        .buffered(AT_ONCE);
    while let Some(run) = runs.next().await {
        let (more, disagreements) = run.unwrap();
        row.add(&more);
        found.extend(disagreements);
    }
    (row, found)
}

async fn examine_batch(server: &Server, kind: &Kind, seed: u64, batch: usize, left: usize) -> (Row, Vec<Disagreement>) {
    let mut row = Row::default();
    let object = batch::object(server, kind, seed, batch).await;
    let mut stored = match batch::store(server, kind, &object).await {
        Ok(stored) => stored,
        Err(answer) => {
            println!("{} {batch}: not stored: {} {}", kind.title, answer.code, answer.text);
            return (row, Vec::new());
        }
    };
    let mut disagreements = Vec::new();
    for case in batch::declarations(kind, seed, batch, &object).into_iter().take(left) {
        let outcome: Outcome = batch::attempt(server, kind, &mut stored, &case.declared).await;
        disagreements.extend(row.count(kind, &case, &outcome));
    }
    server.delete(kind, &stored.name).await;
    (row, disagreements)
}

fn print_head() {
    println!(
        "{:<58} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>8} {:>11}",
        "kind", "cases", "agreed", "ours", "theirs", "refused", "except", "unknown", "changed", "places"
    );
}

fn print_row(title: &str, row: &Row, places: usize) {
    let met = if places == 0 { String::new() } else { format!("{}/{places}", row.answered.len()) };
    println!(
        "{title:<58} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>8} {met:>11}",
        row.cases, row.agreed, row.ours, row.theirs, row.refused, row.excepted, row.unknown, row.changed
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
