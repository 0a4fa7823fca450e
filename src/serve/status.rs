//! How does it go? Health, readiness, metrics and state over plain HTTP, for people, probes and scrapers. It changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::audit::board::Board;
use crate::audit::metrics::{Metrics, OfSource, Source as SourceLabels};
use crate::audit::record::Record;
use crate::gate::basis::{Basis, SourceId};
use crate::gate::policy::{FailurePolicy, Mode};
use crate::limits;

/// How far the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Some source with a known last revision is not loaded yet.
    Loading,
    /// Every source that has a known last revision is loaded.
    Loaded,
    /// It is told to stop.
    Draining,
}

/// What the page shows.
pub struct Status {
    basis: watch::Receiver<Arc<Basis>>,
    phase: watch::Receiver<Phase>,
    board: Arc<Board>,
    metrics: Arc<Metrics>,
    started: Instant,
}

/// `/status.json`.
#[derive(Debug, Serialize)]
struct Page {
    version: &'static str,
    ready: bool,
    policy_generation: u64,
    sources: Vec<SourceStatus>,
    policies: Vec<PolicyStatus>,
    records: Vec<Record>,
}

#[derive(Debug, Serialize)]
struct SourceStatus {
    name: String,
    revision: Option<String>,
    author: Option<String>,
    date: Option<Timestamp>,
    declared: usize,
    fault_count: usize,
    /// At most [`limits::FAULTS_SHOWN_MAX`].
    faults: Vec<String>,
}

#[derive(Debug, Serialize)]
struct PolicyStatus {
    name: String,
    precedence: i64,
    mode: &'static str,
    failure_policy: &'static str,
    drift: &'static str,
    delete: &'static str,
}

impl Status {
    /// Counts the time to readiness from now.
    pub fn new(
        basis: watch::Receiver<Arc<Basis>>,
        phase: watch::Receiver<Phase>,
        board: Arc<Board>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { basis, phase, board, metrics, started: Instant::now() }
    }

    fn ready(&self) -> bool {
        match *self.phase.borrow() {
            Phase::Loaded => true,
            Phase::Loading => self.started.elapsed() >= limits::READY_WAIT_MAX,
            Phase::Draining => false,
        }
    }

    fn page(&self) -> Page {
        let basis = Arc::clone(&self.basis.borrow());
        Page {
            version: env!("CARGO_PKG_VERSION"),
            ready: self.ready(),
            policy_generation: basis.policy.generation,
            sources: sources(&basis),
            policies: policies(&basis),
            records: self.board.latest(),
        }
    }

    /// Sets the gauges that mirror the basis; a revision that is no longer in force leaves the metrics.
    fn mirror(&self) {
        let basis = Arc::clone(&self.basis.borrow());
        let Metrics { source, source_commit, source_objects, source_faults, .. } = self.metrics.as_ref();
        source.clear();
        let declared = declared(&basis);
        for (id, state) in &basis.sources {
            let of = OfSource { source: id.to_string() };
            let revision = state.revision.as_ref().map(ToString::to_string).unwrap_or_default();
            source.get_or_create(&SourceLabels { source: id.to_string(), revision }).set(1);
            if let Some(head) = &state.head {
                source_commit.get_or_create(&of).set(head.date.as_second());
            }
            source_objects.get_or_create(&of).set(whole(declared.get(id).copied().unwrap_or(0)));
            source_faults.get_or_create(&of).set(whole(state.faults.len()));
        }
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// How many objects each source declares.
fn declared(basis: &Basis) -> BTreeMap<SourceId, usize> {
    let mut counts = BTreeMap::new();
    for entry in basis.index.objects.values().filter(|entry| entry.head.is_some()) {
        if let Some(count) = counts.get_mut(&entry.source) {
            *count += 1;
        } else {
            counts.insert(entry.source.clone(), 1);
        }
    }
    counts
}

fn sources(basis: &Basis) -> Vec<SourceStatus> {
    let declared = declared(basis);
    let one = |(id, state): (&SourceId, &Arc<crate::gate::basis::Source>)| SourceStatus {
        name: id.to_string(),
        revision: state.revision.as_ref().map(ToString::to_string),
        author: state.head.as_ref().map(|head| head.author.clone()),
        date: state.head.as_ref().map(|head| head.date),
        declared: declared.get(id).copied().unwrap_or(0),
        fault_count: state.faults.len(),
        faults: state.faults.iter().take(limits::FAULTS_SHOWN_MAX).map(ToString::to_string).collect(),
    };
    basis.sources.iter().map(one).collect()
}

fn policies(basis: &Basis) -> Vec<PolicyStatus> {
    let rules = basis.policy.rules.iter().map(|rule| PolicyStatus {
        name: rule.name.clone(),
        precedence: rule.precedence,
        mode: match rule.mode {
            Mode::Observe => "Observe",
            Mode::Enforce => "Enforce",
        },
        failure_policy: match rule.failure_policy {
            FailurePolicy::Ignore => "Ignore",
            FailurePolicy::Fail => "Fail",
        },
        drift: rule.drift.name(),
        delete: rule.delete.name(),
    });
    rules.collect()
}

/// `/healthz`, `/readyz`, `/metrics` and `/status.json`.
pub fn router(status: Arc<Status>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/status.json", get(async |State(status): State<Arc<Status>>| Json(status.page())))
        .with_state(status)
}

async fn readyz(State(status): State<Arc<Status>>) -> (StatusCode, &'static str) {
    if status.ready() { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}

async fn metrics(State(status): State<Arc<Status>>) -> Response {
    status.mirror();
    match status.metrics.encode() {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written\n").into_response(),
    }
}
