//! What did granit-parser see? Its events as a flat tree of raw nodes, aliases not yet followed.
//!
//! YAML's syntax is the parser's business; what scalars and tags mean is not decided here.

use std::borrow::Cow;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};
use rustc_hash::FxHashMap;

use crate::limits::{DEPTH_MAX, YAML_NODES_MAX};
use crate::yaml::YamlError;

/// Index of a node in a [`Tree`].
pub(super) type Index = usize;

/// One document as written.
#[derive(Debug, Default)]
pub(super) struct Tree<'t> {
    pub(super) nodes: Vec<Raw<'t>>,
    /// The outermost node; absent in an empty text.
    pub(super) root: Option<Index>,
}

/// A node as written.
#[derive(Debug)]
pub(super) struct Raw<'t> {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) shape: Shape<'t>,
}

#[derive(Debug)]
pub(super) enum Shape<'t> {
    Scalar(Written<'t>),
    Sequence(Vec<Index>),
    /// Keys and values by turns.
    Mapping(Vec<Index>),
    Alias(Index),
}

/// A scalar as written.
#[derive(Debug)]
pub(super) struct Written<'t> {
    pub(super) text: Cow<'t, str>,
    pub(super) style: Style,
    /// The whole tag, as in `tag:yaml.org,2002:int`.
    pub(super) tag: Option<String>,
}

/// Whether a scalar's words may mean something else than a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    /// Quoted or a block.
    Quoted,
}

/// Reads the first document of a text; what follows `...` is passed over, as go-yaml does. `before` lines stand before it.
pub(super) fn read(text: &str, before: u32) -> Result<Tree<'_>, YamlError> {
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_comments: false,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut builder = Builder { tree: Tree::default(), open: Vec::new(), anchors: FxHashMap::default(), before };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            let mark = error.marker();
            YamlError::at(line(mark.line(), before), column(mark.col()), error.kind().to_string())
        })?;
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        builder.take(event, span)?;
    }
    Ok(builder.tree)
}

fn line(line: usize, before: u32) -> u32 {
    u32::try_from(line.max(1)).unwrap_or(u32::MAX).saturating_add(before)
}

fn column(zero_based: usize) -> u32 {
    u32::try_from(zero_based).unwrap_or(u32::MAX).saturating_add(1)
}

struct Builder<'t> {
    tree: Tree<'t>,
    /// The collections that have begun, the outermost first.
    open: Vec<Index>,
    anchors: FxHashMap<usize, Index>,
    before: u32,
}

impl<'t> Builder<'t> {
    fn take(&mut self, event: Event<'t>, span: Span) -> Result<(), YamlError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let style = if style == ScalarStyle::Plain { Style::Plain } else { Style::Quoted };
                let tag = tag.map(|tag| whole_tag(&tag));
                self.add(Shape::Scalar(Written { text, style, tag }), anchor, span)?;
            }
            Event::SequenceStart(_, anchor, _) => {
                let index = self.add(Shape::Sequence(Vec::new()), anchor, span)?;
                self.open.push(index);
            }
            Event::MappingStart(_, anchor, _) => {
                let index = self.add(Shape::Mapping(Vec::new()), anchor, span)?;
                self.open.push(index);
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.open.pop();
            }
            Event::Alias(anchor) => {
                let Some(&target) = self.anchors.get(&anchor) else {
                    return Err(self.fail(span, "unknown anchor"));
                };
                self.add(Shape::Alias(target), 0, span)?;
            }
            _ => {} // Stream and document marks; comments and anchor marks are switched off.
        }
        Ok(())
    }

    fn add(&mut self, shape: Shape<'t>, anchor: usize, span: Span) -> Result<Index, YamlError> {
        let index = self.tree.nodes.len();
        if index >= YAML_NODES_MAX {
            return Err(self.fail(span, format!("document holds more than {YAML_NODES_MAX} values")));
        }
        let (line, column) = (line(span.start.line(), self.before), column(span.start.col()));
        self.tree.nodes.push(Raw { line, column, shape });
        if anchor != 0 {
            self.anchors.insert(anchor, index);
        }
        match self.open.last().map(|&parent| &mut self.tree.nodes[parent].shape) {
            Some(Shape::Sequence(children) | Shape::Mapping(children)) => children.push(index),
            Some(Shape::Scalar(_) | Shape::Alias(_)) | None => self.tree.root = Some(index),
        }
        Ok(index)
    }

    fn fail(&self, span: Span, what: impl Into<String>) -> YamlError {
        YamlError::at(line(span.start.line(), self.before), column(span.start.col()), what)
    }
}

fn whole_tag(tag: &Tag) -> String {
    let (handle, suffix) = tag.parts();
    format!("{handle}{suffix}")
}
