//! Which kinds, namespaces and names must the API server ask about, and where may it not let in while landfast is silent?
//!
//! Pure: read from the basis, in a fixed order. It never covers Leases, Events, Nodes or landfast's own kinds, and it guards
//! nothing that no policy could deny.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::cluster::condition::{Condition, by_people};
use crate::drift::declared::ObjectKey;
use crate::drift::schema::KindInfo;
use crate::gate::basis::{Basis, SourceId};
use crate::gate::derived::EDITED;
use crate::gate::policy::{FailurePolicy, GROUP, KindName, Mode, Policy, Rule};
use crate::gate::verdict::Ruling;

/// Kinds that are never asked about, with their groups: heartbeats, elections and our own traces.
const NEVER: &[(&str, &str)] =
    &[("", "Event"), ("events.k8s.io", "Event"), ("", "Node"), ("coordination.k8s.io", "Lease")];

/// Subresources of Pods that write declared fields, and that no table of schemas tells.
const POD_WRITES: &[&str] = &["resize", "ephemeralcontainers"];

/// A resource, as rules name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ResourceKey {
    /// API group; empty for the core group.
    pub(crate) group: String,
    /// As in `deployments`.
    pub(crate) resource: String,
}

/// One resource that is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Covered {
    /// The version in which its objects are sent: the one most declarations are written in. Empty where it is asked about only as
    /// what declared objects made.
    pub(crate) version: String,
    /// Whether its objects live in namespaces.
    pub(crate) namespaced: bool,
    /// Subresources that are asked about too.
    pub(crate) subresources: Vec<&'static str>,
    /// Where silence means no: namespaces, or names of cluster-scoped objects.
    pub(crate) guarded: BTreeSet<String>,
    /// Where a write may be changed on its way in.
    pub(crate) changed: BTreeSet<String>,
    /// Whether that may be anywhere: what nobody declares is marked wherever it comes.
    pub(crate) changed_anywhere: bool,
    /// Whether it is asked about as what declared objects made, too.
    pub(crate) derived: bool,
}

/// Everything that is asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// By resource.
    pub(crate) resources: BTreeMap<ResourceKey, Covered>,
}

impl Coverage {
    /// Reads what a basis needs.
    pub(crate) fn of(basis: &Basis) -> Self {
        let mut coverage = Self { resources: Self::always() };
        let mut versions: FxHashMap<(&str, &str), BTreeMap<&str, usize>> = FxHashMap::default();
        let mut cells = Cells { policy: &basis.policy, known: FxHashMap::default() };
        let mut seen = FxHashSet::default();
        for (key, entry) in &basis.index.objects {
            if never(key) {
                continue;
            }
            let Some(info) = basis.schemas.kind(key.group(), key.kind()) else { continue };
            let count = versions.entry((key.group(), key.kind())).or_default();
            match &entry.head {
                Some(head) => *count.entry(&head.version).or_default() += 1,
                None => continue,
            }
            // A policy sees source, kind and place only, and many objects share them.
            let place = if info.namespaced { key.namespace() } else { key.name() };
            if seen.insert((&*entry.source.0, key.group(), key.kind(), place)) {
                coverage.guard(info, key, &entry.source, &mut cells);
            }
        }
        for kind in basis
            .policy
            .rules
            .iter()
            .filter(|rule| minds_strays(rule))
            .flat_map(|rule| rule.matches.kinds.iter().flatten())
        {
            versions.entry((&kind.group, &kind.kind)).or_default();
        }
        for ((group, kind), counts) in versions {
            if let Some(info) = basis.schemas.kind(group, kind) {
                coverage.cover(info, &counts);
                if basis.policy.rules.iter().any(|rule| marks_strays(rule, group, kind)) {
                    coverage.slot(ResourceKey::of(info)).changed_anywhere = true;
                }
            }
        }
        coverage.reach_derived(basis, &mut cells);
        coverage.resources.retain(|_, covered| !covered.version.is_empty() || covered.derived);
        coverage
    }

    /// Deleting one of these takes declared objects with it, so they are asked about even where Git declares none.
    fn always() -> BTreeMap<ResourceKey, Covered> {
        let namespaces = Covered {
            version: "v1".to_owned(),
            namespaced: false,
            subresources: vec!["status", "finalize"],
            guarded: BTreeSet::new(),
            changed: BTreeSet::new(),
            changed_anywhere: false,
            derived: false,
        };
        let definitions = Covered { subresources: vec!["status"], ..namespaces.clone() };
        BTreeMap::from([(ResourceKey::namespaces(), namespaces), (ResourceKey::definitions(), definitions)])
    }

    /// Notes where silence about this object means no: its namespace or name, its Namespace, its CRD; and where writes to it may
    /// be changed.
    fn guard(&mut self, info: &KindInfo, key: &ObjectKey, source: &SourceId, cells: &mut Cells<'_>) {
        let place = if info.namespaced { key.namespace() } else { key.name() };
        if cells.of(source, key).blocks {
            self.slot(ResourceKey::of(info)).guarded.insert(place.to_owned());
        }
        if cells.of(source, key).changes {
            self.slot(ResourceKey::of(info)).changed.insert(place.to_owned());
        }
        if info.namespaced {
            let home = ObjectKey::new("", "Namespace", "", key.namespace());
            if cells.of(source, &home).breaks {
                self.slot(ResourceKey::namespaces()).changed.insert(key.namespace().to_owned());
            }
            if cells.of(source, &home).blocks {
                self.slot(ResourceKey::namespaces()).guarded.insert(key.namespace().to_owned());
            }
        }
        if info.group.contains('.') {
            let name = format!("{}.{}", info.resource, info.group);
            let definition = ObjectKey::new("apiextensions.k8s.io", "CustomResourceDefinition", "", &name);
            if cells.of(source, &definition).blocks {
                self.slot(ResourceKey::definitions()).guarded.insert(name);
            }
        }
    }

    /// Notes what declared objects made, where the policy that governs one of them minds who reaches into it. Silence means no
    /// only where people alone are asked about: it must not keep a controller from making Pods.
    fn reach_derived(&mut self, basis: &Basis, cells: &mut Cells<'_>) {
        if !basis.policy.rules.iter().any(|rule| Powers::of(rule).minds_derived) {
            return;
        }
        for (key, entry) in basis.index.objects.iter().filter(|(_, entry)| entry.head.is_some()) {
            let powers = cells.of(&entry.source, key);
            for (group, resource, _) in EDITED.iter().filter(|_| powers.minds_derived && !key.namespace().is_empty()) {
                let covered = self.slot(ResourceKey { group: (*group).to_owned(), resource: (*resource).to_owned() });
                (covered.derived, covered.namespaced) = (true, true);
                if powers.blocks_derived && covered.version.is_empty() {
                    covered.guarded.insert(key.namespace().to_owned());
                }
                if powers.marks_derived {
                    covered.changed.insert(key.namespace().to_owned());
                }
            }
        }
    }

    /// Keeps those out who are never asked about what declared objects made: only people are. `None` where nothing is asked so.
    pub(crate) fn by_people(&self) -> Option<Condition> {
        let made = self.resources.iter().filter(|(_, covered)| covered.derived && covered.version.is_empty());
        let made: Vec<String> = made.map(|(key, _)| key.path()).collect();
        (!made.is_empty()).then(|| by_people(&made))
    }

    fn slot(&mut self, key: ResourceKey) -> &mut Covered {
        match self.resources.entry(key) {
            Slot::Occupied(slot) => slot.into_mut(),
            Slot::Vacant(slot) => slot.insert(Covered {
                version: String::new(),
                namespaced: false,
                subresources: Vec::new(),
                guarded: BTreeSet::new(),
                changed: BTreeSet::new(),
                changed_anywhere: false,
                derived: false,
            }),
        }
    }

    fn cover(&mut self, info: &KindInfo, declared: &BTreeMap<&str, usize>) {
        let version = sent_version(info, declared);
        let served = info.versions.iter().find(|served| served.version == version);
        let covered = self.slot(ResourceKey::of(info));
        version.clone_into(&mut covered.version);
        covered.namespaced = info.namespaced;
        let is_pod = info.group.is_empty() && info.kind == "Pod";
        let there = [
            ("status", served.is_some_and(|served| served.status)),
            ("scale", served.is_some_and(|served| served.scale.is_some())),
        ];
        for (subresource, there) in there.into_iter().chain(POD_WRITES.iter().map(|write| (*write, is_pod))) {
            if there && !covered.subresources.contains(&subresource) {
                covered.subresources.push(subresource);
            }
        }
    }
}

/// The version in which the API server is to send a kind's objects: a served one that most declarations are written in, of
/// equals the preferred; declarations in another version of it are compared by meaning after the server's conversion.
fn sent_version<'v>(info: &'v KindInfo, declared: &BTreeMap<&'v str, usize>) -> &'v str {
    let count = |version: &str| declared.get(version).copied().unwrap_or(0);
    let served =
        info.versions.iter().map(|version| version.version.as_str()).rev().max_by_key(|version| count(version));
    let written = declared.iter().max_by_key(|(_, count)| **count).map(|(version, _)| *version);
    served.or(written).unwrap_or_default()
}

/// Our own kinds are guarded by their schemas and RBAC, never by this webhook.
fn never(key: &ObjectKey) -> bool {
    key.group() == GROUP || NEVER.contains(&(key.group(), key.kind()))
}

/// What a policy may do, remembered: it matches by source, kind and namespace, not by name.
struct Cells<'b> {
    policy: &'b Policy,
    known: FxHashMap<String, Powers>,
}

/// What the policy that governs an object may do to writes.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is asked by itself")]
struct Powers {
    /// Whether silence means no.
    blocks: bool,
    /// Whether it may change them on their way in.
    changes: bool,
    /// Whether it lets the glass be broken.
    breaks: bool,
    /// Whether it minds who reaches into what the object made, and whether silence means no to that.
    minds_derived: bool,
    blocks_derived: bool,
    /// Whether it marks what is edited of that.
    marks_derived: bool,
}

impl Cells<'_> {
    fn of(&mut self, source: &SourceId, key: &ObjectKey) -> Powers {
        // A Namespace is governed by its own name.
        let is_namespace = key.group().is_empty() && key.kind() == "Namespace";
        let home = if is_namespace { key.name() } else { key.namespace() };
        let cell = format!("{source}/{}/{}/{home}", key.group(), key.kind());
        if let Some(known) = self.known.get(&cell) {
            return *known;
        }
        let rule = self.policy.governing(key, Some(source));
        let powers = rule.map(Powers::of).unwrap_or_default();
        self.known.insert(cell, powers);
        powers
    }
}

impl Powers {
    fn of(rule: &Rule) -> Self {
        Self {
            blocks: blocks(rule, &[rule.drift, rule.delete, rule.undeclared_fields]),
            changes: changes(rule),
            breaks: rule.bounds().is_some(),
            minds_derived: rule.derived_objects > Ruling::Allow,
            blocks_derived: blocks(rule, &[rule.derived_objects]),
            marks_derived: rule.mode == Mode::Enforce && rule.derived_objects == Ruling::Annotate,
        }
    }
}

fn minds_strays(rule: &Rule) -> bool {
    rule.undeclared_objects > Ruling::Allow
}

/// Whether it marks objects of this kind that Git does not declare.
fn marks_strays(rule: &Rule, group: &str, kind: &str) -> bool {
    let names = |kinds: &Vec<KindName>| kinds.iter().any(|it| (it.group.as_str(), it.kind.as_str()) == (group, kind));
    rule.mode == Mode::Enforce
        && rule.undeclared_objects == Ruling::Annotate
        && rule.matches.kinds.as_ref().is_none_or(names)
}

/// A policy that cannot deny can never block.
fn blocks(rule: &Rule, rulings: &[Ruling]) -> bool {
    let denies = rulings.contains(&Ruling::Deny);
    match (rule.mode, rule.failure_policy) {
        (Mode::Enforce, FailurePolicy::Fail) => denies,
        (Mode::Observe, FailurePolicy::Fail | FailurePolicy::Ignore) | (Mode::Enforce, FailurePolicy::Ignore) => false,
    }
}

/// What is only observed is never changed.
fn changes(rule: &Rule) -> bool {
    rule.mode == Mode::Enforce
        && (matches!(rule.drift, Ruling::Annotate | Ruling::Revert)
            || rule.undeclared_fields == Ruling::Annotate
            || rule.break_glass.is_some())
}

impl ResourceKey {
    fn of(info: &KindInfo) -> Self {
        Self { group: info.group.clone(), resource: info.resource.clone() }
    }

    pub(crate) fn namespaces() -> Self {
        Self { group: String::new(), resource: "namespaces".to_owned() }
    }

    pub(crate) fn definitions() -> Self {
        Self { group: "apiextensions.k8s.io".to_owned(), resource: "customresourcedefinitions".to_owned() }
    }

    /// As conditions write it: `apps/deployments`, `/services`.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.group, self.resource)
    }
}
