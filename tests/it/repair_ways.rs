//! Does an object come back where a plain apply is refused, or where a break-glass, a policy or the cluster stands in the way? Beside
//! the landfast of `repair`.

use serde_json::Value;

use crate::gate::DEPLOYMENT;
use crate::repair::Case;
use crate::testbed::user::User;

/// An object whose fields exclude each other.
const UNIONS: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: $NAMESPACE }
spec:
  replicas: 1
  strategy: { type: Recreate }
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
        - name: web
          image: example.com/web:1
          env: [{ name: FIRST, value: one }, { name: SECOND, value: two }]
          volumeMounts: [{ name: data, mountPath: /data }]
      volumes: [{ name: data, emptyDir: {} }]
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: $NAMESPACE }
spec:
  selector: { app: web }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
";

fn patched(case: &Case, object: &str, patch: &str) {
    case.kubectl(User::Alice, &["patch", object, "--type=json", "-p", patch]).succeeds();
}

fn container(web: &Value) -> &Value {
    &web["spec"]["template"]["spec"]["containers"][0]
}

#[test]
fn what_an_apply_cannot_put_back_is_put_whole() {
    let case = Case::new("alone");
    case.feed(User::Alice, &["create", "-f", "-"], UNIONS).succeeds();
    case.declare(UNIONS);
    let first = r#"[{"op":"replace","path":"/spec/template/spec/containers/0/env/0",
        "value":{"name":"FIRST","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}}]"#;
    patched(&case, "deployment/web", first);
    case.comes_back("a value where a reference stood", "deployment/web", |web| {
        container(web)["env"][0]["value"] == "one" && container(web)["env"][0]["valueFrom"].is_null()
    });
    let volume = r#"[{"op":"replace","path":"/spec/template/spec/volumes/0",
        "value":{"name":"data","configMap":{"name":"x"}}}]"#;
    patched(&case, "deployment/web", volume);
    case.comes_back("another source of a volume", "deployment/web", |web| {
        let volume = &web["spec"]["template"]["spec"]["volumes"][0];
        volume["emptyDir"].is_object() && volume["configMap"].is_null()
    });
    let strategy = r#"[{"op":"replace","path":"/spec/strategy","value":{"type":"RollingUpdate"}}]"#;
    patched(&case, "deployment/web", strategy);
    case.comes_back("another strategy", "deployment/web", |web| {
        web["spec"]["strategy"] == serde_json::json!({ "type": "Recreate" })
    });
    let port = r#"[{"op":"replace","path":"/spec/ports/0/port","value":81}]"#;
    patched(&case, "service/web", port);
    case.comes_back("another port", "service/web", |service| {
        let ports = service["spec"]["ports"].as_array().unwrap();
        ports.len() == 1 && ports[0]["port"] == 80
    });
    // Nothing of that stays owned a second time.
    case.comes_back("each field to have the owner that it had", "deployment/web", |web| {
        let entries = web["metadata"]["managedFields"].as_array().unwrap();
        entries.iter().filter(|entry| entry["manager"] == "landfast").all(|entry| entry["operation"] == "Apply")
    });
}

#[test]
fn what_the_server_refuses_every_way_is_told_and_holds_up_no_other() {
    let case = Case::new("alone");
    case.feed(User::Alice, &["create", "-f", "-"], DEPLOYMENT).succeeds();
    // A selector never changes.
    case.declare(&DEPLOYMENT.replace("app: web", "app: other"));
    let record = case.record("the record of it", |line| line["repair"]["outcome"] == "CannotRepair");
    assert!(record["repair"]["error"].as_str().unwrap().contains("immutable"), "{record}");
    case.event("CannotRepair");
    let uid = case.get("deployment/web")["metadata"]["uid"].clone();
    let other = Case::with_web("alone", User::Alice);
    other.scale(User::Alice, 7);
    other.comes_back("another object to come back", "deployment/web", |web| web["spec"]["replicas"] == 3);
    assert_eq!(case.get("deployment/web")["metadata"]["uid"], uid, "never deleted and made anew");
    case.declare(DEPLOYMENT);
    case.scale(User::Alice, 7);
    case.comes_back("it to come back once Git is right", "deployment/web", |web| web["spec"]["replicas"] == 3);
}

#[test]
fn while_a_break_glass_is_open_nothing_comes_back_and_at_its_end_it_does() {
    let case = Case::with_web("alone", User::Alice);
    let open = r#"{"metadata":{"annotations":{"landfast.dev/break-glass":"INC-1 down"}},"spec":{"replicas":7}}"#;
    case.kubectl(User::Oncall, &["patch", "deployment", "web", "-p", open]).succeeds();
    // What came later was seen and repaired: so was this seen, and left.
    let later = Case::with_web("alone", User::Alice);
    later.scale(User::Alice, 7);
    later.comes_back("the replicas to come back", "deployment/web", |web| web["spec"]["replicas"] == 3);
    case.scale(User::Oncall, 8);
    later.scale(User::Alice, 9);
    later.comes_back("the replicas to come back", "deployment/web", |web| web["spec"]["replicas"] == 3);
    assert_eq!(case.get("deployment/web")["spec"]["replicas"], 8);
    case.kubectl(User::Oncall, &["annotate", "deployment", "web", "landfast.dev/break-glass-"]).succeeds();
    case.comes_back("the replicas to come back at its end", "deployment/web", |web| {
        web["spec"]["replicas"] == 3 && web["metadata"]["annotations"]["landfast.dev/break-glass"].is_null()
    });
}

#[test]
fn at_the_end_of_a_break_glass_what_its_deployer_rolled_out_meanwhile_stays() {
    let case = Case::with_web("deployed", User::Ci);
    case.scale(User::Alice, 5);
    case.comes_back("the replicas to come back", "deployment/web", |web| web["spec"]["replicas"] == 3);
    let open = r#"{"metadata":{"annotations":{"landfast.dev/break-glass":"INC-1 down"}},"spec":{"replicas":7}}"#;
    case.kubectl(User::Oncall, &["patch", "deployment", "web", "-p", open]).succeeds();
    let newer = DEPLOYMENT.replace("web:1", "web:2");
    case.declare(&newer);
    let image = |web: &Value| web["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    case.feed(User::Ci, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &newer).succeeds();
    let held = case.get("deployment/web");
    assert_eq!((&held["spec"]["replicas"], image(&held)), (&7.into(), "example.com/web:2".into()));
    case.kubectl(User::Oncall, &["annotate", "deployment", "web", "landfast.dev/break-glass-"]).succeeds();
    let web = case.comes_back("the replicas to come back", "deployment/web", |web| web["spec"]["replicas"] == 3);
    assert_eq!(image(&web), "example.com/web:2");
}

#[test]
fn what_is_deleted_under_a_break_glass_stays_away_until_its_end() {
    let case = Case::with_web("alone", User::Alice);
    let record = format!(
        "apiVersion: landfast.dev/v1alpha1\nkind: BreakGlass\nmetadata: {{ name: {0} }}\nspec:\n  reason: INC-2 down\n  \
         duration: 30m\n  match: {{ namespaces: [{0}] }}\n",
        case.namespace
    );
    case.feed(User::Oncall, &["create", "-f", "-"], &record).succeeds();
    let open = ["wait", "--for=jsonpath={.status.state}=Open", "breakglass", &case.namespace];
    case.kubectl(User::Oncall, &open).succeeds();
    case.kubectl(User::Admin, &["delete", "deployment", "web"]).succeeds();
    let later = Case::with_web("alone", User::Alice);
    later.scale(User::Alice, 7);
    later.comes_back("the replicas to come back", "deployment/web", |web| web["spec"]["replicas"] == 3);
    assert_eq!(case.get("deployment/web"), Value::Null);
    case.kubectl(User::Oncall, &["annotate", "breakglass", &case.namespace, "landfast.dev/end=true"]).succeeds();
    case.comes_back("the Deployment to come back at its end", "deployment/web", |web| web["spec"]["replicas"] == 3);
}

#[test]
fn what_a_declared_autoscaler_moves_stays() {
    let case = Case::new("alone");
    let scaler = "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: { name: web, namespace: $NAMESPACE }\n\
                  spec:\n  minReplicas: 1\n  maxReplicas: 9\n  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: web }\n  \
                  metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 50 } } }]\n";
    let both = format!("{DEPLOYMENT}{scaler}");
    case.feed(User::Alice, &["create", "-f", "-"], &both).succeeds();
    case.declare(&both);
    let moved =
        r#"{"spec":{"replicas":7,"template":{"spec":{"containers":[{"name":"web","image":"example.com/other:1"}]}}}}"#;
    case.kubectl(User::Alice, &["patch", "deployment", "web", "-p", moved]).succeeds();
    let web = case
        .comes_back("the image to come back", "deployment/web", |web| container(web)["image"] == "example.com/web:1");
    assert_eq!(web["spec"]["replicas"], 7);
}

#[test]
fn a_kind_that_comes_later_is_watched_when_it_is_there() {
    let case = Case::new("alone");
    let plural = format!("k{}s", case.namespace.replace('-', ""));
    let definition = format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{ name: {plural}.example.com }}\nspec:\n  \
         group: example.com\n  scope: Namespaced\n  names: {{ plural: {plural}, singular: {0}, kind: {1} }}\n  versions:\n    - name: v1\n      \
         served: true\n      storage: true\n      schema: {{ openAPIV3Schema: {{ type: object, properties: {{ spec: {{ type: object, \
         properties: {{ size: {{ type: integer }} }} }} }} }} }}\n",
        plural.trim_end_matches('s'),
        plural.trim_end_matches('s').replacen('k', "K", 1),
    );
    let object = format!(
        "---\napiVersion: example.com/v1\nkind: {}\nmetadata: {{ name: a, namespace: $NAMESPACE }}\nspec: {{ size: 3 }}\n",
        plural.trim_end_matches('s').replacen('k', "K", 1)
    );
    // No cluster-scoped object is in the scope of the policy: somebody else brings the definition.
    case.declare(&object);
    case.feed(User::Admin, &["create", "-f", "-"], &definition).succeeds();
    let of_kind = format!("{plural}.example.com/a");
    case.comes_back("the object to be made once its kind is there", &of_kind, |object| object["spec"]["size"] == 3);
    case.kubectl(User::Alice, &["patch", &of_kind, "--type=merge", "-p", r#"{"spec":{"size":4}}"#]).succeeds();
    case.comes_back("it to come back", &of_kind, |object| object["spec"]["size"] == 3);
    case.kubectl(User::Admin, &["delete", "crd", &format!("{plural}.example.com")]).succeeds();
    case.feed(User::Admin, &["create", "-f", "-"], &definition).succeeds();
    case.comes_back("it to come back with its kind", &of_kind, |object| object["spec"]["size"] == 3);
}

#[test]
fn a_secret_comes_back_unseen_and_loses_what_git_drops() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: { name: key, namespace: $NAMESPACE }\nstringData: { a: hunter2, b: hunter3 }\n";
    let case = Case::new("alone");
    case.feed(User::Alice, &["create", "-f", "-"], secret).succeeds();
    case.declare(secret);
    case.kubectl(User::Alice, &["patch", "secret", "key", "-p", r#"{"stringData":{"a":"other"}}"#]).succeeds();
    case.comes_back("the Secret to come back", "secret/key", |key| key["data"]["a"] == "aHVudGVyMg==");
    let record = case.record("the record of it", |_| true).to_string();
    assert!(record.contains("data.a") && !record.contains("hunter") && !record.contains("aHVudGVy"), "{record}");
    case.declare(&secret.replace(", b: hunter3", ""));
    case.comes_back("what Git dropped to go", "secret/key", |key| key["data"]["b"].is_null());
}

#[test]
fn an_object_that_git_declares_anew_is_made_and_its_namespace_before_it() {
    let case = Case::new("alone");
    let home = format!("{}-home", case.namespace);
    let map = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: map, namespace: {home} }}\ndata: {{ a: b }}\n---\n"
    );
    let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {home} }}\n");
    case.declare(&(map + &namespace));
    case.comes_back("the ConfigMap to be made", "configmap/map", |_| {
        let answer = case.kubectl(User::Admin, &["-n", &home, "get", "configmap", "map"]);
        answer.code == 0
    });
}
