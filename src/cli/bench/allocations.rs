//! How often does a decision ask for memory, and for how much? By the allocator's own books.

use std::hint::black_box;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tikv_jemalloc_ctl::stats_print::{Options, stats_print};
use tikv_jemalloc_ctl::{epoch, thread};

use crate::cli::bench::figures::Figure;

/// Measured rounds: what the measurement itself asks for is lost among them.
const ROUNDS: u32 = 10_000;

/// How often, and for how many bytes, one round asks for memory. The only thread at work must be this one.
pub(super) fn figures<T>(name: &str, mut one: impl FnMut() -> T) -> anyhow::Result<[Figure; 2]> {
    let handed_out = thread::allocatedp::read().map_err(unknown)?;
    let (requests, bytes) = (requested()?, handed_out.get());
    for _ in 0..ROUNDS {
        black_box(one());
    }
    let (bytes, requests) = (handed_out.get() - bytes, requested()? - requests);
    ensure!(bytes > 0, "another allocator than the program's own is at work");
    let each = |total: u64| u32::try_from(total / u64::from(ROUNDS)).map(f64::from);
    Ok([
        Figure::once(format!("{name}: allocations"), "count", each(requests)?),
        Figure::once(format!("{name}: allocated"), "bytes", each(bytes)?),
    ])
}

/// All requests so far, of any size.
fn requested() -> anyhow::Result<u64> {
    epoch::advance().map_err(unknown)?;
    let mut books = Vec::new();
    let mut options = Options::default();
    options.json_format = true;
    options.skip_per_arena = true;
    options.skip_bin_size_classes = true;
    options.skip_large_size_classes = true;
    options.skip_mutex_statistics = true;
    stats_print(&mut books, options)?;
    let books: Value = serde_json::from_slice(&books).context("the allocator's books are no JSON")?;
    let merged = &books["jemalloc"]["stats.arenas"]["merged"];
    let of = |size: &str| merged[size]["nrequests"].as_u64().with_context(|| format!("no count of {size} requests"));
    Ok(of("small")? + of("large")?)
}

fn unknown(error: tikv_jemalloc_ctl::Error) -> anyhow::Error {
    anyhow::anyhow!("the allocator keeps no books: {error}")
}
