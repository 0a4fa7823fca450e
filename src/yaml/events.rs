//! What did granit-parser see? Its events as a flat tree of raw nodes, aliases not yet followed.
//!
//! YAML's syntax is the parser's business; what scalars and tags mean is not decided here.

use std::borrow::Cow;

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle, Tag};
use rustc_hash::FxHashMap;

use crate::limits::{DEPTH_MAX, YAML_NODES_MAX};
use crate::yaml::YamlError;
use crate::yaml::escapes;

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
        emit_anchor_events: true,
        bom_inside_document_as_content: true,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut builder = Builder {
        text,
        tree: Tree::default(),
        open: Vec::new(),
        flows: 0,
        passed: 0,
        anchors: FxHashMap::default(),
        before,
    };
    if escapes::begins_with_its_end(text) {
        return Err(YamlError::at(before + 1, 1, "a document ends before it begins"));
    }
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            let mark = error.marker();
            YamlError::at(line(mark.line(), before), column(mark.col()), error.kind().to_string())
        })?;
        if matches!(event, Event::DocumentEnd) {
            builder.pass(span)?;
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
    text: &'t str,
    tree: Tree<'t>,
    /// The collections that have begun, the outermost first, with their notation.
    open: Vec<(Index, StructureStyle)>,
    /// How many of them stand in `[]` or `{}`.
    flows: usize,
    /// Byte up to which the text has been read.
    passed: usize,
    anchors: FxHashMap<usize, Index>,
    before: u32,
}

impl<'t> Builder<'t> {
    fn take(&mut self, event: Event<'t>, span: Span) -> Result<(), YamlError> {
        let ends = matches!(event, Event::SequenceEnd | Event::MappingEnd);
        // Where a block ends, nothing stands.
        if !ends || self.flows > 0 {
            self.pass(span)?;
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.check(&text, style, span)?;
                if tag.is_some()
                    && self.flows > 0
                    && span.is_empty()
                    && escapes::runs_into_a_tag(self.before(span), self.after(span))
                {
                    return Err(self.fail(span, "a tag must be followed by a blank"));
                }
                let style = if style == ScalarStyle::Plain { Style::Plain } else { Style::Quoted };
                let tag = tag.map(|tag| whole_tag(&tag));
                self.add(Shape::Scalar(Written { text, style, tag }), anchor, span)?;
            }
            Event::SequenceStart(style, anchor, _) => {
                let index = self.add(Shape::Sequence(Vec::new()), anchor, span)?;
                self.open(index, style);
            }
            Event::MappingStart(style, anchor, _) => {
                let index = self.add(Shape::Mapping(Vec::new()), anchor, span)?;
                self.open(index, style);
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let style = self.open.pop().map(|(_, style)| style);
                self.flows -= usize::from(style == Some(StructureStyle::Flow));
            }
            // libyaml's anchors are words; `&a:` is an anchor and a key without text there.
            Event::Anchor(_, name) if !name.bytes().all(is_word) => {
                return Err(self.fail(span, "an anchor's name may hold letters, digits, `-` and `_`"));
            }
            Event::Alias(anchor) => {
                let Some(&target) = self.anchors.get(&anchor) else {
                    return Err(self.fail(span, "unknown anchor"));
                };
                self.add(Shape::Alias(target), 0, span)?;
            }
            _ => {} // Stream and document marks; comments are switched off.
        }
        Ok(())
    }

    /// Passes over what stands between the tokens of two events.
    fn pass(&mut self, span: Span) -> Result<(), YamlError> {
        let (Some(start), Some(end)) = (span.start.byte_offset(), span.end.byte_offset()) else { return Ok(()) };
        if self.flows == 0
            && let Some(at) = escapes::tab_before_a_token(self.text, self.passed..start)
        {
            let lines = self.text[at..start].matches('\n').count();
            let own = &self.text[self.text[..at].rfind('\n').map_or(0, |end| end + 1)..at];
            let (line, column) = (line(span.start.line() - lines, self.before), column(own.chars().count()));
            return Err(YamlError::at(line, column, "a tab where kubectl expects spaces"));
        }
        self.passed = self.passed.max(end);
        Ok(())
    }

    fn open(&mut self, index: Index, style: StructureStyle) {
        self.open.push((index, style));
        self.flows += usize::from(style == StructureStyle::Flow);
    }

    /// Refuses what go-yaml refuses or reads otherwise.
    fn check(&self, text: &str, style: ScalarStyle, span: Span) -> Result<(), YamlError> {
        let source = span.slice(self.text).unwrap_or_default();
        let before = self.before(span);
        let refused = match style {
            ScalarStyle::DoubleQuoted => escapes::refused(source).or_else(|| escapes::refused_quoted(source)),
            ScalarStyle::SingleQuoted => escapes::refused_quoted(source),
            ScalarStyle::Plain if self.flows > 0 => {
                escapes::refused_in_flow(text).or_else(|| escapes::refused_unquoted(source))
            }
            ScalarStyle::Plain => escapes::refused_unquoted(source),
            ScalarStyle::Literal | ScalarStyle::Folded => {
                escapes::refused_in_block(source, before).or_else(|| escapes::refused_unquoted(source))
            }
        };
        if let Some(what) = refused {
            return Err(self.fail(span, what));
        }
        let parent = self.open.last().map(|&(parent, _)| &self.tree.nodes[parent].shape);
        let is_key = matches!(parent, Some(Shape::Mapping(children)) if children.len() % 2 == 0);
        let is_key = is_key && (self.flows == 0 || self.after(span).trim_start().starts_with(':'));
        if is_key && source.contains('\n') && !escapes::is_explicit_key(before) {
            return Err(self.fail(span, "a key must stand on one line"));
        }
        Ok(())
    }

    /// The text up to an event.
    fn before(&self, span: Span) -> &'t str {
        span.start.byte_offset().and_then(|at| self.text.get(..at)).unwrap_or_default()
    }

    /// The text behind it.
    fn after(&self, span: Span) -> &'t str {
        span.end.byte_offset().and_then(|at| self.text.get(at..)).unwrap_or_default()
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
        match self.open.last().map(|&(parent, _)| &mut self.tree.nodes[parent].shape) {
            Some(Shape::Sequence(children) | Shape::Mapping(children)) => children.push(index),
            Some(Shape::Scalar(_) | Shape::Alias(_)) | None => self.tree.root = Some(index),
        }
        Ok(index)
    }

    fn fail(&self, span: Span, what: impl Into<String>) -> YamlError {
        YamlError::at(line(span.start.line(), self.before), column(span.start.col()), what)
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn whole_tag(tag: &Tag) -> String {
    let (handle, suffix) = tag.parts();
    format!("{handle}{suffix}")
}
