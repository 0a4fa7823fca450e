//! Who answers what `decide` asks? The world behind [`Answers`], all questions at once, until the deadline; silence is an answer.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::time::{Instant, timeout_at};

use crate::audit::metrics::{Asked, Metrics};
use crate::drift::form::Form;
use crate::gate::basis::CommitInfo;
use crate::gate::facts::{Access, Facts, Namespace, Opening, Owner, Question, Sought};
use crate::gate::grant::Grant;
use crate::limits;

/// What was answered to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Fetch`]: the source was fetched, and what was new is in the published basis.
    Fetched,
    /// To [`Question::Blame`]: who last wrote the line, if that can be told.
    Wrote(Option<CommitInfo>),
    /// To [`Question::Namespace`].
    Namespace(Namespace),
    /// To [`Question::Access`]: whether the writer has the right.
    Access(Access),
    /// To [`Question::Open`] and [`Question::Record`]: the open record, where there is one.
    Record(Option<Arc<Grant>>),
    /// To [`Question::End`]: it is noted.
    Ended,
    /// To [`Question::Owner`]: the controllers above the object, the nearest first.
    Owned(Vec<Owner>),
    /// To [`Question::Form`]: what the server makes of the declaration.
    Formed(Arc<Form>),
    /// To [`Question::Fetch`]: it was asked so often just now that it was not asked again.
    Spared,
    /// Not known, not in time, or not built yet: ruled as the question says.
    Silence,
}

/// The world, as far as it can be asked. Made in `app` over `follow` and `git`.
pub trait Answers: Send + Sync {
    /// Answers one question. May be dropped unfinished when its time is over; a fetch then goes on for those who ask next.
    fn answer<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Answer>;

    /// What is at hand of an answer, else silence; it may then be learnt for whoever asks next. Never waits.
    fn at_hand(&self, _: &Question) -> Answer {
        Answer::Silence
    }
}

/// Nobody to ask: every question meets silence.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Answers for Nobody {
    fn answer<'a>(&'a self, _: &'a Question) -> BoxFuture<'a, Answer> {
        Box::pin(async { Answer::Silence })
    }
}

/// Asks all questions at once, and adds what was answered until `until` to the facts.
pub(crate) async fn ask(
    answers: &dyn Answers,
    questions: &[Question],
    facts: &mut Facts,
    until: Instant,
    metrics: &Metrics,
) {
    let now = Instant::now();
    let one = async |question| {
        let end = until.min(now + wait(question));
        timeout_at(end, answers.answer(question)).await.unwrap_or(Answer::Silence)
    };
    let answered = join_all(questions.iter().map(one)).await;
    for (question, answer) in questions.iter().zip(answered) {
        let outcome = if matches!(answer, Answer::Silence | Answer::Spared) { "silence" } else { "answered" };
        metrics.questions.get_or_create(&Asked { question: name(question), outcome }).inc();
        take(facts, question, answer);
    }
}

/// Adds what is at hand to the facts; whether that is anything.
pub(crate) fn take_at_hand(answers: &dyn Answers, asides: &[Question], facts: &mut Facts) -> bool {
    let found = asides.iter().map(|question| (question, answers.at_hand(question)));
    let found: Vec<_> = found.filter(|(_, answer)| *answer != Answer::Silence).collect();
    let any = !found.is_empty();
    for (question, answer) in found {
        take(facts, question, answer);
    }
    any
}

/// Longest wait for one answer.
fn wait(question: &Question) -> Duration {
    match question {
        Question::Fetch(_) => limits::FETCH_WAIT_MAX,
        Question::Blame(_) => limits::BLAME_WAIT_MAX,
        Question::Form(_) => limits::FORM_WAIT_MAX,
        Question::Access { .. } | Question::Open(_) | Question::Record(_) | Question::End { .. } => {
            limits::GLASS_WAIT_MAX
        }
        Question::Owner(_) => limits::OWNER_WAIT_MAX,
        Question::Namespace(_) => limits::WEBHOOK_TIMEOUT,
    }
}

fn name(question: &Question) -> &'static str {
    match question {
        Question::Fetch(_) => "fetch",
        Question::Blame(_) => "blame",
        Question::Form(_) => "form",
        Question::Access { .. } => "access",
        Question::Open(_) => "open",
        Question::Record(_) => "record",
        Question::End { .. } => "end",
        Question::Owner(_) => "owner",
        Question::Namespace(_) => "namespace",
    }
}

/// Adds one answer; silence counts as asked where the facts can say so.
fn take(facts: &mut Facts, question: &Question, answer: Answer) {
    match question {
        Question::Fetch(source) => {
            facts.fetched.insert(source.clone());
            if answer == Answer::Silence {
                facts.silent.insert(source.clone());
            }
        }
        Question::Blame(line) => {
            let commit = if let Answer::Wrote(commit) = answer { commit } else { None };
            facts.blame.insert(line.clone(), commit);
        }
        Question::Namespace(name) => {
            let known = if let Answer::Namespace(namespace) = answer { namespace } else { Namespace::default() };
            facts.namespaces.insert(name.clone(), known);
        }
        Question::Form(of) => {
            let form = if let Answer::Formed(form) = answer { Some(form) } else { None };
            facts.forms.insert(of.manifest.clone(), form);
        }
        Question::Access { policy, .. } => {
            let access = if let Answer::Access(access) = answer { access } else { Access::Unknown };
            facts.access.insert(policy.clone(), access);
        }
        Question::Open(Opening { record, .. }) | Question::Record(Sought { record, .. }) => {
            let grant = if let Answer::Record(grant) = answer { grant } else { None };
            facts.records.insert(record.clone(), grant);
        }
        Question::End { glass, .. } => {
            facts.ended.insert(glass.clone());
        }
        Question::Owner(object) => {
            let owners = if let Answer::Owned(owners) = answer { Some(owners) } else { None };
            facts.owners.insert(object.clone(), owners);
        }
    }
}
