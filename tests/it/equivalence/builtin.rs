//! Rows about built-in kinds: defaults, zero values, quantities, lists by key, versions, and what the server refuses.

use landfast::drift::compare::{Typing, compare};
use landfast::drift::document::Document;

use crate::equivalence::judge::{Row, namespace, read, schemas};
use crate::testbed::user::User;
use crate::testbed::{control_plane, eventually};

/// A Deployment of one container; both are YAML in braces, without the braces.
fn deployment(spec: &str, container: &str) -> String {
    format!(
        "{{ apiVersion: apps/v1, kind: Deployment, spec: {{ selector: {{ matchLabels: {{ app: web }} }}, replicas: 0, {spec} template: {{ \
         metadata: {{ labels: {{ app: web }} }}, spec: {{ containers: [{{ name: web, image: 'web:1', {container} }}] }} }} }} }}"
    )
}

#[test]
fn row_08_a_number_is_equal_as_a_number_and_the_order_of_members_is_nothing() {
    let one = "{ apiVersion: v1, kind: ConfigMap, metadata: { labels: { a: b, c: d } }, data: { x: '1', y: '2' } }";
    let other = "{ kind: ConfigMap, data: { y: '2', x: '1' }, metadata: { labels: { c: d, a: b } }, apiVersion: v1 }";
    Row::new(one, other).agrees();
    // kubectl sends `3.0` as 3.
    let three = deployment("", "").replace("replicas: 0", "replicas: 3.0");
    Row::new(&three, &three.replace("3.0", "3")).agrees();
    Row::new(&three, &three.replace("3.0", "2")).differs(&["Changed spec.replicas"]);
    let ratio = |ratio: &str| format!("{{ apiVersion: landfast.test/v1, kind: Shop, spec: {{ ratio: {ratio} }} }}");
    Row::new(&ratio("1.0"), &ratio("1")).agrees();
}

#[test]
fn row_09_zero_values_that_go_omits_are_absent() {
    let zeros = "
apiVersion: apps/v1
kind: Deployment
spec:
  paused: false
  minReadySeconds: 0
  selector: { matchLabels: { app: web }, matchExpressions: [] }
  template:
    metadata: { labels: { app: web }, annotations: {} }
    spec:
      hostNetwork: false
      nodeSelector: {}
      tolerations: []
      serviceAccountName: ''
      securityContext: {}
      containers: [{ name: web, image: 'web:1', stdin: false, env: [], args: [], workingDir: '', resources: { limits: {} } }]
";
    Row::new(zeros, &deployment("", "")).agrees();
    // Where Go has a pointer, a zero is a value.
    let pointers = deployment("revisionHistoryLimit: 0,", "securityContext: { runAsUser: 0, privileged: false }");
    Row::new(&pointers, &deployment("", "")).differs(&[
        "Changed spec.revisionHistoryLimit",
        "Missing spec.template.spec.containers[name=web].securityContext.privileged",
        "Missing spec.template.spec.containers[name=web].securityContext.runAsUser",
    ]);
}

#[test]
fn row_10_a_field_that_the_server_drops_is_no_difference() {
    let typo = deployment("replcas: 3,", "imagePullpolicy: Always");
    let row = Row::new(&typo, &typo);
    assert!(!row.live().to_string().contains("replcas"), "the server drops it");
    // An apply that names it has no answer; a create has one: the object is as if nobody had said it.
    row.is_refused(500, &[]);
}

#[test]
fn row_11_what_the_server_fills_in_may_be_left_out_or_spelled_out() {
    let bare = deployment("", "ports: [{ containerPort: 80 }], livenessProbe: { httpGet: { port: 80 } }");
    let spelled = deployment(
        "revisionHistoryLimit: 10, progressDeadlineSeconds: 600, strategy: { type: RollingUpdate, rollingUpdate: { maxSurge: 25%, maxUnavailable: 25% } },",
        "imagePullPolicy: IfNotPresent, terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File, \
         ports: [{ containerPort: 80, protocol: TCP }], \
         livenessProbe: { httpGet: { port: 80, path: /, scheme: HTTP }, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 }",
    );
    Row::new(&bare, &spelled).agrees();
    Row::new(&spelled, &bare).agrees();
    let service = |more: &str| {
        format!("{{ apiVersion: v1, kind: Service, spec: {{ selector: {{ a: b }}, {more} ports: [{{ port: 80 }}] }} }}")
    };
    Row::new(&service("type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster,"), &service(""))
        .agrees();
    Row::new(&service(""), &service("sessionAffinity: None,")).agrees();
}

#[test]
fn row_13_quantities_are_equal_as_the_server_writes_them() {
    let limits = |limits: &str| deployment("", &format!("resources: {{ limits: {{ {limits} }} }}"));
    let written = limits("cpu: 1000m, memory: 3072Mi, example.com/a: 3072, ephemeral-storage: 1e3");
    let row = Row::new(&written, &limits("cpu: '1', memory: 3Gi, example.com/a: '3072', ephemeral-storage: 1e3"));
    row.agrees();
    let row = Row::new(&limits("cpu: 0.1"), &limits("cpu: 100m"));
    assert_eq!(row.live()["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"], "100m");
    row.agrees();
    Row::new(&limits("cpu: 0.1"), &limits("cpu: 101m"))
        .differs(&["Changed spec.template.spec.containers[name=web].resources.limits.cpu"]);
}

/// A StatefulSet with a claim that asks for this.
fn stateful_set(claim: &str) -> String {
    format!(
        "{{ apiVersion: apps/v1, kind: StatefulSet, spec: {{ serviceName: web, replicas: 0, selector: {{ matchLabels: {{ app: web }} }}, \
         template: {{ metadata: {{ labels: {{ app: web }} }}, spec: {{ containers: [{{ name: web, image: 'web:1' }}] }} }}, \
         volumeClaimTemplates: [{{ metadata: {{ name: data }}, {claim} }}] }} }}"
    )
}

#[test]
fn row_20_rules_of_nothing_are_rules_of_null() {
    let role =
        |rules: &str| format!("{{ apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{}}, {rules} }}");
    for declared in ["rules: []", "rules: null", ""] {
        for live in ["rules: []", "rules: null", ""] {
            Row::new(&role(declared), &role(live)).agrees();
        }
    }
    let get = "rules: [{ apiGroups: [''], resources: [pods], verbs: [get] }]";
    Row::new(&role("rules: []"), &role(get)).differs(&["Changed rules"]);
    Row::new(&role("rules: null"), &role(get)).differs(&["Changed rules"]);
}

#[test]
fn row_23_subsets_of_endpoints_are_compared_as_they_stand_with_their_default_protocol() {
    let endpoints = |addresses: &str, port: &str| {
        format!(
            "{{ apiVersion: v1, kind: Endpoints, subsets: [{{ addresses: [{addresses}], ports: [{{ port: 80{port} }}] }}] }}"
        )
    };
    let sorted = endpoints("{ ip: 10.1.0.1 }, { ip: 10.1.0.2 }", "");
    Row::new(&sorted, &endpoints("{ ip: 10.1.0.1 }, { ip: 10.1.0.2 }", ", protocol: TCP")).agrees();
    let unsorted = endpoints("{ ip: 10.1.0.2 }, { ip: 10.1.0.1 }", "");
    Row::new(&unsorted, &unsorted).agrees();
    Row::new(&unsorted, &sorted).differs(&["Changed subsets"]);
}

#[test]
fn row_24_a_claim_template_may_leave_out_what_the_server_fills_in() {
    let bare = stateful_set("spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1024Mi } } }");
    let spelled = stateful_set(
        "apiVersion: v1, kind: PersistentVolumeClaim, status: { phase: Pending }, \
         spec: { accessModes: [ReadWriteOnce], volumeMode: Filesystem, resources: { requests: { storage: 1Gi } } }",
    );
    Row::new(&bare, &spelled).agrees();
    Row::new(&spelled, &bare).agrees();
    // Claims cannot change at all: the server has no answer, the engine sees it.
    Row::new(&bare, &bare.replace("1024Mi", "2Gi")).is_refused(422, &["Changed spec.volumeClaimTemplates"]);
}

#[test]
fn row_25_items_are_found_by_key_and_their_own_order_counts() {
    let env = |names: &str| deployment("", &format!("env: [{names}]"));
    let [a, b, x] = ["{ name: A, value: a }", "{ name: B, value: b }", "{ name: X, value: x }"];
    Row::new(&env(&format!("{a}, {b}")), &env(&format!("{a}, {x}, {b}"))).agrees();
    Row::new(&env(&format!("{a}, {b}")), &env(&format!("{b}, {x}, {a}")))
        .differs(&["Reordered spec.template.spec.containers[name=web].env"]);
}

#[test]
fn row_27_items_of_two_keys_are_found_by_both_the_missing_one_by_its_default() {
    let ports = |ports: &str| deployment("", &format!("ports: [{ports}]"));
    let live = ports("{ containerPort: 53, protocol: UDP, name: b }, { containerPort: 53, protocol: TCP, name: a }");
    Row::new(&ports("{ containerPort: 53, name: a }"), &live).agrees();
    Row::new(&ports("{ containerPort: 53, protocol: UDP, name: c }"), &live)
        .differs(&["Changed spec.template.spec.containers[name=web].ports[containerPort=53,protocol=UDP].name"]);
    Row::new(&ports("{ containerPort: 53, protocol: SCTP }"), &live)
        .differs(&["Missing spec.template.spec.containers[name=web].ports[containerPort=53,protocol=SCTP]"]);
}

#[test]
fn row_35_metrics_of_an_autoscaler_keep_the_order_they_were_written_in() {
    let resource = |name: &str| {
        format!(
            "{{ type: Resource, resource: {{ name: {name}, target: {{ type: Utilization, averageUtilization: 60 }} }} }}"
        )
    };
    let autoscaler = |metrics: &str| {
        format!(
            "{{ apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, spec: {{ maxReplicas: 3, metrics: [{metrics}], \
             scaleTargetRef: {{ apiVersion: apps/v1, kind: Deployment, name: nobody }} }} }}"
        )
    };
    let (cpu, memory) = (resource("cpu"), resource("memory"));
    let [one, other] = [format!("{cpu}, {memory}"), format!("{memory}, {cpu}")].map(|metrics| autoscaler(&metrics));
    Row::new(&one, &one).agrees();
    Row::new(&other, &other).agrees();
    Row::new(&one, &other).differs(&["Changed spec.metrics"]);
}

#[test]
fn row_36_an_object_written_in_another_version_is_compared_in_the_declared_one() {
    let target = "scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: nobody }";
    let old = format!(
        "{{ apiVersion: autoscaling/v1, kind: HorizontalPodAutoscaler, spec: {{ maxReplicas: 3, targetCPUUtilizationPercentage: 60, {target} }} }}"
    );
    let new = format!(
        "{{ apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, spec: {{ maxReplicas: 3, {target}, metrics: \
         [{{ type: Resource, resource: {{ name: cpu, target: {{ type: Utilization, averageUtilization: 60 }} }} }}] }} }}"
    );
    Row::new(&old, &new).agrees();
    Row::new(&new, &old).agrees();
    Row::new(&old, &new.replace("60", "70")).differs(&["Changed spec.targetCPUUtilizationPercentage"]);
}

#[test]
fn row_51_where_the_server_refuses_an_immutable_field_the_engine_still_sees_it() {
    let live = deployment("", "");
    let declared = live.replace("app: web", "app: shop");
    Row::new(&declared, &live).is_refused(422, &["Changed spec.selector", "Changed spec.template.metadata.labels.app"]);
    let service = |address: &str| {
        format!("{{ apiVersion: v1, kind: Service, spec: {{ clusterIP: {address}, ports: [{{ port: 80 }}] }} }}")
    };
    Row::new(&service("10.0.0.77"), &service("10.0.0.78")).is_refused(422, &["Changed spec.clusterIP"]);
}

#[test]
fn row_52_no_other_webhook_is_needed_for_an_answer() {
    let (declared, live) = (deployment("", "command: [a]"), deployment("", "command: [b]"));
    let row = Row::new(&declared, &live);
    let dead = format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {{ name: row-52 }}\nwebhooks:\n  \
         - name: dead.equivalence.test\n    clientConfig: {{ url: 'https://127.0.0.1:1/' }}\n    sideEffects: None\n    \
         admissionReviewVersions: [v1]\n    failurePolicy: Fail\n    \
         namespaceSelector: {{ matchLabels: {{ kubernetes.io/metadata.name: {} }} }}\n    \
         objectSelector: {{ matchLabels: {{ row: '52' }} }}\n    \
         rules: [{{ apiGroups: [apps], apiVersions: [v1], resources: [deployments], operations: [UPDATE] }}]\n",
        namespace()
    );
    let row = row.patched("", "{ metadata: { labels: { row: '52' } } }");
    control_plane().kubectl_with_input(User::Admin, &["apply", "-f", "-"], &dead).succeeds();
    eventually("the server to have no answer", || row.server().err().filter(|refusal| refusal.code == 500));
    assert_eq!(row.engine(), ["Changed spec.template.spec.containers[name=web].command"]);
    control_plane().kubectl(User::Admin, &["delete", "mutatingwebhookconfiguration", "row-52"]).succeeds();
}

#[test]
fn row_53_an_object_of_any_form_gets_an_answer() {
    let declared = read(&deployment(
        "strategy: { type: Recreate },",
        "ports: [{ containerPort: 80 }], resources: { limits: { cpu: 1 } }",
    ));
    let forms = ["null", "0", "true", "''", "x", "[]", "{}", "[null]", "[[]]", "[{}]", "{ a: null }", "1e400", "-0.0"];
    let text = declared.to_string();
    let schemas = schemas();
    let mut met = 0;
    for (group, version, kind) in
        [("apps", "v1", "Deployment"), ("", "v1", "Service"), ("landfast.test", "v1", "Shop"), ("x", "v1", "Nobody")]
    {
        let typing = Typing::of(schemas, group, version, kind);
        for form in forms.map(read_any) {
            for place in places(&declared) {
                let mut broken = declared.clone();
                *broken.pointer_mut(&place).unwrap() = form.clone();
                let broken = broken.to_string();
                let (Ok(one), Ok(other)) = (Document::parse(text.as_bytes()), Document::parse(broken.as_bytes()))
                else {
                    continue;
                };
                let differences = compare(typing, &one, &other);
                let back = compare(typing, &other, &one);
                met += usize::from(!differences.is_empty() || !back.is_empty());
            }
        }
    }
    assert!(met > 500, "{met}");
}

fn read_any(form: &str) -> serde_json::Value {
    read(&format!("{{ form: {form} }}"))["form"].take()
}

/// Every place in a value, as JSON pointers.
fn places(value: &serde_json::Value) -> Vec<String> {
    let within = |name: String, value: &serde_json::Value| {
        places(value).into_iter().map(move |place| format!("/{name}{place}")).collect::<Vec<_>>()
    };
    let mut found = vec![String::new()];
    match value {
        serde_json::Value::Object(members) => {
            found.extend(members.iter().flat_map(|(name, value)| within(name.clone(), value)));
        }
        serde_json::Value::Array(items) => {
            found.extend(items.iter().enumerate().flat_map(|(at, value)| within(at.to_string(), value)));
        }
        _ => {}
    }
    found
}
