//! What came of all cases? A row for each kind, and the disagreements.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::batch::{Answered, Case, Outcome};
use crate::judge::{Path, Shown, Step};
use crate::kind::Kind;
use crate::verdict::Relation;

/// Of the cases that were asked for, in per cent: how many must be tried, how many of the tried may be lost, and how many of
/// the answers must change something. Objects that cannot be stored, or that a controller deletes, take some.
const TRIED_PER_CENT_MIN: usize = 90;
const LOST_PER_CENT_MAX: usize = 2;
const CHANGED_PER_CENT_MIN: usize = 40;

/// What came of the cases of one kind.
#[derive(Debug, Default, Clone)]
pub struct Row {
    /// Cases: the sum of all that follow, save those that change something.
    pub cases: usize,
    /// Both sides name the same.
    pub agreed: usize,
    /// Cases in which the engine reports what the server does not change.
    pub ours: usize,
    /// Cases in which the server changes what the engine does not report.
    pub theirs: usize,
    /// Cases that the server refused.
    pub refused: usize,
    /// Cases that agree but for a deliberate exception.
    pub excepted: usize,
    /// Cases in which the engine is never wrong, and leaves something to the server.
    pub unknown: usize,
    /// Of these, cases that it leaves open with the form, or for which the server makes none.
    pub open: usize,
    /// Of these, cases that were asked again once the object was written to.
    pub moved: usize,
    /// Of those, cases that the form of before leaves open.
    pub moved_open: usize,
    /// Cases in which the server changes something.
    pub changed: usize,
    /// Objects that somebody else took away.
    pub lost: usize,
    /// Refused cases in which the engine says nothing of a string that plainly differs.
    pub overlooked: usize,
    /// Places with a case that the server answered.
    pub answered: BTreeSet<usize>,
    /// Refusals by HTTP status.
    pub codes: BTreeMap<u16, usize>,
    /// How often each exception was masked.
    pub exceptions: BTreeMap<&'static str, usize>,
}

/// A case in which the two sides disagree.
#[derive(Debug, Clone)]
pub struct Disagreement {
    /// The case.
    pub case: Case,
    /// What it is about, without names and positions: those with the same are told once.
    pub about: String,
    /// For a person.
    pub told: String,
}

impl Row {
    /// Counts a case; what it was about where the sides disagree.
    pub fn count(&mut self, kind: &Kind, case: &Case, outcome: &Outcome) -> Option<Disagreement> {
        self.cases += 1;
        match outcome {
            Outcome::Lost => {
                self.lost += 1;
                None
            }
            Outcome::Refused { code, reason, overlooked } => {
                if std::env::var_os("ORACLE_WHY").is_some() {
                    println!("WHY {} {} {code} {reason}", kind.title, case.declared);
                }
                self.refused += 1;
                *self.codes.entry(*code).or_default() += 1;
                (!overlooked.is_empty()).then(|| {
                    self.overlooked += 1;
                    disagreement(kind, case, "refused, overlooked", overlooked, None)
                })
            }
            Outcome::Answered(answered) => self.answered(kind, case, answered),
        }
    }

    fn answered(&mut self, kind: &Kind, case: &Case, answered: &Answered) -> Option<Disagreement> {
        self.answered.insert(case.place);
        self.changed += usize::from(answered.changes());
        let relations = &answered.relations;
        if let Some(wrong) = wrong(answered) {
            self.ours += usize::from(!wrong.ours.is_empty());
            self.theirs += usize::from(!wrong.theirs.is_empty());
            let (side, paths) =
                if wrong.theirs.is_empty() { ("only ours", &wrong.ours) } else { ("only theirs", &wrong.theirs) };
            let bare = relations.iter().any(|relation| !relation.agrees());
            let formed = answered.formed.iter().any(|relation| !relation.agrees());
            let side = match (bare, formed) {
                (true, _) => side.to_owned(),
                (false, true) => format!("with the form {side}"),
                (false, false) => format!("with the form of before {side}"),
            };
            return Some(disagreement(kind, case, &side, paths, Some(answered)));
        }
        let excepted: BTreeSet<_> = relations.iter().flat_map(|relation| relation.excepted.iter().copied()).collect();
        for name in &excepted {
            *self.exceptions.entry(name).or_default() += 1;
        }
        match (relations.iter().any(|relation| relation.unknown), excepted.is_empty()) {
            (true, _) => {
                self.unknown += 1;
                let is_open = |relations: &[Relation]| relations.iter().any(|relation| relation.unknown);
                let open = answered.form.is_none() || is_open(&answered.formed);
                if open && std::env::var_os("ORACLE_WHY").is_some() {
                    println!("OPEN {} {} {}", kind.title, case.declared, case.object);
                }
                self.open += usize::from(open);
                self.moved += usize::from(!answered.moved.is_empty());
                self.moved_open += usize::from(is_open(&answered.moved));
            }
            (false, false) => self.excepted += 1,
            (false, true) => self.agreed += 1,
        }
        None
    }

    /// Adds the counts of another.
    pub fn add(&mut self, other: &Row) {
        self.cases += other.cases;
        self.agreed += other.agreed;
        self.ours += other.ours;
        self.theirs += other.theirs;
        self.refused += other.refused;
        self.excepted += other.excepted;
        self.unknown += other.unknown;
        self.open += other.open;
        self.moved += other.moved;
        self.moved_open += other.moved_open;
        self.changed += other.changed;
        self.lost += other.lost;
        self.overlooked += other.overlooked;
        self.answered.extend(&other.answered);
        for (code, count) in &other.codes {
            *self.codes.entry(*code).or_default() += count;
        }
        for (name, count) in &other.exceptions {
            *self.exceptions.entry(name).or_default() += count;
        }
    }

    /// Cases in which the two sides disagree.
    pub fn disagreed(&self) -> usize {
        self.cases - self.agreed - self.refused - self.excepted - self.unknown - self.lost + self.overlooked
    }

    /// Cases that the server answered.
    pub fn answers(&self) -> usize {
        self.cases - self.refused - self.lost
    }

    /// Why a run that was to try so many cases proves little, whatever it found.
    pub fn doubts(&self, asked: usize) -> Vec<String> {
        let share = |part: usize, whole: usize| 100 * part / whole.max(1);
        let mut doubts = Vec::new();
        if share(self.cases, asked) < TRIED_PER_CENT_MIN {
            doubts.push(format!("of {asked} cases only {} could be tried", self.cases));
        }
        if let Some(silent) = self.codes.get(&0) {
            doubts.push(format!("{silent} times the server did not answer"));
        }
        if share(self.lost, self.cases) > LOST_PER_CENT_MAX {
            doubts.push(format!("{} objects were lost", self.lost));
        }
        if self.open > 0 {
            doubts.push(format!("{} cases were left open with the form", self.open));
        }
        if share(self.changed, self.answers()) < CHANGED_PER_CENT_MIN {
            doubts.push(format!("only {} of {} answers change something", self.changed, self.answers()));
        }
        doubts
    }
}

/// The relation in which the sides disagree: without the server's form, with it, or with the one of before.
fn wrong(answered: &Answered) -> Option<&Relation> {
    let all = answered.relations.iter().chain(&answered.formed).chain(&answered.moved);
    all.into_iter().find(|relation| !relation.agrees())
}

/// Whether the sides disagree.
pub fn disagrees(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Lost => false,
        Outcome::Refused { overlooked, .. } => !overlooked.is_empty(),
        Outcome::Answered(answered) => wrong(answered).is_some(),
    }
}

/// What a path is about: without keys and positions.
fn about(path: &Path) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Field(name) => {
                text.push('.');
                text.push_str(name);
            }
            Step::Key(_) | Step::Item(_) | Step::Index(_) => text.push_str("[]"),
        }
    }
    text
}

fn disagreement(kind: &Kind, case: &Case, side: &str, paths: &[Path], answered: Option<&Answered>) -> Disagreement {
    let own = paths.first().map(about).unwrap_or_default();
    let mut told = format!("{} {}/{}: {side}:", kind.title, case.batch, case.number);
    for path in paths {
        let _ = write!(told, " {}", Shown(path));
    }
    let _ = write!(told, "\n  declared: {}\n  object: {}", case.declared, case.object);
    if let Some(answered) = answered {
        let server: Vec<_> = answered
            .judgement
            .changed
            .iter()
            .chain(&answered.judgement.moved)
            .map(|path| Shown(path).to_string())
            .collect();
        let engine: Vec<_> =
            answered.found.changed.iter().chain(&answered.found.moved).map(|path| Shown(path).to_string()).collect();
        let unknown: Vec<_> = answered.found.unknown.iter().map(|path| Shown(path).to_string()).collect();
        let _ = write!(
            told,
            "\n  server: {}\n  engine: {}; unknown: {}",
            server.join(" "),
            engine.join(" "),
            unknown.join(" ")
        );
        for path in paths {
            let at = |object: &serde_json::Value| {
                let mut at = Some(object);
                for step in path {
                    at = match step {
                        Step::Field(name) => at.and_then(|at| at.get(name)),
                        _ => break,
                    };
                }
                at.map_or("-".to_owned(), ToString::to_string)
            };
            let _ = write!(told, "\n  {}: {} -> {}", Shown(path), at(&answered.before), at(&answered.after));
        }
    }
    Disagreement { case: case.clone(), about: format!("{side} {}{own}", kind.title), told }
}
