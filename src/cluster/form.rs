//! What does the API server make of a declaration? Its form, asked for by dry-runs under names that nobody has, and kept as long
//! as nothing changes of which it is known that it matters.
//!
//! Every replica learns for itself. Never more than [`limits::FORMS_AT_ONCE`] forms are learnt at once, and one form by one asker:
//! the others wait for it with him. Who stops waiting loses nothing, the next one finds it. It decides nothing.

use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, join};
use jiff::Timestamp;
use kube::Client;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use crate::audit::Clock;
use crate::cluster::call::CallError;
use crate::cluster::documents::GroupVersion;
use crate::cluster::surroundings::Surroundings;
use crate::cluster::writer::{Rehearsal, Writer};
use crate::drift::declared::ObjectKey;
use crate::drift::form::{Form, leave_open};
use crate::gate::facts::FormOf;
use crate::gate::message::is_secret;
use crate::limits;
use crate::store::{FormRecord, Store};

/// Shortest unused name: long enough that nobody has it.
const NAME_CHARS_MIN: usize = 16;

/// Metadata of an answer that is no part of the form.
const OF_ONE_REQUEST: [&str; 6] =
    ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"];

/// Learns forms, and keeps them.
#[derive(Clone)]
pub struct Forms {
    shelf: Arc<Shelf>,
    errands: mpsc::Sender<Errand>,
}

/// Learns what nobody waits for.
pub struct Errands {
    forms: Forms,
    errands: mpsc::Receiver<Errand>,
}

/// A form to be learnt, and the resource of its object.
type Errand = (FormOf, String);

struct Shelf {
    client: Client,
    writer: Writer,
    store: Arc<Store>,
    clock: Clock,
    /// By the object and its manifest.
    kept: Mutex<HashMap<String, Kept>>,
    learning: Mutex<HashMap<String, Learning>>,
    surroundings: tokio::sync::Mutex<Option<(Instant, Arc<Surroundings>)>>,
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

/// A form that is being learnt.
struct Learning {
    since: Instant,
    form: Shared<BoxFuture<'static, Option<Arc<Form>>>>,
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
        let writer = Writer::new(client.clone());
        let (learning, surroundings) = (Mutex::default(), tokio::sync::Mutex::default());
        let shelf = Arc::new(Shelf { client, writer, store, clock, kept, learning, surroundings });
        let (sender, errands) = mpsc::channel(limits::FORM_QUEUE);
        let forms = Self { shelf, errands: sender };
        (forms.clone(), Errands { forms, errands })
    }

    /// The form of a declaration of an object of this resource; `None` where the server gives none, or has no time.
    pub async fn form(&self, of: &FormOf, resource: &str) -> Option<Arc<Form>> {
        let asked = Asked::new(of, resource)?;
        let surroundings = match self.shelf.surroundings().await {
            Ok(surroundings) => surroundings,
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, hint = error.hint(), "Cannot tell which forms hold");
                return None;
            }
        };
        let epoch = surroundings.epoch(&asked.version);
        if let Some(known) = self.shelf.known(&asked.id, Some(&epoch)) {
            return known;
        }
        self.shelf.learning(asked, epoch)?.await
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
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let learn = async {
            while let Some((of, resource)) = self.errands.recv().await {
                // It is kept; nobody waits for it.
                let _kept = self.forms.form(&of, &resource).await;
            }
        };
        tokio::select! {
            () = learn => {}
            () = shutdown => {}
        }
    }
}

impl Shelf {
    /// The surroundings as they are, or were a moment ago.
    async fn surroundings(&self) -> Result<Arc<Surroundings>, CallError> {
        let mut seen = self.surroundings.lock().await;
        if let Some((at, surroundings)) = &*seen
            && at.elapsed() <= limits::FORM_STATE_AGE_MAX
        {
            return Ok(Arc::clone(surroundings));
        }
        let surroundings = Arc::new(Surroundings::read(&self.client).await?);
        *seen = Some((Instant::now(), Arc::clone(&surroundings)));
        Ok(surroundings)
    }

    #[expect(clippy::option_option, reason = "that there is no form may be known, too")]
    fn known(&self, id: &str, epoch: Option<&str>) -> Option<Option<Arc<Form>>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.get(id).filter(|known| epoch.is_none_or(|epoch| known.epoch == epoch))?;
        let age = if known.form.is_some() { limits::FORM_AGE_MAX } else { limits::FORM_REFUSED_AGE_MAX };
        is_within(age, known.learnt, (self.clock)()).then(|| known.form.clone())
    }

    /// Waits with those who wait for the same form, or begins to learn it; nothing where too many are being learnt.
    fn learning(
        self: &Arc<Self>,
        asked: Asked,
        epoch: String,
    ) -> Option<Shared<BoxFuture<'static, Option<Arc<Form>>>>> {
        let mut learning = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody waits for these any more.
        learning.retain(|_, learning| learning.since.elapsed() <= limits::FORM_TIME_MAX * 2);
        if let Some(learning) = learning.get(&asked.id) {
            return Some(learning.form.clone());
        }
        if learning.len() >= limits::FORMS_AT_ONCE {
            return None;
        }
        let (keeper, id) = (Arc::clone(self), asked.id.clone());
        let form = async move { keeper.learn(asked, epoch).await }.boxed().shared();
        learning.insert(id, Learning { since: Instant::now(), form: form.clone() });
        Some(form)
    }

    async fn learn(self: Arc<Self>, asked: Asked, epoch: String) -> Option<Arc<Form>> {
        let learnt = (self.clock)();
        let form = match timeout(limits::FORM_TIME_MAX, self.made(&asked)).await {
            Ok(Ok(form)) => Some(Arc::new(form)),
            Ok(Err(refused)) => {
                refused.tell(&asked.object);
                None
            }
            Err(_) => {
                info!(object = %asked.object, "The API server does not say in time what it makes of the declaration");
                None
            }
        };
        self.keep(&asked, Kept { epoch, learnt, form: form.clone() });
        self.learning.lock().unwrap_or_else(PoisonError::into_inner).remove(&asked.id);
        form
    }

    /// Makes the object twice, under two names; where that is refused (the name is a part of the meaning, the quota is full), lays
    /// the declaration over the object itself.
    async fn made(&self, asked: &Asked) -> Result<Form, Refused> {
        let refused = match self.made_twice(asked, &asked.manifest).await {
            Ok(form) => return Ok(form),
            Err(refused) => refused,
        };
        let Refused::Call(error) = &refused else { return Err(refused) };
        if error.status().is_none() {
            return Err(refused);
        }
        // What Git gives may be taken: by the object that is there, or by the write that is being judged.
        let mut open = asked.manifest.clone();
        if leave_open(&mut open)
            && let Ok(form) = self.made_twice(asked, &open).await
        {
            return Ok(form);
        }
        debug!(object = %asked.object, "No form under another name");
        let name = asked.object.name();
        let laid = self.writer.rehearse(&asked.place, Rehearsal::Apply(name, asked.named(&asked.manifest, name))).await;
        let (object, was_there) = asked.form(&laid.map_err(Refused::Call)?, name)?;
        Ok(if was_there { Form::laid_over_live(&object) } else { Form::made(&object, &object) })
    }

    async fn made_twice(&self, asked: &Asked, manifest: &Value) -> Result<Form, Refused> {
        let attempt = async || {
            let name = unused_name(asked.object.name());
            let made = self.writer.rehearse(&asked.place, Rehearsal::Create(asked.named(manifest, &name))).await;
            asked.form(&made.map_err(Refused::Call)?, &name).map(|(object, _)| object)
        };
        let (one, other) = join(attempt(), attempt()).await;
        Ok(Form::made(&one?, &other?))
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

/// A declaration that is asked about.
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

    /// The form in what the server answered for this name, and whether the object was there before.
    fn form(&self, answer: &str, name: &str) -> Result<(String, bool), Refused> {
        let mut object: Value = serde_json::from_str(answer).map_err(|_| Refused::NoObject)?;
        let metadata = object.get_mut("metadata").and_then(Value::as_object_mut).ok_or(Refused::NoObject)?;
        let was_there = metadata.contains_key("resourceVersion");
        for member in OF_ONE_REQUEST {
            metadata.remove(member);
        }
        rename(&mut object, name, self.object.name());
        Ok((object.to_string(), was_there))
    }
}

/// A name that nobody has, as long as `name`, so that the server treats it alike.
fn unused_name(name: &str) -> String {
    let random = std::iter::repeat_with(|| format!("{:016x}", RandomState::new().hash_one(())));
    let length = name.len().max(NAME_CHARS_MIN);
    "lf".chars().chain(random.flat_map(|part| part.chars().collect::<Vec<_>>())).take(length).collect()
}

/// Replaces a name wherever it stands: the server and others may have derived values from it.
fn rename(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => {
            if text.contains(from) {
                *text = renamed(text, from, to);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, from, to)),
        Value::Object(members) => {
            members.values_mut().for_each(|member| rename(member, from, to));
            let keys: Vec<String> = members.keys().filter(|key| key.contains(from)).cloned().collect();
            for key in keys {
                let member = members.remove(&key).unwrap_or_default();
                members.insert(renamed(&key, from, to), member);
            }
        }
    }
}

fn renamed(text: &str, from: &str, to: &str) -> String {
    text.split(from).collect::<Vec<_>>().join(to)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn kept(second: i64, bytes: usize) -> Kept {
        let object = "x".repeat(bytes);
        Kept { epoch: String::new(), learnt: at(second), form: Some(Arc::new(Form::made(&object, &object))) }
    }

    #[test]
    fn an_unused_name_is_as_long_as_the_name_and_fits_where_names_are_labels() {
        for length in [1, 5, 16, 63, 253] {
            let name = unused_name(&"a".repeat(length));
            assert_eq!(name.len(), length.max(NAME_CHARS_MIN));
            assert!(name.starts_with("lf") && name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{name}");
            assert_ne!(name, unused_name(&"a".repeat(length)));
        }
    }

    #[test]
    fn what_is_derived_from_the_unused_name_is_derived_from_the_name() {
        let mut object =
            json!({ "metadata": { "name": "lf0", "labels": { "lf0": "x-lf0-lf0", "app": "web" } }, "n": [1, "lf0"] });
        rename(&mut object, "lf0", "web");
        let expected =
            json!({ "metadata": { "name": "web", "labels": { "web": "x-web-web", "app": "web" } }, "n": [1, "web"] });
        assert_eq!(object, expected);
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
