//! How is a program started, watched and ended?
//!
//! Always by process id, never by name. What it prints goes to a file, whose end is shown when it fails.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::testbed::scratch::Scratch;

/// Longest time a program may take to end after SIGTERM, before SIGKILL.
const GRACE: Duration = Duration::from_secs(20);

/// A running program.
pub struct Process {
    child: Child,
    /// What it printed, both streams together.
    pub log: PathBuf,
}

impl Process {
    /// Starts a program; its output is added to `log`.
    pub fn start(command: &mut Command, log: PathBuf) -> Self {
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap_or_else(|error| panic!("cannot open {}: {error}", log.display()));
        let errors = output.try_clone().expect("an open file can be opened twice");
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", command.get_program().display()));
        Scratch::get().watch(child.id());
        Self { child, log }
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Panics with the end of the log when the program has ended by itself.
    pub fn assert_alive(&mut self) {
        if let Some(status) = self.exited() {
            panic!("{} ended ({status}):\n{}", self.log.display(), self.tail());
        }
    }

    /// Returns how it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our own child can be waited for")
    }

    /// Returns what it has printed so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Ends it with SIGTERM, or SIGKILL when it does not listen, and returns how it ended.
    pub fn end(&mut self) -> ExitStatus {
        let started = Instant::now();
        self.signal("TERM");
        loop {
            if let Some(status) = self.exited() {
                Scratch::get().forget(self.id());
                return status;
            }
            if started.elapsed() > GRACE {
                self.signal("KILL");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it at once, as a machine that loses power would.
    pub fn kill(&mut self) {
        self.signal("KILL");
        self.child.wait().expect("our own child can be waited for");
        Scratch::get().forget(self.id());
    }

    fn signal(&mut self, name: &str) {
        if self.exited().is_none() {
            let id = self.id().to_string();
            // It may end in between, and then there is nobody to signal.
            let _ended_meanwhile = Command::new("kill").args([&format!("-{name}"), &id]).stderr(Stdio::null()).status();
        }
    }

    fn tail(&self) -> String {
        let output = self.output();
        let lines: Vec<_> = output.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.exited().is_none() {
            self.end();
        }
    }
}
