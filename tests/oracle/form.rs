//! Does the server's form of a declaration settle what the bare engine leaves open? Learnt by Landfast's own learner.

use std::future::pending;
use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;
use landfast::cluster::form::Forms;
use landfast::drift::compare::Typing;
use landfast::drift::declared::ObjectKey;
use landfast::drift::document::Document;
use landfast::drift::form::{Form, Stage, compare_with};
use landfast::gate::facts::FormOf;
use landfast::store::Store;
use serde_json::Value;
use tempfile::TempDir;

use crate::batch::Stored;
use crate::kind::Kind;
use crate::verdict::{Found, found};

/// How often a form is asked for: a busy server may not give one in time.
const ATTEMPTS: usize = 3;

/// Landfast's learner, beside the server that is asked.
#[derive(Clone)]
pub struct Learner {
    forms: Forms,
    _folder: Arc<TempDir>,
}

impl Learner {
    /// Begins to learn through this client.
    pub fn start(client: Client) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (forms, errands) = Forms::open(client, Arc::new(store), Arc::new(now));
        tokio::spawn(errands.run(pending()));
        Self { forms, _folder: Arc::new(folder) }
    }

    /// The form of a declaration of a stored object; `None` where the server gives none.
    pub async fn form(&self, kind: &Kind, stored: &Stored, declared: &Value) -> Option<Arc<Form>> {
        let namespace = kind.namespace.as_deref().unwrap_or_default();
        let object = ObjectKey::new(&kind.group, &kind.kind, namespace, &stored.name);
        let of = FormOf { object, manifest: declared.to_string().as_bytes().into() };
        let resource = kind.collection.rsplit('/').next().unwrap_or_default();
        for _ in 1..ATTEMPTS {
            if let Some(form) = self.forms.form(&of, resource).await {
                return Some(form);
            }
        }
        self.forms.form(&of, resource).await
    }
}

#[expect(clippy::disallowed_methods, reason = "a test is its own rim")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// What the engine finds with a form at hand, once for each way in which it may know the kind.
pub fn ask(kind: &Kind, declared: &Value, before: &str, stage: Stage, form: &Form) -> Vec<Found> {
    let declared = declared.to_string();
    let declared = Document::parse(declared.as_bytes()).expect("the oracle writes objects");
    let before = Document::parse(before.as_bytes()).expect("the server answers with objects");
    let typings = kind.schemas.iter().map(|schemas| Typing::of(schemas, &kind.group, &kind.version, &kind.kind));
    typings.map(|typing| found(compare_with(typing, &declared, &before, stage, form))).collect()
}
