//! How long is the API server waited for, and what became of a call or a watch? Each of them goes through here.

use std::fmt::Debug;
use std::future::{Future, ready};
use std::time::Duration;

use futures::{Stream, TryStreamExt as _};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::limits;

/// A call to the API server that gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It said no, or could not be reached.
    #[error("{}", text(.0))]
    Failed(Box<kube::Error>),
    /// It said nothing within [`limits::API_TIME_MAX`].
    #[error("the API server did not answer in time")]
    Silent,
    /// A list of it names no version to watch from.
    #[error("the API server gives no version to watch from")]
    Unwatchable,
}

impl CallError {
    /// What to do about it, where that is known.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        (self.status() == Some(403)).then_some("landfast lacks rights: kubectl apply -f deploy/rbac.yaml")
    }

    /// Whether it says that there is no object of this name; where its resource is not served either, no name is given.
    pub fn is_missing(&self, name: &str) -> bool {
        let Self::Failed(error) = self else { return false };
        let kube::Error::Api(status) = &**error else { return false };
        status.code == 404 && status.details.as_ref().is_some_and(|details| details.name == name)
    }

    /// The HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Failed(error) => match &**error {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            Self::Silent | Self::Unwatchable => None,
        }
    }
}

/// What the API server says itself, once; else the whole chain of causes. Whole, since a log in JSON shows no sources.
fn text(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        let said = if status.message.is_empty() { &status.reason } else { &status.message };
        return format!("{}: {said}", status.code);
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl From<watcher::Error> for CallError {
    fn from(error: watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => error.into(),
            watcher::Error::WatchError(status) => kube::Error::Api(status).into(),
            watcher::Error::NoResourceVersion => Self::Unwatchable,
        }
    }
}

/// Watches, and tries again by itself, waiting longer each time.
pub(crate) fn watched<K>(
    api: Api<K>,
    config: watcher::Config,
) -> impl Stream<Item = Result<watcher::Event<K>, CallError>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    // Each attempt begins with `Init`, before the API server said anything: were it counted as success, the wait would never
    // grow.
    let answers = watcher(api, config).try_filter(|event| ready(!matches!(event, watcher::Event::Init)));
    answers.map_err(CallError::from).default_backoff()
}

/// Waits for one call, at most [`limits::API_TIME_MAX`].
pub(crate) async fn within_time<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CallError> {
    match timeout(limits::API_TIME_MAX, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(CallError::Silent),
    }
}

/// Waits between attempts: doubled each time, up to [`limits::API_RETRY_MAX`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    /// From the beginning.
    pub(crate) fn new() -> Self {
        Self(limits::API_RETRY_MIN)
    }

    /// How long to wait now.
    pub(crate) fn next(&mut self) -> Duration {
        let now = self.0;
        self.0 = (now * 2).min(limits::API_RETRY_MAX);
        now
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use crate::cluster::call::CallError;

    #[test]
    fn a_refusal_says_once_what_the_api_server_says() {
        let status = Status::failure("webhooks is forbidden", "Forbidden").with_code(403);
        let error = CallError::from(kube::Error::Api(status.boxed()));
        assert_eq!(error.to_string(), "403: webhooks is forbidden");
        assert!(error.hint().is_some_and(|hint| hint.contains("deploy/rbac.yaml")));
    }

    #[test]
    fn a_failure_names_its_cause_without_sources() {
        let cause = std::io::Error::other("connection refused");
        let error = CallError::from(kube::Error::Service(Box::new(cause)));
        assert_eq!(error.to_string().matches("connection refused").count(), 1, "{error}");
        assert!(std::error::Error::source(&error).is_none() && error.hint().is_none());
    }
}
