//! Is a namespace going away, and what do its annotations ask for? Answered from its metadata, remembered for a moment.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::ObjectMeta;
use kube::{Api, Client};
use serde_json::json;
use tokio::time::Instant;

use crate::cluster::call::{CallError, within_time};
use crate::gate::ask::{self, Ask};
use crate::gate::facts;
use crate::limits;

/// Answers about namespaces.
pub struct Namespaces {
    client: Client,
    known: Mutex<HashMap<String, (Instant, facts::Namespace)>>,
}

impl Namespaces {
    /// Asks through this client.
    pub fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// What a namespace is; of one that is not there, nothing is known. An answer holds for [`limits::NAMESPACE_FACT_AGE_MAX`].
    pub async fn ask(&self, name: &str) -> Result<facts::Namespace, CallError> {
        if let Some(known) = self.remembered(name) {
            return Ok(known);
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let found = within_time(namespaces.get_metadata_opt(name)).await?;
        let known = found.map(|found| fact(&found.metadata)).unwrap_or_default();
        self.remember(name, known.clone());
        Ok(known)
    }

    fn remembered(&self, name: &str) -> Option<facts::Namespace> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, fact) = known.get(name)?;
        (at.elapsed() <= limits::NAMESPACE_FACT_AGE_MAX).then(|| fact.clone())
    }

    fn remember(&self, name: &str, fact: facts::Namespace) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= limits::NAMESPACE_FACTS_MAX {
            known.clear();
        }
        known.insert(name.to_owned(), (Instant::now(), fact));
    }
}

fn fact(metadata: &ObjectMeta) -> facts::Namespace {
    let ask = metadata.annotations.as_ref().and_then(|annotations| Ask::among(|name| annotations.get(name).cloned()));
    let set = ask.is_some().then(|| ask::set_at(&json!({ "metadata": metadata }))).flatten();
    facts::Namespace { terminating: metadata.deletion_timestamp.is_some(), uid: metadata.uid.clone(), ask, set }
}
