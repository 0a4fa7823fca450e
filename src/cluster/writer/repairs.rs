//! How is an object of others written? Applied, made, replaced or rid of an owner, as whoever brings it back says.
//!
//! What it must look like, and under whose name, the caller knows.

use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Request;
use serde_json::{Map, Value, json};

use crate::cluster::call::{CallError, within_time};
use crate::cluster::webhook::FIELD_MANAGER;
use crate::cluster::writer::Writer;

/// Where the objects of one resource are, as in `/apis/apps/v1/namespaces/shop/deployments`.
pub fn place(group: &str, version: &str, resource: &str, namespace: &str) -> String {
    let root = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
    match namespace {
        "" => format!("{root}/{version}/{resource}"),
        namespace => format!("{root}/{version}/namespaces/{namespace}/{resource}"),
    }
}

impl Writer {
    /// Applies by force, under this manager's name; what came of it. Where there is no such object it is made.
    pub async fn apply(&self, place: &str, name: &str, body: &Value, manager: &str) -> Result<String, CallError> {
        let parameters = PatchParams::apply(manager).force();
        let request = Request::new(place).patch(name, &parameters, &Patch::Apply(body));
        within_time(self.client.request_text(request.map_err(kube::Error::BuildRequest)?)).await
    }

    /// Makes an object under this manager's name; 409 where there is one.
    pub async fn create(&self, place: &str, body: &Value, manager: &str) -> Result<String, CallError> {
        let parameters = PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
        let request = Request::new(place).create(&parameters, body.to_string().into_bytes());
        within_time(self.client.request_text(request.map_err(kube::Error::BuildRequest)?)).await
    }

    /// Writes an object over the version that it names, under this manager's name; 409 where it is another by now.
    pub async fn replace(&self, place: &str, name: &str, body: &Value, manager: &str) -> Result<String, CallError> {
        let parameters = PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
        let request = Request::new(place).replace(name, &parameters, body.to_string().into_bytes());
        within_time(self.client.request_text(request.map_err(kube::Error::BuildRequest)?)).await
    }

    /// Merges a wish into a deployer's own object; 409 where that is another by now.
    pub async fn ask(&self, place: &str, name: &str, wish: &Value) -> Result<(), CallError> {
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let request = Request::new(place).patch(name, &parameters, &Patch::Merge(wish));
        within_time(self.client.request_text(request.map_err(kube::Error::BuildRequest)?)).await?;
        Ok(())
    }

    /// Deletes an object, if it is still this one in this version; 409 where it is another. What it made goes after it.
    pub async fn remove(&self, place: &str, name: &str, uid: &str, version: &str) -> Result<(), CallError> {
        let preconditions =
            Some(Preconditions { uid: Some(uid.to_owned()), resource_version: Some(version.to_owned()) });
        let parameters = DeleteParams { preconditions, ..DeleteParams::background() };
        let request = Request::new(place).delete(name, &parameters);
        within_time(self.client.request_text(request.map_err(kube::Error::BuildRequest)?)).await.map(drop)
    }

    /// Gives an object annotations, or takes them away, under Landfast's name; 409 where it is not of this version any more.
    pub async fn annotate(
        &self,
        place: &str,
        name: &str,
        version: Option<&str>,
        annotations: &[(&str, Option<&str>)],
    ) -> Result<String, CallError> {
        let annotations: Map<_, _> = annotations.iter().map(|(name, value)| ((*name).into(), json!(value))).collect();
        let mut body = json!({ "metadata": { "annotations": annotations } });
        if let Some(version) = version {
            body["metadata"]["resourceVersion"] = version.into();
        }
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let request = Request::new(place).patch(name, &parameters, &Patch::Merge(body));
        within_time(self.client.request_text(request.map_err(kube::Error::BuildRequest)?)).await
    }

    /// Sets who owns what of an object, if it is still of this version: nothing else of it changes.
    pub async fn own(&self, place: &str, name: &str, version: &str, owners: &Value) -> Result<String, CallError> {
        let operations = json!([
            { "op": "test", "path": "/metadata/resourceVersion", "value": version },
            { "op": "replace", "path": "/metadata/managedFields", "value": owners },
        ]);
        let operations = serde_json::from_value(operations).map_err(kube::Error::SerdeError)?;
        let request = Request::new(place).patch(name, &PatchParams::default(), &Patch::Json::<()>(operations));
        within_time(self.client.request_text(request.map_err(kube::Error::BuildRequest)?)).await
    }
}
