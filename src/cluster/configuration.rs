//! Which GitSources and DriftPolicies does the cluster hold? Watches both kinds; what they ask for, `config` says.
//!
//! Kinds that are not there yet are told once, and looked for until they come.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use jiff::Timestamp;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher;
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::cluster::call::CallError;
use crate::config::crd::{GROUP, VERSION};
use crate::config::definition::definitions;
use crate::config::held::Held;
use crate::limits;

/// What the cluster holds, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// The objects, by kind and name.
    pub held: Vec<Held>,
    /// Their statuses, by uid.
    pub statuses: BTreeMap<String, Value>,
    /// Kinds that the API server does not let us see.
    pub hidden: BTreeSet<String>,
    /// Whether the API server has spoken on each kind: listed its objects, or said that it has none such.
    pub answered: bool,
}

/// Watches the operator's objects.
pub struct Watching {
    client: Client,
    seen: watch::Sender<Seen>,
    kinds: Vec<Kind>,
}

/// One kind and what is known of it.
struct Kind {
    resource: ApiResource,
    objects: BTreeMap<String, DynamicObject>,
    /// Objects of a list that is not complete yet.
    listing: BTreeMap<String, DynamicObject>,
    standing: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Unknown,
    Missing,
    /// The API server does not let us look.
    Closed,
    Watched,
}

type Change = Result<watcher::Event<DynamicObject>, CallError>;

impl Watching {
    /// Prepares; nothing is asked before [`run`](Self::run).
    pub fn new(client: Client) -> (Self, watch::Receiver<Seen>) {
        let (seen, receiver) = watch::channel(Seen::default());
        // What a BreakGlass opens is nobody's settings.
        let kinds =
            definitions().into_iter().filter(|definition| definition.kind != "BreakGlass").map(|definition| Kind {
                resource: ApiResource::from_gvk_with_plural(
                    &GroupVersionKind::gvk(GROUP, VERSION, definition.kind),
                    definition.plural,
                ),
                objects: BTreeMap::new(),
                listing: BTreeMap::new(),
                standing: Standing::Unknown,
            });
        (Self { client, seen, kinds: kinds.collect() }, receiver)
    }

    /// Watches until `shutdown` resolves.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let streams = self.kinds.iter().enumerate().map(|(n, kind)| changes(self.client.clone(), n, &kind.resource));
        let mut changes = stream::select_all(streams.collect::<Vec<_>>());
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                Some((n, change)) = changes.next() => {
                    self.take(n, change);
                    self.publish();
                }
            }
        }
    }

    fn take(&mut self, n: usize, change: Change) {
        let Some(kind) = self.kinds.get_mut(n) else { return };
        let name = |object: &DynamicObject| object.metadata.name.clone().unwrap_or_default();
        match change {
            Ok(watcher::Event::Init) => kind.listing.clear(),
            Ok(watcher::Event::InitApply(object)) => drop(kind.listing.insert(name(&object), object)),
            Ok(watcher::Event::InitDone) => {
                kind.objects = std::mem::take(&mut kind.listing);
                if kind.standing == Standing::Missing {
                    info!(kind = kind.resource.kind, "The cluster knows this kind now");
                }
                kind.standing = Standing::Watched;
            }
            Ok(watcher::Event::Apply(object)) => drop(kind.objects.insert(name(&object), object)),
            Ok(watcher::Event::Delete(object)) => drop(kind.objects.remove(&name(&object))),
            Err(error) => kind.fail(&error),
        }
    }

    fn publish(&self) {
        let objects = || self.kinds.iter().flat_map(|kind| kind.objects.values().map(move |object| (kind, object)));
        let held = objects().filter_map(|(kind, object)| held(&kind.resource.kind, object)).collect();
        let status = |object: &DynamicObject| Some((object.metadata.uid.clone()?, object.data.get("status")?.clone()));
        let seen = Seen {
            held,
            statuses: objects().filter_map(|(_, object)| status(object)).collect(),
            hidden: self
                .kinds
                .iter()
                .filter(|kind| kind.standing == Standing::Closed)
                .map(|kind| kind.resource.kind.clone())
                .collect(),
            answered: self.kinds.iter().all(|kind| kind.standing != Standing::Unknown),
        };
        self.seen.send_if_modified(|before| {
            let changed = *before != seen;
            *before = seen;
            changed
        });
    }
}

impl Kind {
    fn fail(&mut self, error: &CallError) {
        let (name, before) = (&self.resource.kind, self.standing);
        match error.status() {
            Some(404) => {
                if before != Standing::Missing {
                    let hint = "landfast crd | kubectl apply -f -";
                    warn!(
                        kind = name,
                        hint, "The cluster does not know this kind; what files hold is in force until it does"
                    );
                }
                self.objects.clear();
                self.standing = Standing::Missing;
            }
            // What is too old is listed again at once.
            Some(410) => {}
            status => {
                warn!(
                    kind = name,
                    error = error as &dyn std::error::Error,
                    hint = error.hint(),
                    "Cannot watch this kind; what is known of it stays in force"
                );
                if status == Some(403) && before == Standing::Unknown {
                    self.standing = Standing::Closed;
                }
            }
        }
    }
}

/// All changes of one kind; after a failure it waits a moment.
fn changes(client: Client, n: usize, resource: &ApiResource) -> BoxStream<'static, (usize, Change)> {
    let api: Api<DynamicObject> = Api::all_with(client, resource);
    let changes = watcher(api, watcher::Config::default()).then(|change| async move {
        if change.is_err() {
            sleep(limits::CONFIG_RETRY).await;
        }
        change.map_err(CallError::from)
    });
    changes.map(move |change| (n, change)).boxed()
}

/// What `config` reads; nothing of an object that is going away.
fn held(kind: &str, object: &DynamicObject) -> Option<Held> {
    let metadata = &object.metadata;
    if metadata.deletion_timestamp.is_some() {
        return None;
    }
    let created = metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    Some(Held {
        kind: kind.to_owned(),
        name: metadata.name.clone()?,
        uid: metadata.uid.clone()?,
        generation: metadata.generation.unwrap_or_default(),
        created,
        manager: manager(object),
        spec: object.data.get("spec").cloned().unwrap_or_default(),
    })
}

/// The manager that last wrote the spec.
fn manager(object: &DynamicObject) -> Option<String> {
    let entries = object.metadata.managed_fields.iter().flatten();
    let writes_spec = entries.filter(|entry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        entry.subresource.is_none() && fields.is_some_and(|fields| fields.get("f:spec").is_some())
    });
    writes_spec.max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?.manager.clone()
}
