//! What stands at a path of a document? A plain lookup, for values to show; it decides nothing.

use rustc_hash::FxHashMap;

use crate::drift::document::{At, Document, Value};
use crate::drift::path::{FieldPath, Scalar, Segment};
use crate::drift::value::Members;

/// Looks up paths of one document. Members are never looked for twice among the same thousands of siblings.
pub struct Lookup<'d, 'j> {
    root: At<'d, 'j>,
    members: FxHashMap<usize, Members<'d, 'j>>,
}

impl<'d, 'j> Lookup<'d, 'j> {
    /// Looks in this document.
    pub fn of(document: &'d Document<'j>) -> Self {
        Self { root: document.root(), members: FxHashMap::default() }
    }

    /// The place at a path, if there is one. An item is found by the keys that it writes out itself.
    pub fn at(&mut self, path: &FieldPath) -> Option<At<'d, 'j>> {
        path.0.iter().try_fold(self.root, |at, segment| match segment {
            Segment::Field(name) => self.member(at, name),
            Segment::Index(index) => at.children().nth(*index),
            Segment::Item(wanted) => at.children().find(|item| is(*item, wanted)),
            Segment::Key(keys) => at.children().find(|item| {
                // A key that the item leaves out stands for its default; the others must tell it apart.
                let fits = |(name, wanted): &(Box<str>, Scalar)| item.get(name).is_none_or(|value| is(value, wanted));
                keys.iter().all(fits) && keys.iter().any(|(name, _)| item.get(name).is_some())
            }),
        })
    }

    /// What stands at a path, as compact JSON.
    pub fn json(&mut self, path: &FieldPath) -> Option<String> {
        self.at(path).map(At::to_json)
    }

    fn member(&mut self, at: At<'d, 'j>, name: &str) -> Option<At<'d, 'j>> {
        matches!(at.value(), Value::Object)
            .then(|| self.members.entry(at.index()).or_insert_with(|| Members::of(at)).find(name))?
    }
}

fn is(at: At<'_, '_>, wanted: &Scalar) -> bool {
    match (at.value(), wanted) {
        (Value::Null, Scalar::Null) => true,
        (Value::Bool(value), Scalar::Bool(wanted)) => value == wanted,
        (Value::Number(number), Scalar::Number(wanted)) => number.to_string() == **wanted,
        (Value::String(text), Scalar::String(wanted)) => **text == **wanted,
        (_, Scalar::Null | Scalar::Bool(_) | Scalar::Number(_) | Scalar::String(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::drift::document::Document;
    use crate::drift::lookup::Lookup;

    #[test]
    fn every_kind_of_step_is_followed() {
        let json = br#"{"a":{"b.c":[{"name":"x","v":1},{"name":"y","v":2}],"set":["p","q"]}}"#;
        let document = Document::parse(json).unwrap();
        let mut lookup = Lookup::of(&document);
        let mut found = |path: &str| lookup.json(&path.parse().unwrap());
        assert_eq!(found(r#"a["b.c"][name=y].v"#).as_deref(), Some("2"));
        assert_eq!(found(r#"a["b.c"][1].name"#).as_deref(), Some("\"y\""));
        assert_eq!(found(r#"a.set[="q"]"#).as_deref(), Some("\"q\""));
        assert_eq!(found(r#"a["b.c"][name=z]"#), None);
        assert_eq!(found("a.set.x"), None);
        assert_eq!(found("").map(|json| json.len()), Some(json.len()));
    }
}
