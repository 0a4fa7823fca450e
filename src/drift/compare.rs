//! What differs between what Git declares and an object? The answer of a forced server-side apply, in memory.
//!
//! Total: any two documents get an answer. Recursion is bounded by the documents' own depth bound. Only declared fields are
//! looked at; what a write does beside them is [`undeclared`](crate::drift::undeclared)'s.

use crate::drift::coupled::coupled;
use crate::drift::document::{At, Document, Value};
use crate::drift::filled::would_fill;
use crate::drift::items::{Identity, Match, aligned, keep_order, matches};
use crate::drift::mask::{Mask, Masked};
use crate::drift::path::FieldPath;
use crate::drift::schema::{Default, Zero};
use crate::drift::secret::{Folded, is_secret};
use crate::drift::slot::{Fields, Form, Slot};
use crate::drift::trail::{Step, Trail};
use crate::drift::typing::is_server_owned;
use crate::drift::value::{Answer, Members, equal};
use crate::drift::whole::same;

pub use crate::drift::typing::{Status, Typing};
pub use crate::drift::undeclared::{Undeclared, undeclared};

/// How a declared path of an object disagrees with its declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The value is another.
    Changed,
    /// Git declares it, the object has it not.
    Missing,
    /// The declared items of a list stand in another order.
    Reordered,
    /// Only the server can tell (a default that no schema gives, a field that no schema knows): never refused on this alone.
    Unknown,
}

/// One declared path at which an object does not, or may not, agree.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Where. Of a merged map or list that is missing, each declared field or item; of an item or an atomic value, its top.
    pub path: FieldPath,
    /// How.
    pub kind: Kind,
    /// Git's value as compact JSON. Of a reordered list: its declared items' keys, in Git's order.
    pub declared: Option<String>,
    /// The object's value as compact JSON; absent where it has none. Of duplicates of one declared item: all of them. Of a
    /// reordered list: its declared items' keys, in the object's order.
    pub live: Option<String>,
    /// The node of the declaration's document that says so, for its line.
    pub node: usize,
}

impl Difference {
    /// Whether a later object differs here as this one did, however sure that is. An item that comes or goes leaves the order of
    /// the others.
    pub fn stays_in(&self, later: &Self) -> bool {
        match (self.kind == Kind::Reordered, later.kind == Kind::Reordered) {
            (true, true) => match (&self.live, &later.live) {
                (Some(live), Some(later)) => keep_order(live, later),
                (live, later) => live == later,
            },
            (false, false) => self.live == later.live,
            (true, false) | (false, true) => false,
        }
    }
}

/// Compares a declaration with an object, both in the same version. Empty: they agree.
///
/// `declared` must be a declaration as [`Declared::json`](crate::drift::declared::Declared) holds it.
pub fn compare(typing: Typing<'_>, declared: &Document<'_>, object: &Document<'_>) -> Vec<Difference> {
    let mut walk = Walk { found: Vec::new(), filled: Vec::new(), mask: typing.mask };
    let secret = is_secret(declared.root()).then(|| Folded::of(declared.root()));
    let mut lives = Members::of(object.root());
    for child in declared.root().children() {
        let name = child.key();
        let trail = Trail { up: None, step: Step::Field(name) };
        match (&secret, name) {
            (Some(folded), "data" | "stringData") => walk.secret(*folded, child, Folded::of(object.root())),
            (_, "metadata") => walk.metadata(typing, child, lives.find(name), &trail),
            _ => {
                if let Some(slot) = typing.member(name) {
                    walk.value(slot, child, lives.find(name), &trail);
                }
            }
        }
    }
    walk.finished()
}

/// Goes down a declaration beside an object.
struct Walk<'m> {
    found: Vec<Difference>,
    /// What the server would fill in beside what is declared, if it changed the object at all.
    filled: Vec<Difference>,
    mask: Option<&'m Mask<'m>>,
}

impl Walk<'_> {
    fn report(&mut self, trail: &Trail<'_>, kind: Kind, declared: At<'_, '_>, live: Option<String>) {
        let node = declared.index();
        self.push(Difference { path: trail.path(), kind, declared: Some(declared.to_json()), live, node });
    }

    fn push(&mut self, difference: Difference) {
        if self.mask.is_none_or(|mask| !mask.covers(&difference.path)) {
            self.found.push(difference);
        }
    }

    /// Where nothing changes the object, nothing is filled in either; but the server may see a change where none is left in the
    /// end (a default that is spelled out).
    fn finished(mut self) -> Vec<Difference> {
        let is_changed = self.found.iter().any(|difference| difference.kind != Kind::Unknown);
        if !is_changed {
            self.filled.iter_mut().for_each(|difference| difference.kind = Kind::Unknown);
        }
        self.found.append(&mut self.filled);
        self.found
    }

    /// Leaves a value as it stands, save for what the server fills in.
    fn keep(&mut self, slot: Slot<'_>, declared: At<'_, '_>, live: At<'_, '_>, trail: &Trail<'_>) {
        if !would_fill(slot, live) {
            return;
        }
        let path = trail.path();
        if self.mask.is_none_or(|mask| !mask.covers(&path)) {
            let (own, its, node) = (Some(declared.to_json()), Some(live.to_json()), declared.index());
            self.filled.push(Difference { path, kind: Kind::Changed, declared: own, live: its, node });
        }
    }

    /// Compares as one value.
    fn leaf(&mut self, slot: Slot<'_>, declared: At<'_, '_>, live: Option<At<'_, '_>>, trail: &Trail<'_>) {
        // The usual case, without a look at the schema.
        if let Some(live) = live.filter(|live| equal(declared, *live)) {
            return self.keep(slot, declared, live, trail);
        }
        let answer = match same(slot, Some(declared), live) {
            Answer::Same if live.is_some_and(|live| would_fill(slot, live)) => Answer::Differs,
            answer @ (Answer::Same | Answer::Differs | Answer::Unknown) => answer,
        };
        let masked = self.mask.filter(|_| answer != Answer::Same).and_then(|mask| {
            let path = trail.path();
            mask.within(&path, Some(declared), live).map(|masked| (mask, path, masked))
        });
        match masked {
            None => self.settle(answer, declared, live, trail),
            Some((mask, path, masked)) => self.masked(slot, declared.index(), mask, path, masked),
        }
    }

    /// Compares what is left of two values. Of a declaration that is left out wholly nothing is compared.
    fn masked(&mut self, slot: Slot<'_>, node: usize, mask: &Mask<'_>, path: FieldPath, masked: Masked) {
        let [declared, live] = masked.documents();
        let (own, its) = (declared.as_ref().map(Document::root), live.as_ref().map(Document::root));
        let kind = match own.map_or(Answer::Same, |own| same(slot, Some(own), its)) {
            Answer::Same => return mask.settled(&path),
            Answer::Unknown => Kind::Unknown,
            Answer::Differs if its.is_none() => Kind::Missing,
            Answer::Differs => Kind::Changed,
        };
        self.push(Difference { path, kind, declared: masked.one, live: masked.other, node });
    }

    fn settle(&mut self, answer: Answer, declared: At<'_, '_>, live: Option<At<'_, '_>>, trail: &Trail<'_>) {
        let kind = match answer {
            Answer::Same => return,
            Answer::Unknown => Kind::Unknown,
            Answer::Differs if live.is_none() => Kind::Missing,
            Answer::Differs => Kind::Changed,
        };
        self.report(trail, kind, declared, live.map(At::to_json));
    }

    fn value(&mut self, slot: Slot<'_>, declared: At<'_, '_>, live: Option<At<'_, '_>>, trail: &Trail<'_>) {
        match (slot.form(), declared.value()) {
            _ if slot.default == Default::Kept => {}
            (Form::Map(fields), Value::Object) => self.container(slot, Inside::Map(fields), declared, live, trail),
            (Form::Deduced, Value::Object) => {
                self.container(slot, Inside::Map(Fields::Deduced), declared, live, trail);
            }
            // A merged list without items declares nothing.
            (Form::List(..), Value::Array) if declared.is_leaf() => {}
            (Form::List(relation, item), Value::Array) => {
                self.container(slot, Inside::List(Identity { relation, item }), declared, live, trail);
            }
            // A declared null leaves a merged container alone, unless that is empty.
            (form, Value::Null) => match live.filter(|live| is_kept(form, *live)) {
                Some(live) => self.keep(slot, declared, live, trail),
                None => self.leaf(slot, declared, live, trail),
            },
            _ => self.leaf(slot, declared, live, trail),
        }
    }

    /// Compares what merges with what is there.
    fn container(
        &mut self,
        slot: Slot<'_>,
        inside: Inside<'_>,
        declared: At<'_, '_>,
        live: Option<At<'_, '_>>,
        trail: &Trail<'_>,
    ) {
        if let Some(live) = live.filter(|live| live.value() == declared.value()) {
            // What is declared empty is the object's own as a whole.
            if declared.is_leaf() {
                self.keep(slot, declared, live, trail);
            }
            return self.within(inside, declared, live, trail);
        }
        // Where the object has none, what the server puts there is merged with.
        if let (None, Default::Value(json)) = (slot.present(live), slot.default) {
            let default = Document::parse_value(json.as_bytes());
            if let Ok(default) = default.as_ref().map(Document::root)
                && default.value() == declared.value()
                && !default.is_leaf()
            {
                return self.within(inside, declared, default, trail);
            }
        }
        // Of what is not there, only what is declared within it counts.
        let lacks = slot.present(live).is_none();
        match inside {
            // The server may make nothing of it at all.
            Inside::Map(_) if lacks && slot.default == Default::Depends => self.leaf(slot, declared, live, trail),
            Inside::Map(fields) if lacks && !declared.is_leaf() && slot.zero == Zero::Value => {
                self.members_of_nothing(fields, declared, trail);
            }
            // A struct that is always there is as if an empty one stood there.
            Inside::Map(fields) if lacks && !declared.is_leaf() => self.members(fields, declared, None, trail),
            Inside::List(identity) if lacks && same(slot, Some(declared), live) == Answer::Differs => {
                for (position, item) in declared.children().enumerate() {
                    self.missing(identity, position, item, trail);
                }
            }
            Inside::Map(_) | Inside::List(_) => self.leaf(slot, declared, live, trail),
        }
    }

    fn within(&mut self, inside: Inside<'_>, declared: At<'_, '_>, live: At<'_, '_>, trail: &Trail<'_>) {
        match inside {
            Inside::Map(fields) => self.members(fields, declared, Some(live), trail),
            Inside::List(identity) => self.items(identity, declared, live, trail),
        }
    }

    fn members(&mut self, fields: Fields<'_>, declared: At<'_, '_>, live: Option<At<'_, '_>>, trail: &Trail<'_>) {
        let mut lives = live.map(Members::of);
        for child in declared.children() {
            if let Some(answer) = coupled(fields, declared, live, child.key()) {
                let trail = Trail { up: Some(trail), step: Step::Field(child.key()) };
                self.settle(answer, child, live.and_then(|live| live.get(child.key())), &trail);
                continue;
            }
            let live = lives.as_mut().and_then(|lives| lives.find(child.key()));
            self.member(fields.slot(child.key()), child, live, trail);
        }
    }

    /// Compares with an object that is not there: it comes with its defaults, so that one that is declared comes, too.
    fn members_of_nothing(&mut self, fields: Fields<'_>, declared: At<'_, '_>, up: &Trail<'_>) {
        for child in declared.children() {
            let trail = Trail { up: Some(up), step: Step::Field(child.key()) };
            let Some(slot) = fields.slot(child.key()) else { continue };
            let inner = match slot.form() {
                Form::Map(fields) => Some(fields),
                Form::Deduced => Some(Fields::Deduced),
                Form::Scalar(_) | Form::Whole(_) | Form::List(..) | Form::WholeMap(_) => None,
            };
            match (inner, slot.form(), slot.default) {
                (Some(fields), _, Default::None | Default::Value(_) | Default::Filled(_))
                    if *child.value() == Value::Object && !child.is_leaf() =>
                {
                    self.members_of_nothing(fields, child, &trail);
                }
                (_, Form::List(relation, item), Default::None | Default::Value(_) | Default::Filled(_))
                    if *child.value() == Value::Array =>
                {
                    for (position, own) in child.children().enumerate() {
                        self.missing(Identity { relation, item }, position, own, &trail);
                    }
                }
                (_, _, Default::Value(_) | Default::Filled(_)) => self.settle(Answer::Differs, child, None, &trail),
                _ if slot.zero == Zero::Written && slot.named => self.settle(Answer::Differs, child, None, &trail),
                _ => self.settle(same(slot, Some(child), None), child, None, &trail),
            }
        }
    }

    fn member(&mut self, slot: Option<Slot<'_>>, declared: At<'_, '_>, live: Option<At<'_, '_>>, up: &Trail<'_>) {
        let trail = Trail { up: Some(up), step: Step::Field(declared.key()) };
        match (slot, live) {
            (Some(slot), live) => self.value(slot, declared, live, &trail),
            // The server drops what its schema does not know; where it stands nevertheless, the schema is not the server's.
            (None, None) => {}
            (None, Some(live)) if equal(declared, live) => {}
            (None, Some(live)) => self.report(&trail, Kind::Unknown, declared, Some(live.to_json())),
        }
    }

    fn metadata(&mut self, typing: Typing<'_>, declared: At<'_, '_>, live: Option<At<'_, '_>>, trail: &Trail<'_>) {
        let Form::Map(fields) = typing.metadata_slot().form() else {
            return;
        };
        let none = Document::default();
        let mut lives = Members::of(live.unwrap_or(none.root()));
        for child in declared.children().filter(|child| !is_server_owned(child.key())) {
            self.member(fields.slot(child.key()), child, lives.find(child.key()), trail);
        }
    }

    fn items(&mut self, identity: Identity<'_>, declared: At<'_, '_>, live: At<'_, '_>, up: &Trail<'_>) {
        let Identity { item, .. } = identity;
        let step = |position, item| Step::Item { identity, position, item };
        if aligned(identity, declared, live) {
            for (position, (own, twin)) in declared.children().zip(live.children()).enumerate() {
                self.value(item, own, Some(twin), &Trail { up: Some(up), step: step(position, own) });
            }
            return;
        }
        let counts = |position: usize, item| {
            self.mask.is_none_or(|mask| !mask.would_cover(&Trail { up: Some(up), step: step(position, item) }.path()))
        };
        let (matches, reordered) = matches(identity, declared, live, counts);
        for (position, found) in matches.into_iter().enumerate() {
            match found {
                Match::Missing(own) => self.missing(identity, position, own, up),
                Match::Several(own, twins) => {
                    let trail = Trail { up: Some(up), step: step(position, own) };
                    let twins = twins.into_iter().map(At::to_json).collect::<Vec<_>>();
                    self.report(&trail, Kind::Changed, own, Some(format!("[{}]", twins.join(","))));
                }
                Match::Pair(own, twin) => {
                    self.value(item, own, Some(twin), &Trail { up: Some(up), step: step(position, own) });
                }
            }
        }
        if let Some(order) = reordered {
            let (declared_order, live) = (Some(order.declared), Some(order.live));
            let (path, node) = (up.path(), declared.index());
            self.push(Difference { path, kind: Kind::Reordered, declared: declared_order, live, node });
        }
    }

    fn missing(&mut self, identity: Identity<'_>, position: usize, item: At<'_, '_>, up: &Trail<'_>) {
        let trail = Trail { up: Some(up), step: Step::Item { identity, position, item } };
        self.report(&trail, Kind::Missing, item, None);
    }

    /// Compares a Secret's values, `stringData` folded into `data`.
    fn secret(&mut self, declared: Folded<'_, '_>, part: At<'_, '_>, live: Folded<'_, '_>) {
        let top = Trail { up: None, step: Step::Field("data") };
        for child in part.children().filter(|child| !declared.is_overridden(*child)) {
            let name = child.key();
            if declared.agrees(live, name) {
                continue;
            }
            let kind = if live.holds(name) { Kind::Changed } else { Kind::Missing };
            let path = Trail { up: Some(&top), step: Step::Field(name) }.path();
            let (declared, live) = (declared.json(name), live.json(name));
            self.push(Difference { path, kind, declared, live, node: child.index() });
        }
    }
}

/// What a container holds.
#[derive(Clone, Copy)]
enum Inside<'s> {
    Map(Fields<'s>),
    List(Identity<'s>),
}

/// Whether what stands here is a merged container that is not empty.
fn is_kept(form: Form<'_>, live: At<'_, '_>) -> bool {
    let container = match form {
        Form::Map(_) | Form::Deduced => Value::Object,
        Form::List(..) => Value::Array,
        Form::Scalar(_) | Form::Whole(_) | Form::WholeMap(_) => return false,
    };
    live.value() == &container && !live.is_leaf()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn document(json: &str) -> Document<'_> {
        Document::parse(json.as_bytes()).expect("an object")
    }

    fn paths(typing: Typing<'_>, declared: &str, live: &str) -> Vec<String> {
        let found = compare(typing, &document(declared), &document(live));
        found.into_iter().map(|difference| format!("{:?} {}", difference.kind, difference.path)).collect()
    }

    #[test]
    fn only_declared_fields_count() {
        let declared = r#"{"kind":"X","metadata":{"name":"a","labels":{"x":"1"}},"spec":{"size":1,"list":[1,2]}}"#;
        let live = r#"{"kind":"X","metadata":{"name":"b","uid":"u","labels":{"x":"1","y":"2"}},"spec":{"list":[1,2],"size":1.0,"more":1},"status":{}}"#;
        assert_eq!(paths(Typing::deduced(), declared, live), [""; 0]);
        let live = r#"{"metadata":{"labels":{"x":"2"}},"spec":{"list":[2,1],"size":"1"}}"#;
        assert_eq!(
            paths(Typing::deduced(), declared, live),
            ["Changed metadata.labels.x", "Changed spec.size", "Changed spec.list"]
        );
    }

    #[test]
    fn of_a_missing_map_each_declared_field_is_told() {
        let declared = r#"{"spec":{"a":{"b":{"c":1,"d":[2],"e":{}}},"f":[3]}}"#;
        let leaves = ["Missing spec.a.b.c", "Missing spec.a.b.d", "Missing spec.a.b.e", "Missing spec.f"];
        for live in [r#"{"spec":{"a":{}}}"#, r#"{"spec":{}}"#, "{}"] {
            assert_eq!(paths(Typing::deduced(), declared, live), leaves, "{live}");
        }
        let found = compare(Typing::deduced(), &document(declared), &document("{}"));
        assert_eq!(found.iter().map(|it| it.node).collect::<Vec<_>>(), [4, 5, 7, 8], "each at its own line");
    }

    #[test]
    fn a_missing_map_is_told_as_an_empty_one_whatever_its_size() {
        let members = (0..50_000).map(|key| format!("\"k{key}\":\"v\"")).collect::<Vec<_>>();
        let declared = format!("{{\"data\":{{{}}}}}", members.join(","));
        let missing = paths(Typing::deduced(), &declared, "{}");
        assert_eq!(missing.len(), members.len());
        assert_eq!(missing, paths(Typing::deduced(), &declared, r#"{"data":{}}"#));
    }

    #[test]
    fn finalizers_of_any_kind_are_a_set() {
        let declared = r#"{"metadata":{"finalizers":["a","b"]}}"#;
        let finalizers =
            |live: &str| paths(Typing::deduced(), declared, &format!("{{\"metadata\":{{\"finalizers\":{live}}}}}"));
        assert_eq!(finalizers(r#"["x","a","y","b"]"#), [""; 0]);
        assert_eq!(finalizers(r#"["b","a"]"#), ["Reordered metadata.finalizers"]);
        assert_eq!(finalizers(r#"["b"]"#), ["Missing metadata.finalizers[=\"a\"]"]);
        assert_eq!(finalizers(r#"["a","b","a"]"#), ["Changed metadata.finalizers[=\"a\"]"]);
    }

    #[test]
    fn a_node_finds_its_line() {
        let declared = document(r#"{"spec":{"a":1,"b":2}}"#);
        let found = compare(Typing::deduced(), &declared, &document(r#"{"spec":{"a":1,"b":3}}"#));
        assert_eq!(found.iter().map(|difference| difference.node).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn large_maps_are_not_quadratic() {
        let large = |last: usize| {
            let members = (0..50_000).rev().map(|key| format!("\"k{key}\":\"v\"")).collect::<Vec<_>>();
            format!("{{\"data\":{{{},\"last\":\"{last}\"}}}}", members.join(","))
        };
        let forward = large(1);
        let members = (0..50_000).map(|key| format!("\"k{key}\":\"v\"")).collect::<Vec<_>>();
        let backward = format!("{{\"data\":{{{},\"last\":\"2\"}}}}", members.join(","));
        assert_eq!(paths(Typing::deduced(), &forward, &backward), ["Changed data.last"]);
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            (-2_i64..3).prop_map(Into::into),
            "[a-c]{0,2}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    fn object() -> impl Strategy<Value = String> {
        proptest::collection::btree_map("(spec|data|metadata|[a-d])", json(), 0..5).prop_map(|map| {
            let map: serde_json::Map<_, _> = map.into_iter().collect();
            serde_json::Value::from(map).to_string()
        })
    }

    proptest! {
        #[test]
        fn an_object_agrees_with_itself(text in object()) {
            let document = document(&text);
            prop_assert_eq!(compare(Typing::deduced(), &document, &document), vec![]);
            prop_assert_eq!(undeclared(Typing::deduced(), &document, &document, &document), vec![]);
        }

        #[test]
        fn any_two_documents_get_an_answer(declared in object(), before in object(), after in object()) {
            let (declared, before, after) = (document(&declared), document(&before), document(&after));
            let _ = compare(Typing::deduced(), &declared, &after);
            let _ = undeclared(Typing::deduced(), &declared, &before, &after);
        }
    }
}
