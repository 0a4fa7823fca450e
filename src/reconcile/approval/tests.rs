//! Is a yes to what was shown, and to nothing else?

use serde_json::json;
use serde_json::value::RawValue;

use super::*;
use crate::gate::finding::Certainty;
use crate::gate::verdict::Class;

fn key(kind: &str) -> ObjectKey {
    ObjectKey::new("", kind, "shop", "web")
}

fn change(path: &str, git: &str, live: &str) -> Change {
    Change {
        path: path.parse().unwrap(),
        class: Class::Drifts,
        certainty: Certainty::Known,
        git: Some(git.to_owned()),
        before: None,
        written: Some(live.to_owned()),
        node: 0,
    }
}

fn digest(kind: &str, uid: &str, revision: &str, target: &str, drift: &[Change]) -> Digest {
    Digest::of_repair(&Asked { key: &key(kind), uid, revision, target, drift })
}

fn pending(digest: Digest, action: Action) -> Pending {
    Pending {
        digest,
        action,
        object: Named::of(&key("ConfigMap"), "v1", "configmaps"),
        uid: "u".into(),
        source: "shop".into(),
        revision: "3f2a91c".into(),
        fields: Vec::new(),
        more: 0,
        since: Timestamp::UNIX_EPOCH,
        void: None,
    }
}

fn word_digest(word: &str) -> Digest {
    Digest::list(word).remove(0)
}

fn named(digest: &Digest) -> Vec<Digest> {
    vec![digest.clone()]
}

#[test]
fn another_object_revision_target_or_difference_is_another_digest() {
    let drift = [change("data.a", "1", "2"), change("data.b", "1", "2")];
    let all = [
        digest("ConfigMap", "u", "r", "t", &drift),
        digest("Secret", "u", "r", "t", &drift),
        digest("ConfigMap", "v", "r", "t", &drift),
        digest("ConfigMap", "u", "s", "t", &drift),
        digest("ConfigMap", "u", "r", "u", &drift),
        digest("ConfigMap", "u", "r", "t", &drift[..1]),
        digest("ConfigMap", "u", "r", "t", &[change("data.a", "1", "3"), drift[1].clone()]),
        digest("ConfigMap", "u", "r", "t", &[]),
        Digest::of_deletion(&key("ConfigMap"), "u", "r"),
        Digest::of_source("shop", "r", [&key("ConfigMap")].into_iter()),
        Digest::of_source("shop", "r", [&key("ConfigMap"), &key("Secret")].into_iter()),
    ];
    for (n, digest) in all.iter().enumerate() {
        assert!(!all[..n].contains(digest), "{n}");
    }
    // The order in which they were found does not matter.
    let [a, b] = drift;
    assert_eq!(digest("ConfigMap", "u", "r", "t", &[b, a]), all[0]);
    let two = [key("Secret"), key("ConfigMap")];
    assert_eq!(Digest::of_source("shop", "r", two.iter()), all[10]);
}

#[test]
fn no_value_of_a_secret_is_shown_or_guessed() {
    let [a, b] = [change("data.a", "\"eA==\"", "\"aHVudGVyMg==\""), change("data.a", "\"eQ==\"", "\"eg==\"")];
    let of = |target, change: &Change| digest("Secret", "u", "r", target, std::slice::from_ref(change));
    assert_eq!(of("t", &a), of("u", &b));
    let (fields, more) = shown(&key("Secret"), &[a]);
    let json = serde_json::to_string(&fields).unwrap();
    assert!(json.contains("data.a") && !json.contains("aHVudGVyMg==") && !json.contains("eA=="), "{json}");
    assert_eq!(more, 0);
}

#[test]
fn a_yes_is_read_from_the_annotation() {
    let of = |annotations: &str| {
        let json = format!(r#"{{"metadata":{{"annotations":{annotations}}}}}"#);
        Digest::of(&RawValue::from_string(json).unwrap())
    };
    assert_eq!(of(r#"{"landfast.dev/approve":" a  b\n"}"#), Digest::list("a b"));
    for none in ["null", "{}", r#"{"landfast.dev/approve":null}"#, r#"{"landfast.dev/approves":"a"}"#] {
        assert!(of(none).is_empty(), "{none}");
    }
}

#[test]
fn a_yes_is_to_what_was_shown_and_to_nothing_else() {
    let (mut approvals, key) = (Approvals::default(), key("ConfigMap"));
    let [old, new] = ["old", "new"].map(word_digest);
    assert_eq!(approvals.ask(&key, pending(old.clone(), Action::Update), &[]), Answer::Asked);
    assert_eq!(approvals.ask(&key, pending(old.clone(), Action::Update), &[]), Answer::Waits);
    // Git has moved on when it is said: told once, and shown.
    assert_eq!(approvals.ask(&key, pending(new.clone(), Action::Update), &named(&old)), Answer::Void(old.clone()));
    assert_eq!(approvals.ask(&key, pending(new.clone(), Action::Update), &named(&old)), Answer::Waits);
    assert_eq!(approvals.notice(Vec::new()).pending[0].void, Some(old));
    assert_eq!(approvals.ask(&key, pending(new.clone(), Action::Update), &named(&new)), Answer::Approved);
    assert_eq!(approvals.notice(Vec::new()), Notice::default());
}

#[test]
fn a_yes_that_was_heard_holds_until_it_is_carried_out_or_the_question_is_another() {
    let (mut approvals, key) = (Approvals::default(), key("ConfigMap"));
    let [old, new] = ["old", "new"].map(word_digest);
    let mut ask = |digest: &Digest, own: &[Digest]| approvals.ask(&key, pending(digest.clone(), Action::Update), own);
    assert_eq!(ask(&old, &named(&old)), Answer::Approved);
    // The annotation is taken away before a deployer is asked, and the deployer is busy.
    assert_eq!(ask(&old, &[]), Answer::Approved);
    assert_eq!(ask(&new, &[]), Answer::Asked);
    assert_eq!(ask(&old, &[]), Answer::Asked);
    assert_eq!(ask(&old, &named(&old)), Answer::Approved);
    approvals.settle(&key);
    assert_eq!(approvals.ask(&key, pending(old, Action::Update), &[]), Answer::Asked);
}

#[test]
fn only_what_is_there_to_be_written_is_approved_on_itself() {
    let (mut approvals, key) = (Approvals::default(), key("ConfigMap"));
    let digest = word_digest("d");
    for action in [Action::Delete, Action::Create] {
        assert!(matches!(approvals.ask(&key, pending(digest.clone(), action), &named(&digest)), Answer::Void(_)));
        assert_eq!(approvals.hear(named(&digest)), std::slice::from_ref(&key));
        assert_eq!(approvals.ask(&key, pending(digest.clone(), action), &[]), Answer::Approved);
        approvals.hear(Vec::new());
        approvals.settle(&key);
    }
}

#[test]
fn what_was_said_is_over_when_it_is_done_or_means_nothing() {
    let (mut approvals, key) = (Approvals::default(), key("ConfigMap"));
    let [digest, other] = ["d", "other"].map(word_digest);
    approvals.ask(&key, pending(digest.clone(), Action::Create), &[]);
    approvals.hear(vec![digest.clone(), other.clone()]);
    assert_eq!(approvals.over(&[]), (vec![], vec![&other]));
    approvals.ask(&key, pending(digest.clone(), Action::Create), &[]);
    assert_eq!(approvals.over(&[]), (vec![], vec![&other]));
    approvals.settle(&key);
    assert_eq!(approvals.over(&[]), (vec![&digest], vec![&other]));
    approvals.hear(Vec::new());
    assert_eq!(approvals.over(&[]), (vec![], vec![]));
}

#[test]
fn what_is_told_fits_a_config_map_and_reads_back() {
    let mut approvals = Approvals::default();
    for n in 0..5000 {
        let key = ObjectKey::new("", "ConfigMap", "shop", &format!("settings-{n}"));
        let mut pending = pending(word_digest(&format!("{n:032}")), Action::Update);
        pending.fields = shown(&key, &[change("data.a", "\"x\"", "\"y\"")]).0;
        approvals.ask(&key, pending, &[]);
    }
    let notice = approvals.notice(Vec::new());
    let json = serde_json::to_string(&notice).unwrap();
    assert!(notice.more > 0 && notice.pending.len() + notice.more == 5000);
    assert!(json.len() < 2 * REPAIRS_BYTES_MAX, "{}", json.len());
    assert_eq!(serde_json::from_str::<Notice>(&json).unwrap(), notice);
    assert_eq!(json!(notice.pending[0])["fields"][0]["written"], "y");
}
