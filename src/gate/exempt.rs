//! Is this difference nobody's drift? What tools and the server move as a part of their work, some under a condition.

use crate::drift::compare::Difference;
use crate::drift::declared::ObjectKey;
use crate::drift::document::{At, Document};
use crate::drift::path::{FieldPath, Segment};
use crate::drift::quantity::Quantity;
use crate::gate::tables;

/// Whether a difference is nobody's drift, whoever makes it.
pub fn is_exempt(key: &ObjectKey, declared: &Document<'_>, difference: &Difference) -> bool {
    let path = &difference.path;
    tables::is_nobodys(key, path)
        || is_aggregated(key, declared, path)
        || is_injected_bundle(key, difference)
        || is_growth(key, difference)
}

/// Rules of a ClusterRole that Git asks the control plane to put together.
fn is_aggregated(key: &ObjectKey, declared: &Document<'_>, path: &FieldPath) -> bool {
    (key.group(), key.kind()) == ("rbac.authorization.k8s.io", "ClusterRole")
        && begins_with(path, "rules")
        && declared.root().get("aggregationRule").is_some_and(|rule| !rule.is_null())
}

/// A CA bundle that Git leaves to an injector: it declares none, or an empty one.
fn is_injected_bundle(key: &ObjectKey, difference: &Difference) -> bool {
    let injected = matches!(
        (key.group(), key.kind()),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration")
            | ("apiregistration.k8s.io", "APIService")
            | ("apiextensions.k8s.io", "CustomResourceDefinition")
    );
    // `Cg==` is a line break: what charts write to please validation.
    let left_open = matches!(difference.declared.as_deref(), None | Some(r#""""# | r#""Cg==""# | "null"));
    injected && left_open && ends_with(&difference.path, "caBundle")
}

/// A volume claim that is larger than Git says: claims can only grow, and only by whom RBAC lets.
fn is_growth(key: &ObjectKey, difference: &Difference) -> bool {
    let is_storage = (key.group(), key.kind()) == ("", "PersistentVolumeClaim")
        && difference.path == FieldPath::of(["spec", "resources", "requests", "storage"]);
    is_storage
        && match (&difference.declared, &difference.live) {
            (Some(declared), Some(live)) => is_larger(live, declared),
            (None, _) | (_, None) => false,
        }
}

/// Whether one quantity, as JSON, is larger than the other.
fn is_larger(one: &str, other: &str) -> bool {
    let read = |json: &str| Quantity::parse(json.trim_matches('"'));
    matches!((read(one), read(other)), (Some(one), Some(other)) if one.exceeds(other))
}

fn begins_with(path: &FieldPath, name: &str) -> bool {
    path.0.first().is_some_and(|segment| is_field(segment, name))
}

fn ends_with(path: &FieldPath, name: &str) -> bool {
    path.0.last().is_some_and(|segment| is_field(segment, name))
}

fn is_field(segment: &Segment, name: &str) -> bool {
    matches!(segment, Segment::Field(field) if **field == *name)
}

/// Whether an annotation of an object (or a declaration) has this value; an empty one stands for any.
///
/// Values may be lists with commas, as Argo CD's sync options are.
pub fn has_annotation(object: &Document<'_>, name: &str, value: &str) -> bool {
    let found = object.root().get("metadata").and_then(|it| it.get("annotations")?.get(name)).and_then(At::as_str);
    found.is_some_and(|found| value.is_empty() || found.split(',').any(|part| part.trim() == value))
}
