//! Who answers what `decide` asks? Git through `follow`, namespaces through the API server; the rest is silence so far.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::cluster::namespace::Namespaces;
use crate::follow::{Follow, Refreshed};
use crate::gate::facts::Question;
use crate::limits;
use crate::serve::answers::{Answer, Answers};

/// The world, as far as it can be asked.
pub(super) struct World {
    follow: Follow,
    namespaces: Option<Namespaces>,
}

impl World {
    pub(super) fn new(follow: Follow, client: Option<kube::Client>) -> Self {
        Self { follow, namespaces: client.map(Namespaces::new) }
    }

    async fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::Fetch(source) => {
                match self.follow.refresh(source, Instant::now() + limits::FETCH_WAIT_MAX).await {
                    Refreshed::Moved | Refreshed::Unchanged => Answer::Fetched,
                    Refreshed::Failed | Refreshed::NotAsked | Refreshed::Silent | Refreshed::Unknown => Answer::Silence,
                }
            }
            Question::Blame(line) => {
                Answer::Wrote(self.follow.blame(line, Instant::now() + limits::BLAME_WAIT_MAX).await)
            }
            Question::Namespace(name) => match &self.namespaces {
                None => Answer::Silence,
                Some(namespaces) => match namespaces.is_terminating(name).await {
                    Ok(true) => Answer::Terminating,
                    Ok(false) => Answer::Stays,
                    Err(error) => {
                        tracing::warn!(namespace = %name, error = &error as &dyn std::error::Error, "Namespace not known");
                        Answer::Silence
                    }
                },
            },
            Question::Form(_) | Question::Access { .. } | Question::Owner(_) => Answer::Silence,
        }
    }
}

impl Answers for World {
    fn answer<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Answer> {
        World::answer(self, question).boxed()
    }
}
