//! What of a declaration does a server with this schema not keep? Fields that no schema knows.

use rustc_hash::FxHashSet;

use crate::drift::document::{At, Document, Value};
use crate::drift::schema::SchemaRef;
use crate::drift::slot::{Form, Slot, Type};

/// The nodes of a declaration that are dropped, each without what stands within it.
pub fn dropped(schema: SchemaRef<'_>, declared: &Document<'_>) -> FxHashSet<usize> {
    let mut found = FxHashSet::default();
    walk(Slot::of(Type::Schema(schema)), declared.root(), &mut found);
    found
}

/// Recurses no deeper than the document is.
fn walk(slot: Slot<'_>, declared: At<'_, '_>, found: &mut FxHashSet<usize>) {
    match (slot.form(), declared.value()) {
        (Form::Map(fields) | Form::WholeMap(fields), Value::Object) => {
            for child in declared.children() {
                match fields.slot(child.key()) {
                    Some(slot) => walk(slot, child, found),
                    None => _ = found.insert(child.index()),
                }
            }
        }
        (Form::Whole(item) | Form::List(_, item), Value::Array) => {
            declared.children().for_each(|child| walk(item, child, found));
        }
        (Form::Scalar(_) | Form::Map(_) | Form::WholeMap(_) | Form::Whole(_) | Form::List(..) | Form::Deduced, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::schema::Schemas;

    #[test]
    fn what_no_schema_knows_is_dropped_wherever_it_stands() {
        let schemas = Schemas::builtin();
        let text = br#"{"kind":"Service","metadata":{"labels":{"any":"x"}},"spec":{"no":1,"ports":[{"port":80,"no":{"a":1}}]}}"#;
        let declared = Document::parse(text).unwrap();
        let found = dropped(schemas.schema("", "v1", "Service").unwrap(), &declared);
        let spec = declared.root().get("spec").unwrap();
        let port = spec.get("ports").unwrap().children().next().unwrap();
        let expected = [spec.get("no").unwrap().index(), port.get("no").unwrap().index()];
        assert_eq!(found, expected.into_iter().collect());
    }
}
