//! Which policy governs this object, and who may move this field? Told from the basis, without a write; it decides nothing.

use jiff::Timestamp;
use serde::Serialize;

use crate::drift::declared::{Declared, ObjectKey};
use crate::drift::document::Document;
use crate::drift::lookup::Lookup;
use crate::drift::path::FieldPath;
use crate::gate::basis::{Basis, SourceId};
use crate::gate::ignore::Ignore;
use crate::gate::message::is_secret;
use crate::gate::policy::{KindName, Mismatch, Mode, Role, Rule, Subject, Writer};
use crate::gate::tables::{self, Account};

/// What holds for an object, and for one of its fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The object: `Deployment.apps shop/web`.
    pub object: String,
    /// Where Git declares it; absent where it does not.
    pub declared: Option<Place>,
    /// The declared object that made it, where that was looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
    /// Every policy, the one that governs first among those that match.
    pub policies: Vec<Standing>,
    /// What holds for the field, where one was asked about.
    pub field: Option<FieldRule>,
}

/// What holds for an object that a declared one made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Made {
    /// The declared object: `Deployment.apps shop/web`.
    pub owner: String,
    /// What is done when a person reaches into it.
    pub rule: String,
}

/// Where Git says something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The GitSource.
    pub source: String,
    /// The revision in force.
    pub revision: Option<String>,
    /// The file, from the repository's root.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

/// How one policy stands to the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Its name.
    pub policy: String,
    /// The lowest that matches governs.
    pub precedence: i64,
    /// `governs`, `adds its writers and ignore`, or why it does not match.
    pub standing: &'static str,
    /// `Observe` or `Enforce`.
    pub mode: &'static str,
    /// `Ignore` or `Fail`.
    pub failure_policy: &'static str,
    /// What it rules on: drift, deletes, what is undeclared, and what declared objects made.
    pub rulings: [(&'static str, &'static str); 5],
    /// Whom it knows, where it matches.
    pub writers: Vec<Known>,
    /// What it leaves out of this object, where it matches.
    pub ignore: Vec<Exception>,
}

/// A writer that a policy names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Known {
    /// Its name in the policy.
    pub name: String,
    /// `Deployer` or `Controller`.
    pub role: &'static str,
    /// Who it is.
    pub subjects: Vec<String>,
    /// Which fields of this object a Controller may move.
    pub fields: Vec<String>,
}

/// A rule of a policy that leaves fields out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exception {
    /// Its name in the policy.
    pub name: String,
    /// Which fields.
    pub fields: Vec<String>,
    /// In whose writes; none: in everybody's.
    pub subjects: Vec<String>,
    /// Why.
    pub reason: String,
    /// Until when.
    pub expires: Option<Timestamp>,
    /// Whether it is over.
    pub is_over: bool,
}

/// What holds for a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldRule {
    /// Its path.
    pub path: String,
    /// What Git says, as JSON; nothing where it says nothing, and of a Secret.
    pub git: Option<String>,
    /// Where Git says so.
    pub place: Option<Place>,
    /// What is done when somebody changes it, and why.
    pub rule: String,
    /// Who may move it beside Git: `policy/writer`.
    pub movers: Vec<String>,
    /// Accounts of the control plane that may.
    pub control_plane: Vec<String>,
}

/// Explains an object, and with `path` one of its fields.
pub fn explain(basis: &Basis, key: &ObjectKey, path: Option<&FieldPath>, now: Timestamp) -> Explanation {
    let entry = basis.index.objects.get(key);
    let head = entry.and_then(|entry| Some((&entry.source, entry.head.as_deref()?)));
    let source = entry.map(|entry| &entry.source);
    let mut governed = false;
    let policies = basis.policy.rules.iter().map(|rule| standing(rule, key, source, &mut governed, now)).collect();
    Explanation {
        object: name(key),
        declared: head.map(|(source, declared)| place(basis, source, declared, 0)),
        made: None,
        policies,
        field: path.map(|path| field(basis, key, head, path, now)),
    }
}

/// What holds for what a declared object made.
pub fn made_by(basis: &Basis, owner: &ObjectKey) -> Made {
    let source = basis.index.objects.get(owner).map(|entry| &entry.source);
    let rule = match basis.policy.governing(owner, source) {
        Some(rule) => {
            format!("ruled {}, by {}, mode {} (people only)", rule.derived_objects.name(), rule.name, rule.mode.name())
        }
        None => "let in: no policy governs its owner".to_owned(),
    };
    Made { owner: name(owner), rule }
}

fn name(key: &ObjectKey) -> String {
    let kind = KindName { kind: key.kind().to_owned(), group: key.group().to_owned() };
    match key.namespace() {
        "" => format!("{kind} {}", key.name()),
        namespace => format!("{kind} {namespace}/{}", key.name()),
    }
}

fn place(basis: &Basis, source: &SourceId, declared: &Declared, node: usize) -> Place {
    let revision = basis.sources.get(source).and_then(|source| source.revision.as_ref());
    Place {
        source: source.to_string(),
        revision: revision.map(ToString::to_string),
        file: declared.file.to_string(),
        line: declared.lines.get(node).unwrap_or_default(),
    }
}

fn standing(rule: &Rule, key: &ObjectKey, source: Option<&SourceId>, governed: &mut bool, now: Timestamp) -> Standing {
    let mismatch = rule.matches.mismatch(key, source);
    let standing = match mismatch {
        Some(Mismatch::Source) => "does not match: it names other sources",
        Some(Mismatch::Namespace) => "does not match: it names other namespaces",
        Some(Mismatch::Kind) => "does not match: it names other kinds",
        None if std::mem::replace(governed, true) => "adds its writers and ignore",
        None => "governs",
    };
    let matches = mismatch.is_none();
    let ignores = rule.ignore.iter().filter(|ignore| matches && ignore.is_of(key));
    Standing {
        policy: rule.name.clone(),
        precedence: rule.precedence,
        standing,
        mode: rule.mode.name(),
        failure_policy: rule.failure_policy.name(),
        rulings: [
            ("drift", rule.drift.name()),
            ("delete", rule.delete.name()),
            ("undeclaredFields", rule.undeclared_fields.name()),
            ("undeclaredObjects", rule.undeclared_objects.name()),
            ("derivedObjects", rule.derived_objects.name()),
        ],
        writers: rule.writers.iter().filter(|_| matches).map(|writer| known(writer, key)).collect(),
        ignore: ignores.map(|ignore| exception(ignore, now)).collect(),
    }
}

fn known(writer: &Writer, key: &ObjectKey) -> Known {
    let (role, fields) = match &writer.role {
        Role::Deployer => ("Deployer", Vec::new()),
        Role::Controller(delegations) => {
            let of_it = delegations.iter().filter(|delegation| delegation.kinds.iter().any(|kind| kind.is_of(key)));
            ("Controller", of_it.flat_map(|delegation| &delegation.fields).map(ToString::to_string).collect())
        }
    };
    Known { name: writer.name.clone(), role, subjects: subjects(&writer.subjects), fields }
}

fn subjects(subjects: &[Subject]) -> Vec<String> {
    let said = |subject: &Subject| match subject {
        Subject::User(name) => format!("user {name}"),
        Subject::Group(name) => format!("group {name}"),
        Subject::ServiceAccount { namespace, name } => format!("service account {namespace}/{name}"),
    };
    subjects.iter().map(said).collect()
}

fn exception(ignore: &Ignore, now: Timestamp) -> Exception {
    Exception {
        name: ignore.name.clone(),
        fields: ignore.fields.iter().map(ToString::to_string).collect(),
        subjects: subjects(ignore.subjects.as_deref().unwrap_or_default()),
        reason: ignore.reason.clone(),
        expires: ignore.expires,
        is_over: ignore.is_over(now),
    }
}

fn field(
    basis: &Basis,
    key: &ObjectKey,
    head: Option<(&SourceId, &Declared)>,
    path: &FieldPath,
    now: Timestamp,
) -> FieldRule {
    let document = head.and_then(|(_, declared)| Document::parse(&declared.json).ok());
    let found = document.as_ref().and_then(|document| {
        let at = Lookup::of(document).at(path)?;
        Some((at.index(), at.to_json()))
    });
    let place = head.zip(found.as_ref()).map(|((source, declared), (node, _))| place(basis, source, declared, *node));
    let source = head.map(|(source, _)| source);
    let governing = basis.policy.governing(key, source);
    let (mode, policy) = governing.map_or(("Observe", "no policy"), |rule| match rule.mode {
        Mode::Observe => ("Observe", rule.name.as_str()),
        Mode::Enforce => ("Enforce", rule.name.as_str()),
    });
    let ignored = basis.ignored(key, source, head.map(|(_, declared)| declared), None, now).covers(path);
    let rule = if tables::is_nobodys(key, path) {
        "nobody's drift: landfast explain --defaults lists it".to_owned()
    } else if head.is_none() {
        let ruling = governing.map_or("Allow", |rule| rule.undeclared_objects.name());
        format!(
            "its object is not declared: in a source's scope a write by a person is ruled {ruling}, by {policy}, mode {mode}; else let in"
        )
    } else if ignored {
        "ignored: whoever changes it is let in".to_owned()
    } else if found.is_some() {
        let ruling = governing.map(|rule| rule.drift).unwrap_or_default();
        format!("declared: a change is ruled {}, by {policy}, mode {mode}", ruling.name())
    } else {
        let ruling = governing.map_or("Allow", |rule| rule.undeclared_fields.name());
        format!("not declared: a change by a person is ruled {ruling}, by {policy}, mode {mode}; others may change it")
    };
    let movers =
        basis.policy.matching(key, source).flat_map(|rule| rule.writers.iter().map(move |writer| (rule, writer)));
    let movers = movers.filter(|(_, writer)| match &writer.role {
        Role::Deployer => false,
        Role::Controller(delegations) => delegations.iter().any(|delegation| delegation.covers(key, path)),
    });
    let git = found.map(|(_, json)| json).filter(|_| !is_secret(key));
    let movers = movers.map(|(rule, writer)| format!("{}/{}", rule.name, writer.name)).collect();
    let versions = basis.schemas.kind(key.group(), key.kind()).map(|info| &info.versions);
    let replicas = versions.into_iter().flatten().find_map(|served| served.scale.as_ref());
    let control_plane = Account::movers(key, path, replicas);
    FieldRule { path: path.to_string(), git, place, rule, movers, control_plane }
}
