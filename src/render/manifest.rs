//! What does one manifest declare? An object, nothing, or a fault with its line.
//!
//! A document without `apiVersion` and `kind` is no manifest. Looks at the kind, the names and the metadata, and at the JSON types
//! of the rest; what that means is the schema's business.

use std::sync::Arc;

use crate::drift::declared::{Declared, Lines, ObjectKey};
use crate::drift::path::Pattern;
use crate::drift::schema::{KindInfo, VersionInfo};
use crate::gate::basis::{Fault, Scope};
use crate::gate::ignore;
use crate::render::Context;
use crate::render::typing::{self, Mistyped};
use crate::yaml::{Member, Node, Value};

/// What became of a manifest.
pub(super) enum Reading {
    /// It declares this object, though a part of it may be without effect.
    Declares(Box<Declared>, Option<Fault>),
    /// It is no manifest, or of a kind that is never declared state: hooks, `generateName`, Kustomize's own files.
    DeclaresNothing,
    /// It cannot be used, for each of these.
    Faults(Vec<Fault>),
    /// It cannot be used as long as nobody knows its kind in this group and version.
    Unknown(Fault, (String, String)),
}

/// Metadata that the server owns; a declaration of it says nothing.
const SERVER_OWNED: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Annotations that make an object a hook of its deployer: it comes and goes, and is never declared state.
const HOOKS: [&str; 2] = ["argocd.argoproj.io/hook", "helm.sh/hook"];

/// Group of the documents that only Kustomize reads.
const KUSTOMIZE: &str = "kustomize.config.k8s.io";

/// Where a manifest goes wrong: its line and what to say.
type Wrong = (u32, String);

/// Why a manifest declares nothing that counts.
enum Refusal {
    Wrong(Wrong),
    /// The API server can never accept these values.
    Never(Vec<Wrong>),
    Unknown(Wrong, (String, String)),
}

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

/// Reads one manifest of a file.
pub(super) fn read(node: Node, file: &Arc<str>, context: Context<'_>) -> Reading {
    let fault = |(line, what)| Fault { file: file.to_string(), line, what };
    match declare(node, file, context) {
        Ok(Some((declared, without_effect))) => Reading::Declares(Box::new(declared), without_effect.map(fault)),
        Ok(None) => Reading::DeclaresNothing,
        Err(Refusal::Wrong(wrong)) => Reading::Faults(vec![fault(wrong)]),
        Err(Refusal::Never(wrongs)) => Reading::Faults(wrongs.into_iter().map(fault).collect()),
        Err(Refusal::Unknown(wrong, group_version)) => Reading::Unknown(fault(wrong), group_version),
    }
}

type Declaration = (Declared, Option<Wrong>);

fn declare(mut node: Node, file: &Arc<str>, context: Context<'_>) -> Result<Option<Declaration>, Refusal> {
    if node.get("apiVersion").is_none() && node.get("kind").is_none() {
        return Ok(None);
    }
    if let Some(sops) = node.get("sops").filter(|sops| sops.get("mac").is_some()) {
        let what = "encrypted with SOPS, which is not built yet: it declares nothing".to_owned();
        return Err(Refusal::Wrong((sops.line, what)));
    }
    let (group, version) = group_version(&node)?;
    let kind = required(&node, "kind", node.line)?.to_owned();
    if group == KUSTOMIZE {
        return Ok(None);
    }
    if !is_word(&kind) {
        return Err(Refusal::Wrong((line_of(&node, "kind"), format!("`{kind}` is no kind"))));
    }
    let metadata = metadata(&node)?;
    if is_hook(metadata) || (metadata.get("name").is_none() && metadata.get("generateName").is_some()) {
        return Ok(None);
    }
    let (info, served) = known(&node, &group, &version, &kind, context)
        .map_err(|wrong| Refusal::Unknown(wrong, (group.clone(), version.clone())))?;
    let name = object_name(metadata)?.to_owned();
    let namespace = place(metadata, &kind, &name, info, context)?;
    strip(&mut node, info, served);
    let key = ObjectKey::new(&group, &kind, &namespace, &name);
    let schema = context.schemas.schema(&group, &version, &kind);
    let mistyped = schema.map(|schema| typing::mistyped(&node, schema)).unwrap_or_default();
    if !mistyped.is_empty() {
        let never = |Mistyped { line, what }| {
            (line, format!("{what}; the API server never accepts that, so {key} is not declared"))
        };
        return Err(Refusal::Never(mistyped.into_iter().map(never).collect()));
    }
    let (ignored, without_effect) = match ignored(&node) {
        Ok(ignored) => (ignored, None),
        Err(wrong) => (Vec::new(), Some(wrong)),
    };
    let declared = Declared {
        key,
        version: version.into(),
        json: node.to_json().into_bytes().into(),
        lines: Lines::pack(node.lines()),
        file: Arc::clone(file),
        ignored: ignored.into(),
    };
    Ok(Some((declared, without_effect)))
}

/// What the manifest leaves out of itself. Where that cannot be read, nothing is left out.
fn ignored(node: &Node) -> Result<Vec<Pattern>, Wrong> {
    let annotation = node.get("metadata").and_then(|metadata| metadata.get("annotations")?.get(ignore::ANNOTATION));
    let Some((line, text)) = annotation.and_then(|annotation| Some((annotation.line, annotation.as_str()?))) else {
        return Ok(Vec::new());
    };
    ignore::of_annotation(text)
        .map_err(|what| (line, format!("the annotation {}: {what}; it has no effect", ignore::ANNOTATION)))
}

/// A member that holds a string.
pub(super) fn text_member(key: &str, text: &str, line: u32) -> Member {
    let value = Node { line, column: 1, value: Value::String(text.to_owned()) };
    Member { line, column: 1, key: key.to_owned(), value }
}

fn group_version(node: &Node) -> Result<(String, String), Wrong> {
    let api_version = required(node, "apiVersion", node.line)?;
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let grouped = api_version.contains('/');
    if (grouped && !is_dns_name(group)) || !is_word(version) {
        return Err((line_of(node, "apiVersion"), format!("`{api_version}` is no apiVersion")));
    }
    Ok((group.to_owned(), version.to_owned()))
}

/// The text of a member that must be there; `line` is where its parent stands.
fn required<'n>(parent: &'n Node, name: &str, line: u32) -> Result<&'n str, Wrong> {
    let Some(member) = parent.get(name) else { return Err((line, format!("`{name}` is missing"))) };
    match member.as_str() {
        Some("") => Err((member.line, format!("`{name}` is empty"))),
        Some(text) => Ok(text),
        None => Err((member.line, format!("`{name}` is {}, not a string", member.what()))),
    }
}

fn line_of(node: &Node, member: &str) -> u32 {
    node.get(member).map_or(node.line, |member| member.line)
}

fn metadata(node: &Node) -> Result<&Node, Wrong> {
    let Some(metadata) = node.get("metadata") else { return Err((node.line, "`metadata` is missing".to_owned())) };
    let Value::Object(_) = metadata.value else {
        return Err((metadata.line, format!("`metadata` is {}, not an object", metadata.what())));
    };
    for map in ["labels", "annotations"] {
        let Some(entries) = metadata.get(map) else { continue };
        if !matches!(entries.value, Value::Object(_) | Value::Null) {
            return Err((entries.line, format!("`metadata.{map}` is {}, not an object", entries.what())));
        }
        let wrong = entries.members().iter().find(|entry| !matches!(entry.value.value, Value::String(_) | Value::Null));
        if let Some(Member { line, key, value, .. }) = wrong {
            return Err((*line, format!("`metadata.{map}[\"{key}\"]` is {}, not a string: quote it", value.what())));
        }
    }
    Ok(metadata)
}

fn is_hook(metadata: &Node) -> bool {
    metadata.get("annotations").is_some_and(|annotations| HOOKS.iter().any(|hook| annotations.get(hook).is_some()))
}

fn known<'c>(
    node: &Node,
    group: &str,
    version: &str,
    kind: &str,
    context: Context<'c>,
) -> Result<(&'c KindInfo, &'c VersionInfo), Wrong> {
    let full = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
    let Some(info) = context.schemas.kind(group, kind) else {
        let what = format!("nobody knows the kind {full}: neither the API server nor a definition in this repository");
        return Err((line_of(node, "kind"), what));
    };
    match info.versions.iter().find(|served| served.version == version) {
        Some(served) => Ok((info, served)),
        None => Err((line_of(node, "apiVersion"), format!("{full} is not served in version `{version}`"))),
    }
}

fn object_name(metadata: &Node) -> Result<&str, Wrong> {
    let name = match metadata.get("name") {
        None => return Err((metadata.line, "`metadata.name` is missing".to_owned())),
        Some(name) => match name.as_str() {
            Some(text) if !text.is_empty() => (name.line, text),
            Some(_) => return Err((name.line, "`metadata.name` is empty".to_owned())),
            None => return Err((name.line, format!("`metadata.name` is {}, not a string", name.what()))),
        },
    };
    // apimachinery's path segment names: what no object of any kind may be called.
    if matches!(name.1, "." | "..") || name.1.contains(['/', '%']) || name.1.chars().any(char::is_control) {
        return Err((name.0, format!("`{}` is no name of an object", name.1.escape_debug())));
    }
    Ok(name.1)
}

/// The object's namespace, empty where it is cluster-scoped; a fault where the source may not declare there.
fn place(metadata: &Node, kind: &str, name: &str, info: &KindInfo, context: Context<'_>) -> Result<String, Wrong> {
    let Scope { namespaces, cluster_scoped, .. } = context.scope;
    if !info.namespaced {
        let own = info.group.is_empty() && kind == "Namespace" && namespaces.is_match(name);
        if *cluster_scoped || own {
            return Ok(String::new());
        }
        return Err((metadata.line, format!("{kind} {name} is cluster-scoped, outside the scope of the source")));
    }
    let (line, namespace) = match metadata.get("namespace") {
        None => (metadata.line, ""),
        Some(Node { line, value: Value::Null, .. }) => (*line, ""),
        Some(node) => match node.as_str() {
            Some(namespace) => (node.line, namespace),
            None => return Err((node.line, format!("`metadata.namespace` is {}, not a string", node.what()))),
        },
    };
    let namespace = if namespace.is_empty() { context.default_namespace.unwrap_or("default") } else { namespace };
    if !is_dns_name(namespace) || namespace.contains('.') {
        return Err((line, format!("`{}` is no namespace", namespace.escape_debug())));
    }
    if !namespaces.is_match(namespace) {
        return Err((line, format!("namespace {namespace} is outside the scope of the source")));
    }
    Ok(namespace.to_owned())
}

fn strip(node: &mut Node, info: &KindInfo, served: &VersionInfo) {
    let Value::Object(members) = &mut node.value else { return };
    if served.status {
        members.retain(|member| member.key != "status");
    }
    let metadata = members.iter_mut().find(|member| member.key == "metadata");
    if let Some(Value::Object(members)) = metadata.map(|member| &mut member.value.value) {
        members.retain(|member| {
            let foreign = !info.namespaced && member.key == "namespace";
            !foreign && !SERVER_OWNED.contains(&member.key.as_str())
        });
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_dns_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
        && !text.starts_with(['-', '.'])
        && !text.ends_with(['-', '.'])
}
