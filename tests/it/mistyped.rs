//! Is a declaration that the API server can never accept a fault of its file, and nothing else of the file? The cases are
//! data, and the API server judges each: what is called a fault it refuses by every verb, all else it takes.

use std::fs;

use landfast::yaml::{Node, documents};

use crate::equivalence::judge;
use crate::gate::{Case, DEPLOYMENT, gate};
use crate::testbed::user::User;

/// What a fault ends with, after what is wrong.
const NEVER: &str = "; the API server never accepts that, so ";

/// The faults of a manifest, each as `line: what is wrong`.
fn faults(manifest: &str) -> Vec<String> {
    let rendered = judge::file(manifest);
    assert_eq!(rendered.objects.is_empty(), !rendered.faults.is_empty(), "{:?}", rendered.faults);
    let said = rendered.faults.iter().map(|fault| {
        let (wrong, _) = fault.what.split_once(NEVER).unwrap_or_else(|| panic!("{fault}"));
        format!("{}: {wrong}", fault.line)
    });
    said.collect()
}

fn text<'n>(node: &'n Node, name: &str) -> &'n str {
    node.get(name).and_then(Node::as_str).unwrap_or_default()
}

#[test]
fn what_is_called_a_fault_is_what_the_server_refuses() {
    let mut wrong = Vec::new();
    for document in documents(&fs::read_to_string("tests/cases/mistyped.yaml").unwrap()).unwrap() {
        let good = text(&document, "manifest");
        assert_eq!(faults(good), [""; 0]);
        for case in document.get("cases").unwrap().items() {
            let (of, put) = (text(case, "of"), text(case, "put"));
            let manifest = good.replacen(of, put, 1);
            assert_ne!(manifest, good, "{of}");
            let expected: Vec<_> = text(case, "fault").split('|').filter(|fault| !fault.is_empty()).collect();
            let found = faults(&manifest);
            if found != expected {
                wrong.push(format!("{put}: we say {found:?}"));
            }
            let [created, applied] = judge::asked(&judge::read(&manifest));
            // A forced apply refuses more: fields that no schema knows.
            let fits = if expected.is_empty() { created.is_ok() } else { created.is_err() && applied.is_err() };
            if !fits {
                wrong.push(format!("{put}: the server says {created:?}, {applied:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_object_that_can_never_be_is_not_in_force_and_the_rest_is() {
    let case = Case::new("deny");
    let twin = DEPLOYMENT.replacen("name: web", "name: twin", 1);
    case.declare("object.yaml", &format!("{}---\n{twin}", DEPLOYMENT.replace("replicas: 3", "replicas: three")));
    let what = "`spec.replicas` is a string, not a whole number; the API server never accepts that, so Deployment \
                $NAMESPACE/web is not declared";
    let fault = case.manifest(&format!("$NAMESPACE/object.yaml:9: {what}"));
    gate().landfast.eventually("the fault on the status page", || {
        gate().landfast.status().to_string().contains(&fault).then_some(())
    });
    assert!(gate().landfast.log().contains(&fault));
    case.feed(User::Alice, &["create", "-f", "-"], &DEPLOYMENT.replace("replicas: 3", "replicas: 5")).succeeds();
    case.feed(User::Alice, &["create", "-f", "-"], &twin).succeeds();
    case.kubectl(User::Alice, &["scale", "deployment", "twin", "--replicas=5"])
        .fails_with(&["spec.replicas: 3 in Git"]);
    // Mended in Git, it is in force again.
    case.declare("object.yaml", DEPLOYMENT);
    case.kubectl(User::Alice, &["scale", "deployment", "web", "--replicas=4"]).fails_with(&["spec.replicas: 3 in Git"]);
}

#[test]
fn a_definition_that_changes_a_type_judges_its_resources_anew() {
    let case = Case::new("deny");
    let definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: { name: gauges.example.com }\n\
                      spec:\n  group: example.com\n  scope: Namespaced\n  names: { kind: Gauge, plural: gauges, singular: gauge }\n  \
                      versions:\n    - name: v1\n      served: true\n      storage: true\n      schema: { openAPIV3Schema: { type: object, \
                      properties: { spec: { type: object, properties: { level: { type: string } } } } } }\n";
    let gauge = "apiVersion: example.com/v1\nkind: Gauge\nmetadata: { name: fuel, namespace: $NAMESPACE }\nspec: { level: high }\n";
    let (kinds, own) = (format!("{}/kinds.yaml", case.namespace), format!("{}/gauge.yaml", case.namespace));
    gate().declare(&[(&kinds, definition), (&own, &case.manifest(gauge))]);
    let fault = format!("{own}:4: `spec.level` is a string, not a whole number");
    let is_told = || gate().landfast.status().to_string().contains(&fault);
    assert!(!is_told());
    gate().declare(&[(&kinds, &definition.replace("level: { type: string }", "level: { type: integer }"))]);
    gate().landfast.eventually("the fault of a file that did not change", || is_told().then_some(()));
    gate().declare(&[(&kinds, definition)]);
    gate().landfast.eventually("the fault to go", || (!is_told()).then_some(()));
}
