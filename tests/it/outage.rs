//! What happens when Git moves, or when Git, landfast or the API server is away? On a control plane of its own.

use crate::gate::{DEPLOYMENT, source};
use crate::testbed::control_plane::ControlPlane;
use crate::testbed::kubectl::Output;
use crate::testbed::landfast::Landfast;
use crate::testbed::repository::Repository;
use crate::testbed::user::User;

const NAMESPACE: &str = "shop";

const ROLE: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: shop-reader\nrules:\n  \
                    - { apiGroups: [\"\"], resources: [pods], verbs: [get] }\n";

/// Fail, so that a dead landfast is felt: what it must not stop is proved with it.
const POLICY: &str = "apiVersion: landfast.dev/v1alpha1\nkind: DriftPolicy\nmetadata: { name: deny }\nspec:\n  \
                      mode: Enforce\n  rulings: { drift: Deny, delete: Deny }\n  failurePolicy: Fail\n";

struct Shop {
    plane: ControlPlane,
    repository: Repository,
    landfast: Landfast,
}

impl Shop {
    fn open() -> Self {
        let repository = Repository::new();
        repository.commit(&[("web.yaml", &web(3)), ("role.yaml", ROLE)], "Declare");
        let plane = ControlPlane::start();
        plane.kubectl(User::Admin, &["create", "namespace", NAMESPACE]).succeeds();
        plane.kubectl_with_input(User::Admin, &["create", "-f", "-"], &web(3)).succeeds();
        plane.kubectl_with_input(User::Admin, &["create", "-f", "-"], ROLE).succeeds();
        // Asked once an hour: only a write about to be refused can have asked Git in between.
        let configuration = source("shop", &repository, "1h", "[shop]") + POLICY;
        let landfast = Landfast::start(&plane, &configuration);
        let shop = Self { plane, repository, landfast };
        shop.landfast.eventually("the API server to ask landfast", || (shop.rehearse(9).code != 0).then_some(()));
        shop
    }

    fn scale(&self, replicas: u32) -> Output {
        let replicas = format!("--replicas={replicas}");
        self.plane.kubectl(User::Alice, &["-n", NAMESPACE, "scale", "deployment", "web", &replicas])
    }

    /// The same without an effect, should it be let in.
    fn rehearse(&self, replicas: u32) -> Output {
        let replicas = format!("--replicas={replicas}");
        let verb = ["-n", NAMESPACE, "scale", "deployment", "web", "--dry-run=server", &replicas];
        self.plane.kubectl(User::Alice, &verb)
    }
}

fn web(replicas: u32) -> String {
    DEPLOYMENT.replace("$NAMESPACE", NAMESPACE).replace("replicas: 3", &format!("replicas: {replicas}"))
}

#[test]
fn the_gate_holds_through_merges_and_outages() {
    let mut shop = Shop::open();
    a_merge_makes_the_very_same_scale_go_in_at_once(&shop);
    the_last_good_state_holds_without_git(&mut shop);
    the_api_server_restarts_with_landfast_dead(&mut shop);
    shop.plane.assert_match_conditions_hold();
    assert!(shop.landfast.end().success(), "{}", shop.landfast.log());
}

fn a_merge_makes_the_very_same_scale_go_in_at_once(shop: &Shop) {
    shop.scale(5).fails_with(&["spec.replicas: 3 in Git, 5 in this write"]);
    let merge = shop.repository.merge(&[("web.yaml", &web(5))], "Run five");
    shop.scale(5).succeeds();
    assert_eq!(shop.landfast.revision("shop"), Some(merge));
    shop.scale(3).fails_with(&["spec.replicas: 5 in Git, 3 in this write"]);
}

fn the_last_good_state_holds_without_git(shop: &mut Shop) {
    let away = shop.repository.folder().with_extension("away");
    std::fs::rename(shop.repository.folder(), &away).unwrap();
    let note = "\nnote: Git could not be asked whether it says otherwise by now\nhint: ";
    shop.scale(4).fails_with(&["spec.replicas: 5 in Git, 4 in this write", note]);
    shop.landfast.kill();
    shop.landfast.resume();
    shop.scale(4).fails_with(&["spec.replicas: 5 in Git, 4 in this write"]);
    std::fs::rename(&away, shop.repository.folder()).unwrap();
}

fn the_api_server_restarts_with_landfast_dead(shop: &mut Shop) {
    shop.landfast.kill();
    shop.scale(5).fails_with(&["failed calling webhook"]);
    // Whoever may impersonate the group of the emergency is let past the silence.
    let past =
        ["-n", NAMESPACE, "scale", "deployment", "web", "--replicas=7", "--as=root", "--as-group=landfast:emergency"];
    shop.plane.kubectl(User::Alice, &past).fails_with(&["cannot impersonate"]);
    shop.plane.kubectl(User::Admin, &[&past[..], &["--as-group=system:masters"]].concat()).succeeds();
    shop.plane
        .kubectl(User::Admin, &[&past[..5], &["--replicas=5"], &past[6..], &["--as-group=system:masters"]].concat())
        .succeeds();
    shop.plane.stop_api_server();
    shop.plane.start_api_server();
    // The controllers work and people who touch nothing declared are not held up.
    shop.plane.kubectl(User::Alice, &["-n", "default", "create", "configmap", "own"]).succeeds();
    shop.landfast.resume();
    shop.scale(4).fails_with(&["spec.replicas: 5 in Git, 4 in this write"]);
    shop.scale(5).succeeds();
}
