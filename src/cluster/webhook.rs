//! What do our webhook entries look like? Both webhook configurations, rendered from the basis.
//!
//! Pure and deterministic: equal bases render equal bytes, so that only a change is written. `guard` (Fail) holds just where a
//! policy may deny and says so, `observe` (Ignore) all else; a write is sent to exactly one of them. Before that, `revert`
//! (mutating, Ignore) sees those that a policy may change, and exists only where there is one. Talks to nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::cluster::condition::{Condition, NAME, RESOURCE, list, never, within};
use crate::cluster::coverage::{Coverage, Covered, ResourceKey};
use crate::config::crd::{GROUP, VERSION};
use crate::gate::basis::Basis;
use crate::gate::derived::{EDITED, ENTERED};
use crate::gate::entry::Entry;
use crate::gate::policy::FailurePolicy;
use crate::limits;

/// Name of our webhook configurations, of either kind.
pub const CONFIGURATION: &str = "landfast";

/// Field manager under which landfast writes.
pub const FIELD_MANAGER: &str = "landfast";

/// The resource of BreakGlass.
const BREAK_GLASSES: &str = "breakglasses";

/// What the validating entries are asked about.
const ALL: [&str; 3] = ["CREATE", "UPDATE", "DELETE"];

/// How the API server reaches us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// `--url https://HOST:PORT`, without a path.
    Url(String),
    /// `--service NS/NAME`, on port 443.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// All that the entries need besides the basis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// How the API server reaches us.
    pub backend: Backend,
    /// The certificate authorities it is to trust, as PEM.
    pub ca: Arc<str>,
    /// Landfast's own Namespace: excluded, and the owner of the configuration.
    pub namespace: String,
    /// Uid of that Namespace; deleting it frees the cluster.
    pub owner: Option<String>,
}

/// The configurations, and what did not fit into them.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The ValidatingWebhookConfiguration.
    pub configuration: Value,
    /// The MutatingWebhookConfiguration; absent where no policy may change a write.
    pub mutating: Option<Value>,
    /// Resources that a policy wants guarded but whose namespaces or names go beyond what one expression holds: observed.
    pub unguarded: Vec<String>,
}

/// Renders the entries that a basis needs.
pub fn entries(basis: &Basis, reach: &Reach) -> Rendered {
    let coverage = Coverage::of(basis);
    let guarded = Clauses::of(&coverage, |covered| Places::At(&covered.guarded), Overflow::Left);
    let mut conditions = never(basis.policy.landfast.as_deref(), &reach.namespace);
    let patterns = basis.sources.values().flat_map(|source| &source.scope.patterns).map(String::as_str);
    conditions.extend(within(&patterns.collect::<BTreeSet<_>>()));
    conditions.extend(coverage.by_people());
    let mutating = reverting(basis, &coverage, &conditions, reach);
    let every: Vec<_> = coverage.resources.iter().collect();
    let mut webhooks = Vec::new();
    let mut rest = conditions.clone();
    if !guarded.expression.is_empty() {
        conditions.push(Condition { name: "guarded", expression: guarded.expression.clone() });
        rest.push(Condition { name: "not-guarded", expression: format!("!({})", guarded.expression) });
        webhooks.push(entry(Entry::Guard, &every_rule(&guarded.resources), &conditions, reach));
    }
    let mut rules = every_rule(&every);
    rules.extend(stamped(basis));
    webhooks.push(entry(Entry::Observe, &rules, &rest, reach));
    let configuration = configuration("ValidatingWebhookConfiguration", &webhooks, reach);
    Rendered { configuration, mutating, unguarded: guarded.left }
}

/// The mutating configuration, where some policy may change a write.
fn reverting(basis: &Basis, coverage: &Coverage, common: &[Condition], reach: &Reach) -> Option<Value> {
    let changed = Clauses::of(coverage, changed, Overflow::Widened);
    let mut expression = changed.expression;
    let mut rules = rules(&changed.resources, &["CREATE", "UPDATE"]);
    // Of what declared objects made only edits are marked.
    let made = changed.resources.iter().filter(|(_, covered)| covered.version.is_empty());
    rules.extend(made.map(|(key, _)| derived_rule(key, std::slice::from_ref(&key.resource), "UPDATE")));
    if let Some(rule) = stamped(basis) {
        let stamped = format!("{RESOURCE} == '{GROUP}/{BREAK_GLASSES}'");
        expression = if expression.is_empty() { stamped } else { format!("{expression} || {stamped}") };
        rules.push(rule);
    }
    if expression.is_empty() {
        return None;
    }
    let mut conditions = common.to_vec();
    conditions.push(Condition { name: "may-change", expression });
    let webhook = entry(Entry::Revert, &rules, &conditions, reach);
    Some(configuration("MutatingWebhookConfiguration", &[webhook], reach))
}

/// Who makes a BreakGlass is stamped into it, and no other name is let in: where some policy offers one.
fn stamped(basis: &Basis) -> Option<Value> {
    basis.policy.rules.iter().any(|rule| rule.bounds().is_some()).then(|| {
        json!({
            "apiGroups": [GROUP],
            "apiVersions": [VERSION],
            "resources": [BREAK_GLASSES],
            "operations": ["CREATE"],
            "scope": "Cluster",
        })
    })
}

fn configuration(kind: &str, webhooks: &[Value], reach: &Reach) -> Value {
    let mut metadata = json!({
        "name": CONFIGURATION,
        "labels": { "app.kubernetes.io/managed-by": "landfast" },
    });
    if let Some(uid) = &reach.owner {
        metadata["ownerReferences"] =
            json!([{ "apiVersion": "v1", "kind": "Namespace", "name": reach.namespace, "uid": uid }]);
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "webhooks": webhooks,
    })
}

fn entry(entry: Entry, rules: &[Value], conditions: &[Condition], reach: &Reach) -> Value {
    use base64::Engine as _;
    let ca = base64::engine::general_purpose::STANDARD.encode(reach.ca.as_bytes());
    let client = match &reach.backend {
        Backend::Url(url) => {
            json!({ "url": format!("{}{}", url.trim_end_matches('/'), entry.path()), "caBundle": ca })
        }
        Backend::Service { namespace, name } => json!({
            "service": { "namespace": namespace, "name": name, "path": entry.path(), "port": 443 },
            "caBundle": ca,
        }),
    };
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|condition| json!({ "name": condition.name, "expression": condition.expression }))
        .collect();
    let excluded: BTreeSet<&str> = ["kube-system", &reach.namespace].into_iter().collect();
    let mut webhook = json!({
        "name": format!("{}.landfast.dev", entry.name()),
        "clientConfig": client,
        "rules": rules,
        "failurePolicy": match entry.failure_policy() {
            FailurePolicy::Fail => "Fail",
            FailurePolicy::Ignore => "Ignore",
        },
        "matchPolicy": "Equivalent",
        "namespaceSelector": { "matchExpressions": [
            { "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": excluded },
        ] },
        "objectSelector": {},
        "sideEffects": "NoneOnDryRun",
        "timeoutSeconds": limits::WEBHOOK_TIMEOUT.as_secs(),
        "admissionReviewVersions": ["v1"],
        "matchConditions": conditions,
    });
    if entry == Entry::Revert {
        // What a webhook after ours makes drift is seen once more.
        webhook["reinvocationPolicy"] = json!("IfNeeded");
    }
    webhook
}

/// One rule a group, version and scope, its resources in order; never `*`.
fn rules(resources: &[Resource<'_>], operations: &[&str]) -> Vec<Value> {
    let mut by: BTreeMap<(&str, &str, bool), Vec<String>> = BTreeMap::new();
    for (key, covered) in resources.iter().filter(|(_, covered)| !covered.version.is_empty()) {
        let names = by.entry((&key.group, &covered.version, covered.namespaced)).or_default();
        names.push(key.resource.clone());
        names.extend(covered.subresources.iter().map(|subresource| format!("{}/{subresource}", key.resource)));
    }
    by.into_iter()
        .map(|((group, version, namespaced), resources)| {
            json!({
                "apiGroups": [group],
                "apiVersions": [version],
                "resources": resources,
                "operations": operations,
                "scope": if namespaced { "Namespaced" } else { "Cluster" },
            })
        })
        .collect()
}

/// The rules of an entry that decides on all.
fn every_rule(resources: &[Resource<'_>]) -> Vec<Value> {
    let mut all = rules(resources, &ALL);
    all.extend(resources.iter().filter(|(_, covered)| covered.derived).flat_map(|(key, _)| derived_rules(key)));
    all
}

/// What reaches into a resource that declared objects made.
fn derived_rules(key: &ResourceKey) -> Vec<Value> {
    let named = |way: &str| if way.is_empty() { key.resource.clone() } else { format!("{}/{way}", key.resource) };
    let is_own = |(group, resource, _): &&(&str, &str, &[&str])| (*group, *resource) == (&*key.group, &*key.resource);
    let edited: Vec<String> =
        EDITED.iter().filter(is_own).flat_map(|(_, _, ways)| *ways).map(|way| named(way)).collect();
    let mut rules = vec![derived_rule(key, &edited, "UPDATE")];
    if key.resource == "pods" {
        let entered: Vec<String> = ENTERED.iter().map(|way| named(way)).collect();
        rules.push(derived_rule(key, &entered, "CONNECT"));
    }
    rules
}

fn derived_rule(key: &ResourceKey, resources: &[String], operation: &str) -> Value {
    json!({
        "apiGroups": [key.group],
        "apiVersions": ["v1"],
        "resources": resources,
        "operations": [operation],
        "scope": "Namespaced",
    })
}

type Resource<'c> = (&'c ResourceKey, &'c Covered);

/// Where writes to a resource are meant: namespaces, or names of cluster-scoped objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Places<'c> {
    At(&'c BTreeSet<String>),
    Everywhere,
}

/// Where writes may be changed.
fn changed(covered: &Covered) -> Places<'_> {
    if covered.changed_anywhere { Places::Everywhere } else { Places::At(&covered.changed) }
}

/// Resources at certain places, as one expression.
struct Clauses<'c> {
    expression: String,
    resources: Vec<Resource<'c>>,
    left: Vec<String>,
}

/// What becomes of resources whose places go beyond what one expression holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overflow {
    /// They are left out: letting in too much while we are silent is said aloud, blocking too much is not ours to choose.
    Left,
    /// All places count: being asked too much harms nobody.
    Widened,
}

impl<'c> Clauses<'c> {
    /// Resources with equal places share a clause; those without any have none.
    fn of(coverage: &'c Coverage, places: fn(&Covered) -> Places<'_>, overflow: Overflow) -> Self {
        let mut shared: BTreeMap<(bool, Places<'_>), Vec<Resource<'_>>> = BTreeMap::new();
        for (key, covered) in &coverage.resources {
            match places(covered) {
                Places::At(none) if none.is_empty() => {}
                some => shared.entry((covered.namespaced, some)).or_default().push((key, covered)),
            }
        }
        let mut clauses = Self { expression: String::new(), resources: Vec::new(), left: Vec::new() };
        for ((namespaced, places), resources) in shared {
            let paths: Vec<String> = resources.iter().map(|(key, _)| key.path()).collect();
            let kinds = format!("{RESOURCE} in {}", list(paths.iter().map(String::as_str)));
            let clause = match places {
                Places::Everywhere => format!("({kinds})"),
                Places::At(places) => {
                    let places = list(places.iter().map(String::as_str));
                    if namespaced {
                        format!("({kinds} && has(request.namespace) && request.namespace in {places})")
                    } else {
                        format!("({kinds} && {NAME} in {places})")
                    }
                }
            };
            // Bytes are characters here: whatever is not plain ASCII was written as a code point.
            let fits = clauses.expression.len() + clause.len() <= limits::CONDITION_CHARS_MAX;
            let clause = match (fits, overflow) {
                (true, _) => clause,
                (false, Overflow::Widened) => format!("({kinds})"),
                (false, Overflow::Left) => {
                    clauses.left.extend(paths);
                    continue;
                }
            };
            if !clauses.expression.is_empty() {
                clauses.expression.push_str(" || ");
            }
            clauses.expression.push_str(&clause);
            clauses.resources.extend(resources);
        }
        clauses
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use globset::{Glob, GlobSetBuilder};
    use serde_json::Value;

    use crate::cluster::webhook::{Backend, Reach, entries};
    use crate::drift::declared::{Declared, Lines, ObjectKey};
    use crate::drift::schema::Schemas;
    use crate::gate::basis::{Basis, Entry, Index, Owners, Scope, Source, SourceId};
    use crate::gate::policy::{FailurePolicy, KindName, Mode, Policy, Rule};
    use crate::gate::verdict::Ruling;

    #[derive(Debug)]
    struct Nobody;

    impl Owners for Nobody {
        fn of(&self, _: &str) -> Vec<String> {
            Vec::new()
        }
    }

    const SHOP: &[(&str, &str, &str)] = &[
        ("apps/v1", "Deployment", "shop/web"),
        ("v1", "Service", "shop/web"),
        ("v1", "ConfigMap", "shop-eu/web"),
        ("v1", "Namespace", "/shop"),
        ("autoscaling/v2", "HorizontalPodAutoscaler", "shop/web"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", "/shop:reader's"),
        ("v1", "Event", "shop/note"),
        ("events.k8s.io/v1", "Event", "shop/note"),
        ("coordination.k8s.io/v1", "Lease", "shop/leader"),
        ("v1", "Node", "/worker"),
        ("landfast.dev/v1alpha1", "DriftPolicy", "/shop"),
    ];

    fn basis(declared: &[(&str, &str, &str)], rules: Vec<Rule>) -> Basis {
        let id = SourceId("shop".into());
        let mut index = Index::default();
        for (api_version, kind, place) in declared {
            let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
            let (namespace, name) = place.split_once('/').unwrap();
            let key = ObjectKey::new(group, kind, namespace, name);
            let head = Declared {
                key: key.clone(),
                version: version.into(),
                json: Box::from(*b"{}"),
                lines: Lines::default(),
                file: "a.yaml".into(),
                ignored: Box::default(),
            };
            let entry = Entry {
                source: id.clone(),
                head: Some(Arc::new(head)),
                past: Arc::from([]),
                since: jiff::Timestamp::UNIX_EPOCH,
            };
            index.objects.insert(key, entry);
        }
        let source = Source {
            id: id.clone(),
            revision: None,
            max_lag: std::time::Duration::ZERO,
            scope: Scope { patterns: vec!["shop".into(), "shop-*".into()], ..Scope::default() },
            owners: Arc::new(Nobody),
            faults: Arc::default(),
            refused: None,
            heads: Arc::default(),
        };
        Basis {
            sources: [(id, Arc::new(source))].into(),
            index: Arc::new(index),
            schemas: Schemas::builtin(),
            policy: Arc::new(Policy { generation: 1, rules, landfast: Some("system:serviceaccount:lf:lf".into()) }),
            grants: Arc::default(),
        }
    }

    fn rule(mode: Mode, failure_policy: FailurePolicy, ruling: Ruling) -> Rule {
        Rule { mode, failure_policy, drift: ruling, delete: ruling, ..Rule::named("shop", 1) }
    }

    fn in_namespace(mut rule: Rule, glob: &str) -> Rule {
        let globs = GlobSetBuilder::new().add(Glob::new(glob).unwrap()).build().unwrap();
        rule.matches.namespaces = Some(globs);
        rule
    }

    fn reach() -> Reach {
        Reach {
            backend: Backend::Url("https://127.0.0.1:8443/".into()),
            ca: "authority".into(),
            namespace: "landfast-system".into(),
            owner: Some("1234".into()),
        }
    }

    fn rendered(rules: Vec<Rule>) -> Value {
        entries(&basis(SHOP, rules), &reach()).configuration
    }

    /// The resources of an entry, as `group/version/resource`; none where there is no such entry.
    fn resources(configuration: &Value, entry: &str) -> Vec<String> {
        let hooks = configuration["webhooks"].as_array().unwrap();
        let Some(hook) = hooks.iter().find(|hook| hook["name"] == entry) else { return Vec::new() };
        let rules = hook["rules"].as_array().unwrap().iter();
        rules
            .flat_map(|rule| {
                let stem =
                    format!("{}/{}", rule["apiGroups"][0].as_str().unwrap(), rule["apiVersions"][0].as_str().unwrap());
                let resources = rule["resources"].as_array().unwrap().iter();
                resources.map(move |resource| format!("{stem}/{}", resource.as_str().unwrap())).collect::<Vec<_>>()
            })
            .collect()
    }

    fn condition(configuration: &Value, entry: &str, name: &str) -> Option<String> {
        let hooks = configuration["webhooks"].as_array().unwrap();
        let hook = hooks.iter().find(|hook| hook["name"] == entry)?;
        let conditions = hook["matchConditions"].as_array().unwrap();
        let found = conditions.iter().find(|condition| condition["name"] == name)?;
        Some(found["expression"].as_str().unwrap().to_owned())
    }

    const GUARD: &str = "guard.landfast.dev";
    const OBSERVE: &str = "observe.landfast.dev";

    #[test]
    fn what_declared_objects_made_is_asked_about_only_where_a_policy_minds() {
        let plain = rendered(vec![rule(Mode::Enforce, FailurePolicy::Fail, Ruling::Deny)]);
        assert!(!resources(&plain, OBSERVE).iter().any(|it| it.contains("pods") || it.contains("replicasets")));
        assert_eq!(condition(&plain, OBSERVE, "derived-by-people"), None);

        let sealed = Rule { derived_objects: Ruling::Deny, ..rule(Mode::Enforce, FailurePolicy::Fail, Ruling::Warn) };
        let minded = rendered(vec![in_namespace(sealed, "shop")]);
        for entry in [GUARD, OBSERVE] {
            let of = resources(&minded, entry);
            for way in ["exec", "attach", "portforward", "ephemeralcontainers", "resize"] {
                assert!(of.contains(&format!("/v1/pods/{way}")), "{way} is missing in {of:?}");
            }
            assert!(of.contains(&"apps/v1/replicasets/scale".to_owned()), "{of:?}");
            assert!(!of.iter().any(|it| it == "/v1/pods/status" || it == "/v1/pods/eviction"), "{of:?}");
            assert!(condition(&minded, entry, "derived-by-people").unwrap().contains("system:serviceaccount:"));
        }
        let guarded = condition(&minded, GUARD, "guarded").unwrap();
        assert!(guarded.contains("'/pods'") && !guarded.contains("shop-eu"), "{guarded}");
    }

    #[test]
    fn kinds_that_git_does_not_declare_are_asked_about_where_a_policy_names_them() {
        let strays = |kinds: Option<Vec<KindName>>| {
            let mut rule =
                Rule { undeclared_objects: Ruling::Warn, ..rule(Mode::Enforce, FailurePolicy::Ignore, Ruling::Deny) };
            rule.matches.kinds = kinds;
            resources(&rendered(vec![rule]), OBSERVE).contains(&"/v1/secrets".to_owned())
        };
        let secrets = KindName { kind: "Secret".to_owned(), group: String::new() };
        assert!(strays(Some(vec![secrets])) && !strays(None));
    }

    #[test]
    fn everything_declared_is_asked_about() {
        let of = resources(&rendered(vec![]), OBSERVE);
        for resource in [
            "apps/v1/deployments",
            "apps/v1/deployments/status",
            "apps/v1/deployments/scale",
            "/v1/services",
            "/v1/services/status",
            "/v1/configmaps",
            "/v1/namespaces",
            "/v1/namespaces/finalize",
            "apiextensions.k8s.io/v1/customresourcedefinitions",
            "autoscaling/v2/horizontalpodautoscalers",
            "rbac.authorization.k8s.io/v1/clusterroles",
        ] {
            assert!(of.iter().any(|it| it == resource), "{resource} is missing in {of:?}");
        }
        assert!(!of.iter().any(|it| it.contains('*')), "{of:?}");
        assert!(!of.iter().any(|it| it == "/v1/configmaps/status"), "{of:?}");
    }

    #[test]
    fn every_way_to_write_a_pod_is_asked_about() {
        let configuration = entries(&basis(&[("v1", "Pod", "shop/web")], vec![]), &reach()).configuration;
        let of = resources(&configuration, OBSERVE);
        for way in ["/v1/pods", "/v1/pods/status", "/v1/pods/resize", "/v1/pods/ephemeralcontainers"] {
            assert!(of.iter().any(|it| it == way), "{way} is missing in {of:?}");
        }
    }

    #[test]
    fn heartbeats_traces_and_our_own_kinds_are_never_asked_about() {
        let fail = rendered(vec![rule(Mode::Enforce, FailurePolicy::Fail, Ruling::Deny)]);
        for entry in [GUARD, OBSERVE] {
            let of = resources(&fail, entry);
            assert!(!of.is_empty());
            for never in ["/events", "/leases", "/nodes", "landfast.dev/"] {
                assert!(!of.iter().any(|it| it.contains(never)), "{never} in {of:?}");
            }
        }
    }

    #[test]
    fn our_own_objects_are_kept_out_of_both_entries() {
        let fail = rendered(vec![rule(Mode::Enforce, FailurePolicy::Fail, Ruling::Deny)]);
        for entry in [GUARD, OBSERVE] {
            let own = condition(&fail, entry, "not-own-objects").unwrap();
            for part in ["'landfast-system'", "'.landfast.dev'", "clusterrolebindings", "'landfast'"] {
                assert!(own.contains(part), "{part} is missing in {own}");
            }
            let writers = condition(&fail, entry, "not-own-writes").unwrap();
            assert!(writers.contains("'system:apiserver'") && writers.contains("'system:serviceaccount:lf:lf'"));
        }
        for hook in fail["webhooks"].as_array().unwrap() {
            let selector = &hook["namespaceSelector"]["matchExpressions"][0];
            assert_eq!(selector["values"], serde_json::json!(["kube-system", "landfast-system"]));
        }
    }

    #[test]
    fn a_policy_that_cannot_deny_can_never_block() {
        use FailurePolicy::{Fail, Ignore};
        for harmless in [
            rule(Mode::Observe, Fail, Ruling::Deny),
            rule(Mode::Enforce, Ignore, Ruling::Deny),
            rule(Mode::Enforce, Fail, Ruling::Warn),
            rule(Mode::Enforce, Fail, Ruling::Allow),
        ] {
            let said = format!("{harmless:?}");
            let configuration = rendered(vec![harmless]);
            assert_eq!(resources(&configuration, GUARD), Vec::<String>::new(), "{said}");
            assert!(!configuration.to_string().contains("\"Fail\""), "{said}");
        }
        assert_eq!(resources(&rendered(vec![]), GUARD), Vec::<String>::new());
    }

    #[test]
    fn a_policy_of_higher_precedence_takes_the_guard_away() {
        let mut observing = in_namespace(rule(Mode::Observe, FailurePolicy::Ignore, Ruling::Deny), "shop");
        observing.precedence = 0;
        let failing = rule(Mode::Enforce, FailurePolicy::Fail, Ruling::Deny);
        let configuration = rendered(vec![observing, failing]);
        let of = resources(&configuration, GUARD);
        assert!(of.contains(&"/v1/configmaps".to_owned()), "{of:?}");
        assert!(!of.contains(&"apps/v1/deployments".to_owned()), "{of:?}");
    }

    #[test]
    fn the_guard_names_kinds_and_namespaces_of_the_policy_only() {
        let mut failing = in_namespace(rule(Mode::Enforce, FailurePolicy::Fail, Ruling::Deny), "shop");
        failing.matches.kinds = Some(vec![KindName { kind: "Deployment".into(), group: "apps".into() }]);
        let configuration = rendered(vec![failing]);
        assert_eq!(
            resources(&configuration, GUARD),
            ["apps/v1/deployments", "apps/v1/deployments/status", "apps/v1/deployments/scale"]
        );
        let guarded = condition(&configuration, GUARD, "guarded").unwrap();
        assert!(guarded.contains("request.namespace in ['shop']"), "{guarded}");
    }

    #[test]
    fn what_the_guard_takes_the_observer_leaves() {
        let failing = in_namespace(rule(Mode::Enforce, FailurePolicy::Fail, Ruling::Deny), "shop*");
        let configuration = rendered(vec![failing]);
        let guarded = condition(&configuration, GUARD, "guarded").unwrap();
        let observed = condition(&configuration, OBSERVE, "not-guarded").unwrap();
        assert_eq!(observed, format!("!({guarded})"));
        let (guard, observe) = (resources(&configuration, GUARD), resources(&configuration, OBSERVE));
        assert!(guard.iter().all(|resource| observe.contains(resource)), "{guard:?} {observe:?}");
        // All other conditions are the same, so that no write falls between the two.
        for name in ["not-own-writes", "not-emergency", "not-bare-status", "not-own-objects", "in-scope"] {
            assert_eq!(condition(&configuration, GUARD, name), condition(&configuration, OBSERVE, name));
        }
    }

    #[test]
    fn a_namespace_that_holds_guarded_objects_is_guarded() {
        let failing = in_namespace(rule(Mode::Enforce, FailurePolicy::Fail, Ruling::Deny), "shop-eu");
        let configuration = rendered(vec![failing]);
        let guarded = condition(&configuration, GUARD, "guarded").unwrap();
        assert!(guarded.contains("['/namespaces']") && guarded.contains("in ['shop-eu']"), "{guarded}");
    }

    #[test]
    fn what_only_people_are_asked_about_keeps_no_controller_from_making_pods() {
        let sealed = Rule {
            derived_objects: Ruling::Deny,
            undeclared_objects: Ruling::Deny,
            ..rule(Mode::Enforce, FailurePolicy::Fail, Ruling::Warn)
        };
        let with_pod = [SHOP, &[("v1", "Pod", "tools/debug")]].concat();
        let configuration = entries(&basis(&with_pod, vec![sealed]), &reach()).configuration;
        let of = resources(&configuration, GUARD);
        assert!(!of.iter().any(|it| it.starts_with("/v1/pods")), "{of:?}");
        assert!(!of.contains(&"/v1/configmaps".to_owned()), "{of:?}");
    }

    #[test]
    fn objects_come_in_the_version_that_most_are_declared_in() {
        let mut declared = vec![("autoscaling/v1", "HorizontalPodAutoscaler", "shop/a")];
        let of = |declared: &[(&str, &str, &str)]| {
            resources(&entries(&basis(declared, vec![]), &reach()).configuration, OBSERVE)
        };
        assert!(of(&declared).contains(&"autoscaling/v1/horizontalpodautoscalers".to_owned()));
        declared.push(("autoscaling/v2", "HorizontalPodAutoscaler", "shop/b"));
        declared.push(("autoscaling/v2", "HorizontalPodAutoscaler", "shop/c"));
        assert!(of(&declared).contains(&"autoscaling/v2/horizontalpodautoscalers".to_owned()));
    }

    #[test]
    fn what_no_expression_can_hold_is_observed_and_said() {
        let names: Vec<String> = (0..9_000).map(|n| format!("shop-{n:06}/web")).collect();
        let declared: Vec<_> = names.iter().map(|name| ("v1", "ConfigMap", name.as_str())).collect();
        let failing = rule(Mode::Enforce, FailurePolicy::Fail, Ruling::Deny);
        let rendered = entries(&basis(&declared, vec![failing]), &reach());
        assert_eq!(rendered.unguarded, ["/namespaces", "/configmaps"]);
        assert!(resources(&rendered.configuration, OBSERVE).contains(&"/v1/configmaps".to_owned()));
        for hook in rendered.configuration["webhooks"].as_array().unwrap() {
            for condition in hook["matchConditions"].as_array().unwrap() {
                assert!(condition["expression"].as_str().unwrap().chars().count() <= 100_000);
            }
        }
    }

    #[test]
    fn a_write_is_changed_only_where_an_enforced_policy_asks_for_that() {
        let entry = |rules| entries(&basis(SHOP, rules), &reach()).mutating;
        for harmless in [
            rule(Mode::Enforce, FailurePolicy::Fail, Ruling::Deny),
            rule(Mode::Observe, FailurePolicy::Ignore, Ruling::Revert),
            rule(Mode::Enforce, FailurePolicy::Ignore, Ruling::Warn),
        ] {
            assert_eq!(entry(vec![harmless]), None);
        }
        let undeclared = Rule { undeclared_fields: Ruling::Annotate, ..Rule::named("shop", 1) };
        let reverting = rule(Mode::Enforce, FailurePolicy::Ignore, Ruling::Revert);
        for changing in [undeclared, reverting, rule(Mode::Enforce, FailurePolicy::Ignore, Ruling::Annotate)] {
            let configuration = entry(vec![in_namespace(changing, "shop")]).unwrap();
            assert_eq!(configuration["kind"], "MutatingWebhookConfiguration");
            let hook = &configuration["webhooks"][0];
            for (member, value) in [("failurePolicy", "Ignore"), ("reinvocationPolicy", "IfNeeded")] {
                assert_eq!(hook[member], value);
            }
            assert_eq!(hook["rules"][0]["operations"], serde_json::json!(["CREATE", "UPDATE"]));
            let of = resources(&configuration, "revert.landfast.dev");
            assert!(of.contains(&"apps/v1/deployments/scale".to_owned()), "{of:?}");
            assert!(!of.contains(&"/v1/configmaps".to_owned()), "{of:?}");
            let places = condition(&configuration, "revert.landfast.dev", "may-change").unwrap();
            assert!(places.contains("request.namespace in ['shop']"), "{places}");
        }
    }

    #[test]
    fn the_configuration_is_as_the_golden_file_has_it() {
        let failing = in_namespace(rule(Mode::Enforce, FailurePolicy::Fail, Ruling::Deny), "shop");
        let configuration = rendered(vec![failing]);
        let text = format!("{}\n", serde_json::to_string_pretty(&configuration).unwrap());
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/webhook/shop.json");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
            std::fs::write(&golden, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(&golden).unwrap(), "UPDATE=1 writes {}", golden.display());
    }
}
