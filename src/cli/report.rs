//! `landfast report`: what was ruled, or would have been, in a span of time, and what would settle it. From records alone.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use jiff::{SignedDuration, Timestamp};

use crate::audit::journal;
use crate::audit::repair::Outcome;
use crate::audit::report::{Configured, Key, Ledger, Report, Row};
use crate::audit::settle::Settled;
use crate::audit::usage::Entry;
use crate::cli::table::{Paint, Table};
use crate::cli::{Answer, Output};
use crate::config;
use crate::gate::text::{shortened, tame};
use crate::gate::verdict::Ruling;
use crate::limits::COLUMN_CHARS_MAX;

/// Options of `landfast report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder that `landfast serve` was given: its journal is read. One for each replica.
    #[arg(long, value_name = "DIR", required_unless_present = "journal")]
    state_dir: Vec<PathBuf>,
    /// A journal, or a copy of one; `-` is standard input. May be given more than once: replicas are summed up.
    #[arg(long, value_name = "FILE|-")]
    journal: Vec<PathBuf>,
    /// How far back to look, counted from the end, as in 24h or 30m; or the time to begin at.
    #[arg(long, value_name = "DURATION|TIME", default_value = "24h", value_parser = since)]
    since: Since,
    /// The time to end at, as in 2026-11-02T10:00:00Z; now where absent.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Configuration, to name the policies and entries that were of no use; a file or a folder, may be given more than once.
    #[arg(long, value_name = "FILE|DIR")]
    config: Vec<PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Where a span begins.
#[derive(Debug, Clone, Copy)]
enum Since {
    Back(Duration),
    At(Timestamp),
}

fn since(text: &str) -> Result<Since, String> {
    let time = text.parse().map(Since::At);
    time.or_else(|_| config::duration(text).map(Since::Back))
}

/// Reads the journals, sums up and prints.
pub fn run(args: Args) -> anyhow::Result<Answer> {
    let Args { state_dir, journal, since, until, config, output } = args;
    #[expect(clippy::disallowed_methods, reason = "the command line is an edge: `--until` replaces the clock")]
    let until = until.unwrap_or_else(Timestamp::now);
    let since = match since {
        Since::At(time) => time,
        Since::Back(span) => {
            let span = SignedDuration::try_from(span).context("--since is too long")?;
            until.checked_sub(span).context("--since is too long")?
        }
    };
    ensure!(since < until, "the span ends before it begins: from {since} to {until}");
    let configured = (!config.is_empty()).then(|| configured(&config, until)).transpose()?;
    let mut ledger = Ledger::new(since, until);
    for file in sources(&state_dir, &journal)? {
        read(&file, &mut ledger).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let report = ledger.report(configured.as_ref());
    let mut out = io::stdout().lock();
    match output {
        Output::Json => io::Write::write_all(&mut out, format!("{}\n", report.json()).as_bytes())?,
        Output::Text => {
            let words = in_words(&report, Paint::of(out.is_terminal()));
            io::Write::write_all(&mut out, words.as_bytes())?;
        }
    }
    Ok(Answer::Yes)
}

/// The journals asked for, each once: read twice, all would count double.
fn sources(state_dirs: &[PathBuf], journals: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in state_dirs {
        let there = journal::files(folder).into_iter().filter(|file| file.exists());
        let before = files.len();
        files.extend(there);
        ensure!(files.len() > before, "{} holds no journal", folder.display());
    }
    files.extend(journals.iter().cloned());
    let mut seen = Vec::new();
    files.retain(|file| {
        let file = file.canonicalize().unwrap_or_else(|_| file.clone());
        let is_new = !seen.contains(&file);
        seen.push(file);
        is_new
    });
    Ok(files)
}

fn read(file: &Path, ledger: &mut Ledger) -> io::Result<()> {
    if file == Path::new("-") {
        return journal::visit(io::stdin().lock(), |line| ledger.take(line));
    }
    match File::open(file) {
        Ok(file) => journal::visit(BufReader::new(file), |line| ledger.take(line)),
        // A journal that begins a new file renames this one under us.
        Err(error)
            if error.kind() == ErrorKind::NotFound && journal::files(parent(file)).contains(&file.to_owned()) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn parent(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

fn configured(paths: &[PathBuf], until: Timestamp) -> anyhow::Result<Configured> {
    let settings = config::load(paths).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the configuration cannot be used:\n  {}", faults.join("\n  "))
    })?;
    let policies = settings.policy.rules.iter().map(|rule| rule.name.clone()).collect();
    Ok(Configured { policies, entries: Entry::all(&settings.policy), over: settings.policy.over(until).collect() })
}

/// A report for people.
fn in_words(report: &Report, paint: Paint) -> String {
    let Report { since, until, writes, records, rows, .. } = report;
    let span = format!("{since:.0} to {until:.0}");
    if rows.is_empty() {
        let nothing = format!("{span}: nothing on record other than plain Allows\n");
        return [nothing, glasses(report, paint), repairs(report, paint), of_no_use(report)].concat();
    }
    let mut words = format!("{span}: {writes} writes in {records} records\n");
    let mut rest = rows.as_slice();
    while let Some(first) = rest.first() {
        let is_like = |row: &&Row| (row.key.ruling, row.key.enforced) == (first.key.ruling, first.key.enforced);
        let (alike, others) = rest.split_at(rest.iter().take_while(is_like).count());
        let _ = write!(words, "\n{}\n{}", paint.heading(title(&first.key)), table(alike).print("  ", paint));
        let no_entry: BTreeSet<&str> = alike
            .iter()
            .filter_map(|row| match row.settled {
                Settled::No(why) => Some(why),
                Settled::Writer(_) | Settled::Ignore(_) => None,
            })
            .collect();
        for why in no_entry {
            let _ = writeln!(words, "  {why}");
        }
        rest = others;
    }
    for (policy, entries) in &report.entries {
        let place = match policy {
            Some(policy) => format!("To settle what you want let in, add to the spec of DriftPolicy {policy}"),
            None => "To settle what you want let in, add to the spec of a DriftPolicy that matches".to_owned(),
        };
        let _ = write!(words, "\n{}\n{}", paint.heading(&place), indented(&entries.yaml()));
    }
    words.push_str(&glasses(report, paint));
    words.push_str(&repairs(report, paint));
    words.push_str(&safety(report, paint));
    words + &of_no_use(report)
}

fn title(key: &Key) -> &'static str {
    match (key.ruling, key.enforced) {
        (Ruling::Deny, true) => "Denied",
        (Ruling::Deny, false) => "Would have been denied",
        (Ruling::Revert, true) => "Reverted",
        (Ruling::Revert, false) => "Would have been reverted",
        (Ruling::Annotate, true) => "Let in and annotated",
        (Ruling::Annotate, false) => "Would have been annotated",
        (Ruling::Warn, true) => "Let in with a warning",
        (Ruling::Warn, false) => "Would have been warned of",
        (Ruling::Allow, _) => "Let in",
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(["WRITES", "WRITER", "ROLE", "KIND", "FIELD", "OBJECTS", "SETTLED BY"]);
    for row in rows {
        let Key { user, role, kind, field, reason, .. } = &row.key;
        let shown = |text: &str| shortened(&tame(text), COLUMN_CHARS_MAX);
        let field = field.as_ref().map_or_else(|| format!("({reason})"), |(path, _)| shown(path));
        let objects = match row.objects.len() {
            0 | 1 => row.example(),
            more => format!("{} +{}", row.example(), more - 1),
        };
        let settled = match &row.settled {
            Settled::Writer(name) => format!("writers: {name}"),
            Settled::Ignore(name) => format!("ignore: {name}"),
            Settled::No(_) => "no entry".to_owned(),
        };
        let writes = row.writes.to_string();
        table.add([writes, shown(user), role.name().to_owned(), kind.clone(), field, shown(&objects), settled]);
    }
    table
}

fn safety(report: &Report, paint: Paint) -> String {
    if report.safety.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["POLICY", "SAFE", "WHY"]);
    for (policy, condition) in &report.safety {
        table.add([policy.clone(), condition.status.to_owned(), condition.message.clone()]);
    }
    format!("\n{}\n{}", paint.heading("Safe to enforce, by the last 24 h"), table.print("  ", paint))
}

fn indented(text: &str) -> String {
    text.lines().flat_map(|line| ["  ", line, "\n"]).collect()
}

fn glasses(report: &Report, paint: Paint) -> String {
    if report.glasses.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["REASON", "WRITES", "BY", "OBJECTS", "FROM", "UNTIL"]);
    for glass in &report.glasses {
        let reason = shortened(&tame(&glass.reason), COLUMN_CHARS_MAX);
        let (from, until) = (format!("{:.0}", glass.first), format!("{:.0}", glass.ends));
        table.add([reason, glass.writes.to_string(), listed(&glass.users), listed(&glass.objects), from, until]);
    }
    format!("\n{}\n{}", paint.heading("By break-glass"), table.print("  ", paint))
}

fn repairs(report: &Report, paint: Paint) -> String {
    if report.repairs.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["REPAIRS", "OUTCOME", "KIND", "FIELDS", "OBJECTS", "MOVED BY"]);
    for repair in &report.repairs {
        let outcome = match repair.outcome {
            Outcome::Repaired => "brought back",
            Outcome::CannotRepair => "cannot be",
            Outcome::FightDetected => "fought over",
            Outcome::SlippedPast => "slipped past",
            Outcome::FightEnded => "at peace again",
            Outcome::Held => "held",
            Outcome::Pruned => "deleted",
        };
        let (fields, objects, by) = (listed(&repair.fields), listed(&repair.objects), listed(&repair.moved_by));
        table.add([repair.repairs.to_string(), outcome.to_owned(), repair.kind.clone(), fields, objects, by]);
    }
    format!("\n{}\n{}", paint.heading("Repaired"), table.print("  ", paint))
}

fn listed(texts: &BTreeSet<String>) -> String {
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    shortened(&tame(&all.join(", ")), COLUMN_CHARS_MAX)
}

/// Policies and entries that were of no use, or have no effect any more.
fn of_no_use(report: &Report) -> String {
    let mut words = String::new();
    if let Some(policies) = report.unnamed.as_deref().filter(|policies| !policies.is_empty()) {
        let policies = policies.join(", ");
        let why = "Either nothing was written there that was not plainly let in, or they match nothing.";
        let _ = writeln!(words, "\nOn no record: {policies}. {why}");
    }
    if let Some(unused) = report.unused.as_deref().filter(|unused| !unused.is_empty()) {
        let all: Vec<String> =
            unused.iter().map(|entry| format!("{} {} of {}", entry.member, entry.name, entry.policy)).collect();
        let _ = writeln!(words, "\nOf no use in this span: {}.", all.join(", "));
    }
    if !report.over.is_empty() {
        let _ = writeln!(words, "\nOver:\n  {}", report.over.join("\n  "));
    }
    words
}
