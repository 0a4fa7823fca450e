//! What is to be done with one object, and why? Decided on what is known; done elsewhere.
//!
//! An object goes back to the newest declaration that it has already agreed with; it moves on to the head only where no deployer is
//! named, or where the policy deploys. Under a break-glass, and where the policy says Never, nothing is done at all.

use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::drift::document::Document;
use crate::drift::path::FieldPath;
use crate::gate::facts::{FormOf, Forms};
use crate::gate::finding::Change;
use crate::gate::grant::Place;
use crate::gate::live::{Gap, Look};
use crate::gate::managers::Manager;
use crate::limits::{GRANT_GRACE, REPAIR_PAST_MAX};
use crate::reconcile::standing::{Fingerprint, Known, Presence, Settled};

/// What is to be done with one object.
#[derive(Debug)]
pub enum Plan {
    /// Nothing.
    Leave(Why),
    /// Nothing before this instant; then it is looked at again.
    Wait(Why, Timestamp),
    /// First the server is asked what it makes of this declaration.
    Learn(FormOf),
    /// It is brought back.
    Repair(Box<Repair>),
}

/// Why nothing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It agrees.
    Agrees,
    /// Only the server can tell whether it differs, and it does not.
    Doubt,
    /// No policy that enforces has it repaired.
    Never,
    /// Git says nothing of it any more.
    Dropped,
    /// It never agreed with anything Git said: its deployer has not brought it yet.
    NotDeployed,
    /// Its kind was not listed yet.
    Unseen,
    /// It is a Job that has begun.
    Ran,
    /// It is being deleted: what follows is a new one.
    Leaving,
    /// Its Namespace is missing or being deleted.
    Homeless,
    /// A break-glass covers it, or may.
    Grant,
    /// An attempt failed a moment ago.
    Failed,
    /// It is fought over.
    Fight,
    /// Its deployer was asked to bring it back.
    Asked,
    /// More of its source may be about to differ.
    Settling,
    /// Too much of its source differs at once.
    Held,
    /// Nobody said yes to it yet.
    Unapproved,
}

/// How one object is brought back.
#[derive(Clone)]
pub struct Repair {
    /// Why.
    pub cause: Cause,
    /// The declaration that it goes to, as compact JSON. It may be a Secret's.
    pub manifest: Arc<[u8]>,
    /// Which one that is.
    pub fingerprint: Fingerprint,
    /// What differs; empty where it is missing, or only applied again.
    pub drift: Vec<Change>,
    /// What stays as it is.
    pub kept: Vec<FieldPath>,
    /// Git's value of what differs as a whole, with what is ignored within it as it is live.
    pub carried: Vec<(FieldPath, Value)>,
    /// Under whose name.
    pub by: By,
}

/// Under whose name an object is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// Landfast's own: no deployer is named.
    Landfast,
    /// Its owner's, so that it stays the only one; as last seen, where it was. Landfast's own where nobody owns it.
    Owner(Option<Manager>),
}

impl fmt::Debug for Repair {
    /// Without the manifest and its values: it may be a Secret's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repair").field("cause", &self.cause).field("by", &self.by).finish_non_exhaustive()
    }
}

/// Why an object is brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// It is missing.
    Missing,
    /// It differs from what it agreed with.
    Drifted,
    /// It is moved on to the head.
    Moved,
    /// Git says something else than what Landfast applied: what it dropped is to go.
    Reapplied,
    /// It agrees, and Landfast owns what it should not: it put it only, or it is its deployer's. It would keep what Git drops.
    Released,
}

/// How an object stands to what Git says and said.
#[derive(Debug, Default)]
pub struct Held {
    /// The declaration that it agrees with, of those that count.
    pub agrees: Option<Fingerprint>,
    /// The newer declaration that its deployer has moved it to in all that differs between that and the one that it agreed with, though
    /// something else of it has drifted.
    pub reached: Option<Fingerprint>,
    /// What it is to be brought to.
    pub target: Option<Target>,
    /// What keeps it from that.
    pub gap: Gap,
    /// What differs from it and is to stay.
    pub kept: Vec<FieldPath>,
    /// The newest declaration of which only the server can tell whether it agrees with it, and what of the object is open.
    pub doubt: Option<(Target, u64)>,
    /// Whether the server was just asked.
    pub told: bool,
}

/// A declaration that an object is to be brought to.
#[derive(Debug, Clone)]
pub struct Target {
    /// As compact JSON.
    pub manifest: Arc<[u8]>,
    /// Which one.
    pub fingerprint: Fingerprint,
    /// Whether it is the one in force.
    pub is_head: bool,
}

impl Held {
    /// Holds an object, as it is (absent: it is missing), against what Git says and said of it.
    /// With the server's form of a declaration, where it was just asked for, what is open is not any more.
    pub fn of(look: &Look<'_>, known: &Known, object: Option<&RawValue>, forms: &Forms, now: Timestamp) -> Self {
        let read = object.and_then(|object| Document::parse(object.get().as_bytes()).ok());
        let version = look.entry.head.as_ref().map_or("", |head| &head.version);
        let gap_to = |manifest: &[u8]| match &read {
            Some(object) => look.gap(manifest, object, version, forms),
            None => Gap::default(),
        };
        let moves_on = !look.has_deployer() || look.rule.is_some_and(|rule| rule.repair.deploy);
        let rollback = look.rule.map_or(0, |rule| rule.rollback);
        let max_lag = look.source.map(|source| source.max_lag).unwrap_or_default();
        let mut held = Self { told: !forms.is_empty(), ..Self::default() };
        let mut newer: Vec<(Target, Gap)> = Vec::new();
        let mut is_past = false;
        for (n, manifest) in look.entry.declarations(now, max_lag).take(REPAIR_PAST_MAX).enumerate() {
            let fingerprint = Fingerprint::of(&manifest);
            let is_head = n == 0 && look.entry.head.is_some();
            let is_agreed = known.memory.agreed == Some(fingerprint);
            let gap = gap_to(&manifest);
            let agrees =
                read.is_some() && (gap.is_none() || known.is_settled(fingerprint, gap.digest(), Settled::Agrees));
            let target = || Target { manifest: shared(&manifest), fingerprint, is_head };
            if !agrees && gap.is_doubt() && held.doubt.is_none() {
                held.doubt = Some((target(), gap.digest()));
            }
            if agrees {
                held.agrees = Some(fingerprint);
                if !moves_on || is_head {
                    // Its deployer, or who may go back that far, has moved it there.
                    (held.target, held.gap) = (Some(target()), Gap::default());
                }
                break;
            }
            is_past |= is_agreed;
            if is_head && moves_on {
                (held.target, held.gap) = (Some(target()), gap);
            } else if is_agreed && held.target.is_none() {
                let reached = newer.iter().position(|(_, newer)| newer.is_nearer_than(&gap));
                let (target, gap) = reached.map_or_else(|| (target(), gap), |place| newer.swap_remove(place));
                held.reached = reached.map(|_| target.fingerprint);
                (held.target, held.gap) = (Some(target), gap);
            } else if !is_past {
                newer.push((target(), gap));
            }
            if is_past && n >= rollback {
                break;
            }
        }
        if let (Some(target), Some(object)) = (&held.target, &read)
            && (known.ours.applied || !held.gap.drift.is_empty())
        {
            held.kept = look.kept(&target.manifest, object, version, &held.gap);
        }
        held
    }
}

fn shared(manifest: &[u8]) -> Arc<[u8]> {
    Arc::from(manifest)
}

/// Says what is to be done with an object. `home` is what is known of its Namespace, where that is declared too.
pub fn plan(look: &Look<'_>, known: &Known, held: Held, home: Option<&Known>, now: Timestamp) -> Plan {
    if look.rule.is_none_or(|rule| rule.repairs().is_none()) {
        return Plan::Leave(Why::Never);
    }
    if look.entry.head.is_none() {
        return Plan::Leave(Why::Dropped);
    }
    let missing = match &known.presence {
        Presence::Unknown => return Plan::Leave(Why::Unseen),
        Presence::Leaving { .. } => return Plan::Leave(Why::Leaving),
        Presence::There { .. } => false,
        Presence::Absent { .. } => true,
    };
    let learn = |of: &Target| Plan::Learn(FormOf { object: look.key().clone(), manifest: (&*of.manifest).into() });
    let doubt = held.doubt.filter(|_| !missing && held.agrees.is_none() && held.gap.drift.is_empty());
    if let Some((doubt, digest)) = doubt {
        let told = held.told || known.is_settled(doubt.fingerprint, digest, Settled::Silent);
        return if told { Plan::Leave(Why::Doubt) } else { learn(&doubt) };
    }
    let Some(Target { manifest, fingerprint, is_head }) = held.target else {
        return Plan::Leave(if held.agrees.is_some() { Why::Agrees } else { Why::NotDeployed });
    };
    if known.attempts.unsettled == Some(fingerprint) && !held.gap.drift.is_empty() {
        // It was applied, and something else came of it: who makes that of it?
        if !held.told && !known.is_told(fingerprint, held.gap.digest()) {
            return learn(&Target { manifest, fingerprint, is_head });
        }
    }
    let own = !look.has_deployer();
    let cause = if missing {
        if known.memory.ran {
            return Plan::Leave(Why::Ran);
        }
        Cause::Missing
    } else if !held.gap.drift.is_empty() {
        if known.memory.agreed == Some(fingerprint) { Cause::Drifted } else { Cause::Moved }
    } else if own && known.ours.applied && is_head && known.memory.applied != Some(fingerprint) {
        Cause::Reapplied
    } else if known.ours.updated || (!own && known.ours.applied && known.memory.owner.is_some()) {
        Cause::Released
    } else {
        return Plan::Leave(Why::Agrees);
    };
    if let Some(waits) = waits(look, known, home, missing, now) {
        return waits;
    }
    let by = if own { By::Landfast } else { By::Owner(known.memory.owner.clone()) };
    let (Gap { drift, open: _ }, kept) = (held.gap, held.kept);
    let carried = drift.iter().filter_map(|change| Some((change.path.clone(), look.carried(change)?))).collect();
    Plan::Repair(Box::new(Repair { cause, manifest, fingerprint, drift, kept, carried, by }))
}

/// What holds a repair back for a while.
fn waits(look: &Look<'_>, known: &Known, home: Option<&Known>, missing: bool, now: Timestamp) -> Option<Plan> {
    if let Some(until) = granted(look, known, now) {
        return Some(Plan::Wait(Why::Grant, until));
    }
    let homeless = |home: &Known| matches!(home.presence, Presence::Absent { .. } | Presence::Leaving { .. });
    if missing && home.is_some_and(homeless) {
        // It is planned again when its Namespace is there.
        return Some(Plan::Leave(Why::Homeless));
    }
    if let Some(standoff) = known.standoff().filter(|standoff| standoff.until > now) {
        return Some(Plan::Wait(Why::Fight, standoff.until));
    }
    if let Some(asked) = known.asked.as_ref().filter(|asked| asked.until > now) {
        return Some(Plan::Wait(Why::Asked, asked.until));
    }
    match known.attempts.again {
        Some(again) if again > now => Some(Plan::Wait(Why::Failed, again)),
        Some(_) | None => None,
    }
}

/// Until when a break-glass holds repair back, as far as that is known now.
fn granted(look: &Look<'_>, known: &Known, now: Timestamp) -> Option<Timestamp> {
    let bounds = look.rule.and_then(|rule| rule.bounds())?;
    let (grants, key) = (&look.basis.grants, look.key());
    let place = Place { object: key, uid: known.uid(), home: None };
    let covering = grants.covering(place, now).filter(|grant| grant.is_within(bounds));
    let of_home = grants.of_namespace(key.namespace(), now).filter(|grant| grant.is_within(bounds));
    if let Some(ends) = covering.chain(of_home).map(|grant| grant.ends()).max() {
        return Some(ends);
    }
    // Its record may come a moment after what it let in.
    let since = match &known.presence {
        Presence::Absent { since, asked: true, .. } => Some(*since),
        Presence::There { .. } => known.asks_since,
        Presence::Absent { .. } | Presence::Leaving { .. } | Presence::Unknown => None,
    }?;
    let grace = SignedDuration::try_from(GRANT_GRACE).unwrap_or_default();
    since.checked_add(grace).ok().filter(|until| *until > now)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::drift::declared::{Declared, Lines, ObjectKey};
    use crate::drift::schema::Schemas;
    use crate::gate::basis::{Basis, Entry, Index, Owners, Scope, Source, SourceId};
    use crate::gate::grant::{Grant, Grants, What, Who};
    use crate::gate::history::Turn;
    use crate::gate::managers::Operation;
    use crate::gate::policy::{Bounds, Policy, Role, Rule, Writer};
    use crate::gate::repair::{Repair as Settings, RepairMode};

    #[derive(Debug)]
    struct Nobody;

    impl Owners for Nobody {
        fn of(&self, _: &str) -> Vec<String> {
            Vec::new()
        }
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(60 * minute).unwrap()
    }

    fn manifest(key: &ObjectKey, value: u32) -> String {
        format!(
            r#"{{"apiVersion":"v1","kind":"{}","metadata":{{"name":"{}","namespace":"shop"}},"data":{{"k":"{value}","n":"0"}}}}"#,
            key.kind(),
            key.name()
        )
    }

    fn map() -> ObjectKey {
        ObjectKey::new("", "ConfigMap", "shop", "map")
    }

    /// A basis in which Git says 1, then 2, then 3 of an object, under a rule.
    fn basis(key: &ObjectKey, rule: Rule) -> Basis {
        let declared = |value| {
            Arc::new(Declared {
                key: key.clone(),
                version: "v1".into(),
                json: manifest(key, value).into_bytes().into(),
                lines: Lines::default(),
                file: "map.yaml".into(),
                ignored: Box::default(),
            })
        };
        let id = SourceId("shop".into());
        let first = Entry { source: id.clone(), head: Some(declared(1)), since: at(1), past: Arc::default() };
        let entry = [2, 3].into_iter().fold(first, |entry, value| {
            let head = declared(value);
            entry.turn(&Turn { head: Some(&head), observed: at(value.into()), horizon: Timestamp::MIN }).unwrap()
        });
        let source = Source {
            id: id.clone(),
            revision: None,
            heads: Arc::default(),
            max_lag: Duration::from_hours(24),
            scope: Scope::default(),
            owners: Arc::new(Nobody),
            faults: Arc::default(),
            refused: None,
        };
        let index = Index { objects: [(key.clone(), entry)].into_iter().collect(), ..Index::default() };
        Basis {
            sources: BTreeMap::from([(id, Arc::new(source))]),
            index: Arc::new(index),
            schemas: Schemas::builtin(),
            policy: Arc::new(Policy { rules: vec![rule], ..Policy::default() }),
            grants: Arc::default(),
        }
    }

    fn rule(mode: RepairMode) -> Rule {
        Rule { repair: Settings { mode, ..Settings::default() }, ..Rule::named("shop", 1) }
    }

    fn deployed() -> Rule {
        let deployer = Writer { name: "flux".to_owned(), role: Role::Deployer, subjects: Vec::new() };
        Rule { writers: vec![deployer], ..rule(RepairMode::Automatic) }
    }

    fn fingerprint(value: u32) -> Fingerprint {
        Fingerprint::of(manifest(&map(), value).as_bytes())
    }

    fn there(agreed: Option<u32>) -> Known {
        let mut known =
            Known { presence: Presence::There { uid: "u".into(), version: "7".into() }, ..Known::default() };
        known.memory.agreed = agreed.map(fingerprint);
        known
    }

    fn absent(agreed: Option<u32>) -> Known {
        Known { presence: Presence::Absent { since: at(9), uid: Some("u".into()), asked: false }, ..there(agreed) }
    }

    /// What is planned for an object that is live with this value.
    fn planned(basis: &Basis, known: &Known, live: Option<u32>) -> Plan {
        let look = Look::at(basis, &map(), at(10)).unwrap();
        let live = live.map(|value| RawValue::from_string(manifest(&map(), value)).unwrap());
        let held = Held::of(&look, known, live.as_deref(), &Forms::default(), at(10));
        plan(&look, known, held, None, at(10))
    }

    /// What it is brought back to, and why.
    fn repaired(basis: &Basis, known: &Known, live: Option<u32>) -> Option<(Fingerprint, Cause)> {
        match planned(basis, known, live) {
            Plan::Repair(repair) => Some((repair.fingerprint, repair.cause)),
            Plan::Leave(_) | Plan::Wait(..) | Plan::Learn(_) => None,
        }
    }

    fn left(basis: &Basis, known: &Known, live: Option<u32>) -> Option<Why> {
        match planned(basis, known, live) {
            Plan::Leave(why) | Plan::Wait(why, _) => Some(why),
            Plan::Repair(_) | Plan::Learn(_) => None,
        }
    }

    #[test]
    fn without_a_word_of_the_policy_nothing_is_done() {
        for rule in
            [rule(RepairMode::Never), Rule { mode: crate::gate::policy::Mode::Observe, ..rule(RepairMode::Automatic) }]
        {
            let basis = basis(&map(), rule);
            assert_eq!(left(&basis, &there(Some(3)), Some(9)), Some(Why::Never));
            assert_eq!(left(&basis, &absent(Some(3)), None), Some(Why::Never));
        }
    }

    #[test]
    fn alone_all_goes_to_the_head() {
        let basis = basis(&map(), rule(RepairMode::Automatic));
        assert_eq!(left(&basis, &there(Some(3)), Some(3)), Some(Why::Agrees));
        assert_eq!(repaired(&basis, &there(Some(3)), Some(9)), Some((fingerprint(3), Cause::Drifted)));
        assert_eq!(repaired(&basis, &there(Some(2)), Some(2)), Some((fingerprint(3), Cause::Moved)));
        assert_eq!(repaired(&basis, &there(None), Some(9)), Some((fingerprint(3), Cause::Moved)));
        assert_eq!(repaired(&basis, &absent(None), None), Some((fingerprint(3), Cause::Missing)));
    }

    #[test]
    fn beside_a_deployer_an_object_goes_back_to_what_it_agreed_with() {
        let basis = basis(&map(), deployed());
        assert_eq!(repaired(&basis, &there(Some(2)), Some(9)), Some((fingerprint(2), Cause::Drifted)));
        assert_eq!(repaired(&basis, &absent(Some(2)), None), Some((fingerprint(2), Cause::Missing)));
        // What its deployer brought newer it keeps; further back it does not go.
        assert_eq!(left(&basis, &there(Some(1)), Some(2)), Some(Why::Agrees));
        assert_eq!(repaired(&basis, &there(Some(2)), Some(1)), Some((fingerprint(2), Cause::Drifted)));
        assert_eq!(left(&basis, &there(None), Some(9)), Some(Why::NotDeployed));
        assert_eq!(left(&basis, &absent(None), None), Some(Why::NotDeployed));
    }

    #[test]
    fn what_drifted_does_not_take_back_what_its_deployer_brought_beside_it() {
        let basis = basis(&map(), deployed());
        let look = Look::at(&basis, &map(), at(10)).unwrap();
        let held = |agreed, value: u32| {
            let live = manifest(&map(), value).replace(r#""n":"0""#, r#""n":"9""#);
            let live = RawValue::from_string(live).unwrap();
            Held::of(&look, &there(Some(agreed)), Some(&live), &Forms::default(), at(10))
        };
        let to = |held: &Held| (held.target.as_ref().map(|target| target.fingerprint), held.gap.drift.len());
        // It agreed with 1; `n` has drifted, and its deployer has brought it to where it is in `k`.
        for value in [2, 3] {
            let moved = held(1, value);
            assert_eq!((to(&moved), moved.reached), ((Some(fingerprint(value)), 1), Some(fingerprint(value))));
        }
        // Nobody has brought it anywhere, or to nothing that Git ever said.
        for value in [1, 9] {
            let drifted = held(1, value);
            assert_eq!((to(&drifted).0, drifted.reached), (Some(fingerprint(1)), None), "{value}");
        }
        // Back it does not go.
        assert_eq!((to(&held(2, 1)), held(2, 1).reached), ((Some(fingerprint(2)), 2), None));
    }

    #[test]
    fn what_may_be_rolled_back_stays_where_it_was_rolled_to() {
        let basis = basis(&map(), Rule { rollback: 2, ..deployed() });
        assert_eq!(left(&basis, &there(Some(3)), Some(1)), Some(Why::Agrees));
        assert_eq!(repaired(&basis, &there(Some(3)), Some(9)), Some((fingerprint(3), Cause::Drifted)));
    }

    #[test]
    fn where_the_policy_deploys_the_head_counts_beside_a_deployer_too() {
        let mut rule = deployed();
        rule.repair.deploy = true;
        let basis = basis(&map(), rule);
        assert_eq!(repaired(&basis, &there(Some(2)), Some(2)), Some((fingerprint(3), Cause::Moved)));
    }

    #[test]
    fn under_a_break_glass_nothing_is_done() {
        let bounds = Bounds { longest: Duration::from_hours(4), reason: None };
        let mut basis = basis(&map(), Rule { break_glass: Some(bounds), ..rule(RepairMode::Automatic) });
        let mut asked = absent(Some(3));
        asked.presence = Presence::Absent { since: at(10), uid: Some("u".into()), asked: true };
        assert_eq!(left(&basis, &asked, None), Some(Why::Grant), "its record may come");
        let grant = Grant {
            record: "inc-1".to_owned(),
            reason: "INC-1".to_owned(),
            by: "oncall".to_owned(),
            who: Who::Permitted,
            what: What::Object(map(), "u".to_owned()),
            opened: at(5),
            duration: Duration::from_mins(30),
        };
        basis.grants = Arc::new(Grants::of([Arc::new(grant)]));
        for (known, live) in [(there(Some(3)), Some(9)), (absent(Some(3)), None)] {
            let planned = planned(&basis, &known, live);
            assert!(matches!(planned, Plan::Wait(Why::Grant, until) if until == at(35)), "{planned:?}");
        }
    }

    #[test]
    fn a_job_that_has_begun_is_not_made_again() {
        let key = ObjectKey::new("batch", "Job", "shop", "map");
        let basis = basis(&key, rule(RepairMode::Automatic));
        let mut known = absent(None);
        known.memory.ran = true;
        let look = Look::at(&basis, &key, at(10)).unwrap();
        let held = Held::of(&look, &known, None, &Forms::default(), at(10));
        assert!(matches!(plan(&look, &known, held, None, at(10)), Plan::Leave(Why::Ran)));
    }

    #[test]
    fn what_landfast_applied_is_applied_again_when_git_says_something_else() {
        let basis = basis(&map(), rule(RepairMode::Automatic));
        let mut known = there(Some(2));
        (known.ours.applied, known.memory.applied) = (true, Some(fingerprint(2)));
        assert_eq!(repaired(&basis, &known, Some(3)), Some((fingerprint(3), Cause::Reapplied)));
        known.memory.applied = Some(fingerprint(3));
        assert_eq!(left(&basis, &known, Some(3)), Some(Why::Agrees));
    }

    #[test]
    fn what_a_deployer_owns_landfast_lets_go() {
        let basis = basis(&map(), deployed());
        let mut known = there(Some(3));
        known.ours.applied = true;
        assert_eq!(left(&basis, &known, Some(3)), Some(Why::Agrees), "nobody else owns it");
        known.memory.owner = Some(Manager { name: "flux".to_owned(), operation: Operation::Apply });
        assert_eq!(repaired(&basis, &known, Some(3)), Some((fingerprint(3), Cause::Released)));
    }

    #[test]
    fn a_missing_namespace_is_waited_for_and_so_is_the_next_attempt() {
        let basis = basis(&map(), rule(RepairMode::Automatic));
        let look = Look::at(&basis, &map(), at(10)).unwrap();
        let mut known = absent(Some(3));
        let held = || Held::of(&look, &there(Some(3)), None, &Forms::default(), at(10));
        let planned = plan(&look, &known, held(), Some(&absent(None)), at(10));
        assert!(matches!(planned, Plan::Leave(Why::Homeless)), "{planned:?}");
        known.attempts.again = Some(at(11));
        let planned = plan(&look, &known, held(), Some(&there(None)), at(10));
        assert!(matches!(planned, Plan::Wait(Why::Failed, until) if until == at(11)), "{planned:?}");
    }

    #[test]
    fn beside_a_deployer_its_owner_writes() {
        let mut known = there(Some(2));
        known.memory.owner = Some(Manager { name: "flux".to_owned(), operation: Operation::Apply });
        let by = |rule| match planned(&basis(&map(), rule), &known, Some(9)) {
            Plan::Repair(repair) => repair.by.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(by(deployed()), By::Owner(known.memory.owner.clone()));
        assert_eq!(by(rule(RepairMode::Automatic)), By::Landfast);
    }
}
