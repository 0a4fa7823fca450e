//! `landfast serve`: what was typed, as the options of the application.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use crate::app;
use crate::app::reachable::Reachable;
use crate::audit::cloudevents::Receiver;
use crate::cli::Answer;
use crate::config::held::FileSources;
use crate::limits;

/// Options of `landfast serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration: a file or a folder of GitSources and DriftPolicies, beside those in the cluster; may be given more than once.
    #[arg(long, value_name = "FILE|DIR")]
    config: Vec<PathBuf>,
    /// Let GitSources in the cluster name repositories on our own disk (file://): whoever may create them reads those.
    #[arg(long)]
    allow_file_sources: bool,
    /// How to reach the API server; else KUBECONFIG, else as a Pod in the cluster.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Where to serve the webhooks, over HTTPS.
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:9443")]
    listen: SocketAddr,
    /// Where to serve /status.json, /metrics, /healthz and /readyz.
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:8080")]
    status_listen: SocketAddr,
    /// How the API server reaches us; with this or --service, Landfast keeps its webhook configuration itself.
    #[arg(long, value_name = "https://HOST:PORT", conflicts_with = "service")]
    url: Option<String>,
    /// The Service in front of us, where we run in the cluster.
    #[arg(long, value_name = "NS/NAME")]
    service: Option<String>,
    /// Mirrors, the journal, certificates: what survives a restart. All of it can be rebuilt.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/landfast")]
    state_dir: PathBuf,
    /// Where the Secrets lie that `secretRef` names: DIR/<secret name>/<key>. Nothing reads credentials yet.
    #[arg(long, value_name = "DIR")]
    secrets_dir: Option<PathBuf>,
    /// How long a webhook configuration that somebody deleted or weakened stays so before it comes back [default: 15m].
    #[arg(long, value_name = "DURATION", value_parser = crate::config::duration)]
    stand_down: Option<Duration>,
    /// Who gets each record as a CloudEvent, by an HTTP POST of structured JSON.
    #[arg(long, value_name = "URL")]
    cloudevents: Option<String>,
}

/// Serves until told to stop.
pub fn run(args: Args) -> anyhow::Result<Answer> {
    let Args {
        config,
        allow_file_sources,
        kubeconfig,
        listen,
        status_listen,
        url,
        service,
        state_dir,
        secrets_dir,
        stand_down,
        cloudevents,
    } = args;
    if let Some(folder) = secrets_dir {
        tracing::warn!(folder = %folder.display(), "Credentials are not read yet: --secrets-dir has no effect");
    }
    let stand_down = stand_down.unwrap_or(limits::STAND_DOWN_DEFAULT);
    let cloudevents = cloudevents.as_deref().map(Receiver::new).transpose().context("--cloudevents cannot be used")?;
    let reach = Reachable::parse(url.as_deref(), service.as_deref())?;
    let program = std::env::current_exe().context("cannot find our own program")?;
    let file_sources = if allow_file_sources { FileSources::Allowed } else { FileSources::Refused };
    let options = app::Options {
        config,
        file_sources,
        kubeconfig,
        listen,
        status_listen,
        reach,
        state_dir,
        stand_down,
        program,
        cloudevents,
    };
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(app::run(options))?;
    Ok(Answer::Yes)
}
