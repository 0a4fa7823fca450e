//! What are the schemas made of? One function a form; each form is read by a function of `values` or `reader` too.

#![expect(clippy::needless_pass_by_value, reason = "schemas are written as literals where they are needed")]

use std::time::Duration;

use serde_json::{Value, json};

use crate::limits::{CONFIG_ITEMS_MAX, CONFIG_TEXT_MAX};

/// A name as metadata has it: parts of small letters, digits and `-`, with dots between.
const NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// Adds a keyword to a schema.
pub(super) fn with(mut schema: Value, keyword: &str, value: impl Into<Value>) -> Value {
    schema[keyword] = value.into();
    schema
}

/// A rule in CEL, and what a person reads where it does not hold.
pub(super) fn rule(holds: &str, else_says: &str) -> Value {
    json!({ "rule": holds, "message": else_says })
}

/// Adds rules to a schema.
pub(super) fn ruled<const N: usize>(schema: Value, rules: [Value; N]) -> Value {
    with(schema, "x-kubernetes-validations", Value::from(rules.to_vec()))
}

/// An object with these members.
pub(super) fn object(describes: &str, required: &[&str], members: Value) -> Value {
    let schema = json!({ "type": "object", "description": describes, "properties": members });
    if required.is_empty() { schema } else { with(schema, "required", Value::from(required)) }
}

/// A string that is not empty.
pub(super) fn text(describes: &str) -> Value {
    json!({ "type": "string", "description": describes, "minLength": 1, "maxLength": CONFIG_TEXT_MAX })
}

/// A string of this form.
pub(super) fn formed(describes: &str, pattern: &str) -> Value {
    with(text(describes), "pattern", pattern)
}

/// One of these words.
pub(super) fn word(describes: &str, words: &[&str]) -> Value {
    json!({ "type": "string", "description": describes, "enum": words })
}

/// One of these words; the first where none is given.
pub(super) fn word_or(describes: &str, words: &[&str], default: &str) -> Value {
    with(word(describes, words), "default", default)
}

/// Yes or no.
pub(super) fn flag(describes: &str) -> Value {
    json!({ "type": "boolean", "description": describes, "default": false })
}

/// A whole number within bounds.
pub(super) fn integer(describes: &str, max: i64, default: i64) -> Value {
    json!({
        "type": "integer", "format": "int64", "description": describes, "minimum": 0, "maximum": max, "default": default,
    })
}

/// A list that replaces another as a whole.
pub(super) fn list(describes: &str, item: Value) -> Value {
    json!({
        "type": "array",
        "description": describes,
        "items": item,
        "minItems": 1,
        "maxItems": CONFIG_ITEMS_MAX,
        "x-kubernetes-list-type": "atomic",
    })
}

/// A list of objects by their names: appliers that each add one do not undo one another.
pub(super) fn by_name(describes: &str, item: Value) -> Value {
    let list = with(list(describes, item), "x-kubernetes-list-type", "map");
    with(list, "x-kubernetes-list-map-keys", Value::from(["name"].as_slice()))
}

/// What a duration looks like, as Go writes it.
const DURATION: &str = r"^(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";

/// A duration as Go writes it.
pub(super) fn duration(describes: &str) -> Value {
    let form = rule(&format!("self.matches({})", quoted(DURATION)), "is no duration such as 30s, 10m or 1h30m");
    let bound = lasting("<= duration('87840h')", "is longer than ten years (87840h)");
    ruled(with(text(describes), "maxLength", 64), [form, bound])
}

/// A rule on how long a duration is. The API server looks at a rule although the form is wrong already: it must not fail then.
pub(super) fn lasting(compared: &str, else_says: &str) -> Value {
    rule(&format!("!self.matches({}) || duration(self) {compared}", quoted(DURATION)), else_says)
}

/// A regular expression as CEL reads it.
fn quoted(expression: &str) -> String {
    format!("'{}'", expression.replace('\\', "\\\\"))
}

/// A duration with a default.
pub(super) fn duration_or(describes: &str, default: Duration) -> Value {
    let seconds = default.as_secs();
    let default = match seconds {
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    };
    with(duration(describes), "default", default)
}

/// The name of an object.
pub(super) fn name(describes: &str) -> Value {
    with(formed(describes, NAME), "maxLength", 253)
}

/// The name of a namespace.
pub(super) fn namespace(describes: &str) -> Value {
    with(formed(describes, "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"), "maxLength", 63)
}

/// A reference to a Secret by name.
pub(super) fn secret(describes: &str) -> Value {
    object(describes, &["name"], json!({ "name": name("Name of the Secret.") }))
}

/// Globs of names.
pub(super) fn globs(describes: &str) -> Value {
    let glob = formed("A name; `*` stands for any text, `?` for any character.", r"^[a-z0-9.:*?-]+$");
    list(describes, with(glob, "maxLength", 253))
}

/// Kinds as kubectl writes them.
pub(super) fn kinds(describes: &str) -> Value {
    let group = NAME.trim_start_matches('^').trim_end_matches('$');
    let kind = formed("A kind: `Service`, `Deployment.apps`.", &format!(r"^[A-Z][A-Za-z0-9]*(\.{group})?$"));
    list(describes, kind)
}

/// Patterns of fields, in the one grammar of paths (`drift::path`).
pub(super) fn fields(describes: &str) -> Value {
    let word = "[A-Za-z0-9_-]+";
    let string = r#""([^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*""#;
    let bare = r"[A-Za-z0-9_/:@][A-Za-z0-9_./:+@-]*|-(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?";
    let key = format!("({word}|{string})=({string}|{bare})");
    let bracket = format!(r"\[(\*|=({string}|{bare})|{string}|[0-9]+|{key}(,{key})*)\]");
    let path = format!(r"^(\*|{word}|{bracket})(\.(\*|{word})|{bracket})*$");
    let field =
        formed("A field: `spec.replicas`, `spec.containers[name=web].image`, `metadata.annotations[\"a/b\"]`.", &path);
    list(describes, field)
}

/// Who somebody is.
pub(super) fn subjects(describes: &str) -> Value {
    let members = json!({
        "kind": word("What it is.", &["User", "Group", "ServiceAccount"]),
        "namespace": namespace("Namespace of a ServiceAccount."),
        "name": text("Its name."),
    });
    let subject = object("A user, a group or a service account, as RBAC names them.", &["kind", "name"], members);
    let holds = "(self.kind == 'ServiceAccount') == has(self.namespace)";
    list(describes, ruled(subject, [rule(holds, "a ServiceAccount has a namespace, a User or Group has none")]))
}

/// The status: its conditions, which generation they speak of, and what else there is.
pub(super) fn status(describes: &str, mut more: Value) -> Value {
    let plain = |describes: &str| json!({ "type": "string", "description": describes });
    let condition = json!({
        "type": plain("What is true, false or unknown."),
        "status": word("Whether it is so.", &["True", "False", "Unknown"]),
        "observedGeneration": { "type": "integer", "format": "int64", "description": "The generation it speaks of." },
        "lastTransitionTime": {
            "type": "string", "format": "date-time", "description": "Since when the status is this.",
        },
        "reason": plain("One word on why."),
        "message": plain("Why, for a person."),
    });
    let condition = object("One answer.", &["type", "status", "lastTransitionTime", "reason", "message"], condition);
    more["observedGeneration"] = json!({ "type": "integer", "format": "int64", "description": "The generation of the spec that this status speaks of." });
    more["conditions"] = json!({
        "type": "array",
        "description": "What Landfast makes of this object.",
        "items": condition,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    });
    object(describes, &[], more)
}

/// A column of `kubectl get`.
pub(super) fn column(name: &str, kind: &str, path: &str, describes: &str) -> Value {
    json!({ "name": name, "type": kind, "jsonPath": path, "description": describes })
}

/// The column that shows a condition.
pub(super) fn condition(name: &str, describes: &str) -> Value {
    column(name, "string", &format!(".status.conditions[?(@.type==\"{name}\")].status"), describes)
}

/// How old it is.
pub(super) fn age() -> Value {
    column("Age", "date", ".metadata.creationTimestamp", "How long it has been there.")
}
