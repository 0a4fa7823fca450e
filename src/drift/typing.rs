//! What must be known of a kind to compare its objects? Its schema, how metadata merges, and what becomes of `status`.

use crate::drift::mask::Mask;
use crate::drift::schema::{SchemaRef, Schemas};
use crate::drift::slot::{Fields, Form, Slot, Type};

/// What must be known of a kind to compare its objects.
#[derive(Debug, Clone, Copy)]
pub struct Typing<'s> {
    /// How its parts merge; `None` where nothing types it: then it is deduced as structured-merge-diff deduces it.
    pub schema: Option<SchemaRef<'s>>,
    /// How any object's metadata merges; needed only where nothing types the kind.
    pub metadata: Option<SchemaRef<'s>>,
    /// What becomes of `status`.
    pub status: Status,
    /// What is not compared.
    pub mask: Option<&'s Mask<'s>>,
}

/// What becomes of a kind's `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is a subresource: writes to the main resource leave it alone, and it is not compared.
    Apart,
    /// It is a field like any other.
    Field,
}

impl<'s> Typing<'s> {
    /// What these schemas know of a version of a kind. Where they know nothing, `status` is not compared.
    pub fn of(schemas: &'s Schemas, group: &str, version: &str, kind: &str) -> Self {
        let info = schemas.kind(group, kind);
        let own = info.and_then(|info| info.versions.iter().find(|known| known.version == version));
        let status = if own.is_some_and(|own| !own.status) { Status::Field } else { Status::Apart };
        let typed = schemas.schema("", "v1", "ConfigMap").map(|schema| Slot::of(Type::Schema(schema)).form());
        let metadata = match typed {
            Some(Form::Map(fields)) => fields.slot("metadata"),
            Some(Form::Scalar(_) | Form::Whole(_) | Form::List(..) | Form::WholeMap(_) | Form::Deduced) | None => None,
        };
        let metadata = metadata.and_then(|slot| match slot.kind {
            Type::Schema(schema) => Some(schema),
            Type::Deduced | Type::Finalizers | Type::Metadata => None,
        });
        Self { schema: schemas.schema(group, version, kind), metadata, status, mask: None }
    }

    /// Nothing is known of the kind.
    pub fn deduced() -> Self {
        Self { schema: None, metadata: None, status: Status::Apart, mask: None }
    }

    /// The same of an object that is being written in the version of this schema: it has all that the version fills in.
    #[must_use]
    pub fn of_written(self) -> Self {
        Self { schema: self.schema.map(SchemaRef::written), ..self }
    }

    /// The same, without what the mask leaves out.
    #[must_use]
    pub fn without(self, mask: &'s Mask<'s>) -> Self {
        Self { mask: Some(mask).filter(|mask| !mask.is_empty()), ..self }
    }

    /// The members of the whole object.
    pub(crate) fn root(self) -> Fields<'s> {
        let form = self.schema.map(|schema| Slot::of(Type::Schema(schema)).form());
        match form {
            Some(Form::Map(fields) | Form::WholeMap(fields)) => fields,
            Some(Form::Scalar(_) | Form::Whole(_) | Form::List(..) | Form::Deduced) | None => Fields::Deduced,
        }
    }

    /// The place of a member of the whole object; `None` where it is never compared, or no schema knows it.
    pub(crate) fn member(self, name: &str) -> Option<Slot<'s>> {
        match (name, self.status) {
            ("apiVersion" | "kind", _) | ("status", Status::Apart) => None,
            ("metadata", _) => Some(self.metadata_slot()),
            (_, Status::Apart | Status::Field) => self.root().slot(name),
        }
    }

    pub(crate) fn metadata_slot(self) -> Slot<'s> {
        let own = self.root().slot("metadata").filter(|slot| matches!(slot.form(), Form::Map(_)));
        own.unwrap_or_else(|| Slot::of(self.metadata.map_or(Type::Metadata, Type::Schema)))
    }
}

/// Whether the server alone writes this member of `metadata`, or it is the object's identity.
pub(crate) fn is_server_owned(name: &str) -> bool {
    matches!(
        name,
        "name"
            | "namespace"
            | "uid"
            | "resourceVersion"
            | "generation"
            | "creationTimestamp"
            | "deletionTimestamp"
            | "deletionGracePeriodSeconds"
            | "selfLink"
            | "managedFields"
    )
}
