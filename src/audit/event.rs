//! Who sees it in the cluster? A Kubernetes Event on the object, one a record, its count raised at a bounded rate.
//!
//! A loop of denials does not flood: repeats raise a count, other records of one object share a bucket, and what waits for the
//! API server is bounded. Talks to nobody: [`EventSink`] does, and `cluster::writer` is behind it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::audit::Clock;
use crate::audit::metrics::Metrics;
use crate::audit::record::{Object, Record};
use crate::audit::repair::Outcome;
use crate::audit::throttle::Throttle;
use crate::gate::incident::Act;
use crate::gate::verdict::Ruling;
use crate::limits;

/// Why an Event is there; scripts may rely on the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A write was refused.
    DriftDenied,
    /// A write was let in, its drift put back.
    DriftReverted,
    /// A write was let in, the object marked.
    DriftAnnotated,
    /// A write was let in with a warning.
    DriftWarned,
    /// As above, but in mode Observe: nothing was done.
    DriftObserved,
    /// A write opened a break-glass.
    BreakGlassOpened,
    /// A write was let in by one.
    BreakGlassUsed,
    /// One has ended.
    BreakGlassEnded,
    /// An object that differed was brought back.
    DriftRepaired,
    /// One could not be.
    CannotRepair,
    /// An object differs, and the gate was not asked.
    DriftSlippedPast,
    /// Somebody moves a field again each time that it was brought back.
    FightDetected,
    /// Nobody does any more.
    FightEnded,
    /// Too much of a source differs at once to be brought back unasked.
    RepairHeld,
    /// What Git dropped was deleted.
    DriftPruned,
}

impl Reason {
    /// The reason for a record's Event; none for a plain Allow.
    pub fn of(record: &Record) -> Option<Self> {
        if let Some(glass) = &record.glass {
            return Some(match glass.act {
                Act::Opened => Self::BreakGlassOpened,
                Act::Used => Self::BreakGlassUsed,
                Act::Ended => Self::BreakGlassEnded,
            });
        }
        if let Some(repair) = &record.repair {
            return Some(match repair.outcome {
                Outcome::Repaired => Self::DriftRepaired,
                Outcome::CannotRepair => Self::CannotRepair,
                Outcome::SlippedPast => Self::DriftSlippedPast,
                Outcome::FightDetected => Self::FightDetected,
                Outcome::FightEnded => Self::FightEnded,
                Outcome::Held => Self::RepairHeld,
                Outcome::Pruned => Self::DriftPruned,
            });
        }
        match (record.enforced, record.ruling) {
            (_, Ruling::Allow) => None,
            (false, _) => Some(Self::DriftObserved),
            (true, Ruling::Warn) => Some(Self::DriftWarned),
            (true, Ruling::Annotate) => Some(Self::DriftAnnotated),
            (true, Ruling::Revert) => Some(Self::DriftReverted),
            (true, Ruling::Deny) => Some(Self::DriftDenied),
        }
    }

    /// As the Event has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::DriftDenied => "DriftDenied",
            Self::DriftReverted => "DriftReverted",
            Self::DriftAnnotated => "DriftAnnotated",
            Self::DriftWarned => "DriftWarned",
            Self::DriftObserved => "DriftObserved",
            Self::BreakGlassOpened => "BreakGlassOpened",
            Self::BreakGlassUsed => "BreakGlassUsed",
            Self::BreakGlassEnded => "BreakGlassEnded",
            Self::DriftRepaired => "DriftRepaired",
            Self::CannotRepair => "CannotRepair",
            Self::DriftSlippedPast => "DriftSlippedPast",
            Self::FightDetected => "FightDetected",
            Self::FightEnded => "FightEnded",
            Self::RepairHeld => "RepairHeld",
            Self::DriftPruned => "DriftPruned",
        }
    }

    /// `Warning` where something was done to a write, else `Normal`.
    pub fn severity(self) -> &'static str {
        match self {
            Self::DriftObserved | Self::BreakGlassEnded | Self::FightEnded | Self::DriftPruned => "Normal",
            Self::DriftDenied
            | Self::DriftReverted
            | Self::DriftAnnotated
            | Self::DriftWarned
            | Self::BreakGlassOpened
            | Self::BreakGlassUsed
            | Self::DriftRepaired
            | Self::CannotRepair
            | Self::DriftSlippedPast
            | Self::FightDetected
            | Self::RepairHeld => "Warning",
        }
    }
}

/// One Event, ready to be written. Its name follows from the record's id, so that replicas write one together.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Name of the Event: the object's, then part of the record's id. At most 253 characters.
    pub name: String,
    /// Where the Event is kept: the object's namespace, else `default`.
    pub namespace: String,
    /// The object it is about.
    pub object: Object,
    /// Why.
    pub reason: Reason,
    /// What was done: the operation, as in `UPDATE`.
    pub action: String,
    /// The message, at most [`limits::EVENT_NOTE_BYTES_MAX`] bytes.
    pub note: String,
    /// When first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
    /// How often.
    pub count: u64,
}

/// An Event could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write event {name}")]
pub struct EventError {
    /// The Event.
    pub name: String,
    /// Why.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Writes Events to the API server.
pub trait EventSink: Send + Sync {
    /// Creates the Event; where one of that name exists, raises its count and last time to these.
    fn publish<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<(), EventError>>;
}

impl Event {
    /// The Event of a record; none for a plain Allow, or where the object has no name yet.
    pub fn of(record: &Record) -> Option<Self> {
        let reason = Reason::of(record)?;
        let object = &record.object;
        if object.name.is_empty() {
            return None;
        }
        let id = record.id.get(..16).unwrap_or(&record.id);
        // RBAC names may hold characters that an Event's may not.
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        let stem: String = object.name.chars().take(200).map(|c| if plain(c) { c } else { '-' }).collect();
        let stem = stem.trim_matches(['-', '.']);
        Some(Self {
            name: if stem.is_empty() { format!("landfast.{id}") } else { format!("{stem}.{id}") },
            namespace: if object.namespace.is_empty() { "default".to_owned() } else { object.namespace.clone() },
            object: object.clone(),
            reason,
            action: record.operation.clone(),
            note: note(record),
            first: record.time,
            last: record.time,
            count: record.count,
        })
    }
}

/// The note: the message (or the reason) with the first field and the user in its first line, because `kubectl get events`
/// shows no other; within the bound. Of a repair the message says who moved what, and the user is Landfast.
fn note(record: &Record) -> String {
    let mut lines = if record.message.is_empty() { &record.reason } else { &record.message }.lines();
    let mut first = lines.next().unwrap_or_default().to_owned();
    if !record.fields.is_empty()
        && let Some(field) = lines.next()
    {
        first = format!("{first}: {}", field.trim_start());
    }
    let user: String = record.writer.user.chars().take(limits::VALUE_CHARS_MAX).collect();
    let mut note = if record.repair.is_some() { first } else { format!("{first} (by {user})") };
    for line in lines {
        note = format!("{note}\n{line}");
    }
    if note.len() > limits::EVENT_NOTE_BYTES_MAX {
        let end = (0..=limits::EVENT_NOTE_BYTES_MAX - '…'.len_utf8()).rev().find(|at| note.is_char_boundary(*at));
        note.truncate(end.unwrap_or(0));
        note.push('…');
    }
    note
}

/// What the sinks tell [`Events`].
#[derive(Debug)]
pub(crate) enum Told {
    /// A new record.
    New(Box<Record>),
    /// A repeat of an earlier one.
    Repeat {
        /// Its id.
        id: String,
        /// How often by now.
        count: u64,
        /// When.
        last: Timestamp,
    },
}

/// Turns records into Events, at its own pace.
pub struct Events {
    queue: mpsc::Receiver<Told>,
    sink: Arc<dyn EventSink>,
    metrics: Arc<Metrics>,
    clock: Clock,
    throttle: Throttle,
    open: HashMap<String, Open>,
}

struct Open {
    event: Event,
    written: u64,
}

impl Events {
    /// Writes through `sink`; the sender goes to [`Sinks`](crate::audit::sinks::Sinks).
    pub(crate) fn new(sink: Arc<dyn EventSink>, metrics: Arc<Metrics>, clock: Clock) -> (mpsc::Sender<Told>, Self) {
        let (sender, queue) = mpsc::channel(limits::EVENT_QUEUE);
        (sender, Self { queue, sink, metrics, clock, throttle: Throttle::default(), open: HashMap::new() })
    }

    /// Runs until every sender is gone, or for at most [`limits::EVENT_TIME_MAX`] after `shutdown` resolves; what rose by then
    /// is written once more.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        let mut tick = interval(limits::EVENT_PATCH_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                _ = tick.tick() => self.raise_counts().await,
                told = self.queue.recv() => match told {
                    Some(told) => self.take(told).await,
                    None => break,
                },
            }
        }
        // Whatever the API server does now, the process ends in time.
        let rest = async {
            while let Some(told) = self.queue.recv().await {
                self.take(told).await;
            }
            self.raise_counts().await;
        };
        let _ = timeout(limits::EVENT_TIME_MAX, rest).await;
    }

    async fn take(&mut self, told: Told) {
        match told {
            Told::New(record) => self.open(&record).await,
            Told::Repeat { id, count, last } => {
                if let Some(open) = self.open.get_mut(&id) {
                    open.event.count = count;
                    open.event.last = last;
                }
            }
        }
    }

    async fn open(&mut self, record: &Record) {
        let Some(event) = Event::of(record) else { return };
        if !self.throttle.allows(&event.object, (self.clock)()) || self.open.len() >= limits::FOLDS_OPEN_MAX {
            self.metrics.dropped("event");
            return;
        }
        self.publish(&event).await;
        self.open.insert(record.id.clone(), Open { written: event.count, event });
    }

    /// Writes the counts that rose, those that wait longest first and so many at once, and forgets the Events whose window is over.
    async fn raise_counts(&mut self) {
        let mut raised: Vec<(String, Event)> = self.open.iter().filter_map(Open::raised).collect();
        raised.sort_by_key(|(_, event)| event.first);
        for (id, event) in raised.into_iter().take(limits::EVENTS_RAISED_MAX) {
            self.publish(&event).await;
            if let Some(open) = self.open.get_mut(&id) {
                open.written = event.count;
            }
        }
        let now = (self.clock)();
        let window = SignedDuration::try_from(limits::RECORD_FOLD * 2).unwrap_or(SignedDuration::MAX);
        self.open.retain(|_, open| now.duration_since(open.event.first).abs() < window);
    }

    async fn publish(&self, event: &Event) {
        match timeout(limits::EVENT_TIME_MAX, self.sink.publish(event)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                self.metrics.dropped("event");
                tracing::warn!(%error, source = %error.source, "Event not written");
            }
            Err(_) => {
                self.metrics.dropped("event");
                tracing::warn!(event = event.name, "Event not written in time");
            }
        }
    }
}

impl Open {
    /// The Event, where its count rose since it was written.
    fn raised((id, open): (&String, &Self)) -> Option<(String, Event)> {
        (open.event.count > open.written).then(|| (id.clone(), open.event.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures::FutureExt as _;
    use futures::future::BoxFuture;
    use jiff::{SignedDuration, Timestamp};

    use crate::audit::event::{Event, EventError, EventSink, Events, Reason, Told};
    use crate::audit::metrics::Metrics;
    use crate::audit::record::tests::verdict;
    use crate::audit::record::{Record, Seen};
    use crate::gate::verdict::Ruling;
    use crate::limits;

    fn record(ruling: Ruling) -> Record {
        Record::of(&verdict("ConfigMap", ruling, "5"), &Seen::default(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn each_ruling_has_its_reason_and_observed_is_observed() {
        let reason = |ruling| Reason::of(&record(ruling)).map(Reason::name);
        assert_eq!(reason(Ruling::Allow), None);
        assert_eq!(reason(Ruling::Warn), Some("DriftWarned"));
        assert_eq!(reason(Ruling::Annotate), Some("DriftAnnotated"));
        assert_eq!(reason(Ruling::Revert), Some("DriftReverted"));
        assert_eq!(reason(Ruling::Deny), Some("DriftDenied"));
        assert_eq!(Reason::of(&Record { enforced: false, ..record(Ruling::Deny) }), Some(Reason::DriftObserved));
    }

    #[test]
    fn a_note_of_any_length_fits_an_event() {
        let long = Record { message: "ä".repeat(2_000), ..record(Ruling::Deny) };
        let event = Event::of(&long).unwrap();
        assert!(event.note.len() <= limits::EVENT_NOTE_BYTES_MAX);
        assert!(event.note.starts_with("ää") && event.note.ends_with('…'));
    }

    #[test]
    fn the_first_line_of_a_note_holds_the_first_field() {
        let told = "ConfigMap shop/web differs from Git in 2 fields\n  data.a: 1 in Git, 5 in this write\n  data.b: …\nhint: …";
        let note =
            |message: &str, record: Record| Event::of(&Record { message: message.to_owned(), ..record }).unwrap().note;
        let first = "ConfigMap shop/web differs from Git in 2 fields: data.a: 1 in Git, 5 in this write (by alice)";
        assert_eq!(note(told, record(Ruling::Deny)), format!("{first}\n  data.b: …\nhint: …"));
        let deleted = Record { fields: Vec::new(), ..record(Ruling::Deny) };
        let told = "ConfigMap shop/web is declared in Git and may not be deleted\n  declared by a.yaml:1";
        let first = "ConfigMap shop/web is declared in Git and may not be deleted (by alice)";
        assert_eq!(note(told, deleted), format!("{first}\n  declared by a.yaml:1"));
    }

    #[test]
    fn a_name_that_an_event_may_not_have_is_made_one() {
        let mut record = record(Ruling::Deny);
        record.object.name = "system:node:ONE".to_owned();
        let name = Event::of(&record).unwrap().name;
        assert!(name.starts_with("system-node."), "{name}");
        record.object.name = String::new();
        assert_eq!(Event::of(&record), None);
    }

    #[derive(Default)]
    struct Counted(Mutex<usize>);

    impl EventSink for Counted {
        fn publish<'a>(&'a self, _: &'a Event) -> BoxFuture<'a, Result<(), EventError>> {
            *self.0.lock().unwrap() += 1;
            async { Ok(()) }.boxed()
        }
    }

    /// Writes of each of three minutes with 1,000 denials, evenly spread; `of` makes the number of a denial its record.
    async fn writes_of_a_flood(of: impl Fn(u32) -> Record) -> Vec<usize> {
        const A_MINUTE: u32 = 1_000;
        let now = Arc::new(Mutex::new(Timestamp::from_second(1_000_000).unwrap()));
        let told = Arc::clone(&now);
        let sink = Arc::new(Counted::default());
        let clock = Arc::new(move || *told.lock().unwrap());
        let (_sender, mut events) = Events::new(sink.clone(), Arc::new(Metrics::new()), clock);
        let mut fold = crate::audit::fold::Fold::default();
        let mut minutes = Vec::new();
        let interval = u32::try_from(limits::EVENT_PATCH_INTERVAL.as_secs()).unwrap() * 1_000;
        for minute in 0..3 {
            let before = *sink.0.lock().unwrap();
            for n in 0..A_MINUTE {
                let pause = 60_000 / A_MINUTE;
                *now.lock().unwrap() += SignedDuration::from_millis(pause.into());
                let record = Record { time: *now.lock().unwrap(), ..of(minute * A_MINUTE + n) };
                events
                    .take(match fold.take(&record) {
                        crate::audit::fold::Folded::First => Told::New(Box::new(record)),
                        crate::audit::fold::Folded::Repeat(count) => {
                            Told::Repeat { id: record.id, count, last: record.time }
                        }
                    })
                    .await;
                if n * pause % interval < pause {
                    events.raise_counts().await;
                }
            }
            fold.close_all();
            minutes.push(*sink.0.lock().unwrap() - before);
        }
        minutes
    }

    #[tokio::test]
    async fn a_thousand_denials_a_minute_cost_a_bounded_number_of_writes() {
        let named = |name: u32, id: u32| {
            let mut record = record(Ruling::Deny);
            record.object.name = format!("web-{name}");
            Record { id: format!("{id:032x}"), ..record }
        };
        // One write again and again: one Event a minute, its count raised every ten seconds.
        let same = writes_of_a_flood(|n| named(0, n / 1_000)).await;
        assert!(same.iter().all(|writes| *writes <= 8), "{same:?}");
        // One object, another value each time: what client-go's spam filter lets through.
        let values = writes_of_a_flood(|n| named(0, n)).await;
        assert!(values[0] <= limits::EVENTS_PER_OBJECT as usize && values[1] <= 1, "{values:?}");
        // Another object each time, and a hundred objects ten times a minute each.
        let bound = limits::EVENTS_AT_ONCE as usize + 60 + 6 * limits::EVENTS_RAISED_MAX;
        assert_eq!(bound, 280, "as docs and limits say");
        for flood in [
            writes_of_a_flood(|n| named(n, n)).await,
            writes_of_a_flood(|n| named(n % 100, (n / 1_000) * 100 + n % 100)).await,
        ] {
            assert!(flood[0] > 60, "{flood:?}");
            let later = bound - limits::EVENTS_AT_ONCE as usize;
            assert!(flood.iter().all(|writes| *writes <= bound), "{flood:?}");
            assert!(flood.iter().sum::<usize>() <= bound + 2 * later, "{flood:?}");
        }
    }
}
