//! Does a receiver of CloudEvents get each record, and does one that is slow or dead hold up nobody? Real receivers, over http and https.

use std::collections::VecDeque;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use landfast::audit::board::Board;
use landfast::audit::cloudevents::Receiver;
use landfast::audit::metrics::Metrics;
use landfast::audit::record::Record;
use landfast::audit::sinks::Audit;
use landfast::limits;
use landfast::serve::admission::{Admission, router};
use landfast::serve::answers::Nobody;
use landfast::serve::listener::Listener;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::gate::{DEPLOYMENT, source};
use crate::serve;
use crate::serving::{clock, declaring, review};
use crate::testbed::PATIENCE;
use crate::testbed::control_plane::ControlPlane;
use crate::testbed::landfast::Landfast;
use crate::testbed::metrics;
use crate::testbed::repository::Repository;
use crate::testbed::scratch::Scratch;
use crate::testbed::user::User;

/// So short that a test need not wait for it.
const AT_ONCE: Duration = Duration::from_millis(1);

/// A receiver: what it got, and where it is. It ends with the test binary.
struct Inbox {
    got: mpsc::Receiver<(HeaderMap, Value)>,
    address: SocketAddr,
}

/// What a receiver answers, one after the other; then `204`. Nothing stands for silence.
type Answers = Vec<Option<StatusCode>>;

impl Inbox {
    fn open(answers: Answers, tls: Option<ServerConfig>) -> Self {
        let (told, got) = mpsc::channel();
        let (bound, address) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
                let take = async move |headers: HeaderMap, body: Bytes| {
                    let _ = told.send((headers, serde_json::from_slice(&body).unwrap()));
                    let answer = answers.lock().unwrap().pop_front().unwrap_or(Some(StatusCode::NO_CONTENT));
                    match answer {
                        Some(status) => status,
                        None => pending().await,
                    }
                };
                let router = Router::new().route("/events", post(take));
                let any = SocketAddr::from(([127, 0, 0, 1], 0));
                let counted = Arc::new(Metrics::new());
                let listener = match tls {
                    Some(tls) => Listener::https(any, Arc::new(tls), router, counted).await.unwrap(),
                    None => Listener::http(any, router, counted).await.unwrap(),
                };
                bound.send(listener.address()).unwrap();
                listener.run(pending()).await;
            });
        });
        Self { got, address: address.recv().unwrap() }
    }

    fn receiver(&self) -> Receiver {
        Receiver::new(&format!("http://{}/events", self.address)).unwrap()
    }

    fn next(&self) -> (HeaderMap, Value) {
        self.got.recv_timeout(PATIENCE).expect("an event in time")
    }

    fn next_id(&self) -> String {
        self.next().1["id"].as_str().unwrap().to_owned()
    }
}

/// A record with this id.
fn record(id: &str) -> Record {
    let journal = include_str!("../data/report/a.jsonl");
    let record: Record = serde_json::from_str(journal.lines().next().unwrap()).unwrap();
    Record { id: id.to_owned(), ..record }
}

fn audit(receiver: Receiver) -> (Audit, Arc<Metrics>) {
    let counted = Arc::new(Metrics::new());
    let audit = Audit::new(None, None, Arc::new(Board::default()), Arc::clone(&counted), clock());
    (audit.sending(receiver), counted)
}

fn dropped(counted: &Metrics) -> f64 {
    metrics::sum(&counted.encode().unwrap(), "landfast_records_dropped_total", &["sink=\"cloudevents\""])
}

/// Hands these records in and waits until all of them are delivered or dropped.
async fn deliver(audit: Audit, ids: &[&str]) {
    for id in ids {
        audit.recorder.record(record(id));
    }
    drop(audit.recorder);
    audit.sinks.run(pending()).await;
    audit.cloudevents.unwrap().trying_again_after(AT_ONCE).run(pending()).await;
}

#[tokio::test]
async fn a_record_is_one_event_and_is_sent_again_where_the_receiver_is_not_up_to_it() {
    let busy = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].map(Some);
    let inbox = Inbox::open(busy.to_vec(), None);
    let (audit, counted) = audit(inbox.receiver());
    // A repeat of a record is no event of its own.
    deliver(audit, &["first", "first", "second"]).await;
    let (headers, event) = inbox.next();
    assert_eq!(headers["content-type"], "application/cloudevents+json; charset=utf-8");
    assert_eq!((&event["specversion"], &event["id"]), (&"1.0".into(), &"first".into()));
    assert_eq!(serde_json::from_value::<Record>(event["data"].clone()).unwrap(), record("first"));
    assert_eq!([inbox.next_id(), inbox.next_id(), inbox.next_id()], ["first", "first", "second"]);
    assert!(inbox.got.try_recv().is_err() && dropped(&counted) == 0.0);
}

#[tokio::test]
async fn what_a_receiver_cannot_bear_holds_up_no_other_and_is_counted() {
    let down = std::iter::repeat_n(Some(StatusCode::INTERNAL_SERVER_ERROR), limits::CLOUD_EVENT_TRIES as usize);
    let inbox = Inbox::open([Some(StatusCode::BAD_REQUEST)].into_iter().chain(down).collect(), None);
    let (audit, counted) = audit(inbox.receiver());
    deliver(audit, &["refused", "unbearable", "third"]).await;
    assert_eq!(inbox.next_id(), "refused");
    (0..limits::CLOUD_EVENT_TRIES).for_each(|_| assert_eq!(inbox.next_id(), "unbearable"));
    assert_eq!(inbox.next_id(), "third");
    assert!(inbox.got.try_recv().is_err());
    assert!((dropped(&counted) - 2.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_no_verdict_and_what_does_not_fit_is_dropped_and_counted() {
    let inbox = Inbox::open(vec![None; 100], None);
    let (audit, counted) = audit(inbox.receiver());
    let (_sender, basis) = watch::channel(declaring("3"));
    let admission = Admission::new(basis, Arc::new(Nobody), audit.recorder, Arc::clone(&counted), clock());
    let router = router(Arc::new(admission));
    let (end, mut ended) = watch::channel(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(audit.sinks.run(pending()));
    tasks.spawn(audit.cloudevents.unwrap().run(async move {
        let _ = ended.wait_for(|end| *end).await;
    }));
    let deny = async |n: usize| {
        let answer = serve::post(&router, "/validate", review("a", &format!("9{n}")).to_string()).await;
        assert_eq!(answer["status"]["code"], 403, "{answer}");
    };
    deny(0).await;
    // The receiver has the first, and answers neither it nor any other.
    let id = loop {
        if let Ok((_, event)) = inbox.got.try_recv() {
            break event["id"].clone();
        }
        tokio::task::yield_now().await;
    };
    let more = limits::CLOUD_EVENT_QUEUE + 100;
    for n in 1..=more {
        deny(n).await;
    }
    // All are ruled, and none has arrived. The sinks go on, too: they dropped what did not fit.
    while dropped(&counted) < 100.0 {
        tokio::task::yield_now().await;
    }
    assert!(inbox.got.try_iter().all(|(_, event)| event["id"] == id));
    // At the end it is waited for as long as is said, and all is counted.
    drop(router);
    end.send_replace(true);
    tasks.join_all().await;
    #[expect(clippy::cast_precision_loss, reason = "some thousand")]
    let all = (more + 1) as f64;
    assert!((dropped(&counted) - all).abs() < f64::EPSILON, "{} of {all}", dropped(&counted));
}

#[test]
fn a_denial_reaches_a_receiver_over_https() {
    let issued = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let authority = Scratch::get().folder("cloudevents").join("authority.pem");
    std::fs::write(&authority, issued.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = tls.with_no_client_auth().with_single_cert(vec![issued.cert.der().clone()], key).unwrap();
    let inbox = Inbox::open(vec![Some(StatusCode::SERVICE_UNAVAILABLE)], Some(tls));

    let plane = ControlPlane::start();
    plane.kubectl(User::Admin, &["create", "namespace", "shop"]).succeeds();
    let repository = Repository::new();
    let web = DEPLOYMENT.replace("$NAMESPACE", "shop");
    repository.commit(&[("web.yaml", &web)], "Declare the shop");
    plane.kubectl_with_input(User::Admin, &["create", "-f", "-"], &web).succeeds();
    let policy =
        "apiVersion: landfast.dev/v1alpha1\nkind: DriftPolicy\nmetadata: { name: deny }\nspec: { mode: Enforce }\n";
    let configuration = source("shop", &repository, "1h", "[shop]") + policy;
    let url = format!("https://{}/events", inbox.address);
    let trusted = [("SSL_CERT_FILE", authority.to_str().unwrap())];
    let landfast = Landfast::start_with(&plane, &configuration, &["--cloudevents", &url], &trusted);
    let scale = |more: &[&str]| {
        let verb = ["-n", "shop", "scale", "deployment", "web", "--replicas=5"];
        plane.kubectl(User::Alice, &[&verb, more].concat())
    };
    // A dry-run leaves no record.
    landfast.eventually("the API server to ask landfast", || (scale(&["--dry-run=server"]).code != 0).then_some(()));
    scale(&[]).fails_with(&["spec.replicas"]);
    let (_, event) = inbox.next();
    assert_eq!(
        (&event["type"], &event["subject"]),
        (&"dev.landfast.DriftDenied".into(), &"Deployment.apps/shop/web".into())
    );
    assert_eq!(event["data"]["writer"]["user"], "alice");
    assert_eq!(inbox.next().1, event, "again, because it was not taken");
}
