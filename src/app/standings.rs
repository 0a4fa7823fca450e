//! What is told on each GitSource of how its objects stand? By the leader, and a storm of drift is told once in a while.

use std::future::Future;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::app::configuration::Asked;
use crate::cluster::lease::Lead;
use crate::cluster::statuses::{Condition, Desired, Holds};
use crate::config::definition::definitions;
use crate::config::held::Told;
use crate::limits;
use crate::reconcile::tally::{State, Tallies, Tally};

/// Keeps `desired` at what is to be told of how the objects of each source stand, by the leader; a storm of drift is told once in
/// [`limits::TALLY_WRITE_INTERVAL`].
pub(super) async fn standing(
    mut asked: watch::Receiver<Arc<Asked>>,
    mut tallies: watch::Receiver<Arc<Tallies>>,
    mut leads: watch::Receiver<Lead>,
    desired: watch::Sender<Arc<Vec<Desired>>>,
    shutdown: impl Future<Output = ()>,
) {
    tokio::pin!(shutdown);
    loop {
        let (now, told) = (Arc::clone(&asked.borrow_and_update()), Arc::clone(&tallies.borrow_and_update()));
        let mut standing = Vec::new();
        if leads.borrow_and_update().holds() && now.whole {
            let sources = now.told.iter().filter(|told| told.kind == "GitSource");
            let tally = |of: &Told| told.iter().find(|(id, _)| *id.0 == *of.name).map(|(_, tally)| tally);
            standing.extend(sources.filter_map(|of| stands(of, tally(of)?)));
        }
        desired.send_replace(Arc::new(standing));
        tokio::select! {
            () = &mut shutdown => return,
            () = sleep(limits::TALLY_WRITE_INTERVAL) => {}
        }
        tokio::select! {
            () = &mut shutdown => return,
            changed = asked.changed() => if changed.is_err() { return },
            changed = tallies.changed() => if changed.is_err() { return },
            changed = leads.changed() => if changed.is_err() { return },
        }
    }
}

fn stands(told: &Told, tally: &Tally) -> Option<Desired> {
    let plural = definitions().into_iter().find(|definition| definition.kind == told.kind)?.plural;
    let (kind, name, uid) = (told.kind.clone(), told.name.clone(), told.uid.clone());
    let mut objects = json!({
        "inSync": tally.count(State::InSync),
        "drifting": tally.count(State::Drifting),
        "repaired": tally.repaired,
        "waitingForApproval": tally.count(State::WaitingForApproval),
        "held": tally.count(State::Held),
        "fighting": tally.count(State::Fighting),
        "cannotRepair": tally.count(State::CannotRepair),
        "notDeployed": tally.count(State::NotDeployed),
        "unknown": tally.count(State::Unknown),
    });
    if let Some(oldest) = tally.oldest {
        objects["oldestDrift"] = json!(oldest.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    }
    let unwatched = tally.unwatched.iter().map(|(kind, reason)| json!({ "kind": kind, "reason": reason }));
    let unwatched: Vec<Value> = unwatched.take(limits::FAULTS_SHOWN_MAX).collect();
    if !unwatched.is_empty() {
        objects["unwatched"] = unwatched.into();
    }
    let fighting = Condition {
        kind: "Fighting",
        holds: (tally.count(State::Fighting) > 0).into(),
        reason: if tally.fights.is_empty() { "NoFight" } else { "FightDetected" },
        message: tally.fights.join("\n"),
    };
    let conditions = vec![in_sync(tally), fighting];
    Some(Desired {
        kind,
        plural,
        name,
        uid,
        generation: told.generation,
        conditions,
        more: json!({ "objects": objects }),
    })
}

/// Whether all that a source declares is as it declares it.
fn in_sync(tally: &Tally) -> Condition {
    let (holds, reason) = match tally.worst() {
        State::InSync => (Holds::True, "InSync"),
        State::Unknown if tally.unwatched.is_empty() => (Holds::Unknown, "NotSeen"),
        State::Unknown => (Holds::Unknown, "NotWatched"),
        State::Drifting => (Holds::False, "Drifting"),
        State::WaitingForApproval => (Holds::False, "WaitingForApproval"),
        State::Held => (Holds::False, "Held"),
        State::Fighting => (Holds::False, "Fighting"),
        State::CannotRepair => (Holds::False, "CannotRepair"),
        State::NotDeployed => (Holds::False, "NotDeployed"),
    };
    let counts = State::ALL.iter().filter(|state| tally.count(**state) > 0);
    let counts: Vec<String> =
        counts.map(|state| format!("{} {}", tally.count(*state), state.name().replace('_', " "))).collect();
    let unwatched = tally.unwatched.iter().map(|(kind, reason)| format!("{kind} is not watched: {reason}"));
    let more = tally.stuck.iter().cloned().chain(unwatched).take(limits::FAULTS_SHOWN_MAX);
    let counts = if counts.is_empty() { "it declares nothing".to_owned() } else { counts.join(", ") };
    let message = std::iter::once(counts).chain(more).collect::<Vec<_>>().join("\n");
    Condition { kind: "InSync", holds, reason, message }
}
