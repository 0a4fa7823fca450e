//! Where do the programs of the control plane lie?
//!
//! In the folder that `KUBEBUILDER_ASSETS` names, else where `build.sh` puts them. It never builds them: that takes
//! minutes, and a test that seems to hang helps nobody.

use std::env;
use std::path::PathBuf;

/// Returns the path of one program, and panics with what to do when it is not there.
pub fn program(name: &str) -> PathBuf {
    let given = env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let cached = cache().join("landfast/testbed").join(version());
    let found = given.into_iter().chain([cached]).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("`{name}` is not built yet: run tests/testbed/build.sh once"))
}

fn cache() -> PathBuf {
    match env::var_os("XDG_CACHE_HOME") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache"),
    }
}

/// Returns the version of Kubernetes that `go.mod` pins, with its `v`.
pub fn version() -> &'static str {
    include_str!("go.mod")
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes ")?.split_whitespace().next())
        .expect("go.mod requires k8s.io/kubernetes")
}
