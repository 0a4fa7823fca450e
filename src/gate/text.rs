//! How is foreign text made fit for a terminal? Shortened, without control characters, and without words that act.

use std::fmt::Write as _;

/// The text, cut to so many characters, the last of them `…` where something was cut.
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// One line without anything that a terminal would act on: control and bidirectional characters stand as JSON escapes.
pub fn tame(line: &str) -> String {
    let mut tamed = String::with_capacity(line.len());
    for character in line.chars() {
        if acts(character) {
            let mut units = [0_u16; 2];
            for unit in character.encode_utf16(&mut units) {
                let _ = write!(tamed, "\\u{unit:04x}");
            }
        } else {
            tamed.push(character);
        }
    }
    tamed
}

fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(character, '\u{e0000}'..='\u{e007f}')
}

/// The text with no match of `is\simmutable|immutable\sfield`, in any case of letters: on those words Flux deletes an object
/// and makes it anew. The white space between becomes its JSON escape, so that a quoted value still means the same.
pub fn without_immutable(text: &str) -> String {
    let mut rest = text;
    let mut safe = String::with_capacity(text.len());
    while let Some(space) = rest.find(|character: char| character.is_ascii_whitespace() || character == '\u{b}') {
        let (before, after) = (&rest[..space], &rest[space + 1..]);
        safe.push_str(before);
        let matches = (ends_with(before, "is") && begins_with(after, "immutable"))
            || (ends_with(before, "immutable") && begins_with(after, "field"));
        if matches {
            let _ = write!(safe, "\\u{:04x}", rest.as_bytes()[space]);
        } else {
            safe.push_str(&rest[space..=space]);
        }
        rest = after;
    }
    safe.push_str(rest);
    safe
}

fn ends_with(text: &str, word: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= word.len() && bytes[bytes.len() - word.len()..].eq_ignore_ascii_case(word.as_bytes())
}

fn begins_with(text: &str, word: &str) -> bool {
    text.as_bytes().get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_on_which_flux_deletes_are_broken() {
        for (text, safe) in [
            ("field is immutable", r"field is\u0020immutable"),
            ("Immutable\tField", r"Immutable\u0009Field"),
            ("is immutable field", r"is\u0020immutable\u0020field"),
            ("this\nimmutable", r"this\u000aimmutable"),
            ("is  immutable", "is  immutable"),
            ("an immutable set of fields", "an immutable set of fields"),
        ] {
            assert_eq!(without_immutable(text), safe);
        }
    }

    #[test]
    fn what_a_terminal_acts_on_is_escaped() {
        assert_eq!(tame("a\u{1b}[2Jb\u{202e}c\u{7f}\u{9b}\n"), r"a\u001b[2Jb\u202ec\u007f\u009b\u000a");
        assert_eq!(tame("\u{e0041}"), r"\udb40\udc41");
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(shortened("äbcd", 4), "äbcd");
        assert_eq!(shortened("äbcde", 4), "äbc…");
        assert_eq!(shortened("x", 0), "…");
    }

    proptest! {
        #[test]
        fn no_text_keeps_the_words(parts in prop::collection::vec(
            prop::sample::select(vec!["is", "IS", " ", "\t", "\n", "immutable", "Immutable", "field", "x", "ä"]), 0..12,
        )) {
            let safe = without_immutable(&parts.concat()).to_lowercase();
            for white in [' ', '\t', '\n', '\r', '\u{c}'] {
                let found = [format!("is{white}immutable"), format!("immutable{white}field")];
                prop_assert!(!found.iter().any(|words| safe.contains(words.as_str())), "{safe:?}");
            }
        }
    }
}
