//! What goes over the wire? An AdmissionReview of `admission.k8s.io/v1` that answers another.
//!
//! Own types: kube 5 writes a patch wrongly. Only an answer of the mutating pass carries one.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::gate::json::field_json;
use crate::gate::policy::FailurePolicy;
use crate::gate::text::{shortened, tame};
use crate::gate::verdict::{Class, Ruling, Verdict};
use crate::limits::{ANNOTATION_CHARS_MAX, FIELDS_SHOWN_MAX};

/// An answer, as the API server reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    /// As base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
}

/// `meta/v1.Status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are the API server's")]
struct Status<'a> {
    status: &'static str,
    message: &'a str,
    reason: &'static str,
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Details<'a> {
    name: &'a str,
    group: &'a str,
    kind: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    causes: Vec<Cause>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Cause {
    reason: &'static str,
    message: String,
    field: String,
}

impl<'a> Answer<'a> {
    /// Answers the review `uid` by a verdict.
    pub fn of(verdict: &'a Verdict, uid: &'a str) -> Self {
        let status = (!verdict.allowed()).then(|| Status {
            status: "Failure",
            message: &verdict.message,
            reason: "Forbidden",
            code: 403,
            details: Some(details(verdict)),
        });
        let warnings = verdict.warnings.iter().map(String::as_str).collect();
        Self::with(Response {
            uid,
            allowed: verdict.allowed(),
            status,
            warnings,
            audit_annotations: annotations(verdict),
            patch_type: None,
            patch: None,
        })
    }

    /// Answers the review `uid` of the mutating pass by a verdict: never a refusal. What the validating pass says again is left
    /// to it.
    pub fn changing(verdict: &'a Verdict, uid: &'a str) -> Self {
        let mut answer = Self::allow(uid);
        if verdict.is_told_while_changing() {
            answer.response.warnings = verdict.warnings.iter().map(String::as_str).collect();
            answer.response.audit_annotations = annotations(verdict);
        }
        if !verdict.patch.is_empty() {
            answer.response.warnings.extend(verdict.kept.iter().map(String::as_str));
            answer.response.patch_type = Some("JSONPatch");
            answer.response.patch = Some(STANDARD.encode(verdict.patch.to_json()));
        }
        answer
    }

    /// Lets the review `uid` in without a word.
    pub fn allow(uid: &'a str) -> Self {
        Self::with(Response {
            uid,
            allowed: true,
            status: None,
            warnings: Vec::new(),
            audit_annotations: BTreeMap::new(),
            patch_type: None,
            patch: None,
        })
    }

    /// Answers by the failure rule, where nothing could be decided. `why`, at most 120 characters, ends up in front of the
    /// writer: as the refusal under Fail, as a warning under Ignore.
    pub fn undecided(uid: &'a str, rule: FailurePolicy, why: &'a str) -> Self {
        let (allowed, status, warnings) = match rule {
            FailurePolicy::Ignore => (true, None, vec![why]),
            FailurePolicy::Fail => {
                let (status, reason) = ("Failure", "InternalError");
                (false, Some(Status { status, message: why, reason, code: 500, details: None }), Vec::new())
            }
        };
        let audit_annotations = BTreeMap::from([("undecided", why.to_owned())]);
        Self::with(Response { uid, allowed, status, warnings, audit_annotations, patch_type: None, patch: None })
    }

    /// The bytes to send.
    ///
    /// # Panics
    /// Never: an answer has string keys only.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an answer has string keys only")
    }

    fn with(response: Response<'a>) -> Self {
        Self { api_version: "admission.k8s.io/v1", kind: "AdmissionReview", response }
    }
}

fn details(verdict: &Verdict) -> Details<'_> {
    let object = &verdict.object;
    let leaves = verdict.fields.iter().filter(|field| matches!(field.class, Class::Drifts | Class::Reordered));
    let causes = leaves.take(FIELDS_SHOWN_MAX).map(|field| Cause {
        reason: "FieldValueForbidden",
        message: "differs from Git".to_owned(),
        field: tame(&field.path.to_string()),
    });
    Details { name: object.name(), group: object.group(), kind: object.kind(), causes: causes.collect() }
}

/// What the API server's own audit event is to say: nothing for a plain Allow. It puts the webhook's name before each key.
fn annotations(verdict: &Verdict) -> BTreeMap<&'static str, String> {
    let mut annotations = BTreeMap::new();
    if verdict.ruling == Ruling::Allow && verdict.glass.is_none() {
        return annotations;
    }
    let mut put = |key, text: String| annotations.insert(key, shortened(&tame(&text), ANNOTATION_CHARS_MAX));
    put("ruling", verdict.ruling.name().to_owned());
    put("enforced", verdict.enforced.to_string());
    put("reason", verdict.reason.to_owned());
    put("writer-role", verdict.role.name().to_owned());
    if let Some(glass) = &verdict.glass {
        put("break-glass", format!("{} {} until {}: {}", glass.act.name(), glass.record, glass.ends, glass.reason));
    }
    let named = [
        ("policy", verdict.policy.clone()),
        ("source", verdict.source.as_ref().map(ToString::to_string)),
        ("revision", verdict.revision.as_ref().map(ToString::to_string)),
    ];
    for (key, value) in named {
        if let Some(value) = value {
            put(key, value);
        }
    }
    let fields: Vec<String> =
        verdict.fields.iter().take(FIELDS_SHOWN_MAX).map(|field| field_json(field).to_string()).collect();
    if !fields.is_empty() {
        put("fields", format!("[{}]", fields.join(",")));
    }
    annotations
}
