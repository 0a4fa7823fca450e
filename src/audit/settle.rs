//! What would settle it? For what was ruled, the entry of a policy that would let it in, as YAML that is ready to be pasted.
//!
//! Pure. A machine gets a `writers` entry for the fields that it moved; what a person or a deployer moved gets an `ignore` entry,
//! no wider than what was seen. What no entry can let in is said to be so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::civil::Date;

use crate::gate::ruling::{DELETES, DELETES_HOLDER, MAY_REACH, REACHES, STRAYS, TAKES};
use crate::gate::verdict::WriterRole;
use crate::limits::NAMES_PROPOSED_MAX;

/// Accounts of Argo CD and Flux that deploy, by the names that their manifests give them.
const DEPLOYERS: [&str; 3] = ["argocd-application-controller", "kustomize-controller", "helm-controller"];

/// What is to be settled: one writer, kind and field under one policy.
#[derive(Debug, Clone, Copy)]
pub struct Matter<'r> {
    /// Who writes.
    pub user: &'r str,
    /// What that is to us.
    pub role: WriterRole,
    /// As kubectl writes it: `Deployment.apps`.
    pub kind: &'r str,
    /// The field; none where the ruling is on the whole object.
    pub field: Option<&'r str>,
    /// Why it was ruled so.
    pub reason: &'r str,
    /// Namespaces and names of the objects; the namespace is empty where cluster-scoped.
    pub objects: &'r BTreeSet<(String, String)>,
}

/// What settles a matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// An item of `spec.writers`, by its name.
    Writer(String),
    /// An item of `spec.ignore`, by its name.
    Ignore(String),
    /// No entry does; and why.
    No(&'static str),
}

/// Entries for one policy, growing with each matter.
#[derive(Debug, Clone)]
pub struct Entries {
    day: Date,
    taken: BTreeSet<String>,
    writers: BTreeMap<String, Writer>,
    ignore: BTreeMap<(String, String), Ignore>,
}

#[derive(Debug, Clone)]
struct Writer {
    name: String,
    /// Fields by kind; none for a deployer.
    allow: Option<BTreeMap<String, BTreeSet<String>>>,
}

#[derive(Debug, Clone)]
struct Ignore {
    name: String,
    users: BTreeSet<String>,
    objects: BTreeSet<(String, String)>,
}

impl Entries {
    /// No entries yet. `day` is the report's, `taken` the names that the policies' own entries have.
    pub fn new(day: Date, taken: BTreeSet<String>) -> Self {
        Self { day, taken, writers: BTreeMap::new(), ignore: BTreeMap::new() }
    }

    /// Makes or widens the entry that settles a matter.
    pub fn settle(&mut self, matter: &Matter<'_>) -> Settled {
        let is_machine = matches!(matter.role, WriterRole::Service | WriterRole::Controller);
        let is_deployer = matter.role == WriterRole::Service && DEPLOYERS.contains(&account(matter.user).1);
        match matter.field {
            _ if is_deployer => self.deployer(matter.user),
            None => Settled::No(no_entry(matter.reason)),
            Some(field) if is_machine => self.controller(matter, field),
            Some(field) => self.ignore(matter, field),
        }
    }

    fn deployer(&mut self, user: &str) -> Settled {
        Settled::Writer(self.writer(user, None).name.clone())
    }

    fn controller(&mut self, matter: &Matter<'_>, field: &str) -> Settled {
        let writer = self.writer(matter.user, Some(BTreeMap::new()));
        let fields = writer.allow.get_or_insert_default().entry(matter.kind.to_owned()).or_default();
        fields.insert(field.to_owned());
        Settled::Writer(writer.name.clone())
    }

    fn writer(&mut self, user: &str, allow: Option<BTreeMap<String, BTreeSet<String>>>) -> &mut Writer {
        let taken = &mut self.taken;
        let made = || Writer { name: free(taken, account(user).1), allow };
        self.writers.entry(user.to_owned()).or_insert_with(made)
    }

    fn ignore(&mut self, matter: &Matter<'_>, field: &str) -> Settled {
        let taken = &mut self.taken;
        let kind = matter.kind.split('.').next().unwrap_or_default();
        let made = || Ignore {
            name: free(taken, &format!("{kind}-{field}")),
            users: BTreeSet::new(),
            objects: BTreeSet::new(),
        };
        let entry = self.ignore.entry((matter.kind.to_owned(), field.to_owned())).or_insert_with(made);
        entry.users.insert(matter.user.to_owned());
        entry.objects.extend(matter.objects.iter().cloned());
        Settled::Ignore(entry.name.clone())
    }

    /// Whether nothing can be settled.
    pub fn is_empty(&self) -> bool {
        self.writers.is_empty() && self.ignore.is_empty()
    }

    /// The members `writers` and `ignore` of a policy's `spec`, those that have entries.
    pub fn yaml(&self) -> String {
        let writers = self.writers.iter().map(|(user, writer)| writer.yaml(user));
        let ignore = self.ignore.iter().map(|((kind, field), ignore)| ignore.yaml(kind, field, self.day));
        [member("writers", writers), member("ignore", ignore)].concat()
    }

    /// The one entry that settles a matter, under its member.
    pub fn yaml_of(&self, settled: &Settled) -> Option<String> {
        match settled {
            Settled::Writer(name) => {
                let (user, writer) = self.writers.iter().find(|(_, writer)| writer.name == *name)?;
                Some(member("writers", [writer.yaml(user)].into_iter()))
            }
            Settled::Ignore(name) => {
                let ((kind, field), ignore) = self.ignore.iter().find(|(_, ignore)| ignore.name == *name)?;
                Some(member("ignore", [ignore.yaml(kind, field, self.day)].into_iter()))
            }
            Settled::No(_) => None,
        }
    }
}

/// What to do about a ruling on a whole object, which no entry settles.
fn no_entry(reason: &str) -> &'static str {
    match reason {
        STRAYS => "no entry lets an undeclared object in: declare it, or rule otherwise in rulings.undeclaredObjects",
        REACHES | MAY_REACH => {
            "no entry lets into what a declared object made: rule otherwise in rulings.derivedObjects"
        }
        TAKES => "no entry lets this in: change what needs it in Git first, or rule otherwise in rulings.delete",
        DELETES | DELETES_HOLDER => {
            "no entry lets a delete in: drop the object from Git, or rule otherwise in rulings.delete"
        }
        _ => "no entry lets this in",
    }
}

impl Writer {
    fn yaml(&self, user: &str) -> String {
        let role = if self.allow.is_some() { "Controller" } else { "Deployer" };
        let subject = match account(user) {
            (Some(namespace), name) => {
                format!("{{ kind: ServiceAccount, namespace: {}, name: {} }}", scalar(namespace), scalar(name))
            }
            (None, name) => format!("{{ kind: User, name: {} }}", scalar(name)),
        };
        let mut yaml = format!("  - name: {}\n    role: {role}\n    subjects: [{subject}]\n", scalar(&self.name));
        if let Some(allow) = &self.allow {
            yaml.push_str("    allow:\n");
            for (kind, fields) in allow {
                let _ = writeln!(yaml, "      - {{ kinds: [{}], fields: [{}] }}", scalar(kind), scalars(fields));
            }
        }
        yaml
    }
}

impl Ignore {
    fn yaml(&self, kind: &str, field: &str, day: Date) -> String {
        let namespaces: BTreeSet<&str> = self.objects.iter().map(|(namespace, _)| namespace.as_str()).collect();
        // Where a name may not stand in a glob, any character may.
        let fits = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.' | ':');
        let glob = |name: &String| -> String { name.chars().map(|c| if fits(c) { c } else { '?' }).collect() };
        let names: BTreeSet<String> = self.objects.iter().map(|(_, name)| glob(name)).collect();
        let mut yaml = format!("  - name: {}\n    kinds: [{}]\n", scalar(&self.name), scalar(kind));
        if !namespaces.contains("") {
            let _ = writeln!(yaml, "    namespaces: [{}]", scalars(namespaces));
        }
        if names.len() <= NAMES_PROPOSED_MAX && !names.contains("") {
            let _ = writeln!(yaml, "    names: [{}]", scalars(&names));
        }
        let users = self.users.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let reason = format!("changed by {users} (landfast report of {day})");
        let _ = write!(yaml, "    fields: [{}]\n    reason: {}\n", scalar(field), scalar(&reason));
        yaml
    }
}

/// A member with its items; nothing where there are none.
fn member(name: &str, items: impl Iterator<Item = String>) -> String {
    let items: String = items.collect();
    if items.is_empty() { items } else { format!("{name}:\n{items}") }
}

/// The namespace and name of a service account; a user has a name only.
fn account(user: &str) -> (Option<&str>, &str) {
    match user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, user),
    }
}

/// A name for an entry, of small letters, digits and `-`, that no other entry has.
fn free(taken: &mut BTreeSet<String>, text: &str) -> String {
    let words: Vec<String> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let stem: String = words.join("-").chars().take(50).collect();
    let stem = match stem.trim_end_matches('-') {
        "" => "entry",
        stem => stem,
    };
    let numbered = (2..).map(|number: u32| format!("{stem}-{number}"));
    let name = std::iter::once(stem.to_owned()).chain(numbered).find(|name| !taken.contains(name));
    let name = name.unwrap_or_default();
    taken.insert(name.clone());
    name
}

fn scalars(texts: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    texts.into_iter().map(|text| scalar(text.as_ref())).collect::<Vec<_>>().join(", ")
}

/// A text as a YAML scalar: plain where every reader takes it for text, else in quotes (a JSON string is one).
fn scalar(text: &str) -> String {
    const WORDS: [&str; 8] = ["null", "true", "false", "yes", "no", "on", "off", "y"];
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    let is_word = WORDS.contains(&text.to_ascii_lowercase().as_str()) || text.eq_ignore_ascii_case("n");
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(is_plain) && !is_word {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::civil::date;

    use super::*;

    fn objects(names: &[(&str, &str)]) -> BTreeSet<(String, String)> {
        names.iter().map(|(namespace, name)| ((*namespace).to_owned(), (*name).to_owned())).collect()
    }

    fn entries() -> Entries {
        Entries::new(date(2026, 11, 22), BTreeSet::from(["keda".to_owned()]))
    }

    fn settle(entries: &mut Entries, (user, role): (&str, WriterRole), kind: &str, field: &str) -> Settled {
        let objects = objects(&[("shop", "web")]);
        entries.settle(&Matter { user, role, kind, field: Some(field), reason: "drifts from Git", objects: &objects })
    }

    #[test]
    fn a_machine_gets_one_entry_for_all_that_it_moves_and_no_name_is_taken_twice() {
        let mut entries = entries();
        let keda = ("system:serviceaccount:keda:keda", WriterRole::Service);
        for (kind, field) in [("Deployment.apps", "spec.replicas"), ("StatefulSet.apps", "spec.replicas")] {
            assert_eq!(settle(&mut entries, keda, kind, field), Settled::Writer("keda-2".to_owned()));
        }
        let bot = ("keda", WriterRole::Controller);
        let field = r#"metadata.annotations["a.b/c"]"#;
        assert_eq!(settle(&mut entries, bot, "Deployment.apps", field), Settled::Writer("keda-3".to_owned()));
        let expected = r#"writers:
  - name: keda-3
    role: Controller
    subjects: [{ kind: User, name: keda }]
    allow:
      - { kinds: [Deployment.apps], fields: ["metadata.annotations[\"a.b/c\"]"] }
  - name: keda-2
    role: Controller
    subjects: [{ kind: ServiceAccount, namespace: keda, name: keda }]
    allow:
      - { kinds: [Deployment.apps], fields: [spec.replicas] }
      - { kinds: [StatefulSet.apps], fields: [spec.replicas] }
"#;
        assert_eq!(entries.yaml(), expected);
    }

    #[test]
    fn the_account_of_a_known_deployer_is_proposed_as_one() {
        let mut entries = entries();
        let flux = ("system:serviceaccount:flux-system:kustomize-controller", WriterRole::Service);
        let settled = settle(&mut entries, flux, "Deployment.apps", "spec.replicas");
        assert_eq!(settled, Settled::Writer("kustomize-controller".to_owned()));
        assert!(entries.yaml().contains("role: Deployer") && !entries.yaml().contains("allow"), "{}", entries.yaml());
        // Where it is one already, it wrote what Git does not say.
        let known = settle(&mut entries, (flux.0, WriterRole::Deployer), "Deployment.apps", "spec.replicas");
        assert_eq!(known, Settled::Ignore("deployment-spec-replicas".to_owned()));
    }

    #[test]
    fn what_a_person_moved_is_ignored_no_wider_than_it_was_seen() {
        let mut entries = entries();
        let field = Some("spec.template.spec.containers[name=web].image");
        for (user, objects) in [("bob", objects(&[("shop", "web")])), ("alice", objects(&[("shop-eu", "no")]))] {
            let role = WriterRole::Person;
            entries.settle(&Matter {
                user,
                role,
                kind: "Deployment.apps",
                field,
                reason: "drifts from Git",
                objects: &objects,
            });
        }
        let expected = r#"ignore:
  - name: deployment-spec-template-spec-containers-name-web-image
    kinds: [Deployment.apps]
    namespaces: [shop, shop-eu]
    names: ["no", web]
    fields: ["spec.template.spec.containers[name=web].image"]
    reason: "changed by alice, bob (landfast report of 2026-11-22)"
"#;
        // A long name is cut.
        let expected = expected.replace("containers-name-web-image", "containers-name-web");
        assert_eq!(entries.yaml(), expected);
    }

    #[test]
    fn what_has_no_namespace_or_many_names_is_named_by_kind() {
        let mut entries = entries();
        let many: BTreeSet<_> = (0..=NAMES_PROPOSED_MAX).map(|n| (String::new(), format!("role-{n}"))).collect();
        let (kind, field) = ("ClusterRole.rbac.authorization.k8s.io", Some("rules"));
        entries.settle(&Matter {
            user: "alice",
            role: WriterRole::Person,
            kind,
            field,
            reason: "drifts from Git",
            objects: &many,
        });
        let yaml = entries.yaml();
        assert!(!yaml.contains("namespaces") && !yaml.contains("names:"), "{yaml}");
    }

    #[test]
    fn what_is_ruled_on_a_whole_object_is_settled_by_no_entry() {
        let objects = objects(&[("shop", "web")]);
        let told = |reason| {
            let (user, role) = ("alice", WriterRole::Person);
            match entries().settle(&Matter { user, role, kind: "Service", field: None, reason, objects: &objects }) {
                Settled::No(why) => why,
                settled => panic!("{settled:?}"),
            }
        };
        for (reason, ruling) in [
            (DELETES, "rulings.delete"),
            (DELETES_HOLDER, "rulings.delete"),
            (TAKES, "rulings.delete"),
            (STRAYS, "rulings.undeclaredObjects"),
            (REACHES, "rulings.derivedObjects"),
            (MAY_REACH, "rulings.derivedObjects"),
        ] {
            assert!(told(reason).ends_with(ruling), "{reason}: {}", told(reason));
        }
        assert!(entries().is_empty());
    }
}
