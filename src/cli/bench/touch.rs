//! How long until a commit that touches one file of many is in force? Through `follow` itself, in this process.
//!
//! Asked as a write that is about to be refused asks. Beside it the same question when there is nothing new: what lies between
//! the two is reading the commit and building the index; the rest is Git's.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::runtime::Runtime;
use tokio::time::sleep;

use crate::audit::metrics::Metrics;
use crate::cli::bench::clock;
use crate::cli::bench::figures::Figure;
use crate::cli::bench::repository::Repository;
use crate::config;
use crate::drift::schema::Schemas;
use crate::follow::{Follow, Options, Refreshed, follow};
use crate::gate::basis::SourceId;
use crate::git::fetch::Fetcher;
use crate::limits::{FETCH_BUDGET_REFILL, FETCH_TIME_MAX};
use crate::store::Store;

/// Commits that are measured; before them one only warms up.
const ROUNDS: usize = 10;

/// Measures on the repository that the configuration names; `version` is one that no file of it has yet.
pub(super) fn run(
    case: &str,
    repository: &Repository,
    configuration: &Path,
    version: usize,
) -> anyhow::Result<[Figure; 2]> {
    let state = tempfile::tempdir()?;
    let settings = config::load(&[configuration.to_owned()]).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let source = settings.sources.first().context("the configuration has a source")?.id.clone();
    let runtime = Runtime::new().context("cannot start the runtime")?;
    let (follower, follow) = follow(Options {
        settings: Arc::new(settings),
        schemas: Schemas::builtin(),
        store: Arc::new(Store::open(state.path())?),
        fetcher: Fetcher::new(std::env::current_exe()?),
        clock: clock(),
        metrics: Arc::new(Metrics::new()),
    });
    runtime.spawn(follower.run(std::future::pending()));
    let (mut moved, mut unchanged) = (Vec::new(), Vec::new());
    // The first answer brings all there is.
    runtime.block_on(follow.refresh(&source, tokio::time::Instant::now() + FETCH_TIME_MAX));
    for round in 0..=ROUNDS {
        repository.touch(version + round)?;
        let first = runtime.block_on(asked(&follow, &source, Refreshed::Moved))?;
        let second = runtime.block_on(asked(&follow, &source, Refreshed::Unchanged))?;
        if round > 0 {
            moved.push(first);
            unchanged.push(second);
        }
    }
    Ok([
        Figure::micros(format!("{case}: one file touched, asked to in force"), moved),
        Figure::micros(format!("{case}: nothing touched, asked to answered"), unchanged),
    ])
}

/// How long one answer took, once the source's budget allows to ask.
async fn asked(follow: &Follow, source: &SourceId, expected: Refreshed) -> anyhow::Result<Duration> {
    sleep(FETCH_BUDGET_REFILL).await;
    let started = Instant::now();
    let answer = follow.refresh(source, tokio::time::Instant::now() + FETCH_TIME_MAX).await;
    let took = started.elapsed();
    ensure!(answer == expected, "Git answered {answer:?}, not {expected:?}");
    Ok(took)
}
