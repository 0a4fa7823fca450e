//! How is a real control plane started, asked and ended?
//!
//! etcd, kube-apiserver and kube-controller-manager, without a scheduler and a kubelet: a Deployment gets its
//! ReplicaSet and Pending Pods, which is all that admission needs. Everything binds to loopback.

use std::ffi::OsStr;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

use crate::testbed::kubectl::Output;
use crate::testbed::process::Process;
use crate::testbed::programs::program;
use crate::testbed::scratch::Scratch;
use crate::testbed::user::User;
use crate::testbed::{audit, block_on, certificate, eventually, kubectl, metrics};

/// How often a `kubectl replace` is run that something else overtakes.
const REPLACES: usize = 5;

/// One control plane with its own state, ports and users.
pub struct ControlPlane {
    folder: PathBuf,
    port: u16,
    etcd_port: u16,
    controllers: Mutex<Option<Process>>,
    api_server: Mutex<Option<Process>>,
    etcd: Mutex<Option<Process>>,
    namespaces: AtomicU32,
}

impl ControlPlane {
    /// Starts one and returns when it has its users and runs its controllers.
    pub fn start() -> Self {
        let folder = Scratch::get().folder("control-plane");
        certificate::write(&folder);
        let plane = Self {
            port: free_port(),
            etcd_port: free_port(),
            controllers: Mutex::default(),
            api_server: Mutex::default(),
            etcd: Mutex::default(),
            namespaces: AtomicU32::new(0),
            folder,
        };
        plane.write("audit-policy.yaml", audit::POLICY);
        plane.write("tokens.csv", &User::token_file());
        for user in User::ALL {
            let authority = plane.folder.join("ca.crt");
            plane.write(&format!("{}.kubeconfig", user.short()), &user.kubeconfig(&plane.server(), &authority));
        }
        plane.start_etcd();
        plane.start_api_server();
        plane.start_controllers();
        // Landfast's rights are those it is installed with, so that every test proves that they are enough.
        for rights in [include_str!("../../deploy/rbac.yaml"), include_str!("rbac.yaml")] {
            plane.kubectl_with_input(User::Admin, &["apply", "-f", "-"], rights).succeeds();
        }
        plane
    }

    /// Returns the address of the API server.
    pub fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Returns the folder that holds all files of this control plane.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the kubeconfig file of a user.
    pub fn kubeconfig(&self, user: User) -> PathBuf {
        self.folder.join(format!("{}.kubeconfig", user.short()))
    }

    /// Runs kubectl as a user.
    pub fn kubectl<A: AsRef<OsStr>>(&self, user: User, args: &[A]) -> Output {
        kubectl::run(&self.kubeconfig(user), args, "")
    }

    /// Runs kubectl as a user with something on its standard input, for `-f -`.
    ///
    /// `kubectl replace` reads the version of the object first, and a controller may write between the two: it is run again then, as it
    /// asks for.
    pub fn kubectl_with_input<A: AsRef<OsStr>>(&self, user: User, args: &[A], input: &str) -> Output {
        let run = || kubectl::run(&self.kubeconfig(user), args, input);
        let is_overtaken = |output: &Output| {
            let is_replace = args.iter().any(|arg| arg.as_ref() == "replace");
            is_replace && output.stderr.contains("please apply your changes to the latest version")
        };
        (1..REPLACES).map(|_| run()).find(|output| !is_overtaken(output)).unwrap_or_else(run)
    }

    /// Returns a client of the kube library, bound to the runtime of the caller.
    pub async fn client(&self, user: User) -> kube::Client {
        self.try_client(user).await.expect("a kubeconfig that the testbed wrote is right")
    }

    /// Makes a namespace that no other test uses and returns its name.
    pub fn namespace(&self) -> String {
        let name = format!("test-{}", self.namespaces.fetch_add(1, Ordering::Relaxed));
        self.kubectl(User::Admin, &["create", "namespace", &name]).succeeds();
        name
    }

    /// Returns the audit events so far that `matches` accepts.
    pub fn audit(&self, matches: impl Fn(&Value) -> bool) -> Vec<Value> {
        audit::events(&self.audit_log(), matches)
    }

    /// Waits until an audit event is accepted by `matches`, and returns all that are.
    pub fn await_audit(&self, what: &str, matches: impl Fn(&Value) -> bool) -> Vec<Value> {
        audit::await_events(&self.audit_log(), what, matches)
    }

    /// Returns the sum of one of the API server's metrics over the label sets that hold `labels`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let page = self.get("/metrics").unwrap_or_else(|error| panic!("no metrics of the API server: {error}"));
        metrics::sum(&page, name, labels)
    }

    /// Panics when a match condition of a webhook could not be evaluated: under `Ignore` that skips it in silence.
    #[track_caller]
    pub fn assert_match_conditions_hold(&self) {
        let errors = self.metric("apiserver_admission_match_condition_evaluation_errors_total", &[]);
        assert!(errors.abs() < f64::EPSILON, "{errors} match conditions could not be evaluated");
    }

    /// Starts the API server on its old port and state and waits until it is ready.
    pub fn start_api_server(&self) {
        let file = |name: &str| self.folder.join(name).display().to_string();
        let mut command = Command::new(program("kube-apiserver"));
        command
            .arg(format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port))
            .arg(format!("--secure-port={}", self.port))
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            // Loopback is no valid endpoint: without this it logs an error every ten seconds.
            .arg("--endpoint-reconciler-type=none")
            // Else exec looks the name of a node up in DNS.
            .arg("--kubelet-preferred-address-types=InternalIP")
            .arg(format!("--tls-cert-file={}", file("server.crt")))
            .arg(format!("--tls-private-key-file={}", file("server.key")))
            .arg(format!("--client-ca-file={}", file("ca.crt")))
            .arg(format!("--token-auth-file={}", file("tokens.csv")))
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(format!("--service-account-key-file={}", file("accounts.pub")))
            .arg(format!("--service-account-signing-key-file={}", file("accounts.key")))
            .args(["--service-cluster-ip-range=10.0.0.0/16", "--authorization-mode=Node,RBAC"])
            .arg(format!("--audit-policy-file={}", file("audit-policy.yaml")))
            .arg(format!("--audit-log-path={}", self.audit_log().display()))
            .args(["--allow-privileged=true", "--profiling=false"]);
        let mut process = Process::start(&mut command, self.folder.join("kube-apiserver.log"));
        eventually("the API server to be ready", || {
            process.assert_alive();
            self.get("/readyz").ok()
        });
        put(&self.api_server, process);
    }

    /// Kills the API server, as a crash would; etcd keeps its state.
    pub fn stop_api_server(&self) {
        kill(&self.api_server);
    }

    /// Kills the controllers: what is written stays as it is written.
    pub fn stop_controllers(&self) {
        kill(&self.controllers);
    }

    /// Reads a path of the API server as the administrator.
    pub fn get(&self, path: &str) -> Result<String, kube::Error> {
        let request = hyper::Request::get(path).body(Vec::new()).expect("a path makes a request");
        block_on(async { self.try_client(User::Admin).await?.request_text(request).await })
    }

    async fn try_client(&self, user: User) -> Result<kube::Client, kube::Error> {
        let file = self.kubeconfig(user);
        let kubeconfig = Kubeconfig::read_from(&file).expect("the testbed wrote this file");
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .expect("a kubeconfig that the testbed wrote is right");
        kube::Client::try_from(config)
    }

    fn start_etcd(&self) {
        let (client, peer) = (self.etcd_port, free_port());
        let mut command = Command::new(program("etcd"));
        command
            .arg(format!("--data-dir={}", self.folder.join("etcd").display()))
            .arg(format!("--listen-client-urls=http://127.0.0.1:{client}"))
            .arg(format!("--advertise-client-urls=http://127.0.0.1:{client}"))
            .arg(format!("--listen-peer-urls=http://127.0.0.1:{peer}"))
            .arg(format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"))
            .arg(format!("--initial-cluster=default=http://127.0.0.1:{peer}"))
            // Nothing here has to survive the machine.
            .args(["--unsafe-no-fsync", "--log-level=warn"]);
        put(&self.etcd, Process::start(&mut command, self.folder.join("etcd.log")));
    }

    fn start_controllers(&self) {
        let mut command = Command::new(program("kube-controller-manager"));
        command
            .arg(format!("--kubeconfig={}", self.kubeconfig(User::ControllerManager).display()))
            .args(["--secure-port=0", "--leader-elect=false", "--use-service-account-credentials=true"])
            .arg(format!("--service-account-private-key-file={}", self.folder.join("accounts.key").display()))
            .arg(format!("--root-ca-file={}", self.folder.join("ca.crt").display()))
            .args(["--kube-api-qps=200", "--kube-api-burst=400"]);
        let mut process = Process::start(&mut command, self.folder.join("kube-controller-manager.log"));
        eventually("the controllers to make the default ServiceAccount", || {
            process.assert_alive();
            self.get("/api/v1/namespaces/default/serviceaccounts/default").ok()
        });
        put(&self.controllers, process);
    }

    fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }
}

/// Returns a port of 127.0.0.1 that nobody listens on.
///
/// Below the ports that the kernel gives to outgoing connections (from 32768 on Linux), so that none of those
/// takes it before its server binds; each is handed out once.
pub fn free_port() -> u16 {
    static NEXT: Mutex<Option<u16>> = Mutex::new(None);
    let mut next = NEXT.lock().expect("no holder of this lock panics");
    // Several test binaries may run at once: each begins somewhere else.
    let mut port =
        next.unwrap_or_else(|| 20_000 + u16::try_from(RandomState::new().hash_one(()) % 12_000).unwrap_or(0));
    while TcpListener::bind(("127.0.0.1", port)).is_err() {
        port += 1;
    }
    *next = Some(port + 1);
    port
}

fn put(slot: &Mutex<Option<Process>>, process: Process) {
    *slot.lock().expect("no holder of this lock panics") = Some(process);
}

/// Kills what runs there: ending in order takes an API server tens of seconds, and nothing of it is to be kept.
fn kill(slot: &Mutex<Option<Process>>) {
    if let Some(mut process) = slot.lock().expect("no holder of this lock panics").take() {
        process.kill();
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // Whoever calls goes before whom it calls.
        kill(&self.controllers);
        kill(&self.api_server);
        kill(&self.etcd);
    }
}
