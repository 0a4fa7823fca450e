//! What is done with a cluster? The operator's objects, schemas, a leader's work and our own webhook configuration, each kept by a task.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::app::bridges::Answered;
use crate::app::configuration::Asked;
use crate::app::incidents::Incidents;
use crate::app::reachable::Reachable;
use crate::app::{Ends, OWN_NAMESPACE, Tasks, bridges, spawn, statuses};
use crate::audit::Clock;
use crate::audit::board::Board;
use crate::audit::metrics::{Metrics, Tampered};
use crate::audit::sinks::Recorder;
use crate::cluster::configuration::{Seen, Watching};
use crate::cluster::form::Forms;
use crate::cluster::keeper::{Keeper, Keeping, Tampering};
use crate::cluster::openapi::OpenApi;
use crate::cluster::standing::Standing;
use crate::cluster::statuses::Statuses;
use crate::cluster::webhook::FIELD_MANAGER;
use crate::cluster::writer::Writer;
use crate::drift::schema::Schemas;
use crate::follow::Follow;
use crate::reconcile::tally::Tallies;
use crate::store::Store;

/// The cluster's side of the wiring.
pub(super) struct Cluster {
    pub(super) client: kube::Client,
    pub(super) reach: Option<Reachable>,
    pub(super) stand_down: Duration,
    pub(super) standing: watch::Sender<Standing>,
    pub(super) clock: Clock,
    pub(super) bundle: watch::Receiver<Arc<str>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) in_force: watch::Sender<Answered>,
    /// Who learns of what is recorded, what was lately, and who learns how all stands.
    pub(super) told: (Recorder, Arc<Board>, watch::Sender<Arc<Tallies>>),
    /// What survives a restart, and what the API server makes of Git.
    pub(super) kept: (Arc<Store>, Option<Forms>),
}

/// The operator's objects in the cluster.
pub(super) struct Objects {
    pub(super) watching: Watching,
    pub(super) seen: watch::Receiver<Seen>,
    pub(super) asked: watch::Receiver<Arc<Asked>>,
    pub(super) landfast: watch::Sender<Option<String>>,
}

impl Objects {
    pub(super) fn watch(
        self,
        tasks: &mut Tasks,
        ends: &Ends,
        follow: &Follow,
        (client, clock, board): (&kube::Client, &Clock, Arc<Board>),
    ) {
        let Self { watching, seen, asked, landfast } = self;
        let (desired, wanted) = watch::channel(Arc::default());
        let statuses = Statuses {
            writer: Writer::new(client.clone()),
            desired: wanted,
            seen,
            clock: Arc::clone(clock),
            manager: FIELD_MANAGER,
        };
        spawn(tasks, "objects", watching.run(ends.all()));
        spawn(tasks, "told", statuses::desired(asked, (follow.clone(), board, Arc::clone(clock)), desired, ends.all()));
        spawn(tasks, "statuses", statuses.run(ends.all()));
        spawn(tasks, "identity", bridges::identity(client.clone(), landfast, ends.all()));
    }
}

impl Cluster {
    pub(super) fn watch(self, tasks: &mut Tasks, ends: &Ends, follow: &Follow, schemas: Schemas, objects: Objects) {
        let Self { client, reach, stand_down, standing, clock, bundle, metrics, in_force, told, kept } = self;
        let ((recorder, board, tallies), (store, forms)) = (told, kept);
        let answered = in_force.subscribe();
        let (wanted, wanted_seen) = watch::channel(BTreeSet::new());
        let (openapi, learnt) = OpenApi::new(client.clone(), schemas, wanted_seen);
        spawn(tasks, "wanted", bridges::wanted(follow.basis(), follow.status(), wanted, ends.all()));
        spawn(tasks, "openapi", openapi.run(ends.all()));
        spawn(tasks, "learnt", bridges::learnt(learnt, follow.clone(), in_force, ends.all()));
        let own = reach.as_ref().map_or(OWN_NAMESPACE, |reach| &reach.namespace);
        let (asked, seen) = (objects.asked.clone(), objects.seen.clone());
        let incidents = Incidents {
            client: client.clone(),
            own_namespace: own.to_owned(),
            clock: Arc::clone(&clock),
            recorder,
            metrics: Arc::clone(&metrics),
            store,
            forms,
            tallies,
            asked: asked.clone(),
            seen,
        };
        incidents.watch(tasks, ends, follow);
        objects.watch(tasks, ends, follow, (&client, &clock, board));
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
