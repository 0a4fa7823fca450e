//! May this user break the glass? Asked of the API server (`SubjectAccessReview`, authorization.k8s.io/v1), remembered for a moment.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::Instant;

use crate::cluster::call::{CallError, within_time};
use crate::gate::policy::GROUP;
use crate::gate::write::User;
use crate::limits;

/// Answers about rights.
pub struct Rights {
    client: Client,
    known: Mutex<BTreeMap<(User, String), (Instant, bool)>>,
}

impl Rights {
    /// Asks through this client.
    pub fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// Whether a user, with the groups and extra that it writes with, may use the verb `break-glass` on this DriftPolicy. An
    /// answer holds for [`limits::ACCESS_AGE_MAX`].
    pub async fn may_break(&self, user: &User, policy: &str) -> Result<bool, CallError> {
        let asked = (user.clone(), policy.to_owned());
        if let Some(known) = self.remembered(&asked) {
            return Ok(known);
        }
        let attributes = ResourceAttributes {
            group: Some(GROUP.to_owned()),
            resource: Some("driftpolicies".to_owned()),
            verb: Some("break-glass".to_owned()),
            name: Some(policy.to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: Some(user.name.clone()),
            groups: Some(user.groups.clone()),
            extra: Some(user.extra.clone()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let answer = within_time(reviews.create(&PostParams::default(), &review)).await?;
        let allowed = answer.status.is_some_and(|status| status.allowed && status.denied != Some(true));
        self.remember(asked, allowed);
        Ok(allowed)
    }

    fn remembered(&self, asked: &(User, String)) -> Option<bool> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, allowed) = known.get(asked)?;
        (at.elapsed() <= limits::ACCESS_AGE_MAX).then_some(*allowed)
    }

    fn remember(&self, asked: (User, String), allowed: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= limits::ACCESS_KEPT {
            known.clear();
        }
        known.insert(asked, (Instant::now(), allowed));
    }
}
