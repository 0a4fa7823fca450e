//! How is a field named? The one grammar of field paths, printed and parsed here and nowhere else.
//!
//! `spec.template.spec.containers[name=web].image`, `spec.ports[port=80,protocol=TCP]`, set items
//! `metadata.finalizers[="x"]`, keys that are no plain words `metadata.annotations["a.b/c"]`, positions `[0]`; patterns add
//! `[*]` and `.*`. What is printed can be parsed again, and means the same.

use std::fmt;
use std::str::FromStr;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// A member of an object.
    Field(Box<str>),
    /// An item of a keyed list: its keys in the schema's order, at least one.
    Key(Vec<(Box<str>, Scalar)>),
    /// An item of a set.
    Item(Scalar),
    /// A position in any other list.
    Index(usize),
}

/// A scalar inside a path. Numbers keep their JSON text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scalar {
    /// `null`
    Null,
    /// A boolean.
    Bool(bool),
    /// A number's JSON text.
    Number(Box<str>),
    /// A string.
    String(Box<str>),
}

/// Where a field stands in an object. The empty path is the object itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(pub Vec<Segment>);

/// Text that is no field path, or no pattern of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no field path: {what} at character {at}")]
pub struct PathError {
    /// What was given.
    pub text: String,
    /// Character, from 1, at which it stopped making sense.
    pub at: usize,
    /// What was expected there.
    pub what: &'static str,
}

/// A pattern of paths: what a rule's `fields` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(pub Vec<Step>);

/// One step of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Exactly this; of a keyed item's keys it may name some.
    Is(Segment),
    /// Any member: `.*`.
    AnyField,
    /// Any item: `[*]`.
    AnyItem,
}

impl FieldPath {
    /// The path of these members, as in `["metadata", "labels"]`.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        Self(names.into_iter().map(|name| Segment::Field(name.into())).collect())
    }

    /// Whether `other` is this path or lies beneath it.
    pub fn covers(&self, other: &FieldPath) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl Pattern {
    /// Whether this names the path or something above it: a rule for a parent covers its children.
    pub fn matches(&self, path: &FieldPath) -> bool {
        self.0.len() <= path.0.len() && self.0.iter().zip(&path.0).all(|(step, segment)| step.matches(segment))
    }

    /// The steps that lead on from a path to what this names beneath it; `None` where it names nothing there.
    pub fn beneath(&self, path: &FieldPath) -> Option<&[Step]> {
        let (above, rest) = self.0.split_at_checked(path.0.len())?;
        let leads = !rest.is_empty() && above.iter().zip(&path.0).all(|(step, segment)| step.matches(segment));
        leads.then_some(rest)
    }
}

impl Step {
    fn matches(&self, segment: &Segment) -> bool {
        match (self, segment) {
            (Step::AnyField, Segment::Field(_))
            | (Step::AnyItem, Segment::Key(_) | Segment::Item(_) | Segment::Index(_)) => true,
            (Step::Is(Segment::Key(wanted)), Segment::Key(keys)) => wanted.iter().all(|pair| keys.contains(pair)),
            (Step::Is(wanted), segment) => wanted == segment,
            (Step::AnyField | Step::AnyItem, _) => false,
        }
    }
}

impl From<FieldPath> for Pattern {
    /// The pattern that names exactly this path (and what lies beneath it).
    fn from(path: FieldPath) -> Self {
        Self(path.0.into_iter().map(Step::Is).collect())
    }
}

impl FromStr for FieldPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let mut parser = Parser::new(text);
        let mut segments = Vec::new();
        while let Some(step) = parser.step()? {
            let Step::Is(segment) = step else {
                return Err(parser.error("a field or an item, not a wildcard"));
            };
            segments.push(segment);
        }
        Ok(Self(segments))
    }
}

impl FromStr for Pattern {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let mut parser = Parser::new(text);
        let mut steps = Vec::new();
        while let Some(step) = parser.step()? {
            steps.push(step);
        }
        if steps.is_empty() {
            return Err(parser.error("a field name"));
        }
        Ok(Self(steps))
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(at, segment)| write_segment(f, segment, at == 0))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(at, step)| match step {
            Step::Is(segment) => write_segment(f, segment, at == 0),
            Step::AnyField if at == 0 => f.write_str("*"),
            Step::AnyField => f.write_str(".*"),
            Step::AnyItem => f.write_str("[*]"),
        })
    }
}

fn write_segment(f: &mut fmt::Formatter<'_>, segment: &Segment, first: bool) -> fmt::Result {
    match segment {
        Segment::Field(name) if !is_word(name) => write!(f, "[{}]", quoted(name)),
        Segment::Field(name) if first => f.write_str(name),
        Segment::Field(name) => write!(f, ".{name}"),
        Segment::Item(scalar) => match scalar {
            Scalar::String(text) => write!(f, "[={}]", quoted(text)),
            Scalar::Null | Scalar::Bool(_) | Scalar::Number(_) => write!(f, "[={scalar}]"),
        },
        Segment::Index(index) => write!(f, "[{index}]"),
        Segment::Key(keys) => {
            for (at, (name, scalar)) in keys.iter().enumerate() {
                f.write_str(if at == 0 { "[" } else { "," })?;
                if is_word(name) {
                    f.write_str(name)?;
                } else {
                    f.write_str(&quoted(name))?;
                }
                write!(f, "={scalar}")?;
            }
            f.write_str("]")
        }
    }
}

impl fmt::Display for Scalar {
    /// As a key's value stands in a path: strings without quotes where they cannot be taken for anything else.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Null => f.write_str("null"),
            Scalar::Bool(value) => write!(f, "{value}"),
            Scalar::Number(text) => f.write_str(text),
            Scalar::String(text) if bare(text) == Some(self.clone()) => f.write_str(text),
            Scalar::String(text) => f.write_str(&quoted(text)),
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A member name that needs no quotes.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// What text without quotes means as a key's value; `None` where it needs quotes.
fn bare(text: &str) -> Option<Scalar> {
    let fits =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b':' | b'+' | b'@');
    if text.is_empty() || !text.bytes().all(fits) {
        return None;
    }
    match text {
        "null" => Some(Scalar::Null),
        "true" => Some(Scalar::Bool(true)),
        "false" => Some(Scalar::Bool(false)),
        _ if serde_json::from_str::<serde_json::Number>(text).is_ok() => Some(Scalar::Number(text.into())),
        // What only looks like a number is quoted, so that nobody has to know JSON's grammar.
        _ if text.starts_with(['-', '+', '.']) => None,
        _ => Some(Scalar::String(text.into())),
    }
}

/// Reads steps from the left.
struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn error(&self, what: &'static str) -> PathError {
        let at = self.text.get(..self.at).unwrap_or(self.text).chars().count() + 1;
        PathError { text: self.text.to_owned(), at, what }
    }

    fn take(&mut self, token: char) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len_utf8() } else { 0 };
        found
    }

    fn expect(&mut self, token: char, what: &'static str) -> Result<(), PathError> {
        if self.take(token) { Ok(()) } else { Err(self.error(what)) }
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let length = rest.find(|next| !fits(next)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// The next step; `None` at the end.
    fn step(&mut self) -> Result<Option<Step>, PathError> {
        if self.rest().is_empty() {
            return Ok(None);
        }
        let first = self.at == 0;
        if self.take('[') {
            return self.bracket().map(Some);
        }
        if !first {
            self.expect('.', "expected `.` or `[`")?;
        }
        if self.take('*') {
            return Ok(Some(Step::AnyField));
        }
        let name = self.take_while(|next| next.is_ascii_alphanumeric() || matches!(next, '_' | '-'));
        if name.is_empty() {
            return Err(self.error("expected a field name (others stand in brackets and quotes: `[\"a.b/c\"]`)"));
        }
        Ok(Some(Step::Is(Segment::Field(name.into()))))
    }

    /// What follows a `[`.
    fn bracket(&mut self) -> Result<Step, PathError> {
        let step = if self.take('*') {
            Step::AnyItem
        } else if self.take('=') {
            Step::Is(Segment::Item(self.scalar()?))
        } else {
            Step::Is(self.member_or_keys()?)
        };
        self.expect(']', "expected `]`")?;
        Ok(step)
    }

    fn member_or_keys(&mut self) -> Result<Segment, PathError> {
        let is_quoted = self.rest().starts_with('"');
        let first = self.name()?;
        if !self.rest().starts_with('=') {
            if is_quoted {
                return Ok(Segment::Field(first));
            }
            return first
                .parse()
                .map(Segment::Index)
                .map_err(|_| self.error("expected a position, a key or a quoted name"));
        }
        self.take('=');
        let mut keys = vec![(first, self.scalar()?)];
        while self.take(',') {
            let name = self.name()?;
            self.expect('=', "expected `=`")?;
            keys.push((name, self.scalar()?));
        }
        Ok(Segment::Key(keys))
    }

    fn name(&mut self) -> Result<Box<str>, PathError> {
        if self.rest().starts_with('"') {
            return self.string();
        }
        match self.take_while(|next| next.is_ascii_alphanumeric() || matches!(next, '_' | '-')) {
            "" => Err(self.error("expected a key, a position, `*` or a quoted name")),
            name => Ok(name.into()),
        }
    }

    fn scalar(&mut self) -> Result<Scalar, PathError> {
        if self.rest().starts_with('"') {
            return self.string().map(Scalar::String);
        }
        let before = self.at;
        let text = self.take_while(|next| !matches!(next, ',' | ']' | '[' | '"' | '='));
        bare(text).ok_or_else(|| {
            self.at = before;
            self.error("expected a value (in quotes where it is no plain word)")
        })
    }

    /// A JSON string.
    fn string(&mut self) -> Result<Box<str>, PathError> {
        let mut values = serde_json::Deserializer::from_str(self.rest()).into_iter::<String>();
        let Some(Ok(text)) = values.next() else {
            return Err(self.error("expected a string in double quotes"));
        };
        self.at += values.byte_offset();
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> FieldPath {
        text.parse().expect("a path")
    }

    fn pattern(text: &str) -> Pattern {
        text.parse().expect("a pattern")
    }

    #[test]
    fn paths_of_the_contract_are_printed_as_they_were_written() {
        for text in [
            "",
            "spec.replicas",
            "spec.template.spec.containers[name=web].image",
            "spec.ports[port=80,protocol=TCP]",
            "metadata.finalizers[=\"x\"]",
            "metadata.annotations[\"a.b/c\"]",
            "spec.rules[0].host",
            "spec.containers[name=web].volumeMounts[mountPath=/var/lib/x]",
            "spec.list[key=\"80\"]",
            "spec.list[key=\"-\"]",
            "spec.list[\"a b\"=null,x=true]",
            "spec.set[=5]",
        ] {
            assert_eq!(path(text).to_string(), text);
        }
        for text in ["spec.containers[*].resources", "spec.*.x", "*.x", "[*]"] {
            assert_eq!(pattern(text).to_string(), text);
        }
    }

    #[test]
    fn a_key_value_keeps_its_type() {
        let keyed = |scalar| FieldPath(vec![Segment::Key(vec![("k".into(), scalar)])]);
        assert_eq!(path("[k=80]"), keyed(Scalar::Number("80".into())));
        assert_eq!(path("[k=\"80\"]"), keyed(Scalar::String("80".into())));
        assert_eq!(path("[k=10.0.0.1]"), keyed(Scalar::String("10.0.0.1".into())));
        assert_eq!(path("[k=\"true\"]").to_string(), "[k=\"true\"]");
    }

    #[test]
    fn a_rule_for_a_parent_covers_its_children() {
        let written = path("spec.template.spec.containers[name=web].resources.limits[\"nvidia.com/gpu\"]");
        for text in [
            "spec",
            "spec.template.spec.containers",
            "spec.template.spec.containers[*]",
            "spec.template.spec.containers[*].resources",
            "spec.template.spec.containers[name=web].*",
            "spec.*.spec.containers[*].resources.limits[\"nvidia.com/gpu\"]",
        ] {
            assert!(pattern(text).matches(&written), "{text}");
        }
        for text in [
            "spec.template.spec.containers[name=api]",
            "spec.template.spec.containers[0]",
            "spec.template.spec.containers.*",
            "spec[*]",
            "spec.template.spec.containers[*].resources.limits[\"nvidia.com/gpu\"].x",
        ] {
            assert!(!pattern(text).matches(&written), "{text}");
        }
    }

    #[test]
    fn a_rule_may_name_some_of_the_keys() {
        assert!(pattern("spec.ports[port=80]").matches(&path("spec.ports[port=80,protocol=TCP]")));
        assert!(!pattern("spec.ports[port=80,protocol=UDP]").matches(&path("spec.ports[port=80,protocol=TCP]")));
    }

    #[test]
    fn what_is_no_path_is_refused_at_its_character() {
        for (text, at) in [
            (".spec", 1),
            ("spec.", 6),
            ("spec..x", 6),
            ("spec x", 5),
            ("spec[", 6),
            ("spec[]", 6),
            ("spec[a]", 7),
            ("spec[a=]", 8),
            ("spec[a=b", 9),
            ("spec[\"a]", 6),
            ("spec[99999999999999999999999]", 29),
            ("ä", 1),
        ] {
            let error = text.parse::<Pattern>().expect_err(text);
            assert_eq!(error.at, at, "{error}");
        }
        assert!("spec.*".parse::<FieldPath>().is_err(), "a path has no wildcards");
        assert!("".parse::<Pattern>().is_err(), "an empty rule would cover everything");
    }

    fn scalar() -> impl Strategy<Value = Scalar> {
        prop_oneof![
            Just(Scalar::Null),
            any::<bool>().prop_map(Scalar::Bool),
            any::<i64>().prop_map(|number| Scalar::Number(number.to_string().into())),
            ".{0,6}".prop_map(|text| Scalar::String(text.into())),
            "[-+.a-z0-9/:*\"\\[\\]=,]{0,6}".prop_map(|text| Scalar::String(text.into())),
        ]
    }

    fn segment() -> impl Strategy<Value = Segment> {
        prop_oneof![
            ".{0,5}".prop_map(|name| Segment::Field(name.into())),
            "[-_a-zA-Z0-9.*]{1,5}".prop_map(|name| Segment::Field(name.into())),
            proptest::collection::vec((".{0,4}".prop_map(Box::from), scalar()), 1..3).prop_map(Segment::Key),
            scalar().prop_map(Segment::Item),
            any::<usize>().prop_map(Segment::Index),
        ]
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same(segments in proptest::collection::vec(segment(), 0..6)) {
            let path = FieldPath(segments);
            let text = path.to_string();
            prop_assert_eq!(text.parse::<FieldPath>(), Ok(path.clone()));
            if !path.0.is_empty() {
                prop_assert!(text.parse::<Pattern>().expect("a pattern").matches(&path));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,24}") {
            let _ = text.parse::<Pattern>();
        }
    }
}
