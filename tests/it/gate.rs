//! The gate under test: one real `landfast` beside the shared control plane, and a namespace for each test.
//!
//! The first part of a namespace's name says which policy governs it: `deny-7` is Enforce with Deny, and so on.
//! Tests that end or starve landfast start their own beside a control plane of their own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};
use std::thread;

use serde_json::Value;

use crate::testbed::control_plane;
use crate::testbed::kubectl::Output;
use crate::testbed::landfast::Landfast;
use crate::testbed::repository::Repository;
use crate::testbed::user::User;

/// A kind of our own: known to the cluster only.
pub const WIDGETS: &str = include_str!("../data/widgets-crd.yaml");

/// A kind with two versions, and KEDA's.
const GADGETS: &str = include_str!("../data/gadgets-crd.yaml");

/// A Deployment; `replicas` stands in line 9, `image` in line 20.
pub const DEPLOYMENT: &str = include_str!("../data/deployment.yaml");

/// The namespace of the repository that breaks.
pub const FRAGILE: &str = "deny-fragile";

/// The policies by the first part of a namespace's name.
const POLICIES: &str = include_str!("../data/policies.yaml");

/// One object of each kind that tests declare, so that the webhook's rules name them from the start.
const MARKERS: &str = include_str!("../data/markers.yaml");

/// Who owns which file; most are nobody's.
const OWNERS: &str = "owned.yaml  @shop/backend @shop/oncall\n";

/// The shared landfast and its repository.
pub struct Gate {
    /// The running program.
    pub landfast: Landfast,
    /// A repository that only the test of broken repositories touches; it may declare in [`FRAGILE`].
    pub fragile: Repository,
    repository: Repository,
    commits: Mutex<Vec<String>>,
}

/// Returns the gate that tests share; the first caller starts it.
pub fn gate() -> &'static Gate {
    static SHARED: LazyLock<Gate> = LazyLock::new(Gate::start);
    &SHARED
}

impl Gate {
    fn start() -> Self {
        let plane = control_plane();
        for definitions in [WIDGETS, GADGETS] {
            plane.kubectl_with_input(User::Admin, &["apply", "-f", "-"], definitions).succeeds();
        }
        plane.kubectl(User::Admin, &["wait", "--for=condition=Established", "crd", "--all"]).succeeds();
        plane.kubectl(User::Admin, &["create", "namespace", "deny-marker"]).succeeds();
        let repository = Repository::new();
        let first = repository.commit(&[("markers.yaml", MARKERS), ("CODEOWNERS", OWNERS)], "Declare the markers");
        let fragile = Repository::new();
        let sources = [
            // The older one, so that it keeps what it declares; both scopes hold this namespace.
            source("fragile", &fragile, "1s", &format!("[{FRAGILE}]")),
            source(
                "cases",
                &repository,
                "1s",
                r#"["deny-*", "warn-*", "lenient-*", "strict-*", "observe-*", "revert-*", "annotate-*"]"#,
            ),
        ];
        let landfast = Landfast::start(plane, &format!("{}{POLICIES}", sources.concat()));
        // The API server honours a new webhook configuration a moment after it was written.
        landfast.eventually("the API server to ask landfast", || {
            // Its kind is the last that landfast learns of.
            let drifting = MARKERS.replace("size: 1", "size: 2");
            let answer = plane.kubectl_with_input(
                User::Alice,
                &["apply", "--dry-run=server", "-f", "-", "-l", "probe=yes"],
                &drifting,
            );
            answer.stderr.contains("differs from Git").then_some(())
        });
        Self { landfast, fragile, repository, commits: Mutex::new(vec![first]) }
    }

    /// Commits these files and returns when the commit is in force; returns its id.
    pub fn declare(&self, files: &[(&str, &str)]) -> String {
        let commit = {
            let mut commits = self.commits.lock().expect("no holder of this lock panics");
            let commit = self.repository.commit(files, "Declare");
            commits.push(commit.clone());
            commit
        };
        self.await_in_force(&commit);
        commit
    }

    fn await_in_force(&self, commit: &str) {
        self.landfast.eventually("the commit to be in force", || {
            let revision = self.landfast.revision("cases")?;
            let commits = self.commits.lock().expect("no holder of this lock panics");
            let place = |id: &str| commits.iter().position(|known| known == id);
            // Another test's later commit holds this one too.
            (place(&revision)? >= place(commit)?).then_some(())
        });
    }
}

/// Returns a GitSource document.
pub fn source(name: &str, repository: &Repository, interval: &str, namespaces: &str) -> String {
    format!(
        "apiVersion: landfast.dev/v1alpha1\nkind: GitSource\nmetadata: {{ name: {name} }}\nspec:\n  url: {}\n  \
         ref: {{ branch: main }}\n  interval: {interval}\n  scope: {{ namespaces: {namespaces}, clusterScoped: true }}\n---\n",
        repository.url()
    )
}

/// One test's namespace on the shared gate.
pub struct Case {
    /// Its name: the policy's prefix and a number.
    pub namespace: String,
}

impl Case {
    /// Makes a namespace that the policy of this prefix governs.
    pub fn new(policy: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        gate();
        let namespace = format!("{policy}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        control_plane().kubectl(User::Admin, &["create", "namespace", &namespace]).succeeds();
        Self { namespace }
    }

    /// Returns a manifest with this case's namespace where it says `$NAMESPACE`.
    pub fn manifest(&self, template: &str) -> String {
        template.replace("$NAMESPACE", &self.namespace)
    }

    /// Declares a manifest in Git, in the file `<namespace>/<file>`; returns the commit's id once it is in force.
    pub fn declare(&self, file: &str, template: &str) -> String {
        gate().declare(&[(&format!("{}/{file}", self.namespace), &self.manifest(template))])
    }

    /// Declares the Deployment `web` and creates it.
    pub fn declare_and_create(&self, template: &str) {
        self.declare("object.yaml", template);
        self.feed(User::Alice, &["create", "-f", "-"], template).succeeds();
    }

    /// Runs kubectl in this namespace.
    pub fn kubectl(&self, user: User, args: &[&str]) -> Output {
        control_plane().kubectl(user, &[&["-n", &self.namespace], args].concat())
    }

    /// Runs kubectl in this namespace with a manifest on standard input.
    pub fn feed(&self, user: User, args: &[&str], template: &str) -> Output {
        let manifest = self.manifest(template);
        control_plane().kubectl_with_input(user, &[&["-n", &self.namespace], args].concat(), &manifest)
    }

    /// Reads one field of a live object.
    pub fn field(&self, object: &str, jsonpath: &str) -> String {
        let path = format!("jsonpath={{{jsonpath}}}");
        self.kubectl(User::Admin, &["get", object, "-o", &path]).succeeds().stdout
    }

    /// Returns the Events on an object that have this reason.
    pub fn events(&self, name: &str, reason: &str) -> Vec<Value> {
        let answer = self.kubectl(User::Admin, &["get", "events", "-o", "json"]).succeeds();
        let list: Value = serde_json::from_str(&answer.stdout).expect("kubectl prints JSON");
        let wanted = |event: &&Value| event["involvedObject"]["name"] == name && event["reason"] == reason;
        list["items"].as_array().into_iter().flatten().filter(wanted).cloned().collect()
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if !thread::panicking() {
            control_plane().assert_match_conditions_hold();
        }
    }
}
