//! What does this BreakGlass say?

use crate::config::crd::{BreakGlass, GrantMatch};
use crate::config::decode::{globs, kinds, optional, subject};
use crate::config::reader::Place;
use crate::config::values;

pub(super) fn read(place: Place<'_>) -> Option<BreakGlass> {
    let spec = place.object(&["reason", "duration", "match", "subjects"])?;
    let reason = spec.need("reason").and_then(|reason| reason.text());
    let duration = spec.need("duration").and_then(|duration| duration.parse(values::duration));
    let matches = spec.need("match").and_then(matches);
    let subjects = optional(&spec, "subjects", |place| place.each(subject));
    Some(BreakGlass {
        reason: reason?.to_owned(),
        duration: duration?,
        matches: matches?,
        subjects: subjects?.unwrap_or_default(),
    })
}

fn matches(place: Place<'_>) -> Option<GrantMatch> {
    let members = place.object(&["namespaces", "kinds", "names"])?;
    let namespaces = optional(&members, "namespaces", |place| globs(&place));
    let kinds = optional(&members, "kinds", |place| kinds(&place));
    let names = optional(&members, "names", |place| globs(&place));
    Some(GrantMatch { namespaces: namespaces?, kinds: kinds?, names: names? })
}
