//! What is a Service allocated where it is left open? Addresses and ports, which an update keeps.

use rustc_hash::FxHashSet;

use crate::drift::document::{At, Document};
use crate::drift::path::{FieldPath, Segment};

/// Members of a Service that say what is allocated to it.
const ALLOCATING: [&str; 8] = [
    "allocateLoadBalancerNodePorts",
    "clusterIP",
    "clusterIPs",
    "externalTrafficPolicy",
    "healthCheckNodePort",
    "ipFamilies",
    "ipFamilyPolicy",
    "type",
];

/// Whether an object is a Service.
pub(crate) fn is_service(object: &Document<'_>) -> bool {
    let is = |name, text| object.root().get(name).and_then(At::as_str) == Some(text);
    is("kind", "Service") && is("apiVersion", "v1")
}

/// Whether a field of a Service is allocated where it is left open. Dry-runs do not tell: they give the same dummy each time
/// (Kubernetes 1.36, `pkg/registry/core/service`: `ipallocator`, `portallocator`), and an update keeps what was allocated.
pub(crate) fn is_allocated(path: &FieldPath) -> bool {
    let is = |segment: &Segment, names: &[&str]| matches!(segment, Segment::Field(name) if names.contains(&&**name));
    match path.0.as_slice() {
        [spec, field] => is(spec, &["spec"]) && is(field, &["clusterIP", "clusterIPs", "healthCheckNodePort"]),
        [spec, ports, _, field] => is(spec, &["spec"]) && is(ports, &["ports"]) && is(field, &["nodePort"]),
        _ => false,
    }
}

/// What a Service may be allocated anew.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moved {
    all: bool,
    ports: bool,
}

impl Moved {
    /// Of this object, once there is another value at each of these paths. A port is kept by the name of its entry, unless
    /// another entry has it, too (Kubernetes 1.36, `patchAllocatedValues`).
    pub(crate) fn by<'p>(object: &Document<'_>, changed: impl Iterator<Item = &'p FieldPath>) -> Self {
        let is =
            |segment: &Segment, names: &[&str]| matches!(segment, Segment::Field(name) if names.contains(&&**name));
        let mut moved = Self { all: false, ports: shares_a_port(object) };
        for path in changed {
            match path.0.as_slice() {
                [spec, list, rest @ ..] if is(spec, &["spec"]) && is(list, &["ports"]) => {
                    moved.ports |= rest.get(1).is_none_or(|field| is(field, &["name", "nodePort"]));
                }
                [spec, field] => moved.all |= is(spec, &["spec"]) && is(field, &ALLOCATING),
                _ => {}
            }
        }
        moved
    }

    /// Whether what is allocated here is of that.
    pub(crate) fn reaches(self, allocated: &FieldPath) -> bool {
        self.all || self.ports && allocated.0.len() > 2
    }
}

/// Whether two entries have the same port of the nodes.
fn shares_a_port(object: &Document<'_>) -> bool {
    let ports = object.root().get("spec").and_then(|spec| spec.get("ports"));
    let mut met = FxHashSet::default();
    let mut numbers = ports.into_iter().flat_map(At::children).filter_map(|port| port.get("nodePort"));
    numbers.any(|number| !met.insert(number.to_json()))
}

/// Takes out of a Service's manifest what it would otherwise be allocated, so that nobody else can hold it; whether there is any.
pub fn leave_open(manifest: &mut serde_json::Value) -> bool {
    if manifest["kind"] != "Service" || manifest["apiVersion"] != "v1" {
        return false;
    }
    let Some(spec) = manifest["spec"].as_object_mut() else { return false };
    let headless = spec.get("clusterIP").is_some_and(|address| address == "None");
    let mut found = spec.remove("healthCheckNodePort").is_some();
    for name in ["clusterIP", "clusterIPs"].iter().filter(|_| !headless) {
        found |= spec.remove(*name).is_some();
    }
    for port in spec.get_mut("ports").and_then(serde_json::Value::as_array_mut).into_iter().flatten() {
        found |= port.as_object_mut().is_some_and(|port| port.remove("nodePort").is_some());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_is_given_is_left_open_and_headless_stays_headless() {
        let open = |spec: serde_json::Value| {
            let mut manifest = serde_json::json!({ "apiVersion": "v1", "kind": "Service", "spec": spec });
            leave_open(&mut manifest).then(|| manifest["spec"].clone())
        };
        let given = serde_json::json!({ "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": [{ "port": 80, "nodePort": 30001 }] });
        assert_eq!(open(given), Some(serde_json::json!({ "ports": [{ "port": 80 }] })));
        assert_eq!(open(serde_json::json!({ "clusterIP": "None", "ports": [{ "port": 80 }] })), None);
        assert!(!leave_open(
            &mut serde_json::json!({ "apiVersion": "v1", "kind": "Pod", "spec": { "clusterIP": "x" } })
        ));
    }
}
