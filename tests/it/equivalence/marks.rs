//! Rows about what tools write on objects: copies of manifests, marks of deployers, notes of controllers.

use crate::cases::decided;
use crate::equivalence::judge::Row;

const TRACKING: &str = "argocd.argoproj.io/tracking-id";

fn map(metadata: &str) -> String {
    format!("{{ apiVersion: v1, kind: ConfigMap, metadata: {{ {metadata} }}, data: {{ a: b }} }}")
}

/// Asks the gate: a ConfigMap `shop/web` with this metadata in Git and live, and a merge patch by somebody.
#[track_caller]
fn is_let_in(git: &str, live: &str, change: &str, writer: &str) -> bool {
    let place = |metadata: &str| map(&format!("name: web, namespace: shop, {metadata}"));
    let case = format!(
        "declared: |\n  {}\nlive: |\n  {}\nchange: {change}\nwriter: {writer}\npolicy: {{ deployer: argo, undeclaredFields: Deny }}\n",
        place(git),
        place(live),
    );
    decided(&case).verdict.allowed()
}

#[test]
fn row_03_a_copy_of_the_last_applied_manifest_is_nobodys_difference() {
    let copy = |text: &str| format!("annotations: {{ kubectl.kubernetes.io/last-applied-configuration: '{text}' }}");
    // On one side only, the server agrees too.
    Row::new(&map(""), &map(&copy("{}"))).agrees();
    assert!(is_let_in("", "", &format!("{{ metadata: {{ {} }} }}", copy("{}")), "alice"));
    // Exported into Git, the server would change it with every apply; whoever applies is not to be denied for it.
    let row = Row::new(&map(&copy("{\"a\":1}")), &map(&copy("{\"a\":2}")));
    assert_eq!(row.server().unwrap().len(), 1);
    assert!(is_let_in(&copy("1"), &copy("2"), &format!("{{ metadata: {{ {} }} }}", copy("3")), "alice"));
}

#[test]
fn row_30_an_ignored_field_leaves_no_empty_parent_behind() {
    let ignored = "annotations: { landfast.dev/ignore: 'metadata.labels.team; set by hand' }";
    let git = format!("labels: {{ team: blue }}, {ignored}");
    let (live, bare) = (format!("labels: {{ team: red }}, {ignored}"), ignored);
    // With its only ignored member, the parent may go, stand empty, or never have been there.
    for change in ["{ metadata: { labels: null } }", "{ metadata: { labels: { team: null } } }"] {
        assert!(is_let_in(&git, &live, change, "alice"), "{change}");
        assert!(!is_let_in("labels: { team: blue }", "labels: { team: blue }", change, "alice"), "{change}");
    }
    let other = "{ metadata: { annotations: { kubectl.kubernetes.io/last-applied-configuration: x } } }";
    assert!(is_let_in(&git, bare, other, "alice") && is_let_in(&git, bare, other, "argo"));
}

#[test]
fn row_38_a_deployer_may_move_from_its_label_to_its_annotation() {
    let label = "labels: { app.kubernetes.io/name: web, argocd.argoproj.io/instance: shop }";
    let moved = format!(
        "{{ metadata: {{ labels: {{ argocd.argoproj.io/instance: null }}, annotations: {{ {TRACKING}: 'shop:/ConfigMap:shop/web' }} }} }}"
    );
    assert!(is_let_in("labels: { app.kubernetes.io/name: web }", label, &moved, "argo"));
    assert!(!is_let_in("labels: { app.kubernetes.io/name: web }", label, &moved, "alice"), "marks are a deployer's");
    // A definition carries no mark at all; nothing is missing then.
    Row::new(&map("labels: { app.kubernetes.io/name: web }"), &map(label)).agrees();
}

#[test]
fn row_39_an_object_that_bears_anothers_mark_is_not_declared() {
    let case = format!(
        "declared: |\n  {}\nlive: |\n  {}\noperation: CREATE\nwriter: alice\n",
        map("name: web, namespace: shop"),
        map(&format!("name: copy, namespace: shop, annotations: {{ {TRACKING}: 'shop:/ConfigMap:shop/web' }}")),
    );
    let verdict = decided(&case).verdict;
    assert!(verdict.allowed() && verdict.fields.is_empty(), "{verdict:?}");
}

#[test]
fn row_40_a_label_that_git_declares_is_compared_whatever_tool_uses_it_too() {
    let instance = |value: &str| format!("labels: {{ app.kubernetes.io/instance: {value} }}");
    Row::new(&map(&instance("chart")), &map(&instance("chart"))).agrees();
    Row::new(&map(&instance("chart")), &map(&instance("argo")))
        .differs(&["Changed metadata.labels[\"app.kubernetes.io/instance\"]"]);
    let taken = format!("{{ metadata: {{ {} }} }}", instance("argo"));
    assert!(!is_let_in(&instance("chart"), &instance("chart"), &taken, "argo"));
}

#[test]
fn row_41_a_stale_mark_is_a_difference_where_git_declares_another() {
    let mark = |app: &str| format!("annotations: {{ {TRACKING}: '{app}:/ConfigMap:shop/web' }}");
    Row::new(&map(&mark("new")), &map(&mark("old")))
        .differs(&["Changed metadata.annotations[\"argocd.argoproj.io/tracking-id\"]"]);
    let stolen = format!("{{ metadata: {{ {} }} }}", mark("thief"));
    assert!(!is_let_in(&mark("new"), &mark("new"), &stolen, "alice"), "it says who deploys the object");
    assert!(is_let_in(&mark("new"), &mark("old"), &format!("{{ metadata: {{ {} }} }}", mark("new")), "alice"));
}

#[test]
fn row_46_what_argo_cd_notes_on_its_own_objects_is_no_difference() {
    let application = |metadata: &str, more: &str| {
        format!(
            "{{ apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {{ {metadata} }}, spec: {{ project: shop }}{more} }}"
        )
    };
    let noted = application(
        "annotations: { argocd.argoproj.io/refresh: hard, notified.notifications.argoproj.io: x }",
        ", operation: { sync: {} }, status: { reconciledAt: '2026-01-01T00:00:00Z', sync: { status: Synced } }",
    );
    Row::new(&application("", ""), &noted).agrees();
    Row::new(&application("", "").replace("shop", "bank"), &noted).differs(&["Changed spec.project"]);
}

/// An exported Deployment `shop/web` with these annotations, on itself and on its template.
fn deployment(own: &str, pods: &str) -> String {
    format!(
        "{{ apiVersion: apps/v1, kind: Deployment, metadata: {{ name: web, namespace: shop, annotations: {{ {own} }} }}, spec: {{ \
         selector: {{ matchLabels: {{ app: web }} }}, template: {{ metadata: {{ labels: {{ app: web }}, annotations: {{ {pods} }} }}, \
         spec: {{ containers: [{{ name: web, image: 'web:1' }}] }} }} }} }}"
    )
}

fn deployment_is_let_in(git: &str, live: &str, change: &str) -> bool {
    let case =
        format!("declared: |\n  {git}\nlive: |\n  {live}\nchange: {change}\npolicy: {{ undeclaredFields: Deny }}\n");
    decided(&case).verdict.allowed()
}

#[test]
fn row_47_what_controllers_note_is_no_difference_even_where_git_has_an_old_note() {
    let noted = map(
        "annotations: { control-plane.alpha.kubernetes.io/leader: '{}', cluster-autoscaler.kubernetes.io/note: x }",
    );
    Row::new(&map(""), &noted).agrees();
    let revision = |number: u8| deployment(&format!("deployment.kubernetes.io/revision: '{number}'"), "");
    assert!(deployment_is_let_in(
        &revision(1),
        &revision(2),
        "{ metadata: { annotations: { deployment.kubernetes.io/revision: '3' } } }"
    ));
    assert!(!deployment_is_let_in(
        &revision(1),
        &revision(2),
        "{ metadata: { annotations: { deployment.kubernetes.io/other: '3' } } }"
    ));
}

#[test]
fn row_48_a_restart_is_nobodys_difference() {
    let restart = |time: &str| format!("kubectl.kubernetes.io/restartedAt: '2026-11-{time}T00:00:00Z'");
    let again = format!("{{ spec: {{ template: {{ metadata: {{ annotations: {{ {} }} }} }} }} }}", restart("03"));
    assert!(deployment_is_let_in(&deployment("", ""), &deployment("", ""), &again));
    assert!(deployment_is_let_in(&deployment("", &restart("01")), &deployment("", &restart("02")), &again));
    let bare = |pods: &str| deployment("", pods).replace("name: web, namespace: shop, annotations: {  }", "");
    Row::new(&bare(""), &bare(&restart("01"))).agrees();
}
