//! What does the API server say of the kinds that Git declares? Its OpenAPI v3, only for their group-versions, read again when it
//! changes.
//!
//! ```text
//!   wanted group-versions ─┐
//!   CRDs changed ──────────┼─► index of /openapi/v3 ─► documents with a new hash ─► Schemas, published
//!   every five minutes ────┘
//! ```
//!
//! Never blocks a verdict: while the API server is away, what is known (at first the embedded table) stays in force, and no kind
//! is forgotten before the API server confirms that it is gone. Documents are read, laid over the schemas and dropped.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::cluster::call::{Backoff, CallError, watched};
use crate::cluster::documents::{DocumentError, Documents, parse};
use crate::cluster::reading::{Index, Pass, Read};
use crate::drift::schema::Schemas;
use crate::limits;

pub use crate::cluster::documents::GroupVersion;

/// When the index is read after a CRD changed: the API server publishes a CRD's schema a moment after the CRD.
const AFTER_CRD: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(2), Duration::from_secs(10)];

const INDEX: &str = "/openapi/v3";

/// What is known so far, now and from now on.
#[derive(Debug, Clone)]
pub struct Learnt {
    /// The schemas in force.
    pub schemas: watch::Receiver<Schemas>,
    /// The wanted group-versions on which the API server has spoken: `schemas` has them, or it serves no such thing.
    pub answered: watch::Receiver<BTreeSet<GroupVersion>>,
}

/// Learns schemas from the API server.
pub struct OpenApi {
    client: Client,
    documents: Documents,
    wanted: watch::Receiver<BTreeSet<GroupVersion>>,
    schemas: watch::Sender<Schemas>,
    answered: watch::Sender<BTreeSet<GroupVersion>>,
    base: Schemas,
    read: Read,
    /// When to look, the soonest first.
    due: VecDeque<Instant>,
    backoff: Backoff,
}

/// All that can wake it.
enum Event {
    Wanted,
    Definition,
    Due,
    Shutdown,
}

impl OpenApi {
    /// Learns what `wanted` names, over `base` (the embedded table).
    pub fn new(client: Client, base: Schemas, wanted: watch::Receiver<BTreeSet<GroupVersion>>) -> (Self, Learnt) {
        let (schemas, known) = watch::channel(base.clone());
        let (answered, told) = watch::channel(BTreeSet::new());
        let (documents, backoff) = (Documents::new(client.clone()), Backoff::new());
        let (read, due) = (Read::default(), VecDeque::new());
        let learnt = Learnt { schemas: known, answered: told };
        (Self { client, documents, wanted, schemas, answered, base, read, due, backoff }, learnt)
    }

    /// Runs until `shutdown` resolves or nobody wants schemas any more.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let api: Api<PartialObjectMeta<CustomResourceDefinition>> = Api::all(self.client.clone());
        let definitions = watched(api, watcher::Config::default());
        tokio::pin!(definitions, shutdown);
        self.due = VecDeque::from([Instant::now()]);
        let groups = self.wanted.clone();
        loop {
            let event = tokio::select! {
                biased;
                () = &mut shutdown => Event::Shutdown,
                changed = self.wanted.changed() => if changed.is_ok() { Event::Wanted } else { Event::Shutdown },
                () = definition_changed(&mut definitions, &groups) => Event::Definition,
                () = due(self.due.front().copied()) => Event::Due,
            };
            match event {
                Event::Shutdown => return,
                // Later too: what is wanted may belong to a CRD that was there a moment before us.
                Event::Wanted => self.due = [Duration::ZERO].into_iter().chain(AFTER_CRD).map(from_now).collect(),
                Event::Definition => self.due = AFTER_CRD.into_iter().map(from_now).collect(),
                Event::Due => {
                    self.due.pop_front();
                    self.look().await;
                }
            }
        }
    }

    async fn look(&mut self) {
        let wanted = self.wanted.borrow_and_update().clone();
        let failed = self.refresh(&wanted).await.unwrap_or_else(|error| vec![error]);
        if failed.is_empty() {
            self.backoff = Backoff::new();
            if self.due.is_empty() {
                self.due.push_back(Instant::now() + limits::OPENAPI_INTERVAL);
            }
            return;
        }
        let wait = self.backoff.next();
        for error in &failed {
            warn!(
                error = error as &dyn std::error::Error,
                seconds = wait.as_secs_f32(),
                "Cannot read the API server's schemas; those at hand stay in force"
            );
        }
        self.due.push_front(Instant::now() + wait);
    }

    /// Reads what changed and publishes what could be read; the rest is returned, to be tried again.
    async fn refresh(&mut self, wanted: &BTreeSet<GroupVersion>) -> Result<Vec<DocumentError>, DocumentError> {
        if wanted.is_empty() && self.read.documents.is_empty() {
            return Ok(Vec::new());
        }
        let index: Index = parse(INDEX, &self.documents.get(INDEX).await?)?;
        if wanted.len() > limits::OPENAPI_DOCUMENTS_MAX {
            warn!(
                wanted = wanted.len(),
                most = limits::OPENAPI_DOCUMENTS_MAX,
                "Too many group-versions declared; the last go without the server's schemas"
            );
        }
        let mut pass = Pass {
            index: &index,
            documents: &self.documents,
            base: &self.base,
            schemas: self.schemas.borrow().clone(),
            read: self.read.clone(),
            changed: false,
            failed: Vec::new(),
        };
        pass.lay(index.served(wanted.iter().take(limits::OPENAPI_DOCUMENTS_MAX))).await;
        pass.forget().await;
        let before = self.answered.borrow().clone();
        let answered = pass.answered(wanted, &before).await;
        let Pass { schemas, read, changed, failed, .. } = pass;
        self.read = read;
        if changed {
            info!(group_versions = self.read.documents.len(), "The API server's schemas are in force");
            self.schemas.send_replace(schemas);
        }
        // After the schemas: who hears of the answer finds them.
        self.answered.send_if_modified(|before| std::mem::replace(before, answered.clone()) != answered);
        Ok(failed)
    }
}

fn from_now(wait: Duration) -> Instant {
    Instant::now() + wait
}

/// Waits for a change of a CRD whose group is wanted. Its name is `<plural>.<group>`.
async fn definition_changed<S, K>(definitions: &mut S, wanted: &watch::Receiver<BTreeSet<GroupVersion>>)
where
    S: Stream<Item = Result<watcher::Event<K>, CallError>> + Unpin,
    K: kube::ResourceExt,
{
    loop {
        let definition = match definitions.next().await {
            Some(Ok(watcher::Event::Apply(crd) | watcher::Event::InitApply(crd) | watcher::Event::Delete(crd))) => crd,
            Some(Ok(watcher::Event::Init | watcher::Event::InitDone)) => continue,
            Some(Err(error)) => {
                // The watcher tries again by itself, with its own back-off.
                warn!(
                    error = &error as &dyn std::error::Error,
                    hint = error.hint(),
                    "Cannot watch CustomResourceDefinitions"
                );
                continue;
            }
            None => std::future::pending().await,
        };
        let name = definition.name_any();
        let group = name.split_once('.').map_or("", |(_, group)| group);
        if wanted.borrow().iter().any(|wanted| wanted.group == group) {
            return;
        }
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
