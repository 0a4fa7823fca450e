//! What do the strings of a configuration mean? Globs, kinds, names, URLs; durations as `gate` reads them.
//!
//! Each function reads one form and says in words what is wrong with it. No message holds a password.

use globset::{Glob, GlobSetBuilder};
use jiff::Timestamp;
use regex::Regex;

use crate::config::crd::{Globs, Transport, Url};
use crate::gate::policy::KindName;
use crate::gate::repair::HoldAbove;
use crate::limits::CONFIG_REF_MAX;

pub use crate::gate::duration::duration;

/// Longest glob of names, in characters: names are no longer.
const GLOB_CHARS_MAX: usize = 253;

/// A regular expression, as Rust's `regex` reads it: RE2 without surprises, no backtracking.
pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| {
        let error = error.to_string();
        let what = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("`{}` is no regular expression: {what}", text.escape_debug())
    })
}

/// Globs of names: small letters, digits, `-`, `.`, and the wildcards `*` and `?`, so that the API server's conditions and ours
/// can mean the same.
pub(super) fn glob(text: &str) -> Result<Glob, String> {
    let fits = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.' | '*' | '?' | ':');
    match text.chars().find(|&c| !fits(c)) {
        Some(c) => Err(format!("`{}` may not hold `{}`", text.escape_debug(), c.escape_debug())),
        None if text.len() > GLOB_CHARS_MAX => Err(format!("is longer than {GLOB_CHARS_MAX} characters")),
        None => Glob::new(text).map_err(|error| error.to_string()),
    }
}

/// Many globs as one set.
pub(super) fn globs(globs: &[Glob]) -> Result<Globs, String> {
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        builder.add(glob.clone());
    }
    let set = builder.build().map_err(|error| error.to_string())?;
    Ok(Globs { patterns: globs.iter().map(|glob| glob.glob().to_owned()).collect(), set })
}

/// Whether some name fits both globs.
pub(super) fn meet(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // meets[i][j]: the rests from i and j on fit a common text.
    let mut meets = vec![vec![false; b.len() + 1]; a.len() + 1];
    for i in (0..=a.len()).rev() {
        for j in (0..=b.len()).rev() {
            let (x, y) = (a.get(i), b.get(j));
            meets[i][j] = match (x, y) {
                (None, None) => true,
                (Some('*'), _) if meets[i + 1][j] => true,
                (_, Some('*')) if meets[i][j + 1] => true,
                (Some('*'), Some(_)) => meets[i][j + 1],
                (Some(_), Some('*')) => meets[i + 1][j],
                (Some(x), Some(y)) => (x == y || *x == '?' || *y == '?') && meets[i + 1][j + 1],
                (None, Some(_)) | (Some(_), None) => false,
            };
        }
    }
    meets[0][0]
}

/// A kind as kubectl writes it: `Service`, `Deployment.apps`.
pub(super) fn kind(text: &str) -> Result<KindName, String> {
    let (kind, group) = text.split_once('.').unwrap_or((text, ""));
    let word = kind.starts_with(|c: char| c.is_ascii_uppercase()) && kind.bytes().all(|b| b.is_ascii_alphanumeric());
    if !word || (text.contains('.') && !is_dns_name(group)) {
        return Err(format!("`{}` is no kind such as Service or Deployment.apps", text.escape_debug()));
    }
    Ok(KindName { kind: kind.to_owned(), group: group.to_owned() })
}

/// The name of an object.
pub(super) fn name(text: &str) -> Result<String, String> {
    if is_dns_name(text) && text.len() <= 253 {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is no name: small letters, digits, `-` and `.`", text.escape_debug()))
}

/// The name of a namespace.
pub(super) fn namespace(text: &str) -> Result<String, String> {
    if is_dns_name(text) && !text.contains('.') && text.len() <= 63 {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is no namespace", text.escape_debug()))
}

fn is_dns_name(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    text.split('.').all(part)
}

/// The URL of a repository.
pub(super) fn url(text: &str) -> Result<Url, String> {
    let wrong = |what: &str| Err(format!("`{}` {what}", printable_url(text).escape_debug()));
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return wrong("holds a space");
    }
    let transport = match text.split_once("://") {
        Some(("https", rest)) if has_host(rest) => Transport::Https,
        Some(("ssh", rest)) if has_host(rest) => Transport::Ssh,
        Some(("file", rest)) if rest.starts_with('/') => Transport::File,
        Some(("https" | "ssh", _)) => return wrong("names no host and path"),
        Some(("file", _)) => return wrong("wants an absolute path: file:///path"),
        None if is_scp(text) => Transport::Ssh,
        Some(_) | None => return wrong("is neither https, ssh nor file"),
    };
    Ok(Url { text: text.to_owned(), transport })
}

fn has_host(rest: &str) -> bool {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    !host.is_empty() && !host.starts_with([':', '-']) && !path.is_empty()
}

/// `git@host:path`
fn is_scp(text: &str) -> bool {
    text.split_once(':').is_some_and(|(host, path)| {
        host.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
            && !host.starts_with('-')
            && !host.contains('/')
            && !path.is_empty()
    })
}

/// A URL as it may be printed: without user, password, query and fragment.
pub fn printable_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    // A slash inside a password makes what follows it look like a path.
    let (authority, path) = match path.rsplit_once('@') {
        Some((_, after)) if !authority.contains('@') && scheme != "file" => (after, ""),
        _ => (authority, path),
    };
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let shown = format!("{scheme}://{host}{path}");
    shown.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// The short name of a branch or a tag (git's check-ref-format).
pub(super) fn ref_name(text: &str) -> Result<String, String> {
    let wrong = |what: &str| Err(format!("`{}` {what}", text.escape_debug()));
    if text.starts_with("refs/") {
        return wrong("is a full ref; write its short name");
    }
    let forbidden = |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    let is_lock = |part: &str| part.strip_suffix(".lock").is_some();
    let parts_fit = text.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !is_lock(part));
    let odd = text.starts_with('-') || text.ends_with('.') || text.contains("..") || text.contains("@{") || text == "@";
    let is_long = text.chars().count() > CONFIG_REF_MAX;
    if text.contains(forbidden) || !parts_fit || odd || is_long {
        return wrong("is no name of a ref");
    }
    Ok(text.to_owned())
}

/// A commit, in full.
pub(super) fn commit(text: &str) -> Result<String, String> {
    if text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!("`{}` is no commit of 40 hex digits", text.escape_debug()))
}

/// A folder inside a repository, without slashes around it; empty: the whole tree.
pub(super) fn folder(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") || text.chars().any(char::is_control) {
        return Err(format!("`{}` leads out of the tree", text.escape_debug()));
    }
    Ok(parts.join("/"))
}

/// A share of a source's objects (`10%`).
pub(super) fn percent(text: &str) -> Result<HoldAbove, String> {
    match (0..=100).find(|percent| format!("{percent}%") == text) {
        Some(percent) => Ok(HoldAbove::Percent(percent)),
        None => Err(format!("`{}` is no share such as 10%", text.escape_debug())),
    }
}

/// A time as RFC 3339 has it.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    // The parser understands more; the API server does not.
    let is_plain = text.get(10..11) == Some("T") && !text.contains(['[', ' ', ',']) && text.is_ascii();
    let zoned = text.ends_with('Z') || text.get(text.len().saturating_sub(3)..).is_some_and(|end| end.starts_with(':'));
    let read = text.parse().ok().filter(|_| is_plain && zoned);
    read.ok_or_else(|| format!("`{}` is no time such as 2027-03-31T00:00:00Z", text.escape_debug()))
}
