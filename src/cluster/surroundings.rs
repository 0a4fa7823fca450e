//! What else has a hand in what the API server makes of an object? The schemas and the mutating configurations, as they stand.
//!
//! Read when a form is asked for, and not watched: that is seldom, and a list is never behind. No specification is read, only
//! who there is and in which generation.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::Request;
use futures::try_join;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{ApiResource, ListParams, ObjectList, PartialObjectMeta};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::cluster::call::{CallError, within_time};
use crate::cluster::documents::GroupVersion;
use crate::cluster::reading::Index;
use crate::cluster::webhook::CONFIGURATION;
use crate::limits;

/// Versions in which the API server may serve mutating policies.
const POLICY_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

/// The surroundings as they are, or were a moment ago.
pub(super) struct Outlook {
    client: Client,
    /// Held while they are read: who waits for it waits no longer than who reads.
    seen: Mutex<Seen>,
}

/// What came of looking.
#[derive(Default)]
struct Seen {
    tried: Option<Instant>,
    /// When, and what.
    last: Option<(Instant, Arc<Surroundings>)>,
    /// Whether who tried has not come back.
    open: bool,
    fails: bool,
}

impl Outlook {
    pub(super) fn new(client: Client) -> Self {
        Self { client, seen: Mutex::default() }
    }

    /// As they are; where that cannot be told in time, as they were last, up to [`limits::FORM_STATE_KEPT_MAX`] ago. A look that
    /// failed is not repeated at once either.
    pub(super) async fn surroundings(&self) -> Option<Arc<Surroundings>> {
        let mut seen = self.seen.lock().await;
        if seen.tried.is_none_or(|tried| tried.elapsed() > limits::FORM_STATE_AGE_MAX) {
            // Noted first: who asks may leave before there is an answer.
            seen.tried = Some(Instant::now());
            if std::mem::replace(&mut seen.open, true) {
                seen.take(Err(CallError::Silent));
            }
            let time = if seen.last.is_some() { limits::FORM_STATE_TIME_MAX } else { limits::FORM_TIME_MAX };
            let read = timeout(time, Surroundings::read(&self.client)).await;
            seen.open = false;
            seen.take(read.unwrap_or(Err(CallError::Silent)));
        }
        let last = seen.last.as_ref().filter(|(at, _)| at.elapsed() <= limits::FORM_STATE_KEPT_MAX)?;
        Some(Arc::clone(&last.1))
    }
}

impl Seen {
    /// Says what changed, once.
    fn take(&mut self, read: Result<Surroundings, CallError>) {
        let failed = std::mem::replace(&mut self.fails, read.is_err());
        match read {
            Ok(surroundings) => {
                self.last = Some((Instant::now(), Arc::new(surroundings)));
                if failed {
                    info!("It can be told again which forms hold");
                }
            }
            Err(error) if !failed => {
                warn!(error = &error as &dyn std::error::Error, hint = error.hint(), "Cannot tell which forms hold");
            }
            Err(_) => {}
        }
    }
}

/// What there was at one time.
pub(super) struct Surroundings {
    index: Index,
    mutators: BTreeSet<String>,
}

impl Surroundings {
    /// Reads them.
    async fn read(client: &Client) -> Result<Self, CallError> {
        let index = Request::get("/openapi/v3").body(Vec::new()).expect("a fixed path makes a request");
        let webhooks = Api::<MutatingWebhookConfiguration>::all(client.clone());
        let (index, webhooks, policies, bindings) = try_join!(
            within_time(client.request::<Index>(index)),
            // Ours has no hand in it: it is never asked about our own dry-runs.
            listed(webhooks, ListParams::default().fields(&format!("metadata.name!={CONFIGURATION}"))),
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
        match listed(Api::<DynamicObject>::all_with(client.clone(), &resource), ListParams::default()).await {
            Err(error) if error.status() == Some(404) => {}
            answer => return answer,
        }
    }
    Ok(Vec::new())
}

/// Who there is, each as `uid generation`.
async fn listed<K>(api: Api<K>, which: ListParams) -> Result<Vec<String>, CallError>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let all: ObjectList<PartialObjectMeta<K>> = within_time(api.list_metadata(&which)).await?;
    let line = |it: &PartialObjectMeta<K>| {
        format!("{} {}", it.metadata.uid.as_deref().unwrap_or_default(), it.metadata.generation.unwrap_or_default())
    };
    Ok(all.iter().map(line).collect())
}
