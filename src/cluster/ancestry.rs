//! Which controllers own this object? Answered from what was seen of them, else by asking one after the other, remembered for a
//! moment.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use tokio::time::Instant;

use crate::cluster::call::{CallError, within_time};
use crate::cluster::kinship::{Kinship, controller};
use crate::drift::declared::ObjectKey;
use crate::drift::schema::Schemas;
use crate::gate::facts::Owner;
use crate::limits;

/// Answers about owners.
pub struct Ancestry {
    client: Client,
    kinship: Kinship,
    known: Mutex<HashMap<ObjectKey, (Instant, Option<Owner>)>>,
}

impl Ancestry {
    /// Asks through this client, and only of what was not seen.
    pub fn new(client: Client, kinship: Kinship) -> Self {
        Self { client, kinship, known: Mutex::default() }
    }

    /// The same as [`of`](Self::of) without asking; `None` where one of them was not seen.
    pub fn at_hand(
        &self,
        object: &ObjectKey,
        schemas: &Schemas,
        is_enough: impl Fn(&ObjectKey) -> bool,
    ) -> Option<Vec<Owner>> {
        let mut found: Vec<Owner> = Vec::new();
        while found.len() < limits::OWNERS_DEEP_MAX {
            let next = found.last().map_or(object, |owner| &owner.key);
            if is_enough(next) {
                break;
            }
            let Some(owner) = self.seen(next, schemas).or_else(|| self.remembered(next))? else { break };
            found.push(owner);
        }
        Some(found)
    }

    /// The controllers that own an object, the nearest first, up to the first one that is enough, that nothing owns, or whose
    /// kind is not known. An answer holds for [`limits::OWNER_FACT_AGE_MAX`].
    pub async fn of(
        &self,
        object: &ObjectKey,
        schemas: &Schemas,
        is_enough: impl Fn(&ObjectKey) -> bool,
    ) -> Result<Vec<Owner>, CallError> {
        let mut found: Vec<Owner> = Vec::new();
        while found.len() < limits::OWNERS_DEEP_MAX {
            let next = found.last().map_or(object, |owner| &owner.key);
            if is_enough(next) {
                break;
            }
            let Some(owner) = self.owner(next, schemas).await? else { break };
            found.push(owner);
        }
        Ok(found)
    }

    async fn owner(&self, object: &ObjectKey, schemas: &Schemas) -> Result<Option<Owner>, CallError> {
        if let Some(known) = self.seen(object, schemas).or_else(|| self.remembered(object)) {
            return Ok(known);
        }
        let Some(info) = schemas.kind(object.group(), object.kind()) else { return Ok(None) };
        let Some(version) = info.versions.first() else { return Ok(None) };
        let gvk = GroupVersionKind::gvk(&info.group, &version.version, &info.kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, &info.resource);
        let api: Api<DynamicObject> = match object.namespace() {
            "" => Api::all_with(self.client.clone(), &resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &resource),
        };
        let found = within_time(api.get_metadata_opt(object.name())).await?;
        let owners = found.and_then(|found| found.metadata.owner_references).unwrap_or_default();
        let owner = controller(&owners).map(|owner| self::owner(owner, object.namespace(), schemas));
        self.remember(object, owner.clone());
        Ok(owner)
    }

    #[expect(clippy::option_option, reason = "no answer, and the answer that nobody owns it, are two things")]
    fn seen(&self, object: &ObjectKey, schemas: &Schemas) -> Option<Option<Owner>> {
        let owner = self.kinship.owner(object)?;
        Some(owner.map(|owner| self::owner(owner, object.namespace(), schemas)))
    }

    #[expect(clippy::option_option, reason = "no answer, and the answer that nobody owns it, are two things")]
    fn remembered(&self, object: &ObjectKey) -> Option<Option<Owner>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, owner) = known.get(object)?;
        (at.elapsed() <= limits::OWNER_FACT_AGE_MAX).then(|| owner.clone())
    }

    fn remember(&self, object: &ObjectKey, owner: Option<Owner>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= limits::OWNER_FACTS_MAX {
            known.clear();
        }
        known.insert(object.clone(), (Instant::now(), owner));
    }
}

/// An owner is in the namespace of what it owns, or in none.
fn owner(
    OwnerReference { api_version, kind, name, uid, .. }: OwnerReference,
    namespace: &str,
    schemas: &Schemas,
) -> Owner {
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let namespaced = schemas.kind(group, &kind).is_none_or(|info| info.namespaced);
    Owner { key: ObjectKey::new(group, &kind, if namespaced { namespace } else { "" }, &name), uid }
}
