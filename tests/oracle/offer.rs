//! What does the server's OpenAPI v3 offer? Read here once more, by code that shares nothing with the engine's.

use serde_json::{Map, Value};

/// A place in a schema.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'b> {
    /// All definitions of the document.
    book: &'b Value,
    /// What stands at the place itself, beside a reference if there is one.
    around: &'b Value,
    /// What the reference leads to.
    schema: &'b Value,
    /// The definition's name, where a reference led there.
    name: &'b str,
}

/// What a place holds.
#[derive(Debug, Clone, Copy)]
pub enum Sort<'b> {
    /// Members by name.
    Object(&'b Map<String, Value>),
    /// Any member, all of the same schema.
    Map(Offer<'b>),
    /// Items.
    List(Offer<'b>),
    /// A string; its format, if it has one.
    Text(&'b str),
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// A boolean.
    Flag,
    /// A quantity: of a built-in kind, or of a custom resource whose pattern says so.
    Quantity,
    /// A number or a string.
    IntOrString,
    /// Any JSON.
    Any,
}

/// One step down a schema.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Down {
    /// To a member.
    Member(String),
    /// To an item, or to a member of any name.
    Inside,
}

const REFERENCE: &str = "#/components/schemas/";

impl<'b> Offer<'b> {
    /// A place of a document's `components.schemas`.
    pub fn new(book: &'b Value, at: &'b Value) -> Self {
        let mut offer = Self { book, around: at, schema: at, name: "" };
        while let Some(name) = reference(offer.schema) {
            (offer.name, offer.schema) = (name, &book[name]);
        }
        offer
    }

    /// The definition of a kind.
    pub fn of_kind(book: &'b Value, group: &str, version: &str, kind: &str) -> Option<Self> {
        let mut all = book.as_object()?.values();
        let schema = all.find(|schema| {
            let own = schema["x-kubernetes-group-version-kind"].as_array().map(Vec::as_slice);
            matches!(own, Some([own]) if own["group"] == group && own["version"] == version && own["kind"] == kind)
        })?;
        Some(Self::new(book, schema))
    }

    /// The last part of the definition's name, as in `PodSpec`; empty where nothing was referred to.
    pub fn name(self) -> &'b str {
        self.name.rsplit('.').next().unwrap_or_default()
    }

    fn says(self, name: &str) -> &'b Value {
        if self.around[name].is_null() { &self.schema[name] } else { &self.around[name] }
    }

    /// Whether it merges as one value.
    pub fn is_atomic(self) -> bool {
        match self.sort() {
            Sort::List(_) => self.says("x-kubernetes-list-type").as_str().is_none_or(|kind| kind == "atomic"),
            Sort::Object(_) | Sort::Map(_) => self.says("x-kubernetes-map-type") == "atomic",
            _ => true,
        }
    }

    /// The keys of a keyed list's items; none of any other list.
    pub fn keys(self) -> Vec<&'b str> {
        if self.says("x-kubernetes-list-type") != "map" {
            return Vec::new();
        }
        self.says("x-kubernetes-list-map-keys").as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// The members that must be there.
    pub fn required(self) -> Vec<&'b str> {
        self.schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// What the schema says stands where it is absent.
    pub fn default(self) -> Option<&'b Value> {
        Some(self.says("default")).filter(|default| !default.is_null())
    }

    /// The only values that may stand here.
    pub fn choices(self) -> &'b [Value] {
        self.schema["enum"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The smallest number that may stand here.
    pub fn minimum(self) -> Option<i64> {
        self.schema["minimum"].as_i64()
    }

    /// What stands here.
    pub fn sort(self) -> Sort<'b> {
        let schema = self.schema;
        if self.name() == "Quantity" {
            return Sort::Quantity;
        }
        let is_either = schema["x-kubernetes-int-or-string"] == true || schema["format"] == "int-or-string";
        if is_either {
            let pattern = schema["pattern"].as_str().unwrap_or_default();
            return if pattern.contains("[KMGTPE]i") { Sort::Quantity } else { Sort::IntOrString };
        }
        match schema["type"].as_str() {
            Some("object") => match (schema["properties"].as_object(), &schema["additionalProperties"]) {
                (Some(properties), _) => Sort::Object(properties),
                (None, any @ Value::Object(_)) => Sort::Map(Self::new(self.book, any)),
                (None, _) => Sort::Any,
            },
            Some("array") => Sort::List(Self::new(self.book, &schema["items"])),
            Some("string") => Sort::Text(schema["format"].as_str().unwrap_or_default()),
            Some("integer") => Sort::Integer,
            Some("number") => Sort::Number,
            Some("boolean") => Sort::Flag,
            _ => Sort::Any,
        }
    }

    /// The place of a member.
    pub fn member(self, name: &str) -> Option<Self> {
        match self.sort() {
            Sort::Object(properties) => properties.get(name).map(|schema| Self::new(self.book, schema)),
            Sort::Map(any) => Some(any),
            _ => None,
        }
    }

    /// The place of an item, or of any member.
    pub fn inside(self) -> Option<Self> {
        match self.sort() {
            Sort::List(inside) | Sort::Map(inside) => Some(inside),
            _ => None,
        }
    }

    /// All places beneath this one, with the way there. What holds itself is not entered again.
    pub fn places(self, leave_out: impl Fn(&[Down]) -> bool) -> Vec<Vec<Down>> {
        let mut found = Vec::new();
        let (mut way, mut within) = (Vec::new(), Vec::new());
        self.collect(&mut way, &mut within, &leave_out, &mut found);
        found
    }

    fn collect(
        self,
        way: &mut Vec<Down>,
        within: &mut Vec<&'b str>,
        leave_out: &impl Fn(&[Down]) -> bool,
        found: &mut Vec<Vec<Down>>,
    ) {
        if leave_out(way) {
            return;
        }
        if !way.is_empty() {
            found.push(way.clone());
        }
        if !self.name.is_empty() && within.contains(&self.name) {
            return;
        }
        within.push(self.name);
        let downs: Vec<(Down, Self)> = match self.sort() {
            Sort::Object(properties) => properties
                .iter()
                .map(|(name, schema)| (Down::Member(name.clone()), Self::new(self.book, schema)))
                .collect(),
            Sort::List(inside) | Sort::Map(inside) => vec![(Down::Inside, inside)],
            _ => Vec::new(),
        };
        for (down, offer) in downs {
            way.push(down);
            offer.collect(way, within, leave_out, found);
            way.pop();
        }
        within.pop();
    }
}

/// The definition that a schema points at, also through a single `allOf`.
fn reference(schema: &Value) -> Option<&str> {
    let only = || match schema["allOf"].as_array().map(Vec::as_slice) {
        Some([only]) => only["$ref"].as_str(),
        _ => None,
    };
    schema["$ref"].as_str().or_else(only)?.strip_prefix(REFERENCE)
}
