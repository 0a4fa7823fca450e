//! Which open break-glass covers this write? The BreakGlass records as they stand, and what holds of them at an instant.
//!
//! A record is the truth: an annotation on an object opens nothing, it only leads to its record. What a grant covers on an object is
//! computed from the object's drift and stored nowhere.

use std::sync::Arc;
use std::time::Duration;

use globset::GlobSet;
use jiff::Timestamp;
use rustc_hash::FxHashMap;

use crate::drift::declared::ObjectKey;
use crate::gate::policy::{Bounds, KindName, Subject};
use crate::limits::CLOCK_SKEW_MAX;

/// One BreakGlass that has not ended, as its record says.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Name of the record.
    pub record: String,
    /// Why.
    pub reason: String,
    /// Who opened it.
    pub by: String,
    /// Whom it lets write.
    pub who: Who,
    /// What they may write to.
    pub what: What,
    /// Since when, by the API server's clock.
    pub opened: Timestamp,
    /// For how long.
    pub duration: Duration,
}

/// Whom a grant lets write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Whoever has the right to break the glass at the moment of writing: the API server is asked about each writer.
    Permitted,
    /// These.
    Subjects(Vec<Subject>),
}

/// What a grant lets write to.
#[derive(Debug, Clone)]
pub enum What {
    /// One object and what comes of it; of a Namespace all that is in it. Made anew it is another object.
    Object(ObjectKey, String),
    /// All that matches.
    Matching(Scope),
}

/// What a BreakGlass names; an absent member matches all.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Namespaces by glob; a Namespace object matches by its own name.
    pub namespaces: Option<GlobSet>,
    /// Kinds.
    pub kinds: Option<Vec<KindName>>,
    /// Names of objects, by glob.
    pub names: Option<GlobSet>,
}

/// All grants that have not ended.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    /// Those of one object or of one Namespace, by it.
    of_object: FxHashMap<ObjectKey, Vec<Arc<Grant>>>,
    /// Those that match.
    matching: Vec<Arc<Grant>>,
}

/// What a write is about, as grants see it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'p> {
    /// The object.
    pub object: &'p ObjectKey,
    /// Its uid, where the write tells.
    pub uid: Option<&'p str>,
    /// The uid of its Namespace, where that was asked.
    pub home: Option<&'p str>,
}

/// A record never changes: its name and its birth tell it.
impl PartialEq for Grant {
    fn eq(&self, other: &Self) -> bool {
        (&self.record, self.opened) == (&other.record, other.opened)
    }
}

impl Eq for Grant {}

impl Grant {
    /// When it ends at the latest.
    pub fn ends(&self) -> Timestamp {
        self.opened.checked_add(self.duration).unwrap_or(Timestamp::MAX)
    }

    /// Whether it is open: neither over, nor ahead (a clock that was turned back opens nothing again).
    pub fn is_open(&self, now: Timestamp) -> bool {
        let opened = self.opened.checked_sub(CLOCK_SKEW_MAX).unwrap_or(Timestamp::MIN);
        opened <= now && now < self.ends()
    }

    /// Whether it is within the bounds of a policy.
    pub fn is_within(&self, bounds: &Bounds) -> bool {
        self.duration <= bounds.longest && bounds.lets(&self.reason)
    }

    /// Whether it is about this.
    pub fn covers(&self, place: Place<'_>) -> bool {
        match &self.what {
            What::Object(key, uid) if key == place.object => place.uid == Some(uid),
            What::Object(key, uid) => {
                is_namespace(key) && key.name() == place.object.namespace() && place.home == Some(uid)
            }
            What::Matching(scope) => scope.matches(place.object),
        }
    }
}

impl What {
    /// Whether it is about this one object.
    pub fn is_object(&self, object: &ObjectKey, of_uid: &str) -> bool {
        match self {
            Self::Object(key, uid) => (key, uid.as_str()) == (object, of_uid),
            Self::Matching(_) => false,
        }
    }
}

impl Bounds {
    /// Whether a reason will do.
    pub fn lets(&self, reason: &str) -> bool {
        !reason.trim().is_empty() && self.reason.as_ref().is_none_or(|pattern| pattern.is_match(reason))
    }
}

impl Scope {
    fn matches(&self, key: &ObjectKey) -> bool {
        let home = if is_namespace(key) { key.name() } else { key.namespace() };
        self.namespaces.as_ref().is_none_or(|globs| !home.is_empty() && globs.is_match(home))
            && self.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|kind| kind.is_of(key)))
            && self.names.as_ref().is_none_or(|globs| globs.is_match(key.name()))
    }
}

impl Grants {
    /// Sorts grants by what they are about.
    pub fn of(grants: impl IntoIterator<Item = Arc<Grant>>) -> Self {
        let mut all = Self::default();
        for grant in grants {
            match &grant.what {
                What::Object(key, _) => all.of_object.entry(key.clone()).or_default().push(grant),
                What::Matching(_) => all.matching.push(grant),
            }
        }
        all
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.of_object.values().map(Vec::len).sum::<usize>() + self.matching.len()
    }

    /// Whether this one is among them.
    pub fn contains(&self, grant: &Grant) -> bool {
        let alike = match &grant.what {
            What::Object(key, _) => self.of_object.get(key).unwrap_or(&self.matching),
            What::Matching(_) => &self.matching,
        };
        alike.iter().any(|known| **known == *grant)
    }

    /// Whether one is about this Namespace, so that its uid matters.
    pub fn is_of_namespace(&self, name: &str) -> bool {
        !self.of_object.is_empty() && self.of_object.contains_key(&namespace(name))
    }

    /// The open grants that are about a Namespace of this name, whichever it is.
    pub fn of_namespace<'g>(&'g self, name: &str, now: Timestamp) -> impl Iterator<Item = &'g Arc<Grant>> + use<'g> {
        let of = (!self.of_object.is_empty() && !name.is_empty()).then(|| self.of_object.get(&namespace(name)));
        of.flatten().into_iter().flatten().filter(move |grant| grant.is_open(now))
    }

    /// The grants that are about this and open.
    pub fn covering<'g>(&'g self, place: Place<'g>, now: Timestamp) -> impl Iterator<Item = &'g Arc<Grant>> {
        let of = |key: &ObjectKey| self.of_object.get(key).map(Vec::as_slice).unwrap_or_default();
        let (own, home) = if self.of_object.is_empty() {
            (&[][..], &[][..])
        } else {
            (of(place.object), of(&namespace(place.object.namespace())))
        };
        let all = own.iter().chain(home).chain(&self.matching);
        all.filter(move |grant| grant.is_open(now) && grant.covers(place))
    }
}

fn namespace(name: &str) -> ObjectKey {
    ObjectKey::new("", "Namespace", "", name)
}

fn is_namespace(key: &ObjectKey) -> bool {
    (key.group(), key.kind()) == ("", "Namespace")
}

#[cfg(test)]
mod tests {
    use globset::{Glob, GlobSetBuilder};

    use super::*;

    fn web() -> ObjectKey {
        ObjectKey::new("apps", "Deployment", "shop", "web")
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(60 * minute).unwrap()
    }

    fn grant(what: What) -> Grant {
        Grant {
            record: "inc-1".into(),
            reason: "INC-1 repair".into(),
            by: "oncall".into(),
            who: Who::Permitted,
            what,
            opened: at(100),
            duration: Duration::from_mins(30),
        }
    }

    fn covers(what: What, object: &ObjectKey, uid: Option<&str>, home: Option<&str>) -> bool {
        let grants = Grants::of([Arc::new(grant(what))]);
        grants.covering(Place { object, uid, home }, at(110)).count() == 1
    }

    #[test]
    fn a_grant_is_open_for_its_time_only_wherever_the_clock_stands() {
        let grant = grant(What::Object(web(), "1".into()));
        for (minute, open) in [(0, false), (99, false), (100, true), (129, true), (130, false), (1_000, false)] {
            assert_eq!(grant.is_open(at(minute)), open, "{minute}");
        }
        assert!(grant.is_open(at(100) - CLOCK_SKEW_MAX));
    }

    #[test]
    fn an_object_made_anew_is_another() {
        for (uid, covered) in [(Some("1"), true), (Some("2"), false), (None, false)] {
            assert_eq!(covers(What::Object(web(), "1".into()), &web(), uid, None), covered, "{uid:?}");
        }
        let other = ObjectKey::new("apps", "Deployment", "shop", "cart");
        assert!(!covers(What::Object(web(), "1".into()), &other, Some("1"), None));
    }

    #[test]
    fn a_namespace_covers_what_is_in_it() {
        let shop = || What::Object(namespace("shop"), "7".into());
        assert!(covers(shop(), &web(), Some("1"), Some("7")));
        assert!(covers(shop(), &namespace("shop"), Some("7"), None));
        assert!(!covers(shop(), &web(), Some("1"), Some("8")), "the Namespace was made anew");
        assert!(!covers(shop(), &web(), Some("1"), None), "nobody said which Namespace it is");
        assert!(!covers(shop(), &ObjectKey::new("apps", "Deployment", "bank", "web"), Some("1"), Some("7")));
    }

    #[test]
    fn a_match_covers_what_it_names() {
        let globs = |glob: &str| GlobSetBuilder::new().add(Glob::new(glob).unwrap()).build().unwrap();
        let shop = Scope { namespaces: Some(globs("shop-*")), ..Scope::default() };
        let in_eu = ObjectKey::new("", "Service", "shop-eu", "web");
        assert!(covers(What::Matching(shop.clone()), &in_eu, None, None));
        assert!(covers(What::Matching(shop.clone()), &namespace("shop-eu"), None, None));
        assert!(!covers(What::Matching(shop.clone()), &web(), None, None));
        let cluster = ObjectKey::new("rbac.authorization.k8s.io", "ClusterRole", "", "shop-eu");
        assert!(!covers(What::Matching(shop), &cluster, None, None));
        let kinds = vec![KindName { kind: "Deployment".into(), group: "apps".into() }];
        let scope = Scope { kinds: Some(kinds), names: Some(globs("w*")), ..Scope::default() };
        assert!(covers(What::Matching(scope.clone()), &web(), None, None));
        assert!(!covers(What::Matching(scope), &ObjectKey::new("apps", "Deployment", "shop", "cart"), None, None));
    }

    #[test]
    fn a_grant_beyond_the_bounds_of_a_policy_is_none_there() {
        let within = |minutes, pattern: &str| {
            let reason = Some(regex::Regex::new(pattern).unwrap());
            grant(What::Matching(Scope::default())).is_within(&Bounds { longest: Duration::from_mins(minutes), reason })
        };
        assert!(within(30, "^INC-") && !within(29, "^INC-") && !within(30, "^CHG-"));
    }
}
