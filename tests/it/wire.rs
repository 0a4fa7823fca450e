//! Does the webhook server hold on a real socket? TLS, slow and broken clients, a swapped certificate, a drain.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{Request, StatusCode, header};
use axum::routing::post;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::Timestamp;
use landfast::audit::metrics::Metrics;
use landfast::limits;
use landfast::serve::admission::router;
use landfast::serve::answers::Nobody;
use landfast::serve::authority::Authority;
use landfast::serve::listener::Listener;
use landfast::serve::renewal::{Renewal, Shown};
use landfast::serve::status::{self, ConfigurationReport, KEPT, Phase, Progress, SourceReport, Status, WebhooksReport};
use landfast::serve::tls::server_config;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::serving::{Serving, clock, declaring, review};

/// A server on a free port.
struct Server {
    address: SocketAddr,
    shown: Shown,
    metrics: Arc<Metrics>,
    stop: Option<oneshot::Sender<()>>,
    tasks: JoinSet<()>,
    _folder: TempDir,
}

impl Server {
    async fn start() -> Self {
        let serving = Serving::new(Arc::new(Nobody));
        let router = router(Arc::clone(&serving.admission));
        let mut server = Self::with(router).await;
        server.tasks.spawn(async move {
            let _serving = serving;
            pending::<()>().await;
        });
        server
    }

    async fn with(router: Router) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (metrics, authority) = (Arc::new(Metrics::new()), authority(&folder));
        let (_, shown) = Renewal::new(authority, Arc::clone(&metrics), clock()).unwrap();
        let tls = server_config(Arc::clone(&shown.certificates)).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::https(any, tls, router, Arc::clone(&metrics)).await.unwrap();
        let (address, (stop, stopped)) = (listener.address(), oneshot::channel());
        let mut tasks = JoinSet::new();
        tasks.spawn(listener.run(async { drop(stopped.await) }));
        Self { address, shown, metrics, stop: Some(stop), tasks, _folder: folder }
    }

    fn bundle(&self) -> String {
        self.shown.bundle.borrow().to_string()
    }

    async fn tls(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        connect(self.address, &self.bundle(), protocol).await.unwrap()
    }

    fn stop(&mut self) {
        drop(self.stop.take());
    }
}

/// An authority that holds now, whatever the clock of the verdicts says.
fn authority(folder: &TempDir) -> Authority {
    Authority::open(folder.path(), &[], real_now()).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the client checks certificates by the real time")]
fn real_now() -> Timestamp {
    Timestamp::now()
}

async fn connect(address: SocketAddr, bundle: &str, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(root.unwrap()).unwrap();
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

fn request(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::post(format!("https://localhost{path}")).header(header::HOST, "localhost");
    request.body(Full::new(body.into())).unwrap()
}

/// One HTTP/1.1 connection.
struct Client {
    sender: http1::SendRequest<Full<Bytes>>,
    _driver: JoinSet<()>,
}

impl Client {
    async fn open(address: SocketAddr, bundle: &str) -> Option<Self> {
        let stream = connect(address, bundle, b"http/1.1").await.ok()?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        let mut driver = JoinSet::new();
        driver.spawn(async move { drop(connection.await) });
        Some(Self { sender, _driver: driver })
    }

    /// Posts; returns the answer, and whether the server asks to close.
    async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> hyper::Result<(Value, bool)> {
        self.sender.ready().await?;
        let response = self.sender.send_request(request(path, body)).await?;
        let close = response.headers().get(header::CONNECTION).is_some_and(|value| value == "close");
        let body = response.into_body().collect().await?.to_bytes();
        Ok((serde_json::from_slice(&body).unwrap_or_default(), close))
    }
}

#[tokio::test]
async fn both_versions_of_http_are_served() {
    let server = Server::start().await;
    let mut client = Client::open(server.address, &server.bundle()).await.unwrap();
    for _ in 0..3 {
        let (answer, _) = client.post("/validate", review("a", "3").to_string()).await.unwrap();
        assert_eq!(answer["response"], json!({ "uid": "a", "allowed": true }));
    }
    let io = TokioIo::new(server.tls(b"h2").await);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(async move { drop(connection.await) });
    let response = sender.send_request(request("/validate", review("b", "5").to_string())).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["response"]["allowed"], false);
}

#[tokio::test]
async fn a_certificate_is_swapped_while_serving() {
    let server = Server::start().await;
    let mut open = Client::open(server.address, &server.bundle()).await.unwrap();
    open.post("/validate", review("a", "3").to_string()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let other = authority(&folder);
    server.shown.certificates.swap(other.certified_key().unwrap());

    let (answer, _) = open.post("/validate", review("b", "3").to_string()).await.unwrap();
    assert_eq!(answer["response"]["uid"], "b");
    assert!(Client::open(server.address, &server.bundle()).await.is_none());
    let mut new = Client::open(server.address, &other.bundle()).await.unwrap();
    let (answer, _) = new.post("/validate", review("c", "3").to_string()).await.unwrap();
    assert_eq!(answer["response"]["uid"], "c");
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_harms_nobody() {
    let server = Server::start().await;
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
    let mut client = Client::open(server.address, &server.bundle()).await.unwrap();
    assert!(client.post("/validate", review("a", "3").to_string()).await.is_ok());
    let text = server.metrics.encode().unwrap();
    assert!(text.contains("landfast_handshakes_failed_total 1"), "{text}");
}

#[tokio::test]
async fn a_review_of_forty_mebibytes_is_answered_on_the_wire() {
    let server = Server::start().await;
    let mut client = Client::open(server.address, &server.bundle()).await.unwrap();
    let body = review("a", "5").to_string() + &" ".repeat(40 << 20);
    let (answer, _) = client.post("/validate/guard?timeout=30s", body).await.unwrap();
    assert_eq!((&answer["response"]["uid"], &answer["response"]["allowed"]), (&json!("a"), &json!(false)));
    assert!(client.post("/validate", review("b", "3").to_string()).await.is_ok());
}

#[tokio::test]
async fn a_head_sent_too_slowly_ends_its_connection_only() {
    let server = Server::start().await;
    let mut slow = server.tls(b"http/1.1").await;
    slow.write_all(b"POST /validate HTTP/1.1\r\nHost: local").await.unwrap();
    slow.flush().await.unwrap();
    let mut client = Client::open(server.address, &server.bundle()).await.unwrap();
    assert!(client.post("/validate", review("a", "3").to_string()).await.is_ok());
    // Ends by the server's patience; without it this would wait for ever.
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest).await;
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&rest));
    // A connection that is idle for as long stays.
    assert!(client.post("/validate", review("b", "3").to_string()).await.is_ok());
}

/// Sends reviews until nobody listens any more; counts them. An answer that does not come is a failure.
async fn send_until_refused(address: SocketAddr, bundle: String) -> usize {
    let mut sent = 0;
    'connections: while let Some(mut client) = Client::open(address, &bundle).await {
        loop {
            // What the server closed between two requests was asked before: the client opens another.
            if client.sender.ready().await.is_err() {
                continue 'connections;
            }
            let (answer, close) =
                client.post("/validate", review("a", "3").to_string()).await.expect("no request fails");
            assert_eq!(answer["response"]["allowed"], true);
            sent += 1;
            if close {
                continue 'connections;
            }
        }
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_fails_no_request() {
    let mut server = Server::start().await;
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        clients.spawn(send_until_refused(server.address, server.bundle()));
    }
    // Every client is busy by the time the drain begins.
    while !server.metrics.encode().unwrap().contains("landfast_connections 8") {
        tokio::task::yield_now().await;
    }
    server.stop();
    while let Some(client) = clients.join_next().await {
        assert!(client.unwrap() > 0);
    }
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_request_in_flight_is_finished_by_a_drain() {
    let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (entered, go_on) = (Arc::clone(&entered), Arc::clone(&go_on));
        async move || {
            entered.notify_one();
            go_on.notified().await;
            "\"finished\""
        }
    };
    let mut server = Server::with(Router::new().route("/slow", post(handler))).await;
    let mut client = Client::open(server.address, &server.bundle()).await.unwrap();
    let drain = async {
        entered.notified().await;
        server.stop();
        // The listener is gone, and the request still open.
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::time::sleep(limits::DRAIN_NOTICE / 10).await;
        }
        go_on.notify_one();
    };
    let (answer, ()) = tokio::join!(client.post("/slow", ""), drain);
    assert_eq!(answer.unwrap().0, json!("finished"));
    assert!(server.tasks.join_next().await.unwrap().is_ok());
}

/// One source, and a phase that the test sets.
struct At(watch::Receiver<Phase>);

impl Progress for At {
    fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    fn sources(&self) -> Vec<SourceReport> {
        vec![SourceReport {
            name: "shop".to_owned(),
            revision: Some("3f2a91c".to_owned()),
            declared: 1,
            fault_count: 1,
            faults: vec!["a.yaml:3: broken".to_owned()],
            error: Some("cannot reach the remote".to_owned()),
            ..SourceReport::default()
        }]
    }

    fn configuration(&self) -> ConfigurationReport {
        ConfigurationReport::default()
    }

    fn webhooks(&self) -> Option<WebhooksReport> {
        let error = Some("403: forbidden".to_owned());
        match *self.0.borrow() {
            Phase::Loading => None,
            Phase::Loaded => Some(WebhooksReport { state: KEPT, ..WebhooksReport::default() }),
            Phase::Draining => Some(WebhooksReport { state: "failing", error, ..WebhooksReport::default() }),
        }
    }
}

#[tokio::test]
async fn the_status_page_tells_how_it_goes() {
    let (serving, (phase, at)) = (Serving::new(Arc::new(Nobody)), watch::channel(Phase::Loading));
    let (_keep, basis) = watch::channel(declaring("3"));
    let status = Status::new(Arc::new(At(at)), basis, Arc::clone(&serving.board), &serving.metrics, &clock());
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let router = status::router(Arc::new(status));
    let listener = Listener::http(any, router, Arc::clone(&serving.metrics)).await.unwrap();
    let address = listener.address();
    let mut tasks = JoinSet::new();
    tasks.spawn(listener.run(pending()));
    let get = async |path: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let code: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        (StatusCode::from_u16(code).unwrap(), body.to_owned())
    };
    assert_eq!(get("/healthz").await.0, StatusCode::OK);
    assert_eq!(get("/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!get("/status.json").await.1.contains("webhooks"), "nobody here keeps them");
    assert!(!get("/metrics").await.1.contains("\nlandfast_webhooks_kept"));
    phase.send_replace(Phase::Loaded);
    assert_eq!(get("/readyz").await.0, StatusCode::OK);
    assert!(get("/metrics").await.1.contains("\nlandfast_webhooks_kept{} 1\n"));
    phase.send_replace(Phase::Draining);
    assert_eq!(get("/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);

    let page: Value = serde_json::from_str(&get("/status.json").await.1).unwrap();
    assert_eq!(page["sources"][0]["revision"], "3f2a91c");
    assert_eq!(page["sources"][0]["error"], "cannot reach the remote");
    assert_eq!((&page["policies"][0]["mode"], &page["policies"][0]["drift"]), (&json!("Enforce"), &json!("Deny")));
    assert_eq!(page["webhooks"], json!({ "state": "failing", "error": "403: forbidden" }));
    let metrics = get("/metrics").await.1;
    for line in [
        "\nlandfast_webhooks_kept{} 0\n",
        r#"landfast_source_info{source="shop",revision="3f2a91c"} 1"#,
        "landfast_build_info{version=",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert_eq!(get("/other").await.0, StatusCode::NOT_FOUND);
}
