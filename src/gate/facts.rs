//! What must be asked, and what was answered? Questions that `decide` may raise before it refuses, and their answers.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::drift::declared::ObjectKey;
use crate::drift::form::Form;
use crate::gate::basis::{CommitId, CommitInfo, SourceId};

/// Something that only the world can tell. Raised only where the write is refused, or an answer may make it so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Was this merged a moment ago? Answered by a fetch and a newer basis. Silence: ruled by the revision at hand.
    Fetch(SourceId),
    /// Which commit last wrote this line? Only betters the message. Silence: the file and the revision in force.
    Blame(Line),
    /// What does the server make of this declaration (server form)? Silence: what is unknown is at most a warning.
    Form(FormOf),
    /// May this user break the glass under this policy? Silence: no.
    Access {
        /// User name.
        user: String,
        /// The governing policy.
        policy: String,
    },
    /// Which declared object owns this Pod or ReplicaSet? Silence: let in and recorded.
    Owner(ObjectKey),
    /// Is this namespace terminating, and what are its annotations? Silence: not terminating, none.
    Namespace(String),
}

/// A declaration whose server form is asked for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FormOf {
    /// The object.
    pub object: ObjectKey,
    /// What Git says of it, or said before, as [`Declared::json`](crate::drift::declared::Declared::json) has it.
    pub manifest: Manifest,
}

impl fmt::Debug for FormOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.object.fmt(f)
    }
}

/// A manifest as compact JSON. It may be a Secret's, so nothing of it is ever printed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Manifest(Arc<[u8]>);

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Manifest({} bytes)", self.0.len())
    }
}

impl Deref for Manifest {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Manifest {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Manifest {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Manifest {
    fn from(json: &[u8]) -> Self {
        Self(json.into())
    }
}

/// Server forms by manifest, all of the object that is written; `None` where it was asked and is not known.
pub type Forms = BTreeMap<Manifest, Option<Arc<Form>>>;

/// A line of a file at a revision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// The source.
    pub source: SourceId,
    /// The revision.
    pub revision: CommitId,
    /// The file, from the root of the repository.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

/// What has been answered so far.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Sources that have been asked for anew (answered or not): they are not asked again for this write.
    pub fetched: BTreeSet<SourceId>,
    /// Those of them that gave no answer.
    pub silent: BTreeSet<SourceId>,
    /// Who last wrote a line; `None` where it was asked and not known in time.
    pub blame: BTreeMap<Line, Option<CommitInfo>>,
    /// Terminating namespaces, among those asked for; others are absent or false.
    pub terminating: BTreeMap<String, bool>,
    /// What the server makes of declarations of the object.
    pub forms: Forms,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_manifest_and_no_form_is_ever_printed() {
        let manifest = Manifest::from(&br#"{"data":{"key":"hidden"}}"#[..]);
        let mut facts = Facts::default();
        let form = Form::made(r#"{"data":{"key":"hidden"}}"#, r#"{"data":{"key":"hidden","n":1}}"#);
        facts.forms.insert(manifest.clone(), Some(Arc::new(form)));
        let question = Question::Form(FormOf { object: ObjectKey::new("", "Secret", "shop", "key"), manifest });
        for printed in [format!("{facts:?}"), format!("{facts:#?}"), format!("{question:?}")] {
            // Neither as text nor as the numbers of its bytes.
            assert!(!printed.contains("hidden") && !printed.contains("104"), "{printed}");
        }
    }
}
