//! Who answers what `decide` asks? Git through `follow`, namespaces and server forms through the API server; the rest is
//! silence so far.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::cluster::form::Forms;
use crate::cluster::namespace::Namespaces;
use crate::drift::form::Form;
use crate::follow::{Follow, Refreshed};
use crate::gate::facts::{FormOf, Question};
use crate::limits;
use crate::serve::answers::{Answer, Answers};

/// The world, as far as it can be asked.
pub(super) struct World {
    follow: Follow,
    namespaces: Option<Namespaces>,
    forms: Option<Forms>,
}

impl World {
    pub(super) fn new(follow: Follow, client: Option<kube::Client>, forms: Option<Forms>) -> Self {
        Self { follow, namespaces: client.map(Namespaces::new), forms }
    }

    async fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::Fetch(source) => {
                match self.follow.refresh(source, Instant::now() + limits::FETCH_WAIT_MAX).await {
                    Refreshed::Moved | Refreshed::Unchanged => Answer::Fetched,
                    Refreshed::NotAsked => Answer::Spared,
                    Refreshed::Failed | Refreshed::LeftAlone | Refreshed::Silent | Refreshed::Unknown => {
                        Answer::Silence
                    }
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
            Question::Form(of) => self.form(of).await.map_or(Answer::Silence, Answer::Formed),
            Question::Access { .. } | Question::Owner(_) => Answer::Silence,
        }
    }

    async fn form(&self, of: &FormOf) -> Option<Arc<Form>> {
        let resource = self.resource(of)?;
        self.forms.as_ref()?.form(of, &resource).await
    }

    fn resource(&self, of: &FormOf) -> Option<String> {
        let basis = Arc::clone(&self.follow.basis().borrow());
        basis.schemas.kind(of.object.group(), of.object.kind()).map(|info| info.resource.clone())
    }
}

impl Answers for World {
    fn answer<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Answer> {
        World::answer(self, question).boxed()
    }

    fn at_hand(&self, of: &FormOf) -> Option<Arc<Form>> {
        self.forms.as_ref()?.at_hand(of, &self.resource(of)?)
    }
}
