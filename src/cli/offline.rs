//! What does Git declare, without a server? The basis of a configuration, of files or of the cluster's, fetched and read once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::cli::in_cluster::InCluster;
use crate::config::held::{FileSources, together};
use crate::config::{self, Settings};
use crate::drift::schema::Schemas;
use crate::follow::{self, Follow};
use crate::gate::basis::{Basis, CommitInfo, Fault};
use crate::gate::facts::Line;
use crate::git::fetch::Fetcher;
use crate::limits::BLAME_WAIT_MAX;
use crate::store::Store;

/// A folder for mirrors: one that is kept, or one that goes with the command.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    passing: bool,
}

/// What the sources declare, and their mirrors for as long as this lives.
#[derive(Debug)]
pub(super) struct Offline {
    /// What is decided by.
    pub(super) basis: Arc<Basis>,
    /// The namespace of namespaced objects that name none, where all sources have the same.
    pub(super) default_namespace: Option<String>,
    follow: Follow,
    runtime: Runtime,
    /// Goes last: the mirrors stand in it.
    _folder: Folder,
}

impl Offline {
    /// The commit that last wrote a line; `None` where that is not known within the time that a webhook would wait.
    pub(super) fn blame(&self, line: &Line) -> Option<CommitInfo> {
        self.runtime.block_on(async { self.follow.blame(line, Instant::now() + BLAME_WAIT_MAX).await })
    }
}

/// Loads a configuration and reads its sources; fails where one of them cannot be read.
///
/// What is found wrong, but leaves the rest in force, is told on standard error.
pub(super) fn open(config: &[PathBuf], state_dir: Option<PathBuf>, now: Timestamp) -> anyhow::Result<Offline> {
    let settings = config::load(config).map_err(|faults| unusable(&faults))?;
    settled(usable(settings, now)?, Schemas::builtin(), state_dir, now)
}

/// The same with what a cluster holds beside the files: its GitSources and DriftPolicies, and the kinds that it defines.
pub(super) fn open_cluster(
    held: &InCluster,
    config: &[PathBuf],
    state_dir: Option<PathBuf>,
    now: Timestamp,
) -> anyhow::Result<Offline> {
    let (texts, faults) = config::texts(config);
    let files = config::objects(&texts, faults).map_err(|faults| unusable(&faults))?;
    // Whoever asks reads their own disk.
    let together = together(&files, &held.objects, &[], FileSources::Allowed).map_err(|faults| unusable(&faults))?;
    for told in &together.told {
        for fault in &told.faults {
            eprintln!("warning: {} {}: {fault}", told.kind, told.name);
        }
    }
    let mut schemas = Schemas::builtin();
    for definition in &held.definitions {
        match schemas.with_crd(definition) {
            Ok(with) => schemas = with,
            Err(error) => eprintln!("warning: {error}"),
        }
    }
    settled(usable(together.settings, now)?, schemas, state_dir, now)
}

fn settled(
    settings: Settings,
    schemas: Schemas,
    state_dir: Option<PathBuf>,
    now: Timestamp,
) -> anyhow::Result<Offline> {
    let mut defaults = settings.sources.iter().map(|source| source.default_namespace.clone());
    let first = defaults.next().flatten();
    let default_namespace = first.filter(|first| defaults.all(|other| other.as_ref() == Some(first)));
    let folder = Folder::of(state_dir)?;
    let store = Store::open(&folder.path).context("cannot use the state folder")?;
    let program = std::env::current_exe().context("cannot find our own program")?;
    let options = follow::Options {
        settings: Arc::new(settings),
        schemas,
        store: Arc::new(store),
        fetcher: Fetcher::new(program),
        clock: Arc::new(move || now),
        metrics: Arc::default(),
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let (basis, follow) = runtime.block_on(async {
        let (mut follower, follow) = follow::follow(options);
        follower.settle().await;
        for source in follow.status().borrow().iter() {
            for fault in &source.faults {
                eprintln!("warning: {}: {fault}", source.id);
            }
            if let Some(error) = &source.error {
                bail!("{}: {error}", source.id);
            }
            if source.revision.is_none() {
                bail!("{}: no revision of it can be used", source.id);
            }
        }
        let basis = follow.basis().borrow().clone();
        Ok((basis, follow))
    })?;
    Ok(Offline { basis, default_namespace, follow, runtime, _folder: folder })
}

fn unusable(faults: &[Fault]) -> anyhow::Error {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("the configuration cannot be used:\n  {}", faults.join("\n  "))
}

/// Tells what has no effect; fails where nothing could be answered by it.
fn usable(settings: Settings, now: Timestamp) -> anyhow::Result<Settings> {
    let over = settings.policy.over(now);
    for notice in settings.notices.iter().map(ToString::to_string).chain(over) {
        eprintln!("warning: {notice}");
    }
    // All that such a source would declare would be let in, and nobody would know why.
    if let Some(idle) = settings.idle.first() {
        bail!("could not answer: the configuration leaves GitSource {idle} without effect");
    }
    if settings.sources.is_empty() {
        bail!("could not answer: the configuration has no GitSource");
    }
    Ok(settings)
}

impl Folder {
    fn of(given: Option<PathBuf>) -> anyhow::Result<Self> {
        if let Some(path) = given {
            return Ok(Self { path, passing: false });
        }
        let path = std::env::temp_dir().join(format!("landfast-check-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path, passing: true })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.passing {
            // A folder that cannot be removed is left to whoever clears temporary files.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Reads a file, or standard input for `-`.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
        return Ok(bytes);
    }
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}
