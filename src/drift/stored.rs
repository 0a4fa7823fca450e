//! What does the version of a custom resource that is stored say in the place of a part of another version?
//!
//! What it does not know is dropped when an object is stored; its defaults are there when the object is read, the other version's
//! are not. Source: apiextensions-apiserver 1.36 (pruning, defaulting), and the Kubernetes page on defaulting.

use serde_json::{Map, Value};

/// What is stored in the place of a part of a version.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stored<'s> {
    /// This very version.
    Same,
    /// What this schema knows.
    Schema(&'s Map<String, Value>),
    /// Anything, without defaults: unknown fields are kept there, or code converts what is stored.
    Open,
}

/// What is stored in the place of a member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'s> {
    /// What it is.
    pub(crate) stored: Stored<'s>,
    /// What it is where it is absent.
    pub(crate) default: Option<&'s Value>,
}

impl<'s> Stored<'s> {
    /// The place of a member; `None` where it is dropped.
    pub(crate) fn member(self, name: &str) -> Option<Place<'s>> {
        match self {
            Self::Same | Self::Open => Some(Place { stored: self, default: None }),
            Self::Schema(schema) => match schema.get("properties").and_then(|all| all.get(name)) {
                Some(property) => {
                    let default = property.get("default").filter(|default| !default.is_null());
                    Some(Place { stored: Self::of(property), default })
                }
                None => Some(Place { stored: self.others()?, default: None }),
            },
        }
    }

    /// The place of members that are not named; `None` where they are dropped.
    pub(crate) fn others(self) -> Option<Self> {
        match self {
            Self::Same | Self::Open => Some(self),
            Self::Schema(schema) => match schema.get("additionalProperties") {
                Some(any @ Value::Object(_)) => Some(Self::of(any)),
                Some(Value::Bool(true)) => Some(Self::Open),
                _ => (schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)))
                    .then_some(Self::Open),
            },
        }
    }

    /// The place of a list's items; `None` where they lose what they hold.
    pub(crate) fn items(self) -> Option<Self> {
        match self {
            Self::Same | Self::Open => Some(self),
            Self::Schema(schema) => schema.get("items").filter(|items| items.is_object()).map(Self::of),
        }
    }

    /// Whether the stored version names members here: then it is no mere map, and not open alone.
    pub(crate) fn names_members(self) -> bool {
        match self {
            Self::Same | Self::Open => false,
            Self::Schema(schema) => schema.contains_key("properties"),
        }
    }

    /// Whether this part of a version, by the word of its schema, can hold what is stored, as one JSON type.
    pub(crate) fn fits(self, own: &Map<String, Value>) -> bool {
        let Self::Schema(schema) = self else { return true };
        let embedded = "x-kubernetes-embedded-resource";
        schema.get("type") == own.get("type") && schema.get(embedded) == own.get(embedded)
    }

    fn of(schema: &'s Value) -> Self {
        schema.as_object().map_or(Self::Open, Self::Schema)
    }
}

/// Whether two schemas say the same, whatever they tell people. `Value::Null` is no schema.
pub(crate) fn say_the_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let said = |all: &'_ Map<String, Value>| all.keys().filter(|key| *key != "description").count();
            said(one) == said(other)
                && one.iter().filter(|(key, _)| *key != "description").all(|(key, value)| match other.get(key) {
                    Some(twin) if key == "properties" => have_the_same(value, twin),
                    Some(twin) => say_the_same(value, twin),
                    None => false,
                })
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| say_the_same(one, other))
        }
        (one, other) => one == other,
    }
}

/// The same of what is named: there, a member may be called as what is passed over elsewhere.
fn have_the_same(one: &Value, other: &Value) -> bool {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return one == other };
    one.len() == other.len()
        && one.iter().all(|(name, schema)| other.get(name).is_some_and(|twin| say_the_same(schema, twin)))
}
