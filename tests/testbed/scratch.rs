//! Where does this process keep its temporary files, and who cleans up after it?
//!
//! A watchdog (`watchdog.sh`) holds the read end of a pipe. When this process is gone, in whatever way, the pipe
//! closes and the watchdog ends the registered processes by id and removes the folder. Statics are not dropped at
//! the end of a test binary and a killed one runs nothing at all, so nothing less would do.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

static SCRATCH: OnceLock<Scratch> = OnceLock::new();

/// The folder of this process and the pipe to its watchdog.
pub struct Scratch {
    root: PathBuf,
    watchdog: Mutex<Child>,
    folders: AtomicU32,
}

impl Scratch {
    /// Returns the one of this process: a folder of its own under the system's temporary folder.
    pub fn get() -> &'static Self {
        SCRATCH.get_or_init(|| {
            let folder = tempfile::Builder::new()
                .prefix("landfast-testbed-")
                .tempdir()
                .expect("the system's temporary folder is writable");
            Self::watched(folder.keep())
        })
    }

    /// Uses a folder that the caller names; it is made, and removed at the end like the other.
    pub fn at(root: &Path) -> &'static Self {
        fs::create_dir_all(root).unwrap_or_else(|error| panic!("cannot make {}: {error}", root.display()));
        SCRATCH.get_or_init(|| Self::watched(root.to_path_buf()))
    }

    /// Makes a folder for one purpose, with a name of its own.
    pub fn folder(&self, purpose: &str) -> PathBuf {
        let number = self.folders.fetch_add(1, Ordering::Relaxed);
        let folder = self.root.join(format!("{purpose}-{number}"));
        fs::create_dir(&folder).unwrap_or_else(|error| panic!("cannot make {}: {error}", folder.display()));
        folder
    }

    /// Has the watchdog end this process when ours is gone.
    pub fn watch(&self, pid: u32) {
        self.tell(&format!("pid {pid}"));
    }

    /// Tells the watchdog that this process has ended: its number may be given to another.
    pub fn forget(&self, pid: u32) {
        self.tell(&format!("forget {pid}"));
    }

    fn watched(root: PathBuf) -> Self {
        let watchdog = Command::new("sh")
            .args(["-c", include_str!("watchdog.sh"), "landfast-watchdog"])
            .stdin(Stdio::piped())
            // It outlives us by a moment: whoever reads our output must not wait for it.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("every system has a shell");
        let scratch = Self { root, watchdog: Mutex::new(watchdog), folders: AtomicU32::new(0) };
        scratch.tell(&format!("folder {}", scratch.root.display()));
        scratch
    }

    fn tell(&self, line: &str) {
        let mut watchdog = self.watchdog.lock().expect("no holder of this lock panics");
        let pipe = watchdog.stdin.as_mut().expect("standard input is piped");
        writeln!(pipe, "{line}").expect("the watchdog ignores what would end it");
    }
}
