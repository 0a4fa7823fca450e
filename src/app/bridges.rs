//! How does what one part knows reach another that must not know it? Small tasks, each from one watch to another.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use kube::Client;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::cluster::client;
use crate::cluster::openapi::GroupVersion;
use crate::config::Settings;
use crate::drift::schema::Schemas;
use crate::follow::{Follow, Start, Statuses};
use crate::gate::basis::Basis;
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

/// Waits until every source has a revision or was asked for one, at most [`limits::READY_WAIT_MAX`].
///
/// Webhook entries rendered before that would replace those of the last run, and what it guarded would go in unjudged.
pub(super) async fn restored(follow: &Follow) {
    let mut status = follow.status();
    let known = |sources: &Statuses| {
        sources.iter().all(|source| match source.start {
            Start::Restoring => false,
            Start::Restored => source.revision.is_some(),
            Start::Asked => true,
        })
    };
    // What is not there by then is not waited for: the rest is to be guarded.
    let _late = timeout(limits::READY_WAIT_MAX, status.wait_for(known)).await;
}

/// What the API server says of kinds, to those who render and compare.
pub(super) async fn learnt(mut learnt: watch::Receiver<Schemas>, follow: Follow, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            changed = learnt.changed() => if changed.is_err() { return },
            () = &mut shutdown => return,
        }
        let schemas = learnt.borrow_and_update().clone();
        follow.set_schemas(schemas).await;
    }
}

/// Who we are to the API server: our own writes are never ours to judge. Asked until it is known.
pub(super) async fn identity(
    client: Client,
    follow: Follow,
    settings: Arc<Settings>,
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
        let mut policy = settings.policy.as_ref().clone();
        policy.landfast = Some(identity.user);
        let settings = Settings { policy: Arc::new(policy), ..settings.as_ref().clone() };
        follow.set_settings(Arc::new(settings)).await;
    }
    shutdown.await;
}
