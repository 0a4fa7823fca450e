//! What happens to one review? Read, decided in memory, asked about only before a refusal, answered, put on the record.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::routing::post;
use futures::FutureExt as _;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use crate::audit::Clock;
use crate::audit::metrics::{Failed, Metrics};
use crate::audit::record::Seen;
use crate::audit::sinks::{Effect, Recorder};
use crate::gate;
use crate::gate::basis::Basis;
use crate::gate::entry::Entry;
use crate::gate::facts::{Facts, Pass, Question};
use crate::gate::verdict::{Outcome, Ruling};
use crate::gate::write::{ReviewError, Write};
use crate::limits;
use crate::serve::answers::{Answers, ask, take_at_hand};
use crate::serve::body::{self, Held, Review};
use crate::serve::reply::{Reply, Undecided};

/// All that a review is decided with.
pub struct Admission {
    basis: watch::Receiver<Arc<Basis>>,
    answers: Arc<dyn Answers>,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    clock: Clock,
    /// Bytes left for bodies of reviews.
    room: Arc<Semaphore>,
    /// Turns left for deciding large ones.
    turns: Arc<Semaphore>,
}

/// What a review came to, free of its bytes.
struct Ruled {
    seen: Seen,
    effect: Effect,
    outcome: Outcome,
}

impl Admission {
    /// Decides on the newest basis of `basis`, asks `answers`, hands verdicts to `recorder`.
    pub fn new(
        basis: watch::Receiver<Arc<Basis>>,
        answers: Arc<dyn Answers>,
        recorder: Recorder,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        let room = Arc::new(Semaphore::new(limits::REVIEW_BYTES_TOTAL_MAX));
        let turns = Arc::new(Semaphore::new(limits::LARGE_DECISIONS_MAX));
        Self { basis, answers, recorder, metrics, clock, room, turns }
    }

    /// Answers one request. Total: whatever was sent, and whatever goes wrong, there is an answer.
    pub async fn reply(&self, entry: Entry, timeout: Duration, body: Body) -> Reply {
        let started = Instant::now();
        let until = started + timeout.min(limits::TIMEOUT_MAX).saturating_sub(limits::ANSWER_MARGIN);
        let reply = match body::read(body, &self.room, until.min(started + limits::BODY_TIME_MAX)).await {
            Review::Cut { head, why } => self.undecided(entry, &head, why.into()),
            Review::Whole(review, memory) => self.whole(entry, review, memory, until).await,
        };
        self.metrics.review_seconds.observe(started.elapsed().as_secs_f64());
        reply
    }

    async fn whole(&self, entry: Entry, review: Bytes, memory: Held, until: Instant) -> Reply {
        let head = review.slice(..review.len().min(limits::REVIEW_HEAD_BYTES));
        match AssertUnwindSafe(self.judge(entry, review, until)).catch_unwind().await {
            Ok(Ok(ruled)) => {
                drop(memory);
                self.answer(entry, ruled)
            }
            Ok(Err(why)) => self.undecided(entry, &head, why),
            Err(_) => self.undecided(entry, &head, Undecided::Panic),
        }
    }

    /// Answers, and records what nobody else does: each verdict is told by one pass.
    fn answer(&self, entry: Entry, ruled: Ruled) -> Reply {
        let Ruled { seen, effect, outcome } = ruled;
        let changing = entry == Entry::Revert;
        let reply = if changing {
            Reply::changing(&seen.uid, &outcome.verdict)
        } else {
            Reply::verdict(&seen.uid, &outcome.verdict)
        };
        if changing == outcome.verdict.is_told_while_changing() {
            self.recorder.verdict(&outcome.verdict, || seen, effect, (self.clock)());
        }
        reply
    }

    /// Decides, asks, and decides anew on the newest basis, until nothing is asked or the time is over. The mutating pass asks
    /// only before it takes something away, an annotation of a break-glass that does not count among it; what is refused the
    /// validating pass asks about.
    async fn judge(&self, entry: Entry, review: Bytes, until: Instant) -> Result<Ruled, Undecided> {
        let pass = match entry {
            Entry::Revert => Pass::Changing,
            Entry::Guard | Entry::Observe => Pass::Last,
        };
        let mut facts = Facts { pass, ..Facts::default() };
        let mut asked: Vec<Question> = Vec::new();
        for _ in 0..limits::ROUNDS_MAX {
            let ruled = self.rule(entry, &review, &facts, until).await?;
            let refused = entry == Entry::Revert && ruled.outcome.verdict.ruling == Ruling::Deny;
            if refused && !ruled.outcome.sets_break_glass {
                return Ok(ruled);
            }
            let open = |question: &&Question| !asked.contains(question) && (!refused || question.is_of_break_glass());
            let new: Vec<Question> = ruled.outcome.questions.iter().filter(open).cloned().collect();
            if new.is_empty() || Instant::now() >= until {
                if take_at_hand(self.answers.as_ref(), &ruled.outcome.asides, &mut facts) {
                    continue;
                }
                return Ok(ruled);
            }
            ask(self.answers.as_ref(), &new, &mut facts, until, &self.metrics).await;
            asked.extend(new);
        }
        self.rule(entry, &review, &facts, until).await
    }

    /// One decision.
    async fn rule(&self, entry: Entry, review: &Bytes, facts: &Facts, until: Instant) -> Result<Ruled, Undecided> {
        let started = Instant::now();
        let ruled = if review.len() <= limits::REVIEW_BYTES_INLINE {
            let basis = Arc::clone(&self.basis.borrow());
            Ruled::of(review, &basis, facts, (self.clock)())
        } else {
            let large = self.rule_large(review.clone(), facts.clone());
            timeout_at(until, large).await.map_err(|_| Undecided::Deadline)??
        };
        self.metrics.decision_seconds.observe(started.elapsed().as_secs_f64());
        let ruled = ruled.map(|ruled| match entry {
            Entry::Revert => ruled,
            Entry::Guard | Entry::Observe => Ruled { outcome: ruled.outcome.at_last(), ..ruled },
        });
        ruled.map_err(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "Review cannot be read");
            Undecided::Malformed
        })
    }

    /// One decision of a large review, in its turn, where it holds up no other connection.
    async fn rule_large(&self, review: Bytes, facts: Facts) -> Result<Result<Ruled, ReviewError>, Undecided> {
        // A closed semaphore would be a bug; so is a decision that panics.
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Undecided::Panic)?;
        let (basis, now) = (Arc::clone(&self.basis.borrow()), (self.clock)());
        let deciding = tokio::task::spawn_blocking(move || {
            let _turn = turn; // kept until the end, even where nobody waits for it any more
            Ruled::of(&review, &basis, &facts, now)
        });
        deciding.await.map_err(|_| Undecided::Panic)
    }

    /// Answers by the failure rule, and counts; what has no uid is no review.
    fn undecided(&self, entry: Entry, head: &[u8], why: Undecided) -> Reply {
        self.metrics.failures.get_or_create(&Failed { entry: entry.name(), reason: why.name() }).inc();
        if why == Undecided::Panic {
            self.metrics.panics.inc();
        }
        match body::uid_of(head) {
            Some(uid) => Reply::undecided(&uid, entry.failure_policy(), why),
            None => Reply::NoReview("not an AdmissionReview of admission.k8s.io/v1 with a uid\n"),
        }
    }
}

impl Ruled {
    fn of(review: &[u8], basis: &Basis, facts: &Facts, now: jiff::Timestamp) -> Result<Self, ReviewError> {
        let write = Write::parse(review)?;
        let outcome = gate::decide(&write, basis, facts, now);
        let object_uid = match outcome.verdict.ruling {
            Ruling::Allow if outcome.verdict.glass.is_none() => None,
            Ruling::Allow | Ruling::Warn | Ruling::Annotate | Ruling::Revert | Ruling::Deny => write.change.uid(),
        };
        let effect = if write.dry_run { Effect::DryRun } else { Effect::Stored };
        Ok(Self { seen: Seen { uid: write.uid.to_owned(), object_uid }, effect, outcome })
    }
}

/// The webhooks: [`Entry::path`] of each entry, and `/validate`.
pub fn router(admission: Arc<Admission>) -> Router {
    let mut router = Router::new().route("/validate", post(handle));
    for entry in Entry::ALL {
        router = router.route(entry.path(), post(handle));
    }
    router
        .fallback(async || (StatusCode::NOT_FOUND, "the webhooks are at /validate and /mutate\n"))
        .method_not_allowed_fallback(async || (StatusCode::METHOD_NOT_ALLOWED, "the webhooks are called by POST\n"))
        .with_state(admission)
}

async fn handle(State(admission): State<Arc<Admission>>, uri: Uri, body: Body) -> Reply {
    let entry = Entry::from_path(uri.path()).unwrap_or(Entry::Observe);
    admission.reply(entry, timeout_of(uri.query().unwrap_or_default()), body).await
}

/// The time that the API server waits, from `?timeout=3s`.
fn timeout_of(query: &str) -> Duration {
    let text = query.split('&').find_map(|pair| pair.strip_prefix("timeout="));
    text.and_then(go_duration).unwrap_or(limits::WEBHOOK_TIMEOUT)
}

/// A duration as Go prints it: `3s`, `1m30s`, `2.5s`, `500ms` (`time.Duration.String`).
fn go_duration(mut text: &str) -> Option<Duration> {
    let mut seconds = 0.0;
    while !text.is_empty() {
        let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, rest) = text.split_at(unit_at);
        let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(unit_end);
        let unit = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * unit;
        text = rest;
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::limits;
    use crate::serve::admission::timeout_of;

    #[test]
    fn the_timeout_is_read_as_go_writes_it() {
        for (query, seconds) in [
            ("timeout=3s", 3.0),
            ("a=b&timeout=10s", 10.0),
            ("timeout=1m30s", 90.0),
            ("timeout=2.5s", 2.5),
            ("timeout=500ms", 0.5),
        ] {
            assert_eq!(timeout_of(query), Duration::from_secs_f64(seconds), "{query}");
        }
        for query in ["", "timeout=", "timeout=soon", "timeout=-3s", "timeout=0s", "timeout=3", "timeout=1e400s"] {
            assert_eq!(timeout_of(query), limits::WEBHOOK_TIMEOUT, "{query}");
        }
    }
}
