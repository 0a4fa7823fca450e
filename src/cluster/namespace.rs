//! Is a namespace going away? Answered from its metadata, remembered for a moment.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use tokio::time::Instant;

use crate::cluster::call::{CallError, within_time};
use crate::limits;

/// Answers about namespaces.
pub struct Namespaces {
    client: Client,
    known: Mutex<HashMap<String, (Instant, bool)>>,
}

impl Namespaces {
    /// Asks through this client.
    pub fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// Whether a namespace is being deleted; one that is not there is not. An answer holds for
    /// [`limits::NAMESPACE_FACT_AGE_MAX`].
    pub async fn is_terminating(&self, name: &str) -> Result<bool, CallError> {
        if let Some(known) = self.remembered(name) {
            return Ok(known);
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let found = within_time(namespaces.get_metadata_opt(name)).await?;
        let terminating = found.is_some_and(|found| found.metadata.deletion_timestamp.is_some());
        self.remember(name, terminating);
        Ok(terminating)
    }

    fn remembered(&self, name: &str) -> Option<bool> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, terminating) = known.get(name)?;
        (at.elapsed() <= limits::NAMESPACE_FACT_AGE_MAX).then_some(*terminating)
    }

    fn remember(&self, name: &str, terminating: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= limits::NAMESPACE_FACTS_MAX {
            known.clear();
        }
        known.insert(name.to_owned(), (Instant::now(), terminating));
    }
}
