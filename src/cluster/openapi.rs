//! What does the API server say of the kinds that Git declares? Its OpenAPI v3, only for their group-versions, read again when it
//! changes.
//!
//! ```text
//!   wanted group-versions ─┐
//!   CRDs changed ──────────┼─► index of /openapi/v3 ─► documents with a new hash ─► Schemas, published
//!   every five minutes ────┘
//! ```
//!
//! Never blocks a verdict: while the API server is away, what is known (at first the embedded table) stays in force. Documents
//! are read, laid over the schemas and dropped.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::time::Duration;

use axum::http::Request;
use axum::http::header::ACCEPT;
use futures::{Stream, StreamExt as _};
use http_body_util::{BodyExt as _, Limited};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::client::Body;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};

use crate::cluster::call::Backoff;
use crate::drift::schema::{SchemaError, Schemas};
use crate::limits;

/// When the index is read after a CRD changed: the API server publishes a CRD's schema a moment after the CRD.
const AFTER_CRD: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(2), Duration::from_secs(10)];

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

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
    fn path(&self) -> String {
        match self.group.as_str() {
            "" => format!("api/{}", self.version),
            group => format!("apis/{group}/{}", self.version),
        }
    }
}

/// Why nothing was learnt.
#[derive(Debug, thiserror::Error)]
pub enum OpenApiError {
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

/// Learns schemas from the API server.
pub struct OpenApi {
    client: Client,
    wanted: watch::Receiver<BTreeSet<GroupVersion>>,
    learnt: watch::Sender<Schemas>,
    base: Schemas,
    /// The address, hash included, under which each document was read.
    read: BTreeMap<GroupVersion, String>,
    /// When to look, the soonest first.
    due: VecDeque<Instant>,
    backoff: Backoff,
}

/// The index of documents (`/openapi/v3`).
#[derive(Deserialize)]
struct Index {
    paths: BTreeMap<String, Listed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    #[serde(rename = "serverRelativeURL")]
    server_relative_url: String,
}

/// A document's paths; the rest of it is passed over.
#[derive(Deserialize)]
struct Paths {
    #[expect(clippy::zero_sized_map_values, reason = "an object of JSON, of which only the keys matter")]
    paths: BTreeMap<String, IgnoredAny>,
}

/// All that can wake it.
enum Event {
    Wanted,
    Definition,
    Due,
    Shutdown,
}

impl OpenApi {
    /// Learns what `wanted` names, over `base` (the embedded table); what is known is to be read from the receiver.
    pub fn new(
        client: Client,
        base: Schemas,
        wanted: watch::Receiver<BTreeSet<GroupVersion>>,
    ) -> (Self, watch::Receiver<Schemas>) {
        let (learnt, known) = watch::channel(base.clone());
        let backoff = Backoff::new();
        (Self { client, wanted, learnt, base, read: BTreeMap::new(), due: VecDeque::new(), backoff }, known)
    }

    /// Runs until `shutdown` resolves or nobody wants schemas any more.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let api: Api<PartialObjectMeta<CustomResourceDefinition>> = Api::all(self.client.clone());
        let definitions = watcher(api, watcher::Config::default()).default_backoff();
        tokio::pin!(definitions, shutdown);
        self.due = VecDeque::from([Instant::now()]);
        let groups = self.wanted.clone();
        loop {
            let event = tokio::select! {
                biased;
                () = &mut shutdown => Event::Shutdown,
                changed = self.wanted.changed() => if changed.is_ok() { Event::Wanted } else { Event::Shutdown },
                () = definition_changed(&mut definitions, &groups) => Event::Definition,
                () = due(self.due.front().copied()) => Event::Due,
            };
            match event {
                Event::Shutdown => return,
                // Later too: what is wanted may belong to a CRD that was there a moment before us.
                Event::Wanted => self.due = [Duration::ZERO].into_iter().chain(AFTER_CRD).map(from_now).collect(),
                Event::Definition => self.due = AFTER_CRD.into_iter().map(from_now).collect(),
                Event::Due => {
                    self.due.pop_front();
                    self.look().await;
                }
            }
        }
    }

    async fn look(&mut self) {
        let wanted = self.wanted.borrow_and_update().clone();
        match self.refresh(&wanted).await {
            Ok(()) => {
                self.backoff = Backoff::new();
                if self.due.is_empty() {
                    self.due.push_back(Instant::now() + limits::OPENAPI_INTERVAL);
                }
            }
            Err(error) => {
                let wait = self.backoff.next();
                warn!(
                    error = &error as &dyn std::error::Error,
                    seconds = wait.as_secs_f32(),
                    "Cannot read the API server's schemas; those at hand stay in force"
                );
                self.due.push_front(Instant::now() + wait);
            }
        }
    }

    /// Reads what changed; publishes where something did.
    async fn refresh(&mut self, wanted: &BTreeSet<GroupVersion>) -> Result<(), OpenApiError> {
        if wanted.is_empty() && self.read.is_empty() {
            return Ok(());
        }
        let index: Index = parse("/openapi/v3", &self.get("/openapi/v3").await?)?;
        if wanted.len() > limits::OPENAPI_DOCUMENTS_MAX {
            warn!(
                wanted = wanted.len(),
                most = limits::OPENAPI_DOCUMENTS_MAX,
                "Too many group-versions declared; the last go without the server's schemas"
            );
        }
        let served: BTreeMap<&GroupVersion, &str> = wanted
            .iter()
            .take(limits::OPENAPI_DOCUMENTS_MAX)
            .filter_map(|wanted| Some((wanted, index.paths.get(&wanted.path())?.server_relative_url.as_str())))
            .collect();
        // What was read and is no longer wanted or served cannot be taken out of the schemas: begin anew.
        let anew = self.read.keys().any(|read| !served.contains_key(read));
        let mut schemas = if anew { self.base.clone() } else { self.learnt.borrow().clone() };
        let mut read = if anew { BTreeMap::new() } else { self.read.clone() };
        let mut changed = anew;
        for (wanted, url) in served {
            if read.get(wanted).is_some_and(|known| known == url) {
                continue;
            }
            debug!(path = url, "Reading schemas");
            let document = self.get(url).await?;
            let scalable = scalable(url, &document)?;
            schemas = lay_over(schemas, url, document, Schemas::with_openapi).await?;
            schemas = self.with_definitions(schemas, &wanted.group, scalable).await?;
            read.insert(wanted.clone(), url.to_owned());
            changed = true;
        }
        if changed {
            info!(group_versions = read.len(), "The API server's schemas are in force");
            self.read = read;
            self.learnt.send_replace(schemas);
        }
        Ok(())
    }

    /// Lays the definitions of scalable custom resources over: OpenAPI does not tell which field `/scale` writes.
    async fn with_definitions(
        &self,
        mut schemas: Schemas,
        group: &str,
        resources: BTreeSet<String>,
    ) -> Result<Schemas, OpenApiError> {
        if self.base.knows_group(group) {
            return Ok(schemas);
        }
        for resource in resources {
            let path = format!("{DEFINITIONS}/{resource}.{group}");
            match self.get(&path).await {
                Ok(definition) => schemas = lay_over(schemas, &path, definition, Schemas::with_crd).await?,
                // An aggregated API has no definition.
                Err(OpenApiError::Refused { status: 404, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(schemas)
    }

    async fn get(&self, path: &str) -> Result<Vec<u8>, OpenApiError> {
        let call = async {
            let unreachable = |source| OpenApiError::Unreachable { path: path.to_owned(), source };
            let request = Request::get(path).header(ACCEPT, "application/json").body(Body::empty());
            let request = request.map_err(|error| unreachable(error.into()))?;
            let response = self.client.send(request).await.map_err(|error| unreachable(error.into()))?;
            let status = response.status();
            if !status.is_success() {
                return Err(OpenApiError::Refused { path: path.to_owned(), status: status.as_u16() });
            }
            let body = Limited::new(response.into_body(), limits::OPENAPI_BYTES_MAX).collect().await;
            Ok(body.map_err(unreachable)?.to_bytes().to_vec())
        };
        match timeout(limits::API_TIME_MAX, call).await {
            Ok(answer) => answer,
            Err(_) => Err(OpenApiError::Silent { path: path.to_owned() }),
        }
    }
}

/// The resources of a document that have a `/scale`.
fn scalable(path: &str, document: &[u8]) -> Result<BTreeSet<String>, OpenApiError> {
    let document: Paths = parse(path, document)?;
    let resource = |path: &String| path.strip_suffix("/{name}/scale")?.rsplit('/').next().map(str::to_owned);
    Ok(document.paths.keys().filter_map(resource).collect())
}

/// Lays a document over the schemas; one that they cannot use leaves them as they were.
async fn lay_over(
    schemas: Schemas,
    url: &str,
    document: Vec<u8>,
    with: fn(&Schemas, &Value) -> Result<Schemas, SchemaError>,
) -> Result<Schemas, OpenApiError> {
    let path = url.to_owned();
    let laid = tokio::task::spawn_blocking(move || {
        let document: Value = parse(&path, &document)?;
        Ok(with(&schemas, &document).unwrap_or_else(|error| {
            warn!(%path, error = &error as &dyn std::error::Error, "Cannot use a schema of the API server");
            schemas
        }))
    });
    laid.await.expect("reading a schema neither panics nor is cancelled")
}

fn parse<'d, T: Deserialize<'d>>(path: &str, document: &'d [u8]) -> Result<T, OpenApiError> {
    serde_json::from_slice(document).map_err(|source| OpenApiError::Malformed { path: path.to_owned(), source })
}

fn from_now(wait: Duration) -> Instant {
    Instant::now() + wait
}

/// Waits for a change of a CRD whose group is wanted. Its name is `<plural>.<group>`.
async fn definition_changed<S, K>(definitions: &mut S, wanted: &watch::Receiver<BTreeSet<GroupVersion>>)
where
    S: Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Unpin,
    K: kube::ResourceExt,
{
    loop {
        let definition = match definitions.next().await {
            Some(Ok(watcher::Event::Apply(crd) | watcher::Event::InitApply(crd) | watcher::Event::Delete(crd))) => crd,
            Some(Ok(watcher::Event::Init | watcher::Event::InitDone)) => continue,
            Some(Err(error)) => {
                // The watcher tries again by itself, with its own back-off.
                warn!(error = &error as &dyn std::error::Error, "Cannot watch CustomResourceDefinitions");
                continue;
            }
            None => std::future::pending().await,
        };
        let name = definition.name_any();
        let group = name.split_once('.').map_or("", |(_, group)| group);
        if wanted.borrow().iter().any(|wanted| wanted.group == group) {
            return;
        }
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use crate::cluster::openapi::GroupVersion;

    #[test]
    fn the_core_group_has_a_path_of_its_own() {
        assert_eq!(GroupVersion::parse("v1").path(), "api/v1");
        assert_eq!(GroupVersion::parse("apps/v1").path(), "apis/apps/v1");
    }
}
