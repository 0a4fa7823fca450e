//! What was ruled in a span of time, on whom, and what would settle it? The sum of many records.
//!
//! Pure. Records of several replicas are one by their id, their counts added. It says nothing that no record holds: a plain
//! Allow leaves none.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::audit::journal::Line;
use crate::audit::record::{Record, Writer};
use crate::audit::remedies::{Broken, Mended};
use crate::audit::safety::{Condition, Refusals};
use crate::audit::settle::{Entries, Matter, Settled};
use crate::audit::usage::{Entry, Used};
use crate::gate::verdict::{Class, Ruling, WriterRole};
use crate::limits;

/// The records of a span, as they are read.
#[derive(Debug)]
pub struct Ledger {
    since: Timestamp,
    until: Timestamp,
    records: HashMap<String, Record>,
    refusals: Refusals,
    used: BTreeSet<Entry>,
}

/// What of a configuration a report needs.
#[derive(Debug, Clone, Default)]
pub struct Configured {
    /// The names of the policies, in the order of their precedence.
    pub policies: Vec<String>,
    /// Their entries.
    pub entries: Vec<Entry>,
    /// Of entries that have no effect any more, what to tell.
    pub over: Vec<String>,
}

/// The sum.
#[derive(Debug, Clone)]
pub struct Report {
    /// From when on; inclusive.
    pub since: Timestamp,
    /// Until when; exclusive.
    pub until: Timestamp,
    /// Reviews that were ruled other than by a plain Allow.
    pub writes: u64,
    /// Records, each of one write or of its repeats within a minute.
    pub records: usize,
    /// What was ruled, the hardest first, then the most frequent.
    pub rows: Vec<Row>,
    /// What would settle it, for each policy that governed; the last without a name is for what no policy governed.
    pub entries: Vec<(Option<String>, Entries)>,
    /// Whether each policy is safe to enforce, at the end of the span.
    pub safety: Vec<(String, Condition)>,
    /// Policies that no record names; absent where the configuration is not known.
    pub unnamed: Option<Vec<String>>,
    /// Entries of policies that were of no use within the span; absent as before.
    pub unused: Option<Vec<Entry>>,
    /// What to tell of entries that have no effect any more.
    pub over: Vec<String>,
    /// Break-glass, by its reason.
    pub glasses: Vec<Broken>,
    /// Repairs, and what was found of objects; what needs somebody most first.
    pub repairs: Vec<Mended>,
}

/// What was ruled of one writer, kind and field.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was ruled, and by whom on whom.
    pub key: Key,
    /// Reviews.
    pub writes: u64,
    /// Namespaces and names.
    pub objects: BTreeSet<(String, String)>,
    /// When last.
    pub last: Timestamp,
    /// What would settle it.
    pub settled: Settled,
}

/// What makes a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Whether it took effect, or only would have.
    pub enforced: bool,
    /// What was ruled.
    pub ruling: Ruling,
    /// The policy; absent where none governed.
    pub policy: Option<String>,
    /// Who wrote.
    pub user: String,
    /// What that is to us.
    pub role: WriterRole,
    /// As kubectl writes it: `Deployment.apps`.
    pub kind: String,
    /// The field, and what it is to Git; absent where the ruling is on the whole object.
    pub field: Option<(String, Class)>,
    /// Why, in a few words.
    pub reason: String,
}

impl Ledger {
    /// A ledger for the records from `since` to `until`, which itself is outside.
    pub fn new(since: Timestamp, until: Timestamp) -> Self {
        Self { since, until, records: HashMap::new(), refusals: Refusals::default(), used: BTreeSet::new() }
    }

    /// Takes a line of a journal. Repeats count for the record before them in the same journal.
    pub fn take(&mut self, line: Line) {
        match line {
            Line::Reconfigured(_) => {}
            Line::Used(Used { used, time }) => {
                // It is noted now and then only.
                let fold = SignedDuration::try_from(limits::USE_FOLD).unwrap_or_default();
                if time < self.until && time + fold > self.since {
                    self.used.insert(used);
                }
            }
            Line::Record(record) if record.time >= self.until => {}
            // What is safe hangs on a whole day, however short the span.
            Line::Record(record) if record.time < self.since => self.refusals.take(&record),
            Line::Record(record) => {
                self.refusals.take(&record);
                if let Some(known) = self.records.get_mut(&record.id) {
                    known.count += record.count;
                    known.time = known.time.min(record.time);
                } else {
                    self.records.insert(record.id.clone(), *record);
                }
            }
            Line::Repeats(repeats) => {
                if let Some(record) = self.records.get_mut(&repeats.id) {
                    record.count += repeats.repeated.saturating_sub(1);
                }
            }
        }
    }

    /// Sums up.
    pub fn report(&self, configured: Option<&Configured>) -> Report {
        let mut rows: Vec<Row> = self.rows();
        let taken = |known: &Configured| known.entries.iter().map(|entry| entry.name.clone()).collect();
        let taken: BTreeSet<String> = configured.map(taken).unwrap_or_default();
        let day = self.until.to_zoned(TimeZone::UTC).date();
        let mut entries: BTreeMap<Option<String>, Entries> = BTreeMap::new();
        for row in &mut rows {
            let of_policy = entries.entry(row.key.policy.clone());
            let of_policy = of_policy.or_insert_with(|| Entries::new(day, taken.clone()));
            row.settled = of_policy.settle(&row.matter());
        }
        let named: BTreeSet<&String> = self.records.values().filter_map(|record| record.policy.as_ref()).collect();
        let unnamed =
            configured.map(|known| known.policies.iter().filter(|policy| !named.contains(policy)).cloned().collect());
        let unused = |known: &Configured| {
            known.entries.iter().filter(|entry| !self.used.contains(entry)).cloned().collect::<Vec<_>>()
        };
        let of_policy = |policy: &String| (policy.clone(), self.refusals.condition(policy, self.until));
        let safety = named.iter().copied().map(of_policy).collect();
        Report {
            since: self.since,
            until: self.until,
            writes: self.records.values().map(|record| record.count).sum(),
            records: self.records.len(),
            rows,
            entries: entries.into_iter().filter(|(_, entries)| !entries.is_empty()).rev().collect(),
            safety,
            unnamed,
            unused: configured.map(unused),
            over: configured.map(|known| known.over.clone()).unwrap_or_default(),
            glasses: Broken::all(self.records.values()),
            repairs: Mended::all(self.records.values()),
        }
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows: BTreeMap<Key, Row> = BTreeMap::new();
        // What is let in has a record for its break-glass alone.
        for record in self.records.values().filter(|record| record.ruling > Ruling::Allow) {
            for key in Key::of(record) {
                let row = rows.entry(key.clone()).or_insert_with(|| Row {
                    key,
                    writes: 0,
                    objects: BTreeSet::new(),
                    last: record.time,
                    settled: Settled::No(""),
                });
                row.writes += record.count;
                row.objects.insert((record.object.namespace.clone(), record.object.name.clone()));
                row.last = row.last.max(record.time);
            }
        }
        let mut rows: Vec<Row> = rows.into_values().collect();
        rows.sort_by_key(|row| (Reverse((row.key.ruling, row.key.enforced)), Reverse(row.writes)));
        rows
    }
}

impl Key {
    /// One for each field that the ruling rests on, or one for the whole object.
    fn of(record: &Record) -> Vec<Self> {
        let object = &record.object;
        let whole = Self {
            enforced: record.enforced,
            ruling: record.ruling,
            policy: record.policy.clone(),
            user: record.writer.user.clone(),
            role: record.writer.role,
            kind: object.kind_name(),
            field: None,
            reason: record.reason.clone(),
        };
        let charged = record.fields.iter().take(record.charged);
        let fields: BTreeMap<&str, Class> = charged.map(|field| (field.path.as_str(), field.class)).collect();
        if fields.is_empty() {
            return vec![whole];
        }
        let of_field = |(path, class): (&str, Class)| Self { field: Some((path.to_owned(), class)), ..whole.clone() };
        fields.into_iter().map(of_field).collect()
    }
}

impl Row {
    fn matter(&self) -> Matter<'_> {
        let Key { user, role, kind, field, reason, .. } = &self.key;
        let field = field.as_ref().map(|(path, _)| path.as_str());
        Matter { user, role: *role, kind, field, reason, objects: &self.objects }
    }

    /// The first object, as in `shop/web`.
    pub fn example(&self) -> String {
        match self.objects.first() {
            Some((namespace, name)) if !namespace.is_empty() => format!("{namespace}/{name}"),
            Some((_, name)) => name.clone(),
            None => String::new(),
        }
    }

    fn json(&self, entries: Option<&Entries>) -> Value {
        let Key { enforced, ruling, policy, user, role, kind, field, reason } = &self.key;
        let mut row = json!({
            "ruling": ruling, "enforced": enforced, "writer": Writer { user: user.clone(), role: *role }, "kind": kind,
            "reason": reason, "writes": self.writes, "objects": self.objects.len(), "example": self.example(),
            "last": self.last,
        });
        if let Some(policy) = policy {
            row["policy"] = policy.as_str().into();
        }
        if let Some((path, class)) = field {
            row["field"] = path.as_str().into();
            row["class"] = class.name().into();
        }
        let settled = |member: &str, name: &str| {
            let yaml = entries.and_then(|entries| entries.yaml_of(&self.settled));
            json!({ "member": member, "name": name, "yaml": yaml })
        };
        row["settle"] = match &self.settled {
            Settled::Writer(name) => settled("writers", name),
            Settled::Ignore(name) => settled("ignore", name),
            Settled::No(why) => json!({ "none": why }),
        };
        row
    }
}

impl Report {
    /// For scripts. Sections that do not apply are left out.
    pub fn json(&self) -> Value {
        let entries =
            |policy: &Option<String>| self.entries.iter().find(|(of, _)| of == policy).map(|(_, entries)| entries);
        let mut report =
            json!({ "since": self.since, "until": self.until, "writes": self.writes, "records": self.records });
        report["rulings"] = self.rows.iter().map(|row| row.json(entries(&row.key.policy))).collect();
        let safety = self.safety.iter();
        report["safety"] =
            safety.map(|(policy, condition)| json!({ "policy": policy, "conditions": [condition] })).collect();
        if let Some(unnamed) = &self.unnamed {
            report["policiesOnNoRecord"] = json!(unnamed);
        }
        if let Some(unused) = &self.unused {
            report["entriesOfNoUse"] = json!(unused);
        }
        if !self.over.is_empty() {
            report["entriesThatAreOver"] = json!(self.over);
        }
        if !self.glasses.is_empty() {
            report["breakGlass"] = self.glasses.iter().map(Broken::json).collect();
        }
        if !self.repairs.is_empty() {
            report["repairs"] = self.repairs.iter().map(Mended::json).collect();
        }
        report
    }
}
