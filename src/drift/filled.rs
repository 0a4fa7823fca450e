//! Would the server fill something in, though a declaration leaves an object as it is? Only where the version that Git declares
//! in has a default that the version lacks in which the object was written.
//!
//! Source: apiextensions-apiserver 1.36. An object gets the defaults of the version in which it is written, and when it is read
//! those of the version that is stored; converting it adds none.

use crate::drift::document::{At, Value};
use crate::drift::schema::{Default, Zero};
use crate::drift::slot::{Fields, Form, Slot};

/// Whether a write in this version would make another value of what stands here. Recurses no deeper than the document is.
pub(crate) fn would_fill(slot: Slot<'_>, live: At<'_, '_>) -> bool {
    slot.is_varied() && is_lacking(slot, live)
}

fn is_lacking(slot: Slot<'_>, live: At<'_, '_>) -> bool {
    match (slot.form(), live.value()) {
        // Where it is no value, a null goes.
        (_, Value::Null) => !slot.nullable && slot.zero == Zero::Value,
        (Form::Map(fields) | Form::WholeMap(fields), Value::Object) => {
            let is_within = |child: At<'_, '_>| fields.slot(child.key()).is_some_and(|slot| is_lacking(slot, child));
            lacks_a_member(fields, live) || live.children().any(is_within)
        }
        (Form::Whole(item) | Form::List(_, item), Value::Array) => live.children().any(|child| is_lacking(item, child)),
        (Form::Scalar(_) | Form::Whole(_) | Form::List(..) | Form::WholeMap(_) | Form::Map(_) | Form::Deduced, _) => {
            false
        }
    }
}

fn lacks_a_member(fields: Fields<'_>, live: At<'_, '_>) -> bool {
    match fields {
        Fields::Schema(map) => {
            map.members().any(|(name, member)| matches!(member.default, Default::Filled(_)) && live.get(name).is_none())
        }
        Fields::Deduced | Fields::Metadata => false,
    }
}
