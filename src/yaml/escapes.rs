//! Where does go-yaml read a quoted or plain scalar otherwise than YAML 1.2? What it refuses is refused; what it takes is taken.
//!
//! granit-parser follows YAML 1.2, kubectl's libyaml YAML 1.1; this file holds what lies between, and nothing else.

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

/// A block scalar whose indentation go-yaml cannot find because a tab begins its first text; `before` is the source up to there.
pub(super) fn refused_in_block(source: &str, before: &str) -> Option<&'static str> {
    if !source.starts_with('\t') {
        return None;
    }
    let header = before.trim_end().rsplit('\n').next()?.split(" #").next()?;
    let told = header.trim_end().chars().rev().take(2).any(|c| c.is_ascii_digit());
    (!told).then_some("a tab begins the text where an indentation of spaces is expected")
}

/// What go-yaml reads otherwise in a plain scalar inside `[]` or `{}`.
pub(super) fn refused_in_flow(text: &str) -> Option<&'static str> {
    if text.contains('?') {
        return Some("text with `?` inside [] or {} must be quoted");
    }
    text.starts_with(':').then_some("text that begins with `:` inside [] or {} must be quoted")
}

/// Whether a key that spans lines was introduced by `?`; go-yaml takes no other.
pub(super) fn is_explicit_key(before: &str) -> bool {
    before.trim_end().ends_with('?')
}

/// The text with `\'` in double-quoted scalars written as `\x27`, because go-yaml takes it and YAML 1.2 does not.
///
/// `None` where that is not what is wrong.
pub(super) fn mended(text: &str) -> Option<String> {
    if !text.contains("\\'") {
        return None;
    }
    let mut mended = text.to_owned();
    for _ in 0..YAML_MENDS_MAX {
        let options = granit_parser::options! { emit_comments: false };
        let error = Parser::new_from_str_with_options(&mended, options).find_map(Result::err);
        let Some(error) = error.filter(|error| *error.kind() == ErrorKind::UnknownQuotedScalarEscape) else {
            return (mended != text).then_some(mended);
        };
        mended = replaced(&mended, error.marker().byte_offset()?)?;
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
