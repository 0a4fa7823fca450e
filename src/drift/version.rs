//! Which of two versions of a kind does Kubernetes prefer?

use std::cmp::Ordering;

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
    use crate::drift::version::by_priority;

    #[test]
    fn stable_goes_before_beta_and_higher_before_lower() {
        let mut versions =
            ["foo10", "v1alpha1", "v10", "v1beta2", "v2", "v11beta2", "v1", "v12alpha1", "foo1", "v3beta1", "v1beta1x"];
        versions.sort_by(|a, b| by_priority(a, b));
        let preferred =
            ["v10", "v2", "v1", "v11beta2", "v3beta1", "v1beta2", "v12alpha1", "v1alpha1", "foo1", "foo10", "v1beta1x"];
        assert_eq!(versions, preferred);
    }
}
