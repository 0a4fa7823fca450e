//! Who deploys this object, and can it be asked to bring it back? What Flux and Argo CD write on objects, and what their own objects say.
//!
//! Sources: Flux kustomize-controller 1.9 (`kustomize.toolkit.fluxcd.io/v1`, `reconcile.fluxcd.io/requestedAt`), Argo CD 3.2
//! (`argoproj.io/v1alpha1`, `argocd.argoproj.io/tracking-id`). Any client can write these marks, so all that follows from one is that
//! somebody is asked to apply what Git declares.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::drift::declared::ObjectKey;

/// Who deploys an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deployer {
    /// A Kustomization of Flux.
    Kustomization {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// An Application of Argo CD, by its name; which namespace that is in no mark says.
    Application {
        /// Its name.
        name: String,
    },
}

/// Why a deployer is not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// It is at work; a moment later it may be asked.
    Busy,
    /// A person has to do something first; what is wrong, in words.
    Not(String),
}

/// What a deployer is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'w> {
    /// The object that is to come back.
    pub key: &'w ObjectKey,
    /// The object as it is; absent where it is missing.
    pub live: Option<&'w Value>,
    /// When it is asked.
    pub now: Timestamp,
}

impl Deployer {
    /// Who deploys an object, as its marks say.
    pub fn of(key: &ObjectKey, object: &Value) -> Option<Self> {
        let mark = |map: &str, name: &str| object["metadata"][map][name].as_str();
        let flux = |what: &str| mark("labels", &format!("kustomize.toolkit.fluxcd.io/{what}"));
        if let (Some(name), Some(namespace)) = (flux("name"), flux("namespace")) {
            return Some(Self::Kustomization { namespace: namespace.to_owned(), name: name.to_owned() });
        }
        let tracked = match mark("annotations", "argocd.argoproj.io/tracking-id") {
            Some(id) => tracked(id, key),
            None => mark("labels", "argocd.argoproj.io/instance"),
        };
        tracked.map(|name| Self::Application { name: name.to_owned() })
    }

    /// Where the deployer's own object is read: the path of its list, narrowed to it.
    pub fn place(&self) -> (String, &str) {
        match self {
            Self::Kustomization { namespace, name } => {
                (format!("/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{namespace}/kustomizations"), name)
            }
            Self::Application { name } => ("/apis/argoproj.io/v1alpha1/applications".to_owned(), name),
        }
    }

    /// Where one object of its kind is written.
    pub fn place_of(&self, namespace: &str) -> String {
        match self {
            Self::Kustomization { .. } => self.place().0,
            Self::Application { .. } => format!("/apis/argoproj.io/v1alpha1/namespaces/{namespace}/applications"),
        }
    }

    /// What is to be merged into the deployer's own object to have it bring the object back. `is_target` says whether at a revision Git
    /// declared the object as it is to be; `None` of one that was never seen at the head.
    pub fn ask(&self, own: &Value, wish: Wish<'_>, is_target: impl Fn(&str) -> Option<bool>) -> Result<Value, Unfit> {
        let not = |why: &str| Err(Unfit::Not(format!("{self} {why}")));
        if own["metadata"].get("deletionTimestamp").is_some() {
            return not("is being deleted");
        }
        match self {
            Self::Kustomization { .. } => {
                if own["spec"]["suspend"] == true {
                    return not("is suspended");
                }
                let left = |value: &Value| {
                    value["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/reconcile"] == "disabled"
                };
                if wish.live.is_some_and(left) {
                    return not("leaves the object alone: kustomize.toolkit.fluxcd.io/reconcile is disabled");
                }
                let revision = own["status"]["lastAppliedRevision"].as_str().map(commit).unwrap_or_default();
                self.stands_right(revision, is_target(revision))?;
                let annotations = json!({ "reconcile.fluxcd.io/requestedAt": wish.now });
                Ok(json!({ "metadata": { "uid": own["metadata"]["uid"], "annotations": annotations } }))
            }
            Self::Application { .. } => self.sync(own, wish, is_target),
        }
    }

    /// Refuses a deployer that is where it would not bring the object back.
    fn stands_right(&self, revision: &str, is_target: Option<bool>) -> Result<(), Unfit> {
        let why = match is_target {
            Some(true) => return Ok(()),
            Some(false) => "where Git does not declare the object as it is to be",
            None => "which Landfast has not seen at the head of the source",
        };
        Err(Unfit::Not(format!("{self} is at revision {revision:?}, {why}")))
    }

    fn sync(&self, own: &Value, wish: Wish<'_>, is_target: impl Fn(&str) -> Option<bool>) -> Result<Value, Unfit> {
        let not = |why: &str| Err(Unfit::Not(format!("{self} {why}")));
        let automated = &own["spec"]["syncPolicy"]["automated"];
        if !automated.is_object() || automated["enabled"] == false {
            return not("does not sync by itself");
        }
        if own["spec"]["sources"].as_array().is_some_and(|sources| !sources.is_empty()) {
            return not("has several sources");
        }
        let revision = own["status"]["sync"]["revision"].as_str().unwrap_or_default();
        self.stands_right(revision, is_target(revision))?;
        let is_running = matches!(own["status"]["operationState"]["phase"].as_str(), Some("Running" | "Terminating"));
        if is_running || own.get("operation").is_some_and(Value::is_object) {
            return Err(Unfit::Busy);
        }
        let ObjectNames { group, kind, namespace, name } = ObjectNames::of(wish.key);
        let mut sync = json!({
            "revision": revision,
            "resources": [{ "group": group, "kind": kind, "namespace": namespace, "name": name }],
        });
        if let Some(options) = own["spec"]["syncPolicy"].get("syncOptions") {
            sync["syncOptions"] = options.clone();
        }
        // Of this version: meanwhile no other operation has begun.
        let of = json!({ "uid": own["metadata"]["uid"], "resourceVersion": own["metadata"]["resourceVersion"] });
        Ok(json!({ "metadata": of, "operation": { "initiatedBy": { "username": "landfast" }, "sync": sync } }))
    }
}

struct ObjectNames<'k> {
    group: &'k str,
    kind: &'k str,
    namespace: &'k str,
    name: &'k str,
}

impl<'k> ObjectNames<'k> {
    fn of(key: &'k ObjectKey) -> Self {
        Self { group: key.group(), kind: key.kind(), namespace: key.namespace(), name: key.name() }
    }
}

impl fmt::Display for Deployer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kustomization { namespace, name } => write!(f, "Kustomization {namespace}/{name}"),
            Self::Application { name } => write!(f, "Application {name}"),
        }
    }
}

/// The Application of a tracking id, `app:GROUP/KIND:NAMESPACE/NAME`, where it was made for this object: copies carry the id, too.
fn tracked<'i>(id: &'i str, key: &ObjectKey) -> Option<&'i str> {
    let (app, rest) = id.split_once(':')?;
    let (kind, place) = rest.split_once(':')?;
    let of_kind = kind.split_once('/') == Some((key.group(), key.kind()));
    let (namespace, name) = place.split_once('/')?;
    let here = key.namespace().is_empty() || namespace == key.namespace();
    // Of an Application outside of Argo CD's own namespace it is `NAMESPACE_NAME`.
    let app = app.rsplit_once('_').map_or(app, |(_, app)| app);
    (of_kind && here && name == key.name() && !app.is_empty()).then_some(app)
}

/// The commit in a revision of Flux: `main@sha1:0a1b…`, before 2.0 `main/0a1b…`.
fn commit(revision: &str) -> &str {
    revision.rsplit([':', '/']).next().unwrap_or(revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0a1b2c";
    const UNSEEN: &str = "012345";

    fn key() -> ObjectKey {
        ObjectKey::new("apps", "Deployment", "shop", "web")
    }

    fn asked(deployer: &Deployer, own: &Value) -> Result<Value, Unfit> {
        let key = key();
        let wish = Wish { key: &key, live: None, now: Timestamp::UNIX_EPOCH };
        deployer.ask(own, wish, |revision| (revision != UNSEEN).then_some(revision == COMMIT))
    }

    fn flux() -> Deployer {
        Deployer::Kustomization { namespace: "flux-system".to_owned(), name: "apps".to_owned() }
    }

    fn argo() -> Deployer {
        Deployer::Application { name: "apps".to_owned() }
    }

    #[test]
    fn marks_name_the_deployer_and_copies_of_them_do_not() {
        let labels = json!({ "kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system" });
        assert_eq!(Deployer::of(&key(), &json!({ "metadata": { "labels": labels } })), Some(flux()));
        let tracked = |id: &str| {
            let annotations = json!({ "argocd.argoproj.io/tracking-id": id });
            Deployer::of(&key(), &json!({ "metadata": { "annotations": annotations } }))
        };
        assert_eq!(tracked("apps:apps/Deployment:shop/web"), Some(argo()));
        assert_eq!(tracked("teams_apps:apps/Deployment:shop/web"), Some(argo()));
        for other in ["apps:apps/Deployment:shop/other", "apps:/Deployment:shop/web", "apps", ""] {
            assert_eq!(tracked(other), None, "{other}");
        }
        assert_eq!(Deployer::of(&key(), &json!({})), None);
    }

    #[test]
    fn flux_is_asked_only_where_it_is_at_that_declaration_and_not_suspended() {
        let own = |revision: &str| json!({ "status": { "lastAppliedRevision": revision } });
        for revision in ["main@sha1:0a1b2c", "main/0a1b2c"] {
            let annotations = &asked(&flux(), &own(revision)).unwrap()["metadata"]["annotations"];
            assert_eq!(annotations["reconcile.fluxcd.io/requestedAt"], "1970-01-01T00:00:00Z");
        }
        let mut suspended = own("main@sha1:0a1b2c");
        suspended["spec"]["suspend"] = true.into();
        let unseen = own(&format!("main@sha1:{UNSEEN}"));
        for (other, why) in [
            (own("main@sha1:ffffff"), "where Git does not declare the object as it is to be"),
            (json!({}), "where Git does not declare the object as it is to be"),
            (unseen, "has not seen at the head of the source"),
            (suspended, "is suspended"),
        ] {
            let Err(Unfit::Not(told)) = asked(&flux(), &other) else { panic!("{other}") };
            assert!(told.ends_with(why), "{told}");
        }
    }

    #[test]
    fn argo_is_asked_for_this_resource_only_and_not_where_it_does_not_sync_by_itself() {
        let own = json!({
            "spec": { "syncPolicy": { "automated": {}, "syncOptions": ["ServerSideApply=true"] } },
            "status": { "sync": { "revision": COMMIT }, "operationState": { "phase": "Succeeded" } },
        });
        let operation = asked(&argo(), &own).unwrap()["operation"].clone();
        let resource = json!({ "group": "apps", "kind": "Deployment", "namespace": "shop", "name": "web" });
        assert_eq!(operation["sync"]["resources"], json!([resource]));
        assert_eq!(operation["sync"]["syncOptions"], json!(["ServerSideApply=true"]));
        let with = |pointer: &str, value: Value| {
            let mut other = own.clone();
            *other.pointer_mut(pointer).unwrap() = value;
            asked(&argo(), &other)
        };
        assert!(matches!(with("/status/sync/revision", "ffffff".into()), Err(Unfit::Not(_))));
        assert!(matches!(with("/spec/syncPolicy/automated", Value::Null), Err(Unfit::Not(_))));
        assert!(matches!(with("/spec/syncPolicy/automated", json!({ "enabled": false })), Err(Unfit::Not(_))));
        assert_eq!(with("/status/operationState/phase", "Running".into()), Err(Unfit::Busy));
    }
}
