//! Who outside of the cluster learns of a verdict? A receiver of CloudEvents 1.0 over HTTP: one event a record, in structured JSON.
//!
//! One kept client, one event at a time. A receiver that is down is asked again, ever later; meanwhile the queue fills, and what does
//! not fit is dropped and counted. Nobody who decides ever waits for it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::audit::event::Reason;
use crate::audit::metrics::Metrics;
use crate::audit::record::Record;
use crate::limits;

/// The media type of one event in structured JSON (CloudEvents HTTP binding 1.0, section 3.2).
const MEDIA_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// The name of the sink in metrics.
const SINK: &str = "cloudevents";

/// A receiver, and the one client that reaches it.
#[derive(Debug, Clone)]
pub struct Receiver {
    target: Uri,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// A receiver cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    /// It is no URL that could be posted to, or holds a password, which the log would show.
    #[error("not of the form http(s)://HOST[:PORT][/PATH]")]
    Url,
    /// The certificates that this system trusts cannot be read.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

/// Why an event did not arrive.
#[derive(Debug)]
enum Failed {
    /// Another try may do: nobody answered in time, or the receiver is not up to it just now.
    Passing(String),
    /// No other try will: the receiver does not take such an event.
    Lasting(StatusCode),
}

/// Sends what is queued, at the receiver's pace.
#[derive(Debug)]
pub struct CloudEvents {
    queue: mpsc::Receiver<Box<Record>>,
    receiver: Receiver,
    metrics: Arc<Metrics>,
    /// First wait before a try is made again.
    patience: Duration,
}

impl Receiver {
    /// A receiver at a URL of http or https; certificates are trusted as the system trusts them (`SSL_CERT_FILE` is honoured).
    pub fn new(url: &str) -> Result<Self, ReceiverError> {
        let target: Uri = url.parse().map_err(|_| ReceiverError::Url)?;
        let is_web = matches!(target.scheme_str(), Some("http" | "https"));
        let authority = target.authority().filter(|authority| is_web && !authority.as_str().contains('@'));
        authority.ok_or(ReceiverError::Url)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()?
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Ok(Self { target, client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    async fn send(&self, event: &Bytes) -> Result<(), Failed> {
        let request = Request::post(self.target.clone())
            .header(header::CONTENT_TYPE, MEDIA_TYPE)
            .body(Full::new(event.clone()))
            .map_err(|error| Failed::Passing(error.to_string()))?;
        let exchange = async {
            let answer = self.client.request(request).await.map_err(|error| Failed::Passing(words(&error)))?;
            let status = answer.status();
            // Read to its end, so that the connection is kept; what goes beyond the bound closes it.
            let bound = usize::try_from(limits::ANSWER_BYTES_MAX).unwrap_or(usize::MAX);
            let _ = Limited::new(answer.into_body(), bound).collect().await;
            match status {
                _ if status.is_success() => Ok(()),
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(Failed::Passing(status.to_string())),
                _ if status.is_server_error() => Err(Failed::Passing(status.to_string())),
                _ => Err(Failed::Lasting(status)),
            }
        };
        let late = |_| Failed::Passing("no answer in time".to_owned());
        timeout(limits::CLOUD_EVENT_TIME_MAX, exchange).await.map_err(late)?
    }
}

/// An error with its causes.
fn words(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |words, cause| format!("{words}: {cause}"))
}

/// One event, ready to be sent. Its id is the record's, so that what replicas send twice is one.
fn event(record: &Record) -> Option<Bytes> {
    let reason = Reason::of(record)?;
    let object = &record.object;
    let kind = if object.group.is_empty() { object.kind.clone() } else { format!("{}.{}", object.kind, object.group) };
    let place = if object.namespace.is_empty() { String::new() } else { format!("{}/", object.namespace) };
    let event = json!({
        "specversion": "1.0",
        "id": record.id,
        "source": "/landfast",
        "type": format!("dev.landfast.{}", reason.name()),
        "subject": format!("{kind}/{place}{}", object.name),
        "time": record.time,
        "datacontenttype": "application/json",
        "data": record,
    });
    Some(event.to_string().into())
}

impl CloudEvents {
    /// Sends to `receiver`; the sender goes to [`Sinks`](crate::audit::sinks::Sinks).
    pub(crate) fn new(receiver: Receiver, metrics: Arc<Metrics>) -> (mpsc::Sender<Box<Record>>, Self) {
        let (sender, queue) = mpsc::channel(limits::CLOUD_EVENT_QUEUE);
        (sender, Self { queue, receiver, metrics, patience: limits::API_RETRY_MIN })
    }

    /// The same, trying again after this long at first.
    #[must_use]
    pub fn trying_again_after(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Runs until every sender is gone, or for at most [`limits::CLOUD_EVENT_TIME_MAX`] after `shutdown` resolves; what has not
    /// arrived by then is dropped and counted.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        {
            let mut sending = pin!(self.empty());
            tokio::select! {
                () = shutdown => {}
                () = &mut sending => return,
            }
            let _ = timeout(limits::CLOUD_EVENT_TIME_MAX, sending).await;
        }
        self.queue.close();
        while self.queue.try_recv().is_ok() {
            self.metrics.dropped(SINK);
        }
    }

    async fn empty(&mut self) {
        while let Some(record) = self.queue.recv().await {
            if let Some(event) = event(&record) {
                self.deliver(&event).await;
            }
        }
    }

    async fn deliver(&self, event: &Bytes) {
        // Dropped where this is: an end in the middle of it leaves no event uncounted.
        let mut undelivered = Undelivered(Some(&self.metrics));
        let mut wait = self.patience;
        for tries_left in (0..limits::CLOUD_EVENT_TRIES).rev() {
            match self.receiver.send(event).await {
                Ok(()) => {
                    undelivered.0 = None;
                    return;
                }
                Err(Failed::Lasting(status)) => {
                    tracing::warn!(%status, "CloudEvent refused");
                    return;
                }
                Err(Failed::Passing(error)) => tracing::warn!(error, tries_left, "CloudEvent not delivered"),
            }
            if tries_left > 0 {
                sleep(wait).await;
                wait = (wait * 2).min(limits::API_RETRY_MAX);
            }
        }
    }
}

/// Counts an event that was not delivered when it goes.
struct Undelivered<'m>(Option<&'m Metrics>);

impl Drop for Undelivered<'_> {
    fn drop(&mut self) {
        if let Some(metrics) = self.0 {
            metrics.dropped(SINK);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::Value;

    use crate::audit::cloudevents::{Receiver, event};
    use crate::audit::record::tests::verdict;
    use crate::audit::record::{Record, Seen};
    use crate::gate::verdict::Ruling;

    #[test]
    fn an_event_has_what_the_specification_requires() {
        let record = Record::of(&verdict("ConfigMap", Ruling::Deny, "5"), &Seen::default(), Timestamp::UNIX_EPOCH);
        let told: Value = serde_json::from_slice(&event(&record).unwrap()).unwrap();
        for (name, value) in [
            ("specversion", "1.0"),
            ("id", &record.id),
            ("source", "/landfast"),
            ("type", "dev.landfast.DriftDenied"),
            ("subject", "ConfigMap/shop/web"),
            ("time", "1970-01-01T00:00:00Z"),
            ("datacontenttype", "application/json"),
        ] {
            assert_eq!(told[name], value, "{name}");
        }
        assert_eq!(serde_json::from_value::<Record>(told["data"].clone()).unwrap(), record);
        assert_eq!(event(&Record { ruling: Ruling::Allow, ..record }), None);
    }

    #[test]
    fn a_receiver_is_a_url_without_a_password() {
        for wrong in ["", "example.com", "ftp://example.com/", "https://me:secret@example.com/", "/events", "https://"]
        {
            assert!(Receiver::new(wrong).is_err(), "{wrong}");
        }
        for right in ["http://127.0.0.1:8080", "https://events.example.com/a?b=c"] {
            assert!(Receiver::new(right).is_ok(), "{right}");
        }
    }
}
