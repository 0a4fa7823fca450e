//! What is remembered of many small things? One line for each change, appended; the last line of a name counts.
//!
//! A line is whole or it does not count: what a crash cut off is passed over. At the start, and where most of its lines are over, the
//! file is written anew.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::limits::LEDGER_LINES_MIN;
use crate::store::{FORMAT, Stamp, write_atomically};

/// A file of lines.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: Option<File>,
    lines: usize,
}

#[derive(Serialize, Deserialize)]
struct Line<K, V> {
    name: K,
    /// Absent: it is forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    is: Option<V>,
}

impl Ledger {
    /// Opens the ledger at this path; what it remembers, by name. Blocks.
    pub(super) fn open<T>(path: &Path) -> (Self, BTreeMap<String, T>)
    where
        T: Serialize + for<'de> Deserialize<'de>,
    {
        let remembered = read(path);
        let mut ledger = Self { path: path.to_owned(), file: None, lines: 0 };
        let all = remembered.iter().map(|(name, is)| (name.as_str(), is));
        if let Err(error) = ledger.rewrite(all) {
            warn!(path = %path.display(), %error, "What is learnt is not remembered");
        }
        (ledger, remembered)
    }

    /// Appends changes: what is `None` is forgotten. Blocks. A crash of the process loses nothing of it.
    pub fn append<'t, T: Serialize + 't>(
        &mut self,
        changes: impl Iterator<Item = (&'t str, Option<&'t T>)>,
    ) -> io::Result<()> {
        let mut text = Vec::new();
        for (name, is) in changes {
            serde_json::to_writer(&mut text, &Line { name, is })?;
            text.push(b'\n');
            self.lines += 1;
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(OpenOptions::new().append(true).create(true).open(&self.path)?),
        };
        file.write_all(&text)
    }

    /// Whether most of its lines are over, where so many count.
    pub fn is_long(&self, count: usize) -> bool {
        self.lines > LEDGER_LINES_MIN.max(count * 4)
    }

    /// Writes it anew: this is all that is remembered. Blocks.
    pub fn rewrite<'t, T: Serialize + 't>(&mut self, all: impl Iterator<Item = (&'t str, &'t T)>) -> io::Result<()> {
        let mut text = format!("{{\"format\":{FORMAT}}}\n").into_bytes();
        self.lines = 0;
        for (name, is) in all {
            serde_json::to_writer(&mut text, &Line { name, is: Some(is) })?;
            text.push(b'\n');
            self.lines += 1;
        }
        write_atomically(&self.path, &text)?;
        self.file = Some(OpenOptions::new().append(true).open(&self.path)?);
        Ok(())
    }
}

/// What a file remembers; nothing where there is none, or none that can be read: that is set aside.
fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> BTreeMap<String, T> {
    let mut remembered = BTreeMap::new();
    let Ok(file) = File::open(path) else { return remembered };
    let mut lines = BufReader::new(file).lines().map_while(Result::ok);
    let stamp = lines.next().and_then(|line| serde_json::from_str::<Stamp>(&line).ok());
    if stamp.is_none_or(|stamp| stamp.format > FORMAT) {
        super::set_aside(path, "it is no ledger of a format that is known");
        return remembered;
    }
    for line in lines {
        let Ok(Line { name, is }) = serde_json::from_str::<Line<String, T>>(&line) else { continue };
        match is {
            Some(is) => drop(remembered.insert(name, is)),
            None => drop(remembered.remove(&name)),
        }
    }
    remembered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> (Ledger, BTreeMap<String, u32>) {
        Ledger::open(path)
    }

    #[test]
    fn the_last_line_of_a_name_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let (mut ledger, remembered) = open(&path);
        assert!(remembered.is_empty());
        ledger.append([("a", Some(&1)), ("b", Some(&2)), ("c", Some(&3))].into_iter()).unwrap();
        ledger.append([("a", Some(&7)), ("b", None)].into_iter()).unwrap();
        let (_, remembered) = open(&path);
        assert_eq!(remembered, BTreeMap::from([("a".to_owned(), 7), ("c".to_owned(), 3)]));
    }

    #[test]
    fn it_is_written_anew_where_most_of_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let (mut ledger, _) = open(&path);
        for value in 0..=u32::try_from(LEDGER_LINES_MIN).unwrap() {
            assert!(!ledger.is_long(1));
            ledger.append([("a", Some(&value))].into_iter()).unwrap();
        }
        assert!(ledger.is_long(1) && !ledger.is_long(LEDGER_LINES_MIN));
        ledger.rewrite([("b", &1)].into_iter()).unwrap();
        ledger.append([("c", Some(&2))].into_iter()).unwrap();
        assert!(!ledger.is_long(1));
        assert_eq!(open(&path).1, BTreeMap::from([("b".to_owned(), 1), ("c".to_owned(), 2)]));
    }

    #[test]
    fn half_a_line_is_passed_over_and_nonsense_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let (mut ledger, _) = open(&path);
        ledger.append([("a", Some(&1))].into_iter()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}{{\"name\":\"b\",\"i")).unwrap();
        assert_eq!(open(&path).1, BTreeMap::from([("a".to_owned(), 1)]));
        for nonsense in ["{", "{\"format\":99}\n", ""] {
            std::fs::write(&path, nonsense).unwrap();
            assert!(open(&path).1.is_empty());
            assert!(path.with_extension("unreadable").exists(), "{nonsense}");
        }
    }
}
