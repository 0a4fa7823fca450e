//! Who owns a file? CODEOWNERS, as GitHub and GitLab read it: the last pattern that matches wins.
//!
//! Rules: docs.github.com, "About code owners" (gitignore patterns without `!`, `[ ]` and `\#`). Never fails: a line that
//! cannot be read names nobody.

use globset::{Glob, GlobBuilder, GlobMatcher};

use crate::gate::basis::{CommitId, Owners};
use crate::git::GitError;
use crate::git::mirror::Mirror;
use crate::git::tree::{BlobId, Found};
use crate::limits;

/// Where the file may stand, the first found counts (GitHub's order, then GitLab's own folder).
pub const PLACES: [&str; 4] = [".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS"];

/// A CODEOWNERS file, read.
#[derive(Debug, Default)]
pub struct Codeowners {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    matchers: Vec<GlobMatcher>,
    owners: Vec<String>,
}

impl Codeowners {
    /// Reads the text of the file; at most [`limits::OWNER_RULES_MAX`] lines of it count.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().take(limits::OWNER_RULES_MAX);
        let mut default = Vec::new();
        let rules = lines.filter_map(|line| rule(line, &mut default)).collect();
        Self { rules }
    }
}

impl Owners for Codeowners {
    fn of(&self, file: &str) -> Vec<String> {
        let matching = self.rules.iter().rev().find(|rule| rule.matchers.iter().any(|glob| glob.is_match(file)));
        matching.map(|rule| rule.owners.clone()).unwrap_or_default()
    }
}

impl Mirror {
    /// Which CODEOWNERS counts at a commit, if any: its content tells whether it must be read again.
    pub fn owners_file(&self, commit: &CommitId) -> Result<Option<BlobId>, GitError> {
        for place in PLACES {
            match self.at(commit, place)? {
                Some(Found::File(blob)) => return Ok(Some(blob)),
                Some(Found::Link(_)) | None => {}
            }
        }
        Ok(None)
    }
}

/// One line; a GitLab section heading sets the owners of the patterns below it that name none.
fn rule(line: &str, default: &mut Vec<String>) -> Option<Rule> {
    let line = line.trim();
    if let Some(heading) = line.strip_prefix('[').or_else(|| line.strip_prefix("^[")) {
        let after = heading.split_once(']').map_or("", |(_, after)| after);
        let after = after.strip_prefix('[').and_then(|count| count.split_once(']')).map_or(after, |(_, rest)| rest);
        *default = after.split_whitespace().map(str::to_owned).collect();
        return None;
    }
    let words = split(line);
    let (pattern, owners) = words.split_first()?;
    let owners = if owners.is_empty() { default.clone() } else { owners.to_vec() };
    let matchers = globs(pattern).into_iter().map(|glob| glob.compile_matcher()).collect();
    Some(Rule { matchers, owners })
}

/// Words of a line; a backslash keeps a space in its word, `#` at the start of a word ends the line.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut escaped) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '#' if word.is_empty() => break,
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            c if c.is_whitespace() && !escaped => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            c => word.push(c),
        }
        escaped = false;
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// The globs that a gitignore pattern stands for: the thing itself, and all beneath it where it may be a folder.
fn globs(pattern: &str) -> Vec<Glob> {
    let folder_only = pattern.ends_with('/');
    let body = pattern.trim_end_matches('/');
    // A slash anywhere but at the end ties the pattern to the root.
    let rooted = body.contains('/');
    let body = body.trim_start_matches('/');
    if body.is_empty() {
        return glob("**").into_iter().collect();
    }
    let base = if rooted { body.to_owned() } else { format!("**/{body}") };
    // `docs/*` means the files of that folder alone, not those deeper (GitHub's own example).
    let shallow = rooted && body.ends_with("/*");
    let this = (!folder_only).then(|| base.clone());
    let beneath = (!shallow && !body.ends_with("**")).then(|| format!("{base}/**"));
    this.into_iter().chain(beneath).filter_map(|text| glob(&text)).collect()
}

fn glob(text: &str) -> Option<Glob> {
    // CODEOWNERS knows neither classes nor alternatives.
    let text: String = text.chars().flat_map(|c| ["[{}]".contains(c).then_some('\\'), Some(c)]).flatten().collect();
    GlobBuilder::new(&text).literal_separator(true).backslash_escape(true).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(text: &str, file: &str) -> String {
        Codeowners::parse(text).of(file).join(" ")
    }

    #[test]
    fn the_last_match_wins() {
        let text = "* @all\n/apps/ @apps\n*.yaml @yaml # everywhere\n/apps/web/ @web @second\n";
        for (file, expected) in [
            ("README", "@all"),
            ("apps/README", "@apps"),
            ("apps/cart/a.yaml", "@yaml"),
            ("apps/web/a.yaml", "@web @second"),
        ] {
            assert_eq!(owner(text, file), expected, "{file}");
        }
    }

    #[test]
    fn patterns_mean_what_github_says() {
        for (pattern, matching, other) in [
            ("/build/logs/", "build/logs/a/b", "x/build/logs/a"),
            ("docs/*", "docs/a.md", "docs/build/a.md"),
            ("apps/", "x/apps/y/a", "x/apps.yaml"),
            ("/docs/", "docs/a/b", "x/docs/a"),
            ("**/logs", "a/b/logs/c", "a/logs.txt"),
            ("*.js", "a/b.js", "a/b.jsx"),
            ("/apps/github", "apps/github/x", "x/apps/github"),
            ("a/**/b.yaml", "a/x/y/b.yaml", "b/a/b.yaml"),
            ("/we\\ ird/", "we ird/a", "we/a"),
            ("a[1].yaml", "x/a[1].yaml", "x/a1.yaml"),
        ] {
            let text = format!("{pattern} @x");
            assert_eq!((owner(&text, matching), owner(&text, other)), ("@x".into(), String::new()), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_without_owner_names_nobody() {
        assert_eq!(owner("* @all\n/apps/free.yaml\n", "apps/free.yaml"), "");
    }

    #[test]
    fn a_section_gives_its_owners_to_patterns_without() {
        let text = "[Platform][2] @platform\n/base/\n/base/x/ @x\n^[Free]\n/free/";
        assert_eq!(owner(text, "base/a"), "@platform");
        assert_eq!(owner(text, "base/x/a"), "@x");
        assert_eq!(owner(text, "free/a"), "");
    }

    #[test]
    fn any_text_can_be_read() {
        for text in ["[", "^[", "\\", "{ @x", "\u{0}", "***** @x", "/ @x", "[a][b", "] @x"] {
            let _ = owner(text, "a/b");
        }
        assert_eq!(owner("/ @x", "a/b"), "@x");
    }
}
