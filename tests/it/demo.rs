//! Does the demo's script say how it is used, before it installs or builds anything? Its story is told by `.ci/run`.

use std::process::{Command, Output};

fn demo(arguments: &[&str]) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/demo.sh");
    Command::new("bash").arg(script).args(arguments).output().unwrap()
}

#[test]
fn help_is_given_and_nothing_else_is_done() {
    for help in ["--help", "-h"] {
        let answer = demo(&[help]);
        let told = String::from_utf8(answer.stdout).unwrap();
        assert!(answer.status.success() && answer.stderr.is_empty());
        assert!(told.starts_with("Shows Landfast at work") && told.contains("--keep") && !told.contains('#'), "{told}");
    }
}

#[test]
fn an_argument_that_nobody_knows_is_refused_wherever_it_stands() {
    for arguments in [&["--kep"][..], &["--keep", "more"], &[""]] {
        let answer = demo(arguments);
        let told = String::from_utf8(answer.stderr).unwrap();
        assert_eq!(answer.status.code(), Some(1));
        assert!(told.starts_with("error: unknown argument") && told.contains("usage: deploy/demo.sh"), "{told}");
    }
}
