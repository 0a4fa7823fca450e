//! Where does go-yaml read otherwise than YAML 1.2? What it refuses is refused; what it takes is taken.
//!
//! granit-parser follows YAML 1.2, kubectl's libyaml YAML 1.1; this file holds what lies between, and nothing else.

use std::ops::Range;

use granit_parser::{ErrorKind, Parser};

use crate::limits::YAML_MENDS_MAX;

/// What go-yaml refuses in a double-quoted scalar, given as in the source.
pub(super) fn refused(source: &str) -> Option<&'static str> {
    let mut bytes = source.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            continue;
        }
        match bytes.next() {
            Some(b'/') => return Some("`\\/` is no escape in YAML as kubectl reads it"),
            Some(b'u')
                if matches!(bytes.next(), Some(b'd' | b'D'))
                    && matches!(bytes.next(), Some(b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F')) =>
            {
                return Some("surrogates are no escapes in YAML as kubectl reads it");
            }
            _ => {}
        }
    }
    None
}

/// Characters that end a line in YAML 1.1 only: outside of quotes.
pub(super) fn refused_unquoted(source: &str) -> Option<&'static str> {
    source.contains(OLD_BREAKS).then_some(OLD_BREAK)
}

/// The same inside quotes, where go-yaml folds them: NEL always, the others with the blanks around them.
pub(super) fn refused_quoted(source: &str) -> Option<&'static str> {
    let blank = |c: Option<char>| c.is_some_and(|c| matches!(c, ' ' | '\t' | '\n'));
    let folds = source.match_indices(OLD_BREAKS).any(|(at, found)| {
        let after = source[at + found.len()..].chars().next();
        found == "\u{85}" || blank(source[..at].chars().next_back()) || blank(after)
    });
    folds.then_some(OLD_BREAK)
}

const OLD_BREAKS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];
const OLD_BREAK: &str =
    "a character (NEL, LS or PS) that ends the line as kubectl reads it: escape it in double quotes";

/// A block scalar with a tab where go-yaml looks for its indentation: before the first text, or before a later line has as many
/// spaces; `before` is the source up to the text.
pub(super) fn refused_in_block(source: &str, before: &str) -> Option<&'static str> {
    let (above, indentation) = before.rsplit_once('\n')?;
    let header = above.trim_end().rsplit('\n').next()?.split(" #").next()?;
    if header.trim_end().chars().rev().take(2).any(|c| c.is_ascii_digit()) {
        return None; // told, not found
    }
    let is_early = |line: &str| line.trim_start_matches(' ').starts_with('\t');
    let spaces = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let is_refused = source.starts_with('\t')
        || source.lines().skip(1).any(|line| is_early(line) && spaces(line) < indentation.len());
    is_refused.then_some("a tab where an indentation of spaces is expected")
}

/// What go-yaml reads otherwise in a plain scalar inside `[]` or `{}`.
pub(super) fn refused_in_flow(text: &str) -> Option<&'static str> {
    if text.contains('?') {
        return Some("text with `?` inside [] or {} must be quoted");
    }
    text.starts_with(':').then_some("text that begins with `:` inside [] or {} must be quoted")
}

/// Whether a comma or bracket right behind a tag inside `[]` or `{}` would be a part of the tag to go-yaml; `before` and `after` are
/// the source around a scalar that is not written at all.
pub(super) fn runs_into_a_tag(before: &str, after: &str) -> bool {
    !before.ends_with([' ', '\t', '\n', '\r']) && after.starts_with([',', '[', ']', '{', '}'])
}

/// Whether a key that spans lines was introduced by `?`; go-yaml takes no other.
pub(super) fn is_explicit_key(before: &str) -> bool {
    before.trim_end().ends_with('?')
}

/// Whether `...` stands before anything that could be ended; YAML 1.2 passes over it.
pub(super) fn begins_with_its_end(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let marks =
        |line: &str| line.strip_prefix("...").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
    lines.next().is_some_and(marks)
}

/// Where a tab stands before a token of a block, in what lies between two tokens: at the beginning of a line, or behind `-` or `?`.
pub(super) fn tab_before_a_token(text: &str, between: Range<usize>) -> Option<usize> {
    let mut bytes = text.bytes().enumerate().take(between.end).skip(between.start);
    let mut is_before = text[..between.start].ends_with(['\n', '\r']);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\t' if is_before => return Some(at),
            b' ' | b'\t' => {}
            b'\n' | b'\r' => is_before = true,
            b'#' => is_before = bytes.any(|(_, byte)| byte == b'\n'),
            b'-' | b'?' => is_before = text[at + 1..].starts_with([' ', '\t', '\n', '\r']),
            _ => is_before = false,
        }
    }
    None
}

/// The text as YAML 1.2 has it, where go-yaml takes more: `\'` in double quotes becomes `\x27`, and a comment that stands right
/// behind a quote or bracket gets its space.
///
/// `None` where that is not what is wrong.
pub(super) fn mended(text: &str) -> Option<String> {
    if !["\\'", "\"#", "'#", "]#", "}#"].iter().any(|mark| text.contains(mark)) {
        return None;
    }
    let mut mended = text.to_owned();
    for _ in 0..YAML_MENDS_MAX {
        let options = granit_parser::options! { emit_comments: false };
        let error = Parser::new_from_str_with_options(&mended, options).find_map(Result::err);
        let Some((kind, at)) = error.and_then(|error| Some((error.kind().clone(), error.marker().byte_offset()?)))
        else {
            return (mended != text).then_some(mended);
        };
        match kind {
            ErrorKind::UnknownQuotedScalarEscape => mended = replaced(&mended, at)?,
            ErrorKind::CommentNotSeparated
            | ErrorKind::InvalidTrailingSingleQuotedScalar
            | ErrorKind::InvalidTrailingDoubleQuotedScalar
                if mended.get(at..)?.starts_with('#') =>
            {
                mended.insert(at, ' ');
            }
            _ => return (mended != text).then_some(mended),
        }
    }
    None
}

/// Replaces the escapes of the double-quoted scalar that begins at `start`.
fn replaced(text: &str, start: usize) -> Option<String> {
    let scalar = text.get(start..)?.strip_prefix('"')?;
    let mut mended = text[..=start].to_owned();
    let mut changed = false;
    let mut characters = scalar.chars();
    while let Some(c) = characters.next() {
        if c == '"' {
            mended.push('"');
            mended.push_str(characters.as_str());
            return changed.then_some(mended);
        }
        if c != '\\' {
            mended.push(c);
            continue;
        }
        match characters.next()? {
            '\'' => {
                mended.push_str("\\x27");
                changed = true;
            }
            escaped => mended.extend(['\\', escaped]),
        }
    }
    None
}
