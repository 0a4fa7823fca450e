//! What follows from a finding? The rule that governs, the writer's role, and what the world might still say.

use crate::drift::declared::ObjectKey;
use crate::drift::path::FieldPath;
use crate::gate::basis::{Entry, SourceId};
use crate::gate::case::Case;
use crate::gate::deployer;
use crate::gate::facts::{FormOf, Question};
use crate::gate::finding::{Certainty, Change, Finding};
use crate::gate::incident::Incident;
use crate::gate::optout;
use crate::gate::patch::Patch;
use crate::gate::policy::{Mode, Rule};
use crate::gate::removal::{Held, Loss, Removal};
use crate::gate::sanction::{Sanction, keeps_mark, without_change};
use crate::gate::sides::Sides;
use crate::gate::verdict::{Class, Ruling, WriterRole};
use crate::gate::write;
use crate::limits::FORMS_BEHIND_MAX;

/// Reasons of rulings on a whole object, as records keep them.
pub const DELETES: &str = "deletes what Git declares";
/// See [`DELETES`].
pub const DELETES_HOLDER: &str = "deletes what holds declared objects";
/// See [`DELETES`].
pub const TAKES: &str = "takes something from what Git declares";
/// See [`DELETES`].
pub const STRAYS: &str = "writes an object that Git does not declare";
/// See [`DELETES`].
pub const REACHES: &str = "reaches into what Git declares";
/// See [`DELETES`].
pub const MAY_REACH: &str = "may reach into what Git declares, its owner is not known";

/// What is ruled, and on what ground.
#[derive(Debug, Clone)]
pub struct Ruled {
    /// What follows.
    pub ruling: Ruling,
    /// Whether it takes effect.
    pub mode: Mode,
    /// The policy that says so.
    pub policy: Option<String>,
    /// Why, in a few words.
    pub reason: &'static str,
    /// What the message is about.
    pub ground: Ground,
    /// The paths that matter: those of the ground first.
    pub changes: Vec<Change>,
    /// How many of them are of the ground.
    pub counted: usize,
    /// What could let the write in after all.
    pub questions: Vec<Question>,
    /// What would tell more, though nobody waits for it.
    pub asides: Vec<Question>,
    /// How the write is changed on its way in.
    pub patch: Patch,
    /// What a break-glass has to do with it.
    pub incident: Incident,
}

/// What a ruling above Allow rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    /// Nothing: the write is let in without a word.
    None,
    /// Declared fields leave Git's values.
    Drift,
    /// Declared fields may leave Git's values; only the server can tell.
    Doubt,
    /// Declared fields differed before, and the write leaves them so.
    Preexisting,
    /// The object gets an owner with whom it would be deleted.
    Owners,
    /// Fields change that Git does not declare.
    Undeclared,
    /// The object is declared and goes.
    Deletion,
    /// Declared objects go with it.
    Holding(Held),
    /// The object is in the scope of this source, which does not declare it.
    Stray(SourceId),
    /// The object was made by this declared one, or by one that is not known.
    Derived(Option<ObjectKey>),
    /// A BreakGlass bears the name of somebody else than its creator.
    Forged,
}

impl Ruled {
    /// Lets a write in that is no business of any policy.
    pub fn foreign(reason: &'static str) -> Self {
        Self {
            ruling: Ruling::Allow,
            mode: Mode::Observe,
            policy: None,
            reason,
            ground: Ground::None,
            changes: Vec::new(),
            counted: 0,
            questions: Vec::new(),
            asides: Vec::new(),
            patch: Patch::default(),
            incident: Incident::default(),
        }
    }

    /// What a policy rules on what is not declared itself.
    pub fn by(case: &Case<'_>, rule: &Rule, ruling: Ruling, reason: &'static str, ground: Ground) -> Self {
        let ruling = match ruling {
            Ruling::Annotate if keeps_mark(case) => Ruling::Annotate,
            Ruling::Allow | Ruling::Warn | Ruling::Annotate | Ruling::Revert | Ruling::Deny => without_change(ruling),
        };
        Self::under(&Sanction::of(Some(rule)), ruling, reason, ground)
    }

    fn under(sanction: &Sanction<'_>, ruling: Ruling, reason: &'static str, ground: Ground) -> Self {
        let (mode, policy) = (sanction.mode, sanction.policy.map(str::to_owned));
        let ground = if ruling == Ruling::Allow { Ground::None } else { ground };
        Self { ruling, mode, policy, ground, ..Self::foreign(reason) }
    }

    fn about(mut self, of_ground: impl Fn(&Change) -> bool, changes: Vec<Change>) -> Self {
        let (mut first, rest): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(of_ground);
        self.counted = first.len();
        first.extend(rest);
        self.changes = first;
        self
    }
}

/// Rules on a create or an update of a declared object.
pub fn of_change(case: &Case<'_>, finding: Finding, sides: &Sides<'_>) -> Ruled {
    let sanction = Sanction::of_case(case);
    if case.writer.role == WriterRole::Landfast {
        return Ruled::under(&sanction, Ruling::Allow, "written by landfast", Ground::None);
    }
    let charges = Charges::of(case, &sanction, &finding);
    if charges.all().is_empty() {
        let (questions, asides) = forms_asked(case, &sanction, &charges, &finding);
        return Ruled { questions, asides, ..of_agreement(case, &sanction, finding) };
    }
    if charges.owners.is_empty()
        && case.writer.role == WriterRole::Deployer
        && deployer::is_behind(case, &finding, sides)
    {
        return Ruled::under(&sanction, Ruling::Allow, "agrees with an earlier revision", Ground::None);
    }
    // An owner that Git does not declare is one whatever Git said before.
    let rollback =
        case.rule.filter(|_| charges.owners.is_empty() && !charges.drift.is_empty()).map_or(0, |rule| rule.rollback);
    let rolled = (rollback > 0).then(|| deployer::rolled_back(case, &finding, sides, rollback)).flatten();
    let charges = match &rolled {
        // What else is there stands in the lines of another commit.
        Some(earlier) => Charges { rest: Vec::new(), ..Charges::of(case, &sanction, earlier) },
        None => charges,
    };
    if charges.all().is_empty() {
        return Ruled::under(&sanction, Ruling::Allow, "rolls back to what Git said before", Ground::None);
    }

    let (ruling, ground, reason) = charges.strictest(&sanction);
    let (mut questions, asides) = forms_asked(case, &sanction, &charges, &finding);
    let finalizers = FieldPath::of(["metadata", "finalizers"]);
    if charges.all().iter().any(|change| finalizers.covers(&change.path) && change.written.is_none()) {
        questions.extend(namespace_question(case));
    }
    let counted = charges.all().len();
    let all = charges.all().into_iter().chain(charges.rest.iter().copied()).cloned().collect();
    Ruled { changes: all, counted, questions, asides, ..Ruled::under(&sanction, ruling, reason, ground) }
}

/// What a change of a declared object is charged with.
#[derive(Debug, Default)]
struct Charges<'f> {
    /// Declared fields that leave Git's values.
    drift: Vec<&'f Change>,
    /// Owners that Git does not declare.
    owners: Vec<&'f Change>,
    /// Other fields that Git does not declare, where the policy minds.
    undeclared: Vec<&'f Change>,
    /// All else.
    rest: Vec<&'f Change>,
}

impl<'f> Charges<'f> {
    fn of(case: &Case<'_>, sanction: &Sanction<'_>, finding: &'f Finding) -> Self {
        let minds = minds_undeclared(case, sanction);
        let mut charges = Self::default();
        for change in &finding.changes {
            let is_free = || case.is_free(change, finding.condemned);
            let charge = match change.class {
                Class::Drifts | Class::Reordered if !is_free() => &mut charges.drift,
                Class::Undeclared if optout::drifts(case, change) && !is_free() => &mut charges.drift,
                Class::Undeclared if minds && !is_free() => &mut charges.undeclared,
                Class::Drifts | Class::Reordered | Class::Undeclared | Class::Restores | Class::Preexisting => {
                    &mut charges.rest
                }
            };
            charge.push(change);
        }
        charges.owners.extend(finding.owners.iter().filter(|owner| !case.is_free(owner, false)));
        charges
    }

    fn all(&self) -> Vec<&'f Change> {
        self.drift.iter().chain(&self.owners).chain(&self.undeclared).copied().collect()
    }

    /// A mixed write gets the strictest ruling, and the first ground that has it.
    fn strictest(&self, sanction: &Sanction<'_>) -> (Ruling, Ground, &'static str) {
        let is_certain = |changes: &[&Change]| changes.iter().any(|change| change.certainty == Certainty::Known);
        let weakened = |changes, ruling: Ruling| if is_certain(changes) { ruling } else { ruling.min(Ruling::Warn) };
        let (drift, undeclared) =
            (weakened(&self.drift, sanction.drift), weakened(&self.undeclared, sanction.undeclared_fields));
        let (ground, reason) = if is_certain(&self.drift) {
            (Ground::Drift, "drifts from Git")
        } else {
            (Ground::Doubt, "may drift from Git, only the server can tell")
        };
        let charges = [
            (&self.drift, drift, ground, reason),
            (&self.owners, sanction.delete, Ground::Owners, "adds an owner that Git does not declare"),
            (&self.undeclared, undeclared, Ground::Undeclared, "changes what Git does not declare"),
        ];
        let brought = charges.into_iter().filter(|(changes, ..)| !changes.is_empty());
        let strictest = brought.rev().max_by_key(|(_, ruling, ..)| *ruling);
        strictest.map_or((Ruling::Allow, Ground::None, reason), |(_, ruling, ground, reason)| (ruling, ground, reason))
    }
}

/// Whether it matters what the writer changes that Git does not declare.
fn minds_undeclared(case: &Case<'_>, sanction: &Sanction<'_>) -> bool {
    case.writer.role == WriterRole::Person && sanction.undeclared_fields > Ruling::Allow
}

/// What does the server make of the declaration? Asked before fields are refused, or would be if they were known; and of what a
/// person creates where additions are refused, since only beside the server form they show. What is let in anyway asks aside.
fn forms_asked(
    case: &Case<'_>,
    sanction: &Sanction<'_>,
    charges: &Charges<'_>,
    finding: &Finding,
) -> (Vec<Question>, Vec<Question>) {
    let refused = |changes: &[&Change], ruling| !changes.is_empty() && ruling >= Ruling::Revert;
    let may_add = matches!(case.write.change, write::Change::Create { .. }) && minds_undeclared(case, sanction);
    let waits = refused(&charges.drift, sanction.drift)
        || refused(&charges.undeclared, sanction.undeclared_fields)
        || (may_add && sanction.undeclared_fields == Ruling::Deny);
    let differs = !charges.drift.is_empty() || is_told_of_preexisting(case, finding);
    let told = (sanction.drift > Ruling::Allow && differs) || !charges.undeclared.is_empty() || may_add;
    match (waits, sanction.mode) {
        (true, Mode::Enforce) => (open_forms(case), Vec::new()),
        (true, Mode::Observe) => (Vec::new(), open_forms(case)),
        (false, _) if told => (Vec::new(), open_forms(case)),
        (false, _) => (Vec::new(), Vec::new()),
    }
}

/// Of which declarations the server form is not asked yet: what Git says, and for who may be behind, what it said last.
fn open_forms(case: &Case<'_>) -> Vec<Question> {
    let (Some(entry), Some(source)) = (case.entry, case.source) else { return Vec::new() };
    let rollback = case.rule.map_or(0, |rule| rule.rollback);
    let earlier =
        if case.writer.role == WriterRole::Deployer { FORMS_BEHIND_MAX } else { rollback.min(FORMS_BEHIND_MAX) };
    let manifests = entry.declarations(case.now, source.max_lag).take(1 + earlier);
    let open = manifests.filter(|manifest| !case.facts.forms.contains_key(&**manifest));
    let form = |manifest: &[u8]| FormOf { object: case.aim.key.clone(), manifest: manifest.into() };
    open.map(|manifest| Question::Form(form(&manifest))).collect()
}

/// Rules on a write that drifts from nothing; what it leaves out of place it is told of.
fn of_agreement(case: &Case<'_>, sanction: &Sanction<'_>, finding: Finding) -> Ruled {
    if is_told_of_preexisting(case, &finding) {
        let ruling = sanction.drift.min(Ruling::Warn);
        let ruled = Ruled::under(sanction, ruling, "already differed from Git", Ground::Preexisting);
        return ruled.about(|change| is_preexisting(case, change), finding.changes);
    }
    let restores = finding.changes.iter().any(|change| change.class == Class::Restores);
    let moves = finding.changes.iter().any(Change::is_drift);
    let reason = match (restores, moves) {
        (true, _) => "restores what Git declares",
        (false, true) => "moves what is its own to move",
        (false, false) => "agrees with Git",
    };
    Ruled::under(sanction, Ruling::Allow, reason, Ground::None).about(|_| false, finding.changes)
}

/// Whether a field differed before that nobody is let move.
fn is_preexisting(case: &Case<'_>, change: &Change) -> bool {
    change.class == Class::Preexisting && !case.delegated().covers(&change.path)
}

/// Whether the writer is to hear of fields that differed before.
fn is_told_of_preexisting(case: &Case<'_>, finding: &Finding) -> bool {
    let heard = match case.writer.role {
        WriterRole::Person | WriterRole::Service | WriterRole::Deployer => true,
        // Nobody reads what a controller is warned of, and it writes to such an object again and again.
        WriterRole::Controller | WriterRole::Landfast => false,
    };
    heard && finding.changes.iter().any(|change| is_preexisting(case, change))
}

/// Rules on a delete of an object that is declared, or that holds declared ones.
pub fn of_removal(case: &Case<'_>, removal: &Removal<'_>) -> Ruled {
    let own = case.declared().map(|_| Sanction::of(case.rule));
    let policy = &case.basis.policy;
    let held = removal.held.iter().map(|(key, entry)| Sanction::of(policy.governing(key, Some(&entry.source))));
    let Some(sanction) = own.into_iter().chain(held).max_by_key(Sanction::weight) else {
        return Ruled::foreign("not declared in Git");
    };
    let key = &case.aim.key;
    let excuse = if case.writer.role == WriterRole::Landfast {
        Some("written by landfast")
    } else if removal.condemned {
        Some("is being deleted already")
    } else if case.is_terminating() {
        Some("its namespace is being deleted")
    } else if removal.held.is_empty() && case.writer.may_delete(key, removal.owned) {
        Some("deletes what is its own to delete")
    } else if removal.held.is_empty() && case.writer.role == WriterRole::Deployer {
        let replaces = removal.marked || deployer::may_replace(case);
        replaces.then_some("replaces the object")
    } else {
        None
    };
    if let Some(reason) = excuse {
        return Ruled::under(&sanction, Ruling::Allow, reason, Ground::None);
    }
    let (ground, reason) = if removal.held.is_empty() {
        (Ground::Deletion, DELETES)
    } else {
        (Ground::Holding(Held::of(&removal.held, Loss::All)), DELETES_HOLDER)
    };
    let questions = namespace_question(case).into_iter().collect();
    Ruled { questions, ..Ruled::under(&sanction, sanction.delete, reason, ground) }
}

/// Rules on an update that takes something from declared objects, where that is stricter than what is ruled on the object itself.
/// What Git itself says of the object takes nothing from it.
pub fn of_loss(case: &Case<'_>, held: &[(&ObjectKey, &Entry)], ruled: &Ruled) -> Option<Ruled> {
    let sanctions = held.iter().map(|(key, entry)| Sanction::of(case.basis.policy.governing(key, Some(&entry.source))));
    let sanction = sanctions.max_by_key(Sanction::weight)?;
    let effective = (ruled.mode == Mode::Enforce && ruled.ruling > Ruling::Allow).then_some(ruled.ruling);
    let agrees = case.declared().is_some() && matches!(ruled.ground, Ground::None | Ground::Preexisting);
    if agrees || case.writer.role == WriterRole::Landfast || (effective, ruled.ruling) >= sanction.weight() {
        return None;
    }
    let ground = Ground::Holding(Held::of(held, Loss::Parts));
    Some(Ruled::under(&sanction, sanction.delete, TAKES, ground))
}

/// Whether the namespace is terminating: then its objects may go.
fn namespace_question(case: &Case<'_>) -> Option<Question> {
    let namespace = case.aim.key.namespace();
    let open = !namespace.is_empty() && !case.facts.namespaces.contains_key(namespace);
    open.then(|| Question::Namespace(namespace.to_owned()))
}
