//! What stands on an object that was let in although it drifts? The annotation `landfast.dev/drift`: who, at which revision, and
//! every field that is out of place now. Landfast alone writes it; a write after which nothing is out of place takes it away. An
//! object that Git does not declare, or that a declared one made, is marked with what people wrote of it.
//!
//! No clock is in it: the same write of the same object leaves the same mark, however often it is looked at.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::drift::document::{At, Document};
use crate::drift::lookup::Lookup;
use crate::drift::path::FieldPath;
use crate::gate::case::Case;
use crate::gate::finding;
use crate::gate::optout;
use crate::gate::patch::Rewrite;
use crate::gate::tree;
use crate::gate::verdict::{Class, Ruling};
use crate::gate::write::Change;
use crate::limits::FIELDS_SHOWN_MAX;

/// The annotation.
pub(crate) const DRIFT: &str = "landfast.dev/drift";

/// What it says, as compact JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Who wrote what is out of place, the last of them.
    writer: String,
    /// The revision that it differs from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    revision: String,
    /// Where, at most [`FIELDS_SHOWN_MAX`].
    fields: Vec<String>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_none")]
    more: usize,
}

impl Mark {
    fn of(writer: String, revision: String, fields: BTreeSet<String>) -> Self {
        let more = fields.len().saturating_sub(FIELDS_SHOWN_MAX);
        Self { writer, revision, fields: fields.into_iter().take(FIELDS_SHOWN_MAX).collect(), more }
    }

    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a mark has string keys only")
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

/// The mark that an object carries.
pub(crate) fn standing<'d>(object: &'d Document<'_>) -> Option<&'d str> {
    object.root().get("metadata")?.get("annotations")?.get(DRIFT).and_then(At::as_str)
}

/// Keeps the mark of an object: what the write adds, takes away or leaves out of place. Of the changes that were found the write
/// is ruled by the first `counted`.
pub(crate) fn keep(
    case: &Case<'_>,
    declared: &[u8],
    changes: &[finding::Change],
    counted: usize,
    rewrite: &mut Rewrite,
) {
    let mark = wanted(case, declared, changes, counted, rewrite);
    set(mark, rewrite);
}

/// Sets the mark of an object that Git does not declare: all that people wrote of it.
pub(crate) fn of_undeclared(case: &Case<'_>, rewrite: &mut Rewrite) {
    let earlier = earlier(rewrite);
    let own: Vec<FieldPath> = match case.write.change {
        Change::Update { .. } => {
            let finding = case.view().finding(b"{}", case.write.change);
            finding.changes.into_iter().chain(finding.owners).map(|change| change.path).collect()
        }
        Change::Create { .. } | Change::Delete { .. } | Change::Connect => content(rewrite.object()),
    };
    let mark = if own.is_empty() {
        earlier
    } else {
        let known = earlier.into_iter().flat_map(|mark| mark.fields).filter_map(|field| field.parse().ok());
        let all: Vec<FieldPath> = known.chain(own).collect();
        // Of one that holds another the one is enough.
        let is_within = |path: &FieldPath| all.iter().any(|other| other != path && other.covers(path));
        let fields = all.iter().filter(|path| !is_within(path)).map(ToString::to_string).collect();
        Some(Mark::of(case.write.user.name.clone(), revision(case), fields))
    };
    set(mark.map(|mark| mark.to_json()), rewrite);
}

/// Members that an object has beside what every object has; of one that has no others, its metadata.
fn content(object: &Value) -> Vec<FieldPath> {
    let members = object.as_object().into_iter().flat_map(|members| members.keys());
    let own = members.filter(|name| !["apiVersion", "kind", "metadata", "status"].contains(&name.as_str()));
    let paths: Vec<FieldPath> = own.map(|name| FieldPath::of([name.as_str()])).collect();
    if paths.is_empty() { vec![FieldPath::of(["metadata"])] } else { paths }
}

/// The mark that stood before the write, where it is one of ours.
fn earlier(rewrite: &Rewrite) -> Option<Mark> {
    let path = FieldPath::of(["metadata", "annotations", DRIFT]);
    let before = tree::at(rewrite.before()?, &path)?.as_str()?;
    serde_json::from_str(before).ok()
}

fn revision(case: &Case<'_>) -> String {
    case.source.and_then(|source| source.revision.as_ref()).map(ToString::to_string).unwrap_or_default()
}

fn set(mark: Option<String>, rewrite: &mut Rewrite) {
    let path = FieldPath::of(["metadata", "annotations", DRIFT]);
    let other = match mark {
        Some(mark) => json!({ "metadata": { "annotations": { DRIFT: mark } } }),
        None => json!({}),
    };
    let stands = tree::at(rewrite.object(), &path) == tree::at(&other, &path);
    if !stands {
        rewrite.put(&path, &other);
    }
}

fn wanted(
    case: &Case<'_>,
    declared: &[u8],
    changes: &[finding::Change],
    counted: usize,
    rewrite: &Rewrite,
) -> Option<String> {
    let path = FieldPath::of(["metadata", "annotations", DRIFT]);
    let before = rewrite.before().and_then(|before| tree::at(before, &path)).and_then(Value::as_str);
    if !case.write.target.subresource.is_empty() {
        // Not every subresource keeps metadata: what stands there may only stay.
        return before.map(str::to_owned);
    }
    let marks =
        |change: &&finding::Change| ruling_of(case, change) == Ruling::Annotate && stays(change, rewrite.object());
    let own: BTreeSet<String> =
        changes.iter().take(counted).filter(marks).map(|change| change.path.to_string()).collect();
    let earlier = earlier(rewrite);
    let mut fields = own.clone();
    if let Some(earlier) = &earlier {
        let preexisting = changes.iter().filter(|change| change.class == Class::Preexisting);
        fields.extend(preexisting.map(|change| change.path.to_string()));
        fields.extend(earlier.fields.iter().filter(|field| is_undeclared(field, declared, rewrite.object())).cloned());
    }
    let (writer, revision) = match earlier {
        _ if !own.is_empty() => (case.write.user.name.clone(), revision(case)),
        Some(earlier) => (earlier.writer, earlier.revision),
        None => return None,
    };
    let mark = Mark::of(writer, revision, fields);
    (!mark.fields.is_empty()).then(|| mark.to_json())
}

/// What the policy rules on a change of this class.
fn ruling_of(case: &Case<'_>, change: &finding::Change) -> Ruling {
    let Some(rule) = case.rule else { return Ruling::Allow };
    match change.class {
        Class::Drifts | Class::Reordered => rule.drift,
        Class::Undeclared if optout::drifts(case, change) => rule.drift,
        Class::Undeclared => rule.undeclared_fields,
        Class::Restores | Class::Preexisting => Ruling::Allow,
    }
}

/// Whether something is out of place once the write is in: what Git does not declare and is gone is not.
fn stays(change: &finding::Change, object: &Value) -> bool {
    change.class != Class::Undeclared || tree::at(object, &change.path).is_some()
}

/// Whether a field of an earlier mark is one that Git does not declare, and that is still there.
fn is_undeclared(field: &str, declared: &[u8], object: &Value) -> bool {
    let (Ok(path), Ok(declared)) = (field.parse::<FieldPath>(), Document::parse(declared)) else { return false };
    Lookup::of(&declared).at(&path).is_none() && tree::at(object, &path).is_some()
}
