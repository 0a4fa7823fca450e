//! A Git server over https: Git's own `http-backend` behind a listener with a certificate of its own.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use base64::Engine;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::testbed::scratch::Scratch;

type Stream = BufReader<StreamOwned<ServerConnection, TcpStream>>;

/// What a server answers.
enum Answers {
    /// The truth, to this user (as basic authentication sends it).
    Repository { folder: PathBuf, authorization: String },
    /// The same bytes to everything.
    Lie(&'static str),
}

/// A server on a free loopback port; it ends with the test binary.
pub struct Server {
    address: SocketAddr,
    name: String,
    /// The file with the authority to trust.
    pub authority: PathBuf,
}

impl Server {
    /// Serves a repository to one user.
    pub fn start(repository: &Path, user: &str, password: &str) -> Self {
        let token = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let folder = repository.to_path_buf();
        Self::answering(repository, Answers::Repository { folder, authorization: format!("Basic {token}") })
    }

    /// Says the same to whatever is asked.
    pub fn lying(repository: &Path, lie: &'static str) -> Self {
        Self::answering(repository, Answers::Lie(lie))
    }

    /// The repository's URL, with a user part such as `me:secret@`.
    pub fn url(&self, user: &str) -> String {
        format!("https://{user}{}/{}/.git", self.address, self.name)
    }

    fn answering(repository: &Path, answers: Answers) -> Self {
        let folder = Scratch::get().folder("git-https");
        let issued = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let authority = folder.join("authority.pem");
        fs::write(&authority, issued.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![issued.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tls, answers) = (Arc::new(tls), Arc::new(answers));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, answers) = (Arc::clone(&tls), Arc::clone(&answers));
                thread::spawn(move || {
                    let connection = ServerConnection::new(tls).unwrap();
                    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
                    // A client that does not trust us, or has enough, closes: that is no fault here.
                    while answer(&mut stream, &answers).is_some() {}
                });
            }
        });
        let name = repository.file_name().unwrap().to_str().unwrap().to_owned();
        Self { address, name, authority }
    }
}

/// One request of a connection; `None` at its end.
fn answer(stream: &mut Stream, answers: &Answers) -> Option<()> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers = headers(stream)?;
    let header = |name: &str| headers.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value);
    let body = body(stream, header("content-length"), header("transfer-encoding"))?;
    let response = match answers {
        Answers::Lie(text) => text.as_bytes().to_vec(),
        Answers::Repository { authorization, .. } if header("authorization") != authorization => {
            b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\n\r\n".to_vec()
        }
        Answers::Repository { folder, .. } => backend(folder, &method, &target, header("content-type"), &body),
    };
    let socket = stream.get_mut();
    socket.write_all(&response).and_then(|()| socket.flush()).ok()
}

fn headers(stream: &mut Stream) -> Option<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim().split_once(':') else { return Some(headers) };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
}

fn body(stream: &mut Stream, length: &str, encoding: &str) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    if encoding != "chunked" {
        stream.take(length.parse().unwrap_or(0)).read_to_end(&mut body).ok()?;
        return Some(body);
    }
    loop {
        let mut size = String::new();
        stream.read_line(&mut size).ok()?;
        let size = u64::from_str_radix(size.trim(), 16).ok()?;
        stream.by_ref().take(size).read_to_end(&mut body).ok()?;
        stream.read_line(&mut String::new()).ok()?;
        if size == 0 {
            return Some(body);
        }
    }
}

/// What Git's own CGI program says to a request.
fn backend(repository: &Path, method: &str, target: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", repository.parent().unwrap())
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .envs([
            ("PATH_INFO", path),
            ("QUERY_STRING", query),
            ("REQUEST_METHOD", method),
            ("CONTENT_TYPE", content_type),
        ])
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git is installed");
    child.stdin.take().unwrap().write_all(body).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").expect("a CGI answer has headers");
    let (headers, body) = (String::from_utf8_lossy(&output[..end]), &output[end + 4..]);
    let status = headers.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let mut head = format!("HTTP/1.1 {status}\r\n");
    for line in headers.lines().filter(|line| !line.starts_with("Status: ")) {
        let _ = write!(head, "{line}\r\n");
    }
    let _ = write!(head, "Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
