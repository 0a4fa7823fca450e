//! How is one fetch done? In a process of its own, which talks to the remote and can be ended at any time.
//!
//! The order comes as one line of JSON on standard input, so that no password stands in a list of processes; the answer goes
//! as one line to standard output, after any number of lines that only say that bytes still arrive. The process ends by
//! itself when its parent does, because its standard input closes.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use git2::{AutotagOption, Direction, ErrorClass, FetchOptions, RemoteCallbacks, Repository};
use serde::{Deserialize, Serialize};

use crate::config::{Reference, printable_url};
use crate::git::fetch::FetchError;
use crate::git::redact;
use crate::limits;

/// The hidden subcommand that runs [`main`].
pub const SUBCOMMAND: &str = "git-fetch";

/// Where the ref that counts stands in a mirror.
const HEAD: &str = "refs/landfast/head";

/// Beneath this stand all refs of the remote, where one commit is asked for.
const ALL: &str = "refs/landfast/all";

/// How often at most it is said that bytes still arrive.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What is to be fetched.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) url: String,
    pub(super) mirror: PathBuf,
    pub(super) wanted: Wanted,
}

/// A [`Reference`] on its way to the child.
#[derive(Serialize, Deserialize)]
pub(super) enum Wanted {
    Branch(String),
    Tag(String),
    Commit(String),
}

/// The last line of the child: a commit, or what went wrong.
pub(super) type Answer = Result<String, FetchError>;

impl From<&Reference> for Wanted {
    fn from(reference: &Reference) -> Self {
        match reference {
            Reference::Branch(name) => Self::Branch(name.clone()),
            Reference::Tag(name) => Self::Tag(name.clone()),
            Reference::Commit(id) => Self::Commit(id.clone()),
        }
    }
}

impl Wanted {
    /// As a message names it.
    fn name(&self) -> String {
        match self {
            Self::Branch(name) => format!("branch `{name}`"),
            Self::Tag(name) => format!("tag `{name}`"),
            Self::Commit(id) => format!("commit `{id}`"),
        }
    }

    /// The one ref that is wanted; a commit may be behind any.
    fn remote_ref(&self) -> Option<String> {
        match self {
            Self::Branch(name) => Some(format!("refs/heads/{name}")),
            Self::Tag(name) => Some(format!("refs/tags/{name}")),
            Self::Commit(_) => None,
        }
    }
}

/// The whole life of the child: reads its order, fetches, answers. Called for [`SUBCOMMAND`], with nothing else set up.
///
/// Exits 0 whenever it could answer, be the answer a commit or an error.
pub fn main() -> ExitCode {
    let mut line = String::new();
    let order = io::stdin().lock().read_line(&mut line).ok().and_then(|_| serde_json::from_str::<Order>(&line).ok());
    let Some(order) = order else { return ExitCode::from(2) };
    std::thread::spawn(|| {
        // Nothing more is ever said to us: whatever ends this read, our parent is gone.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        std::process::exit(3);
    });
    let answer: Answer = fetch(&order);
    let sent = serde_json::to_string(&answer).map(|json| writeln!(io::stdout(), "{json}"));
    match sent {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(_)) | Err(_) => ExitCode::from(2),
    }
}

fn fetch(order: &Order) -> Answer {
    let broken = |error: git2::Error| FetchError::Mirror(redact::scrub(error.message(), &order.url));
    let repository = open(&order.mirror).map_err(broken)?;
    if let Wanted::Commit(id) = &order.wanted
        && let Ok(commit) = repository.revparse_single(&format!("{id}^{{commit}}"))
    {
        return Ok(commit.id().to_string());
    }
    download(&repository, order)?;
    let spec = match &order.wanted {
        Wanted::Branch(_) | Wanted::Tag(_) => format!("{HEAD}^{{commit}}"),
        Wanted::Commit(id) => format!("{id}^{{commit}}"),
    };
    repository.revparse_single(&spec).map(|commit| commit.id().to_string()).map_err(|_| no_such_reference(order))
}

fn download(repository: &Repository, order: &Order) -> Result<(), FetchError> {
    let failed = |error: git2::Error| {
        let why = redact::scrub(error.message(), &order.url);
        match error.class() {
            // Of a `file` remote the disk may be theirs.
            ErrorClass::Odb | ErrorClass::Filesystem | ErrorClass::Reference if !order.url.starts_with("file:") => {
                FetchError::Mirror(why)
            }
            _ => FetchError::Remote { remote: printable_url(&order.url), why },
        }
    };
    let mut remote = repository.remote_anonymous(&order.url).map_err(failed)?;
    let mut connection = remote.connect_auth(Direction::Fetch, Some(callbacks()), None).map_err(failed)?;
    let refs: Vec<String> = connection.list().map_err(failed)?.iter().map(|head| head.name().to_owned()).collect();
    if refs.is_empty() {
        return Err(FetchError::Empty { remote: printable_url(&order.url) });
    }
    let specs = match order.wanted.remote_ref() {
        Some(wanted) if !refs.contains(&wanted) => return Err(no_such_reference(order)),
        Some(wanted) => vec![format!("+{wanted}:{HEAD}")],
        None => vec![format!("+refs/heads/*:{ALL}/heads/*"), format!("+refs/tags/*:{ALL}/tags/*")],
    };
    let mut options = FetchOptions::new();
    options.remote_callbacks(callbacks()).download_tags(AutotagOption::None).update_fetchhead(false);
    connection.remote().fetch(&specs, Some(&mut options), None).map_err(failed)
}

fn no_such_reference(order: &Order) -> FetchError {
    FetchError::NoSuchReference { remote: printable_url(&order.url), reference: order.wanted.name() }
}

/// Says that the remote works or bytes arrive, and stops at [`limits::PACK_BYTES_MAX`]. No credentials but those in the URL are
/// ever offered.
fn callbacks() -> RemoteCallbacks<'static> {
    let mut callbacks = RemoteCallbacks::new();
    let alive = Rc::new(Cell::new(Instant::now()));
    let counting = Rc::clone(&alive);
    callbacks.transfer_progress(move |progress| {
        say(&alive);
        progress.received_bytes() <= limits::PACK_BYTES_MAX
    });
    // A large repository is counted and packed long before its first byte comes.
    callbacks.sideband_progress(move |_| {
        say(&counting);
        true
    });
    callbacks
}

/// Says that there is progress, at most once a [`PROGRESS_EVERY`].
fn say(said: &Cell<Instant>) {
    if said.get().elapsed() >= PROGRESS_EVERY {
        said.set(Instant::now());
        // A parent that hears no more has ended, and then so do we.
        let _ = writeln!(io::stdout());
    }
}

/// Opens the mirror, makes it where there is none, and makes it anew where it cannot be read.
fn open(mirror: &Path) -> Result<Repository, git2::Error> {
    if mirror.join("HEAD").exists() {
        sweep(mirror);
        if let Ok(repository) = Repository::open_bare(mirror) {
            return Ok(repository);
        }
        // Only a cache: what the remote still has comes back with this fetch.
        let _ = fs::remove_dir_all(mirror);
    }
    Repository::init_bare(mirror)
}

/// Removes what a fetch that was ended has left: locks, which would fail every later one, and half a pack.
///
/// Only one fetch of a mirror runs at a time (`follow` sees to that, and the state folder is locked).
fn sweep(mirror: &Path) {
    let leftover = |path: &Path| {
        let lock = path.extension() == Some(OsStr::new("lock"));
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        lock || name.starts_with("pack_") || name.starts_with("tmp_")
    };
    let mut folders = vec![mirror.to_owned(), mirror.join("objects/pack"), mirror.join("refs/landfast")];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.is_file() && leftover(&path) {
                let _ = fs::remove_file(path);
            } else if path.is_dir() && path.starts_with(mirror.join("refs/landfast")) {
                folders.push(path);
            }
        }
    }
}
