//! Whose turn is it? Objects that wait to be looked at: Namespaces first, then definitions, then all else, each once.
//!
//! What was seen of an object waits with it within a bound; beyond it the object is read again.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::drift::declared::ObjectKey;
use crate::limits::REPAIR_BYTES_MAX;
use crate::reconcile::sight::Sight;

/// Objects that wait.
#[derive(Debug, Default)]
pub struct Turns {
    order: BTreeMap<(Rank, u64), ObjectKey>,
    waiting: FxHashMap<ObjectKey, ((Rank, u64), Option<Sight>)>,
    bytes: usize,
    taken: u64,
}

/// What goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A Namespace.
    Namespace,
    /// A CustomResourceDefinition.
    Definition,
    /// All else.
    Rest,
}

impl Rank {
    /// Of an object.
    pub fn of(key: &ObjectKey) -> Self {
        match (key.group(), key.kind()) {
            ("", "Namespace") => Self::Namespace,
            ("apiextensions.k8s.io", "CustomResourceDefinition") => Self::Definition,
            _ => Self::Rest,
        }
    }
}

impl Turns {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Has an object wait for its turn; who waits already keeps his, and what was seen last counts.
    pub fn push(&mut self, key: ObjectKey, sight: Option<Sight>) {
        let sight = sight.filter(|sight| self.bytes + size(Some(sight)) <= REPAIR_BYTES_MAX);
        self.bytes += size(sight.as_ref());
        if let Some((_, waiting)) = self.waiting.get_mut(&key) {
            self.bytes -= size(waiting.as_ref());
            *waiting = sight;
            return;
        }
        let place = (Rank::of(&key), self.taken);
        self.taken += 1;
        self.order.insert(place, key.clone());
        self.waiting.insert(key, (place, sight));
    }

    /// Has all of these wait, too.
    pub fn append(&mut self, mut others: Self) {
        while let Some((key, sight)) = others.pop(|_| true) {
            self.push(key, sight);
        }
    }

    /// The next one that `is_free`, with what was seen of it.
    pub fn pop(&mut self, is_free: impl Fn(&ObjectKey) -> bool) -> Option<(ObjectKey, Option<Sight>)> {
        let place = *self.order.iter().find(|(_, key)| is_free(key))?.0;
        let key = self.order.remove(&place)?;
        let (_, sight) = self.waiting.remove(&key)?;
        self.bytes -= size(sight.as_ref());
        Some((key, sight))
    }
}

fn size(sight: Option<&Sight>) -> usize {
    sight.map_or(0, |sight| sight.raw().get().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_go_first_and_nobody_waits_twice() {
        let mut turns = Turns::default();
        let key = |group: &str, kind: &str| ObjectKey::new(group, kind, "", kind);
        let all =
            [key("apps", "Deployment"), key("apiextensions.k8s.io", "CustomResourceDefinition"), key("", "Namespace")];
        for key in all.iter().chain(&all) {
            turns.push(key.clone(), None);
        }
        let busy = key("", "Namespace");
        assert_eq!(turns.pop(|key| *key != busy).unwrap().0, all[1]);
        let order: Vec<_> = std::iter::from_fn(|| turns.pop(|_| true)).map(|(key, _)| key).collect();
        assert_eq!(order, [all[2].clone(), all[0].clone()]);
        assert!(turns.is_empty() && turns.bytes == 0);
    }

    #[test]
    fn what_was_seen_last_waits() {
        let sight = |version: u32| {
            Sight::parse(format!(r#"{{"metadata":{{"name":"a","resourceVersion":"{version}"}}}}"#)).unwrap()
        };
        let mut turns = Turns::default();
        let key = ObjectKey::new("", "ConfigMap", "shop", "a");
        turns.push(key.clone(), Some(sight(1)));
        turns.push(key.clone(), Some(sight(2)));
        let (_, seen) = turns.pop(|_| true).unwrap();
        assert_eq!(seen.unwrap().version(), "2");
        assert_eq!(turns.bytes, 0);
        turns.push(key, None);
        assert_eq!(turns.len(), 1);
    }
}
