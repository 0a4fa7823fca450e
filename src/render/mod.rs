//! What does a file of the tree declare? Text becomes [`Declared`] objects and faults.
//!
//! Pure so far: plain YAML and JSON. Files that are no manifests are passed over.

use std::sync::Arc;

use crate::drift::declared::Declared;
use crate::drift::schema::Schemas;
use crate::gate::basis::{Fault, Scope};

/// What a file is read with.
#[derive(Debug, Clone, Copy)]
pub struct Context<'c> {
    /// Which kinds there are, and whether they live in namespaces.
    pub schemas: &'c Schemas,
    /// Where the source may declare.
    pub scope: &'c Scope,
    /// The namespace of namespaced objects that name none.
    pub default_namespace: Option<&'c str>,
}

/// What one file declares.
#[derive(Debug, Clone, Default)]
pub struct Rendered {
    /// The objects, in the order written.
    pub objects: Vec<Arc<Declared>>,
    /// What can be read but not used; the rest takes effect.
    pub faults: Vec<Fault>,
}

/// Whether a file of that name may hold manifests: `.yaml`, `.yml` and `.json`.
pub fn may_hold_manifests(path: &str) -> bool {
    let _ = path;
    todo!()
}

/// Reads one file.
///
/// Fails where the file cannot be read at all (not UTF-8, broken YAML, conflict markers): then the whole commit must not
/// take effect.
pub fn file(path: &str, content: &[u8], context: Context<'_>) -> Result<Rendered, Fault> {
    let _ = (path, content, context);
    todo!()
}
