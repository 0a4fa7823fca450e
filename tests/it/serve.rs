//! What does the webhook server answer? Its router, without a socket.

use std::future::pending;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode};
use futures::future::BoxFuture;
use futures::{FutureExt as _, stream};
use http_body_util::BodyExt as _;
use landfast::drift::form::Form;
use landfast::gate::basis::Basis;
use landfast::gate::facts::Question;
use landfast::serve::admission::router;
use landfast::serve::answers::{Answer, Answers, Nobody};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::serving::{Serving, declaring, review};

const GUARD: &str = "/validate/guard?timeout=3s";
const OBSERVE: &str = "/validate/observe?timeout=3s";

pub(crate) async fn send(router: &Router, method: Method, path: &str, body: impl Into<Body>) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// Posts a review; returns the `response` of the answer.
pub(crate) async fn post(router: &Router, path: &str, body: impl Into<Body>) -> Value {
    let (status, text) = send(router, Method::POST, path, body).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&answer["apiVersion"], &answer["kind"]), (&json!("admission.k8s.io/v1"), &json!("AdmissionReview")));
    answer["response"].clone()
}

fn nobody() -> (Router, Serving) {
    let serving = Serving::new(Arc::new(Nobody));
    (router(Arc::clone(&serving.admission)), serving)
}

#[tokio::test]
async fn drift_is_denied_and_what_agrees_goes_in() {
    let (router, _serving) = nobody();
    let denied = post(&router, GUARD, review("a", "5").to_string()).await;
    assert_eq!((&denied["uid"], &denied["allowed"]), (&json!("a"), &json!(false)));
    assert_eq!((&denied["status"]["code"], &denied["status"]["reason"]), (&json!(403), &json!("Forbidden")));
    assert!(
        denied["status"]["message"].as_str().unwrap().starts_with("ConfigMap shop/web differs from Git"),
        "{denied}"
    );
    let agrees = post(&router, "/validate", review("b", "3").to_string()).await;
    assert_eq!(agrees, json!({ "uid": "b", "allowed": true }));
}

#[tokio::test]
async fn the_mutating_webhook_lets_in_and_changes_nothing() {
    let (router, _serving) = nobody();
    assert_eq!(post(&router, "/mutate", review("a", "5").to_string()).await, json!({ "uid": "a", "allowed": true }));
}

/// Reviews that cannot be decided, all with the uid `a`.
fn broken() -> Vec<(&'static str, String)> {
    let with = |pointer: &str, value: Value| {
        let mut review = review("a", "5");
        *review.pointer_mut(pointer).unwrap() = value;
        review.to_string()
    };
    let mut nulls = review("a", "5");
    for (name, member) in nulls["request"].as_object_mut().unwrap() {
        if name != "uid" {
            *member = Value::Null;
        }
    }
    let text = review("a", "5").to_string();
    vec![
        ("no object", with("/request/object", Value::Null)),
        ("an object that is a number", with("/request/object", json!(7))),
        ("an old object that is a list", with("/request/oldObject", json!([]))),
        ("nulls everywhere", nulls.to_string()),
        ("a name that is a list", with("/request/name", json!(["web"]))),
        ("a user that is a string", with("/request/userInfo", json!("alice"))),
        ("no resource", with("/request/resource", Value::Null)),
        ("another operation", with("/request/operation", json!("PROXY"))),
        ("another version", with("/apiVersion", json!("admission.k8s.io/v1beta1"))),
        ("cut short", text[..text.len() - 40].to_owned()),
        ("text behind it", format!("{text}{{}}")),
    ]
}

#[tokio::test]
async fn a_broken_review_is_answered_by_the_failure_rule_with_its_uid() {
    let (router, serving) = nobody();
    for (what, body) in broken() {
        let denied = post(&router, GUARD, body.clone()).await;
        assert_eq!((&denied["uid"], &denied["allowed"]), (&json!("a"), &json!(false)), "{what}: {denied}");
        assert!(denied["status"]["message"].as_str().unwrap().contains("could not decide"), "{what}: {denied}");
        let warned = post(&router, OBSERVE, body).await;
        assert_eq!((&warned["uid"], &warned["allowed"]), (&json!("a"), &json!(true)), "{what}: {warned}");
        assert!(warned["warnings"][0].as_str().unwrap().contains("could not decide"), "{what}: {warned}");
    }
    let count = broken().len();
    let line = format!(r#"landfast_failures_total{{entry="guard",reason="malformed"}} {count}"#);
    let text = serving.metrics.encode().unwrap();
    assert!(text.contains(&line), "{line} in {text}");
}

#[tokio::test]
async fn an_object_of_nulls_gets_a_verdict() {
    let (router, _serving) = nobody();
    for object in [json!({}), json!({ "metadata": null, "data": null, "kind": null }), json!({ "data": [null] })] {
        let mut review = review("a", "5");
        review["request"]["object"] = object;
        review["request"]["oldObject"] = json!({ "metadata": null });
        let answer = post(&router, GUARD, review.to_string()).await;
        assert_eq!(answer["uid"], "a");
        assert!(answer["status"]["message"].as_str().is_none_or(|text| !text.contains("could not decide")), "{answer}");
    }
}

#[tokio::test]
async fn an_object_too_deep_to_read_is_never_let_in() {
    let (router, _serving) = nobody();
    let deep = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    let body = review("a", "5").to_string().replacen(r#"{"replicas":"5"}"#, &deep, 1);
    let denied = post(&router, GUARD, body).await;
    assert_eq!((&denied["uid"], &denied["allowed"]), (&json!("a"), &json!(false)));
}

#[tokio::test]
async fn what_is_no_review_is_refused_plainly() {
    let (router, _serving) = nobody();
    for body in ["", "not json", "[]", "null", "{}", r#"{"request":{"uid":""}}"#, "\u{0}", "\u{feff}{}"] {
        let (status, text) = send(&router, Method::POST, GUARD, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {text}");
    }
    let (status, text) = send(&router, Method::GET, GUARD, "").await;
    assert_eq!((status, text.as_str()), (StatusCode::METHOD_NOT_ALLOWED, "the webhooks are called by POST\n"));
    let (status, _) = send(&router, Method::POST, "/validate/other", review("a", "5").to_string()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_review_of_forty_mebibytes_is_answered_by_the_failure_rule() {
    let (router, _serving) = nobody();
    let body = || {
        let head = review("a", "5").to_string();
        let chunk = Bytes::from(vec![b' '; 1 << 20]);
        let chunks = std::iter::once(Bytes::from(head)).chain(std::iter::repeat_n(chunk, 40));
        Body::from_stream(stream::iter(chunks.map(Ok::<_, std::io::Error>)))
    };
    let denied = post(&router, GUARD, body()).await;
    assert_eq!((&denied["uid"], &denied["allowed"]), (&json!("a"), &json!(false)));
    assert_eq!(denied["status"]["message"], "landfast could not decide, because the review is longer than 32 MiB");
    let warned = post(&router, OBSERVE, body()).await;
    assert_eq!((&warned["uid"], &warned["allowed"]), (&json!("a"), &json!(true)));
}

#[tokio::test]
async fn a_large_review_is_decided_as_a_small_one() {
    let (router, _serving) = nobody();
    let mut large = review("a", "5");
    large["request"]["object"]["metadata"]["annotations"] = json!({ "note": "<".repeat(1 << 20) });
    let denied = post(&router, GUARD, large.to_string()).await;
    assert_eq!(denied["allowed"], false);
    assert!(denied["status"]["message"].as_str().unwrap().contains("data.replicas"), "{denied}");
}

/// Panics at the first question.
struct Panics;

impl Answers for Panics {
    fn answer<'a>(&'a self, _: &'a Question) -> BoxFuture<'a, Answer> {
        async { panic!("a fault made for the test") }.boxed()
    }
}

#[tokio::test]
async fn a_panic_is_answered_and_counted() {
    let serving = Serving::new(Arc::new(Panics));
    let router = router(Arc::clone(&serving.admission));
    let denied = post(&router, GUARD, review("a", "5").to_string()).await;
    assert_eq!((&denied["uid"], &denied["allowed"]), (&json!("a"), &json!(false)));
    let warned = post(&router, OBSERVE, review("b", "5").to_string()).await;
    assert_eq!((&warned["uid"], &warned["allowed"]), (&json!("b"), &json!(true)));
    let agrees = post(&router, GUARD, review("c", "3").to_string()).await;
    assert_eq!(agrees, json!({ "uid": "c", "allowed": true }));
    assert!(serving.metrics.encode().unwrap().contains("landfast_panics_total 2"));
}

/// Publishes the next basis when asked to fetch.
struct Merged(watch::Sender<Arc<Basis>>);

impl Answers for Merged {
    fn answer<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Answer> {
        async move {
            let Question::Fetch(_) = question else { return Answer::Silence };
            self.0.send_replace(declaring("5"));
            Answer::Fetched
        }
        .boxed()
    }
}

#[tokio::test]
async fn what_was_merged_a_moment_ago_goes_in() {
    let (sender, basis) = watch::channel(declaring("3"));
    let serving = Serving::with(Arc::new(Merged(sender.clone())), sender, basis);
    let router = router(Arc::clone(&serving.admission));
    let answer = post(&router, GUARD, review("a", "5").to_string()).await;
    assert_eq!(answer, json!({ "uid": "a", "allowed": true }));
}

/// Has this server form at hand, and nothing else.
struct AtHand(Form);

impl Answers for AtHand {
    fn answer<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Answer> {
        panic!("asked {question:?} about a write that is let in")
    }

    fn at_hand(&self, _: &Question) -> Answer {
        Answer::Formed(Arc::new(self.0.clone()))
    }
}

#[tokio::test]
async fn a_write_that_is_let_in_takes_what_is_at_hand_and_waits_for_nobody() {
    let preexisting = || {
        let mut review = review("a", "mirrored");
        review["request"]["oldObject"]["data"]["replicas"] = json!("mirrored");
        review["request"]["object"]["metadata"]["labels"] = json!({ "more": "yes" });
        review.to_string()
    };
    for (made, warns) in [("mirrored", false), ("3", true)] {
        let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "replicas": made } }).to_string();
        let serving = Serving::new(Arc::new(AtHand(Form::made(&object, &object))));
        let answer = post(&router(Arc::clone(&serving.admission)), GUARD, preexisting()).await;
        assert_eq!((&answer["allowed"], answer["warnings"].is_array()), (&json!(true), warns), "{answer}");
    }
}

/// Never answers.
struct Hangs;

impl Answers for Hangs {
    fn answer<'a>(&'a self, _: &'a Question) -> BoxFuture<'a, Answer> {
        pending().boxed()
    }
}

#[tokio::test]
async fn when_git_is_silent_the_revision_at_hand_rules() {
    let serving = Serving::new(Arc::new(Hangs));
    let router = router(Arc::clone(&serving.admission));
    let denied = post(&router, "/validate/guard?timeout=500ms", review("a", "5").to_string()).await;
    assert_eq!(denied["allowed"], false);
    assert!(denied["status"]["message"].as_str().unwrap().contains("differs from Git"), "{denied}");
}

#[tokio::test]
async fn a_sender_too_slow_is_answered_with_its_uid() {
    let (router, _serving) = nobody();
    let begun = review("a", "5").to_string();
    let slow = stream::iter([Ok::<_, std::io::Error>(begun[..begun.len() - 9].to_owned())]);
    let body = Body::from_stream(futures::StreamExt::chain(slow, stream::pending()));
    let denied = post(&router, "/validate/guard?timeout=500ms", body).await;
    assert_eq!((&denied["uid"], &denied["allowed"]), (&json!("a"), &json!(false)));
    assert!(denied["status"]["message"].as_str().unwrap().contains("in time"), "{denied}");
}

#[tokio::test]
async fn a_denial_is_recorded_once_and_a_dry_run_never() {
    let (router, serving) = nobody();
    let mut dry = review("dry", "7");
    dry["request"]["dryRun"] = json!(true);
    for body in [dry, review("a", "5"), review("b", "5"), review("c", "3")] {
        post(&router, GUARD, body.to_string()).await;
    }
    let text = serving.metrics.encode().unwrap();
    let line = r#"landfast_decisions_total{ruling="Deny",enforced="true",operation="UPDATE",role="Person"} 3"#;
    assert!(text.contains(line), "{text}");
    drop((router, serving.admission));
    serving.sinks.run(pending()).await;
    let records = serving.board.latest();
    assert_eq!(records.iter().map(|record| (&*record.uid, record.count)).collect::<Vec<_>>(), [("a", 2)]);
    assert_eq!(records[0].object.uid.as_deref(), Some("object-uid"));
    assert_eq!(records[0].fields[0].path, "data.replicas");
}
