//! What does this request want to change? An AdmissionReview, parsed once, with no impossible values.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde_json::value::RawValue;

/// Who writes, by what the API server authenticated. Never the user agent or the field manager: both can be forged.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct User {
    /// User name.
    pub name: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Extra attributes.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The object a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// API group of the resource; empty for the core group.
    pub group: String,
    /// Version of the resource, in which the objects are sent.
    pub version: String,
    /// Resource, as in `deployments`.
    pub resource: String,
    /// Kind of the objects sent: the parent's own kind, save for subresources with one of their own, as `Scale`.
    pub kind: String,
    /// Namespace; empty where cluster-scoped.
    pub namespace: String,
    /// Name; empty where the server is still to make one (`generateName`).
    pub name: String,
    /// Subresource; empty for the main resource.
    pub subresource: String,
    /// The version that the client asked for (`requestResource.version`): by it a CRD's `/scale` maps its path.
    pub request_version: String,
}

/// One write, as admission sees it.
#[derive(Debug, Clone)]
pub struct Write<'r> {
    /// The review's uid: one a call, not one a request.
    pub uid: &'r str,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// Who writes.
    pub user: User,
    /// Which object.
    pub target: Target,
    /// What is to change. The objects are unread JSON: an undeclared object costs no parse.
    pub change: Change<'r>,
    /// How the client asked for it, unread.
    pub options: Option<&'r RawValue>,
}

/// What is to change.
#[derive(Debug, Clone, Copy)]
pub enum Change<'r> {
    /// A new object, or one sent to a subresource by create.
    Create {
        /// The object to be.
        after: &'r RawValue,
    },
    /// A changed object: update, every kind of patch, apply.
    Update {
        /// The object as stored.
        before: &'r RawValue,
        /// The object to be.
        after: &'r RawValue,
    },
    /// A deletion, or one of those that a delete-collection is made of.
    Delete {
        /// The object as stored; always sent since Kubernetes 1.15, absent only in broken reviews.
        before: Option<&'r RawValue>,
    },
    /// exec, attach, port-forward, proxy.
    Connect,
}

/// A review that cannot be read. The caller answers by the failure rule.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// Not JSON, or not an AdmissionReview.
    #[error("not an AdmissionReview")]
    Malformed(#[source] serde_json::Error),
    /// Readable, but a member that the operation needs is missing or of another type.
    #[error("the review's `{member}` {what}")]
    Member {
        /// Dotted member, as in `request.object`.
        member: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl<'r> Write<'r> {
    /// Reads an AdmissionReview of `admission.k8s.io/v1`.
    ///
    /// The objects stay unread, except for a name that the request does not give (seen: a delete-collection names its
    /// objects only in `oldObject`, a create with `generateName` only in `object`).
    pub fn parse(review: &'r [u8]) -> Result<Self, ReviewError> {
        // Checked once: a reader of bytes would check each string by itself.
        let review = str::from_utf8(review).map_err(serde_json::Error::custom).map_err(ReviewError::Malformed)?;
        let review: wire::Review<'r> = serde_json::from_str(review).map_err(ReviewError::Malformed)?;
        if review.api_version != Some("admission.k8s.io/v1") {
            return Err(missing("apiVersion", "is not `admission.k8s.io/v1`"));
        }
        let request = review.request.ok_or_else(|| missing("request", "is missing"))?;
        let uid = request.uid.filter(|uid| !uid.is_empty()).ok_or_else(|| missing("request.uid", "is missing"))?;
        let change = Change::of(&request)?;
        Ok(Self {
            uid,
            dry_run: request.dry_run.unwrap_or(false),
            target: Target::of(&request, change)?,
            user: user(request.user_info)?,
            change,
            options: request.options,
        })
    }

    /// The name under which the server notes what this write owns, where the client gave one. It can be forged: it says nothing of
    /// who writes.
    pub fn field_manager(&self) -> Option<String> {
        let options: wire::Options = serde_json::from_str(self.options?.get()).ok()?;
        options.field_manager.filter(|name| !name.is_empty())
    }
}

impl Change<'_> {
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Create { .. } => "CREATE",
            Self::Update { .. } => "UPDATE",
            Self::Delete { .. } => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

impl<'r> Change<'r> {
    fn of(request: &wire::Request<'r>) -> Result<Self, ReviewError> {
        let after = || object("request.object", request.object);
        let before = || object("request.oldObject", request.old_object);
        match request.operation.as_deref() {
            Some("CREATE") => Ok(Self::Create { after: after()? }),
            Some("UPDATE") => Ok(Self::Update { before: before()?, after: after()? }),
            Some("DELETE") if request.old_object.is_none() => Ok(Self::Delete { before: None }),
            Some("DELETE") => Ok(Self::Delete { before: Some(before()?) }),
            Some("CONNECT") => Ok(Self::Connect),
            Some(_) => Err(missing("request.operation", "is none of CREATE, UPDATE, DELETE and CONNECT")),
            None => Err(missing("request.operation", "is missing")),
        }
    }

    /// The uid of the object, where the review tells: a `Scale` has its parent's, an object that is still to be stored may have none.
    pub fn uid(self) -> Option<String> {
        let object = match self {
            Self::Update { before, .. } => before,
            Self::Create { after } => after,
            Self::Delete { before } => before?,
            Self::Connect => return None,
        };
        serde_json::from_str::<wire::Named>(object.get()).ok()?.metadata?.uid
    }

    /// The object to be, or the one that goes.
    fn object(self) -> Option<&'r RawValue> {
        match self {
            Self::Create { after } | Self::Update { after, .. } => Some(after),
            Self::Delete { before } => before,
            Self::Connect => None,
        }
    }
}

impl Target {
    fn of(request: &wire::Request<'_>, change: Change<'_>) -> Result<Self, ReviewError> {
        let resource = request.resource.as_ref().ok_or_else(|| missing("request.resource", "is missing"))?;
        let kind = request.kind.as_ref().and_then(|kind| kind.kind.as_deref()).unwrap_or_default();
        if kind.is_empty() {
            return Err(missing("request.kind", "is missing"));
        }
        let version = resource.version.as_deref().unwrap_or_default();
        let asked = request.request_resource.as_ref().and_then(|resource| resource.version.as_deref());
        let target = Self {
            group: resource.group.as_deref().unwrap_or_default().to_owned(),
            version: version.to_owned(),
            resource: resource.resource.as_deref().unwrap_or_default().to_owned(),
            kind: kind.to_owned(),
            // The request of a Namespace names itself as its namespace, though it lives in none.
            namespace: match (resource.group.as_deref().unwrap_or_default(), resource.resource.as_deref()) {
                ("", Some("namespaces")) => String::new(),
                (_, Some(_) | None) => request.namespace.as_deref().unwrap_or_default().to_owned(),
            },
            name: match request.name.as_deref() {
                None | Some("") => change.object().and_then(name_of).unwrap_or_default(),
                Some(name) => name.to_owned(),
            },
            subresource: request.sub_resource.as_deref().unwrap_or_default().to_owned(),
            request_version: asked.unwrap_or(version).to_owned(),
        };
        if target.resource.is_empty() {
            return Err(missing("request.resource", "names no resource"));
        }
        Ok(target)
    }
}

fn user(user: Option<wire::UserInfo>) -> Result<User, ReviewError> {
    let user = user.ok_or_else(|| missing("request.userInfo", "is missing"))?;
    let name = user.username.filter(|name| !name.is_empty());
    Ok(User {
        name: name.ok_or_else(|| missing("request.userInfo.username", "is missing"))?,
        groups: user.groups.unwrap_or_default(),
        extra: user.extra.unwrap_or_default(),
    })
}

/// An object's own name, read without its other members.
fn name_of(object: &RawValue) -> Option<String> {
    serde_json::from_str::<wire::Named>(object.get()).ok()?.metadata?.name
}

fn object<'r>(member: &'static str, object: Option<&'r RawValue>) -> Result<&'r RawValue, ReviewError> {
    let object = object.ok_or_else(|| missing(member, "is missing"))?;
    if object.get().starts_with('{') { Ok(object) } else { Err(missing(member, "is not an object")) }
}

fn missing(member: &'static str, what: &'static str) -> ReviewError {
    ReviewError::Member { member, what }
}

/// AdmissionReview as the API server writes it (`admission.k8s.io/v1`), as far as it is read. Every member may be null.
mod wire {
    use std::borrow::Cow;
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::value::RawValue;

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Review<'r> {
        pub(super) api_version: Option<&'r str>,
        #[serde(borrow)]
        pub(super) request: Option<Request<'r>>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    #[expect(clippy::struct_field_names, reason = "the names are the API server's")]
    pub(super) struct Request<'r> {
        pub(super) uid: Option<&'r str>,
        #[serde(borrow)]
        pub(super) kind: Option<Kind<'r>>,
        #[serde(borrow)]
        pub(super) resource: Option<Resource<'r>>,
        #[serde(borrow)]
        pub(super) request_resource: Option<Resource<'r>>,
        #[serde(borrow)]
        pub(super) sub_resource: Option<Cow<'r, str>>,
        #[serde(borrow)]
        pub(super) name: Option<Cow<'r, str>>,
        #[serde(borrow)]
        pub(super) namespace: Option<Cow<'r, str>>,
        #[serde(borrow)]
        pub(super) operation: Option<Cow<'r, str>>,
        pub(super) user_info: Option<UserInfo>,
        #[serde(borrow)]
        pub(super) object: Option<&'r RawValue>,
        #[serde(borrow)]
        pub(super) old_object: Option<&'r RawValue>,
        pub(super) dry_run: Option<bool>,
        #[serde(borrow)]
        pub(super) options: Option<&'r RawValue>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Options {
        pub(super) field_manager: Option<String>,
    }

    #[derive(Deserialize)]
    pub(super) struct Kind<'r> {
        #[serde(borrow)]
        pub(super) kind: Option<Cow<'r, str>>,
    }

    #[derive(Deserialize)]
    #[expect(clippy::struct_field_names, reason = "the names are the API server's")]
    pub(super) struct Resource<'r> {
        #[serde(borrow)]
        pub(super) group: Option<Cow<'r, str>>,
        #[serde(borrow)]
        pub(super) version: Option<Cow<'r, str>>,
        #[serde(borrow)]
        pub(super) resource: Option<Cow<'r, str>>,
    }

    #[derive(Deserialize)]
    pub(super) struct UserInfo {
        pub(super) username: Option<String>,
        pub(super) groups: Option<Vec<String>>,
        pub(super) extra: Option<BTreeMap<String, Vec<String>>>,
    }

    #[derive(Deserialize)]
    pub(super) struct Named {
        pub(super) metadata: Option<Metadata>,
    }

    #[derive(Deserialize)]
    pub(super) struct Metadata {
        pub(super) name: Option<String>,
        pub(super) uid: Option<String>,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn review() -> Value {
        json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u-1", "operation": "UPDATE", "name": "web", "namespace": "shop", "dryRun": true,
            "kind": { "group": "autoscaling", "version": "v1", "kind": "Scale" },
            "resource": { "group": "apps", "version": "v1", "resource": "deployments" },
            "requestResource": { "group": "apps", "version": "v1beta1", "resource": "deployments" },
            "subResource": "scale",
            "userInfo": { "username": "alice", "groups": ["dev"], "extra": { "k": ["v"] } },
            "object": { "spec": { "replicas": 5 } }, "oldObject": { "spec": { "replicas": 3 } }
        }})
    }

    fn with(pointer: &str, value: Value) -> Vec<u8> {
        let mut review = review();
        *review.pointer_mut(pointer).unwrap() = value;
        serde_json::to_vec(&review).unwrap()
    }

    #[test]
    fn a_review_is_read_whole() {
        let bytes = serde_json::to_vec(&review()).unwrap();
        let write = Write::parse(&bytes).unwrap();
        assert_eq!((write.uid, write.dry_run), ("u-1", true));
        assert_eq!((write.user.name.as_str(), write.user.groups.as_slice()), ("alice", &["dev".to_owned()][..]));
        assert_eq!(write.target.group, "apps");
        assert_eq!((write.target.kind.as_str(), write.target.subresource.as_str()), ("Scale", "scale"));
        assert_eq!((write.target.version.as_str(), write.target.request_version.as_str()), ("v1", "v1beta1"));
        let Change::Update { before, after } = write.change else { panic!("{:?}", write.change) };
        assert_eq!((before.get(), after.get()), (r#"{"spec":{"replicas":3}}"#, r#"{"spec":{"replicas":5}}"#));
    }

    #[test]
    fn a_delete_collection_is_named_by_its_old_object() {
        let mut review = review();
        let request = review["request"].as_object_mut().unwrap();
        request.remove("name");
        request.insert("operation".into(), "DELETE".into());
        request.insert("object".into(), Value::Null);
        request.insert("oldObject".into(), json!({ "metadata": { "managedFields": [{}], "name": "web" } }));
        let bytes = serde_json::to_vec(&review).unwrap();
        assert_eq!(Write::parse(&bytes).unwrap().target.name, "web");
    }

    #[test]
    fn a_name_that_the_server_will_make_is_empty() {
        let mut review = review();
        let request = review["request"].as_object_mut().unwrap();
        request.insert("name".into(), "".into());
        request.insert("operation".into(), "CREATE".into());
        request.insert("object".into(), json!({ "metadata": { "generateName": "web-" } }));
        let bytes = serde_json::to_vec(&review).unwrap();
        assert_eq!(Write::parse(&bytes).unwrap().target.name, "");
    }

    #[test]
    fn a_namespace_lives_in_none() {
        let review = with("/request/resource", json!({ "group": "", "version": "v1", "resource": "namespaces" }));
        assert_eq!(Write::parse(&review).unwrap().target.namespace, "");
    }

    #[test]
    fn what_another_group_calls_namespaces_lives_in_one() {
        let resource = json!({ "group": "tenants.example.com", "version": "v1", "resource": "namespaces" });
        let review = with("/request/resource", resource);
        assert_eq!(Write::parse(&review).unwrap().target.namespace, "shop");
    }

    #[test]
    fn null_and_foreign_types_anywhere_are_an_error_or_an_absence() {
        let members = [
            "",
            "/apiVersion",
            "/request",
            "/request/uid",
            "/request/operation",
            "/request/name",
            "/request/namespace",
            "/request/dryRun",
            "/request/kind",
            "/request/kind/kind",
            "/request/resource",
            "/request/resource/resource",
            "/request/resource/version",
            "/request/requestResource",
            "/request/subResource",
            "/request/userInfo",
            "/request/userInfo/username",
            "/request/userInfo/groups",
            "/request/userInfo/extra",
            "/request/object",
            "/request/oldObject",
        ];
        let odd = [json!(null), json!([]), json!({}), json!(7), json!(""), json!(true), json!([[[null]]])];
        let mut refused = 0;
        for member in members {
            for value in &odd {
                refused += u32::from(Write::parse(&with(member, value.clone())).is_err());
            }
        }
        // Of 147 only what may be absent, or is of a right type, is read.
        assert!(refused > 90, "{refused}");
    }

    #[test]
    fn an_update_needs_both_objects() {
        for member in ["/request/object", "/request/oldObject"] {
            for odd in [json!(null), json!("{}"), json!([]), json!(3)] {
                let error = Write::parse(&with(member, odd)).unwrap_err();
                assert!(matches!(error, ReviewError::Member { .. }), "{error}");
            }
        }
    }

    #[test]
    fn other_versions_of_the_review_are_refused() {
        let error = Write::parse(&with("/apiVersion", json!("admission.k8s.io/v1beta1"))).unwrap_err();
        assert_eq!(error.to_string(), "the review's `apiVersion` is not `admission.k8s.io/v1`");
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let deep = vec![b'['; 100_000];
        for bytes in [&b""[..], b"\xff\xfe", b"GET / HTTP/1.1", b"[", b"nul", &deep] {
            assert!(matches!(Write::parse(bytes), Err(ReviewError::Malformed(_))));
        }
    }
}
