//! What do we remember across restarts? The state folder: one versioned, atomic, rebuildable format.
//!
//! A file that cannot be read, or that a newer landfast wrote, is set aside with a warning, and landfast goes on without:
//! whatever is kept here can be had again. It never holds a secret.

mod ledger;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::drift::form::Form;
use crate::gate::basis::SourceId;
use crate::limits;

pub use crate::store::ledger::Ledger;

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

/// What is remembered of a server form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormRecord {
    /// Of what state of the cluster it is.
    pub epoch: String,
    /// When it was learnt.
    pub learnt: Timestamp,
    /// What the server makes of the declaration.
    pub form: Form,
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    format: u32,
    /// The source that it is of, where it is of one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
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
        for folder in ["sources", "forms"] {
            fs::create_dir_all(root.join(folder)).map_err(unusable)?;
        }
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
        load(&self.record(source))
    }

    /// Remembers a source; readers and a crash see the old record or the new one, never a part. Blocks.
    pub fn save(&self, source: &SourceId, record: &SourceRecord) -> io::Result<()> {
        let kept = record.heads.len().saturating_sub(limits::HEADS_MAX);
        let record = SourceRecord { heads: record.heads[kept..].to_vec(), gone_since: record.gone_since };
        let envelope = Envelope { format: FORMAT, source: source.0.to_string(), record };
        write_atomically(&self.record(source), &serde_json::to_vec(&envelope)?)
    }

    /// The forms that are remembered and still count, by their ids; the others are forgotten. Blocks.
    pub fn load_forms(&self, counts: impl Fn(&FormRecord) -> bool) -> Vec<(String, FormRecord)> {
        let Ok(files) = fs::read_dir(self.root.join("forms")) else { return Vec::new() };
        let mut found = Vec::new();
        for path in files.filter_map(|file| Some(file.ok()?.path())) {
            let id = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
            let is_record = path.extension().is_some_and(|extension| extension == "json");
            let record = if is_record { load(&path).filter(&counts) } else { None };
            match id.zip(record) {
                Some(form) => found.push(form),
                // What cannot be read was set aside for people to see; it goes with the next start.
                None => drop(fs::remove_file(&path)),
            }
        }
        found
    }

    /// Remembers a form under its id, which is a file name. Blocks.
    pub fn save_form(&self, id: &str, record: &FormRecord) -> io::Result<()> {
        let envelope = Envelope { format: FORMAT, source: String::new(), record };
        write_atomically(&self.form(id), &serde_json::to_vec(&envelope)?)
    }

    /// Forgets a form, if it is remembered. Blocks.
    pub fn drop_form(&self, id: &str) -> io::Result<()> {
        match fs::remove_file(self.form(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// What is remembered of each declared object, by its key, and where more is noted. Blocks.
    pub fn standings<T: Serialize + for<'de> Deserialize<'de>>(&self) -> (Ledger, BTreeMap<String, T>) {
        Ledger::open(&self.root.join("standings.jsonl"))
    }

    /// What was last in force of the operator's objects in the cluster. Blocks.
    pub fn load_configuration<T: for<'de> Deserialize<'de> + Default>(&self) -> T {
        load(&self.configuration()).unwrap_or_default()
    }

    /// Remembers what is in force of the operator's objects in the cluster. Blocks.
    pub fn save_configuration<T: Serialize>(&self, record: &T) -> io::Result<()> {
        let envelope = Envelope { format: FORMAT, source: String::new(), record };
        write_atomically(&self.configuration(), &serde_json::to_vec(&envelope)?)
    }

    fn configuration(&self) -> PathBuf {
        self.root.join("configuration.json")
    }

    fn form(&self, id: &str) -> PathBuf {
        self.root.join("forms").join(format!("{id}.json"))
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

/// What a file holds; nothing where there is none, or none that can be read: that is set aside.
fn load<T: for<'de> Deserialize<'de>>(path: &Path) -> Option<T> {
    let why = match fs::read(path) {
        Ok(text) => match read(&text) {
            Ok(envelope) => return Some(envelope.record),
            Err(why) => why,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => error.to_string(),
    };
    set_aside(path, &why);
    None
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

    fn form(second: i64) -> FormRecord {
        let form = Form::made("{\"a\":1}", "{\"a\":2}");
        FormRecord { epoch: "e".to_owned(), learnt: Timestamp::from_second(second).unwrap(), form }
    }

    #[test]
    fn forms_that_count_are_loaded_and_the_others_forgotten() {
        let (folder, store) = store();
        for (id, second) in [("old", 1), ("young", 9), ("gone", 9), ("broken", 9)] {
            store.save_form(id, &form(second)).unwrap();
        }
        store.drop_form("gone").unwrap();
        store.drop_form("never").unwrap();
        fs::write(folder.path().join("forms/broken.json"), "{").unwrap();
        let loaded = || store.load_forms(|form| form.learnt.as_second() > 5);
        assert_eq!(loaded(), [("young".to_owned(), form(9))]);
        assert!(!folder.path().join("forms/old.json").exists());
        assert_eq!(loaded().len(), 1);
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
