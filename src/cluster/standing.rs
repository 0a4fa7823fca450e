//! How does our webhook configuration fare? What the keeper tells of itself; it says nothing of a single write.

use jiff::Timestamp;

/// The state of our webhook configuration, as the keeper last saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Standing {
    /// Nothing was written yet.
    #[default]
    Starting,
    /// It stands as rendered.
    Kept {
        /// Since when.
        since: Timestamp,
    },
    /// Somebody took it away or changed it, and that stays so for a while.
    StandingDown {
        /// When it is written again.
        until: Timestamp,
    },
    /// It cannot be written, or nobody can see whether it stands.
    Failing {
        /// Since when.
        since: Timestamp,
        /// Why, as of the last attempt.
        error: String,
    },
}

impl Standing {
    /// Follows on `before`: what goes on in the same state began when that began.
    pub(super) fn after(self, before: &Self) -> Self {
        match (self, before) {
            (Self::Kept { .. }, Self::Kept { since }) => Self::Kept { since: *since },
            (Self::Failing { error, .. }, Self::Failing { since, .. }) => Self::Failing { since: *since, error },
            (now @ (Self::Starting | Self::Kept { .. } | Self::StandingDown { .. } | Self::Failing { .. }), _) => now,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use crate::cluster::standing::Standing;

    #[test]
    fn a_state_that_goes_on_keeps_its_beginning() {
        let (early, late) = (Timestamp::constant(10, 0), Timestamp::constant(20, 0));
        let failing = |since, error: &str| Standing::Failing { since, error: error.to_owned() };
        assert_eq!(failing(late, "b").after(&failing(early, "a")), failing(early, "b"));
        let (kept, still) = (Standing::Kept { since: early }, Standing::Kept { since: late });
        assert_eq!(still.clone().after(&kept), kept);
        assert_eq!(still.clone().after(&failing(early, "a")), still);
    }
}
