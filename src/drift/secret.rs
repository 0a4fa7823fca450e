//! What does a Secret hold? Its `data` with `stringData` folded in, as the API server does before admission sees it.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/v1` (conversion of Secret): `stringData` wins over `data`.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::drift::document::{At, Value};
use crate::drift::value::{bytes, equal};

/// Whether this is a Secret of the core group.
pub(crate) fn is_secret(object: At<'_, '_>) -> bool {
    let is = |name, text| object.get(name).and_then(At::as_str) == Some(text);
    is("kind", "Secret") && is("apiVersion", "v1")
}

/// A Secret's two maps as one.
#[derive(Clone, Copy)]
pub(crate) struct Folded<'d, 'j> {
    data: Option<At<'d, 'j>>,
    string_data: Option<At<'d, 'j>>,
}

/// What a Secret holds under one name.
enum Held<'d, 'j> {
    Bytes(Cow<'d, [u8]>),
    /// Nothing that the server would take.
    Other(At<'d, 'j>),
}

impl<'d, 'j> Folded<'d, 'j> {
    pub(crate) fn of(secret: At<'d, 'j>) -> Self {
        Self { data: secret.get("data"), string_data: secret.get("stringData") }
    }

    /// Whether anything is held under that name.
    pub(crate) fn holds(self, name: &str) -> bool {
        self.held(name).is_some()
    }

    /// Whether a member of `data` is overridden by `stringData`.
    pub(crate) fn is_overridden(self, member: At<'_, '_>) -> bool {
        let own = self.string_data.and_then(|data| data.get(member.key()));
        own.is_some_and(|own| own.index() != member.index())
    }

    fn held(self, name: &str) -> Option<Held<'d, 'j>> {
        if let Some(at) = self.string_data.and_then(|data| data.get(name)) {
            return Some(match at.value() {
                Value::String(text) => Held::Bytes(Cow::Borrowed(text.as_bytes())),
                Value::Null => Held::Bytes(Cow::Borrowed(&[])),
                Value::Bool(_) | Value::Number(_) | Value::Array | Value::Object => Held::Other(at),
            });
        }
        let at = self.data?.get(name)?;
        Some(match at.value() {
            Value::Null => Held::Bytes(Cow::Borrowed(&[])),
            Value::String(text) => bytes(text).map_or(Held::Other(at), |bytes| Held::Bytes(Cow::Owned(bytes))),
            Value::Bool(_) | Value::Number(_) | Value::Array | Value::Object => Held::Other(at),
        })
    }

    /// Whether both hold the same under that name.
    pub(crate) fn agrees(self, other: Folded<'_, '_>, name: &str) -> bool {
        match (self.held(name), other.held(name)) {
            (None, None) => true,
            (Some(Held::Bytes(one)), Some(Held::Bytes(other))) => one == other,
            (Some(Held::Other(one)), Some(Held::Other(other))) => equal(one, other),
            (Some(_) | None, _) => false,
        }
    }

    /// What is held under that name, as `data` has it: compact JSON.
    pub(crate) fn json(self, name: &str) -> Option<String> {
        self.held(name).map(|held| match held {
            Held::Bytes(bytes) => format!("\"{}\"", STANDARD.encode(bytes)),
            Held::Other(at) => at.to_json(),
        })
    }
}
