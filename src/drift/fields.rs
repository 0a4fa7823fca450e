//! Which fields does a declaration declare? Every leaf with its node; an atomic list or map is one.

use crate::drift::compare::{Step, Trail, Typing, is_server_owned};
use crate::drift::document::{At, Document, Value};
use crate::drift::items::Identity;
use crate::drift::path::FieldPath;
use crate::drift::slot::{Fields, Form, Slot};

/// One declared leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Where.
    pub path: FieldPath,
    /// The node of the declaration's document, for its line.
    pub node: usize,
}

/// All declared leaves, in document order. Identity, server-owned metadata and a `status` that is a subresource are none.
pub fn fields(typing: Typing<'_>, declared: &Document<'_>) -> Vec<Field> {
    let mut found = Vec::new();
    for child in declared.root().children() {
        let trail = Trail { up: None, step: Step::Field(child.key()) };
        match (child.key(), typing.member(child.key())) {
            ("metadata", Some(slot)) => {
                for own in child.children().filter(|own| !is_server_owned(own.key())) {
                    let trail = Trail { up: Some(&trail), step: Step::Field(own.key()) };
                    gather(within(slot, own.key()), own, &trail, &mut found);
                }
            }
            (_, Some(slot)) => gather(slot, child, &trail, &mut found),
            (_, None) => {}
        }
    }
    found
}

fn within<'s>(slot: Slot<'s>, name: &str) -> Slot<'s> {
    match slot.form() {
        Form::Map(fields) => fields.slot(name).unwrap_or_else(Slot::deduced),
        Form::Scalar(_) | Form::Whole(_) | Form::List(..) | Form::WholeMap(_) | Form::Deduced => Slot::deduced(),
    }
}

/// Recurses no deeper than the document is.
fn gather(slot: Slot<'_>, at: At<'_, '_>, trail: &Trail<'_>, found: &mut Vec<Field>) {
    let members = match (slot.form(), at.value()) {
        (Form::Map(fields), Value::Object) if !at.is_leaf() => fields,
        (Form::Deduced, Value::Object) if !at.is_leaf() => Fields::Deduced,
        // A merged list without items declares nothing.
        (Form::List(relation, item), Value::Array) => {
            let identity = Identity { relation, item };
            for (position, own) in at.children().enumerate() {
                let step = Step::Item { identity, position, item: own };
                gather(item, own, &Trail { up: Some(trail), step }, found);
            }
            return;
        }
        _ => return found.push(Field { path: trail.path(), node: at.index() }),
    };
    for child in at.children() {
        let slot = members.slot(child.key()).unwrap_or_else(Slot::deduced);
        gather(slot, child, &Trail { up: Some(trail), step: Step::Field(child.key()) }, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::schema::Schemas;

    #[test]
    fn every_leaf_is_a_field_and_an_atomic_list_is_one() {
        let declared = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","labels":{"x":"1"}},
            "spec":{"replicas":1,"template":{"spec":{"nodeSelector":{},"initContainers":[],
            "containers":[{"name":"web","args":["a","b"]}]}}},"status":{"replicas":1}}"#;
        let declared = Document::parse(declared.as_bytes()).expect("an object");
        let schemas = Schemas::builtin();
        let found = fields(Typing::of(&schemas, "apps", "v1", "Deployment"), &declared);
        let found: Vec<_> = found.iter().map(|field| (field.path.to_string(), field.node)).collect();
        let found: Vec<_> = found.iter().map(|(path, node)| (path.as_str(), *node)).collect();
        assert_eq!(
            found,
            [
                ("metadata.labels.x", 6),
                ("spec.replicas", 8),
                ("spec.template.spec.nodeSelector", 11),
                ("spec.template.spec.containers[name=web].name", 15),
                ("spec.template.spec.containers[name=web].args", 16),
            ]
        );
    }
}
