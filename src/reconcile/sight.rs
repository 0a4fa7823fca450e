//! What does an object look like on the wire? Its JSON unread, with the few members of its metadata that tell it.
//!
//! No tree of it is built, and nothing of it is kept longer than it takes to compare it. It may be a Secret, so it is never printed.

use std::borrow::Cow;
use std::fmt;

use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope, ObjectMeta};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

use crate::gate::ask::Ask;

/// An object as the API server sent it.
#[derive(Clone)]
pub struct Sight {
    metadata: ObjectMeta,
    raw: Box<RawValue>,
}

/// How a manager owns some of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owned {
    /// By applying.
    pub applied: bool,
    /// By other writes.
    pub updated: bool,
}

#[derive(Deserialize)]
struct Head<'j> {
    #[serde(borrow, default, rename = "apiVersion")]
    api_version: Option<Cow<'j, str>>,
    metadata: Metadata,
    #[serde(borrow, default)]
    status: Option<&'j RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    deletion_timestamp: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
}

impl Sight {
    /// Reads an object as the API server sends it.
    pub fn parse(json: String) -> Result<Self, serde_json::Error> {
        Self::of(RawValue::from_string(json)?)
    }

    fn of(raw: Box<RawValue>) -> Result<Self, serde_json::Error> {
        let Head { metadata, .. } = serde_json::from_str(raw.get())?;
        let Metadata { name, namespace, uid, resource_version, deletion_timestamp } = metadata;
        let metadata =
            ObjectMeta { name, namespace, uid, resource_version, deletion_timestamp, ..ObjectMeta::default() };
        Ok(Self { metadata, raw })
    }

    /// The object as JSON, with the kind and version that a list leaves out of its items.
    #[must_use]
    pub fn typed(self, of: &ApiResource) -> Self {
        let is_typed = serde_json::from_str::<Head<'_>>(self.raw.get()).is_ok_and(|head| head.api_version.is_some());
        let Some(rest) = self.raw.get().trim_start().strip_prefix('{').filter(|_| !is_typed) else { return self };
        let text = format!(r#"{{"apiVersion":"{}","kind":"{}",{rest}"#, of.api_version, of.kind);
        RawValue::from_string(text).map(|raw| Self { raw, ..self.clone() }).unwrap_or(self)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its namespace; empty where it is in none.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Its uid.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Its resource version.
    pub fn version(&self) -> &str {
        self.metadata.resource_version.as_deref().unwrap_or_default()
    }

    /// Whether it is being deleted.
    pub fn is_leaving(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Whether its annotations ask for a break-glass.
    pub fn asks(&self) -> bool {
        Ask::of(&self.raw).is_some()
    }

    /// Whether this manager owns some of it: by applying, and by other writes.
    pub fn owned_by(&self, manager: &str) -> Owned {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Entries {
            #[serde(default)]
            managed_fields: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            #[serde(default)]
            manager: String,
            #[serde(default)]
            operation: String,
            #[serde(default)]
            subresource: String,
        }
        #[derive(Deserialize)]
        struct Object {
            metadata: Entries,
        }
        // Read for the few objects that hold the word at all.
        let object = self.raw.get().contains(manager).then(|| serde_json::from_str::<Object>(self.raw.get()).ok());
        let entries = object.flatten().map(|object| object.metadata.managed_fields).unwrap_or_default();
        let owns = |operation: &str| {
            let mut own = entries.iter().filter(|entry| entry.manager == manager && entry.subresource.is_empty());
            own.any(|entry| entry.operation == operation)
        };
        Owned { applied: owns("Apply"), updated: owns("Update") }
    }

    /// Whether it has begun to run: of a Job.
    pub fn has_begun(&self) -> bool {
        #[derive(Deserialize)]
        struct Status {
            #[serde(default, rename = "startTime")]
            start: Option<String>,
        }
        let head = serde_json::from_str::<Head<'_>>(self.raw.get()).ok();
        let status = head.and_then(|head| serde_json::from_str::<Status>(head.status?.get()).ok());
        status.is_some_and(|status| status.start.is_some())
    }

    /// The object, unread.
    pub fn raw(&self) -> &RawValue {
        &self.raw
    }
}

impl fmt::Debug for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sight({}/{} at {})", self.namespace(), self.name(), self.version())
    }
}

impl<'de> Deserialize<'de> for Sight {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        Self::of(Box::<RawValue>::deserialize(reader)?).map_err(de::Error::custom)
    }
}

impl Resource for Sight {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(of: &ApiResource) -> Cow<'_, str> {
        of.kind.as_str().into()
    }

    fn group(of: &ApiResource) -> Cow<'_, str> {
        of.group.as_str().into()
    }

    fn version(of: &ApiResource) -> Cow<'_, str> {
        of.version.as_str().into()
    }

    fn api_version(of: &ApiResource) -> Cow<'_, str> {
        of.api_version.as_str().into()
    }

    fn plural(of: &ApiResource) -> Cow<'_, str> {
        of.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use kube::core::{GroupVersionKind, ObjectList, WatchEvent};

    use super::*;

    const OBJECT: &str =
        r#"{"metadata":{"name":"web","namespace":"shop","uid":"u","resourceVersion":"7"},"status":{"startTime":"x"}}"#;

    #[test]
    fn an_object_is_read_from_lists_and_watches_and_stays_unread() {
        let list = format!(r#"{{"kind":"JobList","apiVersion":"batch/v1","metadata":{{}},"items":[{OBJECT}]}}"#);
        let list: ObjectList<Sight> = serde_json::from_str(&list).unwrap();
        let event: WatchEvent<Sight> =
            serde_json::from_str(&format!(r#"{{"type":"ADDED","object":{OBJECT}}}"#)).unwrap();
        let WatchEvent::Added(watched) = event else { panic!("{event:?}") };
        for sight in [&list.items[0], &watched] {
            assert_eq!((sight.namespace(), sight.name(), sight.uid(), sight.version()), ("shop", "web", "u", "7"));
            assert!(sight.has_begun() && !sight.asks() && !sight.is_leaving());
            assert_eq!(sight.raw().get(), OBJECT);
        }
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("batch", "v1", "Job"), "jobs");
        let typed = watched.typed(&resource);
        assert!(typed.raw().get().starts_with(r#"{"apiVersion":"batch/v1","kind":"Job","metadata""#));
        assert_eq!(typed.clone().typed(&resource).raw().get(), typed.raw().get());
    }
}
