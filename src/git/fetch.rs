//! What is the head of a remote now? Asks a child process, which is ended when it takes too long.
//!
//! Never blocks and never trusts: a server that hangs, lies or sends garbage costs one child and gives one error.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::config::{SourceSettings, printable_url};
use crate::gate::basis::CommitId;
use crate::git::child::{Answer, Order, SUBCOMMAND, Wanted};
use crate::git::redact;
use crate::limits;

/// Starts fetches.
#[derive(Debug, Clone)]
pub struct Fetcher {
    /// Our own binary, which knows the hidden subcommand.
    pub program: PathBuf,
    /// Longest silence of one fetch, and longest fetch where there is a mirror already: [`limits::FETCH_TIME_MAX`].
    pub patience: Duration,
}

/// Why there is no newer head. Nothing in it names a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum FetchError {
    /// The remote cannot be reached, refuses us, or sends what is not Git.
    #[error("cannot fetch from {remote}: {why}")]
    Remote {
        /// The remote.
        remote: String,
        /// What libgit2 says.
        why: String,
    },
    /// It has no branch or tag at all.
    #[error("{remote} is empty")]
    Empty {
        /// The remote.
        remote: String,
    },
    /// It has others, but not that one.
    #[error("no {reference} in {remote}")]
    NoSuchReference {
        /// The remote.
        remote: String,
        /// As in ``branch `main` ``.
        reference: String,
    },
    /// It took too long, and was ended.
    #[error("{remote} did not answer for {} s", .after.as_secs_f32())]
    Hung {
        /// The remote.
        remote: String,
        /// How long it was given.
        after: Duration,
    },
    /// Our own disk.
    #[error("cannot write the mirror: {0}")]
    Mirror(String),
    /// Our own child process.
    #[error("the fetch process failed: {0}")]
    Child(String),
}

impl FetchError {
    /// Whether the remote answered, and it is the ref that is gone (or was never there).
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Empty { .. } | Self::NoSuchReference { .. } => true,
            Self::Remote { .. } | Self::Hung { .. } | Self::Mirror(_) | Self::Child(_) => false,
        }
    }
}

impl Fetcher {
    /// A fetcher with the bounds of [`limits`].
    pub fn new(program: PathBuf) -> Self {
        Self { program, patience: limits::FETCH_TIME_MAX }
    }

    /// Brings the mirror up to date and returns the commit that the source's reference names now.
    ///
    /// Only one fetch of a mirror may run at a time. Dropping the future ends the child.
    pub async fn fetch(&self, source: &SourceSettings, mirror: &Path) -> Result<CommitId, FetchError> {
        // A mirror's first fetch brings the whole history: it may take long, but not be silent for long.
        let most = if mirror.join("refs/landfast").exists() {
            self.patience
        } else {
            self.patience.max(limits::CLONE_TIME_MAX)
        };
        let order =
            Order { url: source.url.clone(), mirror: mirror.to_owned(), wanted: Wanted::from(&source.reference) };
        let (mut child, stdin, stdout) = self.start(&order).await?;
        let hung = |after| FetchError::Hung { remote: printable_url(&source.url), after };
        let answer = timeout(most, self.answer(stdout)).await;
        // Its parent's end of standard input keeps the child alive.
        drop(stdin);
        match answer {
            Err(_) => {
                end(&mut child).await;
                Err(hung(most))
            }
            Ok(None) => {
                end(&mut child).await;
                Err(hung(self.patience))
            }
            Ok(Some(line)) => {
                let answer = serde_json::from_str::<Answer>(&line);
                let said = if answer.is_ok() { String::new() } else { last_words(&mut child).await };
                end(&mut child).await;
                let no_answer = |_| FetchError::Child(redact::scrub(&said, &source.url));
                answer.map_err(no_answer)?.map(|commit| CommitId(commit.into()))
            }
        }
    }

    async fn start(&self, order: &Order) -> Result<(Child, ChildStdin, ChildStdout), FetchError> {
        let failed = |error: std::io::Error| FetchError::Child(error.to_string());
        let home = order.mirror.parent().unwrap_or(Path::new("/"));
        settle_in(home).await.map_err(|error| FetchError::Mirror(error.to_string()))?;
        let mut command = Command::new(&self.program);
        if order.url.starts_with("file:") {
            // libgit2 has OpenSSL read all authorities of the system when it begins, which takes ten times as long as a fetch from our
            // own disk, and that asks none of them.
            command.env("SSL_CERT_FILE", "/dev/null");
        }
        let mut child = command
            .arg(SUBCOMMAND)
            // No settings of whoever starts us: neither `insteadOf` nor a helper of theirs may redirect a fetch.
            .env("HOME", home)
            .env("XDG_CONFIG_HOME", home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(FetchError::Child("it has no standard input or output".to_owned()));
        };
        let mut line = serde_json::to_vec(order).map_err(|error| FetchError::Child(error.to_string()))?;
        line.push(b'\n');
        // A child that has ended already says why elsewhere: its answer is empty, its last words are read.
        let _ = stdin.write_all(&line).await;
        Ok((child, stdin, stdout))
    }

    /// The first line that is not empty; empty ones say that bytes still arrive. An empty answer: the child has ended without
    /// one. `None`: it was silent for too long.
    async fn answer(&self, stdout: ChildStdout) -> Option<String> {
        let mut lines = BufReader::new(stdout.take(limits::ANSWER_BYTES_MAX)).lines();
        loop {
            match timeout(self.patience, lines.next_line()).await {
                Err(_) => return None,
                Ok(Ok(Some(line))) if line.is_empty() => {}
                Ok(Ok(Some(line))) => return Some(line),
                Ok(Ok(None) | Err(_)) => return Some(String::new()),
            }
        }
    }
}

/// Makes the folder that is the child's home, with the only setting it reads: a `file` remote may be another user's, as a
/// mounted volume is. libgit2 runs nothing that a repository's configuration names, so that costs no safety.
async fn settle_in(home: &Path) -> std::io::Result<()> {
    tokio::fs::create_dir_all(home).await?;
    tokio::fs::write(home.join(".gitconfig"), "[safe]\n\tdirectory = *\n").await
}

async fn end(child: &mut Child) {
    // It may have ended by itself; `kill` also waits, so that no zombie stays.
    let _ = child.kill().await;
}

/// What a child that gave no answer wrote to standard error, bounded.
async fn last_words(child: &mut Child) -> String {
    let mut words = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let reading = stderr.take(limits::ANSWER_BYTES_MAX);
        let _ = timeout(Duration::from_secs(1), { reading }.read_to_end(&mut words)).await;
    }
    let words = String::from_utf8_lossy(&words);
    words.lines().next_back().unwrap_or("it gave no answer").chars().take(limits::VALUE_CHARS_MAX).collect()
}
