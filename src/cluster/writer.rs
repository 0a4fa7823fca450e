//! What does landfast write to the API server? Everything it writes, and nothing else writes: its webhook configurations, its
//! Namespace, Events. What it only rehearses (dry-runs) goes through here as well.
//!
//! All writes by server-side apply under one field manager, so that a repeat changes nothing. Decides nothing.

use std::fmt;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::core::v1::{Event as CoreEvent, Namespace};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::audit::event::{Event, EventError, EventSink};
use crate::cluster::call::{CallError, within_time};
use crate::cluster::webhook::{CONFIGURATION, FIELD_MANAGER};

/// A kind of webhook configuration.
pub trait Configuration: Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned {}

impl Configuration for MutatingWebhookConfiguration {}
impl Configuration for ValidatingWebhookConfiguration {}

/// The one place that writes to the API server.
#[derive(Clone)]
pub struct Writer {
    client: Client,
}

/// Field manager of rehearsals: it owns nothing, anywhere.
const REHEARSING: &str = "landfast-form";

/// A write that leaves nothing behind. It may be of a Secret, so it cannot be printed.
pub enum Rehearsal<'n> {
    /// Make this object.
    Create(Value),
    /// Apply this to the object of that name, by force.
    Apply(&'n str, Value),
}

/// Landfast's own Namespace, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// It is there, with this uid.
    Standing(String),
    /// It is being deleted: what it owns is to go, so nothing is written.
    Terminating,
}

impl Writer {
    /// Writes through this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Finds landfast's Namespace and makes it where it is missing.
    ///
    /// Made by a plain create: applying would need the right to patch every Namespace.
    pub async fn ensure_namespace(&self, name: &str) -> Result<Home, CallError> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        if let Some(found) = within_time(namespaces.get_metadata_opt(name)).await? {
            return Ok(Home::of(found.metadata));
        }
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match within_time(namespaces.create(&parameters, &namespace)).await {
            Ok(made) => Ok(Home::of(made.metadata)),
            // Another replica was faster.
            Err(error) if error.status() == Some(409) => {
                Ok(Home::of(within_time(namespaces.get_metadata(name)).await?.metadata))
            }
            Err(error) => Err(error),
        }
    }

    /// Applies our webhook configuration of this kind as rendered.
    pub async fn apply_webhooks<K: Configuration>(&self, configuration: &Value) -> Result<(), CallError> {
        let configurations: Api<K> = Api::all(self.client.clone());
        within_time(configurations.patch_metadata(CONFIGURATION, &parameters(), &Patch::Apply(configuration))).await?;
        Ok(())
    }

    /// Takes our webhook configuration of this kind away, if it is there.
    pub async fn delete_webhooks<K: Configuration>(&self) -> Result<(), CallError> {
        let configurations: Api<K> = Api::all(self.client.clone());
        match within_time(configurations.delete(CONFIGURATION, &DeleteParams::default())).await {
            Ok(_) => Ok(()),
            Err(error) if error.status() == Some(404) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Asks what would become of a write to the resource at this path (`/apis/apps/v1/namespaces/shop/deployments`): a dry-run.
    pub async fn rehearse(&self, path: &str, rehearsal: Rehearsal<'_>) -> Result<String, CallError> {
        let resource = Request::new(path);
        let request = match rehearsal {
            Rehearsal::Create(object) => {
                let parameters = PostParams { dry_run: true, field_manager: Some(REHEARSING.to_owned()) };
                resource.create(&parameters, object.to_string().into_bytes())
            }
            Rehearsal::Apply(name, object) => {
                let parameters = PatchParams { dry_run: true, ..PatchParams::apply(REHEARSING).force() };
                resource.patch(name, &parameters, &Patch::Apply(object))
            }
        };
        let request = request.map_err(kube::Error::BuildRequest)?;
        within_time(self.client.request_text(request)).await
    }

    /// Creates an Event, or raises the count and last time of the one that has its name.
    pub async fn write_event(&self, event: &Event) -> Result<(), CallError> {
        let events: Api<CoreEvent> = Api::namespaced(self.client.clone(), &event.namespace);
        let manifest = manifest(event);
        within_time(events.patch_metadata(&event.name, &parameters(), &Patch::Apply(&manifest))).await?;
        Ok(())
    }
}

impl Home {
    fn of(metadata: ObjectMeta) -> Self {
        match (metadata.deletion_timestamp, metadata.uid) {
            (None, Some(uid)) => Self::Standing(uid),
            (Some(_), _) | (None, None) => Self::Terminating,
        }
    }
}

impl EventSink for Writer {
    fn publish<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<(), EventError>> {
        async move {
            let written = self.write_event(event).await;
            written.map_err(|error| EventError { name: event.name.clone(), source: Box::new(error) })
        }
        .boxed()
    }
}

fn parameters() -> PatchParams {
    PatchParams::apply(FIELD_MANAGER).force()
}

/// A core/v1 Event of the older form, which `kubectl describe` and `kubectl get events` both show with its count.
fn manifest(event: &Event) -> Value {
    let object = &event.object;
    let api_version = match object.group.as_str() {
        "" => object.version.clone(),
        group => format!("{group}/{}", object.version),
    };
    let mut involved = json!({ "apiVersion": api_version, "kind": object.kind, "name": object.name });
    if !object.namespace.is_empty() {
        involved["namespace"] = json!(object.namespace);
    }
    if let Some(uid) = &object.uid {
        involved["uid"] = json!(uid);
    }
    // metav1.Time holds whole seconds.
    let time = |at: jiff::Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "name": event.name, "namespace": event.namespace },
        "involvedObject": involved,
        "reason": event.reason.name(),
        "action": event.action,
        "message": event.note,
        "type": event.reason.severity(),
        "count": i32::try_from(event.count).unwrap_or(i32::MAX),
        "firstTimestamp": time(event.first),
        "lastTimestamp": time(event.last),
        "source": { "component": "landfast" },
        "reportingComponent": "landfast.dev/landfast",
        "reportingInstance": "landfast",
    })
}
