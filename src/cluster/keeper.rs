//! Do our webhook configurations stand as rendered? Writes them when the basis asks for others, and brings them back when
//! somebody takes one away, after a while and with an alarm at once.
//!
//! ```text
//!   basis, CA ──render──► desired ──apply──► kept
//!   live differs from kept: alarm, wait `stand_down`, apply desired
//! ```
//!
//! Never writes while somebody's change stands down. Takes only the mutating one away, when no policy needs it any more.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::select;
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use crate::audit::Clock;
use crate::cluster::call::{Backoff, CallError, watched, within_time};
use crate::cluster::standing::Standing;
use crate::cluster::webhook::{Backend, CONFIGURATION, Reach, Rendered, entries};
use crate::cluster::writer::{Home, Writer};
use crate::gate::basis::Basis;
use crate::limits;

/// What somebody did to our configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tampering {
    /// It is gone.
    Deleted,
    /// An entry of it is gone or says something else.
    Changed,
}

/// Is told of tampering at once, as by a metric.
pub type Alarm = Arc<dyn Fn(Tampering) + Send + Sync>;

/// What the keeper needs to know.
pub struct Keeping {
    /// The API server.
    pub client: Client,
    /// How the API server reaches us.
    pub backend: Backend,
    /// The certificate authorities it is to trust, as PEM; a new value is written at once.
    pub ca: watch::Receiver<Arc<str>>,
    /// Landfast's own Namespace; made where it is missing.
    pub namespace: String,
    /// How long a configuration that somebody deleted or changed stays so.
    pub stand_down: Duration,
    /// Told of tampering.
    pub alarm: Alarm,
    /// Told how the configuration fares.
    pub standing: watch::Sender<Standing>,
    /// Tells the time, for `standing`.
    pub clock: Clock,
}

/// Keeps our webhook configurations.
pub struct Keeper {
    keeping: Keeping,
    writer: Writer,
    /// What was last written; absent until the first write succeeded.
    kept: Option<Rendered>,
    next: Next,
    backoff: Backoff,
}

/// What is to be done, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Nothing until something happens.
    Rest,
    /// Write what the basis asks for.
    Write(Instant),
    /// Look at the live configuration.
    Look(Instant),
    /// Somebody's change stands until then; then write.
    StandDown(Instant),
}

/// All that can wake the keeper.
enum Event {
    Basis,
    Authority,
    Live,
    Unseen(CallError),
    Due,
    Shutdown,
}

impl Keeper {
    /// Prepares; nothing is written before [`run`](Self::run).
    pub fn new(keeping: Keeping) -> Self {
        let writer = Writer::new(keeping.client.clone());
        Self { keeping, writer, kept: None, next: Next::Rest, backoff: Backoff::new() }
    }

    /// Runs until `shutdown` resolves or nobody publishes a basis any more. The configuration stays: under `Fail` the API
    /// server then refuses what nobody judges, until we are back or the Namespace is deleted.
    pub async fn run(mut self, mut basis: watch::Receiver<Arc<Basis>>, shutdown: impl Future<Output = ()>) {
        let live = self.live_changes();
        tokio::pin!(live, shutdown);
        self.next = Next::Write(Instant::now());
        let mut ca = self.keeping.ca.clone();
        let mut authorities_end = false;
        loop {
            let event = tokio::select! {
                biased;
                () = &mut shutdown => Event::Shutdown,
                changed = basis.changed() => if changed.is_ok() { Event::Basis } else { Event::Shutdown },
                changed = ca.changed(), if !authorities_end => {
                    authorities_end = changed.is_err();
                    Event::Authority
                }
                Some(seen) = live.next() => seen.map_or_else(Event::Unseen, |()| Event::Live),
                () = due(self.next) => Event::Due,
            };
            match event {
                Event::Shutdown => return,
                Event::Basis | Event::Authority => self.want_write(),
                Event::Live => self.want_look(),
                Event::Unseen(error) => self.unseen(&error),
                Event::Due => {
                    let latest = Arc::clone(&basis.borrow_and_update());
                    self.act(latest).await;
                }
            }
        }
    }

    /// Whenever one of our configurations changes, or cannot be watched.
    fn live_changes(&self) -> impl Stream<Item = Result<(), CallError>> + use<> {
        let client = &self.keeping.client;
        let validating: Api<PartialObjectMeta<ValidatingWebhookConfiguration>> = Api::all(client.clone());
        let mutating: Api<PartialObjectMeta<MutatingWebhookConfiguration>> = Api::all(client.clone());
        let only_ours = watcher::Config::default().fields(&format!("metadata.name={CONFIGURATION}"));
        let validating = watched(validating, only_ours.clone()).map(|event| event.map(drop));
        let mutating = watched(mutating, only_ours).map(|event| event.map(drop));
        select(validating, mutating)
    }

    /// A change of the basis waits a moment for more of them, and for a stand-down to end.
    fn want_write(&mut self) {
        match self.next {
            Next::Rest | Next::Look(_) => self.next = Next::Write(Instant::now() + limits::WEBHOOK_DEBOUNCE),
            Next::Write(_) | Next::StandDown(_) => {}
        }
    }

    fn want_look(&mut self) {
        match self.next {
            Next::Rest => self.next = Next::Look(Instant::now()),
            // A write looks first, and a stand-down looks at its end.
            Next::Write(_) | Next::Look(_) | Next::StandDown(_) => {}
        }
    }

    async fn act(&mut self, basis: Arc<Basis>) {
        let done = match self.next {
            Next::Rest => Ok(Next::Rest),
            Next::Look(_) => self.look().await,
            Next::Write(_) => self.look_and_write(basis).await,
            Next::StandDown(_) => self.write(basis).await,
        };
        match done {
            Ok(next) => {
                self.backoff = Backoff::new();
                self.next = next;
                self.tell_done();
            }
            Err(error) => {
                let wait = self.backoff.next();
                warn!(
                    error = &error as &dyn std::error::Error,
                    hint = error.hint(),
                    seconds = wait.as_secs_f32(),
                    "Cannot keep the webhook configuration; trying again"
                );
                self.next = self.next.again_at(Instant::now() + wait);
                self.tell_failing(error.to_string());
            }
        }
    }

    /// The watch tries again by itself, with its own back-off; meanwhile nobody sees whether the configuration stands.
    fn unseen(&self, error: &CallError) {
        // What is too old is listed again at once.
        if error.status() == Some(410) {
            return;
        }
        warn!(error = error as &dyn std::error::Error, hint = error.hint(), "Cannot watch the webhook configuration");
        match self.next {
            Next::Rest | Next::Look(_) | Next::Write(_) => self.tell_failing(error.to_string()),
            Next::StandDown(_) => {}
        }
    }

    fn tell_done(&self) {
        let now = (self.keeping.clock)();
        match self.next {
            Next::Rest => self.tell(Standing::Kept { since: now }),
            Next::StandDown(_) => {
                // Too far to be told is as good as never.
                let until = now.checked_add(self.keeping.stand_down).unwrap_or(jiff::Timestamp::MAX);
                self.tell(Standing::StandingDown { until });
            }
            Next::Write(_) | Next::Look(_) => {
                self.tell_failing(format!("the namespace {} is being deleted", self.keeping.namespace));
            }
        }
    }

    fn tell_failing(&self, error: String) {
        self.tell(Standing::Failing { since: (self.keeping.clock)(), error });
    }

    fn tell(&self, standing: Standing) {
        self.keeping.standing.send_if_modified(|before| {
            let now = standing.after(before);
            std::mem::replace(before, now.clone()) != now
        });
    }

    /// Compares the live configuration with what was written last.
    async fn look(&self) -> Result<Next, CallError> {
        let Some(kept) = &self.kept else { return Ok(Next::Rest) };
        let validating = compare(&kept.configuration, self.live::<ValidatingWebhookConfiguration>().await?.as_ref());
        let mutating = match &kept.mutating {
            Some(kept) => compare(kept, self.live::<MutatingWebhookConfiguration>().await?.as_ref()),
            None => None,
        };
        let Some(tampering) = validating.or(mutating) else { return Ok(Next::Rest) };
        error!(
            configuration = CONFIGURATION,
            what = ?tampering,
            back_in_seconds = self.keeping.stand_down.as_secs(),
            "Somebody changed the webhook configuration: writes may go unjudged"
        );
        (self.keeping.alarm)(tampering);
        Ok(Next::StandDown(Instant::now() + self.keeping.stand_down))
    }

    async fn look_and_write(&mut self, basis: Arc<Basis>) -> Result<Next, CallError> {
        match self.look().await? {
            Next::Rest => self.write(basis).await,
            next @ (Next::StandDown(_) | Next::Look(_) | Next::Write(_)) => Ok(next),
        }
    }

    /// Renders and applies, unless just that was written before and still stands.
    async fn write(&mut self, basis: Arc<Basis>) -> Result<Next, CallError> {
        let Home::Standing(uid) = self.writer.ensure_namespace(&self.keeping.namespace).await? else {
            warn!(
                namespace = self.keeping.namespace,
                "Our Namespace is being deleted; its webhook configuration goes too"
            );
            return Ok(Next::Write(Instant::now() + limits::API_RETRY_MAX));
        };
        let reach = Reach {
            backend: self.keeping.backend.clone(),
            ca: Arc::clone(&self.keeping.ca.borrow()),
            namespace: self.keeping.namespace.clone(),
            owner: Some(uid),
        };
        let rendered = tokio::task::spawn_blocking(move || entries(&basis, &reach)).await;
        let rendered = rendered.expect("rendering neither panics nor is cancelled");
        let stands = self.kept.as_ref() == Some(&rendered) && !matches!(self.next, Next::StandDown(_));
        if !stands {
            self.writer.apply_webhooks::<ValidatingWebhookConfiguration>(&rendered.configuration).await?;
            // What is written stands, whatever becomes of the other: else it would read as somebody else's change.
            if let Some(kept) = &mut self.kept {
                kept.configuration = rendered.configuration.clone();
            }
            // One of an earlier process may still be there.
            let may_stand = self.kept.as_ref().is_none_or(|kept| kept.mutating.is_some());
            match &rendered.mutating {
                Some(mutating) => self.writer.apply_webhooks::<MutatingWebhookConfiguration>(mutating).await?,
                None if may_stand => self.writer.delete_webhooks::<MutatingWebhookConfiguration>().await?,
                None => {}
            }
            let entries = |of: &Value| of["webhooks"].as_array().map_or(0, Vec::len);
            let (validating, mutating) =
                (entries(&rendered.configuration), rendered.mutating.as_ref().map_or(0, entries));
            info!(configuration = CONFIGURATION, validating, mutating, "Wrote the webhook configuration");
            if !rendered.unguarded.is_empty() {
                warn!(resources = ?rendered.unguarded, "Too much to guard in one expression: these are only observed");
            }
            self.kept = Some(rendered);
        }
        Ok(Next::Rest)
    }

    async fn live<K: Resource<DynamicType = ()>>(&self) -> Result<Option<DynamicObject>, CallError> {
        // Read untyped: a typed one would drop members that this client does not know, and with them a difference.
        let resource = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = Api::all_with(self.keeping.client.clone(), &resource);
        within_time(api.get_opt(CONFIGURATION)).await
    }
}

impl Next {
    fn again_at(self, at: Instant) -> Self {
        match self {
            Self::Rest => Self::Rest,
            Self::Write(_) => Self::Write(at),
            Self::Look(_) => Self::Look(at),
            Self::StandDown(_) => Self::StandDown(at),
        }
    }
}

/// What is wrong with the live configuration: entries of others in it are none of ours, ours must be as written.
fn compare(kept: &Value, live: Option<&DynamicObject>) -> Option<Tampering> {
    let Some(live) = live else { return Some(Tampering::Deleted) };
    if live.metadata.deletion_timestamp.is_some() {
        return Some(Tampering::Deleted);
    }
    let entries = live.data["webhooks"].as_array().map_or(&[][..], Vec::as_slice);
    let stands = |ours: &Value| entries.iter().any(|entry| entry == ours);
    let whole = kept["webhooks"].as_array().is_some_and(|ours| ours.iter().all(stands));
    (!whole).then_some(Tampering::Changed)
}

async fn due(next: Next) {
    match next {
        Next::Rest => std::future::pending().await,
        Next::Write(at) | Next::Look(at) | Next::StandDown(at) => sleep_until(at).await,
    }
}
