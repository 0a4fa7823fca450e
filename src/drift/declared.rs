//! What does Git declare of one object, and where does each field stand?

use std::fmt;
use std::sync::Arc;

use crate::drift::path::Pattern;

/// The identity of an object, without its version: group, kind, namespace (empty: cluster-scoped) and name.
///
/// One string, `group/Kind/namespace/name`, because none of the four can contain a slash.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Arc<str>);

impl ObjectKey {
    /// Makes a key of its four parts; an empty namespace means cluster-scoped.
    pub fn new(group: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Self(format!("{group}/{kind}/{namespace}/{name}").into())
    }

    /// The key that [`fmt::Debug`] writes as this; `None` where it is none.
    pub fn read(text: &str) -> Option<Self> {
        (text.split('/').count() == 4).then(|| Self(text.into()))
    }

    fn part(&self, n: usize) -> &str {
        self.0.splitn(4, '/').nth(n).unwrap_or_default()
    }

    /// API group; empty for the core group.
    pub fn group(&self) -> &str {
        self.part(0)
    }

    /// Kind, as in `Deployment`.
    pub fn kind(&self) -> &str {
        self.part(1)
    }

    /// Namespace; empty where the object is cluster-scoped.
    pub fn namespace(&self) -> &str {
        self.part(2)
    }

    /// Name.
    pub fn name(&self) -> &str {
        self.part(3)
    }
}

impl fmt::Display for ObjectKey {
    /// `Deployment shop/web`, as a denial's first line has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace() {
            "" => write!(f, "{} {}", self.kind(), self.name()),
            ns => write!(f, "{} {ns}/{}", self.kind(), self.name()),
        }
    }
}

impl fmt::Debug for ObjectKey {
    /// `apps/Deployment/shop/web`: all of it, as [`ObjectKey::read`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one manifest in Git says of one object.
///
/// Kept small, because 100,000 of them are: the manifest as compact JSON, and one line number a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// The object.
    pub key: ObjectKey,
    /// The version of its group that the manifest is written in, as in `v1`.
    pub version: Box<str>,
    /// The manifest as compact JSON, without server-owned metadata; members in the order written.
    pub json: Box<[u8]>,
    /// One line a node of [`json`](Self::json), in document order: see [`Declared::line`].
    pub lines: Lines,
    /// The file, from the root of the repository.
    pub file: Arc<str>,
    /// What its own annotation leaves out of it.
    pub ignored: Box<[Pattern]>,
}

/// Line numbers of a document's nodes, packed as differences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines(Box<[u8]>);

impl Lines {
    /// Packs the lines of all nodes, in document order.
    pub fn pack(lines: impl IntoIterator<Item = u32>) -> Self {
        let mut bytes = Vec::new();
        let mut before = 0_i64;
        for line in lines {
            let difference = i64::from(line) - before;
            before = i64::from(line);
            // Zigzag, then seven bits a byte: most lines differ by 0 or 1 from the one before.
            let mut rest = (difference.cast_unsigned() << 1) ^ (difference >> 63).cast_unsigned();
            loop {
                let [low, ..] = (rest & 0x7f).to_le_bytes();
                rest >>= 7;
                bytes.push(if rest == 0 { low } else { low | 0x80 });
                if rest == 0 {
                    break;
                }
            }
        }
        Self(bytes.into())
    }

    /// The line of the node at `index`, if there is one.
    pub fn get(&self, index: usize) -> Option<u32> {
        let mut line = 0_i64;
        let mut bytes = self.0.iter();
        for _ in 0..=index {
            let (mut rest, mut shift) = (0_u64, 0_u32);
            loop {
                let byte = *bytes.next()?;
                rest |= u64::from(byte & 0x7f).checked_shl(shift)?;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            line += (rest >> 1).cast_signed() ^ -((rest & 1).cast_signed());
        }
        u32::try_from(line).ok()
    }
}
