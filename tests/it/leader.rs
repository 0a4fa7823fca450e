//! Does somebody look after break-glass whatever becomes of the replicas, and of the clock? On control planes of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use landfast::audit::Clock;
use landfast::audit::board::Board;
use landfast::audit::metrics::Metrics;
use landfast::audit::sinks::Audit;
use landfast::cluster::glasses::{Glasses, Keeping};
use landfast::cluster::lease::Lead;
use landfast::cluster::records::Records;
use landfast::drift::schema::Schemas;
use landfast::gate::basis::{Basis, Index, SourceId};
use landfast::gate::facts::Sought;
use landfast::gate::grant::Grants;
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::definitions::install;
use crate::gate::{DEPLOYMENT, source};
use crate::support;
use crate::testbed::control_plane::ControlPlane;
use crate::testbed::eventually;
use crate::testbed::landfast::Landfast;
use crate::testbed::repository::Repository;
use crate::testbed::user::User;

/// Longer than it takes to look at every record twice.
const TWO_LOOKS: Duration = Duration::from_millis(2_500);

const NAMESPACE: [&str; 2] = ["-n", "deny-a"];

/// Who holds the Lease.
fn holder(plane: &ControlPlane) -> String {
    let lease = ["-n", "landfast-system", "get", "lease", "landfast", "-o", "jsonpath={.spec.holderIdentity}"];
    plane.kubectl(User::Admin, &lease).stdout
}

fn leader(plane: &ControlPlane, replicas: &[Landfast]) -> Option<usize> {
    let holder = holder(plane);
    replicas.iter().position(|replica| replica.id().is_some_and(|id| holder.ends_with(&format!("-{id}"))))
}

/// Opens a break-glass on `web` for so many seconds, by the write that it lets in.
fn break_glass(plane: &ControlPlane, seconds: u32) {
    let patch = format!(
        r#"{{"metadata":{{"annotations":{{"landfast.dev/break-glass":"INC-{seconds} x","landfast.dev/break-glass-for":"{seconds}s"}}}},"spec":{{"replicas":5}}}}"#
    );
    plane.kubectl(User::Oncall, &[&NAMESPACE[..], &["patch", "deployment", "web", "-p", &patch]].concat()).succeeds();
}

fn await_its_end(plane: &ControlPlane) {
    eventually("the annotations to go", || {
        let web = plane.kubectl(User::Admin, &[&NAMESPACE[..], &["get", "deployment", "web", "-o", "json"]].concat());
        (!web.succeeds().stdout.contains("landfast.dev/break-glass")).then_some(())
    });
}

#[test]
fn another_replica_takes_over_from_a_leader_that_dies_or_leaves() {
    let plane = ControlPlane::start();
    install(&plane);
    let repository = Repository::new();
    let web = DEPLOYMENT.replace("$NAMESPACE", "deny-a");
    repository.commit(&[("web.yaml", &web)], "Declare");
    plane.kubectl(User::Admin, &["create", "namespace", "deny-a"]).succeeds();
    plane.kubectl_with_input(User::Ci, &["apply", "-f", "-"], &web).succeeds();
    let config = source("shop", &repository, "1s", r#"["deny-*"]"#) + include_str!("../data/incident.yaml");
    let (mut replicas, _balancer) = Landfast::replicas(&plane, &config, 2);
    eventually("the API server to ask landfast", || {
        let drifting = web.replace("replicas: 3", "replicas: 4");
        let answer = plane.kubectl_with_input(User::Alice, &["apply", "--dry-run=server", "-f", "-"], &drifting);
        answer.stderr.contains("differs from Git").then_some(())
    });
    let first = eventually("a leader", || leader(&plane, &replicas));
    break_glass(&plane, 3);
    replicas[first].kill();
    let died = Instant::now();
    let second = eventually("another leader", || leader(&plane, &replicas));
    assert!(first != second && died.elapsed() < Duration::from_secs(15), "{:?}", died.elapsed());
    // What the dead one would have ended, the other does.
    await_its_end(&plane);
    replicas[first].resume();
    replicas[second].end();
    let left = Instant::now();
    let third = eventually("a leader again", || leader(&plane, &replicas));
    assert!(third == first && left.elapsed() < Duration::from_secs(2), "{:?}", left.elapsed());
    break_glass(&plane, 4);
    await_its_end(&plane);

    // Nobody but the mutating pass stamps: without it, and without the policy of the API server, the other pass refuses a forged name.
    let policy = ["delete", "validatingadmissionpolicybinding", "landfast-break-glass"];
    plane.kubectl(User::Admin, &policy).succeeds();
    plane.kubectl(User::Admin, &["delete", "mutatingwebhookconfiguration", "landfast"]).succeeds();
    let forged = || {
        let record = record("forged", "  createdBy: alice\n");
        let create = ["create", "--dry-run=server", "-f", "-"];
        let answer = plane.kubectl_with_input(User::Oncall, &create, &record);
        answer.stderr.contains("BreakGlass forged bears the name of another creator").then_some(())
    };
    eventually("a forged name to be refused", forged);
    let own = record("own", "  createdBy: oncall\n");
    plane.kubectl_with_input(User::Oncall, &["create", "-f", "-"], &own).succeeds();
}

/// A BreakGlass of two hours.
fn record(name: &str, more: &str) -> String {
    format!(
        "apiVersion: landfast.dev/v1alpha1\nkind: BreakGlass\nmetadata: {{ name: {name} }}\nspec:\n  reason: INC-1 x\n  \
         duration: 2h\n  match: {{ namespaces: [shop] }}\n{more}"
    )
}

/// Who looks after records, at a time of our own.
struct Keeper {
    ahead: Arc<AtomicI64>,
    leads: watch::Sender<Lead>,
    basis: watch::Sender<Arc<Basis>>,
    grants: watch::Receiver<Arc<Grants>>,
    end: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Keeper {
    async fn start(plane: &ControlPlane) -> Self {
        let ahead = Arc::new(AtomicI64::new(0));
        let clock = clock(&ahead);
        let (leads, leads_seen) = watch::channel(Lead::default());
        let (basis, basis_seen) = watch::channel(Arc::new(basis(Schemas::builtin())));
        let (told, grants) = watch::channel(Arc::default());
        let audit = Audit::new(None, None, Arc::new(Board::default()), Arc::new(Metrics::new()), Arc::clone(&clock));
        let client = plane.client(User::Landfast).await;
        let keeping =
            Keeping { client, clock, leads: leads_seen, basis: basis_seen, grants: told, recorder: audit.recorder };
        let (end, ended) = oneshot::channel();
        let running = tokio::spawn(Glasses::new(keeping).run(async { drop(ended.await) }));
        Self { ahead, leads, basis, grants, end, running }
    }

    fn lead(&self) {
        self.leads.send_replace(Lead::until(Some(tokio::time::Instant::now() + Duration::from_hours(1))));
    }

    fn set_clock(&self, hours: i64) {
        self.ahead.store(hours, Ordering::Relaxed);
    }

    async fn await_open(&mut self, count: usize) {
        let told = self.grants.wait_for(|grants| grants.count() == count);
        tokio::time::timeout(Duration::from_mins(1), told).await.expect("grants open and end in time").unwrap();
    }

    fn open(&self) -> usize {
        self.grants.borrow().count()
    }

    async fn end(self) {
        drop(self.end);
        self.running.await.unwrap();
    }
}

/// The time, so many hours ahead.
fn clock(ahead: &Arc<AtomicI64>) -> Clock {
    let ahead = Arc::clone(ahead);
    #[expect(clippy::disallowed_methods, reason = "the API server's clock cannot be turned, so ours begins there")]
    Arc::new(move || Timestamp::now() + SignedDuration::from_hours(ahead.load(Ordering::Relaxed)))
}

fn basis(schemas: Schemas) -> Basis {
    support::basis(schemas, Index::default(), SourceId(Arc::from("shop")))
}

fn condition(plane: &ControlPlane, name: &str, kind: &str) -> Option<String> {
    let answer = plane.kubectl(User::Oncall, &["get", "breakglass", name, "-o", "json"]);
    let record: Value = serde_json::from_str(&answer.stdout).ok()?;
    let conditions = record["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == kind)?;
    Some(found["status"].as_str().unwrap().to_owned())
}

fn is_there(plane: &ControlPlane, name: &str) -> bool {
    plane.kubectl(User::Oncall, &["get", "breakglass", name]).code == 0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_ends_once_and_is_kept_for_thirty_days() {
    let plane = ControlPlane::start();
    install(&plane);
    // Nobody stamps here: the API server itself lets nobody bear another's name, and what bears none grants nothing.
    let create = |record: &str| plane.kubectl_with_input(User::Oncall, &["create", "-f", "-"], record);
    create(&record("forged", "  createdBy: alice\n")).fails_with(&["spec.createdBy bears another name than yours"]);
    create(&record("nobodys", "")).succeeds();
    create(&record("inc-1", "  createdBy: oncall\n")).succeeds();

    let mut keeper = Keeper::start(&plane).await;
    keeper.await_open(1).await;
    // What a running process saw to end stays so, though its clock is set back, and though nobody has noted it.
    keeper.set_clock(3);
    keeper.await_open(0).await;
    keeper.set_clock(0);
    sleep(TWO_LOOKS).await;
    assert_eq!(keeper.open(), 0);
    keeper.lead();
    eventually("it to be noted", || condition(&plane, "inc-1", "Cleaned").filter(|status| status == "True"));
    eventually("the fault to be noted", || condition(&plane, "nobodys", "Valid").filter(|status| status == "False"));
    keeper.end().await;
    // Nor does it open for one who starts anew.
    let keeper = Keeper::start(&plane).await;
    create(&record("inc-2", "  createdBy: oncall\n")).succeeds();
    let mut keeper = keeper;
    keeper.await_open(1).await;
    keeper.lead();
    keeper.set_clock(29 * 24);
    sleep(TWO_LOOKS).await;
    assert!(is_there(&plane, "inc-1"));
    keeper.set_clock(31 * 24);
    eventually("the record to go", || (!is_there(&plane, "inc-1")).then_some(()));
    assert!(is_there(&plane, "inc-2"), "its own thirty days have just begun");

    // An object of a kind that nobody knows yet is not said to be clean.
    let of_widget = record("widget", "  createdBy: oncall\n").replace(
        "match: { namespaces: [shop] }",
        "object: { group: example.com, kind: Widget, namespace: shop, name: one, uid: u }",
    );
    create(&of_widget).succeeds();
    eventually("it to end", || condition(&plane, "widget", "Ended").filter(|status| status == "True"));
    sleep(TWO_LOOKS).await;
    assert_eq!(condition(&plane, "widget", "Cleaned"), None);
    let crd = landfast::render::definitions("widgets.yaml", include_bytes!("../data/widgets-crd.yaml")).unwrap();
    keeper.basis.send_replace(Arc::new(basis(Schemas::builtin().with_crd(&crd[0]).unwrap())));
    eventually("it to be clean", || condition(&plane, "widget", "Cleaned").filter(|status| status == "True"));
    keeper.end().await;

    // That an annotation stands for no open record is asked once.
    let records = Records::new(plane.client(User::Landfast).await, clock(&Arc::default()));
    let dead = |set: &str| Sought { record: "inc-9-0123456789ab".to_owned(), set: Some(set.to_owned()) };
    assert_eq!(records.find(&dead("2026-11-02T11:51:00Z")).await.unwrap(), None);
    plane.stop_api_server();
    assert_eq!(records.find(&dead("2026-11-02T11:51:00Z")).await.unwrap(), None);
    assert!(records.find(&dead("2026-11-02T11:52:00Z")).await.is_err(), "it was set anew, so it is asked about anew");
}
