//! What is asked for now? Files and the cluster's objects become settings, again whenever one of them changes.
//!
//! What is faulty changes nothing: of a file the last good text of all files stays in force, of an object in the cluster its own
//! last good version, also across restarts. Each change is put on the record.

use std::collections::BTreeSet;
use std::future::{Future, pending};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, warn};

use crate::audit::Clock;
use crate::audit::change::{Change, Reconfigured};
use crate::audit::sinks::Recorder;
use crate::cluster::configuration::Seen;
use crate::config::crd::Object;
use crate::config::held::{FileSources, Held, Together, Told, together};
use crate::config::{self, Settings};
use crate::follow::Follow;
use crate::gate::basis::Fault;
use crate::limits;
use crate::store::Store;

/// Files and their texts, and what could not be read.
type Texts = (Vec<(String, String)>, Vec<Fault>);

/// What is in force, for those who tell it.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// Whether the cluster's objects are among it, or there are none to wait for.
    pub(super) whole: bool,
    /// The settings in force.
    pub(super) settings: Arc<Settings>,
    /// What became of each object in the cluster.
    pub(super) told: Vec<Told>,
    /// Why the files, as they are now, are not in force.
    pub(super) faults: Vec<Fault>,
}

/// Keeps the settings.
pub(super) struct Configuring {
    paths: Vec<PathBuf>,
    file_sources: FileSources,
    /// The texts last decoded, good or not, and those of the last look.
    decoded: Texts,
    looked: Texts,
    /// The objects of the last good files.
    files: Vec<Object>,
    faults: Vec<Fault>,
    /// Of each object in the cluster the version last in force.
    good: Vec<Held>,
    /// All objects in force.
    objects: Vec<Object>,
    landfast: Option<String>,
    asked: watch::Sender<Arc<Asked>>,
    store: Arc<Store>,
}

/// What it keeps them with, once all of it runs.
pub(super) struct Around {
    pub(super) follow: Follow,
    pub(super) recorder: Recorder,
    pub(super) clock: Clock,
    /// The cluster's objects, where there is a cluster.
    pub(super) seen: Option<watch::Receiver<Seen>>,
    /// Our own user name, once it is known.
    pub(super) landfast: watch::Receiver<Option<String>>,
}

impl Configuring {
    /// Reads the files, and with a cluster what was last in force of its objects. Fails with all faults of the files.
    pub(super) fn open(
        (paths, file_sources): (Vec<PathBuf>, FileSources),
        store: Arc<Store>,
        with_cluster: bool,
        now: Timestamp,
    ) -> Result<(Self, watch::Receiver<Arc<Asked>>), Vec<Fault>> {
        let decoded = config::texts(&paths);
        let (texts, faults) = decoded.clone();
        let files = config::objects(&texts, faults)?;
        let remembered: Vec<Held> = if with_cluster { store.load_configuration() } else { Vec::new() };
        let Together { settings, objects, told, good } = together(&files, &remembered, &[], file_sources)?;
        tell(&settings, &BTreeSet::new(), now);
        let asked = Asked { whole: !with_cluster, settings: Arc::new(settings), told, faults: Vec::new() };
        let (asked, receiver) = watch::channel(Arc::new(asked));
        let looked = decoded.clone();
        let faults = Vec::new();
        let landfast = None;
        let own = Self { paths, file_sources, decoded, looked, files, faults, good, objects, landfast, asked, store };
        Ok((own, receiver))
    }

    /// Runs until `shutdown` resolves.
    pub(super) async fn run(mut self, mut around: Around, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        let mut tick = interval(limits::CONFIG_LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let at_start = changes(&[], &self.objects, &[], &self.good);
        record(&around, at_start);
        loop {
            let seen = around.seen.as_mut();
            tokio::select! {
                () = &mut shutdown => return,
                _ = tick.tick(), if !self.paths.is_empty() => {
                    if !self.look().await {
                        continue;
                    }
                }
                () = changed(seen) => {}
                changed = around.landfast.changed() => {
                    if changed.is_err() { return; }
                    self.landfast.clone_from(&around.landfast.borrow_and_update());
                }
            }
            self.settle(&around).await;
        }
    }

    /// Whether the files say something else than before, twice in a row.
    async fn look(&mut self) -> bool {
        let paths = self.paths.clone();
        let Ok(now) = spawn_blocking(move || config::texts(&paths)).await else { return false };
        let stands = now == self.looked;
        self.looked = now;
        if !stands || self.looked == self.decoded {
            return false;
        }
        self.decoded = self.looked.clone();
        let (texts, faults) = self.decoded.clone();
        match config::objects(&texts, faults) {
            Ok(objects) => (self.files, self.faults) = (objects, Vec::new()),
            Err(faults) => {
                for fault in faults.iter().take(limits::FAULTS_SHOWN_MAX) {
                    warn!(%fault, "The configuration has a fault; the last good one stays in force");
                }
                self.faults = faults;
            }
        }
        true
    }

    /// Puts in force what is asked for now.
    async fn settle(&mut self, around: &Around) {
        let (held, whole) = self.held(around.seen.as_ref());
        let Together { mut settings, objects, told, good } =
            match together(&self.files, &held, &self.good, self.file_sources) {
                Ok(together) => together,
                Err(faults) => {
                    for fault in faults {
                        error!(%fault, "The last good configuration has a fault");
                    }
                    return;
                }
            };
        let before = Arc::clone(&self.asked.borrow());
        let changes = changes(&self.objects, &objects, &self.good, &good);
        let settings = if changes.is_empty() && before.settings.policy.landfast == self.landfast {
            Arc::clone(&before.settings)
        } else {
            let mut policy = settings.policy.as_ref().clone();
            policy.landfast.clone_from(&self.landfast);
            settings.policy = Arc::new(policy);
            tell(&settings, &before.settings.notices.iter().collect(), (around.clock)());
            let settings = Arc::new(settings);
            around.follow.set_settings(Arc::clone(&settings)).await;
            settings
        };
        record(around, changes);
        for told in told.iter().filter(|told| !told.faults.is_empty() && !before.told.contains(told)) {
            let (kind, name, faults) = (&told.kind, &told.name, told.faults.join("; "));
            warn!(
                kind,
                name,
                faults,
                in_force = told.in_force,
                "An object has faults; its last good version stays in force"
            );
        }
        self.objects = objects;
        self.remember(good).await;
        self.asked.send_replace(Arc::new(Asked { whole, settings, told, faults: self.faults.clone() }));
    }

    /// The cluster's objects; before the API server has spoken, and of kinds that it does not show, those that were in force.
    fn held(&self, seen: Option<&watch::Receiver<Seen>>) -> (Vec<Held>, bool) {
        let Some(seen) = seen else { return (Vec::new(), true) };
        let seen = seen.borrow();
        if !seen.answered {
            return (self.good.clone(), false);
        }
        let unseen = self.good.iter().filter(|good| seen.hidden.contains(&good.kind));
        (seen.held.iter().chain(unseen).cloned().collect(), true)
    }

    async fn remember(&mut self, good: Vec<Held>) {
        if self.good == good {
            return;
        }
        self.good.clone_from(&good);
        let store = Arc::clone(&self.store);
        let saved = spawn_blocking(move || store.save_configuration(&good)).await;
        if let Ok(Err(error)) = saved {
            warn!(%error, "The configuration in force is not remembered");
        }
    }
}

/// Waits for a change of what somebody may know.
async fn changed<T>(known: Option<&mut watch::Receiver<T>>) {
    let Some(known) = known else { return pending().await };
    if known.changed().await.is_err() {
        // Nobody can know it any more.
        pending::<()>().await;
    }
}

/// Logs what has no effect, once.
fn tell(settings: &Settings, before: &BTreeSet<&config::Notice>, now: Timestamp) {
    for notice in settings.notices.iter().filter(|notice| !before.contains(notice)) {
        warn!(%notice, "Configuration without effect");
    }
    for notice in settings.policy.over(now) {
        warn!(%notice, "Configuration without effect");
    }
}

fn record(around: &Around, changes: Vec<Change>) {
    if changes.is_empty() {
        return;
    }
    let policy_generation = around.follow.basis().borrow().policy.generation;
    around.recorder.reconfigured(Reconfigured { time: (around.clock)(), policy_generation, changes });
}

fn changes(before: &[Object], now: &[Object], good_before: &[Held], good: &[Held]) -> Vec<Change> {
    let same = |a: &Object, b: &Object| a.spec.kind() == b.spec.kind() && a.name == b.name;
    let change = |change: &str, object: &Object, good: &[Held]| {
        let held = good.iter().find(|held| held.place() == object.origin.file);
        Change {
            change: change.to_owned(),
            kind: object.spec.kind().to_owned(),
            name: object.name.clone(),
            origin: object.origin.to_string(),
            generation: held.map(|held| held.generation),
            manager: held.and_then(|held| held.manager.clone()),
        }
    };
    let mut changes = Vec::new();
    for object in now {
        match before.iter().find(|before| same(before, object)) {
            None => changes.push(change("Added", object, good)),
            Some(before) if before.fingerprint != object.fingerprint || before.created != object.created => {
                changes.push(change("Changed", object, good));
            }
            Some(_) => {}
        }
    }
    let gone = before.iter().filter(|before| !now.iter().any(|now| same(before, now)));
    changes.extend(gone.map(|object| change("Removed", object, good_before)));
    changes
}
