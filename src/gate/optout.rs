//! Which marks take an object out of its deployer's hands? A shipped, closed list: territory of Git, whether it declares them or not.
//!
//! A mark that goes leaves the object to its deployer again; that is nobody's drift.

use std::sync::LazyLock;

use crate::drift::declared::ObjectKey;
use crate::gate::case::Case;
use crate::gate::finding::Change;
use crate::gate::tables::{Fields, Parsed, is_in, parse};
use crate::gate::verdict::{Class, WriterRole};

/// The marks of Argo CD 3.2, of Flux 2.7 (which reads its own from labels and annotations alike) and our own.
pub const OPT_OUTS: &[Fields] = &[
    Fields {
        kinds: &["*"],
        fields: &[
            r#"metadata.annotations["landfast.dev/ignore"]"#,
            r#"metadata.annotations["argocd.argoproj.io/tracking-id"]"#,
            r#"metadata.annotations["argocd.argoproj.io/compare-options"]"#,
            r#"metadata.annotations["argocd.argoproj.io/sync-options"]"#,
            r#"metadata.annotations["argocd.argoproj.io/hook"]"#,
            r#"metadata.annotations["argocd.argoproj.io/skip-reconcile"]"#,
            r#"metadata.labels["argocd.argoproj.io/instance"]"#,
            r#"metadata.*["kustomize.toolkit.fluxcd.io/reconcile"]"#,
            r#"metadata.*["kustomize.toolkit.fluxcd.io/ssa"]"#,
            r#"metadata.*["kustomize.toolkit.fluxcd.io/prune"]"#,
            r#"metadata.*["kustomize.toolkit.fluxcd.io/force"]"#,
            r#"metadata.*["kustomize.toolkit.fluxcd.io/name"]"#,
            r#"metadata.*["kustomize.toolkit.fluxcd.io/namespace"]"#,
            r#"metadata.*["helm.toolkit.fluxcd.io/driftDetection"]"#,
            r#"metadata.*["helm.toolkit.fluxcd.io/name"]"#,
            r#"metadata.*["helm.toolkit.fluxcd.io/namespace"]"#,
        ],
    },
    Fields {
        kinds: &[
            "Kustomization.kustomize.toolkit.fluxcd.io",
            "HelmRelease.helm.toolkit.fluxcd.io",
            "GitRepository.source.toolkit.fluxcd.io",
            "OCIRepository.source.toolkit.fluxcd.io",
            "HelmRepository.source.toolkit.fluxcd.io",
            "HelmChart.source.toolkit.fluxcd.io",
            "Bucket.source.toolkit.fluxcd.io",
        ],
        fields: &["spec.suspend"],
    },
];

/// Whether a change is drift although Git does not declare its place: a person adds or moves such a mark.
pub(crate) fn drifts(case: &Case<'_>, change: &Change) -> bool {
    case.writer.role == WriterRole::Person && is_added(&case.aim.key, change)
}

/// Whether a change that Git does not declare adds or moves such a mark.
fn is_added(key: &ObjectKey, change: &Change) -> bool {
    static PATTERNS: LazyLock<Vec<Parsed>> = LazyLock::new(|| parse(OPT_OUTS));
    change.class == Class::Undeclared && change.written.is_some() && is_in(&PATTERNS, key, &change.path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::finding::Certainty;

    fn added(key: &ObjectKey, path: &str, class: Class, written: Option<&str>) -> bool {
        let change = Change {
            path: path.parse().unwrap(),
            class,
            certainty: Certainty::Known,
            git: None,
            before: None,
            written: written.map(str::to_owned),
            node: 0,
        };
        is_added(key, &change)
    }

    #[test]
    fn a_mark_is_one_where_its_tool_reads_it_and_only_while_it_comes() {
        let key = ObjectKey::new("kustomize.toolkit.fluxcd.io", "Kustomization", "shop", "web");
        let (mark, undeclared) = (r#"metadata.labels["kustomize.toolkit.fluxcd.io/reconcile"]"#, Class::Undeclared);
        assert!(added(&key, mark, undeclared, Some("\"disabled\"")));
        assert!(!added(&key, mark, undeclared, None));
        assert!(!added(&key, mark, Class::Restores, Some("\"disabled\"")));
        assert!(!added(&key, r#"metadata.labels["argocd.argoproj.io/sync-options"]"#, undeclared, Some("\"x\"")));
        assert!(added(&key, "spec.suspend", undeclared, Some("true")));
        assert!(!added(&ObjectKey::new("batch", "CronJob", "shop", "web"), "spec.suspend", undeclared, Some("true")));
    }
}
