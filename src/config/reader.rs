//! How is a configuration read so that all its faults are found at once? A reader over values with places that collects.
//!
//! It knows shapes (objects, lists, words, numbers), not what they mean. It never stops at the first fault.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::gate::basis::Fault;
use crate::limits::{CONFIG_ITEMS_MAX, CONFIG_TEXT_MAX};
use crate::yaml::{Node, Value};

/// The faults of one file, as they are found.
#[derive(Debug)]
pub(super) struct Faults<'n> {
    file: &'n str,
    found: RefCell<Vec<Fault>>,
}

impl<'n> Faults<'n> {
    pub(super) fn new(file: &'n str) -> Self {
        Self { file, found: RefCell::default() }
    }

    pub(super) fn add(&self, line: u32, what: impl Into<String>) {
        self.found.borrow_mut().push(Fault { file: self.file.to_owned(), line, what: what.into() });
    }

    pub(super) fn into_list(self) -> Vec<Fault> {
        self.found.into_inner()
    }
}

/// A value, the path to it, and where its faults go.
#[derive(Debug, Clone)]
pub(super) struct Place<'n> {
    pub(super) node: &'n Node,
    pub(super) path: String,
    faults: &'n Faults<'n>,
}

/// An object whose members are all known.
#[derive(Debug)]
pub(super) struct Members<'n> {
    place: Place<'n>,
    known: &'static [&'static str],
}

impl<'n> Place<'n> {
    pub(super) fn new(node: &'n Node, faults: &'n Faults<'n>) -> Self {
        Self { node, path: String::new(), faults }
    }

    /// Notes that this value is wrong: `what` follows its path.
    pub(super) fn wrong(&self, what: impl Display) {
        let path = if self.path.is_empty() { "the object".to_owned() } else { format!("`{}`", self.path) };
        self.faults.add(self.node.line, format!("{path} {what}"));
    }

    fn not<T>(&self, wanted: &str) -> Option<T> {
        self.wrong(format_args!("is {}, not {wanted}", self.node.what()));
        None
    }

    /// An object with these members and no others.
    pub(super) fn object(self, known: &'static [&'static str]) -> Option<Members<'n>> {
        let Value::Object(members) = &self.node.value else { return self.not("an object") };
        for member in members.iter().filter(|member| !known.contains(&member.key.as_str())) {
            let parent = if self.path.is_empty() { String::new() } else { format!(" of `{}`", self.path) };
            let what = format!("`{}` is no member{parent}; there are {}", member.key.escape_debug(), known.join(", "));
            self.faults.add(member.line, what);
        }
        Some(Members { place: self, known })
    }

    /// The items of a list; an empty one is refused.
    pub(super) fn items(&self) -> Option<Vec<Place<'n>>> {
        let Value::Array(items) = &self.node.value else { return self.not("a list") };
        if items.is_empty() {
            self.wrong("is an empty list; name something or leave it out");
            return None;
        }
        if items.len() > CONFIG_ITEMS_MAX {
            self.wrong(format_args!("has {} items; {CONFIG_ITEMS_MAX} fit", items.len()));
            return None;
        }
        let place = |(n, node)| Place { node, path: format!("{}[{n}]", self.path), faults: self.faults };
        Some(items.iter().enumerate().map(place).collect())
    }

    /// Each item of a list, read; faulty ones are noted, and make the whole absent.
    pub(super) fn each<T>(&self, mut read: impl FnMut(Place<'n>) -> Option<T>) -> Option<Vec<T>> {
        let read: Vec<Option<T>> = self.items()?.into_iter().map(&mut read).collect();
        read.into_iter().collect()
    }

    /// A string that is not empty.
    pub(super) fn text(&self) -> Option<&'n str> {
        match self.node.as_str() {
            Some("") => {
                self.wrong("is empty");
                None
            }
            Some(text) if text.chars().count() > CONFIG_TEXT_MAX => {
                self.wrong(format_args!("is longer than {CONFIG_TEXT_MAX} characters"));
                None
            }
            Some(text) => Some(text),
            None => self.not("a string"),
        }
    }

    /// A string that `parse` understands.
    pub(super) fn parse<T, E: Display>(&self, parse: impl FnOnce(&'n str) -> Result<T, E>) -> Option<T> {
        parse(self.text()?).map_err(|error| self.wrong(format_args!("is wrong: {error}"))).ok()
    }

    /// An object with any members.
    pub(super) fn mapping(&self) -> Option<()> {
        if let Value::Object(_) = self.node.value { Some(()) } else { self.not("an object") }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.node.value {
            Value::Bool(value) => Some(value),
            _ => self.not("a boolean"),
        }
    }

    /// A whole number within bounds.
    pub(super) fn integer(&self, bounds: RangeInclusive<i64>) -> Option<i64> {
        let Value::Number(number) = &self.node.value else { return self.not("a number") };
        let found = number.as_i64().filter(|number| bounds.contains(number));
        if found.is_none() {
            self.wrong(format_args!("is {number}, not a whole number from {} to {}", bounds.start(), bounds.end()));
        }
        found
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.wrong(format_args!("is `{}`, none of {}", text.escape_debug(), known.join(", ")));
        }
        found
    }
}

impl<'n> Members<'n> {
    /// A member, where it is there.
    pub(super) fn get(&self, name: &'static str) -> Option<Place<'n>> {
        debug_assert!(self.known.contains(&name), "{name} is read but not known");
        let node = self.place.node.get(name)?;
        let path = if self.place.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place.path) };
        Some(Place { node, path, faults: self.place.faults })
    }

    /// A member that must be there.
    pub(super) fn need(&self, name: &'static str) -> Option<Place<'n>> {
        let found = self.get(name);
        if found.is_none() {
            let path = if self.place.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place.path) };
            self.place.faults.add(self.place.node.line, format!("`{path}` is missing"));
        }
        found
    }

    /// The object itself.
    pub(super) fn place(&self) -> &Place<'n> {
        &self.place
    }
}
