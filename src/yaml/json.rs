//! What does this JSON say, and on which lines? Values with their places, read one after another.
//!
//! Numbers as kubectl keeps them: an `i64` where it is one, else a float. Never recurses deeper than
//! [`DEPTH_MAX`].

use rustc_hash::FxHashMap;

use crate::limits::DEPTH_MAX;
use crate::yaml::scalar;
use crate::yaml::{Member, Node, Value, YamlError};

/// A stream of JSON values.
#[derive(Debug, Clone)]
pub(super) struct Reader<'t> {
    text: &'t str,
    /// Byte that is read next.
    at: usize,
    /// Lines before it.
    lines: u32,
    /// Byte up to which the columns of its line are counted, and their number; a line may hold the whole text.
    counted: usize,
    columns: usize,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0, lines: 0, counted: 0, columns: 0 }
    }

    /// The next value; `None` at the end of the text.
    pub(super) fn next(&mut self) -> Option<Result<Node, YamlError>> {
        self.skip_whitespace();
        self.peek()?;
        Some(self.value(0))
    }

    /// What is left to read, behind whitespace up to and including a line's end, and the lines before it.
    pub(super) fn rest(&self) -> (&'t str, u32) {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        let space = &rest[..rest.len() - trimmed.len()];
        match space.find('\n') {
            Some(end) => (&rest[end + 1..], self.lines + 1),
            None => (trimmed, self.lines),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_whitespace(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) = self.peek() {
            self.at += 1;
            if byte == b'\n' {
                self.lines += 1;
                (self.counted, self.columns) = (self.at, 0);
            }
        }
    }

    fn place(&mut self) -> (u32, u32) {
        self.columns += self.text[self.counted..self.at].chars().count();
        self.counted = self.at;
        (self.lines + 1, u32::try_from(self.columns).unwrap_or(u32::MAX).saturating_add(1))
    }

    fn fail<T>(&mut self, what: impl Into<String>) -> Result<T, YamlError> {
        let (line, column) = self.place();
        Err(YamlError::at(line, column, what))
    }

    fn value(&mut self, depth: usize) -> Result<Node, YamlError> {
        let (line, column) = self.place();
        let value = match self.peek() {
            Some(b'{') => Value::Object(self.object(depth + 1)?),
            Some(b'[') => Value::Array(self.array(depth + 1)?),
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(_) => self.word()?,
            None => return self.fail("the JSON ends too early"),
        };
        Ok(Node { line, column, value })
    }

    fn word(&mut self) -> Result<Value, YamlError> {
        for (word, value) in [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.fail("expected a JSON value")
    }

    fn number(&mut self) -> Result<Value, YamlError> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        let token = &rest[..end];
        // serde_json knows the grammar of a number, Rust reads floats to the last bit; kubectl takes an `i64` where it is one.
        if serde_json::from_str::<&serde_json::value::RawValue>(token).is_err() {
            return self.fail(format!("`{token}` is no JSON number"));
        }
        let whole = token.parse::<i64>().ok().map(serde_json::Number::from);
        let Some(number) = whole.or_else(|| scalar::float(token.parse().ok()?)) else {
            return self.fail(format!("`{token}` is too large a number"));
        };
        self.at += end;
        Ok(Value::Number(number))
    }

    fn string(&mut self) -> Result<String, YamlError> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut end = start + 1;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(0..=0x1f) | None => return self.fail("a string without its end on this line"),
                Some(_) => end += 1,
            }
        }
        let Some(quoted) = self.text.get(start..=end) else { return self.fail("a broken escape") };
        let Ok(text) = serde_json::from_str(quoted) else { return self.fail("a broken escape") };
        self.at = end + 1;
        Ok(text)
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Node>, YamlError> {
        let mut items = Vec::new();
        self.enter(depth)?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(items);
        }
        loop {
            items.push(self.value(depth)?);
            if !self.another(b']')? {
                return Ok(items);
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Vec<Member>, YamlError> {
        let mut members = Members::default();
        self.enter(depth)?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(members.into_list());
        }
        loop {
            let (line, column) = self.place();
            if self.peek() != Some(b'"') {
                return self.fail("expected a quoted name of a member");
            }
            let key = self.string()?;
            self.skip_whitespace();
            if self.peek() != Some(b':') {
                return self.fail("expected `:` behind the name of a member");
            }
            self.at += 1;
            self.skip_whitespace();
            let value = self.value(depth)?;
            members.set(Member { line, column, key, value: Node { line, column, ..value } });
            if !self.another(b'}')? {
                return Ok(members.into_list());
            }
        }
    }

    fn enter(&mut self, depth: usize) -> Result<(), YamlError> {
        if depth >= DEPTH_MAX {
            return self.fail(format!("nested deeper than {DEPTH_MAX} levels"));
        }
        self.at += 1;
        self.skip_whitespace();
        Ok(())
    }

    /// Whether a comma follows, and not the end.
    fn another(&mut self, close: u8) -> Result<bool, YamlError> {
        self.skip_whitespace();
        let more = match self.peek() {
            Some(b',') => true,
            Some(byte) if byte == close => false,
            _ => return self.fail(format!("expected `,` or `{}`", char::from(close))),
        };
        self.at += 1;
        self.skip_whitespace();
        Ok(more)
    }
}

/// Members of a mapping while it is read: the last of duplicate keys wins.
#[derive(Debug, Default)]
pub(super) struct Members {
    list: Vec<Member>,
    /// Place of each key, kept once there are many.
    index: FxHashMap<String, usize>,
}

/// From this number of members on, an index beats a search.
const INDEXED_FROM: usize = 32;

impl Members {
    pub(super) fn set(&mut self, member: Member) {
        match self.position(&member.key) {
            Some(n) => self.list[n] = member,
            None => self.push(member),
        }
    }

    fn push(&mut self, member: Member) {
        self.list.push(member);
        if self.list.len() == INDEXED_FROM {
            self.index = self.list.iter().enumerate().map(|(n, member)| (member.key.clone(), n)).collect();
        } else if self.list.len() > INDEXED_FROM {
            let last = self.list.len() - 1;
            self.index.insert(self.list[last].key.clone(), last);
        }
    }

    fn position(&self, key: &str) -> Option<usize> {
        if self.list.len() < INDEXED_FROM {
            return self.list.iter().position(|member| member.key == key);
        }
        self.index.get(key).copied()
    }

    pub(super) fn into_list(self) -> Vec<Member> {
        self.list
    }
}
