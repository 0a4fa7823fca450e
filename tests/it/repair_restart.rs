//! Is anything lost while landfast is away, or where it lacks a right? Each beside a control plane of its own.

use serde_json::{Value, json};

use crate::gate::DEPLOYMENT;
use crate::repair::{Case, Shop};
use crate::testbed::user::User;

const MAP: &str =
    "---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: map, namespace: $NAMESPACE }\ndata: { a: b }\n";

#[test]
fn what_differs_after_a_restart_goes_back_to_what_it_agreed_with_before() {
    let mut shop = Shop::open();
    let both = format!("{DEPLOYMENT}{MAP}");
    let case = Case::of(&shop, "deployed");
    case.feed(User::Ci, &["create", "-f", "-"], &both).succeeds();
    case.declare(&both);
    case.scale(User::Alice, 7);
    case.comes_back("the replicas to come back", "deployment/web", |web| web["spec"]["replicas"] == 3);
    let namespace = case.namespace.clone();
    shop.landfast.kill();
    let case = Case::at(&shop, &namespace);
    case.scale(User::Alice, 8);
    case.kubectl(User::Alice, &["delete", "configmap", "map"]).succeeds();
    case.commit(&both.replace("replicas: 3", "replicas: 4"));
    shop.landfast.resume();
    let case = Case::at(&shop, &namespace);
    case.comes_back("the ConfigMap to come back", "configmap/map", |map| map["data"]["a"] == "b");
    case.comes_back("the replicas to come back to where the deployer was", "deployment/web", |web| {
        web["spec"]["replicas"] == 3
    });
}

#[test]
fn a_kind_that_may_not_be_watched_holds_up_no_other() {
    let shop = Shop::prepared(|plane| {
        let role = plane.kubectl(User::Admin, &["get", "clusterrole", "landfast-repair", "-o", "json"]).succeeds();
        let mut role: Value = serde_json::from_str(&role.stdout).unwrap();
        for rule in role["rules"].as_array_mut().unwrap() {
            rule["resources"].as_array_mut().unwrap().retain(|resource| resource != "configmaps");
        }
        role["metadata"] = json!({ "name": "landfast-repair" });
        plane.kubectl_with_input(User::Admin, &["replace", "-f", "-"], &role.to_string()).succeeds();
    });
    let both = format!("{DEPLOYMENT}{MAP}");
    let case = Case::of(&shop, "alone");
    case.feed(User::Alice, &["create", "-f", "-"], &both).succeeds();
    case.declare(&both);
    case.scale(User::Alice, 7);
    case.comes_back("the replicas to come back", "deployment/web", |web| web["spec"]["replicas"] == 3);
    shop.landfast.eventually("a word about the kind", || {
        let is_it = |line: &Value| line["fields"]["kind"] == "ConfigMap." || line["kind"] == "ConfigMap.";
        shop.landfast.records(is_it).into_iter().find(|line| line.to_string().contains("forbidden"))
    });
}
