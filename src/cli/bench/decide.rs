//! How long does one decision take? From the bytes of a review to the bytes of its answer, on one thread.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::ensure;
use jiff::Timestamp;

use crate::cli::bench::figures::Figure;
use crate::cli::bench::{allocations, sample};
use crate::drift::compare::{Typing, compare};
use crate::drift::declared::Declared;
use crate::drift::document::Document;
use crate::drift::schema::Schemas;
use crate::gate;
use crate::gate::basis::Basis;
use crate::gate::facts::Facts;
use crate::gate::response::Answer;
use crate::gate::verdict::Ruling;
use crate::gate::write::{Change, Write};

/// Measured reviews of each case.
const ROUNDS: usize = 20_000;

/// One round in so many more only warms up.
const WARM_UP_SHARE: usize = 10;

/// Measures all cases.
pub(super) fn run() -> anyhow::Result<Vec<Figure>> {
    let schemas = Schemas::builtin();
    let declared = sample::declared(sample::MANIFEST.as_bytes(), &schemas)?;
    let basis = sample::basis(&declared, schemas);
    let mut figures = Vec::new();
    for (name, review, expected) in [
        ("decide/declared, agrees", sample::agreeing(), Ruling::Allow),
        ("decide/declared, drifts", sample::drifting(), Ruling::Deny),
        ("decide/undeclared", sample::undeclared(), Ruling::Allow),
    ] {
        let ruling = decide(&review, &basis)?.1;
        ensure!(ruling == expected, "{name} was ruled {}", ruling.name());
        let one = || decide(black_box(&review), &basis);
        figures.push(Figure::micros(name, times(ROUNDS, one)));
        figures.extend(allocations::figures(name, one)?);
    }
    figures.push(comparison(&declared, &basis)?);
    Ok(figures)
}

/// What `serve` does with the bytes of a review that asks nothing.
pub(super) fn decide(review: &[u8], basis: &Basis) -> anyhow::Result<(Vec<u8>, Ruling)> {
    let write = Write::parse(review)?;
    let outcome = gate::decide(&write, basis, &Facts::default(), Timestamp::UNIX_EPOCH);
    Ok((Answer::of(&outcome.verdict, write.uid).to_json(), outcome.verdict.ruling))
}

/// The comparison alone: both documents are read already.
fn comparison(declared: &Declared, basis: &Basis) -> anyhow::Result<Figure> {
    let review = sample::agreeing();
    let Change::Update { after, .. } = Write::parse(&review)?.change else { anyhow::bail!("the sample is no update") };
    let (declared, object) = (Document::parse(&declared.json)?, Document::parse(after.get().as_bytes())?);
    let typing = Typing::of(&basis.schemas, "apps", "v1", "Deployment");
    let differences = compare(typing, &declared, &object);
    ensure!(differences.is_empty(), "the sample differs: {differences:?}");
    Ok(Figure::micros(
        "decide/comparison alone",
        times(ROUNDS, || compare(typing, black_box(&declared), black_box(&object))),
    ))
}

/// How long each of so many rounds takes, after some that only warm up.
pub(super) fn times<T>(rounds: usize, mut one: impl FnMut() -> T) -> Vec<Duration> {
    for _ in 0..rounds / WARM_UP_SHARE {
        black_box(one());
    }
    let timed = (0..rounds).map(|_| {
        let started = Instant::now();
        let result = one();
        let time = started.elapsed();
        black_box(result);
        time
    });
    timed.collect()
}
