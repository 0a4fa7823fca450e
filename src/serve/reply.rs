//! What goes back over HTTP? An AdmissionReview, or a plain refusal of what is no review at all.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::gate::policy::FailurePolicy;
use crate::gate::response::Answer;
use crate::gate::verdict::Verdict;
use crate::limits;
use crate::serve::body::Cut;

/// An answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// HTTP 200 with an AdmissionReview as JSON.
    Review(Vec<u8>),
    /// What was sent is no review, so there is no uid to answer: HTTP 400 and this line.
    NoReview(&'static str),
}

/// Why nothing could be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undecided {
    /// The review is longer than [`limits::REVIEW_BYTES_MAX`].
    TooLong,
    /// Too many large reviews at once.
    NoRoom,
    /// The review did not arrive in time.
    TooSlow,
    /// The connection broke.
    Broken,
    /// The review cannot be read.
    Malformed,
    /// A bug of ours.
    Panic,
    /// Deciding took longer than the API server waits.
    Deadline,
}

impl Undecided {
    /// As metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::NoRoom => "no_room",
            Self::TooSlow => "too_slow",
            Self::Broken => "broken",
            Self::Malformed => "malformed",
            Self::Panic => "panic",
            Self::Deadline => "deadline",
        }
    }

    /// As the writer reads it.
    fn text(self) -> String {
        let why = match self {
            Self::TooLong => format!("the review is longer than {} MiB", limits::REVIEW_BYTES_MAX >> 20),
            Self::NoRoom => "too many large reviews at once".to_owned(),
            Self::TooSlow => "the review did not arrive in time".to_owned(),
            Self::Broken => "the review did not arrive whole".to_owned(),
            Self::Malformed => "the review cannot be read".to_owned(),
            Self::Panic => "of a fault of its own".to_owned(),
            Self::Deadline => "it took too long".to_owned(),
        };
        format!("landfast could not decide, because {why}")
    }
}

impl From<Cut> for Undecided {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::TooLong => Self::TooLong,
            Cut::NoRoom => Self::NoRoom,
            Cut::TooSlow => Self::TooSlow,
            Cut::Broken => Self::Broken,
        }
    }
}

impl Reply {
    /// Answers a verdict.
    pub(crate) fn verdict(uid: &str, verdict: &Verdict) -> Self {
        Self::Review(Answer::of(verdict, uid).to_json())
    }

    /// Answers a verdict of the mutating pass.
    pub(crate) fn changing(uid: &str, verdict: &Verdict) -> Self {
        Self::Review(Answer::changing(verdict, uid).to_json())
    }

    /// Answers by the failure rule: refused under Fail, let in with a warning under Ignore.
    pub(crate) fn undecided(uid: &str, rule: FailurePolicy, why: Undecided) -> Self {
        Self::Review(Answer::undecided(uid, rule, &why.text()).to_json())
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self {
            Self::Review(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
            Self::NoReview(why) => (StatusCode::BAD_REQUEST, why).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::limits;
    use crate::serve::reply::Undecided;

    #[test]
    fn every_reason_fits_a_warning() {
        use Undecided::{Broken, Deadline, Malformed, NoRoom, Panic, TooLong, TooSlow};
        for why in [TooLong, NoRoom, TooSlow, Broken, Malformed, Panic, Deadline] {
            assert!(why.text().chars().count() <= limits::WARNING_CHARS_MAX, "{}", why.text());
        }
    }
}
