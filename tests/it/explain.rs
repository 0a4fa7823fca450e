//! Does `landfast explain` say which policy governs, and why? The real binary, a real repository, no cluster.

use std::process::Command;

use serde_json::{Value, json};

use crate::gate::{DEPLOYMENT, source};
use crate::testbed::repository::Repository;

const POLICIES: &str = "\
apiVersion: landfast.dev/v1alpha1
kind: DriftPolicy
metadata: { name: baseline }
spec:
  precedence: 900
  mode: Enforce
  writers:
    - name: keda
      role: Controller
      subjects: [{ kind: ServiceAccount, namespace: keda, name: operator }]
      allow: [{ kinds: [Deployment.apps], fields: [spec.replicas] }]
---
apiVersion: landfast.dev/v1alpha1
kind: DriftPolicy
metadata: { name: shop }
spec:
  precedence: 100
  mode: Enforce
  match: { namespaces: [shop] }
  rulings: { drift: Warn, undeclaredFields: Deny }
  ignore: [{ name: old, fields: [spec.paused], reason: SHOP-1 }]
---
apiVersion: landfast.dev/v1alpha1
kind: DriftPolicy
metadata: { name: services }
spec: { precedence: 1, match: { kinds: [Service] } }
";

/// What it prints about these arguments, in words and as JSON.
fn explain(arguments: &[&str]) -> (String, Value) {
    let run = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_landfast")).arg("explain").args(arguments).args(more).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    (run(&[]), serde_json::from_str(&run(&["-o", "json"])).unwrap())
}

#[test]
fn it_says_which_policy_governs_a_field_and_why() {
    let repository = Repository::new();
    repository.commit(&[("web.yaml", &DEPLOYMENT.replace("$NAMESPACE", "shop"))], "Declare");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, source("shop", &repository, "1h", "[shop]") + POLICIES).unwrap();
    let config = config.to_str().unwrap();
    let about = |field: &str| explain(&["--config", config, "Deployment.apps", "shop/web", field]);

    let (text, json) = about("spec.replicas");
    for part in [
        "Deployment.apps shop/web\n  declared by web.yaml:1 of GitSource shop\n",
        "3 in Git, web.yaml:",
        "written at ",
        "declared: a change is ruled Warn, by shop, mode Enforce",
        "baseline/keda may move it",
        "system:serviceaccount:kube-system:horizontal-pod-autoscaler may move it, as its work",
        "derivedObjects: Allow",
        "1 services does not match: it names other kinds",
        "100 shop governs",
        "900 baseline adds its writers and ignore",
        "Controller keda (service account keda/operator) may move spec.replicas",
        "ignores spec.paused: SHOP-1 (old)",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert_eq!(json["field"]["movers"], json!(["baseline/keda"]));
    assert_eq!(json["written"]["commit"], json!(repository.head()));
    let standings: Vec<&Value> = json["policies"].as_array().unwrap().iter().map(|policy| &policy["policy"]).collect();
    assert_eq!(standings, ["services", "shop", "baseline"]);

    for (field, rule) in [
        ("spec.paused", "ignored: whoever changes it is let in"),
        ("spec.minReadySeconds", "not declared: a change by a person is ruled Deny, by shop, mode Enforce"),
        (r#"metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]"#, "nobody's drift"),
    ] {
        assert!(about(field).0.contains(rule), "{}", about(field).0);
    }
    let (text, json) = explain(&["--config", config, "ConfigMap", "bank/x", "data.a"]);
    assert!(
        text.contains("not declared in Git")
            && text.contains(
                "its object is not declared: in a source's scope a write by a person is ruled Allow, by baseline"
            ),
        "{text}"
    );
    assert_eq!(json["declared"], Value::Null);
}

#[test]
fn the_shipped_lists_are_printed() {
    let (text, json) = explain(&["--defaults"]);
    for part in ["restartedAt", "where it grows", "helm.sh/hook: any value", "any kind"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(json["bookkeeping"].as_array().is_some_and(|table| table.len() > 2), "{json}");
}
