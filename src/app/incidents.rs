//! Who looks after break-glass, and who brings back what slipped past? An elected leader; and on every replica the watches that it
//! decides by.

use std::sync::Arc;

use tokio::sync::watch;

use crate::app::{Ends, Tasks, bridges, spawn};
use crate::audit::Clock;
use crate::audit::metrics::Metrics;
use crate::audit::sinks::Recorder;
use crate::cluster::form::Forms;
use crate::cluster::glasses::{Glasses, Keeping};
use crate::cluster::lease::Candidate;
use crate::follow::Follow;
use crate::reconcile::{Reconciler, Reconciling};
use crate::store::Store;

/// Elects a leader, and has break-glass and repair looked after.
pub(super) fn watch(
    tasks: &mut Tasks,
    ends: &Ends,
    follow: &Follow,
    client: kube::Client,
    own_namespace: &str,
    (clock, recorder, metrics): (&Clock, Recorder, &Arc<Metrics>),
    (store, forms): (Arc<Store>, Option<Forms>),
) {
    let (candidate, leads) = Candidate::new(client.clone(), own_namespace, identity(), Arc::clone(clock));
    spawn(tasks, "lease", candidate.run(ends.all()));
    let (grants, told) = watch::channel(Arc::default());
    if let Some(forms) = forms {
        let (client, leads, clock) = (client.clone(), leads.clone(), Arc::clone(clock));
        let (recorder, metrics) = (recorder.clone(), Arc::clone(metrics));
        let reconciling = Reconciling { client, basis: follow.basis(), leads, forms, clock, store, recorder, metrics };
        spawn(tasks, "reconciler", Reconciler::new(reconciling).run(ends.all()));
    }
    let keeping = Keeping { client, clock: Arc::clone(clock), leads, basis: follow.basis(), grants, recorder };
    spawn(tasks, "glasses", Glasses::new(keeping).run(ends.all()));
    spawn(tasks, "grants", bridges::grants(told, follow.clone(), ends.all()));
}

/// Who we are among the replicas: the Pod, or the machine with the process.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    format!("{}-{}", host.as_deref().unwrap_or("landfast"), std::process::id())
}
