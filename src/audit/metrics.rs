//! How much, how fast, how often? All metrics, one struct, made in `app`. Low cardinality: no object, user or commit is a label.

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::gate::ignore::{ANNOTATION, Exception};
use crate::gate::verdict::Verdict;

/// Buckets of decisions in memory, seconds: 5 µs to 0.3 s.
const DECISION_BUCKETS: [f64; 15] =
    [5e-6, 1e-5, 2e-5, 3e-5, 5e-5, 7.5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 2e-2, 5e-2, 0.1, 0.3];
/// Buckets of whole reviews, seconds: up to the webhook's timeout.
const REVIEW_BUCKETS: [f64; 13] = [5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 2e-2, 0.1, 0.3, 1.0, 2.0, 3.0];

/// Buckets of repairs, seconds: up to those that wait for their turn.
const REPAIR_BUCKETS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.175, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    /// Verdicts, dry-runs included.
    pub decisions: Family<Decision, Counter>,
    /// Time from a review's bytes to a verdict, in memory, in seconds.
    pub decision_seconds: Histogram,
    /// Time from a request's head to the answer, waiting for the body and for answers included, in seconds.
    pub review_seconds: Histogram,
    /// Reviews answered by the failure rule.
    pub failures: Family<Failed, Counter>,
    /// Panics caught in a handler. Each is a bug.
    pub panics: Counter,
    /// Questions asked before a refusal.
    pub questions: Family<Asked, Counter>,
    /// Verdicts in which something that differs was ignored.
    pub ignored: Family<IgnoredBy, Counter>,
    /// Fetches of sources.
    pub fetches: Family<Fetched, Counter>,
    /// Records that a sink did not get.
    pub records_dropped: Family<Sink, Counter>,
    /// Revision in force of each source, as a label.
    pub source: Family<Source, Gauge>,
    /// When that revision was written, in seconds since 1970.
    pub source_commit: Family<OfSource, Gauge>,
    /// Objects that each source declares.
    pub source_objects: Family<OfSource, Gauge>,
    /// Faults of each source.
    pub source_faults: Family<OfSource, Gauge>,
    /// Attempts to bring an object back.
    pub repairs: Family<Repaired, Counter>,
    /// Time from when an object was seen to differ to when it was brought back, in seconds.
    pub repair_seconds: Histogram,
    /// Declared objects of each source, by how they stand to Git.
    pub objects: Family<OfState, Gauge>,
    /// Age of the oldest drift of each source, in seconds; 0 where there is none.
    pub oldest_drift: Family<OfSource, Gauge<f64, AtomicU64>>,
    /// Drifts that the gate was not asked about.
    pub slipped_past: Family<OfSource, Counter>,
    /// Fights that began.
    pub fights: Family<OfSource, Counter>,
    /// Connections open to the webhook listener.
    pub connections: Gauge,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: Counter,
    /// Times that somebody deleted or changed our webhook configuration.
    pub tampering: Family<Tampered, Counter>,
    /// 1 where our webhook configuration stands as rendered, else 0; absent where somebody else keeps it.
    pub webhooks_kept: Family<OfCluster, Gauge>,
    /// End of the serving certificate, in seconds since 1970.
    pub certificate_expiry: Gauge<f64, AtomicU64>,
}

/// Labels of a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Decision {
    /// What was ruled.
    pub ruling: &'static str,
    /// `true` in mode Enforce.
    pub enforced: &'static str,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: &'static str,
    /// What the writer is to us.
    pub role: &'static str,
}

/// Labels of an answer by the failure rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Failed {
    /// Which webhook entry.
    pub entry: &'static str,
    /// Why nothing could be decided.
    pub reason: &'static str,
}

/// Label of a question.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Asked {
    /// What was asked.
    pub question: &'static str,
    /// `answered` or `silence`.
    pub outcome: &'static str,
}

/// Labels of who ignores: as many as the policies have rules.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct IgnoredBy {
    /// The DriftPolicy; empty for the annotation on a manifest.
    pub policy: String,
    /// The rule's name in it, or the annotation's.
    pub rule: String,
}

impl IgnoredBy {
    /// Labels of one of them.
    pub fn of(exception: &Exception) -> Self {
        match exception {
            Exception::Rule { policy, rule } => Self { policy: policy.clone(), rule: rule.clone() },
            Exception::Manifest => Self { policy: String::new(), rule: ANNOTATION.to_owned() },
        }
    }
}

/// Labels of a fetch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Fetched {
    /// The GitSource.
    pub source: String,
    /// `new`, `unchanged` or `failed`.
    pub outcome: &'static str,
}

/// Labels of how objects stand.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfState {
    /// The GitSource.
    pub source: String,
    /// How they stand to Git.
    pub state: &'static str,
}

/// Label of an attempt to bring an object back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Repaired {
    /// `repaired` or `cannot_repair`.
    pub outcome: &'static str,
}

/// Label of a change to our webhook configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Tampered {
    /// `deleted` or `changed`.
    pub how: &'static str,
}

/// Label of a sink.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Sink {
    /// `queue`, `journal`, `event` or `cloudevents`.
    pub sink: &'static str,
}

/// Labels of a source's revision.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Source {
    /// The GitSource.
    pub source: String,
    /// Its revision in force.
    pub revision: String,
}

/// Label of a source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfSource {
    /// The GitSource.
    pub source: String,
}

/// No label: there is one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfCluster {}

impl Metrics {
    /// Makes and registers all metrics.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("landfast");
        registry.register("build", "Version of the program", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        let mut add = Add(&mut registry);
        Self {
            decisions: add.plain("decisions", "Verdicts, dry-runs included", Family::default()),
            decision_seconds: add.seconds(
                "decision",
                "From a review's bytes to a verdict, in memory",
                &DECISION_BUCKETS,
            ),
            review_seconds: add.seconds("review", "From a request's head to its answer", &REVIEW_BUCKETS),
            failures: add.plain("failures", "Reviews answered by the failure rule", Family::default()),
            panics: add.plain("panics", "Panics caught in a handler", Counter::default()),
            questions: add.plain("questions", "Questions asked before a refusal", Family::default()),
            ignored: add.plain("ignored", "Verdicts in which something that differs was ignored", Family::default()),
            fetches: add.plain("fetches", "Fetches of GitSources", Family::default()),
            records_dropped: add.plain("records_dropped", "Records that a sink did not get", Family::default()),
            source: add.plain("source_info", "Revision in force of each GitSource", Family::default()),
            source_commit: add.plain(
                "source_commit_timestamp_seconds",
                "When the revision in force was written, since 1970",
                Family::default(),
            ),
            source_objects: add.plain("source_objects", "Objects that each GitSource declares", Family::default()),
            source_faults: add.plain("source_faults", "Faults of each GitSource", Family::default()),
            repairs: add.plain("repairs", "Attempts to bring an object back to what Git declares", Family::default()),
            repair_seconds: add.seconds("repair", "From an object seen to differ to it brought back", &REPAIR_BUCKETS),
            objects: add.plain("objects", "Declared objects, by how they stand to Git", Family::default()),
            oldest_drift: add.plain("oldest_drift_seconds", "Age of the oldest drift", Family::default()),
            slipped_past: add.plain("slipped_past", "Drifts that the gate was not asked about", Family::default()),
            fights: add.plain("fights", "Fields moved again each time that they were repaired", Family::default()),
            connections: add.plain("connections", "Connections open to the webhook listener", Gauge::default()),
            handshakes_failed: add.plain("handshakes_failed", "TLS handshakes failed or too slow", Counter::default()),
            tampering: add.plain("tampering", "Webhook configuration deleted or changed by others", Family::default()),
            webhooks_kept: add.plain("webhooks_kept", "Whether our webhook configuration stands", Family::default()),
            certificate_expiry: add.plain(
                "certificate_expiry_timestamp_seconds",
                "End of the serving certificate, since 1970",
                Gauge::default(),
            ),
            registry,
        }
    }

    /// Counts a verdict.
    pub fn decided(&self, verdict: &Verdict) {
        let labels = Decision {
            ruling: verdict.ruling.name(),
            enforced: if verdict.enforced { "true" } else { "false" },
            operation: verdict.operation,
            role: verdict.role.name(),
        };
        self.decisions.get_or_create(&labels).inc();
        for exception in &verdict.ignored {
            self.ignored.get_or_create(&IgnoredBy::of(exception)).inc();
        }
    }

    /// Counts an attempt to bring an object back.
    pub fn repaired(&self, outcome: &'static str) {
        self.repairs.get_or_create(&Repaired { outcome }).inc();
    }

    /// Counts a record that a sink did not get.
    pub fn dropped(&self, sink: &'static str) {
        self.records_dropped.get_or_create(&Sink { sink }).inc();
    }

    /// All metrics in the OpenMetrics text format.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Registers metrics and hands them back.
struct Add<'r>(&'r mut Registry);

impl Add<'_> {
    fn plain<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    fn seconds(&mut self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let histogram = Histogram::new(buckets.iter().copied());
        self.0.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        histogram
    }
}

#[cfg(test)]
mod tests {
    use crate::audit::metrics::{
        Asked, Failed, Fetched, IgnoredBy, Metrics, OfCluster, OfSource, OfState, Source, Tampered,
    };
    use crate::audit::record::tests::verdict;
    use crate::gate::verdict::Ruling;

    #[test]
    fn names_follow_the_conventions() {
        let metrics = Metrics::new();
        metrics.decided(&verdict("ConfigMap", Ruling::Deny, "5"));
        metrics.decision_seconds.observe(2e-5);
        let text = metrics.encode().unwrap();
        for line in [
            r#"landfast_decisions_total{ruling="Deny",enforced="true",operation="UPDATE",role="Person"} 1"#,
            r#"landfast_decision_seconds_bucket{le="0.00002"} 1"#,
            "landfast_panics_total 0",
            "# TYPE landfast_certificate_expiry_timestamp_seconds gauge",
        ] {
            assert!(text.contains(line), "{line} in:\n{text}");
        }
        assert!(text.lines().all(|line| line.starts_with("# ") || line.starts_with("landfast_")), "{text}");
    }

    /// Metrics with one sample of each.
    fn sampled() -> Metrics {
        let metrics = Metrics::new();
        let Metrics { registry: _, decisions: _, panics, connections, handshakes_failed, certificate_expiry, .. } =
            &metrics;
        panics.inc();
        handshakes_failed.inc();
        connections.set(1);
        certificate_expiry.set(1.0);
        metrics.decided(&verdict("ConfigMap", Ruling::Deny, "5"));
        metrics.decision_seconds.observe(2e-5);
        metrics.review_seconds.observe(2e-5);
        metrics.dropped("queue");
        metrics.repaired("repaired");
        metrics.repair_seconds.observe(0.1);
        let of = OfSource { source: "shop".to_owned() };
        metrics.slipped_past.get_or_create(&of).inc();
        metrics.fights.get_or_create(&of).inc();
        metrics.oldest_drift.get_or_create(&of).set(1.5);
        metrics.objects.get_or_create(&OfState { source: of.source, state: "in_sync" }).set(1);
        metrics.failures.get_or_create(&Failed { entry: "guard", reason: "panic" }).inc();
        metrics.questions.get_or_create(&Asked { question: "fetch", outcome: "silence" }).inc();
        let (policy, rule, source) = ("shop".to_owned(), "legacy".to_owned(), "shop".to_owned());
        metrics.ignored.get_or_create(&IgnoredBy { policy, rule }).inc();
        metrics.fetches.get_or_create(&Fetched { source: source.clone(), outcome: "new" }).inc();
        metrics.source.get_or_create(&Source { source: source.clone(), revision: "3f2a91c".to_owned() }).set(1);
        for of in [&metrics.source_commit, &metrics.source_objects, &metrics.source_faults] {
            of.get_or_create(&OfSource { source: source.clone() }).set(1);
        }
        metrics.tampering.get_or_create(&Tampered { how: "deleted" }).inc();
        metrics.webhooks_kept.get_or_create(&OfCluster {}).set(1);
        metrics
    }

    #[test]
    fn each_metric_has_a_help_and_a_name_by_the_conventions() {
        let text = sampled().encode().unwrap();
        let mut types = std::collections::BTreeMap::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
            let help = format!("# HELP {name} ");
            let help = text.lines().find_map(|line| line.strip_prefix(&help)).unwrap_or_default();
            assert!(help.len() > 10 && help.ends_with('.'), "{name}: {help:?}");
        }
        // Each that is registered has a sample: else it would not have been looked at.
        let registered = include_str!("metrics.rs").split("#[cfg(test)]").next().unwrap().matches(" add.").count() + 1;
        assert_eq!(types.len(), registered, "{types:#?}");
        for (name, kind) in &types {
            let samples: Vec<&str> = text.lines().filter(|line| line.starts_with(name.as_str())).collect();
            assert!(!samples.is_empty(), "{name}");
            let suffixes: &[&str] = match kind.as_str() {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_count", "_sum"],
                "gauge" => &[""],
                "info" => &["_info"],
                other => panic!("{name} is a {other}"),
            };
            let is_conventional = |sample: &&str| {
                let rest = &sample[name.len()..];
                suffixes.iter().any(|suffix| rest.strip_prefix(suffix).is_some_and(|rest| rest.starts_with(['{', ' '])))
            };
            // A longer name may begin with this one.
            assert!(samples.iter().any(is_conventional), "{name} is a {kind}: {samples:?}");
            assert!(!name.ends_with("_total"), "{name}: the suffix is the encoder's");
            assert!(["_ms", "_millis", "_minutes", "_kb", "_mib"].iter().all(|unit| !name.ends_with(unit)), "{name}");
            assert!(kind != "histogram" || name.ends_with("_seconds"), "{name}: seconds and bytes only");
        }
    }
}
