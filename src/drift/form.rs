//! What does the API server itself make of a declaration? Its *form*: with defaults, with values that the server assigns and
//! other webhooks rewrite, without what is dropped. It settles what the schemas alone leave open.
//!
//! Learnt by dry-runs elsewhere; nothing here asks a server. A form says nothing of an object of another version.

use std::collections::BTreeSet;
use std::fmt;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use crate::drift::allocated::{Moved, is_allocated, is_service};
use crate::drift::assigned::Assigned;
use crate::drift::compare::{self, Difference, Kind, Typing, Undeclared};
use crate::drift::document::{Document, Value};
use crate::drift::fits::{fits, stamped};
use crate::drift::lookup::Lookup;
use crate::drift::path::{FieldPath, Segment};

/// What the server makes of one declaration.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// As a new object, under names that nobody has; absent where the server makes none.
    made: Option<Made>,
    /// Applied to the object itself; absent where the server refuses that.
    applied: Option<Applied>,
}

/// A declaration that two new objects were made of.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    /// The object, as JSON.
    object: Box<str>,
    /// The other one, where it is another: what differs the server assigns anew each time.
    again: Option<Box<str>>,
    /// When the server says that it made the first; absent where it does not.
    #[serde(default)]
    at: Option<Box<str>>,
}

/// A declaration that was applied to its object.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Applied {
    /// What came of it, as JSON.
    object: Box<str>,
    /// The resource version of what stood there, and may show through; absent where nothing did.
    over: Option<Box<str>>,
}

/// Where an object is on its way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A write would make it.
    New,
    /// A write would make it of the one that is stored.
    Written,
    /// It is stored.
    Stored,
}

impl fmt::Debug for Form {
    /// Without the objects: they may be Secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (made, applied) = (self.made.is_some(), self.applied.is_some());
        write!(f, "Form({} bytes, made {made}, applied {applied})", self.bytes())
    }
}

impl Form {
    /// The form of a declaration that was made an object of twice (both as JSON), under names that nobody else has.
    pub fn made(object: &str, again: &str) -> Self {
        let again = (object != again).then(|| again.into());
        Self { made: Some(Made { object: object.into(), again, at: None }), applied: None }
    }

    /// The same, where the server says when it made the first: a time of then is one that it stamps whatever is written with.
    #[must_use]
    pub fn and_made_at(self, at: Option<&str>) -> Self {
        let at = at.map(Into::into);
        Self { made: self.made.map(|made| Made { at, ..made }), ..self }
    }

    /// The form of a declaration that was only applied to its object: see [`Self::and_applied`].
    pub fn applied(object: &str, over: Option<&str>) -> Self {
        Self { made: None, applied: None }.and_applied(object, over)
    }

    /// The same with what came of it when it was applied to its object (JSON), over what stood there in this resource version,
    /// if anything did.
    #[must_use]
    pub fn and_applied(self, object: &str, over: Option<&str>) -> Self {
        Self { applied: Some(Applied { object: object.into(), over: over.map(Into::into) }), ..self }
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        let made = |made: &Made| made.object.len() + made.again.as_ref().map_or(0, |again| again.len());
        self.made.as_ref().map_or(0, made) + self.applied.as_ref().map_or(0, |applied| applied.object.len())
    }

    /// Settles what `against` finds in an object: `against` compares one declaration with any object.
    ///
    /// A difference that the server would make itself is none, whether the engine is sure of it or not. What is left is sure
    /// where the server does not make one thing of a new object and another of the one that is there (admission that acts on
    /// what is created, a value that is kept), and where it was applied to this very object. A time that the server stamps each
    /// write with stays open. A form that cannot be read settles nothing.
    pub fn settle(
        &self,
        object: &Document<'_>,
        stage: Stage,
        against: impl Fn(&Document<'_>) -> Vec<Difference>,
    ) -> Vec<Difference> {
        let mut found = against(object);
        if found.is_empty() {
            return found;
        }
        let outcomes = Outcomes::of(self, object, stage, against);
        found.retain(|it| outcomes.stamps(it) || outcomes.may_keep(it) || !outcomes.expect(it));
        // An update keeps what was allocated, unless it changes for what.
        let certain = found.iter().filter(|it| it.kind != Kind::Unknown).map(|it| &it.path);
        let moved = Moved::by(object, certain);
        found.retain(|it| !outcomes.may_keep(it) || moved.reaches(&it.path));
        let is_open = |it: &Difference| outcomes.stamps(it) || outcomes.may_keep(it);
        let is_sure = |it: &&mut Difference| it.kind == Kind::Unknown && !is_open(it) && outcomes.tell(it);
        for difference in found.iter_mut().filter(is_sure) {
            difference.kind = if difference.live.is_some() { Kind::Changed } else { Kind::Missing };
        }
        found
    }

    /// What an object has, or has not, beyond this form, outside of what is declared; `None` where the form cannot tell.
    pub fn beyond(
        &self,
        typing: Typing<'_>,
        declared: &Document<'_>,
        object: &Document<'_>,
    ) -> Option<Vec<Undeclared>> {
        let Made { object: made, again, at } = self.made.as_ref()?;
        let at = at.as_deref();
        let made = Document::parse(made.as_bytes()).ok()?;
        let mut found = compare::undeclared(typing, declared, &made, object);
        if is_service(&made) {
            found.retain(|found| found.before.is_none() || found.after.is_none() || !is_allocated(&found.path));
        }
        found.retain(|found| !stamped(found.before.as_deref(), found.before.as_deref(), at, found.after.as_deref()));
        let Some(again) = again else { return Some(found) };
        let again = Document::parse(again.as_bytes()).ok()?;
        let others: FxHashMap<FieldPath, Option<String>> = compare::undeclared(typing, declared, &again, object)
            .into_iter()
            .map(|other| (other.path, other.before))
            .collect();
        let mut items = Assigned::between(compare::undeclared(typing, declared, &made, &again));
        found.retain(|found| match others.get(&found.path) {
            // The second time, it came out as it stands here.
            None => false,
            Some(other) => {
                !fits(found.before.as_deref(), other.as_deref(), found.after.as_deref()) && !items.take(found)
            }
        });
        Some(found)
    }
}

/// Compares a declaration with an object, with the form of the declaration at hand. Empty: they agree.
///
/// All three in the same version; see [`compare`](compare::compare).
pub fn compare_with(
    typing: Typing<'_>,
    declared: &Document<'_>,
    object: &Document<'_>,
    stage: Stage,
    form: &Form,
) -> Vec<Difference> {
    form.settle(object, stage, |object| compare::compare(typing, declared, object))
}

/// Whether one of these paths is `path`, or lies above or beneath it.
pub fn touches(paths: &BTreeSet<FieldPath>, path: &FieldPath) -> bool {
    let beneath = paths.range::<FieldPath, _>(path..).next().is_some_and(|next| path.covers(next));
    beneath || (0..path.0.len()).any(|length| paths.contains(&FieldPath(path.0[..length].to_vec())))
}

/// What the server made of the declaration, beside an object.
struct Outcomes<'f> {
    /// Of a new object, twice; the same where both came out alike.
    made: Option<(Side<'f>, Side<'f>)>,
    /// Of the object itself.
    applied: Option<Side<'f>>,
    /// What that counts for.
    weight: Weight,
    /// Whether something stood there.
    over: bool,
    /// Whether they are of a Service.
    of_service: bool,
    /// When the new object was made.
    at: Option<&'f str>,
}

/// What it counts for that a declaration was applied to its object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// It was this very object, so that nothing else counts.
    All,
    /// It was an object in the same place as this one.
    Most,
    /// It was made anew, and this one is written over another.
    Some,
    /// What stood there shows through, and does not here.
    Nothing,
}

impl<'f> Outcomes<'f> {
    fn of(
        form: &'f Form,
        object: &Document<'_>,
        stage: Stage,
        against: impl Fn(&Document<'_>) -> Vec<Difference>,
    ) -> Self {
        let side = |json: &'f str| {
            let document = Document::parse(json.as_bytes()).ok()?;
            Some(Side::of(against(&document), document))
        };
        let made = form.made.as_ref().and_then(|made| {
            let again = made.again.as_deref().unwrap_or(&made.object);
            side(&made.object).zip(side(again))
        });
        let over = form.applied.as_ref().and_then(|applied| applied.over.as_deref());
        let weight = match (stage, over) {
            (Stage::New, Some(_)) if made.is_some() => Weight::Nothing,
            (Stage::Stored, Some(over)) if version(object) == Some(over) => Weight::All,
            (Stage::Stored | Stage::Written, None) => Weight::Some,
            (Stage::New, _) | (Stage::Stored | Stage::Written, Some(_)) => Weight::Most,
        };
        let applied = form.applied.as_ref().filter(|_| weight != Weight::Nothing);
        let applied = applied.and_then(|applied| side(&applied.object));
        let at = form.made.as_ref().and_then(|made| made.at.as_deref());
        Self { made, applied, weight, over: over.is_some(), of_service: is_service(object), at }
    }

    /// Whether a difference may be no more than the time of the write, which only that write can tell.
    fn stamps(&self, difference: &Difference) -> bool {
        let Some((one, other)) = self.made.as_ref().filter(|_| self.weight != Weight::All) else { return false };
        let is_open = difference.kind == Kind::Unknown;
        is_open && stamped(one.expects(difference), other.expects(difference), self.at, difference.live.as_deref())
    }

    /// Whether a difference is one of what the server allocated to this object, and does not hold for others.
    fn is_allocated(&self, difference: &Difference) -> bool {
        self.weight != Weight::All && self.of_service && is_allocated(&difference.path)
    }

    /// Whether the server may keep what it allocated, since Git leaves it open.
    fn may_keep(&self, difference: &Difference) -> bool {
        self.is_allocated(difference) && difference.kind == Kind::Unknown && difference.live.is_some()
    }

    /// Whether a difference is what the server would make itself.
    fn expect(&self, difference: &Difference) -> bool {
        // What is filled in beside what Git says: no outcome shows that by what it has of Git's.
        if is_as_declared(difference) {
            return self.weight == Weight::All
                && self.applied.as_ref().is_some_and(|applied| applied.holds(difference));
        }
        if self.applied.as_ref().is_some_and(|applied| applied.fits(difference)) {
            return true;
        }
        if self.is_allocated(difference) {
            return false;
        }
        let Some((one, other)) = &self.made else { return false };
        let (one, other) = (one.expects(difference), other.expects(difference));
        // What is assigned anew each time agrees in any case.
        (self.applied.is_none() || self.weight == Weight::Some || one != other)
            && fits(one, other, difference.live.as_deref())
    }

    /// Whether a difference that is left is sure.
    fn tell(&self, difference: &Difference) -> bool {
        match (&self.made, &self.applied) {
            (_, Some(_)) if self.weight == Weight::All => true,
            _ if is_as_declared(difference) => false,
            (None, _) => false,
            (Some(_), None) => true,
            // What stands there may be kept where Git leaves it open, though it was what a new object has.
            (Some(_), Some(_)) if self.over && is_left_open(difference) => false,
            (Some((one, other)), Some(applied)) => {
                fits(one.expects(difference), other.expects(difference), applied.expects(difference))
            }
        }
    }
}

/// Whether a declaration says no more of what stands there than that the server may keep it.
fn is_left_open(difference: &Difference) -> bool {
    let says_nothing =
        matches!(difference.declared.as_deref(), None | Some("null" | "\"\"" | "0" | "false" | "[]" | "{}"));
    says_nothing && difference.live.is_some()
}

/// Whether what stands there is what is declared.
fn is_as_declared(difference: &Difference) -> bool {
    let declared = difference.declared.as_deref();
    fits(declared, declared, difference.live.as_deref())
}

/// The version in which an object is stored.
fn version<'o>(object: &'o Document<'_>) -> Option<&'o str> {
    object.root().get("metadata")?.get("resourceVersion")?.as_str()
}

/// In what one outcome of the server differs from the declaration.
struct Side<'f> {
    /// The object.
    document: Document<'f>,
    /// What stands there instead, by path; the order of a list apart from its value.
    other: FxHashMap<(FieldPath, bool), Option<String>>,
    /// Where it has nothing of what is declared.
    missing: FxHashSet<FieldPath>,
}

impl<'f> Side<'f> {
    fn of(differences: Vec<Difference>, document: Document<'f>) -> Self {
        let is_missing = |difference: &&Difference| difference.live.is_none();
        let missing = differences.iter().filter(is_missing).map(|difference| difference.path.clone()).collect();
        let other = differences.into_iter().map(|it| ((it.path, it.kind == Kind::Reordered), it.live)).collect();
        Self { document, other, missing }
    }

    /// What the server makes of what is declared where an object differs: where this side does not, that is the declared value.
    fn expects<'s>(&'s self, difference: &'s Difference) -> Option<&'s str> {
        let place = (difference.path.clone(), difference.kind == Kind::Reordered);
        if let Some(live) = self.other.get(&place) {
            return live.as_deref();
        }
        let path = &difference.path.0;
        let is_gone = (1..path.len()).any(|length| self.missing.contains(&FieldPath(path[..length].to_vec())));
        difference.declared.as_deref().filter(|declared| !is_gone && (*declared == "{}" || !self.is_hollow(path)))
    }

    /// Whether there is no more than a pair of braces: the server drops zero values, and may still write what held them.
    fn is_hollow(&self, path: &[Segment]) -> bool {
        let mut at = Some(self.document.root());
        for segment in path {
            let Segment::Field(name) = segment else { return false };
            at = at.and_then(|at| at.get(name));
        }
        at.is_some_and(|at| at.is_leaf() && at.value() == &Value::Object)
    }

    /// Whether an object's value is what stands in this outcome, all of it.
    fn holds(&self, difference: &Difference) -> bool {
        let own = Lookup::of(&self.document).json(&difference.path);
        fits(own.as_deref(), own.as_deref(), difference.live.as_deref())
    }

    /// Whether the difference is what stands in this outcome.
    fn fits(&self, difference: &Difference) -> bool {
        let expected = self.expects(difference);
        fits(expected, expected, difference.live.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::schema::Schemas;

    const DECLARED: &str = r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"clusterIP":"","type":"NodePort","ports":[{"port":80,"nodePort":0,"targetPort":"web"}]}}"#;

    fn document(json: &str) -> Document<'_> {
        Document::parse(json.as_bytes()).expect("an object")
    }

    fn service(address: &str, port: u16, target: &str) -> String {
        format!(
            r#"{{"apiVersion":"v1","kind":"Service","metadata":{{"name":"web"}},"spec":{{"clusterIP":"{address}","type":"NodePort","sessionAffinity":"None","ports":[{{"port":80,"protocol":"TCP","nodePort":{port},"targetPort":"{target}"}}]}}}}"#
        )
    }

    fn left(form: &Form, object: &str) -> Vec<String> {
        left_at(Stage::Written, DECLARED, form, object)
    }

    fn left_at(stage: Stage, declared: &str, form: &Form, object: &str) -> Vec<String> {
        let schemas = Schemas::builtin();
        let typing = Typing::of(&schemas, "", "v1", "Service");
        let found = compare_with(typing, &document(declared), &document(object), stage, form);
        found.into_iter().map(|difference| format!("{:?} {}", difference.kind, difference.path)).collect()
    }

    fn beyond(form: &Form, object: &str) -> Option<Vec<String>> {
        let schemas = Schemas::builtin();
        let typing = Typing::of(&schemas, "", "v1", "Service");
        let found = form.beyond(typing, &document(DECLARED), &document(object))?;
        Some(found.into_iter().map(|beyond| beyond.path.to_string()).collect())
    }

    #[test]
    fn what_the_server_rewrites_is_no_difference_and_what_others_write_is() {
        let form = Form::made(&service("10.0.0.0", 1, "mirrored"), &service("10.0.0.0", 1, "mirrored"));
        assert_eq!(left(&form, &service("10.0.0.1", 1, "mirrored")), [""; 0]);
        assert_eq!(left(&form, &service("10.0.0.1", 1, "web")), [""; 0]);
        let target = "Changed spec.ports[port=80,protocol=TCP].targetPort";
        assert_eq!(left(&form, &service("10.0.0.1", 1, "other")), [target]);
    }

    #[test]
    fn what_a_service_is_allocated_agrees_whatever_a_dry_run_says() {
        let form = Form::made(&service("10.0.0.0", 32769, "web"), &service("10.0.0.0", 32769, "web"));
        assert_eq!(left(&form, &service("10.0.0.3", 3, "web")), [""; 0]);
        assert_eq!(beyond(&form, &service("10.0.0.3", 3, "web")), Some(vec![]));
        let given = DECLARED.replace(r#""nodePort":0"#, r#""nodePort":30001"#);
        for port in [30002, 32769] {
            let other = service("10.0.0.3", port, "web");
            assert_eq!(left_at(Stage::Written, &given, &form, &other).len(), 1, "given, so not allocated");
        }
    }

    #[test]
    fn what_is_allocated_for_something_else_is_only_known_to_the_server() {
        let named =
            |object: &str, name: &str| object.replace(r#""port":80,"#, &format!(r#""port":80,"name":"{name}","#));
        let form = Form::made(&service("10.0.0.0", 1, "web"), &service("10.0.0.0", 1, "web"));
        let renamed = named(&service("10.0.0.1", 3, "web"), "b");
        let port = |field: &str| format!("spec.ports[port=80,protocol=TCP].{field}");
        let mut left = left_at(Stage::Written, &named(DECLARED, "a"), &form, &renamed);
        left.sort();
        assert_eq!(left, [format!("Changed {}", port("name")), format!("Unknown {}", port("nodePort"))]);
        let twice = service("10.0.0.1", 3, "web").replace("]}}", r#",{"port":81,"protocol":"UDP","nodePort":3}]}}"#);
        assert_eq!(left_at(Stage::Written, DECLARED, &form, &twice), [format!("Unknown {}", port("nodePort"))]);
    }

    #[test]
    fn a_time_that_the_server_stamps_each_write_with_stays_open() {
        let slice = |version: &str, time: &str, key: &str| {
            format!(
                r#"{{"apiVersion":"resource.k8s.io/v1","kind":"ResourceSlice","metadata":{{"resourceVersion":"{version}"}},"spec":{{"devices":[{{"name":"a","taints":[{{"key":"{key}","effect":"NoSchedule"{time}}}]}}]}}}}"#
            )
        };
        let at = |second: u8| format!(r#","timeAdded":"2026-11-02T12:00:{second:02}Z""#);
        let made = slice("", &at(1), "k");
        let form = Form::made(&made, &made).and_made_at(Some("2026-11-02T12:00:02Z"));
        let form = form.and_applied(&slice("7", &at(1), "k"), Some("7"));
        let schemas = Schemas::builtin();
        let typing = Typing::of(&schemas, "resource.k8s.io", "v1", "ResourceSlice");
        let left = |stage, live: &str| {
            let found = compare_with(typing, &document(&slice("", "", "k")), &document(live), stage, &form);
            found.into_iter().map(|it| format!("{:?} {}", it.kind, it.path)).collect::<Vec<_>>()
        };
        for (stage, live, expected) in [
            (Stage::New, slice("", &at(40), "k"), "Unknown spec.devices"),
            (Stage::Written, slice("8", &at(1), "k"), "Unknown spec.devices"),
            (Stage::Written, slice("8", &at(40), "k"), "Unknown spec.devices"),
            (Stage::Written, slice("8", &at(40), "other"), "Changed spec.devices"),
            // By the word of the server itself, about this very object: it would stamp it anew.
            (Stage::Stored, slice("7", &at(0), "k"), "Changed spec.devices"),
        ] {
            assert_eq!(left(stage, &live), [expected], "{stage:?} {live}");
        }
    }

    #[test]
    fn where_the_server_says_two_things_any_scalar_agrees() {
        let twice = |one, other| Form::made(&service("10.0.0.0", 1, one), &service("10.0.0.0", 1, other));
        assert_eq!(left(&twice("a", "b"), &service("10.0.0.3", 3, "c")), [""; 0]);
        let list = service("10.0.0.3", 3, "c").replace(r#""targetPort":"c""#, r#""targetPort":["c"]"#);
        assert_eq!(left(&twice("a", "b"), &list).len(), 1);
    }

    /// Whether a declared target that only the server knows is what stands there: unknown where nobody can tell.
    fn zero_port(stage: Stage, form: &Form, target: &str) -> Vec<String> {
        left_at(stage, &DECLARED.replace(r#""web"}]"#, "0}]"), form, &stored(target))
    }

    fn stored(target: &str) -> String {
        service("10.0.0.1", 1, target).replace(r#""name":"web""#, r#""name":"web","resourceVersion":"7""#)
    }

    const TARGET: &str = "spec.ports[port=80,protocol=TCP].targetPort";

    #[test]
    fn what_was_only_applied_to_its_object_only_excuses_what_is_written() {
        let form = Form::applied(&service("10.0.0.1", 1, "web"), Some("7"));
        assert_eq!(zero_port(Stage::Written, &form, "web"), [""; 0]);
        assert_eq!(zero_port(Stage::Written, &form, "other"), [format!("Unknown {TARGET}")]);
        assert_eq!(beyond(&form, &service("10.0.0.1", 1, "web")), None);
        let made = Form::made(&service("10.0.0.1", 1, "web"), &service("10.0.0.1", 1, "web"));
        assert_eq!(zero_port(Stage::Written, &made, "other"), [format!("Changed {TARGET}")]);
    }

    #[test]
    fn what_was_applied_to_an_object_tells_all_of_that_object() {
        let form = Form::applied(&service("10.0.0.1", 1, "web"), Some("7"));
        assert_eq!(zero_port(Stage::Stored, &form, "web"), [""; 0]);
        assert_eq!(zero_port(Stage::Stored, &form, "other"), [format!("Changed {TARGET}")]);
        let other = Form::applied(&service("10.0.0.1", 1, "web"), Some("6"));
        assert_eq!(zero_port(Stage::Stored, &other, "other"), [format!("Unknown {TARGET}")]);
    }

    #[test]
    fn what_is_made_of_new_objects_only_says_nothing_of_the_one_that_is_there() {
        let new = service("10.0.0.0", 1, "new");
        let form = Form::made(&new, &new).and_applied(&service("10.0.0.1", 1, "kept"), Some("7"));
        assert_eq!(zero_port(Stage::Stored, &form, "kept"), [""; 0]);
        assert_eq!(zero_port(Stage::Stored, &form, "new"), [format!("Changed {TARGET}")]);
        for target in ["new", "other"] {
            assert_eq!(zero_port(Stage::Written, &form, target), [format!("Unknown {TARGET}")]);
        }
        assert_eq!(zero_port(Stage::New, &form, "new"), [""; 0]);
        assert_eq!(zero_port(Stage::New, &form, "kept"), [format!("Changed {TARGET}")]);
    }

    #[test]
    fn what_git_leaves_open_may_be_kept_though_it_is_what_a_new_object_has() {
        let both = service("10.0.0.1", 1, "web");
        let form = Form::made(&both, &both).and_applied(&both, Some("7"));
        assert_eq!(zero_port(Stage::Written, &form, "web"), [""; 0]);
        assert_eq!(zero_port(Stage::Written, &form, "other"), [format!("Unknown {TARGET}")]);
        let gated = DECLARED.replace(r#""targetPort":"web""#, r#""targetPort":"web","gated":"a""#);
        let written = stored("web").replace(r#""targetPort":"web""#, r#""targetPort":"web","gated":"b""#);
        let gate = "spec.ports[port=80,protocol=TCP].gated";
        assert_eq!(left_at(Stage::Written, &gated, &form, &written), [format!("Changed {gate}")]);
    }

    #[test]
    fn what_is_rewritten_only_where_the_object_is_there_is_no_drift() {
        let form = Form::made(&service("10.0.0.0", 1, "web"), &service("10.0.0.0", 1, "web"));
        let form = form.and_applied(&service("10.0.0.1", 1, "mirrored"), Some("7"));
        assert_eq!(left(&form, &service("10.0.0.1", 1, "mirrored")), [""; 0]);
        assert_eq!(left(&form, &service("10.0.0.1", 1, "other")), [format!("Changed {TARGET}")]);
    }

    #[test]
    fn what_the_server_drops_is_no_difference_where_it_is_not() {
        let schemas = Schemas::builtin();
        let typing = Typing::of(&schemas, "", "v1", "ConfigMap");
        let declared =
            document(r#"{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"1","b":"2"},"binaryData":{"c":"AA=="}}"#);
        let form = Form::made(r#"{"data":{"a":"1"}}"#, r#"{"data":{"a":"1"}}"#);
        let left = |object: &str| {
            let found = compare_with(typing, &declared, &document(object), Stage::Written, &form);
            found.into_iter().map(|difference| difference.path.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(left(r#"{"data":{"a":"1"}}"#), [""; 0]);
        assert_eq!(left(r#"{"data":{"a":"1"},"binaryData":{}}"#), [""; 0]);
        assert_eq!(left(r#"{"data":{"a":"2"}}"#), ["data.a"]);
        assert_eq!(left(r#"{"data":{"a":"1","b":"3"}}"#), ["data.b"]);
        assert_eq!(left("{}"), ["data.a"], "nobody has the rest");
    }

    #[test]
    fn beyond_the_form_is_what_somebody_added() {
        let form = Form::made(&service("10.0.0.1", 1, "web"), &service("10.0.0.2", 2, "web"));
        assert_eq!(beyond(&form, &service("10.0.0.3", 3, "web")), Some(vec![]));
        let added = service("10.0.0.3", 3, "web").replace(r#""None""#, r#""ClientIP","externalName":"x""#);
        assert_eq!(beyond(&form, &added).unwrap(), ["spec.sessionAffinity", "spec.externalName"]);
    }

    #[test]
    fn an_item_that_the_server_names_anew_each_time_stands_for_one() {
        let schemas = Schemas::builtin();
        let typing = Typing::of(&schemas, "", "v1", "Pod");
        let pod = |names: &[&str]| {
            let volumes: Vec<_> = names.iter().map(|name| format!(r#"{{"name":"{name}","emptyDir":{{}}}}"#)).collect();
            format!(r#"{{"apiVersion":"v1","kind":"Pod","spec":{{"volumes":[{}]}}}}"#, volumes.join(","))
        };
        let form = Form::made(&pod(&["token-a"]), &pod(&["token-b"]));
        let declared = document(r#"{"apiVersion":"v1","kind":"Pod","spec":{}}"#);
        let added = |names: &[&str]| {
            let pod = pod(names);
            let found = form.beyond(typing, &declared, &document(&pod)).unwrap();
            found.into_iter().filter(|it| it.after.is_some()).count()
        };
        assert_eq!((added(&["token-c"]), added(&["token-c", "more"])), (0, 1));
    }

    #[test]
    fn a_difference_touches_what_lies_above_and_beneath_it() {
        let paths = ["a.b", "a.b.c.d", "x"].map(|path| path.parse::<FieldPath>().unwrap()).into();
        let touched = |path: &str| touches(&paths, &path.parse().unwrap());
        assert!(touched("a") && touched("a.b") && touched("a.b.z") && touched("x.y"));
        assert!(!touched("b") && !touched("a.c") && !touched("xy"));
    }
}
