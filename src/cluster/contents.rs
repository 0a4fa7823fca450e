//! Is anything left in a Namespace, or of a kind? Asked before either is deleted: what it holds would go with it.

use kube::Client;
use kube::api::ListParams;
use kube::core::Request;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cluster::call::{CallError, within_time};
use crate::cluster::writer::repairs::place;
use crate::limits::LEFT_LISTED_MAX;

/// What the control plane puts into every Namespace, and what is nobody's state.
const MADE_BY_ITSELF: &[(&str, &str, &str)] =
    &[("", "serviceaccounts", "default"), ("", "configmaps", "kube-root-ca.crt")];
const NOBODYS: &[(&str, &str)] = &[("", "events"), ("events.k8s.io", "events")];

#[derive(Deserialize)]
struct List {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
}

/// The first thing found in a Namespace, in words; of every kind that can be listed there. One that we may not list is an error: then it is
/// not known to be empty.
pub(crate) async fn of_namespace(client: &Client, name: &str) -> Result<Option<String>, CallError> {
    let mut versions: Vec<(String, String)> = vec![(String::new(), "v1".to_owned())];
    for group in within_time(client.list_api_groups()).await?.groups {
        let preferred = group.preferred_version.or(group.versions.first().cloned());
        versions.extend(preferred.map(|preferred| (group.name, preferred.version)));
    }
    for (group, version) in versions {
        let listed = match group.as_str() {
            "" => within_time(client.list_core_api_resources(&version)).await?,
            _ => within_time(client.list_api_group_resources(&format!("{group}/{version}"))).await?,
        };
        let is_kept = |resource: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource| {
            resource.namespaced
                && !resource.name.contains('/')
                && resource.verbs.iter().any(|verb| verb == "list")
                && !NOBODYS.contains(&(&*group, &*resource.name))
        };
        for resource in listed.resources.iter().filter(is_kept) {
            let is_made = |item: &Item| MADE_BY_ITSELF.contains(&(&*group, &*resource.name, &*item.metadata.name));
            let items = list(client, &place(&group, &version, &resource.name, name)).await?;
            if let Some(item) = items.iter().find(|item| !is_made(item)) {
                return Ok(Some(format!("{} {name}/{}", resource.kind, item.metadata.name)));
            }
        }
    }
    Ok(None)
}

/// The first object found of the kind that a CustomResourceDefinition (JSON) defines, in words.
pub(crate) async fn of_definition(client: &Client, definition: &RawValue) -> Result<Option<String>, CallError> {
    #[derive(Deserialize)]
    struct Definition {
        spec: Spec,
    }
    #[derive(Deserialize)]
    struct Spec {
        group: String,
        names: Names,
        versions: Vec<Version>,
    }
    #[derive(Deserialize)]
    struct Names {
        plural: String,
        kind: String,
    }
    #[derive(Deserialize)]
    struct Version {
        name: String,
        served: bool,
    }
    let Definition { spec } = serde_json::from_str(definition.get()).map_err(kube::Error::SerdeError)?;
    let Some(version) = spec.versions.iter().find(|version| version.served) else {
        return Ok(Some(format!("{} of no served version, which nobody can list", spec.names.kind)));
    };
    let items = list(client, &place(&spec.group, &version.name, &spec.names.plural, "")).await?;
    Ok(items.first().map(|item| format!("{} {}/{}", spec.names.kind, item.metadata.namespace, item.metadata.name)))
}

/// The first few objects of a resource.
async fn list(client: &Client, place: &str) -> Result<Vec<Item>, CallError> {
    let request = Request::new(place).list(&ListParams::default().limit(LEFT_LISTED_MAX));
    let list: List = within_time(client.request(request.map_err(kube::Error::BuildRequest)?)).await?;
    Ok(list.items)
}
