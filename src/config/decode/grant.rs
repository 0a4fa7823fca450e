//! What does this BreakGlass say?

use crate::config::crd::{About, BreakGlass, GrantMatch};
use crate::config::decode::{globs, kinds, optional, subject};
use crate::config::reader::{Members, Place};
use crate::config::values;
use crate::drift::declared::ObjectKey;

pub(super) fn read(place: Place<'_>) -> Option<BreakGlass> {
    let spec = place.object(&["reason", "duration", "match", "object", "subjects", "createdBy"])?;
    let reason = spec.need("reason").and_then(|reason| reason.text());
    let duration = spec.need("duration").and_then(|duration| duration.parse(values::duration));
    let about = about(&spec);
    let subjects = optional(&spec, "subjects", |place| place.each(subject));
    let created_by = optional(&spec, "createdBy", |place| place.text().map(str::to_owned));
    Some(BreakGlass {
        reason: reason?.to_owned(),
        duration: duration?,
        about: about?,
        subjects: subjects?.unwrap_or_default(),
        created_by: created_by?,
    })
}

/// Exactly one of `match` and `object`.
fn about(spec: &Members<'_>) -> Option<About> {
    match (spec.get("match"), spec.get("object")) {
        (_, None) => spec.need("match").and_then(matches).map(About::Match),
        (None, Some(object)) => self::object(object),
        (Some(_), Some(object)) => {
            object.wrong("cannot stand beside spec.match");
            None
        }
    }
}

fn object(place: Place<'_>) -> Option<About> {
    let members = place.object(&["group", "kind", "namespace", "name", "uid"])?;
    let text = |name| optional(&members, name, |place| place.text().map(str::to_owned));
    let need = |name| members.need(name).and_then(|place| place.text());
    let (group, namespace) = (text("group"), text("namespace"));
    let (kind, name, uid) = (need("kind"), need("name"), need("uid"));
    let (group, namespace) = (group?.unwrap_or_default(), namespace?.unwrap_or_default());
    Some(About::Object(ObjectKey::new(&group, kind?, &namespace, name?), uid?.to_owned()))
}

fn matches(place: Place<'_>) -> Option<GrantMatch> {
    let members = place.object(&["namespaces", "kinds", "names"])?;
    let namespaces = optional(&members, "namespaces", |place| globs(&place));
    let kinds = optional(&members, "kinds", |place| kinds(&place));
    let names = optional(&members, "names", |place| globs(&place));
    Some(GrantMatch { namespaces: namespaces?, kinds: kinds?, names: names? })
}
