//! What do we remember across restarts? The state folder: one versioned, atomic, rebuildable format.
//!
//! A file that cannot be read, or that a newer landfast wrote, is set aside with a warning, and landfast goes on without:
//! whatever is kept here can be had again. It never holds a secret.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::gate::basis::SourceId;
use crate::limits;

/// Version of the format of all files here. A newer one is set aside, an older one would be read.
const FORMAT: u32 = 1;

/// The state folder, held by this process alone.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Locked as long as the store lives.
    _lock: File,
}

/// A state folder that cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be made or written.
    #[error("cannot use the state folder {folder}")]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Two processes would fetch into the same mirrors.
    #[error("the state folder {0} is in use by another landfast")]
    InUse(PathBuf),
}

/// What is remembered of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// Commits that were in force, and since when, the oldest first; the last one is in force.
    pub heads: Vec<HeadRecord>,
    /// Since when the remote answers that the ref is not there, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_since: Option<Timestamp>,
}

/// A commit that was the head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadRecord {
    /// The commit, as 40 hex digits.
    pub commit: String,
    /// When landfast observed it as the head.
    pub observed: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    format: u32,
    source: String,
    record: T,
}

/// Only this member is read first: the rest of a newer format may look like anything.
#[derive(Deserialize)]
struct Stamp {
    format: u32,
}

impl Store {
    /// Opens the folder, makes it where there is none, closes it to other users, and locks it for this process.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let unusable = |source| StoreError::Unusable { folder: root.to_owned(), source };
        fs::create_dir_all(root).map_err(unusable)?;
        close_to_others(root);
        fs::create_dir_all(root.join("sources")).map_err(unusable)?;
        let lock = File::create(root.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { root: root.to_owned(), _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(StoreError::InUse(root.to_owned())),
            Err(fs::TryLockError::Error(source)) => Err(unusable(source)),
        }
    }

    /// The folder itself, for those who keep files of their own in it (mirrors, the journal, the certificates).
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What is remembered of a source; nothing where there is no record, or none that can be read. Blocks.
    pub fn load(&self, source: &SourceId) -> Option<SourceRecord> {
        let path = self.record(source);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                set_aside(&path, &error.to_string());
                return None;
            }
        };
        match read::<SourceRecord>(&text) {
            Ok(envelope) => Some(envelope.record),
            Err(why) => {
                set_aside(&path, &why);
                None
            }
        }
    }

    /// Remembers a source; readers and a crash see the old record or the new one, never a part. Blocks.
    pub fn save(&self, source: &SourceId, record: &SourceRecord) -> io::Result<()> {
        let kept = record.heads.len().saturating_sub(limits::HEADS_MAX);
        let record = SourceRecord { heads: record.heads[kept..].to_vec(), gone_since: record.gone_since };
        let envelope = Envelope { format: FORMAT, source: source.0.to_string(), record };
        write_atomically(&self.record(source), &serde_json::to_vec(&envelope)?)
    }

    /// Sources in the order of their names are not enough: a name may hold what a file name may not.
    fn record(&self, source: &SourceId) -> PathBuf {
        let name: String = source.0.bytes().map(escaped).collect();
        self.root.join("sources").join(format!("{name}.json"))
    }
}

/// Mirrors may hold the Secrets of a repository. Only the owner of a folder may close it, so a volume that was mounted for us may
/// stay as it is; and one with the sticky bit (`/tmp`) is everybody's.
fn close_to_others(root: &Path) {
    const OTHERS: u32 = 0o077;
    const STICKY: u32 = 0o1000;
    let closed = fs::metadata(root).and_then(|folder| {
        let mode = folder.permissions().mode();
        if mode & OTHERS == 0 || mode & STICKY != 0 {
            Ok(())
        } else {
            fs::set_permissions(root, fs::Permissions::from_mode(0o700))
        }
    });
    if let Err(error) = closed {
        info!(folder = %root.display(), %error, "The state folder stays open to other users");
    }
}

/// Writes a file so that whoever reads it, also after a crash, finds the old content or the new.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = File::create(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    // The rename itself is only safe once the folder is.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn read<T: for<'de> Deserialize<'de>>(text: &[u8]) -> Result<Envelope<T>, String> {
    let stamp: Stamp = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if stamp.format > FORMAT {
        return Err(format!("its format {} is newer than {FORMAT}", stamp.format));
    }
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

fn set_aside(path: &Path, why: &str) {
    let aside = path.with_extension("unreadable");
    let moved = fs::rename(path, &aside);
    warn!(path = %path.display(), aside = %aside.display(), why, ok = moved.is_ok(), "State set aside");
}

/// Letters, digits, `-` and `.` as they are, all else as `%` and two hex digits; so two names never share a file.
fn escaped(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' => char::from(byte).to_string(),
        other => format!("%{other:02x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> SourceRecord {
        let head = HeadRecord { commit: "ab".repeat(20), observed: Timestamp::from_second(7).unwrap() };
        SourceRecord { heads: vec![head], gone_since: None }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    fn source(name: &str) -> SourceId {
        SourceId(name.into())
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let (_folder, store) = store();
        for name in ["shop", "a/../b", "..", "ÄX", "a.b"] {
            store.save(&source(name), &record()).unwrap();
            assert_eq!(store.load(&source(name)), Some(record()), "{name}");
        }
        assert_eq!(store.load(&source("other")), None);
    }

    #[test]
    fn what_cannot_be_read_is_set_aside() {
        for text in ["", "{", "[]", "\u{0}", r#"{"format":1}"#, r#"{"format":2,"record":7}"#] {
            let (folder, store) = store();
            let path = folder.path().join("sources/shop.json");
            fs::write(&path, text).unwrap();
            assert_eq!(store.load(&source("shop")), None, "{text}");
            assert!(!path.exists() && path.with_extension("unreadable").exists(), "{text}");
            store.save(&source("shop"), &record()).unwrap();
            assert_eq!(store.load(&source("shop")), Some(record()));
        }
    }

    #[test]
    fn half_a_draft_changes_nothing() {
        let (folder, store) = store();
        store.save(&source("shop"), &record()).unwrap();
        fs::write(folder.path().join("sources/shop.new"), "{\"for").unwrap();
        assert_eq!(store.load(&source("shop")), Some(record()));
    }

    #[test]
    fn one_process_holds_the_folder() {
        let (folder, store) = store();
        assert!(matches!(Store::open(folder.path()), Err(StoreError::InUse(_))));
        drop(store);
        assert!(Store::open(folder.path()).is_ok());
    }

    #[test]
    fn other_users_cannot_look_into_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        for root in [open, folder.path().join("new")] {
            let store = Store::open(&root).unwrap();
            let mode = fs::metadata(store.root()).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o700, "{}", root.display());
        }
    }

    #[test]
    fn only_the_latest_heads_are_kept() {
        let (_folder, store) = store();
        let head = |second| HeadRecord { commit: "c".into(), observed: Timestamp::from_second(second).unwrap() };
        let heads: Vec<_> = (0..i64::try_from(limits::HEADS_MAX).unwrap() + 5).map(head).collect();
        store.save(&source("shop"), &SourceRecord { heads: heads.clone(), gone_since: None }).unwrap();
        assert_eq!(store.load(&source("shop")).unwrap().heads, heads[5..]);
    }
}
