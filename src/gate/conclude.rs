//! How does a ruling become a verdict? With values fit to be shown, places in Git, words, and what is left to ask.

use std::collections::BTreeSet;

use crate::drift::declared::{Declared, ObjectKey};
use crate::gate::basis::Source;
use crate::gate::case::Case;
use crate::gate::facts::{Line, Question};
use crate::gate::finding::Change;
use crate::gate::incident::{Offer, Refusal};
use crate::gate::message::{self, Doubt, Words};
use crate::gate::policy::Mode;
use crate::gate::ruling::{Ground, Ruled};
use crate::gate::text::{shortened, without_immutable};
use crate::gate::verdict::{At, Class, Field, Origin, Outcome, Ruling, Verdict};
use crate::limits::{FIELDS_KEPT_MAX, LINES_BLAMED_MAX, VALUE_CHARS_MAX};

/// Makes the outcome of a case from what is ruled.
pub fn outcome(case: &Case<'_>, ruled: Ruled) -> Outcome {
    let write = case.write;
    let is_about_source = case.declared().is_some() || matches!(ruled.ground, Ground::Stray(_));
    let source = case.source.filter(|_| is_about_source);
    let fields: Vec<Field> = ruled
        .changes
        .iter()
        .take(FIELDS_KEPT_MAX)
        .map(|change| field(&case.aim.key, change, origin(case, change)))
        .collect();
    let enforced = ruled.mode == Mode::Enforce;
    let mut verdict = Verdict {
        ruling: ruled.ruling,
        enforced,
        object: case.aim.key.clone(),
        version: write.target.version.clone(),
        operation: write.change.operation(),
        subresource: write.target.subresource.clone(),
        user: write.user.clone(),
        role: case.writer.role,
        policy: ruled.policy,
        source: source.map(|source| source.id.clone()),
        revision: source.and_then(|source| source.revision.clone()),
        owners: Vec::new(),
        origin: None,
        charged: ruled.counted.min(fields.len()),
        fields,
        message: String::new(),
        warnings: Vec::new(),
        kept: ruled.incident.told,
        patch: ruled.patch,
        writers: case.writer.entries().map(|(policy, name)| (policy.to_owned(), name.to_owned())).collect(),
        ignored: case.ignored.used(),
        glass: ruled.incident.glass,
        reason: ruled.reason,
    };
    if ruled.ground != Ground::None || verdict.glass.is_some() {
        say(case, &ruled.ground, ruled.counted, (ruled.incident.void.as_ref(), ruled.incident.offer), &mut verdict);
    }
    // Only a write of which something is kept out may wait, or one that has to do with a break-glass; a question about the server
    // form says what weakened the ruling.
    let mut questions = if verdict.takes_away() && ruled.ground != Ground::Forged {
        let fields = &verdict.fields[..ruled.counted.min(verdict.fields.len())];
        let mut questions = asked_of_git(case, fields, &ruled.ground);
        questions.extend(ruled.questions);
        questions
    } else {
        let strengthens = |question: &Question| matches!(question, Question::Form(_) | Question::Owner(_));
        ruled.questions.into_iter().filter(strengthens).collect()
    };
    questions.extend(ruled.incident.urgent);
    Outcome { verdict, questions, asides: ruled.asides, sets_break_glass: ruled.incident.is_set }
}

/// Puts the verdict in words.
fn say(
    case: &Case<'_>,
    ground: &Ground,
    count: usize,
    (void, offer): (Option<&Refusal>, Offer),
    verdict: &mut Verdict,
) {
    let declared = case.declared();
    verdict.owners = match (case.source, declared) {
        (Some(source), Some(declared)) => source.owners.of(&declared.file),
        (_, _) => Vec::new(),
    };
    let place = declared.zip(case.source).map(|(declared, source)| Origin {
        file: declared.file.to_string(),
        line: first_line(declared),
        commit: at(case, source, declared, first_line(declared)),
    });
    let words = Words {
        object: &verdict.object,
        ground,
        fields: &verdict.fields[..count.min(verdict.fields.len())],
        count,
        declared: declared.map(|declared| (&*declared.file, first_line(declared))),
        revision: verdict.revision.as_ref(),
        commit: place.as_ref().and_then(|place| place.commit.as_ref()),
        owners: &verdict.owners,
        doubt: case.source.and_then(|source| doubt(case, source, ground)),
        glass: verdict.glass.as_ref(),
        void,
        offer,
    };
    let message = words.message();
    let warnings = match (verdict.ruling, verdict.enforced) {
        (_, true) if verdict.glass.is_some() => words.warnings(verdict.ruling),
        (Ruling::Warn | Ruling::Annotate | Ruling::Revert, true) => words.warnings(verdict.ruling),
        (Ruling::Warn | Ruling::Annotate | Ruling::Revert, false) | (Ruling::Allow | Ruling::Deny, _) => Vec::new(),
    };
    verdict.origin = match ground {
        // What is not declared itself is kept for what it holds.
        Ground::Holding(held) => place.or_else(|| {
            let commit = held.sources.first().and_then(|id| case.basis.sources.get(id)?.revision.clone());
            let first = held.named.first()?;
            Some(Origin {
                file: first.file.clone(),
                line: first.line,
                commit: commit.filter(|_| held.sources.len() == 1).map(At::InForce),
            })
        }),
        Ground::Deletion | Ground::Owners | Ground::Derived(_) => place,
        Ground::None
        | Ground::Drift
        | Ground::Doubt
        | Ground::Preexisting
        | Ground::Undeclared
        | Ground::Stray(_)
        | Ground::Forged => None,
    };
    verdict.message = message;
    verdict.warnings = warnings;
}

/// What the ruling stands without: first what Git may say, then what the server makes of it, where fields are at stake.
fn doubt<'c>(case: &Case<'c>, source: &'c Source, ground: &Ground) -> Option<Doubt<'c>> {
    let silence = || case.facts.silent.contains(&source.id).then_some(Doubt::Silence);
    let formless = || match ground {
        Ground::Drift | Ground::Doubt | Ground::Undeclared => {
            case.facts.forms.values().any(Option::is_none).then_some(Doubt::Formless)
        }
        Ground::None
        | Ground::Preexisting
        | Ground::Owners
        | Ground::Deletion
        | Ground::Holding(_)
        | Ground::Stray(_)
        | Ground::Derived(_)
        | Ground::Forged => None,
    };
    let refused = source.refused.as_ref().map(|(commit, fault)| Doubt::Refused(commit, fault));
    refused.or_else(silence).or_else(formless)
}

/// One field, its values shortened; those of a Secret are left out.
pub fn field(key: &ObjectKey, change: &Change, origin: Option<Origin>) -> Field {
    let shown = |value: &Option<String>| {
        let value = value.as_deref().filter(|_| !message::is_secret(key))?;
        Some(without_immutable(&shortened(value, VALUE_CHARS_MAX)))
    };
    Field {
        path: change.path.clone(),
        class: change.class,
        git: shown(&change.git),
        before: shown(&change.before),
        written: shown(&change.written),
        origin,
    }
}

/// Where Git says so; nothing for what Git does not say.
fn origin(case: &Case<'_>, change: &Change) -> Option<Origin> {
    let (declared, source) = (case.declared()?, case.source?);
    if change.class == Class::Undeclared {
        return None;
    }
    let line = declared.lines.get(change.node)?;
    Some(Origin { file: declared.file.to_string(), line, commit: at(case, source, declared, line) })
}

/// The commit that last wrote a line; while that is not known, the revision in force.
fn at(case: &Case<'_>, source: &Source, declared: &Declared, line: u32) -> Option<At> {
    let blamed = line_of(source, declared, line).and_then(|line| case.facts.blame.get(&line)?.clone());
    blamed.map(At::Written).or_else(|| source.revision.clone().map(At::InForce))
}

fn line_of(source: &Source, declared: &Declared, line: u32) -> Option<Line> {
    let (source, revision) = (source.id.clone(), source.revision.clone()?);
    Some(Line { source, revision, file: declared.file.to_string(), line })
}

fn first_line(declared: &Declared) -> u32 {
    declared.lines.get(0).unwrap_or_default()
}

/// Was it merged a moment ago? Which commits wrote the lines that the message names?
fn asked_of_git(case: &Case<'_>, fields: &[Field], ground: &Ground) -> Vec<Question> {
    let mut questions = Vec::new();
    let mut sources: BTreeSet<_> = case.source.map(|source| source.id.clone()).into_iter().collect();
    if let Ground::Holding(held) = ground {
        sources.extend(held.sources.iter().cloned());
    }
    if let Ground::Stray(_) = ground {
        sources.extend(case.basis.holders(&case.aim.key).map(|source| source.id.clone()));
    }
    questions.extend(sources.into_iter().filter(|id| !case.facts.fetched.contains(id)).map(Question::Fetch));
    let lines: BTreeSet<Line> = match (case.declared(), case.source) {
        (Some(declared), Some(source)) => {
            let lines: BTreeSet<u32> = fields.iter().filter_map(|field| Some(field.origin.as_ref()?.line)).collect();
            let lines = if lines.is_empty() { [first_line(declared)].into() } else { lines };
            lines.into_iter().take(LINES_BLAMED_MAX).filter_map(|line| line_of(source, declared, line)).collect()
        }
        (_, _) => BTreeSet::new(),
    };
    questions.extend(lines.into_iter().filter(|line| !case.facts.blame.contains_key(line)).map(Question::Blame));
    questions
}
