//! What can an operator write? GitSource, DriftPolicy and BreakGlass of `landfast.dev/v1alpha1`, decoded but not resolved.
//!
//! Every member is here, built or not; what an absent one means is decided by `resolve`, what is not
//! built yet is listed in `unbuilt`.

use std::time::Duration;

use globset::GlobSet;
use jiff::Timestamp;
use regex::Regex;

use crate::config::Reference;
use crate::drift::declared::ObjectKey;
use crate::drift::path::Pattern;
use crate::gate::policy::{FailurePolicy, KindName, Mode, Subject, Writer};
use crate::gate::repair::Repair;
use crate::gate::verdict::Ruling;

pub use crate::gate::policy::GROUP;

/// The only version of the operator's objects.
pub const VERSION: &str = "v1alpha1";

/// One of the operator's objects.
#[derive(Debug, Clone)]
pub struct Object {
    /// Where it was written.
    pub origin: Origin,
    /// `metadata.name`.
    pub name: String,
    /// What it asks for.
    pub spec: Spec,
    /// Changes with what it asks for.
    pub fingerprint: u64,
    /// When it was created; files have no age.
    pub created: Option<Timestamp>,
}

/// Where an object was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file as given; of an object in the cluster what kubectl calls it, as in `driftpolicies/shop`.
    pub file: String,
    /// The line, from 1; 0 where it was written in the cluster.
    pub line: u32,
}

/// What an object asks for.
#[derive(Debug, Clone)]
pub enum Spec {
    /// A repository that declares.
    GitSource(Box<GitSource>),
    /// What is done with drift.
    DriftPolicy(Box<DriftPolicy>),
    /// A way through in an incident.
    BreakGlass(Box<BreakGlass>),
}

/// One repository, its ref and path, how to render it, and where it may declare.
#[derive(Debug, Clone)]
pub struct GitSource {
    /// Where the repository is.
    pub url: Url,
    /// Which commit counts.
    pub reference: SourceRef,
    /// The folder that declares, without slashes around it; empty: the whole tree.
    pub path: String,
    /// Secret with credentials.
    pub secret_ref: Option<String>,
    /// Secret with the keys that commits must be signed by.
    pub verify: Option<String>,
    /// How the tree becomes manifests.
    pub render: Render,
    /// How often the remote is asked.
    pub interval: Option<Duration>,
    /// Namespace of objects that name none.
    pub default_namespace: Option<String>,
    /// Where it may declare.
    pub scope: SourceScope,
    /// How far behind the head a deployer may be.
    pub max_lag: Option<Duration>,
    /// How long a vanished ref keeps its objects.
    pub release_after: Option<Duration>,
}

/// Where a repository is. Never print it: it may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// As written.
    pub text: String,
    /// How it is reached.
    pub transport: Transport,
}

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `https://`
    Https,
    /// `file://`
    File,
    /// `ssh://` or `git@host:path`
    Ssh,
}

/// `spec.ref`: exactly one of four.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceRef {
    /// A branch, a tag or a commit.
    Named(Reference),
    /// The newest tag in a range of versions.
    Semver(String),
}

/// How a tree becomes manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Render {
    /// By what the tree holds.
    #[default]
    Auto,
    /// Plain manifests.
    Yaml,
    /// `kustomize build`.
    Kustomize,
    /// `helm template`.
    Helm,
}

/// Where a repository may declare.
#[derive(Debug, Clone, Default)]
pub struct SourceScope {
    /// Namespaces.
    pub namespaces: Option<Globs>,
    /// Whether cluster-scoped objects may be declared.
    pub cluster_scoped: bool,
}

/// Globs with their text.
#[derive(Debug, Clone, Default)]
pub struct Globs {
    /// As written.
    pub patterns: Vec<String>,
    /// All of them.
    pub set: GlobSet,
}

/// What is done with drift, where, and for whom not.
#[derive(Debug, Clone, Default)]
pub struct DriftPolicy {
    /// The lowest number that matches governs.
    pub precedence: Option<i64>,
    /// Observe or Enforce.
    pub mode: Mode,
    /// What it governs.
    pub matches: PolicyMatch,
    /// What it rules.
    pub rulings: Rulings,
    /// What the API server does when landfast is silent.
    pub failure_policy: FailurePolicy,
    /// How many earlier declarations anybody may write again.
    pub rollback: i64,
    /// Whom it knows.
    pub writers: Vec<Writer>,
    /// What is nobody's drift.
    pub ignore: Vec<Ignore>,
    /// The bounds of a grant.
    pub break_glass: Option<BreakGlassBounds>,
    /// How live is brought back.
    pub repair: Option<Repair>,
}

/// What a policy governs; an absent member matches all.
#[derive(Debug, Clone, Default)]
pub struct PolicyMatch {
    /// GitSources.
    pub sources: Option<Vec<String>>,
    /// Namespaces.
    pub namespaces: Option<Globs>,
    /// Kinds.
    pub kinds: Option<Vec<KindName>>,
}

/// What a policy rules; absent members have defaults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rulings {
    /// Declared fields that differ.
    pub drift: Option<Ruling>,
    /// Deletes of declared objects.
    pub delete: Option<Ruling>,
    /// Fields that Git does not declare, changed by people.
    pub undeclared_fields: Option<Ruling>,
    /// Objects that Git does not declare, made by people.
    pub undeclared_objects: Option<Ruling>,
    /// Pods and other offspring of declared objects.
    pub derived_objects: Option<Ruling>,
}

/// Fields that are nobody's drift.
#[derive(Debug, Clone)]
pub struct Ignore {
    /// Its name in the policy.
    pub name: String,
    /// Kinds; absent: all.
    pub kinds: Option<Vec<KindName>>,
    /// Namespaces; absent: all.
    pub namespaces: Option<Globs>,
    /// Names of objects; absent: all.
    pub names: Option<Globs>,
    /// In whose writes; absent: in everybody's.
    pub subjects: Option<Vec<Subject>>,
    /// Which fields.
    pub fields: Vec<Pattern>,
    /// Why.
    pub reason: String,
    /// Until when.
    pub expires: Option<Timestamp>,
}

/// The bounds of a grant.
#[derive(Debug, Clone, Default)]
pub struct BreakGlassBounds {
    /// Longest grant.
    pub max_duration: Option<Duration>,
    /// What a reason must look like.
    pub reason_pattern: Option<Regex>,
}

/// A way through in an incident.
#[derive(Debug, Clone)]
pub struct BreakGlass {
    /// Why.
    pub reason: String,
    /// How long.
    pub duration: Duration,
    /// For what.
    pub about: About,
    /// For whom; empty: whoever created it, or for one object whoever has the right.
    pub subjects: Vec<Subject>,
    /// Who created it, as stamped where it was created.
    pub created_by: Option<String>,
}

/// What a BreakGlass is about.
#[derive(Debug, Clone)]
pub enum About {
    /// All that matches.
    Match(GrantMatch),
    /// One object, by its uid: what an annotation on it opened.
    Object(ObjectKey, String),
}

/// What a grant covers.
#[derive(Debug, Clone, Default)]
pub struct GrantMatch {
    /// Namespaces.
    pub namespaces: Option<Globs>,
    /// Kinds.
    pub kinds: Option<Vec<KindName>>,
    /// Names of objects.
    pub names: Option<Globs>,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::config::printable_url(&self.text))
    }
}

impl Spec {
    /// The kind, as in `GitSource`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::GitSource(_) => "GitSource",
            Self::DriftPolicy(_) => "DriftPolicy",
            Self::BreakGlass(_) => "BreakGlass",
        }
    }
}
