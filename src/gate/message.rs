//! What does a person read? A verdict in words, held by golden files.
//!
//! The first line stands alone in 120 characters, then come the fields with Git's value and the write's, then where Git says
//! so, then one hint. It never shows a Secret's value, a control character, or words on which Flux would delete the object.

use std::borrow::Cow;

use crate::drift::declared::ObjectKey;
use crate::drift::path::FieldPath;
use crate::gate::ask::REASON;
use crate::gate::basis::{CommitId, Fault};
use crate::gate::grant::Grant;
use crate::gate::incident::{Act, Glass, Offer, Refusal};
use crate::gate::removal::{Held, HeldObject, Loss};
use crate::gate::ruling::Ground;
use crate::gate::text::{shortened, tame, without_immutable};
use crate::gate::verdict::{At, Class, Field, Ruling};
use crate::limits::{
    FIELDS_SHOWN_MAX, OWNERS_SHOWN_MAX, PATH_CHARS_MAX, VALUE_CHARS_MAX, WARNING_CHARS_MAX, WARNINGS_MAX,
};

/// What a message tells.
#[derive(Debug, Clone, Copy)]
pub struct Words<'w> {
    /// The object.
    pub object: &'w ObjectKey,
    /// What it is about.
    pub ground: &'w Ground,
    /// The fields of the ground, as many as are kept.
    pub fields: &'w [Field],
    /// How many there are.
    pub count: usize,
    /// Where the declaration begins, for a message about all of it: file and line.
    pub declared: Option<(&'w str, u32)>,
    /// The revision in force, where no commit is known.
    pub revision: Option<&'w CommitId>,
    /// The commit that last wrote that line, or the revision in force.
    pub commit: Option<&'w At>,
    /// Owners of the file.
    pub owners: &'w [String],
    /// What the ruling stands without.
    pub doubt: Option<Doubt<'w>>,
    /// What it has to do with a break-glass: then it is told of that.
    pub glass: Option<&'w Glass>,
    /// A break-glass that does not count.
    pub void: Option<&'w Refusal>,
    /// Whether there is a way through in an incident.
    pub offer: Offer,
}

/// What a ruling stands without: the newest that Git says, or what the API server makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt<'w> {
    /// This commit is newer, and is not in force because of that fault.
    Refused(&'w CommitId, &'w Fault),
    /// Git was asked, and did not answer.
    Silence,
    /// The API server was asked for the server form, and gave none in time.
    Formless,
}

/// Characters of a reason in a line that has to tell more.
const REASON_CHARS_MAX: usize = 32;

/// A file, and the commit that wrote some lines of it.
type Place<'p> = (&'p str, Option<String>);

impl Words<'_> {
    /// The whole message, as kubectl shows it.
    pub fn message(&self) -> String {
        let mut lines = vec![self.first_line()];
        for field in self.fields.iter().take(FIELDS_SHOWN_MAX) {
            lines.push(format!("  {}", self.field(field)));
        }
        let shown = self.fields.len().min(FIELDS_SHOWN_MAX);
        if self.count > shown {
            lines.push(format!("  and {} more", self.count - shown));
        }
        lines.extend(self.origins().into_iter().map(|origin| format!("  {origin}")));
        if let Some(glass) = self.glass {
            lines.push(format!("  recorded as BreakGlass {}", glass.record));
            return finished(&lines);
        }
        lines.extend(self.doubt.map(note));
        lines.extend(self.void.map(|void| format!("note: {}", told(void))));
        lines.push(match self.offer {
            Offer::None => format!("hint: {}", self.hint()),
            Offer::BreakGlass => format!(r#"hint: {}; in an incident set {REASON}="<ticket> <reason>""#, self.hint()),
        });
        finished(&lines)
    }

    /// Warnings, each in one line that kubectl does not cut: what was done to the write, the fields, then where Git says so.
    pub fn warnings(&self, ruling: Ruling) -> Vec<String> {
        if self.glass.is_some() {
            return vec![warning(&self.first_line())];
        }
        let object = self.object_within(WARNING_CHARS_MAX / 2);
        let lead = match self.ground {
            Ground::None => return Vec::new(),
            Ground::Drift | Ground::Owners => format!("{object} drifts from Git"),
            Ground::Doubt => format!("{object} may drift from Git"),
            Ground::Preexisting => format!("{object} differed from Git already"),
            Ground::Undeclared => format!("{object} gets what Git does not declare"),
            Ground::Deletion | Ground::Holding(_) | Ground::Stray(_) | Ground::Derived(_) | Ground::Forged => {
                self.first_line()
            }
        };
        let mut warnings: Vec<String> =
            self.fields.iter().take(WARNINGS_MAX).map(|field| self.field_warning(&lead, field)).collect();
        if warnings.is_empty() {
            warnings.push(lead);
        } else if self.count > warnings.len() {
            warnings.push(format!("{lead} in {} more", count(self.count - warnings.len(), "field")));
        }
        match ruling {
            Ruling::Revert => warnings.insert(0, format!("{object}: what drifts from Git is put back")),
            Ruling::Annotate => warnings.insert(0, format!("{object} is marked by the annotation landfast.dev/drift")),
            Ruling::Allow | Ruling::Warn | Ruling::Deny => {}
        }
        warnings.extend(self.origins().into_iter().take(WARNINGS_MAX).map(|origin| format!("{object}: {origin}")));
        warnings.iter().map(|text| warning(text)).collect()
    }

    /// One field. Where it is too long, first the lead gives way, then what both values begin with, then their ends: never
    /// all of the written one.
    fn field_warning(&self, lead: &str, field: &Field) -> String {
        let fits = |text: &String| without_immutable(&tame(text)).chars().count() <= WARNING_CHARS_MAX;
        let whole = self.field(field);
        let path = shortened(&field.path.to_string(), WARNING_CHARS_MAX / 2);
        let alike = alike(field.git.as_deref().unwrap_or_default(), field.written.as_deref().unwrap_or_default());
        let values = (1..VALUE_CHARS_MAX).rev().map(|room| {
            let cut =
                |value: &Option<String>| value.as_deref().map(|value| shortened(&without_start(value, alike), room));
            self.told(field, &path, cut(&field.git).as_deref(), cut(&field.written).as_deref())
        });
        let mut all = [format!("{lead}: {whole}"), whole].into_iter().chain(values);
        all.find(fits).unwrap_or_else(|| lead.to_owned())
    }

    /// Always within the length of a warning: the object's name gives way.
    fn first_line(&self) -> String {
        let rest = match self.ground {
            _ if self.glass.is_some() => self.glass.map(glass_words).unwrap_or_default(),
            Ground::None => " agrees with Git".to_owned(),
            Ground::Drift => format!(" differs from Git in {}", count(self.count, "field")),
            Ground::Doubt => format!(" may differ from Git in {}", count(self.count, "field")),
            Ground::Preexisting => format!(" differed from Git already in {}", count(self.count, "field")),
            Ground::Undeclared => format!(" gets what Git does not declare in {}", count(self.count, "field")),
            Ground::Owners => " would be deleted with an owner that Git does not declare".to_owned(),
            Ground::Deletion => " is declared in Git and may not be deleted".to_owned(),
            Ground::Holding(held) => match held.loss {
                Loss::All => format!(" may not be deleted: {}", holds(held)),
                Loss::Parts => format!(" would no longer hold all that Git says of {}", count(held.count, "object")),
            },
            Ground::Stray(_) => " is not declared in Git".to_owned(),
            Ground::Derived(Some(owner)) => {
                format!(" belongs to {}, which Git declares", shortened(&owner.to_string(), WARNING_CHARS_MAX / 3))
            }
            Ground::Derived(None) => " may belong to what Git declares".to_owned(),
            Ground::Forged => " bears the name of another creator in spec.createdBy".to_owned(),
        };
        format!("{}{rest}", self.object_within(WARNING_CHARS_MAX - rest.chars().count()))
    }

    fn object_within(&self, room: usize) -> String {
        shortened(&self.object.to_string(), room)
    }

    fn field(&self, field: &Field) -> String {
        let path = if field.path.0.is_empty() {
            "the object".to_owned()
        } else {
            shortened(&field.path.to_string(), PATH_CHARS_MAX)
        };
        self.told(field, &path, field.git.as_deref(), field.written.as_deref())
    }

    /// A field with its path and values as they are to be shown.
    fn told(&self, field: &Field, path: &str, git: Option<&str>, written: Option<&str>) -> String {
        if is_secret(self.object) {
            return match field.class {
                Class::Undeclared => format!("{path}: not in Git"),
                Class::Drifts | Class::Reordered | Class::Preexisting | Class::Restores => format!("{path}: differs"),
            };
        }
        let (git, written) = (git.unwrap_or("not"), written.unwrap_or("not"));
        match field.class {
            Class::Reordered => format!("{path}: in the order {git} in Git, {written} in this write"),
            Class::Preexisting => format!("{path}: {git} in Git, {written} in the cluster"),
            Class::Undeclared if field.written.is_none() => format!("{path}: not in Git, removed by this write"),
            Class::Drifts | Class::Restores | Class::Undeclared => {
                format!("{path}: {git} in Git, {written} in this write")
            }
        }
    }

    /// One line for each commit that wrote some of the fields, in the order of the fields; then what goes with the object.
    fn origins(&self) -> Vec<String> {
        let mut places: Vec<(Place<'_>, Vec<u32>)> = Vec::new();
        for origin in self.fields.iter().take(FIELDS_SHOWN_MAX).filter_map(|field| field.origin.as_ref()) {
            let place = (origin.file.as_str(), origin.commit.as_ref().map(commit));
            match places.iter_mut().find(|(known, _)| *known == place) {
                Some((_, lines)) => lines.push(origin.line),
                None => places.push((place, vec![origin.line])),
            }
        }
        if places.is_empty() {
            places.extend(self.declared.map(|(file, line)| ((file, self.commit.map(commit)), vec![line])));
        }
        let mut lines: Vec<String> = places.into_iter().map(|place| self.origin(place)).collect();
        if let Ground::Stray(source) = self.ground {
            let source = format!("it is in the scope of GitSource {}", shortened(&source.to_string(), PATH_CHARS_MAX));
            lines.push(match self.revision {
                Some(revision) => format!("{source}, which is at {}", revision.short()),
                None => source,
            });
        }
        if let (Some(last), false) = (lines.last_mut(), self.owners.is_empty()) {
            let owners: Vec<String> =
                self.owners.iter().take(OWNERS_SHOWN_MAX).map(|owner| shortened(owner, PATH_CHARS_MAX)).collect();
            *last = format!("{last}, owned by {}", owners.join(", "));
        }
        if let Ground::Holding(Held { named, count, .. }) = self.ground {
            lines.extend(named.iter().map(|HeldObject { object, file, line }| {
                format!(
                    "{} is declared by {}:{line}",
                    shortened(object, PATH_CHARS_MAX),
                    shortened(file, PATH_CHARS_MAX)
                )
            }));
            if *count > named.len() {
                lines.push(format!("and {} more", count - named.len()));
            }
        }
        lines
    }

    fn origin(&self, ((file, commit), mut lines): (Place<'_>, Vec<u32>)) -> String {
        lines.sort_unstable();
        lines.dedup();
        let place = format!("declared by {}:{}", shortened(file, PATH_CHARS_MAX), ranges(&lines));
        match (commit, self.revision) {
            (Some(commit), _) => format!("{place} at {commit}"),
            (None, Some(revision)) => format!("{place} at {}", revision.short()),
            (None, None) => place,
        }
    }

    fn hint(&self) -> &'static str {
        match self.ground {
            Ground::None | Ground::Drift | Ground::Doubt | Ground::Preexisting => "change that file",
            Ground::Undeclared => "declare it in that file, or leave it as it was",
            Ground::Owners => "leave the owner out, or declare it in that file",
            Ground::Deletion => "remove it from that file",
            Ground::Holding(held) => match held.loss {
                Loss::All => "remove them from Git first",
                Loss::Parts => "change them in Git first",
            },
            Ground::Stray(_) => "declare it there",
            Ground::Derived(_) => "change what Git declares of it",
            Ground::Forged => "leave it out, Landfast fills it in",
        }
    }
}

/// Whether an object's values may never be shown.
pub fn is_secret(object: &ObjectKey) -> bool {
    (object.group(), object.kind()) == ("", "Secret")
}

fn commit(at: &At) -> String {
    let commit = at.commit().short();
    match at {
        At::Written(info) => {
            format!("{commit} ({}, {})", shortened(&info.author, PATH_CHARS_MAX), info.date.strftime("%F"))
        }
        At::InForce(_) => commit.to_owned(),
    }
}

fn note(doubt: Doubt<'_>) -> String {
    let (commit, place) = match doubt {
        Doubt::Silence => return "note: Git could not be asked whether it says otherwise by now".to_owned(),
        Doubt::Formless => return "note: the API server did not say what it makes of what Git declares".to_owned(),
        Doubt::Refused(commit, Fault { file, line: 0, .. }) => (commit, shortened(file, PATH_CHARS_MAX)),
        Doubt::Refused(commit, Fault { file, line, .. }) => {
            (commit, format!("{}:{line}", shortened(file, PATH_CHARS_MAX)))
        }
    };
    let cause = if place.is_empty() { place } else { format!(", because of {place}") };
    format!("note: the newest commit {} is not in force{cause}", commit.short())
}

/// What a writer is told that removes the annotation of an open break-glass without the right to end it.
pub fn stays_warning(reason: &str, why: &str) -> String {
    warning(&format!("break-glass \"{}\" stays open: {why}", shortened(&tame(reason), REASON_CHARS_MAX)))
}

/// What a deployer is told of a field that it leaves alone.
pub fn kept_warning(object: &ObjectKey, path: &FieldPath, grant: &Grant) -> String {
    let (reason, ends) = (shortened(&tame(&grant.reason), REASON_CHARS_MAX), grant.ends().strftime("%F %H:%MZ"));
    let object = shortened(&object.to_string(), WARNING_CHARS_MAX / 3);
    warning(&format!("{object}: {path} stays as it is for break-glass \"{reason}\" until {ends}"))
}

/// What a writer is told of a break-glass that does not count.
pub fn void_warning(void: &Refusal) -> String {
    warning(&told(void))
}

fn told(Refusal { reason, why }: &Refusal) -> String {
    format!("break-glass \"{}\" does not count: {why}", shortened(reason, REASON_CHARS_MAX))
}

/// Follows the name of an object.
fn glass_words(Glass { act, reason, ends, record: _ }: &Glass) -> String {
    let (reason, ends) = (shortened(&tame(reason), REASON_CHARS_MAX), ends.strftime("%F %H:%MZ"));
    match act {
        Act::Opened => format!(" opens break-glass \"{reason}\" until {ends}"),
        Act::Used => format!(" is let in by break-glass \"{reason}\" until {ends}"),
        Act::Ended => format!(" ends break-glass \"{reason}\""),
    }
}

/// Lines as they are sent.
fn finished(lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| tame(line)).collect();
    without_immutable(&lines.join("\n"))
}

/// Lines in order, three and more in a row as `5-9`.
fn ranges(lines: &[u32]) -> String {
    let runs = lines.chunk_by(|one, next| one + 1 == *next).map(|run| match run {
        [first, _, .., last] => format!("{first}-{last}"),
        run => run.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
    });
    runs.collect::<Vec<_>>().join(",")
}

fn holds(held: &Held) -> String {
    match held.count {
        1 => "1 object that Git declares goes with it".to_owned(),
        count => format!("{count} objects that Git declares go with it"),
    }
}

/// How many characters two values begin with alike, without the last few: those say where the difference is.
fn alike(one: &str, other: &str) -> usize {
    const SHOWN: usize = 6;
    one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count().saturating_sub(SHOWN)
}

/// The value, its first characters as one `…`; as it is where that is no shorter.
fn without_start(value: &str, cut: usize) -> Cow<'_, str> {
    if cut < 2 {
        Cow::Borrowed(value)
    } else {
        Cow::Owned(['…'].into_iter().chain(value.chars().skip(cut)).collect())
    }
}

fn count(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn warning(text: &str) -> String {
    // Breaking the words makes the text longer, cutting it cannot make new ones.
    shortened(&without_immutable(&tame(text)), WARNING_CHARS_MAX)
}
