//! Which files hold the configuration, and what do they say? Reads files and folders; all faults at once.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::crd::Object;
use crate::config::{Settings, decode, resolve};
use crate::gate::basis::Fault;
use crate::limits::FILE_BYTES_MAX;
use crate::yaml::documents;

/// Loads configuration from files; folders give their `*.yaml`, `*.yml` and `*.json` files, not deeper.
///
/// All faults at once, each with its file and line.
pub fn load(paths: &[PathBuf]) -> Result<Settings, Vec<Fault>> {
    let (texts, faults) = texts(paths);
    decoded(&texts, faults).map(|(_, settings)| settings)
}

/// The texts of files, each with its name, and what could not be read.
pub fn texts(paths: &[PathBuf]) -> (Vec<(String, String)>, Vec<Fault>) {
    let (mut texts, mut faults) = (Vec::new(), Vec::new());
    for file in files(paths, &mut faults) {
        match read(&file) {
            Ok(text) => texts.push((file.display().to_string(), text)),
            Err(what) => faults.push(unreadable(&file, what)),
        }
    }
    (texts, faults)
}

/// The configuration in texts that were read already, each with the name of its file.
pub fn parse(texts: &[(String, String)]) -> Result<Settings, Vec<Fault>> {
    decoded(texts, Vec::new()).map(|(_, settings)| settings)
}

/// The objects in texts that were read already; faults of reading are handed in, so that all come at once.
pub fn objects(texts: &[(String, String)], faults: Vec<Fault>) -> Result<Vec<Object>, Vec<Fault>> {
    decoded(texts, faults).map(|(objects, _)| objects)
}

fn decoded(texts: &[(String, String)], mut faults: Vec<Fault>) -> Result<(Vec<Object>, Settings), Vec<Fault>> {
    let mut objects = Vec::new();
    for (file, text) in texts {
        match documents(text) {
            Ok(nodes) => objects.extend(decode::file(file, &nodes, &mut faults)),
            Err(error) => faults.push(Fault { file: file.clone(), line: error.line, what: error.what }),
        }
    }
    if let (Some((first, _)), true) = (texts.first(), objects.is_empty() && faults.is_empty()) {
        // A file that lost its text, or the wrong one: put in force it would release everything.
        let what = "holds no object: an empty configuration is taken for a mistake; leave --config out to have none";
        faults.push(Fault { file: first.clone(), line: 0, what: what.to_owned() });
    }
    // What stands between good objects is said too, so that one run shows all there is to mend.
    let resolved = resolve::resolve(&objects).map_err(|more| faults.extend(more));
    match resolved {
        Ok(settings) if faults.is_empty() => Ok((objects, settings)),
        Ok(_) | Err(()) => {
            faults.sort();
            Err(faults)
        }
    }
}

fn unreadable(path: &Path, what: String) -> Fault {
    Fault { file: path.display().to_string(), line: 0, what }
}

fn files(paths: &[PathBuf], faults: &mut Vec<Fault>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        match folder(path) {
            Ok(found) if found.is_empty() => {
                faults.push(unreadable(path, "holds no .yaml, .yml or .json file".to_owned()));
            }
            Ok(found) => files.extend(found),
            Err(error) => faults.push(unreadable(path, format!("cannot be read: {error}"))),
        }
    }
    files
}

/// The files of a folder by name. Links are followed, because a mounted ConfigMap consists of them; hidden entries are its
/// machinery.
fn folder(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let wanted = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml" || ending == "json");
        let kustomize = path.file_stem().is_some_and(|stem| stem == "kustomization");
        if wanted && !hidden && !kustomize && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String, String> {
    let length = fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?.len();
    if length > FILE_BYTES_MAX as u64 {
        return Err(format!("larger than {FILE_BYTES_MAX} bytes"));
    }
    let bytes = fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())
}
