//! In what words does the API server choose which writes to send? CEL for `matchConditions`, built so that none can fail.
//!
//! Every access to a member that a request may lack stands behind `has()` or a null check (seen: a bare `request.subResource`
//! fails on main resources, and under `Ignore` every create was then skipped in silence). No text of a user or of Git reaches
//! an expression unquoted. Nothing here knows policies.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::limits;

/// The resource a request is about, as in `apps/deployments`; the core group has none before the slash.
pub(crate) const RESOURCE: &str = "(request.resource.group + '/' + request.resource.resource)";

/// The object's name; deletions of a collection carry it in the old object only. Empty while the server is still to make one.
pub(crate) const NAME: &str = "(has(request.name) && request.name != '' ? request.name : \
     oldObject != null && has(oldObject.metadata) && has(oldObject.metadata.name) ? oldObject.metadata.name : '')";

/// Whoever holds this group is not asked about: the way out when landfast itself is the trouble.
pub const EMERGENCY_GROUP: &str = "landfast:emergency";

/// Accounts whose writes of `status` and `finalize` are the control plane's own work (kube-controller-manager 1.36).
const STATUS_WRITERS: &[&str] = &[
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "system:serviceaccount:kube-system:attachdetach-controller",
    "system:serviceaccount:kube-system:certificate-controller",
    "system:serviceaccount:kube-system:cronjob-controller",
    "system:serviceaccount:kube-system:daemon-set-controller",
    "system:serviceaccount:kube-system:deployment-controller",
    "system:serviceaccount:kube-system:disruption-controller",
    "system:serviceaccount:kube-system:expand-controller",
    "system:serviceaccount:kube-system:horizontal-pod-autoscaler",
    "system:serviceaccount:kube-system:job-controller",
    "system:serviceaccount:kube-system:namespace-controller",
    "system:serviceaccount:kube-system:persistent-volume-binder",
    "system:serviceaccount:kube-system:replicaset-controller",
    "system:serviceaccount:kube-system:replication-controller",
    "system:serviceaccount:kube-system:resource-claim-controller",
    "system:serviceaccount:kube-system:resourcequota-controller",
    "system:serviceaccount:kube-system:service-cidrs-controller",
    "system:serviceaccount:kube-system:service-controller",
    "system:serviceaccount:kube-system:statefulset-controller",
];

/// Metadata that a write through `/status` may carry along, with what stands in where it is absent.
const METADATA: &[(&str, &str)] =
    &[("labels", "{}"), ("annotations", "{}"), ("finalizers", "[]"), ("ownerReferences", "[]")];

/// Cluster-scoped objects of landfast's own installation, of the names in [`OWN_NAMES`].
const OWN_RESOURCES: &[&str] = &[
    "rbac.authorization.k8s.io/clusterroles",
    "rbac.authorization.k8s.io/clusterrolebindings",
    "scheduling.k8s.io/priorityclasses",
];

/// As `deploy/rbac.yaml` has them.
const OWN_NAMES: &[&str] = &["landfast", "landfast-dry-runs"];

/// One `matchCondition`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Unique in its entry, a qualified name.
    pub(crate) name: &'static str,
    /// CEL that is true where the write is sent.
    pub(crate) expression: String,
}

/// What holds for every entry: who and what is never asked about. `landfast` is our own user, `own_namespace` our Namespace.
///
/// The API server's own writes come first: with a dead `Fail` webhook on RBAC it exits at start (seen).
pub(crate) fn never(landfast: Option<&str>, own_namespace: &str) -> Vec<Condition> {
    let writers: BTreeSet<&str> = ["system:apiserver"].into_iter().chain(landfast).collect();
    vec![
        Condition {
            name: "not-own-writes",
            expression: format!(
                "!(has(request.userInfo.username) && request.userInfo.username in {})",
                list(writers.iter().copied())
            ),
        },
        Condition {
            name: "not-emergency",
            expression: format!(
                "!(has(request.userInfo.groups) && {} in request.userInfo.groups)",
                quoted(EMERGENCY_GROUP)
            ),
        },
        Condition {
            name: "not-control-plane-status",
            expression: format!(
                "!(has(request.subResource) && request.subResource in ['status', 'finalize'] && \
                 has(request.userInfo.username) && request.userInfo.username in {})",
                list(STATUS_WRITERS.iter().copied())
            ),
        },
        Condition { name: "not-bare-status", expression: bare_status() },
        Condition {
            name: "not-own-objects",
            expression: format!(
                "!(({RESOURCE} in {} && {NAME} in {}) || \
                 ({RESOURCE} == 'apiextensions.k8s.io/customresourcedefinitions' && {NAME}.endsWith('.landfast.dev')) || \
                 ({RESOURCE} == '/namespaces' && {NAME} == {}))",
                list(OWN_RESOURCES.iter().copied()),
                list(OWN_NAMES.iter().copied()),
                quoted(own_namespace)
            ),
        },
    ]
}

/// Keeps out writes of `status` that leave labels, annotations, finalizers and owners as they were.
fn bare_status() -> String {
    let mut same = String::new();
    for (member, empty) in METADATA {
        let of = |object: &str| format!("(has({object}.metadata.{member}) ? {object}.metadata.{member} : {empty})");
        write!(same, " && {} == {}", of("object"), of("oldObject")).expect("a String takes all text");
    }
    format!(
        "!(has(request.subResource) && request.subResource == 'status' && object != null && oldObject != null && \
         has(object.metadata) && has(oldObject.metadata){same})"
    )
}

/// Keeps out writes of service accounts and the control plane to these resources.
pub(crate) fn by_people(resources: &[String]) -> Condition {
    let prefixes = ["system:serviceaccount:", "system:node:"];
    let starts = prefixes.map(|prefix| format!("request.userInfo.username.startsWith({})", quoted(prefix)));
    let expression = format!(
        "!({RESOURCE} in {} && has(request.userInfo.username) && ({} || request.userInfo.username in {}))",
        list(resources.iter().map(String::as_str)),
        starts.join(" || "),
        list(["system:kube-controller-manager", "system:kube-scheduler", "system:cloud-controller-manager"]),
    );
    Condition { name: "derived-by-people", expression }
}

/// Keeps out namespaces outside `patterns` (globs); cluster-scoped objects pass, Namespaces among them, though a request about
/// one carries its own name as `request.namespace`. `None` where that would narrow nothing, where a pattern is more than `*`
/// and `?`, or where it is too long for an expression: sending too much is right, sending too little is not.
pub(crate) fn within(patterns: &BTreeSet<&str>) -> Option<Condition> {
    if patterns.is_empty() || patterns.iter().any(|pattern| pattern.contains(['[', ']', '{', '}', '\\', '!'])) {
        return None;
    }
    if patterns.iter().any(|pattern| pattern.chars().all(|c| c == '*')) {
        return None;
    }
    let (globs, plain): (Vec<&str>, Vec<&str>) = patterns.iter().partition(|pattern| pattern.contains(['*', '?']));
    let mut any = Vec::new();
    if !plain.is_empty() {
        any.push(format!("request.namespace in {}", list(plain)));
    }
    for glob in globs {
        any.push(matches(glob));
    }
    let expression = format!(
        "{RESOURCE} == '/namespaces' || !has(request.namespace) || request.namespace == '' || {}",
        any.join(" || ")
    );
    // Bytes are characters here: whatever is not plain ASCII was written as a code point.
    (expression.len() <= limits::CONDITION_CHARS_MAX).then_some(Condition { name: "in-scope", expression })
}

fn matches(glob: &str) -> String {
    match glob.strip_suffix('*') {
        Some(prefix) if !prefix.contains(['*', '?']) => format!("request.namespace.startsWith({})", quoted(prefix)),
        Some(_) | None => {
            let mut regex = String::from("^");
            for c in glob.chars() {
                match c {
                    '*' => regex.push_str(".*"),
                    '?' => regex.push('.'),
                    c if c.is_ascii_alphanumeric() || c == '-' => regex.push(c),
                    c => write!(regex, "\\x{{{:x}}}", u32::from(c)).expect("a String takes all text"),
                }
            }
            regex.push('$');
            format!("request.namespace.matches({})", quoted(&regex))
        }
    }
}

/// A list of strings.
pub(crate) fn list<'t>(items: impl IntoIterator<Item = &'t str>) -> String {
    let items: Vec<String> = items.into_iter().map(quoted).collect();
    format!("[{}]", items.join(","))
}

/// A string literal. Names of RBAC objects may hold quotes and backslashes, so all but plain characters are written as code
/// points.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || "-._:/@+^$*(){} ".contains(c) {
            out.push(c);
        } else {
            write!(out, "\\U{:08x}", u32::from(c)).expect("a String takes all text");
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::cluster::condition::{RESOURCE, quoted, within};
    use crate::limits;

    fn scope(patterns: &[&str]) -> Option<String> {
        within(&patterns.iter().copied().collect::<BTreeSet<_>>()).map(|condition| condition.expression)
    }

    #[test]
    fn no_name_can_leave_its_quotes() {
        assert_eq!(quoted("shop"), "'shop'");
        assert_eq!(quoted("a'||true||'"), r"'a\U00000027\U0000007c\U0000007ctrue\U0000007c\U0000007c\U00000027'");
        assert_eq!(quoted("a\\"), r"'a\U0000005c'");
    }

    #[test]
    fn a_scope_becomes_lists_prefixes_and_patterns() {
        let head = format!("{RESOURCE} == '/namespaces' || !has(request.namespace) || request.namespace == '' || ");
        assert_eq!(scope(&["shop"]), Some(format!("{head}request.namespace in ['shop']")));
        assert_eq!(
            scope(&["shop", "shop-*", "?-b"]),
            Some(format!(
                "{head}request.namespace in ['shop'] || request.namespace.matches('^.-b$') || \
                 request.namespace.startsWith('shop-')"
            ))
        );
    }

    #[test]
    fn a_scope_that_cannot_be_said_exactly_narrows_nothing() {
        assert_eq!(scope(&["*", "shop"]), None);
        assert_eq!(scope(&["shop-{eu,us}"]), None);
        assert_eq!(scope(&[]), None);
    }

    #[test]
    fn a_scope_too_long_for_an_expression_narrows_nothing() {
        let names = |count: usize| (0..count).map(|n| format!("shop-{n:06}")).collect::<Vec<_>>();
        let length =
            |names: &[String]| within(&names.iter().map(String::as_str).collect()).map(|it| it.expression.len());
        assert!(length(&names(7_000)).is_some_and(|length| length <= limits::CONDITION_CHARS_MAX));
        assert_eq!(length(&names(9_000)), None);
    }
}
