//! Which entries of policies were of use? Who was known by a `writers` entry, what an `ignore` entry left out.
//!
//! A plain Allow leaves no record, so the journal keeps of each entry when it was of use, at most once in
//! [`limits::USE_FOLD`].

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::gate::ignore::Exception;
use crate::gate::policy::Policy;
use crate::gate::verdict::Verdict;
use crate::limits;

/// An entry of a policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// The policy.
    pub policy: String,
    /// `writers` or `ignore`.
    pub member: String,
    /// The entry's name in it.
    pub name: String,
}

/// An entry that was of use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Which.
    pub used: Entry,
    /// When.
    pub time: Timestamp,
}

/// When entries were of use last.
#[derive(Debug, Default)]
pub struct Usage(Mutex<BTreeMap<Entry, Timestamp>>);

impl Entry {
    fn new(policy: &str, member: &str, name: &str) -> Self {
        Self { policy: policy.to_owned(), member: member.to_owned(), name: name.to_owned() }
    }

    /// All that a policy holds, in order.
    pub fn all(policy: &Policy) -> Vec<Self> {
        let entries = policy.rules.iter().flat_map(|rule| {
            let writers = rule.writers.iter().map(|writer| Self::new(&rule.name, "writers", &writer.name));
            writers.chain(rule.ignore.iter().map(|ignore| Self::new(&rule.name, "ignore", &ignore.name)))
        });
        entries.collect()
    }

    /// Those that had a part in a verdict.
    fn of(verdict: &Verdict) -> impl Iterator<Item = Self> {
        let ignored = verdict.ignored.iter().filter_map(|exception| match exception {
            Exception::Rule { policy, rule } => Some(Self::new(policy, "ignore", rule)),
            Exception::Manifest => None,
        });
        verdict.writers.iter().map(|(policy, name)| Self::new(policy, "writers", name)).chain(ignored)
    }
}

impl Usage {
    /// Those that had a part in a verdict and are to be noted again.
    pub fn noted(&self, verdict: &Verdict, now: Timestamp) -> Vec<Used> {
        if verdict.writers.is_empty() && verdict.ignored.is_empty() {
            return Vec::new();
        }
        let fold = SignedDuration::try_from(limits::USE_FOLD).unwrap_or(SignedDuration::MAX);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = |entry: &Entry, known: &BTreeMap<Entry, Timestamp>| {
            known.get(entry).is_none_or(|last| now.duration_since(*last).abs() >= fold)
        };
        let mut noted = Vec::new();
        for entry in Entry::of(verdict) {
            if is_due(&entry, &known) {
                known.insert(entry.clone(), now);
                noted.push(Used { used: entry, time: now });
            }
        }
        if known.len() > limits::USES_MAX {
            known.clear();
        }
        noted
    }
}

#[cfg(test)]
mod tests {
    use crate::audit::record::tests::verdict;
    use crate::gate::verdict::Ruling;

    use super::*;

    #[test]
    fn an_entry_is_noted_once_in_a_while() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut verdict = verdict("ConfigMap", Ruling::Allow, "5");
        verdict.writers = vec![("shop".to_owned(), "argo-cd".to_owned())];
        let rule = Exception::Rule { policy: "shop".to_owned(), rule: "replicas".to_owned() };
        verdict.ignored = vec![rule, Exception::Manifest];
        let usage = Usage::default();
        let noted = |now: &str| usage.noted(&verdict, at(now)).into_iter().map(|used| used.used).collect::<Vec<_>>();
        let both = [Entry::new("shop", "writers", "argo-cd"), Entry::new("shop", "ignore", "replicas")];
        assert_eq!(noted("2026-11-22T10:00:00Z"), both);
        assert_eq!(noted("2026-11-22T10:59:59Z"), []);
        assert_eq!(noted("2026-11-22T11:00:00Z"), both);
    }
}
