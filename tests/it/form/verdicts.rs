//! What does a form change in what is let in, refused, put back and warned of? By real kubectl, beside a second webhook.

use crate::form::{Foreign, Habit, MIRROR};
use crate::gate::{Case, DEPLOYMENT, gate};
use crate::reverts::deployed;
use crate::testbed::eventually;
use crate::testbed::user::User;

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: { name: web, namespace: $NAMESPACE }\nspec:\n  \
                       type: NodePort\n  clusterIP: \"\"\n  ports: [{ port: 80, nodePort: 0 }]\n";

/// `maxUnavailable` stands behind a feature gate that is closed (MaxUnavailableStatefulSet, Kubernetes 1.36).
const GATED: &str = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: { name: web, namespace: $NAMESPACE }\nspec:\n  \
                     replicas: 1\n  updateStrategy: { rollingUpdate: { maxUnavailable: 2 } }\n  \
                     selector: { matchLabels: { app: web } }\n  template:\n    metadata: { labels: { app: web } }\n    \
                     spec: { containers: [{ name: web, image: \"example.com/web:1\" }] }\n";

#[test]
fn what_another_webhook_makes_of_git_is_no_drift_and_what_people_make_of_it_is() {
    // Before ours in the order of names, and after it.
    for prefix in ["another", "zealous"] {
        let case = Case::new("strict");
        let _foreign = Foreign::register(prefix, Habit::Mirrors, &case.namespace);
        case.declare("object.yaml", DEPLOYMENT);
        let spied = format!("{DEPLOYMENT}        - name: spy\n          image: example.com/spy:1\n");
        case.feed(User::Alice, &["create", "-f", "-"], &spied).fails_with(&[
            "gets what Git does not declare in 1 field",
            "spec.template.spec.containers[name=spy]: not in Git",
        ]);
        let created = case.feed(User::Alice, &["create", "-f", "-"], DEPLOYMENT).succeeds();
        assert_eq!(created.stderr, "");
        assert_eq!(case.field("deployment/web", ".spec.template.spec.containers[*].image"), format!("{MIRROR} mesh:1"));
        let other = ["set", "image", "deployment/web", "web=example.com/web:2"];
        case.kubectl(User::Alice, &other).fails_with(&[
            "differs from Git in 1 field",
            "containers[name=web].image: \"example.com/web:1\" in Git, \"mirror.example.com/web:2@sha256:0001\" in this write",
        ]);
        let forced = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        for (user, verb) in [(User::Alice, &forced[..]), (User::Bob, &["replace", "-f", "-"]), (User::ArgoCd, &forced)]
        {
            let written = case.feed(user, verb, DEPLOYMENT).succeeds();
            assert_eq!(written.stderr, "", "the image differed from Git before, and is none of this write's");
        }
        let without = r#"[{"op":"remove","path":"/spec/template/spec/containers/1"}]"#;
        case.kubectl(User::Alice, &["patch", "deployment", "web", "--type=json", "-p", without]).succeeds();
        assert_eq!(case.field("deployment/web", ".spec.template.spec.containers[*].name"), "web mesh");
    }
}

#[test]
fn what_another_webhook_makes_of_updates_only_is_no_drift() {
    let case = Case::new("deny");
    case.feed(User::Alice, &["create", "-f", "-"], DEPLOYMENT).succeeds();
    let _foreign = Foreign::register("another", Habit::MirrorsUpdates, &case.namespace);
    case.declare("object.yaml", DEPLOYMENT);
    let image = |image: &str| case.kubectl(User::Alice, &["set", "image", "deployment/web", &format!("web={image}")]);
    image("example.com/web:2").fails_with(&["containers[name=web].image: \"example.com/web:1\" in Git, "]);
    let grace = r#"{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":5}}}}"#;
    assert_eq!(case.kubectl(User::Alice, &["patch", "deployment", "web", "-p", grace]).succeeds().stderr, "");
    assert_eq!(case.field("deployment/web", ".spec.template.spec.containers[*].image"), format!("{MIRROR} mesh:1"));
}

#[test]
fn drift_is_put_back_whatever_another_webhook_does_before_or_after() {
    for prefix in ["another", "zealous"] {
        let case = deployed("revert", DEPLOYMENT);
        let foreign = Foreign::register(prefix, Habit::Mirrors, &case.namespace);
        let forced = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        eventually("forms to be learnt anew", || {
            (case.feed(User::ArgoCd, &forced, DEPLOYMENT).code == 0).then_some(())
        });
        let spec = || {
            let images = case.field("deployment/web", ".spec.template.spec.containers[*].image");
            format!("{} {images}", case.field("deployment/web", ".spec.replicas"))
        };
        let before = format!("3 {MIRROR} mesh:1");
        assert_eq!(spec(), before);
        let other = ["set", "image", "deployment/web", "web=example.com/web:2"];
        let told = case.kubectl(User::Alice, &other).succeeds().stderr;
        assert!(told.contains("is put back") && told.contains("containers[name=web].image"), "{prefix}: {told}");
        assert_eq!(spec(), before, "{prefix}");
        case.feed(User::Alice, &forced, &DEPLOYMENT.replace("replicas: 3", "replicas: 5")).succeeds();
        assert_eq!(spec(), before, "{prefix}");
        foreign.takes_to(Habit::Scales);
        let told = case.kubectl(User::Alice, &["label", "deployment", "web", "team=blue"]).succeeds().stderr;
        assert!(told.contains("spec.replicas: 3 in Git, 7 in this write"), "{prefix}: {told}");
        assert_eq!(spec(), before, "{prefix}");
        assert_eq!(case.field("deployment/web", ".metadata.labels.team"), "blue");
    }
}

#[test]
fn of_what_another_webhook_made_before_only_the_first_write_is_warned() {
    let case = Case::new("deny");
    let _foreign = Foreign::register("another", Habit::Mirrors, &case.namespace);
    case.feed(User::Alice, &["create", "-f", "-"], DEPLOYMENT).succeeds();
    case.declare("object.yaml", DEPLOYMENT);
    let annotate = |note: usize| {
        let note = format!("example.com/note={note}");
        case.kubectl(User::Alice, &["annotate", "--overwrite", "deployment", "web", &note]).succeeds().stderr
    };
    let first = annotate(0);
    assert!(first.contains("containers[name=web].image: \"example.com/web:1\" in Git, "), "{first}");
    let mut notes = 1..;
    eventually("the form to be learnt behind the write", || annotate(notes.next()?).is_empty().then_some(()));
}

#[test]
fn a_deployer_may_be_behind_in_what_another_webhook_makes_of_git() {
    let case = Case::new("deny");
    let _foreign = Foreign::register("another", Habit::Mirrors, &case.namespace);
    case.declare("object.yaml", DEPLOYMENT);
    case.declare("object.yaml", &DEPLOYMENT.replace("web:1", "web:2"));
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    case.feed(User::ArgoCd, &apply, DEPLOYMENT).succeeds();
    case.feed(User::ArgoCd, &apply, &DEPLOYMENT.replace("web:1", "web:3")).fails_with(&["differs from Git"]);
}

#[test]
fn what_the_server_drops_or_assigns_is_no_drift() {
    let case = Case::new("deny");
    case.declare("object.yaml", &format!("{GATED}---\n{SERVICE}"));
    for manifest in [GATED, SERVICE] {
        let created = case.feed(User::Alice, &["create", "-f", "-"], manifest).succeeds();
        assert_eq!(created.stderr, "");
    }
    assert_eq!(case.field("statefulset/web", ".spec.updateStrategy.rollingUpdate.maxUnavailable"), "");
    let ports = |port: u16| {
        let patch = format!(r#"[{{"op":"replace","path":"/spec/ports/0/nodePort","value":{port}}}]"#);
        case.kubectl(User::Alice, &["patch", "service", "web", "--type=json", "-p", &patch])
    };
    let assigned = case.field("service/web", ".spec.ports[0].nodePort");
    let other = if assigned == "30101" { 30102 } else { 30101 };
    assert_eq!(ports(other).succeeds().stderr, "");
    let internal = r#"{"spec":{"type":"ClusterIP","ports":[{"port":80,"nodePort":null}]}}"#;
    case.kubectl(User::Alice, &["patch", "service", "web", "-p", internal])
        .fails_with(&["spec.type: \"NodePort\" in Git, \"ClusterIP\" in this write"]);
}

#[test]
fn what_the_server_names_anew_in_each_pod_is_not_the_persons() {
    let case = Case::new("strict");
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: { name: web, namespace: $NAMESPACE }\nspec:\n  \
               containers: [{ name: web, image: \"example.com/web:1\" }]\n";
    case.declare("pod.yaml", pod);
    let added = format!("{pod}  volumes: [{{ name: own, emptyDir: {{}} }}]\n");
    // Pods are declared for the first time here, and the account that they run as is made with the namespace.
    eventually("the added volume to be denied", || {
        let answer = case.feed(User::Alice, &["create", "--dry-run=server", "-f", "-"], &added);
        answer.stderr.contains("spec.volumes[name=own]: not in Git").then_some(())
    });
    case.feed(User::Alice, &["create", "-f", "-"], &added).fails_with(&["gets what Git does not declare in 1 field"]);
    assert_eq!(case.feed(User::Alice, &["create", "-f", "-"], pod).succeeds().stderr, "");
    assert!(case.field("pod/web", ".spec.volumes[*].name").starts_with("kube-api-access-"));
}

#[test]
fn a_port_that_git_gives_is_no_obstacle() {
    let case = Case::new("strict");
    let given = SERVICE.replace("nodePort: 0", "nodePort: 30777");
    case.declare("object.yaml", &given);
    assert_eq!(case.feed(User::Alice, &["create", "-f", "-"], &given).succeeds().stderr, "");
    let other = r#"[{"op":"replace","path":"/spec/ports/0/nodePort","value":30778}]"#;
    case.kubectl(User::Alice, &["patch", "service", "web", "--type=json", "-p", other])
        .fails_with(&["nodePort: 30777 in Git, 30778 in this write"]);
}

#[test]
fn where_dry_runs_are_refused_the_unknown_is_let_in_with_a_warning_and_the_known_is_not() {
    let case = Case::new("deny");
    let _foreign = Foreign::register("another", Habit::RefusesDryRuns, &case.namespace);
    case.declare("object.yaml", GATED);
    let created = case.feed(User::Alice, &["create", "-f", "-"], GATED).succeeds();
    assert!(created.stderr.contains("maxUnavailable: 2 in Git, not in this write"), "{created:#?}");
    case.kubectl(User::Alice, &["scale", "statefulset", "web", "--replicas=5"]).fails_with(&[
        "spec.replicas: 1 in Git, 5 in this write",
        "note: the API server did not say what it makes of what Git declares",
    ]);
    let asked = gate().landfast.metric("landfast_questions_total", &["question=\"form\"", "outcome=\"silence\""]);
    assert!(asked >= 1.0, "{asked}");
}
