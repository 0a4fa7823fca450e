//! What is kept of a verdict? One record, with an id that every replica and every sink derives alike.
//!
//! Pure. Never holds a Secret's value, whatever the verdict says.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::audit::repair::Repaired;
use crate::drift::declared::ObjectKey;
use crate::gate::grant::{Grant, What};
use crate::gate::incident::{Act, Glass};
use crate::gate::json::{FieldJson, OriginJson};
use crate::gate::message::is_secret;
use crate::gate::policy::GROUP;
use crate::gate::verdict::{Ruling, Verdict, WriterRole};
use crate::limits;

/// One verdict on the record. Its JSON members are those of a verdict, with `id`, `time` and `count`.
///
/// It says *ruled*, not *stored*: what is let in may still be refused by others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The same for the same write by the same writer within [`limits::RECORD_FOLD`], on every replica.
    pub id: String,
    /// When it was ruled, first.
    pub time: Timestamp,
    /// How often within the fold.
    pub count: u64,
    /// Uid of the first review of it: one a call, not one a request.
    pub uid: String,
    /// What was ruled.
    pub ruling: Ruling,
    /// Whether it took effect (mode Enforce).
    pub enforced: bool,
    /// Whether the write was let in.
    pub allowed: bool,
    /// The object.
    pub object: Object,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: String,
    /// Subresource; empty for the main resource.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subresource: String,
    /// Who wrote.
    pub writer: Writer,
    /// The policy that governed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The source that declares the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// That source's revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Owners of the file, by CODEOWNERS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
    /// What the write had to do with a break-glass.
    #[serde(default, rename = "breakGlass", skip_serializing_if = "Option::is_none")]
    pub glass: Option<Glass>,
    /// What repair did with the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<Repaired>,
    /// Why, in a few words.
    pub reason: String,
    /// Where Git declares the object, of a verdict on all of it: a delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<OriginJson>,
    /// The fields that matter; those that the ruling rests on come first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldJson>,
    /// How many of them those are; none where the ruling rests on the whole object.
    #[serde(default)]
    pub charged: usize,
    /// The message as the writer saw it, or would have seen it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// The object of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Object {
    /// API group; empty for the core group.
    pub group: String,
    /// Its version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty where cluster-scoped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The uid that the server gave it, where the review told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

impl Object {
    /// Its kind as kubectl writes it: `Deployment.apps`.
    pub fn kind_name(&self) -> String {
        match self.group.as_str() {
            "" => self.kind.clone(),
            group => format!("{}.{group}", self.kind),
        }
    }

    /// `shop/web`, or its name alone where it lives in no namespace.
    pub fn place(&self) -> String {
        match self.namespace.as_str() {
            "" => self.name.clone(),
            namespace => format!("{namespace}/{}", self.name),
        }
    }
}

/// The writer of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// User name.
    pub user: String,
    /// What that is to us.
    pub role: WriterRole,
}

/// What a review tells besides the write: names that a record keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The review's uid.
    pub uid: String,
    /// The object's uid, where one was sent.
    pub object_uid: Option<String>,
}

impl Record {
    /// Makes the record of a verdict.
    pub fn of(verdict: &Verdict, seen: &Seen, now: Timestamp) -> Self {
        let key = &verdict.object;
        // The gate leaves a Secret's values out already; what it forgot is left out here.
        let secret = is_secret(key);
        let field = |field| {
            let told = FieldJson::of(field);
            if secret { told.without_values() } else { told }
        };
        Self {
            id: identity(verdict, now),
            time: now,
            count: 1,
            uid: seen.uid.clone(),
            ruling: verdict.ruling,
            enforced: verdict.enforced,
            allowed: verdict.allowed(),
            object: Object {
                group: key.group().to_owned(),
                version: verdict.version.clone(),
                kind: key.kind().to_owned(),
                namespace: key.namespace().to_owned(),
                name: key.name().to_owned(),
                uid: seen.object_uid.clone(),
            },
            operation: verdict.operation.to_owned(),
            subresource: verdict.subresource.clone(),
            writer: Writer { user: verdict.user.name.clone(), role: verdict.role },
            policy: verdict.policy.clone(),
            source: verdict.source.as_ref().map(ToString::to_string),
            revision: verdict.revision.as_ref().map(ToString::to_string),
            owners: verdict.owners.clone(),
            glass: verdict.glass.clone(),
            repair: None,
            reason: verdict.reason.to_owned(),
            origin: verdict.origin.as_ref().map(OriginJson::of),
            fields: verdict.fields.iter().map(field).collect(),
            charged: verdict.charged,
            message: verdict.message.clone(),
        }
    }
}

impl Record {
    /// The record of a break-glass whose time is over: on its object, else on the BreakGlass itself. `uid` is the BreakGlass'.
    pub fn of_end(grant: &Grant, uid: &str, now: Timestamp) -> Self {
        let object = match &grant.what {
            What::Object(key, uid) => (key.clone(), Some(uid.clone())),
            What::Matching(_) => (ObjectKey::new(GROUP, "BreakGlass", "", &grant.record), Some(uid.to_owned())),
        };
        let (key, object_uid) = object;
        let mut digest = Parts(Sha256::new());
        digest.add("break-glass ended");
        digest.add(uid);
        let glass =
            Glass { act: Act::Ended, record: grant.record.clone(), reason: grant.reason.clone(), ends: grant.ends() };
        Self {
            id: digest.id(),
            time: now,
            count: 1,
            uid: uid.to_owned(),
            ruling: Ruling::Allow,
            enforced: true,
            allowed: true,
            object: Object {
                group: key.group().to_owned(),
                version: String::new(),
                kind: key.kind().to_owned(),
                namespace: key.namespace().to_owned(),
                name: key.name().to_owned(),
                uid: object_uid,
            },
            operation: "END".to_owned(),
            subresource: String::new(),
            writer: Writer { user: "landfast".to_owned(), role: WriterRole::Landfast },
            policy: None,
            source: None,
            revision: None,
            owners: Vec::new(),
            glass: Some(glass),
            repair: None,
            reason: "its break-glass is over".to_owned(),
            origin: None,
            fields: Vec::new(),
            charged: 0,
            message: format!("break-glass \"{}\" is over", grant.reason),
        }
    }
}

/// Object, writer, what was done, fields with their values, and the coarse time: 32 hex digits.
///
/// Not in it: the review's uid (one write may be reviewed several times), the revision (replicas may differ by a moment).
fn identity(verdict: &Verdict, now: Timestamp) -> String {
    let window = now.as_second().div_euclid(i64::try_from(limits::RECORD_FOLD.as_secs()).unwrap_or(i64::MAX));
    let mut digest = Parts(Sha256::new());
    digest.add(&format!("{:?}", verdict.object));
    digest.add(&verdict.user.name);
    digest.add(verdict.operation);
    digest.add(&verdict.subresource);
    digest.add(verdict.ruling.name());
    digest.add(if verdict.enforced { "enforced" } else { "observed" });
    if let Some(glass) = &verdict.glass {
        digest.add(glass.act.name());
        digest.add(&glass.record);
    }
    let mut fields: Vec<_> = verdict.fields.iter().map(|field| (field.path.to_string(), field)).collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    for (path, field) in fields {
        digest.add(&path);
        digest.add(field.class.name());
        digest.add(field.written.as_deref().unwrap_or(""));
    }
    digest.add(&window.to_string());
    digest.id()
}

/// A digest of parts, each with its length, so that no two lists of parts read alike.
pub(super) struct Parts(pub(super) Sha256);

impl Parts {
    pub(super) fn add(&mut self, part: &str) {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part.as_bytes());
    }

    pub(super) fn id(self) -> String {
        let digest: [u8; 32] = self.0.finalize().into();
        let (id, _) = digest.split_first_chunk::<16>().expect("a SHA-256 digest has 32 bytes");
        format!("{:032x}", u128::from_be_bytes(*id))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use jiff::Timestamp;

    use crate::audit::record::{Record, Seen};
    use crate::drift::declared::ObjectKey;
    use crate::drift::path::{FieldPath, Segment};
    use crate::gate::basis::{CommitId, CommitInfo};
    use crate::gate::json::verdict_json;
    use crate::gate::patch::Patch;
    use crate::gate::verdict::{At, Class, Field, Origin, Ruling, Verdict, WriterRole};
    use crate::gate::write::User;

    pub(crate) fn verdict(kind: &str, ruling: Ruling, written: &str) -> Verdict {
        Verdict {
            writers: Vec::new(),
            ignored: Vec::new(),
            ruling,
            enforced: true,
            object: ObjectKey::new("", kind, "shop", "web"),
            version: "v1".to_owned(),
            operation: "UPDATE",
            subresource: String::new(),
            user: User { name: "alice".to_owned(), ..User::default() },
            role: WriterRole::Person,
            policy: Some("shop".to_owned()),
            source: None,
            revision: None,
            owners: Vec::new(),
            origin: None,
            fields: vec![Field {
                path: FieldPath(vec![Segment::Field("data".into())]),
                class: Class::Drifts,
                git: Some("3".to_owned()),
                before: Some("3".to_owned()),
                written: Some(written.to_owned()),
                origin: None,
            }],
            charged: 1,
            message: "differs from Git".to_owned(),
            warnings: Vec::new(),
            patch: Patch::default(),
            kept: Vec::new(),
            glass: None,
            reason: "drifts from Git",
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn seen(uid: &str) -> Seen {
        Seen { uid: uid.to_owned(), object_uid: None }
    }

    #[test]
    fn another_review_of_the_same_write_has_the_same_id() {
        let verdict = verdict("ConfigMap", Ruling::Deny, "5");
        let first = Record::of(&verdict, &seen("a"), at("2026-11-22T10:00:01Z"));
        let again = Record::of(&verdict, &seen("b"), at("2026-11-22T10:00:59Z"));
        assert_eq!(first.id, again.id);
        assert_eq!(first.id.len(), 32);
    }

    #[test]
    fn another_value_writer_or_minute_is_another_record() {
        let now = at("2026-11-22T10:00:01Z");
        let five = verdict("ConfigMap", Ruling::Deny, "5");
        let mut bob = five.clone();
        bob.user.name = "bob".to_owned();
        let ids = [
            Record::of(&five, &seen("a"), now).id,
            Record::of(&verdict("ConfigMap", Ruling::Deny, "6"), &seen("a"), now).id,
            Record::of(&bob, &seen("a"), now).id,
            Record::of(&five, &seen("a"), at("2026-11-22T10:01:01Z")).id,
        ];
        for (n, id) in ids.iter().enumerate() {
            assert!(!ids[..n].contains(id), "{ids:?}");
        }
    }

    #[test]
    fn a_secret_leaves_no_value() {
        let record =
            Record::of(&verdict("Secret", Ruling::Deny, "aHVudGVyMg=="), &seen("a"), at("2026-11-22T10:00:01Z"));
        let json = serde_json::to_string(&record).unwrap();
        assert!(!json.contains("aHVudGVyMg=="), "{json}");
        assert!(json.contains(r#""path":"data""#), "{json}");
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let record = Record::of(&verdict("ConfigMap", Ruling::Warn, "5"), &seen("a"), at("2026-11-22T10:00:01Z"));
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
        assert!(json.contains(r#""ruling":"Warn""#) && json.contains(r#""class":"drifts""#), "{json}");
    }

    #[test]
    fn a_record_tells_its_fields_as_the_verdict_does() {
        for written in ["5", r#""5""#, "null", r#"{"a":[1.5,true]}"#, r#""cut sho…"#] {
            let mut verdict = verdict("ConfigMap", Ruling::Deny, written);
            let commit = CommitInfo {
                commit: CommitId("3f2a91c".into()),
                author: "Ada Author".to_owned(),
                date: at("2026-11-02T09:00:00Z"),
            };
            let origin = Some(Origin { file: "web.yaml".to_owned(), line: 9, commit: Some(At::Written(commit)) });
            verdict.fields[0].origin.clone_from(&origin);
            verdict.origin = origin;
            let record = Record::of(&verdict, &seen("a"), at("2026-11-22T10:00:01Z"));
            let told = verdict_json(&verdict, "a");
            let json = serde_json::to_value(&record).unwrap();
            assert_eq!((&json["fields"], &json["origin"]), (&told["fields"], &told["origin"]));
            assert_eq!(serde_json::from_value::<Record>(json).unwrap(), record);
        }
    }
}
