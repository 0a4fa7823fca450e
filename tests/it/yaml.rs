//! Do we read manifests as kubectl does? Every case file is given to real kubectl and to us: the same objects, or both refuse.
//!
//! `tests/cases/yaml/<law>.yaml` (or `.json`) is what is read; `<law>.expected` is what kubectl made of it, as JSON, or the word
//! `refused`. `UPDATE=1` writes those files anew from kubectl's answers.

use std::fs;
use std::path::{Path, PathBuf};

use landfast::render::manifests;
use serde_json::{Deserializer, Value, json};

use crate::testbed::control_plane;
use crate::testbed::user::User;

/// A file to be read, and what is expected of it.
struct Case {
    input: PathBuf,
    expected: PathBuf,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/yaml");
    let inputs = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut inputs: Vec<PathBuf> = inputs.filter(|path| path.extension().is_some_and(|e| e != "expected")).collect();
    inputs.sort();
    assert!(inputs.len() > 60, "the cases are there");
    inputs.into_iter().map(|input| Case { expected: input.with_extension("expected"), input }).collect()
}

fn law(case: &Case) -> String {
    case.input.file_stem().unwrap().to_string_lossy().into_owned()
}

/// What was read, or `None` where it was refused.
fn expected(case: &Case) -> Option<Vec<Value>> {
    let text = fs::read_to_string(&case.expected).unwrap_or_default();
    (text.trim() != "refused")
        .then(|| serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", law(case))))
}

fn ours(case: &Case) -> Option<Vec<Value>> {
    let nodes = manifests("case.yaml", &fs::read(&case.input).unwrap()).ok()?;
    Some(nodes.iter().map(|node| serde_json::from_str(&node.to_json()).unwrap()).collect())
}

/// Floats to 15 digits: `serde_json`, which the test reads with, loses the last bit.
pub(crate) fn plain(value: &mut Value) {
    match value {
        Value::Number(number) if !number.is_i64() => {
            *value = json!(format!("float {:.14e}", number.as_f64().unwrap()));
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        Value::Object(members) => members.values_mut().for_each(plain),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn plain_all(read: Option<Vec<Value>>) -> Option<Vec<Value>> {
    read.map(|mut values| {
        values.iter_mut().for_each(plain);
        values
    })
}

#[test]
fn manifests_are_read_as_recorded() {
    for case in cases() {
        assert_eq!(plain_all(ours(&case)), plain_all(expected(&case)), "{}", law(&case));
        assert_eq!(expected(&case).is_none(), law(&case).starts_with("refuses_"), "{}", law(&case));
    }
}

#[test]
fn kubectl_reads_manifests_as_recorded() {
    let plane = control_plane();
    for case in cases() {
        let file = case.input.to_str().unwrap();
        let create = ["create", "--dry-run=client", "--validate=false", "-o", "json", "-f", file];
        let answer = plane.kubectl(User::Admin, &create);
        let read = (answer.code == 0).then(|| {
            let objects = Deserializer::from_str(&answer.stdout).into_iter::<Value>();
            objects.collect::<Result<Vec<_>, _>>().unwrap_or_else(|error| panic!("{}: {error}", law(&case)))
        });
        if std::env::var_os("UPDATE").is_some() {
            let text = read.as_ref().map_or("refused".to_owned(), |read| serde_json::to_string_pretty(read).unwrap());
            fs::write(&case.expected, text + "\n").unwrap();
        }
        assert_eq!(plain_all(read), plain_all(expected(&case)), "{}: {answer:#?}", law(&case));
    }
}
