//! `landfast explain`: which policy governs an object or a field, and why; which lists are shipped.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::in_cluster::InCluster;
use crate::cli::offline::{self, Offline};
use crate::cli::{Answer, Output};
use crate::drift::declared::ObjectKey;
use crate::drift::path::FieldPath;
use crate::gate::basis::{CommitId, CommitInfo, SourceId};
use crate::gate::bookkeeping::{BOOKKEEPING, REPLACE_MARKERS};
use crate::gate::explain::{Explanation, Place, Standing, explain, made_by};
use crate::gate::facts::Line;
use crate::gate::tables::{CONDITIONAL, Fields, NOBODYS_DRIFT};

/// Options of `landfast explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration: a file or a folder of GitSources and DriftPolicies; may be given more than once.
    #[arg(long, value_name = "FILE|DIR", required_unless_present_any = ["defaults", "kubeconfig"])]
    config: Vec<PathBuf>,
    /// Explain by what this cluster holds, beside the files: its GitSources and DriftPolicies, its kinds, and whose a Pod is.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Print the shipped lists instead: what is nobody's drift, and which marks deployers leave.
    #[arg(long)]
    defaults: bool,
    /// Where to keep mirrors from run to run; else they are fetched anew each time.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// The kind, as in Service or Deployment.apps.
    #[arg(value_name = "KIND", required_unless_present = "defaults")]
    kind: Option<String>,
    /// The object; without a namespace where its kind has none.
    #[arg(value_name = "[NS/]NAME", required_unless_present = "defaults")]
    name: Option<String>,
    /// One of its fields, as a denial prints it.
    #[arg(value_name = "FIELDPATH")]
    field: Option<FieldPath>,
}

/// Explains, on standard output.
pub fn run(args: Args) -> anyhow::Result<Answer> {
    let Args { config, kubeconfig, defaults: shipped, state_dir, output, kind, name, field } = args;
    let text = match (kind, name) {
        (Some(kind), Some(name)) if !shipped => {
            #[expect(clippy::disallowed_methods, reason = "the command line is an edge")]
            let now = Timestamp::now();
            let cluster = kubeconfig.as_deref().map(InCluster::read).transpose()?;
            let offline = match &cluster {
                Some(cluster) => offline::open_cluster(cluster, &config, state_dir, now)?,
                None => offline::open(&config, state_dir, now)?,
            };
            let (kind, group) = kind.split_once('.').unwrap_or((&kind, ""));
            let (namespace, name) = name.split_once('/').unwrap_or(("", &name));
            let key = ObjectKey::new(group, kind, namespace, name);
            let mut explanation = explain(&offline.basis, &key, field.as_ref(), now);
            if let (Some(cluster), None) = (&cluster, &explanation.declared) {
                let owner = cluster.declared_owner(&offline.basis, &key)?;
                explanation.made = owner.map(|owner| made_by(&offline.basis, &owner));
            }
            let place = explanation.field.as_ref().and_then(|field| field.place.as_ref());
            let written = place.or(explanation.declared.as_ref()).and_then(|place| written(&offline, place));
            match output {
                Output::Text => words(&explanation, written.as_ref())?,
                Output::Json => in_json(&explanation, written.as_ref())?,
            }
        }
        _ => match output {
            Output::Text => defaults()?,
            Output::Json => format!("{}\n", defaults_json()),
        },
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot print")?;
    Ok(Answer::Yes)
}

fn written(offline: &Offline, place: &Place) -> Option<CommitInfo> {
    offline.blame(&Line {
        source: SourceId(place.source.as_str().into()),
        revision: CommitId(place.revision.as_deref()?.into()),
        file: place.file.clone(),
        line: place.line,
    })
}

fn in_json(explanation: &Explanation, written: Option<&CommitInfo>) -> anyhow::Result<String> {
    let mut value = serde_json::to_value(explanation)?;
    if let Some(commit) = written {
        value["written"] = json!({ "commit": commit.commit.to_string(), "author": commit.author, "date": commit.date });
    }
    Ok(format!("{value}\n"))
}

fn words(explanation: &Explanation, written: Option<&CommitInfo>) -> Result<String, std::fmt::Error> {
    let mut text = format!("{}\n", explanation.object);
    let by = written.map(|commit| {
        format!(", written at {} ({}, {})", commit.commit.short(), commit.author, commit.date.strftime("%F"))
    });
    let by = by.unwrap_or_default();
    match &explanation.declared {
        Some(place) => {
            let by = if explanation.field.as_ref().is_none_or(|field| field.place.is_none()) { &*by } else { "" };
            writeln!(text, "  declared by {}:{} of GitSource {}{by}", place.file, place.line, place.source)?;
        }
        None => writeln!(text, "  not declared in Git")?,
    }
    if let Some(made) = &explanation.made {
        writeln!(text, "  made by {}, which Git declares", made.owner)?;
        writeln!(text, "  who reaches into it or edits it is {}", made.rule)?;
    }
    if let Some(field) = &explanation.field {
        writeln!(text, "\n{}", field.path)?;
        if let Some(place) = &field.place {
            let value = field.git.as_deref().map(|json| format!("{json} in Git, ")).unwrap_or_default();
            writeln!(text, "  {value}{}:{}{by}", place.file, place.line)?;
        }
        writeln!(text, "  {}", field.rule)?;
        for mover in &field.movers {
            writeln!(text, "  {mover} may move it")?;
        }
        for account in &field.control_plane {
            writeln!(text, "  {account} may move it, as its work")?;
        }
    }
    writeln!(text, "\nPolicies, the lowest precedence first:")?;
    if explanation.policies.is_empty() {
        writeln!(text, "  none: everything is observed")?;
    }
    for standing in &explanation.policies {
        policy(standing, &mut text)?;
    }
    Ok(text)
}

fn policy(standing: &Standing, text: &mut String) -> std::fmt::Result {
    let Standing { policy, precedence, standing, mode, failure_policy, rulings, writers, ignore } = standing;
    writeln!(text, "  {precedence} {policy} {standing}")?;
    if *standing == "governs" {
        let rulings: Vec<String> = rulings.iter().map(|(what, ruling)| format!("{what}: {ruling}")).collect();
        writeln!(text, "    mode {mode}, failurePolicy {failure_policy}, {}", rulings.join(", "))?;
    }
    for writer in writers {
        let may = match writer.role {
            "Deployer" => "may write what Git declares".to_owned(),
            _ if writer.fields.is_empty() => "may move nothing of this kind".to_owned(),
            _ => format!("may move {}", writer.fields.join(", ")),
        };
        writeln!(text, "    {} {} ({}) {may}", writer.role, writer.name, writer.subjects.join(", "))?;
    }
    for rule in ignore {
        let over = if rule.is_over { ", which is over" } else { "" };
        let whose = if rule.subjects.is_empty() { String::new() } else { format!(" by {}", rule.subjects.join(", ")) };
        let until = rule.expires.map(|expires| format!(" until {expires}{over}")).unwrap_or_default();
        writeln!(text, "    ignores {}{whose}{until}: {} ({})", rule.fields.join(", "), rule.reason, rule.name)?;
    }
    Ok(())
}

fn defaults() -> Result<String, std::fmt::Error> {
    let mut text = String::from("Nobody's drift, whoever changes it:\n");
    fields(NOBODYS_DRIFT, &mut text)?;
    for (what, when) in CONDITIONAL {
        writeln!(text, "  {what}: {when}")?;
    }
    text.push_str("\nThe marks of deployers, which a deployer may set on what it deploys:\n");
    fields(BOOKKEEPING, &mut text)?;
    text.push_str("\nA deployer may delete and make anew what carries one of these:\n");
    for (name, value) in REPLACE_MARKERS {
        writeln!(text, "  {name}: {}", if value.is_empty() { "any value" } else { value })?;
    }
    Ok(text)
}

fn fields(table: &[Fields], text: &mut String) -> std::fmt::Result {
    for Fields { kinds, fields } in table {
        writeln!(text, "  {}", if *kinds == ["*"] { "any kind".to_owned() } else { kinds.join(", ") })?;
        for field in *fields {
            writeln!(text, "    {field}")?;
        }
    }
    Ok(())
}

fn defaults_json() -> Value {
    let table = |table: &[Fields]| -> Vec<Value> {
        table.iter().map(|it| json!({ "kinds": it.kinds, "fields": it.fields })).collect()
    };
    let conditional: Vec<Value> =
        CONDITIONAL.iter().map(|(what, when)| json!({ "field": what, "when": when })).collect();
    let markers: Vec<Value> =
        REPLACE_MARKERS.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    json!({
        "nobodysDrift": table(NOBODYS_DRIFT),
        "conditional": conditional,
        "bookkeeping": table(BOOKKEEPING),
        "replaceMarkers": markers,
    })
}
