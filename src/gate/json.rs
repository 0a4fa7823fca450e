//! How does a script read a verdict? As the one JSON object that is promised to it.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::gate::message::is_secret;
use crate::gate::verdict::{At, Class, Field, Origin, Verdict};

/// A verdict as `landfast check -o json` prints it. Keys that do not apply are left out.
///
/// Values of fields stand as the JSON they are, or as text ending in `…` where they were too long.
pub fn verdict_json(verdict: &Verdict, uid: &str) -> Value {
    let object = &verdict.object;
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    if !uid.is_empty() {
        put("uid", uid.into());
    }
    put("ruling", verdict.ruling.name().into());
    put("enforced", verdict.enforced.into());
    put("allowed", verdict.allowed().into());
    let mut named =
        json!({ "group": object.group(), "version": verdict.version, "kind": object.kind(), "name": object.name() });
    if !object.namespace().is_empty() {
        named["namespace"] = object.namespace().into();
    }
    put("object", named);
    put("operation", verdict.operation.into());
    if !verdict.subresource.is_empty() {
        put("subresource", verdict.subresource.as_str().into());
    }
    put("writer", json!({ "user": verdict.user.name, "role": verdict.role.name() }));
    let named = [
        ("policy", verdict.policy.clone()),
        ("source", verdict.source.as_ref().map(ToString::to_string)),
        ("revision", verdict.revision.as_ref().map(ToString::to_string)),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            put(name, value.into());
        }
    }
    if let Some(glass) = &verdict.glass {
        put("breakGlass", serde_json::to_value(glass).unwrap_or_default());
    }
    put("reason", verdict.reason.into());
    if let Some(origin) = &verdict.origin {
        put("origin", serde_json::to_value(OriginJson::of(origin)).unwrap_or_default());
    }
    put("fields", verdict.fields.iter().map(field_json).collect());
    let ignored = verdict.ignored.iter().map(ToString::to_string).collect();
    for (name, list) in [("owners", &verdict.owners), ("ignored", &ignored), ("warnings", &verdict.warnings)] {
        if !list.is_empty() {
            put(name, list.clone().into());
        }
    }
    if !verdict.message.is_empty() {
        put("message", verdict.message.as_str().into());
    }
    if !verdict.patch.is_empty() {
        put("patch", patch_json(verdict));
    }
    Value::Object(members)
}

/// How a write is changed; of a Secret without the values.
fn patch_json(verdict: &Verdict) -> Value {
    let mut operations = serde_json::to_value(&verdict.patch).unwrap_or_default();
    if is_secret(&verdict.object) {
        for operation in operations.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            operation.remove("value");
        }
    }
    operations
}

/// One field of a verdict.
pub fn field_json(field: &Field) -> Value {
    // Plain data with text for its keys: nothing in it can fail.
    serde_json::to_value(FieldJson::of(field)).unwrap_or_default()
}

/// One field as every verdict, record and log line tells it, whoever reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldJson {
    /// Where, in the one grammar of paths.
    pub path: String,
    /// What the change is.
    pub class: Class,
    /// Git's value.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub git: Option<Value>,
    /// The value before the write.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The value in the write.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub written: Option<Value>,
    /// Where Git says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<OriginJson>,
}

/// Where Git says something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginJson {
    /// The file, from the root of the repository.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The commit that last wrote it, or the revision in force where that is not known: then without author and date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// That commit's author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// When it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Timestamp>,
}

impl FieldJson {
    /// The field; a value that was cut is no JSON any more and stands as text.
    pub fn of(field: &Field) -> Self {
        let value = |text: &Option<String>| {
            text.as_deref().map(|text| serde_json::from_str(text).unwrap_or_else(|_| text.into()))
        };
        Self {
            path: field.path.to_string(),
            class: field.class,
            git: value(&field.git),
            before: value(&field.before),
            written: value(&field.written),
            origin: field.origin.as_ref().map(OriginJson::of),
        }
    }

    /// The field without its values.
    #[must_use]
    pub fn without_values(self) -> Self {
        Self { git: None, before: None, written: None, ..self }
    }
}

impl OriginJson {
    /// The place, as every reader is told it.
    pub fn of(origin: &Origin) -> Self {
        let written = origin.commit.as_ref().and_then(At::written);
        Self {
            file: origin.file.clone(),
            line: origin.line,
            commit: origin.commit.as_ref().map(|at| at.commit().to_string()),
            author: written.map(|info| info.author.clone()),
            date: written.map(|info| info.date),
        }
    }
}

/// What is there is there, `null` too.
fn present<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(reader).map(Some)
}
