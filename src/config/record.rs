//! What does a BreakGlass in the cluster grant? A record as the API server sends it becomes a grant, or the faults that keep it
//! from being one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::crd::{About, BreakGlass, Globs, GrantMatch, Spec};
use crate::config::decode;
use crate::gate::basis::Fault;
use crate::gate::grant::{Grant, Scope, What, Who};
use crate::gate::policy::Subject;
use crate::yaml::documents;

/// The annotation on a BreakGlass that asks for its end.
pub const END: &str = "landfast.dev/end";

/// A BreakGlass as it stands.
#[derive(Debug, Clone)]
pub struct Record {
    /// What it grants while it is open.
    pub grant: Grant,
    /// Its own uid.
    pub uid: String,
    /// Since when it has ended, whatever its time says: what has ended never opens again.
    pub ended: Option<Timestamp>,
    /// Whether somebody asks for its end.
    pub closed: bool,
}

/// The members that the API server keeps.
#[derive(Deserialize)]
struct Kept {
    metadata: Metadata,
    #[serde(default)]
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    uid: String,
    creation_timestamp: Timestamp,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    ended: Option<Timestamp>,
}

impl Record {
    /// Whether it grants something now.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.ended.is_none() && !self.closed && self.grant.is_open(now)
    }
}

/// Reads a BreakGlass object (JSON).
///
/// Without the stamp of its creator it grants nothing: then it was made where landfast did not see it.
pub fn record(object: &Value) -> Result<Record, Vec<Fault>> {
    let fault = |what: String| vec![Fault { file: String::new(), line: 0, what }];
    let Kept { metadata, status } = Kept::deserialize(object).map_err(|error| fault(error.to_string()))?;
    let mut faults = Vec::new();
    // Of metadata only the name is read: the rest is the API server's.
    let mut own = object.clone();
    own["metadata"] = json!({ "name": metadata.name });
    let nodes = documents(&own.to_string()).map_err(|error| fault(error.what))?;
    let read = decode::file("", &nodes, &mut faults).pop().filter(|_| faults.is_empty());
    let Some((name, spec)) = read.map(|object| (object.name, object.spec)) else { return Err(faults) };
    let Spec::BreakGlass(spec) = spec else { return Err(fault("is no BreakGlass".to_owned())) };
    let BreakGlass { reason, duration, about, subjects, created_by } = *spec;
    let by = created_by
        .ok_or_else(|| fault("`spec.createdBy` is missing: nobody is known to have created it".to_owned()))?;
    let (what, who) = match about {
        About::Object(key, uid) => (What::Object(key, uid), Who::Permitted),
        About::Match(matches) => (What::Matching(scope(matches)), Who::Subjects(vec![Subject::User(by.clone())])),
    };
    let who = if subjects.is_empty() { who } else { Who::Subjects(subjects) };
    let closed = metadata.annotations.contains_key(END);
    let grant = Grant { record: name, reason, by, who, what, opened: metadata.creation_timestamp, duration };
    Ok(Record { grant, uid: metadata.uid, ended: status.and_then(|status| status.ended), closed })
}

fn scope(GrantMatch { namespaces, kinds, names }: GrantMatch) -> Scope {
    let set = |globs: Option<Globs>| globs.map(|globs| globs.set);
    Scope { namespaces: set(namespaces), kinds, names: set(names) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(spec: &Value, status: &Value) -> Value {
        let metadata = json!({
            "name": "inc-1", "uid": "u", "creationTimestamp": "2026-11-23T10:00:00Z", "generation": 1, "generateName": "inc-", "resourceVersion": "7",
        });
        let (api_version, kind) = ("landfast.dev/v1alpha1", "BreakGlass");
        json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec, "status": status })
    }

    #[test]
    fn a_record_of_a_person_is_for_its_creator_or_whom_it_names() {
        let spec = json!({ "reason": "INC-1 x", "duration": "2h", "match": { "namespaces": ["shop"] }, "createdBy": "oncall" });
        let read = record(&object(&spec, &Value::Null)).unwrap();
        assert_eq!(read.grant.who, Who::Subjects(vec![Subject::User("oncall".into())]));
        assert_eq!(read.grant.ends(), "2026-11-23T12:00:00Z".parse().unwrap());
        let mut named = spec;
        named["subjects"] = json!([{ "kind": "Group", "name": "sre" }]);
        assert_eq!(
            record(&object(&named, &json!({}))).unwrap().grant.who,
            Who::Subjects(vec![Subject::Group("sre".into())])
        );
    }

    #[test]
    fn without_a_creator_it_grants_nothing() {
        let spec = json!({ "reason": "INC-1 x", "duration": "2h", "match": { "namespaces": ["shop"] } });
        let faults = record(&object(&spec, &Value::Null)).unwrap_err();
        assert!(faults[0].what.contains("nobody is known to have created it"), "{faults:?}");
    }

    #[test]
    fn what_has_ended_never_opens_again() {
        let about = json!({ "group": "apps", "kind": "Deployment", "namespace": "shop", "name": "web", "uid": "1" });
        let spec = json!({ "reason": "INC-1 x", "duration": "2h", "object": about, "createdBy": "oncall" });
        let now = "2026-11-23T10:30:00Z".parse().unwrap();
        let read = record(&object(&spec, &json!({ "state": "Open" }))).unwrap();
        assert!(read.is_open(now) && read.grant.who == Who::Permitted);
        let ended = json!({ "state": "Ended", "ended": "2026-11-23T10:20:00Z" });
        assert!(!record(&object(&spec, &ended)).unwrap().is_open(now));
    }
}
