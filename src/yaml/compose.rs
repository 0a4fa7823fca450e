//! What does a document mean? Aliases followed, merge keys merged, keys made strings, as go-yaml v2.4 decodes.
//!
//! The guard against bombs is go-yaml's own, so that what kubectl refuses is refused here; beside it the bound of
//! [`YAML_NODES_MAX`] holds.

use crate::limits::{DEPTH_MAX, YAML_NODES_MAX};
use crate::yaml::escapes;
use crate::yaml::events::{self, Index, Raw, Shape, Tree};
use crate::yaml::json::Members;
use crate::yaml::scalar;
use crate::yaml::{Member, Node, Value, YamlError};

/// Reads one document; `before` lines of its file stand before it.
pub(super) fn document(text: &str, before: u32) -> Result<Node, YamlError> {
    match events::read(text, before) {
        Ok(tree) => compose(&tree, before),
        Err(error) => match escapes::mended(text) {
            Some(text) => compose(&events::read(&text, before)?, before),
            None => Err(error),
        },
    }
}

fn compose(tree: &Tree<'_>, before: u32) -> Result<Node, YamlError> {
    let Some(root) = tree.root else {
        return Ok(Node { line: before + 1, column: 1, value: Value::Null });
    };
    let mut composer = Composer { tree, guard: Guard { decoded: 1, ..Guard::default() }, followed: Vec::new() };
    composer.node(root, 0)
}

struct Composer<'a, 't> {
    tree: &'a Tree<'t>,
    guard: Guard,
    /// The aliases that are being followed, to find one that contains itself.
    followed: Vec<Index>,
}

impl<'a, 't> Composer<'a, 't> {
    fn node(&mut self, index: Index, depth: usize) -> Result<Node, YamlError> {
        let raw = self.count(index)?;
        let value = match &raw.shape {
            Shape::Alias(target) => {
                return Ok(Node { line: raw.line, column: raw.column, ..self.follow(index, *target, depth)? });
            }
            Shape::Scalar(written) => {
                let resolved = scalar::resolve(written).map_err(|what| fail(raw, what))?;
                resolved.into_value().map_err(|what| fail(raw, what))?
            }
            Shape::Sequence(children) => {
                Self::enter(raw, depth)?;
                Value::Array(children.iter().map(|&child| self.node(child, depth + 1)).collect::<Result<_, _>>()?)
            }
            Shape::Mapping(_) => {
                let mut members = Members::default();
                self.fill(index, &mut members, depth)?;
                Value::Object(members.into_list())
            }
        };
        Ok(Node { line: raw.line, column: raw.column, value })
    }

    fn follow(&mut self, alias: Index, target: Index, depth: usize) -> Result<Node, YamlError> {
        self.begin(alias)?;
        let node = self.node(target, depth);
        self.end();
        node
    }

    fn begin(&mut self, alias: Index) -> Result<(), YamlError> {
        if self.followed.contains(&alias) {
            return Err(fail(&self.tree.nodes[alias], "anchor contains itself"));
        }
        if self.followed.len() >= DEPTH_MAX {
            return Err(fail(&self.tree.nodes[alias], format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.followed.push(alias);
        Ok(())
    }

    fn end(&mut self) {
        self.followed.pop();
    }

    /// Adds the members of a mapping to those that are there, the later over the earlier.
    fn fill(&mut self, mapping: Index, members: &mut Members, depth: usize) -> Result<(), YamlError> {
        let raw = &self.tree.nodes[mapping];
        let Shape::Mapping(children) = &raw.shape else { return Err(fail(raw, WANTS_MAPPING)) };
        Self::enter(raw, depth)?;
        for pair in children.chunks_exact(2) {
            let (key, value) = (pair[0], pair[1]);
            if self.is_merge(key) {
                self.merge(value, members, depth)?;
                continue;
            }
            let (line, column) = (self.tree.nodes[key].line, self.tree.nodes[key].column);
            let key = self.key(key)?;
            let value = Node { line, column, ..self.node(value, depth + 1)? };
            members.set(Member { line, column, key, value });
        }
        Ok(())
    }

    fn is_merge(&self, key: Index) -> bool {
        match &self.tree.nodes[key].shape {
            Shape::Scalar(written) => scalar::is_merge(written),
            Shape::Sequence(_) | Shape::Mapping(_) | Shape::Alias(_) => false,
        }
    }

    /// `<<`: of several mappings the first wins; what stood before the merge key gives way, as in go-yaml v2.
    fn merge(&mut self, value: Index, members: &mut Members, depth: usize) -> Result<(), YamlError> {
        match &self.tree.nodes[value].shape {
            Shape::Sequence(children) => {
                for &child in children.iter().rev() {
                    self.merge_one(child, members, depth)?;
                }
                Ok(())
            }
            Shape::Mapping(_) | Shape::Alias(_) | Shape::Scalar(_) => self.merge_one(value, members, depth),
        }
    }

    fn merge_one(&mut self, value: Index, members: &mut Members, depth: usize) -> Result<(), YamlError> {
        let raw = self.count(value)?;
        match &raw.shape {
            Shape::Mapping(_) => self.fill(value, members, depth + 1),
            Shape::Alias(target) => {
                self.begin(value)?;
                self.count(*target)?;
                let done = self.fill(*target, members, depth + 1);
                self.end();
                done
            }
            Shape::Scalar(_) | Shape::Sequence(_) => Err(fail(raw, WANTS_MAPPING)),
        }
    }

    fn key(&mut self, index: Index) -> Result<String, YamlError> {
        let alias = self.count(index)?;
        let mut raw = alias;
        if let Shape::Alias(target) = &alias.shape {
            self.begin(index)?;
            raw = self.count(*target)?;
            self.end();
        }
        match &raw.shape {
            Shape::Scalar(written) => {
                let resolved = scalar::resolve(written).map_err(|what| fail(alias, what))?;
                resolved.into_key().map_err(|what| fail(alias, what))
            }
            Shape::Sequence(_) | Shape::Mapping(_) => Err(fail(alias, "a key must be a scalar")),
            Shape::Alias(_) => Err(fail(alias, "an alias of an alias")), // The parser makes none.
        }
    }

    fn count(&mut self, index: Index) -> Result<&'a Raw<'t>, YamlError> {
        let raw = &self.tree.nodes[index];
        if self.guard.take(self.followed.len()) {
            return Ok(raw);
        }
        Err(fail(raw, "document contains excessive aliasing"))
    }

    fn enter(raw: &Raw<'t>, depth: usize) -> Result<(), YamlError> {
        if depth + 1 >= DEPTH_MAX {
            return Err(fail(raw, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(())
    }
}

const WANTS_MAPPING: &str = "a merge key takes a mapping or a list of mappings";

fn fail(raw: &Raw<'_>, what: impl Into<String>) -> YamlError {
    YamlError::at(raw.line, raw.column, what)
}

/// go-yaml's guard against alias bombs (decode.go, `allowedAliasRatio`).
#[derive(Debug, Default)]
struct Guard {
    decoded: usize,
    aliased: usize,
}

impl Guard {
    /// Counts one node, `within` so many aliases; whether the document may go on.
    fn take(&mut self, within: usize) -> bool {
        self.decoded += 1;
        self.aliased += usize::from(within > 0);
        if self.decoded > YAML_NODES_MAX {
            return false;
        }
        self.aliased <= 100 || self.decoded <= 1_000 || self.ratio() <= self.allowed()
    }

    #[expect(clippy::cast_precision_loss, reason = "both are below YAML_NODES_MAX")]
    fn ratio(&self) -> f64 {
        self.aliased as f64 / self.decoded as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "both are below YAML_NODES_MAX")]
    fn allowed(&self) -> f64 {
        const LOW: usize = 400_000;
        const HIGH: usize = 4_000_000;
        match self.decoded {
            ..=LOW => 0.99,
            HIGH.. => 0.10,
            between => 0.99 - 0.89 * ((between - LOW) as f64 / (HIGH - LOW) as f64),
        }
    }
}
