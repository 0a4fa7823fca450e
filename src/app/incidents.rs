//! Who looks after break-glass, and who brings back what slipped past? An elected leader; and on every replica the watches that it
//! decides by.

use std::sync::Arc;

use futures::FutureExt as _;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::app::configuration::Asked;
use crate::app::{Ends, Tasks, bridges, spawn, standings};
use crate::audit::Clock;
use crate::audit::metrics::Metrics;
use crate::audit::sinks::Recorder;
use crate::cluster::configuration::Seen;
use crate::cluster::form::Forms;
use crate::cluster::glasses::{Glasses, Keeping};
use crate::cluster::lease::Candidate;
use crate::cluster::statuses::{REPAIR_MANAGER, Statuses};
use crate::cluster::writer::Writer;
use crate::follow::{Follow, Refreshed};
use crate::limits;
use crate::reconcile::tally::Tallies;
use crate::reconcile::{AskAll, Reconciler, Reconciling};
use crate::store::Store;

/// What is looked after by a leader, and needed for it.
pub(super) struct Incidents {
    pub(super) client: kube::Client,
    pub(super) own_namespace: String,
    pub(super) clock: Clock,
    pub(super) recorder: Recorder,
    pub(super) metrics: Arc<Metrics>,
    pub(super) store: Arc<Store>,
    pub(super) forms: Option<Forms>,
    pub(super) tallies: watch::Sender<Arc<Tallies>>,
    pub(super) asked: watch::Receiver<Arc<Asked>>,
    pub(super) seen: watch::Receiver<Seen>,
}

impl Incidents {
    /// Elects a leader, and has break-glass and repair looked after.
    pub(super) fn watch(self, tasks: &mut Tasks, ends: &Ends, follow: &Follow) {
        let Self { client, own_namespace, clock, recorder, metrics, store, forms, tallies, asked, seen } = self;
        let (candidate, leads) = Candidate::new(client.clone(), &own_namespace, identity(), Arc::clone(&clock));
        spawn(tasks, "lease", candidate.run(ends.all()));
        if let Some(forms) = forms {
            let (desired, wanted) = watch::channel(Arc::default());
            let told = standings::standing(asked, tallies.subscribe(), leads.clone(), desired, ends.all());
            spawn(tasks, "tallies", told);
            let (writer, clock_of, manager) = (Writer::new(client.clone()), Arc::clone(&clock), REPAIR_MANAGER);
            let statuses = Statuses { writer, desired: wanted, seen, clock: clock_of, manager };
            spawn(tasks, "standings", statuses.run(ends.all()));
            let reconciling = Reconciling {
                client: client.clone(),
                basis: follow.basis(),
                leads: leads.clone(),
                forms,
                clock: Arc::clone(&clock),
                store,
                recorder: recorder.clone(),
                metrics,
                tallies,
                namespace: own_namespace,
                ask_all: ask_all(follow),
            };
            spawn(tasks, "reconciler", Reconciler::new(reconciling).run(ends.all()));
        }
        let (grants, told) = watch::channel(Arc::default());
        let keeping = Keeping { client, clock, leads, basis: follow.basis(), grants, recorder };
        spawn(tasks, "glasses", Glasses::new(keeping).run(ends.all()));
        spawn(tasks, "grants", bridges::grants(told, follow.clone(), ends.all()));
    }
}

/// Asks every source what it says now.
fn ask_all(follow: &Follow) -> AskAll {
    let follow = follow.clone();
    Arc::new(move || {
        let follow = follow.clone();
        let ask = async move {
            let sources: Vec<_> = follow.basis().borrow().sources.keys().cloned().collect();
            for source in sources {
                match follow.refresh(&source, Instant::now() + limits::FETCH_TIME_MAX).await {
                    Refreshed::Moved | Refreshed::Unchanged => {}
                    Refreshed::Failed
                    | Refreshed::NotAsked
                    | Refreshed::LeftAlone
                    | Refreshed::Silent
                    | Refreshed::Unknown => return false,
                }
            }
            true
        };
        ask.boxed()
    })
}

/// Who we are among the replicas: the Pod, or the machine with the process.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    format!("{}-{}", host.as_deref().unwrap_or("landfast"), std::process::id())
}
