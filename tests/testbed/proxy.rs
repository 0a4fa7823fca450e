//! How does the API server fail for one client alone? A proxy before it that answers some requests itself, or lets them hang.
//!
//! Plain HTTP towards the client: what is proved is what becomes of a request, not how it is sent. Watches pass as streams.

use std::fs;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{Request, Response, StatusCode, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::testbed::control_plane::{ControlPlane, free_port};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes to the API server, and the answer back.
    Pass,
    /// The API server never hears of it; this code is the answer.
    Refused(u16),
    /// It is carried out, and this code is the answer.
    Belied(u16),
    /// The API server never hears of it, and nobody answers.
    Lost,
    /// It is carried out, and nobody answers.
    Unanswered,
}

type Judge = Box<dyn FnMut(&Parts) -> Fate + Send>;

/// A proxy before the API server.
pub struct Proxy {
    port: u16,
    judge: Arc<Mutex<Judge>>,
}

#[derive(Clone)]
struct Door {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    server: String,
    judge: Arc<Mutex<Judge>>,
}

impl Proxy {
    /// Listens until the process ends; everything passes.
    pub fn before(plane: &ControlPlane) -> Self {
        let judge: Arc<Mutex<Judge>> = Arc::new(Mutex::new(Box::new(|_| Fate::Pass)));
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        listener.set_nonblocking(true).expect("a listener can be asked not to block");
        let authority = fs::read(plane.folder().join("ca.crt")).expect("the testbed wrote this file");
        let (server, judges) = (plane.server(), Arc::clone(&judge));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime of one thread needs nothing that could fail").block_on(async {
                let door = Door { client: client(&authority), server, judge: judges };
                let listener = tokio::net::TcpListener::from_std(listener).expect("it does not block");
                let end = axum::serve(listener, Router::new().fallback(pass).with_state(door)).await;
                end.expect("a proxy serves for ever");
            });
        });
        Self { port, judge }
    }

    /// Its address.
    pub fn server(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Says what becomes of each request from now on.
    pub fn judge(&self, judge: impl FnMut(&Parts) -> Fate + Send + 'static) {
        *self.judge.lock().expect("no holder of this lock panics") = Box::new(judge);
    }
}

fn client(authority: &[u8]) -> Client<HttpsConnector<HttpConnector>, Body> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(authority) {
        roots.add(root.expect("the testbed wrote it")).expect("it is a certificate");
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
    Client::builder(TokioExecutor::new()).build(connector)
}

async fn pass(State(door): State<Door>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let fate = (door.judge.lock().expect("no holder of this lock panics"))(&parts);
    match fate {
        Fate::Pass => door.forward(parts, body).await,
        Fate::Refused(code) => answer(code),
        Fate::Belied(code) => {
            door.forward(parts, body).await;
            answer(code)
        }
        Fate::Lost => std::future::pending().await,
        Fate::Unanswered => {
            door.forward(parts, body).await;
            std::future::pending().await
        }
    }
}

impl Door {
    async fn forward(&self, mut parts: Parts, body: Body) -> Response<Body> {
        let place = parts.uri.path_and_query().map_or("/", |place| place.as_str());
        parts.uri = format!("{}{place}", self.server).parse().expect("the address and a path make an address");
        parts.headers.remove(header::HOST);
        match self.client.request(Request::from_parts(parts, body)).await {
            Ok(response) => response.map(Body::new),
            // The API server is away.
            Err(_) => answer(502),
        }
    }
}

/// A `Status`, as the API server answers.
fn answer(code: u16) -> Response<Body> {
    let reason = match code {
        409 => "Conflict",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let status = serde_json::json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": "the proxy of the testbed says so" });
    let code = StatusCode::from_u16(code).expect("tests answer with known codes");
    let response = Response::builder().status(code).header(header::CONTENT_TYPE, "application/json");
    response.body(Body::from(status.to_string())).expect("a code and a type make a response")
}
