//! Where does Landfast answer otherwise than the API server? The closed table of deliberate exceptions.
//!
//! The server stores these fields of custom resources as they were written, so that `1Gi` and `1024Mi` are two values to it.
//! Whoever reads them takes them for one. An entry names a schema format, never a kind or a path; the oracle test masks
//! exactly these, by name.

use crate::drift::schema::Meaning;

/// One deliberate exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception {
    /// What the oracle's report calls it.
    pub name: &'static str,
    /// What a schema must say for it to hold.
    pub schema: &'static str,
    /// The meaning by which such values are compared.
    pub meaning: Meaning,
}

/// All of them.
pub const EXCEPTIONS: [Exception; 3] = [
    Exception {
        name: "custom-quantity",
        schema: "x-kubernetes-int-or-string with the pattern of a quantity",
        meaning: Meaning::CustomQuantity,
    },
    Exception { name: "custom-duration", schema: "format: duration", meaning: Meaning::Duration },
    Exception { name: "custom-date-time", schema: "format: date-time", meaning: Meaning::CustomTime },
];

impl Exception {
    /// The exception that holds for values of that meaning.
    pub fn of(meaning: Meaning) -> Option<Self> {
        EXCEPTIONS.into_iter().find(|exception| exception.meaning == meaning)
    }
}
