//! How do documents of the API server become schemas? One pass over what its index lists: what can be read is laid over, what
//! cannot stays as it was.
//!
//! It publishes nothing and waits for nothing but the API server.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tracing::{debug, warn};

use crate::cluster::documents::{DocumentError, Documents, GroupVersion, parse};
use crate::drift::schema::{SchemaError, Schemas};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// What was laid over the schemas.
#[derive(Debug, Clone, Default)]
pub(super) struct Read {
    /// The address, hash included, under which each document was read; of custom resources those of all their group's versions.
    pub(super) documents: BTreeMap<GroupVersion, String>,
    /// Definitions that are still to be read, by path.
    pub(super) definitions: BTreeSet<String>,
}

/// Schemas on the way to the next.
pub(super) struct Pass<'o> {
    pub(super) index: &'o Index,
    pub(super) documents: &'o Documents,
    pub(super) base: &'o Schemas,
    pub(super) schemas: Schemas,
    pub(super) read: Read,
    pub(super) changed: bool,
    pub(super) failed: Vec<DocumentError>,
}

/// The index of documents (`/openapi/v3`).
#[derive(Deserialize)]
pub(super) struct Index {
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

impl Pass<'_> {
    /// Lays documents with a new hash over the schemas, and the definitions of what can be scaled. One that cannot be read
    /// holds back no other.
    pub(super) async fn lay(&mut self, served: BTreeMap<&GroupVersion, &str>) {
        for (wanted, url) in served {
            let state =
                if self.base.knows_group(&wanted.group) { url.to_owned() } else { self.index.state(&wanted.group) };
            if self.read.documents.get(wanted).is_some_and(|known| *known == state) {
                continue;
            }
            debug!(path = url, "Reading schemas");
            match self.document(wanted, url).await {
                Ok(()) => {
                    self.read.documents.insert(wanted.clone(), state);
                    self.changed = true;
                }
                Err(error) => self.failed.push(error),
            }
        }
        for path in self.read.definitions.clone() {
            match self.definition(&path).await {
                Ok(()) => drop(self.read.definitions.remove(&path)),
                Err(error) => self.failed.push(error),
            }
        }
    }

    async fn document(&mut self, wanted: &GroupVersion, url: &str) -> Result<(), DocumentError> {
        let document = self.documents.get(url).await?;
        let untold = untold(url, &document, self.index.has_several(&wanted.group))?;
        self.schemas = lay_over(self.schemas.clone(), url, document, Schemas::with_openapi).await?;
        // Of our own table we know it.
        if !self.base.knows_group(&wanted.group) {
            self.read.definitions.extend(untold.iter().map(|resource| definition(resource, &wanted.group)));
        }
        Ok(())
    }

    async fn definition(&mut self, path: &str) -> Result<(), DocumentError> {
        // An aggregated API has no definition.
        let Some(definition) = self.documents.find(path).await? else { return Ok(()) };
        self.schemas = lay_over(self.schemas.clone(), path, definition, Schemas::with_crd).await?;
        self.changed = true;
        Ok(())
    }

    /// Drops what is gone. The index of an API server that starts may leave out what is there, so each is asked for; and since
    /// nothing can be taken out of schemas they are made anew, if all the rest can be read again.
    pub(super) async fn forget(&mut self) {
        let index = self.index;
        let mut kept = BTreeSet::new();
        for read in self.read.documents.keys() {
            if index.paths.contains_key(&read.path()) || !self.is_gone(read).await {
                kept.insert(read.clone());
            }
        }
        if kept.len() == self.read.documents.len() {
            return;
        }
        let (schemas, read) = (self.base.clone(), Read::default());
        let (index, documents, base) = (self.index, self.documents, self.base);
        let mut anew = Pass { index, documents, base, schemas, read, changed: true, failed: Vec::new() };
        anew.lay(index.served(kept.iter())).await;
        let whole = kept.iter().eq(anew.read.documents.keys());
        if whole && anew.read.definitions.is_subset(&self.read.definitions) {
            *self = anew;
        } else {
            self.failed.extend(anew.failed);
        }
    }

    /// Whether a group-version is neither served any more nor defined.
    async fn is_gone(&self, read: &GroupVersion) -> bool {
        // An aggregated API has no definition; while it is away the answer is not 404.
        if !matches!(self.documents.find(&read.discovery()).await, Ok(None)) {
            return false;
        }
        if self.base.knows_group(&read.group) {
            return true;
        }
        for info in self.schemas.kinds().filter(|info| info.group == read.group) {
            match self.documents.find(&definition(&info.resource, &info.group)).await {
                Ok(None) => {}
                Ok(Some(found)) if !serves(&found, &read.version) => {}
                Ok(Some(_)) | Err(_) => return false,
            }
        }
        true
    }

    /// Which of the wanted are known, or known not to be there.
    pub(super) async fn answered(
        &mut self,
        wanted: &BTreeSet<GroupVersion>,
        before: &BTreeSet<GroupVersion>,
    ) -> BTreeSet<GroupVersion> {
        let index = self.index;
        let mut answered = BTreeSet::new();
        for wanted in wanted {
            let mut is = before.contains(wanted) || self.read.documents.contains_key(wanted);
            if !is && !index.paths.contains_key(&wanted.path()) {
                match self.documents.find(&wanted.discovery()).await {
                    Ok(found) => is = found.is_none(),
                    Err(error) => self.failed.push(error),
                }
            }
            if is {
                answered.insert(wanted.clone());
            }
        }
        answered
    }
}

impl Index {
    /// The addresses of documents, of those that are listed.
    pub(super) fn served<'i>(
        &'i self,
        wanted: impl Iterator<Item = &'i GroupVersion>,
    ) -> BTreeMap<&'i GroupVersion, &'i str> {
        let listed =
            |wanted: &'i GroupVersion| Some((wanted, self.paths.get(&wanted.path())?.server_relative_url.as_str()));
        wanted.filter_map(listed).collect()
    }

    /// The addresses of all versions of a group.
    fn state(&self, group: &str) -> String {
        self.versions(group).collect::<Vec<_>>().join(" ")
    }

    fn has_several(&self, group: &str) -> bool {
        self.versions(group).nth(1).is_some()
    }

    fn versions(&self, group: &str) -> impl Iterator<Item = &str> {
        let group = format!("apis/{group}/");
        let of_group = self.paths.iter().filter(move |(path, _)| path.starts_with(&group));
        of_group.map(|(_, listed)| listed.server_relative_url.as_str())
    }
}

/// The path of a CRD.
fn definition(resource: &str, group: &str) -> String {
    format!("{DEFINITIONS}/{resource}.{group}")
}

/// Whether a CRD serves a version; one that cannot be read may.
fn serves(definition: &[u8], version: &str) -> bool {
    let Ok(definition) = serde_json::from_slice::<Value>(definition) else { return true };
    let Some(versions) = definition["spec"]["versions"].as_array() else { return true };
    versions.iter().any(|it| it["name"] == version && it["served"] == true)
}

/// The resources of a document of which their definition tells more: of those with a `/scale`, which field it writes; of those
/// that may have several versions, which one is stored.
fn untold(path: &str, document: &[u8], several: bool) -> Result<BTreeSet<String>, DocumentError> {
    let document: Paths = parse(path, document)?;
    let suffix = if several { "/{name}" } else { "/{name}/scale" };
    let resource = |path: &String| path.strip_suffix(suffix)?.rsplit('/').next().map(str::to_owned);
    Ok(document.paths.keys().filter_map(resource).collect())
}

/// Lays a document over the schemas; one that they cannot use leaves them as they were.
async fn lay_over(
    schemas: Schemas,
    url: &str,
    document: Vec<u8>,
    with: fn(&Schemas, &Value) -> Result<Schemas, SchemaError>,
) -> Result<Schemas, DocumentError> {
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
