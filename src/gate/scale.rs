//! What does a Scale say of its parent? Its replicas, and nothing else.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::drift::path::{FieldPath, Segment};

/// `{"spec":{"replicas":5}}` for `spec.replicas` and `5`; a path to replicas has members only.
pub(crate) fn nested(path: &FieldPath, value: String) -> String {
    path.0.iter().rev().fold(value, |inner, segment| match segment {
        Segment::Field(name) => format!("{{{}:{inner}}}", serde_json::Value::from(&**name)),
        Segment::Key(_) | Segment::Item(_) | Segment::Index(_) => inner,
    })
}

/// What a Scale asks for. The API server leaves zero out (`replicas,omitempty`).
pub(crate) fn replicas(scale: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Scale<'s> {
        #[serde(borrow)]
        spec: Option<Spec<'s>>,
    }
    #[derive(Deserialize)]
    struct Spec<'s> {
        #[serde(borrow)]
        replicas: Option<&'s RawValue>,
    }
    let scale: Option<Scale<'_>> = serde_json::from_str(scale.get()).ok();
    let replicas = scale.and_then(|scale| scale.spec?.replicas);
    replicas.map_or_else(|| "0".to_owned(), |replicas| replicas.get().to_owned())
}
