//! Who creates this BreakGlass? Stamped into it on its way in, because only admission knows; what bears the name of another after
//! that is refused. All else of a BreakGlass is RBAC's to allow, also where Git declares it.

use serde_json::json;

use crate::drift::document::{At, Document};
use crate::drift::path::FieldPath;
use crate::gate::case::Case;
use crate::gate::facts::Pass;
use crate::gate::patch::Rewrite;
use crate::gate::policy::{GROUP, Mode};
use crate::gate::ruling::{Ground, Ruled};
use crate::gate::verdict::{Ruling, WriterRole};
use crate::gate::write::{Change, Write};

/// What is ruled of a new BreakGlass; `None` of any other write.
pub(crate) fn ruled(case: &Case<'_>) -> Option<Ruled> {
    let Change::Create { after } = case.write.change else { return None };
    if !is_break_glass(case.write) {
        return None;
    }
    let mut ruled = Ruled::foreign("made by whom RBAC lets");
    let user = &case.write.user.name;
    match case.facts.pass {
        // Landfast makes records of what others open.
        _ if case.writer.role == WriterRole::Landfast => {}
        Pass::Changing => {
            if let Some(mut rewrite) = Rewrite::of(case.write.change) {
                let stamp = json!({ "spec": { "createdBy": user } });
                // A BreakGlass without a spec is refused anyway.
                let _stamped = rewrite.put(&FieldPath::of(["spec", "createdBy"]), &stamp);
                ruled.patch = rewrite.patch();
            }
        }
        // Without any name it grants nothing.
        Pass::Last if creator(after.get()).is_none_or(|name| name == *user) => {}
        Pass::Last => {
            (ruled.ruling, ruled.mode) = (Ruling::Deny, Mode::Enforce);
            (ruled.ground, ruled.reason) = (Ground::Forged, "bears the name of another creator");
        }
    }
    Some(ruled)
}

fn is_break_glass(write: &Write<'_>) -> bool {
    let target = &write.target;
    (target.group.as_str(), target.resource.as_str(), target.subresource.as_str()) == (GROUP, "breakglasses", "")
}

/// The name that it bears.
fn creator(object: &str) -> Option<String> {
    let object = Document::parse(object.as_bytes()).ok()?;
    object.root().get("spec")?.get("createdBy").and_then(At::as_str).map(str::to_owned)
}
