//! What does the API server make of a declaration? Its form, asked for by dry-runs under names that nobody has and on the object
//! itself, and kept as long as nothing changes of which it is known that it matters.
//!
//! Every replica learns for itself. Never more than [`limits::FORMS_AT_ONCE`] forms are learnt at once for those who wait, the
//! others take their turn; and one form is learnt once for all who ask for it. Who stops waiting loses nothing: it is learnt to
//! its end, and the next one finds it. It decides nothing.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{BoxFuture, Shared, join, join3, ready};
use futures::{FutureExt as _, StreamExt as _, stream};
use jiff::Timestamp;
use kube::Client;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::audit::Clock;
use crate::cluster::call::CallError;
use crate::cluster::documents::GroupVersion;
use crate::cluster::naming::{rename, unused_name};
use crate::cluster::surroundings::Outlook;
use crate::cluster::writer::{Rehearsal, Writer};
use crate::drift::allocated::leave_open;
use crate::drift::declared::ObjectKey;
use crate::drift::form::Form;
use crate::gate::facts::FormOf;
use crate::gate::message::is_secret;
use crate::limits;
use crate::store::{FormRecord, Store};

/// Metadata of an answer that is no part of the form.
const OF_ONE_REQUEST: [&str; 6] =
    ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"];

/// Learns forms, and keeps them.
#[derive(Clone)]
pub struct Forms {
    shelf: Arc<Shelf>,
    lessons: mpsc::Sender<Lesson>,
    errands: mpsc::Sender<Errand>,
}

/// Does the learning: without it no form is ever had.
pub struct Errands {
    forms: Forms,
    lessons: mpsc::Receiver<Lesson>,
    asked_aside: mpsc::Receiver<Errand>,
}

/// A form to be learnt for nobody who waits, and the resource of its object.
type Errand = (FormOf, String);

struct Shelf {
    writer: Writer,
    store: Arc<Store>,
    clock: Clock,
    outlook: Outlook,
    /// By the object and its manifest.
    kept: Mutex<HashMap<String, Kept>>,
    /// What is being learnt, or is to be.
    learning: Mutex<HashMap<String, Learning>>,
}

/// What was learnt.
struct Kept {
    /// Of what surroundings.
    epoch: String,
    /// When.
    learnt: Timestamp,
    /// Absent where the server gave none.
    form: Option<Arc<Form>>,
}

/// Resolves when the form is learnt; it may be dropped, that stops nothing.
type Learning = Shared<BoxFuture<'static, Option<Arc<Form>>>>;

/// A form that is to be learnt.
struct Lesson {
    asked: Asked,
    epoch: String,
    done: oneshot::Sender<Option<Arc<Form>>>,
}

/// Why the server gives no form.
enum Refused {
    Call(CallError),
    /// It gave something that is no object.
    NoObject,
}

impl Forms {
    /// Asks through this client; what the state folder holds is known from the start. Blocks.
    pub fn open(client: Client, store: Arc<Store>, clock: Clock) -> (Self, Errands) {
        let now = clock();
        let is_young = |record: &FormRecord| is_within(limits::FORM_AGE_MAX, record.learnt, now);
        let kept = store.load_forms(is_young).into_iter().map(|(id, record)| {
            let FormRecord { epoch, learnt, form } = record;
            (id, Kept { epoch, learnt, form: Some(Arc::new(form)) })
        });
        let kept = Mutex::new(kept.collect());
        let (writer, outlook) = (Writer::new(client.clone()), Outlook::new(client));
        let shelf = Arc::new(Shelf { writer, store, clock, outlook, kept, learning: Mutex::default() });
        let (errands, asked_aside) = mpsc::channel(limits::FORM_QUEUE);
        let (lessons, asked) = mpsc::channel(limits::FORM_QUEUE);
        let forms = Self { shelf, lessons, errands };
        (forms.clone(), Errands { forms, lessons: asked, asked_aside })
    }

    /// The form of a declaration of an object of this resource; `None` where the server gives none. May be dropped unfinished: the
    /// form is learnt all the same.
    pub async fn form(&self, of: &FormOf, resource: &str) -> Option<Arc<Form>> {
        self.shelf.form(of, resource, &self.lessons).await
    }

    /// The form as it was learnt last, if it is still young; behind it, it is learnt anew where something changed. Never waits:
    /// for writes that are let in anyway.
    pub fn at_hand(&self, of: &FormOf, resource: &str) -> Option<Arc<Form>> {
        // Where the queue is full, the next write asks again.
        let _full = self.errands.try_send((of.clone(), resource.to_owned()));
        self.shelf.known(&Asked::new(of, resource)?.id, None)?
    }
}

impl Errands {
    /// Runs until `shutdown` resolves.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { forms, lessons, mut asked_aside } = self;
        let keeper = &*forms.shelf;
        // A queue of their own: those who wait have all the turns.
        let (aside, asides) = mpsc::channel(1);
        let errands = async {
            while let Some((of, resource)) = asked_aside.recv().await {
                // It is kept; nobody waits for it.
                let _kept = keeper.form(&of, &resource, &aside).await;
            }
        };
        tokio::select! {
            _ = join3(errands, keeper.learn_all(lessons, limits::FORMS_AT_ONCE), keeper.learn_all(asides, 1)) => {}
            () = shutdown => {}
        }
    }
}

impl Shelf {
    async fn form(&self, of: &FormOf, resource: &str, lessons: &mpsc::Sender<Lesson>) -> Option<Arc<Form>> {
        let asked = Asked::new(of, resource)?;
        let epoch = self.outlook.surroundings().await?.epoch(&asked.version);
        let mut place = lessons.try_reserve().ok();
        loop {
            if let Some(learning) = self.learning(&asked, &epoch, place) {
                return learning.await;
            }
            place = Some(lessons.reserve().await.ok()?);
        }
    }

    /// What is known, or is being learnt for others; else it is begun, if there is a place in the queue.
    fn learning(&self, asked: &Asked, epoch: &str, place: Option<mpsc::Permit<'_, Lesson>>) -> Option<Learning> {
        let mut learning = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(learning) = learning.get(&asked.id) {
            return Some(learning.clone());
        }
        // What is learnt is kept before it leaves the others: nobody falls in between.
        if let Some(known) = self.known(&asked.id, Some(epoch)) {
            return Some(ready(known).boxed().shared());
        }
        let place = place?;
        let (done, form) = oneshot::channel();
        let form = form.map(|form| form.ok().flatten()).boxed().shared();
        learning.insert(asked.id.clone(), form.clone());
        place.send(Lesson { asked: asked.clone(), epoch: epoch.to_owned(), done });
        Some(form)
    }

    async fn learn_all(&self, mut lessons: mpsc::Receiver<Lesson>, at_once: usize) {
        stream::poll_fn(|context| lessons.poll_recv(context)).for_each_concurrent(at_once, |it| self.learn(it)).await;
    }

    #[expect(clippy::option_option, reason = "that there is no form may be known, too")]
    fn known(&self, id: &str, epoch: Option<&str>) -> Option<Option<Arc<Form>>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.get(id).filter(|known| epoch.is_none_or(|epoch| known.epoch == epoch))?;
        let age = if known.form.is_some() { limits::FORM_AGE_MAX } else { limits::FORM_REFUSED_AGE_MAX };
        is_within(age, known.learnt, (self.clock)()).then(|| known.form.clone())
    }

    async fn learn(&self, Lesson { asked, epoch, done }: Lesson) {
        let learnt = (self.clock)();
        let form = match timeout(limits::FORM_TIME_MAX, self.made(&asked)).await {
            Ok(Ok(form)) => {
                let form = Arc::new(form);
                self.keep(&asked, Kept { epoch, learnt, form: Some(Arc::clone(&form)) });
                Some(form)
            }
            Ok(Err(refused)) => {
                refused.tell(&asked.object);
                if refused.holds() {
                    self.keep(&asked, Kept { epoch, learnt, form: None });
                }
                None
            }
            Err(_) => {
                info!(object = %asked.object, "The API server does not say in time what it makes of the declaration");
                None
            }
        };
        self.learning.lock().unwrap_or_else(PoisonError::into_inner).remove(&asked.id);
        // Whoever asked may have left.
        let _left = done.send(form);
    }

    /// Makes the object twice, under two names, and applies the declaration to the object itself: where its name or what stands
    /// there matters (admission that acts on updates only, a quota that is full), only that tells.
    async fn made(&self, asked: &Asked) -> Result<Form, Refused> {
        match join(self.made_anew(asked), self.applied(asked)).await {
            (Ok(form), Ok(applied)) => Ok(form.and_applied(&applied.object, applied.version.as_deref())),
            (Ok(form), Err(_)) => Ok(form),
            (Err(refused), Ok(applied)) if refused.holds() => {
                debug!(object = %asked.object, "No form under another name");
                Ok(Form::applied(&applied.object, applied.version.as_deref()))
            }
            (Err(refused), _) => Err(refused),
        }
    }

    async fn made_anew(&self, asked: &Asked) -> Result<Form, Refused> {
        let refused = match self.made_twice(asked, &asked.manifest).await {
            Err(refused) if refused.holds() => refused,
            answer => return answer,
        };
        // What Git gives may be taken: by the object that is there, or by the write that is being judged.
        let mut open = asked.manifest.clone();
        if leave_open(&mut open) { self.made_twice(asked, &open).await } else { Err(refused) }
    }

    async fn made_twice(&self, asked: &Asked, manifest: &Value) -> Result<Form, Refused> {
        let attempt = async || {
            let name = unused_name(asked.object.name());
            let made = self.writer.rehearse(&asked.place, Rehearsal::Create(asked.named(manifest, &name))).await;
            asked.form(&made.map_err(Refused::Call)?, &name)
        };
        let (one, other) = join(attempt(), attempt()).await;
        let (one, other) = (one?, other?);
        Ok(Form::made(&one.object, &other.object).and_made_at(one.created.as_deref()))
    }

    /// What the declaration makes of the object.
    async fn applied(&self, asked: &Asked) -> Result<Answer, Refused> {
        let name = asked.object.name();
        let manifest = asked.named(&asked.manifest, name);
        let applied = self.writer.rehearse(&asked.place, Rehearsal::Apply(name, manifest)).await;
        asked.form(&applied.map_err(Refused::Call)?, name)
    }

    /// Keeps what was learnt, the latest within the bounds, and remembers it; nothing of a Secret is written down.
    fn keep(&self, asked: &Asked, learnt: Kept) {
        let record = learnt.form.as_ref().filter(|_| !is_secret(&asked.object)).map(|form| FormRecord {
            epoch: learnt.epoch.clone(),
            learnt: learnt.learnt,
            form: form.as_ref().clone(),
        });
        let gone = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.insert(asked.id.clone(), learnt);
            beyond_bounds(&mut kept)
        };
        let (store, id) = (Arc::clone(&self.store), asked.id.clone());
        // Nobody waits for it: what is lost with the process is learnt again.
        drop(tokio::task::spawn_blocking(move || {
            let saved = record.map_or_else(|| store.drop_form(&id), |record| store.save_form(&id, &record));
            if let Err(error) = saved {
                warn!(%error, "A form cannot be remembered");
            }
            for id in gone {
                // It goes with the next start otherwise.
                let _left = store.drop_form(&id);
            }
        }));
    }
}

/// Takes out the oldest until the rest is within the bounds.
fn beyond_bounds(kept: &mut HashMap<String, Kept>) -> Vec<String> {
    let bytes = |kept: &Kept| kept.form.as_ref().map_or(0, |form| form.bytes());
    let mut gone = Vec::new();
    let mut total: usize = kept.values().map(bytes).sum();
    while kept.len() > limits::FORMS_KEPT || total > limits::FORMS_BYTES_MAX {
        let Some(oldest) = kept.iter().min_by_key(|(_, kept)| kept.learnt).map(|(id, _)| id.clone()) else { break };
        total -= kept.remove(&oldest).as_ref().map_or(0, bytes);
        gone.push(oldest);
    }
    gone
}

/// Whether something that happened `then` is no longer ago than `age`; what lies ahead is (the clock was turned back).
fn is_within(age: std::time::Duration, then: Timestamp, now: Timestamp) -> bool {
    now >= then && now.duration_since(then).unsigned_abs() <= age
}

impl Refused {
    /// Whether the server will say the same again: it refused this very object, and did not only fail to look at it.
    fn holds(&self) -> bool {
        match self {
            Self::Call(error) => {
                error.status().is_some_and(|status| matches!(status, 400..500) && !matches!(status, 408 | 429))
            }
            Self::NoObject => false,
        }
    }

    fn tell(&self, object: &ObjectKey) {
        match self {
            // What the API server says may quote values.
            Self::Call(error) if is_secret(object) => {
                info!(%object, status = error.status(), hint = error.hint(), "The API server gives no form");
            }
            Self::Call(error) => {
                info!(%object, error = error as &dyn std::error::Error, hint = error.hint(), "The API server gives no form");
            }
            Self::NoObject => info!(%object, "The API server gives no form that can be read"),
        }
    }
}

/// What the server makes of a declaration.
struct Answer {
    /// The object as JSON, without what is of this one request.
    object: String,
    /// The resource version of the object that stood there, if one did.
    version: Option<String>,
    /// When the object was made.
    created: Option<String>,
}

/// A declaration that is asked about.
#[derive(Clone)]
struct Asked {
    object: ObjectKey,
    version: GroupVersion,
    /// Where its objects are made.
    place: String,
    manifest: Value,
    /// Which declaration of which object, as a file name.
    id: String,
}

impl Asked {
    fn new(of: &FormOf, resource: &str) -> Option<Self> {
        let manifest: Value = serde_json::from_slice(&of.manifest).ok()?;
        let version = GroupVersion::parse(manifest["apiVersion"].as_str()?);
        let object = of.object.clone();
        let place = match object.namespace() {
            "" => format!("{}/{resource}", version.discovery()),
            namespace => format!("{}/namespaces/{namespace}/{resource}", version.discovery()),
        };
        let mut hasher = Sha256::new();
        for part in [object.group(), object.kind(), object.namespace(), object.name()] {
            hasher.update(part);
            hasher.update([0]);
        }
        hasher.update(&of.manifest);
        Some(Self { object, version, place, manifest, id: format!("{:x}", hasher.finalize()) })
    }

    /// A manifest of the object under this name.
    fn named(&self, manifest: &Value, name: &str) -> Value {
        let mut manifest = manifest.clone();
        manifest["metadata"]["name"] = name.into();
        if !self.object.namespace().is_empty() {
            manifest["metadata"]["namespace"] = self.object.namespace().into();
        }
        manifest
    }

    /// The form in what the server answered for this name.
    fn form(&self, answer: &str, name: &str) -> Result<Answer, Refused> {
        let mut object: Value = serde_json::from_str(answer).map_err(|_| Refused::NoObject)?;
        let metadata = object.get_mut("metadata").and_then(Value::as_object_mut).ok_or(Refused::NoObject)?;
        let text = |name: &str| metadata.get(name).and_then(Value::as_str).map(str::to_owned);
        let (version, created) = (text("resourceVersion"), text("creationTimestamp"));
        for member in OF_ONE_REQUEST {
            metadata.remove(member);
        }
        rename(&mut object, name, self.object.name());
        Ok(Answer { object: object.to_string(), version, created })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn kept(second: i64, bytes: usize) -> Kept {
        let object = "x".repeat(bytes);
        Kept { epoch: String::new(), learnt: at(second), form: Some(Arc::new(Form::made(&object, &object))) }
    }

    #[test]
    fn beyond_the_bounds_the_oldest_goes() {
        let size = limits::FORMS_BYTES_MAX / 3;
        let mut all: HashMap<_, _> = (0..4).map(|second| (second.to_string(), kept(second, size))).collect();
        assert_eq!(beyond_bounds(&mut all), ["0"]);
        let many = i64::try_from(limits::FORMS_KEPT).unwrap() + 2;
        let mut all: HashMap<_, _> = (0..many).map(|second| (second.to_string(), kept(second, 1))).collect();
        assert_eq!(beyond_bounds(&mut all), ["0", "1"]);
    }

    #[test]
    fn what_lies_ahead_is_of_no_age() {
        let within = |then, now| is_within(Duration::from_secs(10), at(then), at(now));
        assert!(within(5, 5) && within(5, 15));
        assert!(!within(5, 16) && !within(6, 5));
    }
}
