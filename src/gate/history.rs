//! What did Git say of an object before? Distinct declarations, each with the interval in which it held.

use jiff::Timestamp;

/// One earlier declaration of an object, packed: an object's declarations differ in few bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// From when a head said so, as landfast observed it.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// The manifest; see [`Past::json`].
    pub packed: Packed,
}

/// A manifest as what differs from the next newer one: bytes shared at both ends, and those between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Leading bytes shared with the newer manifest.
    pub prefix: u32,
    /// Trailing bytes shared with it.
    pub suffix: u32,
    /// What stands between.
    pub middle: Box<[u8]>,
}

impl Packed {
    /// Packs `older` against `newer`.
    pub fn pack(older: &[u8], newer: &[u8]) -> Self {
        let _ = (older, newer);
        todo!()
    }

    /// The older manifest, from the newer one.
    pub fn unpack(&self, newer: &[u8]) -> Vec<u8> {
        let _ = newer;
        todo!()
    }
}
