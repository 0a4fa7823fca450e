//! Which fields does somebody ignore? Rules of all policies that match an object, and the annotation on its manifest in Git.
//!
//! It says what is left out of the declaration, and tells afterwards which rules that made a difference. A rule that is over has
//! no effect from its instant on.

use globset::GlobSet;
use jiff::Timestamp;

use crate::drift::declared::{Declared, ObjectKey};
use crate::drift::mask::Mask;
use crate::drift::path::{FieldPath, Pattern};
use crate::gate::basis::{Basis, SourceId};
use crate::gate::policy::{KindName, Policy, Subject, home};
use crate::gate::write::User;

/// The annotation by which a manifest in Git ignores fields of its own object. On the live object alone it has no effect.
pub const ANNOTATION: &str = "landfast.dev/ignore";

/// One rule of a policy.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    /// Its name in the policy.
    pub name: String,
    /// Of which kinds; absent: all.
    pub kinds: Option<Vec<KindName>>,
    /// In which namespaces, by glob; a Namespace object is in its own. Absent: everywhere.
    pub namespaces: Option<GlobSet>,
    /// Of which objects, by a glob of their names; absent: all.
    pub names: Option<GlobSet>,
    /// In whose writes; absent: in everybody's, and in repair.
    pub subjects: Option<Vec<Subject>>,
    /// Which fields.
    pub fields: Vec<Pattern>,
    /// Why.
    pub reason: String,
    /// From when on it has no effect.
    pub expires: Option<Timestamp>,
}

impl Ignore {
    /// Whether it has no effect any more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether it is about this object, in somebody's writes.
    pub fn is_of(&self, key: &ObjectKey) -> bool {
        Self { subjects: None, ..self.clone() }.is_about(key, None)
    }

    /// Whether it is about what `user` writes to this object; nobody writes what is repaired.
    fn is_about(&self, key: &ObjectKey, user: Option<&User>) -> bool {
        let among = |globs: &Option<GlobSet>, name: Option<&str>| {
            globs.as_ref().is_none_or(|globs| name.is_some_and(|name| globs.is_match(name)))
        };
        let is_him = |subjects: &Vec<Subject>| user.is_some_and(|user| subjects.iter().any(|subject| subject.is(user)));
        self.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|kind| kind.is_of(key)))
            && among(&self.names, Some(key.name()))
            && among(&self.namespaces, home(key))
            && self.subjects.as_ref().is_none_or(is_him)
    }
}

/// Who ignores a field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exception {
    /// A rule of a policy.
    Rule {
        /// The policy.
        policy: String,
        /// The rule's name in it.
        rule: String,
    },
    /// The annotation on the manifest.
    Manifest,
}

impl std::fmt::Display for Exception {
    /// `shop/legacy-resources`, or the annotation's name.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rule { policy, rule } => write!(f, "{policy}/{rule}"),
            Self::Manifest => f.write_str(ANNOTATION),
        }
    }
}

/// What is ignored of one object.
#[derive(Debug, Clone, Default)]
pub struct Ignored<'b> {
    /// What is left out.
    pub mask: Mask<'b>,
    /// Who says so, a pattern of the mask each; without a rule it is the manifest.
    by: Vec<Option<(&'b str, &'b Ignore)>>,
}

impl Ignored<'_> {
    /// Whether all at this path is ignored, so that a new object is sent with it and repair keeps its live value.
    pub fn covers(&self, path: &FieldPath) -> bool {
        self.mask.covers(path)
    }

    /// Who left out something that differed, each once.
    pub fn used(&self) -> Vec<Exception> {
        let used = self.by.iter().zip(self.mask.used()).filter(|(_, used)| *used);
        let mut found: Vec<Exception> = used
            .map(|(by, _)| match by {
                Some((policy, rule)) => Exception::Rule { policy: (*policy).to_owned(), rule: rule.name.clone() },
                None => Exception::Manifest,
            })
            .collect();
        found.sort();
        found.dedup();
        found
    }
}

impl Policy {
    /// What to tell of rules that have no effect any more.
    pub fn over(&self, now: Timestamp) -> impl Iterator<Item = String> {
        let rules = self.rules.iter().flat_map(|policy| policy.ignore.iter().map(move |rule| (policy, rule)));
        rules.filter(move |(_, rule)| rule.is_over(now)).filter_map(|(policy, rule)| {
            let (policy, rule, ended) = (&policy.name, &rule.name, rule.expires?);
            Some(format!("DriftPolicy {policy}: the ignore rule {rule} expired at {ended}"))
        })
    }
}

impl Basis {
    /// What is ignored of an object that `source` declares: in what `user` writes to it, or without one in repair.
    pub fn ignored<'b>(
        &'b self,
        key: &ObjectKey,
        source: Option<&SourceId>,
        declared: Option<&'b Declared>,
        user: Option<&User>,
        now: Timestamp,
    ) -> Ignored<'b> {
        let mut found: Vec<(Option<(&str, &Ignore)>, &Pattern)> = Vec::new();
        if self.policy.rules.iter().any(|rule| !rule.ignore.is_empty()) {
            for policy in self.policy.matching(key, source) {
                let rules = policy.ignore.iter().filter(|rule| !rule.is_over(now) && rule.is_about(key, user));
                let fields = rules.flat_map(|rule| rule.fields.iter().map(move |field| (rule, field)));
                found.extend(fields.map(|(rule, field)| (Some((policy.name.as_str(), rule)), field)));
            }
        }
        found.extend(declared.iter().flat_map(|declared| &declared.ignored).map(|field| (None, field)));
        let (by, patterns): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        Ignored { mask: Mask::of(patterns), by }
    }
}

/// Reads the annotation: a path and a reason on each line, as in `spec.replicas; moved by hand until SHOP-812`. An error says
/// what is wrong with which line.
pub fn of_annotation(text: &str) -> Result<Vec<Pattern>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let patterns: Result<Vec<Pattern>, String> = lines.map(exception).collect();
    match patterns {
        Ok(patterns) if patterns.is_empty() => Err("is empty: it names no field".to_owned()),
        read => read,
    }
}

/// A path, a semicolon, a reason. A path may hold semicolons within quotes.
fn exception(line: &str) -> Result<Pattern, String> {
    let parts = || line.match_indices(';').map(|(at, _)| (line[..at].trim_end(), line[at + 1..].trim()));
    let read = |(path, reason): (&str, &str)| path.parse::<Pattern>().ok().map(|path| (path, reason.is_empty()));
    match parts().find_map(read) {
        Some((path, false)) => Ok(path),
        Some((_, true)) => Err(format!("`{}` gives no reason", line.escape_debug())),
        None => {
            let path = parts().next().map_or(line, |(path, _)| path);
            let wrong = path.parse::<Pattern>().err().map(|error| error.to_string());
            Err(wrong.unwrap_or_else(|| format!("`{}` gives no reason: `<path>; <reason>`", line.escape_debug())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(expires: Option<&str>) -> Ignore {
        Ignore { expires: expires.map(|at| at.parse().unwrap()), ..Ignore::default() }
    }

    #[test]
    fn a_rule_is_over_from_its_instant_on() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let until = rule(Some("2027-03-31T00:00:00Z"));
        assert!(!until.is_over(at("2027-03-30T23:59:59.999999999Z")));
        assert!(until.is_over(at("2027-03-31T00:00:00Z")));
        assert!(!rule(None).is_over(Timestamp::MAX));
    }

    #[test]
    fn a_rule_with_subjects_is_not_about_repair() {
        let key = ObjectKey::new("apps", "Deployment", "shop", "web");
        let alice = User { name: "alice".to_owned(), ..User::default() };
        let of_alice = Ignore { subjects: Some(vec![Subject::User("alice".to_owned())]), ..Ignore::default() };
        assert!(of_alice.is_about(&key, Some(&alice)));
        assert!(!of_alice.is_about(&key, Some(&User { name: "bob".to_owned(), ..User::default() })));
        assert!(!of_alice.is_about(&key, None));
        assert!(rule(None).is_about(&key, None));
    }

    #[test]
    fn an_annotation_is_a_path_and_a_reason_on_each_line() {
        let read = |text| of_annotation(text).map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
        let two = "spec.replicas; moved by hand\n\n  metadata.annotations[\"a;b\"]; a tool's; really\n";
        assert_eq!(read(two).unwrap(), ["spec.replicas", "metadata.annotations[\"a;b\"]"]);
        assert_eq!(read("spec.replicas").unwrap_err(), "`spec.replicas` gives no reason: `<path>; <reason>`");
        assert_eq!(read("spec.replicas; ").unwrap_err(), "`spec.replicas;` gives no reason");
        assert!(read("spec..replicas; why").unwrap_err().contains("is no field path"));
        assert_eq!(read(" \n").unwrap_err(), "is empty: it names no field");
    }
}
