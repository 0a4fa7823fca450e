//! How does a verdict reach every sink without waiting for one? A bounded queue, and the task that empties it.

use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{MissedTickBehavior, interval};

use crate::audit::board::Board;
use crate::audit::change::Reconfigured;
use crate::audit::cloudevents::{CloudEvents, Receiver};
use crate::audit::event::{EventSink, Events, Told};
use crate::audit::fold::{Fold, Folded};
use crate::audit::journal::{Journal, Line};
use crate::audit::metrics::Metrics;
use crate::audit::passed::Passed;
use crate::audit::record::{Record, Seen};
use crate::audit::usage::{Usage, Used};
use crate::audit::{Clock, log};
use crate::gate::verdict::{Ruling, Verdict};
use crate::limits;

/// Where verdicts are handed in. Cheap to clone; never waits.
#[derive(Debug, Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Entry>,
    metrics: Arc<Metrics>,
    usage: Arc<Usage>,
    passed: Arc<Passed>,
}

/// What is on the record.
#[derive(Debug)]
enum Entry {
    Verdict(Box<Record>),
    Reconfigured(Reconfigured),
    Used(Used),
}

/// Whether a write is to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It will be, if all let it in.
    Stored,
    /// A dry-run: it leaves no record.
    DryRun,
}

/// Empties the queue: journal, log, board, and the queue of Events.
pub struct Sinks {
    queue: mpsc::Receiver<Entry>,
    fold: Fold,
    journal: Option<Journal>,
    board: Arc<Board>,
    events: Option<mpsc::Sender<Told>>,
    cloudevents: Option<mpsc::Sender<Box<Record>>>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

/// The ends of the queue, to be wired in `app`: `sinks.run(…)` and `events.run(…)` are tasks of their own.
pub struct Audit {
    /// Goes to those who decide.
    pub recorder: Recorder,
    /// The task that empties the queue.
    pub sinks: Sinks,
    /// The task that writes Events; absent without a cluster.
    pub events: Option<Events>,
    /// The task that sends CloudEvents; absent without a receiver.
    pub cloudevents: Option<CloudEvents>,
}

impl Audit {
    /// Makes the queue and its sinks. `journal` and `sink` are absent where there is no state folder and no cluster.
    pub fn new(
        journal: Option<Journal>,
        sink: Option<Arc<dyn EventSink>>,
        board: Arc<Board>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        let (sender, queue) = mpsc::channel(limits::RECORD_QUEUE);
        let (told, events) = sink.map(|sink| Events::new(sink, Arc::clone(&metrics), Arc::clone(&clock))).unzip();
        let passed = Arc::new(Passed::of(&board.latest()));
        let recorder = Recorder { queue: sender, metrics: Arc::clone(&metrics), usage: Arc::default(), passed };
        Self {
            recorder,
            sinks: Sinks {
                queue,
                fold: Fold::default(),
                journal,
                board,
                events: told,
                cloudevents: None,
                metrics,
                clock,
            },
            events,
            cloudevents: None,
        }
    }

    /// The same, with a receiver of CloudEvents.
    #[must_use]
    pub fn sending(mut self, receiver: Receiver) -> Self {
        let (sender, cloudevents) = CloudEvents::new(receiver, Arc::clone(&self.sinks.metrics));
        self.sinks.cloudevents = Some(sender);
        Self { cloudevents: Some(cloudevents), ..self }
    }
}

impl Recorder {
    /// Counts a verdict, and records it where it is other than a plain Allow and not of a dry-run.
    pub fn verdict(&self, verdict: &Verdict, seen: impl FnOnce() -> Seen, effect: Effect, now: Timestamp) {
        self.metrics.decided(verdict);
        if effect == Effect::Stored {
            self.usage.noted(verdict, now).into_iter().for_each(|used| self.hand_in(Entry::Used(used)));
            self.passed.note(verdict, now);
        }
        match (verdict.ruling, effect) {
            (Ruling::Allow, Effect::Stored) if verdict.glass.is_some() => {
                self.record(Record::of(verdict, &seen(), now));
            }
            (Ruling::Allow, _) | (_, Effect::DryRun) => {}
            (Ruling::Warn | Ruling::Annotate | Ruling::Revert | Ruling::Deny, Effect::Stored) => {
                self.record(Record::of(verdict, &seen(), now));
            }
        }
    }

    /// What the gate let in a moment ago.
    pub fn passed(&self) -> &Passed {
        &self.passed
    }

    /// Hands a record in; a full queue drops and counts it.
    pub fn record(&self, record: Record) {
        self.hand_in(Entry::Verdict(Box::new(record)));
    }

    /// Hands in a change of the configuration.
    pub fn reconfigured(&self, change: Reconfigured) {
        self.hand_in(Entry::Reconfigured(change));
    }

    fn hand_in(&self, entry: Entry) {
        if let Err(TrySendError::Full(_) | TrySendError::Closed(_)) = self.queue.try_send(entry) {
            self.metrics.dropped("queue");
        }
    }
}

impl Sinks {
    /// Runs until every [`Recorder`] is gone or `shutdown` resolves; what is queued by then still reaches the sinks.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        let mut tick = interval(limits::FOLD_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                _ = tick.tick() => self.close_windows().await,
                taken = self.queue.recv_many(&mut batch, limits::RECORD_BATCH) => {
                    if taken == 0 {
                        break;
                    }
                    self.take(&mut batch).await;
                }
            }
        }
        self.queue.close();
        while self.queue.recv_many(&mut batch, limits::RECORD_BATCH).await > 0 {
            self.take(&mut batch).await;
        }
        let lines = self.fold.close_all().into_iter().map(Line::Repeats).collect();
        self.write(lines).await;
    }

    async fn take(&mut self, batch: &mut Vec<Entry>) {
        let mut lines = Vec::new();
        for entry in batch.drain(..) {
            let record = match entry {
                Entry::Verdict(record) => *record,
                Entry::Reconfigured(change) => {
                    change.log();
                    lines.push(Line::Reconfigured(change));
                    continue;
                }
                Entry::Used(used) => {
                    lines.push(Line::Used(used));
                    continue;
                }
            };
            match self.fold.take(&record) {
                Folded::First => {
                    log::write(&record);
                    self.tell(Told::New(Box::new(record.clone())));
                    self.send(&record);
                    self.board.add(record.clone());
                    lines.push(Line::Record(Box::new(record)));
                }
                Folded::Repeat(count) => {
                    self.board.repeat(&record.id, count);
                    self.tell(Told::Repeat { id: record.id, count, last: record.time });
                }
            }
        }
        self.write(lines).await;
    }

    fn tell(&self, told: Told) {
        let Some(events) = &self.events else { return };
        if events.try_send(told).is_err() {
            self.metrics.dropped("event");
        }
    }

    fn send(&self, record: &Record) {
        let Some(cloudevents) = &self.cloudevents else { return };
        if cloudevents.try_send(Box::new(record.clone())).is_err() {
            self.metrics.dropped("cloudevents");
        }
    }

    async fn close_windows(&mut self) {
        let now = (self.clock)();
        let lines = self.fold.close(now).into_iter().map(Line::Repeats).collect();
        self.write(lines).await;
    }

    async fn write(&mut self, lines: Vec<Line>) {
        let Some(mut journal) = self.journal.take_if(|_| !lines.is_empty()) else { return };
        let count = lines.len();
        let written = tokio::task::spawn_blocking(move || {
            let result = journal.append(&lines);
            (journal, result)
        });
        match written.await {
            Ok((journal, result)) => {
                self.journal = Some(journal);
                let Err(error) = result else { return };
                (0..count).for_each(|_| self.metrics.dropped("journal"));
                tracing::warn!(error = &error as &dyn std::error::Error, "Journal not written");
            }
            Err(error) => tracing::error!(%error, "Journal lost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::{Arc, Mutex};

    use futures::FutureExt as _;
    use futures::future::BoxFuture;
    use jiff::Timestamp;

    use crate::audit::board::Board;
    use crate::audit::event::{Event, EventError, EventSink};
    use crate::audit::journal::Journal;
    use crate::audit::metrics::Metrics;
    use crate::audit::record::Seen;
    use crate::audit::record::tests::verdict;
    use crate::audit::sinks::{Audit, Effect, Recorder};
    use crate::gate::verdict::{Ruling, Verdict};
    use crate::limits;

    #[derive(Default)]
    struct Kept(Mutex<Vec<Event>>);

    impl EventSink for Kept {
        fn publish<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<(), EventError>> {
            self.0.lock().unwrap().push(event.clone());
            async { Ok(()) }.boxed()
        }
    }

    fn hand_in(recorder: &Recorder, verdict: &Verdict, effect: Effect) {
        recorder.verdict(verdict, Seen::default, effect, Timestamp::UNIX_EPOCH);
    }

    #[tokio::test]
    async fn each_verdict_other_than_allow_reaches_every_sink_once() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(folder.path()).unwrap();
        let (kept, board, metrics) = (Arc::new(Kept::default()), Arc::new(Board::default()), Arc::new(Metrics::new()));
        let clock = Arc::new(|| Timestamp::UNIX_EPOCH);
        let audit = Audit::new(Some(journal), Some(kept.clone()), board.clone(), metrics.clone(), clock);
        for _ in 0..3 {
            hand_in(&audit.recorder, &verdict("ConfigMap", Ruling::Deny, "5"), Effect::Stored);
        }
        hand_in(&audit.recorder, &verdict("ConfigMap", Ruling::Deny, "6"), Effect::DryRun);
        hand_in(&audit.recorder, &verdict("ConfigMap", Ruling::Allow, "7"), Effect::Stored);
        drop(audit.recorder);
        audit.sinks.run(pending()).await;
        audit.events.unwrap().run(pending()).await;

        let (_, records) = Journal::open(folder.path()).unwrap();
        assert_eq!(records.iter().map(|record| record.count).collect::<Vec<_>>(), [3]);
        assert_eq!(board.latest().iter().map(|record| record.count).collect::<Vec<_>>(), [3]);
        let events = kept.0.lock().unwrap();
        let names: Vec<_> = events.iter().map(|event| &event.name).collect();
        assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
        assert_eq!((events[0].count, events.last().unwrap().count), (1, 3));
        let text = metrics.encode().unwrap();
        assert!(text.contains(r#"ruling="Deny",enforced="true",operation="UPDATE",role="Person"} 4"#), "{text}");
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_counts() {
        let metrics = Arc::new(Metrics::new());
        let clock = Arc::new(|| Timestamp::UNIX_EPOCH);
        let audit = Audit::new(None, None, Arc::new(Board::default()), metrics.clone(), clock);
        for _ in 0..limits::RECORD_QUEUE + 5 {
            hand_in(&audit.recorder, &verdict("ConfigMap", Ruling::Deny, "5"), Effect::Stored);
        }
        let text = metrics.encode().unwrap();
        assert!(text.contains(r#"landfast_records_dropped_total{sink="queue"} 5"#), "{text}");
    }

    #[tokio::test]
    async fn a_dead_event_sink_holds_up_no_other() {
        let (board, metrics) = (Arc::new(Board::default()), Arc::new(Metrics::new()));
        let clock = Arc::new(|| Timestamp::UNIX_EPOCH);
        let audit = Audit::new(None, Some(Arc::new(Kept::default())), board.clone(), metrics.clone(), clock);
        let _nobody_takes_these = audit.events;
        for written in 0..limits::EVENT_QUEUE + 3 {
            hand_in(&audit.recorder, &verdict("ConfigMap", Ruling::Deny, &written.to_string()), Effect::Stored);
        }
        drop(audit.recorder);
        audit.sinks.run(pending()).await;
        assert_eq!(board.latest().len(), limits::RECORDS_KEPT);
        let text = metrics.encode().unwrap();
        assert!(text.contains(r#"landfast_records_dropped_total{sink="event"} 3"#), "{text}");
    }
}
