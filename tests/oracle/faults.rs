//! Would the oracle find a fault? Faults are planted in a copy of the engine's own source, one at a time, and each must make it
//! disagree with the server on cases on which the engine as it is agrees.
//!
//! A fault is a text of a source file and what stands there instead (`faults.yaml`). The copy is compiled with `replay`, which
//! holds it to the answers that the server gave.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use landfast::yaml;
use serde_json::Value;

/// What the engine needs to be built alone: its own source, and these of the package's dependencies.
const DEPENDENCIES: [&str; 7] = ["base64", "jiff", "rustc-hash", "serde", "serde_json", "sha2", "thiserror"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Plants each fault; how many were not found, or could not be planted.
pub fn plant(recorded: &Path, folder: &Path) -> usize {
    let text = fs::read_to_string(root().join("tests/oracle/faults.yaml")).unwrap();
    let faults: Vec<Value> =
        yaml::documents(&text).unwrap().iter().map(|fault| serde_json::from_str(&fault.to_json()).unwrap()).collect();
    assert!(faults.len() >= 12, "{}", faults.len());
    copy(folder);
    let (code, told) = replay(recorded, folder);
    println!("{:<90} {told}", "no fault");
    assert!(code == Some(0), "the engine without a fault agrees with all that was recorded");
    let missed = faults.iter().filter(|fault| !is_found(fault, recorded, folder)).count();
    println!("{} faults, {missed} not found", faults.len());
    missed
}

fn is_found(fault: &Value, recorded: &Path, folder: &Path) -> bool {
    let text = |name: &str| fault[name].as_str().unwrap_or_else(|| panic!("a fault says {name}"));
    let file = folder.join("src/drift").join(text("file"));
    let source = fs::read_to_string(&file).unwrap();
    assert!(source.matches(text("from")).count() == 1, "{}: stands once in {}", text("fault"), text("file"));
    fs::write(&file, source.replace(text("from"), text("to"))).unwrap();
    let (code, told) = replay(recorded, folder);
    fs::write(&file, source).unwrap();
    println!("{:<90} {}", text("fault"), if code == Some(1) { told.as_str() } else { "NOT FOUND" });
    code == Some(1)
}

/// Makes a package of the engine's source and `replay`.
fn copy(folder: &Path) {
    for module in ["src/drift", "src/limits"] {
        fs::create_dir_all(folder.join(module)).unwrap();
        for entry in fs::read_dir(root().join(module)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.join(module).join(path.file_name().unwrap())).unwrap();
        }
    }
    fs::write(folder.join("src/lib.rs"), "//! The engine alone.\npub mod drift;\npub mod limits;\n").unwrap();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let is_needed = |line: &&str| DEPENDENCIES.iter().any(|name| line.starts_with(&format!("{name} =")));
    let dependencies: Vec<&str> = manifest.lines().filter(is_needed).collect();
    let replay = root().join("tests/oracle/replay.rs");
    let package = format!(
        "[package]\nname = \"landfast\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[[bin]]\nname = \"replay\"\npath = \"{}\"\n\n\
         [profile.dev]\ndebug = false\n\n[profile.dev.package.\"*\"]\nopt-level = 1\n\n[dependencies]\n{}\n\n[workspace]\n",
        replay.display(),
        dependencies.join("\n")
    );
    fs::write(folder.join("Cargo.toml"), package).unwrap();
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
}

/// Builds the copy and runs it: its exit code and what it says. A copy that cannot be built panics.
fn replay(recorded: &Path, folder: &Path) -> (Option<i32>, String) {
    let target = root().join("target/faults");
    let cargo = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command.args(args).current_dir(folder).env("CARGO_TARGET_DIR", &target).output().unwrap()
    };
    let built = cargo(&["build", "--quiet", "--offline"]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let ran = Command::new(target.join("debug/replay")).arg(recorded).output().unwrap();
    (ran.status.code(), String::from_utf8_lossy(&ran.stdout).trim().to_owned())
}
