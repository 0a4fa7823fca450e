//! How does what one part knows reach another that must not know it? Small tasks, each from one watch to another.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use kube::Client;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::app::configuration::Asked;
use crate::cluster::client;
use crate::cluster::openapi::{GroupVersion, Learnt};
use crate::follow::{Follow, SourceStatus, Start, Statuses};
use crate::gate::basis::Basis;
use crate::gate::derived;
use crate::gate::grant::Grants;
use crate::limits;

/// The group-versions that Git declares, for the schemas of the API server; those among them whose kinds nobody knows yet, since
/// only the API server can tell.
pub(super) async fn wanted(
    mut basis: watch::Receiver<Arc<Basis>>,
    mut status: watch::Receiver<Statuses>,
    wanted: watch::Sender<BTreeSet<GroupVersion>>,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    let mut declared = basis.borrow_and_update().index.versions();
    loop {
        let unknown: BTreeSet<_> =
            status.borrow_and_update().iter().flat_map(|source| source.unknown.iter().cloned()).collect();
        let now: BTreeSet<_> = declared.union(&unknown).cloned().collect();
        let now: BTreeSet<_> = now.into_iter().map(|(group, version)| GroupVersion { group, version }).collect();
        wanted.send_if_modified(|before| {
            let changed = *before != now;
            *before = now;
            changed
        });
        tokio::select! {
            changed = basis.changed() => {
                if changed.is_err() { return; }
                declared = basis.borrow_and_update().index.versions();
            }
            changed = status.changed() => if changed.is_err() { return },
            () = &mut shutdown => return,
        }
    }
}

/// The namespaces in which policies mind who reaches into what declared objects made.
pub(super) async fn minded(
    mut basis: watch::Receiver<Arc<Basis>>,
    minded: watch::Sender<BTreeSet<String>>,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    loop {
        let now = derived::minded(&basis.borrow_and_update());
        minded.send_if_modified(|before| {
            let changed = *before != now;
            *before = now;
            changed
        });
        tokio::select! {
            changed = basis.changed() => if changed.is_err() { return },
            () = &mut shutdown => return,
        }
    }
}

/// Waits until the cluster's objects are known, and every source has a revision or was asked for one, and is read with all kinds that the API server knows; at most
/// [`limits::READY_WAIT_MAX`].
///
/// Webhook entries rendered before that would replace those of the last run, and what it guarded would go in unjudged.
pub(super) async fn restored(
    follow: &Follow,
    mut answered: watch::Receiver<Answered>,
    mut asked: watch::Receiver<Arc<Asked>>,
) {
    let mut status = follow.status();
    let known = |sources: &Statuses| sources.iter().all(|it| it.revision.is_some() || it.start == Start::Asked);
    let restored = async {
        loop {
            let whole = asked.borrow_and_update().whole;
            let sources = Arc::clone(&status.borrow_and_update());
            if whole && known(&sources) && is_loaded(&sources, &answered.borrow_and_update()) {
                return;
            }
            let more = tokio::select! {
                changed = status.changed() => changed,
                changed = answered.changed() => changed,
                changed = asked.changed() => changed,
            };
            if more.is_err() {
                return;
            }
        }
    };
    // What is not there by then is not waited for: the rest is to be guarded.
    let _late = timeout(limits::READY_WAIT_MAX, restored).await;
}

/// Whether all that the state folder remembers is in force, and nothing of it waits for what the API server may say.
pub(super) fn is_loaded(sources: &Statuses, answered: &Answered) -> bool {
    let is_known = |source: &SourceStatus| match answered {
        Answered::NobodyToAsk => true,
        Answered::For(answered) => source.unknown.iter().all(|kind| answered.contains(kind)),
    };
    sources.iter().all(|source| source.start != Start::Restoring && !source.stale && is_known(source))
}

/// On which groups and versions the API server has spoken, so that what it said is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answered {
    /// There is no API server.
    NobodyToAsk,
    /// These.
    For(BTreeSet<(String, String)>),
}

/// What the API server says of kinds, to those who render and compare; then on what it has spoken.
pub(super) async fn learnt(
    learnt: Learnt,
    follow: Follow,
    in_force: watch::Sender<Answered>,
    shutdown: impl Future<Output = ()>,
) {
    let Learnt { mut schemas, mut answered } = learnt;
    let mut shutdown = pin!(shutdown);
    loop {
        let fresh = tokio::select! {
            changed = schemas.changed() => changed.map(|()| true),
            changed = answered.changed() => changed.map(|()| false),
            () = &mut shutdown => return,
        };
        let Ok(fresh) = fresh else { return };
        // Before the schemas: those are published first.
        let told = answered.borrow_and_update().clone();
        if fresh || schemas.has_changed().unwrap_or(false) {
            let schemas = schemas.borrow_and_update().clone();
            follow.set_schemas(schemas).await;
        }
        let told = told.into_iter().map(|GroupVersion { group, version }| (group, version));
        in_force.send_replace(Answered::For(told.collect()));
    }
}

/// Who we are to the API server: our own writes are never ours to judge. Asked until it is known.
pub(super) async fn identity(
    client: Client,
    landfast: watch::Sender<Option<String>>,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    let identity = loop {
        match client::who_am_i(&client).await {
            Ok(identity) => break identity,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "The API server does not say who we are");
            }
        }
        tokio::select! {
            () = sleep(limits::IDENTITY_RETRY) => {}
            () = &mut shutdown => return,
        }
    };
    if identity.is_administrator() {
        tracing::warn!(user = %identity.user, "Landfast runs as an administrator: its own writes are judged like a person's");
    } else {
        landfast.send_replace(Some(identity.user));
    }
    shutdown.await;
}

/// The break-glass that is open, to those who decide.
pub(super) async fn grants(
    mut grants: watch::Receiver<Arc<Grants>>,
    follow: Follow,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            changed = grants.changed() => if changed.is_err() { return },
            () = &mut shutdown => return,
        }
        let open = Arc::clone(&grants.borrow_and_update());
        follow.set_grants(open).await;
    }
}
