//! Do the engine and the server name the same differences?
//!
//! Both may name another ancestor of one difference: where the object lacks a whole subtree, one says so once and the other
//! names what is declared within. Two paths stand for each other where they are the same, or where one lies beneath the other
//! and the upper one is no container of the same type before and after: then the upper one itself came, went or changed its
//! type, and whatever lies beneath it did too. That hides nothing: where both sides hold the container, only the same path counts.
//! What the engine leaves to the server as a whole (unknown) it leaves with all that lies beneath.

use std::collections::{BTreeMap, BTreeSet};

use landfast::drift::compare::{Difference, Kind as How, Typing, compare};
use landfast::drift::document::Document;
use landfast::drift::exceptions::EXCEPTIONS;
use landfast::drift::path::{Scalar, Segment};
use serde_json::Value;

use crate::judge::{Judgement, Path, Sides, Step, sort};
use crate::kind::Kind;
use crate::meaning;
use crate::offer::{Offer, Sort};

/// What the engine found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Paths that differ, for certain.
    pub changed: BTreeSet<Path>,
    /// Lists whose declared items stand in another order.
    pub moved: BTreeSet<Path>,
    /// Paths of which it says that only the server can tell.
    pub unknown: BTreeSet<Path>,
}

/// How the two answers relate.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub struct Relation {
    /// What only the engine reports: a false denial.
    pub ours: Vec<Path>,
    /// What only the server changes: a missed drift.
    pub theirs: Vec<Path>,
    /// Names of the exceptions that were masked.
    pub excepted: BTreeSet<&'static str>,
    /// Whether the engine left something to the server.
    pub unknown: bool,
}

impl Relation {
    /// Whether neither side reports what the other does not.
    pub fn agrees(&self) -> bool {
        self.ours.is_empty() && self.theirs.is_empty()
    }
}

/// Asks the engine, once for each way in which it may know the kind.
pub fn ask(kind: &Kind, declared: &Value, before: &str) -> Vec<Found> {
    let declared = declared.to_string();
    let declared = Document::parse(declared.as_bytes()).expect("the oracle writes objects");
    let before = Document::parse(before.as_bytes()).expect("the server answers with objects");
    let typings = kind.schemas.iter().map(|schemas| Typing::of(schemas, &kind.group, &kind.version, &kind.kind));
    typings.map(|typing| found(compare(typing, &declared, &before))).collect()
}

/// Sorts the engine's answer.
pub fn found(differences: Vec<Difference>) -> Found {
    let mut found = Found::default();
    for difference in differences {
        let path = difference.path.0.iter().map(step).collect();
        let kept = match difference.kind {
            How::Changed | How::Missing => &mut found.changed,
            How::Reordered => &mut found.moved,
            How::Unknown => &mut found.unknown,
        };
        kept.insert(path);
    }
    found
}

fn step(segment: &Segment) -> Step {
    let text = |scalar: &Scalar| match scalar {
        Scalar::Null => "null".to_owned(),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Number(text) => text.to_string(),
        Scalar::String(text) => Value::from(&**text).to_string(),
    };
    match segment {
        Segment::Field(name) => Step::Field(name.to_string()),
        Segment::Key(keys) => {
            Step::Key(keys.iter().map(|(name, value)| (name.to_string(), text(value))).collect::<BTreeMap<_, _>>())
        }
        Segment::Item(value) => Step::Item(text(value)),
        Segment::Index(index) => Step::Index(*index),
    }
}

/// Relates the engine's answer to the server's.
pub fn relate(sides: Sides<'_>, judged: &Judgement, found: &Found) -> Relation {
    let filled = |paths: &BTreeSet<Path>| -> BTreeSet<Path> {
        let fill = |mut path: Path| {
            sides.fill_keys(&mut path);
            path
        };
        paths.iter().cloned().map(fill).collect()
    };
    let found =
        &Found { changed: filled(&found.changed), moved: filled(&found.moved), unknown: filled(&found.unknown) };
    let mut relation = Relation { unknown: !found.unknown.is_empty(), ..Relation::default() };
    let stands = |one: &Path, other: &Path| one == other || sides.covers(one, other) || sides.covers(other, one);
    for theirs in &judged.changed {
        let met = found.changed.iter().chain(&found.unknown).any(|ours| stands(ours, theirs))
            || found.unknown.iter().any(|ours| theirs.starts_with(ours));
        if met {
            continue;
        }
        match sides.custom.then(|| sides.exception(theirs)).flatten() {
            Some(name) => {
                relation.excepted.insert(name);
            }
            None => relation.theirs.push(theirs.clone()),
        }
    }
    for ours in &found.changed {
        if !judged.changed.iter().any(|theirs| stands(ours, theirs)) {
            relation.ours.push(ours.clone());
        }
    }
    let is_unknown = |list: &Path| found.unknown.iter().any(|ours| list.starts_with(ours));
    let replaced = |list: &Path, paths: &BTreeSet<Path>| paths.iter().any(|path| sides.covers(path, list));
    for list in judged.moved.iter().filter(|list| !found.moved.contains(*list)) {
        if !is_unknown(list) && !replaced(list, &found.changed) {
            relation.theirs.push(list.clone());
        }
    }
    for list in found.moved.iter().filter(|list| !judged.moved.contains(*list)) {
        if !replaced(list, &judged.changed) {
            relation.ours.push(list.clone());
        }
    }
    relation
}

impl Sides<'_> {
    /// Whether a difference at `upper` is one at `lower`, too.
    fn covers(self, upper: &Path, lower: &Path) -> bool {
        if lower.len() <= upper.len() || !lower.starts_with(upper) {
            return false;
        }
        let (before, after) = (self.at(self.before, upper), self.at(self.after, upper));
        match (before.as_slice(), after.as_slice()) {
            (before, after) if before.is_empty() || before.len() != after.len() => true,
            (before, after) => before
                .iter()
                .zip(after)
                .any(|(before, after)| sort(before) != sort(after) || !(before.is_object() || before.is_array())),
        }
    }

    /// The exception that masks a path, of which the closed table must know.
    fn exception(self, path: &Path) -> Option<&'static str> {
        let (before, after) = (self.at(self.before, path), self.at(self.after, path));
        let ([before], [after]) = (before.as_slice(), after.as_slice()) else { return None };
        let name = meaning::exception(self.offer_at(path), before, after)?;
        EXCEPTIONS.iter().any(|exception| exception.name == name).then_some(name)
    }
}

/// Declared strings that plainly differ from what stands there, and that the engine says nothing of: what it is held to where
/// the server refused to answer.
pub fn overlooked(kind: &Kind, declared: &Value, before: &Value, found: &Found) -> Vec<Path> {
    let mut plain = Vec::new();
    let mut walk = Plain { kind, way: Vec::new(), found: &mut plain };
    walk.go(kind.offer(), declared, before);
    let named: Vec<&Path> = found.changed.iter().chain(&found.unknown).chain(&found.moved).collect();
    plain.retain(|path| !named.iter().any(|ours| path.starts_with(ours) || ours.starts_with(path)));
    plain
}

struct Plain<'p> {
    kind: &'p Kind,
    way: Path,
    found: &'p mut Vec<Path>,
}

impl Plain<'_> {
    fn go(&mut self, offer: Offer<'_>, declared: &Value, before: &Value) {
        match (offer.sort(), declared, before) {
            (Sort::Text(""), Value::String(one), Value::String(other)) => {
                // One name of two for a Pod's account: the other may decide.
                let is_alias = self.way.last() == Some(&Step::Field("serviceAccount".to_owned()));
                if one != other && !one.is_empty() && !other.is_empty() && !is_alias {
                    self.found.push(self.way.clone());
                }
            }
            (Sort::Object(_) | Sort::Map(_), Value::Object(members), Value::Object(_)) => {
                for (name, value) in members {
                    self.way.push(Step::Field(name.clone()));
                    // An update leaves it as it was, whatever it says.
                    let is_kept = self.kind.kind == "CertificateSigningRequest" && name == "spec";
                    if let (Some(inner), Some(live), false) = (offer.member(name), before.get(name), is_kept)
                        && !crate::kind::is_passed_over(&self.way, self.kind.status_apart)
                    {
                        self.go(inner, value, live);
                    }
                    self.way.pop();
                }
            }
            _ => {}
        }
    }
}
