//! How does a type of the server's own become part of a custom resource's schema? As controller-gen writes it, so that our large
//! kinds are as large as real ones without a megabyte in the repository.

use serde_json::{Map, Value, json};

use crate::offer::{Offer, Sort};

/// As controller-gen writes it.
const QUANTITY: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";

/// Puts the types that `$embed` names in their places.
pub fn embed(schema: &mut Value, book: &Value) {
    if let Some(name) = schema["$embed"].as_str() {
        let all = book.as_object().expect("definitions by name");
        let (_, own) =
            all.iter().find(|(own, _)| own.rsplit('.').next() == Some(name)).expect("the server has the type");
        *schema = structural(Offer::new(book, own), &Value::Null);
        return;
    }
    match schema {
        Value::Object(members) => members.values_mut().for_each(|member| embed(member, book)),
        Value::Array(items) => items.iter_mut().for_each(|item| embed(item, book)),
        _ => {}
    }
}

/// The schema of a place, every reference followed; `default` is what stands in for a missing key.
fn structural(offer: Offer<'_>, default: &Value) -> Value {
    let mut schema = match offer.sort() {
        Sort::Object(properties) => {
            let mut members: Map<String, Value> = properties.keys().map(|name| (name.clone(), Value::Null)).collect();
            for (name, member) in &mut members {
                let own = offer.member(name).expect("it names its members");
                *member = structural(own, &Value::Null);
            }
            let required = offer.required();
            let mut schema = json!({ "type": "object", "properties": members });
            if !required.is_empty() {
                schema["required"] = json!(required);
            }
            schema
        }
        Sort::Map(inside) => json!({ "type": "object", "additionalProperties": structural(inside, &Value::Null) }),
        Sort::List(inside) => list(offer, inside),
        Sort::Text("") => json!({ "type": "string" }),
        Sort::Text(format) => json!({ "type": "string", "format": format }),
        Sort::Integer => json!({ "type": "integer" }),
        Sort::Number => json!({ "type": "number" }),
        Sort::Flag => json!({ "type": "boolean" }),
        Sort::Quantity => either(&json!({ "pattern": QUANTITY })),
        Sort::IntOrString => either(&json!({})),
        Sort::Any => json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }),
    };
    if matches!(offer.sort(), Sort::Object(_) | Sort::Map(_)) && offer.is_atomic() {
        schema["x-kubernetes-map-type"] = json!("atomic");
    }
    if !default.is_null() {
        schema["default"] = default.clone();
    }
    schema
}

fn either(more: &Value) -> Value {
    let mut schema =
        json!({ "anyOf": [{ "type": "integer" }, { "type": "string" }], "x-kubernetes-int-or-string": true });
    if let (Some(schema), Some(more)) = (schema.as_object_mut(), more.as_object()) {
        schema.extend(more.clone());
    }
    schema
}

/// A list; keys that need not be given get the default that the schema says, as the server demands.
fn list(offer: Offer<'_>, inside: Offer<'_>) -> Value {
    let mut items = structural(inside, &Value::Null);
    let keys = offer.keys();
    for key in &keys {
        let default = inside.member(key).and_then(Offer::default).cloned();
        let is_required = inside.required().contains(key);
        if let Some(default) = default.filter(|default| !is_required || *default != json!("") && *default != json!(0)) {
            items["properties"][*key]["default"] = default;
        }
    }
    let mut schema = json!({ "type": "array", "items": items });
    match (keys.is_empty(), offer.is_atomic()) {
        (false, _) => {
            schema["x-kubernetes-list-type"] = json!("map");
            schema["x-kubernetes-list-map-keys"] = json!(keys);
        }
        (true, false) => schema["x-kubernetes-list-type"] = json!("set"),
        (true, true) => schema["x-kubernetes-list-type"] = json!("atomic"),
    }
    schema
}
