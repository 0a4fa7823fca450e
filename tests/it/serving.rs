//! A webhook server for tests, without an API server: what it decides on, and reviews to send.

use std::sync::Arc;

use jiff::Timestamp;
use landfast::audit::Clock;
use landfast::audit::board::Board;
use landfast::audit::metrics::Metrics;
use landfast::audit::sinks::{Audit, Sinks};
use landfast::drift::schema::Schemas;
use landfast::gate::basis::{Basis, Entry, Index, Objects, SourceId};
use landfast::render;
use landfast::serve::admission::Admission;
use landfast::serve::answers::Answers;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::{basis, everywhere};

/// A server's parts, to be taken apart.
pub struct Serving {
    /// What answers reviews.
    pub admission: Arc<Admission>,
    /// Keeps the basis alive.
    _basis: watch::Sender<Arc<Basis>>,
    /// The last records.
    pub board: Arc<Board>,
    /// Its metrics.
    pub metrics: Arc<Metrics>,
    /// Empties the queue of records when it is run.
    pub sinks: Sinks,
}

impl Serving {
    /// Declares the ConfigMap `shop/web` with `data.replicas: "3"`, under a policy that denies drift.
    pub fn new(answers: Arc<dyn Answers>) -> Self {
        let (sender, basis) = watch::channel(declaring("3"));
        Self::with(answers, sender, basis)
    }

    /// The same, on a basis that others publish too.
    pub fn with(
        answers: Arc<dyn Answers>,
        sender: watch::Sender<Arc<Basis>>,
        basis: watch::Receiver<Arc<Basis>>,
    ) -> Self {
        let (board, metrics) = (Arc::new(Board::default()), Arc::new(Metrics::new()));
        let Audit { recorder, sinks, .. } = Audit::new(None, None, Arc::clone(&board), Arc::clone(&metrics), clock());
        let admission = Admission::new(basis, answers, recorder, Arc::clone(&metrics), clock());
        Self { admission: Arc::new(admission), _basis: sender, board, metrics, sinks }
    }
}

/// A clock that stands still.
pub fn clock() -> Clock {
    Arc::new(|| "2026-11-22T10:00:00Z".parse().unwrap())
}

/// The basis on which `shop/web` has this many replicas in Git.
pub fn declaring(replicas: &str) -> Arc<Basis> {
    let schemas = Schemas::builtin();
    let manifest = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: web, namespace: shop }}\ndata:\n  replicas: {replicas:?}\n"
    );
    let with = render::Context { schemas: &schemas, scope: &everywhere(), default_namespace: None };
    let rendered = render::file("web.yaml", manifest.as_bytes(), with).unwrap();
    assert!(rendered.faults.is_empty(), "{:?}", rendered.faults);
    let id = SourceId("shop".into());
    let entry = |declared| Entry {
        source: id.clone(),
        head: Some(declared),
        since: Timestamp::UNIX_EPOCH,
        past: Arc::default(),
    };
    let objects: Objects =
        rendered.objects.into_iter().map(|declared| (declared.key.clone(), entry(declared))).collect();
    let (index, _) = Index::build(&[(&id, &objects)]);
    Arc::new(basis(schemas, index, id))
}

/// The review of an update of `shop/web` by a person, from three replicas to this many.
pub fn review(uid: &str, replicas: &str) -> Value {
    let object = |replicas: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "web", "namespace": "shop", "uid": "object-uid" },
            "data": { "replicas": replicas },
        })
    };
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": uid,
            "kind": { "group": "", "version": "v1", "kind": "ConfigMap" },
            "resource": { "group": "", "version": "v1", "resource": "configmaps" },
            "name": "web", "namespace": "shop", "operation": "UPDATE",
            "userInfo": { "username": "alice", "groups": ["system:authenticated"] },
            "object": object(replicas), "oldObject": object("3"), "dryRun": false, "options": null,
        },
    })
}
