//! Rows about metadata and status: what the server owns, what tools leave, where an object lives.

use landfast::drift::schema::Schemas;
use landfast::render;

use crate::equivalence::judge::{self, Row};
use crate::support;
use crate::testbed::control_plane;
use crate::testbed::user::User;

const CLAIM: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {}
spec:
  serviceName: web
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, image: web:1 }] }
  volumeClaimTemplates:
    - metadata: { name: data }
      spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }
";

#[test]
fn row_01_a_creation_timestamp_of_null_is_absent_in_metadata_templates_and_claims() {
    let exported = CLAIM
        .replace("metadata: {}", "metadata: { creationTimestamp: null }")
        .replace("{ labels: { app: web } }", "{ creationTimestamp: null, labels: { app: web } }")
        .replace("{ name: data }", "{ creationTimestamp: null, name: data }");
    assert_eq!(exported.matches("creationTimestamp").count(), 3);
    Row::new(&exported, CLAIM).agrees();
}

#[test]
fn row_02_metadata_that_the_server_fills_is_not_compared() {
    let exported = "
apiVersion: v1
kind: ConfigMap
metadata:
  uid: 00000000-0000-0000-0000-000000000000
  resourceVersion: '1'
  generation: 7
  selfLink: /api/v1/namespaces/shop/configmaps/web
  creationTimestamp: '2020-01-01T00:00:00Z'
  managedFields: [{ manager: kubectl, operation: Update, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {} }]
data: { a: b }
";
    Row::new(exported, "{ apiVersion: v1, kind: ConfigMap, data: { a: b } }").agrees();
}

#[test]
fn row_04_a_namespace_that_git_leaves_out_is_the_sources() {
    let row = Row::new(
        "{ apiVersion: v1, kind: ConfigMap, data: { a: b } }",
        "{ apiVersion: v1, kind: ConfigMap, data: { a: b } }",
    );
    row.agrees();
    let declared = judge::rendered(&judge::read("{ apiVersion: v1, kind: ConfigMap, metadata: { name: web } }"));
    assert_eq!(declared.key.namespace(), judge::namespace());
}

#[test]
fn row_05_a_namespace_on_an_object_that_lives_in_none_is_nothing() {
    let manifest = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: row-05, namespace: elsewhere }
rules: [{ apiGroups: [''], resources: [pods], verbs: [get] }]
";
    // The server refuses it by the path alone; kubectl, which knows the scope, takes it out.
    let made =
        control_plane().kubectl_with_input(User::Admin, &["create", "-o", "json", "-f", "-"], manifest).succeeds();
    assert!(!made.stdout.contains("elsewhere"), "{made:#?}");
    let declared = judge::rendered(&judge::read(manifest));
    assert_eq!(declared.key.namespace(), "");
    assert!(!String::from_utf8_lossy(&declared.json).contains("elsewhere"));
}

#[test]
fn row_06_annotations_of_nothing_and_of_null_are_absent() {
    let live = "{ apiVersion: v1, kind: ConfigMap, data: { a: b } }";
    for (annotations, labels) in [("{}", "{}"), ("null", "null")] {
        let declared = format!(
            "{{ apiVersion: v1, kind: ConfigMap, metadata: {{ annotations: {annotations}, labels: {labels} }} }}"
        );
        Row::new(&declared, live).agrees();
        let annotated = "{ apiVersion: v1, kind: ConfigMap, metadata: { annotations: { a: b }, labels: { c: d } } }";
        Row::new(&declared, annotated).agrees();
    }
}

#[test]
fn row_07_a_kind_that_nobody_knows_declares_nothing_until_somebody_does() {
    let zone = "apiVersion: equivalence.test/v1\nkind: Zone\nmetadata: { name: north }\n";
    let scope = support::everywhere();
    let read = |schemas: &Schemas| {
        let with = render::Context { schemas, scope: &scope, default_namespace: Some("shop") };
        render::file("zone.yaml", zone.as_bytes(), with).unwrap()
    };
    let before = read(&Schemas::builtin());
    assert!(before.objects.is_empty());
    assert_eq!(before.faults[0].line, 2, "its kind is what nobody knows");
    assert!(before.unknown.contains(&("equivalence.test".to_owned(), "v1".to_owned())), "{:?}", before.unknown);
    // The definition says that it lives in no namespace: it must not get the default one.
    assert_eq!(read(judge::schemas()).objects[0].key.namespace(), "");
    Row::new(
        "{ apiVersion: equivalence.test/v1, kind: Zone, spec: { dns: a } }",
        "{ apiVersion: equivalence.test/v1, kind: Zone, spec: { dns: a } }",
    )
    .agrees();
}

#[test]
fn row_22_status_is_not_compared_in_git_nor_live() {
    let declared = "
apiVersion: apps/v1
kind: Deployment
metadata: {}
spec:
  replicas: 0
  selector: { matchLabels: { app: web } }
  template: { metadata: { labels: { app: web } }, spec: { containers: [{ name: web, image: web:1 }] } }
status: { replicas: 7, conditions: [{ type: Available, status: 'True' }] }
";
    let row = Row::new(declared, declared).patched("/status", "{ status: { collisionCount: 3 } }");
    assert_eq!(row.live()["status"]["collisionCount"], 3);
    assert_ne!(row.live()["status"]["replicas"], 7);
    row.agrees();
}

#[test]
fn row_44_what_is_put_on_a_namespace_beside_its_manifest_is_no_difference() {
    let live = "{ apiVersion: v1, kind: Namespace, metadata: { labels: { team: blue, managed: 'yes' }, annotations: { note: x } } }";
    let row = Row::new("{ apiVersion: v1, kind: Namespace, metadata: { labels: { team: blue } } }", live);
    assert!(row.live()["metadata"]["labels"]["kubernetes.io/metadata.name"].is_string(), "the server adds its own");
    row.agrees();
    let row = Row::new("{ apiVersion: v1, kind: Namespace, metadata: { labels: { team: red } } }", live);
    row.differs(&["Changed metadata.labels.team"]);
}
