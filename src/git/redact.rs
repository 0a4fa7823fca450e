//! What of a message about a remote may be printed? Everything but who we are to it: user, password and query of its URL.

use std::borrow::Cow;

use crate::config::printable_url;

const HIDDEN: &str = "***";

/// A text in which nothing secret of `url` stands any more.
///
/// libgit2 may quote the URL, or parts of it, in its messages; so may a server that was told our password.
pub fn scrub(text: &str, url: &str) -> String {
    let mut clean = Cow::Borrowed(text);
    let whole = std::iter::once((url.to_owned(), printable_url(url)));
    let parts = secrets(url).into_iter().map(|secret| (secret, HIDDEN.to_owned()));
    for (secret, shown) in whole.chain(parts) {
        if clean.contains(&secret) {
            clean = clean.replace(&secret, &shown).into();
        }
    }
    // A line of a log is one line: a server's text may hold anything.
    clean.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// User part, user, password and query of a URL, as written and decoded; the longest first.
fn secrets(url: &str) -> Vec<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = before.split('/').next().unwrap_or_default();
    let user_part = authority.rsplit_once('@').map_or("", |(user, _)| user);
    let (user, password) = user_part.split_once(':').unwrap_or((user_part, ""));
    let mut secrets: Vec<String> =
        [user_part, user, password, query].into_iter().flat_map(|text| [text.to_owned(), decoded(text)]).collect();
    // Very short ones (`git@`, a user `x`) would tear words apart, and are no secrets.
    secrets.retain(|secret| secret.len() > 3);
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
    secrets
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| first == b'%').and_then(|two| std::str::from_utf8(two).ok());
        let (byte, after) = match hex.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => (byte, &after[2..]),
            None => (first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_no_part_of_the_password() {
        let url = "https://robot:s3cret%21x@git.example.com/a.git?key=abcd";
        for text in [
            "failed to resolve https://robot:s3cret%21x@git.example.com/a.git?key=abcd",
            "wrong password s3cret!x",
            "who is robot:s3cret%21x",
            "no key=abcd",
        ] {
            let clean = scrub(text, url);
            assert!(!["s3cret", "abcd"].iter().any(|secret| clean.contains(secret)), "{clean}");
        }
    }

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(scrub("a\r\nb\u{1b}[2J\n", "file:///x"), "a  b [2J");
    }

    #[test]
    fn broken_percent_signs_are_left_alone() {
        assert_eq!(decoded("a%zz%4"), "a%zz%4");
        assert_eq!(decoded("%41%C3%A9"), "Aé");
    }
}
