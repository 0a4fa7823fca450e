//! What becomes of writes beside what Git declares: to objects that it does not, and to Pods of those that it does?

use serde_json::{Value, json};

use crate::gate::{Case, DEPLOYMENT, gate};
use crate::reverts::deployed;
use crate::testbed::eventually;
use crate::testbed::user::User;

/// A Pod of the case's Deployment.
fn pod_of(case: &Case) -> String {
    eventually("a Pod", || {
        let pods = case.kubectl(User::Alice, &["get", "pods", "-o", "name"]).succeeds().stdout;
        Some(pods.lines().next()?.trim_start_matches("pod/").to_owned())
    })
}

/// The mark on an object.
fn mark(case: &Case, object: &str) -> Value {
    let mark = case.field(object, r".metadata.annotations.landfast\.dev/drift");
    if mark.is_empty() { Value::Null } else { serde_json::from_str(&mark).unwrap() }
}

#[test]
fn what_a_person_makes_beside_what_git_declares_is_marked() {
    let case = Case::new("annotate-beside");
    case.declare_and_create(DEPLOYMENT);
    let made = eventually("the mutating webhook to be asked", || {
        case.kubectl(User::Admin, &["delete", "configmap", "own", "--ignore-not-found"]).succeeds();
        let made = case.kubectl(User::Alice, &["create", "configmap", "own", "--from-literal=k=v"]).succeeds();
        (!mark(&case, "configmap/own").is_null()).then_some(made)
    });
    let told = format!("Warning: ConfigMap {}/own is marked by the annotation landfast.dev/drift\n", case.namespace);
    assert!(made.stderr.starts_with(&told), "{made:#?}");
    let revision = gate().landfast.revision("cases").unwrap();
    let first = mark(&case, "configmap/own");
    assert_eq!((&first["writer"], &first["fields"]), (&json!("alice"), &json!(["data"])));
    assert_eq!(first["revision"].as_str().map(str::len), Some(revision.len()), "{first}");
    eventually("the event of the mark", || case.events("own", "DriftAnnotated").pop());

    // What changes nothing changes no mark, and whoever takes the mark away takes nothing.
    let same = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: own, namespace: $NAMESPACE }\ndata: { k: v }\n";
    case.feed(User::Bob, &["apply", "--server-side", "-f", "-"], same).succeeds();
    assert_eq!(mark(&case, "configmap/own"), first);
    case.kubectl(User::Bob, &["label", "configmap", "own", "a=b"]).succeeds();
    let second = mark(&case, "configmap/own");
    assert_eq!((&second["writer"], &second["fields"]), (&json!("bob"), &json!(["data", "metadata.labels.a"])));
    case.kubectl(User::Alice, &["annotate", "configmap", "own", "landfast.dev/drift-"]).succeeds();
    assert_eq!(mark(&case, "configmap/own"), second);

    // What services make is their business, and what Git takes on is marked no more.
    case.kubectl(User::Operator, &["create", "configmap", "theirs", "--from-literal=k=v"]).succeeds();
    assert_eq!(mark(&case, "configmap/theirs"), Value::Null);
    case.declare("own.yaml", same);
    case.feed(User::ArgoCd, &["apply", "--server-side", "--force-conflicts", "-f", "-"], same).succeeds();
    assert_eq!(mark(&case, "configmap/own")["fields"], json!(["metadata.labels.a"]));
    case.kubectl(User::Bob, &["label", "configmap", "own", "a-"]).succeeds();
    assert_eq!(mark(&case, "configmap/own"), Value::Null);
}

#[test]
fn what_a_person_edits_of_a_declared_objects_pod_is_marked_and_who_enters_it_is_warned() {
    let case = Case::new("annotate-beside");
    case.declare_and_create(DEPLOYMENT);
    let pod = pod_of(&case);
    let object = format!("pod/{pod}");
    eventually("the mutating webhook to be asked", || {
        case.kubectl(User::Alice, &["label", "pod", &pod, "example.com/a=b", "--overwrite"]).succeeds();
        (!mark(&case, &object).is_null()).then_some(())
    });
    let mark = mark(&case, &object);
    let fields = json!(["metadata.labels[\"example.com/a\"]"]);
    assert_eq!((&mark["writer"], &mark["fields"]), (&json!("alice"), &fields));
    let told = format!("Warning: Pod {0}/{pod} belongs to Deployment {0}/web, which Git declares", case.namespace);
    // There is no kubelet; the warning comes before that shows.
    let entered = case.kubectl(User::Alice, &["exec", &pod, "--", "true"]);
    let debugged = case.kubectl(User::Alice, &["debug", &pod, "--image=example.com/debug:1", "--attach=false"]);
    assert!(debugged.succeeds().stderr.contains(&told));
    assert_eq!(case.field(&object, ".spec.ephemeralContainers[*].image"), "example.com/debug:1");
    let warned = |line: &Value| line["namespace"] == *case.namespace && line["subresource"] == "exec";
    let record = eventually("the record of the exec", || gate().landfast.records(warned).pop());
    assert_eq!((&record["ruling"], &record["reason"]), (&json!("Warn"), &json!("reaches into what Git declares")));
    assert!(entered.stderr.contains("does not have a host assigned"), "{entered:#?}");
}

#[test]
fn what_is_only_observed_is_recorded_with_its_owner_and_keeps_nobody_waiting() {
    let case = Case::new("observe-beside");
    case.declare_and_create(DEPLOYMENT);
    let pod = pod_of(&case);
    let ruled = |line: &Value| line["namespace"] == *case.namespace && line["name"] == *pod;
    // The Pod is seen a moment after it was made.
    let record = eventually("a record that knows the owner", || {
        case.kubectl(User::Alice, &["exec", &pod, "--", "true"]).fails_with(&["does not have a host assigned"]);
        gate().landfast.records(ruled).into_iter().find(|line| line["reason"] == "reaches into what Git declares")
    });
    assert_eq!((&record["ruling"], &record["enforced"]), (&json!("Deny"), &json!(false)));
}

#[test]
fn an_opt_out_of_a_deployer_is_put_back_or_marked_as_drift_is() {
    let paused = "kustomize.toolkit.fluxcd.io/reconcile";
    let case = deployed("revert", DEPLOYMENT);
    let answer =
        case.kubectl(User::Alice, &["annotate", "deployment", "web", &format!("{paused}=disabled")]).succeeds();
    assert!(answer.stderr.contains("what drifts from Git is put back"), "{answer:#?}");
    assert!(!case.field("deployment/web", ".metadata.annotations").contains(paused));
    let case = deployed("annotate", DEPLOYMENT);
    case.kubectl(User::Alice, &["annotate", "deployment", "web", &format!("{paused}=disabled")]).succeeds();
    assert!(case.field("deployment/web", ".metadata.annotations").contains(paused));
    assert_eq!(mark(&case, "deployment/web")["fields"], json!([format!("metadata.annotations[\"{paused}\"]")]));
}

#[test]
fn a_person_may_not_make_what_git_does_not_declare() {
    let case = Case::new("deny-sealed");
    let own = ["create", "configmap", "own", "--from-literal=k=v"];
    let revision = gate().landfast.revision("cases").unwrap();
    case.kubectl(User::Alice, &own).fails_with(&[
        &format!(
            "ConfigMap {}/own is not declared in Git\n  it is in the scope of GitSource cases, which is at",
            case.namespace
        ),
        "hint: declare it there",
    ]);
    assert_eq!(revision.len(), 40);
    case.kubectl(User::Operator, &own).succeeds();
    case.kubectl(User::Alice, &["patch", "configmap", "own", "-p", r#"{"data":{"k":"w"}}"#])
        .fails_with(&["is not declared"]);
    case.kubectl(User::Alice, &["delete", "configmap", "own"]).succeeds();
    // The account that the control plane makes is a service's business, too.
    case.kubectl(User::Alice, &["get", "configmap", "kube-root-ca.crt"]).succeeds();
    case.declare(
        "own.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: own, namespace: $NAMESPACE }\ndata: { k: v }\n",
    );
    case.kubectl(User::Alice, &own).succeeds();
}

#[test]
fn a_person_may_not_reach_into_what_a_declared_object_made() {
    let case = Case::new("deny-sealed");
    case.declare_and_create(DEPLOYMENT);
    let pod = pod_of(&case);
    let told = format!(
        "Pod {0}/{pod} belongs to Deployment {0}/web, which Git declares\n  declared by {0}/object.yaml:1 at",
        case.namespace
    );
    case.kubectl(User::Alice, &["exec", &pod, "--", "true"])
        .fails_with(&[&told, "hint: change what Git declares of it"]);
    case.kubectl(User::Alice, &["attach", &pod]).fails_with(&[&told]);
    // kubectl forwards to no Pod that does not run.
    let running = r#"{"status":{"phase":"Running"}}"#;
    case.kubectl(User::Admin, &["patch", "pod", &pod, "--subresource=status", "-p", running]).succeeds();
    case.kubectl(User::Alice, &["port-forward", &pod, "18080:80"]).fails_with(&["which Git declares"]);
    case.kubectl(User::Alice, &["debug", &pod, "--image=example.com/debug:1", "--attach=false"]).fails_with(&[&told]);
    case.kubectl(User::Alice, &["label", "pod", &pod, "app=api", "--overwrite"]).fails_with(&[&told]);
    let sets = case.kubectl(User::Alice, &["get", "replicasets", "-o", "name"]).succeeds().stdout;
    case.kubectl(User::Alice, &["scale", sets.trim(), "--replicas=1"]).fails_with(&["belongs to Deployment"]);
    case.kubectl(User::Alice, &["annotate", sets.trim(), "example.com/a=b"]).fails_with(&["belongs to Deployment"]);
    case.kubectl(User::Operator, &["label", "pod", &pod, "example.com/a=b"]).succeeds();
    case.kubectl(User::Alice, &["delete", "pod", &pod, "--wait=false"]).succeeds();
}

#[test]
fn a_pod_of_nobodys_is_nobodys_business() {
    let case = Case::new("deny");
    case.declare_and_create(DEPLOYMENT);
    let pod = eventually("a Pod", || {
        let pods = case.kubectl(User::Alice, &["get", "pods", "-o", "name"]).succeeds().stdout;
        Some(pods.lines().next()?.to_owned())
    });
    case.kubectl(User::Alice, &["label", &pod, "example.com/a=b"]).succeeds();
    case.kubectl(User::Alice, &["exec", pod.trim_start_matches("pod/"), "--", "true"])
        .fails_with(&["does not have a host assigned"]);
}

#[test]
fn a_definition_may_not_stop_serving_or_keeping_what_git_declares() {
    let case = Case::new("deny");
    case.declare(
        "widget.yaml",
        "apiVersion: example.com/v1\nkind: Widget\nmetadata: { name: one, namespace: $NAMESPACE }\nspec: { size: 1 }\n",
    );
    let patch = |patch: &str| {
        case.kubectl(
            User::Admin,
            &["patch", "crd", "widgets.example.com", "--dry-run=server", "--type=json", "-p", patch],
        )
    };
    let told = "CustomResourceDefinition widgets.example.com would no longer hold all that Git says of";
    patch(r#"[{"op":"replace","path":"/spec/versions/0/served","value":false}]"#)
        .fails_with(&[told, "hint: change them in Git first"]);
    patch(r#"[{"op":"remove","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/size"}]"#)
        .fails_with(&[told]);
    patch(r#"[{"op":"add","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/more","value":{"type":"string"}}]"#)
        .succeeds();
}

#[test]
fn an_opt_out_of_a_deployer_is_git_s_to_say() {
    let case = Case::new("deny");
    case.declare_and_create(DEPLOYMENT);
    for mark in [
        "kustomize.toolkit.fluxcd.io/reconcile=disabled",
        "kustomize.toolkit.fluxcd.io/ssa=Ignore",
        "argocd.argoproj.io/tracking-id=a:b",
        "landfast.dev/ignore=spec; mine",
    ] {
        let name = mark.split('=').next().unwrap();
        case.kubectl(User::Alice, &["annotate", "deployment", "web", mark])
            .fails_with(&[&format!("metadata.annotations[\"{name}\"]: not in Git")]);
    }
    case.kubectl(User::Operator, &["annotate", "deployment", "web", "kustomize.toolkit.fluxcd.io/reconcile=disabled"])
        .succeeds();
    case.kubectl(User::Alice, &["annotate", "deployment", "web", "kustomize.toolkit.fluxcd.io/reconcile-"]).succeeds();
}
