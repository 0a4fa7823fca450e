//! What does a cluster hold that an answer needs? The operator's objects, the kinds that it defines, and whose an object is; read once.

use std::future::pending;
use std::path::Path;

use anyhow::{Context as _, bail};
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::cluster::ancestry::Ancestry;
use crate::cluster::client;
use crate::cluster::configuration::Watching;
use crate::cluster::kinship::Kinship;
use crate::config::held::Held;
use crate::drift::declared::ObjectKey;
use crate::gate::basis::Basis;
use crate::limits;

/// What it holds, and who can be asked for more.
pub(super) struct InCluster {
    /// GitSources and DriftPolicies.
    pub(super) objects: Vec<Held>,
    /// CustomResourceDefinitions.
    pub(super) definitions: Vec<Value>,
    client: Client,
    runtime: Runtime,
}

impl InCluster {
    /// Reads what a cluster holds.
    pub(super) fn read(kubeconfig: &Path) -> anyhow::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
        let (client, objects, definitions) = runtime.block_on(async {
            let client = client::connect(Some(kubeconfig)).await?;
            let objects = objects(&client).await?;
            let definitions = definitions(&client).await.context("cannot list CustomResourceDefinitions")?;
            anyhow::Ok((client, objects, definitions))
        })?;
        Ok(Self { objects, definitions, client, runtime })
    }

    /// The declared object that an object belongs to, where it does.
    pub(super) fn declared_owner(&self, basis: &Basis, object: &ObjectKey) -> anyhow::Result<Option<ObjectKey>> {
        let is_declared = |key: &ObjectKey| basis.index.objects.get(key).is_some_and(|entry| entry.head.is_some());
        let ancestry = Ancestry::new(self.client.clone(), Kinship::default());
        let owners = self.runtime.block_on(ancestry.of(object, &basis.schemas, is_declared));
        let owners = owners.context("cannot ask whose the object is")?;
        Ok(owners.into_iter().map(|owner| owner.key).find(is_declared))
    }
}

async fn objects(client: &Client) -> anyhow::Result<Vec<Held>> {
    let (watching, mut seen) = Watching::new(client.clone());
    let all = timeout(limits::API_TIME_MAX, seen.wait_for(|seen| seen.answered));
    let seen = tokio::select! {
        () = watching.run(pending()) => bail!("the watch of GitSources and DriftPolicies ended"),
        seen = all => seen.context("the API server did not show its GitSources and DriftPolicies in time")??.clone(),
    };
    if let Some(kind) = seen.hidden.first() {
        bail!("the API server does not let you list {kind}");
    }
    Ok(seen.held)
}

async fn definitions(client: &Client) -> anyhow::Result<Vec<Value>> {
    let (group, version, kind) = ("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let gvk = GroupVersionKind::gvk(group, version, kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, "customresourcedefinitions");
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let listed = timeout(limits::API_TIME_MAX, api.list(&ListParams::default())).await??;
    let whole = |object: &DynamicObject| {
        let mut value = serde_json::to_value(object)?;
        value["apiVersion"] = format!("{group}/{version}").into();
        value["kind"] = kind.into();
        anyhow::Ok(value)
    };
    listed.items.iter().map(whole).collect()
}
