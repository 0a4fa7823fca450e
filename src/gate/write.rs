//! What does this request want to change? An AdmissionReview, parsed once, with no impossible values.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Who writes, by what the API server authenticated. Never the user agent or the field manager: both can be forged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// User name.
    pub name: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Extra attributes.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The object a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// API group of the resource; empty for the core group.
    pub group: String,
    /// Version of the resource, in which the objects are sent.
    pub version: String,
    /// Resource, as in `deployments`.
    pub resource: String,
    /// Kind of the objects sent: the parent's own kind, save for subresources with one of their own, as `Scale`.
    pub kind: String,
    /// Namespace; empty where cluster-scoped.
    pub namespace: String,
    /// Name; empty where the server is still to make one (`generateName`).
    pub name: String,
    /// Subresource; empty for the main resource.
    pub subresource: String,
    /// The version that the client asked for (`requestResource.version`): by it a CRD's `/scale` maps its path.
    pub request_version: String,
}

/// One write, as admission sees it.
#[derive(Debug, Clone)]
pub struct Write<'r> {
    /// The review's uid: one a call, not one a request.
    pub uid: &'r str,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// Who writes.
    pub user: User,
    /// Which object.
    pub target: Target,
    /// What is to change. The objects are unread JSON: an undeclared object costs no parse.
    pub change: Change<'r>,
}

/// What is to change.
#[derive(Debug, Clone, Copy)]
pub enum Change<'r> {
    /// A new object, or one sent to a subresource by create.
    Create {
        /// The object to be.
        after: &'r RawValue,
    },
    /// A changed object: update, every kind of patch, apply.
    Update {
        /// The object as stored.
        before: &'r RawValue,
        /// The object to be.
        after: &'r RawValue,
    },
    /// A deletion, or one of those that a delete-collection is made of.
    Delete {
        /// The object as stored; always sent since Kubernetes 1.15, absent only in broken reviews.
        before: Option<&'r RawValue>,
    },
    /// exec, attach, port-forward, proxy.
    Connect,
}

/// A review that cannot be read. The caller answers by the failure rule.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// Not JSON, or not an AdmissionReview.
    #[error("not an AdmissionReview")]
    Malformed(#[source] serde_json::Error),
    /// Readable, but a member that the operation needs is missing or of another type.
    #[error("the review's `{member}` {what}")]
    Member {
        /// Dotted member, as in `request.object`.
        member: &'static str,
        /// What is wrong with it.
        what: String,
    },
}

impl<'r> Write<'r> {
    /// Reads an AdmissionReview of `admission.k8s.io/v1`.
    pub fn parse(review: &'r [u8]) -> Result<Self, ReviewError> {
        let _ = review;
        todo!()
    }
}
