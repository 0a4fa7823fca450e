//! Do the fuzz targets' laws hold on what fuzzing found once, and on what it begins with? `tests/fuzz.sh` looks for more.

#[path = "../fuzz/targets/mod.rs"]
pub(crate) mod targets;

use std::fs;
use std::path::Path;

use crate::reviews::recorded;

fn target(name: &str) -> fn(&[u8]) {
    targets::named(name).unwrap_or_else(|| panic!("`{name}` is no target"))
}

#[test]
fn what_fuzzing_begins_with_and_found_once_holds() {
    for recorded in recorded() {
        target("reviews")(recorded.review.to_string().as_bytes());
    }
    let seeds = include_str!("../fuzz/seeds/openapi.yaml");
    target("openapi")(seeds.as_bytes());
    target("yaml")(seeds.as_bytes());
    for line in include_str!("../fuzz/seeds/paths.txt").lines() {
        target("paths")(line.as_bytes());
    }
    let quantities: Vec<_> = include_str!("../fuzz/seeds/quantities.txt").lines().collect();
    for one in &quantities {
        for other in &quantities {
            target("quantities")(format!("{one}\n{other}").as_bytes());
        }
    }
    // A folder a target; none as long as nothing was found.
    let findings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/findings");
    for folder in fs::read_dir(findings).into_iter().flatten().map(|entry| entry.unwrap().path()) {
        let run = target(&folder.file_name().unwrap().to_string_lossy());
        for file in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            eprintln!("{}", file.display()); // shown where a law is broken
            run(&fs::read(file).unwrap());
        }
    }
}
