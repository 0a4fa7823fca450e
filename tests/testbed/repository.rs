//! What does Git declare in a test?
//!
//! A fresh repository in a folder of its own, with one branch `main`; commits are made through libgit2, with a
//! fixed author and the dates that Git gives.

use std::fs;
use std::path::{Path, PathBuf};

use git2::{BranchType, IndexAddOption, Oid, Repository as Git, ResetType, Signature};

use crate::testbed::scratch::Scratch;

/// The author of every commit.
pub const AUTHOR: (&str, &str) = ("Ann Author", "ann@example.com");

/// A repository with a work tree.
pub struct Repository {
    folder: PathBuf,
}

impl Repository {
    /// Makes one whose `main` holds one commit with nothing but a README.
    pub fn new() -> Self {
        let repository = Self::empty();
        repository.commit(&[("README.md", "What runs here.\n")], "Begin");
        repository
    }

    /// Makes one without any commit.
    pub fn empty() -> Self {
        let folder = Scratch::get().folder("repository");
        let mut options = git2::RepositoryInitOptions::new();
        options.initial_head("main").external_template(false);
        Git::init_opts(&folder, &options).expect("a repository can be made in an empty folder");
        Self { folder }
    }

    /// Returns the work tree.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the address that a GitSource uses.
    pub fn url(&self) -> String {
        format!("file://{}", self.folder.display())
    }

    /// Writes these files (path, content), commits everything on `main` and returns the commit's id.
    pub fn commit(&self, files: &[(&str, &str)], message: &str) -> String {
        for (path, content) in files {
            let path = self.folder.join(path);
            let parent = path.parent().expect("a file lies in a folder");
            fs::create_dir_all(parent).and_then(|()| fs::write(&path, content)).expect("the work tree is writable");
        }
        self.record(message)
    }

    /// Whether a commit holds another.
    pub fn holds(&self, commit: &str, other: &str) -> bool {
        let git = self.open();
        let id = |commit| Oid::from_str(commit).expect("an id has 40 digits");
        commit == other || git.graph_descendant_of(id(commit), id(other)).unwrap_or_default()
    }

    /// Removes a file or a folder, commits and returns the commit's id.
    pub fn remove(&self, path: &str, message: &str) -> String {
        let path = self.folder.join(path);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.expect("what is to be removed is there");
        self.record(message)
    }

    /// Does what a pull request does: a commit on a branch of its own, merged into `main`; returns the merge's id.
    pub fn merge(&self, files: &[(&str, &str)], message: &str) -> String {
        let before = self.head();
        let side = self.commit(files, message);
        self.reset(&before);
        let git = self.open();
        let (ours, theirs) = (find(&git, &before), find(&git, &side));
        let tree = theirs.tree().expect("a commit has a tree");
        let merge = git
            .commit(Some("HEAD"), &author(), &author(), &format!("Merge: {message}"), &tree, &[&ours, &theirs])
            .expect("a merge can be committed");
        self.reset(&merge.to_string());
        merge.to_string()
    }

    /// Moves `main` to a commit, as a force push does.
    pub fn reset(&self, commit: &str) {
        let git = self.open();
        let target = find(&git, commit);
        git.reset(target.as_object(), ResetType::Hard, None).expect("a known commit can be checked out");
    }

    /// Deletes the branch `main`, as somebody does by mistake.
    pub fn delete_branch(&self) {
        let git = self.open();
        git.set_head_detached(Oid::from_str(&self.head()).expect("a head is an id")).expect("a head can be detached");
        let branch = git.find_branch("main", BranchType::Local);
        branch.and_then(|mut branch| branch.delete()).expect("`main` exists and is not checked out");
    }

    /// Returns the id of the commit that is checked out.
    pub fn head(&self) -> String {
        let git = self.open();
        let head = git.head().and_then(|head| head.peel_to_commit()).expect("there is a commit");
        head.id().to_string()
    }

    fn record(&self, message: &str) -> String {
        let git = self.open();
        let mut index = git.index().expect("a repository has an index");
        index.add_all(["*"], IndexAddOption::FORCE, None).expect("the work tree is readable");
        index.update_all(["*"], None).expect("the work tree is readable");
        index.write().expect("the index is writable");
        let tree = index.write_tree().and_then(|id| git.find_tree(id)).expect("the tree is writable");
        let parent = git.head().and_then(|head| head.peel_to_commit()).ok();
        let parents: Vec<_> = parent.iter().collect();
        git.commit(Some("HEAD"), &author(), &author(), message, &tree, &parents)
            .expect("a commit can be written")
            .to_string()
    }

    fn open(&self) -> Git {
        Git::open(&self.folder).expect("the repository is there")
    }
}

fn find<'git>(git: &'git Git, commit: &str) -> git2::Commit<'git> {
    let id = Oid::from_str(commit).expect("a commit's id");
    git.find_commit(id).expect("a commit of this repository")
}

fn author() -> Signature<'static> {
    Signature::now(AUTHOR.0, AUTHOR.1).expect("the author has a name")
}
