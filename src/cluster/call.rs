//! How long is the API server waited for, and what became of a call? Every call that is no watch goes through here.

use std::future::Future;
use std::time::Duration;

use kube::runtime::watcher;
use tokio::time::timeout;

use crate::limits;

/// A call to the API server that gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It said no, or could not be reached.
    #[error("the API server did not answer as asked")]
    Failed(#[source] Box<kube::Error>),
    /// It said nothing within [`limits::API_TIME_MAX`].
    #[error("the API server did not answer in time")]
    Silent,
    /// A list of it names no version to watch from.
    #[error("the API server gives no version to watch from")]
    Unwatchable,
}

impl CallError {
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
