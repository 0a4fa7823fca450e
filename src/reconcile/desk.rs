//! How is a person asked, and how is the answer heard? One ConfigMap in Landfast's own namespace: the leader writes it, every replica
//! watches it.
//!
//! It is watched only while a policy may need it, and made when there is something to tell first.

use futures::StreamExt as _;
use futures::stream::BoxStream;
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher;
use kube::{Api, Client};
use serde_json::json;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::cluster::call::{CallError, watched};
use crate::cluster::webhook::FIELD_MANAGER;
use crate::cluster::writer::Writer;
use crate::cluster::writer::repairs::place;
use crate::gate::basis::Basis;
use crate::gate::policy::Rule;
use crate::gate::repair::RepairMode;
use crate::limits::{REPAIRS_DEBOUNCE, SETTLE_MAX};
use crate::reconcile::approval::{APPROVE, Digest, NOTICE, Notice, REPAIRS};
use crate::reconcile::run::Reconciler;
use crate::reconcile::sight::Sight;
use crate::reconcile::watch::Heard;
use crate::reconcile::work::Work;

/// The ConfigMap, from our side.
pub(super) struct Desk {
    client: Client,
    /// Landfast's own namespace.
    namespace: String,
    stream: Option<BoxStream<'static, Heard>>,
    /// Whether it is there.
    stands: bool,
    /// Whether it is being written.
    telling: bool,
    /// Since when there is something to tell, and when it is told.
    since: Option<Instant>,
    pub(super) at: Option<Instant>,
}

impl Desk {
    pub(super) fn new(client: Client, namespace: String) -> Self {
        Self { client, namespace, stream: None, stands: false, telling: false, since: None, at: None }
    }

    /// Watches it while anybody may have to be asked.
    pub(super) fn set(&mut self, basis: &Basis) {
        let asks = |rule: &Rule| {
            let repairs = rule.repairs();
            repairs.is_some_and(|it| it.mode == RepairMode::Manual || it.hold_above.is_some() || it.prune)
        };
        match (basis.policy.rules.iter().any(asks), self.stream.is_some()) {
            (true, false) => {
                let kind = GroupVersionKind::gvk("", "v1", "ConfigMap");
                let resource = ApiResource::from_gvk_with_plural(&kind, "configmaps");
                let api: Api<Sight> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
                let config = watcher::Config::default().fields(&format!("metadata.name={REPAIRS}"));
                self.stream = Some(watched(api, config).boxed());
            }
            (false, true) => (self.stream, self.stands) = (None, false),
            (_, _) => {}
        }
    }

    /// What happens to it next; never, where it is not watched.
    pub(super) async fn next(&mut self) -> Heard {
        let heard = match &mut self.stream {
            Some(stream) => stream.next().await,
            None => None,
        };
        match heard {
            Some(heard) => heard,
            None => std::future::pending().await,
        }
    }
}

impl Reconciler {
    /// Takes in how the ConfigMap looks.
    pub(super) fn hear_notice(&mut self, heard: Heard) {
        match heard {
            Ok(watcher::Event::Apply(sight) | watcher::Event::InitApply(sight)) => {
                self.desk.stands = true;
                self.hear_said(Digest::of(sight.raw()));
            }
            Ok(watcher::Event::Delete(_)) => {
                self.desk.stands = false;
                self.hear_said(Vec::new());
            }
            Ok(watcher::Event::Init | watcher::Event::InitDone) => {}
            Err(error) if error.status() == Some(410) => debug!("Listed anew"),
            Err(error) => {
                let (hint, error) = (error.hint(), &error as &dyn std::error::Error);
                warn!(name = REPAIRS, error, hint, "What a person approves is not seen");
            }
        }
    }

    /// Tells what waits for a person, where that has changed: a moment later, and not while much is still being looked at.
    pub(super) fn publish(&mut self) {
        if !self.leads() || self.desk.telling || self.desk.stream.is_none() {
            self.desk.at = None;
            return;
        }
        let now = Instant::now();
        if self.permits.approvals.take_changed() {
            self.desk.since.get_or_insert(now);
        }
        let Some(since) = self.desk.since else { return };
        let is_unread = self.basis.sources.values().any(|source| source.revision.is_none());
        let is_busy = is_unread || self.watches.is_listing() || !self.turns.is_empty() || !self.work.is_empty();
        if now < since + REPAIRS_DEBOUNCE || (is_busy && now < since + SETTLE_MAX) {
            self.desk.at = Some(now + REPAIRS_DEBOUNCE);
            return;
        }
        (self.desk.since, self.desk.at) = (None, None);
        let held = self.held();
        let over: Vec<Digest> = if is_busy { Vec::new() } else { self.over() };
        let notice = self.permits.approvals.notice(held);
        if !self.desk.stands && notice == Notice::default() {
            return;
        }
        self.desk.telling = true;
        let (writer, namespace) = (self.writer.clone(), self.desk.namespace.clone());
        self.work.push(Box::pin(async move { Work::Told(told(&writer, &namespace, &notice, &over).await) }));
    }

    /// What was said and is over; who said what never meant anything is told.
    fn over(&self) -> Vec<Digest> {
        let (spent, void) = self.permits.approvals.over(&self.held());
        for digest in &void {
            warn!(%digest, "Nothing that waits has this digest: Git or the objects have moved on, and it counts for nothing");
        }
        spent.into_iter().chain(void).cloned().collect()
    }

    /// Takes in whether it could be told.
    pub(super) fn told(&mut self, told: Result<(), CallError>) {
        self.desk.telling = false;
        match told {
            Ok(()) => self.desk.stands = true,
            Err(error) => {
                let (hint, error) = (error.hint(), &error as &dyn std::error::Error);
                warn!(name = REPAIRS, error, hint, "What waits for a person is not told");
                self.desk.since = Some(Instant::now() + SETTLE_MAX);
                self.desk.at = self.desk.since;
            }
        }
    }
}

/// Writes the ConfigMap, and takes away what was said on it and is over.
async fn told(writer: &Writer, namespace: &str, notice: &Notice, over: &[Digest]) -> Result<(), CallError> {
    let place = place("", "v1", "configmaps", namespace);
    // Plain data with text for its keys: nothing in it can fail.
    let text = serde_json::to_string(notice).unwrap_or_default();
    let body = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": REPAIRS, "namespace": namespace },
        "data": { NOTICE: text },
    });
    let answer = writer.apply(&place, REPAIRS, &body, FIELD_MANAGER).await?;
    let Ok(sight) = Sight::parse(answer) else { return Ok(()) };
    let said = Digest::of(sight.raw());
    let left: Vec<String> = said.iter().filter(|digest| !over.contains(digest)).map(ToString::to_string).collect();
    if left.len() == said.len() {
        return Ok(());
    }
    let left = Some(left.join(" ")).filter(|left| !left.is_empty());
    match writer.annotate(&place, REPAIRS, Some(sight.version()), &[(APPROVE, left.as_deref())]).await {
        // Somebody else says something just now: what is over goes the next time.
        Err(error) if error.status() == Some(409) => Ok(()),
        done => done.map(drop),
    }
}
