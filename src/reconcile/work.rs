//! What is done with an object that takes time: it is looked at, the server is asked about it, or it is brought back.
//!
//! One thing at a time with one object, and so many objects at once; each comes back to the loop as a [`Work`].

use std::sync::Arc;

use futures::FutureExt as _;
use tracing::info;

use crate::audit::repair::{Moved, Outcome};
use crate::cluster::call::CallError;
use crate::cluster::client;
use crate::cluster::writer::repairs::place;
use crate::drift::declared::ObjectKey;
use crate::drift::form::Form;
use crate::gate::facts::FormOf;
use crate::gate::live::Look;
use crate::reconcile::apply::{At, Done, Failure, carry_out};
use crate::reconcile::asking::Answer;
use crate::reconcile::deployer::Deployer;
use crate::reconcile::plan::{By, Cause, Repair};
use crate::reconcile::prune::Pruned;
use crate::reconcile::record::{Ending, Matter, movers};
use crate::reconcile::run::Reconciler;
use crate::reconcile::sight::Sight;
use crate::reconcile::standing::{Begun, Fingerprint};
use crate::reconcile::watch::Watched;

/// Work that has come to its end.
pub(super) enum Work {
    /// An object was read.
    Looked(ObjectKey, Result<Option<Sight>, CallError>),
    /// The server said what it makes of a declaration; with the object that is to be held against it.
    Learnt(ObjectKey, Sight, FormOf, Option<Arc<Form>>),
    /// An object was brought back, or not.
    Repaired(ObjectKey, Box<Repair>, Vec<Moved>, Result<Done, Failure>),
    /// A deployer was asked to bring an object back, or not.
    Asked(ObjectKey, Box<Repair>, Deployer, Vec<Moved>, Answer),
    /// Every source was asked what it says now, or not.
    AskedAll(bool),
    /// An object that Git dropped was deleted, or not; and whether that was begun before, without an answer.
    Pruned(ObjectKey, Result<Pruned, CallError>, bool),
    /// What waits for a person was told.
    Told(Result<(), CallError>),
}

impl Reconciler {
    /// Reads an object.
    pub(super) fn look(&mut self, key: &ObjectKey) {
        let Some(At { key, place }) = self.at(key) else { return };
        let client = self.client.clone();
        self.busy.insert(key.clone(), false);
        let look = async move {
            let read = client::get(&client, &place, key.name()).await;
            let read = read.map(|object| object.and_then(|object| Sight::parse(object).ok()));
            Work::Looked(key, read)
        };
        self.work.push(look.boxed());
    }

    /// Asks what the server makes of a declaration.
    pub(super) fn learn(&mut self, key: &ObjectKey, sight: Sight, of: FormOf) {
        let Some(info) = self.basis.schemas.kind(key.group(), key.kind()) else { return };
        let (forms, resource, key) = (self.forms.clone(), info.resource.clone(), key.clone());
        self.busy.insert(key.clone(), false);
        let learn = async move {
            let form = forms.form(&of, &resource).await;
            Work::Learnt(key, sight, of, form)
        };
        self.work.push(learn.boxed());
    }

    /// Brings an object back.
    pub(super) fn repair(&mut self, key: &ObjectKey, sight: Option<Sight>, repair: Box<Repair>) {
        let Some(at) = self.at(key) else { return };
        let known = self.standings.entry(key);
        known.bout.get_or_insert_default().tries();
        if repair.cause != Cause::Released {
            let Repair { cause, fingerprint, .. } = *repair;
            known.memory.begun = Some(Begun { cause, fingerprint, own: repair.by == By::Landfast });
            self.changed.insert(key.clone());
        }
        let (writer, key) = (self.writer.clone(), key.clone());
        self.busy.insert(key.clone(), false);
        let work = async move {
            let moved_by = movers(&repair, sight.as_ref());
            let done = carry_out(&writer, &at, &repair, sight.as_ref()).await;
            Work::Repaired(key, repair, moved_by, done)
        };
        self.work.push(work.boxed());
    }

    /// Takes in that an object agrees whose repair nobody heard the answer to: it was carried out.
    pub(super) fn settle_begun(&mut self, look: &Look<'_>, agrees: Option<Fingerprint>, sight: &Sight) {
        let key = look.key();
        let begun = self.standings.get(key).and_then(|known| known.memory.begun);
        let (Some(begun), Some(agrees)) = (begun, agrees) else { return };
        if !self.leads() || self.busy.contains_key(key) {
            // The answer is still to come, or another is to tell it.
            return;
        }
        let made = if begun.own { self.made(key, sight) } else { None };
        let known = self.standings.entry(key);
        known.memory.begun = None;
        self.changed.insert(key.clone());
        if agrees != begun.fingerprint {
            // Git and the object have moved on since.
            return;
        }
        if begun.own && known.ours.applied {
            (known.memory.applied, known.memory.made) = (Some(agrees), made);
        }
        info!(%key, "It was brought back, and the answer was lost");
        let matter = Matter { cause: begun.cause, fingerprint: begun.fingerprint, drift: &[] };
        self.tell(
            key,
            &matter,
            Ending { outcome: Outcome::Repaired, manager: None, error: None, moved_by: Vec::new() },
        );
    }

    /// Takes in what came of work.
    pub(super) fn end(&mut self, work: Work) {
        let key = match &work {
            Work::Looked(key, _)
            | Work::Learnt(key, ..)
            | Work::Repaired(key, ..)
            | Work::Asked(key, ..)
            | Work::Pruned(key, ..) => Some(key.clone()),
            Work::AskedAll(_) | Work::Told(_) => None,
        };
        let again = key.as_ref().and_then(|key| self.busy.remove(key)).unwrap_or_default();
        match work {
            Work::Looked(key, Ok(Some(sight))) => self.see(&key, sight),
            Work::Looked(key, Ok(None)) => self.miss(&key, None),
            Work::Looked(key, Err(error)) => self.fail(&key, &error),
            Work::Learnt(key, sight, of, form) => self.learnt(&key, sight, &of, form),
            Work::Repaired(key, repair, moved_by, done) => self.repaired(&key, &repair, moved_by, done),
            Work::Asked(key, repair, deployer, moved_by, answer) => {
                self.asked(&key, repair, deployer, moved_by, answer);
            }
            Work::AskedAll(answered) => self.asked_all(answered),
            Work::Pruned(key, done, was_begun) => self.pruned(&key, done, was_begun),
            Work::Told(told) => self.told(told),
        }
        if let Some(key) = key.filter(|_| again) {
            self.look_anew(key);
        }
    }

    /// Where an object is written; `None` where nobody knows its kind.
    pub(super) fn at(&self, key: &ObjectKey) -> Option<At> {
        let head = self.basis.index.objects.get(key)?.head.as_ref()?;
        let resource = &self.watches.resource(&Watched::of(key, &head.version))?.plural;
        let place = place(key.group(), &head.version, resource, key.namespace());
        Some(At { key: key.clone(), place })
    }
}
