//! Who creates this BreakGlass? Stamped into it on its way in, because only admission knows.

use serde_json::json;

use crate::drift::path::FieldPath;
use crate::gate::patch::Rewrite;
use crate::gate::ruling::Ruled;
use crate::gate::write::{Change, Write};

/// Whether the write makes a BreakGlass.
pub(crate) fn is_due(write: &Write<'_>) -> bool {
    let target = &write.target;
    matches!(write.change, Change::Create { .. })
        && (target.group.as_str(), target.resource.as_str(), target.subresource.as_str())
            == ("landfast.dev", "breakglasses", "")
}

/// Lets it in with the name of its creator, whatever stood there.
pub(crate) fn stamped(write: &Write<'_>) -> Ruled {
    let mut ruled = Ruled::foreign("made by whom RBAC lets");
    if let Some(mut rewrite) = Rewrite::of(write.change) {
        let stamp = json!({ "spec": { "createdBy": write.user.name } });
        // A BreakGlass without a spec is refused anyway.
        let _stamped = rewrite.put(&FieldPath::of(["spec", "createdBy"]), &stamp);
        ruled.patch = rewrite.patch();
    }
    ruled
}
