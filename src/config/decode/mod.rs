//! Is this document one of the operator's objects, and well formed? Values with places become specs; all faults are noted.
//!
//! Meaning inside one object is checked here (exactly one ref, required scope, bad globs); between objects in
//! `resolve`.

mod grant;
mod policy;
mod source;

use crate::config::crd::{GROUP, Globs, Object, Origin, Spec, VERSION};
use crate::config::reader::{Faults, Members, Place};
use crate::config::{held, values};
use crate::gate::basis::Fault;
use crate::gate::policy::{KindName, Subject};
use crate::yaml::Node;

/// Reads the objects of one file's documents; all faults are added to `faults`.
pub(super) fn file(file: &str, documents: &[Node], faults: &mut Vec<Fault>) -> Vec<Object> {
    let found = Faults::new(file);
    let objects = documents.iter().filter_map(|node| object(file, node, &found)).collect();
    faults.extend(found.into_list());
    objects
}

fn object(file: &str, node: &Node, faults: &Faults<'_>) -> Option<Object> {
    let top = Place::new(node, faults).object(&["apiVersion", "kind", "metadata", "spec", "status"])?;
    let version = top.need("apiVersion").and_then(|place| {
        let text = place.text()?;
        let ours = text == format!("{GROUP}/{VERSION}");
        if !ours {
            place.wrong(format_args!("is `{}`, not {GROUP}/{VERSION}", text.escape_debug()));
        }
        ours.then_some(())
    });
    let name = top.need("metadata").and_then(metadata);
    let kind = top.need("kind")?;
    version?; // What another group calls a GitSource is not read as one.
    let spec = match kind.text()? {
        "GitSource" => source::read(top.need("spec")?).map(|spec| Spec::GitSource(Box::new(spec))),
        "DriftPolicy" => policy::read(top.need("spec")?).map(|spec| Spec::DriftPolicy(Box::new(spec))),
        "BreakGlass" => grant::read(top.need("spec")?).map(|spec| Spec::BreakGlass(Box::new(spec))),
        other => {
            let other = other.escape_debug();
            kind.wrong(format_args!("is `{other}`, none of GitSource, DriftPolicy, BreakGlass"));
            None
        }
    };
    let origin = Origin { file: file.to_owned(), line: node.line };
    Some(Object { origin, name: name?, spec: spec?, fingerprint: held::fingerprint(node), created: None })
}

/// The name; what the API server adds to metadata is passed over, so that `kubectl get -o yaml` can be kept in a file.
fn metadata(place: Place<'_>) -> Option<String> {
    let metadata = place.object(&[
        "name",
        "labels",
        "annotations",
        "creationTimestamp",
        "finalizers",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "uid",
    ])?;
    metadata.need("name")?.parse(values::name)
}

/// Names that must be distinct: the second of two is a fault.
fn distinct<'n>(items: impl Iterator<Item = Place<'n>>) {
    let mut seen: Vec<&str> = Vec::new();
    for item in items {
        let Some(node) = item.node.get("name") else { continue };
        let Some(name) = node.as_str() else { continue };
        if seen.contains(&name) {
            item.wrong(format_args!("has the name `{}` of another item", name.escape_debug()));
        }
        seen.push(name);
    }
}

fn globs(place: &Place<'_>) -> Option<Globs> {
    let globs = place.each(|item| item.parse(values::glob))?;
    values::globs(&globs).map_err(|error| place.wrong(error)).ok()
}

fn kinds(place: &Place<'_>) -> Option<Vec<KindName>> {
    place.each(|item| item.parse(values::kind))
}

/// An optional member: absent is `Some(None)`, faulty is `None`.
#[expect(clippy::option_option, reason = "absent and faulty are two things")]
fn optional<'n, T>(
    members: &Members<'n>,
    name: &'static str,
    read: impl FnOnce(Place<'n>) -> Option<T>,
) -> Option<Option<T>> {
    match members.get(name) {
        None => Some(None),
        Some(place) => read(place).map(Some),
    }
}

fn subject(place: Place<'_>) -> Option<Subject> {
    let subject = place.object(&["kind", "namespace", "name"])?;
    let kind = subject.need("kind").and_then(|kind| {
        kind.word(&[("User", Who::User), ("Group", Who::Group), ("ServiceAccount", Who::ServiceAccount)])
    });
    let name = subject.need("name").and_then(|name| name.text().map(str::to_owned));
    let namespace = match (kind?, subject.get("namespace")) {
        (Who::ServiceAccount, _) => subject.need("namespace")?.parse(values::namespace)?,
        (Who::User | Who::Group, None) => String::new(),
        (Who::User | Who::Group, Some(namespace)) => {
            namespace.wrong("belongs to a ServiceAccount only");
            return None;
        }
    };
    Some(match kind? {
        Who::User => Subject::User(name?),
        Who::Group => Subject::Group(name?),
        Who::ServiceAccount => Subject::ServiceAccount { namespace, name: name? },
    })
}

#[derive(Debug, Clone, Copy)]
enum Who {
    User,
    Group,
    ServiceAccount,
}
