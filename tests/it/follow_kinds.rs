//! Which kinds are known, once Git declares them? Definitions and their uses, in any order of files and sources.

use landfast::drift::declared::ObjectKey;
use landfast::follow::Refreshed;

use crate::follow::{declaring, following};
use crate::git::source;
use crate::testbed::repository::Repository;

const CRD: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  names: {kind: Widget, plural: widgets}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

#[tokio::test]
async fn a_kind_is_known_once_any_source_declares_it() {
    let (one, two) = (declaring(), Repository::new());
    // It comes before its definition, in the order of files and of sources.
    let widget = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n";
    one.commit(&[("a-widget.yaml", widget)], "Use it");
    two.commit(&[("crd.yaml", CRD)], "Define it");
    let following = following(vec![source("a", &one.url()), source("b", &two.url())]).await;
    let widget = ObjectKey::new("example.com", "Widget", "shop", "w");
    following.until(|status| status.iter().all(|source| source.fault_count == 0)).await;
    assert!(following.basis().index.objects[&widget].head.is_some());
    assert!(following.basis().schemas.kind("example.com", "Widget").is_some());
    assert!(following.basis().index.versions().contains(&("example.com".to_owned(), "v1".to_owned())));
}

#[tokio::test]
async fn a_definition_and_its_use_may_come_in_one_commit() {
    let repository = declaring();
    let following = following(vec![source("a", &repository.url())]).await;
    let widget = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n";
    repository.commit(&[("a-widget.yaml", widget), ("crd.yaml", CRD)], "Both");
    assert_eq!(following.refresh().await, Refreshed::Moved);
    assert_eq!((following.status().declared, &*following.faults()), (3, ""));
    assert!(following.basis().index.objects.contains_key(&ObjectKey::new("example.com", "Widget", "shop", "w")));
}

#[tokio::test]
async fn a_mistyped_definition_leaves_its_kind_as_it_was() {
    let repository = declaring();
    let widget = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n";
    repository.commit(&[("a-widget.yaml", widget), ("crd.yaml", CRD)], "Both");
    let following = following(vec![source("a", &repository.url())]).await;
    let key = ObjectKey::new("example.com", "Widget", "shop", "w");
    let is_in_force = || following.basis().index.objects.get(&key).is_some_and(|entry| entry.head.is_some());
    following.until(|status| status[0].fault_count == 0 && status[0].declared == 3).await;

    // One quoted word, while an object of the kind changes.
    let mistyped = CRD.replace("served: true", "served: 'true'");
    let changed = widget.replace("{name: w}", "{name: w, labels: {a: b}}");
    repository.commit(&[("crd.yaml", &mistyped), ("a-widget.yaml", &changed)], "Mistype it");
    assert_eq!(following.refresh().await, Refreshed::Moved);
    assert!(following.faults().contains("crd.yaml") && following.status().fault_count == 1, "{}", following.faults());
    assert!(is_in_force());

    // Later commits find it, too, as long as a file names it.
    repository.commit(&[("a-widget.yaml", widget)], "Change the object");
    assert_eq!(following.refresh().await, Refreshed::Moved);
    assert!(is_in_force() && following.status().fault_count == 1);
    repository.commit(&[("crd.yaml", &format!("# once more\n{mistyped}"))], "Touch it");
    assert_eq!(following.refresh().await, Refreshed::Moved);
    assert!(is_in_force() && following.status().fault_count == 1);

    repository.commit(&[("crd.yaml", "# none\n")], "Drop it");
    assert_eq!(following.refresh().await, Refreshed::Moved);
    assert!(!is_in_force());
    assert!(following.basis().schemas.kind("example.com", "Widget").is_none());
}
