//! What was typed? The commands, one file each; the exit codes are decided here and in no other place.
//!
//! 0: done, let in, agrees. 1: something denied, differs. 2: could not answer.

pub mod approve;
pub mod bench;
pub mod break_glass;
pub mod check;
pub mod crd;
pub mod diff;
pub mod explain;
mod in_cluster;
mod log;
mod offline;
pub mod report;
pub mod serve;
mod table;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::cli::log::JsonLine;

/// Stops configuration drift at write time: what Git declares is the only way in.
#[derive(Debug, Parser)]
#[command(version, after_help = "Exit codes: 0 let in or agrees, 1 something denied or differs, 2 could not answer.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the admission webhooks.
    Serve(serve::Args),
    /// Would this be let in? Decide manifests or saved reviews without a cluster.
    Check(check::Args),
    /// Compare what is declared with an object.
    Diff(diff::Args),
    /// Which policy governs an object or a field, and why?
    Explain(explain::Args),
    /// Print the CustomResourceDefinitions of Landfast's kinds.
    Crd(crd::Args),
    /// What was denied, or would have been, and what would settle it? Sum up the records of a span of time.
    Report(report::Args),
    /// Open, list or end a way through in an incident.
    BreakGlass(break_glass::Args),
    /// List the repairs that wait for a person, and approve them.
    Approve(approve::Args),
    /// Measure: decisions, HTTPS.
    Bench(bench::Args),
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For scripts: one line of JSON an answer.
    Json,
}

/// What a command found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Let in, agrees, done.
    Yes,
    /// Something denied, something differs.
    No,
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    let Cli { command } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Printing fails only where nobody reads; clap gives 0 for --help and --version.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let result = match command {
        Command::Check(args) => check::run(args),
        Command::Diff(args) => diff::run(&args),
        Command::Explain(args) => explain::run(args),
        Command::Crd(args) => crd::run(&args),
        Command::Report(args) => report::run(args),
        Command::BreakGlass(args) => break_glass::run(args),
        Command::Approve(args) => approve::run(args),
        Command::Bench(args) => bench::run(&args),
        Command::Serve(args) => log_to_stderr().and_then(|()| serve::run(args)),
    };
    match result {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// What is logged unless `RUST_LOG` says else. The cluster's client logs each failed attempt of a watch as a dump, and returns it too.
const LOGGED: &str = "info,kube_runtime=off";

/// Logs as JSON lines, or readably on a terminal; `RUST_LOG` chooses what.
fn log_to_stderr() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    let layer = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = if std::io::stderr().is_terminal() { layer.try_init() } else { layer.event_format(JsonLine).try_init() };
    set.map_err(|error| anyhow::anyhow!(error).context("cannot start logging"))
}
