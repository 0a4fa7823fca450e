//! Which break-glass is open, and what becomes of it at its end? Watches the BreakGlass records and tells who decides; the leader
//! notes in each what became of it, takes the annotations away, and deletes what ended long ago.
//!
//! What was seen to end stays so for as long as this process knows the record, wherever the clock stands.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::watcher;
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::audit::Clock;
use crate::audit::record::Record as Kept;
use crate::audit::sinks::Recorder;
use crate::cluster::call::{Backoff, CallError, watched};
use crate::cluster::lease::Lead;
use crate::cluster::writer::{Noted, Writer};
use crate::config::crd::{GROUP, VERSION};
use crate::config::record::{Record, record};
use crate::gate::basis::Basis;
use crate::gate::grant::{Grant, Grants, What};
use crate::limits;

/// What the keeper of records needs to know.
pub struct Keeping {
    /// The API server.
    pub client: Client,
    /// Tells the time.
    pub clock: Clock,
    /// Whether this replica leads.
    pub leads: watch::Receiver<Lead>,
    /// The kinds: where objects with annotations are.
    pub basis: watch::Receiver<Arc<Basis>>,
    /// Told of what is open.
    pub grants: watch::Sender<Arc<Grants>>,
    /// Puts on the record that one has ended.
    pub recorder: Recorder,
}

/// Keeps the records.
pub struct Glasses {
    keeping: Keeping,
    writer: Writer,
    known: BTreeMap<String, Standing>,
    /// What is being listed anew; until that is done the others stand.
    listed: BTreeMap<String, Standing>,
    /// Until when the leader rests after a failure.
    rests: Option<Instant>,
    backoff: Backoff,
    /// Records that were seen to be over.
    over: BTreeSet<String>,
}

/// A record as it stands.
struct Standing {
    /// What it says; absent where it means nothing.
    record: Option<Record>,
    /// What its status says.
    noted: Option<Noted>,
    /// Why it means nothing.
    faults: Vec<String>,
    uid: String,
}

/// What became of the annotations of a record.
enum Cleaned {
    /// None is left that is its own.
    Done,
    /// Nobody knows yet where objects of that kind are.
    NotYet,
}

/// All that can wake it.
enum Event {
    Seen(Box<watcher::Event<DynamicObject>>),
    Unseen(CallError),
    Due,
    Shutdown,
}

impl Glasses {
    /// Prepares; nothing is watched before [`run`](Self::run).
    pub fn new(keeping: Keeping) -> Self {
        let writer = Writer::new(keeping.client.clone());
        Self {
            keeping,
            writer,
            known: BTreeMap::new(),
            listed: BTreeMap::new(),
            rests: None,
            backoff: Backoff::new(),
            over: BTreeSet::new(),
        }
    }

    /// Runs until `shutdown` resolves.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let resource = ApiResource {
            group: GROUP.to_owned(),
            version: VERSION.to_owned(),
            api_version: format!("{GROUP}/{VERSION}"),
            kind: "BreakGlass".to_owned(),
            plural: "breakglasses".to_owned(),
        };
        let api: Api<DynamicObject> = Api::all_with(self.keeping.client.clone(), &resource);
        let live = watched(api, watcher::Config::default());
        tokio::pin!(live, shutdown);
        loop {
            let event = tokio::select! {
                biased;
                () = &mut shutdown => Event::Shutdown,
                event = next(&mut live) => event,
                () = sleep(limits::GLASS_CHECK) => Event::Due,
            };
            match event {
                Event::Shutdown => return,
                Event::Unseen(error) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        hint = error.hint(),
                        "BreakGlass records are not seen"
                    );
                }
                Event::Seen(event) => self.take(*event),
                Event::Due => {}
            }
            self.publish();
            if self.keeping.leads.borrow().holds() && self.rests.is_none_or(|until| until <= Instant::now()) {
                self.lead().await;
            }
        }
    }

    fn take(&mut self, event: watcher::Event<DynamicObject>) {
        match event {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitDone => self.known = std::mem::take(&mut self.listed),
            watcher::Event::Delete(object) => {
                self.known.remove(object.metadata.name.as_deref().unwrap_or_default());
            }
            watcher::Event::InitApply(object) => self.listed.extend(standing(&object)),
            watcher::Event::Apply(object) => self.known.extend(standing(&object)),
        }
    }

    /// Tells what is open.
    fn publish(&mut self) {
        let now = (self.keeping.clock)();
        for (name, standing) in &self.known {
            let Some(record) = &standing.record else { continue };
            if record.ended.is_some() || record.closed || now >= record.grant.ends() {
                self.over.insert(name.clone());
            }
        }
        self.over.retain(|name| self.known.contains_key(name));
        let open = self.known.iter().filter(|(name, _)| !self.over.contains(*name));
        let open: Vec<Arc<Grant>> =
            open.filter_map(|(_, standing)| Some(Arc::new(standing.record.as_ref()?.grant.clone()))).collect();
        self.keeping.grants.send_if_modified(|before| {
            let changed = before.count() != open.len() || open.iter().any(|grant| !before.contains(grant));
            if changed {
                *before = Arc::new(Grants::of(open));
            }
            changed
        });
    }

    /// Notes what became of each record, as its leader.
    async fn lead(&mut self) {
        let now = (self.keeping.clock)();
        let mut failed = false;
        for (name, standing) in &self.known {
            if let Err(error) = self.look_after(name, standing, now).await {
                failed = true;
                warn!(
                    record = name,
                    error = &error as &dyn std::error::Error,
                    hint = error.hint(),
                    "A BreakGlass cannot be looked after"
                );
            }
        }
        if failed {
            self.rests = Some(Instant::now() + self.backoff.next());
        } else {
            (self.rests, self.backoff) = (None, Backoff::new());
        }
    }

    async fn look_after(&self, name: &str, standing: &Standing, now: Timestamp) -> Result<(), CallError> {
        let Some(record) = &standing.record else {
            return match standing.noted {
                Some(Noted::Void) => Ok(()),
                _ => self.writer.note_void(name, &standing.faults, now).await,
            };
        };
        let ends = record.grant.ends();
        match (&standing.noted, self.over.contains(name)) {
            (Some(Noted::Open), false) => Ok(()),
            (_, false) => self.writer.note_open(name, ends, now).await,
            (None | Some(Noted::Open | Noted::Void), true) => {
                let (reason, why) = if record.closed {
                    ("Closed", "somebody asked for its end")
                } else {
                    ("Expired", "its time is over")
                };
                self.writer.end_break_glass(name, reason, why, now).await?;
                info!(record = name, "BreakGlass ended");
                self.keeping.recorder.record(Kept::of_end(&record.grant, &standing.uid, now));
                Ok(())
            }
            (Some(Noted::Ended { .. }), true) if is_old(record.ended.unwrap_or(ends), now) => {
                self.writer.delete_break_glass(name, &standing.uid).await
            }
            (Some(Noted::Ended { cleaned: false }), true) => {
                match self.clean(&record.grant).await {
                    // Not ours to change, as a Secret: it stays and means nothing.
                    Err(error) if error.status() == Some(403) => {
                        warn!(record = name, error = &error as &dyn std::error::Error, "The annotation stays");
                    }
                    Err(error) => return Err(error),
                    Ok(Cleaned::NotYet) => return Ok(()),
                    Ok(Cleaned::Done) => {}
                }
                self.writer.note_cleaned(name, now).await
            }
            (Some(Noted::Ended { cleaned: true }), true) => Ok(()),
        }
    }

    /// Takes the annotations away that the grant was opened by, if they are still its own.
    async fn clean(&self, grant: &Grant) -> Result<Cleaned, CallError> {
        let What::Object(key, uid) = &grant.what else { return Ok(Cleaned::Done) };
        let others = self.known.iter().filter(|(name, _)| !self.over.contains(*name) && **name != grant.record);
        let mut others = others.filter_map(|(_, standing)| standing.record.as_ref());
        if others.any(|other| other.grant.what.is_object(key, uid)) {
            // The annotation is another grant's by now.
            return Ok(Cleaned::Done);
        }
        let place = {
            let basis = self.keeping.basis.borrow();
            let Some(info) = basis.schemas.kind(key.group(), key.kind()) else { return Ok(Cleaned::NotYet) };
            let Some(version) = info.versions.first() else { return Ok(Cleaned::NotYet) };
            let root = if key.group().is_empty() { "/api".to_owned() } else { format!("/apis/{}", key.group()) };
            match key.namespace() {
                "" => format!("{root}/{}/{}", version.version, info.resource),
                namespace => format!("{root}/{}/namespaces/{namespace}/{}", version.version, info.resource),
            }
        };
        self.writer.remove_break_glass(&place, key.name(), uid, &grant.reason).await.map(|()| Cleaned::Done)
    }
}

/// Whether a record has been kept for long enough.
fn is_old(ended: Timestamp, now: Timestamp) -> bool {
    now.checked_sub(limits::RECORD_LIFE).is_ok_and(|horizon| ended < horizon)
}

fn standing(object: &DynamicObject) -> Option<(String, Standing)> {
    let (name, uid) = (object.metadata.name.clone()?, object.metadata.uid.clone()?);
    let object = serde_json::to_value(object).ok()?;
    let noted = Noted::of(&object);
    let (record, faults) = match record(&object) {
        Ok(record) => (Some(record), Vec::new()),
        Err(faults) => (None, faults.iter().map(ToString::to_string).collect()),
    };
    Some((name, Standing { record, noted, faults, uid }))
}

async fn next(live: &mut (impl Stream<Item = Result<watcher::Event<DynamicObject>, CallError>> + Unpin)) -> Event {
    match live.next().await {
        Some(Ok(event)) => Event::Seen(Box::new(event)),
        Some(Err(error)) => Event::Unseen(error),
        None => Event::Shutdown,
    }
}

impl Noted {
    fn of(object: &Value) -> Option<Self> {
        let conditions = object["status"]["conditions"].as_array()?;
        let is = |kind: &str, status: &str| conditions.iter().any(|it| it["type"] == kind && it["status"] == status);
        match object["status"]["state"].as_str() {
            Some("Ended") => Some(Self::Ended { cleaned: is("Cleaned", "True") }),
            Some("Open") => Some(Self::Open),
            Some(_) | None => is("Valid", "False").then_some(Self::Void),
        }
    }
}
