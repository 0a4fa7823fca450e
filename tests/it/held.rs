//! What does a deployer leave alone while the glass is broken, and what not? Three styles of deployers against the real API server.

use serde_json::{Value, json};

use crate::incidents::{Case, REASON};
use crate::testbed::user::User;

/// A server-side apply, a client-side one (a strategic patch), and a replace.
const STYLES: [(User, &[&str]); 3] = [
    (User::Flux, &["apply", "--server-side", "--force-conflicts", "-f", "-"]),
    (User::ArgoCd, &["apply", "-f", "-"]),
    (User::Ci, &["replace", "-f", "-"]),
];

const FIRST: &str = include_str!("../data/deployment.yaml");

fn with_image(number: u32) -> String {
    FIRST.replace("web:1", &format!("web:{number}"))
}

/// A Deployment that a deployer of this style rolled out long ago, as far as the object tells.
fn rolled_out(user: User, style: &[&str]) -> Case {
    let case = Case::new("deny");
    case.declare(&with_image(2));
    case.feed(user, style, &with_image(2)).succeeds();
    let show = ["get", "deployment", "web", "-o", "json", "--show-managed-fields"];
    let web: Value = serde_json::from_str(&case.kubectl(User::Admin, &show).succeeds().stdout).unwrap();
    let entries = web["metadata"]["managedFields"].as_array().unwrap().len();
    let age = |place| {
        let path = format!("/metadata/managedFields/{place}/time");
        json!({ "op": "replace", "path": path, "value": "2026-01-01T00:00:00Z" })
    };
    let patch = (0..entries).map(age).collect::<Value>().to_string();
    case.kubectl(User::Admin, &["patch", "deployment", "web", "--type=json", "-p", &patch]).succeeds();
    case
}

fn image(case: &Case) -> String {
    let image = &case.web()["spec"]["template"]["spec"]["containers"][0]["image"];
    image.as_str().unwrap().trim_start_matches("example.com/").to_owned()
}

#[test]
fn what_a_deployer_had_not_rolled_out_goes_in_beside_an_incident() {
    for (user, style) in STYLES {
        let case = rolled_out(user, style);
        // Git has moved on, in what it says and in what it says for the first time, when the glass is broken.
        let newer = with_image(3).replace(
            "            - name: SECOND",
            "            - name: NEW\n              value: new\n            - name: SECOND",
        );
        case.declare(&newer);
        case.break_glass(User::Oncall, REASON, 5).succeeds();
        for _ in 0..2 {
            let healed = case.feed(user, style, &newer).succeeds();
            assert!(healed.stderr.contains("spec.replicas stays as it is for break-glass"), "{style:?} {healed:#?}");
            assert_eq!((case.replicas(), image(&case).as_str()), (5.into(), "web:3"), "{style:?}");
            assert!(case.web().to_string().contains("NEW"), "{style:?}");
        }
    }
}

#[test]
fn a_rollback_of_what_git_changed_stays() {
    for (user, style) in STYLES {
        let case = rolled_out(user, style);
        case.break_glass(User::Oncall, REASON, 5).succeeds();
        // Git changes something while the glass is broken; it goes in, and makes it worse.
        case.declare(&with_image(3));
        case.feed(user, style, &with_image(3)).succeeds();
        assert_eq!((case.replicas(), image(&case).as_str()), (5.into(), "web:3"), "{style:?}");
        case.kubectl(User::Oncall, &["set", "image", "deployment/web", "web=example.com/web:2"]).succeeds();
        for _ in 0..2 {
            case.feed(user, style, &with_image(3)).succeeds();
            assert_eq!((case.replicas(), image(&case).as_str()), (5.into(), "web:2"), "{style:?}");
        }
    }
}

#[test]
fn a_rollback_of_what_was_rolled_out_before_stays() {
    for (user, style) in STYLES {
        let case = rolled_out(user, style);
        case.declare(&with_image(3));
        case.feed(user, style, &with_image(3)).succeeds();
        let annotation = format!("landfast.dev/break-glass={REASON}");
        case.annotate(User::Oncall, &annotation).succeeds();
        case.kubectl(User::Oncall, &["set", "image", "deployment/web", "web=example.com/web:2"]).succeeds();
        for _ in 0..2 {
            case.feed(user, style, &with_image(3)).succeeds();
            assert_eq!(image(&case), "web:2", "{style:?}");
        }
    }
}
