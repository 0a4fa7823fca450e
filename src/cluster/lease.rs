//! Are we the leader? A Lease (coordination.k8s.io/v1) that one replica holds at a time.
//!
//! As client-go's leader election has it: whoever holds it renews it, the others take it over once it was not renewed for its
//! duration by *their own* clock since they saw it change, so that clocks need not agree. The holder gives it back on shutdown. A
//! leader that cannot renew stops leading before anybody else may begin.

use std::future::Future;
use std::pin::pin;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::audit::Clock;
use crate::cluster::call::{CallError, within_time};
use crate::cluster::writer::Writer;
use crate::limits;

/// Name of the Lease, in landfast's own Namespace.
pub const LEASE: &str = "landfast";

/// Until when we lead, unless we renew it. Whoever was stopped for longer than that finds by the clock alone that another may lead by now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lead(Option<Instant>);

impl Lead {
    /// Until this instant; not at all where there is none.
    pub fn until(end: Option<Instant>) -> Self {
        Self(end)
    }

    /// Whether we lead now.
    pub fn holds(self) -> bool {
        self.0.is_some_and(|end| Instant::now() < end)
    }
}

/// Takes part in the election.
pub struct Candidate {
    leases: Api<Lease>,
    writer: Writer,
    namespace: String,
    /// Who we are among the replicas.
    identity: String,
    clock: Clock,
    leading: watch::Sender<Lead>,
    /// The Lease as it was seen to change last, and when.
    seen: Option<(Option<String>, Instant)>,
    /// Whether we led when that was told last.
    led: bool,
    /// When we last held it for sure.
    held: Option<Instant>,
}

impl Candidate {
    /// A candidate of this identity, and a watch of whether it leads, which wakes when that changes and not when it is renewed.
    pub fn new(client: Client, namespace: &str, identity: String, clock: Clock) -> (Self, watch::Receiver<Lead>) {
        let (leading, leads) = watch::channel(Lead::default());
        let writer = Writer::new(client.clone());
        let leases = Api::namespaced(client, namespace);
        let namespace = namespace.to_owned();
        (Self { leases, writer, namespace, identity, clock, leading, seen: None, led: false, held: None }, leads)
    }

    /// Runs until `shutdown`; then gives back what it holds.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        loop {
            let attempt = timeout(limits::LEASE_CALL_MAX, self.attempt());
            let attempt = tokio::select! {
                attempt = attempt => attempt.unwrap_or(Err(CallError::Silent)),
                () = &mut shutdown => break,
            };
            if let Err(error) = attempt {
                warn!(error = &error as &dyn std::error::Error, hint = error.hint(), "The Lease cannot be held");
            }
            // Whoever cannot renew must have stopped by the time that another may begin.
            self.tell(Lead::until(self.held.map(|held| held + limits::LEASE_RENEW_MAX)));
            tokio::select! {
                () = sleep(limits::LEASE_RETRY) => {}
                () = &mut shutdown => break,
            }
        }
        if self.leading.send_replace(Lead::default()).holds() {
            // Nobody waits for it in vain: it runs out by itself.
            let _left = timeout(limits::LEASE_CALL_MAX, self.give_back()).await;
        }
    }

    fn tell(&mut self, lead: Lead) {
        let leads = lead.holds();
        let changed = std::mem::replace(&mut self.led, leads) != leads;
        self.leading.send_if_modified(|leading| {
            // What was left to others while it had run out is taken up again.
            let has_run_out = !std::mem::replace(leading, lead).holds();
            changed || (leads && has_run_out)
        });
        if changed {
            info!(identity = self.identity, leads, "Leader election");
        }
    }

    /// Renews what is ours, takes what is nobody's.
    async fn attempt(&mut self) -> Result<(), CallError> {
        let asked = Instant::now();
        let Some(lease) = within_time(self.leases.get_opt(LEASE)).await? else {
            let made = self.lease(None, (self.clock)());
            return self.write(asked, self.writer.create_lease(&self.namespace, &made).await);
        };
        let version = lease.metadata.resource_version.clone();
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != version) {
            self.seen = Some((version, asked));
        }
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
        let ours = holder.as_ref() == Some(&self.identity);
        let unchanged = self.seen.as_ref().map(|(_, since)| since.elapsed()).unwrap_or_default();
        if !ours {
            self.held = None;
        }
        if ours || holder.is_none() || unchanged > limits::LEASE_DURATION {
            let next = self.lease(Some(&lease), (self.clock)());
            let written = self.writer.replace_lease(&self.namespace, &next).await;
            return self.write(asked, written);
        }
        Ok(())
    }

    /// Notes what became of a write: one that lost against another replica is none.
    fn write(&mut self, asked: Instant, written: Result<Lease, CallError>) -> Result<(), CallError> {
        match written {
            Ok(lease) => {
                self.seen = Some((lease.metadata.resource_version, asked));
                self.held = Some(asked);
                Ok(())
            }
            Err(error) if error.status() == Some(409) => {
                self.held = None;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn give_back(&self) -> Result<(), CallError> {
        let Some(mut lease) = within_time(self.leases.get_opt(LEASE)).await? else { return Ok(()) };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_ref() == Some(&self.identity) {
            spec.holder_identity = Some(String::new());
            self.writer.replace_lease(&self.namespace, &lease).await?;
        }
        Ok(())
    }

    /// The Lease as we hold it.
    fn lease(&self, before: Option<&Lease>, now: Timestamp) -> Lease {
        let mut lease = before.cloned().unwrap_or_default();
        lease.metadata.name = Some(LEASE.to_owned());
        let spec: &mut LeaseSpec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_ref() != Some(&self.identity) {
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |times| times.saturating_add(1)));
            spec.acquire_time = Some(MicroTime(now));
            spec.holder_identity = Some(self.identity.clone());
        }
        spec.lease_duration_seconds = i32::try_from(limits::LEASE_DURATION.as_secs()).ok();
        spec.renew_time = Some(MicroTime(now));
        lease
    }
}
