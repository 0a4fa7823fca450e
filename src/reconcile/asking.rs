//! How is a deployer asked to bring an object back, and what where it does not? It is waited for, and that is said; Landfast does not
//! take over.

use std::sync::Arc;

use futures::FutureExt as _;
use serde_json::Value;
use tokio::time::Instant;
use tracing::{debug, info};

use crate::audit::repair::{Moved, Outcome};
use crate::cluster::call::CallError;
use crate::cluster::client;
use crate::cluster::writer::Writer;
use crate::drift::declared::ObjectKey;
use crate::gate::live::Look;
use crate::gate::repair::RepairBy;
use crate::limits::{DEPLOYER_ANSWER_MAX, DEPLOYER_BUSY_RETRY};
use crate::reconcile::apply::At;
use crate::reconcile::approval::{APPROVE, Digest};
use crate::reconcile::deployer::{Deployer, Unfit, Wish};
use crate::reconcile::plan::Repair;
use crate::reconcile::record::{Ending, Matter, movers};
use crate::reconcile::run::Reconciler;
use crate::reconcile::sight::Sight;
use crate::reconcile::standing::{Asked, Fingerprint};
use crate::reconcile::work::Work;

/// What came of asking.
#[derive(Debug)]
pub(super) enum Answer {
    /// It was asked.
    Asked,
    /// It is not to be asked.
    Unfit(Unfit),
    /// A call failed.
    Failed(CallError),
}

/// Whether the policy has the deployer asked.
pub(super) fn is_asked(look: &Look<'_>) -> bool {
    look.rule.is_some_and(|rule| rule.repair.by == Some(RepairBy::Deployer))
}

impl Reconciler {
    /// Notes who deploys an object, so that it is known when the object is gone.
    pub(super) fn note_deployer(&mut self, look: &Look<'_>, sight: &Sight) {
        let known = self.standings.entry(look.key());
        if !is_asked(look) || known.memory.deployer.is_some() {
            return;
        }
        known.memory.deployer = deployer(look.key(), sight);
        if known.memory.deployer.is_some() {
            self.changed.insert(look.key().clone());
        }
    }

    /// Asks the deployer for an object, unless it was asked and there is time yet.
    pub(super) fn ask(&mut self, look: &Look<'_>, sight: Option<Sight>, repair: Box<Repair>) {
        let key = look.key().clone();
        let now = (self.clock)();
        let known = self.standings.entry(&key);
        let deployer = sight.as_ref().and_then(|sight| deployer(&key, sight)).or_else(|| known.memory.deployer.clone());
        let Some(deployer) = deployer else {
            let nobody = "no label or annotation of it names its Kustomization or Application".to_owned();
            return self.not_asked(&key, &repair, Unfit::Not(nobody), Vec::new());
        };
        let Some(At { key, place }) = self.at(&key) else { return };
        self.busy.insert(key.clone(), false);
        let (client, writer, source) = (self.client.clone(), self.writer.clone(), look.source.cloned());
        let entry = Arc::new(look.entry.clone());
        let work = async move {
            let is_target = |revision: &str| {
                let then = source.as_ref()?.observed(revision)?;
                Some(entry.at(then).is_some_and(|manifest| Fingerprint::of(&manifest) == repair.fingerprint))
            };
            let live = sight.as_ref().and_then(|sight| serde_json::from_str::<Value>(sight.raw().get()).ok());
            let moved_by = movers(&repair, sight.as_ref());
            if let Some(sight) = sight.as_ref().filter(|sight| !Digest::of(sight.raw()).is_empty()) {
                // A yes is to one repair. The deployer does not know it, and would leave it there for the next.
                let taken = writer.annotate(&place, key.name(), Some(sight.version()), &[(APPROVE, None)]).await;
                if let Err(error) = taken {
                    return Work::Asked(key, repair, deployer, moved_by, Answer::Failed(error));
                }
            }
            let wish = Wish { key: &key, live: live.as_ref(), now };
            let answer = match asked(&client, &writer, &deployer, wish, is_target).await {
                Ok(answer) => answer,
                Err(error) => Answer::Failed(error),
            };
            Work::Asked(key, repair, deployer, moved_by, answer)
        };
        self.work.push(work.boxed());
    }

    /// Takes in what came of asking.
    pub(super) fn asked(
        &mut self,
        key: &ObjectKey,
        repair: Box<Repair>,
        deployer: Deployer,
        moved_by: Vec<Moved>,
        answer: Answer,
    ) {
        match answer {
            Answer::Asked => {
                info!(%key, %deployer, "Asked to bring it back");
                self.metrics.repaired("asked");
                let until = (self.clock)().checked_add(DEPLOYER_ANSWER_MAX).unwrap_or_default();
                let known = self.standings.entry(key);
                known.bout.get_or_insert_default().tries();
                known.asked = Some(Box::new(Asked { until, deployer, repair: *repair, moved_by }));
                self.look_at(key, Instant::now() + DEPLOYER_ANSWER_MAX);
            }
            Answer::Unfit(Unfit::Busy) => self.look_at(key, Instant::now() + DEPLOYER_BUSY_RETRY),
            Answer::Unfit(unfit) => self.not_asked(key, &repair, unfit, moved_by),
            Answer::Failed(error) if error.status() == Some(404) => {
                let gone = Unfit::Not(format!("{deployer} is not there"));
                self.not_asked(key, &repair, gone, moved_by);
            }
            Answer::Failed(error) => self.fail(key, &error),
        }
    }

    /// Tells that a deployer is not asked, or has not done it, and has it tried again later.
    fn not_asked(&mut self, key: &ObjectKey, repair: &Repair, unfit: Unfit, moved_by: Vec<Moved>) {
        let Unfit::Not(why) = unfit else { return };
        let now = (self.clock)();
        let known = self.standings.entry(key);
        let is_told = known.attempts.refused && known.attempts.error.as_deref() == Some(&*why);
        let wait = known.attempts.fail(now, why.clone());
        (known.attempts.refused, known.open) = (true, true);
        self.look_at(key, Instant::now() + wait);
        if is_told {
            debug!(%key, why, "Still not brought back");
            return;
        }
        let ending = Ending { outcome: Outcome::CannotRepair, manager: None, error: Some(why), moved_by };
        self.tell(key, &Matter::of(repair), ending);
    }

    /// Takes in that an object agrees, or that its deployer has not brought it back in time.
    pub(super) fn settle_asked(&mut self, key: &ObjectKey, agrees: bool) {
        let now = (self.clock)();
        let known = self.standings.entry(key);
        let Some(asked) = known.asked.take_if(|asked| agrees || asked.until <= now) else { return };
        let Asked { until: _, deployer, repair, moved_by } = *asked;
        if agrees {
            let manager = deployer.to_string();
            let ending = Ending { outcome: Outcome::Repaired, manager: Some(&manager), error: None, moved_by };
            return self.tell(key, &Matter::of(&repair), ending);
        }
        let silent = format!("{deployer} was asked and has not brought it back in {} s", DEPLOYER_ANSWER_MAX.as_secs());
        self.not_asked(key, &repair, Unfit::Not(silent), moved_by);
    }
}

fn deployer(key: &ObjectKey, sight: &Sight) -> Option<Deployer> {
    let text = sight.raw().get();
    let is_marked = ["kustomize.toolkit.fluxcd.io/name", "argocd.argoproj.io/"].iter().any(|mark| text.contains(mark));
    if !is_marked {
        return None;
    }
    Deployer::of(key, &serde_json::from_str(text).ok()?)
}

/// Reads the deployer's own object, and asks it if it is fit.
async fn asked(
    client: &kube::Client,
    writer: &Writer,
    deployer: &Deployer,
    wish: Wish<'_>,
    is_target: impl Fn(&str) -> Option<bool>,
) -> Result<Answer, CallError> {
    let (place, name) = deployer.place();
    let named = client::named(client, &place, name).await?;
    let [own] = named.as_slice() else {
        let many = if named.is_empty() { "is not there" } else { "stands in several namespaces" };
        return Ok(Answer::Unfit(Unfit::Not(format!("{deployer} {many}"))));
    };
    let patch = match deployer.ask(own, wish, is_target) {
        Ok(patch) => patch,
        Err(unfit) => return Ok(Answer::Unfit(unfit)),
    };
    let place = deployer.place_of(own["metadata"]["namespace"].as_str().unwrap_or_default());
    writer.ask(&place, name, &patch).await?;
    Ok(Answer::Asked)
}
