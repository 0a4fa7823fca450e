//! What do many declared objects cost? Our own `serve`, as a process of its own, over repositories made for it.
//!
//! Memory and processor time are the kernel's figures for that process; no API server is asked.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cli::bench::figures::Figure;
use crate::cli::bench::repository::Repository;
use crate::cli::bench::{clock, touch};

/// Objects, and declarations of each that still count.
const CASES: [(usize, usize); 4] = [(10_000, 1), (10_000, 5), (100_000, 1), (100_000, 5)];

/// Longest wait for a start.
const PATIENCE: Duration = Duration::from_mins(10);

/// How often a start is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How long after a start memory is read: what was only needed for it has been given back by then, or never is.
const SETTLED: Duration = Duration::from_secs(12);

/// Clock ticks of `/proc/PID/stat` in a second, on every Linux architecture that Rust runs on.
const TICKS: f64 = 100.0;

/// A running `landfast serve` without an API server.
struct Serving {
    child: Child,
    status: SocketAddr,
    started: Instant,
}

/// Measures every case, and a touched file in the first of them.
pub(super) fn run() -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (objects, heads) in CASES {
        let folder = tempfile::tempdir()?;
        let remote = folder.path().join("remote.git");
        let repository = Repository::new(&remote, clock()())?;
        repository.fill(objects, heads)?;
        configure(folder.path(), &remote)?;
        let case = format!("scale/{objects} objects, {heads} declared each");
        figures.extend(start(&case, "first start", folder.path(), objects)?);
        figures.extend(start(&case, "restart", folder.path(), objects)?);
        if heads == 1 && objects == CASES[0].0 {
            figures.extend(touch::run(&case, &repository, &folder.path().join("config.yaml"), heads)?);
        }
    }
    Ok(figures)
}

/// One start, from the process to everything declared.
fn start(case: &str, what: &str, folder: &Path, objects: usize) -> anyhow::Result<Vec<Figure>> {
    let mut serving = Serving::start(folder)?;
    let elapsed = serving.declares(objects)?;
    let processor = serving.processor_seconds()?;
    sleep(SETTLED);
    let [resident, most] = serving.memory()?;
    Ok(vec![
        Figure::once(format!("{case}: {what}"), "s", elapsed.as_secs_f64()),
        Figure::once(format!("{case}: {what}, processor"), "s", processor),
        Figure::once(format!("{case}: {what}, resident"), "MiB", resident),
        Figure::once(format!("{case}: {what}, resident at most"), "MiB", most),
    ])
}

fn configure(folder: &Path, remote: &Path) -> anyhow::Result<()> {
    let text = format!(
        "apiVersion: landfast.dev/v1alpha1\nkind: GitSource\nmetadata: {{ name: bench }}\nspec:\n  url: file://{}\n  \
         ref: {{ branch: main }}\n  scope: {{ namespaces: [shop] }}\n",
        remote.display()
    );
    fs::write(folder.join("config.yaml"), text).context("cannot write the configuration")
}

impl Serving {
    fn start(folder: &Path) -> anyhow::Result<Self> {
        let status = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?; // free again at the end of the line
        let child = Command::new(std::env::current_exe()?)
            .args(["serve", "--listen", "127.0.0.1:0", "--status-listen", &status.to_string(), "--config"])
            .arg(folder.join("config.yaml"))
            .arg("--state-dir")
            .arg(folder.join("state"))
            .env_remove("KUBECONFIG")
            .env_remove("KUBERNETES_SERVICE_HOST")
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start landfast serve")?;
        Ok(Self { child, status, started: Instant::now() })
    }

    /// How long it took until all is declared and the process is ready.
    fn declares(&mut self, objects: usize) -> anyhow::Result<Duration> {
        while self.started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("landfast serve has ended: {status}");
            }
            let page = self.status().unwrap_or_default();
            let source = &page["sources"][0];
            if page["ready"] == true && source["declared"] == objects {
                let faults = &source["faults"];
                ensure!(source["fault_count"] == 0, "the samples are not declared: {faults}");
                return Ok(self.started.elapsed());
            }
            sleep(LOOK);
        }
        anyhow::bail!("not everything was declared after {PATIENCE:?}")
    }

    fn status(&self) -> Option<Value> {
        let mut stream = TcpStream::connect(self.status).ok()?;
        stream.write_all(b"GET /status.json HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// User and system time so far.
    fn processor_seconds(&self) -> anyhow::Result<f64> {
        let stat = self.read("stat")?;
        // Fields after the name, which may hold anything, in proc(5): 14 and 15 are utime and stime.
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
        let ticks = fields.into_iter().flatten().filter_map(|field| field.parse::<f64>().ok()).sum::<f64>();
        Ok(ticks / TICKS)
    }

    /// Resident memory in MiB: now, and the most it ever was.
    fn memory(&self) -> anyhow::Result<[f64; 2]> {
        let status = self.read("status")?;
        let line = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?;
            Some(value.parse::<f64>().ok()? / 1024.0)
        };
        let of = |name: &str| line(name).with_context(|| format!("the kernel gives no {name}"));
        Ok([of("VmRSS:")?, of("VmHWM:")?])
    }

    fn read(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).with_context(|| format!("cannot read {path} (only Linux has it)"))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Killed, so that its state is what a crash would leave.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
