//! How is the real `landfast` run beside a control plane?
//!
//! The binary itself, over real sockets, with nothing replaced. It knows the control plane by a kubeconfig of its
//! own account, so that its rights are proved too.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::Value;

use crate::testbed::balancer::Balancer;
use crate::testbed::control_plane::{ControlPlane, free_port};
use crate::testbed::process::Process;
use crate::testbed::proxy::Proxy;
use crate::testbed::scratch::Scratch;
use crate::testbed::user::User;
use crate::testbed::{PATIENCE, eventually, metrics, patiently};

/// The binary under test; the testbed's own program, which starts none, is built without it.
const BINARY: Option<&str> = option_env!("CARGO_BIN_EXE_landfast");

/// Lines of the log that a failure shows.
const LOG_LINES_SHOWN: usize = 15;

/// Longest wait for one answer of the status listener.
const STATUS_PATIENCE: Duration = Duration::from_secs(10);

/// A running `landfast serve`.
pub struct Landfast {
    folder: PathBuf,
    kubeconfig: PathBuf,
    listen: u16,
    status: u16,
    /// Where the API server reaches it, if not where it listens.
    door: Option<u16>,
    process: Option<Process>,
    options: Vec<String>,
    environment: Vec<(String, String)>,
}

/// Copies the files of a folder, not deeper.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a fresh folder is writable");
    for file in fs::read_dir(from).expect("what is copied is there") {
        let file = file.expect("a folder can be listed").path();
        fs::copy(&file, to.join(file.file_name().expect("a file has a name"))).expect("a file can be copied");
    }
}

impl Landfast {
    /// Starts it with this configuration (YAML) and returns when it says that it is ready.
    ///
    /// The API server honours its webhooks a moment later: probe with a write that must be denied.
    pub fn start(plane: &ControlPlane, configuration: &str) -> Self {
        Self::started(plane, Some(configuration), &[], &[])
    }

    /// Starts it with what the cluster holds, and returns when it says that it is ready.
    pub fn in_cluster(plane: &ControlPlane) -> Self {
        Self::started(plane, None, &["--allow-file-sources"], &[])
    }

    /// Starts it with this configuration, with more options and in another environment.
    pub fn start_with(
        plane: &ControlPlane,
        configuration: &str,
        options: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        Self::started(plane, Some(configuration), options, environment)
    }

    /// Starts it with this configuration behind a proxy that stands before the API server.
    pub fn behind(plane: &ControlPlane, proxy: &Proxy, configuration: &str) -> Self {
        let folder = Scratch::get().folder("landfast");
        let kubeconfig = folder.join("kubeconfig");
        let text = User::Landfast.kubeconfig(&proxy.server(), &plane.folder().join("ca.crt"));
        fs::write(&kubeconfig, text).expect("a fresh folder is writable");
        fs::write(folder.join("config.yaml"), configuration).expect("a fresh folder is writable");
        let (listen, status, door) = (free_port(), free_port(), None);
        let (options, environment) = (Vec::new(), Vec::new());
        let mut landfast = Self { folder, kubeconfig, listen, status, door, process: None, options, environment };
        landfast.resume();
        landfast
    }

    /// Starts so many replicas behind one address, with one authority.
    pub fn replicas(plane: &ControlPlane, configuration: &str, count: usize) -> (Vec<Self>, Balancer) {
        let (balancer, mut replicas) = (Balancer::listen(free_port()), Vec::<Self>::new());
        for _ in 0..count {
            let folder = Scratch::get().folder("landfast");
            fs::write(folder.join("config.yaml"), configuration).expect("a fresh folder is writable");
            if let Some(first) = replicas.first() {
                copy(&first.state().join("certificates"), &folder.join("state/certificates"));
            }
            let kubeconfig = plane.kubeconfig(User::Landfast);
            let (listen, status, door) = (free_port(), free_port(), Some(balancer.port()));
            balancer.add(listen);
            let mut replica = Self {
                folder,
                kubeconfig,
                listen,
                status,
                door,
                process: None,
                options: Vec::new(),
                environment: Vec::new(),
            };
            replica.resume();
            replicas.push(replica);
        }
        (replicas, balancer)
    }

    fn started(
        plane: &ControlPlane,
        configuration: Option<&str>,
        options: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let folder = Scratch::get().folder("landfast");
        if let Some(configuration) = configuration {
            fs::write(folder.join("config.yaml"), configuration).expect("a fresh folder is writable");
        }
        let kubeconfig = plane.kubeconfig(User::Landfast);
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (listen, status) = (free_port(), free_port());
        let mut landfast = Self { folder, kubeconfig, listen, status, door: None, process: None, options, environment };
        landfast.resume();
        landfast
    }

    /// Starts it again after [`Self::end`] or [`Self::kill`], on the same ports and state.
    pub fn resume(&mut self) {
        self.launch();
        self.await_ready();
    }

    /// Returns once it is ready.
    pub fn await_ready(&mut self) {
        let mut process = self.process.take().expect("it is running");
        eventually("landfast to be ready", || {
            process.assert_alive();
            self.get("/readyz").filter(|(code, _)| *code == 200)
        });
        self.process = Some(process);
    }

    /// Starts it again, and waits for nothing.
    pub fn launch(&mut self) {
        let mut command = Command::new(BINARY.expect("cargo names the binary to integration tests"));
        command.arg("serve");
        let configuration = self.folder.join("config.yaml");
        if configuration.exists() {
            command.arg("--config").arg(configuration);
        }
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["--listen", &format!("127.0.0.1:{}", self.listen)])
            .args(["--status-listen", &format!("127.0.0.1:{}", self.status)])
            .args(["--url", &format!("https://127.0.0.1:{}", self.door.unwrap_or(self.listen))])
            .arg("--state-dir")
            .arg(self.state())
            .args(&self.options)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.process = Some(Process::start(&mut command, self.folder.join("log")));
    }

    /// Writes its configuration anew while it runs.
    pub fn configure(&self, configuration: &str) {
        fs::write(self.folder.join("config.yaml"), configuration).expect("our own folder is writable");
    }

    /// Ends it with SIGTERM and returns how it ended.
    pub fn end(&mut self) -> ExitStatus {
        self.process.take().expect("it is running").end()
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        self.process.take().expect("it is running").kill();
    }

    /// Looks until `look` finds something, and panics with the end of our log when it has not in time.
    #[track_caller]
    pub fn eventually<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        patiently(look).unwrap_or_else(|| {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n");
            panic!("waited {PATIENCE:?} for {what}; the end of the log of landfast:\n{end}")
        })
    }

    /// Returns its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Returns its state folder.
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Returns the port of its webhooks.
    pub fn port(&self) -> u16 {
        self.listen
    }

    /// Returns everything it printed since its first start.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Returns the JSON lines of its log that `matches` accepts.
    pub fn records(&self, matches: impl Fn(&Value) -> bool) -> Vec<Value> {
        let log = self.log();
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(|line| matches(line)).collect()
    }

    /// Returns `/status.json`.
    pub fn status(&self) -> Value {
        let (code, body) = self.get("/status.json").expect("the status listener answers");
        assert_eq!(code, 200, "{body}");
        serde_json::from_str(&body).expect("the status is JSON")
    }

    /// Returns the sum of one of its metrics over the label sets that hold `labels`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let (code, page) = self.get("/metrics").expect("the status listener answers");
        assert_eq!(code, 200, "{page}");
        metrics::sum(&page, name, labels)
    }

    /// Returns the revision of a source that is in force, if one is.
    pub fn revision(&self, source: &str) -> Option<String> {
        let (_, page) = self.get("/metrics")?;
        let label = format!("source=\"{source}\"");
        let mut lines = page.lines().filter(|line| line.starts_with("landfast_source_info{") && line.ends_with("} 1"));
        let (_, rest) = lines.find(|line| line.contains(&label))?.split_once("revision=\"")?;
        Some(rest.split('"').next().unwrap_or(rest).to_owned())
    }

    /// Reads a path of the status listener: status code and body, or nothing when nobody answers.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.status)).ok()?;
        stream.set_read_timeout(Some(STATUS_PATIENCE)).ok()?;
        // HTTP/1.0: the end of the body is the end of the connection.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let code = head.split_whitespace().nth(1)?.parse().ok()?;
        Some((code, body.to_owned()))
    }
}
