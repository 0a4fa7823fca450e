//! Does the configuration in files mean what it says? Files and folders, as `--config` takes them.

use std::fs;
use std::path::{Path, PathBuf};

use landfast::config::{Settings, load};
use landfast::gate::basis::Fault;
use landfast::gate::policy::{Mode, Role, Subject};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn said(faults: &[Fault]) -> Vec<String> {
    let name = |path: &str| Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
    faults.iter().map(|fault| Fault { file: name(&fault.file), ..fault.clone() }.to_string()).collect()
}

fn faults(settings: &Settings) -> Vec<Fault> {
    settings.notices.iter().map(|notice| notice.fault.clone()).collect()
}

fn loaded(paths: &[PathBuf]) -> Settings {
    load(paths).unwrap_or_else(|faults| panic!("{:?}", said(&faults)))
}

#[test]
fn every_member_of_the_example_loads() {
    let settings = loaded(&[data("example.yaml")]);
    // What asks for something that is not built yet has no effect, and says so.
    assert!(settings.sources.is_empty());
    let rules: Vec<&str> = settings.policy.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(rules, ["shop", "baseline"]);
    assert_eq!(settings.policy.rules.iter().map(|rule| rule.mode).collect::<Vec<_>>(), [Mode::Enforce, Mode::Observe]);
    assert_eq!(
        said(&faults(&settings)),
        [
            "example.yaml:2: GitSource shop asks for what is not built yet: spec.secretRef, spec.verify; it declares nothing",
        ]
    );
}

#[test]
fn the_example_names_its_writers() {
    let settings = loaded(&[data("example.yaml")]);
    let baseline = settings.policy.rules.last().unwrap();
    assert_eq!((baseline.precedence, baseline.mode), (900, Mode::Observe));
    let [argo, keda] = &baseline.writers[..] else { panic!("{:?}", baseline.writers) };
    assert!(matches!(argo.role, Role::Deployer));
    let account = Subject::ServiceAccount { namespace: "argocd".into(), name: "argocd-application-controller".into() };
    assert_eq!(argo.subjects, [account]);
    assert!(matches!(&keda.role, Role::Controller(delegations) if delegations.len() == 1));
}

#[test]
fn a_break_glass_from_a_file_opens_nothing() {
    let settings = loaded(&[data("example-breakglass.yaml")]);
    let notice = "example-breakglass.yaml:2: BreakGlass inc-1234 opens nothing: it counts in the cluster only";
    assert_eq!(said(&faults(&settings)), [notice]);
}

#[test]
fn a_folder_gives_its_files_and_no_deeper() {
    let folder = tempfile::tempdir().unwrap();
    let policy = |name: &str| {
        format!("{{apiVersion: landfast.dev/v1alpha1, kind: DriftPolicy, metadata: {{name: {name}}}, spec: {{}}}}")
    };
    fs::create_dir(folder.path().join("deeper")).unwrap();
    for (file, text) in [
        ("b.yml", policy("b")),
        ("a.json", policy("a")),
        ("README.md", "no YAML: [".to_owned()),
        (".hidden.yaml", "no YAML: [".to_owned()),
        ("kustomization.yaml", "resources: [b.yml]".to_owned()),
        ("deeper/c.yaml", "no YAML: [".to_owned()),
    ] {
        fs::write(folder.path().join(file), text).unwrap();
    }
    let rules = loaded(&[folder.path().to_owned()]).policy.rules.clone();
    assert_eq!(rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn faults_of_all_files_come_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &[u8]| fs::write(folder.path().join(file), text).unwrap();
    write("a.yaml", b"a: 1\nb: [\n");
    write("b.yaml", b"\xff");
    write("c.yaml", b"apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nspec: {}\n");
    write("d.yaml", b"apiVersion: landfast.dev/v1alpha1\nkind: DriftPolicy\nmetadata: {}\nspec:\n  mode: Off\n");
    let missing = folder.path().join("missing.yaml");
    let faults = said(&load(&[folder.path().to_owned(), missing]).unwrap_err());
    assert_eq!(faults.len(), 6, "{faults:?}");
    assert!(faults[0].starts_with("a.yaml:"), "{faults:?}");
    assert_eq!(faults[1], "b.yaml: not UTF-8");
    assert_eq!(faults[2], "c.yaml:1: `apiVersion` is `v1`, not landfast.dev/v1alpha1");
    assert_eq!(faults[3], "d.yaml:3: `metadata.name` is missing");
    assert_eq!(faults[4], "d.yaml:5: `spec.mode` is a boolean, not a string");
    assert!(faults[5].starts_with("missing.yaml: cannot be read: "), "{faults:?}");
}
