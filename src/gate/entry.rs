//! Which of our webhook entries was called? The one place that knows their names and paths.
//!
//! The path tells them apart, because the API server allows no query in a webhook's URL (`ValidateWebhookURL`: "query
//! parameters are not permitted") and adds its own `?timeout=`.

use crate::gate::policy::FailurePolicy;

/// One entry of our webhook configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// Validating, `failurePolicy: Fail`: only where a policy says so.
    Guard,
    /// Validating, `failurePolicy: Ignore`: all else. Also the bare `/validate`.
    Observe,
    /// Mutating, always `failurePolicy: Ignore`.
    Revert,
}

impl Entry {
    /// Every entry.
    pub const ALL: [Self; 3] = [Self::Guard, Self::Observe, Self::Revert];

    /// Its name, as in `guard.landfast.dev`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::Observe => "observe",
            Self::Revert => "revert",
        }
    }

    /// The path that the API server calls, from the server's root.
    pub fn path(self) -> &'static str {
        match self {
            Self::Guard => "/validate/guard",
            Self::Observe => "/validate/observe",
            Self::Revert => "/mutate",
        }
    }

    /// The entry behind a path; `/validate` without a name is [`Entry::Observe`].
    pub fn from_path(path: &str) -> Option<Self> {
        if path == "/validate" {
            return Some(Self::Observe);
        }
        Self::ALL.into_iter().find(|entry| entry.path() == path)
    }

    /// What is answered where nothing can be decided: a malformed review, a body beyond its bound, a panic.
    pub fn failure_policy(self) -> FailurePolicy {
        match self {
            Self::Guard => FailurePolicy::Fail,
            Self::Observe | Self::Revert => FailurePolicy::Ignore,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::gate::entry::Entry;

    #[test]
    fn every_path_leads_to_its_entry() {
        for entry in Entry::ALL {
            assert_eq!(Entry::from_path(entry.path()), Some(entry));
        }
        assert_eq!(Entry::from_path("/validate"), Some(Entry::Observe));
        assert_eq!(Entry::from_path("/validate/other"), None);
    }
}
