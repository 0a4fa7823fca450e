//! What is kept of a repair? One record, like any other: what was put back, who had moved it, and whether it came back at all.
//!
//! Pure. Never holds a Secret's value, whatever it is given.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::audit::record::{Object, Parts, Record, Writer};
use crate::drift::declared::ObjectKey;
use crate::gate::json::{FieldJson, OriginJson};
use crate::gate::message::is_secret;
use crate::gate::text::shortened;
use crate::gate::verdict::{Class, Ruling, WriterRole};
use crate::limits::{CANNOT_REPAIR_FOLD, FIELDS_KEPT_MAX, FIELDS_SHOWN_MAX, VALUE_CHARS_MAX};

/// What became of an object that differed from Git.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Repaired {
    /// Whether it came back.
    pub outcome: Outcome,
    /// Why it was to, as in `Missing`, `Drifted` or `Moved`; `Threshold` of what is held, `Dropped` of what is deleted.
    pub cause: String,
    /// The manager under whose name it was written, or would have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    /// Who had moved what differed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved_by: Vec<Moved>,
    /// What the API server said where it did not; how much differs, where it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Whether an object came back, or what else was found of it; what needs somebody most comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Outcome {
    /// The server refuses it every way there is.
    CannotRepair,
    /// Too much of a source differs at once: a person is asked before any of it is brought back.
    Held,
    /// Somebody moves a field again each time that it was brought back.
    FightDetected,
    /// It differs, and the gate was not asked.
    SlippedPast,
    /// It came back.
    Repaired,
    /// Git dropped it, and it is deleted.
    Pruned,
    /// Nobody moves it again any more.
    FightEnded,
}

/// Who had moved a field. What `managedFields` says can be forged, so nothing rests on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Which field; empty where it is the whole object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The manager that owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    /// The user, where the gate was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// When it wrote last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
}

/// One field that was put back, or could not be.
#[derive(Debug, Clone)]
pub struct Field {
    /// Where, as a denial prints it.
    pub path: String,
    /// Git's value, as JSON.
    pub git: Option<String>,
    /// The value that stood there.
    pub live: Option<String>,
    /// Where Git says so.
    pub origin: Option<OriginJson>,
}

/// The object that a record of a repair is about.
#[derive(Debug, Clone)]
pub struct About<'a> {
    /// Which.
    pub key: &'a ObjectKey,
    /// The version that it is declared in.
    pub version: &'a str,
    /// Its uid, where it is there.
    pub uid: Option<&'a str>,
    /// The policy that has it repaired.
    pub policy: Option<&'a str>,
    /// The source that declares it.
    pub source: &'a str,
    /// The revision in force.
    pub revision: Option<&'a str>,
    /// Where Git declares it.
    pub origin: Option<OriginJson>,
}

impl Record {
    /// The record of a repair.
    pub fn of_repair(about: &About<'_>, repaired: Repaired, fields: &[Field], now: Timestamp) -> Self {
        let key = about.key;
        let told = |field: &Field| {
            let value = |text: &Option<String>| text.as_deref().map(shown);
            let (git, before) = (value(&field.git), value(&field.live));
            let (path, class) = (field.path.clone(), Class::Restores);
            let told = FieldJson { path, class, git, before, written: None, origin: field.origin.clone() };
            if is_secret(key) { told.without_values() } else { told }
        };
        let fields: Vec<FieldJson> = fields.iter().take(FIELDS_KEPT_MAX).map(told).collect();
        let message = message(key, &repaired, &fields);
        let reason = match repaired.outcome {
            Outcome::Repaired => "was brought back to what Git declares",
            Outcome::CannotRepair => "could not be brought back to what Git declares",
            Outcome::SlippedPast => "differs from Git, and the gate was not asked",
            Outcome::FightDetected => "is moved again each time that it is brought back",
            Outcome::FightEnded => "stays as it was brought back",
            Outcome::Held => "too much of it differs at once",
            Outcome::Pruned => "was deleted: Git dropped it",
        };
        Self {
            id: identity((key, about.uid.unwrap_or_default()), &repaired, &fields, now),
            time: now,
            count: 1,
            uid: about.uid.unwrap_or_default().to_owned(),
            ruling: Ruling::Allow,
            enforced: true,
            allowed: true,
            object: Object {
                group: key.group().to_owned(),
                version: about.version.to_owned(),
                kind: key.kind().to_owned(),
                namespace: key.namespace().to_owned(),
                name: key.name().to_owned(),
                uid: about.uid.map(str::to_owned),
            },
            operation: "REPAIR".to_owned(),
            subresource: String::new(),
            writer: Writer { user: "landfast".to_owned(), role: WriterRole::Landfast },
            policy: about.policy.map(str::to_owned),
            source: Some(about.source.to_owned()),
            revision: about.revision.map(str::to_owned),
            owners: Vec::new(),
            glass: None,
            repair: Some(repaired),
            reason: reason.to_owned(),
            origin: about.origin.clone(),
            charged: fields.len(),
            fields,
            message,
        }
    }
}

/// A value as records keep it: JSON, or text where it had to be cut.
fn shown(text: &str) -> serde_json::Value {
    let short = shortened(text, VALUE_CHARS_MAX);
    serde_json::from_str(&short).unwrap_or_else(|_| short.into())
}

fn message(key: &ObjectKey, repaired: &Repaired, fields: &[FieldJson]) -> String {
    let count = match fields.len() {
        1 => "1 field".to_owned(),
        many => format!("{many} fields"),
    };
    let first = match (repaired.outcome, repaired.cause.as_str()) {
        (Outcome::Repaired, "Missing") => format!("{key} was missing and is made again"),
        (Outcome::CannotRepair, "Missing") => format!("{key} is missing and cannot be made"),
        (Outcome::Repaired, _) if fields.is_empty() => format!("{key} was applied again"),
        (Outcome::Repaired, _) => format!("{key} differed from Git in {count} and is brought back"),
        (Outcome::CannotRepair, _) => format!("{key} differs from Git in {count} and cannot be brought back"),
        (Outcome::SlippedPast, "Missing") => format!("{key} is missing, and the gate was not asked"),
        (Outcome::SlippedPast, _) => format!("{key} differs from Git in {count}, and the gate was not asked"),
        (Outcome::FightDetected, _) => format!("{key} is moved again each time that it is brought back"),
        (Outcome::FightEnded, _) => format!("{key} stays as it was brought back"),
        (Outcome::Held, _) => format!("{key} is held: nothing of it is brought back until a person approves"),
        (Outcome::Pruned, _) => format!("{key} was applied by Landfast and dropped by Git: it is deleted"),
    };
    let line = |field: &FieldJson| {
        let value =
            |value: &Option<serde_json::Value>| value.as_ref().map_or("nothing".to_owned(), ToString::to_string);
        let mover = repaired.moved_by.iter().find(|moved| moved.path == field.path);
        let by = mover.map(|moved| format!(", moved by {moved}")).unwrap_or_default();
        if is_secret(key) {
            return format!("  {}: another value than in Git{by}", field.path);
        }
        format!("  {}: {} in Git, {} live{by}", field.path, value(&field.git), value(&field.before))
    };
    let shown = fields.iter().take(FIELDS_SHOWN_MAX).map(line);
    let whole = repaired.moved_by.iter().filter(|moved| !fields.iter().any(|field| field.path == moved.path));
    let whole = whole.map(|moved| format!("  moved by {moved}"));
    let error = repaired.error.as_ref().map(|error| match repaired.outcome {
        Outcome::Repaired | Outcome::CannotRepair => format!("the API server says: {error}"),
        Outcome::SlippedPast | Outcome::FightDetected | Outcome::FightEnded | Outcome::Held | Outcome::Pruned => {
            error.clone()
        }
    });
    std::iter::once(first).chain(shown).chain(whole).chain(error).collect::<Vec<_>>().join("\n")
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.manager, &self.user) {
            (Some(manager), Some(user)) => write!(f, "{user} as {manager}")?,
            (Some(name), None) | (None, Some(name)) => f.write_str(name)?,
            (None, None) => f.write_str("nobody knows whom")?,
        }
        match self.time {
            Some(time) => write!(f, " at {time}"),
            None => Ok(()),
        }
    }
}

/// Each repair is one of its own: only the same within the same second is the same. What cannot be repaired is tried again and again,
/// and told once in a while. What slipped past is the same whoever finds it, and whenever.
fn identity((key, uid): (&ObjectKey, &str), repaired: &Repaired, fields: &[FieldJson], now: Timestamp) -> String {
    let mut digest = Parts(Sha256::new());
    digest.add("repair");
    digest.add(&format!("{key:?}"));
    digest.add(&repaired.cause);
    digest.add(match repaired.outcome {
        Outcome::Repaired => "repaired",
        Outcome::CannotRepair => "cannot repair",
        Outcome::SlippedPast => "slipped past",
        Outcome::FightDetected => "fight detected",
        Outcome::FightEnded => "fight ended",
        Outcome::Held => "held",
        Outcome::Pruned => "pruned",
    });
    for field in fields {
        digest.add(&field.path);
        digest.add(&field.before.as_ref().map(ToString::to_string).unwrap_or_default());
    }
    let window = match repaired.outcome {
        Outcome::SlippedPast => {
            digest.add(uid);
            digest.add(&repaired.moved_by.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
            return digest.id();
        }
        Outcome::Repaired | Outcome::FightDetected | Outcome::FightEnded | Outcome::Held | Outcome::Pruned => 1,
        Outcome::CannotRepair => i64::try_from(CANNOT_REPAIR_FOLD.as_secs()).unwrap_or(i64::MAX),
    };
    digest.add(&now.as_second().div_euclid(window).to_string());
    digest.id()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: &str, outcome: Outcome, cause: &str) -> Record {
        let key = ObjectKey::new("", kind, "shop", "web");
        let about = About {
            key: &key,
            version: "v1",
            uid: Some("u"),
            policy: Some("shop"),
            source: "shop",
            revision: None,
            origin: None,
        };
        let time = "2026-11-30T12:00:00Z".parse().ok();
        let moved_by =
            vec![Moved { path: "data.k".to_owned(), manager: Some("kubectl-edit".to_owned()), user: None, time }];
        let error = (outcome == Outcome::CannotRepair).then(|| "no".to_owned());
        let repaired = Repaired { outcome, cause: cause.to_owned(), manager: None, moved_by, error };
        let field = Field {
            path: "data.k".to_owned(),
            git: Some(r#""aHVudGVyMg==""#.to_owned()),
            live: Some(r#""b3RoZXI=""#.to_owned()),
            origin: None,
        };
        Record::of_repair(&about, repaired, &[field], Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_repair_says_what_was_put_back_and_who_had_moved_it() {
        let told = record("ConfigMap", Outcome::Repaired, "Drifted");
        assert_eq!(
            told.message,
            "ConfigMap shop/web differed from Git in 1 field and is brought back\n  data.k: \"aHVudGVyMg==\" in Git, \
             \"b3RoZXI=\" live, moved by kubectl-edit at 2026-11-30T12:00:00Z"
        );
        let json = serde_json::to_string(&told).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), told);
    }

    #[test]
    fn what_cannot_be_repaired_says_why() {
        let told = record("ConfigMap", Outcome::CannotRepair, "Drifted").message;
        assert!(told.ends_with("\nthe API server says: no"), "{told}");
    }

    #[test]
    fn what_slipped_past_is_one_record_whenever_it_is_found() {
        let at = |second| {
            let mut told = record("ConfigMap", Outcome::SlippedPast, "Drifted");
            let repaired = told.repair.take().unwrap();
            identity(
                (&ObjectKey::new("", "ConfigMap", "shop", "web"), "u"),
                &repaired,
                &told.fields,
                Timestamp::from_second(second).unwrap(),
            )
        };
        assert_eq!(at(0), at(90));
    }

    #[test]
    fn a_secret_leaves_no_value() {
        for outcome in [Outcome::Repaired, Outcome::SlippedPast, Outcome::FightDetected] {
            let json = serde_json::to_string(&record("Secret", outcome, "Drifted")).unwrap();
            assert!(!json.contains("aHVudGVyMg==") && !json.contains("b3RoZXI="), "{json}");
        }
    }
}
