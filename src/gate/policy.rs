//! Which rule governs? The policy as resolved from the operator's objects; it can say which rule won.

use globset::GlobSet;

use crate::gate::verdict::Ruling;

/// All policies, resolved. `Default` is what holds without any: everything observed, drift and deletes would be denied.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Counts the configurations that were in force since the start.
    pub generation: u64,
    /// The lowest precedence first; the first that matches governs.
    pub rules: Vec<Rule>,
    /// Writers of all policies, by the policy that names them: those of all *matching* policies count.
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

/// What the API server does when landfast is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailurePolicy {
    /// Let in.
    #[default]
    Ignore,
    /// Refuse.
    Fail,
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
    /// Whom it knows.
    pub writers: Vec<Writer>,
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
