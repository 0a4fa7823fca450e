//! What do the annotations of an object ask for? Break-glass as a person writes it, and whether it may be had.
//!
//! An annotation requests and displays, and opens nothing by itself: no secret and no signature is in it, so who copies, forges or
//! prolongs it gains nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::drift::path::FieldPath;
use crate::gate::duration::{duration, written};
use crate::gate::managers;
use crate::gate::policy::Bounds;
use crate::limits::BREAK_GLASS_DEFAULT;

/// Holds the reason.
pub const REASON: &str = "landfast.dev/break-glass";

/// Holds for how long, as `30m`.
pub const DURATION: &str = "landfast.dev/break-glass-for";

/// What an object's annotations ask for, as written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// The reason.
    pub reason: String,
    /// For how long, where it says.
    pub duration: Option<String>,
}

/// What a write does to the annotations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// Nothing.
    None,
    /// It sets or changes them, so that they ask for this.
    Set(Ask),
    /// It takes them away.
    Removed,
}

/// Why a break-glass does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Void {
    /// The policy offers none.
    NotOffered,
    /// The reason is empty, or not what the policy asks for.
    Reason(Option<String>),
    /// The time cannot be read.
    Duration(String),
    /// The time is longer than this.
    TooLong(Duration),
    /// The writer has no right to it.
    NotPermitted,
    /// Nobody could be asked about the writer's right.
    Unasked,
    /// The record of it could not be made.
    Unrecorded,
    /// There is no record of it that is open: it was set where landfast did not see it, copied, or its time is over.
    NotOpen,
    /// It stands in Git.
    InGit,
    /// Deployers open none.
    Deployer,
    /// It is for others.
    NotForYou,
}

/// The annotations of an object (JSON) that holds the name of one at all; `None` where it has none.
pub fn annotations(object: &RawValue, name: &str) -> Option<BTreeMap<String, Option<String>>> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        #[serde(default)]
        annotations: Option<BTreeMap<String, Option<String>>>,
    }
    if !object.get().contains(name) {
        return None;
    }
    serde_json::from_str::<Object>(object.get()).ok()?.metadata.annotations
}

impl Ask {
    /// What an object (JSON) asks for. Read for the few objects that hold the word at all.
    pub fn of(object: &RawValue) -> Option<Self> {
        let annotations = annotations(object, REASON)?;
        Self::among(|name| annotations.get(name)?.clone())
    }

    /// What annotations ask for, each found by its name.
    pub fn among(find: impl Fn(&str) -> Option<String>) -> Option<Self> {
        Some(Self { reason: find(REASON)?, duration: find(DURATION) })
    }

    /// For how long it asks under these bounds; or why it is not to be had.
    pub fn within(&self, bounds: &Bounds) -> Result<Duration, Void> {
        if !bounds.lets(&self.reason) {
            return Err(Void::Reason(bounds.reason.as_ref().map(|pattern| pattern.as_str().to_owned())));
        }
        let asked = match &self.duration {
            None => BREAK_GLASS_DEFAULT.min(bounds.longest),
            Some(text) => {
                duration(text).ok().filter(|time| time.as_secs() > 0).ok_or_else(|| Void::Duration(text.clone()))?
            }
        };
        if asked > bounds.longest { Err(Void::TooLong(bounds.longest)) } else { Ok(asked) }
    }

    /// Name of the record of this request on the object of this uid: the same on every replica. It begins as the reason does.
    pub fn record(&self, uid: &str) -> String {
        let mut digest = Sha256::new();
        for part in [uid, &self.reason, self.duration.as_deref().unwrap_or_default()] {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        let digest = format!("{:x}", digest.finalize());
        format!("{}-{}", self.word(), &digest[..12])
    }

    /// How the names of its records begin: as its reason does.
    pub fn word(&self) -> String {
        const WORD_CHARS: usize = 40;
        let word = self.reason.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        let word: String = word.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(WORD_CHARS).collect();
        let word = word.trim_matches('-');
        if word.is_empty() { "break-glass".to_owned() } else { word.to_owned() }
    }
}

/// When the annotation that gives the reason was set on an object, as the server notes it; nothing where it does not.
pub fn set_at(object: &Value) -> Option<String> {
    let path = FieldPath::of(["metadata", "annotations", REASON]);
    let times: Option<Vec<&str>> = managers::owners(object, &path).map(|owner| owner["time"].as_str()).collect();
    times?.into_iter().min().map(str::to_owned)
}

impl Move {
    /// What a write does to what the object asks for.
    pub fn of(before: Option<Ask>, after: Option<Ask>) -> Self {
        match (before, after) {
            (before, Some(after)) if before.as_ref() != Some(&after) => Self::Set(after),
            (Some(_), None) => Self::Removed,
            (_, _) => Self::None,
        }
    }
}

impl Void {
    /// Why, in words that end a sentence which begins with the break-glass.
    pub fn words(&self, user: &str, policy: &str) -> String {
        match self {
            Self::NotOffered => format!("policy {policy} offers none"),
            Self::Reason(None) => "it gives no reason".to_owned(),
            Self::Reason(Some(pattern)) => format!("its reason does not match {pattern}"),
            Self::Duration(text) => format!("`{text}` is no duration such as 30m"),
            Self::TooLong(longest) => format!("policy {policy} allows at most {}", written(*longest)),
            Self::NotPermitted => format!("{user} may not break the glass of policy {policy}"),
            Self::Unasked => {
                format!("the API server did not say whether {user} may break the glass of policy {policy}")
            }
            Self::Unrecorded => "its record could not be made".to_owned(),
            Self::NotOpen => "there is no open record of it".to_owned(),
            Self::InGit => "in Git it opens nothing".to_owned(),
            Self::Deployer => "a deployer opens none".to_owned(),
            Self::NotForYou => format!("it is not for {user}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    fn ask(reason: &str, duration: Option<&str>) -> Ask {
        Ask { reason: reason.to_owned(), duration: duration.map(str::to_owned) }
    }

    fn bounds() -> Bounds {
        let reason = Some(Regex::new(r"^(INC|CHG)-\d+ .+").unwrap());
        Bounds { longest: Duration::from_hours(4), reason }
    }

    #[test]
    fn a_request_is_read_from_the_annotations() {
        let of = |annotations: &str| {
            Ask::of(&RawValue::from_string(format!(r#"{{"metadata":{{"annotations":{annotations}}}}}"#)).unwrap())
        };
        let full = r#"{"a":"b","landfast.dev/break-glass":"INC-1 x","landfast.dev/break-glass-for":"5m"}"#;
        assert_eq!(of(full), Some(ask("INC-1 x", Some("5m"))));
        assert_eq!(of(r#"{"landfast.dev/break-glass-for":"5m"}"#), None);
        assert_eq!(of("null"), None);
    }

    #[test]
    fn a_request_is_held_to_the_bounds() {
        let within = |reason: &str, duration| ask(reason, duration).within(&bounds());
        assert_eq!(within("INC-1 repair", None), Ok(Duration::from_hours(1)));
        assert_eq!(within("INC-1 repair", Some("4h")), Ok(Duration::from_hours(4)));
        assert_eq!(within("INC-1 repair", Some("4h1s")), Err(Void::TooLong(Duration::from_hours(4))));
        assert!(matches!(within("because", None), Err(Void::Reason(Some(_)))));
        for wrong in ["0", "500ms", "soon", "", "-5m"] {
            assert_eq!(within("INC-1 repair", Some(wrong)), Err(Void::Duration(wrong.to_owned())));
        }
        let short = Bounds { longest: Duration::from_mins(5), reason: None };
        assert_eq!(ask("x", None).within(&short), Ok(Duration::from_mins(5)));
        assert_eq!(ask(" ", None).within(&short), Err(Void::Reason(None)));
    }

    #[test]
    fn another_object_reason_or_time_is_another_record() {
        let names = [
            ask("INC-1 repair", None).record("1"),
            ask("INC-1 repair", None).record("2"),
            ask("INC-1 repairs", None).record("1"),
            ask("INC-1 repair", Some("5m")).record("1"),
        ];
        for (n, name) in names.iter().enumerate() {
            assert!(name.starts_with("inc-1-") && !names[..n].contains(name), "{names:?}");
        }
        assert!(ask("§ 5", None).record("1").starts_with("break-glass-"));
    }
}
