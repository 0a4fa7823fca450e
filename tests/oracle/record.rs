//! How are answered cases kept, so that another engine can be held to the same answers without a server?
//!
//! A file of JSON, one value a line: kinds, and cases that name one by its place among them.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::kind::Kind;

/// A file that is written; `replay` reads it.
pub struct Record(Mutex<BufWriter<File>>);

impl Record {
    /// Begins a file.
    pub fn at(file: &Path) -> Self {
        Self(Mutex::new(BufWriter::new(File::create(file).unwrap())))
    }

    fn line(&self, value: &Value) {
        writeln!(self.0.lock().unwrap(), "{value}").unwrap();
    }

    /// Adds a kind.
    pub fn kind(&self, kind: &Kind) {
        self.line(&json!({ "title": kind.title, "group": kind.group, "version": kind.version, "kind": kind.kind,
            "statusApart": kind.status_apart, "definitions": kind.definitions, "document": *kind.document }));
    }

    /// Adds a case of the kind that was added last.
    pub fn case(&self, declared: &Value, before: &Value, after: &Value) {
        self.line(&json!({ "declared": declared, "before": before, "after": after }));
    }
}
