//! What does a BreakGlass look like to the API server?

use serde_json::json;

use crate::config::definition::Definition;
use crate::config::definition::parts::{
    age, column, duration, globs, kinds, object, rule, ruled, status, subjects, text,
};

pub(super) fn definition() -> Definition {
    let matches = json!({
        "namespaces": globs("Namespaces; absent: all."),
        "kinds": kinds("Kinds; absent: all."),
        "names": globs("Names of objects; absent: all."),
    });
    let members = json!({
        "reason": text("Why: a ticket and what is to be done."),
        "duration": duration("How long; bounded by the policy."),
        "match": object("For what; an absent member matches all.", &[], matches),
        "subjects": subjects("For whom; absent: whoever creates it."),
    });
    let spec =
        object("Who may do what, and for how long. It cannot be changed.", &["reason", "duration", "match"], members);
    Definition {
        kind: "BreakGlass",
        plural: "breakglasses",
        singular: "breakglass",
        short: "bg",
        describes: "A way through in an incident, for a limited time and on the record. Ends by itself.",
        spec: ruled(spec, [rule("self == oldSelf", "cannot be changed: create another BreakGlass")]),
        status: status("What became of it. Written by Landfast.", json!({})),
        columns: vec![
            column("Reason", "string", ".spec.reason", "Why."),
            column("Duration", "string", ".spec.duration", "How long."),
            age(),
        ],
    }
}
