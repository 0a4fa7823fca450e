//! How long may a connection keep us waiting? Longer between requests than within a request's head.
//!
//! hyper knows one time for both; a client that keeps connections (the API server) and one that sends its head a byte at a time
//! need two.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::limits;

/// Between requests.
const IDLE: u8 = 0;
/// Within a request's head.
const HEAD: u8 = 1;
/// From the head's end to the answer: the handler has its own deadlines.
const HANDLING: u8 = 2;
/// Not timed at all.
const UNTIMED: u8 = 3;

/// What a connection is at, shared between its transport and its service.
#[derive(Debug, Clone)]
pub(crate) struct Stage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    now: AtomicU8,
    /// Told at the end of each head.
    head_ended: Notify,
}

impl Stage {
    /// A connection from which nothing was read yet: its head is awaited.
    pub(crate) fn new() -> Self {
        Self::at(HEAD)
    }

    /// A connection that is never timed here.
    pub(crate) fn untimed() -> Self {
        Self::at(UNTIMED)
    }

    fn at(stage: u8) -> Self {
        Self(Arc::new(Inner { now: AtomicU8::new(stage), head_ended: Notify::new() }))
    }

    /// The head was read.
    pub(crate) fn handling(&self) {
        self.turn(HEAD, HANDLING);
        self.0.head_ended.notify_waiters();
    }

    /// Waits for the end of a head that has begun, or is the first; between requests there is nothing to wait for.
    pub(crate) async fn out_of_head(&self) {
        let ended = self.0.head_ended.notified();
        if self.now() == HEAD {
            ended.await;
        }
    }

    /// The answer was made.
    pub(crate) fn idle(&self) {
        self.turn(HANDLING, IDLE);
    }

    fn bytes_came(&self) {
        self.turn(IDLE, HEAD);
    }

    fn turn(&self, from: u8, to: u8) {
        // From any other stage this is no step: an untimed connection stays so.
        let _ = self.0.now.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn now(&self) -> u8 {
        self.0.now.load(Ordering::Relaxed)
    }
}

/// A transport whose reads fail once the patience for their stage is over.
pub(crate) struct Patient<T> {
    inner: T,
    stage: Stage,
    /// The stage that `sleep` was set for.
    timed: Option<u8>,
    sleep: Pin<Box<Sleep>>,
}

impl<T> Patient<T> {
    pub(crate) fn new(inner: T, stage: Stage) -> Self {
        Self { inner, stage, timed: None, sleep: Box::pin(sleep_until(Instant::now())) }
    }

    /// Whether the patience for the present stage is over.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let stage = self.stage.now();
        let patience = match stage {
            IDLE => limits::IDLE_TIME_MAX,
            HEAD => limits::HEADER_TIME_MAX,
            _ => {
                self.timed = None;
                return Poll::Pending;
            }
        };
        if self.timed != Some(stage) {
            self.timed = Some(stage);
            self.sleep.as_mut().reset(Instant::now() + patience);
        }
        self.sleep.as_mut().poll(cx)
    }
}

impl<T: Read + Unpin> Read for Patient<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_read(cx, buf) {
            Poll::Ready(result) => {
                this.stage.bytes_came();
                Poll::Ready(result)
            }
            Poll::Pending => this.poll_over(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl<T: Write + Unpin> Write for Patient<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }
}
