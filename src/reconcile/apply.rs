//! How is a repair carried out? One object at a time: what was planned is sent, and what comes back is looked at.
//!
//! Server-side apply by force, under the name of the deployer that owns the object, else under Landfast's own. What that cannot do
//! (422: a union, a list item, a value that stands in the way) is tried once more as an update that puts the whole item, then the
//! whole list, as Git has it. Nothing is ever deleted and made anew. Whatever it was tried by, no owner is left that would keep the
//! deployer from removing a field.

use serde_json::Value;
use tracing::warn;

use crate::cluster::call::CallError;
use crate::cluster::webhook::FIELD_MANAGER;
use crate::cluster::writer::Writer;
use crate::drift::declared::ObjectKey;
use crate::gate::managers::{self, Manager, Operation};
use crate::gate::mark::DRIFT;
use crate::reconcile::approval::APPROVE;
use crate::reconcile::body::{self, Extent};
use crate::reconcile::plan::{By, Cause, Repair};
use crate::reconcile::sight::Sight;

/// Where an object is written.
#[derive(Debug, Clone)]
pub(super) struct At {
    pub(super) key: ObjectKey,
    /// Path of its resource in its namespace.
    pub(super) place: String,
}

/// What came of a repair.
#[derive(Debug)]
pub(super) struct Done {
    /// The object as it is now.
    pub(super) sight: Sight,
    /// Under whose name.
    pub(super) manager: Manager,
}

/// Why a repair was not carried out.
#[derive(Debug)]
pub(super) enum Failure {
    /// The object is another by now: it is looked at again at once.
    Stale,
    /// The call failed; it may be made again.
    Call(CallError),
    /// The server refuses it every way there is.
    Refused(CallError),
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error.status() {
            Some(409) => Self::Stale,
            Some(400 | 422) => Self::Refused(error),
            _ => Self::Call(error),
        }
    }
}

/// Our own name.
pub(super) fn landfast() -> Manager {
    Manager { name: FIELD_MANAGER.to_owned(), operation: Operation::Apply }
}

/// Our own name, where we put.
fn updating() -> Manager {
    Manager { operation: Operation::Update, ..landfast() }
}

/// Brings an object back. `sight` is what it looks like; absent where it is missing.
pub(super) async fn carry_out(
    writer: &Writer,
    at: &At,
    repair: &Repair,
    sight: Option<&Sight>,
) -> Result<Done, Failure> {
    let Some(git) = body::declared(&at.key, &repair.manifest, &repair.carried) else { return Err(Failure::Stale) };
    let Some(sight) = sight else { return made(writer, at, &git, &repair.by).await };
    let live = read(sight)?;
    if repair.cause == Cause::Released {
        return released(writer, at, repair, (&live, sight)).await;
    }
    let manager = match &repair.by {
        By::Landfast => landfast(),
        // Who owns it now counts: the deployer may have begun to apply.
        By::Owner(known) => {
            managers::owner(&live, &git, FIELD_MANAGER).or_else(|| known.clone()).unwrap_or_else(landfast)
        }
    };
    let attempt = Attempt { writer, at, repair, git: &git, live: &live, sight, manager: &manager };
    let answer = match attempt.first().await {
        Err(Failure::Refused(refused)) if !repair.drift.is_empty() => attempt.wholly(refused).await?,
        answer => answer?,
    };
    let sight = attempt.cleaned(answer).await;
    Ok(Done { sight, manager })
}

/// Makes a missing object, as its owner made it.
async fn made(writer: &Writer, at: &At, git: &Value, by: &By) -> Result<Done, Failure> {
    let manager = match by {
        By::Owner(Some(owner)) => owner.clone(),
        By::Landfast | By::Owner(None) => landfast(),
    };
    let answer = match manager.operation {
        Operation::Apply => writer.apply(&at.place, at.key.name(), git, &manager.name).await?,
        Operation::Update => writer.create(&at.place, git, &manager.name).await?,
    };
    Ok(Done { sight: seen(answer)?, manager })
}

/// Leaves an object to its other owners: nothing of it changes but who owns it.
async fn released(writer: &Writer, at: &At, repair: &Repair, (live, sight): (&Value, &Sight)) -> Result<Done, Failure> {
    let by_update = managers::without(live, &updating());
    let owners = match &repair.by {
        By::Landfast => by_update,
        By::Owner(_) => {
            let mut rest = live.clone();
            if let Some(owners) = by_update {
                rest["metadata"]["managedFields"] = owners;
            }
            managers::without(&rest, &landfast()).or_else(|| rest.pointer("/metadata/managedFields").cloned())
        }
    };
    let owners = owners.ok_or(Failure::Stale)?;
    let sight = seen(writer.own(&at.place, at.key.name(), sight.version(), &owners).await?)?;
    Ok(Done { sight, manager: landfast() })
}

fn read(sight: &Sight) -> Result<Value, Failure> {
    serde_json::from_str(sight.raw().get()).map_err(|_| Failure::Stale)
}

fn seen(answer: String) -> Result<Sight, Failure> {
    Sight::parse(answer).map_err(|_| Failure::Stale)
}

struct Attempt<'a> {
    writer: &'a Writer,
    at: &'a At,
    repair: &'a Repair,
    git: &'a Value,
    live: &'a Value,
    sight: &'a Sight,
    manager: &'a Manager,
}

impl Attempt<'_> {
    /// As its owner writes: applied, or put.
    async fn first(&self) -> Result<Sight, Failure> {
        if self.manager.operation == Operation::Update {
            return self.put(Extent::Fields, &self.manager.name).await;
        }
        let dropped = match self.repair.by {
            By::Landfast => body::dropped(self.git, self.live, &self.repair.kept, self.manager),
            // What its deployer drops goes by the deployer's own writes.
            By::Owner(_) => Vec::new(),
        };
        if dropped.is_empty() {
            return self.apply(self.live).await;
        }
        // Before the apply: once Landfast does not own it any more, nobody would know that it is to go.
        let body = body::without(self.live, &dropped);
        match self.replace(&body, &self.manager.name).await {
            Ok(sight) => self.apply(&read(&sight)?).await,
            // The server wants it to stay, with whoever else owns it.
            Err(Failure::Refused(_)) => self.apply(self.live).await,
            Err(failure) => Err(failure),
        }
    }

    async fn apply(&self, live: &Value) -> Result<Sight, Failure> {
        let body = body::applied(self.git, live, &self.repair.kept, self.manager, FIELD_MANAGER);
        seen(self.writer.apply(&self.at.place, self.at.key.name(), &body, &self.manager.name).await?)
    }

    async fn put(&self, extent: Extent, manager: &str) -> Result<Sight, Failure> {
        let body = body::replaced(self.git, self.sight.raw(), &self.repair.drift, extent).ok_or(Failure::Stale)?;
        self.replace(&body, manager).await
    }

    async fn replace(&self, body: &Value, manager: &str) -> Result<Sight, Failure> {
        seen(self.writer.replace(&self.at.place, self.at.key.name(), body, manager).await?)
    }

    /// With all that stands around what differs, as Git has it; `refused` is what the first way met with.
    async fn wholly(&self, refused: CallError) -> Result<Sight, Failure> {
        // Under our own name where the owner applies: what it owned by an update would outlive what it applies.
        let manager = match self.manager.operation {
            Operation::Apply => FIELD_MANAGER,
            Operation::Update => &self.manager.name,
        };
        let mut put = Err(Failure::Refused(refused));
        for extent in [Extent::Items, Extent::Lists] {
            put = match self.put(extent, manager).await {
                Err(Failure::Refused(_)) => put,
                Err(failure) => return Err(failure),
                // It is back; who owns it is set right at the next look where that broke off ([`Cause::Released`]).
                Ok(put) => return Ok(self.owned(&put).await.unwrap_or(put)),
            };
        }
        put
    }

    /// What was put is applied once more, where the owner applies: then it owns it as it did, and it alone.
    async fn owned(&self, put: &Sight) -> Result<Sight, Failure> {
        if self.manager.operation == Operation::Update {
            return Ok(put.clone());
        }
        let applied = self.apply(&read(put)?).await?;
        match managers::without(&read(&applied)?, &updating()) {
            Some(owners) => {
                let name = self.at.key.name();
                seen(self.writer.own(&self.at.place, name, applied.version(), &owners).await?)
            }
            None => Ok(applied),
        }
    }

    /// Takes away what a repair ends: the mark of drift, and a person's yes. What came back is back, whether they go or not.
    async fn cleaned(&self, answer: Sight) -> Sight {
        let Ok(object) = read(&answer) else { return answer };
        let is_there = |mark: &&str| object["metadata"]["annotations"].get(mark).is_some();
        let marks: Vec<_> = [DRIFT, APPROVE].into_iter().filter(is_there).collect();
        if marks.is_empty() {
            return answer;
        }
        let (place, key) = (&self.at.place, &self.at.key);
        let none = marks.iter().map(|mark| (*mark, None)).collect::<Vec<_>>();
        match self.writer.annotate(place, key.name(), None, &none).await.map(Sight::parse) {
            Ok(Ok(sight)) => sight,
            Ok(Err(_)) => answer,
            Err(error) => {
                warn!(%key, ?marks, status = error.status(), hint = error.hint(), "It came back, and its annotations stay");
                answer
            }
        }
    }
}
