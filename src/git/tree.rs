//! Which files stand under a folder at a commit, and what changed between two commits?
//!
//! Equal subtrees are not walked, so a commit that touches one file of 10,000 costs what that file costs. Symbolic links are
//! named but never followed, submodules are passed over.

use git2::{ObjectType, Oid, Tree, TreeEntry};

use crate::gate::basis::CommitId;
use crate::git::GitError;
use crate::git::mirror::Mirror;
use crate::limits;

/// The id of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(Oid);

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A file.
    File(BlobId),
    /// A symbolic link; never followed.
    Link(BlobId),
}

/// A path at which two commits differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// From the root of the repository; bytes that are not UTF-8 become `\u{fffd}`.
    pub path: String,
    /// What stands there now; `None` where it is gone.
    pub now: Option<Found>,
}

const LINK: i32 = 0o120_000;
const KIND_MASK: i32 = 0o170_000;

struct Walk<'w> {
    mirror: &'w Mirror,
    wanted: fn(&str) -> bool,
    changes: Vec<Change>,
    entries: usize,
}

impl Mirror {
    /// The files under `folder` whose content or presence differs between two commits, among those whose path is `wanted`.
    ///
    /// Without `from`: all files at `to`. An empty `folder` is the whole tree. A folder that `to` has not is an error, one
    /// that `from` has not is empty. Bounded by [`limits::FILES_MAX`], [`limits::TREE_ENTRIES_MAX`] and [`limits::DEPTH_MAX`].
    pub fn changes(
        &self,
        from: Option<&CommitId>,
        to: &CommitId,
        folder: &str,
        wanted: fn(&str) -> bool,
    ) -> Result<Vec<Change>, GitError> {
        let after = self.folder(to, folder)?.ok_or_else(|| GitError::NoFolder(folder.to_owned()))?;
        let before = from.map(|commit| self.folder(commit, folder)).transpose()?.flatten();
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut walk = Walk { mirror: self, wanted, changes: Vec::new(), entries: 0 };
        walk.compare(before.as_ref(), Some(&after), &prefix, 0)?;
        Ok(walk.changes)
    }

    /// What stands at one path; `None` for a folder, a submodule and nothing.
    pub fn at(&self, commit: &CommitId, path: &str) -> Result<Option<Found>, GitError> {
        let root = self.commit(commit)?.tree().map_err(GitError::unreadable("a folder"))?;
        let entry = root.get_path(std::path::Path::new(path)).ok();
        Ok(entry.as_ref().and_then(found))
    }

    /// The content of a file of at most [`limits::FILE_BYTES_MAX`].
    pub fn read(&self, BlobId(blob): BlobId) -> Result<Vec<u8>, GitError> {
        let what = || GitError::unreadable(format!("blob {blob}"));
        let odb = self.repository.odb().map_err(what())?;
        // The size first: what is too large is never inflated.
        let (bytes, _) = odb.read_header(blob).map_err(what())?;
        if bytes > limits::FILE_BYTES_MAX {
            return Err(GitError::TooLarge { bytes, most: limits::FILE_BYTES_MAX });
        }
        Ok(odb.read(blob).map_err(what())?.data().to_vec())
    }

    fn folder(&self, commit: &CommitId, folder: &str) -> Result<Option<Tree<'_>>, GitError> {
        let root = self.commit(commit)?.tree().map_err(GitError::unreadable("the root folder"))?;
        if folder.is_empty() {
            return Ok(Some(root));
        }
        let entry = root.get_path(std::path::Path::new(folder)).ok();
        let tree = entry.filter(|entry| entry.kind() == Some(ObjectType::Tree));
        tree.map(|entry| self.tree(entry.id())).transpose()
    }

    fn tree(&self, id: Oid) -> Result<Tree<'_>, GitError> {
        self.repository.find_tree(id).map_err(GitError::unreadable(format!("folder {id}")))
    }
}

impl Walk<'_> {
    fn compare(
        &mut self,
        before: Option<&Tree<'_>>,
        after: Option<&Tree<'_>>,
        prefix: &str,
        depth: usize,
    ) -> Result<(), GitError> {
        if before.map(Tree::id) == after.map(Tree::id) {
            return Ok(());
        }
        if depth > limits::DEPTH_MAX {
            return Err(GitError::TooDeep(limits::DEPTH_MAX));
        }
        self.count(before)?;
        self.count(after)?;
        for entry in after.into_iter().flatten() {
            let old = before.and_then(|tree| same_name(tree, &entry));
            if old.as_ref().is_none_or(|old| (old.id(), old.filemode()) != (entry.id(), entry.filemode())) {
                self.entry(old.as_ref(), Some(&entry), prefix, depth)?;
            }
        }
        for entry in before.into_iter().flatten() {
            if after.is_none_or(|tree| same_name(tree, &entry).is_none()) {
                self.entry(Some(&entry), None, prefix, depth)?;
            }
        }
        Ok(())
    }

    /// One name that differs; what was a file may be a folder now, and the other way round.
    fn entry(
        &mut self,
        old: Option<&TreeEntry<'_>>,
        new: Option<&TreeEntry<'_>>,
        prefix: &str,
        depth: usize,
    ) -> Result<(), GitError> {
        let Some(name) = new.or(old).map(|entry| String::from_utf8_lossy(entry.name_bytes()).into_owned()) else {
            return Ok(());
        };
        let path = format!("{prefix}{name}");
        let [old_tree, new_tree] = [old, new].map(|entry| entry.and_then(folder_id));
        if old_tree.is_some() || new_tree.is_some() {
            let mirror = self.mirror;
            let [old_tree, new_tree] = [old_tree, new_tree].map(|id| id.map(|id| mirror.tree(id)).transpose());
            self.compare(old_tree?.as_ref(), new_tree?.as_ref(), &format!("{path}/"), depth + 1)?;
        }
        let [was, now] = [old, new].map(|entry| entry.and_then(found));
        if was != now && (self.wanted)(&path) {
            self.changes.push(Change { path, now });
        }
        if self.changes.len() > limits::FILES_MAX {
            return Err(GitError::TooManyFiles(limits::FILES_MAX));
        }
        Ok(())
    }

    /// A tree may name one subtree a thousand times, and that another: entries are counted, not trees.
    fn count(&mut self, tree: Option<&Tree<'_>>) -> Result<(), GitError> {
        self.entries += tree.map_or(0, Tree::len);
        if self.entries > limits::TREE_ENTRIES_MAX {
            return Err(GitError::TooManyEntries(limits::TREE_ENTRIES_MAX));
        }
        Ok(())
    }
}

fn same_name(tree: &Tree<'_>, entry: &TreeEntry<'_>) -> Option<TreeEntry<'static>> {
    tree.get_name_bytes(entry.name_bytes()).map(|found| found.to_owned())
}

fn folder_id(entry: &TreeEntry<'_>) -> Option<Oid> {
    (entry.kind() == Some(ObjectType::Tree)).then(|| entry.id())
}

fn found(entry: &TreeEntry<'_>) -> Option<Found> {
    let blob = (entry.kind() == Some(ObjectType::Blob)).then(|| BlobId(entry.id()))?;
    let link = entry.filemode() & KIND_MASK == LINK;
    Some(if link { Found::Link(blob) } else { Found::File(blob) })
}
