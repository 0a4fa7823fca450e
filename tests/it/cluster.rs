//! Do our webhook entries hold on a real API server: can none fail, does none block what it must not, and does nobody take them
//! away for long?

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::Request;
use jiff::SignedDuration;
use landfast::audit::event::{Event, Reason};
use landfast::audit::record::Object;
use landfast::cluster::client::who_am_i;
use landfast::cluster::keeper::{Keeper, Keeping};
use landfast::cluster::namespace::Namespaces;
use landfast::cluster::standing::Standing;
use landfast::cluster::webhook::Backend;
use landfast::cluster::writer::Writer;
use landfast::drift::schema::Schemas;
use landfast::gate::policy::FailurePolicy;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::gate::{DEPLOYMENT as DECLARED, source};
use crate::testbed::control_plane::free_port;
use crate::testbed::landfast::Landfast;
use crate::testbed::repository::Repository;
use crate::testbed::user::User;
use crate::testbed::{block_on, eventually};
use crate::webhook::{Bench, CONFIGURATION, PLANE, TURN, basis, declared, now, rule};

/// Longer than any test.
const NEVER: Duration = Duration::from_hours(1);

/// Writes of many kinds, in order: method, path (below `/api/v1/namespaces/$NS` where it has no slash before), body.
const WRITES: &[(&str, &str, &str)] = &[
    ("POST", "/apis/apps/v1/namespaces/$NS/deployments", DEPLOYMENT),
    ("MERGE", "/apis/apps/v1/namespaces/$NS/deployments/web/scale", r#"{"spec":{"replicas":0}}"#),
    ("MERGE", "/apis/apps/v1/namespaces/$NS/deployments/web/status", r#"{"status":{"replicas":7}}"#),
    ("MERGE", "/apis/apps/v1/namespaces/$NS/deployments/web/status", r#"{"metadata":{"annotations":{"a":"b"}}}"#),
    ("MERGE", "/apis/apps/v1/namespaces/$NS/deployments/web", r#"{"metadata":{"labels":null,"annotations":null}}"#),
    ("MERGE", "/apis/apps/v1/namespaces/$NS/deployments/web?dryRun=All", r#"{"spec":{"replicas":9}}"#),
    ("DELETE", "/apis/apps/v1/namespaces/$NS/deployments/web", "{}"),
    ("POST", "/api/v1/namespaces/$NS/configmaps", r#"{"metadata":{"generateName":"made-"}}"#),
    ("APPLY", "/api/v1/namespaces/$NS/configmaps/web?fieldManager=x", CONFIG_MAP),
    ("DELETE", "/api/v1/namespaces/$NS/configmaps", "{}"),
    ("POST", "/api/v1/namespaces/$NS/secrets", r#"{"metadata":{"name":"web"},"stringData":{"a":"b"}}"#),
    ("POST", "/api/v1/namespaces/$NS/services", r#"{"metadata":{"name":"web"},"spec":{"ports":[{"port":80}]}}"#),
    ("MERGE", "/api/v1/namespaces/$NS/services/web/status", r#"{"metadata":{"finalizers":["example.com/x"]}}"#),
    ("MERGE", "/api/v1/namespaces/$NS/services/web", r#"{"metadata":{"finalizers":null}}"#),
    ("POST", "/api/v1/namespaces/$NS/pods", POD),
    ("MERGE", "/api/v1/namespaces/$NS/pods/web/status", r#"{"status":{"reason":"x"}}"#),
    ("MERGE", "/api/v1/namespaces/$NS/pods/web/ephemeralcontainers", EPHEMERAL),
    ("MERGE", "/api/v1/namespaces/$NS/pods/web/resize", RESIZED),
    ("POST", "/api/v1/namespaces/$NS/pods/web/eviction", r#"{"metadata":{"name":"web"}}"#),
    ("POST", "/api/v1/namespaces/$NS/serviceaccounts/default/token", "{}"),
    ("POST", "/api/v1/persistentvolumes", VOLUME),
    ("MERGE", "/api/v1/persistentvolumes/$NS/status", r#"{"status":{"message":"x"}}"#),
    ("DELETE", "/api/v1/persistentvolumes/$NS", "{}"),
    ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", r#"{"metadata":{"name":"$NS"},"rules":[]}"#),
    ("MERGE", "/apis/rbac.authorization.k8s.io/v1/clusterroles/$NS", r#"{"rules":null}"#),
    ("DELETE", "/apis/rbac.authorization.k8s.io/v1/clusterroles/$NS", "{}"),
    ("MERGE", "/api/v1/namespaces/$NS", r#"{"metadata":{"labels":{"a":"b"}}}"#),
    ("MERGE", "/api/v1/namespaces/$NS/status", r#"{"metadata":{"annotations":{"a":"b"}}}"#),
    ("POST", "/apis/batch/v1/namespaces/$NS/jobs", JOB),
    ("DELETE", "/apis/batch/v1/namespaces/$NS/jobs", r#"{"propagationPolicy":"Foreground"}"#),
];

const DEPLOYMENT: &str = r#"{"metadata":{"name":"web"},"spec":{"replicas":1,"selector":{"matchLabels":{"a":"b"}},
    "template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"web","image":"web"}]}}}}"#;
const CONFIG_MAP: &str = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"web"},"data":{"a":"b"}}"#;
const POD: &str = r#"{"metadata":{"name":"web"},"spec":{"containers":[{"name":"web","image":"web",
    "resources":{"requests":{"cpu":"1m"}}}]}}"#;
const EPHEMERAL: &str = r#"{"spec":{"ephemeralContainers":[{"name":"look","image":"look"}]}}"#;
const RESIZED: &str = r#"{"spec":{"containers":[{"name":"web","image":"web","resources":{"requests":{"cpu":"2m"}}}]}}"#;
const JOB: &str = r#"{"metadata":{"name":"web"},"spec":{"template":{"spec":{"restartPolicy":"Never",
    "containers":[{"name":"web","image":"web"}]}}}}"#;
const VOLUME: &str = r#"{"metadata":{"name":"$NS"},"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],
    "hostPath":{"path":"/nowhere"}}}"#;

/// Fail, so that the configuration has a guard.
pub(crate) const POLICY: &str = "apiVersion: landfast.dev/v1alpha1\nkind: DriftPolicy\nmetadata: { name: deny }\nspec:\n  \
                      mode: Enforce\n  rulings: { drift: Deny, delete: Deny }\n  failurePolicy: Fail\n";

/// Sends a write as the administrator, by a client that no proxy of kubectl softens.
pub(crate) fn send(method: &str, path: &str, body: &str, groups: &[&str]) -> Result<Value, kube::Error> {
    let (method, kind) = match method {
        "MERGE" => ("PATCH", "application/merge-patch+json"),
        "APPLY" => ("PATCH", "application/apply-patch+yaml"),
        plain => (plain, "application/json"),
    };
    let mut request = Request::builder().method(method).uri(path).header("content-type", kind);
    for group in groups {
        request = request.header("impersonate-user", "rescuer").header("impersonate-group", *group);
    }
    let request = request.body(body.as_bytes().to_vec()).unwrap();
    block_on(async { PLANE.client(User::Admin).await.request(request).await })
}

/// Under `Fail` a condition that cannot be evaluated refuses the write; under `Ignore` it would skip it in silence.
#[tokio::test(flavor = "multi_thread")]
async fn no_condition_fails_whatever_is_written() {
    let _turn = TURN.lock().await;
    for failure_policy in [FailurePolicy::Fail, FailurePolicy::Ignore] {
        let namespace = PLANE.namespace();
        let declared = declared(&namespace);
        let bench = Bench::start(basis(&declared, Schemas::builtin(), vec![rule(failure_policy)]), None, NEVER).await;
        let entry = match failure_policy {
            FailurePolicy::Fail => "guard",
            FailurePolicy::Ignore => "observe",
        };
        bench.honoured(entry, &namespace);
        for (method, path, body) in WRITES {
            let (path, body) = (path.replace("$NS", &namespace), body.replace("$NS", &namespace));
            send(method, &path, &body, &[]).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        }
        PLANE.kubectl(User::Admin, &["delete", "namespace", &namespace]).succeeds();
        PLANE.assert_match_conditions_hold();

        let calls: BTreeSet<String> = bench.calls().into_iter().collect();
        for call in [
            "CREATE deployments admin",
            "UPDATE deployments/scale admin",
            "UPDATE deployments/status admin",
            "DELETE deployments admin",
            "DELETE configmaps admin",
            "UPDATE services/status admin",
            "UPDATE pods/ephemeralcontainers admin",
            "UPDATE pods/resize admin",
            "DELETE persistentvolumes admin",
            "UPDATE clusterroles admin",
            "UPDATE namespaces admin",
            "UPDATE namespaces/status admin",
            "DELETE namespaces admin",
            "DELETE jobs admin",
        ] {
            assert!(calls.contains(&format!("{entry} {call}")), "{call} was not asked: {calls:#?}");
        }
        let never = ["events", "leases", "nodes", "token", "eviction", "pods/status", "system:apiserver"];
        for call in &calls {
            assert!(call.starts_with(entry), "{call}");
            assert!(!never.iter().any(|never| call.contains(never)), "{call}");
            assert!(!call.contains("/status system:") && !call.contains("/finalize system:"), "{call}");
        }
        bench.end().await;
    }
}

/// A source of cluster-scoped objects declares a Namespace whose name its patterns do not hold.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_outside_the_scope_is_asked_about() {
    let _turn = TURN.lock().await;
    let namespace = PLANE.namespace();
    let mut declared = declared(&namespace);
    declared.push("v1 Namespace /outside".to_owned());
    let bench = Bench::start(basis(&declared, Schemas::builtin(), vec![rule(FailurePolicy::Fail)]), None, NEVER).await;
    bench.honoured("guard", &namespace);
    send("POST", "/api/v1/namespaces", r#"{"metadata":{"name":"outside"}}"#, &[]).unwrap();
    send("POST", "/api/v1/namespaces/outside/configmaps", r#"{"metadata":{"name":"web"}}"#, &[]).unwrap();
    send("DELETE", "/api/v1/namespaces/outside", "{}", &[]).unwrap();
    let asked: Vec<_> = bench.calls().into_iter().filter(|call| call.ends_with(" admin")).collect();
    assert_eq!(asked, ["guard CREATE namespaces admin", "guard DELETE namespaces admin"]);
    PLANE.assert_match_conditions_hold();
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_policy_guards_is_blocked_while_nobody_answers() {
    let _turn = TURN.lock().await;
    let namespace = PLANE.namespace();
    let other = PLANE.namespace();
    let mut only = rule(FailurePolicy::Fail);
    let globs = globset::GlobSetBuilder::new().add(globset::Glob::new(&namespace).unwrap()).build().unwrap();
    only.matches.namespaces = Some(globs);
    let mut all = declared(&namespace);
    all.extend(declared(&other));
    let bench = Bench::start(basis(&all, Schemas::builtin(), vec![only]), Some(free_port()), NEVER).await;

    let create = |namespace: &str| {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        send("POST", &path, r#"{"metadata":{"generateName":"made-"}}"#, &[])
    };
    let refused = eventually("the guard to hold", || create(&namespace).err());
    assert!(refused.to_string().contains("guard.landfast.dev"), "{refused}");
    create(&other).unwrap();
    let role = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    send("POST", role, &format!(r#"{{"metadata":{{"name":"{namespace}"}}}}"#), &[]).unwrap();
    send("DELETE", &format!("/api/v1/namespaces/{namespace}"), "{}", &[]).unwrap_err();
    send("DELETE", &format!("/api/v1/namespaces/{other}"), "{}", &[]).unwrap();
    // The way out when landfast itself is the trouble.
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let map = r#"{"metadata":{"generateName":"made-"}}"#;
    send("POST", &path, map, &["system:masters", "landfast:emergency"]).unwrap();
    PLANE.assert_match_conditions_hold();
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_restarts_with_rbac_guarded_and_landfast_dead() {
    let _turn = TURN.lock().await;
    let bootstrapped = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:basic-user";
    send("DELETE", bootstrapped, "{}", &[]).unwrap();
    let declared: Vec<String> = [
        "rbac.authorization.k8s.io/v1 ClusterRole /system:basic-user",
        "rbac.authorization.k8s.io/v1 ClusterRoleBinding /system:basic-user",
        "rbac.authorization.k8s.io/v1 Role default/x",
        "flowcontrol.apiserver.k8s.io/v1 FlowSchema /catch-all",
        "scheduling.k8s.io/v1 PriorityClass /system-node-critical",
        "v1 Namespace /default",
        "v1 Service default/kubernetes",
    ]
    .map(str::to_owned)
    .to_vec();
    let basis = basis(&declared, Schemas::builtin(), vec![rule(FailurePolicy::Fail)]);
    let bench = Bench::start(basis, Some(free_port()), NEVER).await;
    eventually("the guard to hold", || {
        send("MERGE", "/api/v1/namespaces/default?dryRun=All", r#"{"metadata":{"labels":{"a":"b"}}}"#, &[]).err()
    });
    PLANE.stop_api_server();
    PLANE.start_api_server();
    // Its own writes at start went in: the role that was missing is there again.
    eventually("the API server to write its roles", || PLANE.get(bootstrapped).ok());
    PLANE.assert_match_conditions_hold();
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_our_namespace_frees_the_cluster() {
    let _turn = TURN.lock().await;
    let namespace = PLANE.namespace();
    let declared = declared(&namespace);
    let mut bench =
        Bench::start(basis(&declared, Schemas::builtin(), vec![rule(FailurePolicy::Fail)]), Some(free_port()), NEVER)
            .await;
    let path = format!("/api/v1/namespaces/{namespace}/configmaps?dryRun=All");
    let map = r#"{"metadata":{"name":"web"}}"#;
    eventually("the guard to hold", || send("POST", &path, map, &[]).err());
    bench.end_keeper().await;
    PLANE.kubectl(User::Admin, &["delete", "namespace", "landfast-system"]).succeeds();
    eventually("the garbage collector to take the configuration", || PLANE.get(CONFIGURATION).err());
    eventually("writes to go in", || send("POST", &path, map, &[]).ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keeper_tells_while_nothing_is_guarded() {
    let _turn = TURN.lock().await;
    let namespace = PLANE.namespace();
    let basis = basis(&declared(&namespace), Schemas::builtin(), vec![rule(FailurePolicy::Fail)]);
    let bench = Bench::start(basis, Some(free_port()), NEVER).await;
    let mut standing = bench.standing.clone();
    standing.wait_for(|it| matches!(it, Standing::Kept { .. })).await.unwrap();
    PLANE.kubectl(User::Admin, &["delete", "validatingwebhookconfiguration", "landfast"]).succeeds();
    standing.wait_for(|it| matches!(it, Standing::StandingDown { .. })).await.unwrap();
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keeper_tells_that_it_may_not_write() {
    let _turn = TURN.lock().await;
    let (standing, mut fares) = watch::channel(Standing::default());
    let (_authority, ca) = watch::channel("".into());
    let keeper = Keeper::new(Keeping {
        client: PLANE.client(User::Alice).await,
        backend: Backend::Url("https://127.0.0.1:1".into()),
        ca,
        namespace: "landfast-system".into(),
        stand_down: NEVER,
        alarm: Arc::new(|_| ()),
        standing,
        clock: Arc::new(now),
    });
    let (_publisher, receiver) = watch::channel(Arc::new(basis(&[], Schemas::builtin(), vec![])));
    let keeper = tokio::spawn(keeper.run(receiver, pending()));
    let failing = fares.wait_for(|it| matches!(it, Standing::Failing { .. })).await.unwrap().clone();
    keeper.abort();
    let Standing::Failing { error, .. } = failing else { unreachable!("waited for") };
    assert!(error.starts_with("403: ") && error.matches("forbidden").count() == 1, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_weakens_or_deletes_comes_back_after_the_stand_down() {
    let _turn = TURN.lock().await;
    let namespace = PLANE.namespace();
    let basis = basis(&declared(&namespace), Schemas::builtin(), vec![rule(FailurePolicy::Fail)]);
    let bench = Bench::start(basis, None, Duration::from_secs(1)).await;
    bench.honoured("guard", &namespace);
    let policy = || {
        let configuration: Value = serde_json::from_str(&PLANE.get(CONFIGURATION).ok()?).unwrap();
        Some(configuration["webhooks"][0]["failurePolicy"].as_str()?.to_owned())
    };
    let weaken = r#"[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]"#;
    let name = ["validatingwebhookconfiguration", "landfast"];
    PLANE.kubectl(User::Admin, &["patch", name[0], name[1], "--type=json", "-p", weaken]).succeeds();
    eventually("the alarm", || (bench.alarms.load(Ordering::SeqCst) == 1).then_some(()));
    eventually("it to be whole again", || (policy()? == "Fail").then_some(()));
    PLANE.kubectl(User::Admin, &["delete", name[0], name[1]]).succeeds();
    eventually("the second alarm", || (bench.alarms.load(Ordering::SeqCst) == 2).then_some(()));
    eventually("it to be there again", || (policy()? == "Fail").then_some(()));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_never_takes_the_guard_away() {
    let _turn = TURN.lock().await;
    let namespace = PLANE.namespace();
    let repository = Repository::new();
    repository.commit(&[("web.yaml", &DECLARED.replace("$NAMESPACE", &namespace))], "Declare");
    let mut landfast =
        Landfast::start(&PLANE, &(source("shop", &repository, "1h", &format!("[{namespace}]")) + POLICY));
    let first = eventually("the configuration to be written", || {
        Some(landfast_wrote(&landfast.log()).len()).filter(|written| *written > 0)
    });
    landfast.kill();
    landfast.resume();
    let written = eventually("the configuration to be written again", || {
        Some(landfast_wrote(&landfast.log())).filter(|written| written.len() > first)
    });
    assert!(written.iter().all(|entries| *entries == 2), "the guard was away: {written:?}");
    landfast.end();
    PLANE.kubectl(User::Admin, &["delete", "validatingwebhookconfiguration", "landfast"]).succeeds();
}

/// How many entries each written configuration had.
pub(crate) fn landfast_wrote(log: &str) -> Vec<u64> {
    let lines = log.lines().filter(|line| line.contains("Wrote the webhook configuration"));
    lines
        .filter_map(|line| {
            line.split("validating").nth(1)?.split(|c: char| !c.is_ascii_digit()).find(|n| !n.is_empty())?.parse().ok()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_basis_is_honoured_and_an_equal_one_is_not_written() {
    let _turn = TURN.lock().await;
    let namespace = PLANE.namespace();
    let of = |policy| Arc::new(basis(&declared(&namespace), Schemas::builtin(), vec![rule(policy)]));
    let bench = Bench::start((*of(FailurePolicy::Ignore)).clone(), None, NEVER).await;
    bench.honoured("observe", &namespace);
    bench.basis.send(of(FailurePolicy::Fail)).unwrap();
    bench.honoured("guard", &namespace);
    let version = || -> String {
        let configuration: Value = serde_json::from_str(&PLANE.get(CONFIGURATION).unwrap()).unwrap();
        configuration["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
    };
    let before = version();
    bench.basis.send(of(FailurePolicy::Fail)).unwrap();
    bench.basis.send(of(FailurePolicy::Ignore)).unwrap();
    bench.honoured("observe", &namespace);
    assert_ne!(version(), before);
    assert_eq!(bench.alarms.load(Ordering::SeqCst), 0, "our own writes are no tampering");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_one_name_is_written_once_and_counts_up() {
    let _turn = TURN.lock().await;
    let namespace = PLANE.namespace();
    let writer = Writer::new(PLANE.client(User::Landfast).await);
    let mut event = Event {
        name: "web.0123456789abcdef".into(),
        namespace: namespace.clone(),
        object: Object {
            group: "apps".into(),
            version: "v1".into(),
            kind: "Deployment".into(),
            namespace: namespace.clone(),
            name: "web".into(),
            uid: None,
        },
        reason: Reason::DriftDenied,
        action: "UPDATE".into(),
        note: "by alice: Deployment shop/web differs from Git in 1 field".into(),
        first: now() - SignedDuration::from_secs(5),
        last: now(),
        count: 1,
    };
    writer.write_event(&event).await.unwrap();
    event.count = 7;
    writer.write_event(&event).await.unwrap();
    let events = PLANE.kubectl(User::Alice, &["-n", &namespace, "get", "events", "-o", "json"]).succeeds();
    let events: Value = serde_json::from_str(&events.stdout).unwrap();
    let [event] = events["items"].as_array().unwrap().as_slice() else { panic!("{events}") };
    assert_eq!(event["count"], 7);
    assert_eq!((&event["reason"], &event["type"]), (&json!("DriftDenied"), &json!("Warning")));
    assert_eq!(event["involvedObject"]["name"], "web");
}

#[tokio::test(flavor = "multi_thread")]
async fn we_know_who_we_are_and_which_namespace_goes_away() {
    let _turn = TURN.lock().await;
    let client = PLANE.client(User::Landfast).await;
    let us = who_am_i(&client).await.unwrap();
    assert_eq!(us.user, User::Landfast.name());
    assert!(!us.is_administrator());
    assert!(who_am_i(&PLANE.client(User::Admin).await).await.unwrap().is_administrator());

    let namespace = PLANE.namespace();
    let namespaces = Namespaces::new(client);
    assert!(!namespaces.ask(&namespace).await.unwrap().terminating);
    assert!(!namespaces.ask("not-there").await.unwrap().terminating);
    let held = r#"{"metadata":{"name":"held","finalizers":["example.com/held"]}}"#;
    let maps = format!("/api/v1/namespaces/{namespace}/configmaps");
    send("POST", &maps, held, &[]).unwrap();
    send("DELETE", &format!("/api/v1/namespaces/{namespace}"), "{}", &[]).unwrap();
    eventually("the answer to follow", || block_on(namespaces.ask(&namespace)).unwrap().terminating.then_some(()));
    send("MERGE", &format!("{maps}/held"), r#"{"metadata":{"finalizers":null}}"#, &[]).unwrap();
}
