//! What does Git say? Mirrors of remote repositories, and what can be read from them.
//!
//! All of it blocks, save [`fetch::Fetcher`]: callers go through `spawn_blocking`. Only a child process ever talks to a remote
//! ([`child`]), so a server that hangs or lies can be ended. Nothing here knows what a manifest is, and no URL is printed
//! with its password.

pub mod blame;
pub mod child;
pub mod fetch;
pub mod mirror;
pub mod owners;
pub mod redact;
pub mod tree;

/// Why something cannot be read from a mirror.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The mirror itself, or an object in it, cannot be read.
    #[error("cannot read {what}")]
    Unreadable {
        /// What was to be read.
        what: String,
        /// What libgit2 says.
        source: git2::Error,
    },
    /// The folder that declares is not in the commit.
    #[error("no folder `{0}` in the repository")]
    NoFolder(String),
    /// More entries than we walk.
    #[error("the tree holds more than {0} entries")]
    TooManyEntries(usize),
    /// More files than we keep.
    #[error("the tree holds more than {0} files that may hold manifests")]
    TooManyFiles(usize),
    /// Folders in folders beyond measure.
    #[error("folders stand deeper than {0}")]
    TooDeep(usize),
    /// A file larger than we read.
    #[error("the file has {bytes} bytes, more than the {most} that are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// Our bound.
        most: usize,
    },
}

impl GitError {
    pub(crate) fn unreadable(what: impl Into<String>) -> impl FnOnce(git2::Error) -> Self {
        let what = what.into();
        move |source| Self::Unreadable { what, source }
    }
}
