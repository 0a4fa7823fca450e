//! When is a certificate swapped? As soon as a new one is there, looked for by wall clock.

use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::audit::Clock;
use crate::audit::metrics::Metrics;
use crate::limits;
use crate::serve::authority::{Authority, AuthorityError, Renewed};
use crate::serve::tls::Certificates;

/// Looks after our own certificates.
pub struct Renewal {
    authority: Option<Authority>,
    certificates: Arc<Certificates>,
    bundle: watch::Sender<Arc<str>>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

/// What others need of our own certificates.
#[derive(Debug, Clone)]
pub struct Shown {
    /// For [`server_config`](crate::serve::tls::server_config).
    pub certificates: Arc<Certificates>,
    /// All roots that are trusted now, as PEM, for our webhook configurations; changes when a new one is announced.
    pub bundle: watch::Receiver<Arc<str>>,
}

impl Renewal {
    /// Takes an opened authority; gives the task that looks after it.
    pub fn new(authority: Authority, metrics: Arc<Metrics>, clock: Clock) -> Result<(Self, Shown), AuthorityError> {
        let certificates = Arc::new(Certificates::new(authority.certified_key()?));
        let (sender, bundle) = watch::channel(authority.bundle().into());
        metrics.certificate_expiry.set(seconds(authority.expiry()));
        let shown = Shown { certificates: Arc::clone(&certificates), bundle };
        Ok((Self { authority: Some(authority), certificates, bundle: sender, metrics, clock }, shown))
    }

    /// Runs until `shutdown` resolves. A renewal that fails is tried again at the next look; the old certificate stays.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        let mut tick = interval(limits::CERTIFICATE_CHECK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                _ = tick.tick() => self.look().await,
            }
        }
    }

    async fn look(&mut self) {
        let Some(mut authority) = self.authority.take() else { return };
        let now = (self.clock)();
        let done = tokio::task::spawn_blocking(move || {
            let renewed = authority.renew(now).and_then(|renewed| Ok((renewed, authority.certified_key()?)));
            (authority, renewed)
        });
        let (authority, renewed) = match done.await {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "Certificates are no longer renewed");
                return;
            }
        };
        match renewed {
            Ok((Renewed::Nothing, _)) => {}
            Ok((Renewed::Something, key)) => {
                self.certificates.swap(key);
                self.bundle.send_replace(authority.bundle().into());
                self.metrics.certificate_expiry.set(seconds(authority.expiry()));
                tracing::info!(until = %authority.expiry(), "Certificate renewed");
            }
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "Certificate not renewed"),
        }
        self.authority = Some(authority);
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit an f64 exactly for millions of years")]
fn seconds(at: Timestamp) -> f64 {
    at.as_second() as f64
}
