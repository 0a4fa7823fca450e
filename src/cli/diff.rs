//! `landfast diff`: the bare comparison of what is declared with an object, without Git, policy or cluster.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::cli::check::everywhere;
use crate::cli::{Answer, Output, offline};
use crate::drift::declared::{Declared, ObjectKey};
use crate::drift::schema::Schemas;
use crate::gate::aim::{Aim, Reach};
use crate::gate::conclude;
use crate::gate::finding::{Certainty, View};
use crate::gate::json::field_json;
use crate::gate::message::is_secret;
use crate::gate::verdict::{Class, Origin};
use crate::gate::write::Change;
use crate::render;
use crate::yaml::Node;

/// Options of `landfast diff`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What Git declares: a manifest.
    #[arg(long, value_name = "FILE")]
    declared: PathBuf,
    /// The object as it is, or as a write would make it.
    #[arg(long, value_name = "FILE|-")]
    live: PathBuf,
    /// The object before the write: tells apart what the write changed.
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
    /// A folder with the API server's OpenAPI v3, a JSON file for each group and version; else the embedded table.
    #[arg(long, value_name = "DIR")]
    openapi: Option<PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Compares, and prints one answer for each declared object.
pub fn run(args: &Args) -> anyhow::Result<Answer> {
    let schemas = schemas(args)?;
    let declared = declared(&args.declared, &schemas)?;
    let live = objects(&args.live)?;
    let before = args.before.as_deref().map(objects).transpose()?.unwrap_or_default();
    let (mut answer, mut unknown) = (Answer::Yes, false);
    for object in &declared {
        let after = pick(&live, object, declared.len(), "live")?
            .with_context(|| format!("{} holds no {}", args.live.display(), object.key))?;
        let before = pick(&before, object, declared.len(), "earlier")?;
        let differences = differences(object, before, after, &schemas)?;
        if !differences.agrees {
            answer = Answer::No;
        }
        unknown |= differences.unknown;
        print(object, &differences, args.output)?;
    }
    if answer == Answer::Yes && unknown {
        bail!("only the API server can tell");
    }
    Ok(answer)
}

/// What a comparison found.
struct Differences {
    /// Nothing is known to differ.
    agrees: bool,
    /// There are fields of which only the server can tell.
    unknown: bool,
    fields: Vec<Value>,
}

fn differences(
    object: &Declared,
    before: Option<&Node>,
    after: &Node,
    schemas: &Schemas,
) -> anyhow::Result<Differences> {
    let raw = |node: &Node| RawValue::from_string(node.to_json()).context("a manifest became no JSON");
    let (before, after) = (before.map(raw).transpose()?, raw(after)?);
    let change = match &before {
        Some(before) => Change::Update { before, after: &after },
        None => Change::Create { after: &after },
    };
    let aim = Aim { key: object.key.clone(), reach: Reach::Whole };
    let finding = View::new(&aim, &object.version, schemas).finding(&object.json, change);
    let mut found = Differences { agrees: true, unknown: false, fields: Vec::new() };
    for change in &finding.changes {
        let origin = object.lines.get(change.node).filter(|_| change.class != Class::Undeclared);
        let origin = origin.map(|line| Origin { file: object.file.to_string(), line, commit: None });
        let mut field = field_json(&conclude::field(&object.key, change, origin));
        match (change.class, change.certainty) {
            (Class::Restores | Class::Undeclared, _) => {}
            (Class::Drifts | Class::Reordered | Class::Preexisting, Certainty::Known) => found.agrees = false,
            (Class::Drifts | Class::Reordered | Class::Preexisting, Certainty::Unknown) => {
                found.unknown = true;
                field["unknown"] = true.into();
            }
        }
        found.fields.push(field);
    }
    Ok(found)
}

fn print(object: &Declared, found: &Differences, output: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match output {
        Output::Json => {
            writeln!(out, "{}", json!({ "agrees": found.agrees && !found.unknown, "fields": found.fields }))?;
        }
        Output::Text => {
            let what = match (found.agrees, found.unknown) {
                (false, _) => "differs from",
                (true, true) => "may differ from",
                (true, false) => "agrees with",
            };
            writeln!(out, "{} {what} {}", object.key, object.file)?;
            for field in &found.fields {
                let shown = |name: &str| field.get(name).map_or_else(|| "not".to_owned(), ToString::to_string);
                let (path, class) =
                    (field["path"].as_str().unwrap_or_default(), field["class"].as_str().unwrap_or_default());
                if is_secret(&object.key) {
                    writeln!(out, "  {path} {class}: differs (values not shown)")?;
                } else {
                    writeln!(out, "  {path} {class}: {} declared, {} live", shown("git"), shown("written"))?;
                }
            }
        }
    }
    Ok(())
}

fn schemas(args: &Args) -> anyhow::Result<Schemas> {
    let mut schemas = Schemas::builtin();
    if let Some(folder) = &args.openapi {
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .with_context(|| format!("cannot read {}", folder.display()))?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        for file in files {
            let name = || file.display().to_string();
            let document: Value = serde_json::from_slice(&offline::read(&file)?).with_context(name)?;
            schemas = schemas.with_openapi(&document).with_context(name)?;
        }
    }
    let name = args.declared.display().to_string();
    let definitions = render::definitions(&name, &offline::read(&args.declared)?);
    for definition in definitions.map_err(|fault| anyhow::anyhow!("{fault}"))? {
        schemas = schemas.with_crd(&definition).with_context(|| name.clone())?;
    }
    Ok(schemas)
}

fn declared(file: &Path, schemas: &Schemas) -> anyhow::Result<Vec<Arc<Declared>>> {
    let (name, scope) = (file.display().to_string(), everywhere()?);
    let with = render::Context { schemas, scope: &scope, default_namespace: None };
    let rendered = render::file(&name, &offline::read(file)?, with).map_err(|fault| anyhow::anyhow!("{fault}"))?;
    if let Some(fault) = rendered.faults.first() {
        bail!("{fault}");
    }
    if rendered.objects.is_empty() {
        bail!("{name} holds no manifest (.yaml, .yml or .json)");
    }
    Ok(rendered.objects)
}

fn objects(file: &Path) -> anyhow::Result<Vec<Node>> {
    let name = file.display().to_string();
    render::manifests(&name, &offline::read(file)?).map_err(|fault| anyhow::anyhow!("{fault}"))
}

/// The manifest of the object that is declared. Where each side has one, another object is an error: it must never pass for
/// the state of this one.
fn pick<'o>(objects: &'o [Node], declared: &Declared, count: usize, side: &str) -> anyhow::Result<Option<&'o Node>> {
    let found = objects.iter().find(|object| key_of(object, declared) == declared.key);
    if let (None, [only], 1) = (found, objects, count) {
        bail!("the {side} object is {}, declared is {}", key_of(only, declared), declared.key);
    }
    Ok(found)
}

/// Where one side names no namespace, the other's holds for both: a repository often leaves it to its deployer.
fn key_of(object: &Node, declared: &Declared) -> ObjectKey {
    let text = |node: Option<&Node>| node.and_then(Node::as_str).unwrap_or_default().to_owned();
    let metadata = object.get("metadata");
    let named = |name: &str| text(metadata.and_then(|metadata| metadata.get(name)));
    let version = text(object.get("apiVersion"));
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    let is_said = serde_json::from_slice::<Value>(&declared.json)
        .is_ok_and(|declared| declared.pointer("/metadata/namespace").is_some());
    let namespace = Some(named("namespace")).filter(|namespace| is_said && !namespace.is_empty());
    let namespace = namespace.unwrap_or_else(|| declared.key.namespace().to_owned());
    ObjectKey::new(group, &text(object.get("kind")), &namespace, &named("name"))
}
