//! Does any review do harm? Recorded reviews, broken in every way: each gets a verdict or an error, and no value of a Secret
//! ever comes out.

use std::sync::LazyLock;

use jiff::Timestamp;
use landfast::gate::basis::Basis;
use landfast::gate::facts::Facts;
use landfast::gate::verdict::Outcome;
use landfast::gate::write::Write;
use landfast::gate::{decide, json, response};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::reviews;

/// What must never come out.
const SECRET: &str = "c2VjcmV0LXZhbHVl";

struct World {
    basis: Basis,
    reviews: Vec<Value>,
}

/// Every kind of review, and what Git declares of their objects.
static WORLD: LazyLock<World> = LazyLock::new(|| {
    let all = reviews::recorded();
    let basis = reviews::basis(&reviews::first_states(&all));
    World { basis, reviews: all.into_iter().map(|recorded| recorded.review).collect() }
});

fn answered(review: &[u8], basis: &Basis) -> Option<Outcome> {
    let write = Write::parse(review).ok()?;
    let outcome = decide(&write, basis, &Facts::default(), Timestamp::UNIX_EPOCH);
    let message = &outcome.verdict.message;
    for white in [' ', '\t', '\n', '\r', '\u{c}'] {
        assert!(!message.contains(&format!("is{white}immutable")), "{message}");
        assert!(!message.contains(&format!("immutable{white}field")), "{message}");
    }
    assert!(!message.chars().any(|character| character.is_control() && character != '\n'), "{message:?}");
    Some(outcome)
}

/// All that a verdict tells anybody.
fn told(outcome: &Outcome) -> String {
    let verdict = &outcome.verdict;
    let answer = String::from_utf8(response::Answer::of(verdict, "u").to_json()).unwrap();
    format!("{answer}{}{:?}{:?}", json::verdict_json(verdict, "u"), verdict.fields, outcome.questions)
}

/// Every place in a value, as a JSON pointer.
fn places(value: &Value, here: &str, all: &mut Vec<String>) {
    all.push(here.to_owned());
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                places(member, &format!("{here}/{}", name.replace('~', "~0").replace('/', "~1")), all);
            }
        }
        Value::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                places(item, &format!("{here}/{position}"), all);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn odd() -> impl Strategy<Value = Value> {
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    prop::sample::select(vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!("\u{0}\u{1b}[2J\u{202e} field is immutable\n"),
        json!([]),
        json!([null, null]),
        json!([{ "name": "c" }, { "name": "c" }]),
        json!({}),
        json!({ "": { "": null } }),
        json!({ "name": null, "uid": 3 }),
        deep,
        json!("DELETE"),
        json!("CREATE"),
        json!("scale"),
        json!("status"),
        json!("x".repeat(10_000)),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn no_broken_review_does_harm(
        which: prop::sample::Index,
        breaks in prop::collection::vec((any::<prop::sample::Index>(), odd()), 1..4),
    ) {
        let world = &*WORLD;
        let mut review = world.reviews[which.index(world.reviews.len())].clone();
        for (place, value) in breaks {
            let mut all = Vec::new();
            places(&review, "", &mut all);
            *review.pointer_mut(&all[place.index(all.len())]).unwrap() = value;
        }
        answered(&serde_json::to_vec(&review).unwrap(), &world.basis);
    }

    #[test]
    fn no_broken_bytes_do_harm(
        which: prop::sample::Index,
        breaks in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let world = &*WORLD;
        let mut bytes = serde_json::to_vec(&world.reviews[which.index(world.reviews.len())]).unwrap();
        for (place, byte) in breaks {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        answered(&bytes, &world.basis);
    }

    #[test]
    fn no_value_of_a_secret_comes_out(
        which: prop::sample::Index,
        member in prop::sample::select(vec!["data", "stringData", "metadata/annotations"]),
        key in prop::sample::select(vec!["a", "password", "kubectl.kubernetes.io/last-applied-configuration"]),
        before: bool,
    ) {
        let world = &*WORLD;
        let secrets: Vec<&Value> =
            world.reviews.iter().filter(|review| review["request"]["kind"]["kind"] == "Secret").collect();
        let mut review = secrets[which.index(secrets.len())].clone();
        for (object, changed) in [("object", true), ("oldObject", before)] {
            let object = &mut review["request"][object];
            if !object.is_object() || !changed {
                continue;
            }
            let place = member.split('/').fold(object, |place, name| &mut place[name]);
            if place.is_object() {
                place[key] = SECRET.into();
            } else {
                *place = json!({ key: SECRET });
            }
        }
        let outcome = answered(&serde_json::to_vec(&review).unwrap(), &world.basis);
        prop_assert!(outcome.is_none_or(|outcome| !told(&outcome).contains(SECRET)));
    }
}

#[test]
fn a_secret_that_drifts_tells_its_keys_only() {
    let world = &*WORLD;
    let drifts = world.reviews.iter().filter(|review| review["request"]["kind"]["kind"] == "Secret");
    let outcomes = drifts.filter_map(|review| answered(&serde_json::to_vec(review).unwrap(), &world.basis));
    let denied: Vec<String> = outcomes.filter(|outcome| !outcome.verdict.allowed()).map(|it| told(&it)).collect();
    assert!(denied.len() >= 4, "{denied:?}");
    for told in denied {
        // No value is there at all, so none of a Secret.
        assert!(!told.contains("\"written\"") && !told.contains("\"git\""), "{told}");
    }
}
