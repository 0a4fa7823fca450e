//! How is the API server reached, and who are we to it? Reads no object and writes none.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::header::{HeaderValue, USER_AGENT};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{GetParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::core::Request;
use kube::{Api, Client, Config};
use serde_json::Value;

use crate::cluster::call::{CallError, within_time};

/// Longest TCP and TLS connect to the API server.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// `--kubeconfig` or `KUBECONFIG` names a file that cannot be used.
    #[error("cannot use kubeconfig {}", .path.display())]
    Kubeconfig {
        /// The file, or the list that `KUBECONFIG` holds.
        path: PathBuf,
        /// Why.
        source: Box<KubeconfigError>,
    },
    /// Neither was given, and this is no Pod with a service account.
    #[error("no --kubeconfig, no KUBECONFIG, and not in a cluster")]
    Nowhere(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The configuration makes no client, as with a certificate that cannot be read.
    #[error("cannot make a client for the API server")]
    Client(#[source] Box<kube::Error>),
}

/// Who we are to the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User name, as admission reviews will name us.
    pub user: String,
    /// Groups.
    pub groups: Vec<String>,
}

impl Identity {
    /// Whether this account is shared with people: what it writes is never asked about, so nobody else may use it.
    pub fn is_administrator(&self) -> bool {
        self.groups.iter().any(|group| group == "system:masters" || group == "kubeadm:cluster-admins")
    }
}

/// Makes a client: from `kubeconfig`, else from the `KUBECONFIG` variable, else from the Pod's service account.
///
/// Connects to nothing yet. A person's `~/.kube/config` is not looked at: a server must not pick up somebody's rights.
pub async fn connect(kubeconfig: Option<&Path>) -> Result<Client, ClientError> {
    let mut config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path);
            from_file(path.to_owned(), file).await?
        }
        None => match std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()) {
            Some(list) => {
                let file = Kubeconfig::from_env().map(Option::unwrap_or_default);
                from_file(list.into(), file).await?
            }
            None => Config::incluster().map_err(|error| ClientError::Nowhere(error.into()))?,
        },
    };
    config.connect_timeout = Some(CONNECT_TIME_MAX);
    config.headers.push((USER_AGENT, HeaderValue::from_static(concat!("landfast/", env!("CARGO_PKG_VERSION")))));
    Client::try_from(config).map_err(|error| ClientError::Client(Box::new(error)))
}

/// Makes a client for a person at the command line: from `kubeconfig`, else as kubectl finds one.
pub async fn connect_as_person(kubeconfig: Option<&Path>) -> Result<Client, ClientError> {
    let home = std::env::var_os("KUBECONFIG").is_none_or(|value| value.is_empty()) && kubeconfig.is_none();
    let own = std::env::home_dir().map(|home| home.join(".kube/config")).filter(|file| home && file.exists());
    connect(kubeconfig.or(own.as_deref())).await
}

/// Lists the objects at this path.
pub async fn list(client: &Client, path: &str) -> Result<serde_json::Value, CallError> {
    let request = Request::new(path).list(&ListParams::default()).map_err(kube::Error::BuildRequest)?;
    within_time(client.request(request)).await
}

/// Reads one object at this path, as JSON; `None` where there is none. A resource that is not served is an error.
pub async fn get(client: &Client, place: &str, name: &str) -> Result<Option<String>, CallError> {
    let request = Request::new(place).get(name, &GetParams::default()).map_err(kube::Error::BuildRequest)?;
    match within_time(client.request_text(request)).await {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.is_missing(name) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the objects of this name at this path: of all namespaces, where the path names none.
pub async fn named(client: &Client, place: &str, name: &str) -> Result<Vec<Value>, CallError> {
    let named = ListParams::default().fields(&format!("metadata.name={name}"));
    let request = Request::new(place).list(&named).map_err(kube::Error::BuildRequest)?;
    let list: Value = within_time(client.request(request)).await?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

async fn from_file(path: PathBuf, file: Result<Kubeconfig, KubeconfigError>) -> Result<Config, ClientError> {
    let config = match file {
        Ok(file) => Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await,
        Err(error) => Err(error),
    };
    config.map_err(|source| ClientError::Kubeconfig { path, source: Box::new(source) })
}

/// Asks the API server who we are (`SelfSubjectReview`, authentication.k8s.io/v1).
pub async fn who_am_i(client: &Client) -> Result<Identity, CallError> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = within_time(reviews.create(&PostParams::default(), &SelfSubjectReview::default())).await?;
    let user = review.status.and_then(|status| status.user_info).unwrap_or_default();
    Ok(Identity { user: user.username.unwrap_or_default(), groups: user.groups.unwrap_or_default() })
}
