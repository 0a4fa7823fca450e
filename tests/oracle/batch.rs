//! How is one object stored, and many declarations tried on it?

use std::collections::BTreeSet;
use std::sync::Arc;

use landfast::drift::form::{Form, Stage};
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::form;
use crate::judge::{JUDGE, Judgement, Sides, judge};
use crate::kind::{Kind, SERVER_OWNED, is_passed_over};
use crate::offer::Down;
use crate::server::{Answer, Server};
use crate::values::{SHAPES, Shape};
use crate::vary::{Hop, change, prune};
use crate::verdict::{Found, Relation, ask, overlooked, relate};

/// Places that vary in one object.
pub const PLACES: usize = 6;

/// Declarations tried at each place.
const EACH: usize = 4;

/// Declarations tried on one object.
pub const CASES: usize = PLACES * EACH;

/// A declaration and the object it is tried on.
#[derive(Debug, Clone)]
pub struct Case {
    /// Which of the kind's batches.
    pub batch: usize,
    /// Which case of the batch.
    pub number: usize,
    /// The object, as it is written to the server.
    pub object: Value,
    /// What Git would declare.
    pub declared: Value,
    /// The place that it varies, as a number of [`Kind::places`].
    pub place: usize,
}

/// What came of a case.
pub enum Outcome {
    /// The server refused: its code and reason, and what the engine nevertheless had to tell and did not.
    Refused {
        /// HTTP status.
        code: u16,
        /// The server's reason.
        reason: String,
        /// Strings that plainly differ, of which the engine said nothing.
        overlooked: Vec<crate::judge::Path>,
    },
    /// Somebody else took the object away.
    Lost,
    /// The server answered.
    Answered(Box<Answered>),
}

/// Both answers.
pub struct Answered {
    /// What the server says.
    pub judgement: Judgement,
    /// How each of the engine's answers relates to it.
    pub relations: Vec<Relation>,
    /// The server's form; none where nothing was left open, or the server makes none.
    pub form: Option<Arc<Form>>,
    /// The same with it at hand.
    pub formed: Vec<Relation>,
    /// The same of the object as another write leaves it, with the form that was learnt before.
    pub moved: Vec<Relation>,
    /// What the engine found, first way.
    pub found: Found,
    /// The object as it was stored.
    pub before: Value,
    /// What the dry-run made of it.
    pub after: Value,
}

impl Answered {
    /// Whether anything declared changed.
    pub fn changes(&self) -> bool {
        !self.judgement.changed.is_empty() || !self.judgement.moved.is_empty()
    }
}

/// An object as it is stored.
pub struct Stored {
    /// Its name.
    pub name: String,
    /// The server's text.
    pub text: String,
    /// The same, read.
    pub value: Value,
}

/// Shapes of the object: what the server would not let in is no object.
const OF_OBJECTS: [Shape; 11] = [
    Shape::Absent,
    Shape::Empty,
    Shape::Zero,
    Shape::One,
    Shape::One,
    Shape::Two,
    Shape::Two,
    Shape::Duplicate,
    Shape::Reordered,
    Shape::OtherWords,
    Shape::Deeper,
];

/// The places that a batch varies: neighbours, so that one object holds what leads to them. Over all batches, every place.
pub fn places(kind: &Kind, seed: u64, batch: usize) -> Vec<usize> {
    let groups = kind.places.len().div_ceil(PLACES);
    if !kind.movable.is_empty() && batch % 2 == 1 {
        let first = Chance::of(seed, &kind.title, batch).below(kind.movable.len());
        return kind.movable.iter().cycle().skip(first).take(PLACES).copied().collect();
    }
    let mut order: Vec<usize> = (0..groups).collect();
    let mut chance = Chance::of(seed.wrapping_add((batch / groups) as u64), &kind.title, usize::MAX);
    for at in (1..order.len()).rev() {
        order.swap(at, chance.below(at + 1));
    }
    let first = order[batch % groups] * PLACES;
    (first..kind.places.len().min(first + PLACES)).collect()
}

/// Makes the object of a batch, as varied as the server lets it be.
pub async fn object(server: &Server, kind: &Kind, seed: u64, batch: usize) -> Value {
    let mut chance = Chance::of(seed, &kind.title, batch);
    let ways: Vec<&[Down]> = places(kind, seed, batch).into_iter().map(|place| kind.places[place].as_slice()).collect();
    let order = kind.seeds_for(&ways);
    // Mostly the one that holds most, so that what varies stands among what the server lets in.
    let base = kind.seed(if chance.one_in(4) { *chance.pick(&order) } else { order[0] }, batch);
    let mut changes = Vec::new();
    for place in places(kind, seed, batch) {
        if !chance.one_in(3) {
            changes.push((place, *chance.pick(&OF_OBJECTS)));
        }
    }
    let varied = |object: &Value, place: usize, shape: Shape| {
        let mut object = object.clone();
        let mut chance = Chance::of(seed, &kind.title, batch + place);
        change(kind.offer(), &mut object, &kind.places[place], shape, &mut chance).map(|_| object)
    };
    let mut all = base.clone();
    for (place, shape) in &changes {
        all = varied(&all, *place, *shape).unwrap_or(all);
    }
    if server.create(kind, &all, false).await.code == 200 {
        return all;
    }
    let mut kept = base;
    for (place, shape) in &changes {
        // Another shape, where the server does not let in the first.
        for shape in [*shape, Shape::One] {
            let Some(more) = varied(&kept, *place, shape) else { continue };
            if server.create(kind, &more, false).await.code == 200 {
                kept = more;
                break;
            }
        }
    }
    kept
}

/// The declarations that are tried on an object.
pub fn declarations(kind: &Kind, seed: u64, batch: usize, object: &Value) -> Vec<Case> {
    let mut chance = Chance::of(seed ^ 0xd, &kind.title, batch);
    let places = places(kind, seed, batch);
    let mut cases = Vec::new();
    for place in &places {
        for each in 0..EACH {
            let mut whole = object.clone();
            let mut ways = Vec::new();
            let other = *chance.pick(&places);
            let tried = if each == 3 { vec![*place, other] } else { vec![*place] };
            for place in tried {
                ways.extend(fitting(kind, &mut whole, place, &mut chance));
            }
            let ways: Vec<&[Hop]> = ways.iter().map(Vec::as_slice).collect();
            let declared = if each == 2 {
                whole
            } else {
                identified(prune(Some(kind.offer()), &whole, Some(object), &ways), object)
            };
            cases.push(Case { batch, number: cases.len(), object: object.clone(), declared, place: *place });
        }
    }
    cases
}

/// Gives a place a shape that fits it. Most often one with which the server may be content.
fn fitting(kind: &Kind, whole: &mut Value, place: usize, chance: &mut Chance) -> Option<Vec<Hop>> {
    for _ in 0..8 {
        let shape = if chance.one_in(2) { *chance.pick(&SHAPES) } else { *chance.pick(&OF_OBJECTS) };
        if shape == Shape::WrongType && !chance.one_in(4) {
            continue;
        }
        let mut tried = whole.clone();
        let hops = change(kind.offer(), &mut tried, &kind.places[place], shape, chance);
        if let Some(hops) = hops {
            *whole = tried;
            return Some(hops);
        }
    }
    None
}

/// With what names the object.
fn identified(mut declared: Value, object: &Value) -> Value {
    if !declared.is_object() {
        declared = json!({});
    }
    for name in ["apiVersion", "kind"] {
        declared[name] = object[name].clone();
    }
    if !declared["metadata"].is_object() {
        declared["metadata"] = json!({});
    }
    for name in ["name", "namespace"] {
        if !object["metadata"][name].is_null() {
            declared["metadata"][name] = object["metadata"][name].clone();
        }
    }
    declared
}

/// Stores an object; `None` where the server does not let it in.
pub async fn store(server: &Server, kind: &Kind, object: &Value) -> Result<Stored, Answer> {
    let answer = server.create(kind, object, true).await;
    if answer.code != 200 {
        return Err(answer);
    }
    let value: Value = serde_json::from_str(&answer.text).expect("the server answers in JSON");
    let name = value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    Ok(Stored { name, text: answer.text, value })
}

/// Stores an object through another version of its kind; as this version then shows it.
pub async fn store_through(server: &Server, other: &Kind, kind: &Kind, object: &Value) -> Result<Stored, Answer> {
    let stored = store(server, other, object).await?;
    let answer = server.get(kind, &stored.name).await;
    if answer.code != 200 {
        return Err(answer);
    }
    let value = serde_json::from_str(&answer.text).expect("the server answers in JSON");
    Ok(Stored { name: stored.name, text: answer.text, value })
}

/// What a manifest may hold of a stored object.
pub fn declarable(kind: &Kind, stored: &Value) -> Value {
    let mut object = stored.clone();
    if kind.status_apart
        && let Some(members) = object.as_object_mut()
    {
        members.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata
            .retain(|name, _| matches!(name.as_str(), "name" | "namespace") || !SERVER_OWNED.contains(&name.as_str()));
    }
    object
}

/// Tries one declaration on a stored object.
pub async fn attempt(server: &Server, kind: &Kind, stored: &mut Stored, declared: &Value) -> Outcome {
    for _ in 0..5 {
        let answer = server.apply(kind, &stored.name, declared).await;
        if answer.code != 200 {
            return refused(kind, stored, declared, answer);
        }
        let after: Value = serde_json::from_str(&answer.text).expect("the server answers in JSON");
        if after["metadata"]["resourceVersion"] == stored.value["metadata"]["resourceVersion"] {
            return answered(server, kind, stored, declared, after).await;
        }
        // Somebody else wrote it meanwhile.
        let again = server.get(kind, &stored.name).await;
        if again.code != 200 {
            return Outcome::Lost;
        }
        stored.value = serde_json::from_str(&again.text).expect("the server answers in JSON");
        stored.text = again.text;
    }
    Outcome::Lost
}

fn refused(kind: &Kind, stored: &Stored, declared: &Value, answer: Answer) -> Outcome {
    let mut all = BTreeSet::new();
    for found in ask(kind, declared, &stored.text) {
        all.extend(overlooked(kind, declared, &stored.value, &found));
    }
    Outcome::Refused { code: answer.code, reason: answer.text, overlooked: all.into_iter().collect() }
}

/// Relates what the server and the engine say.
async fn answered(server: &Server, kind: &Kind, stored: &Stored, declared: &Value, after: Value) -> Outcome {
    let before = stored.value.clone();
    let sides = Sides { before: &before, after: &after, offer: kind.offer(), custom: kind.custom };
    let Some(judgement) = judge(sides, JUDGE, |path| is_passed_over(path, kind.status_apart)) else {
        return Outcome::Lost;
    };
    let mut founds = ask(kind, declared, &stored.text);
    let relations: Vec<_> = founds.iter().map(|found| relate(sides, &judgement, found)).collect();
    let (mut form, mut formed) = (None, Vec::new());
    if relations.iter().any(|relation| relation.unknown) {
        form = server.learner.form(kind, stored, declared).await;
    }
    if let Some(form) = &form {
        let founds = form::ask(kind, declared, &stored.text, Stage::Stored, form);
        formed.extend(founds.iter().map(|found| relate(sides, &judgement, found)));
    }
    let (found, moved) = (founds.swap_remove(0), Vec::new());
    Outcome::Answered(Box::new(Answered { judgement, relations, form, formed, moved, found, before, after }))
}

/// Writes to the object, and asks again of what was left open: forms are older than the writes that they are asked for.
pub async fn move_on(server: &Server, kind: &Kind, stored: &mut Stored, outcomes: &mut [(Case, Outcome)]) {
    let answered = |outcome: &Outcome| matches!(outcome, Outcome::Answered(answered) if answered.form.is_some());
    if !outcomes.iter().any(|(_, outcome)| answered(outcome)) {
        return;
    }
    let changes = |outcome: &Outcome| matches!(outcome, Outcome::Answered(answered) if answered.changes());
    for (case, _) in outcomes.iter().filter(|(_, outcome)| changes(outcome)) {
        let answer = server.change(kind, &stored.name, &case.declared).await;
        if answer.code == 200 {
            stored.value = serde_json::from_str(&answer.text).expect("the server answers in JSON");
            stored.text = answer.text;
        }
    }
    for (case, outcome) in outcomes {
        let Outcome::Answered(answered) = outcome else { continue };
        let Some(form) = &answered.form else { continue };
        let answer = server.apply(kind, &stored.name, &case.declared).await;
        let Ok(after) = serde_json::from_str::<Value>(&answer.text) else { continue };
        if answer.code != 200 || after["metadata"]["resourceVersion"] != stored.value["metadata"]["resourceVersion"] {
            continue;
        }
        let sides = Sides { before: &stored.value, after: &after, offer: kind.offer(), custom: kind.custom };
        let Some(judgement) = judge(sides, JUDGE, |path| is_passed_over(path, kind.status_apart)) else { continue };
        let founds = form::ask(kind, &case.declared, &stored.text, Stage::Written, form);
        answered.moved.extend(founds.iter().map(|found| relate(sides, &judgement, found)));
    }
}
