//! What does real kubectl answer?
//!
//! It runs with a home of its own, so that nothing of the developer's configuration reaches a test.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::testbed::programs::program;

/// What one call of kubectl gave.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command as typed, for messages.
    pub command: String,
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error: warnings and denials.
    pub stderr: String,
}

impl Output {
    /// Panics with the whole answer unless kubectl succeeded; returns itself.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert!(self.code == 0, "expected success of {self:#?}");
        self
    }

    /// Panics with the whole answer unless kubectl failed and printed every one of `parts`; returns itself.
    #[track_caller]
    pub fn fails_with(self, parts: &[&str]) -> Self {
        assert!(self.code != 0, "expected a failure of {self:#?}");
        for part in parts {
            assert!(self.stderr.contains(part), "expected {part:?} on standard error of {self:#?}");
        }
        self
    }
}

/// Runs kubectl with a kubeconfig file and `input` as its standard input.
pub fn run<A: AsRef<OsStr>>(kubeconfig: &Path, args: &[A], input: &str) -> Output {
    let home = kubeconfig.with_extension("home");
    fs::create_dir_all(&home).expect("a folder beside the kubeconfig can be made");
    let mut child = Command::new(program("kubectl"))
        .args(args)
        .env("KUBECONFIG", kubeconfig)
        .env("HOME", &home)
        .env("KUBERC", "off")
        // What `edit` opens becomes what it is fed.
        .env("KUBE_EDITOR", "cp /dev/stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl is executable");
    let mut stdin = child.stdin.take().expect("standard input is piped");
    let fed = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("our own child can be waited for");
    // A kubectl that reads nothing may end before it was fed.
    assert!(fed.is_ok() || !output.status.success() || input.is_empty(), "kubectl did not read its input");
    let words: Vec<_> = args.iter().map(|word| word.as_ref().to_string_lossy()).collect();
    Output {
        command: format!("kubectl {}", words.join(" ")),
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
