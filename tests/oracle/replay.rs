//! Does this engine answer recorded cases as the server did? Built with an engine that has a fault, by `faults`.

#![allow(clippy::unwrap_used, clippy::print_stdout, dead_code, missing_docs, reason = "a test that cannot go on panics")]

mod judge;
mod kind;
mod meaning;
mod offer;
mod verdict;

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::Value;

use crate::judge::{JUDGE, Sides, judge};
use crate::kind::{Kind, is_passed_over};
use crate::verdict::{ask, relate};

fn main() -> ExitCode {
    let file = std::env::args().nth(1).unwrap();
    let (kinds, cases) = read(Path::new(&file));
    let mut disagreements = 0;
    for case in &cases {
        let kind = &kinds[case.kind];
        let sides = Sides { before: &case.before, after: &case.after, offer: kind.offer(), custom: kind.custom };
        let judgement = judge(sides, JUDGE, |path| is_passed_over(path, kind.status_apart)).unwrap();
        let founds = ask(kind, &case.declared, &case.before.to_string());
        disagreements += usize::from(founds.iter().any(|found| !relate(sides, &judgement, found).agrees()));
    }
    println!("{} cases, {disagreements} disagreements", cases.len());
    if disagreements == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A case that was answered.
pub struct Recorded {
    /// The kind's place among the kinds.
    pub kind: usize,
    /// What was declared.
    pub declared: Value,
    /// The object as it was stored.
    pub before: Value,
    /// What the dry-run made of it.
    pub after: Value,
}

/// Reads a file.
fn read(file: &Path) -> (Vec<Kind>, Vec<Recorded>) {
    let (mut kinds, mut cases) = (Vec::<Kind>::new(), Vec::new());
    for line in BufReader::new(File::open(file).unwrap()).lines() {
        let mut value: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if value["title"].is_null() {
            let [declared, before, after] = ["declared", "before", "after"].map(|name| value[name].take());
            cases.push(Recorded { kind: kinds.len() - 1, declared, before, after });
            continue;
        }
        let text = |name: &str| value[name].as_str().unwrap().to_owned();
        let definitions = value["definitions"].as_array().unwrap().clone();
        kinds.push(Kind {
            title: text("title"),
            group: text("group"),
            version: text("version"),
            kind: text("kind"),
            collection: String::new(),
            namespace: None,
            status_apart: value["statusApart"] == true,
            custom: !definitions.is_empty(),
            seeds: Vec::new(),
            places: Vec::new(),
            movable: Vec::new(),
            schemas: Kind::known(&definitions, &value["document"]),
            definitions,
            document: Arc::new(value["document"].take()),
        });
    }
    (kinds, cases)
}
