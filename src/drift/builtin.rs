//! What are the built-in kinds? The embedded table, loaded once.

use crate::drift::schema::Schemas;

impl Schemas {
    /// The embedded table of the built-in kinds.
    pub fn builtin() -> Self {
        Self::default()
    }
}
