//! What does the wire cost, and what do we add? Our server beside the same server that lets everything in unread, in one run.
//!
//! Client and servers share this machine's cores, so rates are lower than a server of its own would reach; the ratio is what
//! counts. Rounds of the two alternate, so that both meet the same noise.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::routing::post;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::audit::board::Board;
use crate::audit::metrics::Metrics;
use crate::audit::sinks::Audit;
use crate::cli::bench::client::Target;
use crate::cli::bench::clock;
use crate::cli::bench::figures::Figure;
use crate::cli::bench::sample;
use crate::drift::schema::Schemas;
use crate::gate::entry::Entry;
use crate::serve::admission::{Admission, router};
use crate::serve::answers::Nobody;
use crate::serve::authority::Authority;
use crate::serve::listener::Listener;
use crate::serve::tls::{Certificates, server_config};

/// Connections at once.
const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// Connections of the open loop.
const OPEN_LOOP: usize = 64;
/// Rounds of each server, and how long one takes.
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(2);
/// How long the open loop runs.
const OPEN_LOOP_TIME: Duration = Duration::from_secs(8);

/// Where the two servers listen.
struct Servers {
    ours: Target,
    floor: Target,
    /// Ends them when dropped.
    _stop: Vec<oneshot::Sender<()>>,
    /// The servers' own threads.
    _runtime: Runtime,
}

/// Measures throughput at each number of connections, then latency at half of the highest.
pub(super) fn run() -> anyhow::Result<Vec<Figure>> {
    let servers = Servers::start()?;
    let runtime = Runtime::new().context("cannot start the clients")?;
    runtime.block_on(async {
        let mut figures = Vec::new();
        let mut saturation: f64 = 0.0;
        for connections in CONNECTIONS {
            let measured = throughput(&servers, connections).await?;
            saturation = saturation.max(measured[0].p50());
            figures.extend(measured);
        }
        let times = open_loop(&servers.ours, saturation / 2.0).await?;
        figures.push(Figure::micros(format!("https/landfast, {OPEN_LOOP} connections, half of saturation"), times));
        let times = open_loop(&servers.floor, saturation / 2.0).await?;
        figures.push(Figure::micros(format!("https/floor, {OPEN_LOOP} connections, the same rate"), times));
        Ok(figures)
    })
}

impl Servers {
    fn start() -> anyhow::Result<Self> {
        let runtime = Runtime::new().context("cannot start the servers")?;
        let folder = tempfile::tempdir()?;
        let authority = Authority::open(folder.path(), &[], clock()())?;
        let metrics = Arc::new(Metrics::new());
        let tls = server_config(Arc::new(Certificates::new(authority.certified_key()?)))?;
        let mut stop = Vec::new();
        let mut addresses = Vec::new();
        for router in [ours(&runtime, &metrics)?, floor()] {
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let listener = runtime.block_on(Listener::https(any, Arc::clone(&tls), router, Arc::clone(&metrics)))?;
            addresses.push(listener.address());
            let (sender, stopped) = oneshot::channel();
            stop.push(sender);
            runtime.spawn(listener.run(async { drop(stopped.await) }));
        }
        let path = Entry::Guard.path();
        let target = |address| Target::new(address, &authority.bundle(), path, sample::agreeing());
        Ok(Self { ours: target(addresses[0])?, floor: target(addresses[1])?, _stop: stop, _runtime: runtime })
    }
}

/// The webhooks as `serve` has them.
fn ours(runtime: &Runtime, metrics: &Arc<Metrics>) -> anyhow::Result<Router> {
    let schemas = Schemas::builtin();
    let declared = sample::declared(sample::MANIFEST.as_bytes(), &schemas)?;
    let (sender, basis) = watch::channel(sample::basis(&declared, schemas));
    let Audit { recorder, sinks, .. } =
        Audit::new(None, None, Arc::new(Board::default()), Arc::clone(metrics), clock());
    runtime.spawn(async move {
        sinks.run(std::future::pending()).await;
        drop(sender);
    });
    let admission = Admission::new(basis, Arc::new(Nobody), recorder, Arc::clone(metrics), clock());
    Ok(router(Arc::new(admission)))
}

/// The same server, but it only reads the bytes and lets everything in.
fn floor() -> Router {
    const ALLOW: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"0b3f2c9a-2f4e-4f0a-9a55-6a0e7b7f1d21","allowed":true}}"#;
    let allow = async |_: Bytes| ([(header::CONTENT_TYPE, "application/json")], ALLOW);
    Router::new().route(Entry::Guard.path(), post(allow))
}

/// Closed loop: each connection sends the next review as soon as it has an answer.
async fn throughput(servers: &Servers, connections: usize) -> anyhow::Result<[Figure; 3]> {
    let (mut ours, mut floor, mut ratios, mut sent) = (Vec::new(), Vec::new(), Vec::new(), [0; 2]);
    for round in 0..=ROUNDS {
        let (a, b) = (closed_loop(&servers.ours, connections).await?, closed_loop(&servers.floor, connections).await?);
        if round == 0 {
            continue; // warm-up
        }
        ours.push(a.1);
        floor.push(b.1);
        ratios.push(a.1 / b.1);
        sent = [sent[0] + a.0, sent[1] + b.0];
    }
    let of = |server| format!("https/{server}, {connections} connections");
    Ok([
        Figure::rate(of("landfast"), sent[0], ours),
        Figure::rate(of("floor"), sent[1], floor),
        Figure::ratio(of("landfast to floor"), ROUNDS, ratios),
    ])
}

/// How many reviews were answered, and how many a second.
#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
async fn closed_loop(target: &Target, connections: usize) -> anyhow::Result<(usize, f64)> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(target.connect().await?);
    }
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for mut connection in open {
        tasks.spawn(async move {
            let mut answered = 0_usize;
            while started.elapsed() < ROUND {
                connection.send().await?;
                answered += 1;
            }
            anyhow::Ok(answered)
        });
    }
    let mut answered = 0;
    while let Some(task) = tasks.join_next().await {
        answered += task??;
    }
    Ok((answered, answered as f64 / started.elapsed().as_secs_f64()))
}

/// Open loop: reviews are due at a fixed rate, whether or not earlier ones were answered. Times count from when they were due.
async fn open_loop(target: &Target, rate: f64) -> anyhow::Result<Vec<Duration>> {
    let mut queues = Vec::new();
    let mut tasks = JoinSet::new();
    for _ in 0..OPEN_LOOP {
        let mut connection = target.connect().await?;
        connection.send().await?; // the first is slower
        let (queue, mut due) = mpsc::unbounded_channel::<Instant>();
        queues.push(queue);
        tasks.spawn(async move {
            let mut times = Vec::new();
            while let Some(due) = due.recv().await {
                connection.send().await?;
                times.push(due.elapsed());
            }
            anyhow::Ok(times)
        });
    }
    let gap = Duration::from_secs_f64(1.0 / rate.max(1.0));
    tokio::task::spawn_blocking(move || pace(&queues, gap)).await?;
    let mut times = Vec::new();
    while let Some(task) = tasks.join_next().await {
        times.extend(task??);
    }
    Ok(times)
}

/// Hands out what is due, in turn; the runtime's own timers are too coarse for it.
fn pace(queues: &[mpsc::UnboundedSender<Instant>], gap: Duration) {
    let started = Instant::now();
    let mut due = started;
    for queue in queues.iter().cycle() {
        if due.duration_since(started) >= OPEN_LOOP_TIME || queue.send(due).is_err() {
            return;
        }
        due += gap;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}
