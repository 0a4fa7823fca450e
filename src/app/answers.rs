//! Who answers what `decide` asks? Git through `follow`, all else through the API server.

use std::error::Error;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::Instant;
use tracing::warn;

use crate::audit::Clock;
use crate::cluster::access::Rights;
use crate::cluster::ancestry::Ancestry;
use crate::cluster::form::Forms;
use crate::cluster::kinship::Kinship;
use crate::cluster::namespace::Namespaces;
use crate::cluster::records::{RecordError, Records};
use crate::drift::declared::ObjectKey;
use crate::drift::form::Form;
use crate::follow::{Follow, Refreshed};
use crate::gate::basis::Basis;
use crate::gate::facts::{Access, FormOf, Owner, Question};
use crate::gate::grant::Grant;
use crate::gate::incident::Glass;
use crate::gate::write::User;
use crate::limits;
use crate::serve::answers::{Answer, Answers};

/// The world, as far as it can be asked.
pub(super) struct World {
    follow: Follow,
    namespaces: Option<Namespaces>,
    ancestry: Option<Ancestry>,
    rights: Option<Rights>,
    records: Option<Records>,
    forms: Option<Forms>,
}

impl World {
    pub(super) fn new(
        follow: Follow,
        client: Option<kube::Client>,
        (forms, kinship): (Option<Forms>, Kinship),
        clock: Clock,
    ) -> Self {
        Self {
            follow,
            namespaces: client.clone().map(Namespaces::new),
            ancestry: client.clone().map(|client| Ancestry::new(client, kinship)),
            rights: client.clone().map(Rights::new),
            records: client.map(|client| Records::new(client, clock)),
            forms,
        }
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
                Some(namespaces) => match namespaces.ask(name).await {
                    Ok(known) => Answer::Namespace(known),
                    Err(error) => {
                        warn!(namespace = %name, error = &error as &dyn Error, "Namespace not known");
                        Answer::Silence
                    }
                },
            },
            Question::Form(of) => self.form(of).await.map_or(Answer::Silence, Answer::Formed),
            Question::Access { user, policy } => self.access(user, policy).await,
            Question::Open(opening) => self.record("open", |records| records.open(opening).boxed()).await,
            Question::Record(sought) => self.record("find", |records| records.find(sought).boxed()).await,
            Question::End { glass: Glass { record, .. }, by } => match &self.records {
                None => Answer::Silence,
                Some(records) => match records.end(record, by).await {
                    Ok(()) => Answer::Ended,
                    Err(error) => {
                        warn!(%record, error = &error as &dyn Error, hint = error.hint(), "A break-glass could not be ended");
                        Answer::Silence
                    }
                },
            },
            Question::Owner(object) => self.owners(object).await,
        }
    }

    async fn owners(&self, object: &ObjectKey) -> Answer {
        let Some(ancestry) = &self.ancestry else { return Answer::Silence };
        let basis = Arc::clone(&self.follow.basis().borrow());
        match ancestry.of(object, &basis.schemas, |owner| is_declared(&basis, owner)).await {
            Ok(owners) => Answer::Owned(owners),
            Err(error) => {
                warn!(%object, error = &error as &dyn Error, hint = error.hint(), "Owner not known");
                Answer::Silence
            }
        }
    }

    fn owners_at_hand(&self, object: &ObjectKey) -> Option<Vec<Owner>> {
        let basis = Arc::clone(&self.follow.basis().borrow());
        self.ancestry.as_ref()?.at_hand(object, &basis.schemas, |owner| is_declared(&basis, owner))
    }

    fn form_at_hand(&self, of: &FormOf) -> Option<Arc<Form>> {
        self.forms.as_ref()?.at_hand(of, &self.resource(of)?)
    }

    async fn access(&self, user: &User, policy: &str) -> Answer {
        let Some(rights) = &self.rights else { return Answer::Silence };
        match rights.may_break(user, policy).await {
            Ok(true) => Answer::Access(Access::Granted),
            Ok(false) => Answer::Access(Access::Refused),
            Err(error) => {
                warn!(
                    user = user.name,
                    error = &error as &dyn Error,
                    hint = error.hint(),
                    "Right to break the glass not known"
                );
                Answer::Silence
            }
        }
    }

    async fn record<'a>(
        &'a self,
        what: &'static str,
        call: impl FnOnce(&'a Records) -> BoxFuture<'a, Result<Option<Arc<Grant>>, RecordError>>,
    ) -> Answer {
        let Some(records) = &self.records else { return Answer::Silence };
        match call(records).await {
            Ok(grant) => Answer::Record(grant),
            Err(error) => {
                warn!(
                    what,
                    error = &error as &dyn Error,
                    hint = error.hint(),
                    "The record of a break-glass is not known"
                );
                Answer::Silence
            }
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

fn is_declared(basis: &Basis, object: &ObjectKey) -> bool {
    basis.index.objects.get(object).is_some_and(|entry| entry.head.is_some())
}

impl Answers for World {
    fn answer<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Answer> {
        World::answer(self, question).boxed()
    }

    fn at_hand(&self, question: &Question) -> Answer {
        let known = match question {
            Question::Form(of) => self.form_at_hand(of).map(Answer::Formed),
            Question::Owner(object) => self.owners_at_hand(object).map(Answer::Owned),
            Question::Fetch(_)
            | Question::Blame(_)
            | Question::Access { .. }
            | Question::Open(_)
            | Question::Record(_)
            | Question::End { .. }
            | Question::Namespace(_) => None,
        };
        known.unwrap_or(Answer::Silence)
    }
}
