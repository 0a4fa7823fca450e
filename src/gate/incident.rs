//! What has a verdict to do with a break-glass? What is said of it, kept for it and asked about it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::drift::path::FieldPath;
use crate::gate::facts::Question;

/// What a write has to do with a break-glass.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Glass {
    /// What it does.
    pub act: Act,
    /// The record; of a dry-run, which opens none, the one that it would be.
    pub record: String,
    /// Why the glass is broken.
    pub reason: String,
    /// Until when, at the latest.
    #[serde(rename = "until")]
    pub ends: Timestamp,
}

/// What a write does with a break-glass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Act {
    /// Opens it.
    Opened,
    /// Is let in by it.
    Used,
    /// Ends it.
    Ended,
}

impl Act {
    /// As records and audit annotations write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opened => "Opened",
            Self::Used => "Used",
            Self::Ended => "Ended",
        }
    }
}

/// A break-glass that somebody asked for and that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason that was given for it.
    pub reason: String,
    /// Why it does not count, in words.
    pub why: String,
}

/// What a break-glass adds to what is ruled.
#[derive(Debug, Clone, Default)]
pub struct Incident {
    /// What the write does with one.
    pub glass: Option<Glass>,
    /// One that does not count.
    pub void: Option<Refusal>,
    /// Whether the write sets the annotation of one.
    pub is_set: bool,
    /// Whether one could let in what is refused.
    pub offer: Offer,
    /// Questions whose answers matter to a write that is let in, too.
    pub urgent: Vec<Question>,
    /// Places that the write may not move: as they stood before it they stay.
    pub kept: Vec<FieldPath>,
    /// What is told where they are kept.
    pub told: Vec<String>,
}

/// Whether the governing policy offers a way through in an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Offer {
    /// It does not, or none is needed.
    #[default]
    None,
    /// By a break-glass.
    BreakGlass,
}
