//! Rows about who writes: controllers and injectors, hooks, what is left behind, and another name of the same object.

use jiff::Timestamp;
use landfast::gate::decide;
use landfast::gate::facts::Facts;
use landfast::gate::write::Write;
use landfast::render;
use serde_json::{Value, json};

use crate::cases::{basis, decided};
use crate::equivalence::judge::{self, Row};
use crate::support;
use crate::testbed::control_plane;
use crate::testbed::user::User;

fn role(metadata: &str, rules: &str) -> String {
    format!("{{ apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {{ {metadata} }}, {rules} }}")
}

#[test]
fn row_21_rules_that_the_control_plane_puts_together_are_nobodys_difference() {
    let aggregated = "aggregationRule: { clusterRoleSelectors: [{ matchLabels: { row: '21' } }] }";
    let part = role(
        "name: row-21-part, labels: { row: '21' }",
        "rules: [{ apiGroups: [''], resources: [pods], verbs: [get] }]",
    );
    control_plane().kubectl_with_input(User::Admin, &["create", "-f", "-"], &part).succeeds();
    let declared = role("", &format!("{aggregated}, rules: []"));
    let row = Row::new(&declared, &declared).once("the control plane to put the rules together", |live| {
        live["rules"].as_array().is_some_and(|rules| !rules.is_empty())
    });
    assert_eq!(row.server().unwrap().len(), 1, "a forced apply would empty them");
    let named = |rules: &str| role("name: row", &format!("{aggregated}, {rules}"));
    let case = |declared: &str, writer: &str| {
        format!(
            "declared: |\n  {declared}\nlive: |\n  {}\nchange: {{ rules: [{{ apiGroups: [''], resources: [pods], verbs: [get] }}] }}\nwriter: {writer}\n",
            named("rules: []"),
        )
    };
    let controller = "system:serviceaccount:kube-system:clusterrole-aggregation-controller";
    assert!(decided(&case(&named("rules: []"), controller)).verdict.allowed());
    assert!(decided(&case(&named("rules: []"), "alice")).verdict.allowed());
    assert!(
        !decided(&case(&role("name: row", "rules: []"), "alice")).verdict.allowed(),
        "without a rule to aggregate by"
    );
}

#[test]
fn row_32_what_is_injected_beside_declared_items_is_no_difference() {
    let pod = |containers: &str, more: &str| {
        format!("{{ apiVersion: v1, kind: Pod, spec: {{ containers: [{containers}]{more} }} }}")
    };
    let own = "{ name: web, image: 'web:1', env: [{ name: A, value: a }, { name: B, value: b }] }";
    let injected = "{ name: mesh, image: 'mesh:1' }, { name: web, image: 'web:1', env: [{ name: A, value: a }, { name: MESH, value: x }, { name: B, value: b }], \
                    volumeMounts: [{ name: mesh, mountPath: /mesh }] }";
    let row = Row::new(
        &pod(own, ""),
        &pod(injected, ", volumes: [{ name: mesh, emptyDir: {} }], initContainers: [{ name: init, image: 'init:1' }]"),
    );
    row.agrees();
    // A rewritten image is a difference as long as the server form is not known.
    Row::new(&pod(own, ""), &pod(&own.replace("web:1", "mirror/web:1"), ""))
        .differs(&["Changed spec.containers[name=web].image"]);
}

#[test]
fn row_33_what_an_injector_writes_on_webhooks_is_no_difference() {
    let webhooks = |config: &str, more: &str| {
        format!(
            "{{ apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {{ name: row-33 }}, webhooks: [{{ \
             name: a.equivalence.test, sideEffects: None, admissionReviewVersions: [v1], clientConfig: {{ url: 'https://127.0.0.1:1/'{config} }}, \
             rules: [{{ apiGroups: [equivalence.test], apiVersions: [v1], resources: [nothings], operations: [CREATE] }}]{more} }}] }}"
        )
    };
    let bundle = ", caBundle: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==";
    let live = webhooks(
        "",
        ", failurePolicy: Fail, matchPolicy: Equivalent, timeoutSeconds: 10, namespaceSelector: {}, objectSelector: {}",
    );
    let row = Row::new(&webhooks("", ""), &live);
    row.agrees();
    control_plane().kubectl(User::Admin, &["delete", "validatingwebhookconfiguration", "row-33"]).succeeds();
    for left_open in ["", ", caBundle: ''", ", caBundle: Cg=="] {
        let case = |live: &str| {
            let change = format!("{{ webhooks: [{}] }}", item(live));
            format!("declared: |\n  {}\nlive: |\n  {}\nchange: {change}\n", webhooks(left_open, ""), webhooks("", ""))
        };
        assert!(decided(&case(&webhooks(bundle, ""))).verdict.allowed(), "{left_open}");
        assert!(
            !decided(&case(&webhooks(bundle, ", failurePolicy: Ignore").replace("None", "NoneOnDryRun")))
                .verdict
                .allowed()
        );
    }
    let pinned = webhooks(", caBundle: YQ==", "");
    let change = format!("{{ webhooks: [{}] }}", item(&webhooks(bundle, "")));
    let case = format!("declared: |\n  {pinned}\nlive: |\n  {pinned}\nchange: {change}\n");
    assert!(!decided(&case).verdict.allowed(), "one that Git declares is declared");
}

/// The first webhook of a configuration, as JSON.
fn item(configuration: &str) -> Value {
    judge::read(configuration)["webhooks"][0].clone()
}

const SCALED: &str = "
declared: |
  apiVersion: apps/v1
  kind: Deployment
  metadata: { name: web, namespace: shop }
  spec:
    replicas: 3
    selector: { matchLabels: { app: web } }
    template: { metadata: { labels: { app: web } }, spec: { containers: [{ name: web, image: 'web:1' }] } }
change: { spec: { replicas: 5 } }
";

#[test]
fn row_34_an_autoscaler_may_move_replicas() {
    let autoscaler = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";
    assert!(decided(&format!("{SCALED}writer: {autoscaler}\n")).verdict.allowed());
    assert!(!decided(&format!("{SCALED}writer: alice\n")).verdict.allowed());
    let open = SCALED.replace("    replicas: 3\n", "");
    assert!(decided(&format!("{open}writer: alice\n")).verdict.allowed(), "Git may leave them open");
    let deployment = |replicas: &str| {
        format!(
            "{{ apiVersion: apps/v1, kind: Deployment, spec: {{ {replicas} selector: {{ matchLabels: {{ app: web }} }}, template: {{ \
             metadata: {{ labels: {{ app: web }} }}, spec: {{ containers: [{{ name: web, image: 'web:1' }}] }} }} }} }}"
        )
    };
    Row::new(&deployment(""), &deployment("replicas: 5,")).agrees();
}

#[test]
fn row_37_one_object_of_two_groups_is_judged_as_the_group_it_is_asked_by() {
    // With matchPolicy Equivalent the API server converts to the group that the webhook's rule names: that is the declared one.
    let object = |value: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "web", "namespace": "shop" }, "data": { "a": value } });
    let review = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u", "operation": "UPDATE", "name": "web", "namespace": "shop",
        "kind": { "group": "", "version": "v1", "kind": "ConfigMap" },
        "resource": { "group": "", "version": "v1", "resource": "configmaps" },
        "requestKind": { "group": "equivalence.test", "version": "v7", "kind": "OldMap" },
        "requestResource": { "group": "equivalence.test", "version": "v7", "resource": "oldmaps" },
        "userInfo": { "username": "alice" }, "object": object("c"), "oldObject": object("b"),
    }})
    .to_string();
    let write = Write::parse(review.as_bytes()).unwrap();
    let basis = basis(&json!({ "declared": object("b").to_string() }));
    let outcome = decide(&write, &basis, &Facts::default(), Timestamp::UNIX_EPOCH);
    assert!(!outcome.verdict.allowed(), "{:?}", outcome.verdict);
}

#[test]
fn row_42_hooks_are_never_declared_state() {
    let hooks = [
        "argocd.argoproj.io/hook: PreSync",
        "argocd.argoproj.io/hook: Skip",
        "argocd.argoproj.io/hook: PostDelete",
        "helm.sh/hook: test",
    ];
    let scope = support::everywhere();
    let with = render::Context { schemas: judge::schemas(), scope: &scope, default_namespace: Some("shop") };
    for hook in hooks {
        let job = format!(
            "{{ apiVersion: batch/v1, kind: Job, metadata: {{ name: migrate, annotations: {{ {hook} }} }}, spec: {{}} }}"
        );
        let rendered = render::file("job.yaml", job.as_bytes(), with).unwrap();
        assert!(rendered.objects.is_empty() && rendered.faults.is_empty(), "{hook}: {rendered:?}");
        let bare = render::file("job.yaml", job.replace(hook, "a.b/c: d").as_bytes(), with).unwrap();
        assert_eq!(bare.objects.len(), 1);
    }
}

#[test]
fn row_43_a_generated_object_that_git_no_longer_names_may_go() {
    let generated = |hash: &str| {
        format!(
            "{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: flags-{hash}, namespace: shop }}, data: {{ a: b }} }}"
        )
    };
    let case = |live: &str| format!("declared: |\n  {}\nlive: |\n  {live}\noperation: DELETE\n", generated("new"));
    assert!(decided(&case(&generated("old"))).verdict.allowed());
    assert!(!decided(&case(&generated("new"))).verdict.allowed());
}

#[test]
fn row_45_what_a_declared_object_makes_is_not_declared() {
    let set = "{ apiVersion: apps/v1, kind: ReplicaSet, metadata: { name: web-7c9, namespace: shop, ownerReferences: [{ apiVersion: apps/v1, \
               kind: Deployment, name: web, uid: u, controller: true }] }, spec: { replicas: 3 } }";
    let declared = SCALED.split("change:").next().unwrap();
    for (operation, change) in [("CREATE", ""), ("UPDATE", "change: { spec: { replicas: 5 } }"), ("DELETE", "")] {
        let writer = "system:serviceaccount:kube-system:deployment-controller";
        let case = format!("{declared}live: |\n  {set}\noperation: {operation}\nwriter: {writer}\n{change}\n");
        let verdict = decided(&case).verdict;
        assert!(verdict.allowed() && verdict.fields.is_empty(), "{operation}: {verdict:?}");
    }
}
