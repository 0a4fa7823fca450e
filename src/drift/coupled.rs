//! Which members of a built-in kind does the server decide by another member? What no schema says, and no default tells.
//!
//! Source: `k8s.io/kubernetes/pkg/apis/core/v1` 1.36 (conversion of PodSpec, defaults of Service). A custom resource with members
//! of these names has no such rule: its schema has no default that depends on others.

use crate::drift::document::{At, Value};
use crate::drift::schema::Default;
use crate::drift::slot::{Fields, is_zero};
use crate::drift::value::{Answer, equal};

/// Whether a declared member comes out the same, where another member decides that; `None` where it decides itself.
pub(crate) fn coupled(
    fields: Fields<'_>,
    declared: At<'_, '_>,
    live: Option<At<'_, '_>>,
    name: &str,
) -> Option<Answer> {
    let depends = |name| fields.slot(name).is_some_and(|slot| slot.default == Default::Depends);
    match name {
        "serviceAccount" | "serviceAccountName" if depends("serviceAccount") && depends("serviceAccountName") => {
            account(declared, live, name)
        }
        "sessionAffinityConfig" if depends(name) => affinity(declared, live?),
        "healthCheckNodePort" if depends(name) => health_check(declared, live?),
        // Admission appends tolerations to those of a Pod, in an update too.
        "tolerations" if depends(name) => {
            let (own, live) = (declared.get(name)?, live?.get(name)?);
            (own.children().count() < live.children().count()).then_some(Answer::Unknown)
        }
        // A Node's range has two names, too: only the server knows which wins.
        "podCIDR" | "podCIDRs" if depends("podCIDR") && depends("podCIDRs") => {
            let (own, live) = (declared.get(name)?, live.and_then(|live| live.get(name)));
            (!live.is_some_and(|live| equal(own, live))).then_some(Answer::Unknown)
        }
        _ => None,
    }
}

/// A Pod's account has two names, of which the server makes one: `serviceAccountName`, or where that is empty the other.
fn account(declared: At<'_, '_>, live: Option<At<'_, '_>>, name: &str) -> Option<Answer> {
    let text = |at: Option<At<'_, '_>>| match at.map(At::value) {
        None | Some(Value::Null) => Some(String::new()),
        Some(Value::String(text)) => Some(text.to_string()),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array | Value::Object) => None,
    };
    let merged = |name| text(declared.get(name).or_else(|| live.and_then(|live| live.get(name))));
    let (own, alias) = (merged("serviceAccountName")?, merged("serviceAccount")?);
    let becomes = if own.is_empty() { alias } else { own };
    Some(Answer::from_equal(becomes == text(live.and_then(|live| live.get(name)))?))
}

/// A Service has a `healthCheckNodePort` only where it is a load balancer that keeps traffic local.
fn health_check(declared: At<'_, '_>, live: At<'_, '_>) -> Option<Answer> {
    let is = |name, text| declared.get(name).or_else(|| live.get(name)).and_then(At::as_str) == Some(text);
    let was = |name, text| live.get(name).and_then(At::as_str) == Some(text);
    let had_one = was("type", "LoadBalancer") && was("externalTrafficPolicy", "Local");
    let lacks_it = live.get("healthCheckNodePort").is_none_or(At::is_null);
    if is("type", "LoadBalancer") && is("externalTrafficPolicy", "Local") {
        // One that becomes such is allocated a port, where Git gives none.
        let gives_none = declared.get("healthCheckNodePort").is_none_or(is_zero);
        return (!had_one && lacks_it && gives_none).then_some(Answer::Differs);
    }
    if lacks_it {
        return Some(Answer::Same);
    }
    had_one.then_some(Answer::Differs)
}

/// A Service has a `sessionAffinityConfig` only with the affinity `ClientIP`.
fn affinity(declared: At<'_, '_>, live: At<'_, '_>) -> Option<Answer> {
    let becomes = declared.get("sessionAffinity").or_else(|| live.get("sessionAffinity"));
    if becomes.and_then(At::as_str) == Some("ClientIP") {
        // It comes with the affinity, where Git gives none.
        let was = live.get("sessionAffinity").and_then(At::as_str) == Some("ClientIP");
        let is_null = |at: Option<At<'_, '_>>| at.is_none_or(At::is_null);
        let comes =
            !was && is_null(declared.get("sessionAffinityConfig")) && is_null(live.get("sessionAffinityConfig"));
        return comes.then_some(Answer::Differs);
    }
    match live.get("sessionAffinityConfig").filter(|config| !config.is_null()) {
        None => Some(Answer::Same),
        // It goes with the affinity.
        Some(_) => live.get("sessionAffinity").filter(|own| own.as_str() == Some("ClientIP")).map(|_| Answer::Differs),
    }
}
