//! Is there a way through in an incident, for whom RBAC lets, for a limited time and on the record? On a control plane of its own,
//! with people who are no administrators.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};

use serde_json::Value;

use crate::definitions::install;
use crate::gate::{DEPLOYMENT, source};
use crate::testbed::balancer::Balancer;
use crate::testbed::control_plane::ControlPlane;
use crate::testbed::eventually;
use crate::testbed::kubectl::Output;
use crate::testbed::landfast::Landfast;
use crate::testbed::repository::Repository;
use crate::testbed::user::User;

const POLICIES: &str = include_str!("../data/incident.yaml");

/// A reason that the policies take.
pub(crate) const REASON: &str = "INC-1 the shop is down";

/// One control plane, one repository, one landfast or more.
pub(crate) struct Shop {
    pub(crate) plane: ControlPlane,
    repository: Mutex<Repository>,
    pub(crate) landfast: Vec<Landfast>,
    balancer: Balancer,
}

pub(crate) static SHOP: LazyLock<Shop> = LazyLock::new(|| Shop::open(1));

/// Of its own for the test that cuts connections: others would lose a review.
static REPLICATED: LazyLock<Shop> = LazyLock::new(|| Shop::open(2));

impl Shop {
    fn open(replicas: usize) -> Self {
        let plane = ControlPlane::start();
        install(&plane);
        let repository = Repository::new();
        let markers = ["deny-marker", "revert-marker"].map(|name| DEPLOYMENT.replace("$NAMESPACE", name));
        repository.commit(&[("markers.yaml", &markers.join("---\n"))], "Declare the markers");
        plane.kubectl(User::Admin, &["create", "namespace", "deny-marker"]).succeeds();
        let config = source("shop", &repository, "1s", r#"["deny-*", "revert-*"]"#) + POLICIES;
        let (landfast, balancer) = Landfast::replicas(&plane, &config, replicas);
        landfast[0].eventually("the API server to ask landfast", || {
            let drifting = markers[0].replace("replicas: 3", "replicas: 4");
            let answer = plane.kubectl_with_input(User::Alice, &["apply", "--dry-run=server", "-f", "-"], &drifting);
            answer.stderr.contains("differs from Git").then_some(())
        });
        Self { plane, repository: Mutex::new(repository), landfast, balancer }
    }
}

/// One test's namespace, with the declared Deployment `web` in it.
pub(crate) struct Case {
    pub(crate) shop: &'static Shop,
    pub(crate) namespace: String,
}

impl Case {
    pub(crate) fn new(policy: &str) -> Self {
        Self::of(&SHOP, policy)
    }

    fn of(shop: &'static Shop, policy: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let case = Self { shop, namespace: format!("{policy}-{}", NUMBER.fetch_add(1, Ordering::Relaxed)) };
        shop.plane.kubectl(User::Admin, &["create", "namespace", &case.namespace]).succeeds();
        case.declare(DEPLOYMENT);
        case.feed(User::Ci, &["create", "-f", "-"], DEPLOYMENT).succeeds();
        case
    }

    pub(crate) fn declare(&self, template: &str) {
        let file = format!("{}.yaml", self.namespace);
        let commit = self.shop.repository.lock().unwrap().commit(&[(&file, &self.manifest(template))], "Declare");
        for landfast in &self.shop.landfast {
            // Later commits of other tests hold this one, too.
            landfast.eventually("the commit to be in force", || {
                let revision = landfast.revision("shop")?;
                let repository = self.shop.repository.lock().unwrap();
                repository.holds(&revision, &commit).then_some(())
            });
        }
    }

    fn manifest(&self, template: &str) -> String {
        template.replace("$NAMESPACE", &self.namespace)
    }

    pub(crate) fn kubectl(&self, user: User, args: &[&str]) -> Output {
        self.shop.plane.kubectl(user, &[&["-n", &self.namespace], args].concat())
    }

    pub(crate) fn feed(&self, user: User, args: &[&str], template: &str) -> Output {
        self.shop.plane.kubectl_with_input(user, &[&["-n", &self.namespace], args].concat(), &self.manifest(template))
    }

    pub(crate) fn web(&self) -> Value {
        let answer = self.kubectl(User::Admin, &["get", "deployment", "web", "-o", "json"]).succeeds();
        serde_json::from_str(&answer.stdout).unwrap()
    }

    pub(crate) fn replicas(&self) -> Value {
        self.web()["spec"]["replicas"].clone()
    }

    pub(crate) fn annotation(&self) -> Value {
        self.web()["metadata"]["annotations"]["landfast.dev/break-glass"].clone()
    }

    /// Sets the annotation and, in the same write, so many replicas.
    pub(crate) fn break_glass(&self, user: User, reason: &str, replicas: u32) -> Output {
        let patch = format!(
            r#"{{"metadata":{{"annotations":{{"landfast.dev/break-glass":"{reason}"}}}},"spec":{{"replicas":{replicas}}}}}"#
        );
        self.kubectl(user, &["patch", "deployment", "web", "-p", &patch])
    }

    pub(crate) fn annotate(&self, user: User, what: &str) -> Output {
        self.kubectl(user, &["annotate", "--overwrite", "deployment", "web", what])
    }

    pub(crate) fn scale(&self, user: User, replicas: u32) -> Output {
        self.kubectl(user, &["scale", "deployment", "web", &format!("--replicas={replicas}")])
    }

    /// The records of this case's object, or of its namespace.
    pub(crate) fn records(&self) -> Vec<Value> {
        let answer = self.shop.plane.kubectl(User::Oncall, &["get", "breakglasses", "-o", "json"]).succeeds();
        let list: Value = serde_json::from_str(&answer.stdout).unwrap();
        let is_ours = |record: &&Value| {
            let object = &record["spec"]["object"];
            object["namespace"] == *self.namespace || object["name"] == *self.namespace
        };
        list["items"].as_array().unwrap().iter().filter(is_ours).cloned().collect()
    }

    fn event(&self, reason: &str) {
        eventually(reason, || {
            let events = self.kubectl(User::Admin, &["get", "events", "-o", "json"]).succeeds().stdout;
            events.contains(&format!("\"reason\": \"{reason}\"")).then_some(())
        });
    }
}

const UNDO: [&str; 3] = ["annotate", "deployment", "web"];

#[test]
fn a_break_glass_in_the_write_lets_it_in_on_the_record() {
    let case = Case::new("deny");
    let opened = case.break_glass(User::Oncall, REASON, 5).succeeds();
    assert!(opened.stderr.contains("opens break-glass \"INC-1 the shop is down\" until "), "{opened:#?}");
    assert_eq!(case.replicas(), 5);
    let [record] = &case.records()[..] else { panic!("{:#?}", case.records()) };
    assert_eq!((&record["spec"]["createdBy"], &record["spec"]["reason"]), (&"oncall".into(), &REASON.into()));
    // Whoever has the right goes on, also where the write carries no object that could hold the annotation.
    let used = case.scale(User::Oncall, 6).succeeds();
    assert!(used.stderr.contains("is let in by break-glass"), "{used:#?}");
    case.kubectl(User::Oncall, &["set", "image", "deployment/web", "web=example.com/web:0"]).succeeds();
    // It serves nobody else.
    case.scale(User::Alice, 7).fails_with(&["alice may not break the glass of policy shop"]);
    for reason in ["BreakGlassOpened", "BreakGlassUsed"] {
        case.event(reason);
    }
    eventually("the record to say that it is open", || (case.records()[0]["status"]["state"] == "Open").then_some(()));
    let listed = SHOP.plane.kubectl(User::Oncall, &["get", "bg"]).succeeds().stdout;
    for part in ["REASON", "BY", "UNTIL", "STATE", REASON, "oncall"] {
        assert!(listed.contains(part), "{part} in {listed}");
    }
}

#[test]
fn a_break_glass_may_come_with_a_create_and_an_apply() {
    let case = Case::new("deny");
    let incident = DEPLOYMENT.replace("replicas: 3", "replicas: 5").replace(
        "  labels:\n    app: web\nspec:",
        "  annotations: { landfast.dev/break-glass: INC-2 apply }\n  labels:\n    app: web\nspec:",
    );
    case.feed(User::Oncall, &["apply", "-f", "-"], &incident).succeeds();
    assert_eq!(case.replicas(), 5);
    case.kubectl(User::Oncall, &["delete", "deployment", "web"]).succeeds();
    case.feed(User::Alice, &["create", "-f", "-"], &incident).fails_with(&["alice may not break the glass"]);
    case.feed(User::Oncall, &["create", "-f", "-"], &incident).succeeds();
    assert_eq!(case.records().len(), 2, "made anew it is another object");
    case.feed(User::Oncall, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &incident).succeeds();
}

#[test]
fn without_the_right_nothing_is_opened_and_the_annotation_goes() {
    for policy in ["deny", "revert"] {
        let case = Case::new(policy);
        let set = case.annotate(User::Alice, &format!("landfast.dev/break-glass={REASON}")).succeeds();
        assert!(set.stderr.contains("does not count: alice may not break the glass"), "{set:#?}");
        assert_eq!(case.annotation(), Value::Null);
        let drift = case.break_glass(User::Alice, REASON, 5);
        match policy {
            "deny" => drift.fails_with(&["alice may not break the glass of policy shop", "spec.replicas: 3 in Git, 5"]),
            _ => drift.succeeds(),
        };
        assert_eq!((case.replicas(), case.annotation()), (3.into(), Value::Null));
        assert!(case.records().is_empty());
    }
}

#[test]
fn a_break_glass_is_held_to_the_bounds_of_its_policy() {
    let case = Case::new("deny");
    case.break_glass(User::Oncall, "because", 5).fails_with(&["its reason does not match ^(INC|CHG)-\\d+ .+"]);
    let long = r#"{"metadata":{"annotations":{"landfast.dev/break-glass":"INC-1 x","landfast.dev/break-glass-for":"5h"}},"spec":{"replicas":5}}"#;
    case.kubectl(User::Oncall, &["patch", "deployment", "web", "-p", long]).fails_with(&["allows at most 4h"]);
    assert!(case.records().is_empty());
    let hint = r#"hint: change that file; in an incident set landfast.dev/break-glass="<ticket> <reason>""#;
    case.scale(User::Oncall, 5).fails_with(&[hint]);
}

#[test]
fn in_git_the_annotation_opens_nothing_and_is_a_fault() {
    let case = Case::new("deny");
    let declared = DEPLOYMENT.replace(
        "  labels:\n    app: web\nspec:",
        "  annotations: { landfast.dev/break-glass: INC-8 for ever }\n  labels:\n    app: web\nspec:",
    );
    case.declare(&declared);
    for user in [User::Ci, User::Oncall] {
        case.feed(user, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &declared).succeeds();
        assert_eq!(case.annotation(), "INC-8 for ever");
    }
    case.scale(User::Oncall, 5).fails_with(&["spec.replicas: 3 in Git, 5"]);
    assert!(case.records().is_empty());
    let faults = case.shop.landfast[0].status()["sources"][0]["faults"].to_string();
    assert!(faults.contains("opens nothing in Git") && faults.contains(&case.namespace), "{faults}");
}

#[test]
fn a_dry_run_opens_nothing() {
    let case = Case::new("deny");
    let patch = format!(
        r#"{{"metadata":{{"annotations":{{"landfast.dev/break-glass":"{REASON}"}}}},"spec":{{"replicas":5}}}}"#
    );
    let verb = ["patch", "deployment", "web", "--dry-run=server", "-p", &patch, "-o", "jsonpath={.spec.replicas}"];
    assert_eq!(case.kubectl(User::Oncall, &verb).succeeds().stdout, "5");
    assert!(case.records().is_empty());
    case.scale(User::Oncall, 5).fails_with(&["spec.replicas"]);
}

#[test]
fn whoever_has_the_right_ends_it_and_nobody_else() {
    let case = Case::new("deny");
    case.break_glass(User::Oncall, REASON, 5).succeeds();
    let kept = case.kubectl(User::Alice, &[&UNDO[..], &["landfast.dev/break-glass-"]].concat()).succeeds();
    assert!(kept.stderr.contains("stays open: alice may not break the glass"), "{kept:#?}");
    assert_eq!(case.annotation(), REASON);
    case.annotate(User::Alice, "landfast.dev/break-glass-for=4h").succeeds();
    assert_eq!(
        case.web()["metadata"]["annotations"]["landfast.dev/break-glass-for"],
        Value::Null,
        "prolonged by nobody"
    );
    case.scale(User::Oncall, 6).succeeds();
    let ended = case.kubectl(User::Oncall, &[&UNDO[..], &["landfast.dev/break-glass-"]].concat()).succeeds();
    assert!(ended.stderr.contains("ends break-glass"), "{ended:#?}");
    eventually("the glass to be closed", || (case.scale(User::Oncall, 7).code != 0).then_some(()));
    assert_eq!(case.records()[0]["status"]["state"], "Ended");
    case.event("BreakGlassEnded");
}

#[test]
fn a_break_glass_ends_by_itself_and_never_opens_again() {
    let case = Case::new("deny");
    let short = r#"{"metadata":{"annotations":{"landfast.dev/break-glass":"INC-3 short","landfast.dev/break-glass-for":"3s"}},"spec":{"replicas":5}}"#;
    case.kubectl(User::Oncall, &["patch", "deployment", "web", "-p", short]).succeeds();
    eventually("the annotations to go", || case.annotation().is_null().then_some(()));
    assert!(case.web()["metadata"]["annotations"]["landfast.dev/break-glass-for"].is_null());
    assert_eq!(case.replicas(), 5, "what it let in stays until somebody repairs it");
    assert_eq!(case.records()[0]["status"]["state"], "Ended");
    case.scale(User::Oncall, 6).fails_with(&["spec.replicas: 3 in Git, 6"]);
    case.event("BreakGlassEnded");
    // Without the right the same annotation opens nothing; with it, another record.
    case.annotate(User::Alice, "landfast.dev/break-glass=INC-3 short").succeeds();
    case.scale(User::Oncall, 6).fails_with(&["spec.replicas: 3 in Git, 6"]);
    case.kubectl(User::Oncall, &["patch", "deployment", "web", "-p", &short.replace("\"3s\"", "\"1h\"")]).succeeds();
    assert_eq!(case.records().len(), 2);
}

#[test]
fn a_namespace_opens_all_that_is_in_it() {
    let case = Case::new("deny");
    let annotate = ["annotate", "namespace", &case.namespace, "landfast.dev/break-glass=INC-4 storm"];
    let refused = SHOP.plane.kubectl(User::Alice, &annotate).succeeds();
    assert!(refused.stderr.contains("does not count: alice may not break the glass"), "{refused:#?}");
    case.scale(User::Oncall, 5).fails_with(&["spec.replicas"]);
    SHOP.plane.kubectl(User::Oncall, &annotate).succeeds();
    assert_eq!(case.records().len(), 1);
    eventually("every replica to know of it", || (case.scale(User::Oncall, 5).code == 0).then_some(()));
    case.kubectl(User::Oncall, &["delete", "deployment", "web"]).succeeds();
}

#[test]
fn a_break_glass_of_a_person_names_who_and_what() {
    let case = Case::new("deny");
    let operator = "{ kind: ServiceAccount, namespace: operators, name: shop-operator }";
    let record = |subjects: &str| {
        format!(
            "apiVersion: landfast.dev/v1alpha1\nkind: BreakGlass\nmetadata: {{ name: restore-{} }}\nspec:\n  \
             reason: INC-5 restore the shop\n  duration: 1h\n  createdBy: alice\n  \
             match: {{ namespaces: [{}], names: [web] }}\n  subjects: [{subjects}]\n",
            case.namespace, case.namespace
        )
    };
    SHOP.plane.kubectl_with_input(User::Alice, &["create", "-f", "-"], &record(operator)).fails_with(&["forbidden"]);
    SHOP.plane.kubectl_with_input(User::Oncall, &["create", "-f", "-"], &record(operator)).succeeds();
    let name = format!("restore-{}", case.namespace);
    let by = ["get", "breakglass", &name, "-o", "jsonpath={.spec.createdBy}"];
    assert_eq!(SHOP.plane.kubectl(User::Oncall, &by).succeeds().stdout, "oncall", "the stamp is no client's");
    eventually("every replica to know of it", || (case.scale(User::Operator, 5).code == 0).then_some(()));
    case.scale(User::Alice, 6).fails_with(&["it is not for alice"]);
    case.kubectl(User::Operator, &["delete", "deployment", "web"]).succeeds();
    let longer = r#"{"spec":{"duration":"3h"}}"#;
    SHOP.plane
        .kubectl(User::Oncall, &["patch", "breakglass", &name, "--type=merge", "-p", longer])
        .fails_with(&["cannot be changed"]);
}

#[test]
fn what_an_incident_moved_is_held_against_a_deployer() {
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    for (user, verb) in
        [(User::Flux, &apply[..]), (User::ArgoCd, &["apply", "-f", "-"]), (User::Ci, &["replace", "-f", "-"])]
    {
        let case = Case::new("deny");
        case.feed(user, verb, DEPLOYMENT).succeeds();
        case.break_glass(User::Oncall, REASON, 5).succeeds();
        let env =
            r#"{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"DEBUG","value":"1"}]}]}}}}"#;
        case.kubectl(User::Oncall, &["patch", "deployment", "web", "-p", env]).succeeds();
        let healed = case.feed(user, verb, DEPLOYMENT).succeeds();
        assert!(healed.stderr.contains("stays as it is for break-glass"), "{verb:?} {healed:#?}");
        assert_eq!((case.replicas(), case.annotation()), (5.into(), REASON.into()), "{verb:?}");
        let web = case.web();
        assert!(web.to_string().contains("DEBUG"), "{verb:?} {web:#}");
        // Again it changes nothing at all; a replace takes what controllers noted on the object, which they note again.
        case.feed(user, verb, DEPLOYMENT).succeeds();
        let again = case.web();
        assert_eq!(again["spec"], web["spec"], "{verb:?}");
        if verb[0] == "apply" {
            assert_eq!(again["metadata"]["resourceVersion"], web["metadata"]["resourceVersion"], "{verb:?}");
            let diff = case.feed(user, &[&["diff"][..], &verb[1..]].concat(), DEPLOYMENT);
            assert_eq!((diff.code, diff.stdout.as_str()), (0, ""), "a dry-run shows no difference");
        }
        // What Git changes goes in beside it.
        let image = DEPLOYMENT.replace("web:1", "web:2");
        case.declare(&image);
        case.feed(user, verb, &image).succeeds();
        let web = case.web();
        assert!(web.to_string().contains("example.com/web:2") && web["spec"]["replicas"] == 5, "{verb:?} {web:#}");
        // Once it is over, the deployer has its way.
        case.kubectl(User::Oncall, &[&UNDO[..], &["landfast.dev/break-glass-"]].concat()).succeeds();
        eventually("the deployer to heal", || {
            case.feed(user, verb, &image).succeeds();
            (case.replicas() == 3).then_some(())
        });
    }
}

#[test]
fn the_command_line_opens_lists_and_ends() {
    let case = Case::new("deny");
    let landfast = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_landfast"));
        let kubeconfig = case.shop.plane.kubeconfig(User::Oncall);
        let output = command.arg("break-glass").args(args).arg("--kubeconfig").arg(kubeconfig).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let open = ["open", "INC-7 restore", "--for", "30m", "--namespace", &case.namespace];
    let open = [&open[..], &["--service-account", "operators/shop-operator", "-o", "json"]].concat();
    let record: Value = serde_json::from_str(&landfast(&open)).unwrap();
    let name = record["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("inc-7-"), "{name}");
    assert_eq!(record["spec"]["createdBy"], "oncall", "{record:#}");
    eventually("every replica to know of it", || (case.scale(User::Operator, 5).code == 0).then_some(()));
    let is_listed = |part: &str| landfast(&["list"]).lines().any(|line| line.contains(name) && line.contains(part));
    eventually("the list to show it", || is_listed("Open").then_some(()));
    assert!(is_listed("oncall") && is_listed("INC-7 restore"), "{}", landfast(&["list"]));
    assert!(landfast(&["end", name]).contains(&format!("ended {name}")));
    eventually("it to end", || is_listed("Ended").then_some(()));
    case.scale(User::Operator, 6).fails_with(&["spec.replicas"]);
}

#[test]
fn what_was_made_by_an_object_opens_with_it() {
    let case = Case::new("deny");
    let pod = eventually("a pod of it", || {
        let pods = case.kubectl(User::Admin, &["get", "pods", "-o", "name"]).succeeds().stdout;
        pods.lines().next().map(str::to_owned)
    });
    let label = ["label", &pod, "incident=yes"];
    case.kubectl(User::Oncall, &label).fails_with(&["in an incident set landfast.dev/break-glass"]);
    case.annotate(User::Oncall, &format!("landfast.dev/break-glass={REASON}")).succeeds();
    eventually("every replica to know of it", || (case.kubectl(User::Oncall, &label).code == 0).then_some(()));
    case.kubectl(User::Alice, &["label", &pod, "incident=no", "--overwrite"])
        .fails_with(&["alice may not break the glass"]);
}

/// `LANDFAST_PAIRS=1000` makes it as many; it says how far it is with `--nocapture`.
#[test]
fn no_replica_undoes_what_another_has_just_let_in() {
    let case = Case::of(&REPLICATED, "deny");
    let pairs = std::env::var("LANDFAST_PAIRS").ok().and_then(|pairs| pairs.parse().ok()).unwrap_or(10);
    let heal = r#"{"spec":{"replicas":3}}"#;
    for pair in 0..pairs {
        case.break_glass(User::Oncall, &format!("INC-{pair} a fix"), 10 + pair).succeeds();
        // The heal is judged by a replica that did not see the write.
        REPLICATED.balancer.turn();
        std::thread::sleep(std::time::Duration::from_millis(100));
        case.kubectl(User::ArgoCd, &["patch", "deployment", "web", "-p", heal]).succeeds();
        assert_eq!(case.replicas(), 10 + pair, "pair {pair}");
        if pair % 100 == 99 {
            eprintln!("{} pairs", pair + 1);
        }
    }
}
