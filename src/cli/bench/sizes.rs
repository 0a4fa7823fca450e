//! Does the time of a decision grow with the object, and no faster? Objects far larger than anybody's, in two sizes each.
//!
//! Each is an update of a declared object that drifts in its last part, with its parts in the opposite order of Git's: the
//! costly way through every list and map.

use std::fmt::Write as _;
use std::hint::black_box;

use anyhow::ensure;

use crate::cli::bench::decide::{decide, times};
use crate::cli::bench::figures::Figure;
use crate::cli::bench::sample;
use crate::drift::schema::Schemas;
use crate::gate::verdict::Ruling;
use crate::limits::DEPTH_MAX;

/// Measured decisions of each size: enough for a median.
const ROUNDS: usize = 25;

/// An object of which one part may be there any number of times.
struct Shape {
    name: &'static str,
    resource: [&'static str; 3],
    /// The small size and the large one, in parts.
    sizes: [usize; 2],
    /// The object with these parts.
    object: fn(&[usize], Side) -> String,
}

/// Whose object it is: the write's last part has another value than Git's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Git,
    Write,
}

const SHAPES: [Shape; 4] = [
    Shape {
        name: "containers of a Deployment",
        resource: ["apps", "deployments", "Deployment"],
        sizes: [100, 1_000],
        object: |parts, side| deployment(&listed(parts, side, &container)),
    },
    Shape {
        name: "items of a keyed list",
        resource: ["apps", "deployments", "Deployment"],
        sizes: [1_000, 10_000],
        object: |parts, side| {
            let env = listed(parts, side, &|part, value| format!(r#"{{"name":"V{part}","value":"{value}"}}"#));
            deployment(&format!(r#"{{"name":"web","image":"web","env":[{env}]}}"#))
        },
    },
    Shape {
        name: "keys of a ConfigMap",
        resource: ["", "configmaps", "ConfigMap"],
        sizes: [5_000, 50_000],
        object: |parts, side| {
            let data = listed(parts, side, &|part, value| format!(r#""key-{part}":"{value}""#));
            format!(r#"{{"apiVersion":"v1","kind":"ConfigMap",{METADATA},"data":{{{data}}}}}"#)
        },
    },
    Shape {
        name: "objects within each other",
        resource: ["apps", "controllerrevisions", "ControllerRevision"],
        sizes: [DEPTH_MAX / 10, DEPTH_MAX - 2],
        object: |parts, side| {
            let (open, close) = (r#"{"a":1,"in":"#.repeat(parts.len() - 1), "}".repeat(parts.len() - 1));
            let data = format!("{open}{{\"a\":{}}}{close}", i32::from(side == Side::Write));
            format!(r#"{{"apiVersion":"apps/v1","kind":"ControllerRevision",{METADATA},"revision":1,"data":{data}}}"#)
        },
    },
];

const METADATA: &str = r#""metadata":{"name":"large","namespace":"shop"}"#;

/// Measures every shape in both sizes.
pub(super) fn run() -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for shape in SHAPES {
        for size in shape.sizes {
            figures.push(shape.measure(size)?);
        }
    }
    Ok(figures)
}

impl Shape {
    fn measure(&self, size: usize) -> anyhow::Result<Figure> {
        let parts: Vec<usize> = (0..size).collect();
        let reversed: Vec<usize> = parts.iter().rev().copied().collect();
        let schemas = Schemas::builtin();
        let declared = sample::declared((self.object)(&parts, Side::Git).as_bytes(), &schemas)?;
        let basis = sample::basis(&declared, schemas);
        let before = (self.object)(&reversed, Side::Git);
        let review = self.review(&before, &(self.object)(&reversed, Side::Write));
        let name = format!("sizes/{size} {}", self.name);
        let ruling = decide(review.as_bytes(), &basis)?.1;
        ensure!(ruling > Ruling::Allow, "{name}: the drift was not found");
        let measured = times(ROUNDS, || decide(black_box(review.as_bytes()), &basis));
        Ok(Figure::micros(name, measured))
    }

    fn review(&self, before: &str, after: &str) -> String {
        let [group, resource, kind] = self.resource;
        let user = r#"{"username":"alice","groups":["system:authenticated"]}"#;
        format!(
            r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u","operation":"UPDATE",
            "kind":{{"group":"{group}","version":"v1","kind":"{kind}"}},
            "resource":{{"group":"{group}","version":"v1","resource":"{resource}"}},
            "name":"large","namespace":"shop","userInfo":{user},"object":{after},"oldObject":{before},"dryRun":false}}}}"#
        )
    }
}

/// All parts, the one that is Git's last with another value in the write.
fn listed(parts: &[usize], side: Side, part: &dyn Fn(usize, &str) -> String) -> String {
    let last = parts.iter().max().copied();
    let texts = parts.iter().map(|number| {
        let value = if side == Side::Write && Some(*number) == last { "other" } else { "same" };
        part(*number, value)
    });
    texts.collect::<Vec<_>>().join(",")
}

fn container(number: usize, value: &str) -> String {
    let mut text = format!(r#"{{"name":"c{number}","image":"registry.example.com/{value}:1","ports":["#);
    let _ = write!(text, r#"{{"containerPort":{}}}],"resources":{{"limits":{{"cpu":"1"}}}}}}"#, number + 1);
    text
}

fn deployment(containers: &str) -> String {
    format!(
        r#"{{"apiVersion":"apps/v1","kind":"Deployment",{METADATA},"spec":{{"selector":{{"matchLabels":{{"app":"large"}}}},
        "template":{{"metadata":{{"labels":{{"app":"large"}}}},"spec":{{"containers":[{containers}]}}}}}}}}"#
    )
}
