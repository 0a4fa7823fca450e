//! What happens to declared objects? One watch a kind, of exactly the kinds and versions that Git declares.
//!
//! Each goes its own way: one that is forbidden, or whose kind the API server does not know (yet, or any more), holds up no other.
//! Nothing is kept of an object.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use futures::future::ready;
use futures::stream::{self, AbortHandle, BoxStream, SelectAll, abortable};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher;
use kube::{Api, Client};
use rustc_hash::FxHashSet;
use tokio::time::sleep;

use crate::cluster::call::{CallError, watched};
use crate::drift::declared::ObjectKey;
use crate::gate::basis::Basis;
use crate::limits;
use crate::reconcile::sight::Sight;
use crate::reconcile::tally::named;

/// A kind in the version that Git declares its objects in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Watched {
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) version: String,
}

/// What a watch told.
pub(super) type Heard = Result<watcher::Event<Sight>, CallError>;

/// All watches.
pub(super) struct Watches {
    client: Client,
    streams: SelectAll<BoxStream<'static, (Watched, u64, Heard)>>,
    open: BTreeMap<Watched, Open>,
    /// Counts the watches that were ever opened.
    opened: u64,
}

struct Open {
    number: u64,
    resource: ApiResource,
    abort: AbortHandle,
    /// Why it does not go on, where its last word was a failure.
    failing: Option<String>,
    /// How far it is from having told of every object.
    stage: Stage,
}

/// How far a watch is from having told of every object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its objects are being listed, or will be.
    Listing,
    /// All were told of.
    Whole,
    /// We may not, or nobody knows the kind.
    Refused,
}

impl Watches {
    pub(super) fn new(client: Client) -> Self {
        Self { client, streams: SelectAll::new(), open: BTreeMap::new(), opened: 0 }
    }

    /// Watches these kinds and no others.
    pub(super) fn set(&mut self, wanted: BTreeMap<Watched, ApiResource>) {
        self.open.retain(|kind, open| {
            let stays = wanted.get(kind).is_some_and(|resource| resource.plural == open.resource.plural);
            if !stays {
                open.abort.abort();
            }
            stays
        });
        for (kind, resource) in wanted {
            if !self.open.contains_key(&kind) {
                self.begin(kind, resource);
            }
        }
    }

    /// Lists a kind anew.
    pub(super) fn again(&mut self, kind: &Watched) {
        if let Some(open) = self.open.remove(kind) {
            open.abort.abort();
            self.begin(kind.clone(), open.resource);
        }
    }

    /// Looks for a kind again that a definition of this name (`widgets.example.com`) may have brought.
    pub(super) fn retry_defined_by(&mut self, name: &str) {
        let is_defined = |open: &Open| {
            name.split_once('.')
                .is_some_and(|(plural, group)| (plural, group) == (&open.resource.plural, &open.resource.group))
        };
        let failing = self.open.iter().filter(|(_, open)| open.failing.is_some() && is_defined(open));
        let failing: Vec<_> = failing.map(|(kind, _)| kind.clone()).collect();
        for kind in &failing {
            self.again(kind);
        }
    }

    /// The kinds that are watched, or tried to be.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &Watched> {
        self.open.keys()
    }

    /// The kinds whose last word was a failure.
    pub(super) fn failing(&self) -> Vec<Watched> {
        self.open.iter().filter(|(_, open)| open.failing.is_some()).map(|(kind, _)| kind.clone()).collect()
    }

    /// The kinds that Git declares and that are not watched, as in `Deployment.apps`, each with the reason.
    pub(super) fn unwatched(&self, basis: &Basis) -> BTreeMap<String, String> {
        let failing =
            self.open.iter().filter_map(|(kind, open)| Some((named(&kind.group, &kind.kind), open.failing.clone()?)));
        let mut unwatched: BTreeMap<String, String> = failing.collect();
        for (key, entry) in &basis.index.objects {
            if entry.head.is_some() && basis.schemas.kind(key.group(), key.kind()).is_none() {
                let nobody = || "the cluster does not know this kind".to_owned();
                unwatched.entry(named(key.group(), key.kind())).or_insert_with(nobody);
            }
        }
        unwatched
    }

    /// Whether the objects of some kind are not all seen yet, so that more may turn out to differ.
    pub(super) fn is_listing(&self) -> bool {
        self.open.values().any(|open| open.stage == Stage::Listing)
    }

    /// The resource of a kind that is watched.
    pub(super) fn resource(&self, kind: &Watched) -> Option<&ApiResource> {
        self.open.get(kind).map(|open| &open.resource)
    }

    /// What happens next; never, where nothing is watched.
    pub(super) async fn next(&mut self) -> (Watched, Heard) {
        loop {
            match self.streams.next().await {
                None => std::future::pending().await,
                Some((kind, number, heard)) => {
                    // What a watch that was given up still says means nothing.
                    let Some(open) = self.open.get_mut(&kind).filter(|open| open.number == number) else { continue };
                    open.failing = heard.as_ref().err().map(ToString::to_string);
                    open.stage = open.stage.after(&heard);
                    return (kind, heard);
                }
            }
        }
    }

    fn begin(&mut self, kind: Watched, resource: ApiResource) {
        self.opened += 1;
        let (number, named) = (self.opened, kind.clone());
        let api: Api<Sight> = Api::all_with(self.client.clone(), &resource);
        let config = watcher::Config { page_size: Some(limits::WATCH_PAGE), ..watcher::Config::default() };
        let of = resource.clone();
        let heard = watched(api, config).flat_map(|heard| {
            // The rights may come, but nobody should be asked for them all the time.
            let is_forbidden = matches!(&heard, Err(error) if error.status() == Some(403));
            let rest = async move {
                if is_forbidden {
                    sleep(limits::WATCH_FORBIDDEN_RETRY).await;
                }
                None
            };
            stream::iter([Some(heard)]).chain(stream::once(rest))
        });
        let heard = heard.filter_map(ready);
        let named = heard.map(move |heard| (named.clone(), number, heard.map(|event| typed(event, &of))));
        let (stream, abort) = abortable(named);
        self.streams.push(stream.boxed());
        self.open.insert(kind, Open { number, resource, abort, failing: None, stage: Stage::Listing });
    }
}

impl Stage {
    fn after(self, heard: &Heard) -> Self {
        match heard {
            Ok(watcher::Event::InitDone) => Self::Whole,
            Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => Self::Listing,
            Err(error) if error.status() == Some(410) => Self::Listing,
            Err(error) if matches!(error.status(), Some(403 | 404)) => Self::Refused,
            // A watch that breaks goes on where it was: without a list, nothing would say again that all was told.
            Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_)) | Err(_) => self,
        }
    }
}

fn typed(event: watcher::Event<Sight>, of: &ApiResource) -> watcher::Event<Sight> {
    match event {
        watcher::Event::Apply(sight) => watcher::Event::Apply(sight.typed(of)),
        watcher::Event::Delete(sight) => watcher::Event::Delete(sight.typed(of)),
        watcher::Event::InitApply(sight) => watcher::Event::InitApply(sight.typed(of)),
        watcher::Event::Init => watcher::Event::Init,
        watcher::Event::InitDone => watcher::Event::InitDone,
    }
}

impl Watched {
    /// The kind of an object that Git declares in this version.
    pub(super) fn of(key: &ObjectKey, version: &str) -> Self {
        Self { group: key.group().to_owned(), kind: key.kind().to_owned(), version: version.to_owned() }
    }

    /// The object of this kind that was seen.
    pub(super) fn key(&self, sight: &Sight) -> ObjectKey {
        ObjectKey::new(&self.group, &self.kind, sight.namespace(), sight.name())
    }
}

/// The kinds to be watched: those that Git declares and anybody knows.
pub(super) fn wanted(basis: &Basis) -> BTreeMap<Watched, ApiResource> {
    let heads = basis.index.objects.values().filter_map(|entry| entry.head.as_ref());
    let declared: FxHashSet<_> = heads.map(|head| (head.key.group(), head.key.kind(), &*head.version)).collect();
    let known = declared.into_iter().filter_map(|(group, kind, version)| {
        let resource = &basis.schemas.kind(group, kind)?.resource;
        let named = GroupVersionKind::gvk(group, version, kind);
        let watched = Watched { group: group.to_owned(), kind: kind.to_owned(), version: version.to_owned() };
        Some((watched, ApiResource::from_gvk_with_plural(&named, resource)))
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;
    use crate::cluster::call::CallError;

    #[test]
    fn a_watch_that_breaks_goes_on_where_it_was_and_one_that_lists_anew_does_not() {
        let refused = |code| Err(CallError::from(kube::Error::Api(Box::new(Status::failure("", "").with_code(code)))));
        for stage in [Stage::Whole, Stage::Listing] {
            assert_eq!((stage.after(&refused(500)), stage.after(&Err(CallError::Silent))), (stage, stage));
            assert_eq!((stage.after(&refused(410)), stage.after(&refused(403))), (Stage::Listing, Stage::Refused));
            assert_eq!(stage.after(&Ok(watcher::Event::InitDone)), Stage::Whole);
            assert_eq!(stage.after(&Ok(watcher::Event::Init)), Stage::Listing);
        }
    }
}
