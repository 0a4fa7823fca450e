//! What does a commit declare? Reads what changed since the last good one; all of it, or none of it.
//!
//! Blocks. A commit of which one file cannot be read takes no effect, so that a broken file never undeclares anything.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use crate::config::crd::GROUP;
use crate::config::{SourceSettings, TreeReading};
use crate::drift::declared::{Declared, ObjectKey};
use crate::drift::schema::Schemas;
use crate::follow::kinds::{Kinds, fingerprint};
use crate::follow::standing::{Files, Reading, Standing, Step, is_crd};
use crate::gate::ask::{self, Ask};
use crate::gate::basis::{CommitId, Fault};
use crate::git::GitError;
use crate::git::mirror::{Head, Mirror};
use crate::git::owners::Codeowners;
use crate::git::tree::{BlobId, Found};
use crate::limits;
use crate::render;

/// Reads the commits of one source.
pub(super) struct Reader<'r> {
    pub(super) mirror: &'r Mirror,
    pub(super) settings: &'r SourceSettings,
    pub(super) kinds: &'r mut Kinds,
}

/// How much of a commit is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// What differs from the commit in force.
    Changes,
    /// Every file.
    Whole,
}

/// A file on its way.
struct Item {
    path: Arc<str>,
    found: Option<Found>,
    /// Kept from the look for CRDs, as long as all of them together stay small.
    content: Option<Vec<u8>>,
}

/// Bytes of files that are kept between the look for CRDs and the reading, and that are read at once.
///
/// Beyond it a file is read twice: that is cheap beside its parse, and 100,000 kept files would tear the memory apart.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Files below which more threads are not worth their start.
const SHARED_FILES_MIN: usize = 64;

/// A file ready to be read, or what it is instead.
enum Loaded {
    Gone,
    Link,
    Text(Vec<u8>),
    Unreadable(Fault),
}

/// What a file gave; `None` where it is gone, a fault where it cannot be read.
type Outcome = Result<Option<Reading>, Fault>;

impl Reader<'_> {
    /// Reads a commit. The faults are why it must not take effect: one at least, each with its file.
    pub(super) fn step(&mut self, standing: &Standing, head: Head, extent: Extent) -> Result<Step, Vec<Fault>> {
        let from = standing.revision.as_ref().map(|info| &info.commit).filter(|from| self.mirror.holds(from));
        let read_as = self.settings.reading;
        let from = from.filter(|_| extent == Extent::Changes && standing.read_as == Some(read_as));
        let mut items = self.items(standing, from, &head.commit).map_err(|error| vec![whole(&error)])?;
        check_builders(&items)?;
        let crds = self.crds(standing, &mut items)?;
        let schemas = self.kinds.with(crds.values()).clone();
        let read_with = fingerprint(&schemas);
        if from.is_some() && read_with != standing.read_with {
            // Kinds came or went: files that did not change may read differently.
            return self.step(standing, head, Extent::Whole);
        }
        let files = self.read(items, &schemas)?;
        check_count(standing, &files)?;
        let info = self.mirror.info(&head.commit).map_err(|error| vec![whole(&error)])?;
        let owners = self.owners(standing, &head.commit).map_err(|error| vec![whole(&error)])?;
        Ok(Step { head, info, files, crds, owners, read_with, read_as })
    }

    /// All paths to look at, those included that are gone.
    fn items(&self, standing: &Standing, from: Option<&CommitId>, to: &CommitId) -> Result<Vec<Item>, GitError> {
        let wanted = match self.settings.reading {
            TreeReading::Detected => |path: &str| render::may_hold_manifests(path) || render::builder(path).is_some(),
            TreeReading::Plain => render::may_hold_manifests,
        };
        let changes = self.mirror.changes(from, to, &self.settings.path, wanted)?;
        let item = |path: &str, found| {
            let known = standing.files.get_key_value(path).map(|(path, _)| Arc::clone(path));
            Item { path: known.unwrap_or_else(|| path.into()), found, content: None }
        };
        let mut items: Vec<_> = changes.iter().map(|change| item(&change.path, change.now)).collect();
        if from.is_none() {
            let here: BTreeSet<&str> = changes.iter().map(|change| change.path.as_str()).collect();
            let gone = standing.files.keys().filter(|path| !here.contains(&***path));
            items.extend(gone.map(|path| item(path, None)));
        }
        items.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(items)
    }

    /// The CRDs that the source will declare: they must be known before their custom resources are read. Of one that cannot be
    /// used as it is written now, what it last was when it could: the cluster has that one still, and objects of its kind.
    fn crds(&self, standing: &Standing, items: &mut [Item]) -> Result<BTreeMap<ObjectKey, Arc<Declared>>, Vec<Fault>> {
        let touched: BTreeSet<&str> = items.iter().map(|item| &*item.path).collect();
        let untouched = standing.crds.iter().filter(|(_, crd)| !touched.contains(&*crd.file));
        let mut crds: BTreeMap<_, _> = untouched.map(|(key, crd)| (key.clone(), Arc::clone(crd))).collect();
        let (mut kept, mut faults) = (0, Vec::new());
        for item in items {
            let Some(Found::File(blob)) = item.found else { continue };
            let content = match self.mirror.read(blob) {
                Ok(content) => content,
                Err(error) => {
                    faults.push(of_file(&item.path, &error));
                    continue;
                }
            };
            if mentions(&content, b"CustomResourceDefinition") {
                // A file that cannot be read is named by the reading itself.
                let rendered = render::file(&item.path, &content, self.context(&self.kinds.base)).unwrap_or_default();
                if !rendered.faults.is_empty() {
                    for (key, crd) in last_good(standing, &item.path, &content) {
                        crds.entry(key).or_insert(crd);
                    }
                }
                let found = rendered.objects.into_iter().filter(|declared| is_crd(&declared.key));
                crds.extend(found.map(|crd| (crd.key.clone(), crd)));
            }
            if kept + content.len() <= KEPT_BYTES_MAX {
                kept += content.len();
                item.content = Some(content);
            }
        }
        if faults.is_empty() { Ok(crds) } else { Err(shown(faults)) }
    }

    fn read(&self, items: Vec<Item>, schemas: &Schemas) -> Result<Files, Vec<Fault>> {
        let (mut files, mut faults) = (Vec::with_capacity(items.len()), Vec::new());
        let mut items = items.into_iter();
        loop {
            let batch = self.batch(&mut items);
            if batch.is_empty() {
                break;
            }
            for (path, reading) in render_all(batch, self.context(schemas)) {
                match reading {
                    Ok(reading) => files.push((path, reading.map(Arc::new))),
                    Err(fault) => faults.push(fault),
                }
            }
        }
        if faults.is_empty() { Ok(files) } else { Err(shown(faults)) }
    }

    /// The next files, as many as may be in memory at once. A mirror is one thread's, so they are read here.
    fn batch(&self, items: &mut impl Iterator<Item = Item>) -> Vec<(Arc<str>, Loaded)> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for item in items {
            let loaded = match (item.found, item.content) {
                (None, _) => Loaded::Gone,
                (Some(Found::Link(_)), _) => Loaded::Link,
                (Some(Found::File(_)), Some(content)) => Loaded::Text(content),
                (Some(Found::File(blob)), None) => match self.mirror.read(blob) {
                    Ok(content) => Loaded::Text(content),
                    Err(error) => Loaded::Unreadable(of_file(&item.path, &error)),
                },
            };
            if let Loaded::Text(content) = &loaded {
                bytes += content.len();
            }
            batch.push((item.path, loaded));
            if bytes >= KEPT_BYTES_MAX {
                break;
            }
        }
        batch
    }

    fn context<'c>(&'c self, schemas: &'c Schemas) -> render::Context<'c> {
        let default_namespace = self.settings.default_namespace.as_deref();
        render::Context { schemas, scope: &self.settings.scope, default_namespace }
    }

    /// CODEOWNERS, where it is another than before.
    fn owners(&self, standing: &Standing, commit: &CommitId) -> Result<Option<(Option<BlobId>, Codeowners)>, GitError> {
        let file = self.mirror.owners_file(commit)?;
        if file == standing.owners_file {
            return Ok(None);
        }
        // One that is too large names nobody; that is no reason to refuse a commit.
        let text = file.and_then(|blob| self.mirror.read(blob).ok()).unwrap_or_default();
        Ok(Some((file, Codeowners::parse(&String::from_utf8_lossy(&text)))))
    }
}

/// What the CRDs that a file names were at the revision in force.
fn last_good(standing: &Standing, path: &Arc<str>, content: &[u8]) -> Vec<(ObjectKey, Arc<Declared>)> {
    let named = render::definitions(path, content).unwrap_or_default();
    let key = |crd: &serde_json::Value| {
        Some(ObjectKey::new("apiextensions.k8s.io", "CustomResourceDefinition", "", crd["metadata"]["name"].as_str()?))
    };
    let known = named.iter().filter_map(key).filter_map(|key| standing.crds.get_key_value(&key));
    // Of this file from now on: it goes with it.
    known
        .map(|(key, crd)| (key.clone(), Arc::new(Declared { file: Arc::clone(path), ..Declared::clone(crd) })))
        .collect()
}

/// The fault of a manifest that asks for a break-glass, or is one. It is declared all the same; an annotation opens nothing, and what
/// has ended must not open again.
fn break_glass(declared: &Declared) -> Option<Fault> {
    let json = std::str::from_utf8(&declared.json).ok()?;
    let what = if (declared.key.group(), declared.key.kind()) == (GROUP, "BreakGlass") {
        format!("{} belongs in the cluster: from Git it would open anew whenever it is made again", declared.key)
    } else {
        Ask::of(serde_json::from_str(json).ok()?)?;
        format!("the annotation {} of {} opens nothing in Git", ask::REASON, declared.key)
    };
    let line = declared.lines.get(0).unwrap_or_default();
    Some(Fault { file: declared.file.to_string(), line, what })
}

/// Reads files on all cores; nothing is shared but what is known of kinds, and the threads end before this does.
fn render_all(batch: Vec<(Arc<str>, Loaded)>, context: render::Context<'_>) -> Vec<(Arc<str>, Outcome)> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let share = batch.len().div_ceil(cores).max(SHARED_FILES_MIN);
    let shares: Vec<Vec<_>> = thread::scope(|scope| {
        let render =
            |share: &[(Arc<str>, Loaded)]| share.iter().map(|(path, file)| file.render(path, context)).collect();
        let threads: Vec<_> = batch.chunks(share).map(|share| scope.spawn(move || render(share))).collect();
        // A panic in there is this thread's: the caller's task catches it.
        let joined = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        joined.collect()
    });
    batch.into_iter().map(|(path, _)| path).zip(shares.into_iter().flatten()).collect()
}

impl Loaded {
    fn render(&self, path: &str, context: render::Context<'_>) -> Outcome {
        let text = match self {
            Self::Gone => return Ok(None),
            Self::Link => return Ok(Some(link(path))),
            Self::Unreadable(fault) => return Err(fault.clone()),
            Self::Text(text) => text,
        };
        let render::Rendered { mut objects, mut faults, unknown } = render::file(path, text, context)?;
        faults.extend(objects.iter().filter_map(|declared| break_glass(declared)));
        objects.shrink_to_fit();
        faults.shrink_to_fit();
        Ok(Some(Reading { objects, faults, unknown }))
    }
}

/// No plain manifests where a tool makes other objects of them: those would be denied as drift.
///
/// What differs from a commit in force is enough to look at: one that was read alike held no such file.
fn check_builders(items: &[Item]) -> Result<(), Vec<Fault>> {
    let mut faults = Vec::new();
    for item in items.iter().filter(|item| item.found.is_some()) {
        let Some(builder) = render::builder(&item.path) else { continue };
        let name = match builder {
            render::Builder::Kustomize => "Kustomize",
            render::Builder::Helm => "Helm",
        };
        let what = format!("{name} is not rendered yet; set render.type: Yaml if these files are applied as they are");
        faults.push(Fault { file: item.path.to_string(), line: 0, what });
    }
    if faults.is_empty() { Ok(()) } else { Err(shown(faults)) }
}

/// The bound on objects, and the rule that a source which declared something never falls silent.
fn check_count(standing: &Standing, files: &[(Arc<str>, Option<Arc<Reading>>)]) -> Result<(), Vec<Fault>> {
    let gone: usize = files.iter().filter_map(|(path, _)| standing.files.get(path)).map(|old| old.objects.len()).sum();
    let come: usize = files.iter().filter_map(|(_, new)| new.as_ref()).map(|new| new.objects.len()).sum();
    let count = standing.count - gone + come;
    if count > limits::OBJECTS_PER_SOURCE_MAX {
        let most = limits::OBJECTS_PER_SOURCE_MAX;
        return Err(vec![unplaced(format!("{count} objects are declared, more than the {most} that one source may"))]);
    }
    if count == 0 && standing.count > 0 {
        let silent = unplaced("nothing is declared any more where there were objects".to_owned());
        let readings = files.iter().filter_map(|(_, new)| new.as_ref());
        return Err(shown(readings.flat_map(|new| new.faults.iter().cloned()).chain([silent]).collect()));
    }
    Ok(())
}

fn link(path: &str) -> Reading {
    let what = "a symbolic link, which is not followed".to_owned();
    let faults = vec![Fault { file: path.to_owned(), line: 0, what }];
    Reading { objects: Vec::new(), faults, unknown: BTreeSet::new() }
}

fn of_file(path: &str, error: &GitError) -> Fault {
    Fault { file: path.to_owned(), ..whole(error) }
}

fn whole(error: &GitError) -> Fault {
    unplaced(chain(error))
}

fn unplaced(what: String) -> Fault {
    Fault { file: String::new(), line: 0, what }
}

/// An error with its causes, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The first faults, in the order of files.
fn shown(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort();
    faults.truncate(limits::FAULTS_SHOWN_MAX);
    faults
}

fn mentions(content: &[u8], word: &[u8]) -> bool {
    content.windows(word.len()).any(|window| window == word)
}
