//! What did Git say of an object before? Distinct declarations, each with the interval in which it held.
//!
//! Never reads a clock: who asks says what time it is.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustc_hash::FxHashMap;

use crate::drift::declared::Declared;
use crate::gate::basis::Entry;

/// One earlier declaration of an object, packed: an object's declarations differ in few bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// From when a head said so, as landfast observed it.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// The manifest, against the next newer declaration (against nothing where Git had dropped the object).
    pub packed: Packed,
}

/// A manifest as pieces of the next newer one and the bytes between them.
///
/// Three numbers a piece (seven bits a byte): how many bytes are new, then those bytes; from where in the newer manifest the
/// piece is taken; how long it is. Two changed scalars of a 1.5 KB manifest need some 20 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed(Box<[u8]>);

/// Bytes that must be equal before a piece is taken from the newer manifest: fewer would cost more than they save.
const PIECE_MIN: usize = 12;

/// Every how many bytes of the newer manifest a piece can be found. One of at least `PIECE_MIN + PIECE_STEP` always is.
const PIECE_STEP: usize = 4;

/// What a new head makes of an object.
#[derive(Debug)]
pub struct Turn<'d> {
    /// What the new head declares; absent where it dropped the object.
    pub head: Option<&'d Arc<Declared>>,
    /// When the new head was observed.
    pub observed: Timestamp,
    /// Declarations that ended before this are forgotten.
    pub horizon: Timestamp,
}

/// Declarations of an object, the newest first; see [`Entry::declarations`].
#[derive(Debug)]
pub struct Declarations<'e> {
    head: Option<&'e [u8]>,
    past: &'e [Past],
    newer: Cow<'e, [u8]>,
    horizon: Timestamp,
}

impl Packed {
    /// Packs `older` against `newer`.
    pub fn pack(older: &[u8], newer: &[u8]) -> Self {
        let prefix = shared(older.iter().zip(newer));
        let suffix = shared(older[prefix..].iter().rev().zip(newer[prefix..].iter().rev()));
        let (end, newer_end) = (older.len() - suffix, newer.len() - suffix);
        let starts = pieces(&newer[prefix..newer_end]);
        let mut bytes = Vec::new();
        piece(&mut bytes, &[], 0, prefix);
        let (mut written, mut at) = (prefix, prefix);
        while let Some(window) = older[..end].get(at..at + PIECE_MIN) {
            let Some(&start) = starts.get(window) else {
                at += 1;
                continue;
            };
            let from = prefix + start;
            let length = shared(older[at..end].iter().zip(&newer[from..]));
            let back = shared(older[written..at].iter().rev().zip(newer[..from].iter().rev()));
            piece(&mut bytes, &older[written..at - back], from - back, back + length);
            at += length;
            written = at;
        }
        piece(&mut bytes, &older[written..end], newer_end, suffix);
        Self(bytes.into())
    }

    /// The older manifest, from the newer one.
    ///
    /// Total: from another manifest than the one it was packed against it makes other bytes, but it never panics.
    pub fn unpack(&self, newer: &[u8]) -> Vec<u8> {
        let mut older = Vec::with_capacity(newer.len() + self.0.len());
        let mut rest = &*self.0;
        while !rest.is_empty() {
            let fresh = number(&mut rest).min(rest.len());
            let (fresh, after) = rest.split_at(fresh);
            older.extend_from_slice(fresh);
            rest = after;
            let from = number(&mut rest).min(newer.len());
            let length = number(&mut rest).min(newer.len() - from);
            older.extend_from_slice(&newer[from..from + length]);
        }
        older
    }
}

/// Where pieces may begin, by their first bytes.
fn pieces(newer: &[u8]) -> FxHashMap<&[u8], usize> {
    let starts = (0..newer.len().saturating_sub(PIECE_MIN - 1)).step_by(PIECE_STEP);
    starts.map(|start| (&newer[start..start + PIECE_MIN], start)).collect()
}

fn piece(bytes: &mut Vec<u8>, fresh: &[u8], from: usize, length: usize) {
    if fresh.is_empty() && length == 0 {
        return;
    }
    put(bytes, fresh.len());
    bytes.extend_from_slice(fresh);
    put(bytes, from);
    put(bytes, length);
}

fn put(bytes: &mut Vec<u8>, mut number: usize) {
    while number > 0x7f {
        bytes.push(0x80 | low(number));
        number >>= 7;
    }
    bytes.push(low(number));
}

fn low(number: usize) -> u8 {
    u8::try_from(number & 0x7f).expect("seven bits fit a byte")
}

/// A number that [`put`] wrote; 0 at the end of the bytes.
fn number(rest: &mut &[u8]) -> usize {
    let (mut number, mut shift) = (0_usize, 0_u32);
    while let Some((&byte, after)) = rest.split_first() {
        *rest = after;
        number |= usize::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

impl Entry {
    /// All that Git said of the object within `max_lag` before `now`, as compact JSON, the newest first.
    ///
    /// The declaration in force comes first and is borrowed; earlier ones are unpacked one by one, so who finds what it
    /// looks for early pays for no more. None at all where Git dropped the object longer ago.
    pub fn declarations(&self, now: Timestamp, max_lag: Duration) -> Declarations<'_> {
        let head = self.head.as_ref().map(|declared| &*declared.json);
        let newer = Cow::Borrowed(head.unwrap_or_default());
        Declarations { head, past: &self.past, newer, horizon: horizon(now, max_lag) }
    }

    /// What Git said at an instant, as compact JSON; the oldest that is known where that is longer ago.
    pub fn at(&self, then: Timestamp) -> Option<Cow<'_, [u8]>> {
        let head = usize::from(self.head.is_some());
        let earlier = if head == 1 && self.since <= then {
            0
        } else {
            let newer = self.past.iter().take_while(|past| past.from > then).count();
            head + newer.min(self.past.len().saturating_sub(1))
        };
        let mut all = self.declarations(then, Duration::MAX);
        if self.past.is_empty() { all.next() } else { all.nth(earlier) }
    }

    /// The entry as the next head leaves it; `None` where nothing is left to remember.
    pub fn turn(&self, turn: &Turn<'_>) -> Option<Self> {
        let since = if self.same_manifest(turn.head) { self.since } else { turn.observed };
        let past = match (self.same_manifest(turn.head), self.forgets_at(turn.horizon)) {
            (true, false) => self.past.clone(),
            (true, true) => self.kept(turn.horizon).cloned().collect(),
            (false, _) => self.demoted(turn),
        };
        let gone = turn.head.is_none() && past.is_empty();
        (!gone).then(|| Self { source: self.source.clone(), head: turn.head.cloned(), since, past })
    }

    /// Whether something in it ended before `horizon`.
    pub fn forgets_at(&self, horizon: Timestamp) -> bool {
        self.past.last().is_some_and(|oldest| oldest.until < horizon)
    }

    fn same_manifest(&self, head: Option<&Arc<Declared>>) -> bool {
        self.head.as_ref().map(|ours| &ours.json) == head.map(|theirs| &theirs.json)
    }

    /// Intervals stand newest first and do not overlap, so those to keep are the first ones.
    fn kept(&self, horizon: Timestamp) -> impl Iterator<Item = &Past> {
        self.past.iter().take_while(move |past| past.until >= horizon)
    }

    /// The past once the present declaration belongs to it. Only its newest part is packed anew: each is packed against its
    /// next newer one, and that stays the same for all others.
    fn demoted(&self, turn: &Turn<'_>) -> Arc<[Past]> {
        let newer = turn.head.map_or(&[][..], |declared| &declared.json);
        let Some(present) = &self.head else {
            // Git had dropped it: the newest past stood alone and gets a newer neighbour now.
            let mut past: Vec<Past> = self.kept(turn.horizon).cloned().collect();
            if let Some(newest) = past.first_mut() {
                newest.packed = Packed::pack(&newest.packed.unpack(&[]), newer);
            }
            return past.into();
        };
        let packed = Packed::pack(&present.json, newer);
        let present = Past { from: self.since, until: turn.observed.max(self.since), packed };
        std::iter::once(present)
            .filter(|past| past.until >= turn.horizon)
            .chain(self.kept(turn.horizon).cloned())
            .collect()
    }
}

impl<'e> Iterator for Declarations<'e> {
    type Item = Cow<'e, [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(head) = self.head.take() {
            return Some(Cow::Borrowed(head));
        }
        let (past, older) = self.past.split_first().filter(|(past, _)| past.until >= self.horizon)?;
        self.past = older;
        self.newer = Cow::Owned(past.packed.unpack(&self.newer));
        Some(self.newer.clone())
    }
}

/// The instant before which what ended counts no more.
pub fn horizon(now: Timestamp, max_lag: Duration) -> Timestamp {
    now.checked_sub(max_lag).unwrap_or(Timestamp::MIN)
}

fn shared<'b>(pairs: impl Iterator<Item = (&'b u8, &'b u8)>) -> usize {
    pairs.take_while(|(ours, theirs)| ours == theirs).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::drift::declared::{Lines, ObjectKey};
    use crate::gate::basis::SourceId;

    fn declared(json: &str) -> Arc<Declared> {
        Arc::new(Declared {
            key: ObjectKey::new("", "ConfigMap", "shop", "a"),
            version: "v1".into(),
            json: json.as_bytes().into(),
            lines: Lines::default(),
            file: "a.yaml".into(),
            ignored: Box::default(),
        })
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn first(json: &str) -> Entry {
        Entry { source: SourceId("s".into()), head: Some(declared(json)), since: at(0), past: Arc::default() }
    }

    fn turned(entry: &Entry, head: Option<&str>, second: i64) -> Entry {
        let head = head.map(declared);
        entry.turn(&Turn { head: head.as_ref(), observed: at(second), horizon: Timestamp::MIN }).unwrap()
    }

    fn texts(entry: &Entry, now: i64, lag: u64) -> Vec<String> {
        let all = entry.declarations(at(now), Duration::from_secs(lag));
        all.map(|json| String::from_utf8(json.into_owned()).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn unpacking_gives_back_what_was_packed(older in "[ab]{0,12}", newer in "[ab]{0,12}") {
            let packed = Packed::pack(older.as_bytes(), newer.as_bytes());
            prop_assert_eq!(packed.unpack(newer.as_bytes()), older.as_bytes());
        }

        #[test]
        fn unpacking_gives_back_what_was_moved_about(
            pieces in prop::collection::vec("[a-z]{0,30}", 1..6),
            order in prop::collection::vec(0_usize..6, 0..8),
        ) {
            let newer = pieces.concat();
            let older: String = order.iter().map(|at| pieces.get(*at).map_or("!", |piece| piece)).collect();
            let packed = Packed::pack(older.as_bytes(), newer.as_bytes());
            prop_assert_eq!(packed.unpack(newer.as_bytes()), older.as_bytes());
        }

        #[test]
        fn unpacking_never_panics(bytes: Vec<u8>, newer in "[ab]{0,12}") {
            let _ = Packed(bytes.into()).unpack(newer.as_bytes());
        }

        #[test]
        fn every_declaration_is_found_again(said in prop::collection::vec(prop::option::of("[ab]{1,6}"), 1..8)) {
            let mut entry = first("start");
            let mut expected = vec!["start".to_owned()];
            let mut before = Some("start");
            for (second, json) in (1..).zip(&said) {
                entry = turned(&entry, json.as_deref(), second);
                if let Some(json) = json && before != Some(json) {
                    expected.insert(0, json.clone());
                }
                before = json.as_deref();
            }
            prop_assert_eq!(texts(&entry, 100, 1_000), expected);
        }
    }

    #[test]
    fn a_few_changed_values_take_few_bytes() {
        let items: Vec<_> = (0..200).map(|n| format!(r#"{{"name":"item-{n}","value":{n}}}"#)).collect();
        let newer = items.concat();
        let older = newer.replace("item-20\"", "item-2x\"").replace("item-150\"", "another\"");
        let packed = Packed::pack(older.as_bytes(), newer.as_bytes());
        assert_eq!(packed.unpack(newer.as_bytes()), older.as_bytes());
        assert!(packed.0.len() < 40, "{}", packed.0.len());
    }

    #[test]
    fn what_ended_before_max_lag_is_not_declared() {
        let entry = turned(&turned(&first("one"), Some("two"), 10), Some("three"), 20);
        assert_eq!(texts(&entry, 25, 5), ["three", "two"]);
        assert_eq!(texts(&entry, 26, 5), ["three"]);
    }

    #[test]
    fn a_dropped_object_is_remembered_until_its_time_is_over() {
        let entry = turned(&first("one"), None, 10);
        assert_eq!(texts(&entry, 15, 5), ["one"]);
        assert_eq!(texts(&entry, 16, 5), [""; 0]);
        assert!(entry.turn(&Turn { head: None, observed: at(16), horizon: at(11) }).is_none());
    }

    #[test]
    fn an_unchanged_past_is_shared() {
        let entry = turned(&first("one"), Some("two"), 10);
        assert!(Arc::ptr_eq(&entry.past, &turned(&entry, Some("two"), 20).past));
    }
}
