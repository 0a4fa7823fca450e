//! What does landfast write to the API server? Everything it writes, and nothing else writes: its webhook configurations, its
//! Namespace, Events, the statuses of the operator's objects, [`repairs`] of what Git declares. What it only rehearses (dry-runs)
//! goes through here as well.
//!
//! All writes by server-side apply under one field manager, so that a repeat changes nothing. Decides nothing.

pub mod repairs;

use std::fmt;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event as CoreEvent, Namespace};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, Request};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::audit::event::{Event, EventError, EventSink};
use crate::cluster::call::{CallError, within_time};
use crate::cluster::statuses::Desired;
use crate::cluster::webhook::{CONFIGURATION, FIELD_MANAGER};
use crate::config::crd::{GROUP, VERSION};
use crate::config::record::END;
use crate::gate::ask;

/// A kind of webhook configuration.
pub trait Configuration: Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned {}

impl Configuration for MutatingWebhookConfiguration {}
impl Configuration for ValidatingWebhookConfiguration {}

/// The one place that writes to the API server.
#[derive(Clone)]
pub struct Writer {
    client: Client,
}

/// Where BreakGlass objects are.
pub const BREAK_GLASSES: &str = "/apis/landfast.dev/v1alpha1/breakglasses";

/// Field manager of rehearsals: it owns nothing, anywhere.
const REHEARSING: &str = "landfast-form";

/// A write that leaves nothing behind. It may be of a Secret, so it cannot be printed.
pub enum Rehearsal<'n> {
    /// Make this object.
    Create(Value),
    /// Apply this to the object of that name, by force.
    Apply(&'n str, Value),
}

/// What the status of a BreakGlass says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// It is open.
    Open,
    /// It has ended; whether nothing is left of it.
    Ended {
        /// Whether the annotations are gone.
        cleaned: bool,
    },
    /// It means nothing.
    Void,
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

    /// Makes a BreakGlass; 409 where there is one of its name.
    pub async fn create_break_glass(&self, record: &Value) -> Result<Value, CallError> {
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let request = Request::new(BREAK_GLASSES).create(&parameters, record.to_string().into_bytes());
        within_time(self.client.request(request.map_err(kube::Error::BuildRequest)?)).await
    }

    /// Asks for the end of a BreakGlass, as whoever may change it; the leader ends it.
    pub async fn close_break_glass(&self, name: &str) -> Result<Value, CallError> {
        let end = Patch::Merge(json!({ "metadata": { "annotations": { END: "true" } } }));
        let request = Request::new(BREAK_GLASSES).patch(name, &PatchParams::default(), &end);
        within_time(self.client.request(request.map_err(kube::Error::BuildRequest)?)).await
    }

    /// Notes in the status of a BreakGlass that it has ended; one that is gone has.
    pub async fn end_break_glass(
        &self,
        name: &str,
        reason: &str,
        message: &str,
        now: Timestamp,
    ) -> Result<(), CallError> {
        let conditions = [condition("Ended", true, reason, message, now)];
        self.note(name, json!({ "state": "Ended", "ended": time(now), "conditions": conditions })).await
    }

    /// Notes that a BreakGlass is open, and until when.
    pub async fn note_open(&self, name: &str, until: Timestamp, now: Timestamp) -> Result<(), CallError> {
        let conditions = [condition("Ended", false, "Open", "its time is not over", now)];
        self.note(name, json!({ "state": "Open", "until": time(until), "conditions": conditions })).await
    }

    /// Notes that nothing is left of what a BreakGlass opened.
    pub async fn note_cleaned(&self, name: &str, now: Timestamp) -> Result<(), CallError> {
        let conditions = [
            condition("Ended", true, "Ended", "it has ended", now),
            condition("Cleaned", true, "Cleaned", "no annotation is left of it", now),
        ];
        self.note(name, json!({ "conditions": conditions })).await
    }

    /// Notes that a BreakGlass means nothing, and why.
    pub async fn note_void(&self, name: &str, faults: &[String], now: Timestamp) -> Result<(), CallError> {
        self.note(name, json!({ "conditions": [condition("Valid", false, "Faulty", &faults.join("; "), now)] })).await
    }

    async fn note(&self, name: &str, status: Value) -> Result<(), CallError> {
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let status = Patch::Merge(json!({ "status": status }));
        let request = Request::new(BREAK_GLASSES).patch_subresource("status", name, &parameters, &status);
        gone_is_done(within_time(self.client.request::<Value>(request.map_err(kube::Error::BuildRequest)?)).await)
    }

    /// Deletes a BreakGlass, if it is still this one.
    pub async fn delete_break_glass(&self, name: &str, uid: &str) -> Result<(), CallError> {
        let preconditions = Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
        let request = Request::new(BREAK_GLASSES).delete(name, &parameters);
        gone_is_done(within_time(self.client.request::<Value>(request.map_err(kube::Error::BuildRequest)?)).await)
    }

    /// Takes the annotations of a break-glass from an object, if it is still this one and they still give this reason.
    pub async fn remove_break_glass(&self, place: &str, name: &str, uid: &str, reason: &str) -> Result<(), CallError> {
        let at = |annotation: &str| format!("/metadata/annotations/{}", annotation.replace('/', "~1"));
        let own = [
            json!({ "op": "test", "path": "/metadata/uid", "value": uid }),
            json!({ "op": "test", "path": at(ask::REASON), "value": reason }),
            json!({ "op": "remove", "path": at(ask::REASON) }),
        ];
        let timed = [&own[..], &[json!({ "op": "remove", "path": at(ask::DURATION) })]].concat();
        for operations in [&timed[..], &own] {
            let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            let operations = serde_json::from_value(operations.into()).map_err(kube::Error::SerdeError)?;
            let request = Request::new(place).patch(name, &parameters, &Patch::Json::<()>(operations));
            let request = request.map_err(kube::Error::BuildRequest)?;
            match gone_is_done(within_time(self.client.request_text(request)).await) {
                // Something is not as the patch says: there is no time, or nothing is ours any more.
                Err(error) if error.status() == Some(422) => {}
                done => return done,
            }
        }
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

    /// Makes a Lease; 409 where another replica was faster.
    pub async fn create_lease(&self, namespace: &str, lease: &Lease) -> Result<Lease, CallError> {
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        within_time(Api::namespaced(self.client.clone(), namespace).create(&parameters, lease)).await
    }

    /// Writes a Lease over the version that was read; 409 where another replica was faster.
    pub async fn replace_lease(&self, namespace: &str, lease: &Lease) -> Result<Lease, CallError> {
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let name = lease.metadata.name.as_deref().unwrap_or_default();
        within_time(Api::namespaced(self.client.clone(), namespace).replace(name, &parameters, lease)).await
    }

    /// Applies what this manager tells of the status of one of the operator's objects; another object of its name is a conflict (409).
    pub async fn apply_status(&self, of: &Desired, status: Value, manager: &str) -> Result<(), CallError> {
        let kind = GroupVersionKind::gvk(GROUP, VERSION, &of.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, of.plural);
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let object = json!({
            "apiVersion": resource.api_version,
            "kind": of.kind,
            "metadata": { "name": of.name, "uid": of.uid },
            "status": status,
        });
        within_time(api.patch_status(&of.name, &PatchParams::apply(manager).force(), &Patch::Apply(&object))).await?;
        Ok(())
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

/// What is gone needs nothing more.
fn gone_is_done<T>(answer: Result<T, CallError>) -> Result<(), CallError> {
    match answer {
        Ok(_) => Ok(()),
        Err(error) if error.status() == Some(404) => Ok(()),
        Err(error) => Err(error),
    }
}

fn condition(kind: &str, holds: bool, reason: &str, message: &str, now: Timestamp) -> Value {
    let status = if holds { "True" } else { "False" };
    json!({ "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": time(now) })
}

/// metav1.Time holds whole seconds.
fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
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
