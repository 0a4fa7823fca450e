//! `landfast crd`: the CustomResourceDefinitions of Landfast's kinds, for `kubectl apply -f -`.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::cli::{Answer, Output};
use crate::config::definition::definitions;
use crate::yaml;

/// Options of `landfast crd`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How to print: YAML, or one List as JSON.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Prints them.
pub fn run(args: &Args) -> anyhow::Result<Answer> {
    let manifests = definitions().map(|definition| definition.manifest());
    let text = match args.output {
        Output::Text => manifests.each_ref().map(yaml::print).join("---\n"),
        Output::Json => {
            format!("{}\n", json!({ "apiVersion": "v1", "kind": "List", "items": Value::from(manifests.to_vec()) }))
        }
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(Answer::Yes)
}
