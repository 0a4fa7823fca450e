//! Which rule governs? The policy as resolved from the operator's objects; it can say which rule won.

use std::time::Duration;

use globset::GlobSet;
use regex::Regex;

use crate::drift::declared::ObjectKey;
use crate::drift::path::FieldPath;
use crate::gate::basis::SourceId;
use crate::gate::ignore::Ignore;
use crate::gate::repair::{Repair, RepairMode};
use crate::gate::verdict::Ruling;

/// API group of the operator's objects, and of the annotations that Landfast reads and leaves.
pub const GROUP: &str = "landfast.dev";

/// All policies, resolved. `Default` is what holds without any: everything observed, drift and deletes would be denied.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Counts the configurations that were in force since the start.
    pub generation: u64,
    /// The lowest precedence first; the first that matches governs.
    pub rules: Vec<Rule>,
    /// User name of landfast itself.
    pub landfast: Option<String>,
}

/// What a policy does with drift once it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Decide everything as if enforced, change nothing.
    #[default]
    Observe,
    /// Rule.
    Enforce,
}

impl Mode {
    /// As policies write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Observe => "Observe",
            Self::Enforce => "Enforce",
        }
    }
}

/// What the API server does when landfast is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailurePolicy {
    /// Let in.
    #[default]
    Ignore,
    /// Refuse.
    Fail,
}

impl FailurePolicy {
    /// As policies write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ignore => "Ignore",
            Self::Fail => "Fail",
        }
    }
}

/// One DriftPolicy, resolved.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Name of the DriftPolicy.
    pub name: String,
    /// The lowest number that matches governs.
    pub precedence: i64,
    /// Observe or Enforce.
    pub mode: Mode,
    /// On silence.
    pub failure_policy: FailurePolicy,
    /// What it governs.
    pub matches: Match,
    /// What it rules on drift.
    pub drift: Ruling,
    /// What it rules on deletes.
    pub delete: Ruling,
    /// What it rules on fields that Git does not declare, changed by people. To a new object they add what goes beyond the server
    /// form; where that is not known, nothing.
    pub undeclared_fields: Ruling,
    /// What it rules on objects that Git does not declare, written by people in the scope of a source.
    pub undeclared_objects: Ruling,
    /// What it rules on reaching into what declared objects made, by people.
    pub derived_objects: Ruling,
    /// How many of an object's earlier declarations, as far as the source's `maxLag` remembers them, anybody may write again.
    pub rollback: usize,
    /// Whom it knows.
    pub writers: Vec<Writer>,
    /// What it leaves out of declarations.
    pub ignore: Vec<Ignore>,
    /// Within which bounds the glass may be broken; absent: not at all.
    pub break_glass: Option<Bounds>,
    /// How live is brought back.
    pub repair: Repair,
}

/// The bounds of a grant.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// The longest grant.
    pub longest: Duration,
    /// What a reason must hold; absent: any that is not empty.
    pub reason: Option<Regex>,
}

/// What a policy governs; an absent member matches all.
#[derive(Debug, Clone, Default)]
pub struct Match {
    /// GitSources by name.
    pub sources: Option<Vec<String>>,
    /// Namespaces by glob; a Namespace object matches by its own name.
    pub namespaces: Option<GlobSet>,
    /// The globs as written.
    pub namespace_patterns: Vec<String>,
    /// Kinds as kubectl writes them: `Service`, `Deployment.apps`.
    pub kinds: Option<Vec<KindName>>,
}

/// A kind as kubectl writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindName {
    /// Kind, as in `Deployment`.
    pub kind: String,
    /// Group; empty for the core group.
    pub group: String,
}

/// A writer that a policy names.
#[derive(Debug, Clone)]
pub struct Writer {
    /// Its name in the policy.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Who it is.
    pub subjects: Vec<Subject>,
}

/// What a named writer may do.
#[derive(Debug, Clone)]
pub enum Role {
    /// Moves objects along Git's commits, with its own marks.
    Deployer,
    /// May move these fields of these kinds.
    Controller(Vec<Delegation>),
}

/// Fields of kinds that a controller may move.
#[derive(Debug, Clone)]
pub struct Delegation {
    /// Kinds.
    pub kinds: Vec<KindName>,
    /// Patterns of fields, in the one grammar of paths.
    pub fields: Vec<crate::drift::path::Pattern>,
}

/// Who somebody is, as RBAC says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A user by name.
    User(String),
    /// A group.
    Group(String),
    /// A service account.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// Why a policy does not govern an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// It names other sources.
    Source,
    /// It names other namespaces, or the object lives in none.
    Namespace,
    /// It names other kinds.
    Kind,
}

impl Policy {
    /// The rule that governs an object: the first that matches. `None`: no policy does, and everything is observed.
    pub fn governing(&self, key: &ObjectKey, source: Option<&SourceId>) -> Option<&Rule> {
        self.matching(key, source).next()
    }

    /// All rules that match an object, the governing one first: their writers and what they ignore add up.
    ///
    /// An object that no source declares (`source` absent) may belong to any.
    pub fn matching(&self, key: &ObjectKey, source: Option<&SourceId>) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.matches.mismatch(key, source).is_none())
    }

    /// Whether some policy that matches an object names a deployer: then it is the deployer's to move on.
    pub fn names_deployer(&self, key: &ObjectKey, source: Option<&SourceId>) -> bool {
        let mut writers = self.matching(key, source).flat_map(|rule| &rule.writers);
        writers.any(|writer| matches!(writer.role, Role::Deployer))
    }

    /// Whether a policy lets some controller move this field of this object.
    pub fn delegates(&self, key: &ObjectKey, source: Option<&SourceId>, path: &FieldPath) -> bool {
        self.matching(key, source).flat_map(|rule| &rule.writers).any(|writer| match &writer.role {
            Role::Deployer => false,
            Role::Controller(delegations) => delegations.iter().any(|delegation| delegation.covers(key, path)),
        })
    }
}

impl Match {
    /// Why this does not match an object; `None` where it does.
    pub fn mismatch(&self, key: &ObjectKey, source: Option<&SourceId>) -> Option<Mismatch> {
        if let (Some(sources), Some(source)) = (&self.sources, source)
            && !sources.iter().any(|name| **name == *source.0)
        {
            return Some(Mismatch::Source);
        }
        if !self.is_at_home(key) {
            return Some(Mismatch::Namespace);
        }
        if let Some(kinds) = &self.kinds
            && !kinds.iter().any(|kind| kind.is_of(key))
        {
            return Some(Mismatch::Kind);
        }
        None
    }

    /// Whether this matches all that is where an object is, as far as namespaces go.
    pub fn is_at_home(&self, key: &ObjectKey) -> bool {
        self.namespaces.as_ref().is_none_or(|globs| home(key).is_some_and(|namespace| globs.is_match(namespace)))
    }
}

/// The namespace that an object is governed by; a Namespace object is governed by its own name.
pub(crate) fn home(key: &ObjectKey) -> Option<&str> {
    match (key.group(), key.kind(), key.namespace()) {
        ("", "Namespace", "") => Some(key.name()),
        (_, _, "") => None,
        (_, _, namespace) => Some(namespace),
    }
}

impl Rule {
    /// How live is brought back while it enforces; where it only observes, nothing is changed.
    pub fn repairs(&self) -> Option<&Repair> {
        Some(&self.repair).filter(|repair| self.mode == Mode::Enforce && repair.mode != RepairMode::Never)
    }

    /// The bounds within which the glass may be broken while it enforces: where it only observes there is nothing to break.
    pub fn bounds(&self) -> Option<&Bounds> {
        self.break_glass.as_ref().filter(|_| self.mode == Mode::Enforce)
    }
}

impl std::fmt::Display for KindName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.group.as_str() {
            "" => f.write_str(&self.kind),
            group => write!(f, "{}.{group}", self.kind),
        }
    }
}

impl KindName {
    /// Whether an object is of this kind.
    pub fn is_of(&self, key: &ObjectKey) -> bool {
        self.kind == key.kind() && self.group == key.group()
    }
}

impl Delegation {
    /// Whether it hands over this field of this object.
    pub fn covers(&self, key: &ObjectKey, path: &FieldPath) -> bool {
        self.kinds.iter().any(|kind| kind.is_of(key)) && self.fields.iter().any(|pattern| pattern.matches(path))
    }
}

#[cfg(test)]
impl Rule {
    /// A rule that matches everything and rules as the defaults have it.
    pub(crate) fn named(name: &str, precedence: i64) -> Self {
        Self {
            name: name.to_owned(),
            precedence,
            mode: Mode::Enforce,
            failure_policy: FailurePolicy::Ignore,
            matches: Match::default(),
            drift: Ruling::Deny,
            delete: Ruling::Deny,
            undeclared_fields: Ruling::Allow,
            undeclared_objects: Ruling::Allow,
            derived_objects: Ruling::Allow,
            rollback: 0,
            writers: Vec::new(),
            ignore: Vec::new(),
            break_glass: None,
            repair: Repair::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use globset::{Glob, GlobSetBuilder};

    use super::*;

    fn namespaces(pattern: &str) -> GlobSet {
        GlobSetBuilder::new().add(Glob::new(pattern).unwrap()).build().unwrap()
    }

    fn governing<'p>(policy: &'p Policy, key: &ObjectKey) -> Option<&'p str> {
        policy.governing(key, Some(&SourceId(Arc::from("shop")))).map(|rule| rule.name.as_str())
    }

    #[test]
    fn the_lowest_precedence_that_matches_governs() {
        let mut first = Rule::named("first", 1);
        first.matches.kinds = Some(vec![KindName { kind: "Deployment".into(), group: "apps".into() }]);
        let policy = Policy { rules: vec![first, Rule::named("second", 2)], ..Policy::default() };
        assert_eq!(governing(&policy, &ObjectKey::new("apps", "Deployment", "shop", "web")), Some("first"));
        assert_eq!(governing(&policy, &ObjectKey::new("", "Service", "shop", "web")), Some("second"));
        assert_eq!(governing(&policy, &ObjectKey::new("extensions", "Deployment", "shop", "web")), Some("second"));
    }

    #[test]
    fn a_namespace_is_governed_by_its_own_name() {
        let mut rule = Rule::named("shop", 1);
        rule.matches.namespaces = Some(namespaces("shop-*"));
        let mismatch = |key: ObjectKey| rule.matches.mismatch(&key, None);
        assert_eq!(mismatch(ObjectKey::new("", "Namespace", "", "shop-eu")), None);
        assert_eq!(mismatch(ObjectKey::new("", "Namespace", "", "bank")), Some(Mismatch::Namespace));
        assert_eq!(mismatch(ObjectKey::new("", "Service", "shop-eu", "web")), None);
        let cluster_scoped = ObjectKey::new("rbac.authorization.k8s.io", "ClusterRole", "", "shop-admin");
        assert_eq!(mismatch(cluster_scoped), Some(Mismatch::Namespace));
    }

    #[test]
    fn a_policy_of_other_sources_does_not_govern() {
        let mut rule = Rule::named("bank", 1);
        rule.matches.sources = Some(vec!["bank".into()]);
        let policy = Policy { rules: vec![rule], ..Policy::default() };
        assert_eq!(governing(&policy, &ObjectKey::new("", "Service", "shop", "web")), None);
    }
}
