//! Which drift did the gate let in a moment ago, and whose was it? What the reconciler finds and is not here slipped past, and is told
//! once.
//!
//! Pure but for its lock. It knows the verdicts of this replica, and those of the last run that the journal kept.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::audit::record::Record;
use crate::audit::repair::Outcome;
use crate::drift::declared::ObjectKey;
use crate::gate::json::FieldJson;
use crate::gate::message::is_secret;
use crate::gate::verdict::{Class, Field, Verdict};
use crate::limits::{PASSED_AGE_MAX, PASSED_FIELDS_MAX, PASSED_OBJECTS_MAX};

/// What the gate let in.
#[derive(Debug, Default)]
pub struct Passed {
    objects: Mutex<Objects>,
    /// Ids of what slipped past and was told already.
    told: Mutex<HashSet<String>>,
}

#[derive(Debug, Default)]
struct Objects {
    by_key: HashMap<ObjectKey, VecDeque<Let>>,
    /// The oldest first; an object may stand here more than once.
    order: VecDeque<(Timestamp, ObjectKey)>,
}

/// One field, or the whole object, that was let drift.
#[derive(Debug)]
struct Let {
    at: Timestamp,
    user: String,
    what: What,
}

#[derive(Debug)]
enum What {
    /// It was deleted.
    Gone,
    /// A field got this value; of a Secret it is not known.
    Field(String, Option<Value>),
}

impl Passed {
    /// What these records, the newest first, tell.
    pub fn of(records: &[Record]) -> Self {
        let passed = Self::default();
        for record in records.iter().rev().filter(|record| record.allowed && record.repair.is_none()) {
            let object = &record.object;
            let key = ObjectKey::new(&object.group, &object.kind, &object.namespace, &object.name);
            let drifts = record.fields.iter().filter(|field| is_drift(field.class));
            let fields = drifts.map(|field| What::Field(field.path.clone(), field.written.clone()));
            passed.add(key, &record.writer.user, record.operation == "DELETE", fields, record.time);
        }
        let slipped = |record: &&Record| record.repair.as_ref().is_some_and(|it| it.outcome == Outcome::SlippedPast);
        for record in records.iter().filter(slipped) {
            passed.is_news(&record.id);
        }
        passed
    }

    /// Notes what a verdict lets in.
    pub fn note(&self, verdict: &Verdict, now: Timestamp) {
        let is_delete = verdict.operation == "DELETE";
        if !verdict.allowed() || !(is_delete || verdict.fields.iter().any(|field| is_drift(field.class))) {
            return;
        }
        let fields = verdict.fields.iter().filter(|field| is_drift(field.class));
        let fields = fields.map(|field| {
            let FieldJson { path, written, .. } = FieldJson::of(field);
            What::Field(path, written)
        });
        self.add(verdict.object.clone(), &verdict.user.name, is_delete, fields, now);
    }

    /// Who was let move a field of an object to where it is now.
    pub fn of_field(&self, key: &ObjectKey, field: &Field, now: Timestamp) -> Option<String> {
        let FieldJson { path, written, .. } = FieldJson::of(field);
        let is_same = |value: &Option<Value>| is_secret(key) || *value == written;
        self.find(key, now, |what| matches!(what, What::Field(at, value) if *at == path && is_same(value)))
    }

    /// Whether a record of what slipped past is the first of its id; then it is told by now.
    pub fn is_news(&self, id: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= PASSED_OBJECTS_MAX {
            told.clear();
        }
        told.insert(id.to_owned())
    }

    /// Who was let delete an object.
    pub fn of_delete(&self, key: &ObjectKey, now: Timestamp) -> Option<String> {
        self.find(key, now, |what| matches!(what, What::Gone))
    }

    fn find(&self, key: &ObjectKey, now: Timestamp, is: impl Fn(&What) -> bool) -> Option<String> {
        let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let lets = objects.by_key.get(key)?;
        let found = lets.iter().rev().find(|one| is_fresh(one.at, now) && is(&one.what))?;
        Some(found.user.clone())
    }

    fn add(&self, key: ObjectKey, user: &str, gone: bool, fields: impl Iterator<Item = What>, at: Timestamp) {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.forget(at);
        let Objects { by_key, order } = &mut *objects;
        let lets = by_key.entry(key.clone()).or_default();
        for what in gone.then_some(What::Gone).into_iter().chain(fields.take(PASSED_FIELDS_MAX)) {
            if lets.len() == PASSED_FIELDS_MAX {
                lets.pop_front();
            }
            lets.push_back(Let { at, user: user.to_owned(), what });
        }
        order.push_back((at, key));
    }
}

impl Objects {
    /// Forgets what is too old or too much.
    fn forget(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.order.front()
            && (!is_fresh(*at, now) || self.order.len() >= PASSED_OBJECTS_MAX)
            && let Some((at, key)) = self.order.pop_front()
            && let Some(lets) = self.by_key.get_mut(&key)
        {
            lets.retain(|one| one.at > at);
            if lets.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }
}

fn is_drift(class: Class) -> bool {
    match class {
        Class::Drifts | Class::Reordered | Class::Preexisting => true,
        Class::Restores | Class::Undeclared => false,
    }
}

fn is_fresh(at: Timestamp, now: Timestamp) -> bool {
    let age = SignedDuration::try_from(PASSED_AGE_MAX).unwrap_or(SignedDuration::MAX);
    now.duration_since(at) <= age
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::Seen;
    use crate::audit::record::tests::verdict;
    use crate::gate::verdict::Ruling;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_was_let_in_is_known_by_its_value_for_a_while() {
        let passed = Passed::default();
        let warned = verdict("ConfigMap", Ruling::Warn, "5");
        passed.note(&warned, at(100));
        let (key, five) = (&warned.object, &warned.fields[0]);
        let six = Field { written: Some("6".to_owned()), ..five.clone() };
        assert_eq!(passed.of_field(key, five, at(101)).as_deref(), Some("alice"));
        assert_eq!(passed.of_field(key, &six, at(101)), None);
        assert_eq!(passed.of_delete(key, at(101)), None);
        let late = 101 + i64::try_from(PASSED_AGE_MAX.as_secs()).unwrap();
        assert_eq!(passed.of_field(key, five, at(late)), None);
        // A restart later the journal tells the same.
        let again = Passed::of(&[Record::of(&warned, &Seen::default(), at(100))]);
        assert_eq!(again.of_field(key, five, at(101)).as_deref(), Some("alice"));
    }

    #[test]
    fn what_was_refused_is_not_what_was_let_in() {
        let passed = Passed::default();
        let denied = verdict("ConfigMap", Ruling::Deny, "5");
        passed.note(&denied, at(100));
        assert_eq!(passed.of_field(&denied.object, &denied.fields[0], at(101)), None);
        let mut deleted = verdict("ConfigMap", Ruling::Allow, "5");
        (deleted.operation, deleted.fields) = ("DELETE", Vec::new());
        passed.note(&deleted, at(100));
        assert_eq!(passed.of_delete(&deleted.object, at(101)).as_deref(), Some("alice"));
    }

    #[test]
    fn of_too_many_objects_the_oldest_is_forgotten() {
        let passed = Passed::default();
        for n in 0..=PASSED_OBJECTS_MAX {
            let mut warned = verdict("ConfigMap", Ruling::Warn, "5");
            warned.object = ObjectKey::new("", "ConfigMap", "shop", &n.to_string());
            passed.note(&warned, at(100 + i64::try_from(n / 64).unwrap()));
        }
        let objects = passed.objects.lock().unwrap();
        assert!(objects.order.len() <= PASSED_OBJECTS_MAX && objects.by_key.len() <= PASSED_OBJECTS_MAX);
        assert!(objects.by_key.contains_key(&ObjectKey::new("", "ConfigMap", "shop", &PASSED_OBJECTS_MAX.to_string())));
    }
}
