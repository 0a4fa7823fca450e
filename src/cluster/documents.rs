//! What does the API server answer to a plain GET? Documents within bounds of size and time; none is kept.

use axum::http::Request;
use axum::http::header::ACCEPT;
use http_body_util::{BodyExt as _, Limited};
use kube::Client;
use kube::client::Body;
use serde::Deserialize;
use tokio::time::timeout;

use crate::limits;

/// A version of an API group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupVersion {
    /// The group; empty for the core group.
    pub group: String,
    /// As in `v1`.
    pub version: String,
}

impl GroupVersion {
    /// From an `apiVersion`, as in `v1` or `apps/v1`.
    pub fn parse(api_version: &str) -> Self {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        Self { group: group.to_owned(), version: version.to_owned() }
    }

    /// The name of its document in the index.
    pub(super) fn path(&self) -> String {
        match self.group.as_str() {
            "" => format!("api/{}", self.version),
            group => format!("apis/{group}/{}", self.version),
        }
    }

    /// Where the API server lists its resources.
    pub(super) fn discovery(&self) -> String {
        format!("/{}", self.path())
    }
}

/// Why a document was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum DocumentError {
    /// The API server cannot be reached, or breaks off.
    #[error("cannot read {path} from the API server")]
    Unreachable {
        /// What was asked for.
        path: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It says something else than 200.
    #[error("the API server answers {status} for {path}")]
    Refused {
        /// What was asked for.
        path: String,
        /// The HTTP status.
        status: u16,
    },
    /// It said nothing within [`limits::API_TIME_MAX`].
    #[error("the API server did not send {path} in time")]
    Silent {
        /// What was asked for.
        path: String,
    },
    /// What it sent is no JSON, or not of the form that the OpenAPI endpoint has.
    #[error("cannot use what the API server sent for {path}")]
    Malformed {
        /// What was asked for.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// Reads documents.
pub(super) struct Documents {
    client: Client,
}

impl Documents {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// A document that may not be there.
    pub(super) async fn find(&self, path: &str) -> Result<Option<Vec<u8>>, DocumentError> {
        match self.get(path).await {
            Ok(document) => Ok(Some(document)),
            Err(DocumentError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A document.
    pub(super) async fn get(&self, path: &str) -> Result<Vec<u8>, DocumentError> {
        let call = async {
            let unreachable = |source| DocumentError::Unreachable { path: path.to_owned(), source };
            let request = Request::get(path).header(ACCEPT, "application/json").body(Body::empty());
            let request = request.map_err(|error| unreachable(error.into()))?;
            let response = self.client.send(request).await.map_err(|error| unreachable(error.into()))?;
            let status = response.status();
            if !status.is_success() {
                return Err(DocumentError::Refused { path: path.to_owned(), status: status.as_u16() });
            }
            let body = Limited::new(response.into_body(), limits::OPENAPI_BYTES_MAX).collect().await;
            Ok(body.map_err(unreachable)?.to_bytes().to_vec())
        };
        match timeout(limits::API_TIME_MAX, call).await {
            Ok(answer) => answer,
            Err(_) => Err(DocumentError::Silent { path: path.to_owned() }),
        }
    }
}

/// Reads a document as JSON.
pub(super) fn parse<'d, T: Deserialize<'d>>(path: &str, document: &'d [u8]) -> Result<T, DocumentError> {
    serde_json::from_slice(document).map_err(|source| DocumentError::Malformed { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use crate::cluster::documents::GroupVersion;

    #[test]
    fn the_core_group_has_a_path_of_its_own() {
        assert_eq!(GroupVersion::parse("v1").path(), "api/v1");
        assert_eq!(GroupVersion::parse("apps/v1").path(), "apis/apps/v1");
    }
}
