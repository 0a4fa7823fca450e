//! What is put on the record of a repair? What was put back, with both values and who had moved it.
//!
//! Pure.

use jiff::Timestamp;
use serde_json::Value;

use crate::audit::record::Record;
use crate::audit::repair::{About, Field, Moved, Outcome, Repaired};
use crate::drift::declared::Declared;
use crate::gate::finding::Change;
use crate::gate::json::OriginJson;
use crate::gate::live::Look;
use crate::gate::managers;
use crate::reconcile::plan::{Cause, Repair};
use crate::reconcile::sight::Sight;
use crate::reconcile::standing::{Fingerprint, Known};

/// What a record is about.
#[derive(Debug, Clone, Copy)]
pub struct Matter<'a> {
    /// Why the object is to be brought back.
    pub cause: Cause,
    /// What it is held to.
    pub fingerprint: Fingerprint,
    /// What differs; empty where it is the whole object.
    pub drift: &'a [Change],
}

impl<'a> Matter<'a> {
    /// Of a repair.
    pub fn of(repair: &'a Repair) -> Self {
        Self { cause: repair.cause, fingerprint: repair.fingerprint, drift: &repair.drift }
    }
}

/// How a repair ended, or what else is to be told, for its record.
#[derive(Debug)]
pub struct Ending<'a> {
    /// Whether the object came back.
    pub outcome: Outcome,
    /// Under whose name.
    pub manager: Option<&'a str>,
    /// What the API server said where it did not.
    pub error: Option<String>,
    /// Who had moved what differed.
    pub moved_by: Vec<Moved>,
}

/// Who had moved the fields that a repair puts back, as the object says that it is to put back.
pub fn movers(repair: &Repair, sight: Option<&Sight>) -> Vec<Moved> {
    let object = sight.and_then(|sight| serde_json::from_str::<Value>(sight.raw().get()).ok()).unwrap_or_default();
    let moved = repair.drift.iter().filter_map(|change| {
        let mover = managers::mover(&object, &change.path)?;
        Some(Moved { path: change.path.to_string(), manager: Some(mover.manager), user: None, time: mover.time })
    });
    moved.collect()
}

/// The record of a repair that ended, or of something else that was found.
pub fn record(look: &Look<'_>, known: &Known, matter: &Matter<'_>, ending: Ending<'_>, now: Timestamp) -> Record {
    let key = look.key();
    let head = look.entry.head.as_deref();
    let revision = look.source.and_then(|source| source.revision.as_ref()).map(|revision| &*revision.0);
    // Lines are those of the declaration in force.
    let told = head.filter(|head| Fingerprint::of(&head.json) == matter.fingerprint);
    let origin = |node: usize| told.and_then(|head| origin(head, node, revision));
    let field = |change: &Change| Field {
        path: change.path.to_string(),
        git: change.git.clone(),
        live: change.written.clone(),
        origin: origin(change.node),
    };
    let fields: Vec<Field> = matter.drift.iter().map(field).collect();
    let about = About {
        key,
        version: head.map_or("", |head| &head.version),
        uid: known.uid(),
        policy: look.rule.map(|rule| rule.name.as_str()),
        source: &look.entry.source.0,
        revision,
        origin: origin(0),
    };
    let Ending { outcome, manager, error, moved_by } = ending;
    let cause = match matter.cause {
        Cause::Missing => "Missing",
        Cause::Drifted => "Drifted",
        Cause::Moved => "Moved",
        Cause::Reapplied => "Reapplied",
        Cause::Released => "Released",
    };
    let manager = manager.map(str::to_owned);
    Record::of_repair(&about, Repaired { outcome, cause: cause.to_owned(), manager, moved_by, error }, &fields, now)
}

fn origin(head: &Declared, node: usize, revision: Option<&str>) -> Option<OriginJson> {
    let line = head.lines.get(node)?;
    Some(OriginJson {
        file: head.file.to_string(),
        line,
        commit: revision.map(str::to_owned),
        author: None,
        date: None,
    })
}
