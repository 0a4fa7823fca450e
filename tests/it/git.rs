//! What do remotes do to us? Fetches from real repositories over `file` and `https`, and from servers that hang or lie.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use landfast::config::{Reference, SourceSettings, TreeReading};
use landfast::gate::basis::{CommitId, Scope, SourceId};
use landfast::git::GitError;
use landfast::git::fetch::{FetchError, Fetcher};
use landfast::git::mirror::Mirror;
use landfast::git::tree::{Change, Found};
use landfast::limits;

use crate::git_https::Server;
use crate::testbed::repository::{AUTHOR, Repository};
use crate::testbed::scratch::Scratch;

/// A source that declares in the namespace `shop`.
pub fn source(name: &str, url: &str) -> SourceSettings {
    let mut namespaces = globset::GlobSetBuilder::new();
    namespaces.add(globset::Glob::new("shop").unwrap());
    SourceSettings {
        id: SourceId(name.into()),
        url: url.to_owned(),
        reference: Reference::Branch("main".to_owned()),
        path: String::new(),
        reading: TreeReading::Detected,
        interval: limits::INTERVAL_DEFAULT,
        default_namespace: Some("shop".to_owned()),
        scope: Scope {
            namespaces: namespaces.build().unwrap(),
            patterns: vec!["shop".to_owned()],
            cluster_scoped: true,
        },
        max_lag: limits::MAX_LAG_DEFAULT,
        created: None,
        release_after: limits::RELEASE_AFTER_DEFAULT,
    }
}

/// Our own binary.
pub fn fetcher() -> Fetcher {
    Fetcher::new(PathBuf::from(env!("CARGO_BIN_EXE_landfast")))
}

/// Our own binary behind a script that may set its environment or count its calls.
pub fn fetcher_behind(lines: &str) -> Fetcher {
    let script = Scratch::get().folder("script").join("landfast");
    let binary = env!("CARGO_BIN_EXE_landfast");
    fs::write(&script, format!("#!/bin/sh\n{lines}\nexec {binary} \"$@\"\n")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    Fetcher::new(script)
}

fn mirror() -> PathBuf {
    Scratch::get().folder("mirrors").join("a.git")
}

async fn fetch(url: &str, reference: Reference) -> Result<CommitId, FetchError> {
    fetcher().fetch(&SourceSettings { reference, ..source("a", url) }, &mirror()).await
}

fn branch(name: &str) -> Reference {
    Reference::Branch(name.to_owned())
}

/// A server that does with every connection what it is told.
fn server(serve: fn(std::net::TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().flatten().for_each(serve));
    address.to_string()
}

#[tokio::test]
async fn a_branch_a_tag_and_a_commit_are_found() {
    let repository = Repository::new();
    let first = repository.head();
    let git = git2::Repository::open(repository.folder()).unwrap();
    let target = git.revparse_single(&first).unwrap();
    let tagger = git2::Signature::now(AUTHOR.0, AUTHOR.1).unwrap();
    git.tag("v1", &target, &tagger, "an annotated one", false).unwrap();
    git.tag_lightweight("v2", &target, false).unwrap();
    let second = repository.commit(&[("a", "a")], "Go on");
    for (reference, expected) in [
        (branch("main"), &second),
        (Reference::Tag("v1".to_owned()), &first),
        (Reference::Tag("v2".to_owned()), &first),
        (Reference::Commit(first.clone()), &first),
    ] {
        assert_eq!(&*fetch(&repository.url(), reference).await.unwrap().0, expected);
    }
}

#[tokio::test]
async fn a_forced_branch_is_followed_and_what_it_left_stays_readable() {
    let repository = Repository::new();
    let first = repository.head();
    let (source, mirror) = (source("a", &repository.url()), mirror());
    let lost = repository.commit(&[("a", "1")], "To be lost");
    fetcher().fetch(&source, &mirror).await.unwrap();
    repository.reset(&first);
    let forced = repository.commit(&[("a", "2")], "By force");
    assert_eq!(&*fetcher().fetch(&source, &mirror).await.unwrap().0, forced);
    let mirror = Mirror::open(&mirror).unwrap();
    let [lost, forced] = [lost, forced].map(|id| CommitId(id.into()));
    assert!(mirror.holds(&lost) && !mirror.descends(&forced, &lost).unwrap());
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let (repository, empty) = (Repository::new(), Repository::empty());
    let commit = "12".repeat(20);
    for (url, reference, said) in [
        (repository.url(), branch("dev"), "no branch `dev` in file://"),
        (repository.url(), Reference::Tag("v1".to_owned()), "no tag `v1` in file://"),
        (repository.url(), Reference::Commit(commit.clone()), &*format!("no commit `{commit}` in file://")),
        (empty.url(), branch("main"), "is empty"),
        ("file:///no/such/repository".to_owned(), branch("main"), "cannot fetch from file:///no/such/repository: "),
    ] {
        let error = fetch(&url, reference).await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.is_gone() != error.to_string().contains("cannot fetch"), "{error}");
    }
}

#[tokio::test]
async fn a_branch_that_is_gone_keeps_what_was_fetched() {
    let repository = Repository::new();
    let (source, mirror) = (source("a", &repository.url()), mirror());
    let commit = fetcher().fetch(&source, &mirror).await.unwrap();
    repository.delete_branch();
    let error = fetcher().fetch(&source, &mirror).await.unwrap_err();
    assert!(error.is_gone(), "{error}");
    assert!(Mirror::open(&mirror).unwrap().holds(&commit));
}

#[tokio::test]
async fn a_broken_mirror_and_the_leftovers_of_an_ended_fetch_are_no_obstacle() {
    let repository = Repository::new();
    let (source, mirror) = (source("a", &repository.url()), mirror());
    fetcher().fetch(&source, &mirror).await.unwrap();
    fs::write(mirror.join("refs/landfast/head.lock"), "").unwrap();
    fs::write(mirror.join("objects/pack/pack_0a1b2c"), "half").unwrap();
    let second = repository.commit(&[("a", "a")], "Go on");
    assert_eq!(&*fetcher().fetch(&source, &mirror).await.unwrap().0, second);
    assert!(!mirror.join("objects/pack/pack_0a1b2c").exists());
    fs::write(mirror.join("HEAD"), "nonsense").unwrap();
    fs::write(mirror.join("config"), "[[[").unwrap();
    assert_eq!(&*fetcher().fetch(&source, &mirror).await.unwrap().0, second);
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let address = server(|stream| drop(thread::spawn(move || (thread::sleep(Duration::from_secs(30)), stream))));
    let patient = Fetcher { patience: Duration::from_millis(300), ..fetcher() };
    let source = source("a", &format!("https://robot:s3cret@{address}/a.git"));
    let error = patient.fetch(&source, &mirror()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("https://{address}/a.git did not answer for 0.3 s"));
}

#[tokio::test]
async fn a_server_that_sends_garbage_gives_an_error_without_our_password() {
    let garbage = server(|mut stream| {
        let _ = stream.write_all(&[0xff; 4096]);
    });
    let closing = server(drop);
    for address in [garbage, closing] {
        let error = fetch(&format!("https://robot:s3cret@{address}/a.git"), branch("main")).await.unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with(&format!("cannot fetch from https://{address}/a.git: ")), "{said}");
        assert!(!said.contains("s3cret") && !said.contains("robot"), "{said}");
    }
}

#[tokio::test]
async fn https_is_fetched_with_the_authority_that_is_trusted() {
    let repository = Repository::new();
    let server = Server::start(repository.folder(), "robot", "s3cret");
    let url = server.url("robot:s3cret@");
    let trusting = fetcher_behind(&format!("export SSL_CERT_FILE={}", server.authority.display()));
    let mirror = mirror();
    let commit = trusting.fetch(&source("a", &url), &mirror).await.unwrap();
    assert_eq!(&*commit.0, repository.head());
    assert!(Mirror::open(&mirror).unwrap().holds(&commit));
    let again = repository.commit(&[("a", "a")], "Go on");
    assert_eq!(&*trusting.fetch(&source("a", &url), &mirror).await.unwrap().0, again);

    let suspicious = fetcher_behind("export SSL_CERT_FILE=/dev/null SSL_CERT_DIR=/nowhere");
    let untrusted = suspicious.fetch(&source("a", &url), &self::mirror()).await.unwrap_err().to_string();
    assert!(untrusted.to_lowercase().contains("certificate") && !untrusted.contains("s3cret"), "{untrusted}");
    for wrong in ["robot:wr0ng@", ""] {
        let refused = trusting.fetch(&source("a", &server.url(wrong)), &self::mirror()).await.unwrap_err().to_string();
        assert!(refused.starts_with("cannot fetch from https://127.0.0.1:"), "{refused}");
        assert!(!refused.contains("wr0ng") && !refused.contains("robot"), "{refused}");
    }
}

#[tokio::test]
async fn a_server_that_lies_over_https_gives_an_error() {
    let repository = Repository::new();
    for lie in [
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nContent-Length: 9\r\n\r\n\0\0\0\0\0\0\0\0\0",
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nContent-Length: 99999999999\r\n\r\nffff",
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    ] {
        let server = Server::lying(repository.folder(), lie);
        let trusting = fetcher_behind(&format!("export SSL_CERT_FILE={}", server.authority.display()));
        let trusting = Fetcher { patience: Duration::from_secs(2), ..trusting };
        let error = trusting.fetch(&source("a", &server.url("robot:s3cret@")), &mirror()).await.unwrap_err();
        assert!(
            matches!(error, FetchError::Remote { .. } | FetchError::Empty { .. } | FetchError::Hung { .. }),
            "{error}"
        );
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn a_child_that_gives_no_answer_is_an_error() {
    let repository = Repository::new();
    let source = source("a", &repository.url());
    for (lines, said) in [("echo oh no >&2; exit 1", "oh no"), ("echo nonsense; exit 0", "failed")] {
        let error = fetcher_behind(lines).fetch(&source, &mirror()).await.unwrap_err();
        assert!(matches!(&error, FetchError::Child(_)) && error.to_string().contains(said), "{error}");
    }
    let missing = Fetcher::new(PathBuf::from("/no/such/program"));
    assert!(matches!(missing.fetch(&source, &mirror()).await, Err(FetchError::Child(_))));
}

#[test]
fn a_child_whose_parent_is_gone_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/a.git", listener.local_addr().unwrap());
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_landfast"))
        .arg("git-fetch")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let order = serde_json::json!({ "url": url, "mirror": mirror(), "wanted": { "Branch": "main" } });
    writeln!(child.stdin.as_mut().unwrap(), "{order}").unwrap();
    // It is at the server now, which says nothing; only the end of its input can end it.
    let _hanging = listener.accept().unwrap();
    drop(child.stdin.take());
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(3), ""));
}

/// A mirror that needs no fetch: the repository itself.
fn opened(repository: &Repository) -> Mirror {
    Mirror::open(&repository.folder().join(".git")).unwrap()
}

fn id(commit: &str) -> CommitId {
    CommitId(commit.into())
}

fn paths(changes: &[Change]) -> Vec<(&str, &str)> {
    let now = |change: &Change| match change.now {
        Some(Found::File(_)) => "file",
        Some(Found::Link(_)) => "link",
        None => "gone",
    };
    let mut paths: Vec<_> = changes.iter().map(|change| (change.path.as_str(), now(change))).collect();
    paths.sort_unstable();
    paths
}

fn yaml(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "yaml")
}

#[test]
fn what_changed_between_two_commits_is_listed() {
    let repository = Repository::new();
    let files =
        [("a/same.yaml", "1"), ("a/b/change.yaml", "1"), ("a/b/go.yaml", "1"), ("other.yaml", "1"), ("a/f.yaml", "1")];
    let first = repository.commit(&files, "First");
    fs::remove_file(repository.folder().join("a/f.yaml")).unwrap();
    repository.remove("a/b/go.yaml", "Go");
    let second = repository
        .commit(&[("a/b/change.yaml", "2"), ("a/f.yaml/in.yaml", "1"), ("a/no.txt", ""), ("other.yaml", "2")], "2");
    let mirror = opened(&repository);
    let all = mirror.changes(None, &id(&second), "a", yaml).unwrap();
    assert_eq!(paths(&all), [("a/b/change.yaml", "file"), ("a/f.yaml/in.yaml", "file"), ("a/same.yaml", "file")]);
    let some = mirror.changes(Some(&id(&first)), &id(&second), "a", yaml).unwrap();
    let expected =
        [("a/b/change.yaml", "file"), ("a/b/go.yaml", "gone"), ("a/f.yaml", "gone"), ("a/f.yaml/in.yaml", "file")];
    assert_eq!(paths(&some), expected);
    assert!(mirror.changes(Some(&id(&second)), &id(&second), "", yaml).unwrap().is_empty());
    let missing = mirror.changes(None, &id(&second), "no/such", yaml).unwrap_err();
    assert!(matches!(missing, GitError::NoFolder(_)), "{missing}");
    assert!(matches!(mirror.changes(None, &id(&second), "other.yaml", yaml), Err(GitError::NoFolder(_))));
}

#[test]
fn a_link_is_named_and_a_submodule_passed_over() {
    let repository = Repository::new();
    std::os::unix::fs::symlink("/etc/passwd", repository.folder().join("link.yaml")).unwrap();
    let first = repository.commit(&[("a.yaml", "1")], "Link");
    let git = git2::Repository::open(repository.folder()).unwrap();
    let parent = git.find_commit(git2::Oid::from_str(&first).unwrap()).unwrap();
    let mut tree = git.treebuilder(Some(&parent.tree().unwrap())).unwrap();
    tree.insert("module.yaml", parent.id(), 0o160_000).unwrap();
    let tree = git.find_tree(tree.write().unwrap()).unwrap();
    let author = git2::Signature::now(AUTHOR.0, AUTHOR.1).unwrap();
    let second = git.commit(Some("HEAD"), &author, &author, "Module", &tree, &[&parent]).unwrap().to_string();
    let changes = opened(&repository).changes(None, &id(&second), "", yaml).unwrap();
    assert_eq!(paths(&changes), [("a.yaml", "file"), ("link.yaml", "link")]);
}

#[test]
fn a_tree_that_names_itself_over_and_over_is_refused() {
    let repository = Repository::new();
    let git = git2::Repository::open(repository.folder()).unwrap();
    let blob = git.blob(b"x").unwrap();
    let mut below = (blob, 0o100_644);
    for _ in 0..9 {
        let mut tree = git.treebuilder(None).unwrap();
        (0..10).for_each(|name| drop(tree.insert(format!("n{name}"), below.0, below.1).unwrap()));
        below = (tree.write().unwrap(), 0o040_000);
    }
    let tree = git.find_tree(below.0).unwrap();
    let author = git2::Signature::now(AUTHOR.0, AUTHOR.1).unwrap();
    let bomb = git.commit(None, &author, &author, "A bomb", &tree, &[]).unwrap().to_string();
    let error = opened(&repository).changes(None, &id(&bomb), "", yaml).unwrap_err();
    assert!(matches!(error, GitError::TooManyEntries(_)), "{error}");

    let mut deep = (blob, 0o100_644);
    for _ in 0..limits::DEPTH_MAX + 5 {
        let mut tree = git.treebuilder(None).unwrap();
        tree.insert("n", deep.0, deep.1).unwrap();
        deep = (tree.write().unwrap(), 0o040_000);
    }
    let tree = git.find_tree(deep.0).unwrap();
    let deep = git.commit(None, &author, &author, "A well", &tree, &[]).unwrap().to_string();
    let error = opened(&repository).changes(None, &id(&deep), "", yaml).unwrap_err();
    assert!(matches!(error, GitError::TooDeep(_)), "{error}");
}

#[test]
fn a_file_too_large_is_not_read() {
    let repository = Repository::new();
    let large = "#".repeat(limits::FILE_BYTES_MAX + 1);
    let commit = repository.commit(&[("a.yaml", &large)], "Large");
    let mirror = opened(&repository);
    let Some(Found::File(blob)) = mirror.at(&id(&commit), "a.yaml").unwrap() else { panic!("it is a file") };
    assert!(matches!(mirror.read(blob), Err(GitError::TooLarge { .. })));
}

#[test]
fn a_line_leads_to_the_commit_that_last_wrote_it() {
    let repository = Repository::new();
    let first = repository.commit(&[("a.yaml", "one\ntwo\nthree\nfour\n")], "First");
    let second = repository.commit(&[("a.yaml", "zero\none\ntwo\nTHREE\nfour\n")], "Second");
    let merged = repository.merge(&[("a.yaml", "zero\none\nTHREE\nfour\nfive")], "Third");
    repository.commit(&[("b.yaml", "other")], "Elsewhere");
    let (mirror, head) = (opened(&repository), repository.head());
    let wrote = |line| mirror.blame(&id(&head), "a.yaml", line, || true).unwrap().map(|info| info.commit.0.to_string());
    assert_eq!([wrote(1), wrote(2), wrote(3), wrote(4)].map(Option::unwrap), [&*second, &first, &second, &first]);
    let fifth = wrote(5).unwrap();
    assert!(fifth != merged && ![&first, &second].contains(&&fifth), "the merged commit wrote it, not the merge");
    assert_eq!([wrote(0), wrote(6)], [None, None]);
    let info = mirror.blame(&id(&head), "a.yaml", 1, || true).unwrap().unwrap();
    assert_eq!(info.author, AUTHOR.0);
    assert!(mirror.blame(&id(&head), "a.yaml", 1, || false).unwrap().is_none(), "it stops when it is told to");
    assert!(mirror.blame(&id(&head), "no.yaml", 1, || true).unwrap().is_none());
}

#[tokio::test]
async fn a_repository_of_another_user_is_read() {
    let repository = Repository::new();
    let head = repository.head();
    // Only root may give a folder away; for anybody else this is one more fetch of their own.
    let nobody = Some(65_534);
    for folder in ["", ".git"] {
        let _ = std::os::unix::fs::chown(repository.folder().join(folder), nobody, nobody);
    }
    assert_eq!(&*fetch(&repository.url(), branch("main")).await.unwrap().0, head);
}

#[test]
fn only_the_first_parents_were_heads() {
    let repository = Repository::new();
    let known = repository.head();
    let second = repository.commit(&[("a", "2")], "2");
    let merge = repository.merge(&[("b", "3")], "3");
    let mirror = opened(&repository);
    let between = mirror.heads_between(&id(&known), &id(&merge)).unwrap();
    assert_eq!(between, [id(&second), id(&merge)]);
    assert!(mirror.heads_between(&id(&merge), &id(&merge)).unwrap().is_empty());
    assert!(mirror.heads_between(&id(&merge), &id(&known)).unwrap().is_empty());
}
