//! What does a DriftPolicy look like to the API server?

use serde_json::{Value, json};

use crate::config::definition::Definition;
use crate::config::definition::parts::{
    age, by_name, column, condition, duration, fields, flag, formed, globs, integer, kinds, list, name, object, rule,
    ruled, status, subjects, text, with, word, word_or,
};
use crate::limits::{PRECEDENCE_DEFAULT, PRECEDENCE_MAX, ROLLBACK_MAX};

const RULINGS: [&str; 5] = ["Allow", "Warn", "Annotate", "Revert", "Deny"];
/// What is undeclared has no value in Git to be put back.
const RULINGS_BUT_REVERT: [&str; 4] = ["Allow", "Warn", "Annotate", "Deny"];

pub(super) fn definition() -> Definition {
    Definition {
        kind: "DriftPolicy",
        plural: "driftpolicies",
        singular: "driftpolicy",
        short: "dp",
        describes: "What is done with drift, where, and for whom not.",
        spec: spec(),
        status: status("What Landfast makes of it. Written by Landfast.", json!({})),
        columns: vec![
            column("Precedence", "integer", ".spec.precedence", "The lowest that matches governs."),
            column("Mode", "string", ".spec.mode", "Observe or Enforce."),
            column("Drift", "string", ".spec.rulings.drift", "What it rules on drift."),
            condition("Accepted", "Whether it is in force as written."),
            condition("Conflicted", "Whether an older policy of the same precedence governs what both match."),
            condition(
                "SafeToEnforce",
                "Whether, for 24 hours, it would have denied no deployer and no part of the control plane.",
            ),
            age(),
        ],
    }
}

fn spec() -> Value {
    let precedence = "The lowest number that matches governs; of equal ones the older. The writers and ignore of all matching policies add up.";
    let mode = "Observe decides everything as if enforced, records it, and changes nothing. Enforce rules.";
    let failure = "What the API server does when Landfast is silent. Fail only with mode Enforce and a ruling Deny.";
    let members = json!({
        "precedence": integer(precedence, PRECEDENCE_MAX, PRECEDENCE_DEFAULT),
        "mode": word_or(mode, &["Observe", "Enforce"], "Observe"),
        "match": matches(),
        "rulings": with(rulings(), "default", json!({})),
        "failurePolicy": word_or(failure, &["Ignore", "Fail"], "Ignore"),
        "rollback": integer("Anybody may write what one of the last so many declarations of an object said.", ROLLBACK_MAX, 0),
        "writers": by_name("Whom it knows, and trusts with what.", writer()),
        "ignore": by_name("Fields that are nobody's drift.", ignore()),
        "breakGlass": object("The bounds of a grant.", &[], json!({
            "maxDuration": duration("The longest grant."),
            "reasonPattern": text("What a reason must look like: a regular expression."),
        })),
        "repair": repair(),
    });
    let denies = ["drift", "delete", "undeclaredFields", "undeclaredObjects", "derivedObjects"]
        .map(|name| format!("has(self.rulings.{name}) && self.rulings.{name} == 'Deny'"));
    let denies = format!("self.failurePolicy != 'Fail' || self.mode != 'Enforce' || {}", denies.join(" || "));
    ruled(
        object("What it governs, and how.", &[], members),
        [
            rule(
                "self.failurePolicy != 'Fail' || self.mode == 'Enforce'",
                "failurePolicy is Fail, but mode Observe never denies",
            ),
            rule(&denies, "failurePolicy is Fail, but no ruling is Deny"),
        ],
    )
}

fn matches() -> Value {
    let members = json!({
        "sources": list("GitSources by name.", name("Name of a GitSource.")),
        "namespaces": globs("Namespaces; a Namespace object matches by its own name."),
        "kinds": kinds("Kinds."),
    });
    object("What it governs; an absent member matches all.", &[], members)
}

fn rulings() -> Value {
    let undeclared = |describes: &str| word_or(describes, &RULINGS_BUT_REVERT, "Allow");
    let delete = "Deletes of declared objects. Default: as drift; Annotate becomes Warn, Revert becomes Deny.";
    let derived = "Exec, attach, port-forward, debug containers and edits of Pods of declared objects, by people; never eviction or deletion.";
    let members = json!({
        "drift": word_or("Declared fields whose value differs from Git.", &RULINGS, "Deny"),
        "delete": word(delete, &RULINGS),
        "undeclaredFields": undeclared("Fields that Git does not declare, changed by people."),
        "undeclaredObjects": undeclared("Objects that Git does not declare, made by people in a source's scope."),
        "derivedObjects": undeclared(derived),
    });
    object("What it rules.", &[], members)
}

fn writer() -> Value {
    let role = "Deployer: may write what Git declares, now or within maxLag. Controller: may move the fields that allow names.";
    let delegation = object(
        "Fields of kinds.",
        &["kinds", "fields"],
        json!({
            "kinds": kinds("Kinds."),
            "fields": fields("Their fields."),
        }),
    );
    let members = json!({
        "name": text("Its name in this policy."),
        "role": word(role, &["Deployer", "Controller"]),
        "subjects": subjects("Who it is."),
        "allow": list("What a Controller may move.", delegation),
    });
    ruled(
        object("Somebody whom it trusts with something.", &["name", "role", "subjects"], members),
        [
            rule("self.role != 'Controller' || has(self.allow)", "the role Controller needs allow: what it may move"),
            rule(
                "self.role != 'Deployer' || !has(self.allow)",
                "allow belongs to the role Controller only: a deployer is trusted by content",
            ),
        ],
    )
}

fn ignore() -> Value {
    let time = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$";
    let members = json!({
        "name": text("Its name in this policy."),
        "kinds": kinds("Kinds; absent: all."),
        "namespaces": globs("Namespaces; absent: all."),
        "names": globs("Names of objects; absent: all."),
        "subjects": subjects("In whose writes; absent: in everybody's, and in repair."),
        "fields": fields("Which fields; inside atomic lists too."),
        "reason": text("Why."),
        "expires": with(formed("Until when, such as 2027-03-31T00:00:00Z.", time), "format", "date-time"),
    });
    object("Fields that are nobody's drift.", &["name", "fields", "reason"], members)
}

fn repair() -> Value {
    let hold = json!({
        "description": "How much of a source at once needs a person: a share such as 10%, or a number of objects.",
        "x-kubernetes-int-or-string": true,
        "anyOf": [{ "type": "integer" }, { "type": "string" }],
        "maxLength": 4,
        "pattern": "^(100|[1-9]?[0-9])%$",
        "minimum": 0,
        "maximum": u32::MAX,
    });
    let members = json!({
        "mode": word_or("Automatic, Manual (when a person approves), or Never.", &["Automatic", "Manual", "Never"], "Never"),
        "by": word("Deployer: Argo CD or Flux is asked. Landfast: it applies.", &["Deployer", "Landfast"]),
        "prune": flag("Whether what Landfast applied and Git dropped is deleted."),
        "deploy": flag("Whether objects move on to a new head."),
        "holdAbove": hold,
    });
    object("How live is brought back to what is declared.", &[], members)
}
