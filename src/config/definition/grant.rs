//! What does a BreakGlass look like to the API server?

use serde_json::json;

use crate::config::definition::Definition;
use crate::config::definition::parts::{
    age, column, duration, globs, kinds, object, rule, ruled, status, subjects, text, with, word,
};

pub(super) fn definition() -> Definition {
    let matches = json!({
        "namespaces": globs("Namespaces; absent: all."),
        "kinds": kinds("Kinds; absent: all."),
        "names": globs("Names of objects; absent: all."),
    });
    let part = |describes: &str| with(text(describes), "maxLength", 253);
    let one = json!({
        "group": part("Its group; absent: the core group."),
        "kind": part("Its kind."),
        "namespace": part("Its namespace; absent where it lives in none."),
        "name": part("Its name."),
        "uid": part("Its uid: made anew it is another object."),
    });
    let about_one = "For one object; of a Namespace all that is in it. Landfast writes it for the annotation landfast.dev/break-glass.";
    let members = json!({
        "reason": text("Why: a ticket and what is to be done."),
        "duration": duration("How long; bounded by the policy."),
        "match": object("For what; an absent member matches all.", &[], matches),
        "object": object(about_one, &["kind", "name", "uid"], one),
        "subjects": subjects("For whom; absent: whoever creates it, of one object whoever has the right to break the glass."),
        "createdBy": text("Who created it. Landfast stamps it; without the stamp it does not count."),
    });
    let spec = object("Who may do what, and for how long. It cannot be changed.", &["reason", "duration"], members);
    let about = rule("has(self.match) != has(self.object)", "takes exactly one of match, object");
    let time = |describes: &str| json!({ "type": "string", "format": "date-time", "description": describes });
    let told = json!({
        "state": word("Whether it is open.", &["Open", "Ended"]),
        "until": time("When it ends at the latest."),
        "ended": time("Since when it has ended. What has ended never opens again."),
    });
    Definition {
        kind: "BreakGlass",
        plural: "breakglasses",
        singular: "breakglass",
        short: "bg",
        describes: "A way through in an incident, for a limited time and on the record. Ends by itself.",
        spec: ruled(spec, [about, rule("self == oldSelf", "cannot be changed: create another BreakGlass")]),
        status: status("What became of it. Written by Landfast.", told),
        columns: vec![
            column("Reason", "string", ".spec.reason", "Why."),
            column("By", "string", ".spec.createdBy", "Who created it."),
            column("Duration", "string", ".spec.duration", "How long."),
            column("Until", "string", ".status.until", "When it ends at the latest."),
            column("State", "string", ".status.state", "Whether it is open."),
            age(),
        ],
    }
}
