//! May this write break the glass? What is about to be refused is let in where a grant covers it, and what sets or removes the
//! annotations opens or ends one.
//!
//! A right is asked for with each write, of the API server; a grant by an annotation serves nobody else. Deployers are trusted by
//! content, so an annotation neither serves them nor is theirs to set.

use std::sync::Arc;

use jiff::Timestamp;

use crate::drift::path::FieldPath;
use crate::gate::ask::{self, Ask, Move, Void};
use crate::gate::case::Case;
use crate::gate::facts::{Access, Namespace, Opening, Owner, Pass, Question, Sought};
use crate::gate::grant::{Grant, Place, What, Who};
use crate::gate::incident::{Act, Glass, Offer, Refusal};
use crate::gate::message;
use crate::gate::policy::{Bounds, Mode, Rule};
use crate::gate::ruling::Ruled;
use crate::gate::verdict::{Ruling, WriterRole};
use crate::gate::write::Change;

/// A write, seen by who might have broken the glass for it.
pub(crate) struct Plea<'p> {
    case: &'p Case<'p>,
    rule: &'p Rule,
    bounds: Option<&'p Bounds>,
    uid: Option<String>,
    /// What the object asked for before the write.
    before: Option<Ask>,
    moved: Move,
}

/// What one way through gave.
enum Way {
    /// It is open.
    Through(Glass),
    /// It may be: these must be answered first.
    Ask(Vec<Question>),
    /// It is not; why, where that is worth a word.
    Closed(Option<Refusal>),
}

/// What is ruled once every way through was tried. What is only observed breaks nothing.
pub(crate) fn applied(case: &Case<'_>, mut ruled: Ruled) -> Ruled {
    let refused = ruled.mode == Mode::Enforce && ruled.ruling >= Ruling::Revert;
    let name = ruled.policy.as_deref();
    let named = name.and_then(|name| case.basis.policy.rules.iter().find(|rule| rule.name == name));
    let rule = named.or_else(|| case.basis.policy.governing(&case.aim.key, case.entry.map(|entry| &entry.source)));
    let Some(rule) = rule.filter(|rule| rule.mode == Mode::Enforce) else { return ruled };
    if case.writer.role == WriterRole::Landfast {
        return ruled;
    }
    let plea = Plea::of(case, rule);
    ruled.incident.is_set = matches!(plea.moved, Move::Set(_));
    match &plea.moved {
        Move::None if !refused => ruled,
        Move::None => plea.settle(ruled, refused, Way::Closed(None)),
        Move::Set(ask) => plea.settle(ruled, refused, plea.opened(ask)),
        Move::Removed => plea.ended(ruled, refused),
    }
}

impl<'p> Plea<'p> {
    /// What there is to say for a write under this rule.
    pub(crate) fn of(case: &'p Case<'p>, rule: &'p Rule) -> Self {
        let (before, after) = match case.write.change {
            Change::Create { after } => (None, Ask::of(after)),
            Change::Update { before, after } => (Ask::of(before), Ask::of(after)),
            Change::Delete { before } => (before.and_then(Ask::of), None),
            Change::Connect => (None, None),
        };
        let moved = match case.write.change {
            Change::Create { .. } | Change::Update { .. } => Move::of(before.clone(), after),
            Change::Delete { .. } | Change::Connect => Move::None,
        };
        // Read for the few writes that it matters to.
        let matters = before.is_some() || moved != Move::None || rule.bounds().is_some();
        let uid = if matters { case.write.change.uid() } else { None };
        Self { case, rule, bounds: rule.bounds(), uid, before, moved }
    }

    /// Lets the write in by the annotation that it sets, else by what is open already.
    fn settle(&self, mut ruled: Ruled, refused: bool, own: Way) -> Ruled {
        if refused && self.bounds.is_some() {
            ruled.incident.offer = Offer::BreakGlass;
        }
        let (mut ruled, way) = match own {
            Way::Closed(refusal) => {
                let ruled = self.undone(ruled, refusal);
                (ruled, if refused { self.used() } else { Way::Closed(None) })
            }
            Way::Through(_) | Way::Ask(_) => (ruled, own),
        };
        match way {
            Way::Through(glass) => self.through(ruled, glass),
            Way::Ask(questions) => asking(ruled, questions),
            Way::Closed(other) => {
                ruled.incident.void = ruled.incident.void.or(other);
                ruled
            }
        }
    }

    /// An annotation that does not count goes back to what it was, and whoever set it is told why. In Git it may stand.
    fn undone(&self, mut ruled: Ruled, refusal: Option<Refusal>) -> Ruled {
        let Some(refusal) = refusal else { return ruled };
        let in_git = matches!(&self.moved, Move::Set(ask) if self.in_git().as_ref() == Some(ask));
        if !in_git {
            ruled.incident.kept.extend(annotations());
            ruled.incident.told.push(message::void_warning(&refusal));
        }
        ruled.incident.void = Some(refusal);
        ruled
    }

    /// Whether the annotation that the write sets opens a grant.
    fn opened(&self, ask: &Ask) -> Way {
        let refusal = |void: &Void| Way::Closed(Some(self.refusal(&ask.reason, void)));
        let Some(bounds) = self.bounds else { return refusal(&Void::NotOffered) };
        if self.in_git().as_ref() == Some(ask) {
            return refusal(&Void::InGit);
        }
        if self.case.writer.role == WriterRole::Deployer {
            return refusal(&Void::Deployer);
        }
        let duration = match ask.within(bounds) {
            Ok(duration) => duration,
            Err(void) => return refusal(&void),
        };
        match self.access() {
            None => return Way::Ask(vec![self.access_question()]),
            Some(Access::Granted) => {}
            Some(Access::Refused) => return refusal(&Void::NotPermitted),
            Some(Access::Unknown) => return refusal(&Void::Unasked),
        }
        // Until it is stored an object may have no uid.
        let uid = self.uid.clone().unwrap_or_default();
        let record = ask.record(&uid);
        let ends = self.case.now.checked_add(duration).unwrap_or(Timestamp::MAX);
        if self.case.write.dry_run || self.case.facts.pass == Pass::Changing {
            // Answered as if it were open; only what is stored opens it.
            return Way::Through(Glass { act: Act::Opened, record, reason: ask.reason.clone(), ends });
        }
        match self.case.facts.records.get(&record) {
            Some(Some(grant)) => Way::Through(glass(Act::Opened, grant)),
            Some(None) => refusal(&Void::Unrecorded),
            None if uid.is_empty() => refusal(&Void::Unrecorded),
            None => Way::Ask(vec![Question::Open(Opening {
                record,
                object: self.case.aim.key.clone(),
                uid,
                reason: ask.reason.clone(),
                duration,
                by: self.case.write.user.name.clone(),
                replaces: self.annotated().map(|grant| grant.record.clone()).collect(),
            })]),
        }
    }

    /// Whether a grant that is open lets the write in.
    fn used(&self) -> Way {
        let Some(bounds) = self.bounds else { return Way::Closed(None) };
        let namespace = self.case.aim.key.namespace();
        let (open, mut questions) = self.open_grants();
        if !namespace.is_empty() && self.home().is_none() {
            questions.push(Question::Namespace(namespace.to_owned()));
        }
        let mut refusal = None;
        for grant in open.iter().filter(|grant| grant.is_within(bounds)) {
            match self.serves(grant) {
                Ok(true) => return Way::Through(glass(Act::Used, grant)),
                Ok(false) => questions.push(self.access_question()),
                Err(void) => refusal = Some(self.refusal(&grant.reason, &void)),
            }
        }
        if !questions.is_empty() {
            questions.sort();
            questions.dedup();
            return Way::Ask(questions);
        }
        let not_open = || self.before.as_ref().map(|ask| self.refusal(&ask.reason, &Void::NotOpen));
        Way::Closed(refusal.or_else(not_open))
    }

    /// All grants that are open on what the write is about, whomever they serve; and what must be asked to know of more: another
    /// replica may just have made the record of an annotation that stands there.
    pub(crate) fn open_grants(&self) -> (Vec<Arc<Grant>>, Vec<Question>) {
        let (place, now) = (self.place(), self.case.now);
        let mut open: Vec<Arc<Grant>> = self.case.basis.grants.covering(place, now).cloned().collect();
        // Who may change an object may reach into what it made.
        if let Some(Owner { key, uid }) = &self.case.maker {
            let maker = Place { object: key, uid: Some(uid), ..place };
            open.extend(self.case.basis.grants.covering(maker, now).cloned());
        }
        let mut questions = Vec::new();
        let namespace = self.case.aim.key.namespace();
        if self.home().is_none() && self.case.basis.grants.is_of_namespace(namespace) {
            questions.push(Question::Namespace(namespace.to_owned()));
        }
        let own = self.before.as_ref().zip(self.uid.as_deref()).map(|(ask, uid)| (ask, uid, self.set()));
        let home = self.home().and_then(|home| Some((home.ask.as_ref()?, home.uid.as_deref()?, home.set.clone())));
        for (ask, uid, set) in own.into_iter().chain(home) {
            let record = ask.record(uid);
            match self.case.facts.records.get(&record) {
                _ if open.iter().any(|grant| grant.record.starts_with(&record)) => {}
                None => questions.push(Question::Record(Sought { record, set })),
                Some(known) => {
                    let known = known.iter().filter(|grant| grant.is_open(now) && grant.covers(place));
                    open.extend(known.cloned());
                }
            }
        }
        (open, questions)
    }

    /// Whether a grant serves the writer; `false` where the API server must be asked first.
    fn serves(&self, grant: &Grant) -> Result<bool, Void> {
        match (&grant.who, self.access()) {
            (Who::Subjects(subjects), _) if subjects.iter().any(|subject| subject.is(&self.case.write.user)) => {
                Ok(true)
            }
            (Who::Subjects(_), _) => Err(Void::NotForYou),
            (Who::Permitted, _) if self.case.writer.role == WriterRole::Deployer => Err(Void::Deployer),
            (Who::Permitted, None) => Ok(false),
            (Who::Permitted, Some(Access::Granted)) => Ok(true),
            (Who::Permitted, Some(Access::Refused)) => Err(Void::NotPermitted),
            (Who::Permitted, Some(Access::Unknown)) => Err(Void::Unasked),
        }
    }

    /// Whoever has the right ends the grants of the annotation by removing it; from anybody else it comes back. What else the
    /// write does is ruled as ever. A deployer strips what it does not know: see `hold`.
    fn ended(&self, mut ruled: Ruled, refused: bool) -> Ruled {
        if let Some(ended) = self.case.facts.ended.first() {
            // By now its record may say so, and it is among the open ones no more.
            ruled.incident.glass = Some(ended.clone());
            return self.under_rule(ruled);
        }
        let open: Vec<&Arc<Grant>> = self.annotated().collect();
        let Some(first) = open.first() else { return ruled };
        if self.bounds.is_none() || self.case.writer.role == WriterRole::Deployer {
            return ruled;
        }
        let void = match self.access() {
            None => return asking(ruled, vec![self.access_question()]),
            Some(Access::Granted) if refused || self.case.facts.pass == Pass::Changing => return ruled,
            Some(Access::Granted) => {
                ruled.incident.glass = Some(glass(Act::Ended, first));
                let by = &self.case.write.user.name;
                let end = |grant: &&Arc<Grant>| Question::End { glass: glass(Act::Ended, grant), by: by.clone() };
                let ends = if self.case.write.dry_run { Vec::new() } else { open.iter().map(end).collect() };
                return self.under_rule(asking(ruled, ends));
            }
            Some(Access::Refused) => Void::NotPermitted,
            Some(Access::Unknown) => Void::Unasked,
        };
        let why = void.words(&self.case.write.user.name, &self.rule.name);
        ruled.incident.kept.extend(annotations());
        ruled.incident.told.push(message::stays_warning(&first.reason, &why));
        ruled
    }

    /// The annotations, where a deployer's write strips or changes them while they stand for an open grant.
    pub(crate) fn stripped(&self) -> Vec<FieldPath> {
        if self.moved == Move::None { Vec::new() } else { annotations().into() }
    }

    /// The open grants that an annotation of this very object opened.
    fn annotated(&self) -> impl Iterator<Item = &Arc<Grant>> {
        let own = self.case.basis.grants.covering(self.place(), self.case.now);
        own.filter(|grant| match &grant.what {
            What::Object(key, _) => *key == self.case.aim.key,
            What::Matching(_) => false,
        })
    }

    /// When the annotation that stands on the object was set.
    fn set(&self) -> Option<String> {
        let Change::Update { before, .. } = self.case.write.change else { return None };
        ask::set_at(&serde_json::from_str(before.get()).ok()?)
    }

    fn place(&self) -> Place<'_> {
        let home = self.home().and_then(|home| home.uid.as_deref());
        Place { object: &self.case.aim.key, uid: self.uid.as_deref(), home }
    }

    fn home(&self) -> Option<&Namespace> {
        self.case.facts.namespaces.get(self.case.aim.key.namespace())
    }

    fn in_git(&self) -> Option<Ask> {
        let declared = std::str::from_utf8(&self.case.declared()?.json).ok()?;
        Ask::of(serde_json::from_str(declared).ok()?)
    }

    fn access(&self) -> Option<Access> {
        self.case.facts.access.get(&self.rule.name).copied()
    }

    fn access_question(&self) -> Question {
        Question::Access { user: self.case.write.user.clone(), policy: self.rule.name.clone() }
    }

    fn refusal(&self, reason: &str, void: &Void) -> Refusal {
        Refusal { reason: reason.to_owned(), why: void.words(&self.case.write.user.name, &self.rule.name) }
    }

    fn through(&self, mut ruled: Ruled, glass: Glass) -> Ruled {
        let reason = match glass.act {
            Act::Opened => "opens a break-glass",
            Act::Used => "let in by a break-glass",
            Act::Ended => "ends a break-glass",
        };
        ruled.incident.glass = Some(glass);
        self.under_rule(Ruled { ruling: Ruling::Allow, reason, questions: Vec::new(), ..ruled })
    }

    /// What no policy ruled so far is ruled by this one: an object that Git does not declare.
    fn under_rule(&self, ruled: Ruled) -> Ruled {
        Ruled { mode: Mode::Enforce, policy: Some(self.rule.name.clone()), ..ruled }
    }
}

fn asking(mut ruled: Ruled, questions: Vec<Question>) -> Ruled {
    ruled.incident.urgent.extend(questions);
    ruled
}

fn glass(act: Act, grant: &Grant) -> Glass {
    Glass { act, record: grant.record.clone(), reason: grant.reason.clone(), ends: grant.ends() }
}

/// Where the annotations stand.
fn annotations() -> [FieldPath; 2] {
    [ask::REASON, ask::DURATION].map(|name| FieldPath::of(["metadata", "annotations", name]))
}
