//! How does what stands here merge, and what is it where it is absent? A schema's member, or what is deduced without one.

use crate::drift::document::{At, Value};
use crate::drift::quantity::Stands;
use crate::drift::schema::{Default, MapRef, Meaning, MemberRef, Relation, SchemaRef, Shape, Zero};

/// A place for a value: its type, and what its absence means.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot<'s> {
    pub(crate) kind: Type<'s>,
    pub(crate) zero: Zero,
    pub(crate) default: Default<'s>,
    /// Whether `null` is a value of its own.
    pub(crate) nullable: bool,
    /// Whether the schema names this member, so that the server itself may write it.
    pub(crate) named: bool,
}

/// A type of a schema, or one that needs none.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Type<'s> {
    Schema(SchemaRef<'s>),
    /// Nothing is known.
    Deduced,
    /// A set of scalars: `metadata.finalizers` of any kind.
    Finalizers,
    /// The metadata of any kind.
    Metadata,
}

/// How a value of a type merges.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form<'s> {
    Scalar(Meaning),
    /// A list that is one value, and what its items are.
    Whole(Slot<'s>),
    /// A list whose items are told apart.
    List(Relation<'s>, Slot<'s>),
    /// An object that is one value.
    WholeMap(Fields<'s>),
    Map(Fields<'s>),
    /// Objects are granular, lists one value.
    Deduced,
}

/// The members of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fields<'s> {
    Schema(MapRef<'s>),
    Deduced,
    Metadata,
}

impl<'s> Slot<'s> {
    /// A place of which only the type is known: absence is absence.
    pub(crate) fn of(kind: Type<'s>) -> Self {
        Self { kind, zero: Zero::Value, default: Default::None, nullable: false, named: true }
    }

    /// A place where every JSON value, `null` included, is itself.
    pub(crate) fn deduced() -> Self {
        Self { nullable: true, ..Self::of(Type::Deduced) }
    }

    /// An item of a list: never absent; `null` stands for its zero value in a Go list, for itself in a custom resource.
    fn item(schema: SchemaRef<'s>) -> Self {
        let zero = if schema.is_custom() { Zero::Value } else { Zero::Written };
        Self { nullable: schema.is_custom(), zero, named: false, ..Self::of(Type::Schema(schema)) }
    }

    fn member(member: MemberRef<'s>, named: bool) -> Self {
        let MemberRef { schema, zero, default, nullable } = member;
        // What stands in an open object without a schema of its own keeps its nulls.
        let nullable = nullable || (!named && matches!(schema.shape(), Shape::Deduced));
        Self { kind: Type::Schema(schema), zero, default, nullable, named }
    }

    pub(crate) fn form(self) -> Form<'s> {
        match self.kind {
            Type::Schema(schema) => match schema.shape() {
                Shape::Scalar(meaning) => Form::Scalar(meaning),
                Shape::List { relation: Relation::Atomic, item } => Form::Whole(Slot::item(item)),
                Shape::List { relation: relation @ (Relation::Set | Relation::Keyed(_)), item } => {
                    Form::List(relation, Slot::item(item))
                }
                Shape::Map(map) if map.atomic() => Form::WholeMap(Fields::Schema(map)),
                Shape::Map(map) => Form::Map(Fields::Schema(map)),
                Shape::Deduced => Form::Deduced,
            },
            Type::Deduced => Form::Deduced,
            Type::Finalizers => Form::List(Relation::Set, Slot::deduced()),
            Type::Metadata => Form::Map(Fields::Metadata),
        }
    }

    /// Whether a value is this place's zero value.
    pub(crate) fn is_zero(self, at: At<'_, '_>) -> bool {
        is_zero(at) || (matches!(self.form(), Form::Scalar(Meaning::Quantity)) && at.as_str() == Some("0"))
    }

    /// Whether what is stored may lack what this version fills in, somewhere in the kind.
    pub(crate) fn is_varied(self) -> bool {
        match self.kind {
            Type::Schema(schema) => schema.is_varied(),
            Type::Deduced | Type::Finalizers | Type::Metadata => false,
        }
    }

    /// Where a quantity here stands.
    pub(crate) fn stands(self) -> Stands {
        if self.named { Stands::Alone } else { Stands::InResourceList }
    }

    /// What stands here in effect: `null` is absence, unless it is a value here.
    pub(crate) fn present<'d, 'j>(self, at: Option<At<'d, 'j>>) -> Option<At<'d, 'j>> {
        at.filter(|at| !at.is_null() || self.nullable || self.zero == Zero::Written)
    }
}

impl<'s> Fields<'s> {
    /// The place of the member of that name; `None` where the schema has no such member.
    pub(crate) fn slot(self, name: &str) -> Option<Slot<'s>> {
        match self {
            Fields::Schema(map) => match map.named(name) {
                Some(member) => Some(Slot::member(member, true)),
                None => map.any().map(|member| Slot::member(member, false)),
            },
            Fields::Deduced => Some(Slot::deduced()),
            Fields::Metadata if name == "finalizers" => Some(Slot { zero: Zero::Absent, ..Slot::of(Type::Finalizers) }),
            Fields::Metadata => Some(Slot { zero: Zero::Absent, ..Slot::of(Type::Deduced) }),
        }
    }
}

/// Whether a value is the zero value of its JSON type, as Go has it.
pub(crate) fn is_zero(at: At<'_, '_>) -> bool {
    match at.value() {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array | Value::Object => at.is_leaf(),
    }
}
