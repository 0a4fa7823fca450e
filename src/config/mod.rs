//! What did the operator ask for? GitSource, DriftPolicy and BreakGlass, from files or the cluster, resolved to settings.
//!
//! `load` reads files, `decode` finds every fault inside an object, `resolve` every one between them; `unbuilt` is the one list
//! of what loads without effect. Nothing here knows what a policy does to a write.

pub mod crd;
mod decode;
pub mod definition;
pub mod held;
mod load;
mod reader;
pub mod record;
mod resolve;
mod unbuilt;
mod values;

pub use crate::config::values::{duration, printable_url};

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::gate::basis::{Fault, Scope, SourceId};
use crate::gate::policy::Policy;

pub use crate::config::load::{load, objects, parse, texts};

/// Everything the operator asked for, resolved.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The sources that declare something.
    pub sources: Vec<SourceSettings>,
    /// The sources that declare nothing, because they ask for what is not built; said in `notices` as well.
    pub idle: Vec<SourceId>,
    /// All policies, resolved.
    pub policy: Arc<Policy>,
    /// What loads but has no effect yet, and what conflicts: to be said in the log, the status and the CLI.
    pub notices: Vec<Notice>,
}

/// Something that loads, and is to be known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// In words, with its place.
    pub fault: Fault,
    /// What it is about.
    pub topic: Topic,
}

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// The object asks for what is not built.
    NotBuilt,
    /// Another policy of the same precedence governs what both match.
    Conflict,
    /// It names something that is not there.
    Unknown,
    /// It counts in the cluster only.
    Misplaced,
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.fault.fmt(f)
    }
}

/// One GitSource, resolved.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// Its name.
    pub id: SourceId,
    /// `https://`, `file://` (later ssh). May hold a password in its user part: never print it, print [`printable_url`] of it.
    pub url: String,
    /// Which commit counts.
    pub reference: Reference,
    /// The folder that declares, without leading or trailing slash; empty: the whole tree.
    pub path: String,
    /// What files that Kustomize or Helm read themselves say of a tree.
    pub reading: TreeReading,
    /// How often the remote is asked.
    pub interval: Duration,
    /// Namespace of namespaced objects that name none.
    pub default_namespace: Option<String>,
    /// Where it may declare.
    pub scope: Scope,
    /// How far behind the head a deployer may be.
    pub max_lag: Duration,
    /// When it was created: of two that declare one object the older keeps it. Files have no age, and come first.
    pub created: Option<Timestamp>,
    /// How long its objects stay declared once its ref is gone.
    pub release_after: Duration,
}

/// What a tree is that holds files of Kustomize or Helm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeReading {
    /// Not to be read as plain manifests: what is applied may be something else.
    Detected,
    /// Plain manifests, because the operator says so; those files are passed over.
    Plain,
}

/// Which commit of a repository counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// The tip of a branch.
    Branch(String),
    /// A tag, peeled to its commit.
    Tag(String),
    /// One commit.
    Commit(String),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::drift::declared::ObjectKey;
    use crate::gate::policy::{FailurePolicy, Mode, Role};
    use crate::gate::verdict::Ruling;

    const SOURCE: &str = "apiVersion: landfast.dev/v1alpha1\nkind: GitSource\nmetadata: { name: shop }\nspec:\n  \
                          url: https://git.example.com/shop.git\n  ref: { branch: main }\n  scope: { namespaces: [shop] }\n";
    const POLICY: &str = "apiVersion: landfast.dev/v1alpha1\nkind: DriftPolicy\nmetadata: { name: base }\nspec:\n";

    fn read(text: &str) -> Result<Settings, Vec<Fault>> {
        parse(&[("c.yaml".to_owned(), text.to_owned())])
    }

    fn settings(text: &str) -> Settings {
        read(text).unwrap_or_else(|faults| panic!("{faults:?}"))
    }

    fn said<T: ToString>(faults: &[T]) -> Vec<String> {
        faults.iter().map(ToString::to_string).collect()
    }

    fn faults(text: &str) -> Vec<String> {
        said(&read(text).unwrap_err())
    }

    #[test]
    fn a_source_has_defaults() {
        let source = &settings(SOURCE).sources[0];
        assert_eq!(source.id.to_string(), "shop");
        assert_eq!(source.reference, Reference::Branch("main".to_owned()));
        assert_eq!((source.path.as_str(), source.interval.as_secs(), source.max_lag.as_secs()), ("", 60, 86_400));
        assert!(source.scope.namespaces.is_match("shop") && !source.scope.cluster_scoped);
    }

    #[test]
    fn only_an_explicit_type_makes_a_tree_plain() {
        let reading = |render: &str| settings(&SOURCE.replace("  ref", &format!("{render}  ref"))).sources[0].reading;
        assert_eq!(reading(""), TreeReading::Detected);
        assert_eq!(reading("  render: {}\n"), TreeReading::Detected);
        assert_eq!(reading("  render: { type: Auto }\n"), TreeReading::Detected);
        assert_eq!(reading("  render: { type: Yaml }\n"), TreeReading::Plain);
    }

    #[test]
    fn a_policy_has_defaults() {
        let settings = settings(&format!("{POLICY}  rulings: {{ drift: Warn }}\n"));
        let rule = &settings.policy.rules[0];
        assert_eq!((rule.mode, rule.failure_policy), (Mode::Observe, FailurePolicy::Ignore));
        assert_eq!((rule.drift, rule.delete, rule.undeclared_fields), (Ruling::Warn, Ruling::Warn, Ruling::Allow));
        assert!(rule.matches.namespaces.is_none());
        assert_eq!(self::settings(&format!("{POLICY}  {{}}\n")).policy.rules[0].drift, Ruling::Deny);
    }

    #[test]
    fn a_policy_may_mind_what_git_does_not_declare() {
        for (name, ruling) in [("Allow", Ruling::Allow), ("Warn", Ruling::Warn), ("Deny", Ruling::Deny)] {
            let settings =
                settings(&format!("{POLICY}  {{ mode: Enforce, rulings: {{ undeclaredFields: {name} }} }}\n"));
            let rule = &settings.policy.rules[0];
            assert_eq!((rule.mode, rule.drift, rule.undeclared_fields), (Mode::Enforce, Ruling::Deny, ruling));
            assert!(settings.notices.is_empty(), "{:?}", settings.notices);
        }
    }

    #[test]
    fn the_lowest_precedence_comes_first() {
        let policy = |name: &str, precedence: u32| {
            POLICY.replace("base", name)
                + &format!("  {{ precedence: {precedence}, match: {{ namespaces: [{name}] }} }}\n---\n")
        };
        let settings = settings(&[policy("c", 5), policy("b", 9), policy("a", 9)].concat());
        let names: Vec<&str> = settings.policy.rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names, ["c", "a", "b"]);
        assert!(settings.notices.is_empty());
    }

    #[test]
    fn equal_precedence_that_overlaps_is_a_conflict() {
        let policy = |name: &str, glob: &str| {
            POLICY.replace("base", name)
                + &format!("  {{ precedence: 5, match: {{ namespaces: [\"{glob}\"] }} }}\n---\n")
        };
        for (a, b, conflict) in [("shop-*", "*-eu", true), ("shop-*", "bank-*", false), ("sh?p", "shop", true)] {
            let settings = settings(&[policy("b", b), policy("a", a)].concat());
            assert_eq!(!settings.notices.is_empty(), conflict, "{a} {b}");
        }
        let notices = settings(&[policy("b", "*"), policy("a", "*")].concat()).notices;
        let what = "DriftPolicy b is Conflicted: it overlaps a at precedence 5; what both match, a governs";
        assert_eq!(said(&notices), [format!("c.yaml:1: {what}")]);
    }

    #[test]
    fn five_faults_are_all_named() {
        let text = "apiVersion: landfast.dev/v1alpha1\nkind: GitSource\nmetadata: { name: Shop }\nspec:\n  url: http://x/y\n  \
                    ref: { branch: main, tag: v1 }\n  interval: 1 minute\n  scope: { namespaces: [] }\n  colour: red\n";
        assert_eq!(
            faults(text),
            [
                "c.yaml:3: `metadata.name` is wrong: `Shop` is no name: small letters, digits, `-` and `.`",
                "c.yaml:5: `spec.url` is wrong: `http://x/y` is neither https, ssh nor file",
                "c.yaml:6: `spec.ref` takes exactly one of branch, tag, semver, commit",
                "c.yaml:7: `spec.interval` is wrong: `1 minute` is no duration such as 30s, 10m or 1h30m",
                "c.yaml:8: `spec.scope.namespaces` is an empty list; name something or leave it out",
                "c.yaml:9: `colour` is no member of `spec`; there are url, ref, path, secretRef, verify, render, interval, \
                 defaultNamespace, scope, maxLag, releaseAfter",
            ]
        );
    }

    #[test]
    fn a_source_that_is_wrong_in_meaning_is_refused() {
        let cases = [
            ("ref: { branch: main }", "ref: {}", "6: `spec.ref` takes exactly one of branch, tag, semver, commit"),
            (
                "branch: main",
                "branch: refs/heads/main",
                "6: `spec.ref.branch` is wrong: `refs/heads/main` is a full ref; write its short name",
            ),
            ("branch: main", "branch: -x", "6: `spec.ref.branch` is wrong: `-x` is no name of a ref"),
            ("branch: main", "commit: abc", "6: `spec.ref.commit` is wrong: `abc` is no commit of 40 hex digits"),
            ("  scope: { namespaces: [shop] }\n", "", "4: `spec.scope` is missing"),
            (
                "{ namespaces: [shop] }",
                "{}",
                "7: `spec.scope` allows nothing: name namespaces or say clusterScoped: true",
            ),
            ("[shop]", "[\"[ab]\"]", "7: `spec.scope.namespaces[0]` is wrong: `[ab]` may not hold `[`"),
            ("  ref", "  path: ../x\n  ref", "6: `spec.path` is wrong: `../x` leads out of the tree"),
            ("  ref", "  interval: 10ms\n  ref", "6: `spec.interval` is shorter than 1s"),
            ("  ref", "  interval: 60\n  ref", "6: `spec.interval` is a number, not a string"),
            (
                "  ref",
                "  defaultNamespace: bank\n  ref",
                "6: `spec.defaultNamespace` is `bank`, which is outside spec.scope.namespaces",
            ),
            (
                "  ref",
                "  render: { type: Auto, helm: {} }\n  ref",
                "6: `spec.render.helm` belongs to the type Helm only",
            ),
            ("v1alpha1", "v1", "1: `apiVersion` is `landfast.dev/v1`, not landfast.dev/v1alpha1"),
            ("GitSource", "Gitsource", "2: `kind` is `Gitsource`, none of GitSource, DriftPolicy, BreakGlass"),
            (
                "name: shop",
                "name: shop, namespace: x",
                "3: `namespace` is no member of `metadata`; there are name, labels, annotations, \
              creationTimestamp, finalizers, generation, managedFields, ownerReferences, resourceVersion, uid",
            ),
        ];
        for (from, to, wanted) in cases {
            assert_eq!(faults(&SOURCE.replacen(from, to, 1)), [format!("c.yaml:{wanted}")]);
        }
    }

    #[test]
    fn a_policy_that_is_wrong_in_meaning_is_refused() {
        let subject = "subjects: [{ kind: User, name: x }]";
        let cases = [
            ("failurePolicy: Fail", "5: `spec.failurePolicy` is Fail, but mode Observe never denies".to_owned()),
            ("{ failurePolicy: Fail, mode: Enforce, rulings: { drift: Warn } }", "5: `spec.failurePolicy` is Fail, but no ruling is Deny".to_owned()),
            ("rulings: { drift: deny }", "5: `spec.rulings.drift` is `deny`, none of Allow, Warn, Annotate, Revert, Deny".to_owned()),
            ("rulings: { undeclaredFields: Revert }", "5: `spec.rulings.undeclaredFields` is `Revert`, none of Allow, Warn, Annotate, Deny".to_owned()),
            ("match: { kinds: [deployments] }", "5: `spec.match.kinds[0]` is wrong: `deployments` is no kind such as Service or Deployment.apps".to_owned()),
            ("match: { sources: [] }", "5: `spec.match.sources` is an empty list; name something or leave it out".to_owned()),
            ("match: { namespaces: }", "5: `spec.match.namespaces` is null, not a list".to_owned()),
            ("precedence: -1", "5: `spec.precedence` is -1, not a whole number from 0 to 1000000".to_owned()),
            ("repair: { holdAbove: 101% }", "5: `spec.repair.holdAbove` is wrong: `101%` is no share such as 10%".to_owned()),
            ("writers: [{ name: a, role: Controller }]", "5: `spec.writers[0].allow` is missing|5: `spec.writers[0].subjects` is missing".to_owned()),
            (
                "writers: [{ name: a, role: Deployer, subjects: [{ kind: ServiceAccount, name: x }] }]",
                "5: `spec.writers[0].subjects[0].namespace` is missing".to_owned(),
            ),
            (
                "ignore: [{ name: a, reason: r, fields: [\"spec..x\"], expires: tomorrow }]",
                "5: `spec.ignore[0].expires` is wrong: `tomorrow` is no time such as 2027-03-31T00:00:00Z|\
                 5: `spec.ignore[0].fields[0]` is wrong: `spec..x` is no field path: expected a field name (others stand in \
                 brackets and quotes: `[\"a.b/c\"]`) at character 6"
                    .to_owned(),
            ),
        ];
        for (members, wanted) in cases {
            let found = faults(&format!("{POLICY}  {members}\n"));
            let wanted: Vec<String> = wanted.split('|').map(|what| format!("c.yaml:{what}")).collect();
            assert_eq!(found, wanted, "{members}");
        }
        let twice =
            format!("writers: [{{ name: a, role: Deployer, {subject} }}, {{ name: a, role: Deployer, {subject} }}]");
        let found = faults(&format!("{POLICY}  {twice}\n"));
        assert_eq!(found, ["c.yaml:5: `spec.writers[1]` has the name `a` of another item"]);
    }

    #[test]
    fn two_objects_of_one_name_are_a_fault_naming_both() {
        let found = faults(&format!("{SOURCE}---\n{SOURCE}"));
        assert_eq!(found, ["c.yaml:9: GitSource shop is there already, at c.yaml:1"]);
    }

    #[test]
    fn what_is_not_built_yet_has_no_effect_and_says_so() {
        let cases = [
            (
                SOURCE.replace("https://git.example.com/", "git@git.example.com:"),
                "GitSource shop asks for what is not built yet: an ssh spec.url; it declares nothing",
            ),
            (
                SOURCE.replace("  ref: { branch: main }", "  ref: { semver: \">=1\" }\n  secretRef: { name: x }"),
                "GitSource shop asks for what is not built yet: spec.secretRef, spec.ref.semver; it declares nothing",
            ),
        ];
        for (text, wanted) in cases {
            let settings = settings(&text);
            assert!(settings.sources.is_empty());
            assert_eq!(said(&settings.notices), [format!("c.yaml:1: {wanted}")]);
        }
    }

    #[test]
    fn a_policy_of_lower_precedence_stands_before_broader_ones() {
        let narrow = "  { precedence: 1, mode: Enforce, failurePolicy: Fail, match: { kinds: [Service], namespaces: [shop] }, rulings: { drift: Deny, undeclaredObjects: Annotate }, repair: { mode: Manual } }\n";
        let broad = format!("---\n{POLICY}  {{ precedence: 9, mode: Enforce }}\n").replace("base", "broad");
        let policy = settings(&format!("{POLICY}{narrow}{broad}")).policy;
        let governing = |kind: &str| {
            let rule = policy.governing(&ObjectKey::new("", kind, "shop", "web"), None).unwrap();
            (rule.name.as_str(), rule.mode, rule.failure_policy)
        };
        assert_eq!(governing("Service"), ("base", Mode::Enforce, FailurePolicy::Fail));
        assert_eq!(governing("ConfigMap"), ("broad", Mode::Enforce, FailurePolicy::Ignore));
    }

    #[test]
    fn writers_are_resolved() {
        let writers = "writers: [{ name: keda, role: Controller, subjects: [{ kind: ServiceAccount, namespace: keda, name: op }], \
                       allow: [{ kinds: [Deployment.apps], fields: [spec.replicas] }] }]";
        let settings = settings(&format!("{POLICY}  {writers}\n"));
        let writer = &settings.policy.rules[0].writers[0];
        let Role::Controller(delegations) = &writer.role else { panic!("{writer:?}") };
        assert_eq!(delegations[0].fields[0].to_string(), "spec.replicas");
        assert_eq!(delegations[0].kinds[0].group, "apps");
    }

    #[test]
    fn a_printed_url_never_shows_who_we_are() {
        for (given, printed) in [
            ("https://bob:s3cret@git.example.com/x.git?token=s3cret", "https://git.example.com/x.git"),
            ("https://bob:s3/cret@git.example.com/x.git", "https://git.example.com/x.git"),
            ("https://bob:s3?cret@git.example.com", "https://git.example.com"),
            ("https://token@git.example.com:8443/a", "https://git.example.com:8443/a"),
            ("https://me:p@ss@git.example.com/a@b", "https://git.example.com/a@b"),
            ("https://git.example.com?token=s3cret#x", "https://git.example.com"),
            ("file:///srv/a@b.git", "file:///srv/a@b.git"),
            ("git@example.com:x/y.git", "git@example.com:x/y.git"),
            ("https://me:pass@", "https://"),
            ("", ""),
        ] {
            assert_eq!(values::printable_url(given), printed);
        }
        let bad = SOURCE.replace("https://git", "http://bob:s3cret@git");
        assert!(!faults(&bad).concat().contains("s3cret"));
    }

    #[test]
    fn durations_are_gos() {
        let seconds = |text: &str| values::duration(text).map(|duration| duration.as_secs_f64());
        for (text, wanted) in
            [("1h30m", 5400.0), ("10s", 10.0), ("1.5h", 5400.0), ("300ms", 0.3), ("0", 0.0), (".5m", 30.0)]
        {
            assert_eq!(seconds(text), Ok(wanted), "{text}");
        }
        for text in ["", "1", "1d", "-1s", "h", "1h1", "1 h", "9999999999h", "1..5s", "1e3s", "∞s"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_configuration_makes_it_panic(at in 0_usize..400, with in r#"[a-z:{}\[\] \n0-9~*!"-]{0,12}"#) {
            let mut text = format!("{SOURCE}---\n{POLICY}  {{ mode: Enforce, match: {{ namespaces: [a] }}, breakGlass: {{}} }}\n");
            let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.insert_str(at, &with);
            let _ = read(&text);
        }

        #[test]
        fn globs_meet_where_a_name_fits_both(a in "[ab*?]{0,5}", b in "[ab*?]{0,5}", name in "[ab]{0,6}") {
            let fits = |glob: &str| globset::Glob::new(glob).unwrap().compile_matcher().is_match(&name);
            prop_assert!(!(fits(&a) && fits(&b)) || values::meet(&a, &b));
        }
    }

    #[test]
    fn globs_that_share_no_name_do_not_meet() {
        for (a, b) in [("a*", "b*"), ("*a", "*b"), ("a?", "a"), ("a", "b"), ("a*b", "a*c")] {
            assert!(!values::meet(a, b), "{a} {b}");
        }
    }
}
