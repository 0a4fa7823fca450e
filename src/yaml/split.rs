//! Where do the documents of a text begin? As `YAMLOrJSONDecoder` of k8s.io/apimachinery v0.36 has it.
//!
//! A text that begins with `{` is a stream of JSON values; where that fails within the first two, the rest is YAML, split
//! at lines that begin with `---`.

use crate::yaml::compose;
use crate::yaml::json;
use crate::yaml::{Node, YamlError};

/// Reads the documents of a text, one by one; null ones too.
pub(super) fn each(text: &str, mut found: impl FnMut(Node)) -> Result<(), YamlError> {
    if !text.trim_start().starts_with('{') {
        return yaml(text, 0, &mut found);
    }
    let mut reader = json::Reader::new(text);
    let mut count = 0;
    loop {
        let before = reader.clone();
        let error = match reader.next() {
            None => return Ok(()),
            Some(Ok(node)) => {
                found(node);
                count += 1;
                continue;
            }
            Some(Err(error)) if count > 1 => return Err(error),
            Some(Err(error)) => error,
        };
        let (rest, lines) = before.rest();
        // Both readings failed: the one that came further knows better what was meant.
        return yaml(rest, lines, &mut found)
            .map_err(|other| if (other.line, other.column) > (error.line, error.column) { other } else { error });
    }
}

/// Splits at `---` lines; `before` lines of the file were read already.
fn yaml(text: &str, before: u32, found: &mut impl FnMut(Node)) -> Result<(), YamlError> {
    let mut chunk = Chunk { start: 0, line: before };
    let mut at = 0;
    for (line, full) in (before..).zip(text.split_inclusive('\n')) {
        if let Some(after) = full.strip_prefix("---") {
            let after = after.trim();
            if !after.is_empty() && !after.starts_with('#') {
                let what = "only a comment may follow `---` on its line";
                return Err(YamlError::at(line + 1, 4, what));
            }
            // The decoder keeps a separator that nothing stands before as the beginning of the document.
            if at > chunk.start {
                found(compose::document(&text[chunk.start..at], chunk.line)?);
                chunk = Chunk { start: at + full.len(), line: line + 1 };
            }
        }
        at += full.len();
    }
    if at > chunk.start {
        found(compose::document(&text[chunk.start..], chunk.line)?);
    }
    Ok(())
}

/// Where the document that is being read begins.
struct Chunk {
    /// Byte.
    start: usize,
    /// Lines before it.
    line: u32,
}
