//! Who looks after break-glass? An elected leader, and the watch of the records that every replica decides by.

use std::sync::Arc;

use tokio::sync::watch;

use crate::app::{Ends, Tasks, bridges, spawn};
use crate::audit::Clock;
use crate::audit::sinks::Recorder;
use crate::cluster::glasses::{Glasses, Keeping};
use crate::cluster::lease::Candidate;
use crate::follow::Follow;

/// Elects a leader, and has break-glass looked after.
pub(super) fn watch(
    tasks: &mut Tasks,
    ends: &Ends,
    follow: &Follow,
    client: kube::Client,
    own_namespace: &str,
    (clock, recorder): (&Clock, Recorder),
) {
    let (candidate, leads) = Candidate::new(client.clone(), own_namespace, identity(), Arc::clone(clock));
    spawn(tasks, "lease", candidate.run(ends.all()));
    let (grants, told) = watch::channel(Arc::default());
    let keeping = Keeping { client, clock: Arc::clone(clock), leads, basis: follow.basis(), grants, recorder };
    spawn(tasks, "glasses", Glasses::new(keeping).run(ends.all()));
    spawn(tasks, "grants", bridges::grants(told, follow.clone(), ends.all()));
}

/// Who we are among the replicas: the Pod, or the machine with the process.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    format!("{}-{}", host.as_deref().unwrap_or("landfast"), std::process::id())
}
