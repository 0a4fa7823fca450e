//! `landfast check`: would this be let in? Manifests or saved reviews, decided as the webhook would, without a cluster.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use globset::{Glob, GlobSetBuilder};
use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::cli::offline::{self, Offline};
use crate::cli::{Answer, Output};
use crate::drift::declared::Declared;
use crate::gate::basis::Scope;
use crate::gate::decide;
use crate::gate::facts::{Facts, Question};
use crate::gate::json::verdict_json;
use crate::gate::verdict::Verdict;
use crate::gate::write::{Change, Target, User, Write};
use crate::render;

/// Options of `landfast check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration: a file or a folder of GitSources and DriftPolicies; may be given more than once.
    #[arg(long, value_name = "FILE|DIR", required = true)]
    config: Vec<PathBuf>,
    /// Who writes the manifests, system:anonymous where absent; with reviews, in place of who wrote them.
    #[arg(long, value_name = "USER")]
    writer: Option<String>,
    /// A group of the writer; may be given more than once.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// The instant to decide at, as in 2026-11-02T10:00:00Z; now where absent.
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    /// A saved AdmissionReview, or an array of them; `-` is standard input. May be given more than once.
    #[arg(long = "review", value_name = "FILE|-")]
    reviews: Vec<PathBuf>,
    /// Where to keep mirrors from run to run; else they are fetched anew each time.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Files of manifests, each object as if it were created; `-` is standard input. What names no namespace is in the sources'
    /// `defaultNamespace`, where all have the same, else in `default`.
    #[arg(value_name = "MANIFEST", required_unless_present = "reviews")]
    manifests: Vec<PathBuf>,
}

/// Who writes where nobody is named: a person without any group.
const NOBODY: &str = "system:anonymous";

/// Decides every write, and prints one answer each, in the order given: the reviews, then the manifests.
pub fn run(args: Args) -> anyhow::Result<Answer> {
    let Args { config, writer, groups, now, reviews, state_dir, output, manifests } = args;
    #[expect(clippy::disallowed_methods, reason = "the command line is an edge: `--now` replaces the clock")]
    let now = now.unwrap_or_else(Timestamp::now);
    let offline = offline::open(&config, state_dir, now)?;
    let mut check = Check { offline: &offline, now, output, answer: Answer::Yes, unanswered: 0 };
    let writer = writer.map(|name| User { name, groups: groups.clone(), ..User::default() });
    for file in &reviews {
        check.reviews(file, writer.as_ref())?;
    }
    let writer = writer.unwrap_or_else(|| User { name: NOBODY.to_owned(), groups, ..User::default() });
    for file in &manifests {
        check.manifests(file, &writer)?;
    }
    let Check { answer, unanswered, .. } = check;
    anyhow::ensure!(unanswered == 0, "{unanswered} of the reviews could not be answered");
    Ok(answer)
}

/// The writes so far.
struct Check<'o> {
    offline: &'o Offline,
    now: Timestamp,
    output: Output,
    answer: Answer,
    /// Reviews that cannot be read. The others are answered all the same.
    unanswered: usize,
}

impl Check<'_> {
    fn reviews(&mut self, file: &Path, writer: Option<&User>) -> anyhow::Result<()> {
        let bytes = offline::read(file)?;
        let place = |number: usize| format!("{}, review {}", file.display(), number + 1);
        for (number, review) in split(&bytes).with_context(|| file.display().to_string())?.into_iter().enumerate() {
            let mut write = match Write::parse(review.get().as_bytes()).with_context(|| place(number)) {
                Ok(write) => write,
                Err(error) => {
                    eprintln!("error: {error:#}");
                    self.unanswered += 1;
                    continue;
                }
            };
            if let Some(writer) = writer {
                write.user = writer.clone();
            }
            self.decide(&write)?;
        }
        Ok(())
    }

    fn manifests(&mut self, file: &Path, writer: &User) -> anyhow::Result<()> {
        let bytes = offline::read(file)?;
        // JSON is YAML: what has no name of its own is read as that.
        let name = if file == Path::new("-") { "stdin.yaml".to_owned() } else { file.display().to_string() };
        let scope = everywhere()?;
        let Offline { basis, default_namespace, .. } = self.offline;
        let default_namespace = default_namespace.as_deref();
        let with = render::Context { schemas: &basis.schemas, scope: &scope, default_namespace };
        let rendered = render::file(&name, &bytes, with).map_err(|fault| anyhow::anyhow!("{fault}"))?;
        if let Some(fault) = rendered.faults.first() {
            anyhow::bail!("{fault}");
        }
        anyhow::ensure!(!rendered.objects.is_empty(), "{name} holds no manifest (.yaml, .yml or .json)");
        for object in &rendered.objects {
            let text = String::from_utf8_lossy(&object.json).into_owned();
            let after = RawValue::from_string(text).with_context(|| name.clone())?;
            let (target, change) = (self.target(object), Change::Create { after: &after });
            self.decide(&Write { uid: "", dry_run: true, user: writer.clone(), target, change, options: None })?;
        }
        Ok(())
    }

    fn target(&self, object: &Declared) -> Target {
        let (key, version) = (&object.key, object.version.to_string());
        let info = self.offline.basis.schemas.kind(key.group(), key.kind());
        Target {
            group: key.group().to_owned(),
            version: version.clone(),
            resource: info.map(|info| info.resource.clone()).unwrap_or_default(),
            kind: key.kind().to_owned(),
            namespace: key.namespace().to_owned(),
            name: key.name().to_owned(),
            subresource: String::new(),
            request_version: version,
        }
    }

    /// Asks the mirrors who wrote the lines that a refusal names; there is no cluster to ask anything else.
    fn verdict(&self, write: &Write<'_>) -> Verdict {
        let mut facts = Facts::default();
        let outcome = decide(write, &self.offline.basis, &facts, self.now);
        for question in outcome.questions {
            if let Question::Blame(line) = question {
                let written = self.offline.blame(&line);
                facts.blame.insert(line, written);
            }
        }
        if facts.blame.is_empty() {
            return outcome.verdict;
        }
        decide(write, &self.offline.basis, &facts, self.now).verdict
    }

    fn decide(&mut self, write: &Write<'_>) -> anyhow::Result<()> {
        let verdict = self.verdict(write);
        if !verdict.allowed() {
            self.answer = Answer::No;
        }
        let mut out = std::io::stdout().lock();
        match self.output {
            Output::Json => writeln!(out, "{}", verdict_json(&verdict, write.uid))?,
            Output::Text => write!(out, "{}", in_words(&verdict))?,
        }
        Ok(())
    }
}

/// A verdict for people: what, by whom and why, then the message.
fn in_words(verdict: &Verdict) -> String {
    let what = match (verdict.ruling.name(), verdict.allowed(), verdict.enforced) {
        (_, false, _) => "denied",
        ("Deny", true, _) => "would be denied",
        ("Allow", true, _) => "let in",
        (_, true, true) => "let in with a warning",
        (_, true, false) => "would be let in with a warning",
    };
    let subresource = match verdict.subresource.as_str() {
        "" => String::new(),
        name => format!("/{name}"),
    };
    let operation = verdict.operation.to_lowercase();
    let (object, user, reason) = (&verdict.object, &verdict.user.name, verdict.reason);
    let mut words = format!("{what}: {operation} {object}{subresource} by {user}: {reason}\n");
    for line in verdict.message.lines() {
        words.push_str("  ");
        words.push_str(line);
        words.push('\n');
    }
    words
}

/// The reviews of a file: an array of them, or one after the other.
fn split(bytes: &[u8]) -> anyhow::Result<Vec<&RawValue>> {
    if bytes.trim_ascii_start().starts_with(b"[") {
        return serde_json::from_slice(bytes).context("not an array of reviews");
    }
    let reviews: Result<Vec<&RawValue>, _> = serde_json::Deserializer::from_slice(bytes).into_iter().collect();
    let reviews = reviews.context("not JSON")?;
    anyhow::ensure!(!reviews.is_empty(), "no review");
    Ok(reviews)
}

/// A manifest on the command line may be of any namespace.
pub(super) fn everywhere() -> anyhow::Result<Scope> {
    let namespaces = GlobSetBuilder::new().add(Glob::new("*")?).build()?;
    Ok(Scope { namespaces, patterns: vec!["*".to_owned()], cluster_scoped: true })
}
