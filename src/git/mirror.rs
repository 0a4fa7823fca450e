//! Which commits do we have? A bare repository of our own per source, and what it says of commits.
//!
//! Never talks to a remote. Objects stay in a mirror for good, so that what was in force can be read again after a
//! force-push.

use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::{Oid, Repository, Sort};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::gate::basis::{CommitId, CommitInfo, SourceId};
use crate::git::GitError;
use crate::limits;

/// A bare repository of our own; one thread at a time.
pub struct Mirror {
    pub(super) repository: Repository,
}

/// A commit that was the head, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The commit.
    pub commit: CommitId,
    /// When landfast saw it as the head; from history alone, when it was committed.
    pub observed: Timestamp,
}

/// Where the mirror of a source stands under the state folder: its name for people, a digest for uniqueness.
///
/// Another URL is another mirror, so that objects of two repositories never mix.
pub fn folder(state: &Path, source: &SourceId, url: &str) -> PathBuf {
    let digest = Sha256::digest(format!("{source}\n{url}"));
    let short = digest.iter().take(6).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let name: String = source.0.chars().map(plain).take(80).collect();
    state.join("mirrors").join(format!("{name}-{short:012x}.git"))
}

fn plain(c: char) -> char {
    if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }
}

impl Mirror {
    /// Opens a mirror that a fetch has made.
    pub fn open(folder: &Path) -> Result<Self, GitError> {
        let repository = Repository::open_bare(folder).map_err(GitError::unreadable("the mirror"))?;
        Ok(Self { repository })
    }

    /// Whether that commit can be read.
    pub fn holds(&self, commit: &CommitId) -> bool {
        self.commit(commit).is_ok()
    }

    /// Author and date of a commit.
    pub fn info(&self, commit: &CommitId) -> Result<CommitInfo, GitError> {
        Ok(info(&self.commit(commit)?))
    }

    /// The commits that were the head since `since`, by first-parent history and commit times, the oldest first, `head` last.
    ///
    /// The one that was the head at `since` is among them. Times never go backwards and never beyond `now`, whatever the
    /// committers' clocks said. At most [`limits::HEADS_MAX`].
    pub fn heads_since(&self, head: &CommitId, since: Timestamp, now: Timestamp) -> Result<Vec<Head>, GitError> {
        let mut heads = Vec::new();
        let (mut commit, mut latest) = (self.commit(head)?, now);
        loop {
            latest = latest.min(instant(commit.time()));
            heads.push(Head { commit: id(commit.id()), observed: latest });
            if latest < since || heads.len() >= limits::HEADS_MAX {
                break;
            }
            let Ok(parent) = commit.parent(0) else { break };
            commit = parent;
        }
        heads.reverse();
        Ok(heads)
    }

    /// The commits that may have been the head between `known` and `head`: the first-parent history of `head` that `known`
    /// does not have, the oldest first, `head` last. At most the last [`limits::HEADS_MAX`].
    pub fn heads_between(&self, known: &CommitId, head: &CommitId) -> Result<Vec<CommitId>, GitError> {
        let what = || GitError::unreadable("the history");
        let [known, head] = [self.commit(known)?.id(), self.commit(head)?.id()];
        let mut walk = self.repository.revwalk().map_err(what())?;
        walk.set_sorting(Sort::TOPOLOGICAL).map_err(what())?;
        walk.simplify_first_parent().map_err(what())?;
        walk.push(head).map_err(what())?;
        walk.hide(known).map_err(what())?;
        let between: Result<Vec<Oid>, _> = walk.take(limits::HEADS_MAX).collect();
        Ok(between.map_err(what())?.into_iter().rev().map(id).collect())
    }

    /// Whether `older` is among the ancestors of `newer` (or the same).
    pub fn descends(&self, newer: &CommitId, older: &CommitId) -> Result<bool, GitError> {
        let [newer, older] = [self.commit(newer)?.id(), self.commit(older)?.id()];
        if newer == older {
            return Ok(true);
        }
        self.repository.graph_descendant_of(newer, older).map_err(GitError::unreadable("the history"))
    }

    pub(super) fn commit(&self, commit: &CommitId) -> Result<git2::Commit<'_>, GitError> {
        let what = || GitError::unreadable(format!("commit {commit}"));
        let oid = Oid::from_str(&commit.0).map_err(what())?;
        self.repository.find_commit(oid).map_err(what())
    }
}

pub(super) fn id(oid: Oid) -> CommitId {
    CommitId(oid.to_string().into())
}

pub(super) fn info(commit: &git2::Commit<'_>) -> CommitInfo {
    let author = commit.author();
    let name = String::from_utf8_lossy(author.name_bytes());
    let author_name = name.chars().filter(|c| !c.is_control()).take(limits::VALUE_CHARS_MAX).collect();
    CommitInfo { commit: id(commit.id()), author: author_name, date: instant(author.when()) }
}

/// A commit's time; whatever a committer wrote becomes an instant.
fn instant(time: git2::Time) -> Timestamp {
    let seconds = Duration::from_secs(time.seconds().unsigned_abs());
    let from = Timestamp::UNIX_EPOCH;
    let instant = if time.seconds() < 0 { from.checked_sub(seconds) } else { from.checked_add(seconds) };
    instant.unwrap_or(if time.seconds() < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Mirror").field(&self.repository.path()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_commit_time_is_an_instant() {
        for seconds in [i64::MIN, -1, 0, 1_700_000_000, i64::MAX] {
            let instant = instant(git2::Time::new(seconds, 0));
            assert_eq!(instant.as_second().signum(), seconds.signum());
        }
    }

    #[test]
    fn mirrors_of_two_urls_are_two() {
        let folder = |source: &str, url| folder(Path::new("/s"), &SourceId(source.into()), url);
        assert_ne!(folder("a", "file:///x"), folder("a", "file:///y"));
        assert_ne!(folder("a.b", "file:///x"), folder("a_b", "file:///x"));
        assert_eq!(folder("../a", "file:///x").parent(), Some(Path::new("/s/mirrors")));
    }
}
