//! What must be asked, and what was answered? Questions that `decide` may raise before it refuses, and their answers.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::drift::declared::ObjectKey;
use crate::drift::form::Form;
use crate::gate::ask::Ask;
use crate::gate::basis::{CommitId, CommitInfo, SourceId};
use crate::gate::grant::Grant;
use crate::gate::incident::Glass;
use crate::gate::write::User;

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
        /// The writer, with groups and extra: rights may rest on each of them.
        user: User,
        /// The governing policy.
        policy: String,
    },
    /// Make the record of this break-glass, before the write that opens it is answered. Silence: it does not count.
    Open(Opening),
    /// Is there an open record of this name, or of one that followed it? Another replica may just have made it. Silence: no.
    Record(Sought),
    /// Note in this record that it has ended. Silence: it ends with its time.
    End {
        /// The record and what it says.
        glass: Glass,
        /// Who ends it.
        by: String,
    },
    /// Which controllers own this Pod or ReplicaSet? Silence: let in and recorded.
    Owner(ObjectKey),
    /// Is this namespace terminating, and what are its annotations? Silence: not terminating, none.
    Namespace(String),
}

impl Question {
    /// Whether it is about a way through in an incident.
    pub fn is_of_break_glass(&self) -> bool {
        match self {
            Self::Access { .. } | Self::Open(_) | Self::Record(_) | Self::End { .. } | Self::Namespace(_) => true,
            Self::Fetch(_) | Self::Blame(_) | Self::Form(_) | Self::Owner(_) => false,
        }
    }
}

/// A break-glass that an annotation opens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opening {
    /// Name of the record, the same on every replica.
    pub record: String,
    /// The object.
    pub object: ObjectKey,
    /// Its uid: made anew it is another object.
    pub uid: String,
    /// Why.
    pub reason: String,
    /// For how long.
    pub duration: Duration,
    /// Who opens it.
    pub by: String,
    /// Records of the same object that it takes the place of.
    pub replaces: Vec<String>,
}

/// A record that is looked for because an annotation stands for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sought {
    /// Its name.
    pub record: String,
    /// When the annotation was set, as the server notes it: before that its record was made. Set anew it was set at another time.
    pub set: Option<String>,
}

/// A controller of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The controller.
    pub key: ObjectKey,
    /// Its uid.
    pub uid: String,
}

/// What the API server says of a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Yes.
    Granted,
    /// No.
    Refused,
    /// Nothing, in time.
    Unknown,
}

/// A namespace, as far as it was asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Its uid.
    pub uid: Option<String>,
    /// What its annotations ask for.
    pub ask: Option<Ask>,
    /// When that was set, as the server notes it.
    pub set: Option<String>,
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

/// Which pass of admission asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pass {
    /// The mutating one: what it lets in is judged once more, so it opens and ends no break-glass.
    Changing,
    /// The validating one, on the object that would be stored; also whoever asks without a server.
    #[default]
    Last,
}

/// What has been answered so far.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The pass that it is answered for.
    pub pass: Pass,
    /// Sources that have been asked for anew (answered or not): they are not asked again for this write.
    pub fetched: BTreeSet<SourceId>,
    /// Those of them that gave no answer.
    pub silent: BTreeSet<SourceId>,
    /// Who last wrote a line; `None` where it was asked and not known in time.
    pub blame: BTreeMap<Line, Option<CommitInfo>>,
    /// Namespaces that were asked for; of those that gave no answer nothing is known.
    pub namespaces: BTreeMap<String, Namespace>,
    /// Whether the writer may break the glass, by policy.
    pub access: BTreeMap<String, Access>,
    /// Open records of break-glass by the name that was asked for or was to be made; `None` where there is none.
    pub records: BTreeMap<String, Option<Arc<Grant>>>,
    /// Break-glass that was told that it has ended, or was tried to be.
    pub ended: BTreeSet<Glass>,
    /// What the server makes of declarations of the object.
    pub forms: Forms,
    /// Controllers of an object, the nearest first; `None` where it was asked and is not known.
    pub owners: BTreeMap<ObjectKey, Option<Vec<Owner>>>,
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
