//! What else has a hand in what the API server makes of an object? The schemas and the mutating configurations, as they stand.
//!
//! Read when a form is asked for, and not watched: that is seldom, and a list is never behind. No specification is read, only
//! who there is and in which generation.

use std::collections::BTreeSet;

use axum::http::Request;
use futures::try_join;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{ApiResource, ListParams, ObjectList, PartialObjectMeta};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::cluster::call::{CallError, within_time};
use crate::cluster::documents::GroupVersion;
use crate::cluster::reading::Index;

/// Versions in which the API server may serve mutating policies.
const POLICY_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

/// What there was at one time.
pub(super) struct Surroundings {
    index: Index,
    mutators: BTreeSet<String>,
}

impl Surroundings {
    /// Reads them.
    pub(super) async fn read(client: &Client) -> Result<Self, CallError> {
        let index = Request::get("/openapi/v3").body(Vec::new()).expect("a fixed path makes a request");
        let webhooks = Api::<MutatingWebhookConfiguration>::all(client.clone());
        let (index, webhooks, policies, bindings) = try_join!(
            within_time(client.request::<Index>(index)),
            listed(webhooks),
            policies(client, "MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
            policies(client, "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
        )?;
        Ok(Self { index, mutators: webhooks.into_iter().chain(policies).chain(bindings).collect() })
    }

    /// What tells these surroundings from others, for objects of a group-version: text that is the same as long as they are.
    pub(super) fn epoch(&self, of: &GroupVersion) -> String {
        let mut hasher = Sha256::new();
        for url in self.index.served(std::iter::once(of)).values() {
            hasher.update(url);
        }
        for mutator in &self.mutators {
            hasher.update([0]);
            hasher.update(mutator);
        }
        format!("{:x}", hasher.finalize())
    }
}

/// Mutating policies, or their bindings, in the newest version that is served; none where none is.
async fn policies(client: &Client, kind: &str, plural: &str) -> Result<Vec<String>, CallError> {
    for version in POLICY_VERSIONS {
        let resource = ApiResource {
            group: "admissionregistration.k8s.io".to_owned(),
            version: version.to_owned(),
            api_version: format!("admissionregistration.k8s.io/{version}"),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        };
        match listed(Api::<DynamicObject>::all_with(client.clone(), &resource)).await {
            Err(error) if error.status() == Some(404) => {}
            answer => return answer,
        }
    }
    Ok(Vec::new())
}

/// Who there is, each as `uid generation`.
async fn listed<K>(api: Api<K>) -> Result<Vec<String>, CallError>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let all: ObjectList<PartialObjectMeta<K>> = within_time(api.list_metadata(&ListParams::default())).await?;
    let line = |it: &PartialObjectMeta<K>| {
        format!("{} {}", it.metadata.uid.as_deref().unwrap_or_default(), it.metadata.generation.unwrap_or_default())
    };
    Ok(all.iter().map(line).collect())
}
