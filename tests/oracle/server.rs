//! How is the API server asked? Plain requests over kept connections, as a user whose writes the audit log leaves out.

use kube::Client;
use serde_json::Value;

use crate::form::Learner;
use crate::judge::JUDGE;
use crate::kind::Kind;

/// What the server answered.
pub struct Answer {
    /// HTTP status.
    pub code: u16,
    /// The object, or the server's reason.
    pub text: String,
}

/// A connection.
#[derive(Clone)]
pub struct Server {
    client: Client,
    /// Who learns forms from it.
    pub learner: Learner,
}

impl Server {
    /// Asks through this client.
    pub fn new(client: Client) -> Self {
        Self { learner: Learner::start(client.clone()), client }
    }

    async fn ask(&self, method: &str, path: &str, content: &str, body: Vec<u8>) -> Answer {
        let request = hyper::Request::builder().method(method).uri(path).header("Content-Type", content);
        let request = request.body(body).expect("the oracle writes right requests");
        // A connection may be closed while the server is busy; a request that was refused is no such error.
        for _ in 0..5 {
            let again = request.clone();
            match self.client.request_text(again).await {
                Ok(text) => return Answer { code: if text.is_empty() { 0 } else { 200 }, text },
                Err(kube::Error::Api(status)) if status.code == 429 => {}
                Err(kube::Error::Api(status)) => return Answer { code: status.code, text: status.message.clone() },
                Err(_) => {}
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        Answer { code: 0, text: "the server cannot be reached".to_owned() }
    }

    /// Reads a path that must be there.
    pub async fn read(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, "application/json", Vec::new()).await;
        assert!(answer.code == 200, "{path}: {}", answer.text);
        serde_json::from_str(&answer.text).expect("the server answers in JSON")
    }

    /// Writes an object that must be let in, or is there.
    pub async fn write(&self, collection: &str, object: &Value) {
        let answer = self.ask("POST", collection, "application/json", object.to_string().into_bytes()).await;
        assert!(answer.code == 200 || answer.code == 409, "{collection}: {} {}", answer.code, answer.text);
    }

    /// Waits until the server publishes a kind's schema.
    pub async fn await_kind(&self, path: &str, kind: &str) {
        for _ in 0..600 {
            let answer = self.ask("GET", path, "application/json", Vec::new()).await;
            if answer.code == 200 && answer.text.contains(&format!("\"{kind}\"")) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("{path} never told of {kind}");
    }

    /// Reads an object.
    pub async fn get(&self, kind: &Kind, name: &str) -> Answer {
        self.ask("GET", &kind.path(name), "application/json", Vec::new()).await
    }

    /// Creates an object; `really` or as a dry-run.
    pub async fn create(&self, kind: &Kind, object: &Value, really: bool) -> Answer {
        let dry = if really { "" } else { "&dryRun=All" };
        let path = format!("{}?fieldManager=oracle-store{dry}", kind.path(""));
        self.ask("POST", &path, "application/json", object.to_string().into_bytes()).await
    }

    /// Applies a declaration, forced, as a dry-run.
    pub async fn apply(&self, kind: &Kind, name: &str, declared: &Value) -> Answer {
        self.write_over(kind, name, declared, &format!("{JUDGE}&dryRun=All")).await
    }

    /// Applies a declaration, forced and for good.
    pub async fn change(&self, kind: &Kind, name: &str, declared: &Value) -> Answer {
        self.write_over(kind, name, declared, "oracle-store").await
    }

    async fn write_over(&self, kind: &Kind, name: &str, declared: &Value, manager: &str) -> Answer {
        let path = format!("{}?force=true&fieldManager={manager}", kind.path(name));
        self.ask("PATCH", &path, "application/apply-patch+yaml", declared.to_string().into_bytes()).await
    }

    /// Deletes an object, whether or not it is there.
    pub async fn delete(&self, kind: &Kind, name: &str) {
        let path = format!("{}?gracePeriodSeconds=0", kind.path(name));
        self.ask("DELETE", &path, "application/json", Vec::new()).await;
    }
}
