//! What of an object did the incident move, and what has its deployer only not rolled out yet?
//!
//! Computed from the object's drift, not stored. A value that no recent declaration says is the incident's. One that Git itself said
//! before is the deployer's lag, unless it was written after the glass was broken and after Git had left it: then somebody rolled
//! back. When a place was written last, the server notes in `metadata.managedFields` (structured-merge-diff v6: who changes a value
//! takes it from all its owners). Where that cannot tell, what Git said when the glass was broken decides. Whoever forges those notes
//! can only have a deployer write what Git says, or wait with it until the end.

use std::cmp::max;

use jiff::Timestamp;
use serde_json::Value;

use crate::drift::document::Document;
use crate::drift::lookup::Lookup;
use crate::drift::path::{FieldPath, Segment};
use crate::gate::case::Case;
use crate::gate::finding::{Change, Finding};
use crate::gate::grant::Grant;
use crate::gate::managers;
use crate::gate::message::is_secret;
use crate::gate::sides::Sides;
use crate::gate::verdict::Class;
use crate::gate::write;
use crate::limits::{CLOCK_SKEW_MAX, LAG_BYTES_MAX};

/// How a declaration stands to what an object has at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// It says so; or neither has anything there.
    Agrees,
    /// It says something else.
    Apart,
    /// It says nothing of what is there.
    Silent,
}

/// Since when Git does not say a value any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// It says so now.
    Not,
    /// Since this instant.
    At(Timestamp),
}

/// When a place was written last, against an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// Before it.
    Before,
    /// Since then, by somebody else than the deployer.
    Since,
    /// Nothing tells.
    Unknown,
}

/// What a deployer's write would move of what the incident moved.
pub(crate) fn by_incident<'f>(
    case: &Case<'_>,
    finding: &'f Finding,
    sides: &Sides<'_>,
    grant: &Grant,
) -> Vec<&'f Change> {
    let may_count = |change: &&Change| {
        change.class != Class::Preexisting
            // A deployer's own additions are its right.
            && (change.class != Class::Undeclared || change.before.is_some())
            && !case.is_free(change, finding.condemned)
    };
    let touched: Vec<&Change> = finding.changes.iter().filter(may_count).collect();
    if touched.is_empty() {
        return touched;
    }
    let words = Words::of(case, sides, &touched, grant);
    let notes = Notes::of(case);
    let is_moved = |(place, change): &(usize, &Change)| words.is_moved(*place, change, &notes, grant.opened);
    touched.into_iter().enumerate().filter(is_moved).map(|(_, change)| change).collect()
}

/// What Git says and said of some places of an object.
struct Words {
    /// By declaration, the newest first, then by place.
    recent: Vec<(Left, Vec<Stand>)>,
    /// When the glass was broken, by place.
    then: Vec<Stand>,
}

impl Words {
    fn of(case: &Case<'_>, sides: &Sides<'_>, changes: &[&Change], grant: &Grant) -> Self {
        let Some(entry) = case.entry else {
            return Self { recent: Vec::new(), then: vec![Stand::Silent; changes.len()] };
        };
        let max_lag = case.source.map(|source| source.max_lag).unwrap_or_default();
        let head = usize::from(entry.head.is_some());
        let mut read = 0;
        let affordable = entry.declarations(case.now, max_lag).enumerate().take_while(|(_, json)| {
            read += json.len();
            read <= LAG_BYTES_MAX
        });
        let left = |place: usize| place.checked_sub(head).map_or(Left::Not, |place| Left::At(entry.past[place].until));
        let recent = affordable.map(|(place, json)| (left(place), stands(case, sides, &json, changes))).collect();
        let then = entry.at(grant.opened).unwrap_or_default();
        Self { recent, then: stands(case, sides, &then, changes) }
    }

    fn is_moved(&self, place: usize, change: &Change, notes: &Notes, opened: Timestamp) -> bool {
        let said = self.recent.iter().find(|(_, stands)| stands[place] == Stand::Agrees).map(|(left, _)| *left);
        match (said, self.then[place], change.class) {
            // What the incident wrote and Git took over stays, too.
            (Some(Left::Not), then, _) => then == Stand::Apart,
            (Some(Left::At(left)), then, class) => match notes.written(change, opened, left) {
                Written::Before => false,
                Written::Since => true,
                Written::Unknown => then == Stand::Apart || (then == Stand::Silent && class == Class::Undeclared),
            },
            (None, Stand::Apart, _) | (None, Stand::Silent, Class::Undeclared) => true,
            // Git speaks of it for the first time: what stands there may be the server's default.
            (None, Stand::Silent, _) => notes.written(change, opened, opened) == Written::Since,
            (None, Stand::Agrees, _) => false,
        }
    }
}

/// How a declaration stands to the places of these changes, as they were before the write.
fn stands(case: &Case<'_>, sides: &Sides<'_>, declared: &[u8], changes: &[&Change]) -> Vec<Stand> {
    let apart = case.view().moves(declared, sides).unwrap_or_default();
    let apart: Vec<&FieldPath> = apart.iter().filter(|change| stood_apart(change)).map(|change| &change.path).collect();
    let read = Document::parse(declared).unwrap_or_default();
    let mut declared = Lookup::of(&read);
    let Sides::Some { before: Some(before), .. } = sides else { return vec![Stand::Silent; changes.len()] };
    let mut live = Lookup::of(before);
    let stand = |change: &&Change| {
        let path = &change.path;
        if apart.iter().any(|other| other.covers(path) || path.covers(other)) {
            Stand::Apart
        } else if declared.at(path).is_some() || declares_as_text(case, &mut declared, path) || live.at(path).is_none()
        {
            Stand::Agrees
        } else {
            Stand::Silent
        }
    };
    changes.iter().map(stand).collect()
}

fn stood_apart(change: &Change) -> bool {
    match change.class {
        Class::Preexisting | Class::Restores => true,
        Class::Drifts | Class::Reordered => change.before.is_some(),
        Class::Undeclared => false,
    }
}

/// Whether a Secret's value is declared in `stringData`.
fn declares_as_text(case: &Case<'_>, declared: &mut Lookup<'_, '_>, path: &FieldPath) -> bool {
    match path.0.as_slice() {
        [Segment::Field(data), Segment::Field(name)] if **data == *"data" && is_secret(&case.aim.key) => {
            declared.at(&FieldPath::of(["stringData", name])).is_some()
        }
        _ => false,
    }
}

/// What the server notes of who wrote what, and when.
struct Notes {
    before: Value,
    /// The name under which this write is noted.
    writer: Option<String>,
}

impl Notes {
    fn of(case: &Case<'_>) -> Self {
        let before = match case.write.change {
            write::Change::Update { before, .. } => serde_json::from_str(before.get()).unwrap_or_default(),
            write::Change::Create { .. } | write::Change::Delete { .. } | write::Change::Connect => Value::Null,
        };
        Self { before, writer: case.write.field_manager() }
    }

    /// When a place was written last, against the later of two instants: when the glass was broken, and when Git left what stands
    /// there.
    fn written(&self, change: &Change, opened: Timestamp, left: Timestamp) -> Written {
        if change.class == Class::Reordered {
            // The order of items has no owner.
            return Written::Unknown;
        }
        let owners: Vec<&Value> = managers::owners(&self.before, &change.path).collect();
        let is_writers = |owner: &Value| self.writer.as_deref().is_some_and(|writer| owner["manager"] == *writer);
        let since = max(opened, left);
        match owners.iter().map(|owner| time(owner)).min() {
            Some(Some(oldest)) if is_before(oldest, since) => Written::Before,
            Some(Some(oldest)) if oldest >= since && !owners.iter().all(|owner| is_writers(owner)) => Written::Since,
            Some(_) => Written::Unknown,
            // Nothing is there. A deployer that has not written since Git says something never brought it.
            None => match managers::entries(&self.before).filter(|entry| is_writers(entry)).map(time).max() {
                Some(Some(last)) if is_before(last, left) => Written::Before,
                Some(_) | None => Written::Unknown,
            },
        }
    }
}

/// Whether one instant is before another, though the clocks that told them may disagree.
fn is_before(one: Timestamp, other: Timestamp) -> bool {
    one.checked_add(CLOCK_SKEW_MAX).is_ok_and(|one| one < other)
}

fn time(entry: &Value) -> Option<Timestamp> {
    entry["time"].as_str()?.parse().ok()
}
