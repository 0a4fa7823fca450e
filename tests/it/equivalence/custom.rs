//! Rows about custom resources: defaults of a schema, what it does not say, and lists and objects that it leaves open.

use landfast::drift::exceptions::Exception;
use landfast::drift::schema::Meaning;

use crate::equivalence::judge::Row;

fn shop(spec: &str) -> String {
    format!("{{ apiVersion: landfast.test/v1, kind: Shop, spec: {{ {spec} }} }}")
}

fn application(spec: &str) -> String {
    format!("{{ apiVersion: argoproj.io/v1alpha1, kind: Application, spec: {{ {spec} }} }}")
}

/// Both are the same to whoever reads them; the server keeps each as it was written.
#[track_caller]
fn are_equal_by_meaning_alone(meaning: Meaning, declared: &str, live: &str, path: &str) {
    assert!(Exception::of(meaning).is_some(), "it stands in the closed table");
    let row = Row::new(declared, live);
    let changed: Vec<_> = row.server().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!((changed, row.engine()), (vec![path.to_owned()], Vec::new()));
}

#[test]
fn row_12_defaults_of_a_schema_may_be_left_out_or_spelled_out() {
    let defaults = "size: 1, defaulted: { depth: 3, width: 2 }";
    Row::new(&shop("title: x"), &shop(&format!("title: x, {defaults}"))).agrees();
    Row::new(&shop(defaults), &shop("title: x")).agrees();
    Row::new(
        &shop("steps: [{ run: a }], peer: { name: x }"),
        &shop("steps: [{ run: a, timeout: 10 }], peer: { name: x, weight: 7 }"),
    )
    .agrees();
    Row::new(&shop("size: 2"), &shop("")).differs(&["Changed spec.size"]);
    Row::new(&shop("steps: [{ run: a }]"), &shop("steps: [{ run: a, timeout: 11 }]")).differs(&["Changed spec.steps"]);
}

#[test]
fn row_14_quantities_of_custom_resources_are_equal_by_meaning() {
    for (declared, live) in [("1000m", "'1'"), ("'0.1'", "100m"), ("3072Mi", "3Gi"), ("3072", "'3072'")] {
        let (declared, live) = (shop(&format!("memory: {declared}")), shop(&format!("memory: {live}")));
        are_equal_by_meaning_alone(Meaning::CustomQuantity, &declared, &live, "spec.memory");
    }
    Row::new(&shop("memory: 1Gi"), &shop("memory: 1G")).differs(&["Changed spec.memory"]);
}

#[test]
fn row_15_durations_of_custom_resources_are_equal_by_meaning_where_the_schema_says_so() {
    let (declared, live) = (shop("lease: 8760h"), shop("lease: 8760h0m0s"));
    are_equal_by_meaning_alone(Meaning::Duration, &declared, &live, "spec.lease");
    // A string of no format is text, whatever it looks like.
    Row::new(&shop("title: 8760h"), &shop("title: 8760h0m0s")).differs(&["Changed spec.title"]);
}

#[test]
fn row_16_a_pod_inside_a_custom_resource_is_compared_by_its_own_keys() {
    let rollout = |container: &str, more: &str| {
        format!(
            "{{ apiVersion: equivalence.test/v1, kind: Rollout, spec: {{ template: {{ spec: {{ containers: [\
             {{ name: web, image: 'web:1', {container} }}{more}] }} }} }} }}"
        )
    };
    let ports = "ports: [{ containerPort: 53, name: a }, { containerPort: 53, protocol: UDP, name: b }]";
    let more = ", { name: side, image: 'side:1' }";
    Row::new(&rollout(ports, ""), &rollout(&ports.replace("53, name", "53, protocol: TCP, name"), more)).agrees();
    let probe = |port: &str| rollout(&format!("livenessProbe: {{ httpGet: {{ port: {port} }} }}"), "");
    Row::new(&probe("80"), &probe("80")).agrees();
    Row::new(&probe("80"), &probe("'80'"))
        .differs(&["Changed spec.template.spec.containers[name=web].livenessProbe.httpGet.port"]);
    let limits = |cpu: &str| rollout(&format!("resources: {{ limits: {{ cpu: {cpu} }} }}"), more);
    are_equal_by_meaning_alone(
        Meaning::CustomQuantity,
        &limits("1000m"),
        &limits("1"),
        "spec.template.spec.containers[name=web].resources.limits.cpu",
    );
    Row::new(&rollout(ports, ""), &rollout(&ports.replace("name: b", "name: c"), more))
        .differs(&["Changed spec.template.spec.containers[name=web].ports[containerPort=53,protocol=UDP].name"]);
}

#[test]
fn row_26_a_list_without_keys_is_one_value_an_item_at_its_end_included() {
    Row::new(&shop("args: [a, b]"), &shop("args: [a, b]")).agrees();
    for live in ["args: [a, b, c]", "args: [a]", "args: [b, a]", "args: []", ""] {
        let expected = if live.is_empty() { "Missing spec.args" } else { "Changed spec.args" };
        Row::new(&shop("args: [a, b]"), &shop(live)).differs(&[expected]);
    }
    Row::new(&shop("tags: [a, b]"), &shop("tags: [a, c, b]")).agrees();
    Row::new(&shop("tags: [a, b]"), &shop("tags: [b, c, a]")).differs(&["Reordered spec.tags"]);
}

#[test]
fn row_28_where_unknown_fields_are_kept_only_declared_leaves_count() {
    Row::new(&shop("free: { a: { b: 1 } }"), &shop("free: { a: { b: 1, c: 2 }, d: [1] }")).agrees();
    Row::new(&shop("free: { a: { b: 1 } }"), &shop("free: { a: { b: 2, c: 2 } }")).differs(&["Changed spec.free.a.b"]);
    Row::new(&shop("free: { a: [1, 2] }"), &shop("free: { a: [1, 2, 3] }")).differs(&["Changed spec.free.a"]);
    Row::new(&shop("free: { a: { b: {} } }"), &shop("free: { a: { b: { c: 1 } } }")).agrees();
}

#[test]
fn row_29_nothing_is_absence_only_where_the_server_makes_it_so() {
    let pod = |spec: &str| {
        format!("{{ apiVersion: v1, kind: Pod, spec: {{ containers: [{{ name: web, image: 'web:1', {spec} }}] }} }}")
    };
    Row::new(&pod("resources: {}"), &pod("")).agrees();
    Row::new(&pod(""), &pod("resources: {}")).agrees();
    Row::new(&application("source: { repoURL: a, helm: {} }"), &application("source: { repoURL: a }"))
        .differs(&["Missing spec.source.helm"]);
    Row::new(
        &application("syncPolicy: { automated: { allowEmpty: false } }"),
        &application("syncPolicy: { automated: { prune: true } }"),
    )
    .differs(&["Missing spec.syncPolicy.automated.allowEmpty"]);
    let policy = |ingress: &str| {
        format!(
            "{{ apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spec: {{ podSelector: {{}}, ingress: [{ingress}] }} }}"
        )
    };
    Row::new(&policy("{ from: [{ podSelector: {} }] }"), &policy("{ from: [{ podSelector: {} }] }")).agrees();
    Row::new(&policy("{ from: [{ podSelector: {} }] }"), &policy("{}")).differs(&["Changed spec.ingress"]);
}

#[test]
fn row_31_a_declared_null_means_what_the_server_makes_of_it() {
    let deployment = |spec: &str| {
        format!(
            "{{ apiVersion: apps/v1, kind: Deployment, spec: {{ {spec} selector: {{ matchLabels: {{ app: web }} }}, template: {{ metadata: \
             {{ labels: {{ app: web }} }}, spec: {{ containers: [{{ name: web, image: 'web:1' }}] }} }} }} }}"
        )
    };
    Row::new(&deployment("replicas: null,"), &deployment("replicas: 5,")).differs(&["Changed spec.replicas"]);
    Row::new(&deployment("replicas: null,"), &deployment("replicas: 1,")).agrees();
    let service =
        |selector: &str| format!("{{ apiVersion: v1, kind: Service, spec: {{ {selector} ports: [{{ port: 80 }}] }} }}");
    Row::new(&service("selector: null,"), &service("selector: { app: web },")).differs(&["Changed spec.selector"]);
    let map = |data: &str| format!("{{ apiVersion: v1, kind: ConfigMap, data: {data} }}");
    Row::new(&map("{ k: null }"), &map("{ k: '' }")).agrees();
    Row::new(&map("{ k: null }"), &map("{ k: x }")).differs(&["Changed data.k"]);
    Row::new(&map("null"), &map("{ k: x }")).agrees();
    Row::new(&shop("note: null, size: null"), &shop("note: null, size: 1")).agrees();
    Row::new(&shop("note: null, size: null"), &shop("note: x, size: 2"))
        .differs(&["Changed spec.note", "Changed spec.size"]);
}

#[test]
fn row_50_fields_that_a_policy_engine_adds_beside_declared_ones_are_no_difference() {
    // As Kyverno defaults its policies: members beside those that were written. Inside an atomic list they are a difference
    // as long as the server form is not known.
    let written = "free: { background: true, rules: { check: { match: a } } }";
    let defaulted = "free: { background: true, admission: true, rules: { check: { match: a, skip: false }, autogen-check: { match: b } } }";
    Row::new(&shop(written), &shop(defaulted)).agrees();
    Row::new(&shop("free: { rules: [{ match: a }] }"), &shop("free: { rules: [{ match: a, skip: false }] }"))
        .differs(&["Changed spec.free.rules"]);
}
