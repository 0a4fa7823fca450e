//! What is nobody's drift, and what does each control-plane account do? Shipped, closed lists; the marks of deployers are in
//! [`bookkeeping`](crate::gate::bookkeeping).
//!
//! Read like a page: paths are written in the one grammar of paths, kinds as kubectl writes them, `*` is any kind. From the
//! sources of kube-controller-manager 1.36 and what was seen of Argo CD 3.2 and Flux's kustomize-controller 1.9.

use std::sync::LazyLock;

use crate::drift::declared::ObjectKey;
use crate::drift::path::{FieldPath, Pattern, Segment};

/// Fields of kinds.
#[derive(Debug, Clone, Copy)]
pub struct Fields {
    /// Kinds as kubectl writes them; `*` is any.
    pub kinds: &'static [&'static str],
    /// Patterns of paths.
    pub fields: &'static [&'static str],
}

/// Fields that tools and the server move as a part of their work: never drift, whoever moves them.
///
/// Those with a condition of their own (caBundle, aggregated rules, PVC growth) are in [`exempt`](crate::gate::exempt).
pub const NOBODYS_DRIFT: &[Fields] = &[
    Fields {
        kinds: &["*"],
        fields: &[
            r#"metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]"#,
            r#"metadata.annotations["control-plane.alpha.kubernetes.io/leader"]"#,
            // Ours, and kept by us.
            r#"metadata.annotations["landfast.dev/drift"]"#,
            // A person's yes to a repair, which brings back what Git says: whoever may write the object may say it.
            r#"metadata.annotations["landfast.dev/approve"]"#,
            // Who may set them is ruled by itself: see `glass`.
            r#"metadata.annotations["landfast.dev/break-glass"]"#,
            r#"metadata.annotations["landfast.dev/break-glass-for"]"#,
        ],
    },
    Fields {
        kinds: &["Deployment.apps", "StatefulSet.apps", "DaemonSet.apps"],
        fields: &[r#"spec.template.metadata.annotations["kubectl.kubernetes.io/restartedAt"]"#],
    },
    Fields {
        kinds: &["Deployment.apps", "ReplicaSet.apps"],
        fields: &[
            r#"metadata.annotations["deployment.kubernetes.io/revision"]"#,
            r#"metadata.annotations["deployment.kubernetes.io/revision-history"]"#,
            r#"metadata.annotations["deployment.kubernetes.io/desired-replicas"]"#,
            r#"metadata.annotations["deployment.kubernetes.io/max-replicas"]"#,
        ],
    },
    Fields {
        kinds: &["DaemonSet.apps"],
        fields: &[r#"metadata.annotations["deprecated.daemonset.template.generation"]"#],
    },
    Fields {
        kinds: &["PersistentVolume", "PersistentVolumeClaim"],
        fields: &[
            r#"metadata.annotations["pv.kubernetes.io/bind-completed"]"#,
            r#"metadata.annotations["pv.kubernetes.io/bound-by-controller"]"#,
            r#"metadata.annotations["volume.kubernetes.io/storage-provisioner"]"#,
            r#"metadata.annotations["volume.beta.kubernetes.io/storage-provisioner"]"#,
            r#"metadata.annotations["volume.kubernetes.io/selected-node"]"#,
        ],
    },
    Fields {
        kinds: &["HorizontalPodAutoscaler.autoscaling"],
        fields: &[
            r#"metadata.annotations["autoscaling.alpha.kubernetes.io/conditions"]"#,
            r#"metadata.annotations["autoscaling.alpha.kubernetes.io/current-metrics"]"#,
        ],
    },
];

/// What is nobody's drift under a condition, in words; [`exempt`](crate::gate::exempt) looks at the conditions.
pub const CONDITIONAL: &[(&str, &str)] = &[
    ("rules of a ClusterRole", "where Git declares an aggregationRule"),
    (
        "caBundle of webhook configurations, APIServices and CustomResourceDefinitions",
        "where Git leaves it open or empty",
    ),
    ("spec.resources.requests.storage of a PersistentVolumeClaim", "where it grows"),
];

/// What a control-plane account does as a part of its work.
#[derive(Debug, Clone, Copy)]
pub enum Power {
    /// Moves fields.
    Moves(Fields),
    /// Moves the replicas of any kind, where its `/scale` writes.
    Replicas,
    /// Makes this object of a kind in every namespace, without what Git may declare of it: the kind, and the object's name.
    Makes(&'static str, &'static str),
    /// Makes, changes and deletes objects of these kinds.
    Owns(&'static [&'static str]),
    /// Deletes objects of these kinds.
    Deletes(&'static [&'static str]),
    /// Deletes what names an owner: the owner is gone.
    DeletesOwned,
}

const fn moves(kinds: &'static [&'static str], fields: &'static [&'static str]) -> Power {
    Power::Moves(Fields { kinds, fields })
}

/// Members of metadata that a controller copies to what it made.
const COPIED: &[&str] = &["metadata.labels", "metadata.annotations", "metadata.ownerReferences"];
const FINALIZERS: &[&str] = &["metadata.finalizers"];
/// What a load balancer's controller keeps on its Service.
const SERVED: &[&str] = &["metadata.finalizers", "status"];

/// The service accounts of kube-controller-manager, in `kube-system`. Those for services, routes and nodes are the cloud
/// controller manager's too.
const CONTROLLERS: &[(&str, &[Power])] = &[
    (
        "attachdetach-controller",
        &[
            Power::Owns(&["VolumeAttachment.storage.k8s.io"]),
            moves(&["Node"], &[r#"metadata.annotations["volumes.kubernetes.io/controller-managed-attach-detach"]"#]),
        ],
    ),
    ("bootstrap-signer", &[moves(&["ConfigMap"], &["data"])]),
    ("certificate-controller", &[Power::Owns(&["CertificateSigningRequest.certificates.k8s.io"])]),
    ("clusterrole-aggregation-controller", &[moves(&["ClusterRole.rbac.authorization.k8s.io"], &["rules"])]),
    ("cronjob-controller", &[Power::Owns(&["Job.batch"])]),
    ("daemon-set-controller", &[Power::Owns(&["Pod", "ControllerRevision.apps"])]),
    (
        "deployment-controller",
        &[
            Power::Deletes(&["ReplicaSet.apps"]),
            moves(&["ReplicaSet.apps"], COPIED),
            moves(
                &["ReplicaSet.apps"],
                &["spec.replicas", "spec.minReadySeconds", "spec.template.metadata.labels", "spec.selector"],
            ),
            moves(&["Pod"], &["metadata.labels"]),
        ],
    ),
    ("disruption-controller", &[]),
    ("endpoint-controller", &[Power::Owns(&["Endpoints"])]),
    ("endpointslice-controller", &[Power::Owns(&["EndpointSlice.discovery.k8s.io"])]),
    ("endpointslicemirroring-controller", &[Power::Owns(&["EndpointSlice.discovery.k8s.io"])]),
    ("ephemeral-volume-controller", &[Power::Owns(&["PersistentVolumeClaim"])]),
    (
        "expand-controller",
        &[moves(&["PersistentVolume"], &["spec.capacity"]), moves(&["PersistentVolumeClaim"], FINALIZERS)],
    ),
    (
        "generic-garbage-collector",
        &[Power::DeletesOwned, moves(&["*"], &["metadata.finalizers", "metadata.ownerReferences"])],
    ),
    ("horizontal-pod-autoscaler", &[Power::Replicas]),
    (
        "job-controller",
        &[Power::Owns(&["Pod"]), moves(&["Job.batch"], &["metadata.finalizers", "metadata.annotations"])],
    ),
    ("legacy-service-account-token-cleaner", &[Power::Deletes(&["Secret"]), moves(&["Secret"], &["metadata.labels"])]),
    ("namespace-controller", &[Power::Deletes(&["*"]), moves(&["Namespace"], FINALIZERS)]),
    (
        "node-controller",
        &[
            Power::Deletes(&["Pod", "Node"]),
            moves(
                &["Node"],
                &["spec.taints", "spec.podCIDR", "spec.podCIDRs", "metadata.labels", "metadata.annotations"],
            ),
            moves(&["Node"], &["spec.providerID"]),
        ],
    ),
    (
        "persistent-volume-binder",
        &[
            Power::Owns(&["PersistentVolume"]),
            moves(&["PersistentVolumeClaim"], &["spec.volumeName", "spec.storageClassName", "metadata.annotations"]),
        ],
    ),
    ("pod-garbage-collector", &[Power::Deletes(&["Pod"])]),
    ("pv-protection-controller", &[moves(&["PersistentVolume"], FINALIZERS)]),
    ("pvc-protection-controller", &[moves(&["PersistentVolumeClaim"], FINALIZERS)]),
    ("replicaset-controller", &[Power::Owns(&["Pod"])]),
    ("replication-controller", &[Power::Owns(&["Pod"])]),
    ("resource-claim-controller", &[Power::Owns(&["ResourceClaim.resource.k8s.io"])]),
    ("resourcequota-controller", &[]),
    (
        "root-ca-cert-publisher",
        &[
            Power::Makes("ConfigMap", "kube-root-ca.crt"),
            moves(&["ConfigMap"], &[r#"data["ca.crt"]"#, "metadata.annotations"]),
        ],
    ),
    ("route-controller", &[]),
    ("service-account-controller", &[Power::Makes("ServiceAccount", "default")]),
    ("service-cidrs-controller", &[moves(&["ServiceCIDR.networking.k8s.io"], FINALIZERS)]),
    ("service-controller", &[moves(&["Service"], SERVED)]),
    (
        "statefulset-controller",
        &[Power::Owns(&["Pod", "ControllerRevision.apps"]), moves(&["PersistentVolumeClaim"], COPIED)],
    ),
    ("taint-eviction-controller", &[Power::Deletes(&["Pod"])]),
    ("token-cleaner", &[Power::Deletes(&["Secret"])]),
    (
        "tokens-controller",
        &[
            Power::Deletes(&["Secret"]),
            moves(&["Secret"], &["data", "metadata.annotations"]),
            moves(&["ServiceAccount"], &["secrets"]),
        ],
    ),
    ("ttl-after-finished-controller", &[Power::Deletes(&["Job.batch"])]),
    ("ttl-controller", &[moves(&["Node"], &[r#"metadata.annotations["node.alpha.kubernetes.io/ttl"]"#])]),
    ("validatingadmissionpolicy-status-controller", &[]),
    ("vac-protection-controller", &[moves(&["VolumeAttributesClass.storage.k8s.io"], FINALIZERS)]),
];

/// The cloud controller manager run without an account for each controller: load balancers, nodes and their routes.
const CLOUD: &[Power] = &[
    Power::Deletes(&["Node"]),
    moves(&["Service"], SERVED),
    moves(
        &["Node"],
        &[
            "spec.taints",
            "spec.providerID",
            "spec.podCIDR",
            "spec.podCIDRs",
            "status",
            "metadata.labels",
            "metadata.annotations",
        ],
    ),
];

/// Kubelets, `system:node:<name>`: their own Node, the Pods on it, their Lease.
const NODE: &[Power] = &[Power::Owns(&[
    "Node",
    "Pod",
    "Event",
    "Event.events.k8s.io",
    "Lease.coordination.k8s.io",
    "CSINode.storage.k8s.io",
])];

/// The scheduler places Pods and evicts those that must make room.
const SCHEDULER: &[Power] = &[Power::Owns(&["Pod", "Event", "Event.events.k8s.io", "Lease.coordination.k8s.io"])];

/// The API server keeps what it needs itself; it is never to be asked (seen: with a dead webhook on RBAC it exits at start).
const API_SERVER: &[Power] = &[Power::Owns(&["*"])];

/// What every controller writes beside its work.
const COMMON: &[Power] = &[Power::Owns(&["Event", "Event.events.k8s.io", "Lease.coordination.k8s.io"])];

/// An account of the control plane.
#[derive(Debug, Clone, Copy)]
pub enum Account {
    /// One with a work of its own.
    Of(&'static [Power]),
    /// kube-controller-manager run without an account for each controller: the work of all.
    ControllerManager,
}

/// What begins the names of the accounts of controllers.
const CONTROLLER: &str = "system:serviceaccount:kube-system:";

/// The control-plane account of that user name, if it is one.
pub fn account(user: &str) -> Option<Account> {
    if let Some(name) = user.strip_prefix(CONTROLLER) {
        if name == "cloud-controller-manager" {
            return Some(Account::Of(CLOUD));
        }
        let (_, powers) = CONTROLLERS.iter().find(|(controller, _)| *controller == name)?;
        return Some(Account::Of(powers));
    }
    match user {
        "system:kube-controller-manager" => Some(Account::ControllerManager),
        "system:cloud-controller-manager" => Some(Account::Of(CLOUD)),
        "system:kube-scheduler" => Some(Account::Of(SCHEDULER)),
        "system:apiserver" => Some(Account::Of(API_SERVER)),
        _ => user.starts_with("system:node:").then_some(Account::Of(NODE)),
    }
}

impl Account {
    fn powers(self) -> impl Iterator<Item = &'static Power> {
        let (own, all): (&[Power], &[(&str, &[Power])]) = match self {
            Self::Of(powers) => (powers, &[]),
            Self::ControllerManager => (&[], CONTROLLERS),
        };
        COMMON.iter().chain(own).chain(all.iter().flat_map(|(_, powers)| powers.iter()))
    }

    /// Whether moving this field of this object is a part of its work. `replicas` is where the kind's `/scale` writes.
    pub fn may_move(self, key: &ObjectKey, path: &FieldPath, replicas: Option<&FieldPath>) -> bool {
        self.powers().any(|power| match power {
            Power::Moves(fields) => is_any(fields.kinds, key) && fields.fields.iter().any(|field| covers(field, path)),
            Power::Replicas => replicas == Some(path),
            Power::Owns(kinds) => is_any(kinds, key),
            Power::Makes(..) | Power::Deletes(_) | Power::DeletesOwned => false,
        })
    }

    /// The accounts to which moving this field of this object is a part of their work.
    pub fn movers(key: &ObjectKey, path: &FieldPath, replicas: Option<&FieldPath>) -> Vec<String> {
        let controllers = CONTROLLERS.iter().map(|(name, powers)| (format!("{CONTROLLER}{name}"), *powers));
        let others = [
            ("system:cloud-controller-manager", CLOUD),
            ("system:kube-scheduler", SCHEDULER),
            ("system:node:<name>", NODE),
        ];
        let all = controllers.chain(others.map(|(name, powers)| (name.to_owned(), powers)));
        all.filter(|(_, powers)| Self::Of(powers).may_move(key, path, replicas)).map(|(name, _)| name).collect()
    }

    /// Whether making this object, with nothing of what Git may declare of it, is a part of its work.
    pub fn makes(self, key: &ObjectKey) -> bool {
        self.powers().any(|power| match power {
            Power::Makes(kind, name) => is_any(&[kind], key) && *name == key.name(),
            Power::Moves(_) | Power::Replicas | Power::Owns(_) | Power::Deletes(_) | Power::DeletesOwned => false,
        })
    }

    /// Whether deleting this object is a part of its work. `owned`: it names an owner.
    pub fn may_delete(self, key: &ObjectKey, owned: bool) -> bool {
        self.powers().any(|power| match power {
            Power::Moves(_) | Power::Replicas | Power::Makes(..) => false,
            Power::Owns(kinds) | Power::Deletes(kinds) => is_any(kinds, key),
            Power::DeletesOwned => owned,
        })
    }
}

/// Whether a field of an object is nobody's drift.
pub fn is_nobodys(key: &ObjectKey, path: &FieldPath) -> bool {
    static PATTERNS: LazyLock<Vec<Parsed>> = LazyLock::new(|| parse(NOBODYS_DRIFT));
    is_in(&PATTERNS, key, path)
}

/// One entry of a list, its paths read.
pub(crate) struct Parsed {
    kinds: &'static [&'static str],
    fields: Vec<Pattern>,
}

/// Reads the paths of a list.
pub(crate) fn parse(list: &[Fields]) -> Vec<Parsed> {
    let read = |field: &&str| field.parse().expect("the shipped paths are read by a test");
    list.iter().map(|entry| Parsed { kinds: entry.kinds, fields: entry.fields.iter().map(read).collect() }).collect()
}

/// Whether a list names a field of an object.
pub(crate) fn is_in(list: &[Parsed], key: &ObjectKey, path: &FieldPath) -> bool {
    list.iter().any(|entry| is_any(entry.kinds, key) && entry.fields.iter().any(|pattern| pattern.matches(path)))
}

/// Whether a pattern, as text, covers a path; members without quotes need no parser.
fn covers(field: &str, path: &FieldPath) -> bool {
    if field.contains(['[', '"']) {
        return field.parse::<Pattern>().is_ok_and(|pattern| pattern.matches(path));
    }
    let mut segments = path.0.iter();
    field.split('.').all(|name| matches!(segments.next(), Some(Segment::Field(field)) if **field == *name))
}

fn is_any(kinds: &[&str], key: &ObjectKey) -> bool {
    kinds.iter().any(|kind| *kind == "*" || kind.split_once('.').unwrap_or((kind, "")) == (key.kind(), key.group()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(group: &str, kind: &str) -> ObjectKey {
        ObjectKey::new(group, kind, "shop", "web")
    }

    fn path(text: &str) -> FieldPath {
        text.parse().unwrap()
    }

    #[test]
    fn every_shipped_path_is_a_path() {
        let _ = parse(NOBODYS_DRIFT);
        let all = Account::ControllerManager.powers().chain(NODE).chain(SCHEDULER).chain(CLOUD);
        for power in all {
            if let Power::Moves(fields) = power {
                for field in fields.fields {
                    field.parse::<Pattern>().unwrap();
                }
            }
        }
    }

    #[test]
    fn accounts_do_their_own_work_only() {
        let of = |name: &str| account(&format!("system:serviceaccount:kube-system:{name}")).unwrap();
        let replicas = path("spec.replicas");
        let deployment = key("apps", "Deployment");
        assert!(of("horizontal-pod-autoscaler").may_move(&deployment, &replicas, Some(&replicas)));
        assert!(!of("horizontal-pod-autoscaler").may_move(&deployment, &path("spec.paused"), Some(&replicas)));
        assert!(!of("deployment-controller").may_move(&deployment, &replicas, Some(&replicas)));
        assert!(of("deployment-controller").may_move(&key("apps", "ReplicaSet"), &replicas, Some(&replicas)));
        assert!(of("clusterrole-aggregation-controller").may_move(
            &key("rbac.authorization.k8s.io", "ClusterRole"),
            &path("rules"),
            None
        ));
        assert!(of("namespace-controller").may_delete(&deployment, false));
        assert!(of("ttl-after-finished-controller").may_delete(&key("batch", "Job"), false));
        assert!(!of("ttl-after-finished-controller").may_delete(&deployment, false));
        assert!(of("generic-garbage-collector").may_delete(&deployment, true));
        assert!(!of("generic-garbage-collector").may_delete(&deployment, false));
        assert!(Account::ControllerManager.may_delete(&key("batch", "Job"), false));
    }

    #[test]
    fn the_cloud_keeps_nodes_and_load_balancers() {
        let finalizer = path(r#"metadata.finalizers[="service.kubernetes.io/load-balancer-cleanup"]"#);
        for user in [
            "system:cloud-controller-manager",
            "system:serviceaccount:kube-system:cloud-controller-manager",
            "system:serviceaccount:kube-system:service-controller",
        ] {
            let account = account(user).unwrap();
            assert!(account.may_move(&key("", "Service"), &finalizer, None), "{user}");
            assert!(account.may_move(&key("", "Service"), &path("status.loadBalancer.ingress"), None), "{user}");
            assert!(!account.may_move(&key("", "Service"), &path("spec.type"), None), "{user}");
        }
        for user in ["system:cloud-controller-manager", "system:serviceaccount:kube-system:node-controller"] {
            let account = account(user).unwrap();
            assert!(account.may_move(&key("", "Node"), &path("spec.providerID"), None), "{user}");
            assert!(account.may_delete(&key("", "Node"), false), "{user}");
        }
        assert!(account("system:serviceaccount:shop:cloud-controller-manager").is_none());
    }

    #[test]
    fn nobodys_drift_is_a_closed_list() {
        let restarted = path(r#"spec.template.metadata.annotations["kubectl.kubernetes.io/restartedAt"]"#);
        assert!(is_nobodys(&key("apps", "Deployment"), &restarted));
        assert!(!is_nobodys(&key("example.com", "Deployment"), &restarted));
        assert!(!is_nobodys(&key("apps", "Deployment"), &path(r#"metadata.annotations["team"]"#)));
    }
}
