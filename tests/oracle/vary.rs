//! How do a declaration and an object come to differ? A place of the schema is given another shape, on one side or the other.

use serde_json::{Map, Value, json};

use crate::chance::Chance;
use crate::offer::{Down, Offer, Sort};
use crate::values::{Made, Shape, example, make};

/// One step down an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hop {
    /// To a member.
    Member(String),
    /// To an item.
    Index(usize),
}

/// Members of a definition of which the server lets only one stand: one that comes takes the place of the others.
const UNIONS: [(&str, &[&str]); 13] = [
    ("DeviceRequest", &["exactly", "firstAvailable"]),
    ("EnvVar", &["value", "valueFrom"]),
    ("EnvVarSource", &["configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef"]),
    ("IngressBackend", &["resource", "service"]),
    ("LifecycleHandler", &["exec", "httpGet", "sleep", "tcpSocket"]),
    ("MetricSpec", &["containerResource", "external", "object", "pods", "resource"]),
    ("PersistentVolumeSpec", SOURCES),
    ("PodDisruptionBudgetSpec", &["maxUnavailable", "minAvailable"]),
    ("PodFailurePolicyRule", &["onExitCodes", "onPodConditions"]),
    ("Probe", &["exec", "grpc", "httpGet", "tcpSocket"]),
    ("Volume", SOURCES),
    (
        "VolumeProjection",
        &["clusterTrustBundle", "configMap", "downwardAPI", "podCertificate", "secret", "serviceAccountToken"],
    ),
    ("WebhookClientConfig", &["service", "url"]),
];

/// Where a volume may come from.
const SOURCES: &[&str] = &[
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "hostPath",
    "image",
    "iscsi",
    "local",
    "nfs",
    "persistentVolumeClaim",
    "photonPersistentDisk",
    "portworxVolume",
    "projected",
    "quobyte",
    "rbd",
    "scaleIO",
    "secret",
    "storageos",
    "vsphereVolume",
];

/// Gives a place another shape, making what is missing on the way. The way taken, or nothing where the shape does not fit.
pub fn change(
    offer: Offer<'_>,
    object: &mut Value,
    way: &[Down],
    shape: Shape,
    chance: &mut Chance,
) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    Walk { shape, chance, hops: &mut hops }.go(offer, "", object, way).then_some(hops)
}

struct Walk<'w> {
    shape: Shape,
    chance: &'w mut Chance,
    hops: &'w mut Vec<Hop>,
}

impl Walk<'_> {
    fn go(&mut self, offer: Offer<'_>, name: &str, node: &mut Value, way: &[Down]) -> bool {
        let Some((down, rest)) = way.split_first() else { return false };
        match (down, offer.sort()) {
            (Down::Member(member), Sort::Object(_)) => self.member(offer, node, member, rest),
            (Down::Inside, Sort::Map(_)) => {
                let known = node.as_object().and_then(|members| members.keys().next()).cloned();
                self.member(offer, node, &known.unwrap_or_else(|| "a".to_owned()), rest)
            }
            (Down::Inside, Sort::List(inside)) => self.item(inside, name, node, rest),
            _ => false,
        }
    }

    fn member(&mut self, offer: Offer<'_>, node: &mut Value, name: &str, rest: &[Down]) -> bool {
        if !node.is_object() {
            *node = json!({});
        }
        let (Some(members), Some(inner)) = (node.as_object_mut(), offer.member(name)) else { return false };
        self.hops.push(Hop::Member(name.to_owned()));
        if rest.is_empty() {
            let made = make(self.shape, inner, name, members.get(name), self.chance);
            return match made {
                Made::Unfit => false,
                Made::Nothing => {
                    members.remove(name);
                    true
                }
                Made::Value(value) => {
                    make_room(offer, members, name);
                    members.insert(name.to_owned(), value);
                    true
                }
            };
        }
        if !members.get(name).is_some_and(|value| value.is_object() || value.is_array()) {
            make_room(offer, members, name);
            let empty = if matches!(inner.sort(), Sort::List(_)) { json!([]) } else { example(inner, name, 0, 0) };
            members.insert(name.to_owned(), empty);
        }
        members.get_mut(name).is_some_and(|node| self.go(inner, name, node, rest))
    }

    fn item(&mut self, inside: Offer<'_>, name: &str, node: &mut Value, rest: &[Down]) -> bool {
        let Some(items) = node.as_array_mut() else { return false };
        if items.is_empty() {
            items.push(example(inside, name, 0, 0));
        }
        // Where one item has what the way leads to, it is that one: others may not be allowed to have it.
        let fits = |item: &Value| match rest.first() {
            Some(Down::Member(member)) => item.get(member).is_some(),
            Some(Down::Inside) | None => false,
        };
        let index = items.iter().position(fits).unwrap_or_else(|| self.chance.below(items.len()));
        self.hops.push(Hop::Index(index));
        if !rest.is_empty() {
            return self.go(inside, name, &mut items[index], rest);
        }
        match make(self.shape, inside, name, Some(&items[index]), self.chance) {
            Made::Unfit => return false,
            Made::Nothing => {
                items.remove(index);
                self.hops.pop();
            }
            Made::Value(value) => items[index] = value,
        }
        true
    }
}

fn make_room(offer: Offer<'_>, members: &mut Map<String, Value>, name: &str) {
    let union = UNIONS.iter().find(|(own, union)| *own == offer.name() && union.contains(&name));
    for other in union.into_iter().flat_map(|(_, union)| *union).filter(|other| **other != name) {
        members.remove(*other);
    }
}

/// What is left of an object where only these ways are declared: keys of items stay, and what merges as one value or is not in
/// `base` stays whole.
pub fn prune(offer: Option<Offer<'_>>, value: &Value, base: Option<&Value>, ways: &[&[Hop]]) -> Value {
    if base.is_none() || ways.iter().any(|way| way.is_empty()) {
        return value.clone();
    }
    let beneath =
        |hop: &Hop| -> Vec<&[Hop]> { ways.iter().filter(|way| way[0] == *hop).map(|way| &way[1..]).collect() };
    match value {
        Value::Object(members) if offer.is_none_or(|offer| !offer.is_atomic() || matches!(offer.sort(), Sort::Any)) => {
            let kept = members.iter().filter_map(|(name, value)| {
                let ways = beneath(&Hop::Member(name.clone()));
                let (inner, base) = (offer.and_then(|offer| offer.member(name)), base.and_then(|base| base.get(name)));
                (!ways.is_empty()).then(|| (name.clone(), prune(inner, value, base, &ways)))
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) if offer.is_some_and(|offer| !offer.keys().is_empty()) => {
            let keys = offer.map(Offer::keys).unwrap_or_default();
            let inside = offer.and_then(Offer::inside);
            let kept = items.iter().enumerate().filter_map(|(index, item)| {
                let ways = beneath(&Hop::Index(index));
                let base = base.and_then(|base| base.get(index));
                (!ways.is_empty()).then(|| with_keys(item, prune(inside, item, base, &ways), &keys))
            });
            Value::Array(kept.collect())
        }
        whole => whole.clone(),
    }
}

fn with_keys(item: &Value, mut kept: Value, keys: &[&str]) -> Value {
    if let (Some(item), Some(kept)) = (item.as_object(), kept.as_object_mut()) {
        for key in keys {
            if let Some(value) = item.get(*key) {
                kept.entry((*key).to_owned()).or_insert_with(|| value.clone());
            }
        }
    }
    kept
}
