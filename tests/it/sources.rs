//! What happens to the declared state when a repository breaks?

use crate::gate::{DEPLOYMENT, FRAGILE, gate};
use crate::testbed::kubectl::Output;
use crate::testbed::user::User;
use crate::testbed::{control_plane, eventually};

fn web(replicas: u32) -> String {
    DEPLOYMENT.replace("$NAMESPACE", FRAGILE).replace("replicas: 3", &format!("replicas: {replicas}"))
}

fn create(replicas: u32) -> Output {
    let verb = ["create", "--dry-run=server", "-f", "-"];
    control_plane().kubectl_with_input(User::Alice, &verb, &web(replicas))
}

fn await_in_force(commit: &str) {
    eventually("the commit to be in force", || {
        (gate().landfast.revision("fragile").as_deref() == Some(commit)).then_some(())
    });
}

fn await_status(what: &str) {
    eventually(&format!("the status to say {what}"), || {
        gate().landfast.status().to_string().contains(what).then_some(())
    });
}

#[test]
fn a_repository_that_breaks_leaves_the_last_good_state_in_force() {
    let repository = &gate().fragile;
    control_plane().kubectl(User::Admin, &["create", "namespace", FRAGILE]).succeeds();
    let good = repository.commit(&[("web.yaml", &web(3))], "Declare");
    await_in_force(&good);
    create(4).fails_with(&["spec.replicas: 3 in Git, 4 in this write"]);

    let broken = repository.commit(&[("web.yaml", "<<<<<<< HEAD\nkind: Deployment\n")], "Forget a conflict");
    await_status("web.yaml");
    let note = format!("\nnote: the newest commit {} is not in force, because of web.yaml:2\nhint: ", &broken[..7]);
    create(4).fails_with(&["spec.replicas: 3 in Git, 4 in this write", &note]);
    assert_eq!(gate().landfast.revision("fragile").as_deref(), Some(good.as_str()));

    repository.remove("web.yaml", "Delete everything");
    create(4).fails_with(&["spec.replicas: 3 in Git, 4 in this write"]);

    repository.reset(&good);
    let next = repository.commit(&[("web.yaml", &web(4))], "Begin again, by force");
    await_in_force(&next);
    create(4).succeeds();

    repository.delete_branch();
    await_status("main");
    create(3).fails_with(&["spec.replicas: 4 in Git, 3 in this write"]);
}
