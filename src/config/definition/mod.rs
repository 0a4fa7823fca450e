//! What do the operator's kinds look like to the API server? Their CustomResourceDefinitions, the only place where they are written.
//!
//! What they refuse is what `decode` refuses by shape, in words for whoever runs `kubectl apply`; both are held equal by tests.

mod grant;
mod parts;
mod policy;
mod source;

use serde_json::{Value, json};

use crate::config::crd::{GROUP, VERSION};

/// One of the operator's kinds, as the API server is to serve it.
#[derive(Debug)]
pub struct Definition {
    /// The kind, as in `GitSource`.
    pub kind: &'static str,
    /// As in URLs: `gitsources`.
    pub plural: &'static str,
    singular: &'static str,
    /// What one types for it.
    short: &'static str,
    describes: &'static str,
    spec: Value,
    status: Value,
    columns: Vec<Value>,
}

/// All kinds, in the order in which they are explained.
pub fn definitions() -> [Definition; 3] {
    [source::definition(), policy::definition(), grant::definition()]
}

impl Definition {
    /// The CustomResourceDefinition.
    pub fn manifest(&self) -> Value {
        let Self { kind, plural, singular, short, .. } = self;
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.{GROUP}") },
            "spec": {
                "group": GROUP,
                "scope": "Cluster",
                "names": {
                    "kind": kind,
                    "listKind": format!("{kind}List"),
                    "plural": plural,
                    "singular": singular,
                    "shortNames": [short],
                    "categories": ["landfast"],
                },
                "versions": [{
                    "name": VERSION,
                    "served": true,
                    "storage": true,
                    "subresources": { "status": {} },
                    "additionalPrinterColumns": self.columns,
                    "schema": { "openAPIV3Schema": self.schema() },
                }],
            },
        })
    }

    /// The schema of a whole object.
    pub fn schema(&self) -> Value {
        let members = json!({
            "apiVersion": { "type": "string", "description": format!("Always {GROUP}/{VERSION}.") },
            "kind": { "type": "string", "description": format!("Always {}.", self.kind) },
            "metadata": { "type": "object" },
            "spec": self.spec,
            "status": self.status,
        });
        parts::object(self.describes, &["spec"], members)
    }
}
