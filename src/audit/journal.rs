//! Which verdicts were there before the restart? An append-only file of JSON lines under `--state-dir`, in two generations.
//!
//! A torn last line (power loss, a full disk) costs that line and nothing else. Blocking: call it off the runtime.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::audit::change::Reconfigured;
use crate::audit::fold::Repeats;
use crate::audit::record::Record;
use crate::audit::safety::Refusals;
use crate::audit::usage::Used;
use crate::limits;

/// The current file; the `v1` is its format.
const CURRENT: &str = "records.v1.jsonl";
/// The one before.
const OLDER: &str = "records.v1.older.jsonl";

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// A record.
    Record(Box<Record>),
    /// How often one above was repeated.
    Repeats(Repeats),
    /// A change of the configuration.
    Reconfigured(Reconfigured),
    /// An entry of a policy that was of use.
    Used(Used),
}

/// The files of the journal in a folder, the older one first, whether or not they are there.
pub fn files(folder: &Path) -> [PathBuf; 2] {
    [folder.join(OLDER), folder.join(CURRENT)]
}

/// Reads a journal line by line, the oldest first; what is no line of it (torn, or of a later version) is passed over.
pub fn visit(journal: impl BufRead, mut each: impl FnMut(Line)) -> io::Result<()> {
    for line in journal.split(b'\n') {
        if let Ok(line) = serde_json::from_slice(&line?) {
            each(line);
        }
    }
    Ok(())
}

/// What the journal in a folder tells of the safety of policies.
pub fn refusals(folder: &Path) -> Result<Refusals, JournalError> {
    let mut refusals = Refusals::default();
    for path in files(folder) {
        let read = match File::open(&path) {
            Ok(file) => visit(BufReader::new(file), |line| match line {
                Line::Record(record) => refusals.take(&record),
                Line::Repeats(_) | Line::Reconfigured(_) | Line::Used(_) => {}
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        read.map_err(|source| JournalError::Open { path, source })?;
    }
    Ok(refusals)
}

/// The journal, open for appending.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    file: File,
    bytes: u64,
    /// Whether the last write ended in the middle of a line.
    torn: bool,
}

/// The journal cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be opened or read.
    #[error("cannot open the journal {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Lines could not be written; they are lost.
    #[error("cannot write the journal {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Journal {
    /// Opens the journal in a folder that exists, and gives its last records, the oldest first.
    pub fn open(folder: &Path) -> Result<(Self, Vec<Record>), JournalError> {
        let path = folder.join(CURRENT);
        let failed = |source| JournalError::Open { path: path.clone(), source };
        let mut text = tail(&folder.join(OLDER)).map_err(failed)?;
        let current = tail(&path).map_err(failed)?;
        let torn = !current.is_empty() && !current.ends_with(b"\n");
        text.push(b'\n');
        text.extend_from_slice(&current);
        let file = append_to(&path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        Ok((Self { folder: folder.to_owned(), file, bytes, torn }, read(&text)))
    }

    /// Appends lines; begins a new file where the current one is full.
    pub fn append(&mut self, lines: &[Line]) -> Result<(), JournalError> {
        let mut text = Vec::new();
        if self.torn {
            text.push(b'\n');
        }
        for line in lines {
            // A record is plain data: serde_json fails only on a broken writer, and a Vec is none.
            if serde_json::to_writer(&mut text, line).is_ok() {
                text.push(b'\n');
            }
        }
        let path = self.folder.join(CURRENT);
        let result = self.turn(text.len() as u64).and_then(|()| self.file.write_all(&text));
        self.torn = result.is_err();
        self.bytes += text.len() as u64;
        result.map_err(|source| JournalError::Write { path, source })
    }

    fn turn(&mut self, more: u64) -> io::Result<()> {
        if self.bytes == 0 || self.bytes + more <= limits::JOURNAL_BYTES_MAX {
            return Ok(());
        }
        let path = self.folder.join(CURRENT);
        fs::rename(&path, self.folder.join(OLDER))?;
        self.file = append_to(&path)?;
        self.bytes = 0;
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// The last bytes of a file, from the start of a line on; nothing where there is no file.
fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let start = length.saturating_sub(limits::JOURNAL_TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut text = Vec::new();
    file.take(limits::JOURNAL_TAIL_BYTES).read_to_end(&mut text)?;
    if start > 0 {
        let cut = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1);
        text.drain(..cut);
    }
    Ok(text)
}

/// The last records of a text of lines; a line that is none is passed over.
fn read(text: &[u8]) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    let mut repeats: HashMap<String, u64> = HashMap::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(Line::Record(record)) => records.push(*record),
            Ok(Line::Repeats(line)) => drop(repeats.insert(line.id, line.repeated)),
            Ok(Line::Reconfigured(_) | Line::Used(_)) | Err(_) => {} // no verdict, torn, or of a version that this one does not know
        }
    }
    records.drain(..records.len().saturating_sub(limits::RECORDS_KEPT));
    for record in &mut records {
        record.count = repeats.get(&record.id).copied().unwrap_or(record.count);
    }
    records
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write as _;

    use jiff::Timestamp;

    use crate::audit::fold::Repeats;
    use crate::audit::journal::{CURRENT, Journal, Line, OLDER};
    use crate::audit::record::tests::verdict;
    use crate::audit::record::{Record, Seen};
    use crate::gate::verdict::Ruling;
    use crate::limits;

    fn record(written: &str) -> Record {
        Record::of(&verdict("ConfigMap", Ruling::Deny, written), &Seen::default(), Timestamp::UNIX_EPOCH)
    }

    fn line(written: &str) -> Line {
        Line::Record(Box::new(record(written)))
    }

    #[test]
    fn records_and_their_repeats_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, before) = Journal::open(folder.path()).unwrap();
        assert_eq!(before, []);
        let repeats = Repeats { id: record("5").id, repeated: 7, until: Timestamp::UNIX_EPOCH };
        journal.append(&[line("5"), line("6"), Line::Repeats(repeats)]).unwrap();
        drop(journal);
        let (_, after) = Journal::open(folder.path()).unwrap();
        assert_eq!(after, [Record { count: 7, ..record("5") }, record("6")]);
    }

    #[test]
    fn a_torn_last_line_costs_itself_only() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path()).unwrap();
        journal.append(&[line("5")]).unwrap();
        drop(journal);
        let mut file = OpenOptions::new().append(true).open(folder.path().join(CURRENT)).unwrap();
        file.write_all(br#"{"id":"00","time":"2026-11-2"#).unwrap();
        drop(file);
        let (mut journal, _) = Journal::open(folder.path()).unwrap();
        journal.append(&[line("6")]).unwrap();
        drop(journal);
        let (_, after) = Journal::open(folder.path()).unwrap();
        assert_eq!(after, [record("5"), record("6")]);
    }

    #[test]
    fn bytes_that_are_no_text_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(CURRENT), [0xff, 0x00, b'\n', b'{', b'\n']).unwrap();
        let (mut journal, before) = Journal::open(folder.path()).unwrap();
        assert_eq!(before, []);
        journal.append(&[line("5")]).unwrap();
        drop(journal);
        assert_eq!(Journal::open(folder.path()).unwrap().1, [record("5")]);
    }

    #[test]
    fn a_full_file_makes_room_for_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path()).unwrap();
        journal.append(&[line("5")]).unwrap();
        journal.bytes = limits::JOURNAL_BYTES_MAX;
        journal.append(&[line("6")]).unwrap();
        drop(journal);
        assert_eq!(fs::read_to_string(folder.path().join(OLDER)).unwrap().lines().count(), 1);
        assert_eq!(fs::read_to_string(folder.path().join(CURRENT)).unwrap().lines().count(), 1);
        assert_eq!(Journal::open(folder.path()).unwrap().1, [record("5"), record("6")]);
    }
}
