//! Which marks do deployers leave on what they deploy, and which ask for it to be made anew? Closed lists for kubectl, Helm, Flux and
//! Argo CD, in the grammar of [`tables`](crate::gate::tables).

use std::sync::LazyLock;

use crate::drift::declared::ObjectKey;
use crate::drift::path::FieldPath;
use crate::gate::tables::{Fields, Parsed, is_in, parse};

/// The marks that deployers leave on what they deploy, one tool after the other.
pub const BOOKKEEPING: &[Fields] = &[
    // kubectl, by which CI accounts deploy.
    Fields { kinds: &["*"], fields: &[r#"metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]"#] },
    // Helm 3 and 4 (`pkg/action/validate.go`).
    Fields {
        kinds: &["*"],
        fields: &[
            r#"metadata.labels["app.kubernetes.io/managed-by"]"#,
            r#"metadata.annotations["meta.helm.sh/release-name"]"#,
            r#"metadata.annotations["meta.helm.sh/release-namespace"]"#,
        ],
    },
    // Flux: kustomize-controller, helm-controller.
    Fields {
        kinds: &["*"],
        fields: &[
            r#"metadata.labels["kustomize.toolkit.fluxcd.io/name"]"#,
            r#"metadata.labels["kustomize.toolkit.fluxcd.io/namespace"]"#,
            r#"metadata.labels["helm.toolkit.fluxcd.io/name"]"#,
            r#"metadata.labels["helm.toolkit.fluxcd.io/namespace"]"#,
        ],
    },
    Fields {
        kinds: &["Kustomization.kustomize.toolkit.fluxcd.io", "HelmRelease.helm.toolkit.fluxcd.io"],
        fields: &[r#"metadata.finalizers[="finalizers.fluxcd.io"]"#],
    },
    // Argo CD.
    Fields {
        kinds: &["*"],
        fields: &[
            r#"metadata.annotations["argocd.argoproj.io/tracking-id"]"#,
            r#"metadata.annotations["argocd.argoproj.io/installation-id"]"#,
            r#"metadata.labels["argocd.argoproj.io/instance"]"#,
        ],
    },
    // Argo CD keeps the state of its own kinds on the main resource (seen: no `/status`).
    Fields {
        kinds: &["Application.argoproj.io", "ApplicationSet.argoproj.io", "AppProject.argoproj.io"],
        fields: &[
            "status",
            "operation",
            r#"metadata.annotations["argocd.argoproj.io/refresh"]"#,
            r#"metadata.finalizers[="resources-finalizer.argocd.argoproj.io"]"#,
        ],
    },
];

/// Annotations by which a manifest asks its deployer to delete it and make it anew; an empty value stands for any.
pub const REPLACE_MARKERS: &[(&str, &str)] = &[
    ("argocd.argoproj.io/hook", ""),
    ("argocd.argoproj.io/sync-options", "Force=true"),
    ("argocd.argoproj.io/sync-options", "Replace=true"),
    ("helm.sh/hook", ""),
    ("kustomize.toolkit.fluxcd.io/force", "enabled"),
];

/// Whether a field of an object is a mark of deployers.
pub fn is_bookkeeping(key: &ObjectKey, path: &FieldPath) -> bool {
    static PATTERNS: LazyLock<Vec<Parsed>> = LazyLock::new(|| parse(BOOKKEEPING));
    is_in(&PATTERNS, key, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_may_leave_its_marks_and_no_others() {
        let is_mark = |group: &str, kind: &str, path: &str| {
            is_bookkeeping(&ObjectKey::new(group, kind, "shop", "web"), &path.parse().unwrap())
        };
        for mark in [
            r#"metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]"#,
            r#"metadata.annotations["meta.helm.sh/release-name"]"#,
            r#"metadata.labels["app.kubernetes.io/managed-by"]"#,
            r#"metadata.labels["helm.toolkit.fluxcd.io/name"]"#,
            r#"metadata.labels["kustomize.toolkit.fluxcd.io/namespace"]"#,
            r#"metadata.annotations["argocd.argoproj.io/tracking-id"]"#,
        ] {
            assert!(is_mark("apps", "Deployment", mark), "{mark}");
        }
        assert!(is_mark("argoproj.io", "Application", "status.sync"));
        for other in ["status", "operation", "spec.replicas", r#"metadata.labels["app.kubernetes.io/name"]"#] {
            assert!(!is_mark("apps", "Deployment", other), "{other}");
        }
    }
}
