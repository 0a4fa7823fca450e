//! How fast is it, here? `landfast bench`: the real code paths, measured on this machine.
//!
//! No case is built for the measurement: the review goes through the same functions as in `serve`. Figures vary by machine and
//! by what else runs; compare only figures of one run.

mod allocations;
mod client;
mod decide;
mod figures;
mod https;
mod repository;
mod sample;
mod scale;
mod sizes;
mod touch;

use std::io::Write as _;
use std::sync::Arc;

use clap::ValueEnum;
use jiff::Timestamp;

use crate::audit::Clock;
use crate::cli::bench::figures::Report;
use crate::cli::{Answer, Output};

/// Options of `landfast bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to measure; everything where none is named.
    what: Option<What>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// One decision: a review of 12 KB, from its bytes to the bytes of the answer; then reviews of far larger objects.
    Decide,
    /// Reviews over HTTPS: throughput beside the same server that lets everything in unread, and latency at half of it.
    Https,
    /// Many declared objects: memory, start, a touched file. Takes minutes, and some gigabytes of temporary files.
    Scale,
}

/// Measures, and prints the figures.
pub fn run(args: &Args) -> anyhow::Result<Answer> {
    let Args { what, output } = args;
    let mut report = Report::new();
    if matches!(what, None | Some(What::Decide)) {
        report.results.extend(decide::run()?);
        report.results.extend(sizes::run()?);
    }
    if matches!(what, None | Some(What::Https)) {
        report.results.extend(https::run()?);
    }
    if matches!(what, None | Some(What::Scale)) {
        report.results.extend(scale::run()?);
    }
    let text = match output {
        Output::Text => report.to_string(),
        Output::Json => serde_json::to_string(&report)?,
    };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(Answer::Yes)
}

fn clock() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "the edge of the program: there is no app around a benchmark")]
    Arc::new(Timestamp::now)
}
