//! Who is let onto the wire, and how does it end? Our own accept loop over rustls, with a bound on everything.
//!
//! It knows nothing of reviews. On shutdown no request fails: for a moment it still accepts and asks its clients to close; then
//! it finishes what is in flight.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Version, header};
use futures::FutureExt as _;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::Service as _;

use crate::audit::metrics::Metrics;
use crate::limits;
use crate::serve::patience::{Patient, Stage};

/// What a listener is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Life {
    /// It serves.
    Serving,
    /// It still serves, and asks its clients to close.
    Leaving,
    /// It closes what is idle and finishes the rest.
    Closing,
}

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// A bound socket, and what is served on it.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What every connection needs.
struct Shared {
    /// Absent: plain HTTP.
    tls: Option<TlsAcceptor>,
    router: Router,
    metrics: Arc<Metrics>,
}

impl Listener {
    /// Binds a socket for HTTPS.
    pub async fn https(
        address: SocketAddr,
        tls: Arc<rustls::ServerConfig>,
        router: Router,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ListenError> {
        Self::bind(address, Some(TlsAcceptor::from(tls)), router, metrics).await
    }

    /// Binds a socket for plain HTTP.
    pub async fn http(address: SocketAddr, router: Router, metrics: Arc<Metrics>) -> Result<Self, ListenError> {
        Self::bind(address, None, router, metrics).await
    }

    async fn bind(
        address: SocketAddr,
        tls: Option<TlsAcceptor>,
        router: Router,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ListenError> {
        let failed = |source| ListenError { address, source };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address, shared: Arc::new(Shared { tls, router, metrics }) })
    }

    /// The address that was bound; tells the port where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` resolves, then drains: at most [`limits::DRAIN_TIME_MAX`].
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { socket, address, shared } = self;
        let (life, _) = watch::channel(Life::Serving);
        let mut open = JoinSet::new();
        let room = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
        accept_until(shutdown, &socket, &room, &shared, &life, &mut open).await;
        tracing::info!(%address, connections = open.len(), "Draining");
        life.send_replace(Life::Leaving);
        // Nobody but the API server must find an open door; who reads the status page may knock again.
        let notice = if shared.tls.is_some() { limits::DRAIN_NOTICE } else { Duration::ZERO };
        accept_until(sleep(notice), &socket, &room, &shared, &life, &mut open).await;
        // What the kernel has accepted for us is served too.
        while let Some(Some((stream, permit))) = accept(&socket, &room).now_or_never() {
            open.spawn(connection(stream, permit, Arc::clone(&shared), life.subscribe()));
        }
        drop(socket);
        life.send_replace(Life::Closing);
        let rest = async { while open.join_next().await.is_some() {} };
        if timeout(limits::DRAIN_TIME_MAX, rest).await.is_err() {
            tracing::warn!(%address, connections = open.len(), "Connections cut at the end of the drain");
        }
    }
}

/// Accepts connections until `end` resolves.
async fn accept_until(
    end: impl Future<Output = ()>,
    socket: &TcpListener,
    room: &Arc<Semaphore>,
    shared: &Arc<Shared>,
    life: &watch::Sender<Life>,
    open: &mut JoinSet<()>,
) {
    let mut end = pin!(end);
    loop {
        tokio::select! {
            biased;
            () = &mut end => return,
            Some(_) = open.join_next() => {}
            accepted = accept(socket, room) => {
                let Some((stream, permit)) = accepted else { continue };
                open.spawn(connection(stream, permit, Arc::clone(shared), life.subscribe()));
            }
        }
    }
}

/// The next connection, once there is room; none where it could not be accepted.
async fn accept(socket: &TcpListener, room: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match socket.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            tracing::warn!(%error, "Connection not accepted");
            sleep(limits::ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, permit: OwnedSemaphorePermit, shared: Arc<Shared>, life: watch::Receiver<Life>) {
    shared.metrics.connections.inc();
    let _ = stream.set_nodelay(true); // slower without, but right
    match &shared.tls {
        None => serve(stream, Protocol::Http1, &shared, life).await,
        Some(tls) => match timeout(limits::HANDSHAKE_TIME_MAX, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let protocol = if http2 { Protocol::Http2 } else { Protocol::Http1 };
                serve(stream, protocol, &shared, life).await;
            }
            Ok(Err(_)) | Err(_) => drop(shared.metrics.handshakes_failed.inc()),
        },
    }
    shared.metrics.connections.dec();
    drop(permit);
}

/// What client and server agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    fn builder(self) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        match self {
            Self::Http1 => {
                let mut builder = builder.http1_only();
                builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(limits::HEAD_BYTES_MAX);
                builder
            }
            Self::Http2 => {
                builder
                    .http2()
                    .timer(TokioTimer::new())
                    .keep_alive_interval(limits::HEADER_TIME_MAX)
                    .keep_alive_timeout(limits::HEADER_TIME_MAX)
                    .max_concurrent_streams(limits::STREAMS_MAX);
                builder.http2_only()
            }
        }
    }

    /// From when on the protocol's own way to end may be used: HTTP/2 tells the client first, HTTP/1.1 just closes.
    fn ends_at(self) -> Life {
        match self {
            Self::Http1 => Life::Closing,
            Self::Http2 => Life::Leaving,
        }
    }
}

async fn serve<S>(stream: S, protocol: Protocol, shared: &Shared, mut life: watch::Receiver<Life>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // HTTP/2 has pings of its own, and heads of many requests at once.
    let stage = match protocol {
        Protocol::Http1 => Stage::new(),
        Protocol::Http2 => Stage::untimed(),
    };
    let asked = life.clone();
    let service = service_fn(|request: Request<Incoming>| {
        stage.handling();
        let (stage, asked) = (stage.clone(), asked.clone());
        let answer = shared.router.clone().call(request);
        async move {
            let mut response = answer.await?;
            if *asked.borrow() > Life::Serving && response.version() < Version::HTTP_2 {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            stage.idle();
            Ok::<_, Infallible>(response)
        }
    });
    let builder = protocol.builder();
    let transport = Patient::new(TokioIo::new(stream), stage.clone());
    let mut connection = pin!(builder.serve_connection(transport, service));
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = life.wait_for(|life| *life >= protocol.ends_at()) => {}
    }
    // hyper closes a connection in whose first head it is asked to end; a client that has just sent one shall be answered.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = timeout(limits::DRAIN_NOTICE, stage.out_of_head()) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await; // a client that goes away mid-request is no error of ours
}
