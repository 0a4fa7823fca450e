//! What is declared while we measure? A Git repository of Deployments, one file each, made for the measurement.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use git2::{Buf, FileMode, Oid, Repository as Git, RepositoryInitOptions, Signature, Time};
use jiff::Timestamp;

use crate::cli::bench::sample;

/// Files of one folder, as large repositories have them.
const FILES_A_FOLDER: usize = 100;

/// How long before now the oldest head of a repository was written, and how far heads are apart: all count as recent.
const HEAD_GAP_SECONDS: i64 = 600;

/// A bare repository whose branch `main` is written head by head.
pub(super) struct Repository {
    git: Git,
    now: Timestamp,
}

impl Repository {
    /// Makes an empty one.
    pub(super) fn new(folder: &Path, now: Timestamp) -> anyhow::Result<Self> {
        let mut options = RepositoryInitOptions::new();
        options.bare(true).initial_head("main").external_template(false);
        let git = Git::init_opts(folder, &options).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { git, now })
    }

    /// Writes `heads` commits, in each of which every one of `objects` Deployments differs from the one before.
    pub(super) fn fill(&self, objects: usize, heads: usize) -> anyhow::Result<()> {
        for head in 0..heads {
            let behind = i64::try_from(heads - head)? * HEAD_GAP_SECONDS;
            let commit = self.packed(|git| {
                let manifests = (0..objects).map(|number| manifest(number, head));
                let files = manifests.map(|text| Ok(git.blob(text.as_bytes())?)).collect::<anyhow::Result<Vec<_>>>()?;
                self.commit(git, tree(git, &files)?, behind)
            })?;
            self.move_to(commit)?;
        }
        Ok(())
    }

    /// Commits that version of the first Deployment.
    pub(super) fn touch(&self, version: usize) -> anyhow::Result<()> {
        let file = self.git.blob(manifest(0, version).as_bytes())?;
        let top = self.git.head()?.peel_to_tree()?;
        let folder = self.git.find_tree(top.get_name("team-0").context("the first folder is there")?.id())?;
        let mut folder = self.git.treebuilder(Some(&folder))?;
        folder.insert("web-0.yaml", file, FileMode::Blob.into())?;
        let mut top = self.git.treebuilder(Some(&top))?;
        top.insert("team-0", folder.write()?, FileMode::Tree.into())?;
        self.move_to(self.commit(&self.git, top.write()?, 0)?)
    }

    /// Runs `write` with what it writes kept in memory, and stores as one pack what its commit reaches: a file an object would
    /// take minutes.
    fn packed(&self, write: impl FnOnce(&Git) -> anyhow::Result<Oid>) -> anyhow::Result<Oid> {
        const FIRST: i32 = 999; // before the folder of loose objects
        let git = Git::open(self.git.path())?; // of its own: what is kept in memory goes with it
        let odb = git.odb()?;
        let memory = odb.add_new_mempack_backend(FIRST)?;
        let written = write(&git)?;
        let mut pack = Buf::new();
        memory.dump(&git, &mut pack)?;
        let mut writer = odb.packwriter()?;
        writer.write_all(&pack)?;
        writer.commit()?;
        Ok(written)
    }

    fn commit(&self, git: &Git, tree: Oid, seconds_ago: i64) -> anyhow::Result<Oid> {
        let author = Signature::new("bench", "bench@localhost", &Time::new(self.now.as_second() - seconds_ago, 0))?;
        let parent = git.head().and_then(|head| head.peel_to_commit()).ok();
        let parents: Vec<_> = parent.iter().collect();
        Ok(git.commit(None, &author, &author, "bench", &git.find_tree(tree)?, &parents)?)
    }

    fn move_to(&self, commit: Oid) -> anyhow::Result<()> {
        self.git.reference("refs/heads/main", commit, true, "bench")?;
        Ok(())
    }
}

fn tree(git: &Git, files: &[Oid]) -> anyhow::Result<Oid> {
    let mut top = git.treebuilder(None)?;
    for (number, share) in files.chunks(FILES_A_FOLDER).enumerate() {
        let mut folder = git.treebuilder(None)?;
        for (position, file) in share.iter().enumerate() {
            let name = format!("web-{}.yaml", number * FILES_A_FOLDER + position);
            folder.insert(name, *file, FileMode::Blob.into())?;
        }
        top.insert(format!("team-{number}"), folder.write()?, FileMode::Tree.into())?;
    }
    Ok(top.write()?)
}

/// The sample under a name of its own, with values that no other one and no other version has.
fn manifest(number: usize, version: usize) -> String {
    let mut text = sample::MANIFEST.replace("name: web\n", &format!("name: web-{number}\n"));
    text = text.replace("web:1.42.0", &format!("web:1.{number}.{version}"));
    // A comment is not kept: only bytes that differ make another blob.
    let _ = writeln!(text, "# {number}.{version}");
    text
}
