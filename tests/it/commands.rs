//! Which commands of kubectl may a person give for what Git declares? Each is given with what drifts and with what Git says.
//!
//! Whether a command would change anything is not taken on trust: it is given again in an emergency, where nobody asks landfast.

use serde_json::{Value, json};

use crate::gate::{Case, DEPLOYMENT};
use crate::testbed::kubectl::Output;
use crate::testbed::user::User;
use crate::testbed::{control_plane, eventually};

const EMERGENCY: &[&str] = &["--as=root", "--as-group=system:masters", "--as-group=landfast:emergency"];

const IMAGE: &str = "spec.template.spec.containers[name=web].image";

const SETTINGS: &str = "apiVersion: v1\nkind: ConfigMap\n\
    metadata: { name: web, namespace: $NAMESPACE, labels: { app: web }, annotations: { team: blue } }\n\
    data: { key: value }\n";

const FRONT: &str = "apiVersion: v1\nkind: Service\n\
    metadata: { name: web, namespace: $NAMESPACE, labels: { app: web }, annotations: { team: blue } }\n\
    spec: { selector: { app: web }, internalTrafficPolicy: Cluster, ports: [{ port: 80 }] }\n";

/// What a command reads.
enum Fed {
    Nothing,
    Manifest(String),
    /// The live object in an editor, with one text for another.
    Edit(&'static str, &'static str),
}

/// A command with its input.
struct Command(Vec<String>, Fed);

/// A field that Git declares, where it is read, what Git says, a command that makes it drift and one that says what Git says.
struct Row {
    path: String,
    at: String,
    git: &'static str,
    drifting: Command,
    agreeing: Command,
}

/// A declared object and one of its values: its path, and as text of the manifest and as JSON in Git and adrift.
struct Thing {
    kind: &'static str,
    manifest: String,
    path: &'static str,
    texts: [&'static str; 2],
    values: [Value; 2],
}

fn deployment() -> Thing {
    let marked = "  annotations:\n    team: blue\n  labels:\n    app: web\nspec:";
    Thing {
        kind: "deployment",
        manifest: DEPLOYMENT.replace("  labels:\n    app: web\nspec:", marked),
        path: "spec.replicas",
        texts: ["replicas: 3", "replicas: 5"],
        values: [json!(3), json!(5)],
    }
}

fn stateful_set() -> Thing {
    let deployment = deployment();
    let manifest = deployment.manifest.replace("kind: Deployment", "kind: StatefulSet");
    Thing { kind: "statefulset", manifest, ..deployment }
}

impl Thing {
    fn object(&self) -> String {
        format!("{}/web", self.kind)
    }

    fn drifting(&self) -> String {
        let drifting = self.manifest.replacen(self.texts[0], self.texts[1], 1);
        assert_ne!(drifting, self.manifest);
        drifting
    }

    fn row(&self, path: &str, at: &str, git: &'static str, drifting: &str, agreeing: &str) -> Row {
        let command = |text: &str| Command(words(text).chain([self.object()]).collect(), Fed::Nothing);
        Row { path: path.to_owned(), at: at.to_owned(), git, drifting: command(drifting), agreeing: command(agreeing) }
    }

    /// What the value is called in [`Row::git`]: the last word of its line.
    fn git(&self) -> &'static str {
        self.texts[0].rsplit(' ').next().unwrap()
    }

    fn of_value(&self, commands: [Command; 2]) -> Row {
        let [drifting, agreeing] = commands;
        Row { path: self.path.to_owned(), at: format!(".{}", self.path), git: self.git(), drifting, agreeing }
    }

    /// The commands that any object may be given.
    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for verb in ["apply -f -", "apply --server-side --force-conflicts -f -", "replace -f -"] {
            let command = |manifest: String| Command(words(verb).collect(), Fed::Manifest(manifest));
            rows.push(self.of_value([self.drifting(), self.manifest.clone()].map(command)));
        }
        let [git, other] = self.texts;
        let edit = |from, to| Command(vec!["edit".to_owned(), self.object()], Fed::Edit(from, to));
        rows.push(self.of_value([edit(git, other), edit(other, git)]));
        for kind in ["strategic", "merge", "json"] {
            let command = |value: &Value| {
                let patch = match kind {
                    "json" => {
                        json!([{ "op": "replace", "path": format!("/{}", self.path.replace('.', "/")), "value": value }])
                    }
                    _ => self.path.rsplit('.').fold(value.clone(), |inner, name| json!({ name: inner })),
                };
                let patch = ["-p".to_owned(), patch.to_string(), self.object()];
                Command(words(&format!("patch --type={kind}")).chain(patch).collect(), Fed::Nothing)
            };
            rows.push(self.of_value([command(&self.values[1]), command(&self.values[0])]));
        }
        for (verb, path, git, other) in
            [("label", "metadata.labels.app", "web", "api"), ("annotate", "metadata.annotations.team", "blue", "red")]
        {
            let key = path.rsplit('.').next().unwrap();
            let command = |value: &str| {
                Command(words(&format!("{verb} --overwrite {} {key}={value}", self.object())).collect(), Fed::Nothing)
            };
            let (path, at) = (path.to_owned(), format!(".{path}"));
            rows.push(Row { path, at, git, drifting: command(other), agreeing: command(git) });
        }
        rows
    }

    /// The commands for what makes Pods.
    fn rows_of_workload(&self) -> Vec<Row> {
        let container = ".spec.template.spec.containers[0]";
        let image = format!("{container}.image");
        let env = "spec.template.spec.containers[name=web].env[name=FIRST].value";
        let set = |what: &str, value: &str| {
            Command(words(&format!("set {what} {} {value}", self.object())).collect(), Fed::Nothing)
        };
        vec![
            self.row(self.path, ".spec.replicas", "3", "scale --replicas=5", "scale --replicas=3"),
            Row {
                path: env.to_owned(),
                at: format!("{container}.env[0].value"),
                git: "one",
                drifting: set("env", "FIRST=1st"),
                agreeing: set("env", "FIRST=one"),
            },
            Row {
                path: IMAGE.to_owned(),
                at: image.clone(),
                git: "example.com/web:1",
                drifting: set("image", "web=example.com/web:2"),
                agreeing: set("image", "web=example.com/web:1"),
            },
            // The revision before is the one that the row above has left behind; undoing that is to undo this.
            self.row(IMAGE, &image, "example.com/web:1", "rollout undo", "rollout undo"),
        ]
    }
}

fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(' ').map(str::to_owned)
}

fn give(case: &Case, user: User, more: &[&str], Command(args, fed): &Command) -> Output {
    let args: Vec<_> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
    match fed {
        Fed::Nothing => case.kubectl(user, &args),
        Fed::Manifest(manifest) => case.feed(user, &args, manifest),
        // It writes what was read: the control plane may have written in between.
        Fed::Edit(from, to) => eventually("an edit that meets no other write", || {
            let live = case.kubectl(user, &["get", args[1], "-o", "yaml"]).succeeds().stdout;
            assert!(live.contains(from), "{live}");
            let edited = case.feed(user, &args, &live.replacen(from, to, 1));
            (!edited.stderr.contains("the object has been modified")).then_some(edited)
        }),
    }
}

/// Reads a field once the control plane has seen all that was written before.
fn settled(case: &Case, object: &str, at: &str) -> String {
    let path = format!("jsonpath={{.metadata.generation}}|{{.status.observedGeneration}}|{{{at}}}");
    eventually("the controllers to see the last write", || {
        let read = case.kubectl(User::Alice, &["get", object, "-o", &path]).succeeds().stdout;
        let mut parts = read.splitn(3, '|');
        (parts.next() == parts.next()).then(|| parts.next().unwrap().to_owned())
    })
}

fn hold(case: &Case, thing: &Thing, rows: &[Row]) {
    let object = thing.object();
    for Row { path, at, git, drifting, agreeing } in rows {
        assert_eq!(settled(case, &object, at), *git, "before {:?}", drifting.0);
        let denied = give(case, User::Alice, &[], drifting).fails_with(&["differs from Git in 1 field", path]);
        assert_eq!(denied.code, 1, "{denied:#?}");
        give(case, User::Admin, EMERGENCY, drifting).succeeds();
        assert_ne!(settled(case, &object, at), *git, "{:?} changes something", drifting.0);
        give(case, User::Alice, &[], agreeing).succeeds();
        assert_eq!(settled(case, &object, at), *git, "after {:?}", agreeing.0);
    }
}

/// Deletes are denied whatever comes after them; what the API server is to name is nobody's.
fn hold_deletes_and_new_names(case: &Case, thing: &Thing) {
    let object = thing.object();
    let uid = case.field(&object, ".metadata.uid");
    let forced = |manifest: &str| case.feed(User::Alice, &["replace", "--force", "-f", "-"], manifest);
    for denied in [
        forced(&thing.manifest),
        forced(&thing.drifting()),
        case.kubectl(User::Alice, &["delete", &object]),
        case.kubectl(User::Alice, &["delete", &object, "--force"]),
        case.kubectl(User::Alice, &["delete", thing.kind, "--all"]),
        case.feed(User::Alice, &["delete", "-f", "-"], &thing.manifest),
    ] {
        let denied = denied.fails_with(&["may not be deleted"]);
        assert_eq!(denied.code, 1, "{denied:#?}");
    }
    assert_eq!(case.field(&object, ".metadata.uid"), uid);
    for manifest in [&thing.manifest, &thing.drifting()] {
        let unnamed = manifest.replacen(" name: web", " generateName: web-", 1);
        assert_ne!(unnamed, *manifest);
        case.feed(User::Alice, &["create", "-f", "-"], &unnamed).succeeds();
    }
}

#[test]
fn every_command_for_a_config_map_is_held_to_git() {
    let thing = Thing {
        kind: "configmap",
        manifest: SETTINGS.to_owned(),
        path: "data.key",
        texts: ["key: value", "key: other"],
        values: [json!("value"), json!("other")],
    };
    let case = Case::new("deny");
    case.declare_and_create(&thing.manifest);
    hold(&case, &thing, &thing.rows());
    hold_deletes_and_new_names(&case, &thing);
}

#[test]
fn every_command_for_a_service_is_held_to_git() {
    let thing = Thing {
        kind: "service",
        manifest: FRONT.to_owned(),
        path: "spec.internalTrafficPolicy",
        texts: ["internalTrafficPolicy: Cluster", "internalTrafficPolicy: Local"],
        values: [json!("Cluster"), json!("Local")],
    };
    let case = Case::new("deny");
    case.declare_and_create(&thing.manifest);
    hold(&case, &thing, &thing.rows());
    hold_deletes_and_new_names(&case, &thing);
}

/// What makes Pods takes more commands; a restart changes nothing that Git declares, and an autoscaler is an object of its own.
fn hold_workload(thing: &Thing) {
    let case = Case::new("deny");
    case.declare_and_create(&thing.manifest);
    hold(&case, thing, &thing.rows());
    hold(&case, thing, &thing.rows_of_workload());
    hold_deletes_and_new_names(&case, thing);
    let object = thing.object();
    case.kubectl(User::Alice, &["rollout", "restart", &object]).succeeds();
    let restarted = r".spec.template.metadata.annotations.kubectl\.kubernetes\.io/restartedAt";
    assert_ne!(settled(&case, &object, restarted), "");
    case.kubectl(User::Alice, &["autoscale", &object, "--min=1", "--max=5"]).succeeds();
    case.kubectl(User::Alice, &["get", "horizontalpodautoscaler", "web"]).succeeds();
}

#[test]
fn every_command_for_a_deployment_is_held_to_git() {
    hold_workload(&deployment());
}

#[test]
fn every_command_for_a_stateful_set_is_held_to_git() {
    hold_workload(&stateful_set());
}

#[test]
fn a_node_may_be_drained_of_what_a_declared_object_made() {
    let case = Case::new("deny-sealed");
    case.declare_and_create(DEPLOYMENT);
    let pod = eventually("a Pod", || {
        let pods = case.kubectl(User::Alice, &["get", "pods", "-o", "name"]).succeeds().stdout;
        Some(pods.lines().next()?.trim_start_matches("pod/").to_owned())
    });
    let node = format!("node-of-{}", case.namespace);
    let document = format!("apiVersion: v1\nkind: Node\nmetadata: {{ name: {node} }}\n");
    case.feed(User::Admin, &["create", "-f", "-"], &document).succeeds();
    let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": pod },
                          "target": { "apiVersion": "v1", "kind": "Node", "name": node } });
    let path = format!("/api/v1/namespaces/{}/pods/{pod}/binding", case.namespace);
    case.feed(User::Admin, &["create", "--raw", &path, "-f", "-"], &binding.to_string()).succeeds();
    // No kubelet is there to end it in order.
    let drained = case.kubectl(User::Alice, &["drain", &node, "--grace-period=0"]).succeeds();
    assert!(drained.stdout.contains(&format!("pod/{pod} evicted")), "{drained:#?}");
    let evicted = control_plane().await_audit("the eviction", |event| {
        event["objectRef"]["name"] == *pod && event["objectRef"]["subresource"] == "eviction"
    });
    assert_eq!(evicted[0]["user"]["username"], "alice");
    case.kubectl(User::Admin, &["delete", "node", &node]).succeeds();
}
