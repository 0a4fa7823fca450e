//! How do the objects of each source stand? Counted by state, each object once.
//!
//! Pure: who counts says what is known, and when.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::drift::declared::ObjectKey;
use crate::gate::basis::{Basis, SourceId};
use crate::limits::TALLY_SHOWN_MAX;
use crate::reconcile::plan::Why;
use crate::reconcile::standing::{Known, Presence, Stance};

/// How one object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It agrees with what it is held to.
    InSync,
    /// It differs, and is brought back, or is left so.
    Drifting,
    /// It differs, and waits for a person.
    WaitingForApproval,
    /// It differs, and so many others do that all wait for a person.
    Held,
    /// It is fought over.
    Fighting,
    /// The server refuses to have it brought back, or its deployer does not do it.
    CannotRepair,
    /// Nobody has deployed it yet.
    NotDeployed,
    /// It was not seen yet, or its kind cannot be watched.
    Unknown,
}

/// How the objects of one source stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Objects by state; those of no object are left out.
    pub states: BTreeMap<State, usize>,
    /// Repairs since the start.
    pub repaired: u64,
    /// Since when the drift that is there longest is there.
    pub oldest: Option<Timestamp>,
    /// Kinds that cannot be watched, with the reason.
    pub unwatched: BTreeMap<String, String>,
    /// The first fights, each in one line.
    pub fights: Vec<String>,
    /// The first objects that cannot be brought back, each with the reason.
    pub stuck: Vec<String>,
}

/// Every source.
pub type Tallies = BTreeMap<SourceId, Tally>;

impl State {
    /// All of them, the one that matters most first.
    pub const ALL: [Self; 8] = [
        Self::Fighting,
        Self::CannotRepair,
        Self::Held,
        Self::WaitingForApproval,
        Self::Drifting,
        Self::NotDeployed,
        Self::Unknown,
        Self::InSync,
    ];

    /// Of an object.
    pub fn of(known: &Known) -> Self {
        if known.standoff().is_some() {
            return Self::Fighting;
        }
        match (&known.presence, &known.stance) {
            (Presence::Unknown, _) => Self::Unknown,
            (_, Stance::Agrees) => Self::InSync,
            (_, Stance::Unknown) => Self::NotDeployed,
            (_, Stance::Differs { .. }) => Self::of_drift(known),
        }
    }

    fn of_drift(known: &Known) -> Self {
        match known.why {
            // A Job that ran and was cleaned away is as it should be.
            Some(Why::Ran) => Self::InSync,
            Some(Why::NotDeployed) => Self::NotDeployed,
            Some(Why::Unseen) => Self::Unknown,
            Some(Why::Fight) => Self::Fighting,
            Some(Why::Held) => Self::Held,
            Some(Why::Unapproved) => Self::WaitingForApproval,
            _ if known.attempts.refused => Self::CannotRepair,
            Some(
                Why::Agrees
                | Why::Doubt
                | Why::Never
                | Why::Dropped
                | Why::Leaving
                | Why::Homeless
                | Why::Grant
                | Why::Asked
                | Why::Settling
                | Why::Failed,
            )
            | None => Self::Drifting,
        }
    }

    /// As scripts read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::InSync => "in_sync",
            Self::Drifting => "drifting",
            Self::WaitingForApproval => "waiting_for_approval",
            Self::Held => "held",
            Self::Fighting => "fighting",
            Self::CannotRepair => "cannot_repair",
            Self::NotDeployed => "not_deployed",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it differs from what it is held to.
    fn is_drift(self) -> bool {
        match self {
            Self::Drifting | Self::WaitingForApproval | Self::Held | Self::Fighting | Self::CannotRepair => true,
            Self::InSync | Self::NotDeployed | Self::Unknown => false,
        }
    }
}

impl Tally {
    /// How many objects stand so.
    pub fn count(&self, state: State) -> usize {
        self.states.get(&state).copied().unwrap_or_default()
    }

    /// The state that matters most of those that some object is in.
    pub fn worst(&self) -> State {
        State::ALL.into_iter().find(|state| self.count(*state) > 0).unwrap_or(State::InSync)
    }

    fn add(&mut self, key: &ObjectKey, known: &Known) {
        let state = State::of(known);
        *self.states.entry(state).or_default() += 1;
        if let (true, Stance::Differs { since, .. }) = (state.is_drift(), &known.stance) {
            self.oldest = Some(self.oldest.map_or(*since, |oldest| oldest.min(*since)));
        }
        if let Some(standoff) = known.standoff().filter(|_| self.fights.len() < TALLY_SHOWN_MAX) {
            let with: Vec<String> = standoff.with.iter().map(ToString::to_string).collect();
            let fields: Vec<String> = standoff.fields.iter().map(ToString::to_string).collect();
            let what = if fields.is_empty() { String::new() } else { format!(" {}", fields.join(", ")) };
            let with = if with.is_empty() { "somebody".to_owned() } else { with.join(", ") };
            self.fights.push(format!("{key}{what}: {} times since {:.0}, by {with}", standoff.flips, standoff.since));
        } else if state == State::CannotRepair && self.stuck.len() < TALLY_SHOWN_MAX {
            self.stuck.push(format!("{key}: {}", known.attempts.error.as_deref().unwrap_or("it is refused")));
        }
    }
}

/// Counts all that Git declares. `known` says what is known of an object, `unwatched` why a kind (as in `Deployment.apps`) is not
/// watched.
pub fn tallies<'k>(
    basis: &Basis,
    known: impl Fn(&ObjectKey) -> Option<&'k Known>,
    unwatched: &BTreeMap<String, String>,
    repaired: &BTreeMap<SourceId, u64>,
) -> Tallies {
    let mut tallies: Tallies = basis.sources.keys().map(|id| (id.clone(), Tally::default())).collect();
    let mut kinds: BTreeSet<(&SourceId, &str, &str)> = BTreeSet::new();
    let unseen = Known::default();
    for (key, entry) in basis.index.objects.iter().filter(|(_, entry)| entry.head.is_some()) {
        let tally = tallies.entry(entry.source.clone()).or_default();
        tally.add(key, known(key).unwrap_or(&unseen));
        if !unwatched.is_empty() {
            kinds.insert((&entry.source, key.group(), key.kind()));
        }
    }
    for (source, group, kind) in kinds {
        let name = named(group, kind);
        if let (Some(reason), Some(tally)) = (unwatched.get(&name), tallies.get_mut(source)) {
            tally.unwatched.insert(name, reason.clone());
        }
    }
    for (source, count) in repaired {
        if let Some(tally) = tallies.get_mut(source) {
            tally.repaired = *count;
        }
    }
    tallies
}

/// A kind as kubectl writes it.
pub fn named(group: &str, kind: &str) -> String {
    if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::fight::Bout;

    fn known(stance: Stance, why: Option<Why>) -> Known {
        let presence = Presence::There { uid: "u".into(), version: "7".into() };
        Known { presence, stance, why, ..Known::default() }
    }

    fn differs(second: i64) -> Stance {
        Stance::Differs { since: Timestamp::from_second(second).unwrap(), digest: 1 }
    }

    fn fought() -> Known {
        let (mut bout, now) = (Bout::default(), Timestamp::UNIX_EPOCH);
        for _ in 0..3 {
            bout.tries();
            bout.agrees(now);
            bout.drifted(now, vec!["spec.replicas".parse().unwrap()], Vec::new());
        }
        Known { bout: Some(Box::new(bout)), ..known(differs(9), Some(Why::Fight)) }
    }

    #[test]
    fn each_object_is_counted_once_and_the_oldest_drift_is_found() {
        let mut refused = known(differs(5), Some(Why::Failed));
        (refused.attempts.refused, refused.attempts.error) = (true, Some("422".into()));
        let all = [
            known(Stance::Agrees, Some(Why::Agrees)),
            known(differs(3), Some(Why::Never)),
            known(Stance::Unknown, Some(Why::NotDeployed)),
            known(differs(1), Some(Why::Ran)),
            refused,
            fought(),
            Known::default(),
        ];
        let mut tally = Tally::default();
        for (n, known) in all.iter().enumerate() {
            tally.add(&ObjectKey::new("", "ConfigMap", "shop", &n.to_string()), known);
        }
        let states = [
            (State::InSync, 2),
            (State::Drifting, 1),
            (State::Fighting, 1),
            (State::CannotRepair, 1),
            (State::NotDeployed, 1),
            (State::Unknown, 1),
        ];
        assert_eq!(tally.states, BTreeMap::from(states));
        assert_eq!((tally.states.values().sum(), tally.worst()), (all.len(), State::Fighting));
        // A Job that ran is no drift, however long ago.
        assert_eq!(tally.oldest, Timestamp::from_second(3).ok());
        assert_eq!(tally.stuck, ["ConfigMap shop/4: 422"]);
        assert_eq!(tally.fights, ["ConfigMap shop/5 spec.replicas: 3 times since 1970-01-01T00:00:00Z, by somebody"]);
    }
}
