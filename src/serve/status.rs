//! How does it go? Health, readiness, metrics and state over plain HTTP, for people, probes and scrapers. It changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::audit::Clock;
use crate::audit::board::Board;
use crate::audit::metrics::{IgnoredBy, Metrics, OfCluster, OfSource, OfState, Source as SourceLabels};
use crate::audit::record::Record;
use crate::audit::safety::Condition;
use crate::gate::basis::Basis;
use crate::gate::ignore::Ignore;
use crate::gate::policy::Rule;
use crate::limits;
use crate::serve::page;

/// The state of a webhook configuration that stands as rendered.
pub const KEPT: &str = "kept";

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

/// One source, as the page shows it. Made in `app` of what `follow` knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SourceReport {
    /// Its name.
    pub name: String,
    /// Its URL, without user and password.
    pub remote: String,
    /// The revision in force.
    pub revision: Option<String>,
    /// That revision's author.
    pub author: Option<String>,
    /// When it was written.
    pub date: Option<Timestamp>,
    /// The commit that was found but must not take effect; its faults come first.
    pub refused: Option<String>,
    /// Objects declared.
    pub declared: usize,
    /// How many faults there are.
    pub fault_count: usize,
    /// The first [`limits::FAULTS_SHOWN_MAX`], each with file and line.
    pub faults: Vec<String>,
    /// Why the last fetch failed; absent where it did not.
    pub error: Option<String>,
    /// When Git last answered.
    pub fetched: Option<Timestamp>,
    /// How its objects stand; absent where nobody looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectsReport>,
}

/// How the objects of one source stand, as the page shows it. Made in `app` of what the reconciler tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ObjectsReport {
    /// How many stand how; each object counts once.
    #[serde(flatten)]
    pub states: BTreeMap<&'static str, usize>,
    /// Repairs since the start.
    pub repaired: u64,
    /// Since when the drift that is there longest is there.
    pub oldest_drift: Option<Timestamp>,
    /// Kinds that cannot be watched, with the reason.
    pub unwatched: BTreeMap<String, String>,
    /// The first fights, each in one line.
    pub fights: Vec<String>,
    /// The first objects that cannot be brought back, each with the reason.
    pub stuck: Vec<String>,
}

/// How the configuration fares, as the page shows it. Made in `app`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ConfigurationReport {
    /// Why the files, as they are now, are not in force, each with file and line; then the last good ones are.
    pub faults: Vec<String>,
    /// The objects in the cluster that are not in force as they are now, each with all that is wrong with it.
    pub objects: BTreeMap<String, Vec<String>>,
    /// What loads without effect, and what conflicts.
    pub notices: Vec<String>,
}

/// Our webhook configuration, as the page shows it. Made in `app` of what its keeper tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WebhooksReport {
    /// `starting`, `kept`, `standing down` or `failing`; only `kept` guards for sure.
    pub state: &'static str,
    /// Since when it is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When what somebody took away is written again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_at: Option<Timestamp>,
    /// Why it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Tells how far the sources are, and whether we are asked at all.
pub trait Progress: Send + Sync {
    /// Whether what was known before the start is loaded, or the end has begun.
    fn phase(&self) -> Phase;

    /// Every source, in the order of their names.
    fn sources(&self) -> Vec<SourceReport>;

    /// How the configuration fares.
    fn configuration(&self) -> ConfigurationReport;

    /// How our webhook configuration fares; nothing where somebody else keeps it.
    fn webhooks(&self) -> Option<WebhooksReport>;
}

/// What the page shows.
pub struct Status {
    progress: Arc<dyn Progress>,
    basis: watch::Receiver<Arc<Basis>>,
    board: Arc<Board>,
    metrics: Arc<Metrics>,
    clock: Clock,
    started: Instant,
}

/// `/status.json`.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    pub(super) version: &'static str,
    pub(super) ready: bool,
    pub(super) policy_generation: u64,
    pub(super) configuration: ConfigurationReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) webhooks: Option<WebhooksReport>,
    pub(super) sources: Vec<SourceReport>,
    pub(super) policies: Vec<PolicyStatus>,
    pub(super) records: Vec<Record>,
}

#[derive(Debug, Serialize)]
pub(super) struct PolicyStatus {
    pub(super) name: String,
    pub(super) precedence: i64,
    pub(super) mode: &'static str,
    pub(super) failure_policy: &'static str,
    pub(super) drift: &'static str,
    pub(super) delete: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ignore: Vec<IgnoreStatus>,
    /// As the object in the cluster has them.
    pub(super) conditions: Vec<Condition>,
}

/// One `ignore` rule.
#[derive(Debug, Serialize)]
pub(super) struct IgnoreStatus {
    pub(super) name: String,
    pub(super) reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<Timestamp>,
    /// Whether it has no effect any more.
    pub(super) expired: bool,
    /// In how many verdicts since the start it made a difference.
    pub(super) used: u64,
}

impl Status {
    /// Counts the time to readiness from now.
    pub fn new(
        progress: Arc<dyn Progress>,
        basis: watch::Receiver<Arc<Basis>>,
        board: Arc<Board>,
        metrics: &Arc<Metrics>,
        clock: &Clock,
    ) -> Self {
        let (metrics, clock) = (Arc::clone(metrics), Arc::clone(clock));
        Self { progress, basis, board, metrics, clock, started: Instant::now() }
    }

    fn ready(&self) -> bool {
        match self.progress.phase() {
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
            configuration: self.progress.configuration(),
            webhooks: self.progress.webhooks(),
            sources: self.progress.sources(),
            policies: policies(&basis, &self.metrics, &self.board, (self.clock)()),
            records: self.board.latest(),
        }
    }

    /// Sets the gauges that mirror the sources; a source or revision that is no more leaves the metrics.
    fn mirror(&self) {
        let Metrics { source, source_commit, source_objects, source_faults, webhooks_kept, .. } = self.metrics.as_ref();
        let Metrics { objects, oldest_drift, .. } = self.metrics.as_ref();
        source.clear();
        objects.clear();
        oldest_drift.clear();
        for of_source in [source_commit, source_objects, source_faults] {
            of_source.clear();
        }
        if let Some(report) = self.progress.webhooks() {
            webhooks_kept.get_or_create(&OfCluster {}).set(i64::from(report.state == KEPT));
        }
        for report in self.progress.sources() {
            let of = OfSource { source: report.name.clone() };
            if let Some(date) = report.date {
                source_commit.get_or_create(&of).set(date.as_second());
            }
            source_objects.get_or_create(&of).set(whole(report.declared));
            source_faults.get_or_create(&of).set(whole(report.fault_count));
            if let Some(standing) = &report.objects {
                let age = standing.oldest_drift.map(|oldest| (self.clock)().duration_since(oldest).as_secs_f64());
                oldest_drift.get_or_create(&of).set(age.unwrap_or_default().max(0.0));
                for (state, count) in &standing.states {
                    objects.get_or_create(&OfState { source: of.source.clone(), state }).set(whole(*count));
                }
            }
            let revision = report.revision.unwrap_or_default();
            source.get_or_create(&SourceLabels { source: report.name, revision }).set(1);
        }
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn policies(basis: &Basis, metrics: &Metrics, board: &Board, now: Timestamp) -> Vec<PolicyStatus> {
    let used = |policy: &Rule, rule: &Ignore| {
        let labels = IgnoredBy { policy: policy.name.clone(), rule: rule.name.clone() };
        metrics.ignored.get_or_create(&labels).get()
    };
    let ignore = |policy: &Rule, rule: &Ignore| IgnoreStatus {
        name: rule.name.clone(),
        reason: rule.reason.clone(),
        expires: rule.expires,
        expired: rule.is_over(now),
        used: used(policy, rule),
    };
    let rules = basis.policy.rules.iter().map(|rule| PolicyStatus {
        name: rule.name.clone(),
        precedence: rule.precedence,
        mode: rule.mode.name(),
        failure_policy: rule.failure_policy.name(),
        drift: rule.drift.name(),
        delete: rule.delete.name(),
        ignore: rule.ignore.iter().map(|ignored| ignore(rule, ignored)).collect(),
        conditions: vec![board.safety(&rule.name, now)],
    });
    rules.collect()
}

/// The page for people, `/healthz`, `/readyz`, `/metrics` and `/status.json`.
pub fn router(status: Arc<Status>) -> Router {
    Router::new()
        .route("/", get(async |State(status): State<Arc<Status>>| Html(page::html(&status.page()))))
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
