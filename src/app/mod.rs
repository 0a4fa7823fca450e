//! Who talks to whom? The wiring: the only spawner of tasks, the only reader of the clock.
//!
//! Every part is made here, given its ends of the channels, and run until a signal or until one of them ends: a task that
//! ends ends the process. On SIGTERM the webhooks drain first; those who record and follow go on until that is done.

mod answers;
mod bridges;
mod cluster;
mod configuration;
mod incidents;
mod progress;
pub mod reachable;
mod standings;
mod statuses;

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::app::answers::World;
use crate::app::bridges::Answered;
use crate::app::cluster::{Cluster, Objects};
use crate::app::configuration::{Asked, Configuring};
use crate::app::progress::Followed;
use crate::app::reachable::Reachable;
use crate::audit::Clock;
use crate::audit::board::Board;
use crate::audit::cloudevents::Receiver;
use crate::audit::event::EventSink;
use crate::audit::journal::{self, Journal};
use crate::audit::metrics::Metrics;
use crate::audit::sinks::{Audit, Recorder};
use crate::cluster::client;
use crate::cluster::configuration::Watching;
use crate::cluster::form::Forms;
use crate::cluster::kinship::Kinship;
use crate::cluster::standing::Standing;
use crate::cluster::writer::Writer;
use crate::config::held::FileSources;
use crate::drift::schema::Schemas;
use crate::follow::{self, Follow};
use crate::git::fetch::Fetcher;
use crate::serve::admission::{self, Admission};
use crate::serve::authority::Authority;
use crate::serve::listener::Listener;
use crate::serve::renewal::{Renewal, Shown};
use crate::serve::status::{self, Status};
use crate::serve::tls;
use crate::store::Store;

/// Landfast's own Namespace where it runs outside of the cluster.
const OWN_NAMESPACE: &str = "landfast-system";

/// What `landfast serve` was asked for.
#[derive(Debug)]
pub struct Options {
    /// Files and folders of configuration, beside the objects in the cluster.
    pub config: Vec<PathBuf>,
    /// Whether objects in the cluster may name repositories on our own disk.
    pub file_sources: FileSources,
    /// How to reach the API server; else `KUBECONFIG`, else as a Pod.
    pub kubeconfig: Option<PathBuf>,
    /// Where to serve the webhooks.
    pub listen: SocketAddr,
    /// Where to serve the status.
    pub status_listen: SocketAddr,
    /// How the API server reaches us; absent: somebody else keeps the webhook configuration.
    pub reach: Option<Reachable>,
    /// What survives a restart.
    pub state_dir: PathBuf,
    /// How long a weakened webhook configuration stays so.
    pub stand_down: Duration,
    /// Our own program, which fetches as a child.
    pub program: PathBuf,
    /// Who gets CloudEvents.
    pub cloudevents: Option<Receiver>,
}

/// Tasks by name; the first that ends, ends all.
type Tasks = JoinSet<&'static str>;

/// Tells tasks to end: the webhooks first, then all else.
struct Ends {
    serving: watch::Sender<bool>,
    all: watch::Sender<bool>,
}

impl Ends {
    fn of(ends: &watch::Sender<bool>) -> impl Future<Output = ()> + Send + use<> {
        let mut ends = ends.subscribe();
        async move {
            // A sender that is gone has nobody left to serve.
            let _ = ends.wait_for(|end| *end).await;
        }
    }

    fn serving(&self) -> impl Future<Output = ()> + Send + use<> {
        Self::of(&self.serving)
    }

    fn all(&self) -> impl Future<Output = ()> + Send + use<> {
        Self::of(&self.all)
    }
}

/// Serves until SIGTERM or SIGINT, or until a part of it fails.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let Options { config, file_sources, kubeconfig, listen, status_listen, reach, state_dir, .. } = options;
    let (stand_down, program, cloudevents) = (options.stand_down, options.program, options.cloudevents);
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    let clock: Clock = Arc::new(Timestamp::now);
    let client = connected(kubeconfig.as_deref(), reach.as_ref(), &config).await?;
    let store = Arc::new(Store::open(&state_dir)?);
    let opened = Configuring::open((config, file_sources), Arc::clone(&store), client.is_some(), clock());
    let (configuring, asked) = opened.map_err(|faults| anyhow::anyhow!(list(&faults)))?;

    let ends = Ends { serving: watch::channel(false).0, all: watch::channel(false).0 };
    let mut tasks = Tasks::new();
    let metrics = Arc::new(Metrics::new());
    let schemas = Schemas::builtin();
    let (follower, follow) = follow::follow(follow::Options {
        settings: Arc::clone(&asked.borrow().settings),
        schemas: schemas.clone(),
        store: Arc::clone(&store),
        fetcher: Fetcher::new(program),
        clock: Arc::clone(&clock),
        metrics: Arc::clone(&metrics),
    });
    spawn(&mut tasks, "follow", follower.run(ends.all()));

    let sink = client.clone().map(|client| Arc::new(Writer::new(client)) as Arc<dyn EventSink>);
    let (recorder, board) = records(&mut tasks, &ends, &store, (sink, cloudevents), (&metrics, &clock))?;
    let objects = configured(&mut tasks, &ends, client.as_ref(), (configuring, &asked), (&follow, &recorder, &clock));

    let (world, forms) = world(&mut tasks, &ends, &follow, client.as_ref(), (&store, &clock));
    let told = recorder.clone();
    let admission = Admission::new(follow.basis(), world, told, Arc::clone(&metrics), Arc::clone(&clock));
    let shown = certificates(&mut tasks, &ends, &store, reach.as_ref(), &metrics, &clock)?;
    let config = tls::server_config(Arc::clone(&shown.certificates)).context("cannot set up TLS")?;
    let router = admission::router(Arc::new(admission));
    let webhooks = Listener::https(listen, config, router, Arc::clone(&metrics)).await?;

    let nobody = if client.is_some() { Answered::For(BTreeSet::new()) } else { Answered::NobodyToAsk };
    let (in_force, answered) = watch::channel(nobody);
    let (standing, fares) = watch::channel(Standing::default());
    let (tallies, counted) = watch::channel(Arc::default());
    let progress = Followed::new(follow.clone(), answered, asked, (reach.is_some().then_some(fares), counted));
    let status =
        Arc::new(Status::new(Arc::<Followed>::clone(&progress), follow.basis(), Arc::clone(&board), &metrics, &clock));
    let page = Listener::http(status_listen, status::router(status), Arc::clone(&metrics)).await?;
    tracing::info!(webhooks = %webhooks.address(), status = %page.address(), "Serving");
    spawn(&mut tasks, "status", page.run(ends.all()));

    if let (Some(client), Some(objects)) = (client, objects) {
        let bundle = shown.bundle;
        let (told, kept) = ((recorder, board, tallies), (store, forms));
        let cluster = Cluster { client, reach, stand_down, standing, clock, bundle, metrics, in_force, told, kept };
        cluster.watch(&mut tasks, &ends, &follow, schemas, objects);
    }
    let mut serving = JoinSet::new();
    serving.spawn(webhooks.run(ends.serving()));
    let ended = ended(&mut tasks, &mut serving).await;
    progress.drain();
    ends.serving.send_replace(true);
    while serving.join_next().await.is_some() {}
    ends.all.send_replace(true);
    while tasks.join_next().await.is_some() {}
    ended
}

/// The API server, where there is one; without it everything must stand in files.
async fn connected(
    kubeconfig: Option<&Path>,
    reach: Option<&Reachable>,
    config: &[PathBuf],
) -> anyhow::Result<Option<kube::Client>> {
    match client::connect(kubeconfig).await {
        Ok(client) => Ok(Some(client)),
        Err(client::ClientError::Nowhere(_)) if reach.is_none() && !config.is_empty() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Who learns of verdicts, and what is known of those before the start.
fn records(
    tasks: &mut Tasks,
    ends: &Ends,
    store: &Store,
    (sink, receiver): (Option<Arc<dyn EventSink>>, Option<Receiver>),
    (metrics, clock): (&Arc<Metrics>, &Clock),
) -> anyhow::Result<(Recorder, Arc<Board>)> {
    let (journal, records) = Journal::open(store.root())?;
    let board = Arc::new(Board::new(records, journal::refusals(store.root())?));
    let audit = Audit::new(Some(journal), sink, Arc::clone(&board), Arc::clone(metrics), Arc::clone(clock));
    let audit = match receiver {
        Some(receiver) => audit.sending(receiver),
        None => audit,
    };
    spawn(tasks, "sinks", audit.sinks.run(ends.all()));
    if let Some(events) = audit.events {
        spawn(tasks, "events", events.run(ends.all()));
    }
    if let Some(cloudevents) = audit.cloudevents {
        spawn(tasks, "cloudevents", cloudevents.run(ends.all()));
    }
    Ok((audit.recorder, board))
}

/// Has the configuration kept; with a cluster, what is to be done with its objects.
fn configured(
    tasks: &mut Tasks,
    ends: &Ends,
    client: Option<&kube::Client>,
    (configuring, asked): (Configuring, &watch::Receiver<Arc<Asked>>),
    (follow, recorder, clock): (&Follow, &Recorder, &Clock),
) -> Option<Objects> {
    let (landfast, landfast_seen) = watch::channel(None);
    let (watching, seen) = client.cloned().map(Watching::new).unzip();
    let around = configuration::Around {
        follow: follow.clone(),
        recorder: recorder.clone(),
        clock: Arc::clone(clock),
        seen: seen.clone(),
        landfast: landfast_seen,
    };
    spawn(tasks, "configuration", configuring.run(around, ends.all()));
    Some(Objects { watching: watching?, seen: seen?, asked: asked.clone(), landfast })
}

/// Who answers what `decide` asks.
fn world(
    tasks: &mut Tasks,
    ends: &Ends,
    follow: &Follow,
    client: Option<&kube::Client>,
    (store, clock): (&Arc<Store>, &Clock),
) -> (Arc<World>, Option<Forms>) {
    let forms = client.map(|client| Forms::open(client.clone(), Arc::clone(store), Arc::clone(clock)));
    let forms = forms.map(|(forms, errands)| {
        spawn(tasks, "forms", errands.run(ends.all()));
        forms
    });
    let kinship = Kinship::default();
    if let Some(client) = client {
        let (minded, wanted) = watch::channel(BTreeSet::new());
        spawn(tasks, "minded", bridges::minded(follow.basis(), minded, ends.all()));
        spawn(tasks, "kinship", kinship.clone().run(client.clone(), wanted, ends.all()));
    }
    let world = World::new(follow.clone(), client.cloned(), (forms.clone(), kinship), Arc::clone(clock));
    (Arc::new(world), forms)
}

/// Waits for a signal (fine), or for a part that ends by itself (not fine).
async fn ended(tasks: &mut Tasks, serving: &mut JoinSet<()>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let name = tokio::select! {
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
        Some(ended) = tasks.join_next() => ended.context("a part of landfast panicked")?,
        Some(ended) = serving.join_next() => {
            ended.context("the webhook listener panicked")?;
            "webhooks"
        }
    };
    anyhow::bail!("`{name}` ended by itself")
}

fn spawn(tasks: &mut Tasks, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(async move {
        task.await;
        name
    });
}

/// Opens our own certificates and has them looked after.
fn certificates(
    tasks: &mut Tasks,
    ends: &Ends,
    store: &Store,
    reach: Option<&Reachable>,
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> anyhow::Result<Shown> {
    let folder = store.root().join("certificates");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let hosts = reach.map(|reach| reach.hosts.clone()).unwrap_or_default();
    let authority = Authority::open(&folder, &hosts, clock())?;
    let (renewal, shown) = Renewal::new(authority, Arc::clone(metrics), Arc::clone(clock))?;
    spawn(tasks, "certificates", renewal.run(ends.all()));
    Ok(shown)
}

/// Faults, one a line.
fn list(faults: &[crate::gate::basis::Fault]) -> String {
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    format!("the configuration has {} fault(s)\n  {}", faults.len(), lines.join("\n  "))
}
