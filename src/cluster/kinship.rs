//! Whose is what runs? The controllers of Pods and of what makes Pods, by their metadata, watched where a policy asks for it.
//!
//! Kept of the namespaces that are asked for only, and nothing but names. It never waits: what it has not seen, it does not know.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta};
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::watch;
use tracing::warn;

use crate::cluster::call::{CallError, watched};
use crate::drift::declared::ObjectKey;

/// What makes Pods, and Pods themselves: group, version, kind, resource.
const KINDS: &[(&str, &str, &str, &str)] = &[
    ("", "v1", "Pod", "pods"),
    ("apps", "v1", "ReplicaSet", "replicasets"),
    ("apps", "v1", "Deployment", "deployments"),
    ("apps", "v1", "StatefulSet", "statefulsets"),
    ("apps", "v1", "DaemonSet", "daemonsets"),
    ("batch", "v1", "Job", "jobs"),
    ("batch", "v1", "CronJob", "cronjobs"),
];

/// Who owns what, as far as it was seen; a handle for those who ask.
#[derive(Debug, Clone, Default)]
pub struct Kinship(Arc<Mutex<HashMap<ObjectKey, Option<OwnerReference>>>>);

type Change = (usize, Result<watcher::Event<PartialObjectMeta<DynamicObject>>, CallError>);

impl Kinship {
    /// The controller of an object, where the object was seen.
    #[expect(clippy::option_option, reason = "not seen, and owned by nobody, are two things")]
    pub(crate) fn owner(&self, object: &ObjectKey) -> Option<Option<OwnerReference>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(object).cloned()
    }

    /// Watches the namespaces that are `wanted` until `shutdown` resolves; where there are none, nothing.
    pub async fn run(
        self,
        client: Client,
        mut wanted: watch::Receiver<BTreeSet<String>>,
        shutdown: impl Future<Output = ()>,
    ) {
        let mut shutdown = pin!(shutdown);
        loop {
            let namespaces = wanted.borrow_and_update().clone();
            self.with(|known| known.retain(|key, _| namespaces.contains(key.namespace())));
            let streams = if namespaces.is_empty() { &[] } else { KINDS };
            let streams = streams.iter().enumerate().map(|(n, kind)| changes(&client, n, *kind));
            let mut seen = stream::select_all(streams.collect::<Vec<_>>());
            let mut listing = vec![Vec::new(); KINDS.len()];
            loop {
                tokio::select! {
                    () = &mut shutdown => return,
                    changed = wanted.changed() => {
                        if changed.is_err() { return; }
                        break;
                    }
                    Some(change) = seen.next() => self.take(change, &mut listing, &namespaces),
                }
            }
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<ObjectKey, Option<OwnerReference>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self, (n, change): Change, listing: &mut [Vec<Kin>], namespaces: &BTreeSet<String>) {
        let (kind, listing) = (KINDS[n], &mut listing[n]);
        let kin = |object: &PartialObjectMeta<DynamicObject>| {
            kin(kind, object).filter(|(key, _)| namespaces.contains(key.namespace()))
        };
        match change {
            Ok(watcher::Event::Init) => listing.clear(),
            Ok(watcher::Event::InitApply(object)) => listing.extend(kin(&object)),
            Ok(watcher::Event::InitDone) => self.with(|known| {
                known.retain(|key, _| (key.group(), key.kind()) != (kind.0, kind.2));
                known.extend(listing.drain(..));
            }),
            Ok(watcher::Event::Apply(object)) => self.with(|known| known.extend(kin(&object))),
            Ok(watcher::Event::Delete(object)) => self.with(|known| {
                kin(&object).map(|(key, _)| known.remove(&key));
            }),
            Err(error) => warn!(
                kind = kind.2,
                error = &error as &dyn std::error::Error,
                hint = error.hint(),
                "Cannot watch whose objects these are; the API server is asked instead before somebody is refused"
            ),
        }
    }
}

type Kin = (ObjectKey, Option<OwnerReference>);

fn kin((group, _, kind, _): (&str, &str, &str, &str), object: &PartialObjectMeta<DynamicObject>) -> Option<Kin> {
    let metadata = &object.metadata;
    let key = ObjectKey::new(group, kind, metadata.namespace.as_deref()?, metadata.name.as_deref()?);
    Some((key, controller(metadata.owner_references.as_deref().unwrap_or_default())))
}

/// The one owner that controls.
pub(crate) fn controller(owners: &[OwnerReference]) -> Option<OwnerReference> {
    owners.iter().find(|owner| owner.controller == Some(true)).cloned()
}

fn changes(
    client: &Client,
    n: usize,
    (group, version, kind, resource): (&str, &str, &str, &str),
) -> BoxStream<'static, Change> {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), resource);
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client.clone(), &resource);
    watched(api, watcher::Config::default()).map(move |change| (n, change)).boxed()
}
