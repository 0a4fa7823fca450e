//! Who talks to whom? The wiring: the only spawner of tasks, the only reader of the clock.
//!
//! Every part is made here, given its ends of the channels, and run until a signal or until one of them ends: a task that
//! ends ends the process. On SIGTERM the webhooks drain first; those who record and follow go on until that is done.

mod answers;
mod bridges;
mod configuration;
mod incidents;
mod progress;
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
use crate::app::configuration::{Asked, Configuring};
use crate::app::progress::Followed;
use crate::audit::Clock;
use crate::audit::board::Board;
use crate::audit::cloudevents::Receiver;
use crate::audit::event::EventSink;
use crate::audit::journal::{self, Journal};
use crate::audit::metrics::{Metrics, Tampered};
use crate::audit::sinks::{Audit, Recorder};
use crate::cluster::client;
use crate::cluster::configuration::{Seen, Watching};
use crate::cluster::form::Forms;
use crate::cluster::keeper::{Keeper, Keeping, Tampering};
use crate::cluster::openapi::OpenApi;
use crate::cluster::standing::Standing;
use crate::cluster::statuses::Statuses;
use crate::cluster::webhook::Backend;
use crate::cluster::writer::Writer;
use crate::drift::schema::Schemas;
use crate::follow::{self, Follow};
use crate::git::fetch::Fetcher;
use crate::serve::admission::{self, Admission};
use crate::serve::authority::{self, Authority};
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

/// How the API server reaches us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reachable {
    backend: Backend,
    /// Names and addresses that our certificate must carry.
    hosts: Vec<String>,
    /// Our Namespace.
    namespace: String,
}

impl Reachable {
    /// From `--url https://HOST:PORT` or `--service NS/NAME`; nothing of both is no webhook configuration.
    pub fn parse(url: Option<&str>, service: Option<&str>) -> anyhow::Result<Option<Self>> {
        if let Some(url) = url {
            let parsed: axum::http::Uri = url.parse().with_context(|| format!("--url {url}"))?;
            let plain = parsed.scheme_str() == Some("https") && parsed.path() == "/" && parsed.query().is_none();
            let host = parsed.host().filter(|_| plain);
            let host = host.with_context(|| format!("--url {url} is not of the form https://HOST:PORT"))?;
            return Ok(Some(Self {
                backend: Backend::Url(url.trim_end_matches('/').to_owned()),
                hosts: vec![host.trim_matches(['[', ']']).to_owned()],
                namespace: OWN_NAMESPACE.to_owned(),
            }));
        }
        let Some(service) = service else { return Ok(None) };
        let parts = service.split_once('/').filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty());
        let (namespace, name) = parts.with_context(|| format!("--service {service} is not of the form NS/NAME"))?;
        Ok(Some(Self {
            backend: Backend::Service { namespace: namespace.to_owned(), name: name.to_owned() },
            hosts: authority::names_of_service(namespace, name),
            namespace: namespace.to_owned(),
        }))
    }
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
    let Options { config, kubeconfig, listen, status_listen, reach, state_dir, stand_down, program, cloudevents } =
        options;
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    let clock: Clock = Arc::new(Timestamp::now);
    let client = connected(kubeconfig.as_deref(), reach.as_ref(), &config).await?;
    let store = Arc::new(Store::open(&state_dir)?);
    let opened = Configuring::open(config, Arc::clone(&store), client.is_some(), clock());
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
    let progress = Followed::new(follow.clone(), answered, asked, reach.is_some().then_some(fares));
    let status = Arc::new(Status::new(Arc::<Followed>::clone(&progress), follow.basis(), board, &metrics, &clock));
    let page = Listener::http(status_listen, status::router(status), Arc::clone(&metrics)).await?;
    tracing::info!(webhooks = %webhooks.address(), status = %page.address(), "Serving");
    spawn(&mut tasks, "status", page.run(ends.all()));

    if let (Some(client), Some(objects)) = (client, objects) {
        let bundle = shown.bundle;
        let cluster =
            Cluster { client, reach, stand_down, standing, clock, bundle, metrics, in_force, recorder, store, forms };
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
    (Arc::new(World::new(follow.clone(), client.cloned(), forms.clone(), Arc::clone(clock))), forms)
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

/// The cluster's side of the wiring.
struct Cluster {
    client: kube::Client,
    reach: Option<Reachable>,
    stand_down: Duration,
    standing: watch::Sender<Standing>,
    clock: Clock,
    bundle: watch::Receiver<Arc<str>>,
    metrics: Arc<Metrics>,
    in_force: watch::Sender<Answered>,
    recorder: Recorder,
    store: Arc<Store>,
    forms: Option<Forms>,
}

/// The operator's objects in the cluster.
struct Objects {
    watching: Watching,
    seen: watch::Receiver<Seen>,
    asked: watch::Receiver<Arc<Asked>>,
    landfast: watch::Sender<Option<String>>,
}

impl Objects {
    fn watch(self, tasks: &mut Tasks, ends: &Ends, follow: &Follow, client: &kube::Client, clock: &Clock) {
        let Self { watching, seen, asked, landfast } = self;
        let (desired, wanted) = watch::channel(Arc::default());
        let statuses =
            Statuses { writer: Writer::new(client.clone()), desired: wanted, seen, clock: Arc::clone(clock) };
        spawn(tasks, "objects", watching.run(ends.all()));
        spawn(tasks, "told", statuses::desired(asked, follow.clone(), desired, ends.all()));
        spawn(tasks, "statuses", statuses.run(ends.all()));
        spawn(tasks, "identity", bridges::identity(client.clone(), landfast, ends.all()));
    }
}

impl Cluster {
    fn watch(self, tasks: &mut Tasks, ends: &Ends, follow: &Follow, schemas: Schemas, objects: Objects) {
        let Self { client, reach, stand_down, standing, clock, bundle, metrics, in_force, recorder, store, forms } =
            self;
        let answered = in_force.subscribe();
        let (wanted, wanted_seen) = watch::channel(BTreeSet::new());
        let (openapi, learnt) = OpenApi::new(client.clone(), schemas, wanted_seen);
        spawn(tasks, "wanted", bridges::wanted(follow.basis(), follow.status(), wanted, ends.all()));
        spawn(tasks, "openapi", openapi.run(ends.all()));
        spawn(tasks, "learnt", bridges::learnt(learnt, follow.clone(), in_force, ends.all()));
        let own = reach.as_ref().map_or(OWN_NAMESPACE, |reach| &reach.namespace);
        incidents::watch(tasks, ends, follow, client.clone(), own, (&clock, recorder, &metrics), (store, forms));
        let asked = objects.asked.clone();
        objects.watch(tasks, ends, follow, &client, &clock);
        let Some(Reachable { backend, namespace, hosts: _ }) = reach else { return };
        let alarm = Arc::new(move |tampering: Tampering| {
            let how = match tampering {
                Tampering::Deleted => "deleted",
                Tampering::Changed => "changed",
            };
            metrics.tampering.get_or_create(&Tampered { how }).inc();
        });
        let keeping = Keeping { client, backend, ca: bundle, namespace, stand_down, alarm, standing, clock };
        let keeper = Keeper::new(keeping);
        let (follow, early, end) = (follow.clone(), ends.all(), ends.all());
        spawn(tasks, "webhooks", async move {
            tokio::select! {
                () = bridges::restored(&follow, answered, asked) => keeper.run(follow.basis(), end).await,
                () = early => {}
            }
        });
    }
}

/// Faults, one a line.
fn list(faults: &[crate::gate::basis::Fault]) -> String {
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    format!("the configuration has {} fault(s)\n  {}", faults.len(), lines.join("\n  "))
}

#[cfg(test)]
mod tests {
    use crate::app::Reachable;
    use crate::cluster::webhook::Backend;

    #[test]
    fn a_url_names_host_and_port_only() {
        let reach = Reachable::parse(Some("https://10.0.0.7:9443/"), None).unwrap().unwrap();
        assert_eq!(reach.backend, Backend::Url("https://10.0.0.7:9443".to_owned()));
        assert_eq!(reach.hosts, ["10.0.0.7"]);
        for wrong in ["http://a:1", "https://a:1/validate", "https://a:1/?x=y", "a:1", ""] {
            assert!(Reachable::parse(Some(wrong), None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_service_names_its_namespace() {
        let reach = Reachable::parse(None, Some("landfast-system/landfast")).unwrap().unwrap();
        assert_eq!(reach.namespace, "landfast-system");
        assert!(reach.hosts.contains(&"landfast.landfast-system.svc".to_owned()), "{:?}", reach.hosts);
        assert!(Reachable::parse(None, Some("landfast")).is_err());
        assert_eq!(Reachable::parse(None, None).unwrap(), None);
    }
}
