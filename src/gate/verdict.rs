//! What follows? A verdict, complete and ready to be answered, recorded and shown.

use serde::{Deserialize, Serialize};

use crate::drift::declared::ObjectKey;
use crate::drift::path::FieldPath;
use crate::gate::basis::{CommitId, CommitInfo, SourceId};
use crate::gate::facts::Question;
use crate::gate::ignore::Exception;
use crate::gate::incident::Glass;
use crate::gate::patch::Patch;
use crate::gate::write::User;

/// What we do with a write, the mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Ruling {
    /// Let in.
    Allow,
    /// Let in, with a warning.
    Warn,
    /// Let in, with a mark on the object.
    Annotate,
    /// Let in, with each drifted path put back.
    Revert,
    /// Refuse.
    #[default]
    Deny,
}

impl Ruling {
    /// As policies and verdicts write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Warn => "Warn",
            Self::Annotate => "Annotate",
            Self::Revert => "Revert",
            Self::Deny => "Deny",
        }
    }
}

/// What a writer is to Landfast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WriterRole {
    /// Our own account.
    Landfast,
    /// Trusted by content.
    Deployer,
    /// May move what is delegated to it.
    Controller,
    /// Every other service account.
    Service,
    /// Everyone else.
    Person,
}

impl WriterRole {
    /// As verdicts and metrics write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Landfast => "Landfast",
            Self::Deployer => "Deployer",
            Self::Controller => "Controller",
            Self::Service => "Service",
            Self::Person => "Person",
        }
    }
}

/// What a changed path is to Git.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Leaves Git's value.
    Drifts,
    /// Returns to it.
    Restores,
    /// Differed before and is not touched.
    Preexisting,
    /// Not declared.
    Undeclared,
    /// Declared items in another order.
    Reordered,
}

impl Class {
    /// As verdicts write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drifts => "drifts",
            Self::Restores => "restores",
            Self::Preexisting => "preexisting",
            Self::Undeclared => "undeclared",
            Self::Reordered => "reordered",
        }
    }
}

/// One field of a verdict. Values are compact JSON, shortened, and never those of a Secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Where.
    pub path: FieldPath,
    /// What the change is.
    pub class: Class,
    /// Git's value.
    pub git: Option<String>,
    /// The value before the write.
    pub before: Option<String>,
    /// The value in the write.
    pub written: Option<String>,
    /// Where Git says so.
    pub origin: Option<Origin>,
}

/// Where Git says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file, from the root of the repository.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// Since when, as far as it is known.
    pub commit: Option<At>,
}

/// At which commit Git says something. The revision in force names nobody: its author need not have written the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// The commit that last wrote the line.
    Written(CommitInfo),
    /// The revision in force, where it is not known who wrote the line.
    InForce(CommitId),
}

impl At {
    /// The commit, whoever wrote it.
    pub fn commit(&self) -> &CommitId {
        match self {
            Self::Written(info) => &info.commit,
            Self::InForce(commit) => commit,
        }
    }

    /// Who wrote the line and when, where that is known.
    pub fn written(&self) -> Option<&CommitInfo> {
        match self {
            Self::Written(info) => Some(info),
            Self::InForce(_) => None,
        }
    }
}

/// What is decided of one write.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// What is ruled.
    pub ruling: Ruling,
    /// Whether it takes effect (mode Enforce); in mode Observe all is let in and nothing is warned.
    pub enforced: bool,
    /// The object the write is about: the parent for `/scale` and `/status`.
    pub object: ObjectKey,
    /// Its version.
    pub version: String,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: &'static str,
    /// Subresource; empty for the main resource.
    pub subresource: String,
    /// Who writes.
    pub user: User,
    /// What that is to us.
    pub role: WriterRole,
    /// The policy that governed; absent where none did.
    pub policy: Option<String>,
    /// The source that declares the object; absent where none does.
    pub source: Option<SourceId>,
    /// That source's revision.
    pub revision: Option<CommitId>,
    /// Owners of the file, by CODEOWNERS.
    pub owners: Vec<String>,
    /// Where Git declares the object, of a verdict on all of it: a delete, an owner that would have it deleted.
    pub origin: Option<Origin>,
    /// The fields that matter; those that the ruling rests on come first.
    pub fields: Vec<Field>,
    /// How many of them those are.
    pub charged: usize,
    /// The whole message for a refusal, as kubectl shows it; empty where there is nothing to say.
    pub message: String,
    /// Warnings for the writer, each at most 120 characters, without control characters.
    pub warnings: Vec<String>,
    /// Warnings of what is kept as it was, for the pass that keeps it.
    pub kept: Vec<String>,
    /// How the write is changed on its way in; empty where it is not, or where that does not take effect.
    pub patch: Patch,
    /// Entries of policies that name the writer: the policy's name and its own.
    pub writers: Vec<(String, String)>,
    /// Who left out of the declaration something that differs.
    pub ignored: Vec<Exception>,
    /// What it has to do with a break-glass.
    pub glass: Option<Glass>,
    /// Why, in a few words that a record keeps, as in `agrees with Git` or `drifts from Git`.
    pub reason: &'static str,
}

impl Verdict {
    /// Whether the write goes in.
    pub fn allowed(&self) -> bool {
        !(self.enforced && self.ruling == Ruling::Deny)
    }

    /// Whether the pass that changes a write tells of it and records it; all else the last pass does.
    pub fn is_told_while_changing(&self) -> bool {
        self.enforced && matches!(self.ruling, Ruling::Annotate | Ruling::Revert)
    }

    /// Whether anything of the write is kept out: it is refused, or put back.
    pub fn takes_away(&self) -> bool {
        self.enforced && self.ruling >= Ruling::Revert
    }
}

impl Outcome {
    /// The same where nothing can be changed any more: on the object that would be stored. What is still to be put back is
    /// refused, and a mark that is still to be set cannot be; of one that is set, whoever set it has told.
    #[must_use]
    pub fn at_last(mut self) -> Self {
        let verdict = &mut self.verdict;
        let is_changed = !std::mem::take(&mut verdict.patch).is_empty();
        let kept = std::mem::take(&mut verdict.kept);
        if is_changed {
            // Nobody has kept it.
            verdict.warnings.extend(kept);
        }
        match (verdict.enforced, verdict.ruling) {
            (true, Ruling::Revert) => {
                verdict.ruling = Ruling::Deny;
                verdict.warnings.clear();
            }
            (true, Ruling::Annotate) if is_changed => verdict.ruling = Ruling::Warn,
            (true, Ruling::Annotate) => verdict.warnings.clear(),
            (false, _) | (true, Ruling::Allow | Ruling::Warn | Ruling::Deny) => {}
        }
        self
    }
}

/// A verdict, and what could still change it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What is ruled if nobody answers.
    pub verdict: Verdict,
    /// What could still change it; empty for nearly every write.
    pub questions: Vec<Question>,
    /// What would tell more of a write that is let in anyway: taken where it is at hand, never waited for.
    pub asides: Vec<Question>,
    /// Whether the write sets the annotation of a break-glass: one that does not count goes, also where the write goes in otherwise.
    pub sets_break_glass: bool,
}
