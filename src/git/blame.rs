//! Which commit last wrote this line?
//!
//! Follows one line from a commit to its parents until it was not there. Git's own blame answers for all lines of a file
//! and cannot be stopped; this one asks `go_on` at every commit.

use std::path::Path;

use git2::{Blob, Commit, DiffOptions, Oid, Patch};

use crate::gate::basis::{CommitId, CommitInfo};
use crate::git::GitError;
use crate::git::mirror::{Mirror, info};
use crate::limits;

impl Mirror {
    /// The commit that last wrote `line` (from 1) of `file` as it stands at `revision`.
    ///
    /// `None` where the file has no such line, `go_on` says no, or history is longer than [`limits::BLAME_COMMITS_MAX`]. Of a
    /// merge that parent is followed which has the line. A renamed file was written by the commit that renamed it.
    pub fn blame(
        &self,
        revision: &CommitId,
        file: &str,
        line: u32,
        go_on: impl Fn() -> bool,
    ) -> Result<Option<CommitInfo>, GitError> {
        let path = Path::new(file);
        let mut commit = self.commit(revision)?;
        let Some(mut blob) = blob_at(&commit, path) else { return Ok(None) };
        if line == 0 || self.lines(blob)? < line {
            return Ok(None);
        }
        let mut line = line;
        for _ in 0..limits::BLAME_COMMITS_MAX {
            if !go_on() {
                return Ok(None);
            }
            let Some((parent, parent_blob, parent_line)) = self.carried(&commit, path, blob, line)? else {
                return Ok(Some(info(&commit)));
            };
            (commit, blob, line) = (parent, parent_blob, parent_line);
        }
        Ok(None)
    }

    /// The parent that has the line already, and where; `None` where `commit` wrote it.
    fn carried<'m>(
        &'m self,
        commit: &Commit<'m>,
        path: &Path,
        blob: Oid,
        line: u32,
    ) -> Result<Option<(Commit<'m>, Oid, u32)>, GitError> {
        let parents: Vec<_> = commit.parents().map(|parent| (blob_at(&parent, path), parent)).collect();
        // One that has the very same file needs no comparison.
        if let Some((_, parent)) = parents.iter().find(|(theirs, _)| *theirs == Some(blob)) {
            return Ok(Some((parent.clone(), blob, line)));
        }
        for (theirs, parent) in parents {
            let Some(theirs) = theirs else { continue };
            if let Some(line) = self.line_before(theirs, blob, line)? {
                return Ok(Some((parent, theirs, line)));
            }
        }
        Ok(None)
    }

    /// Where `line` of `new` stands in `old`; `None` where it does not.
    fn line_before(&self, old: Oid, new: Oid, line: u32) -> Result<Option<u32>, GitError> {
        let what = || GitError::unreadable("a file's history");
        let [old, new] = [old, new].map(|blob| self.repository.find_blob(blob));
        let (old, new) = (old.map_err(what())?, new.map_err(what())?);
        let mut options = DiffOptions::new();
        options.context_lines(0).interhunk_lines(0);
        let patch = Patch::from_blobs(&old, None, &new, None, Some(&mut options)).map_err(what())?;
        let mut shift = 0_i64;
        for index in 0..patch.num_hunks() {
            let (hunk, _) = patch.hunk(index).map_err(what())?;
            // A hunk that only removes stands behind its line, one that writes begins at it.
            let (first, written) = (hunk.new_start(), hunk.new_lines());
            if first > line || (written == 0 && first == line) {
                break;
            }
            if written > 0 && line < first + written {
                return Ok(None);
            }
            shift += i64::from(hunk.old_lines()) - i64::from(written);
        }
        Ok(u32::try_from(i64::from(line) + shift).ok())
    }

    fn lines(&self, blob: Oid) -> Result<u32, GitError> {
        let blob = self.repository.find_blob(blob).map_err(GitError::unreadable("a file"))?;
        Ok(u32::try_from(count_lines(&blob)).unwrap_or(u32::MAX))
    }
}

fn count_lines(blob: &Blob<'_>) -> usize {
    let content = blob.content();
    let pieces = content.split(|byte| *byte == b'\n').count();
    // What stands behind the last line end is a line only if there is something.
    pieces - usize::from(content.last().is_none_or(|byte| *byte == b'\n'))
}

fn blob_at(commit: &Commit<'_>, path: &Path) -> Option<Oid> {
    let entry = commit.tree().ok()?.get_path(path).ok()?;
    (entry.kind() == Some(git2::ObjectType::Blob)).then(|| entry.id())
}
