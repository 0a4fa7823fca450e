//! What does it mean that a watch told something? An object is seen or missed; a watch that fails is said to.

use kube::runtime::watcher;
use tracing::{debug, info, warn};

use crate::drift::declared::ObjectKey;
use crate::reconcile::run::Reconciler;
use crate::reconcile::watch::{Heard, Watched};

impl Reconciler {
    /// Takes in what a watch told.
    pub(super) fn hear(&mut self, kind: &Watched, heard: Heard) {
        match heard {
            Err(error) => {
                self.untallied = true;
                self.listings.remove(kind);
                let name = format!("{}.{}", kind.kind, kind.group);
                match error.status() {
                    Some(410) => debug!(kind = name, "Listed anew"),
                    Some(404) => info!(kind = name, "The cluster does not know this kind that Git declares"),
                    _ => {
                        let (error, hint) = (&error as &dyn std::error::Error, error.hint());
                        warn!(kind = name, error, hint, "Objects of this kind are not watched");
                    }
                }
            }
            Ok(watcher::Event::Init) => {}
            Ok(watcher::Event::InitApply(sight)) => {
                let key = kind.key(&sight);
                if self.is_declared(&key, kind) {
                    self.see(&key, sight);
                    self.listings.entry(kind.clone()).or_default().insert(key);
                }
            }
            Ok(watcher::Event::InitDone) => {
                let seen = self.listings.remove(kind).unwrap_or_default();
                let is_missing = |key: &&ObjectKey| {
                    (key.group(), key.kind()) == (&*kind.group, &*kind.kind)
                        && !seen.contains(*key)
                        && self.is_declared(key, kind)
                };
                let missing: Vec<_> = self.basis.index.objects.keys().filter(is_missing).cloned().collect();
                for key in missing {
                    self.miss(&key, None);
                }
                self.settled();
            }
            Ok(watcher::Event::Apply(sight)) => {
                let key = kind.key(&sight);
                if self.is_declared(&key, kind) {
                    self.see(&key, sight);
                }
            }
            Ok(watcher::Event::Delete(sight)) => {
                let key = kind.key(&sight);
                if self.is_declared(&key, kind) {
                    self.miss(&key, Some(&sight));
                }
            }
        }
    }

    /// Whether Git declares this object, in the version of this watch.
    fn is_declared(&self, key: &ObjectKey, kind: &Watched) -> bool {
        let head = self.basis.index.objects.get(key).and_then(|entry| entry.head.as_ref());
        head.is_some_and(|head| *head.version == *kind.version)
    }
}
