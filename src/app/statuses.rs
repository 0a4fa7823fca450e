//! What is told on each of the operator's objects in the cluster? What `config` makes of it, and of a GitSource how it fares.

use std::future::Future;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::interval;

use crate::app::configuration::Asked;
use crate::audit::board::Board;
use crate::audit::{Clock, safety};
use crate::cluster::statuses::{Condition, Desired};
use crate::config::Topic;
use crate::config::definition::definitions;
use crate::config::held::Told;
use crate::follow::{Follow, SourceStatus};
use crate::limits;

/// Keeps `desired` at what is to be told. What the records say of a policy is looked up now and then.
pub(super) async fn desired(
    mut asked: watch::Receiver<Arc<Asked>>,
    (follow, board, clock): (Follow, Arc<Board>, Clock),
    desired: watch::Sender<Arc<Vec<Desired>>>,
    shutdown: impl Future<Output = ()>,
) {
    tokio::pin!(shutdown);
    let mut looks = interval(limits::SAFETY_LOOK);
    let mut sources = follow.status();
    loop {
        let (now, status) = (Arc::clone(&asked.borrow_and_update()), Arc::clone(&sources.borrow_and_update()));
        // Before the API server has spoken, what is in force is remembered only.
        if now.whole {
            let safety = |policy: &str| board.safety(policy, clock());
            let told: Vec<_> = now.told.iter().filter_map(|told| of(told, &status, safety)).collect();
            desired.send_if_modified(|before| {
                let changed = **before != told;
                if changed {
                    *before = Arc::new(told);
                }
                changed
            });
        }
        tokio::select! {
            () = &mut shutdown => return,
            _ = looks.tick() => {}
            changed = asked.changed() => if changed.is_err() { return },
            changed = sources.changed() => if changed.is_err() { return },
        }
    }
}

fn of(told: &Told, sources: &[SourceStatus], safety: impl Fn(&str) -> safety::Condition) -> Option<Desired> {
    let plural = definitions().into_iter().find(|definition| definition.kind == told.kind)?.plural;
    let source = sources.iter().find(|source| told.kind == "GitSource" && *source.id.0 == *told.name);
    let mut conditions = vec![match source {
        Some(source) if told.faults.is_empty() => ready(source),
        Some(_) | None => accepted(told, if told.kind == "GitSource" { "Ready" } else { "Accepted" }),
    }];
    if told.kind == "DriftPolicy" {
        let conflict = notices(told, Topic::Conflict);
        conditions.push(Condition {
            kind: "Conflicted",
            holds: (!conflict.is_empty()).into(),
            reason: if conflict.is_empty() { "NoOverlap" } else { "Overlaps" },
            message: conflict,
        });
        let safety::Condition { kind, status, reason, message } = safety(&told.name);
        conditions.push(Condition { kind, holds: (status == "True").into(), reason, message });
    }
    let (kind, name, uid) = (told.kind.clone(), told.name.clone(), told.uid.clone());
    let more = source.map_or_else(|| json!({}), progress);
    Some(Desired { kind, plural, name, uid, generation: told.generation, conditions, more })
}

fn notices(told: &Told, topic: Topic) -> String {
    let of_topic = told.notices.iter().filter(|(other, _)| *other == topic);
    of_topic.map(|(_, what)| what.as_str()).collect::<Vec<_>>().join("\n")
}

/// Whether an object is in force as it is written.
fn accepted(told: &Told, kind: &'static str) -> Condition {
    let is = |holds: bool, reason, message| Condition { kind, holds: holds.into(), reason, message };
    if !told.faults.is_empty() {
        let mut lines: Vec<_> = told.faults.iter().take(limits::FAULTS_SHOWN_MAX).cloned().collect();
        if told.faults.len() > lines.len() {
            lines.push(format!("and {} more", told.faults.len() - lines.len()));
        }
        lines.push(match told.in_force {
            Some(generation) => format!("generation {generation}, the last good one, stays in force"),
            None => "nothing of it is in force".to_owned(),
        });
        return is(false, "Faulty", lines.join("\n"));
    }
    let unbuilt = notices(told, Topic::NotBuilt);
    if !unbuilt.is_empty() {
        return is(false, "NotBuilt", unbuilt);
    }
    let unknown = notices(told, Topic::Unknown);
    is(true, "InForce", if unknown.is_empty() { "in force as written".to_owned() } else { unknown })
}

/// Whether what Git declares is in force.
fn ready(source: &SourceStatus) -> Condition {
    let is = |holds: bool, reason, message| Condition { kind: "Ready", holds: holds.into(), reason, message };
    let revision = source.revision.as_ref().map(|revision| revision.commit.short().to_owned());
    match (&source.refused, &source.error, revision) {
        (Some(refused), _, revision) => {
            let stays = revision
                .map_or_else(|| "no other is in force".to_owned(), |revision| format!("{revision} stays in force"));
            let why = source.faults.first().map(|fault| format!(": {fault}")).unwrap_or_default();
            is(false, "Refused", format!("commit {} cannot be put in force; {stays}{why}", refused.short()))
        }
        (None, Some(error), _) => is(false, "Unreachable", error.clone()),
        (None, None, Some(revision)) => is(true, "InForce", format!("commit {revision} is in force")),
        (None, None, None) => is(false, "Fetching", "no revision is in force yet".to_owned()),
    }
}

fn progress(source: &SourceStatus) -> Value {
    let faults = source.faults.iter().map(|fault| {
        let mut shown = json!({ "what": fault.what });
        if !fault.file.is_empty() {
            shown["file"] = json!(fault.file);
        }
        if fault.line > 0 {
            shown["line"] = json!(fault.line);
        }
        shown
    });
    let faults: Vec<Value> = faults.collect();
    let mut more = json!({ "declared": source.declared, "faultCount": source.fault_count });
    if !faults.is_empty() {
        more["faults"] = Value::from(faults);
    }
    if let Some(revision) = &source.revision {
        more["revision"] = json!(&*revision.commit.0);
    }
    more
}
