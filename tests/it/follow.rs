//! What does a basis hold after what happens to a repository? The loop that follows Git, with real repositories.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::Timestamp;
use landfast::audit::metrics::{Fetched, Metrics};
use landfast::config::{Reference, Settings, SourceSettings, TreeReading};
use landfast::drift::declared::{Declared, ObjectKey};
use landfast::drift::schema::Schemas;
use landfast::follow::{Follow, Follower, Options, Refreshed, SourceStatus, Start, follow};
use landfast::gate::basis::{Basis, SourceId};
use landfast::gate::facts::Line;
use landfast::git::fetch::Fetcher;
use landfast::limits;
use landfast::store::Store;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::git::{fetcher, fetcher_behind, source};
use crate::testbed::repository::{AUTHOR, Repository};
use crate::testbed::scratch::Scratch;

/// Read once: the embedded table is large.
static SCHEMAS: LazyLock<Schemas> = LazyLock::new(Schemas::builtin);

/// A follower at work, with a clock that stands until it is moved.
pub struct Following {
    follow: Follow,
    task: JoinHandle<()>,
    second: Arc<AtomicI64>,
    metrics: Arc<Metrics>,
}

/// Where all clocks begin: after every commit that these tests make.
const BEGIN: i64 = 4_000_000_000;

fn begin(
    sources: Vec<SourceSettings>,
    state: &std::path::Path,
    fetcher: Fetcher,
    second: i64,
) -> (Follower, Following) {
    let second = Arc::new(AtomicI64::new(second));
    let clock = Arc::clone(&second);
    let metrics = Arc::new(Metrics::new());
    let options = Options {
        settings: settings(sources),
        schemas: SCHEMAS.clone(),
        store: Arc::new(Store::open(state).unwrap()),
        fetcher,
        clock: Arc::new(move || Timestamp::from_second(clock.load(Ordering::Relaxed)).unwrap()),
        metrics: Arc::clone(&metrics),
    };
    let (follower, follow) = follow(options);
    (follower, Following { follow, task: tokio::spawn(async {}), second, metrics })
}

fn settings(sources: Vec<SourceSettings>) -> Arc<Settings> {
    Arc::new(Settings { sources, ..Settings::default() })
}

/// A follower that has asked every source once.
async fn following_with(
    sources: Vec<SourceSettings>,
    state: &std::path::Path,
    fetcher: Fetcher,
    second: i64,
) -> Following {
    let (follower, mut following) = begin(sources, state, fetcher, second);
    following.task = tokio::spawn(follower.run(std::future::pending()));
    following.until(|status| status.iter().all(|source| source.start == Start::Asked)).await;
    following
}

pub async fn following(sources: Vec<SourceSettings>) -> Following {
    following_with(sources, &state(), fetcher(), BEGIN).await
}

fn state() -> PathBuf {
    Scratch::get().folder("state")
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

impl Following {
    pub async fn until(&self, reached: impl Fn(&[SourceStatus]) -> bool) {
        let mut status = self.follow.status();
        let waiting = status.wait_for(|status| reached(status));
        tokio::time::timeout_at(soon(), waiting).await.expect("it does not take for ever").expect("it follows");
    }

    pub async fn refresh(&self) -> Refreshed {
        self.follow.refresh(&SourceId("a".into()), soon()).await
    }

    pub fn basis(&self) -> Arc<Basis> {
        self.follow.basis().borrow().clone()
    }

    pub fn status(&self) -> SourceStatus {
        self.follow.status().borrow()[0].clone()
    }

    pub fn faults(&self) -> String {
        self.status().faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    /// What Git declares of a ConfigMap in `shop`.
    fn declared(&self, name: &str) -> Option<Arc<Declared>> {
        self.basis().index.objects.get(&key(name)).and_then(|entry| entry.head.clone())
    }

    /// The values that Git gave a ConfigMap within `maxLag`, the newest first.
    fn values(&self, name: &str) -> Vec<String> {
        let now = Timestamp::from_second(self.second.load(Ordering::Relaxed)).unwrap();
        let basis = self.basis();
        let Some(entry) = basis.index.objects.get(&key(name)) else { return Vec::new() };
        let all = entry.declarations(now, limits::MAX_LAG_DEFAULT);
        all.map(|json| {
            serde_json::from_slice::<serde_json::Value>(&json).unwrap()["data"]["v"].as_str().unwrap().into()
        })
        .collect()
    }

    fn wait(&self, seconds: i64) {
        self.second.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Ends it as a crash would, and waits until the state folder is free.
    async fn end(self) -> i64 {
        let Self { follow, task, second, metrics: _ } = self;
        drop(follow);
        task.await.unwrap();
        second.load(Ordering::Relaxed)
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("", "ConfigMap", "shop", name)
}

fn map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  v: \"{value}\"\n")
}

/// A repository in which `a.yaml` declares `x` with the value 1.
pub fn declaring() -> Repository {
    let repository = Repository::new();
    repository.commit(&[("a.yaml", &map("x", "1"))], "Declare");
    repository
}

#[tokio::test]
async fn a_commit_is_in_force_when_the_answer_comes() {
    let repository = declaring();
    let following = following(vec![source("a", &repository.url())]).await;
    assert_eq!(following.refresh().await, Refreshed::Unchanged);
    let commit = repository.commit(&[("apps/b.yaml", &format!("# a comment\n\n{}", map("z", "1")))], "Another");
    assert_eq!(following.refresh().await, Refreshed::Moved);
    let declared = following.declared("z").unwrap();
    assert_eq!((&*declared.file, declared.lines.get(0)), ("apps/b.yaml", Some(3)));
    let (basis, status) = (following.basis(), following.status());
    assert_eq!(&*basis.sources.values().next().unwrap().revision.as_ref().unwrap().0, commit);
    assert_eq!((status.declared, status.fault_count, status.error), (2, 0, None));
    assert_eq!(status.revision.unwrap().author, AUTHOR.0);
    assert_eq!(basis.index.by_namespace["shop"], 2);
}

#[tokio::test]
async fn what_did_not_change_is_not_read_again() {
    let repository = declaring();
    let following = following(vec![source("a", &repository.url())]).await;
    let before = following.declared("x").unwrap();
    repository.commit(&[("b.yaml", &map("z", "1"))], "Another");
    assert_eq!(following.refresh().await, Refreshed::Moved);
    assert!(Arc::ptr_eq(&before, &following.declared("x").unwrap()));
}

#[tokio::test]
async fn a_commit_that_cannot_be_read_leaves_the_last_good_one_in_force() {
    let broken: [(&str, &[u8], &str); 5] = [
        ("b.yaml", b"a: [\n", "b.yaml:1: "),
        ("b.yaml", b"<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> other\n", "b.yaml:1: a conflict marker"),
        ("b.yaml", b"a: \xff\xfe\xfa\n", "b.yaml"),
        ("c.json", b"{\"kind\": ]", "c.json:1"),
        ("b.yaml", b"a: &a [x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n", "b.yaml"),
    ];
    for (file, content, said) in broken {
        let repository = declaring();
        let good = repository.head();
        let following = following(vec![source("a", &repository.url())]).await;
        fs::write(repository.folder().join(file), content).unwrap();
        let bad = repository.commit(&[("a.yaml", &map("x", "2"))], "Break");
        assert_eq!(following.refresh().await, Refreshed::Unchanged, "{said}");
        assert_eq!(following.values("x"), ["1"]);
        assert!(following.faults().starts_with(said), "{}", following.faults());
        assert!(
            following.faults().contains(&format!("commit {} is not in force", &bad[..7])),
            "{}",
            following.faults()
        );
        let status = following.status();
        assert_eq!((&*status.revision.unwrap().commit.0, &*status.refused.unwrap().0), (&*good, &*bad));
        repository.remove(file, "Mend");
        assert_eq!(following.refresh().await, Refreshed::Moved);
        assert_eq!((following.values("x"), following.faults()), (vec!["2".to_owned(), "1".to_owned()], String::new()));
    }
}

#[tokio::test]
async fn what_a_tool_would_build_is_not_taken_for_manifests() {
    let files = ["kustomization.yaml", "base/kustomization.yml", "base/Kustomization", "charts/shop/Chart.yaml"];
    for (file, tool) in files.into_iter().zip(["Kustomize", "Kustomize", "Kustomize", "Helm"]) {
        let repository = Repository::new();
        repository.commit(&[(file, "resources: [a.yaml]\n"), ("a.yaml", &map("x", "1"))], "Declare");
        let detected = source("a", &repository.url());
        let following = following(vec![detected.clone()]).await;
        let said =
            format!("{file}: {tool} is not rendered yet; set render.type: Yaml if these files are applied as they are");
        assert!(following.faults().contains(&said), "{}", following.faults());
        assert!(following.basis().index.objects.is_empty(), "{file}");
        let plain = SourceSettings { reading: TreeReading::Plain, ..detected.clone() };
        following.follow.set_settings(settings(vec![plain])).await;
        following.refresh().await;
        assert_eq!((following.values("x"), following.faults()), (vec!["1".to_owned()], String::new()), "{file}");
        following.follow.set_settings(settings(vec![detected])).await;
        following.until(|status| status[0].refused.is_some()).await;
        repository.commit(&[("a.yaml", &map("x", "2"))], "Leave the file as it is");
        following.refresh().await;
        assert_eq!(following.values("x"), ["1"], "{file}");
        assert!(following.faults().contains(&said), "{}", following.faults());
        repository.remove(file, "Build no more");
        assert_eq!(following.refresh().await, Refreshed::Moved);
        assert_eq!((&*following.values("x")[0], following.faults()), ("2", String::new()), "{file}");
    }
}

#[tokio::test]
async fn a_tree_that_a_tool_begins_to_build_keeps_its_last_good_revision_until_it_is_said_to_be_plain() {
    let repository = declaring();
    let detected = source("a", &repository.url());
    let following = following(vec![detected.clone()]).await;
    repository.commit(&[("base/kustomization.yaml", "resources: []\n"), ("a.yaml", &map("x", "2"))], "Build");
    assert_eq!(following.refresh().await, Refreshed::Unchanged);
    assert_eq!(following.values("x"), ["1"]);
    assert!(following.faults().contains("base/kustomization.yaml: Kustomize is not"), "{}", following.faults());
    let plain = SourceSettings { reading: TreeReading::Plain, ..detected };
    following.follow.set_settings(settings(vec![plain])).await;
    following.until(|status| status[0].refused.is_none()).await;
    assert_eq!(following.refresh().await, Refreshed::Moved);
    assert_eq!((&*following.values("x")[0], following.faults()), ("2", String::new()));
}

#[tokio::test]
async fn a_repository_that_falls_silent_is_not_believed() {
    let repository = declaring();
    let following = following(vec![SourceSettings { path: "apps".to_owned(), ..source("a", &repository.url()) }]).await;
    assert!(following.faults().contains("no folder `apps`"), "{}", following.faults());
    repository.commit(&[("apps/a.yaml", &map("x", "1"))], "Declare");
    assert_eq!(following.refresh().await, Refreshed::Moved);
    repository.commit(&[("apps/a.yaml", "# nothing\n")], "Say nothing");
    assert_eq!(following.refresh().await, Refreshed::Unchanged);
    assert!(following.faults().contains("nothing is declared any more"), "{}", following.faults());
    repository.remove("apps", "Remove the folder");
    assert_eq!(following.refresh().await, Refreshed::Unchanged);
    assert!(following.faults().contains("no folder `apps`"), "{}", following.faults());
    assert_eq!(following.values("x"), ["1"]);
}

#[tokio::test]
async fn fetches_are_counted_by_how_they_ended() {
    let repository = declaring();
    let following = following(vec![source("a", &repository.url())]).await;
    assert_eq!(following.refresh().await, Refreshed::Unchanged);
    repository.delete_branch();
    assert_eq!(following.refresh().await, Refreshed::Failed);
    for outcome in ["new", "unchanged", "failed"] {
        let labels = Fetched { source: "a".to_owned(), outcome };
        assert_eq!(following.metrics.fetches.get_or_create(&labels).get(), 1, "{outcome}");
    }
}

#[tokio::test]
async fn each_policy_in_force_has_its_number() {
    let following = following(Vec::new()).await;
    assert_eq!(following.basis().policy.generation, 1);
    let other = settings(Vec::new());
    for _ in 0..2 {
        following.follow.set_settings(Arc::clone(&other)).await;
        // Answered once all that was asked before is published.
        following.follow.set_schemas(SCHEMAS.clone()).await;
        assert_eq!(following.basis().policy.generation, 2);
    }
}

#[tokio::test]
async fn a_remote_that_breaks_leaves_the_last_good_state_in_force() {
    type Break = fn(&Repository);
    let breaks: [(Break, &str); 3] = [
        (Repository::delete_branch, "no branch `main`"),
        (|repository| fs::remove_dir_all(repository.folder()).unwrap(), "cannot fetch from file://"),
        (|repository| fs::remove_dir_all(repository.folder().join(".git/refs/heads")).unwrap(), "file://"),
    ];
    for (break_it, said) in breaks {
        let repository = declaring();
        let following = following(vec![source("a", &repository.url())]).await;
        break_it(&repository);
        assert_eq!(following.refresh().await, Refreshed::Failed);
        let error = following.status().error.unwrap();
        assert!(error.contains(said), "{error}");
        assert_eq!(following.values("x"), ["1"]);
        assert_eq!(following.refresh().await, Refreshed::LeftAlone, "a remote that fails is left alone for a while");
    }
}

#[tokio::test]
async fn a_source_that_never_answered_declares_nothing_and_says_so() {
    let following = following(vec![source("a", "file:///no/such"), source("b", &Repository::empty().url())]).await;
    let status = following.follow.status();
    let errors: Vec<_> = status.borrow().iter().map(|source| source.error.clone().unwrap()).collect();
    assert!(errors[0].contains("/no/such") && errors[1].contains("is empty"), "{errors:?}");
    assert!(status.borrow().iter().all(|source| source.start == Start::Asked && !source.stale));
    assert!(following.basis().sources.values().all(|source| source.revision.is_none()));
    assert_eq!(following.follow.refresh(&SourceId("c".into()), soon()).await, Refreshed::Unknown);
}

#[tokio::test]
async fn earlier_declarations_are_known_for_as_long_as_a_deployer_may_lag() {
    let repository = declaring();
    let following = following(vec![source("a", &repository.url())]).await;
    let half = i64::try_from(limits::MAX_LAG_DEFAULT.as_secs() / 2).unwrap();
    for value in ["2", "3"] {
        following.wait(half);
        repository.commit(&[("a.yaml", &map("x", value)), ("b.yaml", &map("z", value))], value);
        assert_eq!(following.refresh().await, Refreshed::Moved);
    }
    assert_eq!(following.values("x"), ["3", "2", "1"]);
    following.wait(half + 1);
    assert_eq!(following.values("x"), ["3", "2"]);
    repository.remove("a.yaml", "Drop it");
    assert_eq!(following.refresh().await, Refreshed::Moved);
    assert_eq!((following.values("x"), following.status().declared), (vec!["3".to_owned(), "2".to_owned()], 1));
    following.wait(2 * half + 1);
    assert_eq!(following.refresh().await, Refreshed::Unchanged);
    assert!(!following.basis().index.objects.contains_key(&key("x")), "it is forgotten at last");
    assert!(following.basis().index.objects[&key("z")].past.is_empty());
}

#[tokio::test]
async fn heads_that_nobody_saw_count_until_now() {
    let repository = declaring();
    let following = following(vec![source("a", &repository.url())]).await;
    for value in ["2", "3"] {
        repository.commit(&[("a.yaml", &map("x", value))], value);
    }
    repository.merge(&[("a.yaml", &map("x", "4")), ("b.yaml", &map("z", "1"))], "Merge");
    assert_eq!(following.refresh().await, Refreshed::Moved);
    assert_eq!(following.values("x"), ["4", "3", "2", "1"]);
}

#[tokio::test]
async fn a_first_start_knows_the_history_of_the_last_day() {
    let repository = declaring();
    repository.commit(&[("a.yaml", &map("x", "2"))], "2");
    repository.commit(&[("a.yaml", &map("x", "3"))], "3");
    let now = Timestamp::from_second(repository_time(&repository) + 60).unwrap();
    let following = following_with(vec![source("a", &repository.url())], &state(), fetcher(), now.as_second()).await;
    assert_eq!(following.values("x"), ["3", "2", "1"]);
    let later = following_with(vec![source("a", &repository.url())], &state(), fetcher(), BEGIN).await;
    assert_eq!(later.values("x"), ["3"]);
}

fn repository_time(repository: &Repository) -> i64 {
    let git = git2::Repository::open(repository.folder()).unwrap();
    git.head().unwrap().peel_to_commit().unwrap().time().seconds()
}

#[tokio::test]
async fn history_that_was_rewritten_is_accepted() {
    let repository = declaring();
    let first = repository.head();
    let following = following(vec![source("a", &repository.url())]).await;
    repository.commit(&[("a.yaml", &map("x", "2"))], "To be lost");
    assert_eq!(following.refresh().await, Refreshed::Moved);
    repository.reset(&first);
    repository.commit(&[("a.yaml", &map("x", "3"))], "By force");
    assert_eq!(following.refresh().await, Refreshed::Moved);
    assert_eq!(following.values("x"), ["3", "2", "1"]);
}

#[tokio::test]
async fn a_restart_without_git_goes_on_where_it_was() {
    let (repository, state) = (declaring(), state());
    let sources = vec![source("a", &repository.url())];
    let following = following_with(sources.clone(), &state, fetcher(), BEGIN).await;
    for value in ["2", "3"] {
        following.wait(60);
        repository.commit(&[("a.yaml", &map("x", value))], value);
        assert_eq!(following.refresh().await, Refreshed::Moved);
    }
    let expected = following.basis().index.objects[&key("x")].clone();
    let second = following.end().await;
    fs::remove_dir_all(repository.folder()).unwrap();
    let following = following_with(sources, &state, fetcher(), second).await;
    let entry = following.basis().index.objects[&key("x")].clone();
    assert_eq!((entry.past, entry.since), (expected.past, expected.since));
    assert_eq!(following.values("x"), ["3", "2", "1"]);
    assert!(following.status().error.is_some());
}

#[tokio::test]
async fn state_that_cannot_be_read_is_had_again_from_git() {
    let (repository, state) = (declaring(), state());
    let sources = vec![source("a", &repository.url())];
    following_with(sources.clone(), &state, fetcher(), BEGIN).await.end().await;
    fs::write(state.join("sources/a.json"), "{\"format\": 99}").unwrap();
    fs::remove_dir_all(state.join("mirrors")).unwrap();
    let following = following_with(sources, &state, fetcher(), BEGIN).await;
    assert_eq!(following.values("x"), ["1"]);
}

#[tokio::test]
async fn a_ref_that_is_gone_for_long_releases_its_objects() {
    let repository = declaring();
    let hour = Duration::from_hours(1);
    let source = SourceSettings { release_after: hour, ..source("a", &repository.url()) };
    let following = following(vec![source]).await;
    let kept = git2::Repository::open(repository.folder()).unwrap();
    kept.branch("kept", &kept.head().unwrap().peel_to_commit().unwrap(), false).unwrap();
    repository.delete_branch();
    assert_eq!(following.refresh().await, Refreshed::Failed);
    following.wait(i64::try_from(hour.as_secs()).unwrap());
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(following.refresh().await, Refreshed::Failed);
    assert!(following.basis().index.objects.is_empty());
}

#[tokio::test]
async fn two_declarations_of_one_object_are_a_fault_that_names_both() {
    let repository = declaring();
    repository.commit(&[("b.yaml", &format!("# second\n{}", map("x", "2")))], "Twice");
    let following = following(vec![source("a", &repository.url())]).await;
    assert_eq!(following.values("x"), ["1"]);
    assert!(following.faults().starts_with("b.yaml:2: ConfigMap shop/x"), "{}", following.faults());
    assert!(following.faults().contains("a.yaml:1"), "{}", following.faults());
    assert_eq!(following.status().declared, 1);
    repository.remove("a.yaml", "The first one goes");
    assert_eq!(following.refresh().await, Refreshed::Moved);
    assert_eq!((&*following.values("x")[0], &*following.faults()), ("2", ""));
    repository.commit(&[("a.yaml", &map("x", "3"))], "And comes back");
    assert_eq!(following.refresh().await, Refreshed::Moved);
    assert_eq!(following.values("x")[0], "3");
    assert!(following.faults().starts_with("b.yaml:2"), "{}", following.faults());
}

#[tokio::test]
async fn of_two_sources_the_first_keeps_what_both_declare() {
    let (one, two) = (declaring(), declaring());
    let following = following(vec![source("b", &two.url()), source("a", &one.url())]).await;
    let status = following.follow.status().borrow().clone();
    let faults: Vec<_> = status.iter().map(|source| source.fault_count).collect();
    assert_eq!(faults, [0, 1]);
    assert!(status[1].faults[0].to_string().contains("a.yaml:1 of source a"), "{}", status[1].faults[0]);
    assert_eq!(following.basis().index.objects[&key("x")].source, SourceId("a".into()));
    following.follow.set_settings(settings(vec![source("b", &two.url())])).await;
    following.until(|status| status.len() == 1 && status[0].fault_count == 0).await;
    assert_eq!(following.basis().index.objects[&key("x")].source, SourceId("b".into()));
}

#[tokio::test]
async fn a_link_out_of_the_tree_is_a_fault_and_not_followed() {
    let repository = declaring();
    let outside = Scratch::get().folder("outside").join("z.yaml");
    fs::write(&outside, map("z", "1")).unwrap();
    std::os::unix::fs::symlink(&outside, repository.folder().join("link.yaml")).unwrap();
    repository.commit(&[], "Link");
    let following = following(vec![source("a", &repository.url())]).await;
    assert_eq!((following.values("x"), following.declared("z")), (vec!["1".to_owned()], None));
    assert!(following.faults().starts_with("link.yaml: a symbolic link"), "{}", following.faults());
}

#[tokio::test]
async fn changed_settings_are_read_without_asking_git() {
    let repository = declaring();
    repository.commit(&[("apps/b.yaml", &map("z", "1"))], "Deeper");
    let original = source("a", &repository.url());
    let following = following(vec![original.clone()]).await;
    fs::remove_dir_all(repository.folder()).unwrap();
    let deeper = SourceSettings { path: "apps".to_owned(), ..original.clone() };
    following.follow.set_settings(settings(vec![deeper])).await;
    following.until(|status| status[0].declared == 1).await;
    assert_eq!((following.declared("x"), &*following.values("z")), (None, &["1".to_owned()][..]));
    following.follow.set_settings(settings(Vec::new())).await;
    following.until(<[_]>::is_empty).await;
    assert!(following.basis().index.objects.is_empty(), "a source that is deleted releases its objects");
}

#[tokio::test]
async fn another_reference_is_asked_for_at_once() {
    let repository = declaring();
    let first = repository.head();
    repository.commit(&[("a.yaml", &map("x", "2"))], "2");
    let original = source("a", &repository.url());
    let following = following(vec![original.clone()]).await;
    let pinned = SourceSettings { reference: Reference::Commit(first.clone()), ..original };
    following.follow.set_settings(settings(vec![pinned])).await;
    following.until(|status| status[0].revision.as_ref().is_some_and(|revision| *revision.commit.0 == *first)).await;
    assert_eq!(following.values("x"), ["1", "2"]);
}

#[tokio::test]
async fn asking_together_costs_one_fetch_and_asking_for_ever_none() {
    let repository = declaring();
    let counted = Scratch::get().folder("counted").join("fetches");
    let counting = fetcher_behind(&format!("echo >> {}", counted.display()));
    let following = following_with(vec![source("a", &repository.url())], &state(), counting, BEGIN).await;
    let count = || fs::read_to_string(&counted).unwrap().lines().count();
    let before = count();
    let together = futures::future::join_all((0..20).map(|_| following.refresh())).await;
    assert!(together.iter().all(|answer| *answer == Refreshed::Unchanged), "{together:?}");
    assert!(count() - before <= 2, "one under way, and one for all who came after it had begun");
    let mut answers = Vec::new();
    for _ in 0..limits::FETCH_BUDGET * 2 {
        answers.push(following.refresh().await);
    }
    assert!(answers.contains(&Refreshed::NotAsked), "{answers:?}");
}

#[tokio::test]
async fn a_remote_that_hangs_holds_back_nobody_else() {
    let (repository, listener) = (declaring(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let hanging = source("b", &format!("https://{}/b.git", listener.local_addr().unwrap()));
    let (follower, following) = begin(vec![source("a", &repository.url()), hanging], &state(), fetcher(), BEGIN);
    let task = tokio::spawn(follower.run(std::future::pending()));
    following.until(|status| status[0].start == Start::Asked).await;
    repository.commit(&[("a.yaml", &map("x", "2"))], "2");
    assert_eq!(following.refresh().await, Refreshed::Moved);
    let at_once = Instant::now() + Duration::from_millis(100);
    assert_eq!(following.follow.refresh(&SourceId("b".into()), at_once).await, Refreshed::Silent);
    task.abort();
}

#[tokio::test]
async fn a_line_is_blamed_on_its_commit() {
    let repository = declaring();
    let first = repository.head();
    let second = repository.commit(&[("a.yaml", &map("x", "2"))], "2");
    let following = following(vec![source("a", &repository.url())]).await;
    let line = |line| Line {
        source: SourceId("a".into()),
        revision: landfast::gate::basis::CommitId(second.as_str().into()),
        file: "a.yaml".to_owned(),
        line,
    };
    for _ in 0..2 {
        let wrote = |number| {
            let line = line(number);
            async move { line }
        };
        let six = following.follow.blame(&wrote(6).await, soon()).await.unwrap();
        assert_eq!((&*six.commit.0, &*six.author), (&*second, AUTHOR.0));
        let one = following.follow.blame(&wrote(1).await, soon()).await.unwrap();
        assert_eq!(&*one.commit.0, first);
        assert_eq!(following.follow.blame(&wrote(99).await, soon()).await, None);
    }
    let nowhere = Line { source: SourceId("z".into()), ..line(1) };
    assert_eq!(following.follow.blame(&nowhere, soon()).await, None);
    assert_eq!(following.follow.blame(&line(2), Instant::now()).await, None, "no time, no answer");
}

#[tokio::test]
async fn owners_come_from_the_revision_in_force() {
    let repository = declaring();
    let following = following(vec![source("a", &repository.url())]).await;
    let owners = || following.basis().sources.values().next().unwrap().owners.of("a.yaml");
    assert!(owners().is_empty());
    repository.commit(&[(".github/CODEOWNERS", "*.yaml @shop/backend\n")], "Own");
    assert_eq!(following.refresh().await, Refreshed::Moved);
    assert_eq!(owners(), ["@shop/backend"]);
    repository.remove(".github/CODEOWNERS", "Disown");
    assert_eq!(following.refresh().await, Refreshed::Moved);
    assert!(owners().is_empty());
}

#[tokio::test]
async fn one_basis_can_be_had_without_a_task() {
    let (repository, state) = (declaring(), state());
    let (mut follower, following) = begin(vec![source("a", &repository.url())], &state, fetcher(), BEGIN);
    follower.settle().await;
    assert_eq!(following.values("x"), ["1"]);
}
