//! What stands at a path of a document? A plain lookup, for values to show; it decides nothing.

use crate::drift::document::{At, Value};
use crate::drift::path::{FieldPath, Scalar, Segment};

/// The place at a path, if there is one. An item is found by the keys that it writes out itself.
pub fn at<'d, 'j>(root: At<'d, 'j>, path: &FieldPath) -> Option<At<'d, 'j>> {
    path.0.iter().try_fold(root, |at, segment| match segment {
        Segment::Field(name) => at.get(name),
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
pub fn json(root: At<'_, '_>, path: &FieldPath) -> Option<String> {
    at(root, path).map(At::to_json)
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
    use crate::gate::lookup;

    #[test]
    fn every_kind_of_step_is_followed() {
        let json = br#"{"a":{"b.c":[{"name":"x","v":1},{"name":"y","v":2}],"set":["p","q"]}}"#;
        let document = Document::parse(json).unwrap();
        let found = |path: &str| lookup::json(document.root(), &path.parse().unwrap());
        assert_eq!(found(r#"a["b.c"][name=y].v"#).as_deref(), Some("2"));
        assert_eq!(found(r#"a["b.c"][1].name"#).as_deref(), Some("\"y\""));
        assert_eq!(found(r#"a.set[="q"]"#).as_deref(), Some("\"q\""));
        assert_eq!(found(r#"a["b.c"][name=z]"#), None);
        assert_eq!(found("a.set.x"), None);
        assert_eq!(found("").map(|json| json.len()), Some(json.len()));
    }
}
