//! Is the house in order? Layers, purity, sizes and forgotten files, held as tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers of `lib.rs`, lowest first. Modules of one line never import each other.
const LAYERS: [&[&str]; 10] = [
    &["limits"],
    &["yaml"],
    &["drift"],
    &["gate"],
    &["config", "audit", "store"],
    &["git", "render", "cluster", "serve"],
    &["follow", "reconcile"],
    &["app"],
    &["cli"],
    &["main"],
];

/// Modules and files without clock, file, network or await.
const PURE: [&str; 20] = [
    "src/yaml/",
    "src/drift/",
    "src/gate/",
    "src/render/",
    "src/audit/record.rs",
    "src/audit/report.rs",
    "src/audit/passed.rs",
    "src/audit/repair.rs",
    "src/audit/safety.rs",
    "src/audit/settle.rs",
    "src/config/resolve",
    "src/reconcile/approval/",
    "src/reconcile/body.rs",
    "src/reconcile/deployer.rs",
    "src/reconcile/fight.rs",
    "src/reconcile/plan.rs",
    "src/reconcile/standing.rs",
    "src/reconcile/tally.rs",
    "src/reconcile/threshold.rs",
    "src/reconcile/turns.rs",
];

/// What a pure file never contains.
const IMPURE: [&str; 8] = ["tokio::", "std::fs", "std::net", "::now()", ".await", "std::process", "std::env", "kube::"];

/// Lines of code a file may have before its tests.
const FILE_LINES_MAX: usize = 400;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().into_owned()
}

/// The text of a file before its `#[cfg(test)] mod tests`.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]\nmod ").next().unwrap().to_owned()
}

/// The top module that a source file belongs to: `src/gate/write.rs` is `gate`.
fn room(file: &str) -> &str {
    file.trim_start_matches("src/").split(['/', '.']).next().unwrap()
}

fn layer(room: &str) -> usize {
    LAYERS.iter().position(|rooms| rooms.contains(&room)).unwrap_or_else(|| panic!("`{room}` stands in no layer"))
}

#[test]
fn a_module_uses_lower_layers_only() {
    let mut faults = Vec::new();
    for path in rust_files(&root().join("src")) {
        let file = relative(&path);
        if file == "src/lib.rs" {
            continue;
        }
        let own = room(&file).to_owned();
        for (number, line) in code(&path).lines().enumerate() {
            let line = line.split("//").next().unwrap();
            let root = if own == "main" { "landfast::" } else { "crate::" };
            for (at, _) in line.match_indices(root) {
                let named = &line[at..];
                let named = named.split_once("::").unwrap().1;
                let used: String = named.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                if used.is_empty() {
                    faults.push(format!("{file}:{}: spell modules one by one", number + 1));
                } else if used != own && layer(&used) >= layer(&own) {
                    faults.push(format!("{file}:{}: {own} must not use {used}", number + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_pure_halves_touch_no_world() {
    let mut faults = Vec::new();
    for path in rust_files(&root().join("src")) {
        let file = relative(&path);
        if !PURE.iter().any(|pure| file.starts_with(pure)) {
            continue;
        }
        for (number, line) in code(&path).lines().enumerate() {
            let line = line.split("//").next().unwrap();
            for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                faults.push(format!("{file}:{}: `{word}` in a pure file", number + 1));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn only_app_spawns_and_only_the_writer_writes() {
    let mut faults = Vec::new();
    for path in rust_files(&root().join("src")) {
        let file = relative(&path);
        let text = code(&path);
        if text.contains("tokio::spawn(") && room(&file) != "app" {
            faults.push(format!("{file}: spawns"));
        }
        let writes = [".patch(", ".patch_metadata(", ".replace(", ".delete("].iter().any(|verb| text.contains(verb));
        let is_writer = file.starts_with("src/cluster/writer/");
        // What repairs names its own verbs, and makes no request itself.
        let requests = room(&file) == "reconcile" && (text.contains("Request::") || text.contains("Params"));
        if (room(&file) == "cluster" && writes && !is_writer) || requests {
            faults.push(format!("{file}: writes to the API server"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_answers_and_fits_the_head() {
    let mut faults = Vec::new();
    for path in rust_files(&root().join("src")).into_iter().chain(rust_files(&root().join("tests"))) {
        let file = relative(&path);
        let text = code(&path);
        if !text.starts_with("//!") {
            faults.push(format!("{file}: has no `//!`"));
        }
        let lines = text.lines().count();
        if file.starts_with("src/") && lines > FILE_LINES_MAX {
            faults.push(format!("{file}: {lines} lines of code, {FILE_LINES_MAX} fit"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_test_file_is_forgotten() {
    let folder = root().join("tests/it");
    let main = fs::read_to_string(folder.join("main.rs")).unwrap();
    let mut forgotten = BTreeMap::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name != "main" && !main.contains(&format!("mod {name};")) {
            forgotten.insert(name, path);
        }
    }
    assert!(forgotten.is_empty(), "not in tests/it/main.rs: {:?}", forgotten.keys());
}

#[test]
fn nothing_is_left_for_later() {
    let marks = ["todo!(", "unimplemented!(", "#[ignore"].map(std::borrow::ToOwned::to_owned);
    let mut faults = Vec::new();
    for path in rust_files(&root().join("src")).into_iter().chain(rust_files(&root().join("tests"))) {
        let file = relative(&path);
        if file == "tests/it/tidy.rs" {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        faults.extend(marks.iter().filter(|mark| text.contains(*mark)).map(|mark| format!("{file}: {mark}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
