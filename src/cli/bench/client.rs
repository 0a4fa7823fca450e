//! Who sends the reviews? A client as the API server's is: HTTP/1.1 over TLS, connections that stay open.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use axum::body::Bytes;
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// Where to connect, and whom to trust.
#[derive(Clone)]
pub(super) struct Target {
    address: SocketAddr,
    tls: TlsConnector,
    path: &'static str,
    review: Bytes,
}

/// One open connection.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    target: Target,
    /// Drives the connection; ends with it.
    _driver: JoinSet<()>,
}

impl Target {
    /// Posts `review` to `path`; trusts the roots of `bundle`.
    pub(super) fn new(address: SocketAddr, bundle: &str, path: &'static str, review: Vec<u8>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            roots.add(root.context("the bundle is no PEM")?)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { address, tls: TlsConnector::from(Arc::new(config)), path, review: review.into() })
    }

    /// Opens a connection.
    pub(super) async fn connect(&self) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::try_from("localhost")?, stream).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async move { drop(connection.await) });
        Ok(Connection { sender, target: self.clone(), _driver: driver })
    }
}

impl Connection {
    /// Sends the review and reads the whole answer.
    pub(super) async fn send(&mut self) -> anyhow::Result<()> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.target.path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(self.target.review.clone()))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        ensure!(response.status() == StatusCode::OK, "answered {}", response.status());
        let answer = response.into_body().collect().await?.to_bytes();
        ensure!(answer.starts_with(b"{") && !answer.is_empty(), "answered no review");
        Ok(())
    }
}
