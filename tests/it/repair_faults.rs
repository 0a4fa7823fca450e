//! Is every drift brought back, none of it twice or wrongly, and each on the record, whatever becomes of Landfast and its requests? One
//! landfast behind a proxy that loses, refuses and belies them; counted, never timed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use axum::http::request::Parts;
use serde_json::Value;

use crate::definitions::install;
use crate::gate::{DEPLOYMENT, source};
use crate::testbed::control_plane::ControlPlane;
use crate::testbed::kubectl::Output;
use crate::testbed::landfast::Landfast;
use crate::testbed::proxy::{Fate, Proxy};
use crate::testbed::repository::Repository;
use crate::testbed::user::User;

const POLICY: &str = include_str!("../data/faults.yaml");

/// More requests than one repair or one deletion makes.
const REQUESTS_MAX: usize = 30;

/// One control plane, one landfast behind a proxy; one test at a time.
struct Shop {
    plane: ControlPlane,
    proxy: Proxy,
    repository: Repository,
    landfast: Landfast,
    namespaces: usize,
}

impl Shop {
    fn open() -> MutexGuard<'static, Self> {
        static SHOP: LazyLock<Mutex<Shop>> = LazyLock::new(|| {
            let plane = ControlPlane::start();
            install(&plane);
            let (proxy, repository) = (Proxy::before(&plane), Repository::new());
            // So that no test leaves a repository without any object.
            repository.commit(&[("anchor.yaml", &settings("faults-anchor", "one", 0..1))], "Declare");
            plane.kubectl(User::Admin, &["create", "namespace", "faults-anchor"]).succeeds();
            let config = source("shop", &repository, "1s", r#"["faults-*"]"#) + POLICY;
            let landfast = Landfast::behind(&plane, &proxy, &config);
            Mutex::new(Shop { plane, proxy, repository, landfast, namespaces: 0 })
        });
        let shop = SHOP.lock().unwrap_or_else(PoisonError::into_inner);
        shop.pass();
        shop
    }

    /// A namespace of its own.
    fn namespace(&mut self) -> String {
        self.namespaces += 1;
        let name = format!("faults-{}", self.namespaces);
        self.plane.kubectl(User::Admin, &["create", "namespace", &name]).succeeds();
        name
    }

    fn await_in_force(&self, commit: &str) {
        self.landfast.eventually("the commit to be in force", || {
            let revision = self.landfast.revision("shop").filter(|revision| !revision.is_empty())?;
            self.repository.holds(&revision, commit).then_some(())
        });
    }

    fn declare(&self, namespace: &str, manifest: &str) {
        let commit = self.repository.commit(&[(&format!("{namespace}.yaml"), manifest)], "Declare");
        self.await_in_force(&commit);
    }

    /// Waits until all that is declared was seen to agree: what drifts from now on has drifted.
    fn await_in_sync(&self) {
        self.landfast.eventually("all to agree", || {
            let status = self.landfast.status();
            let shop = status["sources"].as_array()?.iter().find(|source| source["name"] == "shop")?;
            (shop["declared"].is_u64() && shop["declared"] == shop["objects"]["in_sync"]).then_some(())
        });
    }

    fn feed(&self, verb: &str, manifest: &str) -> Output {
        self.plane.kubectl_with_input(User::Alice, &[verb, "-f", "-"], manifest).succeeds()
    }

    fn get(&self, namespace: &str, kind: &str) -> Vec<Value> {
        let answer = self
            .plane
            .kubectl(User::Admin, &["-n", namespace, "get", kind, "-o", "json", "--show-managed-fields"])
            .succeeds();
        let list: Value = serde_json::from_str(&answer.stdout).unwrap();
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|item| item["metadata"]["name"] != "kube-root-ca.crt")
            .cloned()
            .collect()
    }

    /// The values of the ConfigMaps of a namespace.
    fn values(&self, namespace: &str) -> Vec<String> {
        self.get(namespace, "configmaps")
            .iter()
            .map(|map| map["data"]["key"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    #[track_caller]
    fn all_are(&self, namespace: &str, value: &str, count: usize) {
        self.landfast.eventually(&format!("all to be `{value}`"), || {
            let values = self.values(namespace);
            (values.len() == count && values.iter().all(|other| other == value)).then_some(())
        });
    }

    /// What Landfast wrote in a namespace and was carried out, by object; Events and rehearsals left out.
    fn writes(&self, namespace: &str) -> BTreeMap<String, usize> {
        let events = self.plane.audit(|event| {
            event["user"]["username"] == User::Landfast.name()
                && event["objectRef"]["namespace"] == *namespace
                && event["objectRef"]["resource"] != "events"
                && event["responseStatus"]["code"].as_u64().is_some_and(|code| code < 300)
                && event["requestURI"].as_str().is_some_and(|uri| !uri.contains("dryRun=All"))
        });
        let mut writes = BTreeMap::new();
        for event in events {
            *writes.entry(event["objectRef"]["name"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        writes
    }

    /// How many records of a namespace say this of an object, whichever it is.
    fn records(&self, namespace: &str, outcomes: &[&str]) -> BTreeMap<String, usize> {
        let is_it = |line: &Value| {
            line["operation"] == "REPAIR"
                && line["namespace"] == *namespace
                && line["repair"]["outcome"].as_str().is_some_and(|outcome| outcomes.contains(&outcome))
        };
        let mut records = BTreeMap::new();
        for line in self.landfast.records(is_it) {
            *records.entry(line["name"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        records
    }

    /// Waits until each of so many objects is on the record so often.
    #[track_caller]
    fn told(&self, namespace: &str, outcomes: &[&str], count: usize, times: usize) {
        self.landfast.eventually("all to be on the record", || {
            let records = self.records(namespace, outcomes);
            (records.len() >= count && records.values().all(|told| *told >= times)).then_some(())
        });
    }

    /// Has nobody answer from the `nth` request on that is about objects of a namespace.
    fn strike(&self, namespace: &str, nth: usize, last: Fate) -> Strike {
        let strike = Strike::default();
        let (Strike { count, struck }, place) = (strike.clone(), format!("/namespaces/{namespace}/"));
        self.proxy.judge(move |request| {
            if struck.load(Ordering::Relaxed) {
                return Fate::Lost;
            }
            let is_about = request.uri.path().contains(&place) && !is_watch(request);
            if is_about && count.fetch_add(1, Ordering::Relaxed) + 1 == nth {
                struck.store(true, Ordering::Relaxed);
                return last;
            }
            Fate::Pass
        });
        strike
    }

    fn pass(&self) {
        self.proxy.judge(|_| Fate::Pass);
    }

    /// Kills landfast. What it held of the Lease is given up for it: nobody is to wait until that runs out.
    fn kill(&mut self) {
        self.landfast.kill();
        self.plane
            .kubectl(User::Admin, &["-n", "landfast-system", "delete", "lease", "landfast", "--ignore-not-found"])
            .succeeds();
    }
}

/// The end of all answers.
#[derive(Clone, Default)]
struct Strike {
    count: Arc<AtomicUsize>,
    struck: Arc<AtomicBool>,
}

impl Strike {
    fn has_struck(&self) -> bool {
        self.struck.load(Ordering::Relaxed)
    }
}

fn is_watch(request: &Parts) -> bool {
    request.uri.query().is_some_and(|query| query.contains("watch=true"))
}

/// So many ConfigMaps with this value.
fn settings(namespace: &str, value: &str, names: Range<usize>) -> String {
    names.fold(String::new(), |mut all, n| {
        let _ = write!(
            all,
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: s-{n}, namespace: {namespace} }}\ndata: {{ key: {value} }}\n---\n"
        );
        all
    })
}

#[test]
fn killed_before_or_after_any_request_of_a_repair_it_leaves_nothing_undone() {
    let mut shop = Shop::open();
    let namespace = shop.namespace();
    let manifest = DEPLOYMENT.replace("$NAMESPACE", &namespace);
    shop.feed("create", &manifest);
    shop.declare(&namespace, &manifest);
    shop.await_in_sync();
    let patch = r#"[{"op":"replace","path":"/spec/template/spec/containers/0/env/0",
        "value":{"name":"FIRST","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}}]"#;
    let uid = shop.get(&namespace, "deployments")[0]["metadata"]["uid"].clone();
    let env = |shop: &Shop| {
        shop.get(&namespace, "deployments")[0]["spec"]["template"]["spec"]["containers"][0]["env"].clone()
    };
    // An apply alone does not bring back a value where a reference stands.
    let is_back = |shop: &Shop| env(shop)[0] == serde_json::json!({ "name": "FIRST", "value": "one" });
    let mut told = 0;
    let mut cases = (1..REQUESTS_MAX).flat_map(|nth| [(nth, Fate::Lost), (nth, Fate::Unanswered)]);
    let reached = loop {
        let (nth, last) = cases.next().expect("a repair has an end");
        shop.kill();
        shop.plane
            .kubectl(User::Alice, &["-n", &namespace, "patch", "deployment", "web", "--type=json", "-p", patch])
            .succeeds();
        let strike = shop.strike(&namespace, nth, last);
        shop.landfast.launch();
        let is_told = |shop: &Shop| shop.records(&namespace, &["Repaired"]).values().sum::<usize>() > told;
        shop.landfast.eventually("a strike, or the repair", || {
            (strike.has_struck() || (is_back(&shop) && is_told(&shop))).then_some(())
        });
        let has_struck = strike.has_struck();
        if has_struck {
            shop.kill();
            shop.pass();
            shop.landfast.launch();
        }
        shop.landfast.eventually("it to come back", || is_back(&shop).then_some(()));
        shop.landfast.eventually("the repair to be on the record", || is_told(&shop).then_some(()));
        told = shop.records(&namespace, &["Repaired"]).values().sum();
        if !has_struck {
            break nth;
        }
    };
    assert!(reached > 3, "a repair of more than one request was to be tried, and it has {}", reached - 1);
    shop.landfast.await_ready();
    let web = &shop.get(&namespace, "deployments")[0];
    assert_eq!(web["metadata"]["uid"], uid, "nothing is deleted and made anew");
    shop.landfast.eventually("each field to have the owner that it had", || {
        let web = &shop.get(&namespace, "deployments")[0];
        let entries = web["metadata"]["managedFields"].as_array().unwrap();
        let ours = |entry: &&Value| entry["manager"] == "landfast";
        entries.iter().filter(ours).all(|entry| entry["operation"] == "Apply").then_some(())
    });
    shop.pass();
}

#[test]
fn killed_before_or_after_any_request_of_a_deletion_it_deletes_that_and_nothing_else() {
    let mut shop = Shop::open();
    let namespace = shop.namespace();
    shop.feed("create", &settings(&namespace, "theirs", 0..1));
    let file = format!("{namespace}.yaml");
    let mut cases = (1..REQUESTS_MAX).flat_map(|nth| [(nth, Fate::Lost), (nth, Fate::Unanswered)]);
    let mut made = 1;
    let reached = loop {
        let (nth, last) = cases.next().expect("a deletion has an end");
        // What is there already, Landfast did not make.
        shop.declare(
            &namespace,
            &(settings(&namespace, "theirs", 0..1) + &settings(&namespace, "ours", made..made + 1)),
        );
        shop.landfast.eventually("it to be made", || (shop.values(&namespace).len() == 2).then_some(()));
        shop.landfast.eventually("that to be on the record", || {
            shop.records(&namespace, &["Repaired"]).contains_key(&format!("s-{made}")).then_some(())
        });
        let strike = shop.strike(&namespace, nth, last);
        shop.repository.remove(&file, "Drop");
        let is_told = |shop: &Shop| shop.records(&namespace, &["Pruned"]).contains_key(&format!("s-{made}"));
        shop.landfast.eventually("a strike, or the deletion", || (strike.has_struck() || is_told(&shop)).then_some(()));
        let has_struck = strike.has_struck();
        if has_struck {
            shop.kill();
            shop.pass();
            shop.landfast.launch();
        }
        shop.landfast.eventually("it to go", || (shop.values(&namespace) == ["theirs"]).then_some(()));
        shop.landfast.eventually("the deletion to be on the record", || is_told(&shop).then_some(()));
        if !has_struck {
            break nth;
        }
        shop.landfast.await_ready();
        made += 1;
    };
    assert!(reached > 2, "a deletion of more than one request was to be tried, and it has {}", reached - 1);
    let deletions = shop.plane.audit(|event| {
        event["verb"] == "delete"
            && event["user"]["username"] == User::Landfast.name()
            && event["responseStatus"]["code"] == 200
    });
    assert_eq!(deletions.len(), made, "each once");
    shop.pass();
}

#[test]
fn what_changed_and_went_while_it_was_away_comes_back_and_none_of_it_twice() {
    let mut shop = Shop::open();
    let namespace = shop.namespace();
    shop.feed("create", &settings(&namespace, "git", 0..250));
    shop.declare(&namespace, &settings(&namespace, "git", 0..250));
    shop.await_in_sync();
    shop.kill();
    shop.feed("replace", &settings(&namespace, "adrift", 0..200));
    shop.feed("delete", &settings(&namespace, "git", 200..250));
    shop.landfast.resume();
    shop.all_are(&namespace, "git", 250);
    shop.told(&namespace, &["Repaired"], 250, 1);
    let writes = shop.writes(&namespace);
    assert_eq!((writes.len(), writes.values().sum::<usize>()), (250, 250), "{writes:?}");
    assert_eq!(shop.records(&namespace, &["Repaired"]).values().sum::<usize>(), 250);
    assert_eq!(shop.records(&namespace, &["SlippedPast"]).len(), 250);
}

#[test]
fn while_a_fifth_of_its_requests_fails_everything_comes_back_and_is_told() {
    let mut shop = Shop::open();
    let namespace = shop.namespace();
    shop.feed("create", &settings(&namespace, "git", 0..40));
    shop.declare(&namespace, &settings(&namespace, "git", 0..40));
    shop.await_in_sync();
    let count = AtomicUsize::new(0);
    shop.proxy.judge(move |_| match count.fetch_add(1, Ordering::Relaxed) % 15 {
        4 => Fate::Refused(429),
        // The worst of them: it was carried out all the same.
        9 => Fate::Belied(500),
        14 => Fate::Refused(409),
        _ => Fate::Pass,
    });
    shop.feed("replace", &settings(&namespace, "adrift", 0..30));
    shop.feed("delete", &settings(&namespace, "git", 30..40));
    shop.all_are(&namespace, "git", 40);
    shop.told(&namespace, &["Repaired"], 40, 1);
    shop.pass();
    assert_eq!(shop.values(&namespace), vec!["git"; 40]);
}

#[test]
fn a_revision_that_cannot_be_read_takes_nothing_away() {
    let mut shop = Shop::open();
    let namespace = shop.namespace();
    shop.declare(&namespace, &settings(&namespace, "git", 0..4));
    shop.all_are(&namespace, "git", 4);
    let good = shop.repository.head();
    let file = format!("{namespace}.yaml");
    let half = settings(&namespace, "half", 0..2) + "apiVersion: v1\n<<<<<<< HEAD\nkind: ConfigMap\n";
    for (what, commit) in [("half a revision", Some(&half)), ("an empty one", None)] {
        if let Some(half) = commit {
            shop.repository.commit(&[(&file, half)], "Half of it");
        } else {
            // All that any test declares, in one commit.
            for file in std::fs::read_dir(shop.repository.folder()).unwrap().map(|file| file.unwrap().path()) {
                if file.extension().is_some_and(|extension| extension == "yaml") {
                    std::fs::remove_file(file).unwrap();
                }
            }
            shop.repository.commit(&[("README.md", "")], "Drop");
        }
        let refused = shop.repository.head();
        shop.landfast.eventually("it to be refused", || {
            let status = shop.landfast.status().to_string();
            (status.contains(&refused[..7])
                && shop.landfast.revision("shop").is_some_and(|revision| revision != refused))
            .then_some(())
        });
        // And the last good one is what is brought back.
        shop.feed("replace", &settings(&namespace, "adrift", 0..1));
        shop.landfast.eventually(what, || (shop.values(&namespace) == ["git"; 4]).then_some(()));
        shop.repository.reset(&good);
    }
}
