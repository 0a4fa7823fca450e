//! What are versions of a kind to one another? Which one Kubernetes prefers, and what means the same in all of them.

use std::cmp::Ordering;

use crate::drift::declared::ObjectKey;
use crate::drift::path::{FieldPath, Segment};

/// Fields of built-in kinds that all their served versions have in one meaning, though the versions differ otherwise (Kubernetes
/// 1.36; `k8s.io/kubernetes/pkg/apis/autoscaling/v1/conversion.go`).
const SAME: &[(&str, &str, &[&str])] =
    &[("autoscaling", "HorizontalPodAutoscaler", &["maxReplicas", "minReplicas", "scaleTargetRef"])];

/// Whether a path means the same in every version of a kind: metadata does in all kinds.
pub(crate) fn is_same_in_all(key: &ObjectKey, path: &FieldPath) -> bool {
    let field = |place: usize| match path.0.get(place) {
        Some(Segment::Field(name)) => &**name,
        Some(Segment::Key(_) | Segment::Item(_) | Segment::Index(_)) | None => "",
    };
    let is_same = |(group, kind, fields): &(&str, &str, &[&str])| {
        (*group, *kind) == (key.group(), key.kind()) && field(0) == "spec" && fields.contains(&field(1))
    };
    field(0) == "metadata" || SAME.iter().any(is_same)
}

/// Orders version names as Kubernetes prefers them: `v2`, `v1`, `v1beta2`, `v1alpha1`, then anything else by name
/// (apimachinery's `CompareKubeAwareVersionStrings`).
pub(crate) fn by_priority(a: &str, b: &str) -> Ordering {
    let rank = |name: &str| {
        let (major, stage) = split_number(name.strip_prefix('v')?)?;
        let (minor, level) = match stage {
            "" => (0, 2),
            _ if stage.starts_with("beta") => (split_number(&stage[4..]).filter(|(_, rest)| rest.is_empty())?.0, 1),
            _ if stage.starts_with("alpha") => (split_number(&stage[5..]).filter(|(_, rest)| rest.is_empty())?.0, 0),
            _ => return None,
        };
        Some((level, major, minor))
    };
    rank(b).cmp(&rank(a)).then_with(|| a.cmp(b))
}

/// Splits the number off that a text begins with.
fn split_number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stable_goes_before_beta_and_higher_before_lower() {
        let mut versions =
            ["foo10", "v1alpha1", "v10", "v1beta2", "v2", "v11beta2", "v1", "v12alpha1", "foo1", "v3beta1", "v1beta1x"];
        versions.sort_by(|a, b| by_priority(a, b));
        let preferred =
            ["v10", "v2", "v1", "v11beta2", "v3beta1", "v1beta2", "v12alpha1", "v1alpha1", "foo1", "foo10", "v1beta1x"];
        assert_eq!(versions, preferred);
    }

    #[test]
    fn metadata_is_the_same_in_all_versions_and_little_else() {
        let scaler = ObjectKey::new("autoscaling", "HorizontalPodAutoscaler", "shop", "web");
        let other = ObjectKey::new("example.com", "HorizontalPodAutoscaler", "shop", "web");
        let same = |key: &ObjectKey, path: &str| is_same_in_all(key, &path.parse().unwrap());
        for path in ["spec.maxReplicas", "spec.scaleTargetRef.name", "metadata.labels.a"] {
            assert!(same(&scaler, path), "{path}");
        }
        for path in ["spec.metrics", "spec.targetCPUUtilizationPercentage", "maxReplicas"] {
            assert!(!same(&scaler, path), "{path}");
        }
        assert!(!same(&other, "spec.maxReplicas"));
    }
}
